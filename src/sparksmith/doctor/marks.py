"""The marks of faults in a project's files: what a script, a recipe or a requirement says that goes wrong on a Spark.

Texts are looked through, never run; comments do not count. Does not cover what a script computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sparksmith.base.redact import redact_text
from sparksmith.machine.distributions import printable

PYTHON = re.compile(r"\.(?:py|ipynb)$")
COMMANDS = re.compile(r"\.sh$|^(?:Makefile|justfile)$")
SCRIPT = re.compile(r"\.(?:py|ipynb|sh|ya?ml|toml)$")
SHELL = re.compile(r"(?:\.(?:sh|env|ya?ml)|^\.env|^\.envrc|^(?:Dockerfile|Containerfile|Makefile|justfile)[\w.-]*)$")
REQUIREMENTS = re.compile(r"^(?:[\w.-]*(?:requirements|constraints)[\w.-]*\.(?:txt|in)|pyproject\.toml)$")
LAUNCH = re.compile(r"(?:\.(?:py|ipynb|sh|ya?ml|toml)|^(?:Dockerfile|Containerfile|Makefile|justfile)[\w.-]*)$")
START = re.compile(r"^\.(?:bashrc|bash_profile|profile|zshrc|zshenv|envrc|env)$")
COMMENT = re.compile(r"(?:^|\s)#")
QUOTE = r"[\\\"']*"
IS = rf"{QUOTE}\s*[=:]\s*{QUOTE}"
NEVER_A_WHEEL = r"flash[-_]attn|xformers|deepspeed|causal[-_]conv1d|mamba[-_]ssm"
# whose terms have to be accepted on the hub before anything is downloaded
GATED = r"meta-llama/[\w.-]+|google/(?:gemma|paligemma|medgemma|shieldgemma|codegemma|recurrentgemma)[\w.-]*"
LINEAR = r"[\w.-]+/(?:Qwen3[._]5|Qwen3-Next)-[\w.-]+"
STATE_SPACE = r"[\w.-]+/(?:[Ff]alcon-)?[Mm]amba[\w.-]*"
# mark: (the names of the files that it counts in, a text that has to be there, what is looked for; its group is kept)
MARKS: dict[str, tuple[re.Pattern[str], str, re.Pattern[str]]] = {
    "UV_SYNC": (SHELL, "UV_SYNC", re.compile(r"\bUV_SYNC=0\b")),
    "UV_SYNC at start": (START, "UV_SYNC", re.compile(r"\bUV_SYNC=0\b")),
    "UV_PROJECT_ENVIRONMENT": (
        START, "UV_PROJECT_ENVIRONMENT", re.compile(r"\bexport\s+UV_PROJECT_ENVIRONMENT=[\"']?([^\s\"';]+)"),
    ),
    "flash_attention_2": (
        SCRIPT, "flash_attention_2", re.compile(rf"attn_implementation(?:{IS}|\s+)flash_attention_2\b"),
    ),
    "linear attention": (SCRIPT, "Qwen3", re.compile(rf"(?<![\w/]){LINEAR}")),
    "state space": (SCRIPT, "amba", re.compile(rf"(?<![\w/])(?:{STATE_SPACE})")),
    "gated": (SCRIPT, "/", re.compile(rf"(?<![\w/])(?:{GATED})")),
    "wandb": (SCRIPT, "wandb", re.compile(rf"report_to(?:{IS}|\s+)[\[(]?\s*{QUOTE}wandb\b")),
    "enable_jit_checkpoint": (
        SCRIPT, "enable_jit_checkpoint", re.compile(rf"\benable_jit_checkpoint{IS}(?:[Tt]rue|1)\b"),
    ),
    "label smoothing": (
        PYTHON, "SFT",
        re.compile(r"\b(?:label_smoothing_factor\s*=\s*0?\.\d*[1-9]|compute_loss_func\s*=(?!=|\s*None))"),
    ),
    "utilization": (
        LAUNCH, "memory", re.compile(rf"gpu[-_]memory[-_]utilization(?:{IS}|\s+)((?:0?\.\d+|1(?:\.0*)?)(?![\w.]))"),
    ),
    "vllm serve": (COMMANDS, "vllm serve", re.compile(r"\bvllm serve\b(?!.*(?:--gpu-memory-utilization|\\$))")),
    "weights to vLLM": (
        PYTHON, "collective_rpc", re.compile(rf"collective_rpc\(\s*{QUOTE}update_\w*(?:weight|param)\w*"),
    ),
    "insecure serialization": (SCRIPT, "INSECURE_SER", re.compile(r"VLLM_ALLOW_INSECURE_SERIALIZATION")),
    "trl[vllm]": (REQUIREMENTS, "vllm", re.compile(r"\btrl\[[\w,\s-]*\bvllm\b[\w,\s-]*\]")),
    "wheel": (REQUIREMENTS, ".whl", re.compile(r"[\w.+!%-]+-(?:cp|py)\d[\w.]*-[\w.]+-[\w.]+\.whl\b")),
    "source": (
        REQUIREMENTS, "", re.compile(rf"^\s*[\"']?({NEVER_A_WHEEL})\s*(?=[\[=<>!~;,\"']|$)(?!.*\.whl)"),
    ),
    "resolved for": (
        REQUIREMENTS, "--python-platform", re.compile(r"^#.*\buv pip compile\b.*--python-platform[= ](\S+)"),
    ),
    "a scope": (COMMANDS, "systemd-run", re.compile(r"\bsystemd-run\b.*--scope\b")),
    "a score": (COMMANDS, "OOMScoreAdjust", re.compile(r"(?:-p|--property)[ =][\"']?OOMScoreAdjust=-?\d+")),
    "vLLM as a server": (SCRIPT, "vllm_mode", re.compile(rf"\bvllm_mode(?:{IS}|\s+)server\b")),
    "vLLM elsewhere": (SCRIPT, "vllm_server_", re.compile(r"\bvllm_server_(?:host|base_url)\b")),
    "single GPU": (LAUNCH, "single_gpu_mode", re.compile(r"--single_gpu_mode\b")),
    "weights through NCCL": (
        LAUNCH, "vllm_sync_backend", re.compile(rf"\bvllm_sync_backend(?:{IS}|\s+)nccl\b"),
    ),
}  # fmt: skip
IN_COMMENTS = {"resolved for"}
CONDITION = re.compile(r"platform_machine|sys_platform|marker\s*=|python_version")


@dataclass(frozen=True)
class Ask:
    """One place where a mark was found: `file` as an absolute path of the machine, `text` the words that were found."""

    mark: str
    file: str
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def parse_asks(path: str, text: str) -> Iterator[Ask]:
    """The marks in one file; not those in comments, nor a wheel that a condition chooses."""
    name = path.rpartition("/")[2]
    wanted = [
        (mark, pattern)
        for mark, (where, literal, pattern) in MARKS.items()
        if where.search(name) and literal in text
    ]  # fmt: skip
    if not wanted:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for mark, pattern in wanted:
            for match in pattern.finditer(line[:2000]):
                if mark not in IN_COMMENTS and COMMENT.search(line[: match.start()]):
                    continue
                if mark in ("wheel", "source") and CONDITION.search(line):
                    continue
                said = match[1] if match.lastindex else match[0]
                yield Ask(mark, printable(path), number, printable(redact_text(said))[:120])
