"""How durations, values, configurations and parameters read on a terminal."""

from __future__ import annotations

import json
import math
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from autohpo.cli.output import as_json, cell


def duration(seconds: float) -> str:
    """Return a duration: ``0.12 s``, ``7.1 s``, ``12 min 34 s``, ``5 h 02 min``, ``3 d 4 h``."""
    seconds = max(seconds, 0.0)
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2g} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minute:02d} min" if hours else f"{minute} min {second:02d} s"


def ago(seconds: float) -> str:
    """Return how long ago something was, roughly: ``now``, ``12 s ago``, ``5 min ago``, ``3 h ago``, ``2 d ago``."""
    for unit, size in (("d", 172_800.0), ("h", 7_200.0), ("min", 120.0)):
        if seconds >= size:
            return f"{int(seconds // {'d': 86_400, 'h': 3_600, 'min': 60}[unit])} {unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 2 else "now"


def moment(seconds: float | None) -> str:
    """Return a moment in local time, to the second; the empty string for None."""
    if seconds is None or not 0 <= seconds < 2e11:
        return ""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - the user's own clock


def value_text(value: Any) -> str:
    """Return a value of a configuration with all its digits, as a shell or a program would read it."""
    plain = as_json(value)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, float):
        return repr(plain)
    return str(plain) if plain is None or isinstance(plain, (bool, int)) else json.dumps(plain, ensure_ascii=False)


def as_arguments(hp: Mapping[str, Any]) -> str:
    """Return a configuration as arguments of a command: ``--lr 0.01 --layers 3``."""
    return " ".join(f"{shlex.quote('--' + name)} {shlex.quote(value_text(value))}" for name, value in hp.items())


def hp_text(hp: Mapping[str, Any]) -> str:
    """Return a configuration in one short line: ``lr=0.0123, act=relu``."""
    return ", ".join(f"{name}={brief(value)}" for name, value in hp.items())


def brief(value: Any, most: int = 40) -> str:
    """Return a value in a narrow place."""
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(cell(as_json(value)).split())
    text = text or repr(value)  # None, an empty string
    return text if len(text) <= most else text[: most - 3] + "..."


def number_text(value: float) -> str:
    """Return a number of a result, short: six digits."""
    return f"{value:.6g}"


def fidelity_text(fidelity: float | None) -> str:
    """Return a fidelity; the empty string where the trial gets all there is."""
    return "" if fidelity is None or math.isinf(fidelity) else f"{fidelity:g}"


def error_line(error: str, most: int = 100) -> str:
    """Return the line of an error that says what it was: the last one of a traceback, the first one of a text."""
    lines = error.strip().splitlines() or [""]
    text = (lines[-1] if lines[0].startswith("Traceback") else lines[0]).removeprefix("autohpo.errors.").strip()
    return text if len(text) <= most else text[: most - 3] + "..."


def parameter_text(parameter: Any) -> str:
    """Return a parameter in words: ``1e-05 to 0.1, log scale``, ``one of relu, tanh``."""
    kind = type(parameter).__name__
    if kind in ("RangeHP", "LogRangeHP"):
        whole = "integer " if parameter.is_int else ""
        step = "" if parameter.step is None else f", step {brief(parameter.step)}"
        scale = ", log scale" if kind == "LogRangeHP" else ""
        text = f"{whole}{brief(parameter.low)} to {brief(parameter.high)}{step}{scale}"
    elif kind in ("ChoiceHP", "OrdinalHP", "PermutationHP"):
        values = next(getattr(parameter, n) for n in ("choices", "values", "items") if hasattr(parameter, n))
        names = getattr(parameter, "names", ()) or values
        shown = ", ".join(brief(value) for value in list(names)[:12]) + ", ..." * (len(values) > 12)
        text = {"ChoiceHP": "one of ", "OrdinalHP": "one of, in order: ", "PermutationHP": "an order of "}[kind] + shown
    elif kind == "FixedHP":
        text = f"always {brief(parameter.value)}"
    elif kind == "TiedHP":
        text = f"follows from {parameter.to}"
    else:
        return str(parameter)
    return text + (f", prior {prior}" if (prior := getattr(parameter, "prior", None)) is not None else "")


def paired(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return names and texts in two columns; a long text goes on below, an empty one is left out.

    Args:
        pairs: The names and the texts; one with an empty name belongs to the one before.
        width: How many letters a line has.
    """
    indent = max(len(name) for name, _ in pairs) + 2
    lines = []
    for name, text in pairs:
        if not text:
            continue
        parts = [text]
        if len(text) > width - indent and not text.startswith(" "):
            room = max(width - indent, 20)
            parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [text]
        lines += [f"{name if k == 0 else '':{indent}}{part}".rstrip() for k, part in enumerate(parts)]
    return lines
