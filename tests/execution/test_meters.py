"""The three ways to hold a worker to its memory limit; control groups are files that a fake kernel looks after."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.execution import cgroup
from autohpo.execution.cgroup import CgroupMeter
from autohpo.execution.limits import tree_memory
from autohpo.execution.local import LocalExecutor
from autohpo.execution.memory_ways import meter_from
from autohpo.execution.meters import TreeMeter
from autohpo.trial import TrialState

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MB = 1_000_000


# What a process may reserve.


def hogs():
    """Objectives that want 4 GB, each in another way; nested, so that they go by value."""

    def at_once(hp):
        return float(len(b"x" * 4_000_000_000))

    def slowly(hp):
        held = []
        while True:
            held.append(bytearray(10_000_000))

    def in_an_array(hp):
        import numpy as np

        return float(np.ones(500_000_000).sum())

    def in_a_library_that_dies_of_it(hp):
        import os

        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()

    return [at_once, slowly, in_an_array, in_a_library_that_dies_of_it]


@pytest.mark.parametrize("hog", hogs(), ids=lambda f: f.__name__)
def test_what_asks_for_more_address_space_than_there_is_ends_for_memory(drive_local, hog):
    """It ran once; the text has the limit; the next trial is well."""
    options = {"memory_limit": 1_000_000_000, "memory_by": "address-space"}
    driver = drive_local(lambda hp: hog(hp) if hp["x"] == 0 else hp["x"], **options)
    end = driver.run(0)
    assert end.outcome.state is TrialState.MEMORY
    assert end.outcome.error.startswith("it reached its memory limit of 1000 MB of address space")
    assert driver.kinds(0) in (["started", "failed"], ["started", "killed"])
    assert driver.run(2).outcome.perf == 2.0


def test_each_process_has_an_address_space_of_its_own(drive_local):
    """A child of a trial cannot have more than the limit, either; what a trial catches is its own affair."""

    def f(hp):
        import subprocess
        import sys

        with contextlib.suppress(MemoryError):
            return float(len(b"x" * 4_000_000_000))
        code = "import sys; print(len(b'x' * int(sys.argv[1])))"
        codes = [subprocess.run([sys.executable, "-c", code, n], check=False).returncode for n in ("4000000000", "9")]
        return {"perf": codes[0], "other": codes[1]}

    outcome = drive_local(f, memory_limit=1_000_000_000, memory_by="address-space").run(0).outcome
    assert (outcome.perf, outcome.metrics["other"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    "raised", ["class OutOfMemoryError(RuntimeError): pass\nraise OutOfMemoryError('CUDA out of memory')", "1 / 0"]
)
def test_other_errors_are_not_for_memory(drive_local, raised):
    """A full GPU, and a fault of the objective's own, are FAILED."""
    driver = drive_local(lambda hp: exec(raised), memory_limit=1_000_000_000, memory_by="address-space")
    assert driver.run(0).outcome.state is TrialState.FAILED


def test_no_trial_ends_for_the_address_space_of_others(drive_local):
    """What paused trainings hold there is no trial's fault: it is run again in a worker of its own."""

    def f(hp):
        held = None
        for step in range(9):
            if step == 1:
                held = bytearray(int(hp["mb"]) * 1_000_000)
            yield float(step + 0 * (held is None))

    driver = drive_local(f, memory_limit=800 * MB, memory_by="address-space")
    driver.run(0, fidelity=2.0, hp={"mb": 300})
    driver.executor._slots[0].memory.growth = 0  # as if no trial had shown yet what it takes
    slot = driver.executor._slots[0]
    assert 300 * MB < slot.memory.paused[0] < 320 * MB
    end = driver.run(1, fidelity=2.0, hp={"mb": 450})
    assert end.outcome.state is TrialState.CANCELLED
    assert "run again in a worker of its own" in end.outcome.error
    driver.events.clear()
    assert driver.run(1, attempt=2, fidelity=2.0, hp={"mb": 450}).outcome.perf == 1.0


# Control groups.


