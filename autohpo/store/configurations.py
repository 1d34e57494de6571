"""Configurations as the log holds them, read back and checked to be of their space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import SpaceError
from autohpo.spaces import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.store.checked import BadValueError

_LISTED = (ChoiceHP, OrdinalHP, FixedHP)


class Configurations:
    """Reads configurations of a space from the log.

    Where every parameter is a range or a list of values, and always active, the check is a few comparisons; else it is
    that of the space.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._names = set(space.names)
        ranges = [one for one in space.parameters if type(one) in (RangeHP, LogRangeHP)]
        self._ranges = [(one.name, one.low, one.high) for one in ranges if isinstance(one, (RangeHP, LogRangeHP))]
        n_plain = len(ranges) + sum(type(one) in _LISTED for one in space.parameters)
        self._is_plain = not space.is_conditional and n_plain == len(space.parameters)

    def read(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration.

        Raises:
            BadValueError: It is none of the space.
        """
        try:
            hp = self._space.from_json(data)
            if not (self._is_plain and hp.keys() == self._names and self._are_in_range(hp)):
                self._space.check(hp)
        except (SpaceError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise BadValueError(f"hp must be a configuration of the space: {error}") from None
        return hp

    def _are_in_range(self, hp: Mapping[str, Any]) -> bool:
        for name, low, high in self._ranges:
            value = hp[name]
            if not (low <= value <= high and value is not True and value is not False):
                return False
        return True
