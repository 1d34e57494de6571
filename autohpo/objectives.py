"""Objectives: which objectives a search has, which way each is better, and what an objective's result means."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from autohpo.errors import InvalidPerfError, OptionError, short, shown
from autohpo.other_names import meant_way
from autohpo.outcome import NOTHING, Perf
from autohpo.trial import Outcome, Trial, TrialState
from autohpo.untrusted import reading

Way = Literal["max", "min"]
Mode = Way | Mapping[str, Way] | Sequence[Way]

_SIGNS = {"max": 1, "min": -1}


class Reported(NamedTuple):
    """What a report says.

    Attributes:
        perf: How good the training is so far: the user's own value, a tuple of several objectives.
        metrics: Further numbers by name.
    """

    perf: Perf
    metrics: Mapping[str, float] = NOTHING


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search.

    Attributes:
        names: The name of each objective; an unnamed one has the empty name.
        signs: A sign for each objective: 1 where higher is better, -1 where lower is.

    Example:
        >>> objectives = Objectives.of({"acc": "max", "latency": "min"})
        >>> outcome = objectives.measure(({"acc": 0.8, "latency": 12, "loss": 0.4}, {"memory": -1.5}))
        >>> outcome.perfs, dict(outcome.constraints), dict(outcome.metrics)
        ((0.8, 12.0), {'memory': -1.5}, {'loss': 0.4})
    """

    names: tuple[str, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(cls, mode: object) -> Objectives:
        """Return the objectives that a ``mode`` option stands for.

        Raises:
            OptionError: It is neither "max" or "min", nor a dict from name to these, nor a list of these.
        """
        with reading("mode", OptionError):
            return cls._of(mode)

    @classmethod
    def _of(cls, mode: object) -> Objectives:
        named = mode if isinstance(mode, Mapping) else None
        ways = list(named.values()) if named is not None else [mode] if isinstance(mode, str) else mode
        is_list = isinstance(ways, (list, tuple)) and len(ways) > 0
        if not is_list or not all(isinstance(way, str) and way in _SIGNS for way in ways):  # type: ignore[attr-defined]
            wanted = "'max', 'min', a dict such as {'acc': 'max', 'latency': 'min'}, or a list such as ['max', 'min']"
            raise OptionError(f"mode: must be {wanted}, got {shown(mode)}{_meant(mode, ways)}")
        names = tuple(named) if named is not None else ("",) * len(ways)  # type: ignore[arg-type]
        if named is not None and not all(isinstance(name, str) and name for name in names):
            raise OptionError(f"mode: names of objectives must be strings that are not empty, got {shown(mode)}")
        return cls(names, tuple(_SIGNS[way] for way in ways))  # type: ignore[attr-defined]

    @property
    def n(self) -> int:
        """How many objectives there are."""
        return len(self.signs)

    def up(self, perfs: Sequence[float]) -> tuple[float, ...]:
        """Return the values with higher being better in each; the same call leads back."""
        return tuple(sign * perf for sign, perf in zip(self.signs, perfs, strict=True))

    def measure(self, result: object, constraints: object = None, cost: object = None) -> Outcome:
        """Return what an objective's result says, as a COMPLETE outcome.

        ==========================================  ==================================================
        result                                      taken as
        ==========================================  ==================================================
        a number, as :func:`as_perf` takes it       the one objective
        dict from name to number                    the named objectives, or ``perf`` where the one objective
                                                    has no name; ``cost``; other names are metrics
        tuple, list or 1-d array of numbers         the objectives in the order of ``mode``
        ``(any of these, dict)``                    objectives, and constraints: at most 0 where met
        ==========================================  ==================================================

        Args:
            result: What the objective returned.
            constraints: A dict of constraints, where they do not stand in the result.
            cost: What the evaluation cost, where it does not stand in the result.

        Raises:
            InvalidPerfError: It is none of these, or a number is not finite; the text says what it was.
        """
        if constraints is None and _is_pair(result):
            result, constraints = result  # type: ignore[misc]
        metrics: dict[str, float] = {}
        if isinstance(result, Mapping):
            values, metrics = self._named(result)
        elif self.n == 1:
            values = [as_perf(result)]
        else:
            values = self._listed(result)
        if constraints is not None and not isinstance(constraints, Mapping):
            raise InvalidPerfError(f"constraints must be a dict from name to number, got {short(constraints)}")
        held = {str(name): as_perf(value) for name, value in dict(constraints or {}).items()}
        returned = metrics.pop("cost", None)
        cost = returned if cost is None else cost
        spent = None if cost is None else as_cost(cost)
        return Outcome(TrialState.COMPLETE, tuple(values), held, metrics, spent, has_own_cost=spent is not None)

    def measure_report(self, value: object, metrics: object = None) -> Reported:
        """Return what a report says: the one place that reads what ``trial.report`` and ``yield`` hand over.

        ==========================================  ==================================================
        report                                      taken as
        ==========================================  ==================================================
        a number, as :func:`as_perf` takes it       the one objective
        dict from name to number                    the objectives under their names, or ``perf`` where the one
                                                    objective has none; other names are metrics
        tuple, list or 1-d array of numbers         several objectives in the order of ``mode``
        ``(any of these, dict)``                    objectives, and metrics
        ==========================================  ==================================================

        Args:
            value: What was reported or yielded.
            metrics: A dict of metrics, where they do not stand in the value.

        Raises:
            InvalidPerfError: It is none of these, or a number is not finite; the text says what it was.
        """
        if metrics is None:
            if type(value) is float and self.n == 1 and value - value == 0:  # finite: what most reports are
                return Reported(value)
            if _is_pair(value):
                value, metrics = value  # type: ignore[misc]
        more: dict[str, float] = {}
        if isinstance(value, Mapping):
            perfs, more = self._named(value)
        else:
            perfs = [as_perf(value)] if self.n == 1 else self._listed(value)
        perf: Perf = perfs[0] if self.n == 1 else tuple(perfs)
        return Reported(perf, {**more, **as_metrics(metrics)} if metrics is not None else more)

    def _named(self, result: Mapping[Any, Any]) -> tuple[list[float], dict[str, float]]:
        names = self.names if self.names[0] else ("perf",)
        if not self.names[0] and (self.n > 1 or "perf" not in result):
            hint = "a dict with 'perf', or give mode={'name': 'max'} for named objectives"
            raise InvalidPerfError(f"the objective's result must be one number, {hint}, got {short(result)}")
        missing = [name for name in names if name not in result]
        if missing:
            raise InvalidPerfError(f"the objective's result must have {missing}, got {short(result)}")
        metrics = as_metrics({name: value for name, value in result.items() if name not in names})
        return [as_perf(result[name]) for name in names], metrics

    def _listed(self, result: object) -> list[float]:
        if getattr(result, "ndim", None) == 1 and hasattr(result, "tolist"):
            result = result.tolist()
        if not isinstance(result, (tuple, list)) or len(result) != self.n:
            raise InvalidPerfError(f"the objective's result must have {self.n} numbers, got {short(result)}")
        return [as_perf(value) for value in result]


def _meant(mode: object, ways: object) -> str:
    """Return the end of a sentence about a wrong ``mode``: what it is here, where it is another library's."""
    meant = [meant_way(way) for way in ways] if isinstance(ways, (list, tuple)) else [meant_way(ways)]
    if not meant or None in meant:
        return ""
    given: object = meant
    if isinstance(mode, Mapping):
        given = dict(zip(mode, meant, strict=True))
    return f"; did you mean {meant[0] if isinstance(mode, str) else given!r}?"


def _is_pair(result: object) -> bool:
    """Whether a result is objectives and a dict of constraints."""
    return isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[1], Mapping)


