"""The worker: a process that runs one task after another and says over a pipe how each went.

Started by :class:`autohpo.execution.process.WorkerProcess` in a session of its own. Its standard input is the null
device and its output a log file: the frames have pipes of their own, which no child of the objective inherits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from queue import SimpleQueue

from autohpo.errors import InvalidPerfError
from autohpo.execution.forks import ForkFilter
from autohpo.execution.frames import DROP, EXIT, KEY, MAX_ANSWER_BYTES, RELIEVE, ROOT, STOP, TASK, Message, read_frame
from autohpo.execution.generators import Generators
from autohpo.execution.mains import load_objective, load_task
from autohpo.execution.memory_ways import meter_from
from autohpo.execution.meters import MemoryMeter
from autohpo.execution.platform import current, named, use
from autohpo.execution.platform.base import Channels
from autohpo.execution.streams import open_streams
from autohpo.execution.tree import finder_of
from autohpo.objective import Evaluator, user_traceback
from autohpo.trial import Outcome, Perf, TrialState
from autohpo.trial_handle import Report


def main(setting_file: str, *words: str) -> None:
    """Serve the driver that started this process, until told to exit.

    Args:
        setting_file: What :meth:`autohpo.execution.process.Launch.write` wrote.
        words: What its channels are found by.
    """
    with open(setting_file, encoding="utf-8") as file:
        setting = json.load(file)
    platform = named(setting["platform"])
    use(platform)
    platform.end_with_driver()
    sys.argv = setting["argv"]
    channels = platform.open_channels(words)
    if sys.stderr is not None:
        faulthandler.enable()
    platform.ignore_interrupts()
    open_streams()  # what was printed before a crash must be in the log
    logging.getLogger("autohpo").setLevel(setting["level"])
    platform.expose_to_oom_killer()
    worker = Worker(channels, meter_from(setting["memory"]), setting["run"])
    worker.load(setting["objective"])
    worker.serve()


class Worker:
    """A worker that runs tasks in the main thread, while a second thread listens to the driver.

    The second thread is the lifeline: when the driver is gone, its end of the pipe is closed, and the worker ends its
    own process group at once, whatever the objective is doing.

    Args:
        channels: The channels from and to the driver.
        meter: What measures its memory, if that is limited; then it says how much it holds.
        run: The name of the run, by which it finds its processes.
    """

    def __init__(self, channels: Channels, meter: MemoryMeter | None = None, run: str = "") -> None:
        self._strays, self._slot = finder_of(run), int(os.environ.get("AUTOHPO_SLOT", "0"))
        self._meter = meter
        self._has_dropped, self._last_held = False, 0  # what it held when it was measured last
        self._generators = Generators()
        sys.meta_path.insert(0, self._generators)
        self._channels = channels
        self._write_lock = threading.Lock()  # an objective may report from several threads
        self._todo: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
        self._stopped: tuple[int, int] | None = None
        self._evaluator: Evaluator | None = None
        self._fault = ""
        self._process = os.getpid()
        threading.Thread(target=self._listen, name="autohpo-lifeline", daemon=True).start()
        ForkFilter().install()

    def load(self, path: str) -> None:
        """Load the objective; if that fails, every task fails with the reason."""
        if self._meter is not None:
            self._meter.enter(self._slot)
        try:
            self._evaluator = Evaluator(load_objective(path))
        except BaseException:  # the user's modules are imported here: they may even call sys.exit
            self._fault = f"the objective cannot be loaded in a worker process:\n{user_traceback()}"
        self._last_held = self._held()
        self._say(Message("ready", held=self._last_held))

    def _held(self) -> int:
        """Return the bytes that this process and its children hold; 0 where nobody asks."""
        if self._meter is None:
            return 0
        strays = self._strays.find({os.getpid(): self._slot}) if self._meter.needs_strays else {}
        return self._meter.held(self._slot, os.getpid(), strays.get(self._slot, ()))

    def serve(self) -> None:
        """Do what the driver says, in its order; return when told to exit."""
        while True:
            kind, body = self._todo.get()
            if kind == TASK:
                self._run(body)
            elif self._evaluator is not None:
                try:
                    self._evaluator.drop(*ROOT.unpack(body)) if kind == DROP else self._evaluator.close()
                    self._has_dropped = True
                except Exception:  # the objective's own `finally` raised: it harms no trial
                    traceback.print_exc()
            if kind == EXIT:
                return

    def _run(self, body: bytes) -> None:
        number, attempt = KEY.unpack_from(body)
        if self._has_dropped and self._meter is not None:
            give_back_memory()
            self._last_held = self._held()
        self._has_dropped = False
        self._say(Message("started", number, attempt, held=self._last_held))
        is_paused = False
        if self._evaluator is None:
            outcome = Outcome(TrialState.FAILED, error=self._fault)
        else:
            try:
                task = load_task(memoryview(body)[KEY.size :])
                self._generators.seed(task, is_continued=self._evaluator.holds(task.root))
                outcome = self._evaluator.run(task, self._reporter(number, attempt))
                is_paused = self._evaluator.holds(task.root)
            except BaseException:  # a configuration that cannot be loaded; a KeyboardInterrupt of the objective
                outcome = Outcome(TrialState.FAILED, error=user_traceback())
        if os.getpid() != self._process:  # the objective forked, and this is its child coming back
            os._exit(0)
        with contextlib.suppress(Exception):  # the objective may have closed or replaced it
            sys.stdout.flush()
        self._last_held = self._held()
        self._say(Message("end", number, attempt, outcome=outcome, is_paused=is_paused, held=self._last_held))

    def _reporter(self, number: int, attempt: int) -> Report:
        def report(fidelity: float, perf: Perf, metrics: Mapping[str, float] | None = None) -> bool:
            self._say(Message("report", number, attempt, fidelity, perf, metrics))
            return self._stopped != (number, attempt)

        report.is_asked_to_end = lambda: self._stopped == (number, attempt)  # type: ignore[attr-defined]
        return report

    def _say(self, message: Message) -> None:
        frame = message.pack()
        if len(frame) > MAX_ANSWER_BYTES and message.kind == "report":
            raise InvalidPerfError(f"a report has {len(frame)} bytes, and may have {MAX_ANSWER_BYTES}")
        with self._write_lock:
            self._channels.send(frame)

    def _listen(self) -> None:
        try:
            while (frame := read_frame(self._channels.pipe)) is not None:
                kind, body = frame[:1], frame[1:]
                if kind == STOP:  # not through the queue: the trial it is for is running
                    self._stopped = KEY.unpack(body)
                elif kind == RELIEVE:  # nor this: the trial that runs needs the room
                    threading.Thread(target=self._relieve, args=ROOT.unpack(body), daemon=True).start()
                else:
                    self._todo.put((kind, body))
        finally:  # a worker that does not listen would wait for ever
            current().end_worker()

    def _relieve(self, root: int) -> None:
        """Let go of a paused training while a trial runs."""
        if self._evaluator is not None:
            self._evaluator.drop(root)
            give_back_memory()


def give_back_memory() -> None:
    """Give memory that was freed back to the system, which else stays with the process."""
    gc.collect()
    with contextlib.suppress(Exception):  # only glibc has it
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
