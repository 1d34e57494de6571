"""The plan of a search: what the command line and a configuration file make of it, checked before anything runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import RunArguments
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.cli.arguments import VARIABLE, UsageError
from autohpo.cli.config import sources
from autohpo.cli.config.commands import command_of, ways_of
from autohpo.cli.config.keys import COMMAND, RUN_FLAGS, SCRIPT_NAMES, check_top, place_of
from autohpo.cli.config.spaces import with_changes
from autohpo.cli.config.values import DURATIONS, as_wanted, flow_value, hints_of, pair, seconds
from autohpo.errors import AutoHPOError, OptionError, SpaceError, shown
from autohpo.run_options import RunOptions
from autohpo.spaces import SearchSpace
from autohpo.spaces.files.documents import SUFFIXES, ConfigError, Table, first_word, located, plain, read_document
from autohpo.spaces.files.reading import parsed_space

T = TypeVar("T")

COMMAND_ADVICE = "a command line stands in a configuration file, as in command: ./train --lr {lr}"


@dataclass
class Plan:
    """A search that is ready to be built and run.

    Attributes:
        what: What the command line named.
        f: The objective.
        space: The search space.
        algorithm: The registered name of the algorithm.
        options: The options of the algorithm.
        arguments: The arguments of ``optimize``, without the store.
        store: The path or URL of the store; None keeps everything in memory.
        dataset: What `f` gets as ``dataset``.
        source: The configuration file; empty where it is none.
    """

    what: str
    f: Any
    space: SearchSpace
    algorithm: str
    options: Table
    arguments: Table
    store: str | None
    dataset: Any = None
    source: Table = field(default_factory=Table)

    def build(self) -> BaseHPOptimizer:
        """Return a new optimizer.

        Raises:
            ConfigError: An option breaks a rule, and stands in a file.
            OptionError: An option breaks a rule.
            RegistryError: There is no such algorithm.
            SpaceError: The space breaks a rule.
        """
        return _with_line(self.options, lambda: build_hpo_from_name(self.algorithm, self.space, self.f, **self.options))

    def run_options(self) -> RunOptions:
        """Return the arguments of ``optimize``, checked.

        Raises:
            ConfigError: One breaks a rule, and stands in a file.
            OptionError: One breaks a rule.
        """
        return _with_line(self.arguments, lambda: RunOptions(**{**self.arguments, "store": self.store}))


def _with_line(table: Table, make: Callable[[], T]) -> T:
    """Return what a function makes of a table's values; an error of ours about one of them says where it stands."""
    try:
        return make()
    except AutoHPOError as error:
        with located(table, first_word(str(error))):
            raise


@dataclass
class _Parts:
    """What the source says, before the command line changes it."""

    f: Any = None
    space: Any = None
    stem: str = ""
    algorithm: Any = None
    options: Table = field(default_factory=Table)
    arguments: Table = field(default_factory=Table)
    store: Any = None
    dataset: Any = None
    constraints: Any = ()
    source: Table = field(default_factory=Table)


