"""What ``optimize`` does around the loop: the store, the objective, the executor, and the result."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import RunArguments, check_names, options_of
from autohpo.algorithms.parts.missing_space import MissingSpace, trainer_space
from autohpo.algorithms.registry import name_of
from autohpo.algorithms.session import session_of
from autohpo.checkpoint_places import place_of
from autohpo.commands import CommandObjective
from autohpo.confirming import confirming_of, default_of, say_confirmed
from autohpo.dispatch import on_last_attempt
from autohpo.driver import Driver
from autohpo.errors import NoResultError, OptionError
from autohpo.execution.base import Executor
from autohpo.execution.kinds import Shared, engine_of, executor_of, unknown_executor
from autohpo.folders import clean_leftovers, remove_folder, temporary_folder
from autohpo.in_order import check_schedule
from autohpo.made_with import made_with
from autohpo.objective import Objective
from autohpo.progress import Progress, make_progress
from autohpo.result import Result
from autohpo.run_options import RunOptions
from autohpo.search import Search
from autohpo.stopping import Stopping
from autohpo.store.waiting import PASSING
from autohpo.tracking.following import Trackers
from autohpo.trainer import TrainerObjective, check_trainer
from autohpo.trial import Trial
from autohpo.warmstart import Earlier

_log = logging.getLogger("autohpo")


@dataclass(frozen=True)
class Call:
    """What ``optimize`` was called with; :func:`confirm` goes on from it.

    Attributes:
        trainer: The trainer, if there was one.
        dataset: The data.
        options: The other arguments.
        tuner: The copy of the optimizer that tuned the trainer.
    """

    trainer: Any = None
    dataset: Any = None
    options: RunOptions = field(default_factory=RunOptions)
    tuner: BaseHPOptimizer | None = None


def run(hpo: BaseHPOptimizer, trainer: Any, dataset: Any, options: RunOptions) -> tuple[Any, Any]:
    """Run a search, and return what ``hpo.optimize(trainer, dataset, ...)`` returns."""
    return _run(hpo, Call(trainer, dataset, options), is_over=False)


def confirm(
    hpo: BaseHPOptimizer, plan: Mapping[str, Any], given: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Train the best of a search anew, and return what ``hpo.optimize`` returns.

    Args:
        hpo: The optimizer.
        plan: How many configurations and seeds.
        given: The trainer and the dataset; None where they are those of the last search.
        changes: Options that differ from those of the last search.

    Raises:
        OptionError: An option is wrong.
    """
    check_names("confirm", changes, set(RunArguments.__annotations__) - {"confirm", "default_first"})
    known = session_of(hpo).last_call or Call()
    trainer = known.trainer if given["trainer"] is None else given["trainer"]
    dataset = known.dataset if given["dataset"] is None else given["dataset"]
    options = replace(known.options, **changes, confirm=plan)
    tuner = known.tuner if trainer is known.trainer else None
    return _run(hpo, Call(trainer, dataset, options, tuner), is_over=True)


def _run(hpo: BaseHPOptimizer, call: Call, *, is_over: bool) -> tuple[Any, Any]:
    session_of(hpo).last_call = call
    if call.trainer is not None:
        return _run_trainer(hpo, call, is_over=is_over)
    if hpo.f is None:
        raise OptionError("f: this optimizer has no objective; give build_hpo_from_name one, or optimize a trainer")
    options = call.options
    if options.default_first:
        raise OptionError("default_first: there is no trainer; build_hpo_from_name takes points=[{...}] to try first")
    objective = Objective.of(hpo.f, call.dataset, hpo.mode, fidelity_name=options.fidelity, keep=options.keep)
    best = _known_best(hpo, _search(hpo, objective, call, is_over))
    if best is not None:
        return dict(best.hp), best.perf
    return BaseHPOptimizer.best(hpo)  # by the class: an algorithm may keep an attribute of that name


def _known_best(hpo: BaseHPOptimizer, result: Result) -> Trial | None:
    """Return what ``hpo.best`` would find by a look at all trials; None where it looks for something else."""
    is_own = type(hpo)._best_hp is not BaseHPOptimizer._best_hp or "_best_hp" in vars(hpo)
    is_other = is_own or hpo.noise or hpo.objectives.n > 1 or result.winner is not None
    return None if is_other else result._best


