"""Pruners under the names of Optuna's, for scripts that change their imports: each is a scheduler of this library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown

__all__ = ["HyperbandPruner", "MedianPruner", "NopPruner", "Pruner", "SuccessiveHalvingPruner"]

_MANY = 10**6  # steps: more than any training here has
_RUNGS = 9


class Pruner:
    """A scheduler of this library, with its own options: ``Pruner("asha", max_fidelity=81)``.

    The resource is the number of steps done. One that pauses trials and promotes them, as "hyperband" and "bohb" do,
    starts a promoted trial anew, with the same parameters and a higher number.

    Args:
        name: The registered name of an algorithm with fidelities.
        options: Options of the algorithm.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.name: str | None = name
        self.options = {"type": "stopping", **options} if name == "asha" else options


class NopPruner(Pruner):
    """Prunes nothing."""

    def __init__(self) -> None:
        super().__init__("")
        self.name = None


class MedianPruner(Pruner):
    """The scheduler ``median_stopping``.

    Args:
        n_startup_trials: How many other trials must have come as far.
        n_warmup_steps: Steps in which no trial is pruned.
        others: Optuna's further options, which have no counterpart: at their defaults alone.

    Raises:
        OptionError: An argument breaks its rule.
    """

    def __init__(self, n_startup_trials: int = 5, n_warmup_steps: int = 0, **others: Any) -> None:
        _check_others(others, {"interval_steps": 1, "n_min_trials": 1})
        least = max(_integer("n_startup_trials", n_startup_trials, 0), 1)
        grace = float(_integer("n_warmup_steps", n_warmup_steps, 0) + 1)
        super().__init__("median_stopping", max_fidelity=_MANY, grace_period=grace, min_trials=least)


class SuccessiveHalvingPruner(Pruner):
    """The scheduler ``asha``, in the variant that stops trials.

    Args:
        min_resource: The steps before the first rung.
        reduction_factor: The factor between two rungs; of the trials at one, 1 in so many goes on.
        others: Optuna's further options, which have no counterpart: at their defaults alone.

    Raises:
        OptionError: An argument breaks its rule.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 4, **others: Any) -> None:
        _check_others(others, {"min_early_stopping_rate": 0, "bootstrap_count": 0})
        least, eta = _integer("min_resource", min_resource, 1), _integer("reduction_factor", reduction_factor, 2)
        most = least * eta ** (_RUNGS - 1)
        super().__init__("asha", min_fidelity=least, max_fidelity=most, eta=float(eta))


class HyperbandPruner(Pruner):
    """The scheduler ``asha`` in the variant that stops trials, which are judged from different rungs on.

    Args:
        min_resource: The steps before the first rung.
        max_resource: The steps of a full training.
        reduction_factor: The factor between two rungs; of the trials at one, 1 in so many goes on.
        others: Optuna's further options, which have no counterpart: at their defaults alone.

    Raises:
        OptionError: An argument breaks its rule.
    """

    def __init__(self, min_resource: int = 1, max_resource: int = 81, reduction_factor: int = 3, **others: Any) -> None:
        _check_others(others, {"bootstrap_count": 0})
        least, eta = _integer("min_resource", min_resource, 1), _integer("reduction_factor", reduction_factor, 2)
        n, level = 1, _integer("max_resource", max_resource, least)
        while level // eta >= least:
            n, level = n + 1, level // eta
        super().__init__("asha", min_fidelity=least, max_fidelity=max_resource, eta=float(eta), brackets=n)


def _integer(name: str, value: object, least: int) -> int:
    """Return a value that is an integer of at least so much.

    Raises:
        OptionError: It is not; "auto" is none, as a run has its rungs before its first trial.
    """
    if type(value) is not int or value < least:
        raise OptionError(f"{name}: must be an integer of at least {least}, got {shown(value)}")
    return value


def _check_others(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise OptionError unless options of Optuna that have no counterpart are given with their defaults."""
    for name, value in given.items():
        if name not in defaults:
            raise OptionError(f"{name}: is no option of this pruner; give Pruner(name, ...) the options of a scheduler")
        if value != defaults[name]:
            raise OptionError(f"{name}: must be {defaults[name]}, as it has no counterpart here, got {shown(value)}")


_OURS = {
    "PercentilePruner": "take MedianPruner, or Pruner('asha', ...)",
    "ThresholdPruner": "raise TrialPruned in the objective where a value is beyond a threshold",
    "PatientPruner": "take Pruner('median_stopping', ...) with a grace_period",
    "WilcoxonPruner": "take Pruner('median_stopping', ...)",
    "BasePruner": "the base is Pruner; a rule of your own is a scheduler, see docs/own-scheduler.md",
}
"""Pruners of Optuna that are not here, and what to take."""


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Say what to take for a pruner that is not here."""
        hint = f"; {_OURS[name]}" if name in _OURS else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
