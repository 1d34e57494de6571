"""A slot: one task at a time in a worker process, and a new process wherever the last one died."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass

from autohpo.errors import AutoHPOError, OptionError
from autohpo.execution.base import Event, EventKind
from autohpo.execution.frames import DROP, EXIT, KEY, RELIEVE, ROOT, STOP, TASK, FrameError, Message, pack_frame
from autohpo.execution.mains import dump_task
from autohpo.execution.memory import WorkerMemory
from autohpo.execution.platform.base import Guard
from autohpo.execution.process import Launch, WorkerProcess
from autohpo.execution.tree import tree_of
from autohpo.trial import Outcome, Task, TrialState

logger = logging.getLogger(__name__)

MAX_SENDS = 3  # a task that no worker lives to take
START_LIMIT_SECONDS = 300.0  # to import what the objective needs: far above what the slowest libraries take
NOISE = 0.01  # of the memory limit: so much the same trial takes more or less when it is run again
RENEW_SECONDS = 1.0  # for a worker that was killed to be gone
CROWDED = (
    "its worker passed the memory limit with what earlier trials hold there, so it was ended; it is run again in a "
    "worker of its own"
)
LEAST_START_LIMIT_SECONDS = 10.0  # where the time limit of a trial is less than any import may take
EXIT_SECONDS = 0.1  # from the end of a worker's pipe to its own end


@dataclass(eq=False)
class Attempt:
    """A task on its way through a slot.

    Attributes:
        task: What was submitted.
        frame: The task as it is sent.
        n_sent: How many processes it was sent to.
        is_started: Whether a worker took it.
        is_stopping: Whether it was asked to end at its next report.
        deadline: When it must have ended, by the monotonic clock; set once a ready worker has it.
        log_start: The byte of the log where its output begins.
        is_first: Whether its worker has run nothing else.
        own: The bytes of memory of the paused training that it continues.
        held: The bytes that its worker held when it began, where memory is limited.
        peak: The most that was measured since.
        held_on_gpu: The bytes that its worker held on GPUs when it began, where that is limited.
        is_judged: Whether its verdict says already whose memory it was.
        verdict: Why its process was killed, if it was.
    """

    task: Task
    frame: bytes
    n_sent: int = 0
    is_started: bool = False
    is_stopping: bool = False
    deadline: float = math.inf
    log_start: int = 0
    is_first: bool = True
    own: int = 0
    held: int = 0
    peak: int = 0
    held_on_gpu: int = 0
    is_judged: bool = False
    verdict: tuple[EventKind, Outcome] | None = None

    def is_innocent(self, limit: int | None, fresh: int) -> bool:
        """Whether what others left in the worker may have been too much, and not what this attempt added.

        Args:
            limit: The bytes of memory that the worker may hold.
            fresh: What it held before it ran anything.
        """
        if limit is None or self.is_first or self.is_judged:
            return False
        of_others = max(0.0, self.held - fresh - self.own - NOISE * limit)
        return not self.is_started or (of_others > 0 and self.peak - of_others <= limit)

    def on_full_gpu(self, limit: int, held: int) -> Outcome:
        """Return the outcome of an attempt that is ended for the memory of GPUs: MEMORY, unless others left too much.

        Args:
            limit: The bytes of it that a worker may hold.
            held: What it holds.
        """
        self.is_judged = True
        if self.held_on_gpu > NOISE * limit and held - self.held_on_gpu <= limit:
            return Outcome(TrialState.CANCELLED, error=CROWDED)
        text = f"killed at its GPU memory limit of {limit / 1e6:.0f} MB: its processes held {held / 1e6:.0f} MB there"
        return Outcome(TrialState.MEMORY, error=text)

    @property
    def key(self) -> tuple[int, int]:
        """The number of the trial, and that of the attempt."""
        return self.task.number, self.task.attempt

    def event(
        self,
        kind: EventKind,
        slot: int,
        outcome: Outcome | None = None,
        report: Message | None = None,
    ) -> Event:
        """Return an event of this attempt."""
        if report is None:
            return Event(kind, *self.key, slot, outcome)
        return Event(kind, *self.key, slot, outcome, report.fidelity, report.perf, report.metrics)


class Slot:
    """A slot: one worker process, and the attempt that runs there.

    All methods but :meth:`kill` and :meth:`relieve` belong to the thread of the executor.

    Args:
        number: The number of the slot, from 0.
        launch: What its processes are started with.
        guardian: What ends them if the driver dies.
        time_limit: The seconds that an attempt may take, if limited.

    Attributes:
        attempt: The attempt that runs, if one does.
        process: The process, if there is one now.
        memory: What its worker holds, and the trainings that are paused there.
    """

    def __init__(self, number: int, launch: Launch, guardian: Guard, time_limit: float | None) -> None:
        self.number = number
        self.time_limit = time_limit
        self.attempt: Attempt | None = None
        self.process: WorkerProcess | None = None
        self.memory = WorkerMemory(launch.memory_limit)
        self._launch, self._meter = launch, launch.meter
        self._guardian = guardian
        self._lock = threading.Lock()  # held to kill a process, to free its number, and to begin and end an attempt

    @property
    def start_limit(self) -> float:
        """The seconds that a process may take to load the objective: as long as a trial, if that is limited."""
        if self.time_limit is None:
            return START_LIMIT_SECONDS
        return min(max(self.time_limit, LEAST_START_LIMIT_SECONDS), START_LIMIT_SECONDS)

    def start(self) -> WorkerProcess:
        """Return the process, a new one if there is none."""
        if self.process is None:
            self.process = WorkerProcess(self._launch, self.number, self._guardian)
        return self.process

    def submit(self, task: Task, *, is_alone: bool = False) -> None:
        """Run a task.

        Args:
            task: The task.
            is_alone: Whether it needs a worker that holds nothing else.

        Raises:
            OptionError: Another one is running, or its configuration cannot be pickled.
        """
        if self.attempt is not None:
            raise OptionError(f"slot: must be free, but {self.number} runs trial {self.attempt.task.number}")
        attempt = Attempt(task, pack_frame(TASK, KEY.pack(task.number, task.attempt), dump_task(task)))
        if is_alone:
            self._renew()
        self.start()
        own = self.memory.paused.pop(task.root, 0)
        self._make_room()
        with self._lock:
            attempt.own = own
            self.attempt = attempt  # first, so that an interrupt here loses no task that was sent
        self._send(attempt)

    def _make_room(self) -> None:
        """Let go of paused trainings, where they and another trial would not fit into the memory of the worker."""
        if self.memory.paused and self.memory.limit is not None and self.process is not None:
            held = self._held(self.process)
            for root in self.memory.to_let_go(held, self.memory.growth):
                self.drop(root)

    def _held(self, process: WorkerProcess) -> int:
        return 0 if self._meter is None else self._meter.held(self.number, process.pid)

    def _renew(self) -> None:
        """End an idle worker that has run something: the next one is clean."""
        process = self.process
        if process is not None and process.n_tasks:
            process.kill()
            if not process.has_exited_within(RENEW_SECONDS):
                return  # once it is gone, the task goes to the next one
            with self._lock:
                process.bury()
                self.process = None
                self.memory.renew()

    def _send(self, attempt: Attempt) -> None:
        process = self.start()
        attempt.is_first = not process.n_tasks
        process.n_tasks += 1
        attempt.log_start = process.log.begin_trial() if process.is_ready else process.log_start
        attempt.n_sent += 1
        if self._launch.gpu is not None and not attempt.is_first:
            attempt.held_on_gpu = self._launch.gpu.held(tree_of(process.pid))
        process.send(attempt.frame)
        if attempt.is_stopping:
            process.send(pack_frame(STOP, KEY.pack(*attempt.key)))
        attempt.deadline = self._deadline() if process.is_ready else math.inf

    def _deadline(self) -> float:
        return math.inf if self.time_limit is None else time.monotonic() + self.time_limit

    def stop(self) -> None:
        """Ask the running trial to end at its next report."""
        if self.attempt is not None and not self.attempt.is_stopping:
            self.attempt.is_stopping = True
            if self.process is not None:
                self.process.send(pack_frame(STOP, KEY.pack(*self.attempt.key)))

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain."""
        with self._lock:
            is_here = root in self.memory.paused
            if is_here:
                self.memory.dropped(root)
        if is_here and self.process is not None:
            self.process.send(pack_frame(DROP, ROOT.pack(root)))

    def relieve(self, attempt: Attempt, process: WorkerProcess, held: int, now: float) -> bool:
        """Let go of paused trainings while a trial runs that needs their room; from any thread.

        Args:
            attempt: The attempt that runs.
            process: The process that it runs in.
            held: The bytes of memory that the process and its children hold.
            now: The time, by the monotonic clock.

        Returns:
            Whether there is hope: the process may go above its limit for a moment.
        """
        with self._lock:
            if self.attempt is not attempt or self.process is not process:
                return True
            if self.memory.is_due(now):
                roots = self.memory.to_let_go(held)
                for root in roots:
                    del self.memory.paused[root]
                    process.send(pack_frame(RELIEVE, ROOT.pack(root)))
                if roots:
                    self.memory.relieved(now)
            return self.memory.is_patient(held, now)

    def kill(self, attempt: Attempt, process: WorkerProcess, kind: EventKind, outcome: Outcome) -> None:
        """End a process with an outcome for its attempt, unless either is no longer here; from any thread."""
        with self._lock:
            if self.attempt is attempt and self.process is process and attempt.verdict is None:
                attempt.verdict = (kind, outcome)
                process.kill()

    def read(self) -> list[Event]:
        """Return the events that the worker's frames, or its end, stand for."""
        events: list[Event] = []
        if self.process is None:
            return events
        try:
            for body in self.process.receive():
                events += self._understand(Message.unpack(body))
        except FrameError as fault:
            self._condemn(f"its process broke the protocol: {fault}")
        if self.process.is_eof:
            events += self._end()
        return events

    def check(self) -> list[Event]:
        """Return the events of what no pipe tells; to be called every now and then."""
        process, attempt = self.process, self.attempt
        if process is None:
            return []
        if process.has_exited():  # if without the end of the pipe, then a process that it forked holds that
            events = [] if process.is_eof else self.read()
            return events + self._end() if self.process is process else events
        if attempt is not None:
            process.log.shorten(attempt.log_start)
        if attempt is not None and not process.is_ready and time.monotonic() > process.started + self.start_limit:
            text = f"killed: after {self.start_limit:g} s its process had not loaded the objective"
            self.kill(attempt, process, "killed", Outcome(TrialState.TIMEOUT, error=text))
        return []

    def _understand(self, message: Message) -> list[Event]:
        attempt, process = self.attempt, self.process
        if message.kind == "ready" and process is not None:
            process.is_ready = True
            self.memory.fresh = message.held
            if attempt is not None:
                attempt.deadline = self._deadline()
        if attempt is None or (message.number, message.attempt) != attempt.key:
            return []  # a thread that an ended trial left behind may still report
        if message.kind == "started":
            attempt.is_started = True
            attempt.held = message.held
            self.memory.began()
            return [attempt.event("started", self.number)]
        if message.kind == "report":
            return [attempt.event("report", self.number, report=message)]
        if message.outcome is None:
            return []
        self._keep_output(attempt)
        added = message.held - attempt.held
        with self._lock:
            self.attempt = None
            self.memory.growth = max(self.memory.growth, added, attempt.peak - attempt.held)
            if message.is_paused:
                self.memory.paused[attempt.task.root] = max(0, attempt.own + added)
        kind: EventKind = "done" if message.outcome.state.has_perf else "failed"
        return [attempt.event(kind, self.number, self._judged(attempt, message.outcome, self.memory.fresh))]

    def _keep_output(self, attempt: Attempt) -> None:
        """Keep what an attempt printed that has ended, and no more of it than that."""
        if self.process is not None:
            if self._launch.outputs is not None:
                self._launch.outputs.keep(*attempt.key, self.process.log.output(attempt.log_start))
            self.process.log.shorten(attempt.log_start)

    def _judged(self, attempt: Attempt, outcome: Outcome, fresh: int) -> Outcome:
        """Return an outcome that blames memory where that is why, and no trial for what others hold of it."""
        if self._meter is not None:
            outcome = self._meter.judged(outcome)
        if outcome.state is TrialState.MEMORY and attempt.is_innocent(self._launch.memory_limit, fresh):
            return Outcome(TrialState.CANCELLED, error=CROWDED)
        return outcome

    def _condemn(self, text: str) -> None:
        """End a process that lives but cannot be worked with."""
        if self.process is not None:
            if self.attempt is not None:
                outcome = Outcome(TrialState.CRASHED, error=text)
                self.kill(self.attempt, self.process, "died", outcome)
            self.process.kill()
            self.process.is_eof = True  # listen no more

    def _end(self) -> list[Event]:
        """Bury a process whose pipe ended; send its task to a new one if no worker had taken it."""
        process, attempt = self.process, self.attempt
        if process is None:
            return []
        if not process.has_exited_within(EXIT_SECONDS):
            self._condemn("its process closed the pipe to the driver")
            return []  # check() comes back to it
        if attempt is not None:
            process.log.shorten(attempt.log_start)
        with self._lock:
            tail = "" if attempt is None else process.log.tail(attempt.log_start)
            if attempt is not None:
                self._keep_output(attempt)
            end = process.bury()
            self.process = None
            fresh = self.memory.fresh
            self.memory.renew()
        if attempt is None:
            logger.info("slot %d: the idle worker %s", self.number, end)
            return []
        if attempt.verdict is None and not attempt.is_started:
            end += f" before it took the trial, {attempt.n_sent} times"
            try:
                if attempt.n_sent < MAX_SENDS:
                    self._send(attempt)
                    return []
            except AutoHPOError as fault:
                end += f"; {fault}"
        text = f"its process {end}" + (f"; its last output:\n{tail}" if tail else "")
        kind, outcome = attempt.verdict or ("died", Outcome(TrialState.CRASHED, error=text))
        if attempt.verdict is None and self._meter is not None and (why := self._meter.why_died(self.number, tail)):
            kind, outcome = "killed", Outcome(TrialState.MEMORY, error=why)
        self.attempt = None
        return [attempt.event(kind, self.number, self._judged(attempt, outcome, fresh))]

    def ask_exit(self) -> None:
        """Ask an idle worker to exit, which ends its paused trainings in order; kill a busy one."""
        process = self.process
        if process is None:
            return
        if self.attempt is None and process.is_ready and not process.is_eof:
            process.send(pack_frame(EXIT))
        else:
            process.kill()

    def close(self, until: float) -> None:
        """End the process, after a wait until a time of the monotonic clock."""
        process, self.process, self.attempt = self.process, None, None
        if process is None:
            return
        process.kill()
        if process.has_exited_within(until - time.monotonic()):
            process.bury()
        else:  # the system cannot end it now (a dead network file system); its channels must not stay
            process.close_channels()
