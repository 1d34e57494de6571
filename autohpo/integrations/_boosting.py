"""What XGBoost, LightGBM and CatBoost share: rounds of boosting as units of fidelity, and the model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autohpo.errors import OptionError, short
from autohpo.integrations._callbacks import Saved, chosen, finite, trial_of
from autohpo.trial_handle import TrialHandle

__all__ = ["RoundReporter", "Yielded", "check_rounds", "measured"]

Yielded = float | tuple[float, dict[str, float]]
"""What a generator of boosting rounds yields: a metric, and the others by name where there are several."""


def measured(values: Mapping[str, float], metric: str | None) -> Yielded:
    """Return what a generator yields for some metrics.

    Args:
        values: The metrics by name.
        metric: The name of the one that is the result, or its end.
    """
    name = chosen(metric, values)
    others = finite({one: value for one, value in values.items() if one != name})
    return (values[name], others) if others else values[name]


def check_rounds(every: object, n_rounds: object = 1) -> None:
    """Check two numbers of rounds.

    Raises:
        OptionError: One of them is no integer from 1.
    """
    for name, value in (("every", every), ("n_rounds", n_rounds)):
        if type(value) is not int or value < 1:
            raise OptionError(f"{name}: must be an integer from 1, got {short(value)}")


class RoundReporter:
    """Reports rounds of boosting, and keeps the model of the last report in the folder of the training.

    Args:
        trial: The trial.
        metric: The name of the metric that is the result.
        every: The rounds between two reports: one unit of fidelity.
        pattern: The name of the model's file, with ``{}`` for its rounds.
    """

    def __init__(self, trial: TrialHandle, metric: str | None, every: int, pattern: str) -> None:
        check_rounds(every)
        self._trial, self._metric, self._every = trial_of(trial), metric, every
        self._saved = Saved(trial.checkpoint_dir, pattern)
        found = self._saved.latest()
        self._path = None if found is None else str(found[0])
        self._found = 0 if found is None else int(found[1])
        self._n_before = 0

    @property
    def init_model(self) -> str | None:
        """The path of the model that an earlier rung or attempt left; None where there is none."""
        self._begin()
        return self._path

    @property
    def n_done(self) -> int:
        """The rounds of that model; 0 where there is none."""
        self._begin()
        return self._found

    def _begin(self) -> None:
        """Count on from the model that was left: the training continues it."""
        if not self._n_before and self._found:
            self._n_before = self._found
            self._trial.resume_at(self._found // self._every)

    def take(self, n_rounds: int, values: Mapping[str, float], save: Callable[[str], Any] | None) -> bool:
        """Report after a round, where a report is due; return whether the training should go on.

        Args:
            n_rounds: The rounds of the whole model.
            values: The metrics by name.
            save: Writes the model to a path; None where that cannot be done now.
        """
        if n_rounds % self._every:
            return True
        name = chosen(self._metric, values)
        if save is not None:
            save(str(self._saved.part))
            self._saved.keep(n_rounds)
        others = finite({one: value for one, value in values.items() if one != name})
        return self._trial.report(values[name], n_rounds // self._every, metrics=others)