def _run_trainer(hpo: BaseHPOptimizer, call: Call, *, is_over: bool) -> tuple[Any, dict[str, Any]]:
    """Tune a trainer with a fresh copy of the optimizer, so that one object serves any number of trainers."""
    trainer, dataset, options = call.trainer, call.dataset, call.options
    check_trainer(trainer)
    kept: dict[str, Any] = {"mode": "max"}  # the trainer says which way is better
    if hpo.is_seed_drawn:
        kept["seed"] = None  # so that a store may say it
    space = trainer_space(trainer, options.fidelity) if isinstance(hpo.space, MissingSpace) else hpo.space
    fresh = call.tuner or type(hpo)(space, None, **{**options_of(hpo), **kept})
    session_of(hpo).last_call = replace(call, tuner=fresh)
    folder = temporary_folder()
    try:
        objective = TrainerObjective(trainer, dataset, str(folder), space.modules or ())
        session_of(hpo).on_stop, session_of(fresh).on_begin = session_of(fresh).stop, session_of(hpo).on_begin
        try:
            result = _search(fresh, objective.objective(options.fidelity), call, is_over)
        finally:
            session_of(hpo).leave_driver()
            if "result" in vars(fresh):
                hpo.result = fresh.result
        best = result.best
        same = [t for t in result.repeats if result.winner is not None and t.hp == best.hp]  # trained in full
        for path in map(objective.path_of, [best.number, *(trial.number for trial in same)]):
            if path.is_file():  # written by a slot of this very run
                return cloudpickle.loads(path.read_bytes()), dict(best.hp)
    finally:
        remove_folder(folder)
    _log.info("the best trainer was not kept, or trained in an earlier run, so it is trained again")
    again = (same or [best])[0]
    return objective.train(objective.configuration(again, options.fidelity), seed=again.seed)[0], dict(best.hp)


