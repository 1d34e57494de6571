"""The session: ask, tell and report from several threads, foreign suggestions, reports and costs."""

from __future__ import annotations

import math
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, EvaluationsError, RangeHP, Suggestion, TrialState, build_hpo_from_name

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", [8, 16]])]
N_THREADS, N_EACH = 8, 25


class Steps(BaseHPOptimizer):
    """Suggests .001, .002, ..., each in full."""

    def _get_suggestion(self, pid):
        return {"x": self.number / 1000, "act": "relu"}


class Slow(Steps):
    """Lets other threads in where a hook has read and not yet written."""

    def _set_up(self, num_workers, time_limit, memory_limit):
        self.n_set_up = getattr(self, "n_set_up", 0) + 1
        self.total = 0.0

    def _get_suggestion(self, pid):
        number, n_asked = self.number, self.n_asked
        time.sleep(0.0005)
        assert (number, n_asked) == (self.number, self.n_asked)
        return {"x": number / 1000, "act": "relu"}

    def _update_trials(self, pid, hp, perf):
        total = self.total
        time.sleep(0.0005)
        self.total = total + perf

    def _on_report(self, hp, fidelity, perf):
        n = len(self.history.find(hp.number).reports)
        time.sleep(0.0002)
        return n == len(self.history.find(hp.number).reports)


class SlowNumber:
    """A result that takes its time to become a number, as that of a tensor elsewhere does."""

    ndim = 0

    def item(self):
        time.sleep(0.005)
        return 1.0


def in_threads(work: Callable[[], None]) -> None:
    """Run the same thing in several threads at once; an exception of any is raised here."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(N_THREADS)

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# One lock around everything.


def test_threads_that_ask_report_and_tell_at_once_lose_nothing_and_double_nothing():
    """As many distinct numbers, configurations and results as calls; hooks never see a state that is half written."""
    hpo = Slow(SPACE)
    asked = []

    def work():
        for _ in range(N_EACH):
            suggestion = hpo.ask()
            asked.append((suggestion.number, suggestion["x"], suggestion.seed))
            assert hpo.report(suggestion, 1, 0.5)
            hpo.tell(suggestion, float(suggestion.number))

    in_threads(work)
    n = N_THREADS * N_EACH
    assert sorted(number for number, _, _ in asked) == list(range(n))
    assert all(x == number / 1000 for number, x, _ in asked)
    assert len({seed for _, _, seed in asked}) == n
    assert sorted((trial.number, trial.perf) for trial in hpo.trials) == [
        (number, float(number)) for number in range(n)
    ]
    assert {trial.reports for trial in hpo.trials} == {((1.0, 0.5),)}
    assert (hpo.n_asked, hpo.n_told, hpo.running) == (n, n, [])
    assert (hpo.total, hpo.n_set_up) == (sum(range(n)), 1)


def test_threads_that_do_nothing_but_ask_get_distinct_suggestions():
    """A hook that is done at once leaves no gap between a suggestion and its place in the history."""
    hpo, numbers = Steps(SPACE), []
    kept = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads(lambda: numbers.extend([hpo.ask().number for _ in range(100)]))
    finally:
        sys.setswitchinterval(kept)
    assert sorted(numbers) == list(range(100 * N_THREADS))


def test_results_that_arrive_twice_from_two_threads_count_once():
    """Of eight that tell the same trial one is taken, and seven are refused."""
    hpo = Slow(SPACE)
    suggestion = hpo.ask()
    refused = []

    def work():
        try:
            hpo.tell(suggestion, SlowNumber())
        except EvaluationsError as error:
            refused.append(error)

    in_threads(work)
    assert (hpo.n_told, len(refused), hpo.total) == (1, N_THREADS - 1, 1.0)


def test_failures_and_batches_from_threads_are_taken_whole():
    """Half of the trials fail; batches of two are told at once."""
    hpo = Slow(SPACE)

    def work():
        for _ in range(10):
            first, second, third = hpo.ask(), hpo.ask(), hpo.ask()
            hpo.tell([(first, 1.0), (second, 2.0)])
            hpo.fail(third, "out of luck")

    in_threads(work)
    states = [trial.state for trial in hpo.trials]
    assert states.count(TrialState.COMPLETE) == N_THREADS * 20
    assert states.count(TrialState.FAILED) == N_THREADS * 10
    assert hpo.total == N_THREADS * 10 * 3.0


def test_a_copy_in_another_process_has_a_lock_of_its_own():
    """A lock cannot be pickled; the copy works, and the original does not notice."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    hpo.tell(hpo.ask(), 1.0)
    copy = pickle.loads(pickle.dumps(hpo))
    assert copy.ask() == hpo.ask()
    in_threads(lambda: copy.tell(copy.ask(), 1.0))
    assert (copy.n_told, hpo.n_told) == (1 + N_THREADS, 1)


# Whose suggestion it is.


def changed(suggestion: Suggestion) -> Suggestion:
    """The suggestion with a value written into it."""
    suggestion["x"] = 0.75
    return suggestion


