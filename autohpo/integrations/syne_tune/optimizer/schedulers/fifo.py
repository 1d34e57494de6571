"""FIFOScheduler: every configuration is trained in full, in the order suggested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.arguments import SearchArguments, full_resource, taken
from autohpo.integrations.syne_tune.points import first_points, split
from autohpo.integrations.syne_tune.searchers import full_algorithm, options_for, searcher_of

__all__ = ["FIFOScheduler", "built"]


class FIFOScheduler(TrialScheduler):
    """A scheduler that trains every configuration in full.

    Args:
        config_space: A dict from name to domain or constant.
        kwargs: `metric`, `mode`, `searcher` ("random", "grid", "kde", "bayesopt"), `search_options`,
            `points_to_evaluate`, `random_seed`, `max_resource_attr` and `max_t`, as Syne Tune has them.

    Raises:
        OptionError: An argument is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.

    Example:
        >>> from autohpo.integrations.syne_tune.config_space import uniform
        >>> scheduler = FIFOScheduler({"x": uniform(0, 1)}, metric="loss", random_seed=0)
        >>> scheduler.suggest(trial_id=0).config
        {'x': 0.5}
    """

    def __init__(self, config_space: Mapping[str, Any], **kwargs: Any) -> None:
        args = taken(SearchArguments, type(self).__name__, kwargs)
        searcher = searcher_of(args.searcher or "random")
        name = full_algorithm(searcher, args.search_options)
        options = options_for(searcher, get_hpo(name), args.search_options)
        hpo, constants = built(name, config_space, args, options)
        self.max_t = full_resource(config_space, args.max_t, args.max_resource_attr)
        super().__init__(config_space, hpo, metric=args.metric, constants=constants)


def built(
    name: str, config_space: Mapping[str, Any], args: SearchArguments, options: Mapping[str, Any]
) -> tuple[BaseHPOptimizer, dict[str, Any]]:
    """Return the optimizer of a scheduler, and the constants of its space.

    Args:
        name: The registered name of the algorithm.
        config_space: The configuration space.
        args: The arguments of the scheduler.
        options: The options of the algorithm.

    Raises:
        OptionError: The algorithm has no such option.
        SpaceError: The configuration space makes no search space.
    """
    space, constants = split(config_space)
    if "points_to_evaluate" in option_names(get_hpo(name)):
        options = {**options, "points_to_evaluate": []}  # all algorithms take them as points
    hpo = build_hpo_from_name(
        name,
        space,
        mode=args.mode,
        seed=args.random_seed,
        points=first_points(config_space, args.points_to_evaluate),
        **options,
    )
    return hpo, constants
