"""What the words of the command line are taken for, and what is said of those that are nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.inputs import Asked, Environment, Lock, Project, Wheels, read_subject

PYPROJECT = """
[project]
name = "spark-trainer"
version = "1"
dependencies = ["torch>=2.11", "Flash_Attn; platform_machine == 'x86_64'"]
[project.optional-dependencies]
chat = ["vllm>=0.32"]
all = ["spark-trainer[chat]", "numpy"]
[tool.uv.sources]
vllm = { git = "https://git.example/vllm" }
torch = { index = "somewhere" }
"""


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_wheel_and_a_folder_of_wheels(tmp_path):
    one = touch(tmp_path / "a b" / "one-1-py3-none-any.whl")
    two = touch(tmp_path / "a b" / "two-1-py3-none-any.whl")
    assert read_subject([str(one)]) == Wheels((one,), alone=True)
    assert read_subject([str(one.parent)]) == Wheels((one, two), alone=False)
    assert read_subject([str(two), str(one), str(two)]) == Wheels((two, one), alone=False)


@pytest.mark.parametrize(
    "file",
    [
        "pyvenv.cfg",
        "conda-meta/history",
        "lib/python3.12/site-packages/torch/__init__.py",
        "usr/lib/python3/dist-packages/apt/__init__.py",
        "usr/local/lib/python3.12/dist-packages/torch/__init__.py",
        "torch-2.13.0.dist-info/METADATA",
    ],
)
def test_what_an_environment_is_known_by(tmp_path, file):
    touch(tmp_path / file)
    assert read_subject([str(tmp_path)]) == Environment(tmp_path)


def test_requirements_from_a_file_and_from_words(tmp_path):
    file = touch(tmp_path / "needs.txt", "torch>=2.11\ntrl==1.16.0\n")
    from_file = read_subject([str(file)])
    from_words = read_subject(["torch>=2.11", "trl==1.16.0"])
    assert isinstance(from_file, Asked) and isinstance(from_words, Asked)
    assert from_file.file == file
    assert from_file.requirements == from_words.requirements
    assert [line.name for line in from_words.requirements.lines] == ["torch", "trl"]


def test_a_project_and_its_extras(tmp_path):
    file = touch(tmp_path / "pyproject.toml", PYPROJECT)
    plain = read_subject([str(tmp_path)])
    assert isinstance(plain, Project)
    assert (plain.file, plain.extras) == (file, ())
    assert [line.name for line in plain.lines] == ["torch", "flash-attn"]
    assert plain.sources == ("vllm",)  # an index of one's own is for uv to look into; a repository is not
    extra = read_subject([f"{file}[all, chat]"])
    assert isinstance(extra, Project)
    assert extra.extras == ("all", "chat")
    assert [line.name for line in extra.lines] == ["torch", "flash-attn", "vllm", "numpy"]


def test_a_lock_comes_before_the_project_it_locks(tmp_path):
    touch(tmp_path / "pyproject.toml", PYPROJECT)
    touch(tmp_path / "requirements.txt", "torch\n")
    lock = touch(tmp_path / "uv.lock", "version = 1\n")
    subject = read_subject([f"{tmp_path}[a]"])
    assert isinstance(subject, Lock)
    assert (subject.file, subject.extras, subject.content["version"]) == (lock, ("a",), 1)


@pytest.mark.parametrize(
    ("make", "word", "said"),
    [
        (None, "absent.whl", "absent.whl does not exist"),
        (None, "./nothing", "./nothing does not exist"),
        (None, "not a requirement!", "does not exist, and is no requirement"),
        (("empty/readme.md", ""), "empty", "holds no wheels, is no environment"),
        (("pyproject.toml", "[tool.poetry]\nname = 'x'\n"), "pyproject.toml", "has no [project] table"),
        (("pyproject.toml", "[project]\nname='x'\ndynamic=['dependencies']\n"), "pyproject.toml", "(dynamic)"),
        (("pyproject.toml", PYPROJECT), "pyproject.toml[chta]", "no extra chta: it has all, chat"),
        (("pyproject.toml", "[project\n"), "pyproject.toml", "cannot be read as TOML"),
        (("source.tar.gz", ""), "source.tar.gz", "is no wheel, and not named as a source distribution"),
        (("library-1.0.so", ""), "library-1.0.so", "is no wheel"),
        (("needs.txt", "torch\n"), "needs.txt[a]", "has no extras"),
    ],
)
def test_what_cannot_be_audited_is_said(tmp_path, monkeypatch, make, word, said):
    monkeypatch.chdir(tmp_path)
    if make:
        touch(tmp_path / make[0], make[1])
    with pytest.raises(SparksmithError) as caught:
        read_subject([word])
    assert said in caught.value.message


def test_a_folder_that_is_called_like_a_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "vllm" / "readme.md")
    for word, package in (("vllm", "vllm>=0"), ("vllm[a,b]", "vllm[a,b]>=0")):
        with pytest.raises(SparksmithError) as caught:
            read_subject([word])
        assert (caught.value.hint or "").endswith(f"; the package of that name is {package}")
        assert isinstance(read_subject([package]), Asked)
    with pytest.raises(SparksmithError) as caught:
        read_subject(["./vllm"])
    assert "package of that name" not in (caught.value.hint or "")


def test_different_kinds_are_not_mixed(tmp_path):
    touch(tmp_path / "wheels" / "one-1-py3-none-any.whl")
    with pytest.raises(SparksmithError, match=r"\(wheels\), torch \(requirements\)"):
        read_subject([str(tmp_path / "wheels"), "torch"])
    with pytest.raises(SparksmithError, match="nothing to audit"):
        read_subject([])


def test_a_wheel_beside_requirements_is_one_of_them(tmp_path):
    wheel = touch(tmp_path / "a b" / "one-1-py3-none-any.whl")
    subject = read_subject([str(wheel), "torch>=2", f"{wheel}[extra]"])
    assert isinstance(subject, Asked)
    assert [(line.name, line.requirement.extras, line.requirement.url) for line in subject.requirements.lines] == [
        ("one", set(), wheel.as_uri()), ("torch", set(), None), ("one", {"extra"}, wheel.as_uri()),
    ]  # fmt: skip


def test_the_address_of_a_file_is_the_file(tmp_path, monkeypatch):
    wheel = touch(tmp_path / "one-1-py3-none-any.whl")
    assert read_subject([wheel.as_uri()]) == Wheels((wheel,), alone=True)
    monkeypatch.chdir(tmp_path)
    for word in (
        f"one @ {wheel.as_uri()}",
        f"one@{wheel.as_uri()}",
        "one@./one-1-py3-none-any.whl",
        "one @ " + wheel.name,
    ):
        subject = read_subject([word])
        assert isinstance(subject, Asked)
        (line,) = subject.requirements.lines
        assert (line.name, line.requirement.url) == ("one", wheel.as_uri())


def test_a_project_that_takes_a_wheel_from_its_path(tmp_path):
    source = 'torch = { index = "somewhere" }'
    file = touch(
        tmp_path / "pyproject.toml", PYPROJECT.replace(source, 'torch = { path = "dist/torch-1-py3-none-any.whl" }')
    )
    subject = read_subject([str(file)])
    assert isinstance(subject, Project)
    assert subject.lines[0].requirement.url == (tmp_path / "dist/torch-1-py3-none-any.whl").as_uri()
    assert subject.sources == ("vllm",)


def test_a_folder_of_wheels_named_as_one_that_is_none(tmp_path):
    touch(tmp_path / "wheels.whl" / "one-1-py3-none-any.whl")
    subject = read_subject([str(tmp_path / "wheels.whl")])
    assert isinstance(subject, Wheels) and not subject.alone


@pytest.mark.parametrize("name", ["one-1.0.tar.gz", "one-1.0.zip", "one-1.0.tgz", "one-1.0.tar.bz2"])
def test_a_source_distribution_as_a_file_and_beside_wheels(tmp_path, name):
    source = touch(tmp_path / name)
    assert read_subject([str(source)]) == Wheels((source,), alone=True)
    wheel = touch(tmp_path / "two-1-py3-none-any.whl")
    touch(tmp_path / "backup.tar.gz")
    assert read_subject([str(tmp_path)]) == Wheels((source, wheel), alone=False)
