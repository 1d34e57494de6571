"""Overrides of Hydra as a search space, and configurations of it as overrides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep, Transformer

from autohpo.errors import SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, OrdinalHP, RangeHP, SearchSpace

TAGS = ("log", "ordinal")
"""The tags that mean something here."""


@dataclass(frozen=True)
class Swept:
    """A key that is searched.

    Attributes:
        key: The key as an override begins with it, a plus sign included.
        parameter: The parameter.
        texts: The text of each value in an override, where they are listed; else numbers are written out.
    """

    key: str
    parameter: HPSpace
    texts: tuple[str, ...] = ()

    def override(self, value: Any) -> str:
        """Return the override that sets a value."""
        if not self.texts:
            return f"{self.key}={value!r}"
        place = self.parameter.to_json(value)  # the place among the values
        return f"{self.key}={self.texts[place or 0]}"


@dataclass(frozen=True)
class Overrides:
    """The overrides of a sweep: those that all jobs have, and those that are searched.

    Attributes:
        fixed: The former.
        swept: The latter, by the name of the parameter: the key without a plus sign.
    """

    fixed: tuple[str, ...]
    swept: Mapping[str, Swept]

    def space(self, conditions: Mapping[str, str], constraints: Sequence[str]) -> SearchSpace:
        """Return the search space.

        Raises:
            SpaceError: Nothing is searched, or a formula breaks a rule.
        """
        if not self.swept:
            raise SpaceError("params: must hold at least one sweep such as lr: interval(0.001, 0.1), got none")
        parameters = [one.parameter for one in self.swept.values()]
        return SearchSpace(parameters, conditions=conditions, constraints=constraints)

    def of(self, hp: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a configuration; keys that are not active are left as they are configured."""
        return [*self.fixed, *(one.override(hp[name]) for name, one in self.swept.items() if name in hp)]


def read(overrides: Iterable[Override]) -> Overrides:
    """Return the overrides of a sweep; of two with the same key the later one counts.

    Raises:
        SpaceError: One cannot be searched.
    """
    last: dict[str, Override] = {}
    for override in overrides:
        last[_name(override)] = override
    fixed = [_fixed(override) for override in last.values() if not override.is_sweep_override()]
    swept = {name: _swept(name, override) for name, override in last.items() if override.is_sweep_override()}
    return Overrides(tuple(fixed), swept)


def _name(override: Override) -> str:
    package = f"@{override.package}" if override.package is not None else ""
    return f"{override.key_or_group}{package}"


def _fixed(override: Override) -> str:
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _swept(name: str, override: Override) -> Swept:
    sweep = override.value()
    key, tags = override.get_key_element(), set(getattr(sweep, "tags", ()))
    unknown = sorted(tags - set(TAGS))
    if unknown:
        raise SpaceError(f"{name}: tags must be of {', '.join(TAGS)}, got {unknown}")
    if override.is_choice_sweep():
        return _choice(name, key, override, tags)
    if "ordinal" in tags:
        raise SpaceError(f"{name}: tag ordinal must be of a choice, got {override.input_line}")
    if isinstance(sweep, IntervalSweep):
        return Swept(key, _between(name, sweep.start, sweep.end, is_log="log" in tags))
    if isinstance(sweep, RangeSweep):
        return Swept(key, _range(name, sweep, is_log="log" in tags))
    raise SpaceError(f"{name}: must be a choice, a range, an interval or a glob, got {override.input_line}")


def _choice(name: str, key: str, override: Override, tags: set[str]) -> Swept:
    if "log" in tags:
        raise SpaceError(f"{name}: tag log must be of a range or an interval, got {override.input_line}")
    items = list(override.sweep_iterator())
    kind = OrdinalHP if "ordinal" in tags else ChoiceHP
    return Swept(key, kind(name, [_plain(item) for item in items]), tuple(map(Transformer.str, items)))


def _plain(item: Any) -> Any:
    """Return a value of a choice without its quotes."""
    if isinstance(item, QuotedString):
        return item.text
    if isinstance(item, dict):
        return {_plain(key): _plain(value) for key, value in item.items()}
    return [_plain(value) for value in item] if isinstance(item, list) else item


def _between(name: str, low: Any, high: Any, *, is_log: bool, step: Any = None) -> HPSpace:
    if low == high:
        return FixedHP(name, low)
    return (LogRangeHP if is_log else RangeHP)(name, low, high, step)


def _range(name: str, sweep: RangeSweep, *, is_log: bool) -> HPSpace:
    """Return the numbers of a range, whose end is none of them."""
    given = (sweep.start, sweep.stop, sweep.step)
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in given) or not sweep.step:
        raise SpaceError(f"{name}: range must have finite ends and a step that is not 0, got {shown(given)}")
    start, stop, step = (Decimal(value) for value in given if value is not None)
    n = max(0, math.ceil((stop - start) / step))
    if not n:
        raise SpaceError(f"{name}: range must hold at least one number, got {shown(given)}")
    is_int = all(isinstance(value, int) for value in given)
    ends = sorted(int(end) if is_int else float(end) for end in (start, start + (n - 1) * step))
    size = abs(int(step)) if is_int else abs(float(step))
    return _between(name, *ends, is_log=is_log, step=None if is_int and size == 1 else size)
