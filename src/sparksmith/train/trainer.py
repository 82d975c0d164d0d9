"""TRL's SFTTrainer with our order of the data, our loss and our optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from sparksmith.data.order import epoch_order
from sparksmith.model.loss import response_loss
from sparksmith.model.optimizer import make_optimizer
from sparksmith.recipe.plan import Plan


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
    """Supervised fine-tuning of a plan's model. The datasets hold input_ids and labels already."""

    def __init__(
        self, plan: Plan, *, model, tokenizer, collator, train_rows, eval_rows, arguments: SFTConfig, callbacks
    ):
        self.plan = plan
        self.tokens_seen = 0
        self.lengths = [len(ids) for ids in train_rows["input_ids"]]
        super().__init__(
            model=model, args=arguments, data_collator=collator, train_dataset=train_rows, eval_dataset=eval_rows,
            processing_class=tokenizer, callbacks=callbacks,
        )  # fmt: skip
        self.model_accepts_loss_kwargs = True  # ours divides by the step's tokens, whatever the model's forward takes
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset=None):
        return EpochSampler(self.lengths, self.plan)

    def create_optimizer(self, model=None):
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.model if model is None else model, self.plan)
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss of one micro-batch, its share of the optimizer step's."""
        self.tokens_seen += inputs.pop("tokens")
        loss, logits = response_loss(
            model, inputs, counted_tokens=num_items_in_batch, label_smoothing=self.plan.label_smoothing
        )
        return (loss, {"logits": logits}) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """The loss over all counted tokens of eval_file, without smoothing; it does not depend on the batch size."""
        self.model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.args.device)
        tokens = 0
        for inputs in self.get_eval_dataloader(eval_dataset):
            inputs.pop("tokens")
            inputs = self._prepare_inputs(inputs)
            with torch.no_grad(), self.compute_loss_context_manager():
                loss, _ = response_loss(self.model, inputs, counted_tokens=1)
            total += loss.double()
            tokens += int((inputs["labels"][:, 1:] != -100).sum())
        metrics = {f"{metric_key_prefix}_loss": (total / max(1, tokens)).item()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def create_model_card(self, *args, **kwargs):
        """None: the run's folder says what the run is."""
