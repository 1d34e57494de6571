"""DyHPO: paused trials and new configurations compete for each step of training, by expected improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.gp_multi_fidelity import GPMultiFidelity
from autohpo.algorithms.options import check_types, option_names
from autohpo.algorithms.parts.gp_judge import judge
from autohpo.algorithms.parts.gp_options import GPOptions, check_gp_options, given_gp_options, gp_options_of
from autohpo.algorithms.parts.sampler import Sampler, SamplerSpec
from autohpo.algorithms.registry import get_hpo, register_hpo
from autohpo.algorithms.scheduled import Scheduled
from autohpo.errors import OptionError
from autohpo.history import History
from autohpo.schedulers import dyhpo
from autohpo.schedulers.judge import Judgement
from autohpo.surrogates.blas import LinearAlgebra

_OF_NEW_ONES = {"allow_duplicates", "restrict_configurations", "points_to_evaluate", "random_fraction"}
"""Options of the process that say which configurations are started; the others say how trials are judged."""


@register_hpo("dyhpo")
@dataclass(eq=False, kw_only=True)
class DyHPO(GPOptions, Scheduled):
    """Trains one step further whatever the model expects most of for the price: a paused trial, or a new configuration.

    All paused trials, each at its next rung, are compared with the best new configuration at the lowest one. Most
    decisions are asynchronous halving's, as a hedge against a model that errs.

    Args:
        min_fidelity: What a new configuration gets.
        max_fidelity: What a full evaluation gets.
        rung_increment: The distance between two rungs; None goes by the factor. Syne Tune's is 2.
        rung_factor: The factor between two rungs: steps grow with the training, and all of them say as much.
        probability_sh: How often the rule of asynchronous halving decides: the best of a rung goes on, or else a new
            configuration starts. Syne Tune's is .25.
        sampler: Where new configurations come from. With "gp_multi_fidelity" they are those of which the model expects
            most, and a share of `random_fraction` is drawn from the prior. None is that where `points_to_evaluate`,
            `restrict_configurations`, `allow_duplicates` or `random_fraction` is given, else "portfolio": it is robust
            where the model errs.

    Source: Wistuba et al. 2022, NeurIPS 35, arXiv 2202.09774, Algorithm 1; the share of asynchronous halving is
        Syne Tune's. The model is the process of ``gp_multi_fidelity`` in place of a deep kernel. Expected improvement
        is divided by what a step trains, as steps are not equal.

    Raises:
        OptionError: An option breaks a rule, or says which configurations start and another sampler was given.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = DyHPO([RangeHP("x", 0.0, 1.0)], max_fidelity=9, seed=0)
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3) - 1 / suggestion.fidelity)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.1
        True
    """

    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "grace_period": "min_fidelity",
        "max_t": "max_fidelity",
    }
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    min_fidelity: float = 1.0
    rung_increment: float | None = None
    rung_factor: float = 3.0
    probability_sh: float = 0.75
    sampler: SamplerSpec | BaseHPOptimizer | None = None
    one_per_doubling: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_gp_options(self)
        chosen = [name for name in given_gp_options(self) if name in _OF_NEW_ONES]
        if self.sampler is None:
            self.sampler = "gp_multi_fidelity" if chosen else "portfolio"
        super().__post_init__()
        if chosen and self._sampler_name != "gp_multi_fidelity":
            raise OptionError(
                f"{chosen[0]}: is an option of the sampler gp_multi_fidelity, not of {self._sampler_name}"
            )
        options = {**self._options_for("gp_multi_fidelity"), "random_fraction": self.random_fraction}
        self._model = Sampler(GPMultiFidelity, self, {**options, "max_fidelity": self.max_fidelity})

    def _options_for(self, sampler: str) -> dict[str, Any]:
        levels = [float(level) for level in self._rungs]
        if sampler != "gp_multi_fidelity":
            is_asked = "rung_levels" in option_names(get_hpo(sampler))
            return {**super()._options_for(sampler), **({"rung_levels": levels} if is_asked else {})}
        return {**gp_options_of(self), "rung_levels": levels, "random_fraction": 1.0}  # the judge chooses the others

    @property
    def _rungs(self) -> Sequence[float]:
        if self.rung_increment is not None:
            return dyhpo.small_steps(self.min_fidelity, self.max_fidelity, self.rung_increment)
        return dyhpo.small_steps(self.min_fidelity, self.max_fidelity, factor=self.rung_factor)

    def _make_scheduler(self) -> dyhpo.DyHPO:
        return dyhpo.DyHPO(self._rungs, judge=self._judge, probability_sh=self.probability_sh)

    def _judge(
        self,
        seen: History,
        rng: np.random.Generator,
        trials: Sequence[int],
        fidelities: Sequence[float],
        start: float | None = None,
    ) -> Judgement | None:
        """What the model expects; see :class:`autohpo.schedulers.judge.Judge`."""
        self._model.follow(seen)
        inner = self._model.inner
        if not isinstance(inner, GPMultiFidelity):
            raise OptionError(f"model: must be gp_multi_fidelity, got {type(inner).__name__}")
        chooses = self._sampler_name == "gp_multi_fidelity"
        return judge(
            inner.suggester, self, seen, rng, trials=trials, fidelities=fidelities, start=start, chooses=chooses
        )
