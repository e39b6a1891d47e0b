"""Bad study files, options, places, data and models, and what must be said about each.

`says` is the error after `error: `, with … for what does not matter.
"""

from __future__ import annotations

import codecs
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

Content = str | bytes | None


@dataclass(frozen=True)
class Case:
    """One bad input. name: in words; line: the arguments, parted by spaces; says: the error;
    files: what the folder holds (None: a folder)."""

    name: str
    line: str
    says: str
    files: Mapping[str, Content] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: str = "run"


def study_file(name: str, toml: str | bytes, says: str) -> Case:
    return Case(name, "bad.toml", says, {"bad.toml": toml})


def space(name: str, entry: str, says: str) -> Case:
    return study_file(name, f"[search.space]\n{entry}\n", f"bad.toml: search.space.{says}")


def data(name: str, file: str, content: str | bytes, says: str, options: str = "") -> Case:
    return Case(name, f"--data {file} {options}", says, {file: content})


def model(name: str, config: str | None, says: str, options: str = "", **files: Content) -> Case:
    named = {
        f"model/{key}" if "." in key else f"model/{key}.safetensors": content
        for key, content in files.items()
    }
    written = {} if config is None else {"model/config.json": config}
    return Case(name, f"--model model {options}", says, {"model/notes": "", **written, **named})


def database(*tables: str) -> bytes:
    """A SQLite file with tables of these names."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
        connection.commit()
        return connection.serialize()


def damaged_database() -> bytes:
    """A SQLite file in which one letter of a name is another than in the index over it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE names (name TEXT)")
        connection.execute("CREATE INDEX by_name ON names (name)")
        connection.execute("INSERT INTO names VALUES ('as it was')")
        connection.commit()
        return connection.serialize().replace(b"as it was", b"as it wat", 1)


# Told before anything heavy is imported.
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
        "an empty search space",
        "[search.space]\n",
        "bad.toml: search.space: found an empty table; expected at least one option to search. "
        "Add e.g. learning_rate = …",
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
        "--workers: found '0'; expected auto, or a number of 1 or more. Write e.g. --workers 2.",
    ),
    Case(
        "workers in letters",
        "--workers x",
        "--workers: found 'x'; expected auto, or a number of 1 or more. Write e.g. --workers 2.",
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
)

