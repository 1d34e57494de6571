"""RandomSearch: the algorithm ``random`` of ours under HpBandSter's name and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autohpo.integrations.hpbandster.core.master import Master
from autohpo.integrations.hpbandster.plans import full_plan, space_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autohpo.integrations.hpbandster.core.master import MasterArguments

__all__ = ["RandomSearch"]


class RandomSearch(Master):
    """Random search at the largest budget.

    Args:
        configspace: A ConfigurationSpace, or a search space of ours.
        eta: The factor between two budgets of Hyperband.
        min_budget: The least budget of Hyperband: an iteration has as many configurations as there are budgets from
            here to the largest, and so costs about as much as the first bracket.
        max_budget: The budget of every evaluation.
        **kwargs: The arguments of :class:`Master`; `run_id` must be given.

    Raises:
        OptionError: An argument breaks a rule.
        SpaceError: The space has something that cannot be searched here.
    """

    def __init__(
        self,
        configspace: Any = None,
        eta: float = 3,
        min_budget: float = 1,
        max_budget: float = 1,
        **kwargs: Unpack[MasterArguments],
    ) -> None:
        super().__init__(space_of(configspace), full_plan(eta, min_budget, max_budget), **kwargs)
