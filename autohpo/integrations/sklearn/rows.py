"""Rows: what scikit-learn measured of a trial, as metrics of the log, and as ``cv_results_``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autohpo.trial import Trial

Out = dict[str, Any]
"""What scikit-learn returns of a fold: test_scores, train_scores, fit_time, score_time, fit_error."""

_SCORES, _TIMES = ("test", "train"), ("fit_time", "score_time")
_METRIC = re.compile(r"split(\d+)_(?:(test|train)_(.+)|(fit_time|score_time))")


@dataclass
class Row:
    """A trial, and what was measured on each of its folds.

    Attributes:
        number: The number of the trial.
        params: The parameters that the estimator had.
        fidelity: What it got; None means all there is.
        resume: The trial that it continued, if any.
        outs: What was measured, by fold.
    """

    number: int
    params: dict[str, Any]
    fidelity: float | None = None
    resume: int | None = None
    outs: dict[int, Out] = field(default_factory=dict)

    def mean(self, name: str | None) -> float:
        """Return the mean test score over its folds; nan where a fold has none.

        Args:
            name: The metric, of several.

        Raises:
            KeyError: There is no such metric.
        """
        scores = [_of(out["test_scores"], name) for out in self.outs.values()]
        return float(np.mean(scores)) if scores else math.nan

    @property
    def error(self) -> str:
        """The last error of a fold that could not be fitted; the empty string where there is none."""
        return next((out["fit_error"] for out in reversed(list(self.outs.values())) if out["fit_error"]), "")

    @property
    def has_failed(self) -> bool:
        """Whether none of its folds could be fitted."""
        return all(out["fit_error"] for out in self.outs.values())

    def metrics(self) -> dict[str, float]:
        """Return all finite numbers under names as in ``cv_results_``, such as ``split0_test_score``."""
        found: dict[str, float] = {}
        for fold, out in self.outs.items():
            found |= {f"split{fold}_{name}": out[name] for name in _TIMES}
            for part in _SCORES:
                scores = out.get(f"{part}_scores")
                named = scores if isinstance(scores, dict) else {} if scores is None else {"score": scores}
                found |= {f"split{fold}_{part}_{name}": value for name, value in named.items()}
        return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def row_of(trial: Trial, params: dict[str, Any], n_splits: int) -> Row:
    """Return the row of a trial of an earlier run, from the metrics that it left in the log.

    Args:
        trial: The trial.
        params: The parameters that the estimator had.
        n_splits: How many folds there are.
    """
    if not trial.perfs:
        failed = {fold: failed_fold(trial.error or trial.state.value) for fold in range(n_splits)}
        return Row(trial.number, params, trial.fidelity, trial.resume, failed)
    outs: dict[int, Out] = {}
    for name, value in trial.metrics.items():
        found = _METRIC.fullmatch(name)
        if found is not None:
            fold, part, metric, time = found.groups()
            out = outs.setdefault(int(fold), {"fit_error": None})
            if time:
                out[time] = value
            else:
                scores = out.setdefault(f"{part}_scores", {})
                scores[metric] = value
    for out in outs.values():
        for part in _SCORES:
            scores = out.get(f"{part}_scores", {})
            if set(scores) == {"score"}:
                out[f"{part}_scores"] = scores["score"]
    return Row(trial.number, params, trial.fidelity, trial.resume, outs)


def fill_table(
    table: dict[str, Any],
    rows: Sequence[Row],
    n_splits: int,
    error_score: float,
    form: Callable[..., Mapping[str, Any]],
) -> None:
    """Fill ``cv_results_``: scikit-learn's own columns, with nan for folds that a row has not, and ours.

    Args:
        table: The dict that scikit-learn keeps, which is empty.
        rows: The trials.
        n_splits: How many folds there are.
        error_score: What a fold is worth that could not be fitted.
        form: scikit-learn's own ``_format_results``, of parameters, n_splits and what was measured.
    """
    pattern = next(out for row in rows for out in row.outs.values() if not out["fit_error"])
    for row in rows:
        for fold, out in row.outs.items():
            row.outs[fold] = _like(pattern, out, error_score)
    measured = [row.outs.get(fold) or _mean(list(row.outs.values())) for row in rows for fold in range(n_splits)]
    table.update(form([row.params for row in rows], n_splits, measured))
    n = np.array([len(row.outs) for row in rows])
    for name in list(table):
        split = re.match(r"split(\d+)_", name)
        if split is not None:
            table[name][[int(split[1]) not in row.outs for row in rows]] = math.nan
        elif name.startswith("std_"):  # the missing folds stood at the mean
            table[name] = table[name] * np.sqrt(n_splits / n)
    table["trial"] = np.array([row.number for row in rows])
    if any(row.fidelity is not None for row in rows):
        table["fidelity"] = np.array([row.fidelity for row in rows])
        table["resumed"] = np.array([-1 if row.resume is None else row.resume for row in rows])


def at_the_top(table: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """Return the places of the rows at the highest fidelity that any good one has; None where there are no fidelities.

    Args:
        table: A ``cv_results_``.
    """
    if "fidelity" not in table:
        return None
    means = [table[name] for name in table if name.startswith("mean_test_")]
    is_good = np.all(np.isfinite(means), axis=0)
    fidelity = table["fidelity"]
    return np.flatnonzero(fidelity == (fidelity[is_good].max() if is_good.any() else fidelity.max()))


def part_of(table: Mapping[str, Any], places: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return some rows of a ``cv_results_``, ranked among themselves."""
    part = {k: [v[i] for i in places] if isinstance(v, list) else v[places] for k, v in table.items()}
    for name in [name for name in part if name.startswith("rank_test_")]:
        part[name] = (np.searchsorted(np.sort(part[name]), part[name]) + 1).astype(np.int32)
    return part


def failed_fold(error: str) -> Out:
    """Return what is known of a fold that could not be fitted."""
    return {"fit_error": error, "fit_time": 0.0, "score_time": 0.0, "test_scores": math.nan, "train_scores": math.nan}


def _of(scores: Any, name: str | None) -> float:
    if isinstance(scores, dict):
        return float(scores[next(iter(scores)) if name is None else name])
    return float(scores)


def _like(pattern: Out, out: Out, error_score: float) -> Out:
    """Return what was measured in the form that all folds have: of a failed one there may be no names of metrics."""
    made = {"fit_error": None, **{time: out.get(time, 0.0) for time in _TIMES}}
    for key in (f"{part}_scores" for part in _SCORES if f"{part}_scores" in pattern):
        wanted, scores = pattern[key], out.get(key, {})
        if isinstance(wanted, dict):
            named = scores if isinstance(scores, dict) else {}
            made[key] = {name: named.get(name, error_score) for name in wanted}
        else:
            made[key] = scores if isinstance(scores, (int, float)) and not out["fit_error"] else error_score
    return made


def _mean(outs: list[Out]) -> Out:
    """Return the mean of what was measured on some folds, for one that is missing."""
    made: Out = {"fit_error": None}
    for key in outs[0]:
        values = [out[key] for out in outs]
        if isinstance(values[0], dict):
            made[key] = {name: float(np.mean([value[name] for value in values])) for name in values[0]}
        elif key != "fit_error":
            made[key] = float(np.mean(values))
    return made
