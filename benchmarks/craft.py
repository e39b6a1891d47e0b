"""What each technique of fine-tuning does to the test score, and what it costs, beside the baseline.

Every technique is one trial of the same study file with a few keys set, on the same data and seeds as
the baseline, so that differences are paired. Runs that the output holds already are not run again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from craft_data import DATASETS, baseline_keys
from craft_runs import Run, Runs, craft_options, table
from techniques import BASELINE, TECHNIQUES

from hpo.model.saved import TextClassifier
from hpo.runtime.preparation import prepare, trial_params
from hpo.spec.locations import Locations
from hpo.spec.study_file import find_study_file, read_study
from hpo.training.loop import TrialTraining
from hpo.training.result import Verdict

_WEIGHT_DECAY = 0.01


def main() -> None:
    options = craft_options(__doc__, TECHNIQUES, "craft.jsonl")
    logging.getLogger("hpo").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    runs = Runs(options.output)
    techniques = [BASELINE, *(name for name in options.only if name != BASELINE)]
    with TemporaryDirectory(prefix="hpo-craft-") as folder:
        for data in options.on:
            keys = baseline_keys(data, options, Path(folder))
            for technique in techniques:
                if technique in DATASETS[data].left_out:
                    continue
                for seed in range(options.seeds):
                    if not runs.has(data, technique, seed):
                        runs.add(_run(data, technique, seed, keys))
    print(table(runs.all, TECHNIQUES, BASELINE))


def _run(data: str, technique: str, seed: int, keys: Mapping[str, object]) -> Run:
    overrides: dict[str, object] = {**keys, **TECHNIQUES[technique], "study.seed": seed}
    overrides["search.space"] = {"weight_decay": [_WEIGHT_DECAY]}  # something has to be searched
    spec = read_study(find_study_file("quickstart"), overrides)
    context = prepare(spec, Locations.of()).context
    metric, tokens = spec.study.metric, context.data
    trial = TrialTraining(context, trial_params(spec, {"weight_decay": _WEIGHT_DECAY}), seed=seed)
    for stage in trial.stages:  # whose frozen part is computed once for all trials of a study
        for inputs in (*stage.train.values(), stage.validation):
            inputs.batch(inputs.stored(np.arange(1)))
    started = time.process_time()
    result = trial.run(lambda _evaluation: Verdict.GO_ON)
    seconds = time.process_time() - started
    classifier = TextClassifier.of(
        trial.classifier, context.features, trial.tuned_task, tokens.label_names, tokens.max_length
    )
    test = tokens.test.unsealed()
    found = classifier.probabilities(test, f"{tokens.fingerprint}:test")
    scores = context.task.metrics(found, test.labels, [metric])
    return Run(data, technique, seed, scores[metric], result.value, seconds)


if __name__ == "__main__":
    main()
