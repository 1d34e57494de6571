"""What optimizers are checked with: a cheap objective, and sessions that record what happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import NotReady, OptimizationComplete
from autohpo.spaces import SearchSpace
from autohpo.testing.checks import CheckFailed, expect
from autohpo.testing.examples import mixed_space
from autohpo.trial import Suggestion, TrialState

N_ASKS = 30
"""Suggestions of a usual session: enough for a model with ten initial points to have worked for a while."""

FAILED_STATES = tuple(state for state in TrialState if state.is_final and not state.has_perf)
"""Every way in which a trial may end without a performance."""


@dataclass(frozen=True)
class Case:
    """An algorithm under check, and the options it is built with."""

    cls: type[BaseHPOptimizer]
    options: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(name_or_class: str | type[BaseHPOptimizer], options: Mapping[str, Any]) -> Case:
        """The case of a registered name, or of a class.

        Raises:
            RegistryError: The name is unknown.
        """
        return Case(get_hpo(name_or_class) if isinstance(name_or_class, str) else name_or_class, dict(options))

    def build(self, space: SearchSpace | None = None, **changes: Any) -> BaseHPOptimizer:
        """A fresh optimizer of seed 7, on the mixed space where none is given."""
        return self.cls(mixed_space() if space is None else space, **{"seed": 7, **self.options, **changes})


@dataclass(frozen=True)
class Event:
    """Something that happened in a session.

    Attributes:
        suggestion: The suggestion that was asked for, or whose end was told; as it was asked.
        state: How it ended; RUNNING where it was asked for.
        value: The user's own value, where it has one.
    """

    suggestion: Suggestion
    state: TrialState = TrialState.RUNNING
    value: float | None = None


def measure(space: SearchSpace, suggestion: Suggestion) -> float:
    """The performance of a configuration: a bowl in the unit cube, dimmer at low fidelity; always below 0."""
    point = space.encode([suggestion])[0]
    fidelity = suggestion.fidelity
    return -float(((point - 0.3) ** 2).sum()) - 0.1 - (0.0 if fidelity is None else 0.1 / fidelity)


@dataclass
class Session:
    """An optimizer at work on the test objective, and the record of what happened.

    Attributes:
        hpo: The optimizer.
        n_workers: How many trials run at once.
        order: Which running trial ends next: the oldest, the newest, or one or the other in turn.
        value: The performance of a suggestion in place of the usual one.
        ending: How a suggestion ends, in place of COMPLETE.
        on_ask: Called with each suggestion as the caller got it; what is told later is a copy from before.
        events: What happened, in order.
        asked: All suggestions, as they were asked.
        running: The suggestion of each running trial as the caller has it, and as it was asked.
        is_complete: Whether the optimizer has said that there is nothing left.
    """

    hpo: BaseHPOptimizer
    n_workers: int = 1
    order: str = "oldest"
    value: Callable[[Suggestion], float] | None = None
    ending: Callable[[Suggestion], TrialState] | None = None
    on_ask: Callable[[Suggestion], None] | None = None
    events: list[Event] = field(default_factory=list)
    asked: list[Suggestion] = field(default_factory=list)
    running: list[tuple[Suggestion, Suggestion]] = field(default_factory=list)
    is_complete: bool = False

    @property
    def records(self) -> list[str]:
        """All suggestions, each as a text that any other would differ in."""
        return [record(self.hpo.space, suggestion) for suggestion in self.asked]

    def run(self, n: int = N_ASKS) -> Session:
        """Asks until n more suggestions were made or there are no more; the last ones stay running."""
        goal = len(self.asked) + n
        while len(self.asked) < goal and not self.is_complete:
            if len(self.running) >= self.n_workers or not self.ask():
                self.finish()
        return self

    def ask(self) -> bool:
        """Asks for one suggestion; False where there is none now.

        Raises:
            CheckFailed: The optimizer waits for a result although no trial runs.
        """
        busy = {suggestion.pid for _, suggestion in self.running}
        try:
            given = self.hpo.ask(min(set(range(self.n_workers + len(busy))) - busy))
        except OptimizationComplete:
            self.is_complete = True
            return False
        except NotReady as error:
            if not self.running:
                raise CheckFailed(f"wanted a suggestion, as no trial is running, got NotReady: {error}") from error
            return False
        kept = given.copy()
        self.asked.append(kept)
        self.events.append(Event(kept))
        if self.on_ask is None:
            self.running.append((given, kept))
        else:
            self.running.append((given.copy(), kept))
            self.on_ask(given)
        return True

    def finish(self) -> None:
        """Ends one running trial, if there is one."""
        if self.running:
            is_newest = self.order == "newest" or (self.order == "mixed" and len(self.events) % 2 == 0)
            given, kept = self.running.pop(-1 if is_newest else 0)
            event = self.result_of(kept)
            apply(self.hpo, event, given)
            self.events.append(event)

    def finish_all(self) -> Session:
        """Ends every running trial."""
        while self.running:
            self.finish()
        return self

    def result_of(self, suggestion: Suggestion) -> Event:
        """How a suggestion ends."""
        state = TrialState.COMPLETE if self.ending is None else self.ending(suggestion)
        if not state.has_perf:
            return Event(suggestion, state)
        perf = measure(self.hpo.space, suggestion) if self.value is None else self.value(suggestion)
        return Event(suggestion, state, perf if self.hpo.mode == "max" else -perf)


def apply(hpo: BaseHPOptimizer, event: Event, given: Suggestion) -> None:
    """Tells the end of a trial.

    Args:
        hpo: The optimizer.
        event: The end.
        given: The suggestion as the caller has it.
    """
    if event.value is None:
        hpo.fail(given, "made to fail", event.state)
    else:
        hpo.tell(given, event.value, is_stopped=event.state is TrialState.STOPPED)


def record(space: SearchSpace, suggestion: Suggestion) -> str:
    """A text that two suggestions share only if they are equal in every part, in this process and in any other."""
    s = suggestion
    return json.dumps([s.number, space.to_json(s), s.fidelity, s.resume, s.fork, s.pid, s.seed, s.info], sort_keys=True)


def as_stored(space: SearchSpace, suggestion: Suggestion) -> Suggestion:
    """The suggestion as a store gives it back: through JSON."""
    data = json.loads(json.dumps([space.to_json(suggestion), suggestion.info]))
    return Suggestion(
        space.from_json(data[0]),
        fidelity=suggestion.fidelity,
        resume=suggestion.resume,
        fork=suggestion.fork,
        info=data[1],
        number=suggestion.number,
        pid=suggestion.pid,
        seed=suggestion.seed,
    )


def replay(hpo: BaseHPOptimizer, events: Sequence[Event]) -> None:
    """Brings a fresh optimizer to where the events end, as a resumed search does."""
    for event in events:
        stored = as_stored(hpo.space, event.suggestion)
        if event.state is TrialState.RUNNING:
            hpo.adopt(stored)
        else:
            apply(hpo, event, stored)


def follow(hpo: BaseHPOptimizer, events: Sequence[Event], what: str) -> None:
    """Goes on along the events of another session, whose suggestions must come again.

    Raises:
        CheckFailed: A suggestion differs.
    """
    for event in events:
        if event.state is TrialState.RUNNING:
            wanted = record(hpo.space, event.suggestion)
            got = record(hpo.space, hpo.ask(event.suggestion.pid))
            expect(wanted == got, f"{what}: {wanted}", got)
        else:
            apply(hpo, event, event.suggestion)


def every_third_fails(suggestion: Suggestion) -> TrialState:
    """An ending for sessions: trials 1, 4, 7, ... fail, each in another way."""
    number = suggestion.number
    return TrialState.COMPLETE if number % 3 != 1 else FAILED_STATES[number // 3 % len(FAILED_STATES)]


def transcript(case: Case) -> list[str]:
    """The records of a session in which much happens: what must be equal in every process."""
    session = Session(case.build(), n_workers=3, order="mixed", ending=every_third_fails)
    return session.run().records