def plan_of(args: argparse.Namespace) -> Plan:
    """Return the plan that a command line of ``autohpo run`` asks for.

    Args:
        args: What was parsed.

    Raises:
        UsageError: The command line, a file or a reference is wrong.
        AutoHPOError: An option, the space or the command breaks a rule; the classes are those of ``optimize``.
    """
    what: str = args.what
    if sources.is_document(what):
        parts = _of_document(Path(what), read_document(_existing(Path(what))))
    elif sources.is_script(what):
        parts = _of_module(sources.find("run", what, "f"), has_space=args.space is not None)
    else:
        rule = f"must be a Python file, module:function, or a configuration file ({', '.join(SUFFIXES)})"
        missing = "" if Path(what).exists() else ", and there is no such file"
        raise UsageError(f"run: {rule}, got {shown(what)}{missing}; {COMMAND_ADVICE}")
    _take_flags(parts, args)
    if args.space is not None:
        parts.space, parts.constraints = space_at("--space", args.space), ()
    if parts.space is None:
        raise SpaceError("space: is missing; give it in the file, or as --space FILE.yaml or --space module:name")
    space = parsed_space(parts.space, parts.constraints)
    space = with_changes(space, [pair("--param", text) for text in args.param or ()])
    algorithm = "auto" if parts.algorithm is None else parts.algorithm
    plan = Plan(what, parts.f, space, algorithm, parts.options, parts.arguments, _store(parts, args))
    plan.dataset, plan.source = parts.dataset, parts.source
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    """Check everything that can be checked before a search."""
    if not callable(plan.f):
        raise UsageError(f"f: must be a function that takes a configuration, got {shown(plan.f)}")
    hints = hints_of(get_hpo(plan.algorithm)) if isinstance(plan.algorithm, str) else {}
    for table, kinds in ((plan.options, hints), (plan.arguments, hints_of(RunArguments))):
        for name in table:
            with located(table, name):
                if not isinstance(name, str):
                    raise OptionError(f"{shown(name)}: must be a string, as it is the name of an option")
                place_of(name, is_option=table is plan.options)
                table[name] = as_wanted(plain(table[name]), kinds.get(name))
                if name in DURATIONS:
                    table[name] = seconds(name, table[name])
    plan.run_options()
    plan.build()
    check = getattr(plan.f, "check", None)
    if type(plan.f).__name__ == "CommandObjective" and check is not None:
        check(plan.space, plan.arguments.get("fidelity"))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"run: there is no file {path}")
    return path


# From files and modules.


def _of_module(found: sources.Found, *, has_space: bool) -> _Parts:
    """Return what a Python module says."""
    parts = _Parts(found.value, stem=found.stem, space=found.get("space"), algorithm=found.get("algorithm"))
    if parts.space is None and not has_space:
        raise SpaceError(f"space: {found.where} has none; write space = [...] in it, or give --space")
    if callable(parts.space) and not isinstance(parts.space, (list, tuple)) and not hasattr(parts.space, "roots"):
        parts.space = parts.space()
    for name, into in SCRIPT_NAMES.items():
        value = found.get(name)
        if value is None:
            continue
        if into in ("options", "arguments"):
            if not isinstance(value, Mapping):
                raise OptionError(f"{name}: must be a dict in {found.where}, got {shown(value)}")
            getattr(parts, into).update(value)
        elif into == "option":
            parts.options[name] = value
        else:
            setattr(parts, into, value)
    return parts


def _of_document(path: Path, given: Any) -> _Parts:
    """Return what a configuration file says."""
    if not isinstance(given, Table) or not given:
        raise ConfigError(f"{path}: must be a mapping with command or objective, and space, got {shown(given)}")
    check_top(given)
    parts = _Parts(stem=path.stem, algorithm=given.get("algorithm"), constraints=given.get("constraints") or ())
    parts.source = given
    for name, into in (("options", parts.options), ("run", parts.arguments)):
        _take_table(given, name, into)
    with located(given, "space"):
        parts.space = given.get("space")
        if isinstance(parts.space, str):
            parts.space = space_at("space", parts.space)
        parts.space = None if parts.space is None else parsed_space(parts.space)
    with located(given, "constraints"):
        if parts.space is not None:
            parts.space, parts.constraints = parsed_space(parts.space, parts.constraints), ()
    with located(given, "algorithm"):
        if parts.algorithm is not None:
            get_hpo(parts.algorithm)
    _take_ways(given, parts)
    for name in ("points", "store", "name"):
        if given.get(name) is not None:
            with located(given, name):
                _take(name, given[name], parts, given)
    if ("command" in given) is ("objective" in given):
        rule = "must have a command, or an objective such as module:function"
        raise ConfigError(f"{path}: {rule}" + (", and not both" if "command" in given else ""))
    if "command" in given:
        parts.f = command_of(given)
    else:
        with located(given, "objective"):
            if not isinstance(given["objective"], str):
                raise UsageError(
                    f"objective: must be module:function or file.py:function, got {shown(given['objective'])}"
                )
            parts.f = sources.find(
                "objective", given["objective"], "f" if given["objective"].endswith(".py") else ""
            ).value
    return parts


