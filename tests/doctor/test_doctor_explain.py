"""An error's text is recognised wherever it stands, whatever it is wrapped in, in time linear in its length."""

from __future__ import annotations

import io
import json
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.doctor.explain import ABOVE, BLOCK, explain, explain_stream
from sparksmith.policy.faults import Fault, Pattern

PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"
LIBCUDART = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"
VLLM = f'  File "/x/lib/python3.12/site-packages/vllm/_custom_ops.py", line 16\n    import vllm._C\n{LIBCUDART}\n'
COMPILER = "RuntimeError: Failed to find C compiler. Please specify via CC environment variable."
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


def wrapped(before: str, after: str = "", width: int = 44) -> str:
    """The message about the compiler as a program prints it that wraps it, and puts something around each line."""
    lines = textwrap.wrap(COMPILER, width)
    assert len(lines) > 1
    return "\n".join(f"{before}{line:{width}}{after}" for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        wrapped("web-1  | "),
        wrapped("training-web-1  | │ ", " │"),
        wrapped("│ ", " │"),
        wrapped("┃ ", " ┃"),
        wrapped("▎ "),
        wrapped("> "),
        wrapped("#12 0.759       "),
        wrapped("0.759       "),
        wrapped("[rank0]: "),
        wrapped("(EngineCore_DP0 pid=60) ERROR 01-12 01:09:14 [core.py:708] "),
        wrapped("(RayWorkerWrapper pid=581, ip=10.225.128.18) "),
        f"╭──── Traceback ────╮\n{wrapped('│ ', ' │')}\n╰────╯",
    ],
)
def test_a_message_that_is_wrapped_inside_of_something(text):
    (match,) = explain(f"one\n{text}\nlast\n")
    assert match.fault.id == "no-c-compiler"
    assert match.line == (3 if "╭" in text else 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("lines_before", [0, 3, 40_000])
def test_a_log_that_windows_wrote(encoding, lines_before):
    mark = "" if encoding in ("utf-16", "utf-8-sig") else "\ufeff"
    text = "a line – with a dash\r\n" * lines_before + PTXAS + "\r\n"
    (match,) = explain((mark + text).encode(encoding))
    assert (match.fault.id, match.line, match.text[:5]) == ("triton-ptxas-sm121", lines_before + 1, "ptxas")


def test_half_a_character_at_the_end_of_utf_16():
    (match,) = explain(PTXAS.encode("utf-16") + b"\x41")
    assert match.fault.id == "triton-ptxas-sm121"


def test_a_line_of_json():
    line = json.dumps({"level": "error", "message": f'"{PTXAS}"'}).replace("'", "\\u0027")
    assert ids(line) == ["triton-ptxas-sm121"]
    assert ids(json.dumps({"message": PTXAS.replace("'", "’")})) == ["triton-ptxas-sm121"]


@pytest.mark.parametrize(
    "text",
    [
        "Killed",
        "step 3\nKilled\n",
        "step 3\n  Killed\nuser@host:~$ ",
        "web-1  | Killed",
        "Killed                  python train.py --model x",
        "[1]+  Killed                  python train.py",
        "./run.sh: line 3: 12345 Killed                  python train.py",
        "zsh: killed     python train.py",
        "web-1 exited with code 137",
    ],
)
def test_a_bare_word_of_the_shells(text):
    assert ids(text) == ["process-killed"]


@pytest.mark.parametrize(
    "text",
    [
        "killed", "KILLED", "Killed 3 of 4 workers", "the user: Killed", "Killed:", "Killed, said the log",
        "Killed the server that python had started", "x" * 500 + "Killed", "web-1 exited with code 13",
        "Got fatal signal from worker processes, shutting down.\nKilled\n",
    ],
)  # fmt: skip
def test_the_same_word_where_it_tells_nothing(text):
    assert ids(text) == []


def test_what_must_not_stand_near():
    full = "OSError: [Errno 28] No space left on device"
    assert ids(f"{full}: 'outputs/checkpoint-500'") == ["disk-nearly-full"]
    assert ids(f"RuntimeError: unable to write to file </torch_1234_5>: {full}") == ["container-shm-small"]
    assert ids(f"NCCL WARN Error: failed to extend /dev/shm/nccl-x, error: {full}") == ["container-shm-small"]
    assert ids(f"inotify_add_watch: {full}") == []
    assert ids(f"inotify_add_watch: {full}\n{'x' * 900}\n{full}: 'a'") == ["disk-nearly-full"]


@pytest.mark.parametrize("offset", range(-60, 60, 7))
def test_what_must_not_stand_near_across_the_end_of_a_block(offset):
    line = "NCCL WARN No space left on device, error while /dev/shm/nccl-x was made\nKilled by hand\n"
    before = b"x" * 79 + b"\n"
    data = (before * (BLOCK // len(before) + 1))[: BLOCK + offset - 60] + b"\n" + line.encode()
    assert ids(data) == []
    assert ids(data + b"y\n" * ABOVE + b"Killed") == ["process-killed"]
    assert ids(data[: data.rindex(b" by hand")]) == ["process-killed"]


def test_a_log_that_ends_where_a_block_does():
    assert ids(b"\n" * (BLOCK - 6) + b"Killed") == ["process-killed"]
    assert ids(b"\n" * (2 * BLOCK - 6) + b"Killed") == ["process-killed"]


# What the older guides print in their headings and their text, as a user quotes it.
OF_THE_GUIDES = {
    "libcudart.so.12 not found": "cuda-major-mixed",
    '"libcudart.so.12 not found"': "cuda-major-mixed",
    "ImportError: libcudart.so.12: cannot open shared object file": "cuda-major-mixed",
    "sm_121a is not defined for option 'gpu-name'": "triton-ptxas-sm121",
    "FlashAttention2 has been toggled on, but flash_attn is not installed": "flash-attn-absent",
    "sm_121 not supported": "torch-capability-warning",
    '### "sm_121 not supported" warning': "torch-capability-warning",
    "Found GPU0 NVIDIA GB10 which is of cuda capability 12.1.": "torch-capability-warning",
    "CUDA not available": "no-gpu-found",
    '### Issue: "CUDA not available" after setup': "no-gpu-found",
    "torch.dtype is not serializable": "vllm-serialization",
    "Duplicate GPU detected": "duplicate-gpu",
    "docker: command not found": "docker-missing",
    "Permission denied while trying to connect to Docker daemon": "docker-group",
    "No space left on device": "disk-nearly-full",
}


@pytest.mark.parametrize(("text", "fault"), OF_THE_GUIDES.items())
def test_what_the_older_guides_print(text, fault):
    assert ids(text)[:1] == [fault]


# Once missed or taken for another fault, and in no thread of messages/.
SAID = {
    "libcuda.so cannot found!": "libcuda-not-found",
    "Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist": "cuda-home-missing",
    "RuntimeError: No supported CUDA architectures found for major versions [12].": "nvcc-no-sm121",
    "libibverbs: Warning: RLIMIT_MEMLOCK is 65536 bytes.": "container-memlock",
    "bitsandbytes library load error: libcudart.so.13: cannot open shared object file": "cuda-major-mixed",
    "Attempted to use bitsandbytes native library functionality but it's not available.": "extension-import-fails",
    "Access to model google/gemma-3-270m is restricted. You must have access to it.": "hub-token-missing",
    "401 Client Error: Repository Not Found for url: https://huggingface.co/api/models/x.": "model-not-found",
    "OSError: ./outputs/checkpoint-500 is not a local folder and is not a valid model identifier listed on 'h'":
        "model-not-found",
    "no CUDA-capable device is detected": "cuda-devices-hidden",
    "CUDA_ERROR_NO_DEVICE": "cuda-devices-hidden",
    "RuntimeError: CUDA unknown error": "cuda-does-not-start",
    "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized": "fabric-manager-missing",
    "PTXAS error: Internal Triton PTX codegen error": "triton-compile-fails",
}  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), SAID.items())
def test_what_was_once_missed(text, fault):
    assert ids(text)[:1] == [fault]


def test_a_compilers_message_comes_before_what_triton_makes_of_it():
    error = "triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error"
    assert ids(f"{error}\n`ptxas` stderr:\n{PTXAS}\n") == ["triton-ptxas-sm121", "triton-compile-fails"]


def test_a_connection_that_nccl_makes_at_the_second_try_and_one_that_it_never_makes():
    refused = "NCCL WARN socketStartConnect: Connect to 192.0.2.12<41233> failed : Connection refused"
    assert ids(f"{refused}\nINFO:     Application startup complete.\n") == []
    lost = "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:77, remote process exited"
    assert ids(f"{refused}\n{lost}\n") == ["nccl-interface-unset"]


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
        b"Killed " * 1_400_000,
        b"No space left on device /dev/shm\n" * 300_000,
        b"web-1 | " * 1_250_000,
        b'\\u0027 \\"' * 1_100_000,
    ],
    ids=[
        "one line",
        "blanks",
        "the first piece",
        "the longest piece",
        "escapes without an end",
        "bars",
        "binary",
        "a word of the shell's",
        "what refutes it",
        "prefixes",
        "JSON",
    ],
)
def test_ten_megabytes_take_no_longer_than_two_seconds(data):
    explain("")  # what is made once
    start = time.process_time()
    assert explain(data) == []
    assert time.process_time() - start < 2
