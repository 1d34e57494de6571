"""SearchSpace: a list of parameters, and the coding of configurations in the unit cube and in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.base import HPSpace


class SearchSpace:
    """The parameters that are searched together.

    A configuration is a dict from name to value with every active parameter; algorithms see it as a row of
    the unit cube, where each parameter has `width` columns of its own.

    Args:
        parameters: The parameters, in the order of the configuration; or another search space.

    Attributes:
        parameters: The same, as a tuple.
        names: Their names.
        n_columns: Width of the unit cube, d.
        levels: ``(d,)`` ints: 0 for an ordered column, else its number of unordered values.

    Raises:
        SpaceError: There is no parameter, a name stands twice, or an item is no parameter.

    Example:
        >>> from autohpo.spaces import ChoiceHP, RangeHP
        >>> space = SearchSpace([RangeHP("hops", 1, 4), ChoiceHP("act", ["relu", "tanh"])])
        >>> space.encode([{"hops": 2, "act": "tanh"}])
        array([[0.375, 0.75 ]])
        >>> space.decode(np.array([[0.375, 0.75]]))
        [{'hops': 2, 'act': 'tanh'}]
    """

    def __init__(self, parameters: Iterable[HPSpace] | SearchSpace) -> None:
        if isinstance(parameters, (str, bytes, Mapping, HPSpace)) or not isinstance(parameters, Iterable):
            raise SpaceError(f"space: must be a list of parameters, got {type(parameters).__name__}")
        self.parameters: tuple[HPSpace, ...] = tuple(parameters)
        if not self.parameters:
            raise SpaceError("space: must hold at least one parameter, got none")
        self._by_name: dict[str, HPSpace] = {}
        for hp in self.parameters:
            if not isinstance(hp, HPSpace):
                raise SpaceError(f"space: every item must be an HPSpace such as RangeHP, got {hp!r:.80}")
            if hp.name in self._by_name:
                raise SpaceError(f"{hp.name}: names must differ, got this one twice")
            self._by_name[hp.name] = hp
        self.names = tuple(self._by_name)
        ends = np.cumsum([0, *(hp.width for hp in self.parameters)])
        self._columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.n_columns = int(ends[-1])
        self.levels = np.array([hp.levels for hp in self.parameters for _ in range(hp.width)], dtype=np.int64)

    def __iter__(self) -> Iterator[HPSpace]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> HPSpace:
        return self._by_name[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash(self.parameters)

    def __repr__(self) -> str:
        return f"SearchSpace([{', '.join(map(repr, self.parameters))}])"

    @property
    def n_configurations(self) -> int | None:
        """How many configurations there are; None where they cannot be counted."""
        counts = [hp.n_values for hp in self.parameters]
        return None if None in counts else math.prod(n for n in counts if n is not None)

    def active(self, hp: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the parameters that are in force in a configuration."""
        return self.names

    def encode(self, hps: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """``(n, d)`` points in the unit cube for n configurations.

        Raises:
            SpaceError: A configuration lacks a parameter.
        """
        units = np.empty((len(hps), self.n_columns))
        try:
            for hp, columns in zip(self.parameters, self._columns, strict=True):
                if hp.width:
                    units[:, columns] = hp.encode([values[hp.name] for values in hps])
        except KeyError as error:
            raise SpaceError(f"{error.args[0]}: missing in the configuration") from None
        return units

    def decode(self, units: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The n configurations, plain Python types, of ``(n, d)`` points in the unit cube.

        Raises:
            SpaceError: The points have another width, or lie outside the cube.
        """
        units = np.asarray(units, dtype=float)
        if units.ndim != 2 or units.shape[1] != self.n_columns:
            raise SpaceError(f"units: must have shape (n, {self.n_columns}), got {units.shape}")
        if not ((units >= 0) & (units <= 1)).all():
            raise SpaceError("units: must lie in [0, 1]")
        values = [hp.decode(units[:, c]) for hp, c in zip(self.parameters, self._columns, strict=True)]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*values, strict=True)]

    def sample(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """The next n configurations drawn from the prior."""
        return self.decode(rng.random((n, self.n_columns)))

    def check(self, hp: Mapping[str, Any]) -> None:
        """Passes a legal configuration.

        Raises:
            SpaceError: A parameter is missing, unknown, or has an illegal value.
        """
        if not isinstance(hp, Mapping):
            raise SpaceError(f"configuration: must be a dict, got {type(hp).__name__}")
        for name in self.active(hp):
            if name not in hp:
                raise SpaceError(f"{name}: missing in the configuration")
            if not self._by_name[name].contains(hp[name]):
                raise SpaceError(f"{name}: must be a value of {self._by_name[name]}, got {hp[name]!r:.80}")
        if len(hp) != len(self.active(hp)):
            unknown = sorted(set(hp) - set(self.active(hp)), key=str)
            raise SpaceError(f"configuration: unknown parameters {unknown}; the space has {list(self.names)}")

    def to_json(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """A legal configuration as JSON types; a choice is written as its place."""
        return {name: self._by_name[name].to_json(hp[name]) for name in self.active(hp)}

    def from_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that :meth:`to_json` gave `data` for; a choice is the very object of this space."""
        return {name: self._by_name[name].from_json(value) for name, value in data.items()}

    def key(self, hp: Mapping[str, Any]) -> str:
        """A text that two legal configurations share only when they are the same."""
        return json.dumps(self.to_json(hp), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON types."""
        return {"parameters": [hp.to_dict() for hp in self.parameters]}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> SearchSpace:
        """The space that :meth:`to_dict` described.

        Raises:
            SpaceError: `data` is no space, or holds kinds or values that cannot be made here.
        """
        parameters = data.get("parameters")
        if not isinstance(parameters, list) or not all(isinstance(p, dict) for p in parameters):
            raise SpaceError("space: must have a list 'parameters' of dicts")
        return SearchSpace([HPSpace.from_dict(p) for p in parameters])
