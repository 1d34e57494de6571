"""Whole searches in actors of Ray: suggestions, pauses, reports and stops are those of every executor."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from actors import Recording, wait_until

from autohpo import BaseHPOptimizer, RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.execution.ray.executor import RayExecutor
from autohpo.testing import wrong_states

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("one_ray")]

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8)]


def plain(hp):
    """The value of a configuration."""
    return hp["x"]


def training(hp, trial):
    """An endless training, which says in which process each epoch was."""
    epoch = 0
    while True:
        epoch += 1
        yield hp["x"] * epoch, {"process": float(os.getpid()), "epoch": float(epoch)}


@pytest.mark.parametrize(("name", "f"), [("random", plain), ("bohb", training), ("asha", training)])
def test_a_search_ends_with_every_trial_right(name, f):
    """What the log says is what the actors said; trainings that were paused go on where they were."""
    executor = Recording(n_slots=2)
    hpo = build_hpo_from_name(name, SPACE, f, max_evals=40, seed=0)
    hpo.optimize(executor=executor, progress=False)
    assert wrong_states(hpo, executor.delivered) == []
    assert hpo.result.counts() == {"COMPLETE": 40}
    if f is training:
        resumed = [trial for trial in hpo.result if trial.resume is not None]
        epochs = Counter((e.number, e.metrics["epoch"]) for e in executor.delivered if e.kind == "report")
        assert len(resumed) > 3
        assert max(epochs.values()) == 1
        first = {trial.number: min(epoch for number, epoch in epochs if number == trial.number) for trial in resumed}
        assert min(first.values()) > 1, "no epoch was trained again"


def test_by_name_the_ray_of_this_process_is_used(one_ray):
    """And it goes on after the search."""
    hpo = build_hpo_from_name("random", SPACE, plain, max_evals=4, seed=0)
    hpo.optimize(executor="ray", num_workers=2, progress=False)
    assert hpo.result.counts() == {"COMPLETE": 4}
    assert one_ray.is_initialized()


class Live(BaseHPOptimizer):
    """Random search that answers the first report of a trial with a file, and refuses the third one."""

    folder: Path

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]

    def _on_report(self, hp, fidelity, perf):
        if fidelity == 1:
            (self.folder / f"heard-{hp.number}").touch()
        return fidelity < 3


def test_reports_and_stops_are_live(tmp_path):
    """An objective that waits for the answer to its report goes on, and one that is not wanted ends early."""

    def f(hp, trial):
        trial.report(0.5)
        until = tmp_path / f"heard-{trial.number}"
        if not wait_until(until.exists):
            return -1.0
        while trial.report(hp["x"]):
            pass
        return None

    hpo = Live(SPACE, f, max_evals=4, seed=0)
    hpo.folder = tmp_path
    executor = Recording(n_slots=2)
    hpo.optimize(executor=executor, progress=False)
    assert hpo.result.counts() == {"STOPPED": 4}
    assert wrong_states(hpo, executor.delivered) == []


def test_a_stored_search_goes_on(tmp_path):
    """With the same trials."""
    for n in (6, 10):
        hpo = build_hpo_from_name("random", SPACE, plain, max_evals=n, seed=0)
        hpo.optimize(executor=RayExecutor(n_slots=2), store=str(tmp_path / "run.db"), progress=False)
        assert hpo.result.counts() == {"COMPLETE": n}
    alone = build_hpo_from_name("random", SPACE, plain, max_evals=10, seed=0)
    alone.optimize(progress=False)
    assert [trial.hp for trial in hpo.result] == [trial.hp for trial in alone.result]


def test_an_objective_that_cannot_be_pickled_is_named():
    """Before an actor is asked for."""
    lock = __import__("threading").Lock()
    hpo = build_hpo_from_name("random", SPACE, lambda hp: hp["x"] + lock.locked(), max_evals=2, seed=0)
    with pytest.raises(OptionError, match="pickle"):
        hpo.optimize(executor="ray", num_workers=2, progress=False)


def test_a_large_objective_travels(one_ray):
    """Once, through the object store, and each actor takes it from there."""
    data = os.urandom(3_000_000)
    hpo = build_hpo_from_name("random", SPACE, lambda hp: float(len(data)), max_evals=4, seed=0)
    hpo.optimize(executor="ray", num_workers=2, progress=False)
    assert hpo.result.best.outcome.perf == len(data)


def test_threads_and_devices_are_those_of_the_actor(one_ray, ray_cluster):
    """Libraries start as many threads as Ray keeps cores free, and each actor has a GPU of its own."""
    if ray_cluster is None:
        pytest.skip("needs a cluster with GPUs, if only in name")

    def f(hp):
        seen = {"threads": os.environ["OMP_NUM_THREADS"], "gpu": os.environ["CUDA_VISIBLE_DEVICES"]}
        time.sleep(0.1)
        return {"perf": 1.0, **{name: float(value) for name, value in seen.items()}}

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=8, seed=0)
    hpo.optimize(executor=RayExecutor(n_slots=2, cpus=3, gpus=1), progress=False)
    seen = Counter((trial.outcome.metrics["threads"], trial.outcome.metrics["gpu"]) for trial in hpo.result)
    assert seen.keys() == {(3.0, 0.0), (3.0, 1.0)}
