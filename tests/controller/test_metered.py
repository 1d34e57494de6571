"""Metered: each limit acts, for every algorithm, and says so."""

from __future__ import annotations

import os
import threading
import time

import pytest

from autohpo import BaseHPOptimizer, NoResultError, OptionError, RangeHP, Suggestion, build_hpo_from_name
from autohpo.controller.account import Past
from autohpo.controller.metered import Metered
from autohpo.execution.local import LocalExecutor
from autohpo.execution.serial import SerialExecutor
from autohpo.execution.watch import AttemptListener, Watch
from autohpo.store.base import LogEvent
from autohpo.testing import FakeEngine, Faults, check_executor
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]
RUNGS = {"min_fidelity": 1, "max_fidelity": 9}
LIMITS = {"max_iterations_per_job": 9, "total_iterations": 36}


def endless(hps):
    """A training that goes on as long as it may."""
    epoch = 0
    while True:
        epoch += 1
        yield hps["x"] - 1 / epoch


def searched(name, metered, f=endless, **options):
    """An optimizer that has run."""
    how = {key: options.pop(key) for key in ("store", "grace_seconds", "retries") if key in options}
    more = RUNGS if name == "bohb" else {}
    hpo = build_hpo_from_name(name, SPACE, f, seed=0, max_evals=options.pop("max_evals", 200), **more, **options)
    hpo.optimize(executor=metered, progress=False, continue_on_error=True, **how)
    return hpo


def trained_in(hpo):
    """What each attempt counts with, in the order of the log."""
    return [event.data["trained"] for event in hpo.run_store.events() if event.kind in ("end", "interrupt")]


class Heard(AttemptListener):
    """A listener that keeps what it hears of the attempts that really start: it stands inside of the limits."""

    def __init__(self):
        self.all = []

    def started(self, task):
        self.all.append(("started", task.number, task.attempt, task.fidelity))

    def reported(self, event, goes_on):
        self.all.append(("reported", event.number, event.attempt, event.fidelity, goes_on))

    def ended(self, event):
        self.all.append(("ended", event.number, event.attempt, str(event.outcome.state)))

    def of(self, kind):
        return [entry[1:] for entry in self.all if entry[0] == kind]


def test_without_limits_it_is_the_executor_inside():
    """It keeps the contract of executors, with somebody listening."""
    check_executor(lambda: Metered(Watch(SerialExecutor(), Heard())))


@pytest.mark.parametrize("name", ["max_iterations_per_job", "total_iterations", "compute_time_limit"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "9"])
def test_a_limit_that_is_no_positive_number_is_an_error(name, value):
    """It names the limit and the value."""
    with pytest.raises(OptionError, match=f"{name}: must be a positive finite number, got"):
        Metered(LocalExecutor(1), **{name: value})


def test_limits_that_cannot_be_held_are_errors():
    """A total needs to know what a job gets, and time cannot end what runs in this very thread."""
    with pytest.raises(OptionError, match="total_iterations: needs max_iterations_per_job"):
        Metered(SerialExecutor(), total_iterations=9)
    with pytest.raises(OptionError, match="compute_time_limit: SerialExecutor runs trials in the driver's own process"):
        Metered(SerialExecutor(), compute_time_limit=9)


# Iterations.


@pytest.mark.parametrize("name", ["random", "bohb"])
def test_the_total_ends_the_search_in_order_and_says_so(name, tmp_path):
    """The same command says it again at once, and starts nothing; a larger total goes on with the trial held back."""
    metered = Metered(SerialExecutor(), **LIMITS)
    assert metered.closing == ""
    hpo = searched(name, metered, store=tmp_path / "run.db")
    used = metered.used["iterations"]
    assert used["limit"] == 36
    assert 27 < used["used"] <= 36
    assert metered.closing.startswith(f"iterations: {used['used']:g} of 36 are used")
    states = hpo.result.counts()
    assert states["CANCELLED"] == 1
    held_back = next(trial for trial in hpo.result if trial.state is TrialState.CANCELLED)
    assert held_back.error == f"not started: {metered.closing}"

    heard = Heard()
    again = Metered(Watch(SerialExecutor(), heard), **LIMITS)
    hpo = searched(name, again, store=tmp_path / "run.db")
    assert (again.closing, again.used["iterations"], heard.all) == (metered.closing, used, [])
    assert hpo.result.counts() == states

    more = Metered(Watch(SerialExecutor(), heard), max_iterations_per_job=9, total_iterations=72)
    hpo = searched(name, more, store=tmp_path / "run.db")
    assert heard.of("started")[0][0] == held_back.number
    assert used["used"] < more.used["iterations"]["used"] <= 72


