"""SearchSpace: the parameters searched together, and the encoding of configurations in the unit cube and in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.autogl_form import AutoGLForm, is_autogl_form, read_form
from autohpo.spaces.base import HPSpace
from autohpo.spaces.conditions import Conditions
from autohpo.spaces.constraints import Constraint, as_constraints, read_constraints
from autohpo.spaces.draws import Draws, meet
from autohpo.spaces.finite import count, walk
from autohpo.spaces.given import as_dict, as_formulas, as_parameters, as_units, check_counts, checked_count, count_of
from autohpo.spaces.json_form import JsonForm
from autohpo.spaces.tagged import Described, without_caches
from autohpo.untrusted import illegal, reading


class SearchSpace:
    """The parameters that are searched together.

    A configuration is a dict from name to value with every active parameter; algorithms see it as a row of
    the unit cube, where each parameter has `width` columns of its own. Uniform points there follow the prior.

    Args:
        parameters: The parameters, in the order of the configuration; or another search space, which is extended; or
            AutoGL's dict form, see :func:`autohpo.integrations.autogl.from_autogl`.
        conditions: A formula by the name of a parameter, which is only active where the formula is true:
            ``{"momentum": "opti == 'sgd'"}``; see :class:`Expression`. Children of a :class:`ChoiceHP` need none.
        constraints: What a configuration must meet to be tried at all: formulas such as "heads * dim <= 512", each a
            :class:`LinearConstraint`, or functions of the configuration that return True.

    Attributes:
        roots: The parameters as given, without their children.
        parameters: All parameters, each after those that decide about it.
        names: The names of all parameters.
        constraints: The constraints as objects.
        n_columns: The width of the unit cube, d.
        levels: ``(d,)`` ints: 0 for an ordered column, else its number of unordered values.
        edges: The ends of the cells of each column's values, see :attr:`HPSpace.edges`; None without cells.
        optional: ``(d,)`` which columns belong to a parameter that other parameters decide about.
        is_conditional: Whether some parameter is not always active, or not always of the same length.
        modules: The modules of AutoGL's dict form that the space was read from, also those without a parameter; none
            for a plain list, and None where the space was not read from that form.
        autogl_items: The dicts of that form by the name of the parameter; empty where the space was not read from it.

    Raises:
        SpaceError: There are no parameters, two have the same name, an item is not a parameter, or a formula cannot
            be read or names an unknown parameter.

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
        with reading("space"):
            formulas, given = as_formulas(conditions), as_constraints(constraints)
            self.modules: tuple[str, ...] | None = None
            self.autogl_items: Mapping[str, Mapping[str, Any]] = {}
            if isinstance(parameters, SearchSpace):
                known: SearchSpace = parameters
                formulas, given = known.formulas | formulas, known.constraints + given
                self.modules, self.autogl_items, parameters = known.modules, known.autogl_items, known.roots
            elif is_autogl_form(parameters):
                parameters, self.modules, self.autogl_items = read_form(parameters)
            self.roots: tuple[HPSpace, ...] = as_parameters(parameters)
        self._conditions = Conditions(self.roots, formulas)
        self.parameters = self._conditions.parameters
        check_counts(self.parameters)
        self._by_name = {parameter.name: parameter for parameter in self.parameters}
        self.names = tuple(self._by_name)
        self.constraints: tuple[Constraint, ...] = read_constraints(given, self.names)
        widths = [parameter.width for parameter in self.parameters]
        ends = np.cumsum([0, *widths])
        self._columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.n_columns = int(ends[-1])
        self.levels = np.repeat(np.array([parameter.levels for parameter in self.parameters], dtype=np.int64), widths)
        self.is_conditional = self._conditions.is_any

    def __getstate__(self) -> Any:
        """Pickle no caches: using a space does not change what it pickles to."""
        return without_caches(self)

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
        """The ``(V + 1,)`` ends of the values' cells of each column, or None."""
        return [edges for parameter in self.parameters for edges in parameter.column_edges]

    @cached_property
    def optional(self) -> NDArray[np.bool_]:
        """``(d,)`` which columns belong to a parameter that other parameters decide about.

        Such a parameter is not always active, or not always of the same length: see :meth:`mask` for which columns
        are active in some configurations.
        """
        is_decided = [bool(self.deciders(name)) for name in self.names]
        return np.repeat(np.array(is_decided, dtype=bool), [parameter.width for parameter in self.parameters])

    # Which configurations there are.

    @cached_property
    def n_configurations(self) -> int | None:
        """The number of configurations; None where they cannot be counted, or only by listing very many."""
        return count(self)

    def configurations(self) -> Iterator[dict[str, Any]]:
        """Yield every configuration of a finite space that the constraints allow, none twice.

        Raises:
            SpaceError: A parameter has values that cannot be counted.
        """
        for parameter in self.parameters:
            if parameter.n_values is None:
                raise SpaceError(f"{parameter.name}: values must be countable to be listed, got {parameter}")
        for _, hp in walk(self, steps=None):
            if self.is_allowed(hp):
                yield hp

    def deciders(self, name: str) -> tuple[str, ...]:
        """Return the names of the parameters that decide whether a parameter is active, and how long it is."""
        return self._conditions.deciders(name)

    def is_active(self, name: str, hp: Mapping[str, Any]) -> bool:
        """Return whether a parameter is active in a configuration that holds those that decide about it."""
        return self._conditions.is_active(name, hp)

    def active(self, hp: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the parameters that are active in a configuration."""
        if not self.is_conditional:
            return self.names
        kept = self.trim(hp)
        return tuple(name for name in self.names if self._conditions.is_active(name, kept))

    def trim(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return the active parameters of a configuration, with lists cut to their length; others stay missing."""
        if not self.is_conditional:
            return {name: hp[name] for name in self.names if name in hp}
        kept: dict[str, Any] = {}
        for parameter in self.parameters:
            name = parameter.name
            if name in hp and self._conditions.is_active(name, kept):
                kept[name] = parameter.cut(hp[name], kept) if parameter.refers_to else hp[name]
        return kept

    def is_allowed(self, hp: Mapping[str, Any]) -> bool:
        """Return whether a configuration meets all constraints."""
        return all(constraint.allows(hp) for constraint in self.constraints)

    def allows(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
        """Return ``(n,)`` whether each of n configurations meets all constraints."""
        return meet(self.constraints, hps)

    def allowed(self, units: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return ``(n,)`` whether the configurations of ``(n, d)`` points meet all constraints.

        The same as ``allows(decode(units))``, but formulas take microseconds for a hundred points.
        """
        return self._draws.allowed(units) if self.constraints else np.ones(len(units), dtype=bool)

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self)

    # The unit cube.

    def encode(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return ``(n, d)`` points in the unit cube for n configurations; columns that are not active hold .5.

        Raises:
            SpaceError: A parameter is missing in a configuration, or one has a value that cannot be encoded.
        """
        units = np.full((count_of(hps), self.n_columns), 0.5)
        try:
            return self._encoded(hps, units)
        except Exception as error:  # whatever a value that is none of the parameter's leads to
            raise illegal(self.check, hps, error) from error

    def _encoded(self, hps: Sequence[Mapping[str, Any]], units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill the points of configurations in, and return them."""
        for parameter, columns in zip(self.parameters, self._columns, strict=True):
            name = parameter.name
            if columns.start == columns.stop:
                continue
            try:
                units[:, columns] = parameter.encode([hp[name] for hp in hps])
            except KeyError:
                rows = [i for i, hp in enumerate(hps) if name in hp]
                if not self._conditions.deciders(name):
                    raise _missing(name, next(hp for hp in hps if name not in hp)) from None
                if rows:
                    units[rows, columns] = parameter.encode([hps[i][name] for i in rows])
        return units

    def mask(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
        """Return ``(n, d)`` which columns are active in each of n configurations."""
        mask = np.ones((len(hps), self.n_columns), dtype=bool)
        for parameter, columns in zip(self.parameters, self._columns, strict=True):
            if columns.start < columns.stop and self._conditions.deciders(parameter.name):
                for row, hp in enumerate(hps):
                    n = parameter.n_active(hp) if parameter.name in hp else 0
                    mask[row, columns.start + n : columns.stop] = False
        return mask

    def decode(self, units: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Return the n configurations, plain Python types, of ``(n, d)`` points; constraints may not be met.

        Raises:
            SpaceError: The points have another width, or lie outside the unit cube.
        """
        units = as_units(units, self.n_columns)
        if not ((units >= 0) & (units <= 1)).all():
            raise SpaceError(f"units: must lie in [0, 1], got values from {units.min()} to {units.max()}")
        values = [parameter.decode(units[:, c]) for parameter, c in zip(self.parameters, self._columns, strict=True)]
        hps = [dict(zip(self.names, row, strict=True)) for row in zip(*values, strict=True)]
        return [self.trim(hp) for hp in hps] if self.is_conditional else hps

    def canonical(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ``(n, d)`` points of the configurations of ``(n, d)`` points: ``encode(decode(units))``."""
        return self.encode(self.decode(units))

    def sample(self, rng: np.random.Generator, n: int, most_draws: int | None = None) -> list[dict[str, Any]]:
        """Return the next n configurations drawn from the prior that the constraints allow.

        Args:
            rng: The generator.
            n: The number of configurations.
            most_draws: The number of draws after which it ends with fewer of them, but at least one; None goes on.

        Raises:
            SpaceError: None of 100,000 draws is allowed, or nothing can be.
        """
        return self.decode(self.sample_points(rng, n, most_draws)) if checked_count(n) else []

    def sample_points(self, rng: np.random.Generator, n: int, most_draws: int | None = None) -> NDArray[np.float64]:
        """Return the ``(n, d)`` points of the unit cube whose configurations :meth:`sample` returns."""
        if not self.constraints:
            return rng.random((n, self.n_columns))
        return self._draws.points(rng, n, most_draws)

    # Checking and keeping.

    def checked(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration that users or plug-ins hand over in the parameters' own types and values.

        Equal configurations become the same: 0 becomes 0.0 where floats are searched, 0.1 + 0.2 the 0.3 that lies on a
        step, a number of numpy's Python's own, a choice the very object given. All that enters a search passes here.

        Raises:
            SpaceError: The configuration is illegal; see :meth:`check`.
        """
        made = self.canonical_values(hp)
        self.check(made)
        return made

    def canonical_values(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with values in the parameters' own form; illegal ones stay, for :meth:`check`.

        Raises:
            SpaceError: It is not a dict.
        """
        if not isinstance(hp, Mapping):
            raise SpaceError(f"configuration: must be a dict, got {type(hp).__name__}")
        known = self._by_name
        return {name: known[name].canonical(value) if name in known else value for name, value in hp.items()}

    def check(self, hp: Mapping[str, Any]) -> None:
        """Raise SpaceError unless a configuration is legal.

        Raises:
            SpaceError: A parameter is missing, unknown, not active, or has an illegal value; or a constraint is not
                met.
        """
        if not isinstance(hp, Mapping):
            raise SpaceError(f"configuration: must be a dict, got {type(hp).__name__}")
        known: dict[str, Any] = {}
        for parameter in self.parameters:
            name = parameter.name
            if self.is_conditional and not self._conditions.is_active(name, known):
                continue
            if name not in hp:
                raise _missing(name, hp)
            value = hp[name]
            if not parameter.contains(value):
                raise SpaceError(f"{name}: must be a value of {parameter}, got {shown(value)}")
            if self.is_conditional and parameter.refers_to and not parameter.fits(value, known):
                decided = {decider: known[decider] for decider in parameter.refers_to}
                raise SpaceError(f"{name}: must suit {shown(decided)} of the configuration, got {shown(value)}")
            known[name] = value
        if len(hp) != len(known):
            unknown = sorted(set(hp) - set(self.names), key=str)
            if unknown:
                raise SpaceError(f"configuration: names must be among {list(self.names)}, got {unknown}")
            inactive = sorted(set(hp) - set(known))
            raise SpaceError(f"configuration: parameters must be active, got inactive {inactive} in {dict(hp)}")
        for constraint in self.constraints:
            if not constraint.allows(hp):
                raise SpaceError(f"configuration: must meet {constraint}, got {shown(dict(hp), 1000)}")

    def to_json(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return a legal configuration as JSON types; a choice is written as its index.

        Raises:
            SpaceError: It has a value that cannot be written.
        """
        return self._json_form.to_json(hp)

    def from_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration that :meth:`to_json` gave `data` for; a choice is the very object of this space.

        Raises:
            SpaceError: It is nothing that :meth:`to_json` gives.
        """
        return self._json_form.from_json(data)

    def key(self, hp: Mapping[str, Any]) -> str:
        """Return a string that two legal configurations share only when they are the same."""
        return self._json_form.key(hp)

    @cached_property
    def _json_form(self) -> JsonForm:
        return JsonForm(self.parameters, self.check)

    @reading("space")  # parameters below choices may lie deeper than Python goes
    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON types."""
        data: dict[str, Any] = {"parameters": [parameter.to_dict() for parameter in self.roots]}
        if self._conditions.formulas:
            data["conditions"] = dict(self._conditions.formulas)
        if self.constraints:
            data["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> SearchSpace:
        """Return the space that :meth:`to_dict` described.

        Raises:
            SpaceError: `data` does not describe a space, or holds kinds or values that cannot be made here.
        """
        lists: dict[str, Any] = {"parameters": None, "constraints": [], **as_dict(data)}
        for name in ("parameters", "constraints"):
            if not isinstance(lists[name], list) or not all(isinstance(item, dict) for item in lists[name]):
                raise SpaceError(f"space: must have a list {name!r} of dicts, got {shown(lists[name])}")
        return SearchSpace(
            [HPSpace.from_dict(item) for item in lists["parameters"]],
            conditions=data.get("conditions"),
            constraints=[Described.from_dict(item) for item in lists["constraints"]],
        )


def _missing(name: str, hp: Mapping[str, Any]) -> SpaceError:
    return SpaceError(f"{name}: must be in the configuration, got only {list(hp)}")
