"""The facts of a run: what it is, who works on it, and how it stands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from autohpo.cli.look.budgets import budget_of, cost_text, trials_text
from autohpo.cli.look.reading import Opened
from autohpo.cli.look.telling import describe, lines_of
from autohpo.cli.look.words import brief, duration, moment, paired, parameter_text
from autohpo.control import driver_of
from autohpo.errors import AutoHPOError, SpaceError
from autohpo.service import LOG, Launch
from autohpo.spaces import SearchSpace
from autohpo.spaces.tagged import from_json
from autohpo.store import RunState

Facts = dict[str, Any]


def run_facts(run: Opened, state: RunState) -> Facts:
    """Return what is known of a run, in JSON types but for the values of configurations.

    Args:
        run: The run.
        state: What its log says.
    """
    result = run.result(state)
    first, last = _times(run, state)
    header = run.header
    holder = driver_of(run.url)
    facts: Facts = {
        "store": str(run.path),
        "name": header.get("name", ""),
        "algorithm": header.get("algorithm", ""),
        "options": _options(header.get("options", {})),
        "objectives": objectives_of(run),
        "space": space_facts(run.space),
        "version": header.get("version", ""),
        "begun": first,
        "last_event": last,
        "driver": None if holder is None else {k: v for k, v in holder._asdict().items() if k != "id"},
        "command": _command(run),
        "n_trials": len(result),
        "states": result.counts(),
        "n_running": sum(attempt.is_running for attempt in state.attempts.values()),
        "budget": budget_facts(run, state),
        "best": describe(result, result.best) if state.best is not None else None,
        "n_on_front": len(result.pareto) if result.objectives.n > 1 else None,
        "why": result.why(result.best.number) if state.best is not None else "",
        "confirmed": [str(one) for one in result.confirmed],
        "files": str(run.store.files) if run.store.files.is_dir() else None,
        "log": str(run.store.files / LOG) if (run.store.files / LOG).is_file() else None,
    }
    facts["_best_lines"] = lines_of(result, result.best) if state.best is not None else []
    return facts


def run_lines(facts: Facts, width: int) -> list[str]:
    """Return the facts of a run for people.

    Args:
        facts: The facts.
        width: How many letters a line has; a longer one goes on below.
    """
    first, last, driver = facts["begun"], facts["last_event"], facts["driver"]
    waiting = driver is None  # for somebody who runs them
    states = {
        ("to be run again" if waiting and state == "RUNNING" else state): n for state, n in facts["states"].items()
    }
    trials = ", ".join(f"{n:,} {state}" for state, n in states.items())
    options = [f"{name}={value}" for name, value in facts["options"].items() if _is_said(value)]
    pairs = [
        ("store", facts["store"]),
        ("name", facts["name"]),
        ("algorithm", facts["algorithm"]),
        ("options", ", ".join(options)),
        ("objectives", ", ".join(f"{name}: {way}" if name else way for name, way in facts["objectives"].items())),
        *((("space" if k == 0 else ""), line) for k, line in enumerate(space_lines(facts["space"]))),
        ("made with", f"autohpo {facts['version']}" * bool(facts["version"])),
        ("command", facts["command"] or ""),
        ("begun", moment(first)),
        ("last event", moment(last) + (f", {duration(last - first)} after the start" if last and first else "")),
        ("driver", "nobody works on it now" if driver is None else _driver_text(driver)),
        ("trials", f"{facts['n_trials']:,}" + f" ({trials})" * bool(trials)),
        ("budget", facts["budget"].get("text", "")),
        ("front", "" if facts["n_on_front"] is None else f"{facts['n_on_front']} trials"),
        *(
            (("best" if k == 0 else ""), line)
            for k, line in enumerate(facts["_best_lines"] or ["no trial has a result"])
        ),
        ("why", facts["why"]),
        *((("confirmed" if k == 0 else ""), line.strip("<>")) for k, line in enumerate(facts["confirmed"])),
        ("files", facts["files"] or ""),
        ("log", facts["log"] or ""),
    ]
    return paired(pairs, width)


def _is_said(value: Any) -> bool:
    """Whether an option is worth a word: not where it is left out, or is a plain no."""
    return value is not None and value is not False and value not in ("", [], ())


def objectives_of(run: Opened) -> dict[str, str]:
    """Return the direction of each objective by its name; the empty one where it has none."""
    objectives = run.objectives
    words = ["higher is better" if sign > 0 else "lower is better" for sign in objectives.signs]
    names = objectives.names if objectives.n == 1 else [name or str(k) for k, name in enumerate(objectives.names)]
    return dict(zip(names, words, strict=True))


def space_facts(space: SearchSpace) -> dict[str, Any]:
    """Return a space in words: each parameter, when it is active, and the constraints."""
    parameters = {one.name: parameter_text(one) + _condition(space, one.name) for one in space.parameters}
    return {"parameters": parameters, "constraints": [str(getattr(one, "formula", one)) for one in space.constraints]}


def _condition(space: SearchSpace, name: str) -> str:
    formula = space.formulas.get(name)
    if formula is not None:
        return f"; only if {formula}"
    for parent in space.parameters:
        pairs = zip(getattr(parent, "choices", ()), getattr(parent, "children", ()), strict=False)
        values = [brief(value) for value, children in pairs if any(child.name == name for child in children)]
        if values:
            return f"; only if {parent.name} is {' or '.join(values)}"
    deciders = [one for one in space.deciders(name) if one != name]
    return f"; depends on {', '.join(deciders)}" if deciders else ""


def space_lines(space: dict[str, Any]) -> list[str]:
    """Return the facts of a space as lines: a parameter each, then the constraints."""
    width = max(map(len, space["parameters"]), default=0) + 2
    lines = [f"{name:{width}}{text}" for name, text in space["parameters"].items()]
    return lines + [f"constraint: {text}" for text in space["constraints"]]


def _options(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run but its mode; of points only how many there are."""
    options = {name: _option_value(value) for name, value in kept.items() if name != "mode"}
    points = options.pop("points", None)
    return options | ({"n_points": len(points)} if points else {})


