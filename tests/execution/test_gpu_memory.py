"""Limits of GPU memory, with a library in place of NVML that says what files say."""

from __future__ import annotations

import logging
import subprocess
import sys
import types

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import MissingExtraError, OptionError
from autohpo.execution.gpu_memory import N_STRANGE, GpuMeter
from autohpo.execution.local import LocalExecutor
from autohpo.trial import TrialState

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class NVMLError(Exception):
    """What NVML raises."""


@pytest.fixture
def nvml(tmp_path, monkeypatch):
    """The module `pynvml` of a machine with two GPUs: a process holds what it has written into a file of its number."""
    made = types.ModuleType("pynvml")
    made.NVMLError, made.folder, made.n_open, made.n_gpus, made.fault = NVMLError, tmp_path / "gpu", 0, 2, ""
    made.folder.mkdir()

    def count(step):
        if made.fault:
            raise NVMLError(made.fault)
        made.n_open += step

    def processes(device):
        if device == 1:
            raise NVMLError("Not Supported")
        found = [(int(path.name), path.read_text() or "0") for path in made.folder.iterdir()]
        return [types.SimpleNamespace(pid=pid, usedGpuMemory=int(n) if n != "-" else None) for pid, n in found]

    made.nvmlInit, made.nvmlShutdown = lambda: count(1), lambda: count(-1)
    made.nvmlDeviceGetCount = lambda: made.n_gpus
    made.nvmlDeviceGetHandleByIndex = lambda n: n
    made.nvmlDeviceGetComputeRunningProcesses = made.nvmlDeviceGetGraphicsRunningProcesses = processes
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def user_of(folder):
    """An objective that holds as much GPU memory as it is told, and goes on for a while; what it leaves stays held."""

    def f(hp):
        import os
        import subprocess
        import sys
        import time
        from pathlib import Path

        own = Path(folder) / str(os.getpid())
        if hp.get("child"):
            code = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).write_text(sys.argv[2]);"
            subprocess.run([sys.executable, "-c", f"{code} time.sleep(20)", folder, str(hp["mb"] * 10**6)], check=False)
        held = int(own.read_text()) if own.exists() else 0
        own.write_text(str(held + int(hp["mb"]) * 10**6))
        time.sleep(hp.get("seconds", 0))
        own.write_text(str(held + int(hp.get("left", 0)) * 10**6))
        return 1.0

    return f


def test_a_trial_that_fills_its_gpu_ends_for_memory(drive_local, nvml):
    """By itself or in a child; the text says what it was; it ran once, and a trial below the limit is well."""
    driver = drive_local(user_of(str(nvml.folder)), gpu_memory_limit=8 * 10**9)
    assert driver.run(0, hp={"mb": 7000, "seconds": 0.3}).outcome.perf == 1.0
    for number, more in ((1, {"seconds": 20}), (2, {"child": True})):
        end = driver.run(number, hp={"mb": 9000, **more})
        assert (end.kind, end.outcome.state) == ("killed", TrialState.MEMORY)
        assert end.outcome.error == "killed at its GPU memory limit of 8000 MB: its processes held 9000 MB there"
        assert driver.kinds(number) == ["started", "killed"]
    driver.executor.close()
    assert nvml.n_open == 0


def test_what_others_left_on_the_gpu_is_not_charged_to_a_trial(drive_local, nvml):
    """It is run again in a worker of its own; so is one that would not fit alone, and then it ends for memory."""
    driver = drive_local(user_of(str(nvml.folder)), gpu_memory_limit=8 * 10**9)
    driver.run(0, hp={"mb": 1, "left": 5000})
    end = driver.run(1, hp={"mb": 6000, "seconds": 20})
    assert end.outcome.state is TrialState.CANCELLED
    assert "run again in a worker of its own" in end.outcome.error
    driver.events.clear()
    assert driver.run(1, attempt=2, hp={"mb": 6000, "seconds": 0.3}).outcome.perf == 1.0


def test_a_search_has_the_limit_by_name(nvml):
    """As a string, in worker processes though there is one of them; trials over it are MEMORY in the result."""
    f = user_of(str(nvml.folder))
    hpo = build_hpo_from_name(
        "random", [RangeHP("x", 0.0, 1.0)], lambda hp: f({"mb": 9000, "seconds": 20}), max_evals=1
    )
    with pytest.raises(Exception, match="GPU memory limit of 8000 MB"):
        hpo.optimize(gpu_memory_limit="8GB", progress=False)
    assert hpo.result.counts() == {"MEMORY": 1}


def test_all_gpus_and_processes_of_a_tree_are_added(nvml):
    """One that does not tell counts nothing, like a number that is missing; others' processes do not count."""
    for pid, text in ((11, "100"), (12, "30"), (13, "-"), (14, "999")):
        (nvml.folder / str(pid)).write_text(text)
    meter = GpuMeter(1)
    meter.open()
    assert meter.by_process() == {11: 100, 12: 30, 13: 0, 14: 999}
    assert meter.held([11, 12, 12, 13, 15]) == 130
    meter.close()
    meter.close()
    assert (nvml.n_open, meter.by_process()) == (0, {})


def test_processes_of_another_system_are_warned_of_once(nvml, caplog):
    """In a container the numbers may be those of its host: then no trial can be found among them."""
    with subprocess.Popen(["true"]) as gone:
        pass
    (nvml.folder / str(gone.pid)).write_text("5")
    meter = GpuMeter(1)
    meter.open()
    with caplog.at_level(logging.WARNING, "autohpo"):
        for _ in range(3 * N_STRANGE):
            meter.by_process()
    assert [record.message.split(":")[0] for record in caplog.records] == ["gpu_memory_limit"]
    meter.close()


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    """Before anything is started."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r'gpu_memory_limit: needs nvidia-ml-py .*"autohpo\[gpu\]"'):
        LocalExecutor(gpu_memory_limit=10**9)


def test_without_a_gpu_the_error_says_so(nvml):
    """Whether there is no driver, or a driver without a GPU."""
    nvml.fault = "NVML Shared Library Not Found"
    with pytest.raises(OptionError, match="gpu_memory_limit: needs a GPU .*NVML Shared Library Not Found"):
        LocalExecutor(gpu_memory_limit=10**9)
    nvml.fault, nvml.n_gpus = "", 0
    with pytest.raises(OptionError, match="gpu_memory_limit: needs a GPU of NVIDIA, and this machine has none"):
        LocalExecutor(gpu_memory_limit=10**9)
    assert nvml.n_open == 0


@pytest.mark.parametrize("wrong", ["much", 0, True, -1], ids=str)
def test_the_limit_is_bytes(wrong):
    """As `memory_limit` is."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: 1.0, max_evals=1)
    with pytest.raises(OptionError, match="gpu_memory_limit: must be bytes or a string such as '4GB', got"):
        hpo.optimize(gpu_memory_limit=wrong, progress=False)