PLACES = (
    Case(
        "a storage that is no URL",
        "--storage optuna.db",
        "optuna.db: found something that is not a URL; expected sqlite:///FILE or …. "
        "Write sqlite:///optuna.db for a file.",
    ),
    Case(
        "a storage of another kind",
        "--storage mysql://me:secret@host/studies",
        "mysql://me:***@host/studies: found a storage of kind mysql; expected sqlite:///FILE or "
        "postgresql://…. Use SQLite on one machine, and PostgreSQL for several.",
    ),
    Case(
        "a storage in a folder that there is not",
        "--storage sqlite:///no/optuna.db",
        "sqlite:///no/optuna.db: found no folder no; expected a file in a folder that exists. "
        "Create the folder, or name another file.",
    ),
    Case(
        "a storage that is a text",
        "--storage sqlite:///notes.txt",
        "sqlite:///notes.txt: found a file that is not a SQLite database, …; expected a SQLite "
        "database, …. Name another file, …",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
    ),
    Case(
        "a storage that is a folder",
        "--storage sqlite:///folder",
        "sqlite:///folder: found a folder; expected a file. Write sqlite:///folder/optuna.db.",
        {"folder": None},
    ),
    *(
        Case(
            f"a storage on a host, for {command}",
            f"--storage sqlite://host/o.db {options}",
            "sqlite://host/o.db: found the host host; expected sqlite:///FILE, and nothing else. "
            "Write sqlite:///o.db.",
            command=command,
        )
        for command, options in (("run", ""), ("submit", "--no-check"), ("worker", ""))
    ),
    Case(
        "a storage with a query",
        "--storage sqlite:///o.db?timeout=5",
        "sqlite:///o.db?timeout=5: found a query, …; expected sqlite:///FILE, and nothing else. Write …",
    ),
    Case(
        "a storage in memory",
        "--storage sqlite://",
        "sqlite://: found no file; expected sqlite:///FILE, …. Write sqlite:///optuna.db, …",
    ),
    Case(
        "UIs of a storage that is a text",
        "--storage sqlite:///notes.txt",
        "sqlite:///notes.txt: found a file that is not a SQLite database, …; expected …. …",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
        command="ui",
    ),
    Case(
        "UIs of no study",
        "",
        "sqlite:///optuna.db: found no file optuna.db; expected the storage of a study. …",
        command="ui",
    ),
    Case(
        "a flush of another program's storage",
        "--flush --storage sqlite:///mlflow.db",
        "sqlite:///mlflow.db: found the tables of an MLflow tracking store; expected …. …",
        {"mlflow.db": database("experiments", "runs", "alembic_version")},
        command="doctor",
    ),
    Case(
        "a storage that is MLflow's",
        "--storage sqlite:///mlflow.db",
        "sqlite:///mlflow.db: found the tables of an MLflow tracking store; expected a database "
        "of its own …. Use separate databases, …",
        {"mlflow.db": database("experiments", "runs", "alembic_version")},
    ),
    Case(
        "a storage that is damaged",
        "--storage sqlite:///o.db",
        "sqlite:///o.db: found a damaged database (row 1 missing from index by_name); expected a "
        "file …. Restore it from a copy, …, or use another --storage.",
        {"o.db": damaged_database()},
    ),
    Case(
        "a storage where nothing can be written",
        "--storage sqlite:////proc/o.db",
        "sqlite:////proc/o.db: found /proc, which cannot be written (…); expected a file and a "
        "folder that can be written. Change the rights, or use another --storage.",
    ),
    Case(
        "a database server that is not there",
        "--storage postgresql://me:secret@127.0.0.1:1/hpo",
        "postgresql://me:***@127.0.0.1:1/hpo: found no server that answers (…refused…); "
        "expected PostgreSQL at 127.0.0.1. Start the server, or check host and port.",
    ),
    Case(
        "a storage that a worker cannot use",
        "--storage mysql://host/studies",
        "mysql://host/studies: found a storage of kind mysql; expected …. Use SQLite …",
        command="worker",
    ),
    Case(
        "a storage that submit cannot use",
        "--storage optuna.db",
        "optuna.db: found something that is not a URL; expected …. Write sqlite:///optuna.db …",
        command="submit",
    ),
    Case(
        "a tracking URI of another scheme",
        "--tracking-uri ftp://host",
        "tracking URI ftp://host: found the scheme ftp; expected http(s)://host:port, …. "
        "Give one of those.",
    ),
    Case(
        "a file store",
        "--tracking-uri file:///tmp/mlruns",
        "tracking URI file:///tmp/mlruns: found a folder (the file store…); expected …. "
        "Write sqlite:///mlflow.db, …",
    ),
    Case(
        "a folder as tracking store",
        "",
        "tracking URI ./mlruns: found a folder (…); expected …. Write sqlite:///mlflow.db, …",
        environment={"MLFLOW_TRACKING_URI": "./mlruns"},
    ),
    Case(
        "a tracking store that is a text",
        "--tracking-uri sqlite:///notes.txt",
        "tracking URI sqlite:///…/notes.txt: found a file that is no SQLite database (…); "
        "expected …. Give another file.",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
    ),
    Case(
        "a tracking store that is Optuna's",
        "--tracking-uri sqlite:///studies.db",
        "tracking URI sqlite:///…/studies.db: found an Optuna database; expected …. "
        "Give MLflow a file of its own: …",
        {"studies.db": database("studies", "trials")},
    ),
    Case(
        "a tracking store where nothing can be written",
        "--tracking-uri sqlite:////proc/m.db",
        "tracking URI sqlite:////proc/m.db: found /proc, where nothing can be written (…); "
        "expected …. Give a file elsewhere.",
    ),
    Case(
        "a cache of nobody",
        "",
        "HPO_CACHE (~no-such-user/c): found the home folder of a user that there is not; expected "
        "a folder, …. Set HPO_CACHE to another folder.",
        environment={"HPO_CACHE": "~no-such-user/c"},
    ),
    Case(
        "a state folder that is a file",
        "",
        "HPO_STATE (notes.txt): found …notes.txt, which is a file; expected a folder, …. "
        "Set HPO_STATE to another folder.",
        {"notes.txt": "some notes"},
        {"HPO_STATE": "notes.txt"},
    ),
    Case(
        "a state folder where nothing can be written",
        "",
        "HPO_STATE (/proc/state): found /proc, where nothing can be written (…); "
        "expected a folder that can be written. Correct its rights, or set HPO_STATE.",
        environment={"HPO_STATE": "/proc/state"},
    ),
    Case(
        "a cache that is a file",
        "",
        "HPO_CACHE (notes.txt/inner): found …notes.txt, which is a file; expected a folder, …. "
        "Set HPO_CACHE to another folder.",
        {"notes.txt": "some notes"},
        {"HPO_CACHE": "notes.txt/inner"},
    ),
)

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
GOOD_CSV = "text,label\n" + "".join(
    f"film number {i} is {word},{word}\n" for i in range(20) for word in ("good", "bad")
)
_ROWS = [json.dumps({"text": f"text {i}", "label": i % 2}) for i in range(30)]
_FEW_LABELS = "text,label\n" + "".join(
    f"film {i},{'' if i % 10 else ('good', 'bad')[i % 20 // 10]}\n" for i in range(200)
)

