"""The ``trial`` that an objective may ask for: it reports through it, and finds its checkpoints."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autohpo.errors import InvalidPerfError, OptionError, short
from autohpo.objectives import Objectives
from autohpo.odometer import Odometer
from autohpo.outcome import checked_size
from autohpo.reported import ReportLog
from autohpo.trial import Outcome, Task, TrialState, whole

if TYPE_CHECKING:
    from autohpo.mirrors import Mirror

Report = Callable[..., bool]
"""``report(fidelity, perf)`` tells the search how far a trial came; False asks it to end. Where there are metrics, they
are a third argument."""

Moment = Literal["pause", "resume"]
"""When a hook is called: as a generator pauses, or before it goes on."""


class TrialHandle:
    """The ``trial`` that an objective may ask for: it reports through it, and finds its checkpoints.

    It belongs to one attempt at one trial. What is reported when that attempt has ended, by a thread that it left
    behind, is ignored.

    Attributes:
        number: The number of the trial.
        attempt: Which start of the trial this is, from 1; above 1 an earlier one did not come to its end.
        seed: A number for every random choice of the training.
        fidelity: How much training the trial gets in all, counted from nothing; None means full.
        slot: The number of the worker that runs it, from 0.
        reports: ``(fidelity, perf)`` in the order reported.
        is_stopped: Whether the search said that the trial should end.
    """

    def __init__(self, task: Task, report: Report, objectives: Objectives | None = None) -> None:
        self._log = ReportLog()
        self.reports = self._log.reports
        self.is_stopped = False
        self._objectives = Objectives.of("max") if objectives is None else objectives
        self._done: float = 0
        self._beyond: float = 0  # how far a program went on before it was ended
        self._mirror: Mirror | None = None
        self._hooks: dict[Moment, list[Callable[[], object]]] = {"pause": [], "resume": []}
        self._bind(task, report)

    def _bind(self, task: Task, report: Report) -> None:
        """Take over the next task of the same training."""
        self.number, self.attempt, self.seed = task.number, task.attempt, task.seed
        self.fidelity, self.slot, self._most, self._began = task.fidelity, task.slot, task.most, self._done
        self._folder, self._process, self._odometer = task.checkpoint_dir, os.getpid(), Odometer(task)
        if "://" in task.checkpoint_dir:
            from autohpo.mirrors import mirror_of  # few runs need it, and workers start faster without

            self._mirror = mirror_of(task, self._mirror)
        self._send: Report | None = report
        self._log.is_over, self._log.n_ignored = False, 0

    @property
    def device(self) -> str | None:
        """The GPU that its worker was given, as ``optimize(gpus=...)`` names it; None where none was."""
        return os.environ.get("AUTOHPO_DEVICE")

    def _release(self, *, keeps_folder: bool = False) -> None:
        """Ignore what is reported from now on: the attempt has ended.

        Args:
            keeps_folder: Whether the training is only paused, and goes on here.
        """
        self._send = None
        self._odometer.close()
        if self._mirror is not None:
            self._mirror.end(keeps_folder=keeps_folder)

    @property
    def checkpoint_dir(self) -> Path:
        """The folder of this training: the same one after a pause, a promotion and a crash.

        Where checkpoints are kept under a URL, it is a copy on this machine: brought here when it is first asked for,
        and saved there before each report goes out, and when the attempt ends.

        Raises:
            CheckpointError: What is kept there cannot be read.
        """
        if self._mirror is not None:
            return self._mirror.folder
        folder = Path(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def report(self, perf: object, fidelity: float | None = None, *, metrics: object = None) -> bool:
        """Tell the search how good the training is so far; False means: stop here, and later reports are ignored.

        Args:
            perf: One finite number, or what else ``Objectives.measure_report`` takes.
            fidelity: How much training is done, counted from nothing; by default one more than at the last report.
            metrics: Further numbers by name, kept in the log; the trial has the last, the least and the largest of
                each as ``metrics["loss"]``, ``["loss.min"]`` and ``["loss.max"]``.

        Raises:
            InvalidPerfError: `perf` or `fidelity` is not one finite number. Uncaught, it makes the trial INVALID.
            CheckpointError: Checkpoints are kept under a URL, and cannot be saved there.
        """
        send = self._send
        if send is None or os.getpid() != self._process:  # a forked child has no say in the search
            return False
        if self._log.is_over:
            self._log.n_ignored += 1
            return False
        value, more = self._objectives.measure_report(perf, metrics)
        if more:
            checked_size(Outcome(TrialState.RUNNING, metrics=more))
        done = self._done + 1 if fidelity is None else whole(float(fidelity))
        if not 0 <= done < math.inf:
            raise InvalidPerfError(f"fidelity: must be finite and at least 0, got {done}")
        self._done = done
        self.reports.append((done, value))
        self._odometer.note(done - self._began)
        if more:
            self._log.tally.count(more)
        if self._mirror is not None:
            self._mirror.save()  # first: a search that knows of the report may rely on its checkpoint
        is_wanted = send(done, value, more) if more else send(done, value)
        if not is_wanted or (self._has_all and not self.is_enough):
            self.is_stopped = True
        self._log.is_over = self._odometer.is_over = self.is_stopped or self.is_enough
        return not self._log.is_over

    @property
    def is_asked_to_end(self) -> bool:
        """Whether the search asked this trial to end: before the next report only where its executor can tell."""
        asked = getattr(self._send, "is_asked_to_end", None)
        if asked is not None and not self._log.is_over and asked():
            self.is_stopped = self._log.is_over = True
        return self.is_stopped

    def resume_at(self, fidelity: float) -> None:
        """Say that training state up to `fidelity` was loaded from :attr:`checkpoint_dir`."""
        done = whole(float(fidelity))
        self._done, self._began = done, self._began + done - self._done

    def on_pause(self, hook: Callable[[], object]) -> None:
        """Have something done whenever this training, a generator, pauses: such as to move a model off a GPU.

        Hooks are called in the order given, in the process of the training, when its last yield of a rung is reported.
        One that raises makes the trial FAILED, and ends the training. None is called where a training ends.

        Args:
            hook: A callable without arguments.

        Raises:
            OptionError: It is not callable.
        """
        self._add("pause", hook)

    def on_resume(self, hook: Callable[[], object]) -> None:
        """Have something done before this training, a generator that paused, goes on.

        Hooks are called in the order given. One that raises makes the trial FAILED, and ends the training. Where a
        training was let go, it starts again from its first line, and none is called.

        Args:
            hook: A callable without arguments.

        Raises:
            OptionError: It is not callable.
        """
        self._add("resume", hook)

    def _add(self, moment: Moment, hook: Callable[[], object]) -> None:
        if not callable(hook):
            raise OptionError(f"on_{moment}: must be callable, got {short(hook)}")
        self._hooks[moment].append(hook)

    def _forget_hooks(self) -> None:
        for hooks in self._hooks.values():
            hooks.clear()

    def _call(self, moment: Moment) -> None:
        for hook in tuple(self._hooks[moment]):
            hook()

    @property
    def trained(self) -> float | None:
        """How much training this attempt did, as far as it was said; None where nothing was."""
        return done - self._began if (done := max(self._done, self._beyond)) > self._began else None

    @property
    def is_continued(self) -> bool:
        """Whether this attempt goes on from where a training stood."""
        return self._began > 0

    @property
    def _has_all(self) -> bool:
        return self._most is not None and self._done - self._began >= self._most - 1e-9

    @property
    def is_enough(self) -> bool:
        """Whether the training has come as far as this trial's fidelity."""
        return self.fidelity is not None and self._done >= self.fidelity - 1e-9
