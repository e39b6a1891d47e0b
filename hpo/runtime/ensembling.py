"""An ensemble of a finished study: chosen, its members gathered or trained, tested once, registered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hpo.errors import ModelError, OptionError, TrackingError
from hpo.leases.once import Once, Turn
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.saved import TextClassifier
from hpo.results.champion_source import ChampionSource
from hpo.results.ensembles.honest import Comparison
from hpo.results.ensembles.known import ENSEMBLES_KEY, made_ensembles, times_tested
from hpo.results.ensembles.made import TRAINED_METHODS, Ensemble
from hpo.results.ensembles.publishing import find_ensemble, publish_ensemble
from hpo.results.final_test import final_test
from hpo.results.leaderboard import top_numbers
from hpo.runtime.calibrating import calibrated, validated
from hpo.runtime.ensemble_choice import Assembled, EnsembleChoice, Tell, shares
from hpo.runtime.member_training import MemberTraining
from hpo.runtime.preparation import trial_params
from hpo.runtime.session import Session
from hpo.runtime.study_folder import study_folder
from hpo.spec.ensemble_methods import FOR_ALL_TASKS, OF_ONE_CLASS, USUAL_SIZES, EnsembleMethod
from hpo.tracking.keys import ENSEMBLE_ALIAS

_TURN: Final = "making an ensemble"  # stored
_FLUSH_SECONDS: Final = 5.0
_ONE_CLASS: Final = "single_label_classification"
_CHOSEN_METHODS: Final = ("vote", "greedy", "stacking")


def _say_nothing(line: str) -> None:
    """For callers that tell nobody."""


def make_ensemble(
    session: Session,
    method: EnsembleMethod,
    *,
    size: int | None = None,
    tell: Tell = _say_nothing,
) -> Ensemble:
    """Make an ensemble of a study's complete trials, unless MLflow has the same one already.

    One that is made once more, of the members that are kept, is not tested again.

    Args:
        session: Of the study.
        method: How.
        size: Members at most, or rounds; None: what is usual for the method.
        tell: Takes lines for people about what takes long.

    Raises:
        ModelError: There is nothing to make it of.
        OptionError: The method is not for the study's task.
        TrackingError: A member is needed from MLflow, which is away.
        TurnLost: Another process took over, for this one was silent too long.
        KeyboardInterrupt: Somebody stopped it.
    """
    _check_study(session, method)
    with _turn(session) as turn, TemporaryDirectory(prefix="hpo-members-") as folder:
        choice = EnsembleChoice(session, method, size or USUAL_SIZES[method], tell, Path(folder))
        known = made_ensembles(session.study).get(method)
        same = known is not None and (known.size, known.of_trials) == (choice.size, choice.numbers)
        if known is not None and same and not _is_lost(known, session, tell):
            return known
        kept_before = session.models.numbers()
        if method in TRAINED_METHODS:
            assembled = _trained(choice)
        else:
            assembled = choice.of_trials() if method in _CHOSEN_METHODS else choice.soup()
        turn.check()
        known = known if known is not None and _is_of(known, assembled) else None
        assembled = replace(assembled, model=_calibrated(choice, assembled, known))
        ensemble = _tested(choice, assembled, known)
        turn.check()
        study, metric = session.study, session.study.spec.study.metric
        publish_ensemble(ensemble, assembled.model, session.tracker, study.name, metric)
        _note(session, ensemble, turn)
        kept = top_numbers(choice.entries, study.spec.tracking.kept_models)
        # What was brought for it alone: workers may have kept newer trials' meanwhile.
        session.models.drop((session.models.numbers() & set(choice.numbers)) - kept_before - kept)
        return ensemble


def champion_of_trials(
    session: Session, method: EnsembleMethod, *, size: int | None = None, tell: Tell = _say_nothing
) -> tuple[ChampionSource, Comparison]:
    """An ensemble that may be the study's champion, and how good it is.

    Args:
        session: Of the study; the others as for `make_ensemble`, and what is raised.
        method: "vote", "greedy" or "stacking".
    """
    _check_study(session, method)
    if method not in _CHOSEN_METHODS:
        raise OptionError(
            "--promote",
            found=f"an ensemble by {method}",
            expected="one of the study's own trials as they are: " + ", ".join(_CHOSEN_METHODS),
            hint="Leave it out, and move the alias in MLflow.",
        )
    with TemporaryDirectory(prefix="hpo-members-") as folder:
        choice = EnsembleChoice(session, method, size or USUAL_SIZES[method], tell, Path(folder))
        members, combination, answers = choice.choose()
        source = ChampionSource(members, "ensemble", combination, method)
        return source, choice.compared(answers)


def _check_study(session: Session, method: EnsembleMethod) -> None:
    if session.prepared.context.folds:
        raise ModelError(
            f"study {session.study.name}",
            found="trials over folds, which have several models each and keep none",
            expected="trials with one model each",
            hint="Run it under another --name with validation.folds = 0.",
        )
    task = session.prepared.context.task
    if method in OF_ONE_CLASS and task.problem_type != _ONE_CLASS:
        raise OptionError(
            "--method",
            found=f"{method} for a study of the task {task.name}",
            expected="a study whose texts are of one class each",
            hint=FOR_ALL_TASKS,
        )


def _turn(session: Session) -> Turn:
    """The turn, once no other process is at an ensemble of the study."""
    once = Once(session.study.storage, session.study.study_id, _TURN)
    return once.wait(session.work.should_stop)


def _is_lost(ensemble: Ensemble, session: Session, tell: Tell) -> bool:
    """Whether MLflow no longer has an ensemble that it was given, as far as it can be asked."""
    tracker = session.tracker
    if tracker.refusal() is not None or tracker.champion_waits(_FLUSH_SECONDS):
        return False
    try:
        seen = find_ensemble(ensemble, tracker)
    except TrackingError:
        return False
    if seen.uri is None:
        tell(f"it is registered again, for {seen.words}")
    return seen.uri is None


def _is_of(known: Ensemble, made: Assembled) -> bool:
    return (known.members, known.weights) == (made.members, made.weights)


def _calibrated(
    choice: EnsembleChoice, made: Assembled, known: Ensemble | None
) -> EnsembleClassifier | TextClassifier:
    """The model with its temperature, which is that of its test where it was tested before."""
    if known is not None:
        return made.model.tempered(known.test.temperature)
    found = validated(choice.session, made.model, choice.numbers[0])
    return calibrated(made.model, found)


def _tested(choice: EnsembleChoice, made: Assembled, known: Ensemble | None) -> Ensemble:
    """The ensemble with its test score, which is known where the same was made before."""
    session, study = choice.session, choice.session.study
    if known is not None:
        test, looks = known.test, known.times_tested
    else:
        split, metric = session.prepared.context.data.test, study.spec.study.metric
        test = final_test(made.model, split, metric=metric, seed=choice.seed)
        looks = times_tested(study) + 1
    return Ensemble(
        method=choice.method,
        size=choice.size,
        members=made.members,
        weights=made.weights,
        of_trials=choice.numbers,
        comparison=choice.compared(made.answers),
        test=test,
        registered_name=study.registered_name,
        alias=ENSEMBLE_ALIAS,
        times_tested=looks,
    )


def _note(session: Session, ensemble: Ensemble, turn: Turn) -> None:
    """Note an ensemble in the study, beside those by other methods, and end the turn."""
    every = {**made_ensembles(session.study), ensemble.method: ensemble}
    documents = {method: each.as_json() for method, each in every.items()}
    turn.end_with(ENSEMBLES_KEY, json.loads(json.dumps(documents)))


def _trained(choice: EnsembleChoice) -> Assembled:
    """An ensemble whose members are trained for it, by the best trial's parameters."""
    session, best = choice.session, choice.entries[0]
    study = session.study
    params = trial_params(study.spec, {name: best.params[name] for name in study.space})
    if best.seconds is not None:
        choice.tell(f"{choice.size} members at most train, about {best.seconds:.0f} s each")
    prints = session.prepared.fingerprints
    told = [params.model_dump(mode="json"), choice.seed, prints.data, prints.model]
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    folder = study_folder(session.work.state, study.name, study.uid) / "ensembles"
    training = MemberTraining(
        session, choice.method, params, choice.size, folder / f"{choice.method}-{key}", choice.tell
    )
    members, combination = training.bagging() if choice.method == "bagging" else training.boosting()
    answers = combination.of([member.validation for member in members])
    combination = choice.tuned(combination, answers)
    model = EnsembleClassifier(tuple(member.model for member in members), combination)
    return Assembled(tuple(range(len(members))), shares(combination), model, answers)
