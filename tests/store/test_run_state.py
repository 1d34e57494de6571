"""RunState: after every event of any log it says what a plain fold of the whole log says."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SearchSpace, Suggestion, Trial, TrialState
from autohpo.objectives import Objectives, incumbent, pareto
from autohpo.store import LogEvent, RunState
from autohpo.store.base import LogKind
from autohpo.store.run_state import suggestion_data, suggestion_from
from autohpo.trial import Outcome

OBJECT = object()
SPACE = SearchSpace([LogRangeHP("lr", 1e-4, 1.0), RangeHP("hops", 1, 8), ChoiceHP("norm", [None, True, 1, OBJECT])])
HP = {"lr": 0.1 + 0.2, "hops": 3, "norm": OBJECT}
MODES: list[Any] = ["max", "min", {"acc": "max", "seconds": "min"}, ["min", "min", "max"]]
WITHOUT_RESULT = ["FAILED", "INVALID", "CRASHED", "TIMEOUT", "MEMORY"]
N_LOGS, N_EVENTS = 12, 160


def ask(number: int, **fields: Any) -> LogEvent:
    """The event of a new suggestion."""
    suggestion = Suggestion(HP, number=number, seed=9, **fields)
    return LogEvent("ask", number, 0, suggestion_data(suggestion, SPACE), 1.0)


def event(kind: LogKind, number: int, attempt: int, time: float, **data: Any) -> LogEvent:
    """Any other event."""
    return LogEvent(kind, number, attempt, data, time)


def state_of(log: Sequence[LogEvent], mode: Any = "max") -> RunState:
    """The state after a log."""
    return RunState(SPACE, Objectives.of(mode)).follow(log)


# The plain formula: what the log says of each trial, from all of its events at once.


def plain_fold(log: Sequence[LogEvent], signs: tuple[int, ...]) -> list[Trial]:
    """The trials in the order asked: the fields of each as its events set them, one after the other."""
    trials: dict[int, dict[str, Any]] = {}
    held: dict[int, float] = {}  # when the attempt that counts has ended, of trials whose turn has not come
    for one in log:
        data = one.data
        if one.kind == "ask":
            hp = {name: SPACE[name].from_json(value) for name, value in data["hp"].items()}
            fields: dict[str, Any] = {
                "number": one.trial,
                "hp": hp,
                "fork": data.get("fork"),
                "signs": signs,
                "reports": [],
            }
            kept = {name: data[name] for name in ("fidelity", "resume", "pid", "info", "seed")}
            trials[one.trial] = {**fields, **kept, "outcome": Outcome(TrialState.RUNNING)}
            continue
        trial = trials[one.trial]
        if one.kind == "start":
            trial.update(outcome=Outcome(TrialState.RUNNING), attempt=one.attempt, started=one.time)
            trial.update(ended=None, reports=[])
            held.pop(one.trial, None)
        elif one.kind == "report":
            if one.attempt == trial.get("attempt", 0):
                perf = data["perf"]
                trial["reports"].append((data["fidelity"], tuple(perf) if isinstance(perf, list) else perf))
        elif one.kind != "late" or is_held(one, trial):
            perf = data.get("perf")
            outcome = Outcome(
                TrialState(data["state"]),
                () if perf is None else tuple(perf) if isinstance(perf, list) else (perf,),
                data.get("constraints", {}),
                data.get("metrics", {}),
                data.get("cost"),
                data.get("fidelity"),
                data.get("error", ""),
                data.get("why", ""),
            )
            if one.kind == "late":
                held[one.trial] = one.time
            elif one.kind == "interrupt":
                held.pop(one.trial, None)
            trial.update(outcome=outcome, ended=held.get(one.trial, one.time))
    return [Trial(**{**trial, "reports": tuple(trial["reports"])}) for trial in trials.values()]


def is_held(late: LogEvent, trial: dict[str, Any]) -> bool:
    """Whether a late end is that of the attempt that counts, which runs: then its trial ends when its turn comes."""
    is_running = "attempt" in trial and trial["outcome"].state is TrialState.RUNNING
    return is_running and late.attempt == trial["attempt"]


def n_held(log: Sequence[LogEvent]) -> int:
    """How many late ends of a log are such."""
    n, running = 0, dict[int, int]()
    for one in log:
        if one.kind == "start":
            running[one.trial] = one.attempt
        elif one.kind == "late" and running.get(one.trial) == one.attempt:
            n += 1
            del running[one.trial]
        elif one.kind in ("end", "interrupt"):
            running.pop(one.trial, None)
    return n


def plain_chains(trials: Sequence[Trial], done: Sequence[Trial]) -> dict[int, tuple[int, int, int, float, int | None]]:
    """For each trial the root, seed, newest trial, known fidelity and origin of its chain."""
    roots: dict[int, int] = {}
    for trial in trials:
        roots[trial.number] = trial.number if trial.resume is None else roots[trial.resume]
    chains = {}
    for number, root in roots.items():
        members = [trial for trial in trials if roots[trial.number] == root]
        levels = [
            trial.outcome.reached or trial.fidelity or 0.0
            for trial in members
            if trial.perfs and trial in done and (trial.fidelity is not None or trial.resume is not None)
        ]
        first = trials[root]
        chains[number] = (root, first.seed, members[-1].number, max([-1.0, *levels]), first.fork)
    return chains


def expect_state(state: RunState, log: Sequence[LogEvent]) -> None:
    """Passes a state that says what the plain formulas say of the whole log."""
    signs = state.objectives.signs if -1 in state.objectives.signs else ()
    trials = plain_fold(log, signs)
    done = [trial for trial in trials if any(e.kind == "end" and e.trial == trial.number for e in log)]
    running = [trial for trial in trials if trial not in done]
    assert state.trials() == trials
    assert [state[i] for i in range(len(trials))] == trials
    assert [(n, dict(r.suggestion), r.curve) for n, r in state.running.items()] == [
        (trial.number, dict(trial.hp), trial.curve) for trial in running
    ]
    chains = [state.chain(trial.number) for trial in trials]
    found = {i: (chain.root, chain.seed, chain.leaf, chain.reached, chain.fork) for i, chain in enumerate(chains)}
    assert found == plain_chains(trials, done)
    for trial in running:
        expect_attempts(state, trial, [e for e in log if e.trial == trial.number])
    assert sorted(state.attempts) == [trial.number for trial in running]
    assert state.best == incumbent(done)
    if state.objectives.n > 1:
        assert state.front.trials == pareto(done)
    known = [trial for trial in done if "known" in trial.info]
    assert (state.n_asked, state.seq) == (len(trials), len(log))
    assert state.n_known == len(known)
    assert state.n_done == sum(bool(trial.perfs) for trial in done if trial not in known)
    assert state.n_failed == sum(not trial.perfs for trial in done if trial not in known)
    assert state.n_late == sum(e.kind == "late" for e in log) - n_held(log)


def expect_attempts(state: RunState, trial: Trial, log: Sequence[LogEvent]) -> None:
    """Passes what the state says of the starts of a trial without an end."""
    attempts = state.attempts[trial.number]
    stops = [e.data["state"] for e in log if e.kind == "interrupt"]
    last = [e.kind for e in log if e.kind in ("ask", "start", "interrupt")][-1]
    assert (attempts.n, attempts.started, attempts.ended) == (trial.attempt, trial.started, trial.ended)
    assert attempts.is_running == (last == "start")
    for name in TrialState:
        assert attempts.n_of(name) == stops.count(name.value)


# Random logs, such as drivers that die and engines that answer late or twice leave.


@dataclass
class RandomLog:
    """Makes the events of a run that goes on in any way a run can.

    Attributes:
        draw: Where chance comes from.
        n_objectives: How many values a result has.
        events: What was made so far.
    """

    draw: random.Random
    n_objectives: int
    events: list[LogEvent] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)  # of trials without an end
    n_asked: int = 0
    given: dict[int, float] = field(default_factory=dict)  # fidelities, of those
    promotable: dict[int, float] = field(default_factory=dict)  # ends of chains, with the fidelity they had

    def step(self) -> None:
        """Makes one event, or the two of a point whose result was known."""
        started = [number for number, n in self.attempts.items() if n]
        ways: list[Any] = [self.ask, self.ask]
        ways += [self.start] * 3 if self.attempts else []
        ways += [self.report, self.report, self.interrupt, self.end, self.end, self.late] if started else []
        self.draw.choice(ways)()

    def add(self, kind: LogKind, number: int, attempt: int, data: dict[str, Any]) -> None:
        """Adds an event; its data have been text, as in every store that keeps them."""
        time = float(len(self.events))
        self.events.append(LogEvent(kind, number, attempt, json.loads(json.dumps(data)), time, len(self.events) + 1))

    def ask(self) -> None:
        """A new chain, one that was promoted, a fork, or a point whose result is known."""
        number, self.n_asked = self.n_asked, self.n_asked + 1
        hp: Any = {"lr": self.draw.uniform(1e-4, 1.0), "hops": self.draw.randint(1, 8), "norm": OBJECT}
        fields: dict[str, Any] = {"number": number, "pid": self.draw.randrange(3), "seed": self.draw.randrange(99)}
        way = self.draw.choice(["new", "rung", "promote", "promote", "fork", "known"])
        if way in ("rung", "fork"):
            fields["fidelity"] = self.draw.choice([1.0, 3.0])
        if way in ("promote", "fork") and self.promotable:
            source = self.draw.choice(sorted(self.promotable))
            if way == "promote":
                more = self.draw.choice([None, 3 * self.promotable.pop(source)])
                fields.update(resume=source, fidelity=more, info={"rung": 2})
            else:
                fields["fork"] = source
        if way == "known":
            fields["info"] = {"known": True}
        self.add("ask", number, 0, suggestion_data(Suggestion(hp, **fields), SPACE))
        if way == "known":
            self.add("end", number, 0, {"state": "COMPLETE", **self.result(), "fidelity": None, "error": ""})
        else:
            self.attempts[number] = 0
            self.given.update({number: fields["fidelity"]} if fields.get("fidelity") else {})

    def result(self) -> dict[str, Any]:
        """What an objective measured; ties are frequent."""
        perfs = [self.draw.choice([-1.0, 0.0, 0.25, 0.5, self.draw.random()]) for _ in range(self.n_objectives)]
        data: dict[str, Any] = {"perf": perfs[0] if len(perfs) == 1 else perfs}
        if self.draw.random() < 0.2:
            data["constraints"] = {"memory": self.draw.choice([-1.0, 0.5])}
        if self.draw.random() < 0.2:
            data["metrics"] = {"loss": self.draw.random()}
        if self.draw.random() < 0.5:
            data["cost"] = self.draw.random()
        return data

    def started(self) -> tuple[int, int]:
        """A trial that was started at least once, and how often."""
        number = self.draw.choice([number for number, n in self.attempts.items() if n])
        return number, self.attempts[number]

    def start(self) -> None:
        """The first or a further start of a trial, also where nothing said that the last one ended."""
        number = self.draw.choice(list(self.attempts))
        self.attempts[number] += 1
        self.add("start", number, self.attempts[number], {"slot": self.draw.randrange(3)})

    def report(self) -> None:
        """A report, now and then of an attempt that was superseded."""
        number, n = self.started()
        attempt = self.draw.randint(1, n) if self.draw.random() < 0.3 else n
        self.add("report", number, attempt, {"fidelity": self.draw.random() * 3, "perf": self.result()["perf"]})

    def interrupt(self) -> None:
        """The end of an attempt whose trial will be started again."""
        number, n = self.started()
        state = self.draw.choice(["CANCELLED", "LOST", "LOST", "CRASHED"])
        self.add("interrupt", number, n, {"state": state, "error": "the driver died"})

    def end(self) -> None:
        """The end of a trial, in any state."""
        number, n = self.started()
        del self.attempts[number]
        fidelity = self.given.pop(number, None)
        state = self.draw.choice(["COMPLETE", "COMPLETE", "STOPPED", self.draw.choice(WITHOUT_RESULT)])
        data: dict[str, Any] = {"state": state, "perf": None, "fidelity": None, "error": ""}
        if state in WITHOUT_RESULT:
            data["error"] = "it failed"
        else:
            data.update(self.result(), fidelity=self.draw.choice([None, self.draw.uniform(0.0, 30.0), fidelity]))
            data.update({"why": "a median rule"} if state == "STOPPED" else {})
            self.promotable.update({} if fidelity is None else {number: fidelity})
        self.add("end", number, n, data)

    def late(self) -> None:
        """An end that no longer counts, of a trial that runs or has ended."""
        number = self.draw.randrange(self.n_asked)
        self.add("late", number, 1, {"state": "COMPLETE", "perf": 9.0, "fidelity": None, "error": ""})

    def run(self, n: int) -> list[LogEvent]:
        """Makes at least n events, and returns all."""
        while len(self.events) < n:
            self.step()
        return self.events


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_after_every_event_of_random_logs_the_state_is_the_plain_fold(mode: Any) -> None:
    """Restarts, interruptions, retries, late ends, chains, forks and known points, in one objective and in several."""
    objectives = Objectives.of(mode)
    for seed in range(N_LOGS):
        log = RandomLog(random.Random(seed), objectives.n).run(N_EVENTS)
        state = RunState(SPACE, objectives)
        for place, one in enumerate(log, start=1):
            trial = state.apply(one)
            assert (trial is not None) == (one.kind == "end")
            assert trial is None or trial == state[one.trial]
            if place % 7 == seed % 7 or place > len(log) - 10:
                expect_state(state, log[:place])


def test_random_logs_hold_everything_that_can_happen() -> None:
    """Else the comparison above would show little."""
    logs = [RandomLog(random.Random(seed), 1).run(N_EVENTS) for seed in range(N_LOGS)]
    kinds = {e.kind for log in logs for e in log}
    assert kinds == {"ask", "start", "report", "end", "interrupt", "late"}
    asks = [e.data for log in logs for e in log if e.kind == "ask"]
    assert sum(data["resume"] is not None for data in asks) > 50
    assert sum("fork" in data for data in asks) > 20
    assert sum("known" in data["info"] for data in asks) > 20
    longest = max(chain[2] - root for log in logs for root, chain in plain_chains(plain_fold(log, ()), ()).items())
    assert longest > 1
    assert {e.data["state"] for log in logs for e in log if e.kind == "interrupt"} == {"CANCELLED", "LOST", "CRASHED"}


# By hand, for a reader.


def test_a_suggestion_comes_back_from_json_with_every_attribute() -> None:
    """A choice that JSON cannot carry is the very object again."""
    links: list[dict[str, Any]] = [{"resume": 4}, {"fork": 4}]
    for link in links:
        suggestion = Suggestion(HP, fidelity=3.0, info={"rung": 1}, number=7, pid=2, seed=9, **link)
        text = json.dumps(suggestion_data(suggestion, SPACE))
        back = suggestion_from(LogEvent("ask", 7, 0, json.loads(text), 1.0), SPACE)
        assert back == suggestion
        assert back["norm"] is OBJECT
        for name in Suggestion.__slots__:
            assert getattr(back, name) == getattr(suggestion, name), name


def test_trials_come_in_the_order_asked_with_every_field() -> None:
    """Written out by hand from the table of events."""
    log = [
        ask(0),
        ask(1, fidelity=3.0, resume=0, pid=1, info={"rung": 1}),
        event("start", 1, 1, 2.0, slot=1),
        event("report", 1, 1, 2.5, fidelity=2.0, perf=0.25),
        event("end", 1, 1, 3.0, state="STOPPED", perf=0.25, fidelity=2.0, error="", cost=0.5, why="a rule"),
    ]
    assert state_of(log).trials() == [
        Trial(0, HP, seed=9),
        Trial(
            number=1,
            hp=HP,
            fidelity=3.0,
            resume=0,
            pid=1,
            info={"rung": 1},
            reports=((2.0, 0.25),),
            attempt=1,
            started=2.0,
            ended=3.0,
            outcome=Outcome(TrialState.STOPPED, (0.25,), cost=0.5, reached=2.0, why="a rule"),
            seed=9,
        ),
    ]


@pytest.mark.parametrize("state", ["CANCELLED", "LOST"])
def test_an_interrupted_trial_shows_how_and_runs_again_from_nothing(state: str) -> None:
    """Its second attempt has none of the first one's reports, end and error."""
    log = [ask(0), event("start", 0, 1, 2.0, slot=0), event("report", 0, 1, 2.5, fidelity=1.0, perf=0.5)]
    log.append(event("interrupt", 0, 1, 3.0, state=state, error="the driver died"))
    (trial,) = state_of(log).trials()
    assert (trial.state, trial.error, trial.ended) == (TrialState(state), "the driver died", 3.0)
    assert trial.reports == ((1.0, 0.5),)
    log.append(event("start", 0, 2, 4.0, slot=1))
    assert state_of(log).trials() == [Trial(0, HP, attempt=2, started=4.0, seed=9)]


def test_reports_of_a_superseded_attempt_are_left_out_even_if_they_come_late() -> None:
    """Only the last attempt's own reports stand, in their order."""
    log = [
        ask(0),
        event("start", 0, 1, 2.0, slot=0),
        event("report", 0, 1, 2.5, fidelity=1.0, perf=0.1),
        event("start", 0, 2, 3.0, slot=0),
        event("report", 0, 2, 3.25, fidelity=1.0, perf=0.2),
        event("report", 0, 1, 3.5, fidelity=2.0, perf=0.3),
        event("report", 0, 2, 3.75, fidelity=2.0, perf=0.4),
    ]
    assert state_of(log)[0].reports == ((1.0, 0.2), (2.0, 0.4))
    log.append(event("end", 0, 2, 4.0, state="COMPLETE", perf=0.4, fidelity=2.0, error=""))
    (trial,) = state_of(log).trials()
    assert (trial.state, trial.perf, trial.attempt) == (TrialState.COMPLETE, 0.4, 2)


def test_the_state_of_no_events_has_no_trials() -> None:
    """A run that was killed before its first suggestion."""
    state = state_of([])
    assert (state.trials(), state.best, state.n_asked) == ([], None, 0)
