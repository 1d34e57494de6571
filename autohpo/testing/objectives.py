"""Checks of algorithms that take several objectives: legal, rebuilt from history, robust, better than random."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import OptimizationComplete
from autohpo.objectives import pareto as pareto_of
from autohpo.spaces import RangeHP, SearchSpace
from autohpo.surrogates import pareto
from autohpo.testing.cases import FAILED_STATES, Case, Event, Session, every_third_fails, follow, replay
from autohpo.testing.checks import CheckFailed, expect, expect_equal
from autohpo.testing.protocol import expect_legal
from autohpo.trial import Suggestion, TrialState

MODES: Mapping[int, Mapping[str, Any]] = {
    2: {"fit": "max", "cost": "min"},
    3: {"fit": "max", "cost": "min", "size": "min"},
}
"""Objectives of the sessions, by their number."""

N_TRIALS = 40
"""The trials of a session whose front is judged: enough for a model with ten initial points to have worked."""

Outcome = tuple[Mapping[str, float], Mapping[str, float]]
"""Objectives and constraints, by name."""


@dataclass
class AimedSession(Session):
    """A session with several objectives and a constraint.

    Attributes:
        outcome: The outcome of a suggestion, in place of the usual one.
    """

    outcome: Callable[[Suggestion], Outcome] | None = None

    def result_of(self, suggestion: Suggestion) -> Event:
        """How a suggestion ends; the value of its event is what the objective returned."""
        state = TrialState.COMPLETE if self.ending is None else self.ending(suggestion)
        if not state.has_perf:
            return Event(suggestion, state)
        value: Any = usual(self.hpo, suggestion) if self.outcome is None else self.outcome(suggestion)
        return Event(suggestion, state, value)


def usual(hpo: BaseHPOptimizer, suggestion: Suggestion) -> Outcome:
    """Bowls in the unit cube, each with its lowest point elsewhere on the diagonal; some of the first column is out."""
    point = hpo.space.encode([suggestion])[0]
    bowls = [float(((point - middle) ** 2).sum()) for middle in (0.2, 0.8, 0.5)]
    ways = [1 if sign < 0 else -1 for sign in hpo.objectives.signs]
    named = {name: way * bowl for name, way, bowl in zip(hpo.objectives.names, ways, bowls, strict=False)}
    return named, {"room": float(point[0]) - 0.9}


def takes_several_objectives(case: Case) -> None:
    """Suggests legal values for two and three objectives, keeps what was told, and names a best one of the front."""
    for mode in MODES.values():
        hpo = case.build(mode=mode)
        session = AimedSession(hpo, n_workers=3, order="mixed").run().finish_all()
        for suggestion in session.asked:
            expect_legal(hpo.space, suggestion)
        told = {event.suggestion.number: event.value for event in session.events if event.value is not None}
        for trial in hpo.trials:
            values: Any = told[trial.number]
            kept = dict(zip(hpo.objectives.names, trial.perfs, strict=True))
            expect(kept == dict(values[0]), f"the objectives of trial {trial.number} as told, {values[0]}", kept)
        fronts = [trial.perfs for trial in pareto_of(hpo.trials)]
        best = hpo.best()[1]
        expect(best in fronts, f"the best to be on the front, {fronts}", best)


def rebuilds_with_several_objectives(case: Case) -> None:
    """A fresh optimizer that is fed a history of objectives, constraints and failures goes on as the first did."""
    mode = MODES[2]
    session = AimedSession(case.build(mode=mode), n_workers=4, order="mixed", ending=every_third_fails).run(36)
    events = session.events
    for n in (len(events) // 3, len(events) * 7 // 8):
        rebuilt = case.build(mode=mode)
        replay(rebuilt, events[:n])
        follow(rebuilt, events[n:], f"suggestions after {n} of {len(events)} events of two objectives were replayed")


def mirrors_each_objective(case: Case) -> None:
    """Minimising one of two objectives is maximising its negative: each has its own sign, dealt with in one place."""
    mixed = AimedSession(case.build(mode=MODES[2]), n_workers=2).run()
    highest = AimedSession(case.build(mode={"fit": "max", "cost": "max"}), n_workers=2).run()
    expect_equal(highest.records, mixed.records, "suggestions with one objective minimised")


def survives_odd_outcomes(case: Case) -> None:
    """Goes on, without a RuntimeWarning, where no trial is feasible, all are alike, values are huge, or all fail."""
    names = tuple(MODES[2])
    even = {"room": -1.0}
    outcomes: dict[str, Callable[[Suggestion], Outcome]] = {
        "none is feasible": lambda s: (dict.fromkeys(names, s.number * 0.1), {"room": 1.0 + s.number % 3, "time": 0.1}),
        "a constraint that some lack": lambda s: (
            dict(zip(names, (s.number % 5, s.number % 7), strict=True)),
            {"room": -1.0} if s.number % 2 else {"time": 0.5 - s.number % 3},
        ),
        "all are alike": lambda _: (dict.fromkeys(names, 0.0), even),
        "huge and of both signs": lambda s: (dict.fromkeys(names, (-1.7e308, 1.7e308)[s.number % 2]), even),
        "one objective is constant": lambda s: (dict(zip(names, (1.0, float(s.number % 9)), strict=True)), even),
        "a violation is huge": lambda s: (dict.fromkeys(names, float(s.number)), {"room": 1e300 * (s.number % 2)}),
    }
    for name, outcome in outcomes.items():
        _check_survival(AimedSession(case.build(mode=MODES[2]), n_workers=2, outcome=outcome), name)
    failing = AimedSession(
        case.build(mode=MODES[2]), n_workers=2, ending=lambda s: FAILED_STATES[s.number % len(FAILED_STATES)]
    )
    _check_survival(failing, "all fail")


def _check_survival(session: AimedSession, name: str) -> None:
    """Runs a session to its end and checks what it suggested."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numpy's: an infinity or a NaN got into a model
        try:
            session.run(30).finish_all()
        except RuntimeWarning as warning:
            raise CheckFailed(f"wanted no RuntimeWarning where {name}, got {warning}") from warning
    if any(event.value is not None for event in session.events):
        session.hpo.best()  # raises if there is none
    for suggestion in session.asked:
        expect_legal(session.hpo.space, suggestion)


def covers_the_front(case: Case) -> None:
    """Covers more volume than half as many random draws: who looks at one objective only does not."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0), RangeHP("z", 0.0, 1.0)])
    reference = np.full(2, -0.6)

    def outcome(suggestion: Mapping[str, Any]) -> tuple[float, float]:
        x, rest = suggestion["x"], abs(suggestion["y"] - 0.4) + abs(suggestion["z"] - 0.6)
        return -(x**2) - rest, -((1 - x) ** 2) - rest

    hpo = case.build(space, mode=["max", "max"])
    with contextlib.suppress(OptimizationComplete):  # some end by themselves
        for _ in range(N_TRIALS):
            suggestion = hpo.ask()
            hpo.tell(suggestion, outcome(suggestion))
    n = sum(trial.resume is None for trial in hpo.trials)  # a promoted one is no new configuration
    covered = pareto.hypervolume(np.array([trial.perfs for trial in hpo.trials]), reference)
    rng = np.random.default_rng(0)
    by_chance = [
        pareto.hypervolume(np.array([outcome(hp) for hp in space.sample(rng, n // 2)]), reference) for _ in range(50)
    ]
    least = float(np.median(by_chance))
    expect(covered >= least, f"a hypervolume of at least {least:.3f} after {n} configurations", f"{covered:.3f}")
