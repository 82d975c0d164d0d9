"""Load a model and its tokenizer from a folder or from the hub, with errors that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json

CONNECT_SECONDS = 5.0


def check_reachable(source: str) -> None:
    """Raise `SparksmithError` within seconds where a hub id is not in the cache and the hub does not answer.

    The hub's own client tries for 50 s and says so 24 times (huggingface-hub 1.33, measured 2026-11-21).
    """
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub import constants, try_to_load_from_cache

    if Path(source).expanduser().exists() or source.count("/") > 1 or source.startswith((".", "/", "~")):
        return
    if isinstance(try_to_load_from_cache(source, "config.json"), str) or getproxies():
        return
    hub = urlsplit(constants.ENDPOINT)
    port = hub.port or (80 if hub.scheme == "http" else 443)
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        socket.create_connection((str(hub.hostname), port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SparksmithError(
            f"the model {source} is not in the hub's cache, and {hub.hostname} cannot be reached: {error}",
            "without a network: `tiny` (sparksmith train --model tiny), or a folder with a model that was copied there",
        ) from None


@contextlib.contextmanager
def progress_of(source: str) -> Iterator[None]:
    """Progress bars for what comes over the network, none for what lies on the disk, and none afterwards."""
    from transformers.utils import logging

    if Path(source).expanduser().is_dir():
        logging.disable_progress_bar()
    else:
        logging.enable_progress_bar()
    try:
        yield
    finally:
        logging.disable_progress_bar()


def load_tokenizer(source: str) -> Any:
    """The tokenizer of a hub id or a folder, with a pad token. Raises `SparksmithError`."""
    from transformers import AutoTokenizer

    check_reachable(source)
    try:
        with progress_of(source):
            tokenizer = AutoTokenizer.from_pretrained(source)
    except Exception as error:
        raise _explain(source, "tokenizer", error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(source: str, *, dtype: Any) -> Any:
    """A causal language model of a hub id or a folder, on the CPU, with SDPA attention. Raises `SparksmithError`."""
    from transformers import AutoModelForCausalLM

    check_reachable(source)
    try:
        with progress_of(source):
            return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, attn_implementation="sdpa")
    except Exception as error:
        raise _explain(source, "model", error) from error


def load_checkpoint(folder: Path, *, dtype: Any, base: Path | None = None) -> Any:
    """A checkpoint for generation: a full model, or an adapter on its base.

    `base` is where the run keeps the adapter's base if it made one; the adapter's own path to it may be stale after the
    run's folder was moved. Raises `SparksmithError`.
    """
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return load_model(str(folder), dtype=dtype)
    from peft import PeftModel

    named = str(read_json(adapter)["base_model_name_or_path"])
    source = str(base) if base is not None and base.is_dir() else named
    try:
        return PeftModel.from_pretrained(load_model(source, dtype=dtype), str(folder))
    except SparksmithError:
        raise
    except Exception as error:
        raise SparksmithError(f"the adapter in {folder} does not fit on {source}: {_first_line(error)}") from error


def _explain(source: str, what: str, error: Exception) -> SparksmithError:
    """The reason in one line; what is local and what is not is told apart by the name's shape."""
    path = Path(source).expanduser()
    if path.is_file():
        return SparksmithError(f"{source} is a file; a model is a folder, a hub id, or `tiny`", f"ls {path.parent}")
    if path.is_dir() and (path / "plan.json").is_file():
        return SparksmithError(f"{source} is a run, not a model", f"--model {source}/checkpoint-N (of a run in full)")
    if path.is_dir():
        missing = "" if (path / "config.json").is_file() else "; it has no config.json"
        return SparksmithError(
            f"the {what} in {source} cannot be loaded{missing}: {_first_line(error)}", f"ls {source}"
        )
    if path.is_absolute() or source.startswith(".") or source.count("/") > 1:
        return SparksmithError(
            f"the folder {source} does not exist", "--model takes a hub id, a local folder, or `tiny`"
        )
    text = f"{type(error).__name__} {error}"
    if "gated" in text.lower() or "401" in text or "403" in text:
        return SparksmithError(
            f"{source} is gated on the hub",
            f"accept its terms at https://huggingface.co/{source}, then `hf auth login`",
        )
    if "404" in text or "RepositoryNotFound" in text:
        return SparksmithError(f"the hub has no model {source}", "--model takes a hub id such as Qwen/Qwen3-0.6B")
    return SparksmithError(
        f"the {what} {source} is neither in the hub's cache nor could it be fetched: {_first_line(error)}",
        "without a network: --model tiny, or --model FOLDER with a model that was copied there",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