DATA = (
    data(
        "an empty file",
        "my.csv",
        "",
        "my.csv: found an empty file; expected a table of texts and labels. Name a file …",
    ),
    data(
        "a header without rows",
        "my.csv",
        "text,label\n",
        "my.csv: found no rows; expected a table of texts and labels. Name a file that has rows.",
    ),
    data(
        "columns of other names",
        "my.csv",
        "a,b\n1,2\n",
        "my.csv: found the columns 'a', 'b'; expected a text column (text, …). "
        "Name it with --text-column.",
    ),
    data(
        "a column that there is not",
        "my.csv",
        GOOD_CSV,
        "my.csv: found no column 'txet', but the columns 'text', 'label'; expected a column of "
        "this table. Perhaps --text-column text?",
        "--text-column txet",
    ),
    data(
        "one class",
        "my.csv",
        GOOD_CSV.replace(",bad", ",good"),
        "my.csv: found one class ('good') in the label column 'label'; expected two classes or "
        "more. Add rows of other classes, …",
    ),
    data(
        "most labels missing",
        "my.csv",
        _FEW_LABELS,
        "my.csv, lines 3, 4, …: found no label in 180 of 200 rows (column 'label'); expected a "
        "label in most rows. Fill the column, …",
    ),
    data(
        "a class for each row",
        "my.csv",
        "text,label\n" + "".join(f"text {i},{i}\n" for i in range(50)),
        "my.csv: found 50 labels in 50 rows of the column 'label'; expected classes that have several "
        'rows each. Set data.task = "regression" for numbers, or name another column …',
    ),
    data(
        "too few rows",
        "my.csv",
        "text,label\none,x\ntwo,y\n",
        "my.csv: found too few rows (2) to split off …; expected three different texts or more …. "
        "Add rows, …",
    ),
    data(
        "a row too long",
        "my.csv",
        "text,label\na,b\none,two,three\n",
        "my.csv, line 3: found 3 fields; expected 2, as in the first line. Put fields …",
    ),
    data(
        "a quotation that does not end",
        "my.csv",
        'text,label\n"one,two\nthree,four\n',
        "my.csv, line 2: found a quotation mark that is never closed; expected fields in quotes, "
        "…. Correct that line, …",
    ),
    data(
        "a broken line 17",
        "my.jsonl",
        "\n".join([*_ROWS[:16], _ROWS[16][:-4], *_ROWS[17:]]),
        "my.jsonl, line 17: found broken JSON (…); expected one JSON object a line. "
        "Correct that line.",
    ),
    data(
        "a list in place of an object",
        "my.jsonl",
        "[1, 2]\n[3, 4]\n",
        "my.jsonl, line 1: found a list; expected one JSON object a line. Write each row as …",
    ),
    data(
        "a binary file",
        "my.csv",
        b"\x89PNG\r\n\x1a\x00\x00\x00\xff\xfe",
        "my.csv, line 2: found a NUL byte, …; expected UTF-8 text. Save the file as UTF-8.",
    ),
    data(
        "a wrong encoding",
        "my.csv",
        codecs.BOM_UTF8 + GOOD_CSV.encode() + "un café,good\n".encode("latin-1"),
        "my.csv, line 42: found bytes that are not UTF-8 (e9…); expected UTF-8 text. "
        "Save the file as UTF-8, or set data.encoding.",
    ),
    data(
        "a parquet file that is none",
        "my.parquet",
        "text,label\n",
        "my.parquet: found a file that cannot be read as parquet (…); expected a whole parquet "
        "file. Write or download it again.",
    ),
    Case(
        "a data file of nobody",
        "--data ~no-such-user/mine.csv",
        "~no-such-user/mine.csv: found the home folder of a user that there is not; expected a "
        "file, a folder, a hub id …. Check the path.",
    ),
    Case(
        "a data file of a very long name",
        f"--data {'x' * 300}",
        "xxx…: found a path that cannot be looked up (File name too long); expected a file, …. "
        "Check the path.",
    ),
    data(
        "columns whose names are nearly usual",
        "my.csv",
        "Sentiment Label,Review Text\ngood,a fine film\n",
        "my.csv: found the columns 'Sentiment Label', 'Review Text'; expected a text column (…). "
        "Perhaps --text-column 'Review Text'?",
    ),
    data(
        "a file of another kind",
        "my.ods",
        "x",
        "my.ods: found a file with the suffix '.ods'; expected a csv, … file. "
        "Save it as xlsx or csv.",
    ),
    Case(
        "a data file that there is not",
        "--data ./mine.csv",
        "./mine.csv: found no such file or folder; expected a file, a folder, a hub id …. "
        "Check the path.",
    ),
    Case(
        "an empty folder",
        "--data folder",
        "folder: found an empty folder; expected a file for each split (csv, …), a folder of texts …. "
        "Call the training file train.csv, …",
        {"folder": None},
    ),
    Case(
        "a folder without a training split",
        "--data folder",
        "folder: found no file named 'train', but test; expected the file that "
        "data.train_split names. Set data.train_split.",
        {"folder/test.csv": GOOD_CSV},
    ),
    Case(
        "a test split that is not read",
        "--data folder",
        "folder: found test.csv.zst, which is not read; expected no data but …. "
        "Decompress it with `unzstd`, or move it …",
        {"folder/train.csv": GOOD_CSV, "folder/test.csv.zst": b"?"},
    ),
    data(
        "several labels in a cell",
        "my.csv",
        'text,label\na film,joy\na play,love\na book,"joy,love"\n',
        "my.csv: found what looks like several labels in one cell of the label column 'label': "
        "'joy,love' beside 'joy' and 'love'; expected one label for each text. Set "
        "data.label_delimiter to what parts the labels of a text, or …",
    ),
    data(
        "lists in the label column",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": ["joy", "love"]}\n',
        "my.jsonl, line 1: found a list in the label column 'label', which looks like several "
        "labels in one cell: \"['joy']\"; expected one label for each text. Set data.task = "
        '"multi_label", or …',
        "--set data.task=single_label",
    ),
    data(
        "labels that are a measure",
        "my.csv",
        "text,label\na film,3.5\na play,4\n",
        "my.csv, line 2: found the number 3.5 in the label column 'label'; expected a class: …. "
        'Set data.task = "regression" for numbers, or …',
    ),
    data(
        "text where a number is to be",
        "my.csv",
        "text,label\na film,3.5\na play,good\n",
        "my.csv, line 3: found 'good' in the label column 'label'; expected a number, as data.task "
        '= "regression" has it. Correct the row, …',
        "--set data.task=regression",
    ),
    data(
        "the same number everywhere",
        "my.csv",
        "text,label\na film,3\na play,3.0\n",
        "my.csv: found the number 3 in every row of the label column 'label'; expected numbers that "
        "differ. Name another column …",
        "--set data.task=regression",
    ),
    data(
        "classes where several labels are to be",
        "my.csv",
        "text,label\na film,joy;love\na play,joy\n",
        "my.csv, line 2: found the text 'joy;love' in the label column 'label'; expected lists of "
        'labels, or data.label_delimiter to say what parts them. Set data.label_delimiter = ";".',
        "--set data.task=multi_label",
    ),
    data(
        "another delimiter than the cells have",
        "my.csv",
        "text,label\na film,joy|love\na play,joy\n",
        "data.label_delimiter: found ';', which no cell of the label column 'label' holds; expected "
        'what parts the labels in a cell. Set it to "|".',
        "--set data.label_delimiter=;",
    ),
    data(
        "a delimiter for lists",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": ["love"]}\n',
        "data.label_delimiter: found ',', but the label column holds lists; expected several labels "
        "in a cell of text, without which it does nothing. Remove it.",
        "--set data.label_delimiter=,",
    ),
    data(
        "a delimiter for classes",
        "my.csv",
        GOOD_CSV,
        "data.label_delimiter: found ',', but the task is single_label; expected several labels in a "
        "cell of text, without which it does nothing. Remove it.",
        "--set data.task=single_label --set data.label_delimiter=,",
    ),
    data(
        "one label in all lists",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": []}\n',
        "my.jsonl: found 1 label in the label column 'label'; expected two labels or more. Name …",
    ),
    data(
        "numbers where labels are to be",
        "my.jsonl",
        '{"text": "a film", "label": 1}\n{"text": "a play", "label": 0}\n',
        "my.jsonl, line 1: found a whole number in the label column 'label'; expected lists of names "
        'or whole numbers, as data.task = "multi_label" has them. Correct the row, …',
        "--set data.task=multi_label",
    ),
    data(
        "a label column of other numbers",
        "my.csv",
        "text,joy,love\na film,0,1\na play,1,2\n",
        "my.csv, line 3: found '2' in the label column 'love'; expected 0 or 1, for data.label names "
        "a column for each label. Correct the row, …",
        '--set \'data.label=["joy","love"]\'',
    ),
    data(
        "a label column without a 1",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        "my.csv: found no row with 1 in the label column 'love'; expected each label in several "
        "rows. Leave it out of data.label.",
        '--set \'data.label=["joy","love"]\'',
    ),
    data(
        "several label columns for numbers",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        'data.label: found 2 columns with data.task = "regression"; expected one column. Name one, '
        "or leave data.task out.",
        '--set \'data.label=["joy","love"]\' --set data.task=regression',
    ),
    data(
        "a label column twice",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        "data.label: found more than one column named 'joy'; expected each column named once. Rename …",
        '--set \'data.label=["joy","Joy"]\'',
    ),
    Case(
        "a label that training does not have",
        "--data folder",
        "folder/validation.csv, line 3: found the label 'awful', which the training split does "
        "not have; expected 'bad', 'good'. Correct the label, …",
        {
            "folder/train.csv": GOOD_CSV,
            "folder/validation.csv": "text,label\na fine film,good\na film,awful\n",
        },
    ),
    data(
        "a sample smaller than the classes",
        "my.csv",
        GOOD_CSV,
        "data.max_train_examples: found 1 for 2 classes; expected 2 or more, …. Raise it, …",
        "--max-train-examples 1",
    ),
    data(
        "a training split of a single file",
        "my.csv",
        GOOD_CSV,
        "data.train_split: found 'all', but my.csv is one file; expected no split names …. "
        "Remove it, …",
        "--set data.train_split=all",
    ),
    data(
        "a revision of a file",
        "my.csv",
        GOOD_CSV,
        "data.revision: found 'v1', but my.csv is a file; expected a hub data set, without which "
        "it does nothing. Remove it.",
        "--set data.revision=v1",
    ),
    Case(
        "a share of a split that is there",
        "--set data.test_fraction=0.3",
        "data.test_fraction: found 0.3, but the source has one; expected a source without a test "
        "split, without which it does nothing. Remove it.",
    ),
    data(
        "a split of a single file",
        "my.csv",
        GOOD_CSV,
        "data.test_split: found 'test', but my.csv is one file; expected no split names …. "
        "Remove it, …",
        "--set data.test_split=test",
    ),
)

