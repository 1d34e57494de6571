"""Account: what the attempts of a search may train and have trained, and their time; earlier drivers included."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autohpo.dispatch import DRIVER_DIED
from autohpo.execution.base import Event
from autohpo.odometer import Reading
from autohpo.store.base import LogEvent
from autohpo.trial import Outcome, Task, TrialState

SLACK = 1e-9  # of an iteration, for rounding

HELD_BACK = "not started: "
"""How the error begins of an attempt that waited to be paid for and came back: it took no time."""

_UNKNOWN = (TrialState.LOST, TrialState.CRASHED)  # where a driver that died says nothing, the next one says this


@dataclass
class Attempt:
    """An attempt that runs, and what is known of its training.

    Attributes:
        task: What it was given.
        most: The iterations that it may train.
        reserved: The iterations that are set aside for it, `most` or more.
        begins: The fidelity that it goes on from, where that is certain; else 0.
        since: When it was submitted.
        is_begun: Whether a worker has taken it.
        last: The fidelity of its last report.
        step: The largest distance of two reports.
    """

    task: Task
    most: float
    reserved: float
    begins: float
    since: float
    is_begun: bool = False
    last: float | None = None
    step: float = 0.0

    @property
    def done(self) -> float:
        """The iterations that it has trained so far, as it said."""
        return 0.0 if self.last is None else min(max(self.last - self.begins, 0.0), self.reserved)

    def seconds(self, now: float) -> float:
        """Return the seconds that it took until now."""
        return now - self.since

    def reported(self, fidelity: float) -> None:
        """Take a report."""
        if self.last is not None:
            self.step = max(self.step, fidelity - self.last)
        self.last = fidelity if self.last is None else max(self.last, fidelity)

    def trained(self, event: Event) -> float:
        """Return the iterations that it has trained in the end; where that is not known, what it may have trained.

        An attempt that did not end at a report has begun another step, which counts. One that was lost may still run.
        """
        outcome = event.outcome
        assert outcome is not None  # it is an end
        if outcome.state is TrialState.LOST:
            return self.reserved
        if event.kind == "killed" and not self.is_begun:
            return 0.0
        done = self._said(outcome)
        if done is None or done >= self.most - SLACK:
            return self.most if done is None else done
        ended_at_report = outcome.state is TrialState.STOPPED or self._has_all(outcome)
        return done if ended_at_report else min(self.most, done + (self.step or done))

    def _said(self, outcome: Outcome) -> float | None:
        """The iterations that it trained up to its last report; None where it said nothing."""
        if outcome.trained is not None:
            return outcome.trained
        told = [fidelity for fidelity in (outcome.reached, self.last) if fidelity is not None]
        return max(max(told) - self.begins, 0.0) if told else None

    def _has_all(self, outcome: Outcome) -> bool:
        given = self.task.fidelity
        return bool(outcome.perfs) and None not in (given, outcome.reached) and outcome.reached >= given - SLACK  # type: ignore[operator]


@dataclass
class Past:
    """What the log says of the attempts of earlier drivers.

    An attempt that was running when its driver died counts with what its odometer shows. Without one nobody knows how
    far it came: it counts with its fidelity, but all together with no more than there was left. It lasted until the
    last sign of life of that driver.

    Args:
        most: The iterations of a trial that was given no fidelity.
        total: The iterations that all attempts may train together; infinite without a limit.

    Attributes:
        iterations: What all attempts have trained, or may have.
        seconds: What they took, together.
        stands: How far each chain came, by its root.
        first: The training up to a first report, the largest that was seen, by the fidelity of the attempt.
        left: What the attempts that have no end have trained, or may have, by number and attempt.
    """

    most: float | None
    total: float = math.inf
    iterations: float = 0.0
    seconds: float = 0.0
    stands: dict[int, float] = field(default_factory=dict)
    first: dict[float, float] = field(default_factory=dict)
    left: dict[tuple[int, int], float] = field(default_factory=dict)
    _given: dict[int, float] = field(default_factory=dict)
    _roots: dict[int, int] = field(default_factory=dict)
    _open: dict[int, tuple[int, float]] = field(default_factory=dict)  # attempt and time of its start
    _alive: float = 0.0  # when the driver of that time was last known to live
    _reached: dict[int, float] = field(default_factory=dict)  # how far each chain came, as it reported, by its root
    _reporting: set[tuple[int, int]] = field(default_factory=set)  # attempts that have reported

    def follow(self, log: Iterable[LogEvent], shown: Mapping[tuple[int, int], Reading] | None = None) -> Past:
        """Take the whole log, and return this.

        Args:
            log: The log.
            shown: What the odometers show, by number and attempt.
        """
        for event in log:
            if event.kind == "ask":
                self._ask(event)
            elif event.kind == "start":
                self._open[event.trial] = event.attempt, event.time
            elif event.kind == "report":
                self._report(event)
            elif event.kind in ("end", "interrupt") and self._is_open(event) and self._end(event):
                continue  # the next driver wrote this
            self._alive = event.time
        self._take_open({} if shown is None else shown)
        return self

    def _take_open(self, shown: Mapping[tuple[int, int], Reading]) -> None:
        """Count what has no end: first what is known, as the rest can be no more than there was left."""
        for (number, _), reading in shown.items():
            if reading.trained > 0 and number in self._given:
                self._saw_first(self._given[number], reading.first)
        unknown = []
        for number, (attempt, since) in self._open.items():
            self.seconds += max(self._alive - since, 0.0)
            given, found = self._given[number], shown.get((number, attempt))
            used = None if found is None else found.used(self.first.get(given, 0.0))
            if used is None:
                unknown.append((number, attempt, given if found is None else found.most))
            else:
                self.iterations += used
                self.left[number, attempt] = used
        for number, attempt, most in unknown:
            self.left[number, attempt] = self._add_unknown(most)

    def _add_unknown(self, most: float) -> float:
        """Count what may have been trained: it was paid for, so it is no more than there was left."""
        counted = max(min(most, self.total - self.iterations), 0.0)
        self.iterations += counted
        return counted

    def _report(self, event: LogEvent) -> None:
        """Take a report; those of known ground are not in the log."""
        root, given, fidelity = (
            self._roots.get(event.trial, event.trial),
            self._given[event.trial],
            event.data["fidelity"],
        )
        reached = self._reached.get(root, 0.0)
        if (event.trial, event.attempt) not in self._reporting:
            self._reporting.add((event.trial, event.attempt))
            self._saw_first(given, given if fidelity >= given else fidelity - reached)
        self._reached[root] = max(reached, fidelity)

    def _saw_first(self, given: float, trained: float) -> None:
        """Take a first report; steps may be as long as the training is, so each fidelity has its own."""
        self.first[given] = max(self.first.get(given, 0.0), trained)

    def _is_open(self, event: LogEvent) -> bool:
        attempt, _ = self._open.get(event.trial, (None, 0.0))
        return attempt == event.attempt

    def _ask(self, event: LogEvent) -> None:
        fidelity, resume = event.data["fidelity"], event.data["resume"]
        self._given[event.trial] = (self.most or 0.0) if fidelity is None else fidelity
        if resume is not None:
            self._roots[event.trial] = self._roots.get(resume, resume)

    def _end(self, event: LogEvent) -> bool:
        """Take the end of an attempt; return whether its driver had died."""
        number, data = event.trial, event.data
        _, since = self._open.pop(number)
        trained, state = data.get("trained"), TrialState(data["state"])
        is_known = DRIVER_DIED in (data.get("error"), data.get("why"))
        is_recovered = is_known or (trained is None and state in _UNKNOWN)
        if trained is None:
            reached = data.get("fidelity") if state.has_perf else None
            self._add_unknown(self._given[number] if reached is None else reached)
        else:
            self.iterations += trained
        if not data.get("error", "").startswith(HELD_BACK):
            self.seconds += max((self._alive if is_recovered else event.time) - since, 0.0)
        if state.has_perf and data.get("fidelity") is None:  # it reported nothing
            self._saw_first(self._given[number], self._given[number])
        if state.has_perf:
            root = self._roots.get(number, number)
            self.stands[root] = max(self.stands.get(root, 0.0), data.get("fidelity") or self._given[number])
        return is_recovered


@dataclass
class Account:
    """What the attempts of a search may train and have trained.

    An attempt is paid for before it starts, and gets back what it did not use when it ends.

    Args:
        total: The iterations that all attempts may train together; infinite without a limit.

    Attributes:
        iterations: What the attempts that have ended trained.
        seconds: What they took, together.
        running: The attempts that run, by number and attempt.
    """

    total: float = math.inf
    iterations: float = 0.0
    seconds: float = 0.0
    running: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    _stands: dict[int, float] = field(default_factory=dict)  # how far each chain came, by its root
    _is_loaded: bool = False  # whether a training was seen to go on from what it had saved
    _excess: float = 0.0  # how far an attempt went beyond what it might train: reports that lie far apart

    def take(self, past: Past) -> None:
        """Begin with what earlier drivers have used."""
        self.iterations, self.seconds, self._stands = past.iterations, past.seconds, dict(past.stands)

    @property
    def left(self) -> float:
        """The iterations that are neither trained nor set aside."""
        return self.total - self.iterations - sum(attempt.reserved for attempt in [*self.running.values()])

    def needs(self, task: Task, *, is_held: bool) -> list[tuple[float, float]]:
        """Return what an attempt may have to train, and where it then begins; what is safest first.

        Args:
            task: The task; its fidelity is set.
            is_held: Whether its training is paused in the slot, and goes on there.
        """
        fidelity = 0.0 if task.fidelity is None else float(task.fidelity)
        stand = self._stands.get(task.root, 0.0)
        if is_held:
            return [(max(fidelity - stand, 0.0), stand)]
        found = [(fidelity, 0.0)]
        if task.is_fork and not stand:
            stand = max((one for one in self._stands.values() if one < fidelity), default=0.0)
        if self._is_loaded and task.attempt == 1 and 0 < stand < fidelity:
            found.append((fidelity - stand, 0.0))  # it will load what it saved; it ends there if it does not
        return found

    def start(self, task: Task, *, is_held: bool, now: float) -> Attempt | None:
        """Set aside what an attempt may train, and return it; None where there is not as much left."""
        for most, begins in self.needs(task, is_held=is_held):
            if most + self._excess <= self.left + SLACK:
                attempt = Attempt(task, most, most + self._excess, begins, now)
                self.running[task.number, task.attempt] = attempt
                return attempt
        return None

    def end(self, event: Event, now: float) -> float:
        """Take the end of an attempt that runs, and return what it trained."""
        attempt, outcome = self.running[event.number, event.attempt], event.outcome
        assert outcome is not None  # it is an end
        trained = attempt.trained(event)
        del self.running[event.number, event.attempt]
        self.iterations += trained
        self.seconds += attempt.seconds(now)
        self._excess = max(self._excess, trained - attempt.most)
        reached = attempt.task.fidelity if outcome.reached is None else outcome.reached
        if outcome.perfs and reached is not None:
            root = attempt.task.root
            self._stands[root] = max(self._stands.get(root, 0.0), float(reached))
            said = outcome.trained
            self._is_loaded |= not attempt.begins and said is not None and said < reached - SLACK
        return trained

    def give_up(self, now: float, shown: Mapping[tuple[int, int], Reading]) -> dict[tuple[int, int], float]:
        """Count what still runs, as its end is not heard of: with what its odometer shows, else with all it was given.

        Returns:
            What each of them counts with, by number and attempt.
        """
        found = {}
        while self.running:
            key, attempt = self.running.popitem()
            used = shown[key].used() if key in shown else None
            found[key] = min(max(attempt.most, attempt.task.fidelity or 0.0), self.left) if used is None else used
            self.iterations += found[key]
            self.seconds += attempt.seconds(now)
        return found

    def used(self) -> float:
        """Return the iterations that were trained until now; of running attempts, what they reported."""
        return self.iterations + sum(attempt.done for attempt in [*self.running.values()])

    def used_seconds(self, now: float) -> float:
        """Return the seconds that all attempts took until now, those that run included."""
        return self.seconds + sum(attempt.seconds(now) for attempt in [*self.running.values()])