def _take_table(given: Table, name: str, into: Table) -> None:
    value = given.get(name)
    if value is None:
        return
    if not isinstance(value, Table):
        with located(given, name):
            raise OptionError(f"{name}: must be a mapping from names to values, got {shown(value)}")
    into.update(value)
    into.where, into.lines = value.where, dict(value.lines)


def _take_ways(given: Table, parts: _Parts) -> None:
    """Take which way is better, from mode or from metric."""
    for name in ("mode", "metric"):
        if given.get(name) is None:
            continue
        with located(given, name):
            ways = given[name] if name == "mode" else ways_of(given)
            if ways is None:
                continue
            if "mode" in parts.options:
                raise OptionError(f"{name}: says which way is better, but that is said already; leave out one")
            parts.options["mode"] = ways
            parts.options.where = given.where
            if name in given.lines:
                parts.options.lines["mode"] = given.lines[name]


def _take(name: str, value: Any, parts: _Parts, given: Table) -> None:
    if name == "points":
        if not isinstance(value, list) or not all(isinstance(point, Mapping) for point in value):
            raise OptionError(f"points: must be a list of configurations to try first, got {shown(value)}")
        parts.options["points"] = plain(value)
        parts.options.where, parts.options.lines["points"] = given.where, given.lines.get("points", 1)
    elif not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise OptionError(f"{name}: must be a string, got {shown(value)}")
    elif name == "store":
        parts.store = str(value)
    else:
        parts.arguments[name] = str(value)


def space_at(argument: str, text: str) -> SearchSpace:
    """Return the space of a file, or of a module that has it under a name.

    Args:
        argument: What `text` was given as, for errors.
        text: The path of a configuration file, whole or with the space alone; ``module:name``, or a Python file.

    Raises:
        UsageError: There is no such file or name, or it cannot be read.
        SpaceError: The space breaks a rule.
    """
    if sources.is_document(text):
        if not Path(text).is_file():
            raise UsageError(f"{argument}: there is no file {text}")
        given, constraints = read_document(Path(text)), ()
        if isinstance(given, Table) and isinstance(given.get("space"), (Mapping, list)) and "space" in given:
            given, constraints = given["space"], given.get("constraints") or ()
        return parsed_space(given, constraints)
    found = sources.find(argument, text, "space" if text.endswith(".py") else "")
    value = found.value
    if callable(value) and not hasattr(value, "roots"):
        value = value()
    return parsed_space(value)


# From the command line.


def _take_flags(parts: _Parts, args: argparse.Namespace) -> None:
    """Let the command line overrule what the source says."""
    if args.algorithm is not None:
        parts.algorithm = args.algorithm
    for flag, (is_option, convert) in RUN_FLAGS.items():
        text = getattr(args, flag)
        if text is not None:
            table = parts.options if is_option else parts.arguments
            table[flag] = convert(flag, text)
            table.lines[flag] = 0
    for text in args.set or ():
        name, value = pair("--set", text)
        if name in COMMAND and name not in RunArguments.__annotations__:
            raise UsageError(f"--set: {name} says more of a command; write it in the configuration file")
        table = parts.arguments if name in RunArguments.__annotations__ else parts.options
        table[name] = flow_value("--set", value)
        table.lines[name] = 0


def _store(parts: _Parts, args: argparse.Namespace) -> str | None:
    """Return where the search is kept."""
    given = args.store or parts.store or os.environ.get(VARIABLE) or f"{parts.stem}.db"
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if not isinstance(given, str):
        raise OptionError(f"store: must be a path or a URL, got {shown(given)}")
    return None if given in ("none", "memory:") else given
