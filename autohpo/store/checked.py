"""The validator at the store's door: what an event and a header must look like, whoever wrote them.

A checksum says that a row is what was written, not that autohpo wrote it. So every row is looked at once: its columns
and its JSON when it is read, its data before the fold takes it (``RunState.checked``), which also sees to it that
events do not contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.errors import AutoHPOError, shown
from autohpo.outcome import TrialState

MAX_DEPTH = 64
"""How deep lists and dicts may lie in each other."""

MAX_HEADER_DEPTH = 400
"""How deep those of a header may lie: parameters below choices lie in each other, and every value has its tags."""

MAX_INTEGER = 2**63 - 1
"""The largest integer that a row may hold, as SQLite's."""

MAX_BYTES = 256 * 2**20
"""The largest size of the data of a row, in characters."""

MAX_CLIENT = 200
"""The most characters of the name of who asked for a trial."""

MAX_NUMBER = 1.7976931348623157e308
"""The largest finite number: an integer above it could not become a float."""

_NUMBERS = frozenset({int, float})
KINDS = frozenset({"ask", "start", "report", "end", "interrupt", "late"})
_ENDS = {s.value: s.has_perf for s in TrialState if s not in (TrialState.RUNNING, TrialState.CANCELLED)}
_USUAL = frozenset({"state", "perf", "fidelity", "error", "cost"})
_INTERRUPTS = frozenset(s.value for s in TrialState if s is not TrialState.RUNNING and not s.has_perf)


class BadValueError(AutoHPOError, ValueError):
    """A row does not say what autohpo writes; the text says what is wrong. Stores raise it as StoreCorruptError."""


