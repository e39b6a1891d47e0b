"""Study files that are wrong."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case, space, study_file

STUDY_FILES = (
    Case(
        "a study that there is not",
        "quickstrat",
        "quickstrat: found no study of this name; expected one of …quickstart…, or the path of a "
        "study file. Write quickstart instead.",
    ),
    Case(
        "a path that there is not",
        "studies/mine.toml",
        "studies/mine.toml: found no such file; expected a study file (TOML). Name a file, or …",
    ),
    Case(
        "a folder in place of a study file",
        "mine.toml",
        "mine.toml: found a folder; expected a study file (TOML). Name a file, or one of: …",
        {"mine.toml": None},
    ),
    Case(
        "a study of a very long name",
        "x" * 300,
        "xxx…: found no study of this name; expected one of …. Write a name from that list.",
    ),
    Case(
        "a study file of nobody",
        "~no-such-user/mine.toml",
        "~no-such-user/mine.toml: found the home folder of a user that there is not; expected a "
        "study file (TOML). Name a file, or …",
    ),
    study_file(
        "broken TOML",
        "[study\n",
        "bad.toml: found a fault in its TOML (… line 1, …); expected valid TOML. Correct that line.",
    ),
    study_file(
        "a study file that is not UTF-8",
        b"[study]\nname='caf\xe9'\n",
        "bad.toml: found bytes that are not UTF-8 (at byte 17); expected a TOML text file. "
        "Save it as UTF-8.",
    ),
    study_file(
        "an unknown section",
        "[serach]\n",
        "bad.toml: serach: found an unknown key; expected a key of the study file: study, data, …. "
        "Did you mean search?",
    ),
    study_file(
        "an unknown key",
        "[study]\ntrails = 5\n",
        "bad.toml: study.trails: found an unknown key; expected a key of [study]: name, …. "
        "Did you mean trials?",
    ),
    study_file(
        "text in place of a number",
        "[study]\ntrials = '5'\n",
        "bad.toml: study.trials: found '5'; expected …integer. Write trials as integer.",
    ),
    study_file(
        "a value in place of a section",
        "study = 3\n",
        "bad.toml: study: found 3; expected a table. Write [study] and its keys below it.",
    ),
    study_file(
        "no trials",
        "[study]\ntrials = 0\n",
        "bad.toml: study.trials: found 0; expected greater than or equal to 1. Correct the value.",
    ),
    study_file(
        "a negative seed",
        "[study]\nseed = -1\n",
        "bad.toml: study.seed: found -1; expected greater than or equal to 0. Correct the value.",
    ),
    study_file(
        "a metric that there is not",
        "[study]\nmetric = 'acuracy'\n",
        "bad.toml: study.metric: found 'acuracy'; expected one of accuracy, …, f1_macro, …. "
        "Did you mean accuracy?",
    ),
    study_file(
        "a name with a slash",
        "[study]\nname = 'a/b'\n",
        "bad.toml: study.name: found 'a/b'; expected a name without / … Take another name.",
    ),
    study_file(
        "an empty name",
        "[study]\nname = ''\n",
        "bad.toml: study.name: found ''; expected some text. Fill in name, or leave it out.",
    ),
    study_file(
        "a number that is none",
        "[training]\nlearning_rate = nan\n",
        "bad.toml: training.learning_rate: found nan; expected a finite number. Correct the value.",
    ),
    study_file(
        "a length of nothing",
        "[data]\nmax_length = 0\n",
        "bad.toml: data.max_length: found 0; expected greater than or equal to 1. Correct the value.",
    ),
    study_file(
        "a policy of keeping nothing",
        "[tracking]\nkeep = 'top:0'\n",
        "bad.toml: tracking.keep: found 'top:0'; expected all, best or top:K with K of 1 or more. "
        "Correct the value.",
    ),
    study_file(
        "a sampler that there is not",
        "[search]\nsampler = 'tpee'\n",
        "bad.toml: search.sampler.name: found 'tpee'; expected one of tpe, gp, …. "
        "Did you mean tpe?",
    ),
    study_file(
        "a pruner that there is not",
        "[search]\npruner = 'hyperbnad'\n",
        "bad.toml: search.pruner.name: found 'hyperbnad'; expected one of hyperband, median, …. "
        "Did you mean hyperband?",
    ),
    study_file(
        "a sampler without a name",
        "[search.sampler]\nn_startup_trials = 5\n",
        "bad.toml: search.sampler.name: found nothing; expected a name. Add name = ….",
    ),
    study_file(
        "an option both fixed and searched",
        "[search.space]\nepochs = [1, 2]\n[training]\nepochs = 2\n",
        "bad.toml: training.epochs: found the option fixed here and searched in [search.space]; "
        "expected one of the two. Remove one of them.",
    ),
    space(
        "low above high",
        "learning_rate = { low = 1e-3, high = 1e-5 }",
        "learning_rate: found low = 0.001 above high = 1e-05; expected low at or below high. "
        "Swap the two.",
    ),
    space(
        "the logarithm of 0",
        "learning_rate = { low = 0, high = 1e-3, log = true }",
        "learning_rate.low: found 0 with log = true; expected a number above 0, …. "
        "Raise low or remove log.",
    ),
    space(
        "log and step together",
        "learning_rate = { low = 0.1, high = 0.5, log = true, step = 0.1 }",
        "learning_rate: found log and step together; expected one of the two. Remove one of them.",
    ),
    space(
        "a range without an end",
        "learning_rate = { low = 0.1 }",
        "learning_rate: found no high; expected both low and high. Add high = ….",
    ),
    space(
        "a list of nothing",
        "batch_size = []",
        "batch_size: found an empty list; expected at least one value. List the values to try.",
    ),
    space(
        "a value listed twice",
        "batch_size = [8, 16, 8]",
        "batch_size: found [8, 16, 8]; expected each value once. Remove the repeated value.",
    ),
    space(
        "an option that there is not",
        "lerning_rate = [0.1]",
        "lerning_rate: found an unknown option; expected one of learning_rate, …. "
        "Write learning_rate instead.",
    ),
    space(
        "a value in place of a range",
        "learning_rate = 0.1",
        "learning_rate: found 0.1; expected a list of values or a table with low and high. "
        "To fix the option, write learning_rate = 0.1 under [training] instead.",
    ),
    space(
        "a range of names",
        "schedule = { low = 1, high = 2 }",
        "schedule: found a range; expected a list, for the option is not a number. "
        "Write schedule = …",
    ),
    space(
        "a name that there is not",
        "schedule = ['linear', 'cosin']",
        "schedule[1]: found 'cosin'; expected 'linear', 'cosine', …. Correct the value.",
    ),
    space(
        "a negative freeze depth",
        "freeze_depth = [0, -1]",
        "freeze_depth[1]: found -1; expected greater than or equal to 0. Correct the value.",
    ),
)