TINY_CONFIG = json.dumps(
    {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 1280}
)

MODELS = (
    Case(
        "a model that there is not",
        "--model ./mine",
        "model ./mine: found no such directory; expected a directory with config.json …. "
        "Name the directory that save_pretrained wrote, …",
    ),
    Case(
        "a model of nobody",
        "--model ~no-such-user/gpt2",
        "model ~no-such-user/gpt2: found the home folder of a user that there is not; expected a "
        "directory with config.json …. Name the directory that save_pretrained wrote, …",
    ),
    Case(
        "a model of a very long name",
        f"--model {'x' * 300}",
        "model xxx…: found a path that cannot be looked up (File name too long); expected a "
        "directory …. Name the directory …",
    ),
    Case(
        "a file as model",
        "--model my.bin",
        "model my.bin: found a file; expected a directory with config.json …. Name …",
        {"my.bin": b"\0"},
    ),
    model(
        "a directory without config.json",
        None,
        "model model: found config.json missing …; expected a model directory …. "
        "Name such a directory.",
    ),
    model(
        "a model of another type",
        '{"model_type": "bert"}',
        "model model: found a model of type bert; expected a model of type gpt2. Name a GPT-2 …",
    ),
    model(
        "a config that is a list",
        "[1]",
        "model model: found a model of type None; expected a model of type gpt2. Name a GPT-2 …",
    ),
    model(
        "a config with text for a number",
        '{"model_type": "gpt2", "n_layer": "two"}',
        "model model, config.json: found values that transformers refuses (…n_layer…); "
        "expected the configuration of a GPT-2 model. Save the model again …",
    ),
    model(
        "a model without weights",
        TINY_CONFIG,
        "model model: found no weight files; expected model.safetensors, or an index …. "
        "Save the model again with save_pretrained.",
    ),
    model(
        "weights cut short",
        TINY_CONFIG,
        "model model: found weights that cannot be read: model.safetensors (…); expected whole "
        "weight files. Fetch or save the model again.",
        model=b'\x40\0\0\0\0\0\0\0{"transformer.wte.weight":',
    ),
    model(
        "a revision of a directory",
        TINY_CONFIG,
        "model.revision: found 'v1', but model is a directory; expected a hub model, without which "
        "it does nothing. Remove it.",
        options="--set model.revision=v1",
    ),
    Case(
        "a dropout of frozen blocks",
        "--set training.freeze_depth=4 --set training.dropout=0.1",
        "training.dropout: found 0.1, but all 4 blocks are frozen; expected a freeze_depth that "
        "leaves blocks to train, without which it does nothing. Remove it.",
    ),
    Case(
        "frozen blocks that nothing unfreezes",
        "--set training.freeze_depth=4 --set training.unfreeze=gradual",
        "training.unfreeze: found 'gradual', but all 4 blocks are frozen; expected a freeze_depth that "
        "leaves blocks to train, without which it does nothing. Remove it.",
    ),
    Case(
        "a duration of stages that there are not",
        "--set training.unfreeze_epochs=2",
        "--set training.unfreeze_epochs: found 2.0, but the unfreeze is none; expected the unfreeze "
        "two_stage or gradual, without which it does nothing. Remove it.",
    ),
    model(
        "an index that leads elsewhere",
        TINY_CONFIG,
        "model model, model.safetensors.index.json: found the file name '../x'; expected names of "
        "files beside it. Fetch or save the model again.",
        **{"model.safetensors.index.json": '{"weight_map": {"wte.weight": "../x"}}'},
    ),
    study_file(
        "a range beyond the model's layers",
        "[search.space]\nfreeze_depth = { low = 2, high = 6 }\n",
        "search.space.freeze_depth: found freeze depth 6; expected at most 4, the layers of demo. "
        'Lower it, or write high = "n_layer".',
    ),
    Case(
        "a choice beyond the model's layers",
        "--set search.space.freeze_depth=[2,9]",
        "search.space.freeze_depth: found freeze depth 9; expected at most 4, …. Lower it, …",
    ),
    Case(
        "a fixed depth beyond the model's layers",
        "--set training.freeze_depth=5",
        "training.freeze_depth: found freeze depth 5; expected at most 4, …. Lower it, …",
    ),
    Case(
        "a length beyond the model's positions",
        "--set data.max_length=100000",
        "data.max_length: found 100000; expected at most 128, the positions of demo. Lower it, …",
    ),
    Case(
        "a metric of numbers for one label a text",
        "--set study.metric=rmse",
        "study.metric: found 'rmse' for data with one label a text; expected one of accuracy, …. "
        'Write metric = "accuracy".',
    ),
    Case(
        "one logit for three classes",
        "--data three.csv --set training.head=sigmoid",
        "training.head: found 'sigmoid' for 3 classes; expected two classes, …. "
        'Write head = "softmax".',
        {"three.csv": "text,label\n" + "".join(f"text {i},{'abc'[i % 3]}\n" for i in range(30))},
    ),
    study_file(
        "a grid smaller than the budget on this model",
        "[search]\nsampler = 'grid'\n"
        "[search.space]\nfreeze_depth = { low = 2, high = 'n_layer' }\n",
        "study.trials: found 50 trials for a grid of 3 points; expected at most 3. "
        "Lower the trials to 3, …",
    ),
)

# With a hub that does not answer.
HUB = (
    Case(
        "a data set on a hub out of reach",
        "--data somebody/reviews",
        "somebody/reviews: found no answer from the hub (…) and no copy in its cache; "
        "expected a hub data set, a file, a folder or demo. Check the network, …",
    ),
    Case(
        "a model on a hub out of reach",
        "--model somebody/gpt2",
        "model somebody/gpt2: found no answer from the hub …; expected a directory here, or …. "
        "Check the name and the network, …",
    ),
)
