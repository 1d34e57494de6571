"""The loop of a search: ask, log, run, log, tell; and what happens at its start and its end."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cloudpickle

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import options_of
from autohpo.algorithms.registry import name_of
from autohpo.driver import Driver
from autohpo.errors import NoResultError, OptionError
from autohpo.execution.base import Executor
from autohpo.objective import Objective, TrainerObjective, check_trainer
from autohpo.progress import make_progress
from autohpo.result import Result
from autohpo.spaces.tagged import to_json
from autohpo.stopping import StopRules
from autohpo.store import MemoryStore, SQLiteStore, Store
from autohpo.store.fold import fold
from autohpo.warmstart import Earlier

_log = logging.getLogger("autohpo")

DEFAULT_MAX_EVALS = 100
"""Trials of a search that nobody limited and whose algorithm never ends: AutoGL's default."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The arguments of ``optimize``, checked; see there.

    Raises:
        OptionError: One of them is wrong.
    """

    num_workers: int = 1
    time_limit: float | None = None
    memory_limit: int | str | None = None
    store: Any = None
    trial_time_limit: float | None = None
    progress: Literal["auto", "rich", "plain", "none"] | bool = "auto"
    continue_on_error: bool = False
    grace_seconds: float = 10.0
    target: float | None = None
    patience: int | None = None
    min_improvement: float | None = None
    warm_start: Any = ()
    stop_rules: StopRules = field(init=False, default=StopRules())
    memory_bytes: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        n = self.num_workers
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise OptionError(f"num_workers: must be a whole number of at least 1, got {n!r}")
        for name in ("time_limit", "trial_time_limit", "grace_seconds"):
            value = getattr(self, name)
            if value is None and name != "grace_seconds":
                continue
            least = 0 if name == "grace_seconds" else 1e-9
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
                raise OptionError(f"{name}: must be a positive number of seconds, got {value!r}")
        object.__setattr__(self, "stop_rules", StopRules(self.target, self.patience, self.min_improvement))
        object.__setattr__(self, "memory_bytes", parse_bytes(self.memory_limit))
        if not isinstance(self.store, (str, os.PathLike, Store, type(None))):
            raise OptionError(f"store: must be a path or a Store, got {type(self.store).__name__}")


class _TemporaryFolder:
    """A folder that goes when nobody refers to this any more; ``tempfile.TemporaryDirectory`` would warn then."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="autohpo-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def parse_bytes(limit: int | str | None) -> int | None:
    """Bytes of a memory limit: 4_000_000_000, "4GB", "300M" and "2GiB" are understood.

    Raises:
        OptionError: It is neither a positive number nor such a text.
    """
    if limit is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?\s*", str(limit).upper())
    n_bytes = int(float(found[1]) * _UNITS[found[2]]) if found and not isinstance(limit, bool) else 0
    if n_bytes < 1:
        raise OptionError(f"memory_limit: must be bytes or a text such as '4GB', got {limit!r}")
    return n_bytes


def run(hpo: BaseHPOptimizer, trainer: Any, dataset: Any, options: RunOptions) -> tuple[Any, Any]:
    """What ``hpo.optimize(trainer, dataset, ...)`` returns."""
    if trainer is not None:
        return _run_trainer(hpo, trainer, dataset, options)
    if "run_store" not in vars(hpo):
        raise OptionError(f"{type(hpo).__name__}: its __init__ must call super().__init__(space, f)")
    if hpo.f is None:
        raise OptionError("f: this optimizer has no objective; give build_hpo_from_name one, or optimize a trainer")
    _search(hpo, Objective.of(hpo.f, dataset, hpo.mode), options)
    return BaseHPOptimizer.best(hpo)  # by the class: an algorithm may keep an attribute of that name


def _run_trainer(hpo: BaseHPOptimizer, trainer: Any, dataset: Any, options: RunOptions) -> tuple[Any, dict[str, Any]]:
    """Tunes a trainer with a fresh copy of the optimizer, so that one object serves any number of trainers."""
    check_trainer(trainer)
    kept: dict[str, Any] = {"mode": "max"}  # the trainer says which way is better
    if hpo.is_seed_drawn:
        kept["seed"] = None  # so that a store may say it
    fresh = type(hpo)(hpo.space, None, **{**options_of(hpo), **kept})
    with tempfile.TemporaryDirectory(prefix="autohpo-") as folder:
        objective = TrainerObjective(trainer, dataset, folder, hpo.space.modules or ())
        try:
            result = _search(fresh, objective.objective(), options, tuned=type(trainer).__qualname__)
        finally:
            hpo.result = fresh.result
        best, path = result.best, objective.path_of(result.best.number)
        if path.is_file():  # written by a slot of this very run
            return cloudpickle.loads(path.read_bytes()), dict(best.hp)
    _log.info("the best trainer was not kept, or trained in an earlier run, so it is trained again")
    return objective.train(dict(best.hp))[0], dict(best.hp)