def as_metrics(metrics: object) -> dict[str, float]:
    """Return metrics as plain floats by name.

    Raises:
        InvalidPerfError: It is no dict, or a number is not finite; the text names it.
    """
    if not isinstance(metrics, Mapping):
        raise InvalidPerfError(f"metrics must be a dict from name to number, got {short(metrics)}")
    found = {}
    for name, value in metrics.items():
        try:
            found[str(name)] = as_perf(value)
        except InvalidPerfError:  # noqa: PERF203 - the error names the metric
            raise InvalidPerfError(f"metric {shown(name)} must be one finite number, got {short(value)}") from None
    return found


def as_cost(value: object) -> float:
    """Return what an evaluation cost, as a plain float.

    Raises:
        InvalidPerfError: It is no finite number of at least 0.
    """
    cost = as_perf(value)
    if cost < 0:
        raise InvalidPerfError(f"cost: must be at least 0, got {cost}")
    return cost


def incumbent(trials: Iterable[Trial]) -> Trial | None:
    """Return the best of the trials that got the most training; None where none has a result.

    This is the one place that says what *better* means. Trials that meet their constraints come before those that
    do not, and of the latter those that miss them least. Trials of less fidelity do not compete with those of more: a
    short training says little of a long one. Of equals the one asked first is the best. With several objectives it is
    the compromise: the trial of the Pareto front nearest to the best value of each.

    Args:
        trials: Trials of one search, in any order.
    """
    top: tuple[bool, float, float] | None = None
    rivals: list[Trial] = []  # of several objectives all with the same precedence, of one the best alone
    for trial in trials:  # one after the other: a long run makes its trials only when they are looked at
        if trial.perf is None:
            continue
        rank = precedence(trial)
        if top is None or rank > top:
            top, rivals = rank, [trial]
        elif rank == top and len(trial.perfs) > 1:
            rivals.append(trial)
        elif rank == top and (trial.score or 0.0, -trial.number) > (rivals[0].score or 0.0, -rivals[0].number):
            rivals = [trial]  # of equals the one asked first
    return compromise(undominated(rivals)) if len(rivals) > 1 else rivals[0] if rivals else None


