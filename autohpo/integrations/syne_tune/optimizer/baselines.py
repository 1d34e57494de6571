"""Schedulers by the name of the method: ASHA, MOBSTER, BOHB and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.arguments import SearchArguments, taken
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import FIFOScheduler, built
from autohpo.integrations.syne_tune.optimizer.schedulers.hyperband import HyperbandScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.synchronous import (
    GeometricDifferentialEvolutionHyperbandScheduler,
    SynchronousGeometricHyperbandScheduler,
)

__all__ = [
    "ASHA",
    "BOHB",
    "DEHB",
    "KDE",
    "MOBSTER",
    "PASHA",
    "REA",
    "BayesianOptimization",
    "DyHPO",
    "GridSearch",
    "HyperTune",
    "RandomSearch",
    "SyncBOHB",
    "SyncHyperband",
    "SyncMOBSTER",
]

Space = Mapping[str, Any]


class RandomSearch(FIFOScheduler):
    """Random search: configurations drawn from the space, each trained in full."""

    def __init__(self, config_space: Space, metric: str, **kwargs: Any) -> None:
        super().__init__(config_space, metric=metric, **_by("random", kwargs))


class GridSearch(FIFOScheduler):
    """Grid search: every combination of evenly spaced values, each trained in full."""

    def __init__(self, config_space: Space, metric: str, **kwargs: Any) -> None:
        super().__init__(config_space, metric=metric, **_by("grid", kwargs))


class BayesianOptimization(FIFOScheduler):
    """Bayesian optimization by a Gaussian process: the algorithm "bayes"."""

    def __init__(self, config_space: Space, metric: str, **kwargs: Any) -> None:
        super().__init__(config_space, metric=metric, **_by("bayesopt", kwargs))


class KDE(FIFOScheduler):
    """Kernel densities of good and bad configurations: the algorithm "kde"."""

    def __init__(self, config_space: Space, metric: str, **kwargs: Any) -> None:
        super().__init__(config_space, metric=metric, **_by("kde", kwargs))


class REA(TrialScheduler):
    """Regularized evolution: the best of a few young configurations is changed a little.

    Args:
        config_space: A dict from name to domain or constant.
        metric: The name of the metric among the reported values.
        population_size: How many configurations are young.
        sample_size: How many of them compete.
        random_seed: A number for everything random.
        kwargs: The other arguments of every scheduler.
    """

    def __init__(
        self,
        config_space: Space,
        metric: str,
        population_size: int = 100,
        sample_size: int = 10,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        args = taken(SearchArguments, "REA", {**kwargs, "metric": metric, "random_seed": random_seed})
        options = {"population_size": population_size, "sample_size": sample_size}
        hpo, constants = built("regularized_evolution", config_space, args, options)
        super().__init__(config_space, hpo, metric=metric, constants=constants)


class ASHA(HyperbandScheduler):
    """Asynchronous successive halving with configurations drawn from the space: the algorithm "asha"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_t", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **_by("random", kwargs))


class MOBSTER(HyperbandScheduler):
    """Asynchronous successive halving with a joint model of all rungs: the algorithm "mobster"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_t", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **_by("bayesopt", kwargs))


class HyperTune(HyperbandScheduler):
    """Asynchronous Hyperband whose model learns which rungs to trust: the algorithm "hypertune"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_t", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **_by("hypertune", kwargs))


class DyHPO(HyperbandScheduler):
    """Training in small steps, always where a model expects most: the algorithm "dyhpo".

    Args:
        config_space: A dict from name to domain or constant.
        metric: The name of the metric among the reported values.
        resource_attr: The name of the resource among the reported values.
        probability_sh: The chance that successive halving decides instead of the model.
        kwargs: The other arguments of :class:`HyperbandScheduler`.
    """

    def __init__(
        self, config_space: Space, metric: str, resource_attr: str, probability_sh: float | None = None, **kwargs: Any
    ) -> None:
        _need("max_t", kwargs)
        _only("type", "dyhpo", kwargs)
        if probability_sh is not None:
            extra = {**(kwargs.get("rung_system_kwargs") or {}), "probability_sh": probability_sh}
            kwargs["rung_system_kwargs"] = extra
        if kwargs.get("reduction_factor") is None and kwargs.get("rung_increment") is None:
            kwargs["rung_increment"] = 2
        given = {**_by("dyhpo", kwargs), "type": "dyhpo"}
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **given)


