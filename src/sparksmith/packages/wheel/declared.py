"""What a package's own version file says of CUDA. The text is searched, never executed."""

from __future__ import annotations

import re

# NAME/version.py (torch), _cuda_version.py, build_info.py (tensorflow, onnxruntime), version/__init__.py (paddle),
# _wheel.json (cupy), cpp_lib.json (xformers)
FILES = re.compile(
    r"(?:[^/]+/){1,4}(?:_?version|_cuda_version|build_info|build_and_package_info|cuda_version|_build_config)\.py"
    r"|[^/]+/_?version/__init__\.py|cupy/\.data/_wheel\.json|xformers/cpp_lib\.json"
)
NAME = r"(?:__)?_?(?:cuda|cuda_version|CUDA_VERSION|cudart_version)(?:__)?"
ASSIGNED = re.compile(
    rf"^[ \t]*{NAME}[ \t]*(?::[^=\n]{{1,80}})?=[ \t]*"
    r"(?:(?P<none>None)\b|(?P<quote>['\"])(?P<said>[^'\"\n]{0,40})(?P=quote))",
    re.MULTILINE,
)
KEYED = re.compile(r"['\"]cuda(?:_version)?['\"]\s{0,9}:\s{0,9}(?P<said>null|None|['\"][^'\"\n]{0,40}['\"]|\d{2,6})")
BYTES_AT_MOST = 65_536
FILES_AT_MOST = 20


def may_declare_cuda(path: str) -> bool:
    """Whether a file of this path (relative to the wheel's root) may say which CUDA its package was built with."""
    return FILES.fullmatch(path) is not None


def parse_declared_cuda(text: str) -> str | None:
    """'13.0'; '' where it says that there is none; None where it does not speak of CUDA."""
    if found := ASSIGNED.search(text):
        return "" if found["none"] else _release(found["said"])
    if found := KEYED.search(text):
        said = found["said"].strip("'\"")
        return "" if said in ("null", "None") else _release(said)
    return None


def _release(said: str) -> str | None:
    """'13.0' of '13.0', 'V13.0.88', '1300' (xformers: major and two digits of minor) or '13000' (CUDA_VERSION)."""
    said = said.strip()
    if said in ("", "False", "None"):  # paddle: cuda_version = 'False'
        return ""
    if re.fullmatch(r"\d{4}", said):
        return f"{int(said[:-2])}.{int(said[-2:])}"
    if re.fullmatch(r"\d{5}", said):
        return f"{int(said[:2])}.{int(said[2:4])}"
    found = re.match(r"[vV]?(\d{1,2}(?:\.(?:\d{1,2}|x))?)", said)
    return found[1] if found else None
