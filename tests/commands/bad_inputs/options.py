"""Options of the commands that are wrong."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case

OPTIONS = (
    Case(
        "a setting without =",
        "--set trials",
        "--set: found 'trials'; expected key=value with a dotted key. Write e.g. --set …",
    ),
    Case(
        "a setting of an unknown key",
        "--set study.trails=3",
        "--set study.trails: found an unknown key; expected a key of [study]: …. "
        "Did you mean trials?",
    ),
    Case(
        "a setting of a whole section",
        "--set training=3",
        "--set training: found 3; expected a table. Write [training] and its keys below it.",
    ),
    Case(
        "a setting that searches what cannot be searched",
        "--set 'search.space={early_stopping=[1]}'",
        "--set search.space: search.space.early_stopping: found an option that cannot be searched; "
        "expected one of learning_rate, …. Remove it, or fix it: early_stopping = … under "
        "[training].",
    ),
    Case(
        "trials in letters",
        "--trials abc",
        "--trials: found 'abc'; expected a whole number. Write e.g. --trials 4.",
    ),
    Case(
        "no trials by option",
        "--trials 0",
        "--trials: found 0; expected greater than or equal to 1. Correct the value.",
    ),
    Case(
        "no workers",
        "--workers 0",
        "--workers: found '0'; expected auto, or a number of 1 or more. Write e.g. `--workers 2`.",
    ),
    Case(
        "workers in letters",
        "--workers x",
        "--workers: found 'x'; expected auto, or a number of 1 or more. Write e.g. `--workers 2`.",
    ),
    Case(
        "a duration in an unknown unit",
        "--timeout 5x",
        "--timeout: found '5x'; expected a duration such as 90s, 30m or 2h. Write a number and …",
    ),
    Case(
        "a policy that there is not",
        "--keep top:x",
        "--keep: found 'top:x'; expected all, best or top:K with K of 1 or more. Correct the value.",
    ),
    Case(
        "an option that the command does not have",
        "--trails 5",
        "--trails: found an unknown option; expected an option of hpo.run. Did you mean --trials?",
    ),
    Case(
        "an option without its value",
        "--trials",
        "--trials: found nothing after it; expected a value. Write --trials and a value.",
    ),
    Case(
        "two studies",
        "quickstart imdb",
        "hpo.run: found 'imdb', one argument too many; expected STUDY and options. "
        "`hpo.run --help` lists them.",
    ),
    Case(
        "a size in words",
        "",
        "HPO_CACHE_LIMIT: found '20 gigs'; expected a size such as 500MB or 20GB. Write a number …",
        environment={"HPO_CACHE_LIMIT": "20 gigs"},
    ),
    Case(
        "a priority in words",
        "--priority high",
        "--priority: found 'high'; expected a whole number. Write e.g. --priority 4.",
        command="submit",
    ),
    Case(
        "no threads",
        "--threads 0",
        "--threads: found '0'; expected a whole number from 1 to 4096. Write e.g. --threads 4.",
        command="worker",
    ),
    Case(
        "a worker of two studies",
        "--study a b",
        "hpo.worker: found 'b', one argument too many; expected options. "
        "`hpo.worker --help` lists them.",
        command="worker",
    ),
    Case(
        "a flush of any length",
        "--timeout soon",
        "--timeout: found 'soon'; expected a duration such as 90s, 30m or 2h. Write a number and …",
        command="doctor",
    ),
    Case(
        "a priority beyond its column",
        f"--priority {2**63}",
        "--priority: found '9223372036854775808'; expected a whole number from -2147483648 to "
        "2147483647. Write e.g. --priority 4.",
        command="submit",
    ),
    Case(
        "a seed beyond the generators",
        f"--seed {2**32}",
        "--seed: found '4294967296'; expected a whole number from 0 to 4294967295. Write …",
    ),
    Case(
        "more workers than machines have",
        f"--workers {10**9}",
        "--workers: found '1000000000'; expected auto, or a number of four digits at most. Write …",
    ),
    Case(
        "more threads than machines have",
        f"--threads {10**12}",
        "--threads: found '1000000000000'; expected a whole number from 1 to 4096. Write …",
        command="worker",
    ),
    Case(
        "a time-out longer than clocks count",
        f"--timeout {'9' * 5000}h",
        "--timeout: found '999…'; expected a duration such as 90s, 30m or 2h. Write a number …",
    ),
    Case(
        "a limit of nothing",
        "--timeout 5m",
        "--timeout: found it without --flush; expected --flush, which it limits. Add --flush, …",
        command="doctor",
    ),
    Case(
        "a study from a variable that is not set",
        "''",
        "STUDY: found an empty value; expected a value. Fill it in, or leave it out.",
    ),
    Case(
        "a level of telling that there is not",
        "",
        "HPO_LOG: found 'loud'; expected one of DEBUG, INFO, …. Set HPO_LOG=INFO, or leave it out.",
        environment={"HPO_LOG": "loud"},
    ),
    Case(
        "a momentum for adamw",
        "--set training.momentum=0.5",
        "--set training.momentum: found 0.5, but the optimizer is adamw; expected the optimizer "
        "sgd, without which it does nothing. Remove it.",
    ),
    Case(
        "a configuration of the demo's data",
        "--set data.config=plain",
        "--set data.config: found 'plain', but the data are the demo's; expected a hub data set, "
        "without which it does nothing. Remove it.",
    ),
    Case(
        "a point beyond the space",
        """--enqueue '{"learning_rate":1}'""",
        "--enqueue learning_rate: found 1; expected a number from …. Correct the value, or leave "
        "the key out to have it sampled.",
    ),
    Case(
        "a replay of a study that is not there",
        "--replay quickstart#3",
        "…optuna.db: found no study quickstart; expected a study that was submitted. Check the name, "
        "or submit the study first.",
    ),
    Case(
        "a replay of no trial",
        "--replay quickstart",
        "--replay: found 'quickstart'; expected a study and the number of one of its trials. "
        "Write e.g. --replay 'quickstart#17'.",
    ),
    Case(
        "a replay with other settings",
        "--replay quickstart#3 --set training.epochs=2",
        "--replay: found --set beside it; expected the trial alone, whose settings are stored. "
        "Leave --set out.",
    ),
    *(
        Case(
            f"a setting whose key is long, as {key[:1]}…",
            f"--set {key}=1",
            f"--set: found '{(key + '=1')[:60]}…'; expected key=value with a dotted key. Write e.g. …",
        )
        for key in (".".join("a" * 5_000), "a" * 5_000, "é" * 300)
    ),
    Case(
        "a study for data that is nearly one",
        "quickstrat",
        "SOURCE: found 'quickstrat', which is no study, file or folder; expected a study or data. "
        "Did you mean quickstart? Data of the hub of that name are --data quickstrat.",
        command="data",
    ),
    *(
        Case(
            f"a model's address that is none, {address!a}",
            f"--model {address} x",
            f"{said}: found no such address; expected models:/NAME@ALIAS, …. The last lines of …",
            command="predict",
        )
        for address, said in (
            ("models:/", "models:/"),
            ("models:/a@b@c", "models:/a@b@c"),
            ("models:/a/99999999999999999999", "models:/a/99999999999999999999"),
            ("models:/a\x1b@champion", "models:/a\\x1b@champion"),
            ("runs:/a", "runs:/a"),
        )
    ),
    Case(
        "more than one trial where nothing is searched",
        "quickstart --set search.space={} --trials 3",
        "--trials: found 3, where nothing is searched; expected 1. Search an option, or …",
    ),
)
