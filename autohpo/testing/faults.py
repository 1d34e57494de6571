"""Faults: how often a FakeEngine misbehaves, and in which ways."""

from __future__ import annotations

from dataclasses import dataclass, fields

from autohpo.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often an engine misbehaves. Without arguments it never does.

    Attributes:
        lost: The chance that an attempt is lost: before its objective runs, at one of its reports, or after it.
        unnoticed: The chance that a loss is noticed only long after it happened.
        undead: The chance that a lost attempt runs on unseen: it reports and ends when another attempt has begun.
        doubled: The chance that an end is delivered a second time.
        delayed: The chance that the reports of an attempt come late, its last ones after its end.
        disordered: The chance that events that came about close together are delivered together, in any order of
            their trials.
        churn: How many slots come or go in a simulated second; one that goes loses its attempt.
        outage: The chance that such a change takes all slots away for a while.
        reused: The chance that a slot that comes has the number of one that went.
        throttled: The chance that after such a change fewer tasks may run at once than there are slots, or none.

    Raises:
        OptionError: A chance is not between 0 and 1, or `churn` is negative.
    """

    lost: float = 0.0
    unnoticed: float = 0.0
    undead: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    disordered: float = 0.0
    churn: float = 0.0
    outage: float = 0.0
    reused: float = 0.0
    throttled: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 <= value <= (float("inf") if one.name == "churn" else 1):
                raise OptionError(f"{one.name}: must be a chance between 0 and 1, got {value!r}")


EVERY_FAULT = Faults(
    lost=0.08,
    unnoticed=0.3,
    undead=0.5,
    doubled=0.1,
    delayed=0.2,
    disordered=0.5,
    churn=0.3,
    outage=0.1,
    reused=0.5,
    throttled=0.2,
)
"""All faults, each often enough that a search of a few hundred trials meets it."""
