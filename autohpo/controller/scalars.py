"""Scalars: the last, the least and the largest value of each metric of a job, in ClearML's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autohpo.controller.metrics import Metric, Metrics, split_name
from autohpo.outcome import perfs_of
from autohpo.trial import Trial

ENDINGS = (".min", ".max")


def scalars_of(chain: Sequence[Trial], metrics: Metrics, *, is_all: bool = True) -> dict[str, dict[str, Any]]:
    """Return the metrics of a job by "title/series": ``{metric, variant, value, min_value, max_value}``.

    Args:
        chain: The trial and those that it continues, the newest first.
        metrics: The objectives.
        is_all: Whether all metrics are wanted, and not the objectives alone.
    """
    found: dict[str, tuple[float, float, float]] = {}
    for trial in chain:
        for name, mine in _own(trial, metrics).items():
            last, least, largest = found.get(name, mine)
            found[name] = last, min(least, mine[1]), max(largest, mine[2])
    names = [name for name in found if is_all or name in metrics.names]
    return {name: _row(name, metrics, found[name]) for name in sorted(names, key=lambda n: n not in metrics.names)}


def objective_iteration(trial: Trial, metrics: Metrics) -> int:
    """Return the iteration at which a trial had the value that ranks it; 0 where it reported none."""
    if not trial.reports:
        return 0
    if metrics.each[0].is_global and trial.perf is not None:
        for fidelity, perf in trial.reports:
            if perfs_of(perf)[0] == trial.perf:
                return int(fidelity)
    return int(trial.reports[-1][0])


def _own(trial: Trial, metrics: Metrics) -> dict[str, tuple[float, float, float]]:
    """The last, the least and the largest value of each metric that one trial has."""
    found: dict[str, tuple[float, float, float]] = {}
    kept = trial.metrics
    for name, value in kept.items():
        if not any(name.endswith(end) and name.removesuffix(end) in kept for end in ENDINGS):
            found[name] = value, kept.get(f"{name}.min", value), kept.get(f"{name}.max", value)
    for place, metric in enumerate(metrics.each):
        values = _of_objective(trial, metric, place, found.get(metric.name))
        if values is not None:
            found[metric.name] = values
    return found


def _of_objective(
    trial: Trial, metric: Metric, place: int, kept: tuple[float, float, float] | None
) -> tuple[float, float, float] | None:
    """The values of an objective: those kept as a metric, the result, or else what was reported."""
    reported = [perfs_of(perf)[place] for _, perf in trial.reports]
    seen = [*([] if kept is None else kept), *trial.perfs[place : place + 1], *reported]
    if not seen:
        return None
    last = trial.perfs[place] if trial.perfs and not metric.is_global else None
    if last is None:
        last = kept[0] if kept is not None else reported[-1] if reported else seen[-1]
    return last, min(seen), max(seen)


def _row(name: str, metrics: Metrics, values: tuple[float, float, float]) -> dict[str, Any]:
    objective = next((metric for metric in metrics.each if metric.name == name), None)
    title, series = split_name(name) if objective is None else (objective.title, objective.series)
    return {"metric": title, "variant": series, "value": values[0], "min_value": values[1], "max_value": values[2]}
