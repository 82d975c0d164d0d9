"""Environments of a few kilobytes for tests, as installers leave them.

site = make_venv(tmp_path / "venv")
install(site, "torch", "2.13.0", files={"torch/_C.abi3.so": make_elf(needed=["libtorch.so"])})
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

AARCH64 = "cp312-cp312-manylinux_2_28_aarch64"


def make_venv(root: Path, python: str = "3.12.3", home: str = "/usr/bin", system_packages: bool = False) -> Path:
    """A venv without an interpreter; returns its site-packages."""
    folder = "python" + ".".join(python.split(".")[:2])
    site = root / "lib" / folder / "site-packages"
    site.mkdir(parents=True)
    (root / "pyvenv.cfg").write_text(
        f"home = {home}\nimplementation = CPython\nversion_info = {python}\n"
        f"include-system-site-packages = {str(system_packages).lower()}\n"
    )
    return site


def install(
    site: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    requires: Sequence[str] = (),
    tags: Sequence[str] = (AARCH64,),
    installer: str = "uv",
    record: str | None = None,
    more_record: str = "",
    direct_url: object = None,
) -> Path:
    """Put a distribution there; returns its dist-info. `record` replaces RECORD, "" for none; `more_record` adds."""
    base = name.replace("-", "_")
    information = site / f"{base}-{version}.dist-info"
    information.mkdir(parents=True)
    rows = []
    for path, content in (files or {}).items():
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(content)}")
    headers = [
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {one}" for one in requires),
    ]
    (information / "METADATA").write_text("\n".join(headers) + "\n\nA sample.\nVersion: 9.9\n")
    (information / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))
    (information / "INSTALLER").write_text(f"{installer}\n")
    if direct_url is not None:
        (information / "direct_url.json").write_text(json.dumps(direct_url))
    rows += [f"{information.name}/METADATA,,", f"{information.name}/INSTALLER,,", f"{information.name}/RECORD,,"]
    text = "\n".join(rows) + "\n" + more_record if record is None else record
    if text:
        (information / "RECORD").write_text(text)
    return information
