"""Synchronous Hyperband and its kin: the rungs of a bracket are filled before anybody is promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.arguments import SearchArguments, full_resource, taken
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import built
from autohpo.integrations.syne_tune.searchers import sampler_for, searcher_of

__all__ = ["GeometricDifferentialEvolutionHyperbandScheduler", "SynchronousGeometricHyperbandScheduler"]


@dataclass(frozen=True, kw_only=True)
class SynchronousArguments(SearchArguments):
    """The arguments of :class:`SynchronousGeometricHyperbandScheduler`.

    Attributes:
        resource_attr: The name of the resource among the reported values, counted from 1.
        max_resource_level: The full resource.
        grace_period: The lowest rung.
        reduction_factor: The factor between two rungs.
        brackets: 1 is successive halving, None is all brackets of Hyperband.
        searcher_data: Which reports a model learns from: "rungs" or "all".
        batch_size: Not used.
    """

    resource_attr: str = "epoch"
    max_resource_level: float | None = None
    grace_period: int = 1
    reduction_factor: float = 3
    brackets: int | None = None
    searcher_data: str | None = None
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class EvolutionArguments(SynchronousArguments):
    """The arguments of :class:`GeometricDifferentialEvolutionHyperbandScheduler`.

    Attributes:
        mutation_factor: How far a mutant goes along the difference of two parents.
        crossover_probability: The chance that a value of the mutant is taken over.
        support_pause_resume: Not used: paused trials are continued.
    """

    mutation_factor: float = 0.5
    crossover_probability: float = 0.5
    support_pause_resume: bool = True


class SynchronousGeometricHyperbandScheduler(TrialScheduler):
    """A scheduler that fills Hyperband's brackets, rung by rung, and promotes the best of each.

    Args:
        config_space: A dict from name to domain or constant.
        kwargs: The arguments of :class:`SynchronousArguments`, as Syne Tune has them.

    Raises:
        OptionError: An argument is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.
    """

    def __init__(self, config_space: Mapping[str, Any], **kwargs: Any) -> None:
        args = taken(SynchronousArguments, type(self).__name__, kwargs)
        if args.brackets not in (None, 1):
            rule = "1 for successive halving, or None for all brackets of Hyperband"
            raise OptionError(f"brackets: must be {rule}, got {shown(args.brackets)}")
        name = "hyperband" if args.brackets is None else "successive_halving"
        sampler = sampler_for(searcher_of(args.searcher or "random"), args.search_options)
        options = {"sampler": sampler, **_rungs(config_space, args)}
        _run_by(self, name, config_space, args, options)


class GeometricDifferentialEvolutionHyperbandScheduler(TrialScheduler):
    """A scheduler that fills Hyperband's brackets by differential evolution.

    Args:
        config_space: A dict from name to domain or constant.
        kwargs: The arguments of :class:`EvolutionArguments`, as Syne Tune has them.

    Raises:
        OptionError: An argument is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.
    """

    def __init__(self, config_space: Mapping[str, Any], **kwargs: Any) -> None:
        args = taken(EvolutionArguments, type(self).__name__, kwargs)
        if args.searcher not in (None, "random", "random_encoded"):
            raise OptionError(f"searcher: must be 'random_encoded' for evolution, got {shown(args.searcher)}")
        if args.brackets not in (None, 1):
            raise OptionError(f"brackets: must be None, all brackets of Hyperband, got {shown(args.brackets)}")
        options = {
            "mutation_factor": args.mutation_factor,
            "crossover_probability": args.crossover_probability,
            **_rungs(config_space, args),
        }
        _run_by(self, "dehb", config_space, args, options)


def _rungs(config_space: Mapping[str, Any], args: SynchronousArguments) -> dict[str, Any]:
    full = full_resource(
        config_space, args.max_t if args.max_resource_level is None else args.max_resource_level, args.max_resource_attr
    )
    if full is None:
        rule = "must be given, or max_resource_attr, the constant of config_space that has it"
        raise OptionError(f"max_resource_level: {rule}")
    return {"min_fidelity": args.grace_period, "max_fidelity": full, "eta": args.reduction_factor}


def _run_by(
    scheduler: TrialScheduler,
    name: str,
    config_space: Mapping[str, Any],
    args: SynchronousArguments,
    options: Mapping[str, Any],
) -> None:
    """Make a scheduler one that asks an algorithm."""
    hpo, constants = built(name, config_space, args, options)
    TrialScheduler.__init__(
        scheduler,
        config_space,
        hpo,
        metric=args.metric,
        constants=constants,
        resource_attr=args.resource_attr,
        max_resource_attr=args.max_resource_attr,
    )
