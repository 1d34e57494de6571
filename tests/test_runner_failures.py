"""optimize() where trials fail: what ends a search, what it goes on over, and what the errors say."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from autohpo import (
    ChoiceHP,
    FailuresError,
    FirstTrialError,
    NoResultError,
    OptionError,
    RangeHP,
    build_hpo_from_name,
)
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("k", 1, 4), ChoiceHP("act", [None, True, 1, (1, 2)])]


def quadratic(hps):
    """Best at x = .3, k = 2."""
    return -((hps["x"] - 0.3) ** 2) - (hps["k"] - 2) ** 2


def run(name="random", f=quadratic, max_evals=12, seed=0, space=SPACE, options=None, **how):
    """An optimizer that has run."""
    hpo = build_hpo_from_name(name, space, f, max_evals=max_evals, seed=seed, **(options or {}))
    hpo.optimize(**{"progress": False, **how})
    return hpo


def test_the_first_trial_that_raises_ends_the_search_with_advice():
    """A typo shows at once, with its traceback."""
    with pytest.raises(FirstTrialError, match=r"(?s)continue_on_error.*KeyError: 'learning_rate'"):
        run(f=lambda hps: hps["learning_rate"])


def test_a_trial_that_raises_after_another_has_ended_does_not_end_the_search():
    """Only the very first one does."""
    numbers = iter(range(100))

    def f(hps):
        number = next(numbers)
        if number == 1:
            raise ValueError("now and then")
        return None if number == 2 else 1.0

    hpo = run(f=f)
    assert [t.state.value for t in hpo.result.trials[:4]] == ["COMPLETE", "FAILED", "INVALID", "COMPLETE"]


@pytest.mark.parametrize("value", [None, "0.5", float("nan"), (0.5, 0.1), {"loss": 0.5}, np.ones(2)])
def test_a_first_trial_that_returns_no_number_ends_the_search_with_advice(value):
    """A forgotten return would be as forgotten in every other trial."""
    calls = []
    with pytest.raises(FirstTrialError, match=r"(?s)returned no result in trial 0.*the objective's result must be"):
        run(f=lambda hps: calls.append(hps) or value)
    assert len(calls) == 1


def test_an_objective_that_counts_on_integer_fidelities_is_told_how_to_get_them():
    """Without rounding, powers of eta do not lead from 1 to 10; another error of the objective gets no such advice."""
    rungs = {"min_fidelity": 1, "max_fidelity": 10, "whole_fidelity": False}
    with pytest.raises(FirstTrialError, match=r"fidelity was 1.11111, no integer: use int\(fidelity\)(?s:.*)TypeError"):
        run("bohb", lambda hps, fidelity: len(range(fidelity)), options=rungs)
    with pytest.raises(FirstTrialError, match=r"continue_on_error=True\nTraceback"):
        run("bohb", lambda hps, fidelity: hps["nothing"], options=rungs)


class LoadsSlowlyOnce:
    """An objective without a return, which one of two workers takes long to load."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        self.path = state["path"]
        if os.environ["CUDA_VISIBLE_DEVICES"] == "0":
            time.sleep(0.7)

    def __call__(self, hps):
        with open(self.path, "a") as calls:
            calls.write("called\n")


def test_a_slow_worker_of_the_first_trial_does_not_let_the_others_go_on(tmp_path):
    """The worker of trial 0 may be the last to be ready; others must not go on with what cannot come to anything."""
    with pytest.raises(FirstTrialError, match="returned no result in trial 3, and none before"):
        run(f=LoadsSlowlyOnce(tmp_path / "calls"), num_workers=2, gpus=2)
    assert (tmp_path / "calls").read_text() == "called\n" * 3


def test_a_coroutine_function_is_refused_before_anything_runs():
    """Its trials would return coroutines; a function that returns one is told what to do."""

    async def f(hps):
        return 1.0

    with pytest.raises(OptionError, match="coroutine function; give lambda hps: asyncio.run"):
        run(f=f)
    with pytest.raises(FirstTrialError, match="must not be async"):
        run(f=lambda hps: f(hps) if hps else 0.0)


@pytest.mark.parametrize("value", [None, "raises"])
def test_many_trials_without_a_result_in_a_row_end_the_search(value):
    """From the first result on as well, and where failures are allowed; the result has every trial."""

    def f(hps, trial):
        if trial.number >= 2 and value == "raises":
            raise ValueError("the disk is full")
        return None if trial.number >= 2 else hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=30, seed=0)
    text = r"(?s)max_consecutive_failures: 4 trials in a row.*the last, trial 5, is (FAILED|INVALID): .*(disk|None)"
    with pytest.raises(FailuresError, match=text):
        hpo.optimize(progress=False, max_consecutive_failures=4, continue_on_error=True)
    assert len(hpo.result) == 6
    assert hpo.result.best.number in (0, 1)


def test_failures_with_results_between_them_do_not_end_the_search():
    """Only those in a row count; None allows any number."""
    some = run(f=lambda hps, trial: None if trial.number % 4 else 1.0, max_evals=20, max_consecutive_failures=4)
    assert some.result.counts() == {"COMPLETE": 5, "INVALID": 15}
    every = run(f=lambda hps, trial: None if trial.number else 1.0, max_evals=30, max_consecutive_failures=None)
    assert every.result.counts() == {"COMPLETE": 1, "INVALID": 29}
    default = {"f": lambda hps, trial: None if trial.number else 1.0, "max_evals": 60}
    with pytest.raises(FailuresError, match="20 trials"):
        run(**default)


def test_a_run_that_ended_by_failures_goes_on_when_it_is_called_again(tmp_path):
    """The failures of earlier runs do not count."""
    is_mended = []

    def f(hps, trial):
        return hps["x"] if is_mended or not trial.number else None

    how = {"f": f, "max_evals": 10, "store": tmp_path / "run.db", "max_consecutive_failures": 3}
    with pytest.raises(FailuresError):
        run(**how)
    is_mended.append(True)
    assert run(**how).result.counts() == {"COMPLETE": 7, "INVALID": 3}


def test_a_search_goes_on_over_failures_where_it_is_told_to():
    """Only those trials fail."""

    def f(hps):
        if hps["k"] < 3:
            raise ValueError("small")
        return hps["x"]

    hpo = run(f=f, max_evals=30, continue_on_error=True)
    for t in hpo.result.trials:
        assert t.state is (TrialState.FAILED if t.hp["k"] < 3 else TrialState.COMPLETE)
        assert ("ValueError: small" in t.error) is (t.hp["k"] < 3)


@pytest.mark.parametrize("value", [float("nan"), None, "0.5", 1j, np.ones(2), float("inf")])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_result_that_is_no_number_is_an_invalid_trial_and_the_search_goes_on(value, num_workers):
    """Never a number to a model, never the end of the search."""
    how = {"num_workers": num_workers, "continue_on_error": True}
    hpo = run(f=lambda hps: value if hps["k"] < 3 else 1.0, max_evals=10, **how)
    assert {t.state for t in hpo.result.trials if t.hp["k"] < 3} == {TrialState.INVALID}
    assert {t.state for t in hpo.result.trials if t.hp["k"] >= 3} == {TrialState.COMPLETE}


def test_no_result_at_all_is_a_typed_error():
    """All invalid: there is no best."""
    with pytest.raises(NoResultError):
        run(f=lambda hps: None, max_evals=3, continue_on_error=True)
