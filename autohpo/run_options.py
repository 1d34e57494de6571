"""RunOptions: the arguments of ``optimize``, checked."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from autohpo.algorithms.parts.values import plain
from autohpo.confirm import Confirm
from autohpo.errors import OptionError, shown
from autohpo.execution.base import Executor
from autohpo.execution.devices import gpus_of_slots
from autohpo.execution.kinds import engine_of, unknown_executor
from autohpo.execution.memory_ways import check_way
from autohpo.stopping import StopRules
from autohpo.store import Store
from autohpo.tracking.contract import check_trackers
from autohpo.trial import TrialState

MAX_LOST = 2
"""How often a trial is started again that was lost with the machine or the driver it ran on."""

MOST_WORKERS = 2**16
"""How many workers there may be at most: more than any machine has processes for."""

MAX_SUSPENDED = 32
"""How many paused trainings are held at most: each has its model, and often its data, in memory."""

SCHEDULES = ("asynchronous", "deterministic")
"""What ``schedule`` may be: a result is told when it comes, or when its turn comes."""

KEPT = ("live", "best", "all")
"""What ``keep_checkpoints`` may be: those that are needed, the best one's alone in the end, or all."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The arguments of ``optimize``, checked; see ``BaseHPOptimizer.optimize``.

    Attributes:
        stop_rules: What ends the search early.
        memory_bytes: The memory limit in bytes.
        gpu_memory_bytes: The limit of GPU memory in bytes.
        n_retries: How often a trial that ends in a state is started again, by state.
        devices: The GPU of each worker; empty where nothing is said of them.
        plan: What is confirmed in the end.

    Raises:
        OptionError: An argument is wrong.
    """

    num_workers: int = 1
    time_limit: float | None = None
    memory_limit: int | str | None = None
    store: Any = None
    name: str = ""
    trial_time_limit: float | None = None
    progress: Literal["auto", "rich", "plain", "none"] | bool = "auto"
    continue_on_error: bool = False
    grace_seconds: float = 10.0
    target: float | None = None
    patience: int | None = None
    min_improvement: float | None = None
    warm_start: Any = ()
    fidelity: str | None = None
    executor: Any = None
    retries: Mapping[str, int] | None = None
    ask_ahead: bool = False
    keep: Literal["last", "best"] = "last"
    gpus: Any = None
    max_suspended: int = MAX_SUSPENDED
    keep_checkpoints: Literal["live", "best", "all"] = "live"
    checkpoints: str | os.PathLike[str] | None = None
    max_consecutive_failures: int | None = 20
    confirm: Any = None
    default_first: bool = False
    cost_limit: float | None = None
    memory_by: Literal["rss", "cgroup", "address-space"] = "rss"
    gpu_memory_limit: int | str | None = None
    schedule: Literal["asynchronous", "deterministic"] = "asynchronous"
    trackers: Any = ()
    stop_rules: StopRules = field(init=False, default=StopRules())
    memory_bytes: int | None = field(init=False, default=None)
    gpu_memory_bytes: int | None = field(init=False, default=None)
    n_retries: Mapping[TrialState, int] = field(init=False, default_factory=dict)
    devices: tuple[str, ...] = field(init=False, default=())
    plan: Confirm | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # numpy's numbers are as good as Python's
                object.__setattr__(self, name, value.item())
            elif isinstance(value, str) and type(value) is not str:  # a class of the user's may compare as it likes
                object.__setattr__(self, name, str.__str__(value))
        n = self.num_workers
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise OptionError(f"num_workers: must be an integer of at least 1, got {shown(n)}")
        if n > MOST_WORKERS:
            raise OptionError(f"num_workers: must be at most {MOST_WORKERS}, as each is a process, got {shown(n)}")
        for name in ("time_limit", "trial_time_limit", "grace_seconds"):
            value = getattr(self, name)
            if value is None and name != "grace_seconds":
                continue
            least = 0 if name == "grace_seconds" else 1e-9
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not value >= least or sys.float_info.max < value != math.inf:  # an int of any size
                raise OptionError(f"{name}: must be a positive number of seconds, got {shown(value)}")
        cost = self.cost_limit
        is_number = isinstance(cost, (int, float)) and not isinstance(cost, bool)
        if cost is not None and not (is_number and 0 < cost <= sys.float_info.max):
            raise OptionError(f"cost_limit: must be a positive, finite number, got {shown(cost)}")
        most = self.max_consecutive_failures
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise OptionError(f"max_consecutive_failures: must be an integer of at least 1, or None, got {shown(most)}")
        object.__setattr__(self, "stop_rules", StopRules(self.target, self.patience, self.min_improvement))
        check_way(self.memory_by)
        if self.memory_by != "rss" and self.memory_limit is None:
            raise OptionError(f"memory_by: {self.memory_by!r} says how memory_limit is held, so give that, too")
        object.__setattr__(self, "memory_bytes", parse_bytes(self.memory_limit))
        object.__setattr__(self, "gpu_memory_bytes", parse_bytes(self.gpu_memory_limit, "gpu_memory_limit"))
        object.__setattr__(self, "n_retries", parse_retries(self.retries))
        if not isinstance(self.store, (str, os.PathLike, Store, type(None))):
            raise OptionError(f"store: must be a path, a URL or a Store, got {type(self.store).__name__}")
        object.__setattr__(self, "devices", gpus_of_slots(self.gpus, self.num_workers))
        n = self.max_suspended
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise OptionError(f"max_suspended: must be an integer of at least 0, got {shown(n)}")
        if not isinstance(self.keep_checkpoints, str) or self.keep_checkpoints not in KEPT:
            raise OptionError(f"keep_checkpoints: must be one of {', '.join(KEPT)}, got {shown(self.keep_checkpoints)}")
        if not isinstance(self.keep, str) or self.keep not in ("last", "best"):
            raise OptionError(f"keep: must be 'last' or 'best', got {shown(self.keep)}")
        if not isinstance(self.schedule, str) or self.schedule not in SCHEDULES:
            raise OptionError(f"schedule: must be 'asynchronous' or 'deterministic', got {shown(self.schedule)}")
        object.__setattr__(self, "plan", Confirm.of(self.confirm))
        object.__setattr__(self, "trackers", check_trackers(self.trackers))
        for name in ("ask_ahead", "default_first"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}: must be True or False, got {shown(getattr(self, name))}")
        for name in ("name", "fidelity"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise OptionError(f"{name}: must be a string, got {shown(getattr(self, name))}")
        if not isinstance(self.executor, (str, Executor, type(None))) and engine_of(self.executor) is None:
            raise unknown_executor(self.executor)


def parse_bytes(limit: int | str | None, name: str = "memory_limit") -> int | None:
    """Return the bytes of a memory limit: 4_000_000_000, "4GB", "300M" and "2GiB" are understood.

    Raises:
        OptionError: It is neither a positive number nor such a string.
    """
    if limit is None:
        return None
    n_bytes, number = 0, plain(limit)
    if isinstance(limit, str):
        found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]I?|)B?\s*", limit.upper())
        n_bytes = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    elif isinstance(number, (int, float)) and not isinstance(number, bool) and 1 <= number < 2**63:
        n_bytes = int(number)
    if n_bytes < 1:
        raise OptionError(f"{name}: must be bytes or a string such as '4GB', got {shown(limit)}")
    return n_bytes


def parse_retries(retries: Mapping[str, int] | None) -> Mapping[TrialState, int]:
    """Return for each state how often a trial that ends so is started again: LOST twice, the others never.

    Raises:
        OptionError: A state does not exist or has a result, or a number is none.
    """
    found = {TrialState.LOST: MAX_LOST}
    if retries is not None and not isinstance(retries, Mapping):
        raise OptionError(f"retries: must be a dict such as {{'CRASHED': 1}}, got {shown(retries)}")
    allowed = [s for s in TrialState if not s.has_perf and s not in (TrialState.RUNNING, TrialState.CANCELLED)]
    for name, n in (retries or {}).items():
        if str(name) not in [state.value for state in allowed]:
            raise OptionError(f"retries: states must be of {', '.join(s.value for s in allowed)}, got {shown(name)}")
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise OptionError(f"retries: {name} must be an integer of at least 0, got {shown(n)}")
        found[TrialState(str(name))] = n
    return found
