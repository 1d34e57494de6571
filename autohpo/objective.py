"""The objective: what a user's function may ask for by name, and how its shapes become one protocol."""

from __future__ import annotations

import inspect
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autohpo.errors import AutoHPOError, InvalidPerfError, OptionError, short
from autohpo.forked import OnlyHere
from autohpo.objectives import Objectives, as_perf
from autohpo.odometer import Odometer
from autohpo.outcome import checked_size
from autohpo.reported import Keep, ReportLog, ReportRules
from autohpo.signatures import is_any, is_generator, names_in
from autohpo.trial import Outcome, Task, TrialState, whole

_log = logging.getLogger("autohpo")

OFFERED = ("dataset", "fidelity", "trial", "seed")

OURS = ("autohpo.objective", "autohpo.objectives", "autohpo.odometer", "autohpo.reported", "autohpo.trainer")
"""Modules whose frames say nothing to a user whose objective raised; those of executors are left out, too."""

MAX_ERROR_CHARACTERS = 16_000

Report = Callable[..., bool]
"""``report(fidelity, perf)`` tells the search how far a trial came; False asks it to end. Where there are metrics, they
are a third argument."""


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
        self._bind(task, report)

    def _bind(self, task: Task, report: Report) -> None:
        """Take over the next task of the same training."""
        self.number, self.attempt, self.seed = task.number, task.attempt, task.seed
        self.fidelity, self.slot, self._most, self._began = task.fidelity, task.slot, task.most, self._done
        self._folder, self._process, self._odometer = task.checkpoint_dir, os.getpid(), Odometer(task)
        self._send: Report | None = report
        self._log.is_over, self._log.n_ignored = False, 0

    @property
    def device(self) -> str | None:
        """The GPU that its worker was given, as ``optimize(gpus=...)`` names it; None where none was."""
        return os.environ.get("AUTOHPO_DEVICE")

    def _release(self) -> None:
        """Ignore what is reported from now on: the attempt has ended."""
        self._send = None
        self._odometer.close()

    @property
    def checkpoint_dir(self) -> Path:
        """The folder of this training: the same one after a pause, a promotion and a crash."""
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


