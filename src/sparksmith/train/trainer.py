"""TRL's SFTTrainer with our order of the data, our loss, our optimizer, and checkpoints that are whole or not there."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from transformers import PrinterCallback, Trainer
from trl import SFTConfig, SFTTrainer

from sparksmith.base.errors import SparksmithError
from sparksmith.data.order import epoch_order
from sparksmith.model.loss import response_loss
from sparksmith.model.noise import replace_read
from sparksmith.model.optimizer import make_optimizer
from sparksmith.recipe.plan import Plan
from sparksmith.train.averaging import WeightAverage
from sparksmith.train.callbacks import EVALUATED
from sparksmith.train.saving import Saver
from sparksmith.train.stop import Stop


class EpochSampler(torch.utils.data.Sampler):
    """data/order.py as a torch sampler; the trainer tells it the epoch."""

    def __init__(self, lengths: Sequence[int], plan: Plan) -> None:
        self.lengths = lengths
        self.plan = plan
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        plan = self.plan
        return iter(
            epoch_order(self.lengths, plan.batch_size, plan.seed, self.epoch, group_by_length=plan.group_by_length)
        )


class FineTuner(SFTTrainer):
    """Supervised fine-tuning of a plan's model. The datasets hold input_ids, labels and each example's line.

    `score(step)` gives the figures of the held-out part besides its loss, or None where somebody asked to stop; it is
    None where there is nothing to score.
    """

    def __init__(
        self, plan: Plan, *, model, tokenizer, collator, train_rows, eval_rows, arguments: SFTConfig, callbacks,
        saver: Saver, stop: Stop, score: Callable[[int], dict[str, float] | None] | None = None,
    ):  # fmt: skip
        self.plan = plan
        self.saver = saver
        self.stop = stop
        self.score = score
        self.seconds_away = 0.0  # of evaluations, which are no part of the training's speed
        self.staging: Path | None = None
        self.tokens_seen = 0
        self.carried_loss: tuple[float, int] | None = None  # the logging window that a resume goes on with
        self.recent: deque[tuple[int, list[int], torch.Tensor]] = deque()  # (step, lines, loss) not yet looked at
        self.lengths = [len(ids) for ids in train_rows["input_ids"]]
        super().__init__(
            model=model, args=arguments, data_collator=collator, train_dataset=train_rows, eval_dataset=eval_rows,
            processing_class=tokenizer, callbacks=callbacks,
        )  # fmt: skip
        self.model_accepts_loss_kwargs = True  # ours divides by the step's tokens, whatever the model's forward takes
        self.remove_callback(PrinterCallback)
        self.average = WeightAverage(self.model, plan.ema_window, plan.max_steps) if plan.ema_window else None
        if self.average is not None:
            self.add_callback(self.average)

    def _get_train_sampler(self, train_dataset=None):
        return EpochSampler(self.lengths, self.plan)

    def create_optimizer(self, model=None):
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.model if model is None else model, self.plan)
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss of one micro-batch, its share of the optimizer step's."""
        self.tokens_seen += inputs.pop("tokens")
        lines = inputs.pop("lines")
        if self.plan.response_noise:
            read = replace_read(inputs["input_ids"], inputs["labels"], self.plan.response_noise)
            inputs = {**inputs, "input_ids": read}
        loss, logits = response_loss(
            model, inputs, counted_tokens=num_items_in_batch, label_smoothing=self.plan.label_smoothing
        )
        self.recent.append((self.state.global_step + 1, lines, loss.detach()))
        return (loss, {"logits": logits}) if return_outputs else loss

    def check_losses(self) -> None:
        """Look at the losses since the last look. Raises `SparksmithError` that names the first step that went wrong.

        Done before each log and each save, so that nothing that is not a number is ever saved.
        """
        if not self.recent:
            return
        finite = torch.isfinite(torch.stack([loss for _, _, loss in self.recent])).tolist()
        for (step, lines, _), good in zip(self.recent, finite, strict=True):
            if not good:
                shown = ", ".join(map(str, lines[:16])) + (" ..." if len(lines) > 16 else "")
                last = f"checkpoint-{self.saver.saved_step}" if self.saver.saved_step else "none"
                raise SparksmithError(
                    f"the loss is not a number at step {step} (lines {shown} of the data); "
                    f"the last good checkpoint is {last}",
                    "look at those lines, or try a smaller --learning_rate or --max_grad_norm 1",
                )
        self.recent.clear()

    def check_weights(self) -> None:
        """A gradient that overflows under a good loss spoils the weights one step before the loss shows it.

        Raises `SparksmithError`, so that no such weights are saved.
        """
        trained = [parameter.detach() for parameter in self.model.parameters() if parameter.requires_grad]
        largest = torch.stack([norm.float() for norm in torch._foreach_norm(trained, float("inf"))])
        if not torch.isfinite(largest).all():
            last = f"checkpoint-{self.saver.saved_step}" if self.saver.saved_step else "none"
            raise SparksmithError(
                f"the weights are not numbers after step {self.state.global_step}; the last good checkpoint is {last}",
                "try a smaller --learning_rate or --max_grad_norm 1",
            )

    def _maybe_log_save_evaluate(self, *args, **kwargs):
        if self.control.should_log or self.control.should_save:
            self.check_losses()
        if self.control.should_save:
            self.check_weights()
        super()._maybe_log_save_evaluate(*args, **kwargs)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """The loss over all counted tokens of eval_file, without smoothing, and the scores of greedy answers.

        Neither depends on the batch size. A request to stop ends it without a figure, and the training with it.
        """
        began = time.monotonic()
        averaged = self.average.in_place() if self.average else contextlib.nullcontext()
        with averaged, torch.random.fork_rng(devices=()):  # a loader draws a number, and a stop may pass it over
            metrics = self.held_out_figures(eval_dataset)
        self.seconds_away += time.monotonic() - began
        if self.stop.reason is not None:
            self.check_losses()  # no save was due when the others were looked at
            self.check_weights()
            self.control.should_save = True
            self.control.should_training_stop = True
        if metrics is None:
            return {}
        metrics["eval_seconds"] = time.monotonic() - began
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def held_out_figures(self, eval_dataset) -> dict[str, float] | None:
        """The figures of the weights as they are, or None where somebody asked to stop."""
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.args.device)
        tokens = 0
        for inputs in self.get_eval_dataloader(eval_dataset):
            if self.stop.reason is not None:
                return None
            inputs.pop("tokens")
            inputs.pop("lines")
            inputs = self._prepare_inputs(inputs)
            with torch.no_grad(), self.compute_loss_context_manager():
                loss, _ = response_loss(self.model, inputs, counted_tokens=1)
            total += loss.double()
            tokens += int((inputs["labels"][:, 1:] != -100).sum())
        scores = self.score(self.state.global_step) if self.score else {}
        return None if scores is None else {"eval_loss": (total / max(1, tokens)).item(), **scores}

    # Saving: the Trainer writes its files into a folder beside, which is sealed and renamed.

    def _get_output_dir(self, trial=None):
        return str(self.staging or self.args.output_dir)

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step

        def write(staging: Path) -> None:
            self.staging = staging
            try:
                Trainer._save_checkpoint(self, model, trial)
            finally:
                self.staging = None
            if self.average is not None:
                self.average.save(staging / f"checkpoint-{step}")

        weights, states = self.sizes()
        on_gpu = self.plan.device == "cuda"
        evaluated = [row for row in self.state.log_history if row.get("step") == step and "eval_loss" in row]
        figures = {"eval_loss": None, **(evaluated[-1] if evaluated else {})}
        self.saver.save(
            step,
            write,
            disk=weights + states,
            memory=weights + states if on_gpu else 0,  # safetensors and torch.save copy what lies on the GPU
            tokens_seen=self.tokens_seen,
            loss_window=[self._tr_loss.item(), self._globalstep_last_logged],
            **{name: figures[name] for name in figures if name.startswith(EVALUATED) and name != "eval_seconds"},
        )

    def save_model(self, output_dir=None, _internal_call=False):
        with self.average.in_place() if self.average else contextlib.nullcontext():
            super().save_model(output_dir, _internal_call)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average is not None:
            self.average.load(Path(resume_from_checkpoint))

    def sizes(self) -> tuple[int, int]:
        """Bytes that a save writes: (weights, optimizer states). Of a LoRA run only the adapter is written."""
        full = self.plan.full_finetuning
        weights = {p.data_ptr(): p.nbytes for p in self.model.parameters() if full or p.requires_grad}
        if self.average is not None:
            weights |= {mean.data_ptr(): mean.nbytes for mean in self.average.average}
        states = [
            value.nbytes
            for state in self.optimizer.state.values()
            for value in state.values()
            if isinstance(value, torch.Tensor)
        ]
        return sum(weights.values()), sum(states)

    def carry_on(self, *, tokens_seen: int, loss_window: tuple[float, int] | None) -> None:
        """What a checkpoint of ours keeps besides the Trainer's state: set before `train` resumes from it."""
        self.tokens_seen = tokens_seen
        self.carried_loss = loss_window

    def restore_window(self) -> None:
        """The losses since the last log, so that the next point of the curve is what it would have been."""
        if self.carried_loss is not None:
            total, last_logged = self.carried_loss
            self._tr_loss += total
            self._globalstep_last_logged = last_logged
            self.carried_loss = None

    def create_model_card(self, *args, **kwargs):
        """None: the run's folder says what the run is."""
