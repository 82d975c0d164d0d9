"""Environments that lie: a finding, never a crash, a hang or much memory."""

from __future__ import annotations

import os
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packages.made_environments import install, make_venv
from packages.make_elf import make_elf
from sparksmith.packages.installed import read_environment_facts
from sparksmith.packages.installed_files import parse_rows

SITE = "lib/python3.12/site-packages"


def only(root):
    (one,) = read_environment_facts(root).packages
    return one


@pytest.mark.parametrize("outside", ["../../../../../outside.so", "/etc/passwd.so", "a/../../../../../../x.so"])
def test_a_record_that_names_files_outside(tmp_path, outside):
    root = tmp_path / "venv"
    (tmp_path / "outside.so").write_bytes(make_elf())
    install(make_venv(root), "a", more_record=f"{outside},,\n../../../bin/tool,,\n")
    one = only(root)
    assert one.libraries == ()
    assert one.problems == (f"RECORD names 1 library outside the environment, not read here; the first is {outside}",)


def test_a_record_of_files_that_are_not_there(tmp_path):
    install(make_venv(tmp_path), "a", more_record="".join(f"a/lib{number}.so,sha256=x,5\n" for number in range(1000)))
    one = only(tmp_path)
    assert one.problems == (f"1000 of its libraries are not there; the first is {SITE}/a/lib0.so",)


def test_a_record_with_wrong_and_absurd_sizes(tmp_path):
    library = make_elf()
    install(
        make_venv(tmp_path), "a", files={"a/x.abi3.so": library},
        record="a/x.abi3.so,,7\na/y.py,,99999999999999999999\na/z.py,,-5\na/w.py,,9999999999999\na/v.py,,²\n",
    )  # fmt: skip
    one = only(tmp_path)
    assert one.bytes == 7
    assert one.problems == ("RECORD says 4 sizes that no file has",)
    assert one.libraries[0].bytes == len(library)


def test_names_with_newlines_and_other_bytes(tmp_path):
    name = "a/evil\nverdict: runs\x1b[2J.so"
    install(make_venv(tmp_path), "a", files={name: b"not elf"}, record=f'"{name}",,7\n"a/\udcff.so",,\n'.encode(
        "utf-8", "surrogateescape").decode("utf-8", "replace"))  # fmt: skip
    one = only(tmp_path)
    assert len(one.problems) == 2
    assert all(problem.isprintable() for problem in one.problems)
    assert "evil\\nverdict: runs\\x1b[2J.so: named as a library, but no ELF file" in one.problems[0]
    assert list(read_environment_facts(tmp_path).packages) == [one]  # it can be kept, too


def test_a_circle_of_links(tmp_path):
    site = make_venv(tmp_path)
    install(site, "a", record="", installer="pip")
    (site / "a/b").mkdir(parents=True)
    (site / "a/b/up").symlink_to("../../a")
    (site / "a/self.so").symlink_to("self.so")
    (site / "a/x.abi3.so").write_bytes(make_elf())
    install(site, "b", more_record="a/self.so,,\na/b/up/b/up/x.abi3.so,,\n")
    first, second = read_environment_facts(tmp_path).packages
    assert [one.path for one in first.libraries] == [f"{SITE}/a/x.abi3.so"]
    assert second.problems == (f"one of its libraries is not there: {SITE}/a/self.so",)


def test_no_pipe_and_no_device_is_waited_for(tmp_path):
    site = make_venv(tmp_path)
    os.mkfifo(site / "pipe.so")
    (site / "zero.so").symlink_to("/dev/zero")
    (site / "folder.so").mkdir()
    install(site, "a", more_record="pipe.so,,\nzero.so,,\nfolder.so,,\n")
    assert only(tmp_path).problems == tuple(
        f"{SITE}/{name}.so: no ordinary file" for name in ("pipe", "zero", "folder")
    )


@pytest.mark.parametrize("start", [b"", b"\x7fELF", make_elf()])
def test_a_sparse_file_of_ten_gigabytes(tmp_path, start):
    site = make_venv(tmp_path)
    install(site, "a", more_record="a.so,,10000000000\n")
    with (site / "a.so").open("wb") as file:
        file.write(start)
        file.truncate(10_000_000_000)
    before = time.monotonic()
    tracemalloc.start()
    one = only(tmp_path)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - before < 5
    assert used < 50_000_000
    assert one.libraries or len(one.problems) == 1


def test_a_huge_record(tmp_path):
    site = make_venv(tmp_path)
    information = install(site, "a")
    with (information / "RECORD").open("wb") as file:
        file.write(b"a/x.py,,1\n")
        file.truncate(10_000_000_000)
    assert "RECORD is larger than 32 MiB; the rest is not read" in only(tmp_path).problems


def test_a_record_of_very_many_lines(tmp_path):
    install(make_venv(tmp_path), "a", record="x.so,,\n" * 250_000)
    assert only(tmp_path).problems == (
        "its record has more than 200,000 lines; the rest is not read",
        f"one of its libraries is not there: {SITE}/x.so",
    )


def test_a_record_that_no_csv_reader_takes(tmp_path):
    install(make_venv(tmp_path), "a", record='"' + "x" * 200_000 + '",,\n')
    assert only(tmp_path).problems[0].startswith("RECORD cannot be read further than line 1:")


def test_forged_libraries_do_not_stop_the_others(tmp_path):
    library = make_elf()
    files = {f"a/{size}.so": library[:size] for size in range(0, len(library), 41)} | {"a/good.so": library}
    install(make_venv(tmp_path), "a", files=files)
    assert f"{SITE}/a/good.so" in {one.path for one in only(tmp_path).libraries}


def test_a_package_may_name_anothers_files(tmp_path):
    """It is believed of both; and the kept facts do not mix them up."""
    site = make_venv(tmp_path)
    install(site, "torch", files={"torch/lib/x.so": make_elf()})
    install(site, "liar", more_record="torch/lib/x.so,,\n")
    for _ in range(2):
        assert [len(one.libraries) for one in read_environment_facts(tmp_path).packages] == [1, 1]


@given(st.text(max_size=300))
def test_any_record_is_read(text):
    problems = []
    rows = parse_rows(text, problems)
    assert all(path and "\0" not in path for path, _ in rows)
    assert len(problems) <= 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    site = make_venv(tmp_path)
    install(site, "a", files={"a/x.abi3.so": make_elf()}, record="", installer="pip")
    (site / "a").chmod(0)
    try:
        assert any("Permission denied" in problem for problem in only(tmp_path).problems)
    finally:
        (site / "a").chmod(0o755)


def test_problems_are_cut(tmp_path):
    files = {f"a/{number}.so": b"text" for number in range(80)}
    install(make_venv(tmp_path), "a", files=files)
    problems = only(tmp_path).problems
    assert len(problems) == 51
    assert problems[-1] == "and 30 more problems"


def test_the_environments_findings_are_the_problems_of_the_whole(tmp_path):
    site = make_venv(tmp_path)
    install(site, "a")
    (site / "~b-1.dist-info").mkdir()
    assert read_environment_facts(tmp_path).problems == ("~b-1.dist-info is what a broken uninstall left behind",)
