"""What each trial needs of the machine it runs on: an engine keeps it free, and a slot uses no more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autohpo.errors import OptionError, shown

__all__ = ["Needs"]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What each trial needs, wherever it runs.

    Attributes:
        cpus: How many cores: the engine keeps them free, and numerical libraries start as many threads.
        gpus: How many GPUs; below 1, a part of one.
        memory: The bytes that the engine keeps free; no limit by itself.

    Raises:
        OptionError: A number is not finite, or below what there may be.
    """

    cpus: int | None = None
    gpus: float = 0
    memory: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("cpus", 1), ("memory", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise OptionError(f"{name}: must be an integer of at least {least}, or None, got {shown(value)}")
        gpus = self.gpus
        is_number = isinstance(gpus, (int, float)) and not isinstance(gpus, bool)
        if not is_number or not 0 <= gpus < math.inf or (gpus > 1 and gpus != int(gpus)):
            raise OptionError(f"gpus: must be a number of GPUs, or a part of one below 1, got {shown(gpus)}")
