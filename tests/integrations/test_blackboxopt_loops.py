"""The loops of blackboxopt around our optimizers, and optimizers that are resumed, copied and shared by threads."""

from __future__ import annotations

import copy
import logging
import pickle
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from autohpo import StoreError

pytest.importorskip("blackboxopt", reason="the extra autohpo[blackboxopt] is not installed")

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

import blackboxopt as bbo
import parameterspace as ps
from blackboxopt.optimization_loops import file_based_distributed, sequential
from blackboxopt.optimization_loops import testing as loop_testing
from blackboxopt_shared import LOSS, a_space, evaluate, made, run

from autohpo.integrations.blackboxopt import BOHB, Optimizer, optimizer_class


class OurRandomSearch(optimizer_class("random", True)):
    """Random search with the arguments of blackboxopt's."""

    def __init__(self, search_space, objectives, max_steps):
        super().__init__(search_space, objectives, seed=0, max_evals=max_steps)


@pytest.mark.parametrize("check", loop_testing.ALL_REFERENCE_TESTS, ids=lambda check: check.__name__)
def test_the_published_tests_of_the_loops_pass_with_our_optimizer(check, monkeypatch):
    """They build a RandomSearch of their own; here it is ours."""
    monkeypatch.setattr(loop_testing, "RandomSearch", OurRandomSearch)
    check(sequential.run_optimization_loop, {})


def test_the_dask_loop_runs_a_search_to_its_end():
    """With threads in this process for workers."""
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
    from blackboxopt.optimization_loops import dask_distributed

    optimizer = made("hyperband", min_fidelity=1, max_fidelity=3, num_iterations=2)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        found = dask_distributed.run_optimization_loop(optimizer, evaluate, client)
    assert sorted(e.settings["fidelity"] for e in found) == [1, 1, 1, 3, 3, 3]
    assert optimizer.hpo.n_told == 6


def test_the_sequential_loop_runs_a_search_to_its_end():
    """An evaluation function that raises is a failed evaluation, if the loop is told so."""
    optimizer = made(max_evals=25)
    n_calls = 0

    def function(specification):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            raise ZeroDivisionError("boom")
        return evaluate(specification, user_info={"n": n_calls})

    found = sequential.run_optimization_loop(optimizer, function, catch_exceptions_from_evaluation_function=True)
    assert len(found) == optimizer.hpo.n_told == 25
    assert "boom" in optimizer.hpo.trials[3].error
    assert [e.user_info["n"] for e in found if e.user_info] == [n for n in range(1, 26) if n != 4]
    assert min(e.objectives["loss"] for e in found if e.objectives["loss"] is not None) == optimizer.hpo.best()[1]


def test_the_file_based_loop_carries_specifications_through_json(tmp_path, monkeypatch):
    """With values that JSON changes; the agent works while the loop sleeps."""
    quiet = logging.getLogger("agent")

    def work(seconds):
        file_based_distributed.evaluate_specifications(tmp_path, evaluate, [LOSS], max_evaluations=1, logger=quiet)

    monkeypatch.setattr(file_based_distributed, "time", SimpleNamespace(time=time.time, sleep=work))
    space = a_space()
    space.add(ps.CategoricalParameter("widths", ((1, 2), (3, 4))))
    optimizer = Optimizer("hyperband", space, LOSS, seed=0, min_fidelity=1, max_fidelity=3, num_iterations=1)
    found = file_based_distributed.run_optimization_loop(optimizer, tmp_path, max_evaluations=4, timeout_s=60)
    assert [e.settings["fidelity"] for e in found] == [1, 1, 1, 3]
    assert type(found[0].configuration["widths"]) is list
    assert [type(trial.hp["widths"]) for trial in optimizer.hpo.trials] == [tuple] * 4


# Stores, copies.


def test_a_store_resumes_the_same_search(tmp_path):
    """What was reported is there, and what was under evaluation is given out again, with its id."""
    whole = run(made("bohb"), 30)
    path = tmp_path / "run.db"
    with made("bohb", store=path) as optimizer:
        first = run(optimizer, 17)
        pending = optimizer.generate_evaluation_specification()
    with made("bohb", store=path) as optimizer:
        assert list(optimizer.pending_configurations) == [pending.optimizer_info["id"]]
        assert [trial.hp for trial in optimizer.hpo.trials] == [configuration for configuration, _ in first]
        again = optimizer.generate_evaluation_specification()
        assert (again.optimizer_info, again.configuration) == (pending.optimizer_info, pending.configuration)
        optimizer.report(evaluate(pending, user_info={"n": 1}))  # of the earlier process
        with pytest.raises(bbo.EvaluationsError):
            optimizer.report(evaluate(again))
        assert [*first, whole[17], *run(optimizer, 12)] == whole
        specification = optimizer.generate_evaluation_specification()
        optimizer.report(specification.create_evaluation({"loss": None}, user_info={"n": 2}, stacktrace="boom"))
    with made("bohb", store=path) as optimizer:
        assert optimizer.hpo.trials[-1].error == "boom"
        optimizer.generate_evaluation_specification()
        with pytest.raises(StoreError, match="cannot be pickled"):
            pickle.dumps(optimizer)
    with pytest.raises(StoreError, match="algorithm"):
        made("tpe", store=path)
    with pytest.raises(StoreError, match="must be open"):
        optimizer.generate_evaluation_specification()


def test_a_pending_evaluation_that_was_reported_is_not_given_out_again(tmp_path):
    """Whoever had it may have survived the optimizer."""
    path = tmp_path / "run.db"
    with made(store=path) as optimizer:
        first, second = (optimizer.generate_evaluation_specification() for _ in range(2))
    with made(store=path) as optimizer:
        optimizer.report(evaluate(first))
        assert optimizer.generate_evaluation_specification().optimizer_info["id"] == second.optimizer_info["id"]
        assert optimizer.generate_evaluation_specification().optimizer_info["number"] == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda space: Optimizer("tpe", space, LOSS, seed=0),
        lambda space: optimizer_class("nsga2")(space, LOSS, seed=0),
        lambda space: BOHB(space, LOSS, 1, 9, 2, seed=0),
        lambda space: optimizer_class("hyperband", False)(space, LOSS, seed=0, max_evals=30),
    ],
)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_like_the_original(make, copied):
    """And apart from it."""
    space = ps.ParameterSpace()
    space.add(ps.ContinuousParameter("x", (-1.0, 1.0)))
    optimizer = make(space)
    run(optimizer, 12)
    pending = optimizer.generate_evaluation_specification()
    other = copied(optimizer)
    assert type(other) is type(optimizer)
    for one in (other, optimizer):
        one.report(evaluate(pending))
    assert run(other, 6) == run(optimizer, 6)


def test_several_threads_may_ask_and_report():
    """Each suggestion goes to one of them."""
    optimizer = made("random")
    numbers = []

    def work():
        for _ in range(25):
            specification = optimizer.generate_evaluation_specification()
            numbers.append(specification.optimizer_info["number"])
            optimizer.report(evaluate(specification))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(100))
    assert optimizer.hpo.n_told == 100
