"""A run as a study of Optuna: its name, directions and attributes, and copies of its trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autohpo.integrations.optuna.following import Followed
from autohpo.integrations.optuna.library import load_optuna
from autohpo.store import Store

STUDY_ID = 0
"""The number of the only study."""

_NESTED = frozenset({list, dict})


@dataclass
class ListedStudy:
    """A study as a storage lists it; Optuna's own class for that has no public name."""

    study_name: str
    directions: list[Any]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    _study_id: int = STUDY_ID

    @property
    def direction(self) -> Any:
        """The direction of the only objective; of several that of the first."""
        return self.directions[0]


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
    """Return a trial that may be changed; much sooner than ``copy.deepcopy`` does.

    Some functions of Optuna ask for copies of all trials for each parameter.
    """
    made: Any = object.__new__(type(trial))
    state = vars(made)
    for name, value in vars(trial).items():
        if type(value) is dict:
            is_flat = _NESTED.isdisjoint(map(type, value.values()))
            state[name] = value.copy() if is_flat else copy.deepcopy(value)
        else:
            state[name] = value.copy() if type(value) is list else value
    return made


def renumbered(trial: Any, number: int) -> Any:
    """Return a copy of a trial with another number."""
    made = copied(trial)
    return type(trial)(
        number=number,
        trial_id=number,
        state=made.state,
        value=None,
        values=made.values,
        datetime_start=made.datetime_start,
        datetime_complete=made.datetime_complete,
        params=made.params,
        distributions=made.distributions,
        user_attrs=made.user_attrs,
        system_attrs=made.system_attrs,
        intermediate_values=made.intermediate_values,
    )


def thinned(trials: list[Any], most: int | None, signs: Sequence[int]) -> list[Any]:
    """Return at most so many trials: the best of every moment, those without an end, and others evenly spaced.

    Where some are left out the others are numbered anew, as Optuna's plots look trials up by the places of a list.

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
    return [renumbered(trials[place], number) for number, place in enumerate(sorted(kept))]


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
