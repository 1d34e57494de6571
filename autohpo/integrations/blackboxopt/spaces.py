"""Search spaces of the parameterspace library, read as search spaces of ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import parameterspace as ps
from parameterspace.priors.beta import Beta
from parameterspace.priors.categorical import Categorical
from parameterspace.priors.truncated_normal import TruncatedNormal
from parameterspace.priors.uniform import Uniform
from parameterspace.transformations.categorical import Cat2Num
from parameterspace.transformations.log_zero_one import LogZeroOneFloat, LogZeroOneInteger
from parameterspace.transformations.zero_one import ZeroOneFloat, ZeroOneInteger

from autohpo.errors import SpaceError, shown
from autohpo.integrations._children import with_children
from autohpo.integrations.blackboxopt.conditions import read_conditions
from autohpo.integrations.blackboxopt.values import is_copy
from autohpo.spaces import (
    BetaPrior,
    ChoiceHP,
    FixedHP,
    HPSpace,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    Prior,
    RangeHP,
    SearchSpace,
    WeightedPrior,
)

__all__ = ["from_parameterspace"]

_LINEAR = {ps.ContinuousParameter: ZeroOneFloat, ps.IntegerParameter: ZeroOneInteger}
_LOG = {ps.ContinuousParameter: LogZeroOneFloat, ps.IntegerParameter: LogZeroOneInteger}


def from_parameterspace(space: ps.ParameterSpace) -> SearchSpace:
    """Return the search space of a ParameterSpace, which stays as it is.

    Continuous and integer parameters become ranges, on a logarithmic scale where theirs is; categorical and ordinal
    ones become choices and ordinals, what was fixed becomes a fixed value, and priors become priors. A condition on one
    categorical parameter makes a parameter its child, another condition becomes a formula. A range of a single value
    becomes a fixed value.

    Args:
        space: A space of parameterspace 0.10 or later.

    Raises:
        SpaceError: Something cannot be expressed here: parameters, priors or transformations of other classes, or a
            condition that is no formula over values that can be counted; the error names the parameter.

    Example:
        >>> there = ps.ParameterSpace()
        >>> _ = there.add(ps.ContinuousParameter("lr", (1e-4, 1e-1), transformation="log"))
        >>> from_parameterspace(there)
        SearchSpace([LogRangeHP(name='lr', low=0.0001, high=0.1)])
    """
    if not isinstance(space, ps.ParameterSpace):
        raise SpaceError(f"search_space: must be a ParameterSpace, got {shown(space)}")
    fixed: dict[str, HPSpace] = {name: FixedHP(name, value) for name, value in space._constants.items()}
    plain = fixed | {name: _read(name, space[name]["parameter"]) for name in space.get_parameter_names()}
    children, formulas = read_conditions(space, plain)
    return SearchSpace(with_children(plain, children), conditions=formulas)


def _read(name: str, theirs: Any) -> HPSpace:
    """Return a parameter of theirs as a parameter of ours."""
    kind = type(theirs)
    if kind is ps.CategoricalParameter:
        _check_values(name, theirs)
        return ChoiceHP(name, list(theirs.values), prior=_weights(name, theirs))
    if kind is ps.OrdinalParameter:
        _check_values(name, theirs)
        return OrdinalHP(name, list(theirs.values), prior=_weights(name, theirs))
    if kind in _LINEAR:
        return _read_range(name, theirs)
    rule = "must be a continuous, integer, categorical or ordinal parameter of parameterspace"
    raise SpaceError(f"{name}: {rule}, got {kind.__name__}")


def _check_values(name: str, theirs: Any) -> None:
    transformation = theirs._transformation
    known = list(transformation.values) if type(transformation) is Cat2Num else []
    if len(known) != len(theirs.values) or not all(map(is_copy, theirs.values, known)):
        raise SpaceError(f"{name}: transformation must be that of its values, got {shown(known or transformation)}")


def _read_range(name: str, theirs: Any) -> HPSpace:
    """Return a continuous or an integer parameter as a range."""
    low, high = theirs.bounds.tolist()
    if type(theirs) is ps.ContinuousParameter:
        low, high = float(low), float(high)
    if low == high:
        return FixedHP(name, low)
    transformation = theirs._transformation
    if type(transformation) not in (_LINEAR[type(theirs)], _LOG[type(theirs)]):
        rule = "transformation must be the linear or the logarithmic one of its kind"
        raise SpaceError(f"{name}: {rule}, got {type(transformation).__name__}")
    if not np.array_equal(transformation.input_bounds, theirs.bounds):
        rule = f"transformation must have the bounds of the parameter, {(low, high)}"
        raise SpaceError(f"{name}: {rule}, got {tuple(transformation.input_bounds.tolist())}")
    is_log = type(transformation) is _LOG[type(theirs)]
    return (LogRangeHP if is_log else RangeHP)(name, low, high, prior=_range_prior(name, theirs, low, high, is_log))


def _range_prior(name: str, theirs: Any, low: float, high: float, is_log: bool) -> Prior | None:
    """Return the prior of a range; theirs is one of the place from 0 to 1 on the scale."""
    prior = theirs._prior
    is_int = type(theirs) is ps.IntegerParameter
    if type(prior) is TruncatedNormal:
        half = 0.5 if is_int else 0.0  # an integer has half a step on both sides
        ends = (math.log(low - half), math.log(high + half)) if is_log else (low - half, high + half)
        length = ends[1] - ends[0]
        mean = ends[0] + float(prior.mean) * length
        try:
            return NormalPrior(math.exp(mean) if is_log else mean, float(prior.std) * length)
        except OverflowError:
            raise SpaceError(f"{name}: prior must have a mean that is a float, got {prior}") from None
    if type(prior) is Categorical and not is_int:
        raise SpaceError(f"{name}: prior of a continuous parameter must be smooth, got {prior}")
    return _common_prior(name, prior, theirs.num_values)


def _weights(name: str, theirs: Any) -> Prior | None:
    """Return the prior of values that are listed; each has an equal part of the scale."""
    prior = theirs._prior
    if type(prior) is TruncatedNormal:
        below = prior.sps_dist.cdf(np.linspace(0.0, 1.0, theirs.num_values + 1))
        return WeightedPrior(np.maximum(np.diff(below), 0.0).tolist())
    return _common_prior(name, prior, theirs.num_values)


def _common_prior(name: str, prior: Any, n_values: float) -> Prior | None:
    """Return a prior that says the same of every kind of parameter."""
    if type(prior) is Uniform:
        return None
    if type(prior) is Beta:
        return BetaPrior(float(prior.a), float(prior.b))
    if type(prior) is Categorical:
        weights = prior.probabilities.tolist()
        if len(weights) != n_values:
            raise SpaceError(f"{name}: prior must have a weight for each of {n_values} values, got {len(weights)}")
        return None if len(set(weights)) == 1 else WeightedPrior(weights)
    rule = "prior must be uniform, normal, beta or weights of parameterspace"
    raise SpaceError(f"{name}: {rule}, got {type(prior).__name__}")
