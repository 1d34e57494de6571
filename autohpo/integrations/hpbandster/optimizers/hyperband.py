"""HyperBand: the algorithm ``hyperband`` of ours under HpBandSter's name and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autohpo.integrations.hpbandster.core.master import Master
from autohpo.integrations.hpbandster.plans import bracket_plan, space_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autohpo.integrations.hpbandster.core.master import MasterArguments

__all__ = ["HyperBand"]


class HyperBand(Master):
    """Hyperband, whose configurations are drawn at random.

    Args:
        configspace: A ConfigurationSpace, or a search space of ours.
        eta: The factor between two budgets; 1 / `eta` of the configurations go on.
        min_budget: The least budget; the lowest is the least ``max_budget / eta^k`` above it.
        max_budget: The largest budget.
        **kwargs: The arguments of :class:`Master`; `run_id` must be given.

    Raises:
        OptionError: An argument breaks a rule.
        SpaceError: The space has something that cannot be searched here.
    """

    def __init__(
        self,
        configspace: Any = None,
        eta: float = 3,
        min_budget: float = 0.01,
        max_budget: float = 1,
        **kwargs: Unpack[MasterArguments],
    ) -> None:
        super().__init__(space_of(configspace), bracket_plan("hyperband", eta, min_budget, max_budget), **kwargs)
