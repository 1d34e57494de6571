"""The budget of iterations is hard: whatever is suggested, lost, raised or killed, nothing is trained above it."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autohpo import NoResultError, RangeHP, build_hpo_from_name
from autohpo.controller.account import Account, Attempt, Past
from autohpo.controller.metered import Metered
from autohpo.execution.serial import SerialExecutor
from autohpo.odometer import Odometer, Reading
from autohpo.store import MemoryStore, Store
from autohpo.testing import EVERY_FAULT, FakeEngine, Faults
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8)]

ALGORITHMS = {  # by a name of the test: the registered name, what it is given, and whether it plans with a budget
    "random": ("random", {}, False),
    "tpe": ("tpe", {}, False),
    "median_stopping": ("median_stopping", {"max_fidelity": True}, False),
    "hyperband": ("hyperband", {"min_fidelity": True, "max_fidelity": True}, True),
    "bohb": ("bohb", {"min_fidelity": True, "max_fidelity": True}, True),
    "bohb without a plan": ("bohb", {"min_fidelity": True, "max_fidelity": True}, False),
    "asha": ("asha", {"min_fidelity": True, "max_fidelity": True}, True),
    "asha without a plan": ("asha", {"min_fidelity": True, "max_fidelity": True}, False),
    "asha that stops": ("asha", {"min_fidelity": True, "max_fidelity": True, "type": "stopping"}, True),
    "successive_halving": ("successive_halving", {"min_fidelity": True, "max_fidelity": True}, True),
    "dehb": ("dehb", {"min_fidelity": True, "max_fidelity": True}, True),
    "pbt": ("pbt", {"max_fidelity": True, "population_size": 4, "interval": 2}, False),
}


class Killed(BaseException):
    """Stands for the end of the driver's process."""


class Disk(Store):
    """A store that can be had as it was at some moment, with its odometers; checkpoints stay where they are."""

    def __init__(self, before=None, dies_at=None):
        self.log, self.before, self.dies_at, self.kept = MemoryStore(), before, dies_at, None
        if before is not None:
            self.log.begin(before.kept[0])
            self.log.append(before.kept[1])
            shutil.rmtree(self.odometers, ignore_errors=True)
            self.odometers.mkdir()
            for name, data in before.kept[2].items():
                (self.odometers / name).write_bytes(data)

    @property
    def files(self):
        return self.log.files if self.before is None else self.before.files

    @property
    def odometers(self):
        return self.files / "odometers"

    def open(self):
        self.log.open()

    def begin(self, header):
        self.log.begin(header)

    @property
    def header(self):
        return self.log.header

    def append(self, events, *, sync=True):
        """Add events; the process may die before that, or after it."""
        if self.kept is not None:
            return  # nothing that is done in memory from now on ever happened
        self.dies_at = None if self.dies_at is None else self.dies_at - 1
        if self.dies_at == 0:
            self.die()
        self.log.append(events, sync=sync)
        if self.dies_at == 1:
            self.dies_at = None
            self.die()

    def events(self, after=0):
        return self.log.events(after)

    def close(self):
        self.log.close()

    def die(self):
        """Keep what a process leaves that ends now, and end it."""
        if self.kept is None:
            there = self.odometers.iterdir() if self.odometers.is_dir() else ()
            self.kept = dict(self.header), [*self.events()], {path.name: path.read_bytes() for path in there}
        raise Killed


@dataclass
class Work:
    """What the objectives did: they count each iteration when they begin it, and raise where this says so."""

    rng: random.Random
    crash: float = 0.0
    kills: list = field(default_factory=list)  # after so many iterations
    disk: Disk | None = None
    n: int = 0

    def iterate(self):
        self.n += 1
        if self.kills and self.n >= self.kills[0]:
            del self.kills[0]
            self.disk.die()
        if self.rng.random() < self.crash:
            raise RuntimeError


def paused(work):
    """A generator, paused and continued."""

    def f(hps):
        epoch = 0
        while True:
            epoch += 1
            work.iterate()
            yield hps["x"] - 1 / epoch

    return f


def anew(work):
    """A function that reports, and begins anew at each rung."""

    def f(hps, trial):
        epoch = 0
        while True:
            epoch += 1
            work.iterate()
            if not trial.report(hps["x"] - 1 / epoch):
                return

    return f


def coarse(work):
    """A function that reports every third iteration, whatever it was given."""

    def f(hps, trial):
        epoch = 0
        while True:
            epoch += 3
            for _ in range(3):
                work.iterate()
            if not trial.report(hps["x"] - 1 / epoch, fidelity=epoch):
                return

    return f


def silent(work):
    """A function that reports nothing."""

    def f(hps, fidelity):
        for _ in range(int(fidelity)):
            work.iterate()
        return hps["x"] - 1 / fidelity

    return f


def short(work):
    """A function that ends before it has all it was given."""

    def f(hps, trial):
        for epoch in range(1, 4):
            work.iterate()
            if not trial.report(hps["x"] - 1 / epoch):
                return

    return f


