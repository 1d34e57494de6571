"""Objectives: which objectives a search has, which way each is better, and what an objective's result means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autohpo.errors import InvalidPerfError, OptionError
from autohpo.trial import as_perf, short

Way = Literal["max", "min"]
Mode = Way | Mapping[str, Way] | Sequence[Way]

_SIGNS = {"max": 1, "min": -1}


@dataclass(frozen=True)
class Measured:
    """What a trial's result says.

    Attributes:
        perfs: A finite number for each objective, the user's own values.
        constraints: By name; at most 0 where it is met.
        metrics: Further numbers by name, which no algorithm looks at.
    """

    perfs: tuple[float, ...]
    constraints: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search.

    Attributes:
        names: Of the objectives; an unnamed one has the empty name.
        signs: 1 for each where higher is better, -1 where lower is.

    Example:
        >>> objectives = Objectives.of({"acc": "max", "latency": "min"})
        >>> objectives.measure(({"acc": 0.8, "latency": 12, "loss": 0.4}, {"memory": -1.5}))
        Measured(perfs=(0.8, 12.0), constraints={'memory': -1.5}, metrics={'loss': 0.4})
    """

    names: tuple[str, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(cls, mode: object) -> Objectives:
        """The objectives that a ``mode`` option stands for.

        Raises:
            OptionError: It is neither "max" or "min", nor a dict from name to these, nor a list of these.
        """
        named = mode if isinstance(mode, Mapping) else None
        ways = list(named.values()) if named is not None else [mode] if isinstance(mode, str) else mode
        is_list = isinstance(ways, (list, tuple)) and len(ways) > 0
        if not is_list or not all(isinstance(way, str) and way in _SIGNS for way in ways):  # type: ignore[attr-defined]
            wanted = "'max', 'min', a dict such as {'acc': 'max', 'latency': 'min'}, or a list such as ['max', 'min']"
            raise OptionError(f"mode: must be {wanted}, got {mode!r:.80}")
        names = tuple(named) if named is not None else ("",) * len(ways)  # type: ignore[arg-type]
        if named is not None and not all(isinstance(name, str) and name for name in names):
            raise OptionError(f"mode: names of objectives must be texts that are not empty, got {mode!r:.80}")
        return cls(names, tuple(_SIGNS[way] for way in ways))  # type: ignore[attr-defined]

    @property
    def n(self) -> int:
        """How many objectives there are."""
        return len(self.signs)

    def up(self, perfs: Sequence[float]) -> tuple[float, ...]:
        """The values with higher being better in each; the same call leads back."""
        return tuple(sign * perf for sign, perf in zip(self.signs, perfs, strict=True))

    def measure(self, result: object, constraints: object = None) -> Measured:
        """What an objective's result says.

        ==========================================  ==================================================
        result                                      taken as
        ==========================================  ==================================================
        a number, as :func:`as_perf` takes it       the one objective
        dict from name to number                    the named objectives; other names are metrics
        tuple, list or 1-d array of numbers         the objectives in the order of ``mode``
        ``(any of these, dict)``                    objectives, and constraints: at most 0 where met
        ==========================================  ==================================================

        Args:
            result: What the objective returned.
            constraints: A dict of them, where they do not stand in the result.

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
        return Measured(tuple(values), held, metrics)

    def _named(self, result: Mapping[Any, Any]) -> tuple[list[float], dict[str, float]]:
        if self.names[0] == "":
            hint = "give mode={'name': 'max'} for a dict"
            raise InvalidPerfError(f"the objective's result must be one number, or {hint}, got {short(result)}")
        missing = [name for name in self.names if name not in result]
        if missing:
            raise InvalidPerfError(f"the objective's result must have {missing}, got {short(result)}")
        metrics = {str(name): as_perf(value) for name, value in result.items() if name not in self.names}
        return [as_perf(result[name]) for name in self.names], metrics

    def _listed(self, result: object) -> list[float]:
        if getattr(result, "ndim", None) == 1 and hasattr(result, "tolist"):
            result = result.tolist()
        if not isinstance(result, (tuple, list)) or len(result) != self.n:
            raise InvalidPerfError(f"the objective's result must have {self.n} numbers, got {short(result)}")
        return [as_perf(value) for value in result]


def _is_pair(result: object) -> bool:
    """Whether a result is objectives and a dict of constraints."""
    return isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[1], Mapping)
