"""Which distributions lie in an environment, read from files; under any root, for any machine."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from packages.made_environments import install, make_venv
from sparksmith.base.errors import SparksmithError
from sparksmith.machine.python_env import (
    find_environments,
    inside,
    printable,
    read_python_environment,
    read_start,
)

AARCH64 = 183


def interpreter(path: Path, machine: int = AARCH64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF" + bytes((2, 1, 1)) + bytes(9) + b"\x03\0" + machine.to_bytes(2, "little"))


def versions(environment) -> dict[str, str]:
    return {one.key: one.version for one in environment.active()}


def container(root: Path) -> Path:
    """Ubuntu's layout; returns /usr/local's dist-packages."""
    (root / "etc").mkdir(parents=True)
    interpreter(root / "usr/bin/python3.12")
    (root / "usr/bin/python3").symlink_to("python3.12")
    (root / "usr/lib/python3.12").mkdir(parents=True)
    (root / "usr/lib/python3/dist-packages").mkdir(parents=True)
    site = root / "usr/local/lib/python3.12/dist-packages"
    site.mkdir(parents=True)
    return site


def test_a_venv(tmp_path):
    site = make_venv(tmp_path / "a venv")
    install(site, "Flask-Sample", "2.0", requires=["click>=8", "x; extra == 'y'"], tags=["py3-none-any"])
    install(site, "torch", "2.13.0+cu130")
    seen = read_python_environment(tmp_path / "a venv")
    assert (seen.kind, seen.python, seen.abi, seen.machine) == ("venv", "3.12.3", "cp312", "aarch64")
    assert seen.search_path == (site,)
    assert versions(seen) == {"flask-sample": "2.0", "torch": "2.13.0+cu130"}
    first = seen.distributions[0]
    assert (first.name, first.installer, first.form, first.url) == ("Flask-Sample", "uv", "dist-info", None)
    assert first.requires == ("click>=8", "x; extra == 'y'")
    assert seen.findings == ()


def test_a_foreign_environment_has_no_system_here(tmp_path):
    site = make_venv(tmp_path / "venv")
    foreign = "x86_64" if os.uname().machine == "aarch64" else "aarch64"
    install(site, "a", tags=[f"cp312-cp312-manylinux_2_28_{foreign}"])
    assert read_python_environment(tmp_path / "venv").system is None


def test_this_environment_is_read_as_python_sees_it():
    from importlib.metadata import distributions

    seen = versions(read_python_environment(Path(sys.prefix)))
    expected = {
        one.metadata["Name"].lower().replace("_", "-").replace(".", "-"): one.version for one in distributions()
    }
    assert seen == expected


def test_four_hundred_distributions_in_a_tenth_of_a_second(tmp_path):
    site = make_venv(tmp_path / "venv")
    for number in range(400):
        install(site, f"package-{number}", requires=["a", "b"])
    seconds = []
    for _ in range(3):
        before = time.process_time()
        assert len(read_python_environment(tmp_path / "venv").distributions) == 400
        seconds.append(time.process_time() - before)
    assert min(seconds) < 0.1


def test_a_free_threaded_python(tmp_path):
    site = tmp_path / "venv/lib/python3.13t/site-packages"
    site.mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.13.1\n")
    install(site, "a")
    assert read_python_environment(tmp_path / "venv").abi == "cp313t"


def test_a_containers_root_in_debians_order(tmp_path):
    local = container(tmp_path)
    system = tmp_path / "usr/lib/python3/dist-packages"
    install(local, "numpy", "2.0", tags=["py3-none-any"])
    (system / "numpy-1.26.egg-info").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.26\n")
    (system / "six-1.16.egg-info").mkdir()
    (system / "six-1.16.egg-info/PKG-INFO").write_text("Name: six\nVersion: 1.16\n")
    (system / "six-1.16.egg-info/requires.txt").write_text("a>=1\n\n[extra]\nb\n")
    seen = read_python_environment(tmp_path)
    assert (seen.kind, seen.system, seen.python, seen.machine) == ("system", tmp_path, "3.12", "aarch64")
    assert seen.search_path == (local, system)
    assert versions(seen) == {"numpy": "2.0", "six": "1.16"}
    hidden = [one for one in seen.distributions if one.shadowed_by]
    assert [(one.version, one.shadowed_by) for one in hidden] == [("1.26", local / "numpy-2.0.dist-info")]
    assert seen.findings == (f"numpy 1.26 in {system} is hidden by 2.0 in {local}",)
    assert [one.requires for one in seen.active() if one.name == "six"] == [("a>=1",)]


def test_a_python_of_its_own_in_usr_local(tmp_path):
    """The official Python images: Debian's packages are another interpreter's."""
    container(tmp_path)
    install(tmp_path / "usr/lib/python3/dist-packages", "debians")
    own = tmp_path / "usr/local/lib/python3.13"
    own.mkdir()
    (own / "os.py").touch()
    install(own / "site-packages", "ours")
    seen = read_python_environment(tmp_path)
    assert seen.search_path == (own / "site-packages",)
    assert (seen.python, versions(seen)) == ("3.13", {"ours": "1.0"})


def test_the_environment_with_torch_is_taken_and_the_others_named(tmp_path):
    local = container(tmp_path)
    for number in range(3):
        install(local, f"tool{number}")
    install(make_venv(tmp_path / "opt/venv"), "torch", "2.13.0")
    assert find_environments(tmp_path) == [tmp_path / "opt/venv"]
    seen = read_python_environment(tmp_path)
    assert (seen.root, seen.system, versions(seen)) == (tmp_path / "opt/venv", tmp_path, {"torch": "2.13.0"})
    assert seen.findings[0].startswith("several environments lie here;")
    assert f"not {tmp_path} (3 distributions)" in seen.findings[0]


def test_a_venv_over_a_containers_packages(tmp_path):
    local = container(tmp_path)
    install(local, "torch", "2.9.0a0+145a3a7bda.nv25.10")
    install(local, "numpy", "1.26")
    site = make_venv(tmp_path / "opt/venv", system_packages=True)
    install(site, "numpy", "2.0")
    seen = read_python_environment(tmp_path / "opt/venv")
    assert seen.system == tmp_path
    assert versions(seen) == {"numpy": "2.0", "torch": "2.9.0a0+145a3a7bda.nv25.10"}
    assert seen.search_path[:2] == (site, local)


def test_a_base_that_is_not_here(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True)
    install(make_venv(tmp_path / "venv", home="/absent/bin", system_packages=True), "a")
    assert "the Python in /absent/bin, which is not here" in read_python_environment(tmp_path / "venv").findings[0]


def test_conda(tmp_path):
    site = tmp_path / "lib/python3.12/site-packages"
    install(site, "torch", "2.13.0", installer="conda")
    (tmp_path / "conda-meta").mkdir()
    for record in ("python-3.12.7-h5148396_0", "libcublas-13.0.2.14-h0_0", "torch-2.13.0-py312_0", "nonsense"):
        (tmp_path / f"conda-meta/{record}.json").write_text("{}")
    seen = read_python_environment(tmp_path)
    assert (seen.kind, seen.python) == ("conda", "3.12.7")
    assert versions(seen) == {"torch": "2.13.0", "python": "3.12.7", "libcublas": "13.0.2.14"}
    assert {one.key: one.form for one in seen.active()}["libcublas"] == "conda"


def test_a_folder_of_distributions(tmp_path):
    install(tmp_path, "a", "3")
    seen = read_python_environment(tmp_path)
    assert (seen.kind, seen.python, seen.abi, versions(seen)) == ("folder", None, "cp312", {"a": "3"})


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_no_environment(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(SparksmithError) as caught:
        read_python_environment(tmp_path / "x")
    assert "give the folder of a venv" in str(caught.value.hint)


def test_editable_installs(tmp_path):
    site = make_venv(tmp_path / "venv")
    for name in ("first", "second", "third"):
        (tmp_path / name / "src").mkdir(parents=True)
    url = {"url": f"file://{tmp_path}/first", "dir_info": {"editable": True}}
    install(site, "first", direct_url=url)
    (site / "first.pth").write_text(f"# comment\n{tmp_path}/first/src\nimport sys; sys.exit(1)\n")
    install(site, "second")
    (site / "__editable__.second-1.0.pth").write_text(
        "import __editable___second_1_0_finder; __editable___second_1_0_finder.install()"
    )
    (site / "__editable___second_1_0_finder.py").write_text(
        f"import os\nos.abort()\nMAPPING: dict[str, str] = {{'second': {str(tmp_path / 'second/src')!r}}}\n"
    )
    (tmp_path / "third/third.egg-info").mkdir()
    (tmp_path / "third/third.egg-info/PKG-INFO").write_text("Name: third\nVersion: 3\n")
    (site / "easy-install.pth").write_text(f"{tmp_path}/third\n")
    seen = read_python_environment(tmp_path / "venv")
    assert {one.name: one.editable for one in seen.active()} == {
        "first": tmp_path / "first",
        "second": tmp_path / "second",
        "third": tmp_path / "third",
    }
    assert set(seen.search_path) == {site, tmp_path / "first/src", tmp_path / "third"}
    assert seen.findings == ()


def test_editable_installs_of_what_is_gone(tmp_path):
    site = make_venv(tmp_path / "venv")
    install(site, "a", direct_url={"url": "file:///gone/a", "dir_info": {"editable": True}})
    (site / "a.pth").write_text("/gone/a/src\n")
    assert read_python_environment(tmp_path / "venv").findings == (
        "a.pth names /gone/a/src, which is not here",
        "a-1.0.dist-info is an editable install of /gone/a, which is not here",
    )


def test_secrets_in_urls_are_hidden(tmp_path):
    install(make_venv(tmp_path / "venv"), "a", direct_url={"url": "https://me:hunter2@host/a.whl"})
    assert read_python_environment(tmp_path / "venv").distributions[0].url == "https://[redacted]@host/a.whl"


def test_a_broken_upgrade(tmp_path):
    site = make_venv(tmp_path / "venv")
    old = install(site, "torch", "2.9.0")
    new = install(site, "torch", "2.13.0")
    os.utime(old, (1, 1))
    (site / "~orch-2.8.0.dist-info").mkdir()
    seen = read_python_environment(tmp_path / "venv")
    assert versions(seen) == {"torch": "2.13.0"}
    assert [one.shadowed_by for one in seen.distributions if one.version == "2.9.0"] == [new]
    assert seen.findings[0] == "~orch-2.8.0.dist-info is what a broken uninstall left behind"
    assert "torch is recorded twice" in seen.findings[1]


def test_a_stray_of_another_machine(tmp_path):
    site = make_venv(tmp_path / "venv")
    for name in ("a", "b"):
        install(site, name)
    install(site, "c", tags=["cp312-cp312-linux_x86_64"])
    seen = read_python_environment(tmp_path / "venv")
    assert seen.machine == "aarch64"
    assert seen.findings == ("c 1.0 is built for x86_64, the others for aarch64",)


@pytest.mark.parametrize(
    ("metadata", "version", "said"),
    [
        ("Name: a\n", "1.0", "a-1.0.dist-info has no version"),
        ("Version: 1.0\n", "1.0", "a-1.0.dist-info says that its name is ''"),
        ("Name: a\nVersion: 1.0\x1b[31m\n", "1.0", "a-1.0.dist-info says that its version is '1.0\\\\x1b[31m'"),
        ("Name: ../../etc\nVersion: 2\n", "2", "a-1.0.dist-info says that its name is '../../etc'"),
        (None, "1.0", "a-1.0.dist-info has no readable METADATA: No such file or directory"),
    ],
)
def test_metadata_that_does_not_say(tmp_path, metadata, version, said):
    information = install(make_venv(tmp_path / "venv"), "a", "1.0")
    (information / "METADATA").unlink()
    if metadata is not None:
        (information / "METADATA").write_text(metadata)
    seen = read_python_environment(tmp_path / "venv")
    assert versions(seen) == {"a": version}
    assert seen.findings == (said,)


def test_hostile_entries_become_findings(tmp_path):
    site = make_venv(tmp_path / "venv")
    install(site, "good")
    (site / "loop.dist-info").symlink_to("loop.dist-info")
    (site / "up").symlink_to("..")
    (site / "loop.pth").symlink_to("loop.pth")
    (site / "evil\nname: x-1.dist-info").mkdir()
    (site / "deep.pth").write_text("a" * 5000 + "\n")
    (site / "finder.pth").write_text("import __editable___deep_finder\n")
    (site / "__editable___deep_finder.py").write_text("MAPPING = " + "(" * 5000)
    pipe = install(site, "pipe")
    (pipe / "METADATA").unlink()
    os.mkfifo(pipe / "METADATA")
    odd = install(site, "odd", direct_url=[1])
    (odd / "INSTALLER").write_bytes(b"\xff\xfe\n\x00")
    seen = read_python_environment(tmp_path / "venv")
    assert set(versions(seen)) == {"good", "pipe", "odd"}
    text = "\n".join(seen.findings)
    for said in ("loop.pth cannot be read", "deep.pth names", "__editable___deep_finder.py", "no ordinary", "odd-1.0"):
        assert said.replace("no ordinary", "not an ordinary file") in text
    assert "evil\\nname: x-1.dist-info has no name that a distribution may have" in text
    assert all(finding.isprintable() for finding in seen.findings)


def test_many_findings_are_cut(tmp_path):
    site = make_venv(tmp_path / "venv")
    (site / "a.pth").write_text("".join(f"/gone/{number}\n" for number in range(500)))
    findings = read_python_environment(tmp_path / "venv").findings
    assert len(findings) == 201
    assert findings[-1].startswith("and more")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    site = make_venv(tmp_path / "venv")
    information = install(site, "a")
    information.chmod(0)
    try:
        assert "Permission denied" in read_python_environment(tmp_path / "venv").findings[0]
    finally:
        information.chmod(0o755)


def test_links_count_from_the_systems_root(tmp_path):
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "usr/local/cuda-13.0").mkdir(parents=True)
    (tmp_path / "etc/alternatives/cuda").symlink_to("/usr/local/cuda-13.0")
    (tmp_path / "usr/local/cuda").symlink_to("/etc/alternatives/cuda")
    (tmp_path / "loop").symlink_to("/loop")
    (tmp_path / "out").symlink_to("../../../../etc")
    assert inside(tmp_path, "/usr/local/cuda/lib64") == tmp_path / "usr/local/cuda-13.0/lib64"
    assert inside(tmp_path, "/out") == tmp_path / "etc"
    assert inside(tmp_path, "loop") == tmp_path / "loop"
    assert inside(Path("/"), "/usr/../etc") == Path("/etc")


def test_an_interpreter_tells_the_machine_where_no_wheel_does(tmp_path):
    container(tmp_path)
    install(make_venv(tmp_path / "opt/venv"), "pure", tags=["py3-none-any"])
    (tmp_path / "opt/venv/bin").mkdir()
    (tmp_path / "opt/venv/bin/python3").symlink_to("/usr/bin/python3")
    assert read_python_environment(tmp_path / "opt/venv").machine == "aarch64"


def test_only_ordinary_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not an ordinary file"):
        read_start(tmp_path / "pipe", 10)
    with pytest.raises(OSError, match="not an ordinary file"):
        read_start("/dev/zero", 10)
    (tmp_path / "file").write_text("0123456789")
    assert read_start(tmp_path / "file", 4) == b"0123"


def test_printable():
    assert printable("torch") == "torch"
    assert printable("a\nb\x1b\udcff") == "a\\nb\\x1b\\udcff"
    assert json.loads(json.dumps(printable("é"))) == "é"
