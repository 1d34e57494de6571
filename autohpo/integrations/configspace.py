"""Search spaces of the ConfigSpace library, read and written; needs the extra ``autohpo[configspace]``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.errors import MissingExtraError, SpaceError
from autohpo.integrations import _clauses
from autohpo.integrations._children import with_children
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

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

__all__ = ["from_configspace", "to_configspace"]


def from_configspace(space: ConfigurationSpace) -> SearchSpace:
    """Return the search space of a ConfigurationSpace.

    Ranges, categories, ordinals and constants become ranges, choices, ordinals and fixed values; normal and beta
    distributions and weights become priors. A condition on a category's values makes a parameter its child, another
    condition becomes a formula; forbidden clauses become constraints. Default values and meta data are left out: try
    ``dict(space.get_default_configuration())`` first if they matter.

    Args:
        space: A space of ConfigSpace 1.2 or later.

    Raises:
        MissingExtraError: ConfigSpace is not installed.
        SpaceError: Something cannot be expressed here; the error names the parameter.
    """
    _load()
    plain = {name: _read(name, theirs) for name, theirs in space.items()}
    children, formulas = _clauses.read_conditions(space)
    return SearchSpace(with_children(plain, children), conditions=formulas, constraints=_clauses.read_forbidden(space))


def to_configspace(space: SearchSpace, seed: int | None = None) -> ConfigurationSpace:
    """Return a ConfigurationSpace with the parameters, priors, conditions and constraints of a search space.

    Its default configuration is the middle of the search space, or, where a constraint forbids that, a draw.

    Args:
        space: A space whose formulas only compare parameters with values or with each other.
        seed: The seed of the ConfigurationSpace's random numbers.

    Raises:
        MissingExtraError: ConfigSpace is not installed.
        SpaceError: ConfigSpace has no such thing: steps, lists, permutations, beliefs, weights of ranges, formulas
            that compute, constraints that are functions or sums; or it rounds a value, or raises.
    """
    library = _load()
    made: ConfigurationSpace = library.ConfigurationSpace(seed=seed)
    middle = space.decode(np.full((1, space.n_columns), 0.5))[0]
    default = middle if space.is_allowed(middle) else space.sample(np.random.default_rng(0), 1)[0]
    for parameter in space:
        made.add(_called(parameter.name, _write, library, parameter, default.get(parameter.name)))
    for name, make in _clauses.written_conditions(space, made):
        made.add(_called(name, make))
    for constraint, make in _clauses.written_forbidden(space, made):
        _called(constraint, made.add, _called(constraint, make))
    return made


def _load() -> Any:
    try:
        import ConfigSpace
    except ImportError as error:
        raise MissingExtraError("ConfigSpace is not installed: pip install 'autohpo[configspace]'") from error
    return ConfigSpace


def _called(name: str, call: Any, *arguments: Any) -> Any:
    """Return the result of a call into ConfigSpace, whose errors become errors of ours."""
    try:
        return call(*arguments)
    except SpaceError:
        raise
    except Exception as error:  # it has a class of errors for every case, and raises built-in ones too
        raise SpaceError(f"{name}: ConfigSpace raised {type(error).__name__}: {error}") from error


def _read(name: str, theirs: Any) -> HPSpace:
    """Return a parameter of ConfigSpace as a parameter of ours."""
    library = _load()
    if isinstance(theirs, library.Constant):
        return FixedHP(name, theirs.value)
    if isinstance(theirs, library.CategoricalHyperparameter):
        return ChoiceHP(name, theirs.choices, prior=None if theirs.weights is None else list(theirs.weights))
    if isinstance(theirs, library.OrdinalHyperparameter):
        return OrdinalHP(name, theirs.sequence)
    kind = LogRangeHP if getattr(theirs, "log", False) else RangeHP
    prior: Prior | None = None
    if isinstance(theirs, (library.NormalFloatHyperparameter, library.NormalIntegerHyperparameter)):
        # On a log scale ConfigSpace 1.2 takes |log(lower + sigma)| for the standard deviation of the logarithm.
        prior = NormalPrior(theirs.mu, abs(math.log(theirs.lower + theirs.sigma)) if theirs.log else theirs.sigma)
    elif isinstance(theirs, (library.BetaFloatHyperparameter, library.BetaIntegerHyperparameter)):
        prior = BetaPrior(theirs.alpha, theirs.beta)
    elif not isinstance(theirs, (library.UniformFloatHyperparameter, library.UniformIntegerHyperparameter)):
        raise SpaceError(f"{name}: {type(theirs).__name__} of ConfigSpace cannot be converted")
    return kind(name, theirs.lower, theirs.upper, prior=prior)


def _write(library: Any, parameter: HPSpace, default: Any) -> Any:
    """Return a parameter of ours as a parameter of ConfigSpace, with a default value where there is one."""
    name, prior = parameter.name, getattr(parameter, "prior", None)
    extra = {} if default is None else {"default_value": default}
    match parameter:
        case RangeHP() | LogRangeHP() if parameter.step is None or (parameter.is_int and parameter.step == 1):
            return _written_range(library, parameter, extra)
        case ChoiceHP() if prior is None or isinstance(prior, WeightedPrior):
            weights = None if prior is None else list(prior.weights)
            return library.CategoricalHyperparameter(name, list(parameter.choices), weights=weights, **extra)
        case OrdinalHP() if prior is None:
            return library.OrdinalHyperparameter(name, list(parameter.values), **extra)
        case FixedHP():
            return library.Constant(name, parameter.value)
    rule = "must have no step or such a prior, and not be a list or a permutation, in ConfigSpace"
    raise SpaceError(f"{name}: {rule}, got {parameter}")


def _written_range(library: Any, parameter: RangeHP | LogRangeHP, extra: Mapping[str, Any]) -> Any:
    number = "Integer" if parameter.is_int else "Float"
    is_log = isinstance(parameter, LogRangeHP)
    arguments: dict[str, Any] = {"lower": parameter.low, "upper": parameter.high, "log": is_log} | dict(extra)
    match parameter.prior:
        case None:
            family = "Uniform"
        case NormalPrior(mean=mean, sd=sd):
            family = "Normal"
            arguments |= {"mu": mean, "sigma": _sigma(parameter, sd) if is_log else sd}
        case BetaPrior(a=a, b=b):
            family = "Beta"
            arguments |= {"alpha": a, "beta": b}
        case _:
            rule = "prior of a range must be a NormalPrior or a BetaPrior in ConfigSpace"
            raise SpaceError(f"{parameter.name}: {rule}, got {parameter.prior}")
    made = getattr(library, f"{family}{number}Hyperparameter")(parameter.name, **arguments)
    for key, value in arguments.items():  # ConfigSpace rounds to 13 decimals
        if key != "default_value" and not math.isclose(getattr(made, key), value, rel_tol=1e-9):
            rule = f"{key} must not change in ConfigSpace, which rounds to 13 decimals"
            raise SpaceError(f"{parameter.name}: {rule}, got {getattr(made, key)} for {value}")
    return made


def _sigma(parameter: RangeHP | LogRangeHP, sd: float) -> float:
    """Return the sigma that ConfigSpace 1.2 takes for a standard deviation of the logarithm; see :func:`_read`."""
    below = math.exp(-sd) - parameter.low
    sigma = below if below > 0 else math.exp(sd) - parameter.low
    if sigma <= 0:
        rule = f"prior must have a sigma in ConfigSpace, which has none from {parameter.low} on a log scale"
        raise SpaceError(f"{parameter.name}: {rule}, got sd {sd}")
    return sigma
