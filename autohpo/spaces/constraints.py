"""Constraints on the space: which configurations may be tried at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autohpo.errors import SpaceError
from autohpo.spaces.expression import Expression
from autohpo.spaces.tagged import Described


@dataclass(frozen=True, eq=False, repr=False)
class LinearConstraint(Described):
    """``lower <= sum of weight * value <= upper``.

    Args:
        weights: By the name of the parameter, which must hold numbers.
        lower: Least allowed sum; None without one.
        upper: Largest allowed sum; None without one.

    Raises:
        SpaceError: There are no weights or no bounds, or one is no finite number; or a value is none.

    Example:
        >>> LinearConstraint({"train": 1, "valid": 1}, upper=0.9).allows({"train": 0.5, "valid": 0.3})
        True
    """

    weights: Mapping[str, float]
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise SpaceError(f"LinearConstraint: weights must be a dict by name, got {self.weights!r:.80}")
        numbers = [*self.weights.values(), *(b for b in (self.lower, self.upper) if b is not None)]
        if not self.weights or len(numbers) == len(self.weights):
            raise SpaceError("LinearConstraint: must have weights, and a lower or an upper bound")
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise SpaceError(f"LinearConstraint: weights and bounds must be finite numbers, got {self}")
        object.__setattr__(self, "weights", dict(self.weights))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters it binds."""
        return tuple(self.weights)

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration meets it; one that lacks a parameter of it does."""
        if not all(name in hp for name in self.weights):
            return True
        terms = [weight * hp[name] for name, weight in self.weights.items()]
        if not all(isinstance(term, (int, float)) for term in terms):
            raise SpaceError(f"{self}: values must be numbers, got { ({name: hp[name] for name in self.weights}) }")
        total = sum(terms)
        slack = 1e-9 * sum(map(abs, terms))  # for rounding: decimal steps are no exact floats
        is_below = self.upper is None or total <= self.upper + slack
        return is_below and (self.lower is None or total >= self.lower - slack)


@dataclass(frozen=True, eq=False, repr=False)
class ExpressionConstraint(Described):
    """A formula that must be true; see :class:`Expression`.

    Args:
        formula: Its text, such as "heads * dim <= 512"; a configuration that lacks a parameter of it meets it.

    Raises:
        SpaceError: The text is no formula.
    """

    formula: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "_expression", Expression(self.formula))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters it binds."""
        expression: Expression = vars(self)["_expression"]
        return expression.names

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration meets it."""
        expression: Expression = vars(self)["_expression"]
        return not all(name in hp for name in expression.names) or bool(expression(hp))


@dataclass(frozen=True, eq=False, repr=False)
class PredicateConstraint(Described):
    """A function of the configuration that must return True; it is the user's, and JSON only holds its name."""

    predicate: Callable[[Mapping[str, Any]], bool]

    def __post_init__(self) -> None:
        if not callable(self.predicate):
            raise SpaceError(f"constraint: must be a formula, a LinearConstraint or a function, got {self.predicate!r}")

    @property
    def names(self) -> None:
        """Not known: it may look at every parameter."""
        return

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration meets it.

        Raises:
            SpaceError: The function raised.
        """
        try:
            return bool(self.predicate(dict(hp)))  # a copy: what it does to it harms nobody
        except Exception as error:  # it is the user's, and may raise anything
            name = getattr(self.predicate, "__qualname__", repr(self.predicate))
            raise SpaceError(f"constraint {name}: raised {type(error).__name__}: {error} for {dict(hp)}") from error


Constraint = LinearConstraint | ExpressionConstraint | PredicateConstraint


def as_constraint(item: Any) -> Constraint:
    """A constraint; a text is a formula, and a function a predicate.

    Raises:
        SpaceError: It is neither.
    """
    if isinstance(item, (LinearConstraint, ExpressionConstraint, PredicateConstraint)):
        return item
    return ExpressionConstraint(item) if isinstance(item, str) else PredicateConstraint(item)
