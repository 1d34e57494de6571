"""An algorithm of ours with the interface of AutoGL's optimizers: it tunes the trainers of a solver, one by one."""

from __future__ import annotations

import dataclasses
import logging
import math
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import RunArguments, option_names
from autohpo.algorithms.parts.missing_space import trainer_space
from autohpo.algorithms.parts.points import Point
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.errors import NoResultError, OptionError, PathError, short, shown
from autohpo.integrations.autogl.defaults import nearest_default
from autohpo.result import Result
from autohpo.run_options import RunOptions
from autohpo.spaces import FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.trainer import check_trainer, nested
from autohpo.trial import Trial, TrialState, whole

_log = logging.getLogger("autohpo")

EPOCHS = "trainer:max_epoch"
"""The hyper-parameter that is the fidelity of a multi-fidelity algorithm: all trainers of AutoGL have it."""

SMALLEST_SHARE = 27
"""Where only the full number of epochs is known, no training is shorter than one such part of it: three steps of 3."""

_RUN = frozenset(RunArguments.__annotations__) - {"time_limit", "memory_limit"}


class Tuner:
    """An algorithm of ours as AutoGL's solvers want it; ``register`` makes a subclass for each name.

    Options of the algorithm, such as ``seed``, ``eta`` or ``budget``, and of ``optimize``, such as ``num_workers`` or
    ``trial_time_limit``, are given by name: ``solver.set_hpo_module("autohpo_bohb", max_evals=60, num_workers=2)``.
    They mean what they mean everywhere, but for these:

    Args:
        max_evals: Suggestions for each model. AutoGL's solvers give their own ``max_evals`` (50) to a name.
        fidelity: The hyper-parameter that is the fidelity. A multi-fidelity algorithm takes ``"trainer:max_epoch"``,
            from the least to the most epochs of the trainer's space, or ``min_fidelity`` and ``max_fidelity`` where
            they are given; None trains every configuration in full. Others take none, but ``auto`` may be given one.
        store: A folder, where each model has a file of its own; a search that was killed goes on when the same program
            is started again.
        default_first: Whether the trainer's own hyper-parameters are tried first. A number that lies outside of the
            space is replaced by the nearest one in it.
        continue_on_error: Goes on where the very first trial fails; here True unless it is given.
        executor: "local" holds the time limit also within a training. By default, one worker trains in this process,
            and time is looked at between trainings, as AutoGL does it.
        seed: Where it is not given, it follows from Python's own generator, which ``solver.fit(seed=...)`` seeds; with
            a store it is kept there.

    Attributes:
        algorithm: The name of the algorithm here.
        results: A result with all trials for each model, by the name of its store without ".db", such as "0-gcn".

    Raises:
        OptionError: An option is unknown or breaks a rule, or the algorithm cannot tune AutoGL's trainers.
    """

    algorithm: ClassVar[str]
    time_error: ClassVar[type[NoResultError]] = NoResultError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args:
            raise OptionError(
                f"{self.algorithm}: options must be given by name, such as max_evals=50, got {short(args[0])}"
            )
        super().__init__()
        run = {name: value for name, value in kwargs.items() if name in _RUN}
        self._options = {name: value for name, value in kwargs.items() if name not in _RUN}
        self._store, self._default_first = _folder(run.pop("store", None)), run.pop("default_first", False)
        RunOptions(**{name: value for name, value in kwargs.items() if name in _RUN - {"store"}})  # raises
        self._fidelity = run.pop("fidelity", "auto")
        self._run = {"continue_on_error": True, **run}
        if get_hpo(self.algorithm).needs_checkpoints:
            raise OptionError(f"{self.algorithm}: needs trainers that save checkpoints, and AutoGL's do not")
        build_hpo_from_name(self.algorithm, None, **self._options)  # raises
        self.max_evals = kwargs.get("max_evals")
        self.results: dict[str, Result] = {}
        self._n_calls = 0

    def optimize(
        self, trainer: Any, dataset: Any, time_limit: float | None = None, memory_limit: int | str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the best trainer, trained, and its configuration by module; each call is a search of its own.

        Args:
            trainer: A trainer of AutoGL's, whose combined space is searched.
            dataset: What its ``train`` takes.
            time_limit: Seconds for this model. None, and a negative integer as in ``fit(time_limit=-1)``, are no limit;
                another number that is not above 0 is what a solver has left after the models before took too long.
            memory_limit: Memory of each worker: bytes, or a string such as "4GB".

        Raises:
            NoResultError: There was no time for a single trial, or all failed. Where time was short, it is AutoGL's
                ``TimeTooLimitedError``, too.
            OptionError: An argument is wrong, or `trainer` has not AutoGL's contract.
            SpaceError: The trainer's space breaks a rule.
            StoreError: The store cannot be used, or holds another search.
        """
        check_trainer(trainer)
        seconds = _seconds(time_limit)
        if seconds is not None and seconds <= 0:
            raise self.time_error(f"time_limit: the time is up before the first trial, got {shown(time_limit)}")
        name = f"{self._n_calls}-{model_name(trainer)}"
        self._n_calls += 1
        fidelity, options = self._plan(trainer)
        space = trainer_space(trainer, fidelity)
        run = {**self._run, "fidelity": fidelity, "memory_limit": memory_limit, "time_limit": seconds}
        if self._is_here(memory_limit):
            run["executor"] = "serial"
        if self._store is not None:
            run["store"] = _file(self._store, name)
        hpo = build_hpo_from_name(self.algorithm, space, **options)
        try:
            best, hp = hpo.optimize(trainer, dataset, **run)
        except NoResultError as error:
            if seconds is None or any(trial.state is not TrialState.CANCELLED for trial in _trials(hpo)):
                raise
            raise self.time_error(str(error)) from error
        finally:
            if _trials(hpo):
                self.results[name] = hpo.result
        return best, _by_module(space, hp, fidelity, hpo.result)

    def _plan(self, trainer: Any) -> tuple[str | None, dict[str, Any]]:
        """Return the hyper-parameter that is the fidelity, if one is, and the options of the algorithm."""
        space, options = trainer_space(trainer), dict(self._options)
        if self._store is None:
            options.setdefault("seed", random.getrandbits(31))  # which AutoGL's solvers seed
        fidelity = self._fidelity if self._fidelity != "auto" else EPOCHS if self._has_epochs() else None
        bounds = None if fidelity is None else epochs_of(space, fidelity)
        if fidelity is not None and bounds is None:
            if self._fidelity != "auto":
                rule = f"must be a hyper-parameter of the trainer that is an integer, of {', '.join(space.names)}"
                raise OptionError(f"fidelity: {rule}, got {shown(fidelity)}")
            _log.warning("%s: the trainer has no %s, so all is trained in full", self.algorithm, fidelity)
            fidelity = None
        if bounds is not None:
            cls = get_hpo(self.algorithm)
            given = {cls.option_aliases.get(name, name) for name in options}
            ends = zip(("min_fidelity", "max_fidelity"), bounds, strict=True)
            options |= {name: end for name, end in ends if name not in given and name in option_names(cls)}
        if self._default_first:
            default = nearest_default(trainer, trainer_space(trainer, fidelity))
            points = (Point(default, fidelity=None if fidelity is None else "full"), *options.get("points", ()))
            options["points"] = points
        return fidelity, options

    def _has_epochs(self) -> bool:
        """Whether the algorithm's fidelity is a number of epochs unless the user says otherwise."""
        cls = get_hpo(self.algorithm)
        if {cls.option_aliases.get(name, name) for name in self._options} & {"min_fidelity", "max_fidelity"}:
            return True
        usual = {field.name: field.default for field in dataclasses.fields(cls)}.get("max_fidelity")
        return cls.is_multi_fidelity and isinstance(usual, (int, float)) and usual > 1  # that of autone is a share

    def _is_here(self, memory_limit: object) -> bool:
        """Whether trainings run in this process, as AutoGL's own do."""
        asks = {"executor", "trial_time_limit", "gpus", "gpu_memory_limit"} & set(self._run)
        return not asks and memory_limit is None and self._run.get("num_workers", 1) == 1


def epochs_of(space: SearchSpace, name: str) -> tuple[int, int] | None:
    """Return the least and the most of a hyper-parameter that is an integer; None where it is not there, or is none."""
    parameter = next((one for one in space.roots if one.name == name), None)
    match parameter:
        case RangeHP() | LogRangeHP() if parameter.is_int:
            ends = parameter.low, parameter.high
        case OrdinalHP() if all(type(value) is int for value in parameter.values):
            ends = parameter.values[0], parameter.values[-1]
        case FixedHP() if type(parameter.value) is int:
            ends = max(1, parameter.value // SMALLEST_SHARE), parameter.value
        case _:
            return None
    return (int(ends[0]), int(ends[1])) if 1 <= ends[0] <= ends[1] else None


def model_name(trainer: Any) -> str:
    """Return a short name of what a trainer trains, for files: "gcn" for AutoGL's GCNEncoderMaintainer."""
    model = getattr(trainer, "encoder", None)
    text = type(trainer if model is None else model).__name__
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(Encoder)?Maintainer$", "", text).lower()) or "model"


def _by_module(space: SearchSpace, hp: Mapping[str, Any], fidelity: str | None, result: Result) -> dict[str, Any]:
    """Return a configuration as AutoGL returns it: nested, every module there, the epochs included."""
    reached = result.best.fidelity
    given = {} if fidelity is None or reached is None else {fidelity: whole(reached)}
    return {module: {} for module in space.modules or ()} | nested({**hp, **given})


def _trials(hpo: BaseHPOptimizer) -> Sequence[Trial]:
    """Return the trials of a search that may have ended before its first one."""
    return list(vars(hpo).get("result", ()))


def _seconds(limit: Any) -> float | None:
    """Return the seconds that a time limit stands for; None where there is no limit."""
    if limit is None or (type(limit) is int and limit < 0):
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or math.isnan(limit):
        raise OptionError(f"time_limit: must be a number of seconds or None, got {shown(limit)}")
    return float(limit)


def _folder(given: Any) -> Path | None:
    if given is None:
        return None
    if not isinstance(given, (str, Path)) or "://" in str(given) or not str(given):
        raise OptionError(f"store: must be a folder for a file of each model, got {shown(given)}")
    return Path(given)


def _file(folder: Path, name: str) -> Path:
    """Return the store of a model.

    Raises:
        PathError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"store: must be a folder, got {shown(str(folder))}: {error}") from error
    return folder / f"{name}.db"
