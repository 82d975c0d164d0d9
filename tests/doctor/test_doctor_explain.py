"""An error's text is recognised wherever it stands, whatever it is wrapped in, in time linear in its length."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.doctor.explain import BLOCK, explain, explain_stream
from sparksmith.policy.faults import Fault, Pattern

PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"
LIBCUDART = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"
VLLM = f'  File "/x/lib/python3.12/site-packages/vllm/_custom_ops.py", line 16\n    import vllm._C\n{LIBCUDART}\n'
UNSLOTH = "NotImplementedError: Unsloth cannot find any torch accelerator? You need a GPU."
HARMLESS = "UserWarning: Found GPU0 NVIDIA GB10 which is of cuda capability 12.1."


def ids(text: str | bytes) -> list[str]:
    return [match.fault.id for match in explain(text)]


def made(id: str, *patterns: Pattern | str, before: tuple[str, ...] = (), severity: str = "fails") -> Fault:
    texts = tuple(each if isinstance(each, Pattern) else Pattern(each) for each in patterns)
    return Fault(
        id, id, "x", severity, ("message",), "mend", False, ("https://example.org",), "2026-11-21", "reported", "x",
        patterns=texts, before=before,
    )  # fmt: skip


def test_the_line_that_told_is_shown():
    (match,) = explain(f"first\nsecond\n  {PTXAS}  \nlast\n")
    assert (match.fault.id, match.line) == ("triton-ptxas-sm121", 3)
    assert match.text == "ptxas fatal : Value 'sm_121a' is not defined for option 'gpu-name'"


@pytest.mark.parametrize("text", ["", "\n\n", "all is well", "Error: something that nobody knows\n", "\x1b[", "…"])
def test_no_match_is_an_answer(text):
    assert explain(text) == []


@pytest.mark.parametrize(
    "text",
    [
        PTXAS.upper(),
        PTXAS.replace("'", "’"),
        PTXAS.replace(" ", "\u00a0"),
        PTXAS.replace(" ", "\t"),
        f"\x1b[1;31m{PTXAS}\x1b[0m",
        PTXAS.replace("fatal", "\x1b[31mfatal\x1b[39;49m"),
        f"^[[0;36m(EngineCore pid=1)^[[0;0m {PTXAS}",
        f"\x1b]0;a terminal's title\x07{PTXAS}",
        f"\x1b]8;;https://example.org\x1b\\{PTXAS}\x1b]8;;\x1b\\",
        f"(EngineCore_DP0 pid=60) ERROR 01-12 01:09:14 [core.py:708] {PTXAS}",
        f"> {PTXAS}",
        f"{PTXAS}\r\n",
        f"\r 10%|#   |\r 20%|##  |{PTXAS}\r 30%|### |",
    ],
)
def test_what_terminals_editors_and_pages_do_to_a_text(text):
    assert ids(text) == ["triton-ptxas-sm121"]


def test_a_text_in_bytes_that_are_no_utf8():
    data = b"\xff\xfe\x00" + PTXAS.encode() + b" \x80\x81\n\xc3"
    (match,) = explain(data)
    assert match.text.endswith("'gpu-name' ��")
    assert match.text.isprintable()


def test_line_numbers_with_both_kinds_of_line_end_and_progress_bars():
    bars = "\r".join(f"{percent}%" for percent in range(100))
    text = f"one\r\ntwo\r\n{bars}\n{PTXAS}\r\n"
    assert [match.line for match in explain(text)] == [4]
    (match,) = explain(f"one\n 10%|#  |\r{PTXAS}\r 20%|## |\n")
    assert (match.line, "%" in match.text) == (2, False)


def test_a_message_broken_in_lines_at_a_terminals_width():
    text = "one\nRuntimeError: Failed to find C compiler. Please\n    specify via CC environment\n    variable.\n"
    (match,) = explain(text)
    assert (match.fault.id, match.line) == ("no-c-compiler", 2)


def test_lines_of_a_long_log_are_not_joined():
    text = "RuntimeError: Failed to find C compiler. Please\nspecify via CC environment variable.\n" + "x\n" * 40_000
    assert ids(text) == []


def test_a_gap_stays_within_its_line():
    assert ids("ptxas fatal\nValue 'sm_121a' is not defined for option 'gpu-name'") == []
    assert ids(f"ptxas fatal {'x' * 600} Value 'sm_121a' is not defined for option 'gpu-name'") == []


def test_what_must_stand_near():
    assert ids(LIBCUDART) == ["cuda-major-mixed"]
    assert ids(VLLM) == ["vllm-before-0-20", "cuda-major-mixed"]
    assert ids(f"{VLLM.split(LIBCUDART)[0]}{'far away' * 2000}\n{LIBCUDART}") == ["cuda-major-mixed"]


def test_the_first_that_has_something_near_is_found_behind_others_that_have_not():
    text = f"{LIBCUDART}\n" * 500 + "x" * 20_000 + f"\n{VLLM}"
    assert {match.fault.id: match.line for match in explain(text)} == {"vllm-before-0-20": 504, "cuda-major-mixed": 1}


def test_the_cause_comes_before_what_it_causes():
    assert ids(f"{UNSLOTH}\n{LIBCUDART}") == ["cuda-major-mixed", "unsloth-no-accelerator"]
    assert ids(f"{UNSLOTH}\nAssertionError: Torch not compiled with CUDA enabled") == [
        "torch-cpu-build", "unsloth-no-accelerator",
    ]  # fmt: skip
    assert ids(f"{UNSLOTH}\n{VLLM}") == ["vllm-before-0-20", "cuda-major-mixed", "unsloth-no-accelerator"]


def test_the_harmless_comes_last():
    long = "CUDA out of memory. Tried to allocate 2.00 GiB"
    assert ids(f"{HARMLESS}\n{long}") == ["cuda-out-of-memory", "torch-capability-warning"]


def test_the_order_of_made_up_faults():
    faults = [
        made("short", "the engine stopped"),
        made("long", "the engine stopped because of a spark plug"),
        made("effect", "the engine stopped because of a spark plug in cylinder 3"),
        made("cause", "no petrol at all", before=("effect",)),
        made("said", "the engine stopped because of a spark plug in cylinder 3 of 4", severity="harmless"),
    ]
    text = "the engine stopped because of a spark plug in cylinder 3 of 4: no petrol at all"
    assert [match.fault.id for match in explain(text, faults)] == ["long", "short", "cause", "effect", "said"]


def test_one_match_a_fault_and_the_most_specific_of_its_patterns():
    fault = made("one", "the engine stopped", "the engine stopped because")
    (match,) = explain("the engine stopped\nthe engine stopped because of it\n", [fault])
    assert (match.line, match.pattern.text) == (2, "the engine stopped because")


@pytest.mark.parametrize("filler", [b"x" * 79 + b"\n", b"x"])
@pytest.mark.parametrize("offset", [-40, -1, 0, 1, 30])
def test_a_message_across_the_end_of_a_block(filler, offset):
    before = (filler * (BLOCK // len(filler) + 1))[: BLOCK + offset - 20]
    data = before + b"\n" + PTXAS.encode() + b"\nlast\n"
    (match,) = explain(data)
    assert match.fault.id == "triton-ptxas-sm121"
    assert match.line == before.count(b"\n") + 2


def test_line_numbers_far_into_a_log():
    data = b"a line of a log\n" * 400_000 + PTXAS.encode()
    assert [match.line for match in explain(data)] == [400_001]


NOISE = st.lists(
    st.sampled_from([b"\x1b[", b"\x1b]0;", b"^[[", b"\r", b"\n", b"\r\n", b"\xff", b"\x00", b" ", b"x" * 500])
)


@given(NOISE, st.binary(max_size=200), NOISE)
def test_noise_around_a_message_hides_it_never_and_breaks_nothing(before, noise, after):
    data = b"".join(before) + noise + b"\n" + PTXAS.encode() + b"\n" + b"".join(after)
    (match,) = [match for match in explain(data) if match.fault.id == "triton-ptxas-sm121"]
    assert match.line == (b"".join(before) + noise).count(b"\n") + 2
    assert match.text.isprintable()


class Trickle(io.RawIOBase):
    """A pipe that hands out 7 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.data.read(7)


def test_a_pipe_that_gives_little_at_a_time():
    text = f"one\n{HARMLESS}\n{VLLM}"
    slow = [(match.fault.id, match.line) for match in explain_stream(Trickle(text.encode()))]
    assert slow == [(match.fault.id, match.line) for match in explain(text)]


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 10_000_000,
        b" " * 10_000_000,
        b"ptxas fatal " * 800_000,
        b"is not defined for option 'gpu-name' " * 270_000,
        b"\x1b[1;2;3" * 1_400_000,
        b"\r 45%|####      | 45/100 [00:01<00:02]" * 250_000,
        bytes(range(256)) * 40_000,
    ],
    ids=["one line", "blanks", "the first piece", "the longest piece", "escapes without an end", "bars", "binary"],
)
def test_ten_megabytes_take_no_longer_than_two_seconds(data):
    explain("")  # what is made once
    start = time.process_time()
    assert explain(data) == []
    assert time.process_time() - start < 2
