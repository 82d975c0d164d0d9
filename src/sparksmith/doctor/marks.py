"""The marks of faults in a project's files: what a script, a recipe or a requirement says that goes wrong on a Spark.

Texts are read, never run. A mark is something that a file sets, loads, types or requires; a name in a text that is only
shown, compared or described is none. Does not cover what a script computes. docs/concepts/doctor.md tells the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sparksmith.base.redact import redact_text
from sparksmith.doctor.config_text import (
    parse_devcontainer,
    parse_image,
    parse_notebook,
    parse_readme,
    parse_shell,
    parse_toml,
    parse_yaml,
)
from sparksmith.doctor.python_text import can_be_started, parse_python
from sparksmith.doctor.requirements_text import SOURCE, is_installing, parse_pyproject, parse_requirements
from sparksmith.doctor.said import VARIABLES, Said
from sparksmith.machine.distributions import printable

START = re.compile(r"^\.(?:bashrc|bash_profile|profile|zshrc|zshenv|envrc|env)$")
REQUIREMENTS = re.compile(r"^[\w.-]*(?:requirements|constraints)[\w.-]*\.(?:txt|in)$")
# The reader of a file by its name, the first that fits.
READERS: tuple[tuple[re.Pattern[str], str, Callable[[str], Iterable[Said]]], ...] = (
    (re.compile(r"\.py$"), "python", parse_python),
    (re.compile(r"\.ipynb$"), "notebook", parse_notebook),
    (START, "start", parse_shell),
    (re.compile(r"\.sh$|^(?:Makefile|justfile)[\w.-]*$"), "shell", parse_shell),
    (re.compile(r"\.env$|^\.env(?:\.|rc|$)"), "variables", parse_shell),
    (re.compile(r"(?:^|\.)(?:Dockerfile|Containerfile)(?:$|\.)", re.IGNORECASE), "image", parse_image),
    (re.compile(r"\.ya?ml$"), "yaml", parse_yaml),
    (re.compile(r"^devcontainer\.json$"), "devcontainer", parse_devcontainer),
    (re.compile(r"^README(?:\.\w+)?\.(?:md|markdown)$|^README$", re.IGNORECASE), "readme", parse_readme),
    (re.compile(r"\.toml$"), "toml", parse_toml),
)  # fmt: skip
# Not for the user to start: tests, what packages and services read of a repository, and copies.
NOT_STARTED = re.compile(
    r"\.before-sparksmith(?:-\d+)?$|\.bak$|~$|^(?:test_.*|.*_test|conftest|setup)\.py$|^\.?(?:gitlab-ci|pre-commit-config|readthedocs|travis|appveyor)\.ya?ml$"
    r"|^(?:mkdocs|_quarto|codecov|cloudbuild|azure-pipelines)\.ya?ml$"
)
# A path that says which machine it is for, and it is not this one.
GPUS = r"[ABH][1-3]00|GB[23]00|L40S?|V100|A10G?|MI[23]\d\dX?"
ELSEWHERE = re.compile(
    rf"(?<![a-z0-9])(?:\d+x)?(?:{GPUS}|\d+_?gpus?|multi[-_]?(?:node|gpu)|ascend|npu|tpu|rocm|slurm|beaker|k8s|kubernetes"
    r"|helm|runpod|sagemaker|modal|station[a-z-]*|ci|cicd)(?![a-z0-9])", re.IGNORECASE
)  # fmt: skip
# A script that hands its work to a cluster.
SENT_AWAY = re.compile(r"^#SBATCH\b|^\s*(?:sbatch|srun|gantry|sky|modal)\s|\s--cluster\b", re.MULTILINE)
# The image that a project is worked in; Dockerfile.NAME is one of several, and so is one in a folder of its own.
IMAGE = re.compile(r"^(?:\.devcontainer/|docker/)?(?:Dockerfile|Containerfile)$|^[\w-]+\.Dockerfile$", re.IGNORECASE)
OTHER_GPU = re.compile(rf"\b(?:\d+x)?(?:{GPUS})\b")
SPARK = re.compile(r"\bspark\b|\bGB10\b|sm_121", re.IGNORECASE)
SERVES = re.compile(r"\b(?:vllm|sglang|lmdeploy|trtllm|tensorrt_llm|text-generation-launcher)\b")
TRAINS = re.compile(r"trainer|SFT|LoRA|fine-?tun|\btrain", re.IGNORECASE)

# whose terms have to be accepted on the hub before anything is downloaded; Gemma 4 and later are Apache 2.0
GATED = re.compile(
    r"meta-llama/[\w.-]+|google/(?:gemma(?!-?[4-9])|paligemma|medgemma|shieldgemma|codegemma|recurrentgemma)[\w.-]*"
)
LINEAR = re.compile(r"[\w.-]+/(?:Qwen3[._]5|Qwen3-Next)-[\w.-]+")
STATE_SPACE = re.compile(r"(?!conda-forge/)[\w.-]+/(?:[Ff]alcon-)?[Mm]amba[\w.-]*\d[\w.-]*")
MODELS = {"gated": GATED, "linear attention": LINEAR, "state space": STATE_SPACE}
NAMES_MODEL = re.compile(r"model|repo|tokenizer|pretrained|checkpoint|draft|^name$", re.IGNORECASE)
NO_MODEL_IN = frozenset(("pip", "pip3", "conda", "mamba", "micromamba", "apt", "apt-get", "uv", "docker", "podman"))
# mark: (the key that is set, to what; None for anything)
SETTINGS: dict[str, tuple[re.Pattern[str], re.Pattern[str] | None]] = {
    "UV_SYNC": (re.compile(r"UV_SYNC"), re.compile(r"0|false|no")),
    "UV_PROJECT_ENVIRONMENT": (re.compile(r"UV_PROJECT_ENVIRONMENT"), re.compile(r"[^\s;]+")),
    "flash_attention_2": (re.compile(r"_?attn_implementation"), re.compile(r"flash_attention_2")),
    "wandb": (re.compile(r"report_to"), re.compile(r"wandb|\[?['\"]?wandb['\"]?\]?")),
    "enable_jit_checkpoint": (re.compile(r"enable_jit_checkpoint"), re.compile(r"[Tt]rue|1")),
    "label smoothing": (re.compile(r"label_smoothing_factor"), re.compile(r"0?\.\d*[1-9]\d*|1(?:\.0*)?")),
    "own loss": (re.compile(r"compute_loss_func"), re.compile(r"(?!None$).*")),
    "utilization": (re.compile(r"(?:\w+_)?gpu_memory_utilization"), re.compile(r"0?\.\d+|1(?:\.0*)?")),
    "weights to vLLM": (re.compile(r"collective_rpc"), re.compile(r"update_\w*(?:weight|param)\w*")),
    "vLLM as a server": (re.compile(r"vllm_mode"), re.compile(r"server")),
    "vLLM elsewhere": (re.compile(r"vllm_server_(?:host|base_url)"), None),
    "single GPU": (re.compile(r"single_gpu_mode"), None),
    "weights through NCCL": (re.compile(r"vllm_sync_backend"), re.compile(r"nccl")),
}
OF_PYTHON = frozenset(("label smoothing", "own loss", "weights to vLLM"))
OF_TRAINING = frozenset(("linear attention", "state space"))
OF_SERVING = frozenset(("utilization", "vllm serve"))
# A file without any of these is not looked into.
LITERALS = (
    "UV_SYNC", "UV_PROJECT_ENVIRONMENT", "flash_attention_2", "report_to", "jit_checkpoint", "label_smoothing",
    "compute_loss_func", "memory_utilization", "memory-utilization", "vllm", "systemd-run", "Qwen3", "amba",
    "meta-llama/", "google/", "TOKEN", "WANDB", "OFFLINE", "INSECURE_SER", "HF_API", "login", "flash-attn",
    "flash_attn", "xformers", "deepspeed", "conv1d", "collective_rpc", ".whl", "trl[", "python-platform",
    "llama-cpp", "llama_cpp",
)  # fmt: skip
# What of these a project names it takes care of by itself.
CARES = {
    "hub": re.compile(r"TOKEN$|^HF_API|^HF_HUB_OFFLINE$|^TRANSFORMERS_OFFLINE$"),
    "wandb": re.compile(r"^WANDB_"),
    "serialization": re.compile(r"^VLLM_ALLOW"),
}


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


@dataclass(frozen=True)
class FileAsks:
    """What one file asks for, and which of `CARES` it takes care of. Not `looked_into`: it has none of the words."""

    asks: tuple[Ask, ...] = ()
    cares: frozenset[str] = frozenset()
    looked_into: bool = True


def kind_of(name: str) -> str | None:
    """What kind of file a name says; None for those that are not read."""
    if NOT_STARTED.search(name):
        return None
    if name == "pyproject.toml" or REQUIREMENTS.search(name):
        return "requirements"
    return next((kind for pattern, kind, _ in READERS if pattern.search(name)), None)


def parse_asks(path: str, text: str, *, below: str = "", in_package: bool = False) -> FileAsks:
    """What a file asks for. `below` is its path from the project's folder, which may say that it is for another
    machine; `in_package`: it is a module of a package, and counts only where it can be started."""
    name = path.rpartition("/")[2]
    kind = kind_of(name)
    if kind is None or not any(literal in text for literal in LITERALS):
        return FileAsks(looked_into=False)
    if kind == "requirements":
        parse = parse_pyproject if name == "pyproject.toml" else parse_requirements
        found = [] if ELSEWHERE.search(below) else [*parse(text)]
        return FileAsks(tuple(_ask(mark, path, line, words) for mark, words, line in found))
    if in_package and kind == "python" and not can_be_started(text):
        named = frozenset(match[0] for match in VARIABLES.finditer(text))
        known = frozenset(care for care, pattern in CARES.items() if any(map(pattern.search, named)))
        return FileAsks((), known, looked_into=False)
    read = next(read for pattern, _, read in READERS if pattern.search(name))
    said = [*read(text)]
    cares = frozenset(care for care, pattern in CARES.items() if any(_cares(pattern, each) for each in said))
    wanted = _wanted(kind, text, below)
    asks = [
        _ask(mark, path, line, words)
        for each in said
        for mark, words, line in _marks(each)
        if mark in wanted or (mark == "UV_SYNC" and kind not in ("python", "notebook"))
    ]  # fmt: skip
    return FileAsks(tuple(dict.fromkeys(asks)), cares)


def _wanted(kind: str, text: str, below: str) -> frozenset[str]:
    """The marks that count in a file, besides UV_SYNC, which is wrong wherever it is set."""
    if kind == "start":
        return frozenset({"UV_PROJECT_ENVIRONMENT"})
    variant = kind == "image" and not IMAGE.search(below)
    sent_away = kind not in ("python", "notebook") and SENT_AWAY.search(text)
    if kind == "readme" or variant or sent_away or ELSEWHERE.search(below):
        return frozenset()
    wanted = {*SETTINGS, *MODELS, "vllm serve", "source", "a scope", "a score"} - {"UV_SYNC", "UV_PROJECT_ENVIRONMENT"}
    if kind not in ("python", "notebook") or "SFT" not in text:
        wanted -= OF_PYTHON - ({"weights to vLLM"} if kind in ("python", "notebook") else set())
    if SERVES.search(text) and not TRAINS.search(text):
        wanted -= OF_TRAINING
    if OTHER_GPU.search(text) and not SPARK.search(text):
        wanted -= OF_SERVING
    return frozenset(wanted)


def _cares(pattern: re.Pattern[str], said: Said) -> bool:
    """Whether a project takes care of a login: it names the variable, or it types the login."""
    if said.how == "command":
        words = [word.text for word in said.words[:4]]
        logs_in = "login" in words or "offline" in words[1:2]
        return logs_in and pattern.search("WANDB_" if "wandb" in words else "HF_TOKEN") is not None
    known = said.how in ("mentioned", "assigned", "exported", "set") and VARIABLES.fullmatch(said.key)
    return (
        bool(known)
        and pattern.search(said.key) is not None
        and not (said.key == "WANDB_MODE" and said.value == "online")
    )


def _marks(said: Said) -> Iterator[tuple[str, str, int]]:
    """Mark, words and line of what one saying means."""
    if said.how == "command":
        yield from _marks_of_command(said)
        return
    if said.how == "mentioned":
        return
    for mark, (key, value) in SETTINGS.items():
        if key.fullmatch(said.key) and (value is None or value.fullmatch(said.value)):
            if mark == "UV_PROJECT_ENVIRONMENT":
                if said.how == "exported":
                    yield mark, said.value, said.line
            elif mark in ("utilization", "weights to vLLM"):
                yield mark, said.value, said.line
            else:
                known = "label smoothing" if mark == "own loss" else mark
                yield known, f"{said.key}={said.value}".rstrip("="), said.line
    if said.how in ("assigned", "loaded") or NAMES_MODEL.search(said.key):
        yield from _models(said.value, said.line)


def _models(words: str, line: int) -> Iterator[tuple[str, str, int]]:
    for mark, pattern in MODELS.items():
        if pattern.fullmatch(words):
            yield mark, words, line


def _marks_of_command(said: Said) -> Iterator[tuple[str, str, int]]:
    """What a command asks for by its words: a model, a server, a scope, a package."""
    words = [word.text for word in said.words]
    if is_installing([said.key, *words[1:]]):
        for word in said.words:
            if match := SOURCE.match(word.text):
                yield "source", match[1], word.line
        return
    if said.key == "systemd-run" and "--scope" in words:
        yield "a scope", "systemd-run --scope", said.line
        for word in said.words:
            if match := re.fullmatch(r"(?:--property=|-p)?(OOMScoreAdjust=-?\d+)", word.text):
                yield "a score", f"-p {match[1]}", word.line
    if "vllm" in words and "serve" in words[words.index("vllm") + 1 :][:1] and not _says_share(words):
        yield "vllm serve", "vllm serve", said.words[words.index("vllm")].line
    if said.key not in NO_MODEL_IN:
        for word in said.words[1:]:
            yield from _models(word.text, word.line)


def _says_share(words: list[str]) -> bool:
    """Whether a call of vLLM's says which share of the memory it takes, or may: by a variable, or in a file."""
    after = words[words.index("serve") + 2 :]
    known = ("--gpu-memory-utilization", "--config", "--help")
    return any(word.startswith(known) for word in after) or any(word.startswith("$") for word in after)


def _ask(mark: str, path: str, line: int, words: str) -> Ask:
    return Ask(mark, printable(path), line, printable(redact_text(words))[:120])
