"""What scripts and recipes of the project ask for, and is not there: nothing is said where nothing asks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu
from sparksmith.doctor.marks import Ask
from sparksmith.doctor.observed import also, has_package, is_version, version_of
from sparksmith.packages.finding import some

YES = ("1", "on", "yes", "true")
WITHOUT_KEY = ("offline", "disabled", "dryrun")
# what the fast path of a family is made of; without either the plain PyTorch code runs
FAST = {
    "linear attention": ("flash-linear-attention", "causal-conv1d"),
    "state space": ("mamba-ssm", "causal-conv1d"),
}
MOST_FILES = 6  # that a command names
BUILT = ("causal-conv1d", "mamba-ssm")


def check_attention(examined: Examined) -> Iterator[Seen]:
    """flash_attention_2 without flash-attn."""
    if not _trains(examined) or version_of(examined, "flash-attn") or has_package(examined, "kernels") is not False:
        return  # transformers takes the hub's kernel where it can fetch one
    asks = _asks(examined, "flash_attention_2")
    if asks:
        files = " ".join(shlex.quote(file) for file in list(dict.fromkeys(ask.file for ask in asks))[:MOST_FILES])
        places = [ask.place for ask in asks]
        yield Seen(
            "flash-attn-absent",
            f"{places[0]} asks for flash_attention_2, and flash-attn is not installed{also(places[1:])}",
            tuple(places), f"sed -i.bak 's/flash_attention_2/sdpa/g' {files}",
        )  # fmt: skip


def check_fast_kernels(examined: Examined) -> Iterator[Seen]:
    """Model families whose plain PyTorch code is several times slower than their kernels."""
    if not _trains(examined) or not has_gpu(examined.machine):
        return
    found = {
        family: missing for family, needed in FAST.items()
        if _asks(examined, family) and (missing := [name for name in needed if version_of(examined, name) is None])
    }  # fmt: skip
    if found:
        asks = [ask for family in found for ask in _asks(examined, family)]
        lacks = " and no ".join(found[asks[0].mark])
        missing = list(dict.fromkeys(name for names in found.values() for name in names))
        plain, built = ([name for name in missing if (name in BUILT) is wanted] for wanted in (False, True))
        commands = [f"uv pip install {' '.join(plain)}"] if plain else []
        commands += [f"uv pip install --no-build-isolation {' '.join(built)}"] if built else []
        places = [ask.place for ask in asks]
        yield Seen(
            "fast-kernels-missing", f"{places[0]} names {asks[0].text}, and here is no {lacks}{also(places[1:])}",
            tuple(places), " && ".join(commands),
        )  # fmt: skip


def check_logins(examined: Examined) -> Iterator[Seen]:
    """Gated models and wandb, where something asks for them, nobody is logged in, and the project does not do it."""
    logins, variables = examined.machine.logins, examined.machine.variables.values
    cached = examined.project.models if examined.project else frozenset()
    cares = examined.project.cares if examined.project else frozenset()
    offline = variables.get("HF_HUB_OFFLINE", "").lower() in YES
    gated = [ask for ask in _asks(examined, "gated") if ask.text not in cached]
    if gated and logins.hub == "" and not offline and "hub" not in cares:
        names = list(dict.fromkeys(ask.text for ask in gated))
        others = f"; so {'is' if len(names) == 2 else 'are'} {some(names[1:], 3)}" if len(names) > 1 else ""
        here = f"{gated[0].place} names {names[0]}, which is gated, and there is neither HF_TOKEN nor a saved token"
        yield Seen("hub-token-missing", f"{here}{others}", tuple(dict.fromkeys(ask.place for ask in gated)))
    wandb = [ask.place for ask in _asks(examined, "wandb")]
    kept = variables.get("WANDB_MODE", "").lower() in WITHOUT_KEY
    if wandb and logins.wandb == "" and not kept and "wandb" not in cares:
        here = f"{wandb[0]} reports to wandb, and there is neither WANDB_API_KEY nor an entry in ~/.netrc"
        yield Seen("wandb-key-missing", f"{here}{also(wandb[1:])}", tuple(wandb))


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
    if examined.is_own and is_version(trl, ">=1.16"):
        for ask in _asks(examined, "label smoothing"):
            word = ask.text.partition("=")[0].strip()
            yield Seen("label-smoothing-forward", f"{ask.place} hands {word} to TRL {trl}", (ask.place,))


def _trains(examined: Examined) -> bool:
    """Whether there is an environment in which it would run, and not another one that is only looked at."""
    return (
        examined.is_own
        and version_of(examined, "torch") is not None
        and version_of(examined, "transformers") is not None
    )


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
