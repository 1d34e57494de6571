"""The configuration that an AutoGL trainer has by itself, as a point of its search space."""

from __future__ import annotations

import logging
import math
from typing import Any

from autohpo.errors import OptionError, SpaceError, shown
from autohpo.spaces import FixedHP, HPSpace, ListHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.trainer import own_values

_log = logging.getLogger("autohpo")


def nearest_default(trainer: Any, space: SearchSpace) -> dict[str, Any]:
    """Return the trainer's own configuration, every number that lies outside of the space moved to its nearest end.

    AutoGL's own defaults lie outside of its spaces: a trainer stops after 100 rounds without progress, and 10 to 30 of
    them are searched. What was moved is logged.

    Args:
        trainer: A trainer with ``hyper_parameters``, as its parts have them.
        space: The space that is searched.

    Raises:
        OptionError: A parameter has no default, or one that no value of the space is near to.
    """
    found = own_values(trainer, space)
    hp: dict[str, Any] = {}
    for one in space.parameters:
        if not space.is_active(one.name, hp):
            continue
        if isinstance(one, FixedHP):
            value = one.value
        elif one.name in found:
            value = _nearest(one, one.cut(found[one.name], hp))
            if shown(value) != shown(found[one.name]):
                _log.info("default_first: %s is %s for %s", one.name, shown(value), shown(found[one.name]))
        else:
            raise OptionError(f"default_first: {type(trainer).__name__} has no value of its own for {one.name}")
        hp[one.name] = value
    try:
        return space.checked(hp)
    except SpaceError as error:
        raise OptionError(f"default_first: the trainer's own configuration does not fit the space; {error}") from None


def _nearest(parameter: HPSpace, value: Any) -> Any:
    """Return the legal value nearest to one; what is no number, and has no nearest value, as it is."""
    match parameter:
        case ListHP() if isinstance(value, (list, tuple)):
            return [_nearest(item, entry) for item, entry in zip(parameter.items, value, strict=False)]
        case RangeHP() | LogRangeHP() if type(value) in (int, float) and math.isfinite(value):
            return min(max(value, parameter.low), parameter.high)
    return value