def saving(work, forgets=0.0, says=True, loads=True):
    """A function that goes on from its checkpoint, but for those that it forgets, does not say, or never loads."""

    def f(hps, trial):
        saved, epoch = trial.checkpoint_dir / "epoch.json", 0
        if loads and saved.exists() and work.rng.random() >= forgets:
            epoch = json.loads(saved.read_text())
            if says:
                trial.resume_at(epoch)
        while True:
            epoch += 1
            work.iterate()
            saved.write_text(json.dumps(epoch))
            if not trial.report(hps["x"] - 1 / epoch, fidelity=epoch):
                return

    return f


OBJECTIVES = {
    "paused": paused,
    "anew": anew,
    "silent": silent,
    "short": short,
    "saving": saving,
    "forgetful": lambda work: saving(work, forgets=0.3),
    "tacit": lambda work: saving(work, says=False),
    "never loading": lambda work: saving(work, loads=False),
}
CHECKPOINTED = ["saving", "forgetful", "tacit", "never loading"]


@dataclass(frozen=True)
class Case:
    """A search, and what goes wrong in it."""

    algorithm: str
    objective: str
    low: int
    high: int
    jobs: int
    n_slots: int
    seed: int
    faults: Faults = EVERY_FAULT
    crash: float = 0.0
    kills: tuple = ()
    is_serial: bool = False
    appends: tuple = ()  # the appends at which further lives end, in between their steps

    @property
    def cap(self):
        return self.high * self.jobs

    def built(self, work):
        """A new optimizer, as each process makes one."""
        name, given_options, plans = ALGORITHMS[self.algorithm]
        fidelities = {"min_fidelity": self.low, "max_fidelity": self.high}
        options = {key: fidelities[key] if value is True else value for key, value in given_options.items()}
        limit = {"budget": self.jobs} if plans else {"max_evals": 5000}
        objective = OBJECTIVES[self.objective](work)
        return build_hpo_from_name(name, SPACE, objective, seed=self.seed, **options, **limit)


def searched(case):
    """Run a search to its end, however often its driver is killed; return the work, and what was used, twice."""
    work = Work(random.Random(case.seed), case.crash, list(case.kills))
    disk = None
    for life in range(len(case.kills) + len(case.appends) + 1):
        work.disk = disk = Disk(disk, dict(enumerate(case.appends)).get(life))
        engine = SerialExecutor() if case.is_serial else FakeEngine(case.seed + life, case.n_slots, case.faults)
        metered = Metered(engine, max_iterations_per_job=case.high, total_iterations=case.cap)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                case.built(work).optimize(
                    executor=metered,
                    store=disk,
                    progress=False,
                    continue_on_error=True,
                    max_consecutive_failures=None,
                    retries={"FAILED": 1},
                )
        except NoResultError:
            break
        except Killed:
            continue
        break
    return work, metered.used["iterations"]["used"], Past(case.high, case.cap).follow(disk.events()).iterations


def wrong(case):
    """What is wrong with a search; the empty string where nothing is."""
    work, used, logged = searched(case)
    if work.n > case.cap:
        return f"{work.n} iterations were trained, and {case.cap} are allowed"
    if work.n > used + 1e-6:
        return f"{work.n} iterations were trained, and {used} were counted"
    if used > case.cap + 1e-6 and case.objective != "tacit":  # it may report more than its fidelity at once
        return f"{used} iterations were counted, and {case.cap} are allowed"
    if logged < used - 1e-6:
        return f"{used} iterations were counted, and the log says {logged}"
    return ""


@st.composite
def cases(draw):
    """Any search that is quick enough."""
    algorithm = draw(st.sampled_from([*ALGORITHMS]))
    objective = draw(st.sampled_from(CHECKPOINTED if algorithm == "pbt" else [*OBJECTIVES]))
    high = draw(st.sampled_from([3, 9, 27]))
    low = draw(st.integers(1, high // 2))
    jobs = draw(st.integers(1, 7))
    kills = draw(st.lists(st.integers(1, high * jobs), max_size=3, unique=True))
    return Case(
        algorithm,
        objective,
        low,
        high,
        jobs,
        n_slots=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 999)),
        faults=draw(st.sampled_from([EVERY_FAULT, EVERY_FAULT, Faults(lost=0.3, undead=0.5, unnoticed=0.5), Faults()])),
        crash=draw(st.sampled_from([0.0, 0.02, 0.1])),
        kills=tuple(sorted(kills)),
        is_serial=draw(st.integers(0, 3)) == 0,
        appends=tuple(draw(st.lists(st.integers(1, 40), max_size=3))),
    )


@given(cases())
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_no_search_trains_more_than_its_budget(case):
    """The objectives count themselves: never more than the budget, and never more than the account and the log say."""
    assert wrong(case) == ""


