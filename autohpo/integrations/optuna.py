"""Optuna's distributions, read and written; needs the extra ``autohpo[optuna]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import MissingExtraError, SpaceError
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, RangeHP, SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["from_optuna", "to_optuna"]


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """The search space of Optuna's distributions by name, such as ``trial.distributions``.

    A distribution of a single number becomes a fixed value.

    Args:
        distributions: Of Optuna 3 or later.

    Raises:
        MissingExtraError: Optuna is not installed.
        SpaceError: A distribution is unknown, or has choices or ends that ours have not.
    """
    library = _load()
    return SearchSpace([_read(library, name, one) for name, one in distributions.items()])


def to_optuna(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the parameters of a search space, by name.

    Raises:
        MissingExtraError: Optuna is not installed.
        SpaceError: Optuna's distributions cannot say it: orders of given values, lists, permutations, priors, steps on
            a log scale, children, conditions and constraints.
    """
    library = _load()
    if space.constraints:
        raise SpaceError(f"constraints: Optuna's distributions have none, got {space.constraints[0]}")
    for hp in space:
        if space.deciders(hp.name):
            raise SpaceError(f"{hp.name}: Optuna's distributions know no conditions; it depends on other parameters")
    return {hp.name: _write(library, hp) for hp in space}


def _load() -> Any:
    try:
        import optuna.distributions
    except ImportError as error:
        raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error
    return optuna.distributions


def _read(library: Any, name: str, one: Any) -> HPSpace:
    """A distribution as a parameter of ours."""
    if isinstance(one, library.CategoricalDistribution):
        return ChoiceHP(name, one.choices)
    if not isinstance(one, (library.FloatDistribution, library.IntDistribution)):
        raise SpaceError(f"{name}: must be a Float, Int or CategoricalDistribution of Optuna, got {one!r:.80}")
    if one.single():
        return FixedHP(name, one.low)
    if one.log:
        return LogRangeHP(name, one.low, one.high)
    is_plain = one.step is None or (isinstance(one, library.IntDistribution) and one.step == 1)
    return RangeHP(name, one.low, one.high, None if is_plain else one.step)


def _write(library: Any, hp: HPSpace) -> Any:
    """A parameter of ours as a distribution."""
    if getattr(hp, "prior", None) is not None:
        raise SpaceError(f"{hp.name}: Optuna's distributions have no priors, got {hp}")
    match hp:
        case ChoiceHP():
            return library.CategoricalDistribution(hp.choices)
        case FixedHP(value=value) if type(value) is int:
            return library.IntDistribution(value, value)
        case FixedHP(value=value) if type(value) is float and value - value == 0:  # finite
            return library.FloatDistribution(value, value)
        case FixedHP(value=value):
            return library.CategoricalDistribution((value,))
        case RangeHP() if hp.is_int:
            return library.IntDistribution(hp.low, hp.high, step=hp.step or 1)
        case RangeHP():
            return library.FloatDistribution(hp.low, hp.high, step=hp.step)
        case LogRangeHP() if hp.step is None or (hp.is_int and hp.step == 1):
            kind = library.IntDistribution if hp.is_int else library.FloatDistribution
            return kind(hp.low, hp.high, log=True)
    what = "steps on a log scale" if isinstance(hp, LogRangeHP) else f"{type(hp).__name__}"
    raise SpaceError(f"{hp.name}: Optuna's distributions have no {what}, got {hp}")
