"""What the charts show of a result, as numbers: training spent, best so far, roots of trainings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from autohpo.objectives import incumbent
from autohpo.result import Result
from autohpo.trial import Trial


@dataclass(frozen=True)
class Step:
    """A trial that ended, in the course of the search.

    Attributes:
        spent: Training up to its end, itself included; or how many trials have ended.
        trial: The trial.
        best: The incumbent then; None before the first result.
    """

    spent: float
    trial: Trial
    best: Trial | None


def roots(trials: Iterable[Trial]) -> dict[int, int]:
    """First trial of the training that each trial is part of, by number."""
    known: dict[int, int] = {}
    for trial in trials:
        known[trial.number] = trial.number if trial.resume is None else known.get(trial.resume, trial.resume)
    return known


def added_training(trials: Iterable[Trial]) -> dict[int, float] | None:
    """Fidelity that each trial added to the training it continued; None where a result had no limit.

    A trial without a result counts as far as it reported.
    """
    reached: dict[int, float] = {}
    added: dict[int, float] = {}
    for trial in trials:
        start = 0.0 if trial.resume is None else reached.get(trial.resume, 0.0)
        end = trial.reached if trial.perf is not None else max((f for f, _ in trial.reports), default=start)
        if not math.isfinite(end):
            return None
        reached[trial.number], added[trial.number] = max(start, end), max(end - start, 0.0)
    return added


def course(result: Result) -> list[Step]:
    """The trials that ended, in the order they did, each with the incumbent of that moment.

    The incumbent is what the search would have returned: its performance may fall where a longer training
    takes over.
    """
    ended = sorted(
        (t for t in result if t.state.is_final),
        key=lambda t: (math.inf if t.ended is None else t.ended, t.number),
    )
    added = added_training(result)
    steps: list[Step] = []
    spent, best = 0.0, None
    for trial in ended:
        spent += 1.0 if added is None else added[trial.number]
        best = incumbent([trial] if best is None else [best, trial])
        steps.append(Step(spent, trial, best))
    return steps
