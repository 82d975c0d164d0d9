"""Wheels of this machine among requirements: read where they lie, left there, missed by their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from made_wheels import PURE, make_wheel
from make_elf import cubin, make_elf

from sparksmith.base.command import Answer
from sparksmith.base.errors import ExitCode, SparksmithError
from sparksmith.packages import resolve as resolving
from sparksmith.packages import uv
from sparksmith.packages.audit import audit
from sparksmith.packages.known import KnownWheels
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")


@pytest.fixture
def asked(monkeypatch):
    """A uv that finds what it is asked for, as real uv writes it of wheels at a path; and what it was asked."""
    lists: list[str] = []

    def ask(argv, timeout_seconds):
        lists.append(Path(argv[3]).read_text(encoding="utf-8"))
        rows = ['lock-version = "1.0"\n']
        excluded = Path(argv[argv.index("--excludes") + 1]).read_text() if "--excludes" in argv else ""
        for line in lists[-1].splitlines():
            name, _, address = (part.strip() for part in line.partition("@"))
            if address and name not in excluded.split():
                path = Path(address.removeprefix("file://").replace("%20", " "))
                hashed = hashlib.sha256(path.read_bytes()).hexdigest()
                rows.append(
                    f'[[packages]]\nname = "{name}"\nversion = "1.0"\n'
                    f'archive = {{ path = "{path}", hashes = {{ sha256 = "{hashed}" }} }}\n'
                )
        return Answer(0, "".join(rows), "")

    monkeypatch.setattr(uv, "find_uv", lambda: "/somewhere/uv")
    for name in ("compile_for", "newest_of", "versions_beside"):
        plain = getattr(uv, name)
        monkeypatch.setattr(resolving, name, lambda *a, plain=plain, **more: plain(*a, **more, ask=ask))
    return lists


def test_they_are_read_and_stay(tmp_path, asked):
    known = KnownWheels("", tmp_path / "cache")
    wheels = [
        make_wheel(tmp_path / "a b", "pure", tag=PURE),
        make_wheel(tmp_path / "a b", "hopper", files={"hopper/_C.so": make_elf(fatbin=[cubin(90, "a")])}),
    ]
    file = tmp_path / "needs.txt"
    file.write_text("\n".join(f"{each.name.partition('-')[0]} @ a%20b/{each.name}" for each in wheels))
    found = audit([str(file)], GB10, known=known)
    assert [(each.name, each.verdict.value) for each in found.packages] == [
        ("hopper", "will not run"),
        ("pure", "runs"),
    ]
    assert found.notes == ()
    assert len(asked) == 1  # no index is asked for newer ones
    assert all(each.is_file() for each in wheels)


def test_one_that_is_not_there_is_named_before_anything_is_asked(tmp_path, asked):
    file = tmp_path / "needs.txt"
    there = make_wheel(tmp_path, "pure", tag=PURE)
    file.write_text(f"./{there.name}\n./gone-1-py3-none-any.whl\n./other-1-py3-none-any.whl; sys_platform == 'win32'\n")
    with pytest.raises(SparksmithError) as caught:
        audit([str(file)], GB10, known=KnownWheels(""))
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.message == f"gone: {tmp_path}/gone-1-py3-none-any.whl does not exist"
    file.write_text("./gone-1-py3-none-any.whl\n./lost-1-py3-none-any.whl\n")
    with pytest.raises(SparksmithError, match=r"(?s)are not there:\n  gone: .*\n  lost: "):
        audit([str(file)], GB10, known=KnownWheels(""))
    assert not asked


def test_one_for_another_machine_is_judged_by_its_name(tmp_path, asked):
    wheel = make_wheel(tmp_path, "intel", tag="cp312-cp312-manylinux_2_28_x86_64")
    (package,) = audit([f"intel @ {wheel.as_uri()}"], GB10, known=KnownWheels("")).packages
    assert (package.verdict, package.findings[0].rule) == ("will not run", "tag")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "does not exist"), (b"another", "is not the file that was meant")]
)
def test_what_a_lock_names_and_is_not_there_is_that_package_s_problem(tmp_path, content, said):
    """Locks are looked at on other machines than those that they were made on."""
    wheel = make_wheel(tmp_path, "pure", tag=PURE)
    if content is None:
        wheel.unlink()
    lock = tmp_path / "pylock.toml"
    lock.write_text(
        f'lock-version = "1.0"\n[[packages]]\nname = "pure"\nversion = "1.0"\n'
        f'archive = {{ path = "{wheel.name}", hashes = {{ sha256 = "{"0" * 64}" }} }}\n'
    )
    found = audit([str(lock)], GB10, known=KnownWheels("", tmp_path / "cache"))
    assert found.packages[0].verdict == "cannot tell"
    assert said in found.packages[0].findings[0].seen
    assert found.notes == ()  # no network would help
