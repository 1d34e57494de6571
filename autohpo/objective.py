"""The objective: what a user's function may ask for by name, and how its four shapes become one protocol."""

from __future__ import annotations

import inspect
import logging
import math
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle

from autohpo.errors import InvalidPerfError, OptionError
from autohpo.objectives import Objectives
from autohpo.trial import Outcome, Task, TrialState, as_perf, short

_log = logging.getLogger("autohpo")

OFFERED = ("dataset", "fidelity", "trial", "seed")

Report = Callable[[float, float], bool]
"""``report(fidelity, perf)`` tells the search how far a trial came; False asks it to end."""


class TrialHandle:
    """What an objective gets as ``trial``: it reports through it, and finds its checkpoints.

    Attributes:
        number: Of the trial being evaluated.
        attempt: From 1; above 1 the trial was started before and did not end.
        seed: For every random choice of the training.
        fidelity: How much training the trial gets in all, counted from nothing; None means full.
    """

    def __init__(self, task: Task, report: Report) -> None:
        self.reports: list[tuple[float, float]] = []
        self.is_stopped = False
        self._done = 0.0
        self._bind(task, report)

    def _bind(self, task: Task, report: Report) -> None:
        """Takes over a further task of the same chain."""
        self.number, self.attempt, self.seed = task.number, task.attempt, task.seed
        self.fidelity = task.fidelity
        self._folder, self._send = task.checkpoint_dir, report

    @property
    def checkpoint_dir(self) -> Path:
        """A folder of this training's own: the same one after a pause, a promotion and a crash."""
        folder = Path(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def report(self, perf: object, fidelity: float | None = None) -> bool:
        """Tells the search how good the training is so far; False means: stop here.

        Args:
            perf: One finite number, as :func:`as_perf` takes it.
            fidelity: How much training is done, counted from nothing; by default one more than at the last report.

        Raises:
            InvalidPerfError: `perf` or `fidelity` is not one finite number. Uncaught, it makes the trial INVALID.
        """
        value = as_perf(perf)
        done = self._done + 1 if fidelity is None else float(fidelity)
        if not 0 <= done < math.inf:
            raise InvalidPerfError(f"fidelity: must be finite and at least 0, got {done}")
        self._done = done
        self.reports.append((self._done, value))
        if not self._send(self._done, value):
            self.is_stopped = True
        return not self.is_stopped and not self.is_enough

    def resume_at(self, fidelity: float) -> None:
        """Says that training state up to `fidelity` was loaded from :attr:`checkpoint_dir`."""
        self._done = float(fidelity)

    @property
    def is_enough(self) -> bool:
        """Whether the training has come as far as this trial's fidelity."""
        return self.fidelity is not None and self._done >= self.fidelity - 1e-9


@dataclass(frozen=True)
class Objective:
    """A user's function and what it asks for.

    Attributes:
        f: Called as ``f(hps, ...)``.
        dataset: Passed where `f` names ``dataset``.
        wants: Which of ``dataset, fidelity, trial, seed`` `f` names.
        takes_fidelity: Whether `f` can be given less than full training.
        objectives: What its results mean.
    """

    f: Callable[..., Any]
    dataset: Any = None
    wants: frozenset[str] = frozenset()
    takes_fidelity: bool = False
    objectives: Objectives = field(default_factory=lambda: Objectives.of("max"))

    @classmethod
    def of(cls, f: Callable[..., Any], dataset: Any = None, mode: object = "max") -> Objective:
        """Reads the signature of `f`.

        Raises:
            OptionError: `f` is not callable, takes no configuration, or needs an argument that nobody offers.
        """
        if not callable(f):
            raise OptionError(f"f: must be callable, got {short(f)}")
        try:
            parameters = list(inspect.signature(f).parameters.values())
        except (TypeError, ValueError):  # some built-ins have no signature
            return cls(f, dataset, objectives=Objectives.of(mode))
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
        return cls(f, dataset, wants, _is_generator(f) or bool(wants & {"fidelity", "trial"}), Objectives.of(mode))

    def call(self, task: Task, handle: TrialHandle) -> Any:
        """The result of `f` for a task; a generator where `f` is one."""
        offered = {"dataset": self.dataset, "fidelity": task.fidelity, "trial": handle, "seed": task.seed}
        return self.f(dict(task.hp), **{name: offered[name] for name in self.wants})


def _is_generator(f: Callable[..., Any]) -> bool:
    """Whether calling `f` makes a generator: also through partial, decorators that wrap, and ``__call__``."""
    inner = getattr(f, "func", f)  # functools.partial
    return any(inspect.isgeneratorfunction(g) for g in (inspect.unwrap(inner), type(inner).__call__))


@dataclass
class Evaluator:
    """Runs tasks in this process, and keeps generators paused between the rungs of a chain.

    A paused generator is continued when a later task has its root; where it is gone (another process ran
    it, or it was dropped) the objective is started again, and may load what it saved in its checkpoint folder.
    """

    objective: Objective
    _paused: dict[int, _Paused] = field(default_factory=dict)

    def run(self, task: Task, report: Report) -> Outcome:
        """The outcome of a task. Only KeyboardInterrupt passes through."""
        paused = self._paused.pop(task.root, None)
        handle = paused.handle if paused else TrialHandle(task, report)
        handle._bind(task, report)
        try:
            result = paused.steps if paused else self.objective.call(task, handle)
            if isinstance(result, Generator):
                return self._advance(task, result, handle)
            if result is None and handle.reports:
                result = handle.reports[-1][1]
            measured = self.objective.objectives.measure(result)
        except KeyboardInterrupt:
            raise
        except InvalidPerfError:
            return Outcome(TrialState.INVALID, error=_trace())
        except BaseException:  # SystemExit too: sys.exit in a trial ends the trial, not the search
            return Outcome(TrialState.FAILED, error=_trace())
        state = TrialState.STOPPED if handle.is_stopped else TrialState.COMPLETE
        perfs = measured.perfs
        return Outcome(
            state,
            perfs[0] if len(perfs) == 1 else perfs,
            handle.reports[-1][0] if handle.reports else None,
            constraints=measured.constraints,
            metrics=measured.metrics,
        )

    def _advance(self, task: Task, steps: Generator[Any, None, Any], handle: TrialHandle) -> Outcome:
        """Runs a generator until it has used up the task's fidelity, ends, or is stopped."""
        while not handle.is_enough:
            try:
                value = next(steps)
            except StopIteration:  # it ended by itself: at a higher rung it would stand where it stands now
                break
            handle.report(value)
            if handle.is_stopped:
                steps.close()
                return Outcome(TrialState.STOPPED, handle.reports[-1][1], handle.reports[-1][0])
        if not handle.reports:
            raise InvalidPerfError("the objective is a generator that yielded nothing")
        if task.fidelity is not None:
            self._paused[task.root] = _Paused(steps, handle)
        return Outcome(TrialState.COMPLETE, handle.reports[-1][1], handle.reports[-1][0])

    def holds(self, root: int) -> bool:
        """Whether the training of a chain is paused here."""
        return root in self._paused

    def drop(self, root: int) -> None:
        """Ends the paused generator of a chain that will not be continued; its ``finally`` blocks run."""
        paused = self._paused.pop(root, None)
        if paused is not None:
            try:
                paused.steps.close()
            except Exception:  # one of those blocks raised: it harms no trial
                _log.warning("the paused training of trial %d could not be closed", root, exc_info=True)

    def close(self) -> None:
        """Ends every paused generator."""
        for root in list(self._paused):
            self.drop(root)


@dataclass(frozen=True)
class _Paused:
    steps: Generator[Any, None, Any]
    handle: TrialHandle


def _trace() -> str:
    """The traceback of the exception being handled, from the user's own frames on."""
    try:
        return traceback.format_exc()
    except Exception:  # an exception whose __str__ raises cannot be formatted
        return "the objective raised an exception that cannot be printed"


@dataclass
class TrainerObjective:
    """A trainer with AutoGL's contract as an objective: duplicate, train, score.

    The best trained trainer of each process is kept in a file, so that the search can return it.

    Args:
        trainer: Has ``duplicate_from_hyper_parameter(hp)``, ``train(dataset)`` and ``get_valid_score()``.
        dataset: Handed to ``train``.
        folder: For the files, one for each process that trains.
        modules: That a configuration always has, also where nothing is searched in them.
    """

    trainer: Any
    dataset: Any
    folder: str
    modules: tuple[str, ...] = ()
    _best: tuple[float, Path] | None = None

    def __call__(self, hps: dict[str, Any], trial: TrialHandle) -> float:
        """The validation score of a trainer trained with these hyper-parameters; higher is better."""
        trained, perf = self.train(hps)
        if self._best is None or perf > self._best[0]:
            path = self.path_of(trial.number)
            try:
                path.write_bytes(cloudpickle.dumps(trained))
            except Exception:  # its pickling may raise anything; the best is trained again in the end
                _log.warning("the trainer of trial %d cannot be pickled", trial.number, exc_info=True)
            if self._best is not None:
                self._best[1].unlink(missing_ok=True)
            self._best = perf, path
        return perf

    def train(self, hps: dict[str, Any]) -> tuple[Any, float]:
        """A new trainer, trained, and its score; higher is better."""
        trained = self.trainer.duplicate_from_hyper_parameter({m: {} for m in self.modules} | nested(hps))
        trained.train(self.dataset)
        score = trained.get_valid_score()
        score, is_higher_better = score if isinstance(score, tuple) else (score, True)
        perf = as_perf(score)
        return trained, perf if is_higher_better else -perf

    def path_of(self, number: int) -> Path:
        """Where the trainer of a trial is kept while it is the best of its process."""
        return Path(self.folder) / f"trainer-{number}.pkl"

    def objective(self) -> Objective:
        """This as an objective; it cannot be trained in part."""
        return Objective(self, wants=frozenset({"trial"}), takes_fidelity=False)


def check_trainer(trainer: Any) -> None:
    """Passes an object with AutoGL's trainer contract.

    Raises:
        OptionError: A method is missing; the text names all that are.
    """
    needed = ("duplicate_from_hyper_parameter", "train", "get_valid_score")
    missing = [name for name in needed if not callable(getattr(trainer, name, None))]
    if missing:
        raise OptionError(f"trainer: {short(trainer)} has no method {', '.join(missing)}")


def nested(hps: dict[str, Any]) -> dict[str, Any]:
    """A configuration as a trainer wants it: ``{"trainer:lr": 0.1}`` becomes ``{"trainer": {"lr": 0.1}}``.

    Names without a colon stay where they are.
    """
    result: dict[str, Any] = {}
    for name, value in hps.items():
        part, colon, rest = name.partition(":")
        if colon:
            result.setdefault(part, {})[rest] = value
        else:
            result[name] = value
    return result
