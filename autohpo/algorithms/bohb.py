"""BOHB: Hyperband's brackets, filled by a model of the results so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.hyperband import Hyperband
from autohpo.algorithms.kde import n_least
from autohpo.algorithms.options import option_defaults
from autohpo.algorithms.parts.sampler import SamplerSpec
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers import hyperband
from autohpo.spaces.tagged import from_json, is_same

_OF_KDE = (
    *("top_n_percent", "num_samples", "random_fraction", "bandwidth_factor", "min_bandwidth"),
    *("min_samples_in_model", "bandwidth"),
)


@register_hpo("bohb")
@dataclass(eq=False, kw_only=True)
class BOHB(Hyperband):
    """Fills Hyperband's brackets by a model of the results so far.

    It is ``hyperband`` with a sampler that learns. The paper's sampler is ``kde``, two kernel densities of good and of
    bad configurations; it stays behind random search in one and two dimensions, and behind ``bayes`` and ``tpe`` on all
    of our tasks. So the default is ``auto``, which is ``bayes`` for the first 400 configurations and then ``tpe``; the
    paper's comes with ``sampler="kde"``, or with any of its options. Where the number of brackets or suggestions is
    limited, no more than a sixth of it is drawn blindly while the results for a first model are on their way: other
    workers wait for them.

    Source: Falkner, Klein and Hutter 2018, ICML, Algorithms 1 and 2. Where it departs from them, and why, is told in
    ``kde`` and ``hyperband``.

    Args:
        sampler: Where new configurations come from; "kde" is the paper's. None is "kde" where an option of it is given,
            else "auto"; a stored run goes on with its own.
        top_n_percent: Share of the results that counts as good, in percent from 1 to 99.
        num_samples: Candidates of which the best is suggested.
        random_fraction: Chance that a new configuration is drawn from the prior.
        bandwidth_factor: Widens the kernels that candidates are drawn from.
        min_bandwidth: Floor of every kernel's bandwidth, in the unit cube.
        min_samples_in_model: Least number of good and of bad points (N_min); None is the number of searched columns
            plus 1.
        bandwidth: "normal_reference" is a rule of thumb; "cv_ml" searches for the likeliest, which takes seconds.

    Raises:
        OptionError: An option of ``kde`` is given to another sampler.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = BOHB([RangeHP("x", 0.0, 1.0)], min_fidelity=1, max_fidelity=9, seed=0)
        >>> for _ in range(9):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
        >>> promoted = hpo.ask()
        >>> promoted.fidelity, promoted.resume == max(hpo.trials, key=lambda trial: trial.score).number
        (3, True)
    """

    option_aliases: ClassVar[Mapping[str, str]] = {
        **Hyperband.option_aliases,
        "min_points_in_model": "min_samples_in_model",
    }

    sampler: SamplerSpec | BaseHPOptimizer | None = None
    top_n_percent: float = 15
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    min_samples_in_model: int | None = None
    bandwidth: Literal["normal_reference", "cv_ml"] = "normal_reference"

    def __post_init__(self) -> None:
        self._is_sampler_given = self.sampler is not None
        if self.sampler is None:
            self.sampler = "kde" if self._of_kde() else "auto"
        super().__post_init__()

    def _resume_with(self, options: Mapping[str, Any]) -> Sequence[str]:
        names = super()._resume_with(options)
        if self._is_sampler_given:
            return names
        self._take_sampler(from_json(options.get("sampler", "kde")))  # the only one of older releases
        return (*names, "sampler")

    def _make_scheduler(self) -> hyperband.Hyperband:
        schedule = self.brackets_of(self.bracket_sizes)
        n_first = n_least(self.space.n_columns, self.min_samples_in_model) + 2
        return hyperband.Hyperband(schedule, self.num_iterations, n_first=n_first, max_evals=self.max_evals)

    def _options_for(self, sampler: str) -> dict[str, Any]:
        if sampler == "kde":
            return {name: getattr(self, name) for name in _OF_KDE}
        given = self._of_kde()
        if given:
            raise OptionError(f"{given[0]}: is an option of the sampler kde, not of {sampler}")
        return super()._options_for(sampler)

    def _of_kde(self) -> list[str]:
        """The options of ``kde`` that are given."""
        defaults = option_defaults(type(self))
        return [name for name in _OF_KDE if not is_same(getattr(self, name), defaults[name])]