def test_the_reason_is_printed(capsys):
    """A user sees why the search is over."""
    hpo = build_hpo_from_name("random", SPACE, endless, seed=0, max_evals=99)
    hpo.optimize(executor=Metered(SerialExecutor(), **LIMITS), progress="plain")
    assert "ended early: iterations: 36 of 36 are used; raise the total to go on" in capsys.readouterr().err


def test_a_budget_that_the_algorithm_plans_with_ends_by_itself():
    """BOHB with as many full evaluations runs into no wall, and trains in full."""
    metered = Metered(SerialExecutor(), **LIMITS)
    hpo = searched("bohb", metered, max_evals=None, budget=4)
    assert metered.closing == ""
    assert metered.used["iterations"]["used"] <= 36
    assert set(hpo.result.counts()) == {"COMPLETE"}


def reporting(hps, trial):
    """Ends when it is told to."""
    while trial.report(hps["x"]):
        pass


def deaf(hps, trial):
    """Goes on whatever it is told."""
    for _ in range(50):
        trial.report(hps["x"])


def silent(hps):
    """Knows nothing of iterations."""
    return hps["x"]


@pytest.mark.parametrize("f", [endless, reporting, silent])
def test_a_job_without_a_fidelity_gets_the_most_and_ends_at_that_report(f):
    """No report comes after it; what reports nothing counts with all of it."""
    heard = Heard()
    metered = Metered(Watch(SerialExecutor(), heard), **LIMITS)
    hpo = searched("random", metered, f)
    assert hpo.result.counts() == {"COMPLETE": 4, "CANCELLED": 1}
    assert heard.of("started") == [(number, 1, 9) for number in range(4)]
    assert heard.of("ended") == [(number, 1, "COMPLETE") for number in range(4)]
    assert trained_in(hpo) == [9, 9, 9, 9, 0]
    reports = [] if f is silent else [*range(1, 10)]
    assert [fidelity for number, _, fidelity, _ in heard.of("reported") if number == 0] == reports


def test_what_a_function_does_after_it_was_told_to_end_does_not_count():
    """It cannot be stopped, so its user is warned; its later reports are ignored."""
    heard = Heard()
    metered = Metered(Watch(SerialExecutor(), heard), **LIMITS)
    with pytest.warns(UserWarning, match=r"went on training after trial\.report had returned False at fidelity 9"):
        searched("random", metered, deaf)
    assert metered.used["iterations"]["used"] == 36
    assert len(heard.of("reported")) == 36


class Greedy(BaseHPOptimizer):
    """Wants more for each trial than a job may have."""

    def _get_suggestion(self, pid):
        return Suggestion(self.space.sample(self.rng, 1)[0], fidelity=10)


def test_a_fidelity_above_the_most_is_an_error():
    """It names both, and what to do."""
    hpo = Greedy(SPACE, endless, max_evals=3, seed=0)
    with pytest.raises(
        OptionError, match="max_iterations_per_job: is 9, but trial 0 was suggested with a fidelity of 10"
    ):
        hpo.optimize(executor=Metered(SerialExecutor(), max_iterations_per_job=9), progress=False)


class Stops(BaseHPOptimizer):
    """Ends each trial at its second report."""

    def _get_suggestion(self, pid):
        return Suggestion(self.space.sample(self.rng, 1)[0], fidelity=9)

    def _on_report(self, hp, fidelity, perf):
        return fidelity < 2


def test_what_does_not_fit_waits_for_what_others_leave():
    """A trial that ends early gives back what it did not use: 18 iterations pay for 5 trials of 2 each, not for 2."""
    metered = Metered(FakeEngine(0, 4), max_iterations_per_job=9, total_iterations=18)
    hpo = Stops(SPACE, endless, max_evals=5, seed=0)
    hpo.optimize(executor=metered, progress=False)
    assert hpo.result.counts() == {"STOPPED": 5}
    assert metered.used["iterations"]["used"] == 10


def test_a_search_that_is_stopped_starts_nothing_that_waits():
    """What waits while one runs and stops the search comes back, and the search ends."""
    hpo = build_hpo_from_name("random", SPACE, max_evals=9, seed=0)

    def f(hps, trial):
        hpo.stop()
        while trial.report(hps["x"]):
            pass

    hpo.f = f
    heard = Heard()
    metered = Metered(Watch(FakeEngine(0, 4), heard), max_iterations_per_job=9, total_iterations=17)
    with pytest.raises(NoResultError):
        hpo.optimize(executor=metered, progress=False)
    assert len(heard.of("started")) == 1
    assert set(hpo.result.counts()) == {"CANCELLED"}
    assert len(hpo.result) > 1
    assert metered.closing == ""


