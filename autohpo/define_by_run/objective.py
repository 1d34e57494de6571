"""TrialObjective: a function of a trial as an objective of this library, in whatever process it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.define_by_run.exceptions import TrialPruned
from autohpo.define_by_run.trial import Trial

__all__ = ["NotCaught", "TrialObjective"]

PARAMS = "params"  # the one parameter of the run: what the model drew, by name


class NotCaught(Exception):  # noqa: N818 - says what became of the user's own
    """An objective raised what the study does not catch: it ends."""


class TrialObjective:
    """Calls ``func(trial)``, and returns its value together with the parameters that it asked for.

    Args:
        func: The user's function.
        names: The names of the objectives.
        catch: What it may raise without ending the study.
        most: The resource of a full training; None where trials are not pruned.

    Attributes:
        faults: What it raised in this process and is not caught, by number.
    """

    is_continued = False  # a trial that is promoted begins anew, with the same parameters

    def __init__(
        self,
        func: Callable[[Trial], Any],
        names: Sequence[str],
        catch: tuple[type[BaseException], ...] = (),
        most: float | None = None,
    ) -> None:
        self._func, self._names, self._catch, self._most = func, list(names), catch, most
        self.faults: dict[int, Exception] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the faults behind: they may be of any class."""
        return {**vars(self), "faults": {}}

    def __call__(self, hps: Mapping[str, Any], trial: Any, seed: int) -> dict[str, Any]:
        """Run one trial.

        Raises:
            NotCaught: The function raised what is not caught.
        """
        own = Trial(trial.number, seed, hps[PARAMS], trial, self._most)
        try:
            value = self._func(own)
        except TrialPruned:
            return own.result(self._names, None, is_pruned=True)
        except self._catch:
            raise
        except Exception as fault:
            self.faults[trial.number] = fault
            raise NotCaught(f"trial {trial.number}: {type(fault).__name__}: {fault}") from fault
        return own.result(self._names, value)