@given(
    st.sampled_from([name for name in ALGORITHMS if name != "pbt"]),
    st.sampled_from(["paused", "anew", "short", "saving"]),
    st.integers(1, 4),
    st.lists(st.integers(1, 80), max_size=4, unique=True),
    st.integers(0, 999),
)
@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_each_death_of_a_driver_costs_one_step_of_what_ran(algorithm, objective, n_slots, kills, seed):
    """However often it dies: what counts too much is no more than the iteration that each attempt may have begun."""
    kills = tuple(sorted(kills))
    case = Case(algorithm, objective, 1, 9, 9, n_slots, seed, Faults(), kills=kills)
    work, used, logged = searched(case)
    spare = n_slots * len(kills)
    if objective != "paused":  # how long the first step of a function is at a fidelity, nobody knows before it reports
        spare *= 9
    if objective == "short":  # it ends without a word: a step counts that it might have begun
        spare += sum(event.kind == "end" for event in work.disk.events())
    assert work.n <= used <= work.n + spare
    assert used == logged


# A fault that is planted is found.


def some_cases(n):
    """Searches of all kinds in which much goes wrong, the same ones each time."""
    rng = random.Random(0)
    for seed in range(n):
        algorithm, high, jobs = rng.choice([*ALGORITHMS]), rng.choice([3, 9]), rng.randint(1, 5)
        objective = rng.choice(CHECKPOINTED if algorithm == "pbt" else [*OBJECTIVES])
        faults = rng.choice([EVERY_FAULT, Faults(lost=0.3, undead=0.5)])
        kills = tuple(sorted(rng.sample(range(1, high * jobs + 1), rng.randint(0, 3))))
        yield Case(algorithm, objective, 1, high, jobs, rng.randint(1, 4), seed, faults, rng.choice([0.0, 0.1]), kills)


def forgets_the_lost(patch):
    """What was lost counts with nothing."""
    trained = Attempt.trained
    patch.setattr(
        Attempt, "trained", lambda own, end: 0.0 if end.outcome.state is TrialState.LOST else trained(own, end)
    )


def forgets_what_was_begun(patch):
    """What raised counts with what it reported."""
    trained = Attempt.trained
    patch.setattr(Attempt, "trained", lambda own, end: own.done if end.kind == "failed" else trained(own, end))


def forgets_dead_drivers(patch):
    """What ran when a driver died, and never reported, counts with nothing."""
    patch.setattr(Past, "_add_unknown", lambda own, most: 0.0)


def takes_what_began_for_unbegun(patch):
    """Odometers do not show that the objective was called."""
    used = Reading.used
    patch.setattr(Reading, "used", lambda own, first=0.0: used(own, first) if own.trained else 0.0)


def does_not_count_the_step_that_was_begun(patch):
    """Odometers show the last report, and that is all."""
    patch.setattr(Reading, "used", lambda own, first=0.0: own.trained or own.most)


def loses_reports(patch):
    """Odometers note every other report."""
    note = Odometer.note
    patch.setattr(Odometer, "note", lambda own, trained: note(own, trained) if trained % 2 else None)


def forgets_the_past(patch):
    """What earlier drivers used counts with nothing."""
    patch.setattr(Account, "take", lambda own, past: None)


def sets_nothing_aside(patch):
    """What runs counts when it has ended."""
    patch.setattr(Account, "left", property(lambda own: own.total - own.iterations))


def takes_all_for_held(patch):
    """Each promotion counts as continued."""
    needs = Account.needs
    patch.setattr(Account, "needs", lambda own, task, is_held: needs(own, task, is_held=True))


def gives_back_twice(patch):
    """What an attempt did not use can be spent twice, as if its end were taken twice."""

    def end(own, event, now, before=Account.end):
        attempt = own.running[event.number, event.attempt]
        trained = before(own, event, now)
        own.iterations -= attempt.most - trained
        return trained

    patch.setattr(Account, "end", end)


@pytest.mark.parametrize(
    "plant",
    [
        forgets_the_lost,
        forgets_what_was_begun,
        forgets_dead_drivers,
        takes_what_began_for_unbegun,
        does_not_count_the_step_that_was_begun,
        loses_reports,
        forgets_the_past,
        sets_nothing_aside,
        takes_all_for_held,
        gives_back_twice,
    ],
)
def test_a_planted_fault_is_found(plant, monkeypatch):
    """The property can fail: where the account forgets something, more is trained than is allowed."""
    plant(monkeypatch)
    assert any(wrong(case) for case in some_cases(80))


def test_nothing_is_found_where_nothing_is_planted():
    """So it was the fault that was found."""
    assert [wrong(case) for case in some_cases(80)] == [""] * 80


@pytest.mark.parametrize(("low", "high", "jobs"), [(10, 30, 10), (1, 81, 10), (10, 1000, 20)])
@pytest.mark.parametrize("algorithm", ["random", "bohb", "hyperband", "asha without a plan"])
@pytest.mark.parametrize("objective", ["paused", "anew"])
def test_the_budgets_that_others_overrun_are_kept(low, high, jobs, algorithm, objective):
    """300, 810 and 20,000 iterations, where ClearML's BOHB runs 600, 3,402 and 84,000; and most of them are used."""
    case = Case(algorithm, objective, low, high, jobs, n_slots=2, seed=0, faults=Faults())
    work, used, logged = searched(case)
    assert work.n == used == logged <= high * jobs
    assert work.n > high * (jobs - 1)
