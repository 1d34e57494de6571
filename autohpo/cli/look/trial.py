"""The facts of one trial: its configuration, attempts, reports, outcome, and where its files and its output are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autohpo.cli.look.reading import Opened
from autohpo.cli.look.telling import perf_text
from autohpo.cli.look.words import duration, fidelity_text, moment, number_text, paired, value_text
from autohpo.outcome import perfs_of
from autohpo.store import RunState
from autohpo.store.leading import events_of

MOST_REPORTS = 30
"""Reports that people are shown; JSON has all."""


def trial_facts(run: Opened, state: RunState, number: int) -> dict[str, Any]:
    """Return what is known of a trial.

    Args:
        run: The run.
        state: What its log says.
        number: The number of the trial; below 0 one that confirms another.
    """
    result = run.result(state)
    trial = state[number]
    attempts = _attempts(run, number)
    names = [name or str(place) for place, name in enumerate(result.objectives.names)]
    folder = result.checkpoint_dir(number)
    return {
        "number": number,
        "state": trial.state.value,
        "perf": trial.perf if len(names) == 1 else dict(zip(names, trial.perfs, strict=False)) or None,
        "fidelity": trial.fidelity,
        "reached": trial.outcome.reached,
        "resume": trial.resume,
        "fork": trial.fork,
        "confirms": trial.info.get("confirms"),
        "hp": dict(trial.hp),
        "constraints": dict(trial.constraints),
        "metrics": dict(trial.metrics),
        "cost": trial.cost,
        "started": trial.started,
        "ended": trial.ended,
        "seconds": trial.seconds,
        "seed": trial.seed,
        "pid": trial.pid,
        "info": dict(trial.info),
        "attempts": attempts,
        "reports": [
            {"fidelity": f, "perf": list(perf) if isinstance(perf, tuple) else perf} for f, perf in trial.reports
        ],
        "why": result.why(number),
        "error": trial.error,
        "checkpoint_dir": None if folder is None else str(folder),
        "log": _log(run.store.files, attempts),
        "_perf_text": perf_text(result, trial),
    }


def _attempts(run: Opened, number: int) -> list[dict[str, Any]]:
    """Return the starts of a trial, and how each ended, as far as it did."""
    found: list[dict[str, Any]] = []
    for event in events_of(run.store, [number]):
        if event.kind == "start":
            found.append(
                {"attempt": event.attempt, "slot": event.data["slot"], "started": event.time, "ended": None}
                | {"state": "RUNNING", "error": ""}
            )
        elif event.kind in ("end", "interrupt", "late"):
            made = next((one for one in found if one["attempt"] == event.attempt and one["ended"] is None), None)
            if made is not None:
                state = event.data["state"] + (", too late" if event.kind == "late" else "")
                made |= {"ended": event.time, "state": state, "error": event.data.get("error", "")}
    return found


def _log(files: Path, attempts: list[dict[str, Any]]) -> str | None:
    """Return the file with what the worker of the last attempt printed, if there is one."""
    path = files / "logs" / f"slot-{attempts[-1]['slot']}.log" if attempts else None
    return str(path) if path is not None and path.is_file() else None


def trial_lines(facts: dict[str, Any], width: int) -> list[str]:
    """Return the facts of a trial for people.

    Args:
        facts: The facts.
        width: How many letters a line has; a longer one goes on below, but for the error.
    """
    longest = max((len(name) for name in facts["hp"]), default=0) + 2
    hp = [f"{name:{longest}}{value_text(value)}" for name, value in facts["hp"].items()]
    relation = [
        text
        for name, text in (
            ("resume", "continues trial {}"),
            ("fork", "began with the checkpoint of trial {}"),
            ("confirms", "confirms trial {}"),
        )
        if facts[name] is not None
        for text in [text.format(facts[name])]
    ]
    pairs = [
        ("trial", f"{facts['number']}" + "".join(f", {text}" for text in relation)),
        ("state", facts["state"]),
        ("result", facts["_perf_text"]),
        ("fidelity", _fidelity(facts)),
        *_listed("hp", hp),
        *_listed("constraints", [f"{name}  {number_text(value)}" for name, value in facts["constraints"].items()]),
        *_listed("metrics", [f"{name}  {number_text(value)}" for name, value in facts["metrics"].items()]),
        ("cost", "" if facts["cost"] is None else number_text(facts["cost"])),
        *_listed("attempts", [_attempt_text(one) for one in facts["attempts"]]),
        *_listed("reports", _reports(facts["reports"])),
        ("notes", ", ".join(f"{name}={value_text(value)}" for name, value in facts["info"].items())),
        ("seed", str(facts["seed"])),
        ("why", facts["why"]),
        ("checkpoint", facts["checkpoint_dir"] or ""),
        ("output", facts["log"] or ""),
    ]
    error = facts["error"].rstrip()
    return paired(pairs, width) + (["error", *(f"  {line}" for line in error.splitlines())] if error else [])


def _listed(name: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(name if place == 0 else "", line or " ") for place, line in enumerate(lines)]


def _fidelity(facts: dict[str, Any]) -> str:
    given, reached = fidelity_text(facts["fidelity"]), fidelity_text(facts["reached"])
    if not reached or reached == given:
        return given
    return f"came to {reached} of {given}" if given else f"came to {reached}"


def _attempt_text(one: dict[str, Any]) -> str:
    text = f"{one['attempt']}: slot {one['slot']}, {moment(one['started'])}, {one['state']}"
    return text if one["ended"] is None else f"{text} after {duration(one['ended'] - one['started'])}"


def _reports(reports: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{one['fidelity']:g}  "
        + ", ".join(map(number_text, perfs_of(tuple(p) if isinstance(p := one["perf"], list) else p)))
        for one in reports
    ]
    if len(lines) <= MOST_REPORTS:
        return lines
    half = MOST_REPORTS // 2
    return [*lines[:half], f"... {len(lines) - 2 * half} more (--json has all)", *lines[-half:]]