def shortened(suggestion: Suggestion) -> Suggestion:
    """The suggestion without one of its values."""
    del suggestion["act"]
    return suggestion


def odd(suggestion: Suggestion) -> Suggestion:
    """The suggestion with a value that is none of the parameter's."""
    suggestion["act"] = object()
    return suggestion


FOREIGN: dict[str, Callable[[Suggestion], Suggestion]] = {
    "another optimizer's": lambda suggestion: build_hpo_from_name("random", SPACE, seed=9).ask(),
    "a changed one": changed,
    "one that lost a value": shortened,
    "one with a value of no sense": odd,
    "a hand-made one": lambda suggestion: Suggestion({"x": 0.5, "act": "relu"}, number=suggestion.number),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("act", ["tell", "fail", "report"])
def test_a_suggestion_of_another_configuration_is_refused(make, act):
    """The result would count for what was never run; the trial goes on running, and its own suggestion is taken."""
    hpo = Steps(SPACE)
    given = hpo.ask()
    kept = given.copy()
    foreign = make(given)
    calls = {
        "tell": lambda: hpo.tell(foreign, 1.0),
        "fail": lambda: hpo.fail(foreign, "no luck"),
        "report": lambda: hpo.report(foreign, 1, 1.0),
    }
    with pytest.raises(EvaluationsError) as caught:
        calls[act]()
    assert f"suggestion: trial 0 was asked with {dict(kept)}, got {dict(foreign)}" in str(caught.value)
    assert caught.value.refused[0][0] is foreign
    assert (hpo.n_told, hpo.running, hpo.history.running[0].reports) == (0, [kept], [])
    hpo.tell(kept, 0.5)
    assert [(trial.hp, trial.perf) for trial in hpo.trials] == [(kept, 0.5)]


def test_a_suggestion_of_another_fidelity_is_refused():
    """The result of a longer training would stand at a rung where it was never asked for."""
    hpo = build_hpo_from_name("asha", [RangeHP("x", 0.0, 1.0)], seed=0, min_fidelity=1, max_fidelity=9)
    given = hpo.ask()
    with pytest.raises(EvaluationsError, match="was asked with .* at fidelity 1, got .* at fidelity 9"):
        hpo.tell(Suggestion(dict(given), number=given.number, fidelity=9), 1.0)
    hpo.tell(Suggestion(dict(given), number=given.number), 1.0)
    assert hpo.history.trials[0].fidelity == 1


def test_equal_values_that_are_other_objects_are_the_same_configuration():
    """A suggestion that went through another process is still that suggestion."""
    space = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", [[8, 16], None]), RangeHP("hops", 1, 8)]
    hpo = build_hpo_from_name("random", space, seed=0)
    for rebuilt in (lambda s: pickle.loads(pickle.dumps(s)), lambda s: Suggestion({**s}, number=s.number)):
        suggestion = hpo.ask()
        hpo.tell(rebuilt(suggestion), 0.5)
    assert hpo.n_told == 2


def test_of_a_batch_the_foreign_one_alone_is_refused():
    """One mixed-up result must not cost the others."""
    hpo = Steps(SPACE)
    first, second, third = hpo.ask(), hpo.ask(), hpo.ask()
    foreign = Suggestion(third, number=second.number)
    with pytest.raises(EvaluationsError) as caught:
        hpo.tell([(first, 1.0), (foreign, 2.0), (third, 3.0)])
    assert [item for item, _ in caught.value.refused] == [foreign]
    assert [(trial.number, trial.perf) for trial in hpo.trials] == [(0, 1.0), (2, 3.0)]


# Reports.


class Watches(Steps):
    """Notes what `_on_report` is called with, and answers what it is told to."""

    answer: Any = True

    def _on_report(self, hp, fidelity, perf):
        running = self.history.find(hp.number)
        self.calls = [*getattr(self, "calls", []), (hp.number, fidelity, perf, running.curve[-1], type(hp))]
        hp["x"] = 7.0  # its own copy
        return self.answer


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_on_report_is_called_with_higher_is_better_in_both_modes(mode, sign):
    """With the very suggestion, and after the report has joined the history."""
    hpo = Watches(SPACE, mode=mode)
    first, second = hpo.ask(), hpo.ask()
    for suggestion, fidelity, perf in ((first, 1, 0.5), (second, np.int64(2), np.float32(0.25)), (first, 3, -2)):
        assert hpo.report(suggestion, fidelity, perf) is True
    assert hpo.calls == [
        (0, 1.0, sign * 0.5, (1.0, sign * 0.5), Suggestion),
        (1, 2.0, sign * 0.25, (2.0, sign * 0.25), Suggestion),
        (0, 3.0, sign * -2.0, (3.0, sign * -2.0), Suggestion),
    ]
    assert [running.reports for running in hpo.history.running] == [[(1.0, 0.5), (3.0, -2.0)], [(2.0, 0.25)]]
    assert hpo.running == [first, second]


@pytest.mark.parametrize(
    ("answer", "goes_on"), [(True, True), (False, False), (np.True_, True), (np.False_, False), (None, True)]
)
def test_false_from_on_report_ends_the_trial(answer, goes_on):
    """numpy's too, as `perf >= numpy.median(...)` gives it; a hook without a return lets the trial go on."""
    hpo = Watches(SPACE)
    hpo.answer = answer
    suggestion = hpo.ask()
    assert hpo.report(suggestion, 1, 0.5) is goes_on
    hpo.tell(suggestion, 0.5, is_stopped=True)
    trial = hpo.trials[0]
    assert (trial.state, trial.outcome.reached, trial.perf) == (TrialState.STOPPED, 1.0, 0.5)


def test_a_trial_that_has_had_what_it_was_given_ends_whatever_the_hook_says():
    """report() says so at the fidelity of the suggestion, and not before."""

    class Given(Steps):
        def _get_suggestion(self, pid):
            return Suggestion(super()._get_suggestion(pid), fidelity=3.0)

    hpo = Given(SPACE)
    suggestion = hpo.ask()
    assert [hpo.report(suggestion, done, 0.5) for done in (1, 2.5, 3)] == [True, True, False]


def test_a_report_that_is_refused_does_not_reach_the_hook():
    """No number, no fidelity, no running trial."""
    hpo = Watches(SPACE)
    suggestion = hpo.ask()
    for fidelity, perf in ((1, math.nan), (1, None), (-1, 0.5), (math.inf, 0.5), ("1", 0.5), (None, 0.5)):
        with pytest.raises(EvaluationsError):
            hpo.report(suggestion, fidelity, perf)
    hpo.tell(suggestion, 0.5)
    with pytest.raises(EvaluationsError, match="suggestion 0 has a result already"):
        hpo.report(suggestion, 1, 0.5)
    assert not hasattr(hpo, "calls")


def test_a_trial_that_is_started_anew_has_reported_nothing():
    """What the lost attempt said does not count."""
    hpo = Watches(SPACE)
    suggestion = hpo.ask()
    hpo.report(suggestion, 1, 0.5)
    hpo.restart(suggestion)
    assert hpo.history.running[0].reports == []
    hpo.report(suggestion, 1, 0.25)
    hpo.tell(suggestion, 0.25)
    assert hpo.trials[0].reports == ((1.0, 0.25),)
    with pytest.raises(EvaluationsError, match="suggestion 0 has a result already"):
        hpo.restart(suggestion)


# Costs.


def test_a_cost_is_told_beside_the_result_or_in_it():
    """In any unit; without one it is unknown. The history has them in the order told."""
    hpo = Steps(SPACE)
    hpo.tell(hpo.ask(), 0.5, cost=np.float32(2.5))
    hpo.tell(hpo.ask(), {"perf": 0.75, "cost": 3, "loss": 1.0})
    hpo.tell(hpo.ask(), 0.25)
    hpo.fail(hpo.ask(), "no luck")
    assert [trial.cost for trial in hpo.trials] == list(hpo.history.costs) == [2.5, 3.0, None, None]
    assert (hpo.trials[1].perf, dict(hpo.trials[1].metrics)) == (0.75, {"loss": 1.0})


def test_a_cost_beside_the_result_counts_more_than_the_one_in_it():
    """Who tells it last knows best; neither is a metric."""
    hpo = Steps(SPACE)
    hpo.tell(hpo.ask(), {"perf": 0.75, "cost": 3.0}, cost=4.0)
    assert (hpo.trials[0].cost, dict(hpo.trials[0].metrics)) == (4.0, {})


def test_an_objective_named_cost_is_an_objective():
    """It is what the user minimises, and no cost of the evaluation."""
    hpo = build_hpo_from_name("nsga2", SPACE, mode={"acc": "max", "cost": "min"}, seed=0)
    hpo.tell(hpo.ask(), {"acc": 0.5, "cost": 7.0})
    assert (hpo.trials[0].perfs, hpo.trials[0].cost) == ((0.5, 7.0), None)


@pytest.mark.parametrize("cost", [-1, math.nan, math.inf, "2", [1]])
def test_what_is_no_cost_is_refused_with_its_result(cost):
    """The trial stays running."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    for tell in (
        lambda: hpo.tell(suggestion, 0.5, cost=cost),
        lambda: hpo.tell(suggestion, {"perf": 0.5, "cost": cost}),
    ):
        with pytest.raises(EvaluationsError):
            tell()
    assert hpo.running == [suggestion]


def test_a_search_knows_the_seconds_of_each_trial_or_what_the_objective_says():
    """In the result and its records; the first trial says what it costs, the others took their time."""

    def f(hps):
        if hps["x"] == 0:
            return {"perf": 1.0, "cost": 100.0}
        time.sleep(0.02)
        return 0.5

    hpo = Steps(SPACE, f, max_evals=3)
    hpo.optimize(progress=False)
    costs = [trial.cost for trial in hpo.result]
    assert costs[0] == 100.0
    assert all(0.02 <= cost < 5 for cost in costs[1:])
    assert [record["cost"] for record in hpo.result.to_records()] == costs == list(hpo.history.costs)
