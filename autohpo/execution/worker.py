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
import signal
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
from autohpo.execution.streams import open_streams
from autohpo.execution.tree import Strays
from autohpo.objective import Evaluator, Report, user_traceback
from autohpo.trial import Outcome, Perf, TrialState

# The system's out-of-memory killer takes the process with the highest score: a worker rather than its driver.
OOM_SCORE_STEP = 500

PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(setting_file: str, *numbers: str) -> None:
    """Serve the driver that started this process, until told to exit.

    Args:
        setting_file: What :meth:`autohpo.execution.process.Launch.write` wrote.
        numbers: The descriptors of the two pipes.
    """
    read_fd, write_fd = map(int, numbers)
    _end_with_driver()
    with open(setting_file, encoding="utf-8") as file:
        setting = json.load(file)
    sys.argv = setting["argv"]
    for fd in (read_fd, write_fd):  # whoever inherits them would keep the pipe open after this process ended
        os.set_inheritable(fd, False)  # noqa: FBT003
    if sys.stderr is not None:
        faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which then decides
    open_streams()  # what was printed before a crash must be in the log
    logging.getLogger("autohpo").setLevel(setting["level"])
    _raise_oom_score()
    worker = Worker(read_fd, write_fd, meter_from(setting["memory"]), setting["run"])
    worker.load(setting["objective"])
    worker.serve()


def _end_with_driver() -> None:
    """Have the system end this process with its driver, also while a C loop holds the interpreter lock.

    The guardian does that too, but it may have been killed first. The death of the driver sends SIGHUP, whose handler
    is the C function ``alarm``: called with the number of that signal, 1, it ends this process a second later. Until
    then the lifeline ends it with what it started, if it can.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import ctypes

        libc = ctypes.CDLL(None)
        libc.signal(int(signal.SIGHUP), ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGHUP), 0, 0, 0)


def _raise_oom_score() -> None:
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:
        score = int(file.read())
        file.seek(0)
        file.write(str(min(1000, score + OOM_SCORE_STEP)))


class Worker:
    """A worker that runs tasks in the main thread, while a second thread listens to the driver.

    The second thread is the lifeline: when the driver is gone, its end of the pipe is closed, and the worker ends its
    own process group at once, whatever the objective is doing.

    Args:
        read_fd: The pipe from the driver.
        write_fd: The pipe to the driver.
        meter: What measures its memory, if that is limited; then it says how much it holds.
        run: The name of the run, by which it finds its processes.
    """

    def __init__(self, read_fd: int, write_fd: int, meter: MemoryMeter | None = None, run: str = "") -> None:
        self._strays, self._slot = Strays(run), int(os.environ.get("AUTOHPO_SLOT", "0"))
        self._meter = meter
        self._has_dropped, self._last_held = False, 0  # what it held when it was measured last
        self._generators = Generators()
        sys.meta_path.insert(0, self._generators)
        self._pipe = open(read_fd, "rb")  # noqa: SIM115 - for the life of the process
        self._write_fd = write_fd
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
            rest = memoryview(frame)
            while rest:
                rest = rest[os.write(self._write_fd, rest) :]

    def _listen(self) -> None:
        try:
            while (frame := read_frame(self._pipe)) is not None:
                kind, body = frame[:1], frame[1:]
                if kind == STOP:  # not through the queue: the trial it is for is running
                    self._stopped = KEY.unpack(body)
                elif kind == RELIEVE:  # nor this: the trial that runs needs the room
                    threading.Thread(target=self._relieve, args=ROOT.unpack(body), daemon=True).start()
                else:
                    self._todo.put((kind, body))
        finally:  # a worker that does not listen would wait for ever
            os.killpg(0, signal.SIGKILL)

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
