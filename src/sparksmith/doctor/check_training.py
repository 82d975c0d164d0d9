"""What scripts and recipes of the project ask for, and is not there: nothing is said where nothing asks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu
from sparksmith.doctor.marks import Ask
from sparksmith.doctor.observed import has_package, is_version, version_of

YES = ("1", "on", "yes", "true")
WITHOUT_KEY = ("offline", "disabled", "dryrun")
# what the fast path of a family is made of; without either the plain PyTorch code runs
FAST = {
    "linear attention": ("flash-linear-attention", "causal-conv1d"),
    "state space": ("mamba-ssm", "causal-conv1d"),
}
BUILT = ("causal-conv1d", "mamba-ssm")


def check_attention(examined: Examined) -> Iterator[Seen]:
    """flash_attention_2 without flash-attn."""
    if not _trains(examined) or version_of(examined, "flash-attn") or has_package(examined, "kernels") is not False:
        return  # transformers takes the hub's kernel where it can fetch one
    for ask in _asks(examined, "flash_attention_2"):
        file = shlex.quote(ask.file)
        yield Seen(
            "flash-attn-absent", f"{ask.place} asks for flash_attention_2, and flash-attn is not installed",
            (ask.place,), f"sed -i.bak 's/flash_attention_2/sdpa/g' {file}",
        )  # fmt: skip


def check_fast_kernels(examined: Examined) -> Iterator[Seen]:
    """Model families whose plain PyTorch code is several times slower than their kernels."""
    if not _trains(examined) or not has_gpu(examined.machine):
        return
    for family, needed in FAST.items():
        missing = [name for name in needed if version_of(examined, name) is None]
        asks = _asks(examined, family)
        if asks and missing:
            lacks = " and no ".join(missing)
            plain, built = ([name for name in missing if (name in BUILT) is wanted] for wanted in (False, True))
            commands = [f"uv pip install {' '.join(plain)}"] if plain else []
            commands += [f"uv pip install --no-build-isolation {' '.join(built)}"] if built else []
            yield Seen(
                "fast-kernels-missing", f"{asks[0].place} names {asks[0].text}, and here is no {lacks}",
                tuple(ask.place for ask in asks[:6]), " && ".join(commands),
            )  # fmt: skip


def check_logins(examined: Examined) -> Iterator[Seen]:
    """Gated models and wandb, where something asks for them and nobody is logged in."""
    logins, variables = examined.machine.logins, examined.machine.variables.values
    cached = examined.project.models if examined.project else frozenset()
    offline = variables.get("HF_HUB_OFFLINE", "").lower() in YES
    gated = {ask.text: ask for ask in reversed(_asks(examined, "gated")) if ask.text not in cached}
    if gated and logins.hub == "" and not offline:
        for name, ask in sorted(gated.items()):
            here = f"{ask.place} names {name}, which is gated, and there is neither HF_TOKEN nor a saved token"
            yield Seen("hub-token-missing", here, (ask.place,))
    wandb = _asks(examined, "wandb")
    if wandb and logins.wandb == "" and variables.get("WANDB_MODE", "").lower() not in WITHOUT_KEY:
        here = f"{wandb[0].place} reports to wandb, and there is neither WANDB_API_KEY nor an entry in ~/.netrc"
        yield Seen("wandb-key-missing", here, tuple(ask.place for ask in wandb[:6]))


def check_transfer(examined: Examined) -> Iterator[Seen]:
    """HF_HUB_ENABLE_HF_TRANSFER, which huggingface-hub read before 1.0."""
    value = examined.machine.variables.values.get("HF_HUB_ENABLE_HF_TRANSFER", "")
    hub = version_of(examined, "huggingface-hub")
    if value.lower() in YES and is_version(hub, "<1") and version_of(examined, "hf-transfer") is None:
        here = f"HF_HUB_ENABLE_HF_TRANSFER={value}, huggingface-hub is {hub}, and hf-transfer is not installed"
        yield Seen("hub-transfer-missing", here, ("environment variables",))


def check_checkpoints(examined: Examined) -> Iterator[Seen]:
    """Newest checkpoints that a resume would take, and that are not whole."""
    for broken in examined.project.checkpoints if examined.project else ():
        resume = (
            f"sparksmith train RECIPE --resume_from_checkpoint {shlex.quote(broken.before)}" if broken.before else None
        )
        before = "" if broken.before else ", and there is none before it"
        yield Seen(
            "checkpoint-incomplete", f"{broken.path}: {broken.why}{before}", (broken.path,),
            resume or f"mv {shlex.quote(broken.path)} {shlex.quote(broken.path + '.broken')}",
        )  # fmt: skip


def check_trainers(examined: Examined) -> Iterator[Seen]:
    """Settings of the trainers that do something else than their names say."""
    for ask in _asks(examined, "enable_jit_checkpoint"):
        yield Seen("jit-checkpoint", f"{ask.place} sets {ask.text}", (ask.place,))
    trl = version_of(examined, "trl")
    if is_version(trl, ">=1.16"):
        for ask in _asks(examined, "label smoothing"):
            word = ask.text.partition("=")[0].strip()
            yield Seen("label-smoothing-forward", f"{ask.place} hands {word} to TRL {trl}", (ask.place,))


def _trains(examined: Examined) -> bool:
    """Whether there is an environment in which it would run."""
    return version_of(examined, "torch") is not None and version_of(examined, "transformers") is not None


def _asks(examined: Examined, mark: str) -> list[Ask]:
    return examined.project.of(mark) if examined.project else []


CHECKS: tuple[Check, ...] = (
    check_attention,
    check_fast_kernels,
    check_logins,
    check_transfer,
    check_checkpoints,
    check_trainers,
)
