"""uv.lock and pylock.toml: which packages a platform gets of them, which extras and groups, which files."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.inputs import read_subject
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.locks import parse_pylock, parse_uv_lock
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolve import resolve

CAPTURED = Path(__file__).parent / "resolver/lock-as-uv-writes-it.toml"
UV_LOCK = (
    CAPTURED.read_text(encoding="utf-8")
    .replace("{index}", "https://index.example/list")
    .replace("{files}", "https://index.example/files")
)
SPARK = Platform("aarch64", (2, 39), (3, 12))
LOCK = tomllib.loads(UV_LOCK)
ALWAYS = {
    "torch": "2.15.0", "cuda-toolkit": "13.2.2", "nvidia-cublas": "13.4.1.3", "nvidia-cuda-nvrtc": "13.2.86",
    "networkx": "3.7", "iniconfig": "2.3.1",
}  # fmt: skip


def versions(packages):
    return {package.name: package.version for package in packages}


@pytest.mark.parametrize(
    ("extras", "python", "more"),
    [
        ((), (3, 12), {}),
        (("a",), (3, 12), {"numpy": "1.26.4"}),
        (("B",), (3, 12), {"numpy": "2.5.5"}),
        (("b",), (3, 11), {"numpy": "2.4.6", "networkx": "3.6.1"}),
    ],
)
def test_uv_lock_is_followed_from_the_project_on(extras, python, more):
    found = parse_uv_lock(LOCK, Platform("aarch64", (2, 39), python), extras)
    assert versions(found) == ALWAYS | more


def test_markers_are_the_platforms():
    lock = {"version": 1, "package": [
        {"name": "x", "source": {"editable": "."}, "dependencies": [
            {"name": "arm", "marker": "platform_machine == 'aarch64'"},
            {"name": "win", "marker": "sys_platform == 'win32'"},
        ]},
        {"name": "arm", "version": "1", "source": {"registry": "https://index.example/list"}},
        {"name": "win", "version": "1", "source": {"registry": "https://index.example/list"}},
    ]}  # fmt: skip
    assert versions(parse_uv_lock(lock, SPARK)) == {"arm": "1"}
    assert versions(parse_uv_lock(lock, Platform("x86_64", (2, 39), (3, 12)))) == {}


def test_a_lock_becomes_wheels_without_uv_and_network(tmp_path):
    (tmp_path / "uv.lock").write_text(UV_LOCK, encoding="utf-8")
    subject = read_subject([str(tmp_path)])
    found = resolve(subject, SPARK, KnownWheels(""))
    torch = next(package for package in found.packages if package.name == "torch")
    assert found.how == "file"
    assert torch.wheel.file == "torch-2.15.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    assert torch.wheel.sha256.startswith("9e51cf9460c5441dcd2a4f31ece207e35ea7c3d2535be0f929cca4944e2e")
    assert torch.wheel.uploaded == datetime(2026, 10, 28, 15, 17, 27, tzinfo=UTC)
    assert torch.wheel.bytes is None and torch.wheel.url.startswith("https://index.example/")
    assert "index.example" not in repr(found)  # an address may hold a secret


@pytest.mark.parametrize(
    ("row", "why", "file"),
    [
        ({"vcs": {"type": "git", "url": "https://git.example/x"}}, "it comes from a repository", None),
        ({"directory": {"path": "../x"}}, "it comes from a folder", None),
        ({"archive": {"url": "https://a.example/x-1.tar.gz"}}, "it comes from a source archive", None),
        ({"archive": {"url": "https://a.example/x-1-py3-none-any.whl", "hashes": {"sha256": "AB"}}}, "",
         "x-1-py3-none-any.whl"),
        ({"sdist": {"url": "https://a.example/x-1.tar.gz"}}, "it has no wheels", None),
        ({"wheels": [{"url": "https://a.example/x-1-py3-none-win_amd64.whl"}]}, "for win_amd64 only", None),
        ({"wheels": [{"name": "x-1-py3-none-any.whl", "path": "wheels/x-1-py3-none-any.whl"}]}, "",
         "x-1-py3-none-any.whl"),
    ],
)  # fmt: skip
def test_where_a_locked_package_comes_from(row, why, file):
    content = {"lock-version": "1.0", "packages": [{"name": "X", "version": "1", **row}]}
    chosen = parse_pylock(content, SPARK)[0].choose(SPARK)
    assert (chosen.name, chosen.why_source) == ("x", why)
    assert (chosen.wheel.file if chosen.wheel else None) == file


def test_extras_of_a_pylock():
    content = {"lock-version": "1.0", "packages": [
        {"name": "x", "version": "1", "marker": "'cuda' in extras"},
        {"name": "y", "version": "1", "marker": "python_version >= '3.13'"},
    ]}  # fmt: skip
    assert versions(parse_pylock(content, SPARK)) == {}
    assert versions(parse_pylock(content, SPARK, ["CUDA"])) == {"x": "1"}


@pytest.mark.parametrize(
    ("parse", "content", "said"),
    [
        (parse_uv_lock, {"version": 2}, "a uv.lock of version 2"),
        (parse_uv_lock, {"version": 1, "package": []}, "without a project"),
        (parse_uv_lock, {"version": 1, "package": "x"}, "not a list of tables"),
        (parse_pylock, {"lock-version": "2.0"}, "of version 2.0"),
        (parse_pylock, {"lock-version": "1.0", "packages": [{"name": 1}]}, "not a list of tables"),
        (parse_pylock, {"lock-version": "1.0", "packages": [{"name": "x", "marker": "?"}]}, "cannot be read: ?"),
    ],
)
def test_what_is_no_lock_is_said(parse, content, said):
    with pytest.raises(SparksmithError) as caught:
        parse(content, SPARK)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "row",
    [
        'source = "."',
        'source = { virtual = "." }\ndependencies = ["torch"]',
        'source = { virtual = "." }\ndependencies = [{ extra = ["a"] }]',
        'source = { virtual = "." }\ndependencies = [{ name = "x", marker = 3 }]',
    ],
)
def test_a_damaged_lock_is_an_error_that_the_user_can_mend(tmp_path, row):
    (tmp_path / "uv.lock").write_text(f'version = 1\n[[package]]\nname = "x"\n{row}\n', encoding="utf-8")
    with pytest.raises(SparksmithError, match="is damaged, or no lock"):
        resolve(read_subject([str(tmp_path)]), SPARK, KnownWheels(""))


def test_an_extra_that_the_lock_does_not_have():
    with pytest.raises(SparksmithError, match="no extra c: it has a, b"):
        parse_uv_lock(LOCK, SPARK, ["c"])


@pytest.mark.parametrize("parse", [parse_uv_lock, parse_pylock])
def test_a_wheel_at_a_path_counts_from_the_lock(parse, tmp_path):
    path, sha256 = "../dist/foo-1.0-py3-none-any.whl", "a" * 64
    rows = {
        parse_uv_lock: [
            {"name": "app", "source": {"virtual": "."}, "dependencies": [{"name": "foo"}]},
            {"name": "foo", "version": "1.0", "source": {"path": path},
             "wheels": [{"filename": "foo-1.0-py3-none-any.whl", "hash": f"sha256:{sha256}"}]},
        ],
        parse_pylock: [{"name": "foo", "version": "1.0", "archive": {"path": path, "hashes": {"sha256": sha256}}}],
    }  # fmt: skip
    content = {"version": 1, "lock-version": "1.0", "package": rows[parse], "packages": rows[parse]}
    (locked,) = parse(content, SPARK, (), tmp_path / "project")
    wheel = locked.choose(SPARK).wheel
    assert (wheel.file, wheel.sha256) == ("foo-1.0-py3-none-any.whl", sha256)
    assert wheel.url == (tmp_path / "dist/foo-1.0-py3-none-any.whl").as_uri()
    assert not locked.from_index  # nobody looks there for a newer one
