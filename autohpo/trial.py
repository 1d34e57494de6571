"""Suggestion, Running, Trial and Task: the values that everyone passes around, beside the Outcome."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autohpo.other_names import missing_attribute
from autohpo.outcome import NOTHING, Outcome, Perf, TrialState, perfs_of, whole

__all__ = ["Outcome", "Perf", "Running", "Suggestion", "Task", "Trial", "TrialState", "whole"]


def scores_of_perf(perf: Perf, signs: tuple[int, ...]) -> tuple[float, ...]:
    """Return what a report says with every objective being better where it is higher.

    Args:
        perf: The user's own value, or that of each objective.
        signs: A sign for each objective; empty means 1 for all.
    """
    perfs = perfs_of(perf)
    return tuple(sign * one for sign, one in zip(signs, perfs, strict=True)) if signs else perfs


class Suggestion(dict[str, Any]):
    """A configuration (parameter name to value) that knows what it was suggested for.

    An algorithm returns ``Suggestion(hp, fidelity=3, resume=7)``; the base class sets the rest. Equality is
    that of the dict alone.

    Attributes:
        number: The place of the suggestion, from 0 in the order asked; -1 until the base class has set it.
        pid: The worker slot it was asked for.
        fidelity: What the trial gets (epochs, samples, ...), counted from nothing, an int where it is whole; None
            means full.
        resume: The trial whose training this one continues, if any: the last of its chain, with the same
            configuration.
        fork: The trial whose checkpoint this one starts from, if any: a new chain, with any configuration.
        seed: A number for the objective, in [0, 2**31); a function of the search's seed and the number.
        info: Notes of the algorithm (bracket, rung, ...): JSON types only, kept in the log.
    """

    __slots__ = ("fidelity", "fork", "info", "number", "pid", "resume", "seed")

    def __init__(
        self,
        hp: Mapping[str, Any],
        *,
        fidelity: float | None = None,
        resume: int | None = None,
        fork: int | None = None,
        info: Mapping[str, Any] | None = None,
        number: int = -1,
        pid: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(hp)
        self.fidelity = whole(fidelity) if fidelity else fidelity
        self.resume = resume
        self.fork = fork
        self.info: dict[str, Any] = _copied(info) if info else {}  # what one holder writes, no other sees
        self.number = number
        self.pid = pid
        self.seed = seed

    def __repr__(self) -> str:
        names = [name for name in ("fidelity", "resume", "fork") if getattr(self, name) is not None]
        extra = "".join(f", {name}={getattr(self, name)!r}" for name in names)
        return f"Suggestion({super().__repr__()}, number={self.number}{extra})"

    @property
    def hp(self) -> Mapping[str, Any]:
        """The configuration, which is the suggestion itself: trials and suggestions are read alike."""
        return self

    def copy(self) -> Suggestion:
        """Return a copy with the same attributes; a plain ``dict.copy`` would lose them."""
        return Suggestion(
            self,
            fidelity=self.fidelity,
            resume=self.resume,
            fork=self.fork,
            info=self.info,
            number=self.number,
            pid=self.pid,
            seed=self.seed,
        )


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _copied(info: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of notes all the way down: most are plain values, which need none."""
    return {name: note if type(note) in _PLAIN else copy.deepcopy(note) for name, note in info.items()}


_RUNNING = Outcome(TrialState.RUNNING)


class _Packable:
    """Has room for the bytes that a trial was packed into, so that all who keep it share them."""

    __slots__ = ("_packed",)


_PACKED: Any = _Packable.__dict__["_packed"]


def packed_of(trial: Trial) -> bytes | None:
    """Return what a trial was packed into; None where it was not."""
    try:
        return _PACKED.__get__(trial)  # type: ignore[no-any-return]
    except AttributeError:
        return None


def remember_packed(trial: Trial, packed: bytes) -> None:
    """Note what a trial was packed into, which changes nothing of it."""
    _PACKED.__set__(trial, packed)


