"""PopulationBasedTraining: a population that is trained together, whose worst go on from copies of the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.arguments import SearchArguments, full_resource, taken
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import built

__all__ = ["PopulationBasedTraining"]


@dataclass(frozen=True, kw_only=True)
class PopulationArguments(SearchArguments):
    """The arguments of :class:`PopulationBasedTraining`.

    Attributes:
        resource_attr: The name of the resource among the reported values.
        population_size: How many are trained together.
        perturbation_interval: The resource between two comparisons.
        quantile_fraction: The share that is replaced at each comparison.
        resample_probability: The chance that a parameter of a copy is drawn anew.
    """

    resource_attr: str = "time_total_s"
    population_size: int = 4
    perturbation_interval: float = 60.0
    quantile_fraction: float = 0.25
    resample_probability: float = 0.25


class PopulationBasedTraining(TrialScheduler):
    """A scheduler that trains a population, and replaces the worst by copies of the best with other configurations.

    Trials pause at each interval, so they must save their state in the folder that they get as
    ``--st_checkpoint_dir``, before each report.

    Args:
        config_space: A dict from name to domain or constant.
        custom_explore_fn: Must be None: a configuration changes by steps on the scale of each parameter.
        kwargs: The arguments of :class:`PopulationArguments`, as Syne Tune has them.

    Raises:
        OptionError: An argument is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.
    """

    def __init__(self, config_space: Mapping[str, Any], custom_explore_fn: Any = None, **kwargs: Any) -> None:
        args = taken(PopulationArguments, type(self).__name__, kwargs)
        if custom_explore_fn is not None:
            raise OptionError("custom_explore_fn: must be None here, where copies change by steps on their scales")
        if args.searcher not in (None, "random"):
            raise OptionError(f"searcher: must be 'random' for a population, got {shown(args.searcher)}")
        self.max_t = full_resource(config_space, args.max_t, args.max_resource_attr)
        if self.max_t is None:
            raise OptionError("max_t: must be given, the resource of a full training")
        n = args.population_size
        n_replaced = min(math.ceil(n * args.quantile_fraction), n // 2)
        options = {
            "population_size": n,
            "interval": float(args.perturbation_interval),
            "max_fidelity": self.max_t,
            "quantile": n_replaced / n,
            "resample_probability": args.resample_probability,
        }
        hpo, constants = built("pbt", config_space, args, options)
        super().__init__(
            config_space,
            hpo,
            metric=args.metric,
            constants=constants,
            resource_attr=args.resource_attr,
            max_resource_attr=args.max_resource_attr,
        )
