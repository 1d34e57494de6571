"""A run as a study of Optuna: its name, directions and attributes, and copies of its trials."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from autohpo.integrations.optuna.following import Followed
from autohpo.integrations.optuna.library import load_optuna
from autohpo.store import Store

_SHARED = (bool, int, float, str, type(None))


def name_of(followed: Followed, store: Store) -> str:
    """Return the name that a run has as a study."""
    path = getattr(store, "path", None)
    file = path.stem if isinstance(path, Path) else str(getattr(path, "name", ""))
    return str(followed.header.get("name", "")) or followed.kept.name or file or "autohpo"


def directions_of(followed: Followed) -> list[Any]:
    """Return which way each objective is better, in Optuna's words."""
    way = load_optuna().study.StudyDirection
    return [way.MAXIMIZE if sign > 0 else way.MINIMIZE for sign in followed.objectives.signs]


def user_attrs_of(followed: Followed) -> dict[str, Any]:
    """Return the user attributes of a run as a study."""
    if followed.kept.name:
        return copy.deepcopy(followed.kept.user_attrs)
    header = followed.header
    found = {"algorithm": header.get("algorithm", ""), "autohpo": header.get("version", "")}
    return {**found, "options": copy.deepcopy(header.get("options", {})), "steps_per_fidelity": followed.steps_per_unit}


def system_attrs_of(followed: Followed) -> dict[str, Any]:
    """Return the system attributes of a run as a study."""
    if followed.kept.name:
        return copy.deepcopy(followed.kept.system_attrs)
    names = list(followed.objectives.names)
    return {"study:metric_names": names} if all(names) else {}


def copied(trial: Any) -> Any:
    """Return a trial that may be changed; much sooner than ``copy.deepcopy`` does."""
    attributes = (trial.user_attrs, trial.system_attrs)
    made = copy.copy(trial)
    made.params, made.distributions = dict(trial.params), dict(trial.distributions)
    made.intermediate_values = dict(trial.intermediate_values)
    made.values = trial.values
    made.user_attrs, made.system_attrs = (
        dict(one) if all(type(value) in _SHARED for value in one.values()) else copy.deepcopy(one) for one in attributes
    )
    return made