def compromise(front: Sequence[Trial]) -> Trial:
    """Return the trial of a front that is nearest to the best value of each objective, in the front's own ranges.

    Args:
        front: Trials of which none beats another; at least one.
    """
    rows = [trial.scores for trial in front]
    tops, spans = [], []
    for column in zip(*rows, strict=True):
        tops.append(max(column) / 2)  # halves: the range of huge values is no float
        spans.append((max(column) / 2 - min(column) / 2) or 1.0)
    far = [math.hypot(*((t - v / 2) / s for t, v, s in zip(tops, row, spans, strict=True))) for row in rows]
    return front[min(range(len(front)), key=lambda i: (far[i], front[i].number))]


def pareto(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that no other one beats: at least as good in every objective and better in one.

    Only those that meet their constraints, with the most training, take part; of equals the one asked first. In the
    order of the first objective, the best first.

    Args:
        trials: Trials of one search, in any order.
    """
    found = [trial for trial in trials if trial.perf is not None and not trial.violation]
    if not found:
        return []
    most = max(trial.reached for trial in found)
    return undominated([trial for trial in found if trial.reached == most])


def undominated(found: Sequence[Trial]) -> list[Trial]:
    """Return the trials that no other one beats, the best in the first objective first."""
    front: list[tuple[tuple[float, ...], Trial]] = []
    for trial in sorted(found, key=lambda t: (*(-value for value in t.scores), t.number)):
        mine = trial.scores  # whoever beats it stands before it in this order
        if not any(all(a >= b for a, b in zip(other, mine, strict=True)) for other, _ in front):
            front.append((mine, trial))
    return [trial for _, trial in front]


def precedence(trial: Trial) -> tuple[bool, float, float]:
    """Return what comes before scores when trials are compared: constraints, and how much training each had."""
    violation = trial.violation
    return not violation, trial.reached, -violation


def as_perf(value: object) -> float:
    """Return the finite float that an objective's result stands for.

    ==============================================  ==========================================
    result                                          taken as
    ==============================================  ==========================================
    int, float, bool, Fraction, Decimal             its float
    numpy scalar, 0-d numpy array, 0-d tensor       its float
    NaN, +inf, -inf, an int too large for a float   refused
    None, str, complex, dict, tuple, list           refused
    array or tensor of one dimension or more        refused, also with one element
    ==============================================  ==========================================

    Raises:
        InvalidPerfError: The value is refused; the text says what it was.
    """
    number = value
    try:
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy and torch, without importing them
            number = value.item()
    except Exception:  # an object that may raise whatever it is asked is none of these
        number = None
    if not isinstance(number, numbers.Real) and type(number).__name__ != "Decimal":
        raise InvalidPerfError(f"the objective's result must be one number, got {short(value)}{_advice(value)}")
    try:
        perf = float(number)  # type: ignore[arg-type]
    except OverflowError:
        raise InvalidPerfError(f"the objective's result is too large for a float: {short(value)}") from None
    except Exception:  # Decimal's signalling NaN; a number of the user's own may raise anything
        raise InvalidPerfError(f"the objective's result must be finite, got {short(value)}") from None
    if not math.isfinite(perf):
        raise InvalidPerfError(f"the objective's result must be finite, got {perf}")
    return perf


def _advice(value: object) -> str:
    """What to do about a result that is no number; the empty string where that is plain."""
    if value is None:
        return "; is a return missing?"
    if inspect.iscoroutine(value):
        value.close()  # else Python warns that nobody awaited it
        return "; f must not be async: run it with asyncio.run"
    if isinstance(value, (tuple, list)):
        return "; give one number, or {'perf': ...} with further numbers as metrics"
    return ""
