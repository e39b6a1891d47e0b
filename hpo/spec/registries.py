"""What a study file, a file's suffix or a command line can name: a registry for each kind of thing.

A member is imported only when it is used, so that this module is light: adding one of this project's
is a line here, adding one from another package an entry point (docs/contributing.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hpo.spec.registry import Registry

OPTIMIZERS: Final = Registry(
    "hpo.optimizers",
    {
        "adamw": "hpo.training.update_rules:ADAMW",
        "sgd": "hpo.training.update_rules:SGD",
        "adam": "hpo.training.update_rules:ADAM",
        "adafactor": "hpo.training.update_rules:ADAFACTOR",
        "lion": "hpo.training.update_rules:LION",
        "muon": "hpo.training.update_rules:MUON",
        "schedule_free_adamw": "hpo.training.update_rules:SCHEDULE_FREE_ADAMW",
    },
)
"""Names to `hpo.training.optimizer.UpdateRule`."""

SCHEDULES: Final = Registry(
    "hpo.schedules",
    {
        "linear": "hpo.training.schedule:linear",
        "cosine": "hpo.training.schedule:cosine",
        "constant": "hpo.training.schedule:constant",
        "polynomial": "hpo.training.schedule:POLYNOMIAL",
        "inverse_sqrt": "hpo.training.schedule:INVERSE_SQRT",
        "wsd": "hpo.training.schedule:WARMUP_STABLE_DECAY",
        "one_cycle": "hpo.training.schedule:ONE_CYCLE",
        "plateau": "hpo.training.schedule:PLATEAU",
    },
)
"""Names to functions: the share of the steps after warm-up that remain, 1 to 0, to the share of the peak rate;
or to a `hpo.training.schedule.Course`, which is told more."""

METRICS: Final = Registry(
    "hpo.metrics",
    {
        "accuracy": "hpo.tasks.metrics:ACCURACY",
        "balanced_accuracy": "hpo.tasks.metrics:BALANCED_ACCURACY",
        "f1_macro": "hpo.tasks.metrics:F1_MACRO",
        "mcc": "hpo.tasks.metrics:MCC",
        "log_loss": "hpo.tasks.metrics:LOG_LOSS",
        "f1_micro": "hpo.tasks.multi_label_metrics:F1_MICRO",
        "f1_samples": "hpo.tasks.multi_label_metrics:F1_SAMPLES",
        "subset_accuracy": "hpo.tasks.multi_label_metrics:SUBSET_ACCURACY",
        "mean_average_precision": "hpo.tasks.multi_label_metrics:MEAN_AVERAGE_PRECISION",
        "rmse": "hpo.tasks.regression_metrics:RMSE",
        "mae": "hpo.tasks.regression_metrics:MAE",
        "spearman": "hpo.tasks.regression_metrics:SPEARMAN",
        "r2": "hpo.tasks.regression_metrics:R2",
    },
)
"""Names to `hpo.tasks.scorer.Scorer`."""

SAMPLERS: Final = Registry(
    "hpo.samplers",
    {
        "tpe": "hpo.search.samplers:TPE",
        "gp": "hpo.search.samplers:GP",
        "cmaes": "hpo.search.samplers:CMAES",
        "random": "hpo.search.samplers:RANDOM",
        "qmc": "hpo.search.samplers:QMC",
        "grid": "hpo.search.samplers:grid",
        "nsga2": "hpo.search.samplers:NSGA2",
    },
)
"""Names to what `hpo.search.samplers.make_sampler` calls: a choice, a space and a seed to a sampler."""

PRUNERS: Final = Registry(
    "hpo.pruners",
    {
        "hyperband": "hpo.search.pruners:HYPERBAND",
        "median": "hpo.search.pruners:MEDIAN",
        "percentile": "hpo.search.pruners:PERCENTILE",
        "successive_halving": "hpo.search.pruners:SUCCESSIVE_HALVING",
        "patient": "hpo.search.pruners:patient",
        "wilcoxon": "hpo.search.pruners:WILCOXON",
        "none": "hpo.search.pruners:none",
    },
)
"""Names to what `hpo.search.pruners.make_pruner` calls: a choice and a `Pace` to a pruner."""

DATA_FORMATS: Final = Registry(
    "hpo.data_formats",
    {
        "csv": "hpo.data.formats.delimited:read_csv",
        "tsv": "hpo.data.formats.delimited:read_tsv",
        "jsonl": "hpo.data.formats.json_tables:read_jsonl",
        "ndjson": "hpo.data.formats.json_tables:read_jsonl",
        "json": "hpo.data.formats.json_tables:read_json",
        "parquet": "hpo.data.formats.arrow:read_parquet",
        "arrow": "hpo.data.formats.arrow:read_arrow",
        "feather": "hpo.data.formats.arrow:read_arrow",
        "xlsx": "hpo.data.formats.excel:read_excel",
    },
)
"""Suffixes without their dot to functions: a path to a `hpo.data.table.Table`.

One that reads text may take a `hpo.data.formats.options.ReadOptions` after the path.
"""


def data_format(path: Path) -> str | None:
    """The format of a file, by its suffix; None where no such format is read."""
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix and suffix in DATA_FORMATS else None


COMMANDS: Final = Registry(
    "hpo.commands",
    {
        "run": "hpo.run:main",
        "data": "hpo.data_command:main",
        "worker": "hpo.worker:main",
        "submit": "hpo.submit:main",
        "ui": "hpo.ui:main",
        "doctor": "hpo.doctor:main",
        "ensemble": "hpo.ensemble:main",
        "predict": "hpo.predict:main",
        "studies": "hpo.studies_command:main",
        "export": "hpo.export:main",
        "report": "hpo.report:main",
    },
)
"""Words after `hpo` to functions: from what stands in `sys.argv` to the exit code."""
