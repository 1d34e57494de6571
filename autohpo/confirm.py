"""Confirm: which of the best configurations is the best, once they were trained anew with fresh seeds.

The best result of a search is partly luck: of many noisy results the highest is more likely a lucky one than a good
one. So the few best configurations and the default, what the user would have taken without a search, are trained anew
with seeds that the search has not seen, the same ones for each, and are judged by these results alone.

**The rule.** Without a default the highest mean wins. A default keeps its place unless another configuration is better
by more than one standard error of the mean of their paired differences (the one-standard-error rule of Breiman et al.
1984, Classification and Regression Trees, with the default in the place of the smallest tree). Of those that
are, the highest mean wins. Why this one: the best of k means is lucky again, so taking any higher mean would now and
then leave a default that is better. With three configurations and five seeds
that costs up to 0.3 standard errors on average; with this rule it is 0.07, and a gain of two standard errors is still
found in four searches of five, where a t test at 5 % finds it in one of four (``benchmarks/confirm.py rule``). So the
answer is not below the default by more than the noise, and most of what a search has found is kept.

The standard error of five differences is itself uncertain, and too small by chance just where a difference seems
large. So it is not taken below that of all configurations together: their results less the effects of configuration
and of seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autohpo.errors import OptionError, shown
from autohpo.store import RunState
from autohpo.trial import Trial

LEVEL = 0.95
"""The level of intervals."""

LEAST = 2
"""Results of each configuration without which nothing is decided: a mean of one has no interval."""


@dataclass(frozen=True)
class Confirm:
    """How many configurations are confirmed, and with how many seeds.

    Attributes:
        k: How many of the best configurations of the search; the default comes beside them.
        seeds: How often each is trained anew.

    Raises:
        OptionError: One of them is no such number.

    Example:
        >>> Confirm(k=3).seeds
        5
    """

    k: int = 3
    seeds: int = 5

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("seeds", LEAST)):
            value = getattr(self, name)
            if not _is_integer(value) or value < least:
                raise OptionError(f"confirm: {name} must be an integer of at least {least}, got {shown(value)}")
            object.__setattr__(self, name, int(value))

    @classmethod
    def of(cls, given: object) -> Confirm | None:
        """Return what an argument says: None, a number of configurations, a dict, or a Confirm.

        Raises:
            OptionError: It is none of these.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            unknown = [name for name in given if name not in ("k", "seeds")]
            if unknown:
                raise OptionError(f"confirm: a dict of k and seeds, got {shown(unknown[0])}")
            return cls(**given)
        if not _is_integer(given):
            raise OptionError(
                f"confirm: must be the number of configurations to confirm, or a Confirm, got {shown(given)}"
            )
        return cls(given)  # type: ignore[arg-type] # an integer, of numpy perhaps


