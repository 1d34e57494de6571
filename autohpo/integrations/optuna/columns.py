"""Columns: the parameters of a space as those of Optuna, one by one, so that no parameter keeps the others out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from autohpo.errors import shown
from autohpo.integrations.optuna.library import load_optuna
from autohpo.spaces import (
    ChoiceHP,
    FixedHP,
    HPSpace,
    ListHP,
    LogRangeHP,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
)
from autohpo.spaces.index import Index

MOST_ENTRIES = 64
"""The longest list, or order of given items, that becomes a parameter for each entry."""

_SCALARS = (bool, int, float, str, type(None))


class Column(NamedTuple):
    """A parameter of Optuna.

    Attributes:
        name: The name of the parameter there.
        distribution: The distribution of the parameter there.
        convert: Makes Optuna's value of one of ours; None where they are the same.
    """

    name: str
    distribution: Any
    convert: Callable[[Any], Any] | None = None


class Converted(NamedTuple):
    """A configuration in Optuna's parameters.

    Attributes:
        params: The values by name.
        distributions: The distributions of those; shared by all configurations with the same names.
        others: What no distribution has: values as text, by the name of the parameter.
    """

    params: dict[str, Any]
    distributions: dict[str, Any]
    others: dict[str, str]


class Columns:
    """The parameters of a search space as parameters of Optuna.

    ==============================================  ==========================================================
    here                                            in Optuna
    ==============================================  ==========================================================
    range, logarithmic range                        float or integer; a step on a logarithmic scale is left out
    choice, ordinal, fixed value                    categorical; a fixed number is a range of that number alone
    a value of those that is no scalar              its text; also True beside 1, which Optuna holds for the same
    list                                            a parameter ``name[0]``, ``name[1]``, ... for each entry
    order of given items                            the same, a categorical for each place
    any other kind, longer lists and orders         no parameter: an attribute ``hp.name`` with the text
    priors, conditions, constraints of the space    left out; a parameter that is not active is not in the trial
    ==============================================  ==========================================================

    Args:
        space: The space.
        levels: The number of levels that a number is rounded to which may have more values; None rounds none.
    """

    def __init__(self, space: SearchSpace, levels: int | None = None) -> None:
        self._single: dict[str, Column] = {}
        self._entries: dict[str, list[Column]] = {}
        self._shared: dict[tuple[str, ...], dict[str, Any]] = {}
        names = set(space.names)
        for parameter in space:
            entries = _entries_of(parameter, levels)
            if entries is not None and names.isdisjoint(entry.name for entry in entries):
                self._entries[parameter.name] = entries
            column = _column_of(parameter.name, parameter, levels)
            if column is not None:
                self._single[parameter.name] = column

    def of(self, hp: Mapping[str, Any]) -> Converted:
        """Return a configuration in Optuna's parameters."""
        params: dict[str, Any] = {}
        used: list[Column] = []
        others: dict[str, str] = {}
        for name, value in hp.items():
            column = self._single.get(name)
            if column is not None:
                params[name] = value if column.convert is None else column.convert(value)
                used.append(column)
            elif name in self._entries:
                for entry, item in zip(self._entries[name], value, strict=False):
                    params[entry.name] = item if entry.convert is None else entry.convert(item)
                    used.append(entry)
            else:
                others[name] = shown(value, 1000)
        key = tuple(params)
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = {column.name: column.distribution for column in used}
        return Converted(params, found, others)


def _column_of(name: str, parameter: HPSpace, levels: int | None) -> Column | None:
    """Return a parameter as one of Optuna; None where that has no such kind."""
    library = load_optuna().distributions
    match parameter:
        case ChoiceHP(choices=values, names=names) | OrdinalHP(values=values, names=names):
            return _categorical(name, values, names)
        case FixedHP(value=value) if type(value) is int and abs(value) < 2**53:
            return Column(name, library.IntDistribution(value, value))
        case FixedHP(value=value) if type(value) is float and value - value == 0:  # finite
            return Column(name, library.FloatDistribution(value, value))
        case FixedHP(value=value):
            return _categorical(name, (value,))
        case RangeHP() | LogRangeHP() if levels is not None and not 0 < (parameter.n_values or 0) <= levels:
            return _rounded(name, parameter, levels)
        case RangeHP(low=low, high=high, step=step) if parameter.is_int:
            return Column(name, library.IntDistribution(low, high, step=step or 1))
        case RangeHP(low=low, high=high, step=step):
            return Column(name, library.FloatDistribution(low, high, step=_step_of(low, high, step)))
        case LogRangeHP(low=low, high=high):
            kind = library.IntDistribution if parameter.is_int else library.FloatDistribution
            return Column(name, kind(low, high, log=True))
    return None


