"""Trial, Suggestion, TrialState and Task: the values that everyone passes around."""

from __future__ import annotations

import copy
import math
import numbers
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from autohpo.errors import InvalidPerfError


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
    LOST = "LOST"  # its driver died; runs again when the search is resumed

    def __str__(self) -> str:
        return self.value

    @property
    def has_perf(self) -> bool:
        """Whether a trial in this state carries a performance that a model may learn from."""
        return self in (TrialState.COMPLETE, TrialState.STOPPED)

    @property
    def is_final(self) -> bool:
        """Whether the trial is over; False where it still runs, or will run again."""
        return self not in (TrialState.RUNNING, TrialState.CANCELLED, TrialState.LOST)


class Suggestion(dict[str, Any]):
    """A configuration (parameter name to value) that knows what it was suggested for.

    An algorithm returns ``Suggestion(hp, fidelity=3.0, resume=7)``; the base class sets the rest. Equality is
    that of the dict alone.

    Attributes:
        number: Of the suggestion, from 0 in the order asked; -1 until the base class has set it.
        pid: The worker slot it was asked for.
        fidelity: What the trial gets (epochs, samples, ...), counted from nothing; None means full.
        resume: Number of the trial whose training state this one continues, if any.
        seed: For the objective, in [0, 2**31); a function of the search's seed and the number.
        info: The algorithm's own notes (bracket, rung, ...): JSON types only, kept in the log.
    """

    __slots__ = ("fidelity", "info", "number", "pid", "resume", "seed")

    def __init__(
        self,
        hp: Mapping[str, Any],
        *,
        fidelity: float | None = None,
        resume: int | None = None,
        info: Mapping[str, Any] | None = None,
        number: int = -1,
        pid: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(hp)
        self.fidelity = fidelity
        self.resume = resume
        self.info: dict[str, Any] = copy.deepcopy(dict(info or {}))  # what one holder writes, no other sees
        self.number = number
        self.pid = pid
        self.seed = seed

    def __repr__(self) -> str:
        extra = "".join(
            f", {name}={getattr(self, name)!r}" for name in ("fidelity", "resume") if getattr(self, name) is not None
        )
        return f"Suggestion({super().__repr__()}, number={self.number}{extra})"

    def copy(self) -> Suggestion:
        """A copy with the same attributes; a plain ``dict.copy`` would lose them."""
        return Suggestion(
            self,
            fidelity=self.fidelity,
            resume=self.resume,
            info=self.info,
            number=self.number,
            pid=self.pid,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Trial:
    """A numbered configuration and its outcome.

    Attributes:
        number: Of the suggestion.
        hp: The configuration.
        state: How its last attempt ended.
        perf: What was measured, where the state has one; of several objectives the first. In an optimizer's
            ``trials`` higher is better; in a ``Result`` it is the user's own value.
        fidelity: What the trial was given; None means full.
        resume: Number of the trial whose state it continued, if any.
        pid: The worker slot.
        info: The algorithm's notes on the suggestion.
        reports: ``(fidelity, perf)`` in the order reported.
        attempt: How many times it was started; 0 if it was only suggested.
        error: Traceback, signal or limit, where it did not succeed.
        started: Unix seconds of its last start, if known.
        ended: Unix seconds of its end, if known.
        perfs: What was measured of each objective; empty where the state has no performance.
        constraints: What was measured of constraints, by name; at most 0 where it is met.
        metrics: Further numbers that the objective returned, by name.
    """

    number: int
    hp: Mapping[str, Any]
    state: TrialState = TrialState.RUNNING
    perf: float | None = None
    fidelity: float | None = None
    resume: int | None = None
    pid: int = 0
    info: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[tuple[float, float], ...] = ()
    attempt: int = 0
    error: str = ""
    started: float | None = None
    ended: float | None = None
    perfs: tuple[float, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.perf is not None and not self.perfs:
            object.__setattr__(self, "perfs", (self.perf,))

    @property
    def violation(self) -> float:
        """By how much the constraints are missed, all together; 0 where they are met or there are none."""
        return sum((value for value in self.constraints.values() if value > 0), 0.0)  # fsum raises where it overflows

    @property
    def reached(self) -> float:
        """How much training its performance stands for; infinite where it had all there is."""
        if self.state is TrialState.STOPPED and self.reports:
            return self.reports[-1][0]
        return math.inf if self.fidelity is None else self.fidelity

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of its last attempt, if known."""
        return None if self.started is None or self.ended is None else self.ended - self.started


@dataclass(frozen=True)
class Task:
    """One attempt at a trial, as a worker gets it.

    Attributes:
        number: Of the trial.
        attempt: From 1.
        hp: The configuration, a plain dict of its own.
        seed: For the objective; that of the first trial of a chain of resumed ones.
        fidelity: What the trial gets, counted from nothing; None means full.
        root: Number of the first trial of the chain: whoever resumes shares its state and folder.
        checkpoint_dir: Folder of that chain; made when first asked for.
    """

    number: int
    attempt: int
    hp: dict[str, Any]
    seed: int = 0
    fidelity: float | None = None
    root: int = -1
    checkpoint_dir: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, as the place where it ran says it.

    Attributes:
        state: Any state but RUNNING.
        perf: The user's own value, where the state has one; a tuple where there are several objectives.
        fidelity: How far the training came, where it is known.
        error: Traceback, signal or limit, where it did not succeed.
        constraints: By name; at most 0 where it is met.
        metrics: Further numbers by name.
    """

    state: TrialState
    perf: float | tuple[float, ...] | None = None
    fidelity: float | None = None
    error: str = ""
    constraints: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def incumbent(trials: Iterable[Trial], signs: int | Sequence[int] = 1) -> Trial | None:
    """The best of the trials that got the most training; of equals the one asked first; None where none has a perf.

    This is the one place that says what *better* means. Trials that meet their constraints come before those that
    do not, and of the latter those that miss them least. Trials of less fidelity do not compete with those of more: a
    short training says little of a long one. Of several objectives it is the compromise: the trial of the Pareto front
    nearest to the best value of each, distances measured in the front's own ranges.

    Args:
        trials: In any order.
        signs: For each objective 1 where higher is better, -1 where lower is.
    """
    found = [trial for trial in trials if trial.perf is not None]
    if len(found) < 2:
        return found[0] if found else None
    n = len(found[0].perfs)
    each = [signs] * n if isinstance(signs, int) else list(signs)
    if n == 1:
        return max(found, key=lambda t: (*_standing(t), each[0] * t.perfs[0], -t.number))
    best = max(map(_standing, found))
    front = _undominated([trial for trial in found if _standing(trial) == best], each)
    rows = [[sign * value for sign, value in zip(each, trial.perfs, strict=True)] for trial in front]
    tops, spans = [], []
    for column in zip(*rows, strict=True):
        tops.append(max(column) / 2)  # halves: the range of huge values is no float
        spans.append((max(column) / 2 - min(column) / 2) or 1.0)
    far = [math.hypot(*((t - v / 2) / s for t, v, s in zip(tops, row, spans, strict=True))) for row in rows]
    return front[min(range(len(front)), key=lambda i: (far[i], front[i].number))]


def pareto(trials: Iterable[Trial], signs: int | Sequence[int] = 1) -> list[Trial]:
    """The trials that no other one beats: at least as good in every objective and better in one.

    Only those that meet their constraints, with the most training, take part; of equals the one asked first. In the
    order of the first objective, the best first.

    Args:
        trials: In any order.
        signs: For each objective 1 where higher is better, -1 where lower is.
    """
    found = [trial for trial in trials if trial.perf is not None and not trial.violation]
    if not found:
        return []
    most = max(trial.reached for trial in found)
    found = [trial for trial in found if trial.reached == most]
    each = [signs] * len(found[0].perfs) if isinstance(signs, int) else list(signs)
    return _undominated(found, each)


def _undominated(found: Sequence[Trial], each: Sequence[int]) -> list[Trial]:
    """The trials that none of the others beats, best in the first objective first; of equals the one asked first."""
    up = {t.number: tuple(sign * value for sign, value in zip(each, t.perfs, strict=True)) for t in found}
    front: list[Trial] = []
    for trial in sorted(found, key=lambda t: (*(-value for value in up[t.number]), t.number)):
        mine = up[trial.number]  # whoever beats it stands before it in this order
        if not any(all(a >= b for a, b in zip(up[other.number], mine, strict=True)) for other in front):
            front.append(trial)
    return front


def _standing(trial: Trial) -> tuple[bool, float, float]:
    """What comes before performance when trials are compared: constraints, and how much training it had."""
    return not trial.violation, trial.reached, -trial.violation


def as_perf(value: object) -> float:
    """The finite float that an objective's result stands for.

    ==============================================  ==========================================
    result                                          taken as
    ==============================================  ==========================================
    int, float, bool, Fraction, Decimal             its float
    numpy scalar, 0-d numpy array, 0-d tensor       its float
    NaN, +inf, -inf, an int too large for a float   refused
    None, text, complex, dict, tuple, list          refused
    array or tensor of one dimension or more        refused, also with one element
    ==============================================  ==========================================

    Raises:
        InvalidPerfError: The value is refused; the text says what it was.
    """
    number = value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy and torch, without importing them
        number = value.item()
    if not isinstance(number, numbers.Real) and type(number).__name__ != "Decimal":
        raise InvalidPerfError(f"the objective's result must be one number, got {short(value)}")
    try:
        perf = float(number)  # type: ignore[arg-type]
    except OverflowError:
        raise InvalidPerfError(f"the objective's result is too large for a float: {short(value)}") from None
    except ValueError:  # Decimal's signalling NaN
        raise InvalidPerfError(f"the objective's result must be finite, got {short(value)}") from None
    if not math.isfinite(perf):
        raise InvalidPerfError(f"the objective's result must be finite, got {perf}")
    return perf


def short(value: object) -> str:
    """Type and at most 80 characters of a value whose own ``repr`` may be huge or broken."""
    cutter = reprlib.Repr()  # does not build the whole text of a huge list or string first
    cutter.maxstring = cutter.maxother = 80
    size = len(value) if isinstance(value, (bytes, bytearray)) else 0
    try:
        text = f"of {size} bytes" if size > 80 else cutter.repr(value)
    except Exception:  # a user's __repr__ may raise anything
        text = "<no repr>"
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
