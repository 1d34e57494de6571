"""The median rule: a training that is behind the median of the others is stopped, whatever chose its configuration."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from autohpo.errors import OptimizationComplete, OptionError
from autohpo.history import History
from autohpo.schedulers.base import Decision, Scheduler, Start
from autohpo.schedulers.rungs import SLACK
from autohpo.trial import Running, Trial

_MOST_KEPT = 1000  # fidelities whose means are kept up to date


class MedianStopping(Scheduler):
    """Starts every trial with everything there is, and stops it where its best value is below a median of the others.

    At each report, from `grace_period` on, the best value of a trial so far is compared with the running averages of
    all others that came as far: of each the mean of what it had reported by then. Below the median of these means it
    is stopped. Others are those that run, that were stopped and that have ended with a result; if they were only those
    that have ended in full, the bar would be that of the survivors.

    Args:
        max_fidelity: What every trial is given.
        grace_period: The fidelity before which no trial is stopped.
        min_trials: How many others must have come as far.

    Raises:
        OptionError: An argument breaks a rule.

    Source: Golovin et al. 2017, KDD, Google Vizier, section 3.2.1 (its median automated stopping rule), which compares
    with completed trials alone.

    Example:
        >>> MedianStopping(27.0).schedule
        (27,)
    """

    def __init__(self, max_fidelity: float, grace_period: float = 1.0, min_trials: int = 5) -> None:
        rules = [
            ("max_fidelity", 0 < max_fidelity < math.inf, "positive and finite", max_fidelity),
            ("grace_period", 0 <= grace_period < math.inf, "at least 0 and finite", grace_period),
            ("min_trials", min_trials >= 1, "at least 1", min_trials),
        ]
        for name, is_kept, rule, value in rules:
            if not is_kept:
                raise OptionError(f"{name}: must be {rule}, got {value}")
        full = float(max_fidelity)
        self.schedule: Sequence[float] = (int(full) if full.is_integer() else full,)
        self._full, self._grace, self._min_trials = max_fidelity, grace_period, min_trials
        self._reasons: dict[int, str] = {}  # of trials that were stopped; for users, and no decision reads them
        self._restart()

    def _restart(self) -> None:
        self._ended: list[_Curve] = []
        self._means: dict[float, tuple[int, list[float]]] = {}  # of `_ended` by fidelity: how many were read, sorted

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return a new configuration, with everything there is.

        Args:
            seen: The history of the search.
            rng: Not used: nothing is random.
            can_start: Whether a new configuration can be had.
            n_left: Not used.

        Raises:
            OptimizationComplete: Nothing can start.
        """
        if not can_start:
            raise OptimizationComplete("no configuration is left to start with")
        return Start(self.schedule[-1], {"rung": 0})

    def on_report(self, seen: History, trial: int, fidelity: float, score: float | tuple[float, ...]) -> bool:
        """Return whether the best value of a running trial is no lower than the median of the others' means."""
        running = seen.find(trial)
        if fidelity * (1 + SLACK) < self._grace or fidelity >= self._full:
            return True
        means = self._means_at(seen, fidelity)
        for one in seen.running:
            mean = None if one.number == trial else _Curve(one).mean_until(fidelity)
            if mean is not None:
                insort(means, mean)
        if len(means) < self._min_trials:
            return True
        best, median = max(value for _, value in running.curve), _median(means)
        if best >= median:
            return True
        sign = running.signs[0] if running.signs else 1  # users read their own values
        self._reasons[trial] = (
            f"stopped at {fidelity:g}: its best value, {sign * best:.6g}, is worse than {sign * median:.6g}, "
            f"the median of the means of {len(means)} others until there"
        )
        return False

    def why(self, seen: History, trial: int) -> str:
        """Return with which median a trial was stopped; the empty string where it was not."""
        return self._reasons.get(trial, "")

    def _means_at(self, seen: History, fidelity: float) -> list[float]:
        """The means until a fidelity of the trials that have ended and came as far, in their order; to be kept."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        for trial in step.told:
            if trial.score is not None and trial.reports:
                self._ended.append(_Curve(trial))
        n, means = self._means.get(fidelity, (0, []))
        found = (curve.mean_until(fidelity) for curve in self._ended[n:])
        means = sorted([*means, *(mean for mean in found if mean is not None)])
        if len(self._means) >= _MOST_KEPT:  # of a fidelity that is another number each time, such as seconds
            self._means.clear()
        self._means[fidelity] = len(self._ended), means
        return means.copy()


class _Curve:
    """The reports of a trial: how far it came, and the mean of what it had reported until then."""

    def __init__(self, item: Trial | Running) -> None:
        curve = item.curve
        self._fidelities = [fidelity for fidelity, _ in curve]
        sums = accumulate(score for _, score in curve)
        self._means = [total / n for n, total in enumerate(sums, 1)]

    def mean_until(self, fidelity: float) -> float | None:
        """The mean of the reports until a fidelity; None where the trial did not come as far."""
        if not self._fidelities or self._fidelities[-1] * (1 + SLACK) < fidelity:
            return None
        place = bisect_right(self._fidelities, fidelity * (1 + SLACK))
        return self._means[place - 1] if place else None


def _median(values: Sequence[float]) -> float:
    """The median of sorted values: of an even number the mean of the two in the middle."""
    half, is_odd = divmod(len(values), 2)
    return values[half] if is_odd else (values[half - 1] + values[half]) / 2