def _refuse_constant(name: str) -> Any:
    raise BadValueError(f"numbers must be finite, got {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_json(text: object) -> Any:
    """Return what a JSON text says.

    Raises:
        BadValueError: It is no JSON text, is too large or too deep, or has a number that is not finite.
    """
    if type(text) is not str:
        raise BadValueError(f"data must be a text, got {type(text).__name__}")
    if len(text) > MAX_BYTES:
        raise BadValueError(f"data must have at most {MAX_BYTES} characters, got {len(text)}")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise BadValueError(f"data must be at most {MAX_DEPTH} deep") from None
    except BadValueError:
        raise
    except ValueError as error:  # an integer of too many digits is one, too
        raise BadValueError(f"data must be JSON: {error}") from None


def check_row(row: Sequence[Any]) -> str:
    """Return what is wrong with the columns of a row but its data; the empty string where nothing is."""
    _, time, kind, trial, attempt, _, _ = row
    are_types = type(time) is float and type(kind) is str and type(trial) is int and type(attempt) is int
    is_near = are_types and abs(trial) <= MAX_INTEGER and 0 <= attempt <= MAX_INTEGER  # below 0: a confirming trial
    if is_near and kind in KINDS and time - time == 0:
        return ""
    return f"kind {shown(kind, 40)}, trial {shown(trial, 40)}, attempt {shown(attempt, 40)}, time {shown(time, 40)}"


def check_data(kind: str, data: object) -> str:
    """Return what is wrong with the data of an event; the empty string where nothing is."""
    check = CHECKS.get(kind)
    if check is None:
        return f"kind must be one of {', '.join(CHECKS)}, got {shown(kind)}"
    return check(data) if type(data) is dict else f"data must be a dict, got {type(data).__name__}"


def is_number(value: object) -> bool:
    """Return whether a value is a finite number, and no bool."""
    return type(value) in _NUMBERS and -MAX_NUMBER <= value <= MAX_NUMBER  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _are_numbers(value: object) -> bool:
    """Whether a value is one finite number, or a list of such."""
    if type(value) is list:
        return bool(value) and all(map(is_number, value))
    return is_number(value)


def is_shallow(value: object, most: int = MAX_DEPTH) -> bool:
    """Return whether lists and dicts lie in each other no deeper than allowed, and all integers have a usual size."""
    level = [value]
    for _ in range(most):
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                below += item.values()
            elif type(item) is list:
                below += item
            elif type(item) in _NUMBERS and not is_number(item):
                return False
        if not below:
            return True
        level = below
    return False


def _check_ask(data: dict[str, Any]) -> str:
    get = data.get
    if "fidelity" not in data or "resume" not in data:
        return f"must have fidelity and resume, got {shown(list(data))}"
    fidelity, resume, hp, info, fork = data["fidelity"], data["resume"], get("hp"), get("info"), get("fork")
    is_usual = fidelity is None and resume is None and type(hp) is dict and info == {} and len(data) == 6
    if is_usual and get("pid") == 0 and type(get("seed")) is int and 0 <= data["seed"] <= MAX_INTEGER:
        return ""
    if type(hp) is not dict or type(info) is not dict:
        return "hp and info must be dicts"
    if not (fidelity is None or (is_number(fidelity) and fidelity >= 0)):
        return f"fidelity must be a number of at least 0, got {shown(fidelity)}"
    if not ((resume is None or _is_count(resume)) and (fork is None or _is_count(fork))):
        return f"resume and fork must be numbers of trials, got {shown(resume)} and {shown(fork, 60)}"
    if not (type(get("pid")) is int and type(get("seed")) is int):
        return f"pid and seed must be integers, got {shown(get('pid'))} and {shown(get('seed'), 60)}"
    if not (-MAX_INTEGER <= data["pid"] <= MAX_INTEGER and 0 <= data["seed"] <= MAX_INTEGER):
        return f"pid and seed must be integers of a usual size, got {shown(get('pid'))} and {shown(get('seed'), 60)}"
    client = get("client", "nobody")
    if type(client) is not str or not 0 < len(client) <= MAX_CLIENT:
        return f"client must be a string of 1 to {MAX_CLIENT} characters, got {shown(client)}"
    return "" if is_shallow(info) else f"info must be at most {MAX_DEPTH} deep, with numbers that are finite"


def _check_start(data: dict[str, Any]) -> str:
    slot = data.get("slot")
    return (
        ""
        if type(slot) is int and -MAX_INTEGER <= slot <= MAX_INTEGER
        else f"slot must be an integer, got {shown(slot)}"
    )


def _check_report(data: dict[str, Any]) -> str:
    fidelity, perf = data.get("fidelity"), data.get("perf")
    if type(fidelity) not in _NUMBERS or not 0 <= fidelity <= MAX_NUMBER:  # type: ignore[operator]
        return f"fidelity must be a number of at least 0, got {shown(fidelity)}"
    if type(perf) in _NUMBERS and -MAX_NUMBER <= perf <= MAX_NUMBER:  # type: ignore[operator] # the usual case
        return "" if len(data) == 2 else _check_extras(data)
    if not is_number(perf) and not (type(perf) is list and _are_numbers(perf)):
        return f"perf must be finite, got {shown(perf)}"
    return _check_extras(data)


def _check_extras(data: dict[str, Any]) -> str:
    metrics = data.get("metrics", {})
    if type(metrics) is not dict or not is_shallow(metrics, 4):
        return f"metrics must be a dict of numbers, got {shown(metrics)}"
    return ""


def _check_end(data: dict[str, Any]) -> str:
    state, perf = data.get("state"), data.get("perf")
    if state == "COMPLETE" and type(perf) is float and data.keys() <= _USUAL and data.get("fidelity") is None:
        cost = data.get("cost", 0.0)
        if perf - perf == 0 and type(cost) is float and cost - cost == 0 and data.get("error", "") == "":
            return ""
    has_perf = _ENDS.get(state) if type(state) is str else None
    if has_perf is None:
        return f"state must be how a trial ends, got {shown(state)}"
    if has_perf != (perf is not None):
        return f"a trial that is {state} {'has' if has_perf else 'has no'} perf, got {shown(perf)}"
    if perf is not None and not is_number(perf) and not (type(perf) is list and _are_numbers(perf)):
        return f"perf must be finite, got {shown(perf)}"
    for name in ("fidelity", "cost", "trained"):
        value = data.get(name)
        if value is not None and not is_number(value):
            return f"{name} must be a number, got {shown(value)}"
    if type(data.get("own_cost", False)) is not bool:
        return f"own_cost must be true or false, got {shown(data['own_cost'])}"
    for name in ("error", "why"):
        if type(data.get(name, "")) is not str:
            return f"{name} must be a string, got {shown(data[name])}"
    if "constraints" in data:
        constraints = data["constraints"]
        if type(constraints) is not dict or not all(map(is_number, constraints.values())):
            return f"constraints must be a dict of numbers, got {shown(constraints)}"
    return _check_extras(data) if "metrics" in data else ""


def _check_interrupt(data: dict[str, Any]) -> str:
    state = data.get("state")
    if type(state) is not str or state not in _INTERRUPTS:
        return f"state must be how an attempt is interrupted, got {shown(state)}"
    error = data.get("error", "")
    for name in ("trained", "cost"):
        value = data.get(name)
        if value is not None and not is_number(value):
            return f"{name} must be a number, got {shown(value)}"
    return "" if type(error) is str else f"error must be a string, got {shown(error)}"


CHECKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "ask": _check_ask,
    "start": _check_start,
    "report": _check_report,
    "end": _check_end,
    "late": _check_end,
    "interrupt": _check_interrupt,
}
"""What says of the data of an event, a dict, whether autohpo writes it, by its kind; see :func:`check_data`."""


def check_kept_header(header: object) -> str:
    """Return what is wrong with the header that a store holds; the empty string where nothing is.

    What is there must be of the right type; what is missing shows where it is compared or read.
    """
    if type(header) is not dict:
        return f"it must be a dict, got {type(header).__name__}"
    if not is_shallow(header, MAX_HEADER_DEPTH):
        return f"it must be at most {MAX_HEADER_DEPTH} deep, with numbers that are finite"
    wanted: Mapping[str, type] = {
        **dict.fromkeys(("algorithm", "name", "version", "schedule"), str),
        **dict.fromkeys(("options", "objective", "made_with", "budget"), dict),
        "earlier": list,
    }
    for name, kind in wanted.items():
        if name in header and type(header[name]) is not kind:
            return f"{name} must be a {kind.__name__}, got {shown(header[name])}"
    seed = header.get("options", {}).get("seed", 0)
    if not (seed is None or _is_count(seed)):
        return f"options.seed must be an integer of at least 0, got {shown(seed)}"
    flag = header.get("objective", {}).get("takes_fidelity", False)
    return "" if type(flag) is bool else f"objective.takes_fidelity must be true or false, got {shown(flag)}"
