"""Jobs of SLURM as workers, by dask-jobqueue, with a stand-in for SLURM that starts processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import Recorded, distributed

import autohpo
from autohpo import RangeHP, build_hpo_from_name
from autohpo.testing import wrong_states
from autohpo.trial import TrialState

pytestmark = pytest.mark.extras

_before = signal.getsignal(signal.SIGINT)
jobqueue = pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'autohpo[slurm]'")
signal.signal(signal.SIGINT, _before)  # the import sets a handler that ends this process as if all were well

SBATCH = """#!/bin/bash
# Starts the job as a process group of its own, as soon as the file `hold` is gone.
cd "{folder}"
number=0
until ( set -o noclobber; : > "jobs/$number" ) 2> /dev/null; do number=$((number + 1)); done
cp "$1" "script-$number"
setsid bash -c "while [ -e hold ]; do sleep 0.05; done; echo \\$\\$ > jobs/$number; exec bash script-$number" \\
    > "log-$number" 2>&1 < /dev/null &
echo "Submitted batch job $number"
"""
SCANCEL = """#!/bin/bash
for number in "$@"; do
    group=$(cat "{folder}/jobs/$number" 2> /dev/null) && [ -n "$group" ] && kill -TERM -- "-$group" 2> /dev/null
done
exit 0
"""


@pytest.fixture(autouse=True)
def _time_box(_time_box):
    """Starting processes of dask takes some seconds of a busy machine."""
    signal.alarm(180)


class Slurm:
    """The stand-in.

    Attributes:
        folder: Where it keeps its jobs; they wait there as long as the file `hold` exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs").mkdir()
        for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL), ("squeue", "#!/bin/bash\n")):
            (folder / name).write_text(text.replace("{folder}", str(folder)))
            (folder / name).chmod(0o755)

    @property
    def groups(self) -> list[int]:
        """The process groups of the jobs that were started, in their order."""
        files = sorted((self.folder / "jobs").iterdir(), key=lambda file: int(file.name))
        return [int(text) for file in files if (text := file.read_text())]

    def kill(self, group: int) -> None:
        """End a job as when its machine is taken away."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A stand-in on the path; what it started ends with the test."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    found = Slurm(folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(autohpo.__file__).parents[1]))
    yield found
    (folder / "hold").unlink(missing_ok=True)
    for group in found.groups:
        found.kill(group)


def cluster_of_jobs(folder):
    """A cluster as its manual makes it, but that it listens on the loopback interface only."""
    return jobqueue.SLURMCluster(
        cores=1,
        memory="1GB",
        processes=1,
        python=sys.executable,
        local_directory=str(folder),
        log_directory=str(folder / "logs"),
        scheduler_options={"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
        silence_logs=60,
    )


def napping(seconds):
    """Return an objective that takes some time."""

    def naps(hps):
        import time

        time.sleep(seconds)
        return hps["x"]

    return naps


class Watched(Recorded):
    """An executor that calls a function after each poll.

    Attributes:
        after_poll: The function.
    """

    def __init__(self, *given, after_poll, **options):
        super().__init__(*given, **options)
        self.after_poll = after_poll

    def poll(self, timeout_seconds):
        events = super().poll(timeout_seconds)
        self.after_poll()
        return events


def n_done(executor):
    """How many attempts have come to a result."""
    states = [event.outcome.state for event in executor.delivered if event.outcome is not None]
    return states.count(TrialState.COMPLETE)


def test_jobs_that_come_late_vanish_and_come_back_are_ordinary(slurm, tmp_path):
    """The search waits for the first, loses attempts with the second, and goes on with the third."""
    import dask

    (slurm.folder / "hold").touch()
    killed: list[int] = []
    began = time.monotonic()

    def steer():
        if time.monotonic() - began > 2:
            (slurm.folder / "hold").unlink(missing_ok=True)  # the jobs start late
        if not killed and n_done(executor) >= 3:
            killed.append(slurm.groups[0])
            slurm.kill(killed[0])  # and the first one is pre-empted

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), cluster_of_jobs(tmp_path) as cluster:
        cluster.adapt(minimum_jobs=2, maximum_jobs=2, interval="200ms")
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], napping(0.5), max_evals=60, seed=0)
        executor = Watched(cluster, n_slots=2, after_poll=steer)
        hpo.optimize(executor=executor, store=tmp_path / "run.db", progress=False)
        assert wrong_states(hpo, executor.delivered) == []
        lost = [event for event in executor.delivered if event.outcome and event.outcome.state is TrialState.LOST]
        assert killed
        assert len(lost) <= 1  # it may have been between two trials
        assert len(slurm.groups) >= 3  # a further job took its place
        with distributed.Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)


def test_optimize_takes_the_cluster_and_leaves_its_jobs_to_it(slurm, tmp_path):
    """``executor=SLURMCluster(...)``: the jobs outlive the search, and end with the cluster."""
    with cluster_of_jobs(tmp_path) as cluster:
        cluster.scale(jobs=2)
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], napping(0.0), max_evals=8, seed=0)
        hpo.optimize(executor=cluster, num_workers=2, progress=False)
        assert len(hpo.trials) == 8
        with distributed.Client(cluster, set_as_default=False) as client:
            assert client.submit(lambda: 5).result(30) == 5
    until = time.monotonic() + 30
    while any(is_there(group) for group in slurm.groups):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_there(group):
    """Whether the leader of a process group runs."""
    try:
        return Path(f"/proc/{group}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
