"""The rehearsal of a search, ``autohpo run --dry-run``: what would run, with everything checked and nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.cli.config.plan import Plan
from autohpo.cli.look.facts import space_facts, space_lines
from autohpo.cli.output import Output
from autohpo.cli.running import quoted, shown_hp
from autohpo.control import driver_of
from autohpo.errors import NoRunError, OptionError, RunBusyError
from autohpo.folders import remove_folder, temporary_folder
from autohpo.objective import Objective
from autohpo.run_header import run_header
from autohpo.spaces.files.documents import located
from autohpo.store import open_store, redacted
from autohpo.store.base import check_header
from autohpo.trial import Suggestion, Task
from autohpo.trial_handle import TrialHandle


def rehearse(plan: Plan, output: Output) -> None:
    """Print what a plan would do: the search space, the algorithm, how much is trained, and the first command.

    Args:
        plan: The plan.
        output: Where to print.

    Raises:
        RunBusyError: Another driver works on the store.
        StoreError: The store holds another run, or cannot be used.
        AutoHPOError: The algorithm cannot suggest anything.
    """
    hpo = _prepared(plan)
    store, n_there = _look_at(plan, hpo)
    training = type(hpo).training_plan(hpo)
    first, command = _first_of(plan, hpo)
    if output.is_json:
        said: dict[str, Any] = {
            "what": plan.what,
            "algorithm": plan.algorithm,
            "options": dict(plan.options),
            "arguments": dict(plan.arguments),
        }
        where = None if plan.store is None else redacted(plan.store)
        said |= {"space": [parameter.to_dict() for parameter in hpo.space], "store": where, "n": n_there}
        said |= {"plan": None if training is None else str(training), "hp": first, "fidelity": first.fidelity}
        output.value({**said, "command": command})
        return
    output.line(f"algorithm: {plan.algorithm}{_list(dict(plan.options))}")
    output.line(f"run: {_list(dict(plan.arguments)).strip(' ()') or 'one worker, no limits'}")
    output.line(f"space: {len(hpo.space)} parameters")
    for line in space_lines(space_facts(hpo.space)):
        output.line(f"  {line}")
    output.line(f"plan: {_budget(hpo, plan) if training is None else training}")
    output.line(f"store: {store}")
    fidelity = "" if first.fidelity is None else f" with fidelity {first.fidelity:g}"
    output.line(f"first trial of a new search{fidelity}:")
    for line in [f"  {command if isinstance(command, str) else quoted(command)}"] if command else shown_hp(first):
        output.line(line)


def check_first(plan: Plan) -> None:
    """Check that the first command of a search can be written and found, before there is a store; functions are taken.

    Raises:
        OptionError: A placeholder has no value, or there is no such program.
        AutoHPOError: The algorithm cannot suggest anything.
    """
    if _is_command(plan.f):
        _first_of(plan, _prepared(plan))


def _prepared(plan: Plan) -> BaseHPOptimizer:
    """Return an optimizer that knows what the objective can do."""
    hpo, options = plan.build(), plan.run_options()
    objective = Objective.of(plan.f, plan.dataset, hpo.mode, fidelity_name=options.fidelity, keep=options.keep)
    hpo.has_fidelity, hpo.is_continued = objective.takes_fidelity, objective.is_continued
    options.stop_rules.check(hpo)
    return hpo


def _first_of(plan: Plan, hpo: BaseHPOptimizer) -> tuple[Suggestion, Any]:
    """Return the first suggestion, and its command; None where the objective is a function."""
    first = hpo.ask()
    if not _is_command(plan.f):
        return first, None
    with located(plan.source, "command"):
        command = _command_of(plan, first)
        is_searched = isinstance(command, list) and plan.f.cwd is None and "PATH" not in plan.f.env
        if is_searched and shutil.which(command[0]) is None:
            raise OptionError(f"command: must begin with a program, got {command[0]}, which is not found")
    return first, command


def _is_command(f: Any) -> bool:
    return type(f).__name__ == "CommandObjective"


def _list(values: dict[str, Any]) -> str:
    return f" ({', '.join(f'{name}={value}' for name, value in values.items())})" if values else ""


def _budget(hpo: BaseHPOptimizer, plan: Plan) -> str:
    if plan.arguments.get("time_limit") is not None:
        return "trials until the time limit"
    return "until the space is exhausted" if hpo.is_finite else f"{hpo.default_evals} trials, as no limit was given"


def _look_at(plan: Plan, hpo: BaseHPOptimizer) -> tuple[str, int]:
    """Return what is said of the store, and how many trials it holds.

    Raises:
        RunBusyError: Another driver works on it.
        StoreError: It holds another run.
    """
    if plan.store is None:
        return "none, so nothing is kept", 0
    where = redacted(plan.store)
    holder = driver_of(plan.store)
    if holder is not None:
        raise RunBusyError(f"store: {where} is in use by {holder}")
    path: Any = getattr(open_store(plan.store), "path", None)
    if path is None or (isinstance(path, Path) and (not path.exists() or not path.stat().st_size)):
        return f"{where}, which is new", 0
    try:
        store = open_store(plan.store, read_only=True)
    except NoRunError:
        if isinstance(path, Path):
            raise
        return f"{where}, which is new", 0
    try:
        kept = store.header
        n = sum(event.kind == "ask" and event.trial >= 0 for event in store.events())
        if kept is not None:
            if hpo.is_seed_drawn:
                hpo.seed = kept.get("options", {}).get("seed", hpo.seed)
            rest = {name: value for name, value in kept.items() if name not in ("algorithm", "options", "space")}
            check_header(kept, {**rest, **run_header(hpo, kept)}, str(path))
    finally:
        store.close()
    return f"{where}, in which {n} trials are: they are taken over", n


def _command_of(plan: Plan, first: Suggestion) -> Any:
    """Return the command of the first trial."""
    hp = dict(first)
    name = plan.arguments.get("fidelity")
    if name is not None and first.fidelity is not None:
        hp[name] = first.fidelity
    folder = temporary_folder()  # of its checkpoints
    try:
        task = Task(first.number, 1, hp, first.seed or 0, first.fidelity, checkpoint_dir=str(folder / "checkpoints"))
        return plan.f.command_of(hp, TrialHandle(task, lambda *_: True))
    finally:
        remove_folder(folder)
