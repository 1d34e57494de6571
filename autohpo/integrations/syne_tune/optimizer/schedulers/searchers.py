"""Searchers by ask and tell: the model of MOBSTER over a configuration space of Syne Tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from autohpo.algorithms.parts import gp_searcher
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.schedulers.hyperband import HyperbandScheduler
from autohpo.integrations.syne_tune.points import first_points, split
from autohpo.integrations.syne_tune.searchers import GP, options_for, searcher_of
from autohpo.spaces import SearchSpace

__all__ = ["GPMultiFidelitySearcher"]


class GPMultiFidelitySearcher(gp_searcher.GPMultiFidelitySearcher):
    """The searcher of :class:`HyperbandScheduler` with a joint model of all rungs, for a scheduler of your own.

    Args:
        config_space: A dict from name to domain or constant; or a search space of autohpo.
        metric: The name of the metric in results.
        points_to_evaluate: Configurations to suggest first; None is the middle of the space, an empty list none.
        random_seed: The seed of everything random.
        mode: Whether a lower or a higher metric is better: "min" or "max".
        seed: The seed under the name that it has in autohpo; it goes before `random_seed`.
        search_options: Options of the model, as in `search_options` of the scheduler.

    Raises:
        OptionError: An option is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.

    Example:
        >>> from autohpo.integrations.syne_tune.config_space import uniform
        >>> space = {"x": uniform(0, 1), "epochs": 9}
        >>> searcher = GPMultiFidelitySearcher(space, metric="loss")
        >>> searcher.configure_scheduler(HyperbandScheduler(space, metric="loss"))
        >>> searcher.get_config(trial_id="0")
        {'x': 0.5}
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | SearchSpace,
        metric: str,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        *,
        random_seed: int = 0,
        mode: Literal["min", "max"] = "min",
        seed: int | None = None,
        **search_options: Any,
    ) -> None:
        own = {name: search_options.pop(name) for name in ("searcher_data",) if name in search_options}
        options = {**own, **options_for(searcher_of("hypertune"), get_hpo(GP), search_options)}
        if isinstance(config_space, SearchSpace):  # a copy of another searcher
            space, points = config_space, points_to_evaluate
        else:
            space, points = split(config_space)[0], first_points(config_space, points_to_evaluate)
        super().__init__(space, metric, points, seed=random_seed if seed is None else seed, **options)
        self.config_space, self._mode = config_space, mode

    def configure_scheduler(
        self,
        rungs: HyperbandScheduler | Sequence[float],
        R: float | None = None,
        resource_attr: str = "epoch",
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        """Say at which resources trials are compared; it must be called first.

        Args:
            rungs: A scheduler that says everything, or the rungs, rising.
            R: The full resource, where `rungs` are given.
            resource_attr: The name of the resource in results.
            mode: Which way the metric is better; None is as the searcher was made.

        Raises:
            OptionError: The rungs do not rise, or lie above the full resource, or that is missing.
        """
        if isinstance(rungs, HyperbandScheduler):
            way: Any = rungs.mode
            attr = rungs.resource_attr or resource_attr
            super().configure_scheduler(rungs.rung_levels, rungs.max_t, attr, way)
            return
        if R is None:
            raise OptionError(f"R: must be given with rungs, the full resource, got {shown(R)}")
        super().configure_scheduler(rungs, R, resource_attr, self._mode if mode is None else mode)