class PASHA(HyperbandScheduler):
    """Asynchronous successive halving whose full resource grows until the ranking is stable: the algorithm "pasha"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_t", kwargs)
        _only("type", "pasha", kwargs)
        given = {"searcher": "random", **kwargs, "type": "pasha"}
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **given)


class BOHB(HyperbandScheduler):
    """Asynchronous successive halving with kernel densities: the algorithm "asha" with the sampler "kde"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_t", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **_by("kde", kwargs))


class SyncHyperband(SynchronousGeometricHyperbandScheduler):
    """Hyperband with configurations drawn from the space: the algorithm "hyperband"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_resource_level", kwargs)
        given = {"searcher": "random", **kwargs}
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **given)


class SyncBOHB(SynchronousGeometricHyperbandScheduler):
    """Hyperband with kernel densities: the algorithm "hyperband" with the sampler "kde"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_resource_level", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **_by("kde", kwargs))


class SyncMOBSTER(SynchronousGeometricHyperbandScheduler):
    """Hyperband with a joint model of all rungs: the algorithm "hyperband" with the sampler "gp_multi_fidelity"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_resource_level", kwargs)
        given = _by("bayesopt", kwargs)
        given["search_options"] = {"model": "gp_independent", **(kwargs.get("search_options") or {})}
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **given)


class DEHB(GeometricDifferentialEvolutionHyperbandScheduler):
    """Hyperband by differential evolution: the algorithm "dehb"."""

    def __init__(self, config_space: Space, metric: str, resource_attr: str, **kwargs: Any) -> None:
        _need("max_resource_level", kwargs)
        super().__init__(config_space, metric=metric, resource_attr=resource_attr, **kwargs)


def _by(searcher: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a baseline with its own searcher."""
    _only("searcher", searcher, kwargs)
    return {**kwargs, "searcher": searcher}


def _only(name: str, value: str, kwargs: Mapping[str, Any]) -> None:
    """Raise OptionError where an argument is given that the baseline sets itself, with another value."""
    if kwargs.get(name) not in (None, value):
        raise OptionError(f"{name}: must be {value!r} for this method, got {shown(kwargs[name])}")


def _need(name: str, kwargs: Mapping[str, Any]) -> None:
    """Raise OptionError unless the full resource is given, or the constant that has it."""
    if kwargs.get(name) is None and kwargs.get("max_resource_attr") is None:
        raise OptionError(f"{name}: must be given, or max_resource_attr, the constant of config_space that has it")


_NEAREST = {
    "ASHABORE": "BOHB",
    "ASHACQR": "MOBSTER",
    "ASHACTS": "MOBSTER, or autohpo's optimize(warm_start=...)",
    "BORE": "KDE",
    "BoTorch": "BayesianOptimization",
    "CQR": "BayesianOptimization",
    "ConstrainedBayesianOptimization": "autohpo's 'bayes' with outcome constraints",
    "EHVI": "autohpo's 'ehvi' with several objectives",
    "MOASHA": "autohpo's 'asha' with several objectives",
    "MOLinearScalarizationBayesOpt": "autohpo's 'ehvi' with several objectives",
    "MOREA": "autohpo's 'nsga2' with several objectives",
    "MORandomScalarizationBayesOpt": "autohpo's 'ehvi' with several objectives",
    "NSGA2": "autohpo's 'nsga2' with several objectives",
    "ZeroShotTransfer": "autohpo's optimize(warm_start=...)",
}


def __getattr__(name: str) -> Any:
    """Raise the error of a baseline that has no counterpart; it names the nearest."""
    if name in _NEAREST:
        raise MissingBaselineError(f"{name}: has no counterpart here; the nearest is {_NEAREST[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class MissingBaselineError(OptionError, ImportError):
    """A baseline of Syne Tune has no counterpart here; the text names the nearest."""
