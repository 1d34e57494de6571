"""Pruners under the names of Optuna's, for scripts that change their imports: each is a scheduler of this library."""

from __future__ import annotations

from typing import Any

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
    """

    def __init__(self, n_startup_trials: int = 5, n_warmup_steps: int = 0) -> None:
        least = max(n_startup_trials, 1)
        super().__init__(
            "median_stopping", max_fidelity=_MANY, grace_period=float(n_warmup_steps + 1), min_trials=least
        )


class SuccessiveHalvingPruner(Pruner):
    """The scheduler ``asha``, in the variant that stops trials.

    Args:
        min_resource: The steps before the first rung.
        reduction_factor: The factor between two rungs; of the trials at one, 1 in so many goes on.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 4) -> None:
        levels = [min_resource * reduction_factor**k for k in range(_RUNGS)]
        super().__init__("asha", min_fidelity=min_resource, max_fidelity=levels[-1], eta=float(reduction_factor))


class HyperbandPruner(Pruner):
    """The scheduler ``asha`` in the variant that stops trials, which are judged from different rungs on.

    Args:
        min_resource: The steps before the first rung.
        max_resource: The steps of a full training.
        reduction_factor: The factor between two rungs; of the trials at one, 1 in so many goes on.
    """

    def __init__(self, min_resource: int = 1, max_resource: int = 81, reduction_factor: int = 3) -> None:
        n, level = 1, max_resource
        while level // reduction_factor >= min_resource:
            n, level = n + 1, level // reduction_factor
        fidelities = {"min_fidelity": min_resource, "max_fidelity": max_resource}
        super().__init__("asha", **fidelities, eta=float(reduction_factor), brackets=n)
