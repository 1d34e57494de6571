"""Hooks of a generator that pauses and goes on: their order, their failures, here, in slots and on dask's hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autohpo import OptionError, RangeHP, TrialState, build_hpo_from_name
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task

SPACE = [RangeHP("x", 0.0, 1.0)]


def run(evaluator, number, fidelity, **task):
    """The outcome of a task of the chain whose root is trial 0."""
    return evaluator.run(Task(number, 1, {}, fidelity=fidelity, root=0, **task), lambda *_: True)


def logged(log):
    """An objective that notes what happens to it, with the number of the trial."""

    def f(hps, trial):
        trial.on_pause(lambda: log.append(("pause a", trial.number)))
        trial.on_pause(lambda: log.append(("pause b", trial.number)))
        trial.on_resume(lambda: log.append(("resume a", trial.number)))
        trial.on_resume(lambda: log.append(("resume b", trial.number)))
        try:
            for epoch in range(1, 4):
                log.append((f"epoch {epoch}", trial.number))
                yield float(epoch)
        finally:
            log.append(("closed", trial.number))

    return f


def test_hooks_are_called_in_their_order_when_a_training_pauses_and_before_it_goes_on():
    """Each knows the trial that it is called for; the last rung is a pause as well."""
    log = []
    evaluator = Evaluator(Objective.of(logged(log)))
    run(evaluator, 0, 1)
    assert log == [("epoch 1", 0), ("pause a", 0), ("pause b", 0)]
    log.clear()
    run(evaluator, 5, 3)
    assert log == [*((name, 5) for name in ("resume a", "resume b", "epoch 2", "epoch 3", "pause a", "pause b"))]


@pytest.mark.parametrize("fidelity", [None, 9])
def test_a_training_that_ends_by_itself_does_not_pause(fidelity):
    """In full, or before its rung; a later task of its chain calls nothing either, and has the same result."""
    log = []
    evaluator = Evaluator(Objective.of(logged(log)))
    assert run(evaluator, 0, fidelity).perf == 3.0
    assert [name for name, _ in log] == ["epoch 1", "epoch 2", "epoch 3", "closed"]
    if fidelity:
        assert run(evaluator, 1, 27).perf == 3.0
        assert len(log) == 4


def test_a_training_that_is_stopped_or_let_go_calls_no_hook():
    """Its finally blocks say that it ends; what starts again in its place has paused nothing."""
    log = []
    evaluator = Evaluator(Objective.of(logged(log)))
    evaluator.run(Task(0, 1, {}, fidelity=3, root=0), lambda fidelity, _: fidelity < 2)
    assert [name for name, _ in log] == ["epoch 1", "epoch 2", "closed"]
    log.clear()
    run(evaluator, 0, 1)
    evaluator.drop(0)
    assert [name for name, _ in log] == ["epoch 1", "pause a", "pause b", "closed"]
    log.clear()
    run(evaluator, 1, 3)
    assert [name for name, _ in log] == ["epoch 1", "epoch 2", "epoch 3", "pause a", "pause b"]


@pytest.mark.parametrize("moment", ["pause", "resume"])
@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_hook_that_raises_makes_the_trial_fail_and_ends_the_training(moment, error):
    """The error says which hook, and where; the later ones are not called, and the chain is not paused any more."""
    log = []

    def f(hps, trial):
        def breaks():
            raise error("no room")

        getattr(trial, f"on_{moment}")(breaks)
        getattr(trial, f"on_{moment}")(lambda: log.append("later"))
        try:
            yield 1.0
            yield 2.0
        finally:
            log.append("closed")

    evaluator = Evaluator(Objective.of(f))
    outcome = run(evaluator, 0, 1)
    if moment == "resume":
        assert outcome.state is TrialState.COMPLETE
        outcome = run(evaluator, 1, 2)
    assert outcome.state is TrialState.FAILED
    assert outcome.error.startswith(f"what the objective gave trial.on_{moment} raised, so the training ended:\n")
    assert error.__name__ in outcome.error
    assert "in breaks" in outcome.error
    assert "in _call" not in outcome.error
    assert log == ["closed"]
    assert not evaluator.holds(0)


def test_ctrl_c_in_a_hook_passes_through():
    """It is meant for the search, as it is anywhere in an objective."""

    def f(hps, trial):
        def interrupted():
            raise KeyboardInterrupt

        trial.on_pause(interrupted)
        yield 1.0
        yield 2.0

    with pytest.raises(KeyboardInterrupt):
        run(Evaluator(Objective.of(f)), 0, 1)


@pytest.mark.parametrize("hook", [None, 3, "move"])
@pytest.mark.parametrize("moment", ["pause", "resume"])
def test_what_cannot_be_called_is_no_hook(moment, hook):
    """The error names the method and the value."""

    def f(hps, trial):
        getattr(trial, f"on_{moment}")(hook)
        yield 1.0

    outcome = run(Evaluator(Objective.of(f)), 0, 1)
    assert outcome.state is TrialState.FAILED
    assert f"OptionError: on_{moment}: must be callable, got {type(hook).__name__}" in outcome.error.replace(
        "got None", "got NoneType"
    )


def test_a_training_that_is_let_go_holds_nothing_through_its_hooks():
    """Else a model would stay in memory as long as anybody has the handle."""
    import gc
    import weakref

    class Model:
        pass

    alive, handles = [], []

    def f(hps, trial):
        model = Model()
        handles.append(trial)
        alive.append(weakref.ref(model))
        trial.on_pause(lambda: model)
        trial.on_resume(lambda: model)
        yield 1.0
        yield 2.0

    evaluator = Evaluator(Objective.of(f))
    run(evaluator, 0, 1)
    evaluator.drop(0)
    run(evaluator, 1, 9)
    gc.collect()
    assert [one() for one in alive] == [None, None]


def counting():
    """An objective whose yields count how often it was paused and continued; nested, so that it goes by value."""

    def f(hps, trial):
        n = {"pause": 0, "resume": 0}
        for moment in ("pause", "resume"):
            getattr(trial, f"on_{moment}")(lambda moment=moment: n.update({moment: n[moment] + 1}))
        for _ in range(27):
            yield {"perf": hps["x"], "pauses": n["pause"], "resumes": n["resume"]}

    return f


def hyperband(f, max_evals):
    """A search whose trainings pause at 1, 3 and 9."""
    return build_hpo_from_name("hyperband", SPACE, f, mode={"perf": "max"}, max_fidelity=9, max_evals=max_evals, seed=0)


def counts(hpo):
    """For each trial the rungs below it, and how many pauses and resumes its training had seen at its last yield."""
    found = []
    for trial in hpo.result.trials:
        below, one = 0, trial
        while one.resume is not None:
            below, one = below + 1, hpo.result.trials[one.resume]
        found.append((below, trial.metrics["pauses"], trial.metrics["resumes"]))
    return found


@pytest.mark.parametrize("how", [{}, {"num_workers": 2}, {"executor": "local"}])
def test_each_promotion_is_one_pause_and_one_resume(how):
    """In the user's own process, and in workers of their own."""
    hpo = build_hpo_from_name(
        "hyperband", SPACE, counting(), mode={"perf": "max"}, max_fidelity=9, max_evals=20, seed=0
    )
    hpo.optimize(progress=False, **how)
    found = counts(hpo)
    assert {below for below, _, _ in found} >= {0, 1}
    assert all(below == pauses == resumes for below, pauses, resumes in found)


