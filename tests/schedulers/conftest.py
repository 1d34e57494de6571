"""A search around a scheduler, without an optimizer: tests see its decisions bare."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.errors import OptimizationComplete
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.schedulers.base import Fork, Promote, Start
from autohpo.spaces import RangeHP, SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

SPACE = SearchSpace([RangeHP("x", 0, 10**6)])


class Search:
    """Asks a scheduler and keeps its history; configurations are numbered as they are drawn, the first are points."""

    def __init__(self, scheduler, n_configurations=None, n_points=0):
        self.scheduler, self.n_configurations, self.n_points = scheduler, n_configurations, n_points
        self.history, self.asked, self.n_drawn = History(SPACE, Objectives.of("max")), [], 0

    @property
    def running(self):
        """The numbers of what runs."""
        return [running.number for running in self.history.running]

    def next(self, **options):
        """What the scheduler decides."""
        return self.scheduler.next(self.history, np.random.default_rng((0, len(self.asked))), **options)

    def ask(self):
        """Carries out what the scheduler decides, and returns the suggestion."""
        decision = self.next()
        if isinstance(decision, Start) and self.n_drawn == self.n_configurations:
            try:
                decision = self.next(can_start=False)
            except OptimizationComplete:
                raise OptimizationComplete("all drawn") from None
        match decision:
            case Start(fidelity, info, hp):
                info = {**info, "point": self.n_drawn} if self.n_drawn < self.n_points else info
                suggestion = Suggestion({"x": self.n_drawn} if hp is None else hp, fidelity=fidelity, info=info)
                self.n_drawn += 1
            case Promote(trial, fidelity, info):
                kept = self.history[trial]
                info = {**{key: note for key, note in kept.info.items() if key != "point"}, **info}
                suggestion = Suggestion(kept.hp, fidelity=fidelity, resume=trial, info=info)
            case Fork(trial, hp, fidelity, info):
                suggestion = Suggestion(hp, fidelity=fidelity, fork=trial, info=info)
        self.history.check(suggestion)
        self.adopt(suggestion)
        return suggestion

    def next_start(self, x):
        """A new configuration at the lowest rung, whatever the scheduler would decide."""
        info = {"rung": 0, **({"point": x} if x < self.n_points else {}), **self.scheduler._notes}
        return Suggestion({"x": x}, fidelity=self.scheduler.schedule[0], info=info)

    def adopt(self, suggestion):
        """Takes a suggestion as the next one."""
        suggestion.number = len(self.asked)
        self.asked.append(suggestion)
        self.history.add(suggestion)

    def report(self, number, fidelity, score):
        """Takes a report, and returns whether the trial goes on."""
        self.history.find(number).reports.append((fidelity, score))
        return self.scheduler.on_report(self.history, number, fidelity, score)

    def tell(self, number, perf, state=TrialState.COMPLETE, reached=None, cost=None):
        """Ends a trial; with a perf of None it fails."""
        outcome = Outcome(TrialState.FAILED) if perf is None else Outcome(state, (perf,), reached=reached, cost=cost)
        self.history.finish(self.history.find(number).ended(outcome))

    def run(self, n, perf=lambda s: float(s["x"])):
        """Asks and tells n times, one by one."""
        for _ in range(n):
            s = self.ask()
            self.tell(s.number, perf(s))

    def replayed(self, scheduler, trials):
        """Another search that was handed the same history at once, ended in the order of `trials`."""
        other = Search(scheduler, self.n_configurations, self.n_points)
        for suggestion in self.asked:
            other.adopt(suggestion.copy())
        for running in self.history.running:
            other.history.find(running.number).reports.extend(running.reports)
        for trial in trials:
            other.history.find(trial.number).reports.extend(trial.reports)
            other.history.finish(trial)
        other.n_drawn = self.n_drawn
        return other

    def resumable(self):
        """What the scheduler may still continue."""
        return self.scheduler.resumable(self.history)


@pytest.fixture
def search_of():
    """A search around a scheduler."""
    return Search
