"""A run as a study of Optuna: its name, directions and attributes, and copies of its trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
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


def thinned(trials: list[Any], most: int | None, signs: Sequence[int]) -> list[Any]:
    """Return at most so many trials: the best of every moment, those without an end, and others evenly spaced.

    Args:
        trials: All trials, in order.
        most: How many; None keeps all.
        signs: A sign for each objective: 1 where higher is better, -1 where lower is.
    """
    if most is None or len(trials) <= most:
        return trials
    kept = _leading(trials, signs) | {place for place, trial in enumerate(trials) if not trial.state.is_finished()}
    if len(kept) > most:
        kept = set(sorted(kept)[-most:])
    others = [place for place in range(len(trials)) if place not in kept]
    n = most - len(kept)
    kept.update(others[i * len(others) // n] for i in range(n))
    return [trials[place] for place in sorted(kept)]


def _leading(trials: Sequence[Any], signs: Sequence[int]) -> set[int]:
    """Return the places of trials that none before them beats in all objectives, of several those that none beats."""
    complete = load_optuna().trial.TrialState.COMPLETE
    scores = [
        (place, tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)))
        for place, trial in enumerate(trials)
        if trial.state == complete
    ]
    if len(signs) > 1:
        scores.sort(key=lambda item: item[1], reverse=True)
    front: list[tuple[float, ...]] = []
    places = set()
    for place, mine in scores:
        if not any(all(a >= b for a, b in zip(other, mine, strict=True)) for other in front):
            front = [*front, mine] if len(signs) > 1 else [mine]
            places.add(place)
    return places
