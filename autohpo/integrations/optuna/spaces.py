"""Optuna's distributions, read and written; needs the extra ``autohpo[optuna]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import MissingExtraError, SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, RangeHP, SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["from_optuna", "to_optuna"]


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """Return the search space of Optuna's distributions by name, such as ``trial.distributions``.

    A distribution of a single number becomes a fixed value.

    Args:
        distributions: Distributions of Optuna 3 or later.

    Raises:
        MissingExtraError: Optuna is not installed.
        SpaceError: A distribution is of an unknown kind, or has choices or ends that are illegal here.
    """
    library = _load()
    return SearchSpace([_read(library, name, distribution) for name, distribution in distributions.items()])


def to_optuna(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of the parameters of a search space, by name.

    Raises:
        MissingExtraError: Optuna is not installed.
        SpaceError: Optuna's distributions have no such thing: orders of given values, lists, permutations, priors,
            steps on a log scale, children, conditions and constraints.
    """
    library = _load()
    if space.constraints:
        raise SpaceError(f"constraints: must be none in Optuna's distributions, got {space.constraints[0]}")
    for name in space.names:
        deciders = space.deciders(name)
        if deciders:
            rule = "must not depend on other parameters in Optuna's distributions"
            raise SpaceError(f"{name}: {rule}, got {list(deciders)}")
    return {parameter.name: _write(library, parameter) for parameter in space}


def _load() -> Any:
    try:
        import optuna.distributions
    except ImportError as error:
        raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error
    return optuna.distributions


def _read(library: Any, name: str, theirs: Any) -> HPSpace:
    """Return a distribution as a parameter of ours."""
    if isinstance(theirs, library.CategoricalDistribution):
        return ChoiceHP(name, theirs.choices)
    if not isinstance(theirs, (library.FloatDistribution, library.IntDistribution)):
        raise SpaceError(f"{name}: must be a Float, Int or CategoricalDistribution of Optuna, got {shown(theirs)}")
    if theirs.single():
        return FixedHP(name, theirs.low)
    if theirs.log:
        return LogRangeHP(name, theirs.low, theirs.high)
    is_plain = theirs.step is None or (isinstance(theirs, library.IntDistribution) and theirs.step == 1)
    return RangeHP(name, theirs.low, theirs.high, None if is_plain else theirs.step)


def _write(library: Any, parameter: HPSpace) -> Any:
    """Return a parameter of ours as a distribution."""
    if getattr(parameter, "prior", None) is not None:
        raise SpaceError(f"{parameter.name}: prior must be none in Optuna's distributions, got {parameter}")
    match parameter:
        case ChoiceHP():
            return library.CategoricalDistribution(parameter.choices)
        case FixedHP(value=value) if type(value) is int:
            return library.IntDistribution(value, value)
        case FixedHP(value=value) if type(value) is float and value - value == 0:  # finite
            return library.FloatDistribution(value, value)
        case FixedHP(value=value):
            return library.CategoricalDistribution((value,))
        case RangeHP(low=low, high=high, step=step) if parameter.is_int:
            return library.IntDistribution(low, high, step=step or 1)
        case RangeHP(low=low, high=high, step=step):
            return library.FloatDistribution(low, high, step=step)
        case LogRangeHP(low=low, high=high, step=step) if step is None or (parameter.is_int and step == 1):
            kind = library.IntDistribution if parameter.is_int else library.FloatDistribution
            return kind(low, high, log=True)
        case LogRangeHP():
            rule = "must have no step on a log scale in Optuna's distributions"
        case _:
            rule = "must be a range, a choice or fixed in Optuna's distributions"
    raise SpaceError(f"{parameter.name}: {rule}, got {parameter}")