@dataclass(frozen=True, slots=True)
class Trial(_Packable):
    """A numbered configuration and its outcome.

    What was measured reads as ``perf``, the user's own value, and as ``score``, which is higher where it is better,
    in every mode: algorithms read the latter.

    Attributes:
        number: The number of the suggestion.
        hp: The configuration.
        outcome: How its last attempt ended.
        fidelity: What the trial was given; None means full.
        resume: The trial whose training it continued, if any.
        fork: The trial whose checkpoint it started from, if any.
        pid: The worker slot.
        info: Notes of the algorithm on the suggestion.
        reports: ``(fidelity, perf)`` in the order reported; the user's own values, a tuple of several objectives.
        attempt: How many times it was started; 0 if it was only suggested.
        started: Unix seconds of its last start, if known.
        ended: Unix seconds of its end, if known.
        signs: A sign for each objective: 1 where higher is better, -1 where lower is; empty means 1 for all.
        seed: The seed of the suggestion, for the objective.
    """

    number: int
    hp: Mapping[str, Any]
    outcome: Outcome = _RUNNING
    fidelity: float | None = None
    resume: int | None = None
    fork: int | None = None
    pid: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[tuple[float, Perf], ...] = ()
    attempt: int = 0
    started: float | None = None
    ended: float | None = None
    signs: tuple[int, ...] = ()
    seed: int = 0

    if not TYPE_CHECKING:  # a type checker would take every attribute for one

        def __getattr__(self, name: str) -> Any:
            return missing_attribute(self, name)

    @property
    def state(self) -> TrialState:
        """How its last attempt ended."""
        return self.outcome.state

    @property
    def perf(self) -> float | None:
        """The user's own value of the first objective; None where the state has no performance."""
        return self.outcome.perf

    @property
    def perfs(self) -> tuple[float, ...]:
        """The user's own value of each objective; empty where the state has no performance."""
        return self.outcome.perfs

    @property
    def score(self) -> float | None:
        """The first objective with higher being better; None where the state has no performance."""
        perf = self.outcome.perf
        return -perf if perf is not None and self.signs and self.signs[0] < 0 else perf

    @property
    def scores(self) -> tuple[float, ...]:
        """Every objective with higher being better; empty where the state has no performance."""
        perfs = self.outcome.perfs
        if not self.signs or not perfs:
            return perfs
        return tuple(sign * perf for sign, perf in zip(self.signs, perfs, strict=True))

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """The reports as ``(fidelity, score)``: the first objective, higher is better."""
        return tuple((fidelity, scores[0]) for fidelity, scores in self.curves)

    @property
    def curves(self) -> tuple[tuple[float, tuple[float, ...]], ...]:
        """The reports as ``(fidelity, scores)``: every objective, higher is better."""
        return tuple((fidelity, scores_of_perf(perf, self.signs)) for fidelity, perf in self.reports)

    @property
    def constraints(self) -> Mapping[str, float]:
        """Measured constraints by name; at most 0 where one is met."""
        return self.outcome.constraints

    @property
    def metrics(self) -> Mapping[str, float]:
        """Further numbers that the objective returned, by name."""
        return self.outcome.metrics

    @property
    def cost(self) -> float | None:
        """What the last attempt cost: seconds, or what the objective returned as ``cost``; None where unknown."""
        return self.outcome.cost

    @property
    def error(self) -> str:
        """The traceback, signal or limit, where the trial did not succeed."""
        return self.outcome.error

    @property
    def violation(self) -> float:
        """The amount by which the constraints are missed, all together; 0 where they are met or there are none."""
        return self.outcome.violation if self.outcome.constraints else 0.0

    @property
    def reached(self) -> float:
        """How much training its performance stands for; infinite where it had all there is."""
        if self.state is TrialState.STOPPED:
            if self.outcome.reached is not None:
                return self.outcome.reached
            if self.reports:
                return self.reports[-1][0]
        return math.inf if self.fidelity is None else self.fidelity

    @property
    def suggestion(self) -> Suggestion:
        """The suggestion that it was."""
        return Suggestion(
            self.hp,
            fidelity=self.fidelity,
            resume=self.resume,
            fork=self.fork,
            info=self.info,
            number=self.number,
            pid=self.pid,
            seed=self.seed,
        )

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of its last attempt, if known."""
        return None if self.started is None or self.ended is None else self.ended - self.started


@dataclass(slots=True)
class Running:
    """A suggestion without an end, and what it has reported.

    Attributes:
        suggestion: The configuration and what it was suggested for.
        reports: ``(fidelity, perf)`` of the attempt that runs, in the order reported; the user's own values, a tuple of
            several objectives.
        signs: A sign for each objective: 1 where higher is better, -1 where lower is; empty means 1 for all.
    """

    suggestion: Suggestion
    reports: list[tuple[float, Perf]] = field(default_factory=list)
    signs: tuple[int, ...] = ()

    @property
    def number(self) -> int:
        """The number of the suggestion."""
        return self.suggestion.number

    @property
    def hp(self) -> Mapping[str, Any]:
        """The configuration."""
        return self.suggestion

    @property
    def fidelity(self) -> float | None:
        """What the trial gets; None means full."""
        return self.suggestion.fidelity

    @property
    def resume(self) -> int | None:
        """The trial whose training it continues, if any."""
        return self.suggestion.resume

    @property
    def fork(self) -> int | None:
        """The trial whose checkpoint it starts from, if any."""
        return self.suggestion.fork

    @property
    def info(self) -> Mapping[str, Any]:
        """Notes of the algorithm on the suggestion."""
        return self.suggestion.info

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """The reports as ``(fidelity, score)``: the first objective, higher is better."""
        return tuple((fidelity, scores[0]) for fidelity, scores in self.curves)

    @property
    def curves(self) -> tuple[tuple[float, tuple[float, ...]], ...]:
        """The reports as ``(fidelity, scores)``: every objective, higher is better."""
        return tuple((fidelity, scores_of_perf(perf, self.signs)) for fidelity, perf in self.reports)

    def ended(
        self, outcome: Outcome, *, attempt: int = 0, started: float | None = None, at: float | None = None
    ) -> Trial:
        """Return the trial that this has become.

        Args:
            outcome: How it ended.
            attempt: How many times it was started.
            started: Unix seconds of its last start, if known.
            at: Unix seconds of its end, if known.
        """
        made = self.suggestion
        return Trial(
            number=made.number,
            hp=dict(made),
            outcome=outcome,
            fidelity=made.fidelity,
            resume=made.resume,
            fork=made.fork,
            pid=made.pid,
            info=made.info or NOTHING,
            reports=tuple(self.reports),
            attempt=attempt,
            started=started,
            ended=at,
            signs=self.signs,
            seed=made.seed,
        )


@dataclass(frozen=True)
class Task:
    """One attempt at a trial, as a worker gets it.

    Attributes:
        number: The number of the trial.
        attempt: Which start of the trial this is, from 1.
        hp: The configuration, a plain dict of its own.
        seed: A number for the objective; that of the first trial of a chain of resumed ones.
        fidelity: What the trial gets, counted from nothing; None means full.
        root: The first trial of the chain: whoever resumes shares its state and folder.
        checkpoint_dir: Folder of that chain; made when first asked for.
        is_fork: Whether the folder of a new chain began as a copy of another chain's.
        resumed_perf: The perf of the trial that this one continues, if it continues one.
        slot: The slot that it was given to.
        most: How much training this attempt may do: it ends at the report that comes so far, and its outcome says how
            much it did. None sets no limit, and nobody asks.
        odometer: The file in which the attempt notes how far it came; nothing is noted where it is empty.
    """

    number: int
    attempt: int
    hp: dict[str, Any]
    seed: int = 0
    fidelity: float | None = None
    root: int = -1
    checkpoint_dir: str = ""
    is_fork: bool = False
    resumed_perf: float | None = None
    slot: int = 0
    most: float | None = None
    odometer: str = ""
