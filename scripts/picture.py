"""Draw what a command shows on a terminal as an SVG: for the pictures in the documentation.

usage: picture.py OUT.svg TITLE COLUMNS COMMAND...

The command runs in a pseudo-terminal; a line that was renewed in place is drawn as it stood last.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

RENEWED = re.compile(r"^.*\r(?:\x1b\[K)?(?=[^\r\n])", re.MULTILINE)


def capture(command: list[str], columns: int) -> str:
    """Everything the command writes to its terminal."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    chunks = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.waitpid(process, 0)
    return b"".join(chunks).decode(errors="replace").replace("\r\n", "\n")


def main() -> None:
    target, title, columns, *command = sys.argv[1:]
    text = RENEWED.sub("", capture(command, int(columns))).strip("\n")
    console = Console(record=True, width=int(columns), file=io.StringIO(), force_terminal=True)
    shown = " ".join(Path(word).name if "/" in word else word for word in command)
    console.print(Text(f"$ {shown}", style="bold"))
    console.print(Text.from_ansi(text))
    console.print()  # the picture cuts what hangs below its last line, as underscores do
    Path(target).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
