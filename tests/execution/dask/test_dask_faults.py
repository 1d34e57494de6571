"""What dies on dask costs what ran there, and that once: workers, memory hogs, the scheduler."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import (
    Recorded,
    client_of,
    cluster_of_processes,
    driven,
    end_of,
    poll_until,
    ready,
    submit,
    worker_pids,
)

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import AutoHPOError
from autohpo.testing import wrong_states
from autohpo.trial import TrialState

pytestmark = pytest.mark.extras

SPACE = [RangeHP("x", 0.0, 1.0)]
identity = lambda hp: hp["x"]  # pickled by value: workers need not import this file, and dask with it


@pytest.fixture(scope="module")
def cluster():
    """Two workers that are processes; a nanny starts each again where it dies."""
    with cluster_of_processes(2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _time_box(_time_box):
    """Starting processes of dask takes some seconds of a busy machine."""
    signal.alarm(150)


def napping(seconds):
    """Return an objective that takes some time."""

    def naps(hps):
        import time

        time.sleep(seconds)
        return hps["x"]

    return naps


def wait_for(condition, seconds=60):
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_worker_that_is_killed_costs_its_attempt_and_comes_back(cluster):
    """LOST within a second, not a lease, and a new slot when its nanny has started it again."""
    with driven(Recorded(cluster, n_slots=2), napping(60)) as executor:
        slots = ready(executor, 2)
        for slot in slots:
            submit(executor, slot, slot)
        victim = next(iter(worker_pids(cluster)))
        poll_until(executor, lambda events: len(events) == 2)
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        (end,) = poll_until(executor, bool)
        assert time.monotonic() - began < 5
        assert end.outcome.state is TrialState.LOST
        assert "dask worker tcp://127.0.0.1" in end.outcome.error
        poll_until(executor, lambda _: len(executor.slots()) == 2)
        assert set(executor.slots()) - set(slots)


def test_every_trial_ends_once_though_workers_are_killed(cluster, tmp_path):
    """What was lost runs again, and no result counts twice."""
    over = threading.Event()

    def kill():
        while not over.wait(3):
            pids = [place.pid for place in cluster.workers.values() if place.pid]
            if pids:
                os.kill(pids[0], signal.SIGKILL)

    hpo = build_hpo_from_name("random", SPACE, napping(0.2), max_evals=40, seed=0)
    executor = Recorded(cluster, n_slots=2)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        hpo.optimize(executor=executor, store=tmp_path / "run.db", progress=False)
    finally:
        over.set()
        killer.join()
    assert wrong_states(hpo, executor.delivered) == []
    assert any(event.outcome is not None and event.outcome.state is TrialState.LOST for event in executor.delivered)
    assert sorted(trial.number for trial in hpo.trials) == list(range(40))


def test_a_late_result_is_in_the_log_and_ignored(cluster, tmp_path):
    """A worker that is stopped past its lease, and goes on: its attempt was given up, and runs again."""
    pids: list[int] = []

    def first_is_slow(hps, trial):
        import time

        if trial.number == 0 and trial.attempt == 1:
            (folder / "begun").touch()
            while not (folder / "stopped").exists():
                time.sleep(0.01)
        while trial.number == 1 and not (folder / "over").exists():
            time.sleep(0.01)
        return trial.attempt + 0.0 if trial.number == 0 else hps["x"]

    folder = tmp_path

    def ends_of_first():
        return [one for one in executor.delivered if one.outcome and (one.number, one.attempt) == (0, 1)]

    def stop():
        wait_for((folder / "begun").exists)
        pids.extend(worker_pids(cluster))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        (folder / "stopped").touch()
        wait_for(ends_of_first)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: ends_of_first()[1:])
        (folder / "over").touch()

    hpo = build_hpo_from_name("random", SPACE, first_is_slow, max_evals=8, seed=0)
    executor = Recorded(cluster, n_slots=2, lease_seconds=2)
    helper = threading.Thread(target=stop)
    helper.start()
    hpo.optimize(executor=executor, store=folder / "run.db", progress=False)
    helper.join()
    assert wrong_states(hpo, executor.delivered) == []
    lost, *late = ends_of_first()
    assert lost.outcome.state is TrialState.LOST
    assert "it was silent for" in lost.outcome.error
    assert [one.outcome.perfs for one in late] == [(1.0,)]
    assert next(trial for trial in hpo.trials if trial.number == 0).outcome.perfs[0] > 1


def test_a_memory_hog_is_killed_by_our_slot_and_runs_once(cluster, tmp_path):
    """Within the limit and a fifth of it; the nanny has no part in it."""
    limit = 300 * 2**20

    def hogs(hps):
        import time

        with open(marks, "a") as file:
            file.write("x")
        held = []
        while len(held) < 200:
            held.append(bytearray(10 * 2**20))
            for place in range(0, 10 * 2**20, 4096):
                held[-1][place] = 1
            time.sleep(0.01)
        return 0.0

    marks = tmp_path / "marks"
    before = worker_pids(cluster)
    with driven(Recorded(cluster, memory_limit=limit), hogs) as executor:
        submit(executor, ready(executor)[0], 0)
        outcome = end_of(executor, 0).outcome
    assert outcome.state is TrialState.MEMORY
    held = float(re.search(r"its processes held (\d+) MB", outcome.error)[1]) * 1e6
    assert limit < held < 1.2 * limit + 20e6  # MB are rounded, and a busy machine looks late
    assert marks.read_text() == "x"
    assert worker_pids(cluster) == before


# The scheduler.


@contextmanager
def scheduler_of_its_own(folder):
    """A scheduler and two workers as users start them; yields the address and the process of the scheduler."""
    python, quiet = sys.executable, {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = folder / "scheduler.json"
    command = [python, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = subprocess.Popen([*command, "--dashboard-address", ":0", "--scheduler-file", str(file)], **quiet)
    command = [python, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nworkers", "2"]
    workers = subprocess.Popen([*command, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"], **quiet)
    try:
        import json

        until = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"], scheduler
    finally:
        for process in (scheduler, workers):
            process.terminate()
        for process in (scheduler, workers):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_a_search_whose_scheduler_dies_ends_in_order_and_is_resumed(tmp_path, capsys):
    """It says why, keeps what it has, and the same command goes on with a new scheduler."""
    with scheduler_of_its_own(tmp_path) as (address, scheduler):
        hpo = build_hpo_from_name("random", SPACE, napping(0.1), max_evals=10_000, seed=0)
        executor = Recorded(address, n_slots=2)

        def kill():
            wait_for(lambda: len(getattr(executor, "delivered", ())) >= 20)
            executor._engine._client._timeout = 2.0  # how long it is waited for
            scheduler.kill()

        helper = threading.Thread(target=kill)
        helper.start()
        hpo.optimize(executor=executor, store=tmp_path / "run.db")
        helper.join()
    said = capsys.readouterr()
    assert f"ended early: the dask scheduler at {address} is gone; run the same command with one to go on" in said.err
    done = len(hpo.trials)
    again = build_hpo_from_name("random", SPACE, napping(0.1), max_evals=done + 5, seed=0)
    again.optimize(num_workers=1, store=tmp_path / "run.db", progress=False)
    assert len([trial for trial in again.trials if trial.outcome.state is TrialState.COMPLETE]) == done + 5


def test_a_search_on_a_cluster_of_its_own_ends_in_order_when_that_dies():
    """The process that all its workers belong to; the text has what it printed."""
    with driven(Recorded(n_slots=1), napping(60)) as executor:
        submit(executor, ready(executor)[0], 0)
        os.killpg(executor._engine._place.workers._process.pid, signal.SIGKILL)
        assert end_of(executor, 0).outcome.state is TrialState.LOST
        poll_until(executor, lambda _: executor.closing)
        assert "the process of its dask workers ended with status -9" in executor.closing


# Workers that cannot serve; they are killed in the end, so these tests come last.


def test_workers_without_autohpo_are_told_of(cluster):
    """A typed error that says what to install, instead of a wait."""
    block = "import sys\nfor name in [*sys.modules]:\n if name.startswith('autohpo'): del sys.modules[name]\n"
    with client_of(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        client.run(exec, block + "sys.modules['autohpo'] = None", {})
        pids = worker_pids(cluster)
        try:
            with (
                pytest.raises(AutoHPOError, match="autohpo is not installed where dask's workers run"),
                driven(Recorded(cluster, n_slots=1), identity) as executor,
            ):
                ready(executor)
        finally:
            assert worker_pids(cluster) == pids  # they did not close themselves
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
