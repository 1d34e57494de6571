"""PBT: population based training, which trains and searches at once: the worst go on from copies of the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from autohpo.algorithms.registry import register_hpo
from autohpo.algorithms.scheduled import Scheduled
from autohpo.errors import OptionError
from autohpo.schedulers.explore import Explore
from autohpo.schedulers.pbt import PopulationBased, steps_of
from autohpo.schedulers.schedule import SLACK


@register_hpo("pbt")
@dataclass(eq=False, kw_only=True)
class PBT(Scheduled):
    """Trains a population, and replaces the worst by copies of the best with configurations near theirs.

    So a training may have several configurations one after the other: what it finds is a schedule of them, and the
    trained model, more than a configuration. The objective must save its state in ``trial.checkpoint_dir`` before each
    report or yield, and load what it finds there: a copy starts from the folder of the one that it copies. The search
    is over when all of the population are trained in full.

    Source: Jaderberg et al. 2017, arXiv 1711.09846, Algorithm 1, with truncation selection. It departs from it where a
    parameter is changed: by a step on its own scale, and not by a factor, so that ranges may hold 0.

    Args:
        population_size: How many are trained together, at least 2.
        interval: The fidelity between two comparisons of the population.
        max_fidelity: What a full training gets.
        quantile: The share of the population that is replaced at each comparison, and the share that is copied; at most
            a half. As long as some of the population are not there yet, it is that share of the others.
        perturbation: How far a number is moved up or down in a copy, as a share of its range.
        resample_probability: The chance that a parameter of a copy is drawn anew from its prior.
        sampler: Where the first configurations come from.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = PBT([RangeHP("lr", 0.0, 1.0)], population_size=4, interval=1, max_fidelity=2, seed=0)
        >>> for _ in range(4):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, suggestion["lr"])
        >>> copy = hpo.ask()
        >>> copy.fidelity, copy.fork == max(hpo.trials, key=lambda trial: trial.score).number
        (2, True)
    """

    needs_checkpoints: ClassVar[bool] = True

    population_size: int = 8
    interval: float = 3.0
    quantile: float = 0.25
    perturbation: float = 0.1
    resample_probability: float = 0.25

    @property
    def min_fidelity(self) -> float:
        """The least that a trial gets: one interval."""
        return min(self.interval, self.max_fidelity)

    def _make_scheduler(self) -> PopulationBased:
        rules = [
            ("population_size", self.population_size >= 2, "at least 2"),
            ("interval", self.interval > 0, "positive"),
            ("max_fidelity", self.interval <= self.max_fidelity < math.inf, "finite and at least the interval"),
            ("quantile", self.quantile * self.population_size > 0.5 + SLACK, "above 0.5 / population_size"),
            ("quantile", self.quantile <= 0.5, "at most a half"),
            ("perturbation", 0 < self.perturbation < 1, "above 0 and below 1"),
            ("resample_probability", 0 <= self.resample_probability <= 1, "from 0 to 1"),
        ]
        for name, is_kept, rule in rules:
            if not is_kept:
                raise OptionError(f"{name}: must be {rule}, got {getattr(self, name)}")
        explore = Explore(self.perturbation, self.resample_probability)
        steps = steps_of(float(self.interval), float(self.max_fidelity))
        return PopulationBased(self.population_size, steps, self.quantile, explore)
