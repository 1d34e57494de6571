"""The rule that ends hopeless trials: those that will hardly beat the best full result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.errors import OptionError, shown
from autohpo.history import Cursor, History
from autohpo.schedulers.base import Decision, Promote, Scheduler
from autohpo.surrogates.extrapolation import N_CURVES, Extrapolator
from autohpo.trial import Running, Trial

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer

CHANCE = 0.02
"""The chance of beating the best below which a trial is hopeless, where the user gives none."""
MOST_CURVES = 100
"""The number of the latest full trainings that predictions are made of."""

_GROWTH = 1.1  # a trial is judged once in each range from a fidelity to this times as much
_LEAST_SHOWN = 0.001


def checked_chance(hpo: BaseHPOptimizer) -> float | None:
    """Return the chance below which trials are hopeless; None where none is ended for that.

    Raises:
        OptionError: ``stop_hopeless`` is no chance, or there are several objectives.
    """
    given = hpo.stop_hopeless
    if given is False:
        return None
    if given is not True and not 0.0 < given < 1.0:
        raise OptionError(f"stop_hopeless: must be True, False, or a chance between 0 and 1, got {shown(given)}")
    if hpo.objectives.n > 1:
        raise OptionError("stop_hopeless: must not be given with several objectives, as they have no single best")
    return CHANCE if given is True else float(given)


class HopelessRule:
    """Says which trials have hardly a chance to beat the best full result.

    There must be a few full trainings with curves first, :data:`autohpo.surrogates.extrapolation.N_CURVES`; a curve is
    what a training has reported, and its results at the fidelities that it paused at. Whoever is as good as the best
    already is never hopeless. What it says follows from the history alone.

    Args:
        history: The history of the search.
        chance: Who has less is hopeless.
        full: The fidelity of a full evaluation; None where every trial is simply run in full.
    """

    def __init__(self, history: History, chance: float, full: float | None) -> None:
        self._history, self._cursor = history, Cursor(history)
        self._chance, self._full = chance, math.inf if full is None else full
        self._reasons: dict[int, str] = {}  # of trials that were stopped; for users, and no decision reads them
        self._restart()

    def _restart(self) -> None:
        self._best: Trial | None = None
        self._curves: list[tuple[FloatArray, FloatArray]] = []
        self._finals: list[float] = []
        self._model: Extrapolator | None = None

    def stops(self, number: int) -> bool:
        """Return whether a running trial ends for what it has just reported."""
        running = self._history.find(number)
        if not self._is_due(running):
            return False
        chance = self._small_chance(running)
        if chance is None:
            return False
        best = self._best.perf if self._best is not None else None
        self._reasons[number] = f"stopped at {running.reports[-1][0]:g}: chance {chance} to beat {best:.4g}"
        return True

    def gives_up(self, trial: Trial) -> str:
        """Return why a paused trial is not worth going on with; the empty string where it is.

        Args:
            trial: A finished trial, the last of its chain.
        """
        chance = self._small_chance(trial)
        best = self._best.number if self._best is not None else None  # no value: notes are alike in both modes
        return "" if chance is None else f"given up at {trial.reached:g}: chance {chance} to beat trial {best}"

    def reason(self, number: int) -> str:
        """Return why a trial was stopped; the empty string where it was not, for all that is known here."""
        return self._reasons.get(number, "")

    def decide(self, scheduler: Scheduler, ask: Callable[[], Decision]) -> Decision:
        """Return what a scheduler decides if it gives up hopeless trials where it would promote them.

        Those that were given up stand in the notes of the decision, so that they count once it is in the history.

        Args:
            scheduler: The scheduler.
            ask: Returns its decision.
        """
        fresh: dict[int, str] = {}
        try:
            while True:
                scheduler.given_up = frozenset(fresh)
                decision = ask()
                if not isinstance(decision, Promote) or decision.trial in fresh:  # one that gives nobody up
                    break
                trial = self._history.get(decision.trial)
                why = "" if trial is None else self.gives_up(trial)
                if not why:
                    break
                fresh[decision.trial] = why
        finally:
            scheduler.given_up = frozenset()
        if isinstance(decision, Promote):
            fresh.pop(decision.trial, None)
        notes = [[number, why] for number, why in fresh.items()]
        return replace(decision, info={**decision.info, "given_up": notes}) if notes else decision

    def _is_due(self, running: Running) -> bool:
        """Whether a report is the first of its range of fidelities: to look more often says hardly more."""
        now = running.reports[-1][0]
        if now <= 0:
            return False
        if len(running.reports) > 1:
            before = running.reports[-2][0]
        else:
            resumed = None if running.resume is None else self._history.get(running.resume)
            before = 0.0 if resumed is None else resumed.reached
        return before <= 0 or math.floor(_range(now)) > math.floor(_range(before))

    def _small_chance(self, item: Trial | Running) -> str | None:
        """How small the chance of a trial is, to be read; None where it is worth going on with."""
        self._follow()
        best = self._best
        if best is None or best.score is None or len(self._curves) < N_CURVES:
            return None
        fidelities, values = _arrays(self._points(item))
        if not len(values) or values[-1] >= best.score:
            return None
        if self._model is None:
            self._model = Extrapolator(self._curves, np.array(self._finals), best.score)
        chance = self._model.chance(fidelities, values)
        if chance >= self._chance:
            return None
        return f"{chance:.2g}" if chance >= _LEAST_SHOWN else f"below {_LEAST_SHOWN:g}"

    def _follow(self) -> None:
        """Catches up with the full trainings that have ended."""
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        for trial in step.told:
            if trial.score is None or trial.reached < self._full:
                continue
            self._model = None
            if not trial.violation and (self._best is None or trial.score > (self._best.score or 0.0)):
                self._best = trial
            points = self._points(trial)
            if len(points) > 1:
                self._curves.append(_arrays(points))
                self._finals.append(trial.score)
        del self._curves[:-MOST_CURVES], self._finals[:-MOST_CURVES]

    def _points(self, item: Trial | Running) -> dict[float, float]:
        """What a chain was worth at each fidelity, as it was measured last."""
        before = None if item.resume is None else self._history.get(item.resume)
        points = {} if before is None else self._points(before)
        points.update(item.curve)
        if isinstance(item, Trial) and item.score is not None and item.reached < math.inf:
            points[item.reached] = item.score
        return points


def _range(fidelity: float) -> float:
    return math.log(fidelity) / math.log(_GROWTH)


def _arrays(points: dict[float, float]) -> tuple[FloatArray, FloatArray]:
    """``(m,)`` fidelities above 0, rising, and ``(m,)`` scores."""
    rows = sorted((fidelity, score) for fidelity, score in points.items() if fidelity > 0)
    fidelities, scores = np.array(rows, dtype=float).reshape(-1, 2).T
    return fidelities, scores
