"""What building a source distribution would compile, from its files' names and what its build files say. Pure.

Reading cannot prove that nothing is compiled: a setup.py is a program. One that runs other programs, or fetches
something, is told as such; one that hides it is beyond this.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sparksmith.packages.facts import Compiled, Needs
from sparksmith.packages.wheel.refusal import find_refusal

SUFFIXES: dict[str, Needs] = {
    **dict.fromkeys(("c", "cc", "cpp", "cxx", "c++", "m", "mm", "pyx", "s", "asm"), "C"),
    **dict.fromkeys(("f", "f77", "f90", "f95", "f03", "for"), "Fortran"),
    "cu": "CUDA", "rs": "Rust", "go": "Go", "so": "binary", "o": "binary", "a": "binary",
}  # fmt: skip
# no build compiles what lies here, unless its setup.py says so: anywhere (numpy/f2py/tests, the "test cases" of a meson
# that comes along, third_party/cutlass/examples), or at the top of a source distribution
NEVER = frozenset(("test", "tests", "test cases", "unittest", "unittests", "example", "examples"))
ASIDE = frozenset(("test", "tests", "testing", "doc", "docs", "example", "examples", "demo", "benchmark", "benchmarks"))
BUILD_FILES = ("setup.py", "pyproject.toml", "pdm_build.py")
# a backend that puts files into a wheel as they are, unless something that is looked for below tells otherwise
PLAIN_BACKENDS = frozenset((
    "setuptools.build_meta", "setuptools.build_meta:__legacy__", "flit_core.buildapi", "flit.buildapi",
    "poetry.core.masonry.api", "poetry.masonry.api", "hatchling.build", "pdm.backend", "pdm.pep517.api", "uv_build",
    "pbr.build", "whey",
))  # fmt: skip
# and of these the ones that cannot compile: what they hold of source code is data
INERT_BACKENDS = frozenset((
    "flit_core.buildapi", "flit.buildapi", "hatchling.build", "uv_build", "whey", "pdm.backend",
))  # fmt: skip
COMPILING_BACKENDS: dict[str, Needs] = {
    "scikit_build_core": "C", "skbuild": "C", "mesonpy": "C", "py_build_cmake": "C", "sipbuild": "C",
    "maturin": "Rust", "setuptools_rust": "Rust",
}  # fmt: skip
BUILD_TOOLS: dict[str, Needs] = {
    **dict.fromkeys(("cython", "pybind11", "nanobind", "cffi", "cmake", "ninja", "mypy", "numpy"), "C"),
    **dict.fromkeys(("scikit-build", "scikit-build-core", "meson-python"), "C"),
    "maturin": "Rust", "setuptools-rust": "Rust", "torch": "script",
}  # fmt: skip
SAID: tuple[tuple[Needs, re.Pattern[str]], ...] = (
    ("CUDA", re.compile(r"\b(CUDAExtension|nvcc|CUDA_HOME)\b")),
    ("Rust", re.compile(r"\b(RustExtension|rust_extensions|setuptools_rust)\b")),
    ("Fortran", re.compile(r"\b(numpy\.distutils|f2py)\b")),
    ("C", re.compile(
        r"\b(ext_modules|\w*Extension(?=\s*\()|cythonize|cffi_modules|mypycify|build_ext|build_clib)\b"
    )),
    ("script", re.compile(
        r"\b(subprocess\.\w+|from subprocess|os\.system|os\.popen|os\.exec\w*|os\.spawn\w*"
        r"|import urllib|from urllib|import requests|urlopen|urlretrieve)\b"
    )),
)  # fmt: skip
COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
# a command of setup.py's that no installer asks for, whole: class Upload(Command), class Test(TestCommand)
UNASKED = re.compile(
    r"^class\s+\w+\((?:[\w.]*\.)?(?:Command|develop|editable_wheel|clean|sdist|test|\w*TestCommand|upload)\):[^\n]*\n"
    r"(?:[ \t][^\n]*\n|\n)*",
    re.MULTILINE,
)
HARMLESS_HOOKS = frozenset(("vcs", "version"))  # write the version into a file


def needs_of_file(path: str) -> Needs | None:
    """What a file asks of the machine that builds it; `path` is relative to the distribution's own folder."""
    *folders, name = path.split("/")
    lower = [folder.lower() for folder in folders]
    if (lower and lower[0] in ASIDE) or not NEVER.isdisjoint(lower):
        return None
    stem, _, suffix = name.rpartition(".")
    if ".so." in name:
        return "binary"
    return SUFFIXES.get(suffix.lower()) if stem else None