def fails_at_3(hps, trial):
    """Raises in its third iteration, every other time."""
    for _ in range(9):
        if len(trial.reports) == 2 and trial.attempt == 1:
            raise RuntimeError
        trial.report(hps["x"])


def test_a_failed_attempt_counts_with_what_it_began():
    """Two reported iterations, and the one in which it raised; its retry counts in full."""
    hpo = searched("random", Metered(SerialExecutor(), **LIMITS), fails_at_3, max_evals=2, retries={"FAILED": 1})
    assert trained_in(hpo) == [3, 9, 3, 9]


@pytest.mark.parametrize("state", ["TIMEOUT", "CRASHED"])
def test_an_attempt_whose_process_ends_counts_with_what_it_began(state):
    """Three reported iterations, and the one in which it was killed, or ended its process."""

    def f(hps, trial):
        for _ in range(3):
            trial.report(hps["x"])
        time.sleep(300) if state == "TIMEOUT" else os._exit(3)

    inner = LocalExecutor(1, trial_time_limit=0.5 if state == "TIMEOUT" else None)
    metered = Metered(inner, **LIMITS)
    hpo = build_hpo_from_name("random", SPACE, f, seed=0, max_evals=1)
    with pytest.raises(NoResultError):
        hpo.optimize(executor=metered, progress=False, continue_on_error=True)
    assert hpo.result.counts() == {state: 1}
    assert trained_in(hpo) == [4]


def test_a_lost_attempt_counts_with_all_that_it_might_do():
    """It may still run somewhere."""
    metered = Metered(FakeEngine(1, 2, Faults(lost=0.5)), max_iterations_per_job=9, total_iterations=900)
    hpo = searched("random", metered, max_evals=30)
    lost = [event for event in hpo.run_store.events() if event.data.get("state") == "LOST"]
    assert lost
    assert {event.data["trained"] for event in lost} == {9}


def test_a_continued_training_counts_with_what_is_added():
    """A promotion from 1 to 3 costs 2; where the training was not kept it costs 3."""
    for kept, added in ((32, {1, 2, 6}), (0, {1, 3, 9})):
        hpo = build_hpo_from_name("bohb", SPACE, endless, seed=0, max_evals=13, **RUNGS)
        hpo.optimize(executor=Metered(SerialExecutor(), max_iterations_per_job=9), progress=False, max_suspended=kept)
        ends = [event for event in hpo.run_store.events() if event.kind == "end"]
        assert {event.data["trained"] for event in ends} == added


def test_a_checkpoint_counts_where_resume_at_says_so():
    """It reserves all, and counts with what it did."""

    def loads(hps, trial):
        saved = trial.checkpoint_dir / "epoch"
        epoch = int(saved.read_text()) if saved.exists() else 0
        trial.resume_at(epoch)
        while trial.report(hps["x"]):
            epoch += 1
            saved.write_text(str(epoch + 1))

    hpo = build_hpo_from_name("bohb", SPACE, loads, seed=0, max_evals=13, **RUNGS)
    metered = Metered(SerialExecutor(), **LIMITS)
    hpo.optimize(executor=metered, progress=False)
    given = {trial.number: trial.fidelity for trial in hpo.result}
    plan = sum(trial.fidelity - given.get(trial.resume, 0) for trial in hpo.result)
    assert metered.used["iterations"]["used"] == pytest.approx(plan, abs=len(hpo.result))
    assert metered.used["iterations"]["used"] < sum(trial.fidelity for trial in hpo.result)


# Time.


def sleeps(hps, fidelity=1):
    """Reports nothing, and takes far too long."""
    time.sleep(300)
    return hps["x"]


