"""RunState: what a log says of its run, event by event. The one fold of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from autohpo.errors import StoreCorruptError, shown
from autohpo.front import Front
from autohpo.objectives import Objectives
from autohpo.packed import TrialList
from autohpo.spaces import SearchSpace
from autohpo.store.base import LogEvent
from autohpo.store.batches import BATCH, are_usual
from autohpo.store.checked import BadValueError, check_data
from autohpo.store.collecting import collector_paused
from autohpo.store.configurations import Configurations
from autohpo.store.costs import Costs
from autohpo.trial import Outcome, Perf, Running, Suggestion, Trial, TrialState, whole


def suggestion_data(suggestion: Suggestion, space: SearchSpace, client: str = "") -> dict[str, Any]:
    """Return what an *ask* event holds of a suggestion: JSON types only.

    Args:
        suggestion: The suggestion.
        space: The space of the run.
        client: The name of who asked for it, if there is one: no part of the suggestion, so no algorithm sees it.
    """
    data: dict[str, Any] = {
        "hp": space.to_json(suggestion),
        "fidelity": None if suggestion.fidelity is None else float(suggestion.fidelity),  # 1.0, as it always was
        "resume": suggestion.resume,
        "pid": suggestion.pid,
        "seed": suggestion.seed,
        "info": suggestion.info,
    }
    if suggestion.fork is not None:
        data["fork"] = suggestion.fork
    if client:
        data["client"] = client
    return data


def suggestion_from(event: LogEvent, space: SearchSpace) -> Suggestion:
    """Return the suggestion of an *ask* event."""
    return _suggestion(event, space.from_json(event.data["hp"]))


def _suggestion(event: LogEvent, hp: dict[str, Any]) -> Suggestion:
    data = event.data
    return Suggestion(
        hp,
        fidelity=data["fidelity"],
        resume=data["resume"],
        fork=data.get("fork"),
        info=data["info"],
        number=event.trial,
        pid=data["pid"],
        seed=data["seed"],
    )


def report_from(data: Mapping[str, Any]) -> tuple[float, Perf]:
    """Return the fidelity and the perf that a *report* event holds: a tuple of several objectives."""
    perf = data["perf"]
    return whole(data["fidelity"]), tuple(perf) if type(perf) is list else perf


@dataclass(slots=True)
class Chain:
    """A trial and those that resumed it: one configuration, one seed, one checkpoint folder.

    Attributes:
        root: The number of its first trial.
        seed: A number for the objective, the same for all of its trials.
        leaf: The number of its newest trial.
        reached: The fidelity that is known of it.
        fork: The trial whose checkpoint it began with, if any.
    """

    root: int
    seed: int
    leaf: int
    reached: float = -1.0
    fork: int | None = None


@dataclass(slots=True)
class Attempts:
    """The starts of a trial that has no end.

    Attributes:
        n: How many times it was started.
        started: Unix seconds of the last start.
        is_running: Whether the last attempt neither ended nor was interrupted.
        interrupted: How the last attempt was interrupted, if it was.
        ended: Unix seconds of that.
        counts: How many attempts were interrupted in each state.
        held: How the last attempt ended, where the turn of the trial to end has not come.
    """

    n: int = 0
    started: float | None = None
    is_running: bool = False
    interrupted: Outcome | None = None
    ended: float | None = None
    counts: Mapping[TrialState, int] | None = None
    held: Outcome | None = None

    def n_of(self, state: TrialState) -> int:
        """Return how many attempts were interrupted in a state."""
        return (self.counts or {}).get(state, 0)


class RunState:
    """Everything that follows from the log: trials, chains, attempts, the best, and counts; kept up to date.

    The driver, a result, a report and a warm start read it; nobody else folds the log.

    Confirming trials, which train the best configurations anew, have numbers below 0 and stand apart: they are no
    suggestions of the algorithm, and count neither in `n_asked` nor in the best.

    Args:
        space: The space of the run.
        objectives: The objectives of the run.
        where: Where the log is kept, for errors.

    Attributes:
        running: Suggestions without an end, by number, in the order asked.
        attempts: The starts of those.
        clients: The name of who asked for a trial, by its number, where there is one; also of trials that have ended.
        front: The best trial, and with several objectives the Pareto front.
        n_asked: How many suggestions there are.
        n_done: How many trials ended with a result, known points left out.
        n_failed: How many ended without one.
        n_known: How many were points whose results were known.
        n_late: How many ends came for attempts that no longer counted.
        seq: The place of the last event in the log; `at` is its time, in Unix seconds.
        costs: What all attempts cost that have ended.
        full: The fidelity of full evaluations, where trials get less: known results of an older release have none.

    Example:
        >>> from autohpo import RangeHP, SearchSpace
        >>> state = RunState(SearchSpace([RangeHP("x", 0.0, 1.0)]), Objectives.of("max"))
        >>> ask = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}
        >>> state.apply(LogEvent("ask", 0, 0, ask))
        >>> state.apply(LogEvent("start", 0, 1, {"slot": 0}))
        >>> state.apply(LogEvent("end", 0, 1, {"state": "COMPLETE", "perf": 0.25})).perf
        0.25
    """

    def __init__(self, space: SearchSpace, objectives: Objectives, where: str = "the log") -> None:
        self.space, self.objectives, self._where = space, objectives, where
        self._configurations = Configurations(space)
        self.full: float | None = None
        self.running: dict[int, Running] = {}
        self.attempts: dict[int, Attempts] = {}
        self.clients: dict[int, str] = {}
        self.front, self.costs, self.at = Front(), Costs(), 0.0
        self.n_asked = self.n_done = self.n_failed = self.n_known = self.n_late = self.seq = 0
        self._signs = objectives.signs if any(sign < 0 for sign in objectives.signs) else ()
        self._is_single = objectives.n == 1
        self._ended = TrialList()  # at the place of their number; None while they run
        self._confirmed: list[Trial | None] = []  # confirming trials, -1 first
        self._chains: dict[int, Chain] = {}  # by root
        self._roots: dict[int, int] = {}  # of trials that resume another

    def checked(self, events: Iterable[LogEvent]) -> Iterator[LogEvent]:
        """Return the next events of a log that somebody else may have written, each once it is known to make sense.

        Raises:
            StoreCorruptError: An event is none that autohpo writes.
        """
        events = iter(events)
        while batch := list(islice(events, BATCH)):
            if are_usual(batch):
                yield from batch
                continue
            for event in batch:
                wrong = check_data(event.kind, event.data)
                if wrong:
                    raise self._bad(event, wrong)
                yield event

    def apply(self, event: LogEvent, suggestion: Suggestion | None = None) -> Trial | None:
        """Take the next event of the log; return the trial that it ends, if it ends one.

        Args:
            event: The event; its order is that of the log.
            suggestion: What an *ask* event says, where that is at hand; else it is read from the event.

        Raises:
            StoreCorruptError: It contradicts the events before it.
        """
        kind, number, attempt, _, self.at, seq = event
        self.seq = seq or self.seq + 1
        if kind == "ask":
            self._ask(event, suggestion)
            return None
        attempts = self.attempts.get(number)
        if attempts is None or kind == "late":
            self._late(event, attempts)
            return None
        if attempt != attempts.n and kind != "start" and (kind != "report" or attempt > attempts.n):
            raise self._bad(event, f"attempt {attempts.n} is the last that was started")
        if kind == "report":
            self._report(event, is_late=attempt < attempts.n)
        elif kind == "end":
            return self._end(event)
        elif kind == "start":
            if attempt != attempts.n + 1:
                raise self._bad(event, f"the next attempt is {attempts.n + 1}")
            attempts.n, attempts.started, attempts.is_running = attempt, event.time, True
            attempts.interrupted = attempts.ended = attempts.held = None
            self.running[number].reports.clear()  # of an attempt that was superseded
        else:
            self._interrupt(attempts, event)
        return None

    def _late(self, event: LogEvent, attempts: Attempts | None) -> None:
        """Take an end that is not the end of a trial: nothing else can come for a trial that has ended."""
        if not self._was_asked(event.trial):
            raise self._bad(event, "the trial was never asked")
        if event.kind != "late":
            raise self._bad(event, "the trial has ended")
        if attempts is None or not attempts.is_running or attempts.held is not None or event.attempt != attempts.n:
            self.n_late += 1
        else:  # the attempt that counts: its trial ends when its turn comes
            attempts.held, attempts.ended = Outcome.from_json(event.data), event.time

    def _report(self, event: LogEvent, *, is_late: bool) -> None:
        fidelity, perf = event.data["fidelity"], event.data["perf"]
        if type(perf) is not float or not self._is_single:
            if (len(perf) if isinstance(perf, (list, tuple)) else 1) != self.objectives.n:
                raise self._bad(event, f"perf must have {self.objectives.n} numbers, got {shown(perf)}")
            fidelity, perf = report_from(event.data)
        elif type(fidelity) is float and fidelity.is_integer():  # as in whole
            fidelity = int(fidelity)
        if not is_late:
            self.running[event.trial].reports.append((fidelity, perf))

    def follow(self, events: Iterable[LogEvent]) -> RunState:
        """Take events, and return this state.

        Raises:
            StoreCorruptError: An event is none that autohpo writes, or contradicts those before it.
        """
        apply = self.apply
        with collector_paused():
            for event in self.checked(events):
                apply(event)
        return self

    def _bad(self, event: LogEvent, why: str) -> StoreCorruptError:
        """Return the error for an event that cannot be."""
        what = f"event {self.seq if event.seq == 0 else event.seq} ({event.kind} of trial {event.trial}"
        what += f", attempt {event.attempt})" if event.attempt else ")"
        return StoreCorruptError(f"store: {self._where} is damaged, or was not written by autohpo: {what}: {why}")

    def _was_asked(self, number: int) -> bool:
        return -len(self._confirmed) <= number < self.n_asked

    def _ask(self, event: LogEvent, suggestion: Suggestion | None) -> None:
        number = event.trial
        due = self.n_asked if number >= 0 else -1 - len(self._confirmed)
        if number != due:
            raise self._bad(event, f"the next trial is {due}")
        if suggestion is None:
            try:
                hp = self._configurations.read(event.data["hp"])
            except BadValueError as error:
                raise self._bad(event, str(error)) from None
            suggestion = _suggestion(event, hp)
        resume, fork = suggestion.resume, suggestion.fork
        source = resume if fork is None else fork
        if source is not None and (number < 0 or source >= number):
            raise self._bad(event, f"it continues trial {source}, which was never asked")
        if number < 0 and not _confirms(suggestion, self.n_asked):
            raise self._bad(event, "it confirms no trial")
        if suggestion.fidelity is None and self.full is not None and "known" in suggestion.info:
            suggestion.fidelity = self.full
        self.running[number] = Running(suggestion, [], self._signs)
        self.attempts[number] = Attempts()
        if "client" in event.data:
            self.clients[number] = event.data["client"]
        if number < 0:
            self._confirmed.append(None)
            return
        self._ended.append(None)
        self.n_asked = number + 1
        if resume is not None:
            chain = self.chain(resume)
            self._roots[number] = chain.root
            chain.leaf = number
            self._chains[chain.root] = chain
        elif suggestion.fork is not None:
            self._chains[number] = Chain(number, suggestion.seed, number, fork=suggestion.fork)

    def _interrupt(self, attempts: Attempts, event: LogEvent) -> None:
        outcome = Outcome.from_json(event.data)
        self.costs.ended(outcome, attempts.started if attempts.is_running else None, event.time)
        attempts.is_running, attempts.interrupted, attempts.ended, attempts.held = False, outcome, event.time, None
        attempts.counts = {**(attempts.counts or {}), outcome.state: attempts.n_of(outcome.state) + 1}

    def _end(self, event: LogEvent) -> Trial:
        outcome = Outcome.from_json(event.data)
        if outcome.perfs and len(outcome.perfs) != self.objectives.n:
            raise self._bad(event, f"it has {len(outcome.perfs)} results of {self.objectives.n} objectives")
        running, attempts = self.running.pop(event.trial), self.attempts.pop(event.trial)
        at = attempts.ended if attempts.held is not None and attempts.ended is not None else event.time
        self.costs.ended(outcome, attempts.started, at, is_known="known" in running.suggestion.info)
        trial = running.ended(outcome, attempt=attempts.n, started=attempts.started, at=at)
        if event.trial < 0:
            self._confirmed[-1 - event.trial] = trial
            return trial
        self._ended[event.trial] = trial
        if "known" in trial.info:
            self.n_known += 1
        elif outcome.perfs:
            self.n_done += 1
        else:
            self.n_failed += 1
        if outcome.perfs:
            self.front.add(trial)
            if trial.resume is not None or trial.fidelity is not None:
                chain = self.chain(trial.number)
                chain.reached = max(chain.reached, outcome.reached or trial.fidelity or 0.0)
                self._chains[chain.root] = chain
        return trial

    def chain(self, number: int) -> Chain:
        """Return the chain of a trial."""
        root = self._roots.get(number, number)
        known = self._chains.get(root)
        if known is not None:
            return known
        first = self._ended[root] if root >= 0 else self._confirmed[-1 - root]
        seed = self.running[root].suggestion.seed if first is None else first.seed
        return Chain(root, seed, root)

    def pending_of(self, client: str) -> Running | None:
        """Return the trial without an end that a client asked for, if there is one."""
        return next((self.running[n] for n in self.running if self.clients.get(n) == client), None)

    @property
    def best(self) -> Trial | None:
        """The best trial so far; with several objectives the compromise; None where none has a result."""
        return self.front.best

    def __getitem__(self, number: int) -> Trial:
        """Return a trial as it stands, running ones included; one below 0 is a confirming one."""
        trial = self._ended[number] if number >= 0 else self._confirmed[-1 - number]
        if trial is not None:
            return trial
        attempts, running = self.attempts[number], self.running[number]
        outcome = attempts.interrupted or attempts.held or Outcome(TrialState.RUNNING)
        return running.ended(outcome, attempt=attempts.n, started=attempts.started, at=attempts.ended)

    def trials(self) -> list[Trial]:
        """Return the trials of the run as they stand, in the order asked."""
        return [self[number] if trial is None else trial for number, trial in enumerate(self._ended)]

    def kept(self) -> Sequence[Trial]:
        """Return what :meth:`trials` does; of a long run as a sequence that makes trials when they are looked at."""
        if not self._ended.is_long:
            return self.trials()
        found = self._ended.copy()
        for number in self.running:
            if number >= 0:
                found[number] = self[number]
        return found

    def confirming(self) -> list[Trial]:
        """Return the confirming trials as they stand, in the order asked: -1, -2 and so on."""
        return [self[-1 - place] if trial is None else trial for place, trial in enumerate(self._confirmed)]


def _confirms(suggestion: Suggestion, n_asked: int) -> bool:
    """Whether the notes of a confirming trial are what autohpo writes."""
    number, repeat = suggestion.info.get("confirms"), suggestion.info.get("repeat")
    is_trial = number is None or (type(number) is int and 0 <= number < n_asked)
    return is_trial and type(repeat) is int and repeat >= 0
