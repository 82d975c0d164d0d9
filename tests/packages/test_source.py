"""Source distributions: what they compile where they are installed, read without running anything, hostile ones too."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.audit import asked_by_sources, audit
from sparksmith.packages.facts import Compiled, PackageFacts
from sparksmith.packages.gather import Gathered, gather
from sparksmith.packages.known import KnownWheels, format_row, parse_row
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile
from sparksmith.packages.verdict import judge
from sparksmith.packages.wheel import source as reading
from sparksmith.packages.wheel.builds import needs_of_file, parse_build_files
from sparksmith.packages.wheel.source import read_source
from sparksmith.policy.targets import load_target

SPARK = Platform("aarch64", (2, 39), (3, 12))
GB10 = load_target("gb10")
SETUP = {"setup.py": "from setuptools import setup\nsetup(name='p')\n"}
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PKG_INFO = "Metadata-Version: 2.1\nName: P\nVersion: 1.0\nRequires-Python: >=3.9\n"


def make_source(folder: Path, files: dict[str, str], name: str = "p-1.0.tar.gz") -> Path:
    """An archive whose files lie in a folder of its name."""
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for inside, text in files.items():
                archive.writestr(f"p-1.0/{inside}", text)
        return path
    with tarfile.open(path, "w:bz2" if name.endswith("bz2") else "w:gz") as archive:
        for inside, text in files.items():
            add(archive, f"p-1.0/{inside}", text.encode())
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **more) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


def verdict_on(facts: PackageFacts):
    return judge([facts], GB10, kind="list", subject="x").packages[0]


@pytest.mark.parametrize("name", ["p-1.0.tar.gz", "p-1.0.tgz", "p-1.0.tar.bz2", "p-1.0.zip"])
def test_nothing_to_compile(tmp_path, name):
    files = {
        **SETUP, "PKG-INFO": PKG_INFO, "p/__init__.py": "", "tests/data/example.c": "int x;", "p/data.cuh": "",
        "p.egg-info/requires.txt": "six\nnumpy>=1\n\n[extra]\ntorch\n",
    }  # fmt: skip
    facts = read_source(make_source(tmp_path, files, name))
    assert (facts.name, facts.version, facts.file, facts.requires_python) == ("P", "1.0", name, ">=3.9")
    assert (facts.compiles, facts.problems, facts.requires) == ((), (), ("six", "numpy>=1"))
    found = verdict_on(facts)
    assert found.verdict == "runs with a note"
    assert found.findings[0].seen.endswith("it is built where it is installed; it holds nothing to compile")


@pytest.mark.parametrize(
    ("files", "needs", "said"),
    [
        ({"a/a.cpp": "x", "a/b.cc": "", "a/k.cu": ""}, {"C", "CUDA"}, "(of a CUDA toolkit that knows sm_121), a C"),
        ({"p/_fast.pyx": ""}, {"C"}, "Python's headers (build-essential and python3.12-dev)"),
        ({"src/lib.rs": "", "Cargo.toml": ""}, {"Rust"}, "a Rust compiler (cargo)"),
        ({"src/a.f90": ""}, {"Fortran"}, "gfortran"),
        ({"p/_x.cpython-312-x86_64-linux-gnu.so": ""}, {"binary"}, "finished libraries"),
        ({"setup.py": "setup(ext_modules=[Extension('a', s)])"}, {"C"}, "C or C++ compiler"),
        ({"setup.py": "setup(ext_modules=[CUDAExtension('a', s)])"}, {"C", "CUDA"}, "nvcc"),
        ({"setup.py": "import subprocess\nsubprocess.check_call(['make'])\nsetup()"}, {"script"}, "script of its own"),
        ({"pyproject.toml": '[build-system]\nbuild-backend = "maturin"'}, {"Rust"}, "cargo"),
        ({"pyproject.toml": '[build-system]\nbuild-backend = "own"\nbackend-path = ["."]'}, {"script"}, "script"),
        ({"pyproject.toml": '[build-system]\nrequires = ["pybind11>=2"]'}, {"C"}, "C or C++ compiler"),
        ({"pyproject.toml": HATCH + "[tool.hatch.build.hooks.custom]"}, {"script"}, "script"),
    ],
)
def test_what_is_compiled(tmp_path, files, needs, said):
    facts = read_source(make_source(tmp_path, {**SETUP, **files}))
    assert {each.needs for each in facts.compiles} == needs
    found = verdict_on(facts)
    assert found.verdict == "cannot tell"
    assert said in found.findings[0].seen
    assert parse_row(format_row(facts)) == facts == PackageFacts.from_json(facts.to_json())


def test_a_source_distribution_given_as_a_file(tmp_path):
    compiled = make_source(tmp_path, {**SETUP, "PKG-INFO": PKG_INFO, "k.cu": ""})
    alone = audit([str(compiled)], GB10).packages[0]
    assert (alone.name, alone.verdict) == ("P", "cannot tell")
    assert "p-1.0.tar.gz is source: it is compiled where it is installed, with nvcc" in alone.findings[0].seen
    (tmp_path / "q-1.0.tar.gz").write_bytes(b"no archive")
    assert [one.verdict for one in audit([str(tmp_path)], GB10).packages] == ["cannot tell", "cannot tell"]


def test_what_the_tests_of_a_package_hold_is_not_compiled(tmp_path):
    """numpy has no Fortran but in its tests of f2py; a pure package may have sources that its tests read."""
    numpy = {"numpy/core/a.c": "", "numpy/f2py/tests/src/a.f90": "", "meson/test cases/cuda/1/a.cu": ""}
    facts = read_source(make_source(tmp_path, {"pyproject.toml": '[build-system]\nbuild-backend = "mesonpy"', **numpy}))
    assert {each.needs for each in facts.compiles} == {"C"}
    assert read_source(make_source(tmp_path, {**SETUP, "p/tests/data/a.cpp": "", "p/examples/a.go": ""})).compiles == ()
    said = {"setup.py": "setup(ext_modules=[Extension('p.tests._x', ['p/tests/x.c'])])", "p/tests/x.c": ""}
    assert {each.needs for each in read_source(make_source(tmp_path, said)).compiles} == {"C"}


def test_the_largest_file_stands_for_its_kind(tmp_path):
    facts = read_source(make_source(tmp_path, {**SETUP, "a.c": "12", "p/b.c": "123", "c.cpp": "1"}))
    assert facts.compiles == (Compiled("C", "p/b.c", "a source file, and 2 more", 3),)


def test_what_no_installer_asks_a_setup_for():
    upload = "class Upload(Command):\n    def run(self):\n        os.system('twine upload')\n\n    x = 1\n"
    assert parse_build_files({"setup.py": f"import os\n{upload}\n# subprocess.run\nsetup()"}) == ([], [])
    found, _ = parse_build_files({"setup.py": f"{upload}os.system('make')\n"})
    assert [(each.needs, each.what) for each in found] == [("script", "os.system")]
    found, _ = parse_build_files(
        {"setup.py": "class Build(build_py):\n    def run(self):\n        os.system('make')\n"}
    )
    assert [each.needs for each in found] == ["script"]


def test_a_backend_that_packs_files_compiles_nothing(tmp_path):
    files = {"pyproject.toml": HATCH, "p/driver.c": "int x;", "setup.py": "import subprocess\nsubprocess.run([])"}
    assert read_source(make_source(tmp_path, files)).compiles == ()
    hooked = {**files, "pyproject.toml": HATCH + "[tool.hatch.build.targets.wheel.hooks.mypyc]"}
    assert {each.needs for each in read_source(make_source(tmp_path, hooked)).compiles} == {"C"}


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("p/a.C", "C"),
        ("a.py", None),
        ("docs/a.cu", None),
        ("p/docs/a.cu", "CUDA"),
        ("numpy/f2py/tests/src/block.f", None),
        ("third_party/cutlass/examples/24_gemm/gemm.cu", None),
        ("vendored-meson/meson/test cases/rust/1/main.rs", None),
        ("csrc/Test/a.cpp", None),
        ("p/tests.c", "C"),
        ("p/testing/a.c", "C"),
        ("p/lib.so.1", "binary"),
        (".c", None),
    ],
)
def test_file_names(path, needs):
    assert needs_of_file(path) == needs


@pytest.mark.parametrize(
    ("texts", "said"),
    [({}, "no setup.py"), ({"pyproject.toml": "= ["}, "cannot be read as TOML"),
     ({"pyproject.toml": "build-system = 1"}, "not what a build expects"),
     ({"pyproject.toml": "x = " + "[" * 5000}, "cannot be read")],
)  # fmt: skip
def test_build_files_that_say_nothing(tmp_path, texts, said):
    facts = read_source(make_source(tmp_path, {"p.py": "", **texts}))
    assert said in facts.problems[0]
    assert verdict_on(facts).verdict == "cannot tell"


def hostile(path: Path, fill) -> PackageFacts:
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "p-1.0/setup.py", b"setup()")
        fill(archive)
    return read_source(path)


def test_names_and_links_that_lead_outside(tmp_path):
    def fill(archive):
        add(archive, "../../evil.c")
        add(archive, "/etc/evil.cu")
        add(archive, "p-1.0/a\nb.c")
        add(archive, "p-1.0/link.c", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "p-1.0/PKG-INFO", type=tarfile.LNKTYPE, linkname="../../secret")
        add(archive, "p-1.0/fifo.c", type=tarfile.FIFOTYPE)

    facts = hostile(tmp_path / "p-1.0.tar.gz", fill)
    assert facts.compiles == ()
    assert len(facts.problems) == 3 and all(each.isprintable() for each in facts.problems)
    assert verdict_on(facts).verdict == "cannot tell"
    assert list(tmp_path.iterdir()) == [tmp_path / "p-1.0.tar.gz"]


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "INFLATED_FREE", 1 << 20)
    facts = hostile(tmp_path / "p-1.0.tar.gz", lambda archive: add(archive, "p-1.0/zeros", bytes(3 << 20)))
    assert "inflates to more than" in facts.problems[0]


def test_headers_without_an_end(tmp_path):
    def fill(archive):
        add(archive, "p-1.0/" + "x" * 200_000)

    assert "headers have more than" in hostile(tmp_path / "p-1.0.tar.gz", fill).problems[0]


def test_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MEMBERS_AT_MOST", 5)

    def fill(archive):
        for number in range(9):
            add(archive, f"p-1.0/{number}")

    assert "more than 5 entries" in hostile(tmp_path / "p-1.0.tar.gz", fill).problems[0]


@pytest.mark.parametrize("cut", [10, 100, 200])
def test_a_file_that_ends_early(tmp_path, cut):
    path = make_source(tmp_path, {**SETUP, "p.py": "x" * 9000, "b.py": "".join(map(str, range(9000)))})
    path.write_bytes(path.read_bytes()[:cut])
    facts = read_source(path)
    assert facts.problems and verdict_on(facts).verdict == "cannot tell"


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar" * 300, mtime=0)])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "p-1.0.tar.gz").write_bytes(content)
    try:
        facts = read_source(tmp_path / "p-1.0.tar.gz")
    except SparksmithError as error:
        assert "cannot be read" in error.message
    else:
        assert facts.problems


def test_what_cannot_be_read_at_all(tmp_path):
    with pytest.raises(SparksmithError, match="packed in a way"):
        read_source(tmp_path / "p-1.0.tar.xz")
    with pytest.raises(SparksmithError, match="cannot be read"):
        read_source(tmp_path / "missing-1.0.tar.gz")


def test_two_versions_of_a_package_keep_their_own_facts(tmp_path):
    """Conflicting extras of a lock have both."""
    files = [WheelFile(f"x-{version}-py3-none-any.whl", digit * 64) for version, digit in (("1", "1"), ("2", "2"))]
    chosen = tuple(Chosen("x", file.file.split("-")[1], file) for file in files)

    def read(path):
        return PackageFacts("x", path.name.split("-")[1], path.name, None, 1, ("py3-none-any",))

    for round_ in range(2):  # fetched, then known
        fetch = (lambda file, progress: tmp_path / file.file) if round_ == 0 else None
        found = gather(Resolution(SPARK, chosen, "file"), KnownWheels("", tmp_path / "facts"), fetch=fetch, read=read)
        assert [(each.chosen.version, each.facts.version) for each in found] == [("1", "1"), ("2", "2")]


def test_what_a_source_asks_for_is_resolved_too(tmp_path):
    source = WheelFile("langdetect-1.0.9.tar.gz", "c" * 64)
    facts = PackageFacts(
        "langdetect", "1.0.9", source.file, source.sha256, 9, compiles=(),
        requires=("six", "colorama; sys_platform == 'win32'", "pytest; extra == 'test'", "own @ https://x.example/x"),
    )  # fmt: skip
    known = KnownWheels(format_row(facts), tmp_path)
    asked = []

    def resolve(subject, platform, known):
        asked.append([line.name for line in subject.requirements.lines])
        six = (Chosen("six", "1.17.0", WheelFile("six-1.17.0-py2.py3-none-any.whl", "d" * 64)),)
        chosen = Chosen("langdetect", "1.0.9", None, "langdetect", "it has no wheels", source)
        return Resolution(platform, (chosen, *(six if len(asked) > 1 else ())), "uv")

    def gathering(found, known, *, progress=None):
        pure = PackageFacts("six", "1.17.0", "six-1.17.0-py2.py3-none-any.whl", None, 1, ("py3-none-any",))
        return [gather(Resolution(SPARK, (each,), "uv"), known)[0] if each.wheel is None else Gathered(each, pure)
                for each in found.packages]  # fmt: skip

    found = audit(["langdetect"], GB10, known=known, resolve=resolve, gather=gathering)
    assert asked == [["langdetect"], ["langdetect", "six"]]
    assert (found.verdict, found.notes, [each.name for each in found.packages]) == (
        "runs with a note", (), ["langdetect", "six"],
    )  # fmt: skip
    (alone,) = gather(Resolution(SPARK, (resolve_one(source),), "uv"), known)
    assert [line.name for line in asked_by_sources([alone], SPARK)] == ["six"]


def resolve_one(source: WheelFile) -> Chosen:
    return Chosen("langdetect", "1.0.9", None, "langdetect", "for win32 only", source)


def test_why_there_is_no_wheel_is_told_in_a_sentence(tmp_path):
    facts = read_source(make_source(tmp_path, SETUP))
    known = KnownWheels(format_row(facts), tmp_path)
    (found,) = gather(Resolution(SPARK, (resolve_one(WheelFile(facts.file, facts.sha256)),), "uv"), known)
    assert verdict_on(found.facts).findings[0].seen.startswith("none of its wheels fits (for win32 only): it is built")


@pytest.mark.parametrize("asks", [True, False])
def test_bounds_of_a_source_are_no_failure(asks):
    """The audit itself looks at a source's newest version, on whichever side of the bound that stands."""
    source = PackageFacts("x", "9", "x-9.tar.gz", None, 1, compiles=(), requires=("y>=2",) if asks else ())
    wheel = PackageFacts(
        "y", "1", "y-1-py3-none-any.whl", None, 1, ("py3-none-any",), requires=() if asks else ("X<9",)
    )
    found = judge([source, wheel], GB10, kind="list", subject="x")
    assert [(each.rule, each.verdict.value) for each in found.findings] == [("bounds", "runs with a note")]


