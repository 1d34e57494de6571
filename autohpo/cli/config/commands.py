"""The command of a configuration file, and what it says of metrics."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from autohpo.cli.config.keys import COMMAND
from autohpo.cli.config.values import seconds
from autohpo.errors import AutoHPOError, OptionError, shown
from autohpo.other_names import meant_way
from autohpo.spaces.files.documents import ConfigError, Table, first_word, located, plain
from autohpo.spaces.files.words import as_flag, as_number

NEAR = 0.75
"""How alike a word must be to max or min to be one of them, misspelt; ``mae`` is not."""


def ways_of(given: Table) -> Any:
    """Return the mode that ``metric: {val_acc: max}`` says; None where it names metrics alone.

    Raises:
        OptionError: It names a metric though the objective is a function.
    """
    metric = given["metric"]
    ways = _ways(metric)
    if ways is None:
        if "command" not in given:
            rule = "names what is read of a command's output; with an objective write metric: {name: max}, or mode"
            raise OptionError(f"metric: {rule}, got {shown(metric)}")
        return None
    return ways if len(ways) > 1 or "command" not in given else next(iter(ways.values()))


def _ways(metric: Any) -> dict[str, str] | None:
    """Return which way is better of each metric; None where a mapping says which metric each objective is.

    Raises:
        OptionError: A way is misspelt.
    """
    if not isinstance(metric, Mapping) or not metric:
        return None
    ways = {name: meant_way(way) for name, way in metric.items()}
    for name, way in metric.items():
        near = difflib.get_close_matches(str(way).lower(), ("max", "min", "maximize", "minimize"), 1, NEAR)
        if ways[name] is None and (near or any(ways.values())):
            raise OptionError(f"metric: {name} must be max or min, got {shown(way)}")
    return {str(name): way for name, way in ways.items() if way is not None} if all(ways.values()) else None


def command_of(given: Table) -> Any:
    """Return the objective that a configuration file's command is.

    Raises:
        ConfigError: The command, or something that is said of it, breaks a rule.
    """
    from autohpo.commands import CommandObjective

    metric = given.get("metric")
    if metric is None:
        with located(given, "command"):
            text = "metric: is missing: the name of the number in the command's output, as in metric: {val_acc: max}"
            raise OptionError(text)
    ways = _ways(metric)
    names = metric if ways is None else next(iter(ways)) if len(ways) == 1 else list(ways)
    options: dict[str, Any] = {}
    for key in COMMAND:
        if given.get(key) is not None:
            with located(given, key):
                options[key] = _option(key, given[key])
    command = given["command"]
    if isinstance(command, list):
        command = [word if isinstance(word, str) else str(word) for word in command]
    try:
        return CommandObjective(command, metric=plain(names), **options)
    except AutoHPOError as error:
        key = first_word(str(error))
        with located(given, key if key in given else "command"):
            raise
    except TypeError as error:  # a value of a type that nobody thought of
        raise ConfigError(f"{given.at('command')}command: {error}") from error


def _option(key: str, value: Any) -> Any:
    if key == "grace_seconds":
        return seconds(key, value)
    if key in ("full_fidelity", "fidelity_offset"):
        return as_number(value)
    if key in ("shell", "uses_env"):
        return as_flag(value)
    if key == "env" and isinstance(value, Mapping):
        return {name: _word(item) for name, item in value.items()}
    return plain(value)


def _word(value: Any) -> Any:
    """Return a number as the word that a variable can be."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
