"""Constraints of a space: which configurations may be tried at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autohpo.errors import SpaceError, shown, text_of
from autohpo.spaces.expression import Expression
from autohpo.spaces.formula_rows import BoolArray, Column, NotInRows, evaluate
from autohpo.spaces.tagged import Described, opaque_function
from autohpo.untrusted import as_tuple, reading, text_of_error


@dataclass(frozen=True, eq=False, repr=False)
class LinearConstraint(Described):
    """A linear constraint: ``lower <= sum of weight * value <= upper``.

    Args:
        weights: A weight by the name of a parameter whose values are numbers.
        lower: The least allowed sum; None for no lower bound.
        upper: The largest allowed sum; None for no upper bound.

    Raises:
        SpaceError: There are no weights or no bounds, or some are not finite numbers.

    Example:
        >>> LinearConstraint({"train": 1, "valid": 1}, upper=0.9).allows({"train": 0.5, "valid": 0.3})
        True
    """

    weights: Mapping[str, float]
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise SpaceError(f"LinearConstraint: weights must be a dict by name, got {shown(self.weights)}")
        with reading("LinearConstraint"):
            self._set(weights=dict(self.weights))
        numbers = [*self.weights.values(), *(b for b in (self.lower, self.upper) if b is not None)]
        if not self.weights or len(numbers) == len(self.weights):
            raise SpaceError(f"LinearConstraint: must have weights, and a lower or an upper bound, got {self}")
        if not all(type(n) in (int, float) and abs(n) <= sys.float_info.max for n in numbers):
            raise SpaceError(f"LinearConstraint: weights and bounds must be finite numbers, got {self}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters that it binds."""
        return tuple(self.weights)

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Return whether a configuration meets the constraint, as it does without one of the parameters.

        Raises:
            SpaceError: A value is not a number.
        """
        if not all(name in hp for name in self.weights):
            return True
        values = {name: hp[name] for name in self.weights}
        if not all(isinstance(value, (int, float)) and abs(value) <= sys.float_info.max for value in values.values()):
            raise SpaceError(f"{self}: values must be numbers, got {shown(values, 400)}")
        terms = [weight * values[name] for name, weight in self.weights.items()]
        total = sum(terms)
        slack = 1e-9 * sum(map(abs, terms))  # for rounding: decimal steps are no exact floats
        is_below = self.upper is None or total <= self.upper + slack
        return is_below and (self.lower is None or total >= self.lower - slack)

    def in_rows(self, columns: Mapping[str, Column], n: int) -> tuple[BoolArray, BoolArray]:
        """Return ``(n,)`` whether each of n configurations meets it, and ``(n,)`` where only :meth:`allows` can say.

        Args:
            columns: The values of each of its names.
            n: The number of configurations.

        Raises:
            NotInRows: Some values are not numbers.
        """
        if any(columns[name].dtype == object for name in self.weights):
            raise NotInRows
        terms = [weight * columns[name].astype(float) for name, weight in self.weights.items()]
        total, slack = sum(terms), 1e-9 * sum(map(np.abs, terms))
        allowed = np.ones(n, dtype=bool)
        if self.upper is not None:
            allowed &= total <= self.upper + slack
        if self.lower is not None:
            allowed &= total >= self.lower - slack
        return allowed, ~np.isfinite(total)


@dataclass(frozen=True, eq=False, repr=False)
class ExpressionConstraint(Described):
    """A formula that must be true; see :class:`Expression`.

    Args:
        formula: A string such as "heads * dim <= 512".

    Raises:
        SpaceError: The string is not a formula.
    """

    formula: str
    _expression: Expression = field(init=False)

    def __post_init__(self) -> None:
        self._set(_expression=Expression(self.formula))
        if not self._expression.names and not self._expression({}):
            raise SpaceError(f"constraint {self.formula!r}: must name a parameter; no configuration meets it")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters that it binds."""
        return self._expression.names

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Return whether a configuration meets the constraint, as it does without one of the parameters."""
        return not all(name in hp for name in self.names) or bool(self._expression(hp))

    def in_rows(self, columns: Mapping[str, Column], n: int) -> tuple[BoolArray, BoolArray]:
        """Return ``(n,)`` whether each of n configurations meets it, and ``(n,)`` where only :meth:`allows` can say.

        Args:
            columns: The values of each of its names.
            n: The number of configurations.

        Raises:
            NotInRows: The formula has a part that is only computed for one configuration at a time.
        """
        return evaluate(self._expression.tree, columns, n)

    @property
    def expression(self) -> Expression:
        """The formula, read."""
        return self._expression


@dataclass(frozen=True, eq=False, repr=False)
class PredicateConstraint(Described):
    """A function of the configuration that must return True; JSON only holds its name, and a digest of its code.

    Args:
        predicate: The user's function.

    Raises:
        SpaceError: `predicate` is not a function.
    """

    predicate: Callable[[Mapping[str, Any]], bool]

    def __post_init__(self) -> None:
        if not callable(self.predicate):
            raise SpaceError(
                f"constraint: must be a formula, a LinearConstraint or a function, got {shown(self.predicate)}"
            )

    @property
    def names(self) -> None:
        """None, as the function may look at every parameter."""
        return

    def to_dict(self) -> dict[str, Any]:
        """Return the name of the function, and the digest of its code where its name may be that of several."""
        return {"kind": type(self).__name__, "predicate": opaque_function(self.predicate)}

    def allows(self, hp: Mapping[str, Any]) -> bool:
        """Return whether a configuration meets the constraint.

        Raises:
            SpaceError: The function raised.
        """
        try:
            return bool(self.predicate(dict(hp)))  # a copy: the function may change it
        except Exception as error:  # the user's function may raise anything
            name = getattr(self.predicate, "__qualname__", text_of(self.predicate))
            raise SpaceError(f"constraint {name}: raised {text_of_error(error)} for {shown(dict(hp), 400)}") from error


Constraint = LinearConstraint | ExpressionConstraint | PredicateConstraint


def as_constraints(given: Any) -> tuple[Any, ...]:
    """Return the constraints of a space as given, in a tuple; a single one may stand without a list.

    Raises:
        SpaceError: They are no list.
    """
    if isinstance(given, (str, Described)) or callable(given):
        return (given,)
    if not isinstance(given, Iterable):
        raise SpaceError(f"space: constraints must be a list, got {shown(given)}")
    return as_tuple("space", "constraints must be a list", given)


def as_constraint(item: Any) -> Constraint:
    """Return a constraint; a string stands for a formula, and a function for a predicate.

    Raises:
        SpaceError: The item is none of these.
    """
    if isinstance(item, (LinearConstraint, ExpressionConstraint, PredicateConstraint)):
        return item
    return ExpressionConstraint(item) if isinstance(item, str) else PredicateConstraint(item)


def read_constraints(given: Iterable[Any], names: Sequence[str]) -> tuple[Constraint, ...]:
    """Return the constraints of a space with these names.

    Raises:
        SpaceError: An item is no constraint, or names a parameter that the space does not have.
    """
    constraints = tuple(map(as_constraint, given))
    for constraint in constraints:
        unknown = sorted(set(constraint.names or ()) - set(names))
        if unknown:
            raise SpaceError(f"{constraint}: names must be of the space {list(names)}, got {unknown}")
    return constraints
