"""Draw the top of a run's page as a PNG, in headless Chromium: for the pictures in the documentation.

usage: page_picture.py OUT.png PAGE.html WIDTH HEIGHT [dark]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
THEMES = {"dark": 0, "light": 1}  # Blink's preferredColorScheme


def main() -> None:
    if len(sys.argv) not in {5, 6}:
        raise SystemExit(__doc__)
    out, page, width, height = sys.argv[1:5]
    theme = sys.argv[5] if len(sys.argv) == 6 else "light"
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        raise SystemExit(f"error: no {', '.join(NAMES)} was found\nhint: apt install chromium")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}",
        f"--blink-settings=preferredColorScheme={THEMES[theme]}", f"--screenshot={Path(out).absolute()}",
        Path(page).absolute().as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
