"""What other programs call our keys and names, so that a message can say what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hpo.errors import nearest_name

_USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "learning_rate": ("lr", "max_lr", "peak_lr", "step_size"),
    "batch_size": ("bs", "batch", "per_device_train_batch_size", "train_batch_size"),
    "epochs": ("epoch", "num_epochs", "n_epochs", "num_train_epochs", "max_epochs"),
    "weight_decay": ("wd", "decay", "l2"),
    "warmup_ratio": ("warmup", "warmup_steps", "warmup_fraction"),
    "schedule": ("scheduler", "lr_scheduler", "lr_scheduler_type", "lr_schedule"),
    "optimizer": ("optim", "optimiser", "solver"),
    "max_grad_norm": ("clip", "grad_clip", "gradient_clip_val", "clip_grad_norm", "clipping"),
    "layer_decay": ("llrd", "layerwise_lr_decay", "layer_wise_decay"),
    "epsilon": ("eps", "adam_epsilon"),
    "beta1": ("adam_beta1",),
    "beta2": ("adam_beta2",),
    "class_weight": ("class_weights", "pos_weight"),
    "focal_gamma": ("gamma", "focal"),
    "precision": ("amp", "dtype", "torch_dtype", "mixed_precision"),
    "trials": ("n_trials", "num_trials", "max_trials", "budget"),
    "seed": ("random_state", "random_seed"),
    "max_length": ("max_len", "max_seq_len", "max_seq_length", "sequence_length"),
    "max_train_examples": ("max_train_samples", "n_train", "subset"),
    "source": ("path", "dataset", "data_files", "file"),
    "text": ("text_column", "text_col", "texts"),
    "label": ("label_column", "label_col", "target"),
    "f1_macro": ("f1", "macro_f1", "f1_score", "fscore", "f_score"),
    "balanced_accuracy": ("bacc", "balanced_acc", "macro_recall", "uar"),
    "accuracy": ("acc", "top1", "accuracy_score"),
    "mcc": ("matthews", "matthews_corrcoef", "matthews_correlation"),
    "log_loss": ("loss", "nll", "cross_entropy", "crossentropy", "logloss"),
    "f1_micro": ("micro_f1",),
    "mean_average_precision": ("map",),
    "rmse": ("mse", "root_mean_squared_error", "mean_squared_error"),
    "mae": ("mean_absolute_error",),
    "spearman": ("spearmanr",),
    "r2": ("r2_score",),
    "bf16": ("bfloat16", "bf16_mixed", "bf16_true", "fp16", "float16", "half", "16", "16_mixed"),
    "fp32": ("float32", "float", "single", "32", "32_true", "full"),
    "adamw": ("adam_w", "adamw_torch", "adamw_hf"),
    "cosine": ("cosine_annealing", "cosineannealinglr"),
    "constant": ("none", "fixed"),
    "plateau": ("reduce_on_plateau", "reducelronplateau", "reduce_lr_on_plateau"),
    "one_cycle": ("onecycle", "onecyclelr", "1cycle"),
}


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant by another: the same in other letters, a usual synonym, or the nearest."""
    folded = name.strip().lower().replace("-", "_").replace(" ", "_")
    names = list(known)
    if folded in names:
        return folded
    synonym = next((ours for ours in names if folded in _USUAL.get(ours, ())), None)
    return synonym or nearest_name(name, names)
