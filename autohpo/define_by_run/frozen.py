"""What a study shows of the log: its trials as define-by-run users know them, and a table of them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from typing import Any

from autohpo.define_by_run.algorithm import params_of
from autohpo.define_by_run.distributions import as_value
from autohpo.define_by_run.exceptions import TrialPruned
from autohpo.define_by_run.objective import PARAMS
from autohpo.define_by_run.trial import ATTRIBUTE, PRUNED, FrozenTrial
from autohpo.define_by_run.trial import TrialState as State
from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.trial import Running, Trial, TrialState

__all__ = ["frame_of", "frozen"]


def frozen(trial: Trial | Running, most: float | None) -> FrozenTrial:
    """Return a trial of the log as a trial of a study.

    Args:
        trial: The trial.
        most: What a full training gets; one that had less, and was paused there, counts as pruned.
    """
    reports = {round(step) - 1: perf for step, perf in trial.reports if isinstance(perf, float)}
    if isinstance(trial, Running):
        return FrozenTrial(trial.number, State.RUNNING, params=dict(trial.hp[PARAMS]), intermediate_values=reports)
    used = dict(params_of(trial.metrics))
    attributes = [json.loads(key[len(ATTRIBUTE) :]) for key in trial.metrics if key.startswith(ATTRIBUTE)]
    return FrozenTrial(
        trial.number,
        _state(trial, most),
        list(trial.perfs) or None,
        {n: as_value(theirs, number) for n, (theirs, number) in used.items()} or dict(trial.hp[PARAMS]),
        {name: theirs for name, (theirs, _) in used.items()},
        dict(attributes),
        reports,
        _time(trial.started),
        _time(trial.ended),
        trial.error,
    )


def _state(trial: Trial, most: float | None) -> State:
    if not trial.state.has_perf:
        was_pruned = trial.error.rstrip().rpartition("\n")[2].startswith(_PRUNED)
        return State.PRUNED if was_pruned else State.FAIL
    is_short = most is not None and (math.inf if trial.fidelity is None else trial.fidelity) < most
    is_pruned = trial.state is TrialState.STOPPED or PRUNED in trial.metrics or is_short
    return State.PRUNED if is_pruned else State.COMPLETE


_PRUNED = (TrialPruned.__name__, f"{TrialPruned.__module__}.{TrialPruned.__name__}")


def _time(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds)  # noqa: DTZ006 - users read local time


_COLUMNS = (
    *("number", "value", "datetime_start", "datetime_complete"),
    *("duration", "params", "user_attrs", "state"),
)


def frame_of(trials: Sequence[FrozenTrial], n: int, attrs: Sequence[str] | None = None) -> Any:
    """Return a table of trials with `n` objectives.

    Args:
        trials: The trials.
        n: How many objectives they have.
        attrs: The columns, in their order; None has all. "value" or "values", "params" and "user_attrs" may be several.

    Raises:
        MissingExtraError: pandas is not installed.
        OptionError: There is no such column.
    """
    wanted = _COLUMNS if attrs is None else ["value" if name == "values" else name for name in attrs]
    unknown = [name for name in wanted if name not in _COLUMNS]
    if unknown:
        raise OptionError(f"attrs: must be names among {', '.join(_COLUMNS)}, got {shown(unknown[0])}")
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas is not installed: pip install 'autohpo[pandas]'") from error
    names = ["value"] if n == 1 else [f"values_{i}" for i in range(n)]
    params = sorted({name for trial in trials for name in trial.params})
    attributes = sorted({name for trial in trials for name in trial.user_attrs})
    several = {
        "value": names,
        "params": [f"params_{name}" for name in params],
        "user_attrs": [f"user_attrs_{name}" for name in attributes],
    }
    rows = [
        {
            "number": trial.number,
            **dict(zip(names, trial.values or (None,) * n, strict=True)),  # noqa: PD011 - no DataFrame
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
            "duration": trial.duration,
            **{f"params_{name}": trial.params.get(name) for name in params},
            **{f"user_attrs_{name}": trial.user_attrs.get(name) for name in attributes},
            "state": trial.state.name,
        }
        for trial in trials
    ]
    return pd.DataFrame(rows, columns=[column for name in wanted for column in several.get(name, [name])])