def test_a_bound_between_wheels_fails_beside_one_of_a_source():
    source = PackageFacts("x", "9", "x-9.tar.gz", None, 1, compiles=())
    wheel = PackageFacts("y", "1", "y-1-py3-none-any.whl", None, 1, ("py3-none-any",), requires=("x<9", "z>1"))
    other = PackageFacts("z", "1", "z-1-py3-none-any.whl", None, 1, ("py3-none-any",))
    (found,) = judge([source, wheel, other], GB10, kind="list", subject="x").findings
    assert (found.rule, found.verdict.value) == ("bounds", "will not run")


def test_what_a_source_of_a_source_asks_for_is_resolved_too(tmp_path):
    """tensorrt asks for tensorrt-cu13, and that for tensorrt-cu13-libs: three sources, each told by the one before."""
    chain = {"a": "b", "b": "c", "c": "d"}
    sources = {name: WheelFile(f"{name}-1.tar.gz", str(place) * 64) for place, name in enumerate(chain)}
    rows = [
        format_row(PackageFacts(name, "1", file.file, file.sha256, 9, compiles=(), requires=(chain[name],)))
        for name, file in sources.items()
    ]
    known = KnownWheels("\n".join(rows), tmp_path)

    def resolve(subject, platform, known):
        names = [line.name for line in subject.requirements.lines]
        if "d" in names:
            raise SparksmithError("uv finds no d")
        return Resolution(platform, tuple(Chosen(n, "1", None, n, "it has no wheels", sources[n]) for n in names), "uv")

    found = audit(["a"], GB10, known=known, resolve=resolve)
    assert [each.name for each in found.packages] == ["a", "b", "c"]
    assert (found.verdict, [each.seen for each in found.findings]) == (
        "cannot tell", ["what only source distributions ask for was not looked at: d"],
    )  # fmt: skip
