"""Outcome and TrialState: how an attempt ended, as one value from where the objective ran to the log and the trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import Any

from autohpo.errors import InvalidPerfError


def whole(fidelity: float) -> float | int:
    """Return a fidelity as an integer where it is one: a number of epochs is, also where a formula made it a float."""
    return int(fidelity) if isinstance(fidelity, float) and fidelity.is_integer() else fidelity


class TrialState(str, Enum):
    """How an attempt to run a trial ended, or that it has not ended yet."""

    RUNNING = "RUNNING"  # suggested, no end yet
    COMPLETE = "COMPLETE"  # returned a finite performance
    STOPPED = "STOPPED"  # ended early because the algorithm said so; has a performance
    FAILED = "FAILED"  # the objective raised
    INVALID = "INVALID"  # the objective returned something that is no finite number
    CRASHED = "CRASHED"  # its process died
    TIMEOUT = "TIMEOUT"  # killed at its time limit
    MEMORY = "MEMORY"  # killed at its memory limit
    CANCELLED = "CANCELLED"  # ended because the search ended; runs again when the search is resumed
    LOST = "LOST"  # its driver or the machine it ran on died; runs again, a few times at most

    def __str__(self) -> str:
        return self.value

    @property
    def has_perf(self) -> bool:
        """Whether a trial in this state carries a performance that a model may learn from."""
        return self in (TrialState.COMPLETE, TrialState.STOPPED)

    @property
    def is_final(self) -> bool:
        """Whether the trial is over; False where it still runs, or is normally run again."""
        return self not in (TrialState.RUNNING, TrialState.CANCELLED, TrialState.LOST)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: one value, carried as it is from where the objective ran to the log and the trial.

    Attributes:
        state: The state that the attempt ended in; RUNNING where it did not end.
        perfs: The user's own value of each objective; empty where the state has no performance.
        constraints: Measured constraints by name; at most 0 where one is met.
        metrics: Further numbers by name, which no algorithm looks at.
        cost: What the attempt cost: seconds, or what the objective returned as ``cost``; None where unknown.
        reached: How far the training came, where it is known.
        error: The traceback, signal or limit, where the attempt did not succeed.
        why: Why the algorithm ended it early, if it did.
        advice: What the user should know of the objective: the driver says it once, and does not keep it.
        trained: How much training the attempt did, where somebody meters that and it is not all that it reached.
        has_own_cost: Whether the objective said the cost; else it is seconds.
    """

    state: TrialState
    perfs: tuple[float, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float | None = None
    reached: float | None = None
    error: str = ""
    why: str = ""
    advice: str = ""
    trained: float | None = None
    has_own_cost: bool = False

    @property
    def perf(self) -> float | None:
        """The user's own value of the first objective; None where the state has no performance."""
        return self.perfs[0] if self.perfs else None

    @property
    def violation(self) -> float:
        """The amount by which the constraints are missed, all together; 0 where they are met or there are none."""
        return sum((value for value in self.constraints.values() if value > 0), 0.0)  # fsum raises where it overflows

    def with_cost(self, cost: float, trained: float | None) -> Outcome:
        """Return the same with what it cost, and how much training that was; sooner than ``replace`` does."""
        return Outcome(
            *(self.state, self.perfs, self.constraints, self.metrics, cost, self.reached),
            *(self.error, self.why, self.advice, trained, self.has_own_cost),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the outcome in JSON types, as the log and the frames of a worker hold it."""
        perfs = self.perfs
        data: dict[str, Any] = {
            "state": self.state.value,
            "perf": None if not perfs else perfs[0] if len(perfs) == 1 else list(perfs),
            "fidelity": None if self.reached is None else float(self.reached),
            "error": self.error,
        }
        if self.constraints:
            data["constraints"] = dict(self.constraints)
        if self.metrics:
            data["metrics"] = dict(self.metrics)
        if self.cost is not None:
            data["cost"] = self.cost
        if self.has_own_cost:
            data["own_cost"] = True
        if self.why:
            data["why"] = self.why
        if self.advice:
            data["advice"] = self.advice
        if self.trained is not None:
            data["trained"] = float(self.trained)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Return the outcome that :meth:`to_json` wrote.

        Raises:
            KeyError: `data` names no state, or one that does not exist is raised as ValueError.
        """
        if len(data) == 5 and "cost" in data:  # as nearly all are
            try:
                name, perf, reached, error, cost = _USUAL(data)
            except KeyError:
                pass
            else:
                if type(perf) is float and reached is None:
                    return cls(_STATES[name], (perf,), NOTHING, NOTHING, cost, None, error)
        perf, reached = data.get("perf"), data.get("fidelity")
        return cls(
            _STATES[data["state"]],
            () if perf is None else tuple(perf) if isinstance(perf, list) else (perf,),
            data.get("constraints", NOTHING),
            data.get("metrics", NOTHING),
            data.get("cost"),
            None if reached is None else whole(reached),
            data.get("error", ""),
            data.get("why", ""),
            data.get("advice", ""),
            data.get("trained"),
            data.get("own_cost", False),
        )


Perf = float | tuple[float, ...]
"""What a report says: the user's own value, or with several objectives that of each."""


def perfs_of(perf: Perf) -> tuple[float, ...]:
    """Return the value of each objective that a report has."""
    return perf if isinstance(perf, tuple) else (perf,)


_USUAL = itemgetter("state", "perf", "fidelity", "error", "cost")
_STATES = {state.value: state for state in TrialState}
NOTHING: Mapping[str, Any] = {}
"""An empty mapping that all outcomes and trials without constraints, metrics or notes share; never written to."""

MAX_RESULT_BYTES = 64 << 20
"""How long the JSON of a result may be, in every executor: what the pipe of a worker and a row of a store take."""

_NUMBER_BYTES = 40  # of a number with what stands around it, at most
_CHARACTER_BYTES = 12  # of a character in JSON, at most: two escapes


def result_bytes(outcome: Outcome) -> int:
    """Return how long the JSON of a result is; a bound that is quick to compute where it is far below the limit."""
    names = [*outcome.constraints, *outcome.metrics]
    n_characters = sum(map(len, names)) + len(outcome.error) + len(outcome.why)
    n_bytes = _NUMBER_BYTES * (len(names) + len(outcome.perfs) + 4) + _CHARACTER_BYTES * n_characters
    return n_bytes if n_bytes <= MAX_RESULT_BYTES else len(json.dumps(outcome.to_json()))


def checked_size(outcome: Outcome) -> Outcome:
    """Return an outcome that the log can hold.

    Raises:
        InvalidPerfError: It is longer than that.
    """
    n_bytes = result_bytes(outcome)
    if n_bytes > MAX_RESULT_BYTES:
        raise InvalidPerfError(
            f"the result has {n_bytes / 1e6:.1f} MB in the log, and may have {MAX_RESULT_BYTES / 1e6:.1f} MB; return "
            f"fewer metrics than {len(outcome.metrics)}, and keep arrays in files of trial.checkpoint_dir"
        )
    return outcome