def _is_integer(value: object) -> bool:
    """Whether a value is an integer, of Python or of numpy."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@dataclass(frozen=True, repr=False)
class Confirmed:
    """A configuration that was trained anew with fresh seeds, and what came of it.

    Attributes:
        trial: The trial in the search; the first confirming one, with a number below 0, where there was none.
        perfs: The user's own value for each seed; the same seeds for each configuration.
        mean: The mean of the results; None where there are none.
        interval: A t interval of 95 % for the mean, over seeds; with noise that does not come from the seed, such as a
            small validation set that never changes, it says nothing of that.
        optimism: The result in the search less the mean, positive where the search saw it better than it is, in both
            modes; None where it had another fidelity there.
        is_default: Whether it is the default: the first of the user's points, or what a trainer has by itself.
        gain: How much better than the default it is, the mean of paired differences, higher is better in both modes;
            None where there is no default, or it is the default.
        gain_error: The standard error of the gain; a larger gain is one that counts.
        n_failed: How many trainings ended without a result; with one of them it ranks behind.
        violation: The amount by which constraints are missed, on average; 0 where they are met.
    """

    trial: Trial
    perfs: tuple[float, ...] = ()
    mean: float | None = None
    interval: tuple[float, float] | None = None
    optimism: float | None = None
    is_default: bool = False
    gain: float | None = None
    gain_error: float | None = None
    n_failed: int = 0
    violation: float = 0.0

    def __repr__(self) -> str:
        shown = f"{self.n_failed} failed" if self.mean is None or self.interval is None else f"mean {self.mean:.6g}"
        if self.interval is not None:
            shown += " ({:.6g} to {:.6g})".format(*self.interval) + f" over {len(self.perfs)} seeds"
        return f"<Confirmed trial {self.trial.number}{', the default' * self.is_default}: {shown}>"


@dataclass
class Contender:
    """A configuration that is or will be confirmed.

    Attributes:
        hp: The configuration.
        number: The number of the trial in the search; None where there was none.
        is_default: Whether it is the default.
        repeats: The confirming trials, by the place of their seed.
    """

    hp: Mapping[str, Any]
    number: int | None
    is_default: bool = False
    repeats: dict[int, Trial] = field(default_factory=dict)

    @property
    def n_failed(self) -> int:
        """How many trainings ended without a result."""
        return sum(trial.state.is_final and not trial.perfs for trial in self.repeats.values())

    def scores(self) -> dict[int, float]:
        """Return the results by the place of their seed; higher is better."""
        return {place: trial.score for place, trial in self.repeats.items() if trial.score is not None}


def contenders_of(state: RunState) -> dict[str, Contender]:
    """Return what the log says of the configurations that were confirmed, by their key and in the order begun."""
    found: dict[str, Contender] = {}
    for trial in state.confirming():
        key = state.space.key(trial.hp)
        contender = found.setdefault(key, Contender(trial.hp, trial.info.get("confirms")))
        contender.is_default |= "default" in trial.info
        contender.repeats[trial.info["repeat"]] = trial
    return found


def is_deterministic(state: RunState, contenders: Iterable[Contender]) -> bool | None:
    """Return whether the seed changes nothing: all results of each configuration are equal, that of the search too.

    None while fewer than two results of some configuration are known, and nothing contradicts.
    """
    is_open = False
    for contender in contenders:
        values = list(contender.scores().values())
        if len({*values, *_searched(state, contender)}) > 1:
            return False
        is_open |= len(values) < LEAST and not contender.n_failed
    return None if is_open else True


def _searched(state: RunState, contender: Contender) -> list[float]:
    """The score of a configuration in the search, where it was trained as far as in its repeats."""
    if contender.number is None or not contender.repeats:
        return []
    trial = state[contender.number]
    is_as_long = trial.reached >= next(iter(contender.repeats.values())).reached  # infinite: to its own end
    return [trial.score] if is_as_long and trial.score is not None else []


def confirmed_of(state: RunState) -> tuple[Confirmed, ...]:
    """Return the confirmed configurations, the chosen one first; the others by their mean.

    Nothing where confirming has not come far enough, or the search has found a better configuration since.
    """
    contenders = contenders_of(state)
    if not contenders or (state.best is not None and state.space.key(state.best.hp) not in contenders):
        return ()
    whole = [c for c in contenders.values() if not c.n_failed]
    places = sorted(set.intersection(*(set(c.scores()) for c in whole))) if whole else []
    if whole and len(places) < LEAST:
        return ()
    judge = _Judge(state, places, whole)
    found = sorted((judge.judged(c) for c in whole), key=_rank, reverse=True)
    kept = next((c for c in found if c.is_default), None)
    chosen = next((c for c in found if kept is None or c is kept or _is_better(c, kept)), None)
    found.sort(key=lambda c: c is not chosen)
    return (*found, *(judge.failed(c) for c in contenders.values() if c.n_failed))


class _Judge:
    """Judges configurations by the seeds that all of them have.

    Args:
        state: What the log says.
        places: The places of those seeds.
        whole: The configurations none of whose trainings failed.
    """

    def __init__(self, state: RunState, places: Sequence[int], whole: Sequence[Contender]) -> None:
        self._state, self._places = state, places
        self._sign = state.objectives.signs[0]
        self._scale = scale_of([t.score or 0.0 for c in whole for t in c.repeats.values()])
        self._default = next((c for c in whole if c.is_default), None)
        self._pooled = standard_error([self._values(c) for c in whole]) if len(whole) > 1 else 0.0

    def judged(self, contender: Contender) -> Confirmed:
        """Return what came of a configuration."""
        values, sign, scale = self._values(contender), self._sign, self._scale
        mean, half = scale * float(values.mean()), scale * half_width(values)
        low, high = sorted((sign * (mean - half), sign * (mean + half)))
        searched = _searched(self._state, contender)
        gain = error = None
        if self._default is not None and contender is not self._default:
            differences = values - self._values(self._default)
            gain = scale * float(differences.mean())
            error = scale * max(float(differences.std(ddof=1)) / math.sqrt(differences.size), self._pooled)
        return replace(
            self.failed(contender),
            perfs=tuple(float(sign * scale * value) for value in values),
            mean=sign * mean,
            interval=(low, high),
            optimism=searched[0] - mean if searched else None,
            gain=gain,
            gain_error=error,
            violation=float(np.mean([contender.repeats[place].violation for place in self._places])),
        )

    def failed(self, contender: Contender) -> Confirmed:
        """Return a configuration of which nothing is known but that it failed."""
        number = contender.number
        trial = next(iter(contender.repeats.values())) if number is None else self._state[number]
        return Confirmed(trial, is_default=contender.is_default, n_failed=contender.n_failed)

    def _values(self, contender: Contender) -> np.ndarray[Any, Any]:
        """``(n,)`` results for the seeds, divided by the scale; higher is better."""
        scores = contender.scores()
        return np.array([scores[place] for place in self._places]) / self._scale


def scale_of(values: Sequence[float]) -> float:
    """Return the power of two by which values are divided so that their squares are floats; 1 for usual values."""
    exponent = math.frexp(max(map(abs, values), default=0.0))[1]
    return 1.0 if exponent <= 400 else 2.0 ** (exponent - 400)


def half_width(values: Sequence[float] | np.ndarray[Any, Any], level: float = LEVEL) -> float:
    """Return how far the ends of a t interval lie from the mean of a sample of at least two."""
    from scipy.special import stdtrit  # here: `import autohpo` stays light

    sample = np.asarray(values, dtype=float)
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    return float(stdtrit(sample.size - 1, (1 + level) / 2)) * error


def standard_error(rows: Sequence[np.ndarray[Any, Any]]) -> float:
    """Return the standard error of the mean of paired differences, by all results together.

    Args:
        rows: The results of each configuration, in the order of the seeds; at least two rows of at least two.
    """
    table = np.array(rows)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    m, n = table.shape
    return math.sqrt(2 * float((rest**2).sum()) / ((m - 1) * (n - 1)) / n)


def _rank(confirmed: Confirmed) -> tuple[float, float]:
    """Those that meet their constraints first, then by the mean."""
    sign = -1 if confirmed.trial.signs and confirmed.trial.signs[0] < 0 else 1
    return -confirmed.violation, sign * (confirmed.mean or 0.0)


def _is_better(confirmed: Confirmed, default: Confirmed) -> bool:
    """Whether a configuration is better than the default by more than the noise."""
    if confirmed.violation != default.violation:
        return confirmed.violation < default.violation
    gain, error = confirmed.gain, confirmed.gain_error
    return gain is not None and error is not None and gain > max(error, 1e-12 * abs(confirmed.mean or 0.0))
