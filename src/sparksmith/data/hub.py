"""A dataset on the hub becomes one local file: a split's files, fetched at one commit and put together.

The file lies in the user's cache folder under the commit's name, so that a run's plan can record its path and hash, a
resume finds the same bytes, and nothing is asked of the hub a second time.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from sparksmith.base.errors import SparksmithError, UsageProblem, perhaps
from sparksmith.base.folders import cache_folder
from sparksmith.base.hub import REPOSITORY, NoAnswer, explain_hub_error, why_unreachable
from sparksmith.data.parquet import import_pyarrow
from sparksmith.data.splits import SPLIT_WORDS, choose_config, data_ending, find_splits

Role = Literal["train", "eval"]
DEFAULT_SPLITS: dict[Role, tuple[str, ...]] = {"train": ("train",), "eval": ("validation", "test")}
PART = re.compile(r"[\w.-]+")
WITHOUT_HUB = "connect once: what was fetched is kept; or name a file that lies here"


@dataclass(frozen=True)
class HubName:
    """owner/name, owner/name:split or owner/name:configuration/split."""

    repository: str
    configuration: str | None
    split: str | None


@dataclass(frozen=True)
class Fetched:
    """A split as a local file. `title` says what it is; `note` what was not as usual, where something was not."""

    path: Path
    title: str
    note: str = ""


def parse_hub_name(name: str) -> HubName | None:
    """What a data_file names on the hub, or None where it is a path: it exists, or it has not the shape of a name.

    Raises `UsageProblem` for an owner/name with something behind the colon that is no split.
    """
    repository, colon, rest = name.partition(":")
    if not REPOSITORY.fullmatch(repository) or data_ending(repository) is not None:
        return None
    if Path(name).exists() or Path(repository.split("/")[0]).is_dir():
        return None
    parts = rest.split("/")
    if colon and (len(parts) > 2 or not all(PART.fullmatch(part) for part in parts)):
        raise UsageProblem(
            f"{name} names no split of a dataset", f"{repository}:SPLIT, or {repository}:CONFIGURATION/SPLIT"
        )
    return HubName(repository, parts[0] if len(parts) == 2 else None, parts[-1] or None)


def fetched_folder() -> Path:
    """Where fetched data lies."""
    return cache_folder() / "data"


def fetch_split(name: HubName, role: Role) -> Fetched:
    """The split as a local file, from the hub or, where that does not answer, from what was fetched before.

    Raises `SparksmithError` where it is gated or absent, has no such split, or cannot be fetched.
    """
    wanted = (name.split, SPLIT_WORDS.get(name.split, name.split)) if name.split else DEFAULT_SPLITS[role]
    reason = why_unreachable()
    if reason is not None:
        return _fetched_before(name, wanted, reason)
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise SparksmithError(
            "datasets on the hub are fetched with huggingface_hub, which is not installed beside this command",
            "in a clone of Sparksmith: make, then .venv/bin/sparksmith ...; or give a local file",
        ) from None
    try:
        info = HfApi().dataset_info(name.repository, timeout=30)
    except Exception as error:  # httpx's and the hub's own
        explained = explain_hub_error(error, "dataset", name.repository, WITHOUT_HUB)
        if isinstance(explained, NoAnswer):
            with suppress(SparksmithError):
                return _fetched_before(name, wanted, explained.message)
        raise explained from error
    files = [sibling.rfilename for sibling in info.siblings or ()]
    card: dict[str, Any] = dict(info.card_data.__dict__) if info.card_data is not None else {}
    configuration, entry = choose_config(card, name.configuration, name.repository)
    splits = find_splits(files, entry, name.repository)
    split = next((one for one in wanted if one in splits), None)
    if split is None:
        raise _no_split(name, wanted, splits, files)
    folder = fetched_folder() / _folder_name(name.repository, str(info.sha))
    parts, ending = _of_one_ending(splits[split])
    path = folder / f"{_stem(name, split)}{ending}"
    if not path.is_file():
        shards = [_download(name.repository, part, str(info.sha)) for part in parts]
        _put_together(shards, parts, ending, path)
    shown = f"{name.repository}:{configuration + '/' if configuration else ''}{split}"
    return Fetched(path, f"{shown} at commit {str(info.sha)[:8]}")


def _no_split(
    name: HubName, wanted: Sequence[str], splits: dict[str, list[str]], files: Sequence[str]
) -> SparksmithError:
    if not splits:
        return SparksmithError(
            f"the dataset {name.repository} holds no parquet, JSONL, CSV or TSV ({len(files)} other files)",
            f"hf download {name.repository} --repo-type dataset, and make a file of it",
        )
    if name.split:
        wanted = (name.split,)
    near = perhaps(wanted[0], splits)
    return SparksmithError(
        f"the dataset {name.repository} has no split {' and no split '.join(wanted)}{near}; "
        f"it has {', '.join(sorted(splits))}",
        f"{name.repository}:{f'{name.configuration}/' if name.configuration else ''}{min(splits)}",
    )


def _stem(name: HubName, split: str) -> str:
    return f"{name.configuration}--{split}" if name.configuration else split


def _folder_name(repository: str, commit: str) -> str:
    return f"{repository.replace('/', '--')}@{commit}"


def _fetched_before(name: HubName, splits: Sequence[str], reason: str) -> Fetched:
    """The newest file of a split that was fetched before. Raises `SparksmithError` where there is none."""
    for split in splits:
        stem = _stem(name, split)
        found = [
            path
            for path in fetched_folder().glob(f"{_folder_name(name.repository, '*')}/{stem}.*")
            if not path.name.startswith(".") and path.name.removesuffix(path.suffix) == stem
        ]
        if found:
            newest = max(found, key=lambda path: path.stat().st_mtime_ns)
            commit = newest.parent.name.partition("@")[2][:8]
            shown = f"{name.repository}:{f'{name.configuration}/' if name.configuration else ''}{split}"
            return Fetched(
                newest, f"{shown} at commit {commit}", f"{reason}; {shown} is taken as it was fetched before"
            )
    shown = name.repository + (f":{name.split}" if name.split else "")
    raise SparksmithError(
        f"there is no file {shown}; as a dataset on the hub it was not fetched before, and {reason}", WITHOUT_HUB
    )


def _download(repository: str, file: str, commit: str) -> Path:
    """One file of a dataset, in the hub's own cache. A break-off is resumed there. Raises `SparksmithError`."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset", revision=commit))
    except Exception as error:  # httpx's and the hub's own
        raise explain_hub_error(error, "dataset", repository, WITHOUT_HUB) from error


