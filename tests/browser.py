"""A headless Chromium over its debugging pipe: opens a page, tells what it said and asked for, photographs it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
NO_CHROMIUM = "no chromium and no google-chrome is installed"
WAIT_SECONDS = 60.0


class Browser:
    """One tab. `said` holds what reached the console and every exception, `asked` the addresses that were loaded."""

    def __init__(self, folder: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (theirs_in, theirs_out)]
        os.close(theirs_in)
        os.close(theirs_out)
        assert CHROMIUM is not None

        def wire() -> None:  # Chromium reads commands from 3 and answers on 4
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                f"--user-data-dir={folder / 'chromium'}", "--remote-debugging-pipe", "about:blank",
            ],
            preexec_fn=wire, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        for end in high:
            os.close(end)
        self.ends = (ours_in, ours_out)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.loaded = False
        self.number = 0
        self.rest = b""
        self.session: str | None = None
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol, answered."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.ends[1], json.dumps(message).encode() + b"\0")
        number = self.number
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.ends[0]], [], [], WAIT_SECONDS)[0], "Chromium does not answer"
            part = os.read(self.ends[0], 1 << 16)
            assert part, "Chromium has ended"
            self.rest += part
        line, self.rest = self.rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, facts: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(one.get("value")) for one in facts["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(facts["exceptionDetails"])[:500])
        elif method == "Log.entryAdded":
            self.said.append(facts["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(facts["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def open(self, path: Path, *, width: int = 1280, dark: bool = False, script: bool = True, media: str = "") -> None:
        """Open a file in a window of this width and theme, and wait until it is loaded."""
        self.said, self.asked, self.loaded = [], [], False
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme], media=media)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url=path.absolute().as_uri())
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.loaded and time.monotonic() < deadline:
            self._next()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def photograph(self, target: Path) -> Path:
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        target.write_bytes(base64.b64decode(answer["data"]))
        return target

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.session = None
            os.write(self.ends[1], b'{"id":0,"method":"Browser.close"}\0')
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for end in self.ends:
            os.close(end)


@contextlib.contextmanager
def a_browser(folder: Path) -> Iterator[Browser]:
    """A browser that is gone afterwards."""
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.close()
