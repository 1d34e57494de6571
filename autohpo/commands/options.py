"""The options of a CommandObjective, checked and in plain types."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.errors import OptionError, short, shown

MOST_WORDS = 100_000
"""How many words a command may have: systems take no more."""

STREAMS = ("stdout", "stderr", "both")


def check_options(options: Any) -> None:
    """Check the options of a command whose types a caller may have got wrong.

    Raises:
        OptionError: One of them breaks a rule.
    """
    command = options.command
    is_list = isinstance(command, Sequence) and not isinstance(command, (str, bytes))
    if not isinstance(command, str) and (not is_list or len(command) > MOST_WORDS):
        raise OptionError(f"command: must be a string or a list of at most {MOST_WORDS} words, got {short(command)}")
    wrong = (
        [] if isinstance(command, str) else [w for w in command if not isinstance(w, (str, int, float, os.PathLike))]
    )
    if wrong:
        raise OptionError(f"command: its words must be strings, got {short(wrong[0])}")
    if not isinstance(options.stream, str) or options.stream not in STREAMS:
        raise OptionError(f"stream: must be one of {', '.join(STREAMS)}, got {shown(options.stream)}")
    for name in ("shell", "uses_env"):
        if not isinstance(getattr(options, name), bool):
            raise OptionError(f"{name}: must be True or False, got {short(getattr(options, name))}")
    for name in ("result_file", "cwd", "output_dir"):
        value = getattr(options, name)
        if value is not None and (not isinstance(value, (str, os.PathLike)) or not os.fspath(value)):
            raise OptionError(f"{name}: must be a path, got {short(value)}")
    for name, least in (("grace_seconds", 0), ("fidelity_offset", -math.inf), ("full_fidelity", 0)):
        value = getattr(options, name)
        if value is None and name == "full_fidelity":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
            rule = "a finite number" if least < 0 else f"a finite number of at least {least}"
            raise OptionError(f"{name}: must be {rule}, got {short(value)}")
    key = options.fidelity_key
    if key is not None and (not isinstance(key, str) or not key):
        raise OptionError(f"fidelity_key: must be the name of what counts the training, got {short(key)}")


def as_metrics(metric: object) -> str | list[str] | dict[str, str]:
    """Return the metrics in plain types.

    Raises:
        OptionError: It is no name, no list of names, and no dict of them; or a name stands there twice.
    """
    if isinstance(metric, str) and metric:
        return metric
    names = list(metric.values()) if isinstance(metric, Mapping) else metric
    keys = list(metric) if isinstance(metric, Mapping) else names
    if isinstance(names, (list, tuple)) and names and all(isinstance(n, str) and n for n in (*names, *(keys or ()))):  # type: ignore[misc]
        if len({*names}) < len(names):
            raise OptionError(f"metric: names must differ, got {shown(metric)}")
        return dict(metric) if isinstance(metric, Mapping) else list(names)
    raise OptionError(
        "metric: must be the name of what the command prints, such as 'val_acc', a list of names, or a dict from "
        f"objective to name, got {short(metric)}"
    )


def as_pattern(pattern: Any) -> str | dict[str, str] | None:
    """Return a pattern, or the pattern of each metric, as strings.

    Raises:
        OptionError: It is something else.
    """
    if pattern is None or isinstance(pattern, str):
        return pattern
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        flags = "".join(c for c, flag in _FLAGS.items() if pattern.flags & flag)
        return f"(?{flags}){pattern.pattern}" if flags else pattern.pattern
    if isinstance(pattern, Mapping) and pattern and all(isinstance(name, str) and name for name in pattern):
        found = {name: as_pattern(one) for name, one in pattern.items()}
        if all(isinstance(one, str) for one in found.values()):
            return found  # type: ignore[return-value]
    raise OptionError(
        f"pattern: must be a regular expression, or a dict from metric to regular expression, got {short(pattern)}"
    )


_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}


def as_variables(env: object) -> dict[str, str | None]:
    """Return the variables in plain types.

    Raises:
        OptionError: It is no dict from names to strings.
    """
    if not isinstance(env, Mapping):
        raise OptionError(f"env: must be a dict from name to value, got {short(env)}")
    found: dict[str, str | None] = {}
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise OptionError(f"env: names of variables must be strings without '=', got {short(name)}")
        if value is not None and not isinstance(value, (str, int, float, os.PathLike)):
            raise OptionError(f"env: {name} must be a string, or None to take it away, got {short(value)}")
        found[name] = None if value is None else str(value)
    return found