def _option_value(value: Any) -> Any:
    """Return an option as it was given, or its name where only the program that made the run knows it."""
    try:
        return from_json(value)
    except SpaceError:
        return str(value.get("opaque", value)) if isinstance(value, dict) else str(value)


def _times(run: Opened, state: RunState) -> tuple[float | None, float | None]:
    """Return the times of the first and of the last event."""
    first = next(iter(run.store.events()), None)
    last = next(iter(run.store.events(max(state.seq - 1, 0))), None)
    return (None if first is None else first.time), (None if last is None else last.time)


def _command(run: Opened) -> str | None:
    """Return the command that the run was started with, where that is recorded."""
    try:
        launch = Launch.read(run.url)
    except AutoHPOError:
        return None
    return None if launch is None else shlex.join(launch.argv)


def _driver_text(driver: dict[str, Any]) -> str:
    if not driver["host"]:
        return "somebody works on it now"
    program = f" ({driver['program']})" if driver["program"] else ""
    return f"process {driver['process']} on {driver['host']}{program}, since {driver['since']}"


def budget_facts(run: Opened, state: RunState) -> dict[str, Any]:
    """Return how much of the budget is used."""
    budget = budget_of(run.header, run.url)
    used = state.n_asked - state.n_known
    facts: dict[str, Any] = {**budget, "n_suggested": used}
    if "max_evals" in budget:
        facts["text"] = trials_text(used, budget["max_evals"])
    elif "budget" in budget:
        facts["text"] = f"{budget['budget']:g} full evaluations; {used:,} trials were made"
    if "cost_limit" in budget:
        parts = [facts["text"]] if "text" in facts else []
        facts["text"] = "; ".join([*parts, cost_text(state.costs, budget["cost_limit"])])
    return facts
