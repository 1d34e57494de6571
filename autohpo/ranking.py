"""Ranking: which trials stand for their trainings, and which of two is the better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autohpo.errors import OptionError, shown
from autohpo.outcome import perfs_of
from autohpo.packed import TrialList
from autohpo.trial import Trial


def of_signs(trials: Sequence[Trial], signs: tuple[int, ...]) -> Sequence[Trial]:
    """Return trials for which the same way is better in each objective.

    Args:
        trials: Any trials; those that a state keeps all have the same signs.
        signs: A sign for each objective: 1 where higher is better, -1 where lower is.

    Raises:
        OptionError: They are no trials.
    """
    looked_at = trials[:1] if isinstance(trials, TrialList) else trials
    if not isinstance(looked_at, Sequence) or not all(isinstance(trial, Trial) for trial in looked_at):
        raise OptionError(f"trials: must be trials, got {shown(trials)}; Result.load(path) reads a store")
    wanted = signs if any(sign < 0 for sign in signs) else ()
    if any(trial.signs != wanted for trial in looked_at):
        return [replace(trial, signs=wanted) for trial in trials]
    return trials


def last_of_each(trials: Sequence[Trial]) -> list[Trial]:
    """Return the last trial with a result of each training: a promoted trial stands for the ones it continued."""
    done = [trial for trial in trials if trial.perf is not None]
    resumed = {trial.resume for trial in done}
    return [trial for trial in done if trial.number not in resumed]


def rank(trial: Trial, sign: int) -> tuple[float, ...]:
    """Return what trials are ranked by: met constraints first, then training, then the result.

    Args:
        trial: A trial with a result.
        sign: 1 where higher is better, -1 where lower is.
    """
    value = sign * (trial.perf or 0.0)
    return (not trial.violation, trial.reached, -trial.violation, value, -trial.number)


def followers(trials: Sequence[Trial]) -> dict[int, Trial]:
    """Return the trial that continued or replaced each one that was continued or replaced, by the latter's number."""
    found = {trial.resume: trial for trial in trials if trial.resume is not None}
    return found | {trial.info["replaces"]: trial for trial in trials if "replaces" in trial.info}


def given_up_in(trials: Sequence[Trial]) -> dict[int, str]:
    """Return why each paused trial was given up that was, by its number."""
    return {number: why for trial in trials for number, why in trial.info.get("given_up", ())}


def along(trial: Trial, place: int) -> Trial:
    """Return a trial with one objective alone, in its result and its reports.

    Args:
        trial: The trial.
        place: The place of the objective.
    """
    reports = tuple((fidelity, perfs_of(perf)[place]) for fidelity, perf in trial.reports)
    outcome = replace(trial.outcome, perfs=trial.perfs[place : place + 1])
    return replace(trial, outcome=outcome, reports=reports)
