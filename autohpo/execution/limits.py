"""Limits of a trial: how much memory a process tree holds, and the thread that ends trials at their limits."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.execution.memory import FULL
from autohpo.execution.platform import current
from autohpo.execution.tree import finder_of, read_proc, tree_of
from autohpo.trial import Outcome, TrialState

if TYPE_CHECKING:
    from autohpo.execution.gpu_memory import GpuMeter
    from autohpo.execution.meters import MemoryMeter
    from autohpo.execution.slot import Slot

TICK_SECONDS = 0.05
MAX_LATE_SECONDS = 1.0  # that a thread may come late on a busy machine
MAX_PAUSE_SECONDS = 0.4  # with a kill allowed to come half a second late


def check_limits(**limits: Any) -> None:
    """Check the limits of an executor, by their names: numbers of seconds or bytes, or None.

    Raises:
        OptionError: A limit is no number, or is not positive and finite.
    """
    for name, value in limits.items():
        if value is None:
            continue
        is_number = not isinstance(value, bool) and isinstance(value, Real)
        if not is_number:
            unit = "seconds" if name.endswith(("_seconds", "time_limit")) else "bytes, such as 4 * 2**30"
            raise OptionError(f"{name}: must be a number of {unit}, got {shown(value)}")
        if not 0 < value < math.inf:
            raise OptionError(f"{name}: must be positive and finite, got {shown(value)}")


class Awake:
    """Tells how long this process was stopped, or the machine suspended: that must not count as time of a trial.

    A process that is busy with something else uses processor time meanwhile; one that is stopped uses none.
    """

    def __init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """Measure from now on."""
        self._wall, self._used = time.monotonic(), time.process_time()

    def slept(self, expected: float) -> float:
        """Return the seconds since the last mark that this process was stopped; 0 where it was not.

        Args:
            expected: The seconds that it meant to wait.
        """
        late = time.monotonic() - self._wall - expected
        used = time.process_time() - self._used
        return late if late > MAX_LATE_SECONDS and used < late / 10 else 0.0


class Watchdog:
    """A thread that ends trials at their limits, also while the driver is busy with something else.

    It lives in the driver, because a trial that takes all memory will not wait until an optimizer's model is fitted.

    Args:
        slots: Where the trials run.
        run: The name of the run.
        memory: What measures memory, if that is limited.
        gpu: What measures the memory of GPUs, if that is limited.
    """

    def __init__(
        self, slots: Sequence[Slot], run: str, memory: MemoryMeter | None = None, gpu: GpuMeter | None = None
    ) -> None:
        self._slots = slots
        self._strays = finder_of(run)
        self._memory, self._gpu = memory, gpu
        self._needs_strays = gpu is not None or (memory is not None and memory.needs_strays)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="autohpo-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread is not threading.current_thread():  # a garbage collection may close from any thread
            self._thread.join()

    def _watch(self) -> None:
        pause = TICK_SECONDS
        clock = Awake()
        while not self._closing.wait(pause):
            slept = clock.slept(pause)
            start = time.monotonic()
            strays = self._strays.find(self._workers()) if self._needs_strays else {}
            on_gpu = {} if self._gpu is None else self._gpu.by_process()
            for slot in self._slots:
                if slept and slot.attempt is not None:
                    slot.attempt.deadline += slept
                self._check(slot, start, strays.get(slot.number, ()), on_gpu)
            clock.mark()
            # Where measuring is slow, it must not take more than a tenth of the time.
            pause = min(max(TICK_SECONDS, 10 * (time.monotonic() - start)), MAX_PAUSE_SECONDS)

    def _workers(self) -> dict[int, int]:
        """The slot of each worker, by its number as a process."""
        processes = [(slot.process, slot.number) for slot in self._slots]
        return {process.pid: number for process, number in processes if process is not None}

    def _check(self, slot: Slot, now: float, strays: Collection[int], on_gpu: Mapping[int, int]) -> None:
        attempt, process = slot.attempt, slot.process
        if attempt is None or process is None or attempt.verdict is not None:
            return
        if now >= attempt.deadline:
            text = f"killed at its time limit of {slot.time_limit:g} s"
            slot.kill(attempt, process, "killed", Outcome(TrialState.TIMEOUT, error=text))
            return
        if self._memory is not None:
            held = self._memory.held(slot.number, process.pid, strays)
            attempt.peak = max(attempt.peak, held)
            has_hope = held > FULL * self._memory.limit and slot.relieve(attempt, process, held, now)
            if held > self._memory.limit and not has_hope and not self._memory.is_enforced:
                limit = f"limit of {self._memory.limit / 1e6:.0f} MB"
                text = f"killed at its memory {limit}: its processes held {held / 1e6:.0f} MB"
                slot.kill(attempt, process, "killed", Outcome(TrialState.MEMORY, error=text))
        if self._gpu is not None and on_gpu:
            held = sum(on_gpu.get(pid, 0) for pid in {*tree_of(process.pid), *strays})
            if held > self._gpu.limit:
                slot.kill(attempt, process, "killed", attempt.on_full_gpu(self._gpu.limit, held))


def require_memory_limits() -> None:
    """Check that memory can be measured on this system.

    Raises:
        MissingExtraError: It is not Linux, and psutil is not installed.
    """
    if not current().reads_proc:
        try:
            import psutil  # noqa: F401
        except ImportError as fault:
            text = 'memory_limit: needs psutil on this system, pip install "autohpo[limits]"'
            raise MissingExtraError(text) from fault


def tree_memory(pid: int, limit: int, strays: Collection[int] = ()) -> int:
    """Return the bytes of memory that a process, its descendants and `strays` hold; 0 where they are gone.

    Resident pages count for each process, so forked children that share their parent's data count it again. Only
    where that sum breaks `limit` are shared pages divided among those who share them, which is slow to measure.
    """
    if not current().reads_proc:
        return _psutil_memory(pid)
    tree = {*tree_of(pid), *strays}
    resident = sum(map(_resident_bytes, tree))
    if resident <= limit or len(tree) == 1:
        return resident
    return sum(map(_proportional_bytes, tree))


def _resident_bytes(pid: int) -> int:
    fields = read_proc(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def _proportional_bytes(pid: int) -> int:
    for line in read_proc(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident_bytes(pid)  # an old kernel, or no permission


def _psutil_memory(pid: int) -> int:
    import psutil

    total = 0
    for member in tree_of(pid):
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(member).memory_info().rss
    return total
