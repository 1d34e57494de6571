"""Samplers under the names of Optuna's, for scripts that change their imports: each is an algorithm of this library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from autohpo.algorithms.parts.sampler import SamplerSpec, spec_of
from autohpo.errors import OptionError

__all__ = [
    "BaseSampler",
    "CmaEsSampler",
    "GPSampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "Sampler",
    "TPESampler",
]


class Sampler:
    """An algorithm of this library, with its own options: ``Sampler("bayes", seed=0)``.

    Args:
        name: The registered name, such as "bayes" or "optuna:tpe".
        seed: The seed; None draws one.
        options: Options of the algorithm.
    """

    def __init__(self, name: SamplerSpec, *, seed: int | None = None, **options: Any) -> None:
        self.spec: SamplerSpec = spec_of([name, options] if isinstance(name, str) else name)
        self.seed = seed


class BaseSampler(Sampler):
    """The base of the names below; an option that has no counterpart here is an OptionError."""

    name: ClassVar[str] = "random"
    same: ClassVar[Mapping[str, str]] = {}  # options by their names there
    needless: ClassVar[frozenset[str]] = frozenset()  # what is always so here, or has no meaning

    def __init__(self, *, seed: int | None = None, **options: Any) -> None:
        given = {option: value for option, value in options.items() if option not in self.needless}
        for option in given:
            if option not in self.same:
                rule = (
                    f"has no counterpart in the algorithm {self.name!r}; give Sampler({self.name!r}, ...) its options"
                )
                raise OptionError(f"{option}: {rule}")
        super().__init__(self.name, seed=seed, **{self.same[option]: value for option, value in given.items()})


class TPESampler(BaseSampler):
    """The algorithm ``tpe``: parameters are modelled together, and trials that run count as bad ones."""

    name = "tpe"
    same: ClassVar[Mapping[str, str]] = {"n_startup_trials": "n_startup"}
    needless: ClassVar[frozenset[str]] = frozenset(
        {"multivariate", "group", "constant_liar", "warn_independent_sampling"}
    )


class RandomSampler(BaseSampler):
    """The algorithm ``random``."""


class GPSampler(BaseSampler):
    """The algorithm ``bayes``."""

    name = "bayes"


class CmaEsSampler(BaseSampler):
    """The algorithm ``cmaes``."""

    name = "cmaes"
    needless: ClassVar[frozenset[str]] = frozenset({"warn_independent_sampling"})


class NSGAIISampler(BaseSampler):
    """The algorithm ``nsga2``."""

    name = "nsga2"
    same: ClassVar[Mapping[str, str]] = {"population_size": "population_size"}


class QMCSampler(BaseSampler):
    """The algorithm ``quasi_random``, which is always scrambled by the seed."""

    name = "quasi_random"
    same: ClassVar[Mapping[str, str]] = {"qmc_type": "sequence"}
    needless: ClassVar[frozenset[str]] = frozenset(
        {"scramble", "warn_independent_sampling", "warn_asynchronous_seeding"}
    )


_OURS = {
    "GridSampler": "write the space down, and take the algorithm 'grid': docs/spaces.md",
    "BruteForceSampler": "write the space down, and take the algorithm 'grid': docs/spaces.md",
    "NSGAIIISampler": "take NSGAIISampler, or Sampler('ehvi')",
    "PartialFixedSampler": "suggest no parameter that is fixed",
}
"""Samplers of Optuna that are not here, and what to take."""


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Say what to take for a sampler that is not here."""
        hint = f"; {_OURS[name]}" if name in _OURS else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
