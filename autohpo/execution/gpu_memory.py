"""The memory that processes hold on GPUs, as NVIDIA's management library (NVML) tells it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterable
from typing import Any

from autohpo.errors import MissingExtraError, OptionError
from autohpo.execution.platform import current

logger = logging.getLogger(__name__)

N_STRANGE = 20
"""Looks in a row at processes that are not to be seen here, after which a warning says so."""


class GpuMeter:
    """Measures the GPU memory of processes, over all GPUs of this machine.

    Args:
        limit: The bytes that a worker and what it has started may hold.

    Attributes:
        limit: The argument of that name.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._nvml: Any = None
        self._devices: list[Any] = []
        self._n_strange = 0

    def check(self) -> None:
        """Check that there is a GPU whose memory can be measured.

        Raises:
            MissingExtraError: The package is not installed.
            OptionError: There is none.
        """
        self.open()
        self.close()

    def open(self) -> None:
        """Get ready to measure.

        Raises:
            MissingExtraError: The package is not installed.
            OptionError: There is no GPU that NVML knows.
        """
        try:
            import pynvml
        except ImportError as fault:
            text = 'gpu_memory_limit: needs nvidia-ml-py to measure it, pip install "autohpo[gpu]"'
            raise MissingExtraError(text) from fault
        try:
            pynvml.nvmlInit()
            devices = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as fault:
            text = f"gpu_memory_limit: needs a GPU of NVIDIA and its driver, which say: {fault}; leave it out here"
            raise OptionError(text) from fault
        if not devices:
            pynvml.nvmlShutdown()
            raise OptionError("gpu_memory_limit: needs a GPU of NVIDIA, and this machine has none; leave it out here")
        self._nvml, self._devices = pynvml, devices

    def close(self) -> None:
        """Let go of the library. May be called twice."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            with contextlib.suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def by_process(self) -> dict[int, int]:
        """Return the bytes that each process holds, all GPUs together; a GPU that does not tell is left out."""
        nvml, total = self._nvml, dict[int, int]()
        if nvml is None:
            return total
        for device in self._devices:
            held: dict[int, int] = {}
            for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
                with contextlib.suppress(nvml.NVMLError):
                    for pid, n_bytes in _sums(ask(device)).items():
                        held[pid] = max(held.get(pid, 0), n_bytes)  # one that does both is in both lists
            for pid, n_bytes in held.items():
                total[pid] = total.get(pid, 0) + n_bytes
        self._look_for_strangers(total)
        return total

    def held(self, pids: Iterable[int]) -> int:
        """Return the bytes that some processes hold together."""
        held = self.by_process()
        return sum(held.get(pid, 0) for pid in set(pids))

    def _look_for_strangers(self, pids: Collection[int]) -> None:
        """Warn where the numbers of processes are not those of this system: then no limit can hold."""
        is_strange = bool(pids) and not any(_exists(pid) for pid in pids)
        self._n_strange = self._n_strange + 1 if is_strange else 0
        if self._n_strange == N_STRANGE:
            logger.warning(
                "gpu_memory_limit: the driver of the GPU names processes that do not exist here, so no trial can be "
                "held to it; start the container with the host's process numbers (--pid=host)"
            )


def _sums(processes: Iterable[Any]) -> dict[int, int]:
    """The bytes of each process in a list that has one for each part of a GPU; a number that is missing counts 0."""
    sums: dict[int, int] = {}
    for process in processes:
        sums[process.pid] = sums.get(process.pid, 0) + (process.usedGpuMemory or 0)
    return sums


def _exists(pid: int) -> bool:
    if current().name == "windows":  # there a signal would end it, and no container has numbers of its own
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
