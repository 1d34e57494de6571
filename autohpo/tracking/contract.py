"""What a tracker is: the contract, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from autohpo.errors import OptionError, short, shown
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.store import LogEvent
from autohpo.trial import Trial

if TYPE_CHECKING:
    from autohpo.result import Result

METHODS = ("start", "take", "finish")
WAIT_SECONDS = 30.0
"""How long the end of a search waits for a tracker that does not get on, where that says nothing else."""


@dataclass(frozen=True)
class TrackedRun:
    """The search that a tracker is told of.

    Attributes:
        id: What names the run at the service: the same however often the search is resumed.
        name: The name of the run, or that of its store, or of its algorithm.
        algorithm: The registered name of the algorithm.
        header: What the store says of the run, JSON types only.
        space: The search space.
        objectives: The objectives.
        kept: What :meth:`Tracker.start` returned when the run was tracked before; empty the first time.

    Example:
        >>> from autohpo import RangeHP
        >>> space = SearchSpace([RangeHP("x", 0.0, 1.0)])
        >>> header = {"algorithm": "tpe", "options": {"seed": 3}, "version": "1.0"}
        >>> run = TrackedRun("a1", "mine", "tpe", header, space, Objectives.of("max"))
        >>> run.settings["seed"], run.settings["space.x"], run.objective_names
        (3, 'RangeHP(low=0.0, high=1.0)', ('perf',))
    """

    id: str
    name: str
    algorithm: str
    header: Mapping[str, Any]
    space: SearchSpace
    objectives: Objectives
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the run this run, flat: algorithm, seed and options, budget, versions, and ``space.NAME``."""
        found: dict[str, Any] = {"algorithm": self.algorithm}
        found |= {name: value for name, value in self.header.get("options", {}).items() if value is not None}
        found |= dict(self.header.get("budget", {}))
        for name, value in self.header.get("made_with", {}).items():
            found[f"version.{name}" if name not in ("f", "dataset") else f"digest.{name}"] = value
        found.setdefault("version.autohpo", self.header.get("version", ""))
        return found | {f"space.{hp.name}": _in_words(hp) for hp in self.space}

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The name of each objective among :attr:`Change.values`: its own, or ``perf``, or ``perf.0`` and so on."""
        names = self.objectives.names
        return tuple(name or ("perf" if len(names) == 1 else f"perf.{i}") for i, name in enumerate(names))


def _in_words(hp: Any) -> str:
    """Return a parameter as it is written, without its name."""
    text = repr(hp).replace(f"name={hp.name!r}, ", "", 1)
    return text if len(text) <= 500 else f"{text[:497]}..."


@dataclass(frozen=True, slots=True)
class Change:
    """An event of the log, and what is so after it.

    Attributes:
        event: The event: its kind, time (Unix seconds) and data, as docs/reading-a-run.md has them.
        trial: The trial of the event as it stands after it, with its configuration, reports, state and attempt.
        step: The fidelity as an integer, for a report or an end: 0 where there is none, and the next integer where it
            is a fraction. It grows from report to report of an attempt.
        values: The numbers that a report or an end brings: objectives, metrics, ``constraint.NAME``, and at an end
            ``cost`` and ``seconds``. An end does not say again what the report of the same step has said.
        best: The best trial so far; None where none has a result.
        n_ended: How many trials have ended so far.
    """

    event: LogEvent
    trial: Trial
    step: int
    values: Mapping[str, float]
    best: Trial | None
    n_ended: int

    @property
    def is_new_best(self) -> bool:
        """Whether the trial has just become the best one."""
        return self.event.kind == "end" and self.best is not None and self.best.number == self.trial.number


@runtime_checkable
class Tracker(Protocol):
    """The contract of a tracker; every class with these three methods is one.

    They are called in one background thread of the driver, in this order: `start` once, `take` for each batch of
    changes, `finish` once. None of them holds up the search, and what they raise never ends it.

    A batch comes again where `take` raised, or where the driver was killed before it was noted that `take` had
    returned; and a search that is resumed tells again, from their beginning, of the trials that had not ended. So let
    `take` write what may be written twice: by the number of the trial, the step and the time of the event.

    A service that does not say when it has written something may have lost the last seconds when the driver was killed.
    For that a tracker may have a method ``recall(changes)``: when a run goes on, it is told after `start` and before
    `take`, in batches, the ends of the trials that it was told before.

    A tracker may have an attribute ``key``, a string that names where it writes, and ``wait_seconds``, how long the end
    of a search waits for it when it does not get on. Trackers of one search need different keys; without one it is the
    name of the class.
    """

    def start(self, run: TrackedRun) -> Mapping[str, Any] | None:
        """Begin, or go on with a run that was tracked before.

        Args:
            run: The search.

        Returns:
            What is to be kept for the next time, JSON types only; None where it needs nothing.
        """

    def take(self, changes: Sequence[Change]) -> None:
        """Write what is new.

        Args:
            changes: The changes in the order of the log, some hundreds at most.
        """

    def finish(self, result: Result, error: str) -> None:
        """End, for now: the search may be resumed another day.

        Args:
            result: The trials of the run.
            error: What ended the search, where that was an error or a signal; else empty.
        """


def key_of(tracker: Tracker) -> str:
    """Return what tells a tracker from the others of a search."""
    return str(getattr(tracker, "key", "") or type(tracker).__name__)


def wait_of(tracker: Tracker) -> float:
    """Return how long the end of a search waits for a tracker that does not get on, in seconds.

    Raises:
        OptionError: The tracker says something else.
    """
    given = getattr(tracker, "wait_seconds", WAIT_SECONDS)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given >= 0:
        rule = f"wait_seconds of {type(tracker).__name__} must be a number of seconds, at least 0"
        raise OptionError(f"trackers: {rule}, got {short(given)}")
    return float(given)


def check_trackers(given: object) -> tuple[Tracker, ...]:
    """Return the trackers that an argument names.

    Raises:
        OptionError: It is no list of trackers, an attribute of one breaks a rule, or two have the same key.
    """
    if given is None:
        return ()
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        one = " (put it into a list)" if isinstance(given, Tracker) and not isinstance(given, type) else ""
        raise OptionError(f"trackers: must be a list of trackers, got {short(given)}{one}")
    found = tuple(given)
    for one in found:
        missing = [name for name in METHODS if not callable(getattr(one, name, None))]
        if isinstance(one, type):
            raise OptionError(f"trackers: must be objects, got the class {one.__name__}; write {one.__name__}(...)")
        if missing:
            raise OptionError(f"trackers: a tracker has start, take and finish, got {short(one)} without {missing[0]}")
        try:
            key_of(one), wait_of(one)
        except OptionError:
            raise
        except Exception as error:
            rule = f"key and wait_seconds of {type(one).__name__} must not raise"
            raise OptionError(f"trackers: {rule}, got {shown(error, 200)}") from error
    keys = [key_of(one) for one in found]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise OptionError(f"trackers: each must have a key of its own, got {twice[0]} {keys.count(twice[0])} times")
    return found
