"""GPOptions: the options of the multi-fidelity Gaussian process, which every algorithm that is made of it has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autohpo.algorithms.options import check_types
from autohpo.errors import OptionError
from autohpo.spaces.tagged import is_same

ModelName = Literal["gp_multitask", "gp_independent", "gp_issm", "gp_expdecay"]
"""How the values at several fidelities hang together."""

ResourceKernel = Literal[
    "log-resource",
    "exp-decay-sum",
    "exp-decay-combined",
    "exp-decay-delta1",
    "freeze-thaw",
    "matern52",
    "matern52-res-warp",
    "cross-validation",
]
"""The covariance of values at several fidelities, in the model "gp_multitask"."""

SearcherData = Literal["rungs", "all", "rungs_and_last"]
"""Which values of a curve the model is made of."""

CURVE_MODELS = frozenset({"gp_issm", "gp_expdecay"})
"""The models of whole curves, which want the value at each fidelity from 1 on."""


@dataclass(eq=False, kw_only=True)
class GPOptions:
    """The options of the multi-fidelity Gaussian process, with the names that Syne Tune gave them.

    Args:
        model: "gp_multitask" is one process of configuration and fidelity; "gp_independent" one process for each
            fidelity with shared length-scales; "gp_issm" and "gp_expdecay" are processes with a curve model.
        gp_resource_kernel: The kernel of "gp_multitask". The default is a smooth function of the log of the fidelity,
            with a curve of its own for each configuration; the others are Syne Tune's.
        rung_mixture: Whether the prediction for a new configuration is a mixture of those at all rungs, each weighed by
            how often its draws order the results of the highest rung best; for rungs that may mislead.
        hypertune_distribution_num_samples: The number of draws by which these weights are judged.
        searcher_data: Which values of a curve the model is made of: those at rungs, all, or at rungs and the last.
        resource_acq: The fidelity at which improvement is expected: the largest with enough values, the first that a
            new configuration gets, or the full one.
        resource_acq_bohb_threshold: The number of values that are enough.
        max_size_data_for_model: The number of values that a model is made of at most: all those of the configurations
            that came farthest, and then of the others; None is no limit.
        one_per_doubling: Whether, where there are too many values, each configuration first keeps the last one of each
            doubling of the fidelity.
        opt_skip_init_length: Up to so many values, parameters are fitted anew with each of them.
        opt_skip_period: Later parameters are fitted anew with every so many values.
        opt_skip_num_max_resource: Whether later parameters are only fitted anew with a value at the full fidelity.
        opt_nstarts: The number of points from which a fit from scratch starts.
        opt_maxiter: The number of steps of a fit from scratch, at most.
        opt_warmstart: Whether a fit goes on from one to fewer values; else it always starts from scratch.
        issm_gamma_one: Whether the parameter gamma of "gp_issm" is 1.
        expdecay_normalize_inputs: Whether "gp_expdecay" sees fidelities from 0 to 1.
        num_fantasy_samples: The number of joint draws that stand for the results of running trials.
        no_fantasizing: Whether running trials are left out.
        normalize_targets: Whether results are brought to mean 0 and variance 1.
        boxcox_transform: Whether results are brought near to a normal distribution by a power, the likeliest one.
        input_warping: Whether the fit may stretch the ends of ranges.
        separate_noise_variances: Whether the noise of each fidelity is another one.
        num_init_random: The number of configurations that have ended before there is a model. None is one more than
            the number of columns of the unit cube, but from 5 to 11.
        num_init_candidates: The number of draws from the prior that are looked at for a suggestion; others lie near
            good configurations.
        initial_scoring: What says from which of them the search for the best starts: the acquisition function, or
            independent draws from the posterior.
        skip_local_optimization: Whether the best of them is suggested as it is.
        acq_function: The log of the expected improvement, "ei", or the lower confidence bound, "lcb".
        lcb_kappa: The number of deviations of "lcb".
        allow_duplicates: Whether a configuration may be suggested again; one that failed never is.
        restrict_configurations: The only configurations that may be suggested; None is all.
        points_to_evaluate: The first suggestions; what a configuration leaves out is taken from the middle. None is the
            middle of the space, an empty list none.
        cost_attr: Where costs count: "cost" is what a trial cost, any other name is a metric that it returned. None
            counts none.
        exponent_cost: The power of the predicted cost by which expected improvement is divided.
        random_fraction: The share of suggestions that are drawn from the prior, so that no region is given up.
        debug_log: Whether each suggestion is explained in the log, at the level "INFO".
    """

    model: ModelName = "gp_multitask"
    gp_resource_kernel: ResourceKernel = "log-resource"
    rung_mixture: bool = False
    hypertune_distribution_num_samples: int = 50
    searcher_data: SearcherData | None = None
    resource_acq: Literal["bohb", "first", "final"] = "bohb"
    resource_acq_bohb_threshold: int = 3
    max_size_data_for_model: int | None = 500
    one_per_doubling: bool = False
    opt_skip_init_length: int = 150
    opt_skip_period: int = 1
    opt_skip_num_max_resource: bool = False
    opt_nstarts: int = 1
    opt_maxiter: int = 32
    opt_warmstart: bool = True
    issm_gamma_one: bool = False
    expdecay_normalize_inputs: bool = False
    num_fantasy_samples: int = 20
    no_fantasizing: bool = False
    normalize_targets: bool = True
    boxcox_transform: bool = False
    input_warping: bool = False
    separate_noise_variances: bool = False
    num_init_random: int | None = None
    num_init_candidates: int = 250
    initial_scoring: Literal["acq_func", "thompson_indep"] = "acq_func"
    skip_local_optimization: bool = False
    acq_function: Literal["ei", "lcb"] = "ei"
    lcb_kappa: float = 1.0
    allow_duplicates: bool = False
    restrict_configurations: Sequence[Any] | None = None
    points_to_evaluate: Sequence[Any] | None = None
    cost_attr: str | None = None
    exponent_cost: float = 1.0
    random_fraction: float = 0.2
    debug_log: bool = False


_OF_OTHERS = {"searcher_data", "debug_log"}  # options that say nothing of the model

GP_OPTIONS = tuple(field.name for field in dataclasses.fields(GPOptions))
"""The names of the options."""


def gp_options_of(options: GPOptions) -> dict[str, Any]:
    """Return the options of an algorithm that are those of the process, by name."""
    return {name: getattr(options, name) for name in GP_OPTIONS}


def given_gp_options(options: GPOptions) -> list[str]:
    """Return the names of the options of the process that are not the algorithm's own defaults.

    Options that say nothing of the model are left out.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    values = gp_options_of(options)
    return [name for name, value in values.items() if name not in _OF_OTHERS and not is_same(value, defaults[name])]


