"""Warm start: what a search takes over from earlier ones."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import CheckedPoint, FidelitySpec
from autohpo.errors import InvalidPerfError, OptionError, SpaceError, StoreCorruptError, short, shown
from autohpo.objectives import as_perf
from autohpo.result import Result
from autohpo.spaces import SearchSpace
from autohpo.spaces.identity import as_kept
from autohpo.store import open_store, redacted
from autohpo.store.checked import BadValueError, is_number
from autohpo.store.configurations import Configurations
from autohpo.trial import Outcome, Trial, TrialState, whole

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

    points: Sequence[CheckedPoint] = ()
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
        points: list[CheckedPoint] = []
        if first is not None:
            points.append(CheckedPoint(dict(first), fidelity="full"))
        for source in _listed(sources):
            result = _result_of(source, hpo.space)
            if result.objectives != hpo.objectives:
                raise OptionError(
                    f"warm_start: mode must be that of this search, {hpo.mode!r}, got {shown(result.mode)}"
                )
            points += _points_of(result, hpo)
        if not points:
            return cls()
        return cls(points, {"earlier": [_to_json(point, hpo.space) for point in points]})

    @classmethod
    def _read(cls, header: Mapping[str, Any], space: SearchSpace) -> Earlier:
        data = header.get("earlier", [])
        try:
            points = [_point_of(entry, space) for entry in data]
        except (BadValueError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreCorruptError(
                f"store: its header has earlier results that autohpo never writes: {error}"
            ) from None
        return cls(points, {"earlier": data} if data else {})


def _point_of(entry: Any, space: SearchSpace) -> CheckedPoint:
    """Return a point as a header holds it.

    Raises:
        BadValueError: Its configuration is none of the space, or its result is not finite.
        TypeError: Or whatever else: it is no point at all.
    """
    hp, result, *rest = entry
    known = Configurations(space).read(hp)
    if result is None:
        return CheckedPoint(known, fidelity="full" if rest == ["full"] else None)
    perfs, constraints = result
    if not perfs or not all(is_number(value) for value in [*perfs, *constraints.values()]):
        raise BadValueError(f"results must be finite, got {shown(result)}")
    outcome = _complete(tuple(perfs), constraints)
    if not rest:  # it is full, as in the stores of older releases
        return CheckedPoint(known, outcome, "full")
    if not is_number(rest[0]) or rest[0] <= 0:
        raise BadValueError(f"fidelities must be positive, got {shown(rest[0])}")
    return CheckedPoint(known, outcome, rest[0])


def _listed(sources: Any) -> Iterable[Any]:
    if sources is None:
        return ()
    is_list = isinstance(sources, Iterable) and not isinstance(sources, (str, os.PathLike, Result, Mapping))
    try:
        return list(sources) if is_list else [sources]
    except Exception as error:  # a scalar array, or whatever else cannot be gone through
        raise OptionError(f"warm_start: must be paths of stores or results, got {short(sources)}") from error


def _result_of(source: Any, space: SearchSpace) -> Result:
    """The trials of an earlier search."""
    if isinstance(source, Result):
        return source
    if not isinstance(source, (str, os.PathLike)):
        hint = "known configurations go to build_hpo_from_name(..., points=[(configuration, result)])"
        raise OptionError(f"warm_start: must be paths of stores or results, got {short(source)}; {hint}")
    try:
        return Result.load(source)
    except SpaceError as error:
        if _is_space_of(source, space):  # it holds functions or objects, and they are the same ones
            return Result.load(source, space)
        raise OptionError(f"warm_start: {redacted(source)}: {error}; give the Result of that search instead") from None


def _is_space_of(source: str | os.PathLike[Any], space: SearchSpace) -> bool:
    """Return whether a space is the one that a store describes."""
    store = open_store(source, read_only=True)
    try:
        kept = (store.header or {}).get("space")
    finally:
        store.close()
    return bool(as_kept(space.to_dict(), kept) == kept)


def _complete(perfs: tuple[float, ...], constraints: Mapping[str, float]) -> Outcome:
    return Outcome(TrialState.COMPLETE, perfs, constraints)


def _to_json(point: CheckedPoint, space: SearchSpace) -> list[Any]:
    """A point as the header of a store keeps it."""
    hp = space.to_json(point.hp)
    if point.outcome is None:
        return [hp, None] if point.fidelity is None else [hp, None, point.fidelity]
    data = [hp, [point.outcome.perfs, dict(point.outcome.constraints)]]
    return data if point.fidelity == "full" else [*data, point.fidelity]


def _points_of(result: Result, hpo: BaseHPOptimizer) -> list[CheckedPoint]:
    """Known results where they can be compared here; of the others the best few, made legal, to be tried."""
    done = _finite(result)
    most = max((trial.reached for trial in done), default=math.inf)
    full, space = hpo.full_fidelity, hpo.space
    known, others = [], []
    for trial in done:
        if full is None and trial.reached < most:
            continue  # a search in full has no place for a short training
        is_comparable = full is None or trial.reached == math.inf or trial.reached <= full
        hp = _legal(trial, space) if is_comparable else None
        if hp is not None:
            known.append(CheckedPoint(hp, _complete(trial.perfs, trial.constraints), _fidelity_of(trial, full)))
        elif trial.reached == most:
            others.append(trial)
    top = replace(result, trials=done, _best=None).top(len(done)) if others else []
    order = {id(trial): place for place, trial in enumerate(top)}
    others.sort(key=lambda trial: order.get(id(trial), len(order)))
    return known + [CheckedPoint(hp) for hp in _adapted(others, space)]


def _fidelity_of(trial: Trial, full: float | None) -> FidelitySpec:
    """What a result was measured at: where the training was stopped, or all that it was given."""
    return "full" if full is None or trial.reached == math.inf else whole(trial.reached)


def _finite(result: Result) -> list[Trial]:
    """The trials with a result; those are left out, with a warning, in which a number is none or is not finite."""
    done, n_bad = [], 0
    for trial in result.trials:
        if trial.state.has_perf and trial.perfs:
            try:
                numbers = [as_perf(one) for one in (*trial.perfs, *trial.constraints.values())]
                is_good = len(trial.perfs) == result.objectives.n and len(numbers) > 0 and trial.reached > 0
            except (InvalidPerfError, TypeError):
                is_good = False
            done += [trial] if is_good else []
            n_bad += not is_good
    if n_bad:
        text = f"warm_start: left out {n_bad} results of {len(result)} trials, as their numbers are not finite"
        warnings.warn(text, UserWarning, stacklevel=2)
    return done


def _legal(trial: Trial, space: SearchSpace) -> dict[str, Any] | None:
    """The configuration in the values of this space, choices as its very objects; None where it is illegal."""
    try:
        return space.checked(trial.hp)
    except SpaceError:
        return None


def _adapted(trials: Iterable[Trial], space: SearchSpace) -> list[dict[str, Any]]:
    """The first few configurations, with the middle of the prior where a value is missing or illegal."""
    middle = [(one, one.decode(np.full((1, one.width), 0.5))[0]) for one in space.parameters]
    found: dict[str, dict[str, Any]] = {}
    for trial in trials:
        hp: dict[str, Any] = {}
        for one, value in middle:
            if space.is_active(one.name, hp):
                known = one.canonical(trial.hp.get(one.name))
                is_legal = one.name in trial.hp and one.contains(known)
                hp[one.name] = one.cut(known if is_legal else value, hp)
        if space.is_allowed(hp) and len(found) < N_ADAPTED:
            found.setdefault(space.key(hp), hp)
    return list(found.values())