def test_each_promotion_is_one_pause_and_one_resume_on_the_hosts_of_dask():
    """The same slots run there."""
    pytest.importorskip("distributed", reason="dask is not installed: pip install 'autohpo[dask]'")
    sys.path.insert(0, str(Path(__file__).parent / "execution" / "dask"))
    from clusters import cluster_in_threads

    from autohpo.execution.dask.executor import DaskExecutor

    hpo = build_hpo_from_name(
        "hyperband", SPACE, counting(), mode={"perf": "max"}, max_fidelity=9, max_evals=14, seed=0
    )
    with cluster_in_threads(1) as cluster:
        hpo.optimize(executor=DaskExecutor(cluster, n_slots=1), progress=False)
    found = counts(hpo)
    assert {below for below, _, _ in found} >= {0, 1}
    assert all(below == pauses == resumes for below, pauses, resumes in found)


def test_a_hook_that_raises_in_a_worker_harms_no_other_trial():
    """The worker goes on: the same process runs the next training."""

    def f(hps, trial):
        import os

        if trial.number == 0:
            trial.on_pause(lambda: 1 // 0)
        while True:
            yield {"perf": hps["x"], "pid": os.getpid()}

    hpo = build_hpo_from_name("hyperband", SPACE, f, mode={"perf": "max"}, max_fidelity=3, max_evals=6, seed=0)
    hpo.optimize(progress=False, executor=LocalExecutor(1), continue_on_error=True)
    first, *others = hpo.result.trials
    assert first.state is TrialState.FAILED
    assert "trial.on_pause raised" in first.error
    assert "ZeroDivisionError" in first.error
    assert {trial.state for trial in others} == {TrialState.COMPLETE}
    assert len({trial.metrics["pid"] for trial in others}) == 1


def test_on_pause_refuses_on_the_handle_itself():
    """OptionError is the type that a caller catches."""
    from autohpo.trial_handle import TrialHandle

    with pytest.raises(OptionError, match="on_pause: must be callable, got int 3"):
        TrialHandle(Task(0, 1, {}), lambda *_: True).on_pause(3)