def _of_one_ending(files: Sequence[str]) -> tuple[list[str], str]:
    """The files of the most frequent kind, in order, and that kind's ending."""
    counts = Counter(cast(str, data_ending(file)) for file in files)
    ending = max(counts, key=lambda one: (counts[one], one == ".parquet"))
    return sorted(file for file in files if data_ending(file) == ending), ending


def _put_together(shards: Sequence[Path], names: Sequence[str], ending: str, path: Path) -> None:
    """Write the shards as one file, seen whole or not at all; one that is as it should be is linked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    beside = Path(name)
    try:
        plain = len(shards) == 1 and not names[0].endswith((".gz", ".json"))
        if plain:
            beside.unlink()
            try:
                os.link(shards[0].resolve(), beside)
            except OSError:  # another file system
                shutil.copyfile(shards[0], beside)
        elif ending == ".parquet":
            _join_parquet(shards, beside)
        else:
            with beside.open("wb") as file:
                _join_text(shards, names, ending, file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _join_parquet(shards: Sequence[Path], path: Path) -> None:
    """One parquet file of all the shards' row groups. Raises `SparksmithError` where their columns differ."""
    pyarrow = import_pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(shards[0]) as first:
            schema = first.schema_arrow
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for shard in shards:
                with pyarrow.parquet.ParquetFile(shard) as file:
                    for batch in file.iter_batches():
                        writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise SparksmithError(
            f"the split's {len(shards)} parquet files cannot be put together: {str(error).splitlines()[0][:200]}",
            "hf download them, and make one file of them",
        ) from None


def _join_text(shards: Sequence[Path], names: Sequence[str], ending: str, file: BinaryIO) -> None:
    """The shards' lines one after the other; a first line that all tables share is their header, and stays once."""
    firsts = []
    for shard, name in zip(shards, names, strict=True):
        with _opener(name)(shard) as source:
            firsts.append(source.readline().rstrip(b"\r\n"))
    headed = ending in {".csv", ".tsv"} and len(shards) > 1 and len(set(firsts)) == 1
    for at, (shard, name) in enumerate(zip(shards, names, strict=True)):
        with _opener(name)(shard) as source:
            if ending == ".jsonl" and firsts[at].lstrip().startswith(b"["):
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in json.loads(source.read())]
                file.write("".join(lines).encode())
                continue
            if headed and at:
                source.readline()
            last = b"\n"
            while piece := source.read(1 << 20):
                file.write(piece)
                last = piece
            if not last.endswith(b"\n"):
                file.write(b"\n")


def _opener(name: str) -> Callable[[Path], BinaryIO]:
    if name.endswith(".gz"):
        return lambda path: cast(BinaryIO, gzip.open(path, "rb"))
    return lambda path: path.open("rb")
