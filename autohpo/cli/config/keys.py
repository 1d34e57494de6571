"""The keys of a configuration file, the options of ``autohpo run``, and where each belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autohpo.algorithms.options import RunArguments
from autohpo.errors import OptionError
from autohpo.other_names import did_you_mean, hint, meant_option
from autohpo.spaces.files.documents import Table, located

COMMAND = (
    *("pattern", "fidelity_key", "fidelity_offset", "result_file", "stream", "shell", "env", "uses_env", "cwd"),
    *("output_dir", "grace_seconds", "full_fidelity"),
)
"""The keys that say more of a command; see :class:`autohpo.CommandObjective`."""

TOP = (
    *("command", "objective", "metric", "mode", "space", "constraints", "algorithm", "options", "run", "points"),
    *("store", "name", *COMMAND),
)
"""The keys of a configuration file."""

OPTIONS = (
    "max_evals",
    "budget",
    "seed",
    "mode",
    "points",
    "noise",
    "stop_hopeless",
    "min_fidelity",
    "max_fidelity",
    "eta",
)
"""The options of algorithms that most have."""

ELSEWHERE = {"`options:`": OPTIONS, "`run:`": tuple(RunArguments.__annotations__), "the top of the file": TOP}
"""Where a key may belong, for errors."""

SCRIPT_NAMES = {
    "options": "options",
    "run_options": "arguments",
    "mode": "option",
    "points": "option",
    "dataset": "dataset",
}
"""What a Python file may define beside ``space``, ``f`` and ``algorithm``, and what becomes of it."""


def _as_it_is(_flag: str, value: Any) -> Any:
    return value


def _mode(flag: str, text: str) -> Any:
    """Return the mode that ``max``, ``max,min`` or ``acc=max,latency=min`` stands for."""
    parts = [part.strip() for part in text.split(",")]
    if "=" not in text:
        return parts[0] if len(parts) == 1 else parts
    pairs = [part.partition("=") for part in parts]
    if not all(name and equals and way for name, equals, way in pairs):
        raise OptionError(f"{flag}: must be max, min, or a list such as acc=max,latency=min, got {text!r}")
    return {name.strip(): way.strip() for name, _, way in pairs}


def _seconds(flag: str, text: str) -> Any:
    from autohpo.cli.config.values import seconds

    return seconds(flag, text)


RUN_FLAGS: dict[str, tuple[bool, Callable[[str, Any], Any]]] = {
    "max_evals": (True, _as_it_is),
    "budget": (True, _as_it_is),
    "seed": (True, _as_it_is),
    "mode": (True, _mode),
    "min_fidelity": (True, _as_it_is),
    "max_fidelity": (True, _as_it_is),
    "num_workers": (False, _as_it_is),
    "time_limit": (False, _seconds),
    "trial_time_limit": (False, _seconds),
    "cost_limit": (False, _seconds),
    "memory_limit": (False, _as_it_is),
    "memory_by": (False, _as_it_is),
    "gpu_memory_limit": (False, _as_it_is),
    "name": (False, _as_it_is),
    "confirm": (False, _as_it_is),
    "target": (False, _as_it_is),
    "patience": (False, _as_it_is),
    "executor": (False, _as_it_is),
    "progress": (False, _as_it_is),
}
"""The options of the command line: whether each is one of the algorithm, and how its value is read."""


def check_top(given: Table) -> None:
    """Raise an error unless all keys of a configuration file are known and belong there.

    Raises:
        ConfigError: One is not; the text says what was meant, or where it belongs.
    """
    for key in given:
        with located(given, key):
            if key not in TOP:
                name = str(key)
                near = did_you_mean(name, TOP)
                meant = (
                    hint(name, TOP, ELSEWHERE) if near == "." or meant_option(name) != name or _is_below(name) else near
                )
                raise OptionError(f"{name}: a configuration file has no such key{meant} Keys: {', '.join(TOP)}")
            if key in COMMAND and "command" not in given:
                raise OptionError(f"{key}: says more of a command, but there is none; write command: ...")


def _is_below(name: str) -> bool:
    return name in OPTIONS or name in RunArguments.__annotations__


def place_of(name: str, *, is_option: bool) -> None:
    """Raise an error where an option belongs to the arguments of the run, or the other way round.

    Args:
        name: The name of the option.
        is_option: Whether it was given as one of the algorithm.

    Raises:
        OptionError: It does.
    """
    known = RunArguments.__annotations__
    if is_option:
        meant = meant_option(name)
        if name in known or (meant != name and meant in known):
            called = "" if meant == name else f"is called {meant} and "
            raise OptionError(f"{name}: {called}belongs below run: in a file, or into run_options of a Python file")
    elif name == "store":
        raise OptionError("store: belongs to the top of a configuration file, or give --store")
    elif name not in known:
        meant_there = hint(name, known, {"`options:`": OPTIONS, "the top of the file": TOP})
        raise OptionError(f"{name}: run has no such argument{meant_there} Arguments: {', '.join(sorted(known))}")
