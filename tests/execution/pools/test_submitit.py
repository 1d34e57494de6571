"""Trials in jobs of submitit: on this machine, and with a stand-in for SLURM whose jobs wait, fail and come back."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # pytest imports test files by their path alone

from slurm import Slurm

from autohpo import OptionError, RangeHP, build_hpo_from_name
from autohpo.execution.pools import submitit_pool
from autohpo.execution.pools.submitit_pool import SubmititExecutor
from autohpo.store import open_store

submitit = pytest.importorskip("submitit")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SPACE = [RangeHP("x", 0.0, 1.0)]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster whose jobs begin at once."""
    cluster = Slurm(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{cluster.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(submitit_pool, "STATE_SECONDS", 0.3)
    monkeypatch.setattr(submitit_pool, "LOOK_SECONDS", 0.1)
    yield cluster
    cluster.close()


def pool_of(folder, cluster="slurm"):
    """An executor of submitit."""
    pool = submitit.AutoExecutor(folder, cluster=cluster)
    pool.update_parameters(timeout_min=5)
    return pool


def search(executor, f=None, n=12, **how):
    """A search that has run."""
    hpo = build_hpo_from_name("random", SPACE, f or (lambda hps: hps["x"]), max_evals=n, seed=0)
    hpo.optimize(executor=executor, progress=False, **how)
    return hpo


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # submitit's own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_executor_of_submitit_may_be_given_as_it_is(tmp_path, capfd):
    """On this machine, without SLURM; the channel is in its folder, and is gone in the end. Nothing complains."""
    hpo = search(pool_of(tmp_path / "jobs", "local"), num_workers=2)
    assert hpo.result.counts() == {"COMPLETE": 12}
    assert list((tmp_path / "jobs" / "autohpo").iterdir()) == []
    gc.collect()  # what submitit leaves behind
    assert "Traceback" not in capfd.readouterr().err


def test_jobs_of_slurm_that_come_late_are_waited_for(slurm, tmp_path):
    """Each job serves trial after trial: two jobs for twelve trials."""
    slurm.delay(1.5)
    hpo = search(pool_of(tmp_path / "jobs"), num_workers=2)
    assert hpo.result.counts() == {"COMPLETE": 12}
    assert slurm.jobs == [1, 2]
    until = time.monotonic() + 20
    while slurm.running:
        assert time.monotonic() < until, "jobs outlive the search"
        time.sleep(0.05)


def test_a_job_that_vanishes_costs_one_attempt_and_another_is_submitted(slurm, tmp_path):
    """As when it is preempted: the trial is run again, and counts once."""

    def f(hps, trial):
        import os
        import time

        if trial.attempt == 1 and trial.number in (2, 7):
            (trial.checkpoint_dir.parent / f"now-{trial.number}-{os.environ['SLURM_JOB_ID']}").touch()
            time.sleep(60)
        return hps["x"]

    store = tmp_path / "run.db"
    killed, done = set(), threading.Event()

    def kill_on_sight():
        while not done.wait(0.05):
            for path in {*store.with_name("run.db.files").glob("now-*")} - killed:
                killed.add(path)
                slurm.kill(int(path.name.rpartition("-")[2]))

    thread = threading.Thread(target=kill_on_sight)
    thread.start()
    try:
        hpo = search(SubmititExecutor(pool_of(tmp_path / "jobs"), 2), f, store=store)
    finally:
        done.set()
        thread.join()
    assert hpo.result.counts() == {"COMPLETE": 12}
    log = open_store(store, read_only=True)
    interrupts = [(e.trial, e.data["state"]) for e in log.events() if e.kind == "interrupt"]
    log.close()
    assert sorted(interrupts) == [(2, "LOST"), (7, "LOST")]
    assert len(slurm.jobs) == 4


def test_what_is_no_executor_of_submitit_is_named():
    """With what was given."""
    with pytest.raises(OptionError, match="pool: must be an executor of submitit, got 'slurm'"):
        SubmititExecutor("slurm", 2)
