"""Requirement files: comments, continued lines, hashes, files in files, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.platform import Platform
from sparksmith.packages.requirements import joined_lines, parse_address, parse_requirement, read_requirements

SPARK = Platform("aarch64", (2, 39), (3, 12))
A, B = "a" * 64, "b" * 64


def test_pins_hashes_and_markers(tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text(
        f"""\
# made by hand
Torch_Thing==2.13.0 ; sys_platform == 'linux' \\
    --hash=sha256:{A} \\
    --hash=sha256:{B.upper()}
    # via nothing
trl == 1.16.0   # not a hash: --hash=sha256:{A}
numpy>=2,<3
colorama==1 ; sys_platform == 'win32'
wild==1.*
""",
        encoding="utf-8",
    )
    torch, trl, numpy, colorama, wild = read_requirements(file).lines
    assert (torch.name, torch.pinned, torch.hashes) == ("torch-thing", "2.13.0", {A, B})
    assert (trl.name, trl.pinned, trl.hashes) == ("trl", "1.16.0", set())
    assert (numpy.pinned, wild.pinned) == (None, None)
    assert [line.wanted_on(SPARK) for line in (torch, trl, colorama)] == [True, True, False]


def test_files_in_files_options_and_what_is_left_out(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/more.txt").write_text("numpy\n-c limits.txt\n", encoding="utf-8")
    file = tmp_path / "needs.txt"
    file.write_text(
        "--extra-index-url https://user:secret-word@index.example/simple\n-r sub/more.txt\n-e ./own\n"
        "git+https://me:secret-word@git.example/x\n--no-binary :all:\ntorch\n-ihttps://me:secret-word@index.example/simple\n",
        encoding="utf-8",
    )
    found = read_requirements(file)
    assert [line.name for line in found.lines] == ["numpy", "x", "torch"]
    assert found.constraints == (tmp_path / "sub/limits.txt",)
    assert len(found.options) == 1
    assert [text.split(":")[0] for text in found.left_out] == [
        "needs.txt, line 3", "needs.txt, line 5", "needs.txt, line 7",
    ]  # fmt: skip
    assert "secret-word" not in "".join(found.left_out)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://h.example/x/flash_attn-2.8.3+cu12-cp312-cp312-linux_x86_64.whl", "flash-attn"),
        ("git+https://h.example/a/flash-attention.git", "flash-attention"),
        ("git+https://h.example/a/flash-attention.git@v2 ; sys_platform == 'linux'", "flash-attention"),
        ("git+ssh://git@h.example/a/b@main#egg=my_package&subdirectory=x", "my-package"),
        ("https://h.example/a/package/archive/refs/tags/v1.zip", "package"),
        ("https://h.example/package-1.2.tar.gz", "package"),
    ],
)
def test_an_address_is_the_package_that_it_names(text, name):
    line = parse_address(text)
    assert (line.name, line.requirement.url) == (name, text.split(" ")[0])


def test_a_wheel_and_a_folder_of_wheels_are_found_from_the_file(tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text(
        f"wheels/six-1.17.0-py3-none-any.whl --hash=sha256:{A}\n--find-links wheels\n-f https://h.example\n"
    )
    found = read_requirements(file)
    (line,) = found.lines
    assert (line.name, line.requirement.url) == ("six", f"file://{tmp_path}/wheels/six-1.17.0-py3-none-any.whl")
    assert line.hashes == {A}
    assert found.options == (f"--find-links {tmp_path}/wheels", "-f https://h.example")
    assert parse_address("torch>=2") is None and parse_address("./folder") is None


@pytest.mark.parametrize(
    "text",
    [
        "./wheels/six-1-py3-none-any.whl",
        "six @ wheels/six-1-py3-none-any.whl",
        "six@file:wheels/six-1-py3-none-any.whl",
    ],
)
def test_a_path_counts_from_the_file_or_else_from_here(tmp_path, monkeypatch, text):
    """pip and uv count from the working folder, of which the file says nothing."""
    (tmp_path / "sub/wheels").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    file, there = tmp_path / "sub/needs.txt", tmp_path / "wheels/six-1-py3-none-any.whl"
    file.write_text(f"{text}\n")
    monkeypatch.chdir(tmp_path)
    near = tmp_path / "sub/wheels/six-1-py3-none-any.whl"
    assert read_requirements(file).lines[0].requirement.url == near.as_uri()
    there.touch()
    assert read_requirements(file).lines[0].requirement.url == there.as_uri()
    near.touch()
    assert read_requirements(file).lines[0].requirement.url == near.as_uri()


@pytest.mark.parametrize(
    "text", ["six@git+https://git@h.example/a/six.git", "six @ https://h.example/six-1-py3-none-any.whl"]
)
def test_a_named_address_is_a_requirement(text):
    assert parse_address(text) is None
    assert parse_requirement(text).name == "six"
    assert parse_address("https://me@h.example/six-1-py3-none-any.whl").name == "six"


def test_all_wrong_lines_are_told_at_once(tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text("torch\nnot one!\nnumpy\ntrl=1.16\n-r needs.txt\n", encoding="utf-8")
    with pytest.raises(SparksmithError) as caught:
        read_requirements(file)
    for said in ("line 2", "line 4", "includes itself"):
        assert said in caught.value.message


def test_what_is_no_text_is_an_error(tmp_path):
    file = tmp_path / "picture.txt"
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SparksmithError, match="cannot be read as text"):
        read_requirements(file)


@given(st.text(alphabet="ab=<>;[]'\" \\#-\n1.", max_size=60))
def test_no_text_crashes_the_reader(text):
    for _, line in joined_lines(text):
        try:
            parsed = parse_requirement(line)
        except ValueError:
            continue
        assert parsed.name


def test_lines_that_go_on():
    text = "a==1 \\\n  --hash=sha256:0\n\n# no \\\nb # c \\\nswallowed, as pip does\nd \\"
    assert list(joined_lines(text)) == [(1, "a==1    --hash=sha256:0"), (5, "b"), (7, "d")]
