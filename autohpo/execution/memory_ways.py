"""The ways to hold workers to their memory limit, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.execution.meters import MemoryMeter, TreeMeter

WAYS = ("rss", "cgroup", "address-space")
"""What ``memory_by`` may be."""


def meter_of(by: str, limit: int, **more: Any) -> MemoryMeter:
    """Return the meter of a way.

    Args:
        by: One of `WAYS`.
        limit: The bytes that a worker may hold.
        more: What else it needs, in a worker.

    Raises:
        OptionError: There is no such way.
    """
    if by == "cgroup":
        from autohpo.execution.cgroup import CgroupMeter

        return CgroupMeter(limit, **more)
    if by == "address-space":
        from autohpo.execution.address_space import AddressSpaceMeter

        return AddressSpaceMeter(limit)
    check_way(by)
    return TreeMeter(limit)


def check_way(by: object) -> None:
    """Check that ``memory_by`` names a way.

    Raises:
        OptionError: It does not.
    """
    if not isinstance(by, str) or by not in WAYS:
        raise OptionError(f"memory_by: must be one of {', '.join(map(repr, WAYS))}, got {shown(by)}")


def meter_from(described: Mapping[str, Any] | None) -> MemoryMeter | None:
    """Return the meter of a worker from what the driver's says of itself; None where memory is not limited."""
    return None if described is None else meter_of(**described)
