"""A plan as TRL's arguments. What our own parts decide (order, loss, optimizer, recompute) is switched off here."""

from __future__ import annotations

from pathlib import Path

from trl import SFTConfig

from sparksmith.recipe.plan import Plan


def training_arguments(plan: Plan, folder: Path) -> SFTConfig:
    """TRL's configuration for this plan, writing its checkpoints into the run's folder."""
    return SFTConfig(
        output_dir=str(folder),
        max_steps=plan.max_steps,
        per_device_train_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        per_device_eval_batch_size=plan.micro_batch_size,
        learning_rate=plan.learning_rate,
        lr_scheduler_type=plan.lr_scheduler_type,
        warmup_steps=plan.warmup_ratio,  # Transformers 5: a number below 1 is a share of the steps
        weight_decay=plan.weight_decay,
        max_grad_norm=plan.max_grad_norm,
        seed=plan.seed,
        bf16=plan.precision == "bf16",
        use_cpu=plan.device == "cpu",
        logging_steps=plan.logging_steps,
        logging_nan_inf_filter=False,  # a NaN is shown, not averaged away
        save_strategy="steps",
        save_steps=plan.save_steps,
        save_total_limit=None,  # the Saver deletes, and only what is whole and ours
        eval_strategy="steps" if plan.eval_steps and plan.eval_data else "no",
        eval_steps=plan.eval_steps or None,
        report_to=plan.report_to,
        run_name=folder.name,
        disable_tqdm=True,
        gradient_checkpointing=False,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=plan.device == "cuda",
    )