@pytest.mark.parametrize("name", ["random", "bohb"])
def test_compute_time_ends_trials_that_never_report(name, tmp_path):
    """They are killed when the grace is over; two that run for half a second each are a second; so it says at once."""
    began = time.monotonic()
    metered = Metered(LocalExecutor(2), compute_time_limit=1.0)
    with pytest.raises(NoResultError):
        searched(name, metered, sleeps, store=tmp_path / "run.db", grace_seconds=0.1)
    assert time.monotonic() - began < 60
    assert metered.closing.startswith("compute_time_limit: all trials together have run for")
    assert metered.used["compute_time"]["used"] >= 1.0
    heard = Heard()
    again = Metered(Watch(LocalExecutor(2), heard), compute_time_limit=1.0)
    with pytest.raises(NoResultError, match="CANCELLED"):
        searched(name, again, sleeps, store=tmp_path / "run.db")
    assert heard.all == []
    assert again.closing.startswith("compute_time_limit: ")
    assert again.used["compute_time"]["used"] == pytest.approx(metered.used["compute_time"]["used"], abs=0.5)


@pytest.mark.parametrize("name", ["random", "bohb"])
def test_compute_time_ends_trials_at_their_next_report(name):
    """Long before they are done, and without waiting for the grace to be over."""

    def slow(hps):
        while True:
            time.sleep(0.01)
            yield hps["x"]

    metered = Metered(LocalExecutor(2), compute_time_limit=1.0)
    options = {"min_fidelity": 10**6, "max_fidelity": 3 * 10**6} if name == "bohb" else {}
    hpo = build_hpo_from_name(name, SPACE, slow, seed=0, max_evals=99, **options)
    began = time.monotonic()
    with pytest.raises(NoResultError):
        hpo.optimize(executor=metered, progress=False, grace_seconds=600)
    assert time.monotonic() - began < 300
    assert metered.closing.startswith("compute_time_limit: ")
    assert hpo.result.counts() == {"CANCELLED": 2}


def test_time_of_a_dead_driver_counts_until_its_last_sign_of_life():
    """Not until somebody resumes the search on Monday."""
    ask = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}
    done = {"state": "COMPLETE", "perf": 1.0, "fidelity": 9.0, "trained": 9.0}
    log = [
        LogEvent("ask", 0, 0, ask, 100.0),
        LogEvent("start", 0, 1, {"slot": 0}, 100.0),
        LogEvent("ask", 1, 0, ask, 101.0),
        LogEvent("start", 1, 1, {"slot": 1}, 101.0),
        LogEvent("report", 0, 1, {"fidelity": 4.0, "perf": 1.0}, 130.0),  # and then the driver dies
        LogEvent("interrupt", 0, 1, {"state": "LOST", "error": "the driver died"}, 5000.0),
        LogEvent("interrupt", 1, 1, {"state": "LOST", "error": "the driver died"}, 5000.0),
        LogEvent("start", 0, 2, {"slot": 0}, 5001.0),
        LogEvent("end", 0, 2, done, 5011.0),
        LogEvent("start", 1, 2, {"slot": 0}, 5011.0),
        LogEvent("end", 0, 1, done, 5012.0),  # none that counts
        LogEvent("report", 1, 2, {"fidelity": 4.0, "perf": 1.0}, 5014.0),  # it dies again
    ]
    past = Past(9.0).follow(log)
    assert past.seconds == (30 + 29) + 10 + 3
    assert past.iterations == 9 + 9 + 9 + 9
    assert Past(9.0, 30.0).follow(log).iterations == 30  # no more than was paid for


# From outside.


def test_what_was_used_can_be_read_from_another_thread():
    """It grows, and is never above the limit."""
    metered = Metered(LocalExecutor(2), **LIMITS, compute_time_limit=300)
    seen, is_over = [], threading.Event()

    def read():
        while not is_over.is_set():
            seen.append(metered.used)
            time.sleep(0.001)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        searched("random", metered)
    finally:
        is_over.set()
        thread.join()
    for part, limit in (("iterations", 36), ("compute_time", 300)):
        assert {each[part]["limit"] for each in seen} == {limit}
        assert all(0 <= each[part]["used"] <= limit for each in seen)
    assert seen[-1]["iterations"]["used"] == 36


def test_confirming_trials_are_paid_for_as_all_others():
    """Four trials leave room for one of the two that would confirm them; the search has a result, and says why."""
    metered = Metered(SerialExecutor(), max_iterations_per_job=9, total_iterations=45)
    hpo = build_hpo_from_name("random", SPACE, endless, seed=0, max_evals=4)
    with pytest.warns(UserWarning, match="confirming did not get far enough"):
        hpo.optimize(executor=metered, progress=False, confirm={"k": 1, "seeds": 2})
    assert metered.used["iterations"]["used"] == 45
    assert metered.closing.startswith("iterations: 45 of 45 are used")
    assert [str(trial.state) for trial in hpo.result.repeats] == ["COMPLETE", "CANCELLED"]
