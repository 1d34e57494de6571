"""Optuna's samplers under our registry: ``build_hpo_from_name("optuna:tpe", space, f)``; needs ``autohpo[optuna]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.integrations.optuna.cma_state import as_json, as_theirs
from autohpo.integrations.optuna.hpo import OptunaHPO, values_of

_ALL = frozenset({"objectives", "outcome_constraints"})


@register_hpo("optuna:tpe")
@dataclass(eq=False, kw_only=True)
class OptunaTPE(OptunaHPO):
    """Optuna's tree-structured Parzen estimator.

    Args:
        n_startup_trials: Trials drawn at random before there is a model.
        n_ei_candidates: Draws of which the best is suggested.
        multivariate: Whether parameters are modelled together.
        group: Whether parameters that occur together are modelled together, group by group; with `multivariate`.
        constant_liar: Whether trials that run count as bad ones.
        prior_weight: The weight of the prior.

    Source: ``optuna.samplers.TPESampler``.
    """

    sampler_class: ClassVar[str] = "TPESampler"
    supports: ClassVar[frozenset[str]] = _ALL

    n_startup_trials: int | None = None
    n_ei_candidates: int | None = None
    multivariate: bool | None = None
    group: bool | None = None
    constant_liar: bool | None = None
    prior_weight: float | None = None


@register_hpo("optuna:gp")
@dataclass(eq=False, kw_only=True)
class OptunaGP(OptunaHPO):
    """Optuna's Gaussian process sampler, which needs torch.

    Args:
        n_startup_trials: Trials drawn at random before there is a model.
        deterministic_objective: Whether the objective has no noise.

    Source: ``optuna.samplers.GPSampler``.
    """

    sampler_class: ClassVar[str] = "GPSampler"
    package: ClassVar[str | None] = "torch"
    supports: ClassVar[frozenset[str]] = _ALL

    n_startup_trials: int | None = None
    deterministic_objective: bool | None = None


@register_hpo("optuna:cmaes")
@dataclass(eq=False, kw_only=True)
class OptunaCmaEs(OptunaHPO):
    """Optuna's CMA-ES, which needs cmaes; what is no number, or conditional, is drawn at random.

    Args:
        sigma0: The width of the first generation.
        n_startup_trials: Trials drawn at random before it.
        popsize: Trials of a generation.
        consider_pruned_trials: Whether stopped trials count with their last value.
        use_separable_cma: Whether the covariance is diagonal: for very many parameters.
        with_margin: Whether steps of discrete parameters keep a margin.
        lr_adapt: Whether the learning rate adapts to noise.

    Source: ``optuna.samplers.CmaEsSampler``.
    """

    sampler_class: ClassVar[str] = "CmaEsSampler"
    package: ClassVar[str | None] = "cmaes"

    sigma0: float | None = None
    n_startup_trials: int | None = None
    popsize: int | None = None
    consider_pruned_trials: bool | None = None
    use_separable_cma: bool | None = None
    with_margin: bool | None = None
    lr_adapt: bool | None = None

    @staticmethod
    def kept(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the sampler wrote to its trial, with its optimizer in JSON types."""
        return as_json(attributes)

    @staticmethod
    def restored(notes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the sampler finds at a trial."""
        return as_theirs(notes)


@register_hpo("optuna:nsgaii")
@dataclass(eq=False, kw_only=True)
class OptunaNSGAII(OptunaHPO):
    """Optuna's NSGA-II.

    Args:
        population_size: Trials of a generation.
        mutation_prob: The chance that a parameter is drawn anew.
        crossover_prob: The chance that a child has two parents.
        swapping_prob: The chance that a parameter is the other parent's.

    Source: ``optuna.samplers.NSGAIISampler``.
    """

    sampler_class: ClassVar[str] = "NSGAIISampler"
    supports: ClassVar[frozenset[str]] = _ALL

    population_size: int | None = None
    mutation_prob: float | None = None
    crossover_prob: float | None = None
    swapping_prob: float | None = None


@register_hpo("optuna:nsgaiii")
@dataclass(eq=False, kw_only=True)
class OptunaNSGAIII(OptunaNSGAII):
    """Optuna's NSGA-III.

    Args:
        dividing_parameter: How finely the reference points lie.

    Source: ``optuna.samplers.NSGAIIISampler``.
    """

    sampler_class: ClassVar[str] = "NSGAIIISampler"

    dividing_parameter: int | None = None


@register_hpo("optuna:qmc")
@dataclass(eq=False, kw_only=True)
class OptunaQMC(OptunaHPO):
    """Optuna's quasi-random sequences.

    Args:
        qmc_type: The sequence.
        scramble: Whether it is scrambled by the seed.

    Source: ``optuna.samplers.QMCSampler``.
    """

    sampler_class: ClassVar[str] = "QMCSampler"
    learns: ClassVar[bool] = False
    has_own_seed: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = _ALL

    qmc_type: Literal["sobol", "halton"] | None = None
    scramble: bool | None = None


@register_hpo("optuna:random")
@dataclass(eq=False, kw_only=True)
class OptunaRandom(OptunaHPO):
    """Optuna's random search.

    Source: ``optuna.samplers.RandomSampler``.
    """

    sampler_class: ClassVar[str] = "RandomSampler"
    learns: ClassVar[bool] = False
    supports: ClassVar[frozenset[str]] = _ALL


@register_hpo("optuna:brute_force")
@dataclass(eq=False, kw_only=True)
class OptunaBruteForce(OptunaHPO):
    """Optuna's brute force: every configuration of a space whose values can be counted.

    Args:
        avoid_premature_stop: Whether it waits for trials that run before it says that it is at its end.

    Source: ``optuna.samplers.BruteForceSampler``.
    """

    sampler_class: ClassVar[str] = "BruteForceSampler"
    learns: ClassVar[bool] = False
    needs_values: ClassVar[bool] = True
    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = _ALL

    avoid_premature_stop: bool | None = None


@register_hpo("optuna:grid")
@dataclass(eq=False, kw_only=True)
class OptunaGrid(OptunaHPO):
    """Optuna's grid: every configuration of a space whose values can be counted, in an order that the seed decides.

    Source: ``optuna.samplers.GridSampler``.
    """

    sampler_class: ClassVar[str] = "GridSampler"
    learns: ClassVar[bool] = False
    has_own_seed: ClassVar[bool] = True
    needs_values: ClassVar[bool] = True
    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = _ALL

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space.is_conditional:
            raise OptionError("space: must have no conditions and children for GridSampler; take optuna:brute_force")

    def _arguments(self) -> dict[str, Any]:
        return {"search_space": values_of(self.space)}
