"""BOHB: the algorithm ``bohb`` of ours under HpBandSter's name and options."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autohpo.integrations.hpbandster.core.master import Master
from autohpo.integrations.hpbandster.plans import bracket_plan, space_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autohpo.integrations.hpbandster.core.master import MasterArguments

__all__ = ["BOHB"]


class BOHB(Master):
    """Hyperband whose configurations come from kernel densities: ``bohb`` with its sampler ``kde``.

    Args:
        configspace: A ConfigurationSpace, or a search space of ours.
        eta: The factor between two budgets; 1 / `eta` of the configurations go on.
        min_budget: The least budget; the lowest is the least ``max_budget / eta^k`` above it.
        max_budget: The largest budget.
        min_points_in_model: Least number of good and of bad configurations in a model; None is one more than there are
            parameters, which is also the least.
        top_n_percent: Share of the results that counts as good, in percent from 1 to 99.
        num_samples: Candidates of which the best is suggested.
        random_fraction: Chance that a configuration is drawn at random.
        bandwidth_factor: Widens the kernels that candidates are drawn from.
        min_bandwidth: Floor of every kernel's bandwidth.
        **kwargs: The arguments of :class:`Master`; `run_id` must be given.

    Raises:
        OptionError: An argument breaks a rule.
        SpaceError: The space has something that cannot be searched here.

    Example:
        >>> from autohpo import RangeHP
        >>> from autohpo.integrations.hpbandster import BOHB, Worker
        >>> class Square(Worker):
        ...     def compute(self, config_id, config, budget, working_directory):
        ...         return {"loss": config["x"] ** 2 + 1 / budget, "info": None}
        >>> Square(run_id="bohb example").run(background=True)
        >>> bohb = BOHB([RangeHP("x", 0.0, 1.0)], min_budget=1, max_budget=9, run_id="bohb example", seed=0)
        >>> result = bohb.run(n_iterations=1)
        >>> bohb.shutdown(shutdown_workers=True)
        >>> [sum(run.budget == budget for run in result.get_all_runs()) for budget in (1, 3, 9)]
        [9, 3, 1]
    """

    def __init__(  # noqa: PLR0917 - the positions are HpBandSter's
        self,
        configspace: Any = None,
        eta: float = 3,
        min_budget: float = 0.01,
        max_budget: float = 1,
        min_points_in_model: int | None = None,
        top_n_percent: float = 15,
        num_samples: int = 64,
        random_fraction: float = 1 / 3,
        bandwidth_factor: float = 3,
        min_bandwidth: float = 1e-3,
        **kwargs: Unpack[MasterArguments],
    ) -> None:
        space = space_of(configspace)
        least = space.n_columns + 1
        if isinstance(min_points_in_model, int) and min_points_in_model < least:
            text = f"min_points_in_model: must be at least {least} for this space, got {min_points_in_model}"
            warnings.warn(f"{text}; {least} is taken", UserWarning, stacklevel=2)
            min_points_in_model = least
        options = {
            "top_n_percent": top_n_percent,
            "num_samples": num_samples,
            "random_fraction": random_fraction,
            "bandwidth_factor": bandwidth_factor,
            "min_bandwidth": min_bandwidth,
        }
        of_kde = {"sampler": "kde", "min_samples_in_model": min_points_in_model, **options}
        plan = bracket_plan("bohb", eta, min_budget, max_budget, of_kde)
        config = {**plan.config, "min_points_in_model": min_points_in_model, **options}
        super().__init__(space, replace(plan, config=config), **kwargs)
