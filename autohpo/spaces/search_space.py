"""SearchSpace: the parameters searched together, and the coding of configurations in the unit cube and in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.autogl_form import AutoGLForm, is_autogl_form, read_form
from autohpo.spaces.base import HPSpace
from autohpo.spaces.conditions import Conditions
from autohpo.spaces.constraints import Constraint, as_constraint
from autohpo.spaces.finite import count, walk
from autohpo.spaces.tagged import Described

MOST_DRAWS = 100_000
"""Draws from the prior, none of which meets the constraints, before we give up: less than a second."""


class SearchSpace:
    """The parameters that are searched together.

    A configuration is a dict from name to value with every active parameter; algorithms see it as a row of
    the unit cube, where each parameter has `width` columns of its own. Uniform points there follow the prior.

    Args:
        parameters: The parameters, in the order of the configuration; or another search space, which is extended; or
            AutoGL's dict form, see :func:`autohpo.integrations.autogl.from_autogl`.
        conditions: A formula by the name of a parameter, which is only in force where that is true: ``{"momentum":
            "opti == 'sgd'"}``; see :class:`Expression`. Children of a :class:`ChoiceHP` need none.
        constraints: What a configuration must meet to be tried at all: formulas such as "heads * dim <= 512", each a
            :class:`LinearConstraint`, or functions of the configuration that return True.

    Attributes:
        roots: The parameters as given, without their children.
        parameters: All of them, each after those that decide about it.
        names: Their names.
        constraints: What was given, as objects.
        n_columns: Width of the unit cube, d.
        levels: ``(d,)`` ints: 0 for an ordered column, else its number of unordered values.
        edges: For each column the ends of its values' cells, see :attr:`HPSpace.edges`; None without cells.
        is_conditional: Whether some column is not always in force.
        modules: Those of AutoGL's dict form that the space was read from, also those without a parameter; none for a
            plain list, and None where it was not read from there.
        autogl_items: The dicts of AutoGL's dict form by the name of the parameter; none where it was not read from
            there.

    Raises:
        SpaceError: There is no parameter, a name stands twice, an item is no parameter, or a formula is none or
            speaks of a stranger.

    Example:
        >>> from autohpo.spaces import ChoiceHP, RangeHP
        >>> space = SearchSpace([RangeHP("hops", 1, 4), ChoiceHP("act", ["relu", "tanh"])])
        >>> space.encode([{"hops": 2, "act": "tanh"}])
        array([[0.375, 0.75 ]])
        >>> space.decode(np.array([[0.375, 0.75]]))
        [{'hops': 2, 'act': 'tanh'}]
    """

    def __init__(
        self,
        parameters: Iterable[HPSpace] | SearchSpace | AutoGLForm,
        *,
        conditions: Mapping[str, str] | None = None,
        constraints: Iterable[Any] | Described | Callable[[Mapping[str, Any]], bool] = (),
    ) -> None:
        formulas: dict[str, str] = {}
        given: list[Any] = []
        self.modules: tuple[str, ...] | None = None
        self.autogl_items: Mapping[str, Mapping[str, Any]] = {}
        if is_autogl_form(parameters):
            parameters, self.modules, self.autogl_items = read_form(parameters)
        if isinstance(parameters, SearchSpace):
            known: SearchSpace = parameters
            formulas.update(known._conditions.formulas)
            given.extend(known.constraints)
            self.modules, self.autogl_items = known.modules, known.autogl_items
            parameters = known.roots
        if isinstance(parameters, (str, bytes, Mapping, HPSpace)) or not isinstance(parameters, Iterable):
            raise SpaceError(f"space: must be a list of parameters, got {type(parameters).__name__}")
        if isinstance(constraints, (str, Described)) or callable(constraints):
            constraints = [constraints]
        if not isinstance(conditions or {}, Mapping) or not isinstance(constraints, Iterable):
            raise SpaceError("space: conditions must be a dict of formulas, and constraints a list")
        self.roots: tuple[HPSpace, ...] = tuple(cast("Iterable[HPSpace]", parameters))
        if not self.roots:
            raise SpaceError("space: must hold at least one parameter, got none")
        self._conditions: Conditions = Conditions(self.roots, formulas | dict(conditions or {}))
        self.parameters: tuple[HPSpace, ...] = self._conditions.parameters
        self._by_name = {hp.name: hp for hp in self.parameters}
        self.names = tuple(self._by_name)
        self.constraints: tuple[Constraint, ...] = tuple(as_constraint(item) for item in [*given, *constraints])
        for constraint in self.constraints:
            strangers = sorted(set(constraint.names or ()) - set(self.names))
            if strangers:
                raise SpaceError(f"{constraint}: speaks of {strangers}; the space has {list(self.names)}")
        ends = np.cumsum([0, *(hp.width for hp in self.parameters)])
        self._columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.n_columns = int(ends[-1])
        self.levels = np.array([hp.levels for hp in self.parameters for _ in range(hp.width)], dtype=np.int64)
        self.is_conditional = self._conditions.is_any

    def __iter__(self) -> Iterator[HPSpace]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> HPSpace:
        return self._by_name[name]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace) or self.roots != other.roots:
            return False
        return self._conditions.formulas == other._conditions.formulas and self.constraints == other.constraints

    def __hash__(self) -> int:
        return hash(self.roots)

    def __repr__(self) -> str:
        parts = [f"[{', '.join(map(repr, self.roots))}]"]
        if self._conditions.formulas:
            parts.append(f"conditions={self._conditions.formulas}")
        if self.constraints:
            parts.append(f"constraints={list(self.constraints)}")
        return f"SearchSpace({', '.join(parts)})"

    @property
    def formulas(self) -> dict[str, str]:
        """The conditions that were given as formulas, by the name of the parameter."""
        return dict(self._conditions.formulas)

    @cached_property
    def edges(self) -> list[NDArray[np.float64] | None]:
        """For each column the ``(V + 1,)`` ends of its values' cells, or None."""
        return [edges for hp in self.parameters for edges in hp.column_edges]

    # Which configurations there are.

    @cached_property
    def n_configurations(self) -> int | None:
        """How many configurations there are; None where they cannot be counted, or only by listing very many."""
        return count(self)

    def configurations(self) -> Iterator[dict[str, Any]]:
        """Every configuration of a finite space that the constraints allow, one after the other, none twice.

        Raises:
            SpaceError: A parameter has values that cannot be counted.
        """
        for hp in self.parameters:
            if hp.n_values is None:
                raise SpaceError(f"{hp.name}: the values cannot be listed")
        for _, values in walk(self, steps=None):
            if self.is_allowed(values):
                yield values

    def deciders(self, name: str) -> tuple[str, ...]:
        """Names of the parameters that decide about one: whether it is in force, and how long it is."""
        return self._conditions.deciders(name)

    def is_active(self, name: str, hp: Mapping[str, Any]) -> bool:
        """Whether a parameter is in force in a configuration that holds those that decide about it."""
        return self._conditions.is_active(name, hp)

    def active(self, hp: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the parameters that are in force in a configuration."""
        if not self.is_conditional:
            return self.names
        kept = self.trim(hp)
        return tuple(name for name in self.names if self._conditions.is_active(name, kept))

    def trim(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """What of a configuration is in force, with lists cut to their length; missing parameters stay missing."""
        if not self.is_conditional:
            return {name: hp[name] for name in self.names if name in hp}
        kept: dict[str, Any] = {}
        for one in self.parameters:
            if one.name in hp and self._conditions.is_active(one.name, kept):
                value = hp[one.name]
                kept[one.name] = one.cut(value, kept) if one.refers_to else value
        return kept

    def is_allowed(self, hp: Mapping[str, Any]) -> bool:
        """Whether a configuration meets all constraints."""
        return all(constraint.allows(hp) for constraint in self.constraints)

    def allows(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
        """``(n,)`` whether each of n configurations meets all constraints."""
        if not self.constraints:
            return np.ones(len(hps), dtype=bool)
        return np.array([self.is_allowed(hp) for hp in hps], dtype=bool)

    # The unit cube.

    def encode(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """``(n, d)`` points in the unit cube for n configurations; columns that are not in force hold .5.

        Raises:
            SpaceError: A configuration lacks a parameter.
        """
        units = np.full((len(hps), self.n_columns), 0.5)
        for one, columns in zip(self.parameters, self._columns, strict=True):
            if not one.width:
                continue
            try:
                units[:, columns] = one.encode([hp[one.name] for hp in hps])
            except KeyError:
                if not self._conditions.deciders(one.name):
                    raise SpaceError(f"{one.name}: missing in the configuration") from None
                rows = [i for i, hp in enumerate(hps) if one.name in hp]
                if rows:
                    units[rows, columns] = one.encode([hps[i][one.name] for i in rows])
        return units

    def mask(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
        """``(n, d)`` which columns are in force in each of n configurations."""
        mask = np.ones((len(hps), self.n_columns), dtype=bool)
        for one, columns in zip(self.parameters, self._columns, strict=True):
            if one.width and self._conditions.deciders(one.name):
                for row, hp in enumerate(hps):
                    n = one.n_active(hp) if one.name in hp else 0
                    mask[row, columns.start + n : columns.stop] = False
        return mask

    def decode(self, units: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The n configurations, plain Python types, of ``(n, d)`` points in the unit cube; constraints are not met.

        Raises:
            SpaceError: The points have another width, or lie outside the cube.
        """
        units = np.asarray(units, dtype=float)
        if units.ndim != 2 or units.shape[1] != self.n_columns:
            raise SpaceError(f"units: must have shape (n, {self.n_columns}), got {units.shape}")
        if not ((units >= 0) & (units <= 1)).all():
            raise SpaceError("units: must lie in [0, 1]")
        values = [hp.decode(units[:, c]) for hp, c in zip(self.parameters, self._columns, strict=True)]
        hps = [dict(zip(self.names, row, strict=True)) for row in zip(*values, strict=True)]
        return [self.trim(hp) for hp in hps] if self.is_conditional else hps

    def canonical(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, d)`` where the configurations of ``(n, d)`` points stand: ``encode(decode(units))``."""
        return self.encode(self.decode(units))

    def sample(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """The next n configurations drawn from the prior that the constraints allow.

        Raises:
            SpaceError: None of 100,000 draws is allowed.
        """
        if not self.constraints:
            return self.decode(rng.random((n, self.n_columns)))
        found: list[dict[str, Any]] = []
        n_draws, batch = 0, max(n, 16)
        while len(found) < n:
            drawn = self.decode(rng.random((batch, self.n_columns)))
            found += [hp for hp in drawn if self.is_allowed(hp)]
            n_draws, batch = n_draws + batch, min(2 * batch, 4096)
            if n_draws > MOST_DRAWS and not found:
                raise SpaceError(f"constraints: none of {n_draws} draws meets {list(self.constraints)}")
        return found[:n]

    # Checking and keeping.

    def check(self, hp: Mapping[str, Any]) -> None:
        """Passes a legal configuration.

        Raises:
            SpaceError: A parameter is missing, unknown, or has an illegal value; or a constraint is not met.
        """
        if not isinstance(hp, Mapping):
            raise SpaceError(f"configuration: must be a dict, got {type(hp).__name__}")
        known: dict[str, Any] = {}
        for one in self.parameters:
            name = one.name
            if self.is_conditional and not self._conditions.is_active(name, known):
                continue
            if name not in hp:
                raise SpaceError(f"{name}: missing in the configuration")
            if not one.contains(hp[name]):
                raise SpaceError(f"{name}: must be a value of {one}, got {hp[name]!r:.80}")
            if self.is_conditional and one.refers_to and not one.fits(hp[name], known):
                raise SpaceError(f"{name}: must suit {list(one.refers_to)} of the configuration, got {hp[name]!r:.80}")
            known[name] = hp[name]
        if len(hp) != len(known):
            strangers = sorted(set(hp) - set(self.names), key=str)
            if strangers:
                raise SpaceError(f"configuration: unknown parameters {strangers}; the space has {list(self.names)}")
            raise SpaceError(f"configuration: {sorted(set(hp) - set(known))} are not in force in {dict(hp)}")
        for constraint in self.constraints:
            if not constraint.allows(hp):
                raise SpaceError(f"configuration: {constraint} is not met by {dict(hp)}")

    def to_json(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """A legal configuration as JSON types; a choice is written as its place."""
        return {name: self._by_name[name].to_json(hp[name]) for name in self.names if name in hp}

    def from_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that :meth:`to_json` gave `data` for; a choice is the very object of this space."""
        return {name: self._by_name[name].from_json(value) for name, value in data.items()}

    def key(self, hp: Mapping[str, Any]) -> str:
        """A text that two legal configurations share only when they are the same."""
        return json.dumps(self.to_json(hp), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON types."""
        data: dict[str, Any] = {"parameters": [hp.to_dict() for hp in self.roots]}
        if self._conditions.formulas:
            data["conditions"] = dict(self._conditions.formulas)
        if self.constraints:
            data["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> SearchSpace:
        """The space that :meth:`to_dict` described.

        Raises:
            SpaceError: `data` is no space, or holds kinds or values that cannot be made here.
        """
        lists: dict[str, Any] = {"parameters": None, "constraints": [], **data}
        for name in ("parameters", "constraints"):
            if not isinstance(lists[name], list) or not all(isinstance(item, dict) for item in lists[name]):
                raise SpaceError(f"space: must have a list {name!r} of dicts, got {lists[name]!r:.80}")
        return SearchSpace(
            [HPSpace.from_dict(item) for item in lists["parameters"]],
            conditions=data.get("conditions"),
            constraints=[Described.from_dict(item) for item in lists["constraints"]],
        )
