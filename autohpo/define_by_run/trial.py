"""Trial: what an objective asks for parameters; in a worker, in the driver, or between ask and tell."""

from __future__ import annotations

import datetime as dt
import json
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from autohpo.define_by_run.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntDistribution,
    as_number,
)
from autohpo.define_by_run.exceptions import TrialPruned
from autohpo.errors import InvalidPerfError, OptionError, shown
from autohpo.spaces.index import plain

__all__ = ["FrozenTrial", "Trial", "TrialState"]

PARAM, ATTRIBUTE, PRUNED = "param ", "attr ", "pruned"
"""How the names of metrics begin that hold parameters and attributes of a trial; and that it raised TrialPruned."""


_JUST_BEFORE = 1e-6
"""What a full training reports below its end: its value is what the objective returns, and not its last report."""


class TrialState(IntEnum):
    """How a trial ended, under the names that define-by-run users know."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def is_finished(self) -> bool:
        """Return whether the trial has ended."""
        return self not in (TrialState.RUNNING, TrialState.WAITING)


class Channel(Protocol):
    """What a trial reports through."""

    fidelity: float | None

    def report(self, perf: object, fidelity: float | None = None) -> bool:
        """Report; False asks the trial to end."""


class Trial:
    """A trial that asks for its parameters: ``trial.suggest_float("lr", 1e-5, 1e-1, log=True)``.

    What the study's model drew for it is used where it is asked for with a distribution that holds it; everything else
    is drawn from the trial's seed and the parameter's name.

    Args:
        number: The number of the trial.
        seed: The seed of the trial.
        given: What the model drew, by name.
        channel: What it reports through.
        most: The resource of a full training; None where nothing is trained in part.

    Attributes:
        number: The number of the trial, from 0.
        params: What was asked for so far, by name.
        distributions: The distribution of each.
        user_attrs: What :meth:`set_user_attr` was given.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        given: Mapping[str, Any],
        channel: Channel | None = None,
        most: float | None = None,
    ) -> None:
        self.number, self._seed, self._given = number, seed, given
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, Distribution] = {}
        self.user_attrs: dict[str, Any] = {}
        self.datetime_start = dt.datetime.now()  # noqa: DTZ005 - users read local time
        self._channel, self._most = channel, most
        self._reports: dict[int, float] = {}
        self._should_prune = False

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number from low to high.

        Raises:
            SpaceError: The arguments make no sense together.
        """
        return float(self._suggest(name, FloatDistribution(plain(low), plain(high), log, plain(step))))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return an integer from low to high.

        Raises:
            SpaceError: The arguments make no sense together.
        """
        return int(self._suggest(name, IntDistribution(plain(low), plain(high), log, plain(step))))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of several values: None, bools, numbers or strings.

        Raises:
            SpaceError: There are none, or a log cannot hold them.
        """
        return self._suggest(name, CategoricalDistribution(tuple(map(plain, choices))))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return what :meth:`suggest_float` does, under the name that older scripts have."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return what :meth:`suggest_float` does with ``log=True``, under the name that older scripts have."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return what :meth:`suggest_float` does with ``step=q``, under the name that older scripts have."""
        return self.suggest_float(name, low, high, step=q)

    def suggest(self, name: str, distribution: object) -> Any:
        """Return a value of a distribution.

        Raises:
            OptionError: It is none of :mod:`autohpo.define_by_run.distributions`.
            SpaceError: The distribution makes no sense.
        """
        if isinstance(distribution, CategoricalDistribution):
            return self.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, IntDistribution):
            return self.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        if isinstance(distribution, FloatDistribution):
            return self.suggest_float(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        rule = "must be a distribution of autohpo.define_by_run.distributions"
        raise OptionError(f"{name}: {rule}, got {shown(distribution)}")

    def _suggest(self, name: str, theirs: Distribution) -> Any:
        if not isinstance(name, str) or not name:
            raise OptionError(f"name: must be a string that is not empty, got {shown(name)}")
        theirs.check(name)
        if name in self.params:
            if self.distributions[name] != theirs:
                message = f"{name}: was asked for before as {self.distributions[name]}, so that value is used"
                warnings.warn(message, UserWarning, stacklevel=3)
            return self.params[name]
        value = self._given.get(name)
        if name not in self._given or not theirs.contains(value):
            value = theirs.draw(random.Random(f"{self._seed} {name}"))
        self.params[name], self.distributions[name] = value, theirs
        return value

    def report(self, value: float, step: int) -> None:
        """Report how good the training is so far.

        Args:
            value: A finite number.
            step: How far it came, from 0: an epoch. The resource of pruners is the number of steps done, `step` + 1.

        Raises:
            OptionError: The step is no integer of at least 0.
            InvalidPerfError: The value is no finite number.
        """
        step = plain(step)
        if type(step) is not int or step < 0:
            raise OptionError(f"step: must be an integer of at least 0, got {shown(step)}")
        if step in self._reports:
            warnings.warn(f"step: {step} was reported before, so this report is ignored", UserWarning, stacklevel=2)
            return
        if self._channel is not None:
            done: float = step + 1
            has_all = self._most is not None and self._channel.fidelity in (None, self._most)
            if self._most is not None and has_all and done >= self._most:
                done = self._most - _JUST_BEFORE
            self._should_prune = not self._channel.report(value, done) or self._should_prune
        self._reports[step] = float(value)

    def should_prune(self) -> bool:
        """Return whether the study's pruner ends the trial: raise TrialPruned then."""
        return self._should_prune

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a value with the trial: of types that JSON has.

        Raises:
            OptionError: JSON cannot hold it.
        """
        try:
            self.user_attrs[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise OptionError(f"{key}: must be of types that JSON has, got {shown(value)}") from error

    def result(self, names: Sequence[str], value: object, *, is_pruned: bool = False) -> dict[str, Any]:
        """Return what an objective of the library returns for this trial.

        Args:
            names: The names of the objectives.
            value: What the user's returned.
            is_pruned: Whether it raised TrialPruned instead.

        Raises:
            InvalidPerfError: It returned another number of values.
            TrialPruned: It was pruned before it reported anything.
        """
        if is_pruned:
            if not self._reports:
                raise TrialPruned("the trial was pruned before its first report")
            value = self._reports[max(self._reports)]
        values = list(value) if len(names) > 1 and isinstance(value, (list, tuple)) else [value]
        if len(values) != len(names):
            raise InvalidPerfError(f"the objective must return {len(names)} values, got {shown(value)}")
        return dict(zip(names, values, strict=True)) | self.notes(is_pruned=is_pruned)

    def notes(self, *, is_pruned: bool = False) -> dict[str, float]:
        """Return the metrics that say what the trial used: a parameter's value, and in the name what it is."""
        found = {}
        for name, theirs in self.distributions.items():
            found[PARAM + json.dumps([name, *theirs.to_json()])] = as_number(theirs, self.params[name])
        for name, value in self.user_attrs.items():
            found[ATTRIBUTE + json.dumps([name, value])] = 0.0
        return found | ({PRUNED: 1.0} if is_pruned else {})


@dataclass(frozen=True)
class FrozenTrial:
    """A trial of a study as it stands in the log.

    Attributes:
        number: The number of the trial, from 0.
        state: How it ended.
        values: The value of each objective; None where it has none.
        params: The parameters that it used; of a trial that failed or runs, those that the model drew.
        distributions: The distribution of each, where it is known.
        user_attrs: What the objective kept with it.
        intermediate_values: What it reported, by step.
        datetime_start: When it was started, if it was.
        datetime_complete: When it ended, if it has.
        error: Why it has no value.
    """

    number: int
    state: TrialState
    values: list[float] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    datetime_start: dt.datetime | None = None
    datetime_complete: dt.datetime | None = None
    error: str = ""

    @property
    def value(self) -> float | None:
        """The value of the one objective; None where it has none."""
        return self.values[0] if self.values else None

    @property
    def last_step(self) -> int | None:
        """The last step that was reported; None without reports."""
        return max(self.intermediate_values, default=None)

    @property
    def duration(self) -> dt.timedelta | None:
        """How long it took, if it was started and has ended."""
        begun, ended = self.datetime_start, self.datetime_complete
        return None if begun is None or ended is None else ended - begun
