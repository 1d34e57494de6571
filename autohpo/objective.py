"""The objective: what a user's function may ask for by name, and how its shapes become one protocol."""

from __future__ import annotations

import inspect
import logging
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from autohpo.errors import AutoHPOError, InvalidPerfError, OptionError, short
from autohpo.forked import OnlyHere
from autohpo.objectives import Objectives, as_perf
from autohpo.outcome import checked_size
from autohpo.reported import Keep, ReportRules
from autohpo.signatures import is_any, is_generator, names_in
from autohpo.trial import Outcome, Task, TrialState, whole
from autohpo.trial_handle import Moment, Report, TrialHandle

_log = logging.getLogger("autohpo")

OFFERED = ("dataset", "fidelity", "trial", "seed")

OURS = (
    "autohpo.mirrors",
    "autohpo.objective",
    "autohpo.objectives",
    "autohpo.odometer",
    "autohpo.reported",
    "autohpo.trainer",
    "autohpo.trial_handle",
)
"""Modules whose frames say nothing to a user whose objective raised; those of executors are left out, too."""

HELPERS = frozenset({"Checkpoint", "ReportCallback"})
"""Classes of our integrations that keep checkpoints."""

STARTS = frozenset({"ckpt_path", "init_model", "last_checkpoint", "n_done", "restore", "start_epoch"})
"""What these have that says where a training begins: an objective that reads it goes on from its checkpoint."""

MAX_ERROR_CHARACTERS = 16_000


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
        ``resume_at``, or asks a helper of ours where to begin; what hides it in another function counts as trained
        anew at each rung.
        """
        own = getattr(self.f, "is_continued", None)
        return (
            own
            if isinstance(own, bool)
            else self.is_generator or ("trial" in self.wants and _loads_checkpoints(names_in(self.f)))
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
            handle._release(keeps_folder=task.root in self._paused)
        cost = time.perf_counter() - began if outcome.cost is None else outcome.cost
        is_more = task.most is not None and (handle.is_continued or not outcome.perfs or handle._beyond > 0)
        trained = handle.trained if is_more else None  # else it is all that it reached, or nobody asks
        return outcome if cost == outcome.cost and trained is None else outcome.with_cost(cost, trained)

    def _run(self, task: Task, handle: TrialHandle, paused: _Paused | None) -> Outcome:
        try:
            handle._odometer.begin(is_generator=self.objective.is_generator)
            if paused:
                return self._go_on(task, paused.steps, handle)
            with OnlyHere(handle._process):
                result = self.objective.call(task, handle)
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
        has_ended = False
        while not handle.is_enough:
            try:
                with OnlyHere(handle._process):
                    value = next(steps)
            except StopIteration:  # it ended by itself: at a higher rung it would stand where it stands now
                has_ended = True
                break
            handle.report(value)
            if handle.is_stopped:
                steps.close()
                return checked_size(self.objective.rules.last(TrialState.STOPPED, task, handle._log))
        if not handle.reports:
            raise InvalidPerfError("the objective is a generator that yielded nothing")
        outcome = checked_size(self.objective.rules.last(TrialState.COMPLETE, task, handle._log))
        if task.fidelity is None:
            return outcome
        if has_ended:
            handle._forget_hooks()  # they may hold what the training has let go of
        elif fault := self._call_hooks("pause", handle, steps):
            return fault
        self._paused[task.root] = _Paused(steps, handle)
        return outcome

    def _go_on(self, task: Task, steps: Generator[Any, None, Any], handle: TrialHandle) -> Outcome:
        """Continue a paused training."""
        return self._call_hooks("resume", handle, steps) or self._advance(task, steps, handle)

    def _call_hooks(self, moment: Moment, handle: TrialHandle, steps: Generator[Any, None, Any]) -> Outcome | None:
        """Call what the objective wants done when a training pauses or goes on; return the outcome where that fails."""
        try:
            with OnlyHere(handle._process):
                handle._call(moment)
        except (Exception, SystemExit):
            error = f"what the objective gave trial.on_{moment} raised, so the training ended:\n{user_traceback()}"
            handle._forget_hooks()
            with suppress(Exception):  # of its `finally` blocks, where the hook has said why already
                steps.close()
            return Outcome(TrialState.FAILED, error=clip(error))
        return None

    def holds(self, root: int) -> bool:
        """Whether the training of a chain is paused here."""
        return root in self._paused

    def drop(self, root: int) -> None:
        """End the paused generator of a chain that will not be continued; its ``finally`` blocks run."""
        paused = self._paused.pop(root, None)
        if paused is not None:
            paused.handle._forget_hooks()
            try:
                paused.steps.close()
                paused.handle._release(keeps_folder=False)
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


def _loads_checkpoints(names: set[str]) -> bool:
    """Whether code that uses these names goes on from checkpoints."""
    return bool(names & {"checkpoint_dir", "resume_at"} or (names & HELPERS and names & STARTS))


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
            ours = {function.__code__.co_filename for function in (clip, as_perf, checked_size, TrialHandle.report)}
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
