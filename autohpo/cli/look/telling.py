"""A trial as a program reads it, and as people do."""

from __future__ import annotations

from typing import Any

from autohpo.cli.look.words import fidelity_text, number_text, value_text
from autohpo.result import Result
from autohpo.trial import Trial


def describe(result: Result, trial: Trial) -> dict[str, Any]:
    """Return a trial as a program reads it: number, perf, configuration; with several objectives all of these."""
    found: dict[str, Any] = {"number": trial.number, "perf": trial.perf}
    names = result.objectives.names
    if len(names) > 1:
        found["perf"] = {name or str(place): value for place, (name, value) in enumerate(zip(names, trial.perfs))}  # noqa: B905
        found["is_best"] = trial.number == result.best.number
    if trial.fidelity is not None:
        found["fidelity"] = trial.reached
    if trial.constraints:
        found["constraints"] = dict(trial.constraints)
    confirmed = next((one for one in result.confirmed if one.trial.number == trial.number), None)
    if confirmed is not None and confirmed.mean is not None:
        interval = None if confirmed.interval is None else list(confirmed.interval)
        found["confirmed"] = {"mean": confirmed.mean, "interval": interval, "n_seeds": len(confirmed.perfs)}
    return {**found, "hp": dict(trial.hp)}


def lines_of(result: Result, trial: Trial) -> list[str]:
    """Return a trial for people: a sentence, and a line for each parameter."""
    width = max(map(len, trial.hp), default=0)
    head = f"trial {trial.number}: " + (perf_text(result, trial) or "no result")
    confirmed = next((one for one in result.confirmed if one.trial.number == trial.number), None)
    if confirmed is not None and confirmed.mean is not None and confirmed.interval is not None:
        low, high = map(number_text, confirmed.interval)
        head += f" in the search; confirmed: mean {number_text(confirmed.mean)} over {len(confirmed.perfs)} new seeds"
        head += f" (95 % interval {low} to {high})"
    if trial.violation:
        missed = ", ".join(f"{name} {number_text(v)}" for name, v in trial.constraints.items() if v > 0)
        head += f"; misses its constraints: {missed}"
    return [head, *(f"  {name:{width}}  {value_text(value)}" for name, value in trial.hp.items())]


def perf_text(result: Result, trial: Trial) -> str:
    """Return the result of a trial, with the names of the objectives, and with the fidelity where there is one."""
    if trial.perf is None:
        return ""
    names = result.objectives.names
    parts = [
        f"{name or ('perf' if len(names) == 1 else f'perf {place}')} {number_text(value)}"
        for place, (name, value) in enumerate(zip(names, trial.perfs, strict=False))
    ]
    reached = fidelity_text(trial.reached)
    return ", ".join(parts) + (f" at fidelity {reached}" if reached else "")
