"""What an evaluation found, and its way into the run's folder. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_json
from sparksmith.data.examples import Example
from sparksmith.recipe.plan import Plan
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import RECORD_VERSION, write_evaluation
from sparksmith.score.alignment import align_row
from sparksmith.score.mistakes import Confusion, WrongRow, find_confusions, find_worst
from sparksmith.score.phones import Separated
from sparksmith.score.rates import Scores, score

UNTRAINED = "untrained.json"  # beside the run's records: what a resume would have to predict again
CONFUSIONS_KEPT = 200


@dataclass(frozen=True)
class Decoding:
    """How the answers were generated. `batch_size` is the one that fitted."""

    method: Literal["greedy"]
    batch_size: int
    max_new_tokens: int
    precision: Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Evaluation:
    """Predictions in the examples' order, what they are worth, and how they were made.

    `too_long` are the lines whose prompt does not fit the model: not answered, and scored as empty. `cut_off` counts
    the answers that reached the limit without ending. `worst` and `confusions` speak of phones, or of characters where
    `separated` is None.
    """

    predictions: tuple[str, ...]
    scores: Scores
    seconds: float
    decoding: Decoding
    too_long: tuple[int, ...]
    cut_off: int
    worst: tuple[WrongRow, ...]
    confusions: tuple[Confusion, ...]
    separated: Separated | None

    def to_json(self, *, model: str, data: str, rows: int, untrained: Evaluation | None) -> dict[str, Any]:
        """The record: evaluation.json, and the output of `sparksmith eval --json`."""
        return {
            "version": RECORD_VERSION, "model": model, "data": data, "rows": rows, "seconds": self.seconds,
            "decoding": asdict(self.decoding), "too_long": list(self.too_long), "cut_off": self.cut_off,
            "scores": self.scores.to_json(), "untrained": untrained.scores.to_json() if untrained else None,
            "worst": [row.to_json() for row in self.worst],
            "confusions": [confusion.to_json() for confusion in self.confusions[:CONFUSIONS_KEPT]],
        }  # fmt: skip

    def write(self, folder: RunFolder, plan: Plan, examples: Sequence[Example], untrained: Evaluation | None) -> None:
        """evaluation.json and predictions.jsonl of the run."""
        assert plan.eval_data is not None
        rows = []
        for at, example in enumerate(examples):
            row: dict[str, Any] = {
                "line": example.line, "prompt": example.prompt, "reference": example.response,
                "prediction": self.predictions[at],
            }  # fmt: skip
            if untrained:
                row["untrained"] = untrained.predictions[at]
            rows.append(row)
        record = self.to_json(model=plan.model, data=plan.eval_data.path, rows=len(examples), untrained=untrained)
        write_evaluation(folder.path, record, rows)

    def keep(self, folder: RunFolder) -> None:
        """Write down what the untrained model predicted, for the end of a run that is resumed before it."""
        kept = {
            "seconds": self.seconds, "decoding": asdict(self.decoding), "too_long": self.too_long,
            "cut_off": self.cut_off, "predictions": self.predictions,
        }  # fmt: skip
        write_json(folder.path / UNTRAINED, kept)


def make_evaluation(
    examples: Sequence[Example],
    predictions: Sequence[str],
    separated: Separated | None,
    *,
    seconds: float,
    decoding: Decoding,
    too_long: Sequence[int] = (),
    cut_off: int = 0,
) -> Evaluation:
    """Score the predictions of the examples, each of which has a prompt and a response.

    Raises `ValueError` where there are none, or not one for each example.
    """
    references = [example.response for example in examples]
    scores = score(references, predictions, separated)
    places = [(example.line, example.prompt) for example in examples]
    aligned = [align_row(*pair, separated) for pair in zip(references, predictions, strict=True)]
    return Evaluation(
        tuple(predictions), scores, seconds, decoding, tuple(too_long), cut_off,
        find_worst(places, references, predictions, aligned), find_confusions(aligned),
        separated,
    )  # fmt: skip


def recall_untrained(folder: RunFolder, examples: Sequence[Example], plan: Plan) -> Evaluation | None:
    """What was kept of the untrained model, or None where nothing was, or it does not belong to these examples."""
    try:
        kept = read_json(folder.path / UNTRAINED)
        predictions = tuple(map(str, kept["predictions"]))
        if len(predictions) != len(examples):
            return None
        return make_evaluation(
            examples, predictions, plan.spaces_separate, seconds=float(kept["seconds"]),
            decoding=Decoding(**kept["decoding"]), too_long=tuple(map(int, kept["too_long"])),
            cut_off=int(kept["cut_off"]),
        )  # fmt: skip
    except (SparksmithError, KeyError, TypeError, ValueError):
        return None
