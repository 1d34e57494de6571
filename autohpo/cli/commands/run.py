"""``autohpo run``: start a search from a script, a function or a configuration file."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from autohpo.cli.output import Output
from autohpo.cli.running import (
    CHANGING,
    LISTS,
    ONCE,
    add_options,
    flag_of,
    quoted,
    shown_hp,
    shown_number,
    shown_states,
    words_of,
)

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer
    from autohpo.cli.config.plan import Plan

EPILOG = """\
WHAT is one of:
  train.py         a Python file with `space` and `f`; train.py:objective names
                   another function
  package.mod:f    a function of a module, with `space` beside it or as --space
  run.yaml         a configuration file (.yaml, .toml, .json) with a command
                   or an objective

examples:
  autohpo run train.py --max-evals 50 --num-workers 4
  autohpo run run.yaml -p lr=1e-4..0.1,log -p opt=adam,sgd --time-limit 2h
  autohpo run run.yaml --dry-run
  autohpo run run.yaml --detach
"""

HELP = {
    "param": ("NAME=SPEC", "change or add a parameter: lr=1e-4..0.1,log  opt=adam,sgd  units={low: 16, high: 256}"),
    "set": ("KEY=VALUE", "any other option of the algorithm or of the run, such as eta=4"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("what", metavar="WHAT", help="a Python file, module:function, or a configuration file")
    add_options(parser, ONCE)
    add_options(parser, CHANGING)
    for name, short in LISTS.items():
        value, text = HELP[name]
        parser.add_argument(short, flag_of(name), action="append", metavar=value, help=text)
    parser.add_argument("--detach", action="store_true", help="start it on its own, and return; it outlives the shell")
    parser.add_argument("--dry-run", action="store_true", help="check everything, say what would run, and run nothing")


def run(args: argparse.Namespace, output: Output) -> int:
    """Run the command."""
    from autohpo.cli.config.plan import plan_of

    with _warnings_as_notes(output):
        with _prints_elsewhere(output):
            plan = plan_of(args)
        if args.dry_run:
            from autohpo.cli.rehearsal import rehearse

            rehearse(plan, output)
            return 0
        if args.detach:
            return _detach(args, plan, output)
        return _search(args, plan, output)


def _detach(args: argparse.Namespace, plan: Plan, output: Output) -> int:
    """Start the search in a process of its own."""
    from autohpo.cli.arguments import UsageError
    from autohpo.cli.rehearsal import check_first
    from autohpo.control import files_of
    from autohpo.errors import DetachedError
    from autohpo.service import LOG, start_detached
    from autohpo.store import redacted

    if plan.store is None:
        raise UsageError("--detach: needs a store, as nobody could see the search or stop it otherwise")
    check_first(plan)
    try:
        own = argparse.Namespace(**{**vars(args), "json": False})  # its log is for people
        process = start_detached(command_of(own), store=plan.store, has_record=True)
    except DetachedError as error:
        output.error(error)
        return error.code if error.code > 0 else 128 - error.code
    log, store = files_of(plan.store) / LOG, redacted(plan.store)
    if output.is_json:
        output.value({"process": process, "store": store, "log": str(log)})
        return 0
    output.line(f"started: process {process}; it prints to {log}")
    for what, command in (("look at it", "top"), ("stop it", "stop"), ("go on after that", "resume")):
        output.line(f"{what + ':':17} {quoted(['autohpo', command, store])}")
    return 0


def command_of(args: argparse.Namespace) -> list[str]:
    """Return the command line that runs a search again, in any process."""
    return [sys.executable, "-m", "autohpo", *words_of(args)]


def _search(args: argparse.Namespace, plan: Plan, output: Output) -> int:
    """Run the search in this process, and print what it found."""
    from autohpo.algorithms.session import session_of
    from autohpo.cli.rehearsal import check_first
    from autohpo.errors import FirstTrialError, NoResultError
    from autohpo.service import Launch
    from autohpo.store import redacted

    check_first(plan)
    hpo = plan.build()
    budget = {"max_evals": hpo.max_evals, "budget": session_of(hpo).allowance.budget}
    budget["cost_limit"] = plan.arguments.get("cost_limit")
    launch = Launch.of_this_process(command_of(args), {name: n for name, n in budget.items() if n is not None})
    if plan.store is not None:
        output.note(f"store: {redacted(plan.store)}")
        session_of(hpo).on_begin = lambda store: launch.write(store.files) if hasattr(store, "path") else None
    if output.is_json and "progress" not in plan.arguments:
        plan.arguments["progress"] = "none"
    try:
        with _prints_elsewhere(output):
            hpo.optimize(None, plan.dataset, **{**plan.arguments, "store": plan.store})
    except KeyboardInterrupt:
        _say_how_to_go_on(plan, hpo, output)
        return 130
    except SystemExit as end:
        _say_how_to_go_on(plan, hpo, output)
        return int(end.code) if isinstance(end.code, int) else 1
    except NoResultError:
        _say_how_to_go_on(plan, hpo, output)
        raise
    except FirstTrialError as error:
        text = str(error).replace("continue_on_error=True", "--set continue_on_error=true")
        raise FirstTrialError(text.replace("\nautohpo.errors.", "\n").rstrip()) from error
    _print_result(plan, hpo, output)
    return 0


def _say_how_to_go_on(plan: Plan, hpo: BaseHPOptimizer, output: Output) -> None:
    """Say how a search goes on that has ended before its budget."""
    from autohpo.store import redacted

    if plan.store is not None and "result" in vars(hpo):
        output.note(f"autohpo: resume with: {quoted(['autohpo', 'resume', redacted(plan.store)])}")


def _print_result(plan: Plan, hpo: BaseHPOptimizer, output: Output) -> None:
    from autohpo.store import redacted

    result, (hp, perf) = hpo.result, hpo.best()
    trial = result.best.number
    end = _why_it_ended(hpo)
    store = None if plan.store is None else redacted(plan.store)
    if output.is_json:
        said: dict[str, Any] = {"hp": hp, "perf": perf, "trial": trial, "n": len(result), "states": result.counts()}
        if hpo.objectives.n > 1:
            said["pareto"] = [{"trial": t.number, "hp": t.hp, "perfs": t.perfs} for t in result.pareto]
        output.value(
            {**said, "store": store, "algorithm": result.algorithm, "name": result.name, "is_finished": bool(end)}
        )
        return
    names = result.objectives.names
    if len(names) > 1:
        parts = [f"{name or place} {shown_number(v)}" for place, (name, v) in enumerate(zip(names, perf, strict=True))]
        output.line(f"front: {len(result.pareto)} of {shown_states(result.counts())}")
        output.line(f"the compromise: {', '.join(parts)} in trial {trial}")
    else:
        output.line(f"best: {shown_number(perf)} in trial {trial} of {shown_states(result.counts())}")
    for line in shown_hp(hp):
        output.line(line)
    if plan.store is None:
        return
    if end:
        output.note(f"the search is finished: {end}")
    else:
        _say_how_to_go_on(plan, hpo, output)


def _why_it_ended(hpo: BaseHPOptimizer) -> str:
    """Return why a search is finished, and what makes it go on; the empty string where it has not come to its end."""
    from autohpo.algorithms.session import session_of

    why, most = session_of(hpo).why_over, session_of(hpo).allowance.most_evals
    if not why and hpo.n_left <= 0:
        return f"all {most:g} trials of a search without a limit were made; give --max-evals to go on"
    for name in ("max_evals", "budget", "cost_limit"):
        if why.startswith(f"{name}:"):
            return why.replace("raise it", f"raise {flag_of(name)}").replace("give it", f"give {flag_of(name)}")
    return why


def _prints_elsewhere(output: Output) -> contextlib.AbstractContextManager[object]:
    """Let code of the user's print to standard error where standard output is for JSON."""
    return contextlib.redirect_stdout(sys.stderr) if output.is_json else contextlib.nullcontext()


@contextlib.contextmanager
def _warnings_as_notes(output: Output) -> Iterator[None]:
    """Print warnings as remarks, without the line of code that they come from."""
    with warnings.catch_warnings():

        def show(message: Warning | str, *_: object, **__: object) -> None:
            output.note(f"autohpo: warning: {message}")

        warnings.showwarning = show
        yield