def _rounded(name: str, parameter: RangeHP | LogRangeHP, levels: int) -> Column:
    """Return a range whose values are rounded to levels of its scale."""
    library = load_optuna().distributions
    low, high, is_log = parameter.low, parameter.high, isinstance(parameter, LogRangeHP)
    kind = library.IntDistribution if parameter.is_int else library.FloatDistribution
    to, back = (math.log, math.exp) if is_log else (float, float)
    first, width = to(low), (to(high) - to(low)) / (levels - 1)

    def rounded(value: float) -> float:
        level = back(first + round((to(value) - first) / width) * width)
        return min(max(round(level) if parameter.is_int else level, low), high)

    return Column(name, kind(low, high, log=is_log), rounded)


def _step_of(low: float, high: float, step: float | None) -> float | None:
    """Return a step where Optuna sees it lead from end to end, and every value on it; else None.

    Its decimals would move the upper end otherwise; and it takes a value for one off its step by 1e-8 of that, which
    rounding comes near where the step is tiny beside the ends.
    """
    if step is None or 4 * math.ulp(max(abs(low), abs(high))) > 1e-9 * step:
        return None
    exact = [Decimal(str(number)) for number in (low, high, step)]
    return None if (exact[1] - exact[0]) % exact[2] else step


def _entries_of(parameter: HPSpace, levels: int | None) -> list[Column] | None:
    """Return a list, or an order of items, as a parameter for each entry; None where it is neither, or too long."""
    if isinstance(parameter, PermutationHP):
        n = len(parameter.items)
        found = [_categorical(f"{parameter.name}[{i}]", parameter.items, parameter.names) for i in range(n)]
    elif isinstance(parameter, ListHP):
        made = [
            _column_of(f"{parameter.name}[{i}]", item, levels)
            for i, item in enumerate(parameter._items[: MOST_ENTRIES + 1])
        ]
        found = [column for column in made if column is not None]
        if len(found) < len(made):
            return None
    else:
        return None
    return found if len(found) <= MOST_ENTRIES else None


def _categorical(name: str, values: Sequence[Any], names: Sequence[str] = ()) -> Column:
    library = load_optuna().distributions
    labels = labels_of(values, names)
    if labels is values:
        return Column(name, library.CategoricalDistribution(values))
    index = Index(values)
    return Column(name, library.CategoricalDistribution(labels), lambda value: labels[index.of(value)])


def labels_of(values: Sequence[Any], names: Sequence[str] = ()) -> Sequence[Any]:
    """Return what stands for values to choose from in Optuna, which knows None, booleans, numbers and strings.

    Args:
        values: The values.
        names: A name for each, where the user gave any.

    Returns:
        The very `values` where Optuna has them and tells them apart; else a list with the text of each other one.
    """
    scalars = [value for value in values if type(value) in _SCALARS]
    are_apart = len(set(scalars)) == len(scalars)  # True is 1 there
    if are_apart and len(scalars) == len(values):
        return values
    labels: list[Any] = []
    taken = set(scalars) if are_apart else set()
    for place, value in enumerate(values):
        if are_apart and type(value) in _SCALARS:
            labels.append(value)
            continue
        text = names[place] if names else _text(value, place)
        label, n = text, 1
        while label in taken:
            n += 1
            label = f"{text} ({n})"
        taken.add(label)
        labels.append(label)
    return labels


def _text(value: Any, place: int) -> str:
    """Return a short text of a value that is the same in another process."""
    name = getattr(value, "__name__", None)
    text = name if isinstance(name, str) else shown(value, 60)
    return text if " at 0x" not in text else f"{type(value).__name__} {place}"
