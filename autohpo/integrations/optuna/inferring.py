"""The search space that the trials of an Optuna study came from, as far as its trials tell."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autohpo.errors import SpaceError
from autohpo.integrations.optuna.library import load_optuna
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.spaces.index import Index

SWITCH = "{}?"
"""The name of the parameter that says whether another one is active, where nothing else does."""

MOST_DECIDING = 256
"""The largest range of an integer that may decide about other parameters."""

Rows = Sequence[Mapping[str, Any]]
"""The parameters of trials by name."""


@dataclass(frozen=True)
class _Rule:
    """When a parameter is active.

    Attributes:
        parent: The parameter that decides about it.
        values: The values of that for which it is active.
        is_formula: Whether the parent is a number, so that a formula says it; else it is a choice.
    """

    parent: str
    values: tuple[Any, ...]
    is_formula: bool = False

    @property
    def formula(self) -> str:
        """The formula of a parent that is an integer."""
        return " or ".join(f"{self.parent} == {value}" for value in self.values)


class InferredSpace:
    """The space of a study: a parameter of ours for each of its own, and when each is active.

    A parameter whose distribution changed from trial to trial has the range, or the choices, of all of them. One that
    some finished trials lack is a child of the choice, or depends on the integer, that decides whether they have it;
    where nothing does, a choice of its own, named ``name?``, says so.

    Args:
        trials: The trials of the study.

    Attributes:
        space: The space.

    Raises:
        SpaceError: No trial has a parameter.
    """

    def __init__(self, trials: Sequence[Any]) -> None:
        states = load_optuna().trial.TrialState
        whole = [trial.params for trial in trials if trial.params and trial.state in (states.COMPLETE, states.PRUNED)]
        whole = whole or [trial.params for trial in trials if trial.params]
        self._single = dict(_parameters(trials))
        names = [name for name in self._single if any(name in row for row in whole)]
        order = {name: -sum(name in row for row in whole) for name in names}
        names.sort(key=lambda name: order[name])  # who decides comes first; of equals who was suggested first
        self._single = {name: self._single[name] for name in names}
        self._rules: dict[str, _Rule | None] = {}
        for name in names:
            if -order[name] < len(whole):
                self._rules[name] = self._rule(name, whole)
        self.space = self._built(names)

    def _rule(self, name: str, rows: Rows) -> _Rule | None:
        """Return what decides whether a parameter is active; None where nothing is known."""
        for parent, hp in self._single.items():
            if parent == name:
                return None
            if not (isinstance(hp, ChoiceHP) or (isinstance(hp, RangeHP) and _can_decide(hp))):
                continue
            with_it = [row for row in rows if name in row]
            if not all(parent in row for row in with_it):
                continue
            index = Index(hp.choices if isinstance(hp, ChoiceHP) else range(int(hp.low), int(hp.high) + 1))
            present = {index.meant(row[parent]) for row in with_it}
            absent = {index.meant(row[parent]) for row in rows if name not in row and parent in row}
            if present.isdisjoint(absent) and absent:
                if isinstance(hp, ChoiceHP):
                    return _Rule(parent, tuple(hp.choices[place] for place in sorted(present)))
                return _Rule(parent, tuple(int(hp.low) + place for place in sorted(present)), is_formula=True)
        return None

    def _built(self, names: Sequence[str]) -> SearchSpace:
        formulas = {name: rule.formula for name, rule in self._rules.items() if rule is not None and rule.is_formula}
        below: dict[str, list[str]] = {}
        for name, rule in self._rules.items():
            if rule is not None and not rule.is_formula:
                below.setdefault(rule.parent, []).append(name)

        def made(name: str) -> HPSpace:
            hp = self._single[name]
            children = below.get(name, ())
            if isinstance(hp, ChoiceHP) and children:
                under = []
                for choice in hp.choices:
                    rules = [(child, self._rules[child]) for child in children]
                    under.append([made(c) for c, rule in rules if rule and Index(rule.values).meant(choice) >= 0])
                hp = ChoiceHP(name, hp.choices, under)
            if name in self._rules and self._rules[name] is None:
                return ChoiceHP(SWITCH.format(name), [False, True], {True: [hp]})
            return hp

        roots = [name for name in names if not any(name in children for children in below.values())]
        return SearchSpace([made(name) for name in roots], conditions=formulas)

    def configuration(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the configuration of a trial, and the names of parameters that it lacks and that were filled in.

        A trial that failed, or has not begun, may lack some: they get the middle of their range.
        """
        given = dict(params)
        for name, rule in self._rules.items():
            if rule is None:
                given[SWITCH.format(name)] = name in params
        hp: dict[str, Any] = {}
        filled = []
        for one in self.space.parameters:
            if not self.space.is_active(one.name, hp):
                continue
            value = one.canonical(given[one.name]) if one.name in given else None
            if one.name not in given or not one.contains(value):
                value = one.decode(np.full((1, one.width), 0.5))[0]
                filled.append(one.name)
            hp[one.name] = value
        return hp, filled


def _can_decide(hp: RangeHP) -> bool:
    """Whether a formula can be about a number: about few integers, under a name that Python has for variables."""
    is_name = hp.name.isidentifier() and not keyword.iskeyword(hp.name)
    return hp.is_int and is_name and hp.high - hp.low <= MOST_DECIDING


def _parameters(trials: Sequence[Any]) -> Iterator[tuple[str, HPSpace]]:
    """Yield a parameter for each name that occurs in distributions."""
    found: dict[str, list[Any]] = {}
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = found.setdefault(name, [])
            if not any(distribution is one for one in known) and distribution not in known:
                known.append(distribution)
            values.setdefault(name, []).append(trial.params[name])
    for name, kinds in found.items():
        yield name, _parameter(name, kinds, values[name])


def _parameter(name: str, kinds: Sequence[Any], values: Sequence[Any]) -> HPSpace:
    """Return the first parameter, of those that come into question, that has all values."""
    for hp in _candidates(name, kinds):
        if all(hp.contains(hp.canonical(value)) for value in values):
            return hp
    return ChoiceHP(name, _distinct([*(c for kind in kinds for c in getattr(kind, "choices", ())), *values]))


def _candidates(name: str, kinds: Sequence[Any]) -> Iterator[HPSpace]:
    library = load_optuna().distributions
    if not all(isinstance(kind, (library.IntDistribution, library.FloatDistribution)) for kind in kinds):
        return
    low, high = min(kind.low for kind in kinds), max(kind.high for kind in kinds)
    if not all(isinstance(kind, library.IntDistribution) for kind in kinds):
        low, high = float(low), float(high)
    if low == high:
        yield FixedHP(name, low)
        return
    steps = {kind.step for kind in kinds}
    step = kinds[0].step if len(kinds) == 1 and not (type(low) is int and steps == {1}) else None
    is_log = all(kind.log for kind in kinds)
    for one in (None,) if is_log else (step, None):
        made = _range(LogRangeHP if is_log else RangeHP, name, low, high, one)
        if made is not None:
            yield made


def _range(kind: Any, name: str, low: float, high: float, step: float | None) -> HPSpace | None:
    """Return a range; None where it is too wide, or its step does not lead to its end."""
    try:
        made: HPSpace = kind(name, low, high, step)
    except SpaceError:
        return None
    return made


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Return values, each once."""
    found: list[Any] = []
    for value in values:
        if Index(found).of(value) < 0:
            found.append(value)
    return found
