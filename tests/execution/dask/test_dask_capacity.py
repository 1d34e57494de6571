"""Clusters that grow and shrink while a search runs: its slots follow."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import Recorded, cluster_of_processes, driven, poll_until, ready, submit

from autohpo import RangeHP, build_hpo_from_name
from autohpo.testing import wrong_states
from autohpo.trial import TrialState

pytestmark = pytest.mark.extras


@pytest.fixture(autouse=True)
def _time_box(_time_box):
    """Starting processes of dask takes some seconds of a busy machine."""
    signal.alarm(180)


def napping(seconds):
    """Return an objective that takes some time."""

    def naps(hps):
        import time

        time.sleep(seconds)
        return hps["x"]

    return naps


def test_slots_follow_a_cluster_that_is_scaled(tmp_path):
    """Hosts without room wait; a worker that retires costs its attempt, at once."""
    with cluster_of_processes(1) as cluster, driven(Recorded(cluster, n_slots=3), napping(60)) as executor:
        (first,) = ready(executor)
        submit(executor, first, 0)
        cluster.scale(3)
        slots = ready(executor, 3)
        for number, slot in enumerate(slots):
            if slot != first:
                submit(executor, slot, number + 1)
        poll_until(executor, lambda _: len([event for event in executor.delivered if event.kind == "started"]) == 3)
        cluster.scale(1)
        ends = poll_until(executor, lambda events: len([event for event in events if event.outcome]) == 2)
        assert {event.outcome.state for event in ends if event.outcome} == {TrialState.LOST}
        assert len(executor.slots()) == 1
        cluster.scale(2)
        poll_until(executor, lambda _: len(executor.slots()) == 2)


def test_an_adaptive_cluster_grows_for_a_search_and_shrinks_after_it(tmp_path):
    """Hosts that wait for room are the demand that it sees."""
    with cluster_of_processes(0) as cluster:
        cluster.adapt(minimum=0, maximum=3, interval="200ms", wait_count=2, target_duration="500ms")
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], napping(0.3), max_evals=100, seed=0)
        executor = Recorded(cluster, n_slots=3)
        hpo.optimize(executor=executor, store=tmp_path / "run.db", progress=False)
        assert wrong_states(hpo, executor.delivered) == []
        assert len({event.slot for event in executor.delivered if event.kind == "done"}) == 3
        wait_until_empty(cluster)


def wait_until_empty(cluster, seconds=30):
    """Wait until a cluster has no workers."""
    import time

    until = time.monotonic() + seconds
    while cluster.scheduler.workers:
        assert time.monotonic() < until
        time.sleep(0.05)
