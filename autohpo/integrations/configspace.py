"""Search spaces of the ConfigSpace library, read and written; needs the extra ``autohpo[configspace]``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.errors import MissingExtraError, SpaceError
from autohpo.integrations import _clauses
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
    """The search space of a ConfigurationSpace.

    Ranges, categories, ordinals and constants become ranges, choices, ordinals and fixed values; normal and beta
    distributions and weights become priors. A condition on a category's values makes a parameter its child, another
    one a formula; forbidden clauses become constraints. Default values and meta data have no place here: try
    ``dict(space.get_default_configuration())`` first if it matters.

    Args:
        space: Of ConfigSpace 1.2 or later.

    Raises:
        MissingExtraError: ConfigSpace is not installed.
        SpaceError: Something cannot be said here; the text names the parameter.
    """
    _load()
    plain = {name: _read(name, hp) for name, hp in space.items()}
    children, formulas = _clauses.read_conditions(space)
    made: dict[str, HPSpace] = {}

    def with_children(name: str) -> HPSpace:
        if name not in made:
            hp = plain[name]
            if name in children and isinstance(hp, ChoiceHP):
                under = [[with_children(child) for child in names] for names in children[name]]
                hp = ChoiceHP(name, hp.choices, under, hp.prior)
            made[name] = hp
        return made[name]

    below = {child for under in children.values() for names in under for child in names}
    roots = [with_children(name) for name in plain if name not in below]
    return SearchSpace(roots, conditions=formulas, constraints=_clauses.read_forbidden(space))


def to_configspace(space: SearchSpace, seed: int | None = None) -> ConfigurationSpace:
    """A ConfigurationSpace with the parameters, priors, conditions and constraints of a search space.

    Its default configuration is the middle of the search space, or, where a constraint refuses that, a draw.

    Args:
        space: Whose formulas only compare parameters with values or with each other.
        seed: For the random numbers of the ConfigurationSpace.

    Raises:
        MissingExtraError: ConfigSpace is not installed.
        SpaceError: ConfigSpace cannot say it: steps, lists, permutations, beliefs, weights of ranges, formulas that
            compute, constraints that are functions or sums; or a value that it rounds or refuses.
    """
    library = _load()
    made: ConfigurationSpace = library.ConfigurationSpace(seed=seed)
    middle = space.decode(np.full((1, space.n_columns), 0.5))[0]
    default = middle if space.is_allowed(middle) else space.sample(np.random.default_rng(0), 1)[0]
    for hp in space:
        made.add(_refusing(hp.name, _write, library, hp, default.get(hp.name)))
    for name, make in _clauses.written_conditions(space, made):
        made.add(_refusing(name, make))
    for constraint, make in _clauses.written_forbidden(space, made):
        _refusing(constraint, made.add, _refusing(constraint, make))
    return made


def _load() -> Any:
    try:
        import ConfigSpace
    except ImportError as error:
        raise MissingExtraError("ConfigSpace is not installed: pip install 'autohpo[configspace]'") from error
    return ConfigSpace


def _refusing(name: str, call: Any, *arguments: Any) -> Any:
    """The result of a call into ConfigSpace, whose refusals become errors of ours."""
    try:
        return call(*arguments)
    except SpaceError:
        raise
    except Exception as error:  # it has a class of errors for every case, and raises built-in ones too
        raise SpaceError(f"{name}: ConfigSpace refuses it: {type(error).__name__}: {error}") from error


def _read(name: str, hp: Any) -> HPSpace:
    """A parameter of ConfigSpace as one of ours."""
    library = _load()
    if isinstance(hp, library.Constant):
        return FixedHP(name, hp.value)
    if isinstance(hp, library.CategoricalHyperparameter):
        return ChoiceHP(name, hp.choices, prior=None if hp.weights is None else list(hp.weights))
    if isinstance(hp, library.OrdinalHyperparameter):
        return OrdinalHP(name, hp.sequence)
    kind = LogRangeHP if getattr(hp, "log", False) else RangeHP
    prior: Prior | None = None
    if isinstance(hp, (library.NormalFloatHyperparameter, library.NormalIntegerHyperparameter)):
        # On a log scale ConfigSpace 1.2 takes |log(lower + sigma)| for the standard deviation of the logarithm.
        prior = NormalPrior(hp.mu, abs(math.log(hp.lower + hp.sigma)) if hp.log else hp.sigma)
    elif isinstance(hp, (library.BetaFloatHyperparameter, library.BetaIntegerHyperparameter)):
        prior = BetaPrior(hp.alpha, hp.beta)
    elif not isinstance(hp, (library.UniformFloatHyperparameter, library.UniformIntegerHyperparameter)):
        raise SpaceError(f"{name}: {type(hp).__name__} of ConfigSpace is not known here")
    return kind(name, hp.lower, hp.upper, prior=prior)


def _write(library: Any, hp: HPSpace, default: Any) -> Any:
    """A parameter of ours as one of ConfigSpace, with a default value where it has one."""
    extra = {} if default is None else {"default_value": default}
    prior = getattr(hp, "prior", None)
    match hp:
        case RangeHP() | LogRangeHP() if hp.step is None or (hp.is_int and hp.step == 1):
            return _written_range(library, hp, extra)
        case ChoiceHP() if prior is None or isinstance(prior, WeightedPrior):
            weights = None if prior is None else list(prior.weights)
            return library.CategoricalHyperparameter(hp.name, list(hp.choices), weights=weights, **extra)
        case OrdinalHP() if prior is None:
            return library.OrdinalHyperparameter(hp.name, list(hp.values), **extra)
        case FixedHP():
            return library.Constant(hp.name, hp.value)
    raise SpaceError(f"{hp.name}: ConfigSpace has no steps, lists, permutations, or such priors, got {hp}")


def _written_range(library: Any, hp: RangeHP | LogRangeHP, extra: Mapping[str, Any]) -> Any:
    number = "Integer" if hp.is_int else "Float"
    is_log = isinstance(hp, LogRangeHP)
    arguments: dict[str, Any] = {"lower": hp.low, "upper": hp.high, "log": is_log} | dict(extra)
    match hp.prior:
        case None:
            family = "Uniform"
        case NormalPrior(mean=mean, sd=sd):
            family = "Normal"
            arguments |= {"mu": mean, "sigma": _sigma(hp, sd) if is_log else sd}
        case BetaPrior(a=a, b=b):
            family = "Beta"
            arguments |= {"alpha": a, "beta": b}
        case _:
            raise SpaceError(f"{hp.name}: ConfigSpace has normal and beta distributions of ranges only, got {hp.prior}")
    made = getattr(library, f"{family}{number}Hyperparameter")(hp.name, **arguments)
    for key, value in arguments.items():  # it rounds to 13 decimals
        if key != "default_value" and not math.isclose(getattr(made, key), value, rel_tol=1e-9):
            raise SpaceError(f"{hp.name}: ConfigSpace rounds {key} {value} to {getattr(made, key)}")
    return made


def _sigma(hp: RangeHP | LogRangeHP, sd: float) -> float:
    """The sigma that ConfigSpace 1.2 takes for a standard deviation of the logarithm; see :func:`_read`."""
    below = math.exp(-sd) - hp.low
    sigma = below if below > 0 else math.exp(sd) - hp.low
    if sigma <= 0:
        raise SpaceError(f"{hp.name}: ConfigSpace has no sigma for a prior of sd {sd} on a log scale from {hp.low}")
    return sigma