def _search(hpo: BaseHPOptimizer, objective: Objective, options: RunOptions, tuned: str = "") -> Result:
    """Runs the loop on a store of its own; the result is left in ``hpo.result``, also where this raises."""
    store = _store_of(hpo, options)
    progress = make_progress(options.progress)
    temporary = None
    if isinstance(store, SQLiteStore):
        files = store.path.with_name(store.path.name + ".files")
    else:
        temporary = getattr(store, "folder", None) or _TemporaryFolder()
        if isinstance(store, MemoryStore):
            store.folder = temporary  # a later call that goes on with this history finds its checkpoints
        files = temporary.path
    if options.stop_rules.is_any and hpo.objectives.n > 1:
        raise OptionError("target: a search for several objectives has no single best result to stop at")
    result = Result([])
    store.open()
    try:
        if hpo.is_seed_drawn and store.header is not None:
            hpo.seed = store.header["options"]["seed"]  # a resumed run keeps its seed where the user gave none
        earlier = Earlier.of(options.warm_start, hpo, store.header)
        store.begin({**_header(hpo, objective, tuned), **earlier.header})
        if not hpo.n_asked:
            hpo.know(earlier.points)
        hpo.has_fidelity = objective.takes_fidelity
        driver = Driver(
            hpo,
            objective,
            store=store,
            executor=_executor(options, None if temporary else files / "logs"),
            progress=progress,
            files=files,
            options=options,
        )
        if hpo.max_evals is None and options.time_limit is None and not hpo.is_finite:
            _log.info("no budget was given: the search ends after %d trials", DEFAULT_MAX_EVALS)
            driver.max_trials = DEFAULT_MAX_EVALS
        try:
            driver.run()
        finally:
            trials = fold(store.events(), hpo.space)
            result = hpo.result = Result(trials, hpo.mode, name_of(type(hpo)), files, _keep=temporary)
    finally:
        store.close()
    chosen = hpo.best_trial() if hpo.noise else None
    if chosen is not None:
        result = hpo.result = replace(result, chosen=chosen.number)
    if not any(t.perf is not None for t in result):
        raise NoResultError(_why_nothing(result, options))
    return result


def _why_nothing(result: Result, options: RunOptions) -> str:
    """What became of the trials of a search in which none has a result."""
    if not len(result):
        return "the algorithm suggested nothing"
    text = f"no trial of {len(result)} has a result; states: {result.counts()}"
    if options.time_limit is not None:
        text += f"; the time limit was {options.time_limit:g} s"
    errors = [trial for trial in result if trial.error]
    return f"{text}; trial {errors[0].number}: {errors[0].error.strip()}" if errors else text


def _store_of(hpo: BaseHPOptimizer, options: RunOptions) -> Store:
    """The store to use; without one the optimizer's own memory of earlier calls.

    Raises:
        OptionError: The optimizer has a history that is not in the store.
    """
    if options.store is None:
        store: Store = hpo.run_store if isinstance(hpo.run_store, MemoryStore) else MemoryStore()
    else:
        store = options.store if isinstance(options.store, Store) else SQLiteStore(options.store)
    known = getattr(hpo.run_store, "path", hpo.run_store)
    if hpo.n_asked and known != getattr(store, "path", store):
        where = "of ask and tell, or of another store"
        raise OptionError(f"optimize: this optimizer has a history {where}; build a new one")
    hpo.run_store = store
    return store


def _header(hpo: BaseHPOptimizer, objective: Objective, tuned: str) -> Mapping[str, Any]:
    """What makes a run this run. The budget is not part of it: it may grow from call to call."""
    return {
        "algorithm": name_of(type(hpo)),
        "options": {k: to_json(v) for k, v in options_of(hpo).items() if k not in hpo.budget_options},
        "space": hpo.space.to_dict(),
        "objective": {"takes_fidelity": objective.takes_fidelity, "trainer": tuned},
    }


def _executor(options: RunOptions, logs: Path | None) -> Executor:
    """In this process for one worker without limits; else a process for each worker, with its output in `logs`."""
    limits = (options.time_limit, options.trial_time_limit, options.memory_bytes)
    if options.num_workers == 1 and all(limit is None for limit in limits):
        from autohpo.execution.serial import SerialExecutor

        return SerialExecutor()
    from autohpo.execution.local import LocalExecutor

    return LocalExecutor(
        options.num_workers,
        trial_time_limit=options.trial_time_limit,
        memory_limit=options.memory_bytes,
        log_folder=logs,
    )