@dataclass(frozen=True)
class Objective:
    """A user's function and what it asks for.

    Attributes:
        f: The function, called as ``f(hps, ...)``.
        dataset: What `f` gets as ``dataset``, where it names that.
        wants: Which of ``dataset, fidelity, trial, seed`` `f` names.
        has_default: Which of these have a default of their own in `f`: it is kept where there is nothing to hand over.
        takes_fidelity: Whether `f` can be given less than full training.
        objectives: What its results mean.
        fidelity_name: The hyper-parameter that holds the fidelity, where one does.
        is_generator: Whether `f` yields a result after each step of its training.
        keep: Whether the result of what reports or yields is its last value, or the best of them.
    """

    f: Callable[..., Any]
    dataset: Any = None
    wants: frozenset[str] = frozenset()
    has_default: frozenset[str] = frozenset()
    takes_fidelity: bool = False
    objectives: Objectives = field(default_factory=lambda: Objectives.of("max"))
    fidelity_name: str | None = None
    is_generator: bool = False
    keep: Keep = "last"

    @classmethod
    def of(
        cls,
        f: Callable[..., Any],
        dataset: Any = None,
        mode: object = "max",
        fidelity_name: str | None = None,
        keep: Keep = "last",
    ) -> Objective:
        """Read the signature of `f`.

        Args:
            f: The user's function.
            dataset: What it gets as ``dataset``.
            mode: Which way each objective is better.
            fidelity_name: The hyper-parameter that holds the fidelity, where one does.
            keep: Whether the result of what reports or yields is its last value, or the best of them.

        Raises:
            OptionError: `f` is not callable, takes no configuration, or needs an argument that nobody offers.
        """
        if not callable(f):
            raise OptionError(f"f: must be callable, got {short(f)}")
        if is_any(f, inspect.iscoroutinefunction, inspect.isasyncgenfunction):
            raise OptionError("f: must not be a coroutine function; give lambda hps: asyncio.run(f(hps))")
        try:
            parameters = list(inspect.signature(f).parameters.values())
        except (TypeError, ValueError):  # some built-ins have no signature
            return cls(f, dataset, objectives=Objectives.of(mode), fidelity_name=fidelity_name, keep=keep)
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if not parameters or parameters[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
            raise OptionError("f: must take the configuration as its first argument")
        named = [p for p in parameters[1:] if p.kind in (positional[1], inspect.Parameter.KEYWORD_ONLY)]
        for p in parameters[1:]:
            is_variable = p.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            if p.default is p.empty and not is_variable and (p not in named or p.name not in OFFERED):
                offered = ", ".join(OFFERED)
                raise OptionError(f"f: argument {p.name!r} has no default and is none of {offered}")
        wants = frozenset(p.name for p in named if p.name in OFFERED)
        if dataset is None and "dataset" in wants:
            if any(p.name == "dataset" and p.default is p.empty for p in named):
                raise OptionError("f: asks for a dataset, so give optimize(dataset=...)")
            wants -= {"dataset"}
        makes_generator = is_generator(f)
        own = getattr(f, "takes_fidelity", None)  # what a command does with it is not in its signature
        takes = own if isinstance(own, bool) else makes_generator or bool(wants & {"fidelity", "trial"})
        takes_fidelity = fidelity_name is not None or takes
        has_default = frozenset(p.name for p in named if p.name in wants and p.default is not p.empty)
        objectives = Objectives.of(mode)
        return cls(f, dataset, wants, has_default, takes_fidelity, objectives, fidelity_name, makes_generator, keep)

    @property
    def is_continued(self) -> bool:
        """Whether a promoted trial goes on where it paused: a generator does, and what loads its checkpoints.

        That can only be seen where the objective itself, or the trainer's ``train``, names ``checkpoint_dir`` or
        ``resume_at``; what hides it in another function counts as trained anew at each rung.
        """
        own = getattr(self.f, "is_continued", None)
        return (
            own
            if isinstance(own, bool)
            else self.is_generator
            or ("trial" in self.wants and bool(names_in(self.f) & {"checkpoint_dir", "resume_at"}))
        )

    @property
    def rules(self) -> ReportRules:
        """How results follow from reports."""
        return ReportRules(self.objectives, self.keep)

    def call(self, task: Task, handle: TrialHandle) -> Any:
        """Return the result of `f` for a task; a generator where `f` is one."""
        offered = {"dataset": self.dataset, "fidelity": task.fidelity, "trial": handle, "seed": task.seed}
        names = self.wants if task.fidelity is not None else self.wants - (self.has_default & {"fidelity"})
        hps = dict(task.hp)
        if self.fidelity_name is not None and task.fidelity is not None:
            hps[self.fidelity_name] = whole(task.fidelity)
        return self.f(hps, **{name: offered[name] for name in names})


@dataclass
class Evaluator:
    """An objective at work in this process; it keeps generators paused between the rungs of a chain.

    A paused generator is continued when a later task has its root; where it is gone (another process ran
    it, or it was dropped) the objective is started again, and may load what it saved in its checkpoint folder.

    Example:
        >>> evaluator = Evaluator(Objective.of(lambda hps: hps["x"] ** 2))
        >>> evaluator.run(Task(0, 1, {"x": 3.0}), lambda fidelity, perf: True).perf
        9.0
    """

    objective: Objective
    _paused: dict[int, _Paused] = field(default_factory=dict)

    def run(self, task: Task, report: Report) -> Outcome:
        """Return the outcome of a task, with its cost in seconds unless the objective says what it costs.

        Args:
            task: What is to be evaluated.
            report: Takes the reports of this attempt, and of no other.

        Raises:
            BaseException: What is no Exception, nor SystemExit, is meant for the search and passes through: Ctrl-C, an
                alarm of the user's own, the time limit of a test.
        """
        began = time.perf_counter()
        paused = self._paused.pop(task.root, None)
        if paused:
            handle = paused.handle
            handle._bind(task, report)
        else:
            handle = TrialHandle(task, report, self.objective.objectives)
        try:
            outcome = self._run(task, handle, paused)
        finally:
            handle._release()
        cost = time.perf_counter() - began if outcome.cost is None else outcome.cost
        is_more = task.most is not None and (handle.is_continued or not outcome.perfs or handle._beyond > 0)
        trained = handle.trained if is_more else None  # else it is all that it reached, or nobody asks
        return outcome if cost == outcome.cost and trained is None else replace(outcome, cost=cost, trained=trained)

    def _run(self, task: Task, handle: TrialHandle, paused: _Paused | None) -> Outcome:
        try:
            handle._odometer.begin(is_generator=self.objective.is_generator)
            with OnlyHere(handle._process):
                result = paused.steps if paused else self.objective.call(task, handle)
            if isinstance(result, Generator):
                return self._advance(task, result, handle)
            outcome = checked_size(self.objective.rules.measured(result, task, handle._log))
        except InvalidPerfError:
            return Outcome(TrialState.INVALID, error=user_traceback())
        except (Exception, SystemExit):  # sys.exit in a trial ends the trial, not the search
            return Outcome(TrialState.FAILED, error=user_traceback())
        state = TrialState.STOPPED if handle.is_stopped else TrialState.COMPLETE
        if outcome.state is state and outcome.reached is None and not handle.reports:
            return outcome  # a copy of what has not changed takes time
        return replace(outcome, state=state, reached=handle.reports[-1][0] if handle.reports else None)

    def _advance(self, task: Task, steps: Generator[Any, None, Any], handle: TrialHandle) -> Outcome:
        """Run a generator until it has used up the task's fidelity, ends, or is stopped."""
        while not handle.is_enough:
            try:
                with OnlyHere(handle._process):
                    value = next(steps)
            except StopIteration:  # it ended by itself: at a higher rung it would stand where it stands now
                break
            handle.report(value)
            if handle.is_stopped:
                steps.close()
                return checked_size(self.objective.rules.last(TrialState.STOPPED, task, handle._log))
        if not handle.reports:
            raise InvalidPerfError("the objective is a generator that yielded nothing")
        outcome = checked_size(self.objective.rules.last(TrialState.COMPLETE, task, handle._log))
        if task.fidelity is not None:
            self._paused[task.root] = _Paused(steps, handle)
        return outcome

    def holds(self, root: int) -> bool:
        """Whether the training of a chain is paused here."""
        return root in self._paused

    def drop(self, root: int) -> None:
        """End the paused generator of a chain that will not be continued; its ``finally`` blocks run."""
        paused = self._paused.pop(root, None)
        if paused is not None:
            try:
                paused.steps.close()
            except Exception:  # one of those blocks raised: it harms no trial
                _log.warning("the paused training of trial %d could not be closed", root, exc_info=True)

    def close(self) -> None:
        """End every paused generator, and what the objective keeps for its next trial."""
        for root in list(self._paused):
            self.drop(root)
        leave = getattr(self.objective.f, "leave_process", None)
        if callable(leave):
            leave()


@dataclass(frozen=True)
class _Paused:
    steps: Generator[Any, None, Any]
    handle: TrialHandle


def user_traceback() -> str:
    """Return the traceback of the exception being handled, without the frames that lie outside the user's code."""
    kind, fault, frames = sys.exc_info()
    while frames is not None and _is_ours(frames.tb_frame.f_globals.get("__name__")):
        frames = frames.tb_next
    if kind is None or fault is None:
        return ""
    try:
        told = traceback.TracebackException(kind, fault, frames)
        if isinstance(fault, AutoHPOError):  # what we raised on purpose was caused by the line that called us
            ours = {__file__, as_perf.__code__.co_filename, checked_size.__code__.co_filename}
            while told.stack and told.stack[-1].filename in ours:
                del told.stack[-1]
        return clip("".join(told.format()))
    except Exception:  # an exception whose __str__ raises cannot be formatted
        return "the objective raised an exception that cannot be printed"


def clip(text: str) -> str:
    """Return a text as a store can take it: valid Unicode, and of a long one only the head and the tail."""
    if len(text) > MAX_ERROR_CHARACTERS:
        half = MAX_ERROR_CHARACTERS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def _is_ours(module: object) -> bool:
    """Whether the code of a module lies between the executor and the user's code."""
    return module in OURS or str(module).startswith(("autohpo.commands.", "autohpo.execution.", "autohpo.controller."))
