"""A disk that is full, read-only, broken or gone: how it shows, and what to say of it."""

from __future__ import annotations

import errno
import re
import shlex
import shutil
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.units import format_bytes

TROUBLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO,
    errno.EFBIG, errno.ESHUTDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT,
}  # fmt: skip
# In what torch.save says of a disk that is full, read-only or gone, and of memory (torch 2.13, tried 2026-11-21).
WRITING = re.compile(r"inline_container\.cc|PytorchStreamWriter|iostream error|^Parent directory |DefaultCPUAllocator")


def disk_trouble(folder: Path, error: BaseException) -> SparksmithError | None:
    """What to tell the user of an error that comes from a disk and is no defect of ours, or None.

    That is a failing disk anywhere, and any `OSError` about a file of the run's own folder.
    """
    if not isinstance(error, OSError):
        return None
    name = error.filename if isinstance(error.filename, str) else None
    own = name is not None and Path(name).is_relative_to(folder)
    if error.errno not in TROUBLE and not own:
        return None
    return SparksmithError(
        f"the disk failed: {error.strerror} ({name or folder})",
        f"mend that, then go on from the newest checkpoint: sparksmith train --output_dir {shlex.quote(str(folder))} "
        "--resume_from_checkpoint",
    )


def is_of_the_disk(error: Exception) -> bool:
    """Whether a library's error while it writes a checkpoint is one of the disk or of memory.

    torch.save raises RuntimeError, as torch does for a fault of the GPU, which is neither; safetensors an error of its
    own, tokenizers a bare Exception.
    """
    if isinstance(error, OSError | MemoryError):
        return True
    if type(error) is RuntimeError:
        return WRITING.search(str(error)) is not None
    return type(error) is Exception or type(error).__name__ in {"SafetensorError", "OutOfMemoryError"}


class Place:
    """A folder as it was when the run began, to notice that its mount has gone: its name may still be there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun = self._identity()

    def lack(self) -> str | None:
        """Why nothing can be saved here now, in words, or None. A mount that came back is as good as before."""
        try:
            if self._identity() == self._begun or (self.folder / "manifest.json").is_file():
                return None
        except OSError as error:
            return f"the run's folder cannot be reached: {error.strerror}"
        return "the run's folder is another one than at the beginning: what was mounted there is gone"

    def _identity(self) -> tuple[int, int]:
        found = self.folder.stat()
        return found.st_dev, found.st_ino


def left_words(folder: Path) -> str:
    """' (the disk has 12 KiB left)', or nothing where that cannot be asked."""
    try:
        return f" (the disk has {format_bytes(shutil.disk_usage(folder).free)} left)"
    except OSError:
        return ""
