"""wrong_states: whether the log of a search says of every attempt what its engine said, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.execution.base import Event
from autohpo.outcome import Perf
from autohpo.store import RunState
from autohpo.store.base import LogEvent
from autohpo.trial import Outcome, TrialState

MAX_LOST = 3
"""How many attempts at a trial are lost before it ends as CRASHED, by default."""

ENDS = ("end", "interrupt", "late")

Key = tuple[int, int]
"""The number of a trial and that of an attempt at it."""


@dataclass
class _Told:
    """What an engine told of one trial, by a fold of its own: the first end of an attempt counts, no other one does."""

    ends: list[tuple[str, int, TrialState, tuple[float, ...]]] = field(default_factory=list)
    reports: dict[int, list[tuple[float, Perf]]] = field(default_factory=lambda: defaultdict(list))
    seen: set[int] = field(default_factory=set)  # attempts that have ended
    n_lost: int = 0

    def take(self, event: Event) -> None:
        outcome = event.outcome
        if outcome is None:
            if event.kind == "report" and event.attempt not in self.seen:
                self.reports[event.attempt].append((event.fidelity or 0.0, 0.0 if event.perf is None else event.perf))
            return
        kind, state = "end", outcome.state
        if event.attempt in self.seen:
            kind = "late"
        elif state is TrialState.LOST:
            self.n_lost += 1
            kind, state = ("interrupt", state) if self.n_lost < MAX_LOST else ("end", TrialState.CRASHED)
        self.seen.add(event.attempt)
        self.ends.append((kind, event.attempt, state, outcome.perfs))


def wrong_states(hpo: BaseHPOptimizer, delivered: Iterable[Event]) -> list[str]:
    """Return a line for each thing that a finished search got wrong of what its executor delivered; none is right.

    Each trial must have ended exactly once, with the outcome of the attempt that counted; each end that was delivered
    must be in the log once, as an end, an interrupt or a late one; reports must be those of their attempt; the log must
    fold to the result that the search came to, and the optimizer must have been told the same.

    Args:
        hpo: The optimizer, after ``optimize`` on a store that began empty, without time limit, signals or ``retries``.
        delivered: Every event that the executor delivered, reports included, in order.
    """
    told: Mapping[int, _Told] = defaultdict(_Told)
    for event in delivered:
        told[event.number].take(event)
    store = hpo.run_store
    store.open()
    try:
        log = list(store.events())
    finally:
        store.close()
    by_trial: dict[int, list[LogEvent]] = defaultdict(list)
    for entry in log:
        by_trial[entry.trial].append(entry)
    found = [f"trial {n}: told by the engine, not in the log" for n in told if n not in by_trial]
    for number, entries in by_trial.items():
        found += [f"trial {number}: {fault}" for fault in _faults_of(entries, told[number])]
    return [*found, *_faults_of_fold(hpo, log)]


def _faults_of(entries: Sequence[LogEvent], told: _Told) -> Iterator[str]:
    """Yield what is wrong with the log of one trial."""
    ends = [entry for entry in entries if entry.kind in ENDS]
    logged = [(entry.kind, entry.attempt, *_read(entry)) for entry in ends]
    wanted = [_judged(mine, theirs) for mine, theirs in zip(told.ends, logged, strict=False)]
    if wanted != logged or len(told.ends) != len(logged):
        yield f"wanted the ends {told.ends}, got {logged}"
    if sum(entry.kind == "end" for entry in entries) != 1:
        yield "ended not exactly once"
    starts = [entry.attempt for entry in entries if entry.kind == "start"]
    if starts != list(range(1, len(starts) + 1)):
        yield f"was started as the attempts {starts}"
    counted = [(entry.kind, entry.attempt) for entry in entries if entry.kind in ("start", "end", "interrupt")]
    if counted != [(kind, n) for n in starts for kind in ("start", "end" if n == starts[-1] else "interrupt")]:
        yield f"starts and ends do not alternate: {counted}"
    yield from _faults_of_reports(entries, told)


def _faults_of_reports(entries: Sequence[LogEvent], told: _Told) -> Iterator[str]:
    """Yield what is wrong with the reports of one trial; those of what a chain had shown before need not be there."""
    is_resumed = entries[0].data["resume"] is not None
    for attempt in {entry.attempt for entry in entries}:
        ours = [entry for entry in entries if entry.kind == "report" and entry.attempt == attempt]
        logged = [(entry.data["fidelity"], entry.data["perf"]) for entry in ours]
        wanted = told.reports[attempt]
        if is_resumed and logged:
            wanted = wanted[-len(logged) :]
        if logged != wanted and (logged or not is_resumed):
            yield f"attempt {attempt}: wanted the reports {wanted}, got {logged}"


def _read(entry: LogEvent) -> tuple[TrialState, tuple[float, ...]]:
    outcome = Outcome.from_json(entry.data)
    return outcome.state, outcome.perfs


def _judged(
    told: tuple[str, int, TrialState, tuple[float, ...]], logged: tuple[str, int, TrialState, tuple[float, ...]]
) -> tuple[str, int, TrialState, tuple[float, ...]]:
    """Return what must be in the log: a trial that was stopped where it had all it was given is complete."""
    if told[2] is TrialState.STOPPED and logged[2] is TrialState.COMPLETE:
        return (*told[:2], logged[2], told[3])
    return told


def _faults_of_fold(hpo: BaseHPOptimizer, log: Iterable[LogEvent]) -> Iterator[str]:
    """Yield what differs between the log, the result of the search and what the optimizer was told."""
    state = RunState(hpo.space, hpo.objectives).follow(log)
    result = hpo.result
    assert result is not None  # a search has ended
    trials = state.trials()
    if trials != list(result):
        yield "the log folds to other trials than the result has"
    for trial in trials:
        if not trial.state.is_final:
            yield f"trial {trial.number}: is {trial.state} in the end"
    best = state.best
    if (None if best is None else best.number) != result.best.number:
        yield f"the log folds to another best trial than {result.best.number}"
    history = {trial.number: trial.outcome for trial in hpo.trials}
    if history != {trial.number: trial.outcome for trial in trials}:
        yield "the optimizer was told something else than the log holds"
    if hpo.running:
        yield f"the optimizer takes {[one.number for one in hpo.running]} for running"
