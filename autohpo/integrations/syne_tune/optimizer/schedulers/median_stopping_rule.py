"""MedianStoppingRule: a scheduler of full trainings that are stopped where they are worse than the others' median."""

from __future__ import annotations

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names, options_of
from autohpo.algorithms.registry import build_hpo_from_name, name_of
from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import FIFOScheduler

__all__ = ["MedianStoppingRule"]

UNLIMITED = 1e9
"""The full resource where nobody says how far trials go: they end by themselves."""


class MedianStoppingRule(TrialScheduler):
    """A scheduler that takes its configurations from another one, and stops trials below the median.

    Args:
        scheduler: A scheduler of full trainings; it must not have been asked yet.
        resource_attr: The name of the resource among the reported values, counted from 1.
        running_average: Must be True: a trial is compared with the means of the others so far.
        metric: The name of the metric, where it differs from the scheduler's.
        grace_time: The least resource at which a trial may be stopped; None is any.
        grace_population: How many reports at a resource there must be; None is any number.
        rank_cutoff: Must be 0.5: the median.

    Raises:
        OptionError: The scheduler is none of full trainings, or another argument breaks a rule.
    """

    def __init__(  # noqa: PLR0917 - the positions are Syne Tune's
        self,
        scheduler: TrialScheduler,
        resource_attr: str,
        running_average: bool = True,
        metric: str | None = None,
        grace_time: int | None = 1,
        grace_population: int | None = 5,
        rank_cutoff: float = 0.5,
    ) -> None:
        if not isinstance(scheduler, FIFOScheduler) or scheduler.hpo.n_asked:
            got = shown(type(scheduler).__name__)
            raise OptionError(f"scheduler: must be one of full trainings that was not asked yet, got {got}")
        self.scheduler, inner = scheduler, scheduler.hpo
        if not running_average or rank_cutoff != 0.5:
            got = f"{running_average}, {rank_cutoff}"
            raise OptionError(f"running_average, rank_cutoff: must be True and 0.5, the median of means, got {got}")
        own = set(option_names(type(inner))) - set(option_names(BaseHPOptimizer))
        kept = {name: value for name, value in options_of(inner).items() if name in own}
        hpo = build_hpo_from_name(
            "median_stopping",
            inner.space,
            mode=scheduler.mode,
            seed=inner.seed,
            points=inner.points,
            sampler=[name_of(type(inner)), kept],
            max_fidelity=float(UNLIMITED if scheduler.max_t is None else scheduler.max_t),
            grace_period=float(grace_time or 0),
            min_trials=grace_population or 1,
        )
        super().__init__(
            scheduler.config_space,
            hpo,
            metric=scheduler.metric if metric is None else metric,
            constants=scheduler.constants,
            resource_attr=resource_attr,
        )