def _search(hpo: BaseHPOptimizer, objective: Objective, call: Call, is_over: bool) -> Result:
    """Run the loop on a store; the result is left in ``hpo.result``, also where this raises."""
    clean_leftovers()
    options, trainer = call.options, call.trainer
    search = Search(hpo, options.store, name=options.name)
    progress = make_progress(options.progress)
    hpo.has_fidelity, hpo.is_continued = objective.takes_fidelity, objective.is_continued
    options.stop_rules.check(hpo)
    _check_objective(hpo, objective, options)
    check_schedule(hpo, options.schedule, ask_ahead=options.ask_ahead)
    default = default_of(hpo, call.trainer, options)
    stopping = Stopping(options.stop_rules, hpo.objectives.signs[0], hpo.full_fidelity)
    search.listener = stopping if options.stop_rules.is_any else None
    if options.checkpoints is not None:
        search.place = place_of(options.checkpoints)
    try:
        search.claim()
        first = default if options.default_first else None
        earlier = Earlier.of(options.warm_start, hpo, search.store.header, first)
        if not hpo.n_asked:
            hpo.know(earlier.points)
        executor = make_executor(options, _logs_of(search))
        is_ordered = options.schedule == "deterministic"
        num_workers = options.num_workers if is_ordered else max(executor.capacity(), options.num_workers)
        hpo.set_up(num_workers, options.time_limit, options.memory_bytes)
        described = _described(objective, "" if trainer is None else type(trainer).__qualname__)
        begun_with = made_with(hpo.f if trainer is None else trainer, objective.dataset)
        more: dict[str, Any] = {"schedule": options.schedule} if is_ordered else {}
        more |= {} if options.checkpoints is None else {"checkpoints": os.fspath(options.checkpoints)}
        search.begin({"objective": described, "made_with": begun_with, **earlier.header, **more})
        on_begin = session_of(hpo).on_begin
        if on_begin is not None:
            on_begin(search.store)
        _say_resumed(search, progress)
        executor = _protected(executor, objective, search, options)
        max_trials = None
        if hpo.max_evals is None and not (options.time_limit or options.cost_limit or hpo.is_finite):
            max_trials = session_of(hpo).allowance.default_limit = hpo.default_evals
            _log.info("no budget was given: the search ends after %d trials", max_trials)
        _say_plan(hpo)
        driver = Driver(
            search,
            objective,
            executor=executor,
            progress=progress,
            options=options,
            stopping=stopping,
            max_trials=max_trials,
            confirming=confirming_of(search, objective, options, default),
            is_over=is_over,
        )
        trackers = Trackers(options.trackers, search)
        trackers.start()
        try:
            driver.run()
        finally:
            chosen = hpo.best_trial() if hpo.noise else None
            result = Result.of(
                search.state, hpo.mode, algorithm=name_of(type(hpo)), store=search.store, name=search.name
            )
            if chosen is not None and result.winner is None:
                result = replace(result, chosen=chosen.number)
            hpo.result = result
            untold = trackers.finish(options.grace_seconds)
    except (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(*PASSING):  # the driver has said that the store cannot be written
            search.close()
        raise
    finally:
        _close(search)
    for text in untold:
        warnings.warn(f"{text}; the search is not affected", UserWarning, stacklevel=4)
    if search.state.best is None:
        why = _why_nothing(result, options, driver.ending.reason, is_over=is_over)
        closing = driver.executor.closing
        raise NoResultError(why if closing in why else f"{closing}; {why}")
    if options.plan is not None:
        say_confirmed(result, progress)
    return result


def _close(search: Search) -> None:
    """Close a search; what its store did not take is said once, by what ended the search."""
    fault = sys.exc_info()[1]
    try:
        search.close()
    except PASSING:
        if fault is None:
            raise


def _say_plan(hpo: BaseHPOptimizer) -> None:
    """Say what a search with fidelities will train, and warn where none of it is trained in full."""
    plan = type(hpo).training_plan(hpo)  # by the class: an algorithm may keep an attribute of that name
    if plan is None or hpo.full_fidelity is None:
        return
    _log.info("plan: %s", plan)
    if not plan.n_full:
        name = "max_evals" if session_of(hpo).allowance.budget is None else "budget"
        warnings.warn(
            f"{name}: {plan} - no configuration will be trained in full with what {name_of(type(hpo))} may spend; "
            f"raise {name}, or lower max_fidelity",
            UserWarning,
            stacklevel=2,
        )


def _logs_of(search: Search) -> Path:
    """The folder for what workers print; without a store it goes with the result."""
    return search.store.files / "logs"


def _protected(executor: Executor, objective: Objective, search: Search, options: RunOptions) -> Executor:
    """The executor, or a worker process where the user chose none and a trial ended the driver's process again."""
    suspects = on_last_attempt(search.state, options.n_retries)
    if options.executor is not None or not executor.is_inline or not suspects:
        return executor
    from autohpo.execution.local import LocalExecutor, can_be_sent

    if not can_be_sent(objective):
        return executor
    n = search.state.attempts[suspects[0]].n
    warnings.warn(
        f"trial {suspects[0]} was running each of the {n} times that the process ended, so trials run in a worker "
        "process now; executor='local' does that from the start",
        RuntimeWarning,
        stacklevel=5,
    )
    return LocalExecutor(1, log_folder=_logs_of(search))


def _say_resumed(search: Search, progress: Progress) -> None:
    """Say how many trials were taken over, and from where."""
    if search.resumed_from is None:
        return
    state = search.state
    text = f"{state.n_asked} trials were taken over, {state.n_done} of them with a result"
    _log.info("resumed from %s: %s", search.resumed_from or "the log of this process", text)
    if search.resumed_from:
        progress.say(f"resumed from {search.resumed_from}: {text}")


def _check_objective(hpo: BaseHPOptimizer, objective: Objective, options: RunOptions) -> None:
    """Check that the objective can do what the algorithm asks of it.

    Raises:
        OptionError: It cannot.
    """
    if hpo.needs_checkpoints and objective.is_generator and "trial" not in objective.wants:
        raise OptionError(
            f"f: {name_of(type(hpo))} starts trainings from copies of others, so f must ask for `trial`, and save its "
            "state in trial.checkpoint_dir before each yield"
        )
    if isinstance(objective.f, CommandObjective):
        objective.f.check(hpo.space, options.fidelity, num_workers=options.num_workers)
    can_report = getattr(objective.f, "can_report", objective.is_generator or "trial" in objective.wants)
    if hpo.needs_reports and objective.takes_fidelity and not can_report:
        warnings.warn(
            f"f: {name_of(type(hpo))} stops trials at their reports, and f has none, so every trial is a full "
            "evaluation; yield results, or call trial.report",
            UserWarning,
            stacklevel=4,
        )
    if options.keep == "best" and (hpo.objectives.n > 1 or isinstance(objective.f, TrainerObjective)):
        why = "a search for several objectives has no single best" if hpo.objectives.n > 1 else "a trainer reports none"
        raise OptionError(f"keep: 'best' is the best of the reports of a training, and {why}")
    name = options.fidelity
    if name is not None and name in hpo.space.names:
        raise OptionError(
            f"fidelity: {name} is set for each trial, so it must not be searched; take it out of the space"
        )
    if name is not None and getattr(hpo, "max_fidelity", None) is None:
        raise OptionError(
            f"fidelity: {name_of(type(hpo))} trains every configuration in full; take a multi-fidelity algorithm such "
            "as bohb, or give max_fidelity where it has one"
        )


def _described(objective: Objective, tuned: str) -> dict[str, Any]:
    """What a header says of an objective."""
    described: dict[str, Any] = {"takes_fidelity": objective.takes_fidelity, "trainer": tuned}
    described |= {"keep": objective.keep} if objective.keep != "last" else {}
    return described | ({"fidelity": objective.fidelity_name} if objective.fidelity_name else {})


def _why_nothing(result: Result, options: RunOptions, reason: str, *, is_over: bool) -> str:
    """What became of the trials of a search in which none has a result."""
    if not len(result) and is_over:
        return "confirm: there is no search to confirm; call optimize() first, or give the store of one with results"
    if not len(result):
        return f"the search ended before its first trial: {reason}" if reason else "the algorithm suggested nothing"
    text = f"no trial of {len(result)} has a result; states: {result.counts()}"
    if options.time_limit not in (None, math.inf):
        text += f"; the time limit was {options.time_limit:g} s"
    errors = [trial for trial in result if trial.error]
    return f"{text}; trial {errors[0].number}: {errors[0].error.strip()}" if errors else text


def make_executor(options: RunOptions, logs: Path | None) -> Executor:
    """Return the executor that the options ask for.

    By default it is this process for one worker without limits, else a process for each worker.

    Args:
        options: The arguments of ``optimize``.
        logs: The folder for what workers print; None is a temporary one.

    Raises:
        OptionError: There is none of that name, or it cannot hold the limits.
    """
    limits = {"time_limit": options.time_limit, "trial_time_limit": options.trial_time_limit}
    limits |= {"memory_limit": options.memory_bytes, "gpus": options.gpus}
    limits |= {"gpu_memory_limit": options.gpu_memory_bytes}
    given = [name for name, limit in limits.items() if limit is not None]
    kind = options.executor
    refused = [name for name in given if name != "time_limit"] + ["num_workers"] * (options.num_workers > 1)
    if options.schedule == "deterministic":  # then it says how many trials are open at most, wherever they run
        refused = [name for name in refused if name != "num_workers"]
    if isinstance(kind, Executor):
        if refused:
            who = type(kind).__name__
            raise OptionError(f"executor: {who} has slots and limits of its own, so leave out {', '.join(refused)}")
        return kind
    if engine_of(kind) is not None:
        if options.gpus is not None:
            raise OptionError("gpus: an engine has its own; say how many each trial needs, as in DaskExecutor(gpus=1)")
        bounds = options.trial_time_limit, options.memory_bytes
        ways = options.memory_by, options.gpu_memory_bytes
        return executor_of(kind, Shared(options.num_workers, *bounds, logs, *ways))
    if kind is None:
        kind = "serial" if options.num_workers == 1 and not given else "local"
    if kind == "serial":
        from autohpo.execution.serial import SerialExecutor

        if refused:
            raise OptionError(f"executor: 'serial' runs one trial in this process and cannot hold {', '.join(refused)}")
        return SerialExecutor()
    if kind != "local":
        raise unknown_executor(kind)
    from autohpo.execution.local import LocalExecutor

    return LocalExecutor(
        options.num_workers,
        trial_time_limit=options.trial_time_limit,
        memory_limit=options.memory_bytes,
        log_folder=logs,
        devices=options.devices,
        memory_by=options.memory_by,
        gpu_memory_limit=options.gpu_memory_bytes,
    )