class Kernel:
    """Files of control groups, with what a kernel does to them: it moves processes, measures, and ends groups."""

    def __init__(self, root: Path) -> None:
        self.root, self.own = root / "mount", root / "mount" / "session"
        self.own.mkdir(parents=True)
        for group in (self.root, self.own):
            (group / "cgroup.controllers").write_text("cpu memory\n")
            (group / "cgroup.subtree_control").write_text("cpu memory\n")
        (self.own / "cgroup.procs").write_text("")
        (root / "self").write_text("1:name=systemd:/elsewhere\n0::/session\n")
        self.kills: list[str] = []
        self.refused: dict[str, int] = {}  # error numbers by the name of a file
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def write(self, path: Path, value: object) -> None:
        """What the kernel makes of a write."""
        if path.name in self.refused:
            raise OSError(self.refused[path.name], os.strerror(self.refused[path.name]), str(path))
        if value == "+memory" and self.pids(path.parent):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        if path.name == "cgroup.procs":
            for procs in self.root.rglob("cgroup.procs"):
                pids = self.pids(procs.parent) - {value}
                procs.write_text("".join(f"{pid}\n" for pid in pids))
            path.write_text(path.read_text() + f"{value}\n" if path.exists() else f"{value}\n")
        else:
            path.write_text(str(value).lstrip("+-"))

    @staticmethod
    def pids(group: Path) -> set[int]:
        path = group / "cgroup.procs"
        return set(map(int, path.read_text().split())) if path.exists() else set()

    def _run(self) -> None:
        while not self._is_over.wait(0.01):
            for group in self.own.glob("autohpo-*-slot-*"):
                with contextlib.suppress(OSError, ValueError):
                    self._look_after(group)

    def _look_after(self, group: Path) -> None:
        pids = self.pids(group)
        held = sum(tree_memory(pid, 1 << 60) for pid in pids)
        (group / "memory.current").write_text(f"{held + 77_000_000}\n")
        (group / "memory.stat").write_text("anon 1\ninactive_file 70000000\nactive_file 7000000\n")
        if held > int((group / "memory.max").read_text()):
            (group / "memory.peak").write_text(f"{held}\n")
            (group / "memory.events").write_text(f"low 0\noom 3\noom_kill {1 + len(self.kills)}\n")
            self.kills.append(group.name)
            (group / "cgroup.procs").write_text("")
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A system with control groups, as a driver in the group /session sees it."""
    made = Kernel(tmp_path)
    monkeypatch.setattr(cgroup, "ROOT", made.root)
    monkeypatch.setattr(cgroup, "SELF", tmp_path / "self")
    monkeypatch.setattr(cgroup, "remove_group", shutil.rmtree)
    monkeypatch.setattr(cgroup, "_write", made.write)
    yield made
    made.close()


def test_the_system_ends_a_trial_in_its_control_group(drive_local, kernel):
    """The end is MEMORY, with what the group held; that of other deaths is not; in the end the group goes."""

    def f(hp):
        import os
        import time

        if hp["x"] == 1:
            os.abort()
        if hp["x"] == 0:
            held = b"x" * 500_000_000
            time.sleep(20)
            return float(len(held))
        return hp["x"]

    driver = drive_local(f, memory_limit=300 * MB, memory_by="cgroup")
    assert driver.run(3).outcome.perf == 3.0
    (group,) = kernel.own.glob("autohpo-*-slot-0")
    assert [(group / name).read_text() for name in ("memory.max", "memory.oom.group", "memory.swap.max")] == [
        "300000000",
        "1",
        "0",
    ]
    assert kernel.pids(group) == {driver.executor._slots[0].process.pid}
    end = driver.run(0)
    assert (end.kind, end.outcome.state) == ("killed", TrialState.MEMORY)
    held = int(
        end.outcome.error.removeprefix(
            "killed at its memory limit of 300 MB by the system: its control group held "
        ).split()[0]
    )
    assert held >= 300
    assert driver.kinds(0) == ["started", "killed"]
    assert driver.run(1).outcome.state is TrialState.CRASHED
    assert driver.run(2).outcome.perf == 2.0
    driver.executor.close()
    assert not list(kernel.own.glob("autohpo-*"))


def test_caches_of_files_are_not_held(kernel):
    """What the system can take back at any time does not count: paused trainings need not go for it."""
    meter = CgroupMeter(300 * MB)
    meter.open(1)
    try:
        group = meter._group(0)
        (group / "memory.current").write_text("100000000\n")
        (group / "memory.stat").write_text("anon 1\ninactive_file 70000000\nactive_file 7000000\n")
        assert meter.held(0, 1) in (23_000_000, 0)  # 0 where the kernel has just looked at the empty group
        assert meter_from(meter.described()).described() == meter.described()
    finally:
        meter.close()


def test_a_driver_alone_in_its_group_moves_into_a_child_of_it(kernel):
    """A group with processes of its own cannot limit its children; afterwards everything is as it was."""
    with subprocess.Popen(["sleep", "60"]) as child:
        (kernel.own / "cgroup.subtree_control").write_text("cpu\n")
        (kernel.own / "cgroup.procs").write_text(f"{os.getpid()}\n{child.pid}\n")
        meter = CgroupMeter(300 * MB)
        meter.open(2)
        (own,) = kernel.own.glob("autohpo-*-driver")
        assert kernel.pids(own) == {os.getpid(), child.pid}
        assert (kernel.own / "cgroup.subtree_control").read_text() == "memory"
        assert len(list(kernel.own.glob("autohpo-*-slot-*"))) == 2
        meter.close()
        assert kernel.pids(kernel.own) == {os.getpid(), child.pid}
        child.kill()
    assert not list(kernel.own.glob("autohpo-*"))


def test_what_is_left_of_killed_drivers_goes_and_that_of_others_stays(kernel):
    """Their numbers are in the names of their groups."""
    with subprocess.Popen(["true"]) as gone:
        pass
    for owner in (gone.pid, 1):
        (kernel.own / f"autohpo-{owner}-slot-0").mkdir()
    meter = CgroupMeter(300 * MB)
    meter.open(1)
    meter.close()
    assert [group.name for group in kernel.own.glob("autohpo-*")] == ["autohpo-1-slot-0"]


def refuse_to_write(kernel):
    """A user who may not."""
    kernel.refused["memory.max"] = errno.EACCES


def run_with_others(kernel):
    """A shell in the same group, for instance."""
    (kernel.own / "cgroup.subtree_control").write_text("cpu\n")
    (kernel.own / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")


def have_no_memory_controller(kernel):
    """It was not delegated."""
    (kernel.own / "cgroup.controllers").write_text("cpu\n")


def have_version_1_alone(kernel):
    """An old system."""
    (kernel.root.parent / "self").write_text("4:memory:/session\n")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (refuse_to_write, r"memory\.max says: Permission denied; start the program with `systemd-run"),
        (run_with_others, r"other processes are in the same group \(1\)"),
        (have_no_memory_controller, r"session has cpu; start the program with `systemd-run"),
        (have_version_1_alone, r"has none; use memory_by='rss' here"),
    ],
)
def test_where_the_system_does_not_let_it_the_error_says_what_to_do(kernel, fault, says):
    """Nothing is left behind."""
    fault(kernel)
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: 1.0, max_evals=1)
    with pytest.raises(OptionError, match=f"memory_by: 'cgroup' needs .*{says}"):
        hpo.optimize(memory_limit="300MB", memory_by="cgroup", progress=False)
    assert not list(kernel.own.glob("autohpo-*"))


@pytest.mark.parametrize("wrong", ["RSS", None, 3, "cgroups"], ids=str)
def test_there_are_three_ways(wrong):
    """The error lists them, from `optimize` and from the executor."""
    says = "memory_by: must be one of 'rss', 'cgroup', 'address-space', got"
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: 1.0, max_evals=1)
    with pytest.raises(OptionError, match=says):
        hpo.optimize(memory_by=wrong, progress=False)
    with pytest.raises(OptionError, match=says):
        LocalExecutor(memory_by=wrong)


def test_the_usual_way_measures_the_tree():
    """As it was before there were others."""
    meter = TreeMeter(1 << 60)
    assert meter.held(0, os.getpid()) == pytest.approx(tree_memory(os.getpid(), 1 << 60), rel=0.2)
    assert meter_from(None) is None