def data_of(options: GPOptions) -> SearcherData:
    """Return which values of a curve the model is made of: models of curves want all of them."""
    if options.searcher_data is not None:
        return options.searcher_data
    return "all" if options.model in CURVE_MODELS else "rungs"


def check_gp_options(options: GPOptions) -> None:
    """Raise OptionError unless all options have their types, are in their ranges, and go together."""
    check_types(options)
    n_most, n_random = options.max_size_data_for_model, options.num_init_random
    rules = [
        ("resource_acq_bohb_threshold", options.resource_acq_bohb_threshold >= 1, "at least 1"),
        ("max_size_data_for_model", n_most is None or n_most >= 10, "at least 10, or None"),
        ("hypertune_distribution_num_samples", options.hypertune_distribution_num_samples >= 1, "at least 1"),
        ("opt_skip_init_length", options.opt_skip_init_length >= 0, "at least 0"),
        ("opt_skip_period", options.opt_skip_period >= 1, "at least 1"),
        ("opt_nstarts", options.opt_nstarts >= 1, "at least 1"),
        ("opt_maxiter", options.opt_maxiter >= 1, "at least 1"),
        ("num_fantasy_samples", options.num_fantasy_samples >= 1, "at least 1"),
        ("num_init_random", n_random is None or n_random >= 1, "at least 1, or None"),
        ("num_init_candidates", options.num_init_candidates >= 10, "at least 10"),
        ("lcb_kappa", 0 <= options.lcb_kappa < math.inf, "at least 0 and finite"),
        ("exponent_cost", 0 <= options.exponent_cost < math.inf, "at least 0 and finite"),
        ("random_fraction", 0 <= options.random_fraction <= 1, "from 0 to 1"),
    ]
    for name, is_kept, rule in rules:
        if not is_kept:
            raise OptionError(f"{name}: must be {rule}, got {getattr(options, name)}")
    if options.model in CURVE_MODELS and options.searcher_data not in (None, "all"):
        raise OptionError(f'searcher_data: must be "all" for the model {options.model}, got {options.searcher_data}')
    if options.model in CURVE_MODELS and options.separate_noise_variances:
        raise OptionError(f"separate_noise_variances: must be False with the model {options.model}, got True")