def parse_build_files(texts: Mapping[str, str], *, alone: bool = False) -> tuple[list[Compiled], list[str]]:
    """What the build files say that is compiled, and what cannot be read of them. `texts` by name (`BUILD_FILES`);
    `alone`: the archive holds no other code."""
    found: list[Compiled] = []
    problems: list[str] = []
    if "setup.py" in texts and not cannot_compile(texts):  # such a backend does not look at it
        if (refusal := find_refusal(texts["setup.py"], alone=alone)) is not None:
            found.append(Compiled("refusal", "setup.py", refusal))
        found += _said("setup.py", texts["setup.py"])
    if "pdm_build.py" in texts:
        found.append(Compiled("script", "pdm_build.py", "a script of its own that builds it"))
    if "pyproject.toml" in texts:
        try:
            found += _pyproject(tomllib.loads(texts["pyproject.toml"]))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            problems.append(f"pyproject.toml: cannot be read as TOML ({str(error)[:100]})")
        except (AttributeError, TypeError):
            problems.append("pyproject.toml: its tables are not what a build expects")
    elif "setup.py" not in texts:
        problems.append("has no setup.py and no pyproject.toml: nothing says how it is built")
    return found, problems


def cannot_compile(texts: Mapping[str, str]) -> bool:
    """Whether the backend only packs files, as long as `parse_build_files` finds nothing that says otherwise."""
    try:
        backend = tomllib.loads(texts.get("pyproject.toml", "")).get("build-system", {}).get("build-backend")
    except (tomllib.TOMLDecodeError, RecursionError, AttributeError):
        return False
    return isinstance(backend, str) and backend in INERT_BACKENDS


def _said(file: str, text: str) -> Iterator[Compiled]:
    """A finding for each kind of thing that a script names, with the first word that does."""
    text = UNASKED.sub("", COMMENT.sub("", text.replace("\r", "")) + "\n")
    for needs, pattern in SAID:
        if match := pattern.search(text):
            yield Compiled(needs, file, match[0])


def _pyproject(content: dict[str, Any]) -> Iterator[Compiled]:
    def found(needs: Needs, what: str) -> Compiled:
        return Compiled(needs, "pyproject.toml", what)

    system = content.get("build-system", {})
    backend = str(system.get("build-backend", "setuptools.build_meta:__legacy__"))
    if needs := COMPILING_BACKENDS.get(backend.partition(".")[0].partition(":")[0]):
        yield found(needs, f"build-backend = {backend[:100]}")
    elif backend not in PLAIN_BACKENDS or "backend-path" in system:
        yield found("script", f"build-backend = {backend[:100]}, which is not known here")
    for name in _names(system.get("requires", ())):
        if needs := "CUDA" if name.startswith("nvidia-cu") else BUILD_TOOLS.get(name):
            yield found(needs, f"build-system.requires: {name}")
    tool = content.get("tool", {})
    if "ext-modules" in tool.get("setuptools", {}):
        yield found("C", "tool.setuptools.ext-modules")
    if "cmdclass" in tool.get("setuptools", {}):
        yield found("script", "tool.setuptools.cmdclass")
    if "build" in tool.get("poetry", {}):
        yield found("script", "tool.poetry.build")
    hatch = tool.get("hatch", {}).get("build", {})
    hooks = {*hatch.get("hooks", {}), *hatch.get("targets", {}).get("wheel", {}).get("hooks", {})}
    for hook in sorted(hooks - HARMLESS_HOOKS):
        yield found("C" if hook in ("cython", "mypyc") else "script", f"tool.hatch.build.hooks.{hook[:50]}")


def _names(requirements: Iterable[Any]) -> Iterator[str]:
    for text in requirements:
        try:
            yield canonicalize_name(Requirement(text).name)
        except (InvalidRequirement, TypeError):
            continue  # pip refuses it; what is missing then is no compiler
