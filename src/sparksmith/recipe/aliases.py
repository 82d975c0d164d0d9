"""Other names for the same keys, and names that are known but cannot be honoured, with the reason."""

from __future__ import annotations

# The spellings of Transformers' TrainingArguments and TRL's SFTConfig (docs of transformers 5.17 and TRL 1.16).
ALIASES = {
    "model_name_or_path": "model",
    "per_device_train_batch_size": "micro_batch_size",
    "per_device_eval_batch_size": "eval_batch_size",
    "max_seq_length": "max_length",
    "label_smoothing_factor": "label_smoothing",
    "train_file": "data_file",
    "validation_file": "eval_file",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "lora_target": "lora_target_modules",
    "lora_rank": "lora_r",
    "dataset_name": "data_file",  # TRL's scripts: a dataset on the hub, which data_file takes too
}

REFUSED = {
    "attn_implementation": "attention is always PyTorch's SDPA, which is also the faster one on Blackwell",
    "use_flash_attn": "attention is always PyTorch's SDPA; flash-attn has no usable wheel for the Spark",
    "load_in_4bit": "QLoRA is not built yet; leave it out for LoRA over bf16 weights",
    "load_in_8bit": "8-bit weights are not built yet; leave it out for LoRA over bf16 weights",
    "fp16": "float16 needs loss scaling and gains nothing over bfloat16 here; use precision bf16 or fp32",
    "packing": "packing is not built yet; group_by_length already keeps padding small",
    "assistant_only_loss": "use train_on: responses (the default) or all",
    "completion_only_loss": "use train_on: responses (the default) or all",
    "deepspeed": "one GPU is enough for what a Spark can hold, and deepspeed has no wheel for it",
    "fsdp": "sharding over several GPUs is not built yet",
    "push_to_hub": "Sparksmith does not upload; `checkpoint-N` is a folder that `hf upload` takes",
    "warmup_steps": "use warmup_ratio, the share of all steps",
    "eval_strategy": "eval_steps says how often, 0 for never",
    "save_strategy": "save_steps says how often",
    "load_best_model_at_end": "the best checkpoint by metric_for_best_model is kept; name it to predict and eval",
    "overwrite_output_dir": "a run is never written over; `sparksmith clean RUN` deletes one",
    "run_name": "a run is called by its folder; use output_dir",
    "do_train": "train always trains",
    "do_eval": "a run with an eval_file is always evaluated",
    "dataset_config": "it is part of the name: data_file owner/name:CONFIGURATION/SPLIT",
    "dataset_train_split": "it is part of the name: data_file owner/name:SPLIT",
    "dataset_test_split": "it is part of the name: eval_file owner/name:SPLIT",
    "dataloader_num_workers": "examples are tokenized before training, so that no workers are needed",
    "neftune_noise_alpha": "noise on embeddings is not built",
    "hub_token": "set HF_TOKEN, or `hf auth login`; a token on a command line is seen by every user",
    "torch_compile": "compilation is not built yet",
    "use_liger_kernel": "Transformers has deprecated it; faster kernels come with Sparksmith's own model code",
    "streaming": "data is read whole, so that it can be checked before the run starts",
    "trust_remote_code": "Sparksmith does not run code from a model's repository",
}


def canonical(name: str) -> str:
    """The recipe's key for a name as people type it: dashes for underscores, Transformers' spelling for ours."""
    plain = name.strip().replace("-", "_")
    return ALIASES.get(plain, plain)
