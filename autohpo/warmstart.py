"""Warm start: what a search takes over from earlier ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import Point
from autohpo.errors import OptionError, SpaceError, short
from autohpo.result import Result
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Trial, TrialState

N_ADAPTED = 5
"""How many of the trials that are illegal here are tried first, the best ones in a legal form."""


@dataclass(frozen=True)
class Earlier:
    """The points that a search starts with.

    Attributes:
        points: Known results, and configurations to try first.
        header: What the store's header keeps of them, so that a resumed search starts with the same ones, whatever
            became of the earlier stores.
    """

    points: Sequence[Point] = ()
    header: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        sources: Any,
        hpo: BaseHPOptimizer,
        known: Mapping[str, Any] | None,
        first: Mapping[str, Any] | None = None,
    ) -> Earlier:
        """What earlier searches give to this one.

        Args:
            sources: Stores' paths and results; one of them, or a list.
            hpo: The optimizer of this search.
            known: The header of this search's store, if it was begun before: then its points count.
            first: A configuration to try before all others, if there is one.

        Raises:
            OptionError: A source is neither, or had other objectives.
            StoreError: A store cannot be read.
        """
        if known is not None:
            return cls._read(known, hpo.space)
        points: list[Point] = [] if first is None else [Point(dict(first))]
        for source in _listed(sources):
            result = _result_of(source)
            if result.objectives != hpo.objectives:
                raise OptionError(f"warm_start: mode must be that of this search, {hpo.mode!r}, got {result.mode!r}")
            points += _points_of(result, hpo.space)
        if not points:
            return cls()
        data = [
            [hpo.space.to_json(p.hp), None if p.outcome is None else [p.outcome.perfs, dict(p.outcome.constraints)]]
            for p in points
        ]
        return cls(points, {"earlier": data})

    @classmethod
    def _read(cls, header: Mapping[str, Any], space: SearchSpace) -> Earlier:
        data = header.get("earlier", [])
        points = [
            Point(space.from_json(hp), None if result is None else _complete(tuple(result[0]), result[1]))
            for hp, result in data
        ]
        return cls(points, {"earlier": data} if data else {})


def _listed(sources: Any) -> Iterable[Any]:
    return [sources] if isinstance(sources, (str, Path, Result)) else sources


def _result_of(source: Any) -> Result:
    """The trials of an earlier search."""
    if isinstance(source, Result):
        return source
    if not isinstance(source, (str, Path)):
        raise OptionError(f"warm_start: must be paths of stores or results, got {short(source)}")
    try:
        return Result.load(source)
    except SpaceError as error:
        raise OptionError(f"warm_start: {source}: {error}; give the Result of that search instead") from None


def _complete(perfs: tuple[float, ...], constraints: Mapping[str, float]) -> Outcome:
    return Outcome(TrialState.COMPLETE, perfs, constraints)


def _points_of(result: Result, space: SearchSpace) -> list[Point]:
    """Known results where the configurations are legal; of the others the best few, made legal, to be tried."""
    done = [trial for trial in result.trials if trial.perf is not None]
    most = max((trial.reached for trial in done), default=math.inf)
    known, others = [], []
    for trial in (trial for trial in done if trial.reached == most):
        if _is_legal(trial, space):
            hp = space.from_json(space.to_json(trial.hp))  # choices become the very objects of this space
            known.append(Point(hp, _complete(trial.perfs, trial.constraints)))
        else:
            others.append(trial)
    order = {id(trial): place for place, trial in enumerate(result.top(len(result)))}
    others.sort(key=lambda trial: order.get(id(trial), len(order)))
    return known + [Point(hp) for hp in _adapted(others, space)]


def _is_legal(trial: Trial, space: SearchSpace) -> bool:
    try:
        space.check(trial.hp)
    except SpaceError:
        return False
    return True


def _adapted(trials: Iterable[Trial], space: SearchSpace) -> list[dict[str, Any]]:
    """The first few configurations, with the middle of the prior where a value is missing or illegal."""
    middle = [(one, one.decode(np.full((1, one.width), 0.5))[0]) for one in space.parameters]
    found: dict[str, dict[str, Any]] = {}
    for trial in trials:
        hp: dict[str, Any] = {}
        for one, value in middle:
            if space.is_active(one.name, hp):
                is_legal = one.name in trial.hp and one.contains(trial.hp[one.name])
                hp[one.name] = one.cut(trial.hp[one.name] if is_legal else value, hp)
        if space.is_allowed(hp) and len(found) < N_ADAPTED:
            found.setdefault(space.key(hp), hp)
    return list(found.values())
