"""Wheels of a few kilobytes for tests, packed as a build backend packs them.

    make_wheel(tmp_path, "torch", "2.15.0", files={"torch/lib/libtorch_cuda.so": make_elf(fatbin=[cubin(120)])})

From another folder's tests: `from packages.made_wheels import make_wheel`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

AARCH64 = "cp312-cp312-manylinux_2_28_aarch64"
X86_64 = "cp312-cp312-manylinux_2_28_x86_64"
PURE = "py3-none-any"


def make_wheel(
    folder: Path,
    name: str = "sample",
    version: str = "1.0",
    *,
    tag: str = AARCH64,
    files: Mapping[str, bytes | str] | None = None,
    requires: Sequence[str] = (),
    requires_python: str | None = ">=3.10",
    cuda: str | None = None,
    executable: Iterable[str] = (),
    entries: Sequence[tuple[zipfile.ZipInfo, bytes]] = (),
) -> Path:
    """The path of a wheel in `folder` with these members, METADATA, WHEEL and RECORD.

    `cuda`: NAME/version.py with `cuda = '13.0'` ("" for `cuda = None`, None for no such file). `executable`: members
    marked so. `entries`: members whose zip header a test makes itself.
    """
    distribution = name.replace("-", "_").replace(".", "_")
    members: dict[str, bytes | str] = dict(files or {})
    if cuda is not None:
        said = repr(cuda) if cuda else "None"
        members[f"{distribution}/version.py"] = f"__version__ = '{version}'\ncuda: Optional[str] = {said}\n"
    metadata = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}"]
    if requires_python is not None:
        metadata.append(f"Requires-Python: {requires_python}")
    metadata += [f"Requires-Dist: {line}" for line in requires]
    python, abi, platforms = tag.split("-")
    wheel = ["Wheel-Version: 1.0", "Generator: made", f"Root-Is-Purelib: {'true' if tag == PURE else 'false'}"]
    wheel += [
        f"Tag: {one}-{second}-{third}"
        for one in python.split(".")
        for second in abi.split(".")
        for third in platforms.split(".")
    ]
    information = f"{distribution}-{version}.dist-info"
    members.setdefault(f"{information}/METADATA", "\n".join(metadata) + "\n\nA sample.\n")
    members.setdefault(f"{information}/WHEEL", "\n".join(wheel) + "\n")
    members.setdefault(f"{information}/RECORD", "".join(f"{path},,\n" for path in members))

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{distribution}-{version}-{tag}.whl"
    marked = set(executable)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            header = zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0))
            header.compress_type = zipfile.ZIP_DEFLATED
            header.external_attr = (0o100755 if member in marked else 0o100644) << 16
            archive.writestr(header, content)
        for header, content in entries:
            archive.writestr(header, content)
    return path
