"""Load a model and its tokenizer from a folder or from the hub, with errors that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.base.hub import MODEL, explain_hub_error, first_line, why_unreachable

WITHOUT_NETWORK = (
    "without a network: `tiny` (sparksmith train --model tiny), or a folder with a model that was copied there"
)


def check_reachable(source: str) -> None:
    """Raise `SparksmithError` within seconds where a hub id is not in the cache and the hub does not answer."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).expanduser().exists() or not MODEL.fullmatch(source):
        return
    if isinstance(try_to_load_from_cache(source, "config.json"), str):
        return
    reason = why_unreachable()
    if reason is not None:
        raise SparksmithError(f"the model {source} is not in the hub's cache, and {reason}", WITHOUT_NETWORK)


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
            model, info = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
            )
    except Exception as error:
        raise _explain(source, "model", error) from error
    if info["missing_keys"]:  # Transformers fills them with random numbers and says so in its log (5.17)
        missing = sorted(info["missing_keys"])
        raise SparksmithError(
            f"{source} lacks {len(missing)} of its model's weights, such as {missing[0]}: "
            "its config.json is another model's, or it was not saved whole",
            "another checkpoint, or the folder with all the files that it was saved with",
        )
    return model


def load_checkpoint(folder: Path, *, dtype: Any, base: Path | None = None) -> Any:
    """A checkpoint for generation: a full model, or an adapter on its base.

    `base` is where the run keeps the adapter's base if it made one; the adapter's own path to it may be stale after the
    run's folder was moved. Raises `SparksmithError`.
    """
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return load_model(str(folder), dtype=dtype)
    import warnings

    from peft import PeftModel

    named = str(read_json(adapter)["base_model_name_or_path"])
    source = str(base) if base is not None and base.is_dir() else named
    hint = f"base_model_name_or_path in {adapter} names the model that the adapter stands on"
    model = load_model(source, dtype=dtype)
    try:
        with warnings.catch_warnings(record=True) as told:  # PEFT only warns of weights that the adapter lacks (0.21)
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(model, str(folder))
    except Exception as error:
        sizes = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        reason = sizes[0][:200] if sizes else first_line(error)
        raise SparksmithError(f"the adapter in {folder} does not fit on {source}: {reason}", hint) from error
    if any("missing adapter keys" in str(one.message) for one in told):
        raise SparksmithError(f"the adapter in {folder} lacks weights for layers of {source}", hint)
    return adapted


def _explain(source: str, what: str, error: Exception) -> SparksmithError:
    """The reason in one line; what is local and what is not is told apart by the name's shape."""
    path = Path(source).expanduser()
    if path.is_file():
        return SparksmithError(f"{source} is a file; a model is a folder, a hub id, or `tiny`", f"ls {path.parent}")
    if path.is_dir() and (path / "plan.json").is_file():
        return SparksmithError(f"{source} is a run, not a model", f"--model {source}/checkpoint-N (of a run in full)")
    if path.is_dir():
        missing = "" if (path / "config.json").is_file() else "; it has no config.json"
        return SparksmithError(f"the {what} in {source} cannot be loaded{missing}: {first_line(error)}", f"ls {source}")
    if path.is_absolute() or source.startswith(".") or source.count("/") > 1:
        return SparksmithError(
            f"the folder {source} does not exist", "--model takes a hub id, a local folder, or `tiny`"
        )
    return explain_hub_error(error, "model", source, WITHOUT_NETWORK)
