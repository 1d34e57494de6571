"""Forks of the objective: what Python says of threads is not said of ours."""

from __future__ import annotations

import os
import threading
import warnings

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.forks import ForkFilter

TEXT = "This process (pid=7) is multi-threaded, use of fork() may lead to deadlocks in the child."


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_an_objective_that_forks_meets_no_warning_that_it_would_not_meet_alone(tmp_path):
    """From Python 3.12 on a process with several threads is warned; those of a search and its store are ours."""

    def f(hps):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        return hps["x"]

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=2, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        n_filters = len(warnings.filters)
        hpo.optimize(store=tmp_path / "run.db", progress=False)
        assert len(warnings.filters) == n_filters
    assert not [w for w in caught if "fork" in str(w.message)]


def test_only_our_own_threads_are_passed_over(monkeypatch):
    """With another one beside, the warning is right; and other warnings are none of its business."""
    n = {"threads": 1}
    monkeypatch.setattr("autohpo.execution.forks._n_threads", lambda: n["threads"])
    is_hidden, end = ForkFilter().match, threading.Event()
    assert not is_hidden(TEXT)  # nothing of ours runs
    ours = threading.Thread(target=end.wait, name="autohpo-test")
    ours.start()
    try:
        n["threads"] = 2
        assert is_hidden(TEXT)
        assert not is_hidden("another text")
        n["threads"] = 3
        assert not is_hidden(TEXT)
    finally:
        end.set()
        ours.join()


def test_a_forest_can_be_fitted_in_an_objective():
    """scikit-learn copies the filters of warnings to its threads, and reads what each matches."""
    from sklearn.ensemble import ExtraTreesRegressor

    def f(hps):
        forest = ExtraTreesRegressor(4, n_jobs=2, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
        return forest.predict([[hps["x"]]])[0]

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=2, seed=0)
    hpo.optimize(progress=False)
    assert len(hpo.result) == 2
