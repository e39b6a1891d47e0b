"""Searches that cannot be carried out."""

from __future__ import annotations

from tests.commands.bad_inputs.case import study_file

PLANS = (
    study_file(
        "an option that the sampler does not have",
        "[search.sampler]\nname = 'tpe'\nn_startup_trial = 5\n",
        "search.sampler.n_startup_trial: found an unknown option; expected one of the options of "
        "tpe: …. Did you mean n_startup_trials?",
    ),
    study_file(
        "an option of the sampler of the wrong type",
        "[search.sampler]\nname = 'tpe'\nn_startup_trials = '5'\n",
        "search.sampler.n_startup_trials: found '5'; expected a whole number. Correct the value.",
    ),
    study_file(
        "an option that the pruner does not have",
        "[search.pruner]\nname = 'median'\nwarmup = 1\n",
        "search.pruner.warmup: found an unknown option; expected one of the options of median: …",
    ),
    study_file(
        "an option that the pruner refuses",
        "[search.pruner]\nname = 'median'\nn_startup_trials = -1\n",
        "search.pruner: found options that median refuses (…-1…); expected values that the pruner "
        "median can work with. Correct the value, …",
    ),
    study_file(
        "a halving that leaves everything",
        "[search.pruner]\nname = 'hyperband'\nreduction_factor = 1\n",
        "search.pruner.reduction_factor: found 1; expected 2 or more. Correct the value, …",
    ),
    study_file(
        "a negative bootstrap",
        "[search.pruner]\nname = 'hyperband'\nbootstrap_count = -1\n",
        "search.pruner.bootstrap_count: found -1; expected 0 or more. Correct the value, …",
    ),
    study_file(
        "a choice among no candidates",
        "[search.sampler]\nname = 'tpe'\nn_ei_candidates = 0\nn_startup_trials = 0\n",
        "search.sampler.n_ei_candidates: found 0; expected 1 or more. Correct the value, …",
    ),
    study_file(
        "a population of one",
        "[search.sampler]\nname = 'cmaes'\npopsize = 1\n",
        "search.sampler.popsize: found 1; expected 4 or more. Correct the value, …",
    ),
    study_file(
        "a grid of real numbers",
        "[search]\nsampler = 'grid'\n[search.space]\nlearning_rate = { low = 1e-5, high = 1e-3 }\n",
        "search.space.learning_rate: found a range of real numbers without step; expected values "
        "that can be counted, …. List values (learning_rate = [1e-05, 0.001]) or add step.",
    ),
    study_file(
        "a grid smaller than the budget",
        "[study]\ntrials = 5\n[search]\nsampler = 'grid'\n[search.space]\nbatch_size = [8, 16]\n",
        "study.trials: found 5 trials for a grid of 2 points; expected at most 2. "
        "Lower the trials to 2, …",
    ),
    study_file(
        "cmaes without ranges",
        "[search]\nsampler = 'cmaes'\n[search.space]\nbatch_size = [8, 16]\n",
        "search.sampler: found cmaes on a space with fewer than two ranges; expected two ranges "
        "or more, …. Write lists of numbers as ranges, or …",
    ),
)

# Told once the data or the model have been looked at.
