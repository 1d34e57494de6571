"""Which part of an objective cannot be pickled, and what to do about it."""

from __future__ import annotations

from typing import Any

import cloudpickle

from autohpo.errors import OptionError
from autohpo.objective import Objective
from autohpo.trainer import TrainerObjective

_REMEDY = (
    "make what cannot be pickled (a lock, an open file, a connection) where it is used, or run one worker without "
    "limits, which needs no pickling"
)


def not_picklable(objective: Objective, fault: BaseException) -> OptionError:
    """Return the error about an objective that cannot be sent to other processes: it names the part.

    Args:
        objective: The objective.
        fault: What its pickling raised.
    """
    f = objective.f
    parts: dict[str, Any] = {"f": f, "dataset": objective.dataset}
    if isinstance(f, TrainerObjective):
        parts = {"trainer": f.trainer, "dataset": f.dataset}
    name = next((name for name, part in parts.items() if not _can_be_pickled(part)), next(iter(parts)))
    reason = f"{type(fault).__name__}: {fault}"
    return OptionError(f"{name}: must be picklable to run in other processes, got {reason}; {_REMEDY}")


def _can_be_pickled(part: object) -> bool:
    try:
        cloudpickle.dumps(part)
    except Exception:  # reducers of the user's own may raise anything
        return False
    return True
