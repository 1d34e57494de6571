"""Grid files of GraphGym as search spaces."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations.graphgym.files import PathLike, text_of
from autohpo.integrations.graphgym.values import values_of
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP, SearchSpace
from autohpo.spaces.tagged import is_same

WHICH = "grid"
"""The parameter that says which of several grids a configuration is of; they are counted from 1."""


@dataclass(frozen=True)
class Grid:
    """A grid file of GraphGym.

    Attributes:
        space: The search space. Its parameters have the names of GraphGym's configuration, such as "gnn.layers_mp".
            Of a file with several grids, "grid" chooses one, and a parameter that differs between them has the number
            of its grid in front: "2:dataset.name".
        aliases: The short name of each key, which GraphGym puts into file names.
    """

    space: SearchSpace
    aliases: Mapping[str, str]

    def settings(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a configuration by GraphGym's keys.

        Raises:
            SpaceError: `hp` is no configuration of the space.
        """
        hp = self.space.checked(hp)
        plain = {name.partition(":")[2] if ":" in name else name: value for name, value in hp.items()}
        return {key: copy.deepcopy(value) for key, value in plain.items() if key in self.aliases}

    def name_of(self, hp: Mapping[str, Any], base: str = "run") -> str:
        """Return the name that GraphGym gives a configuration's file, without its ending: "run-l_mp=2-act=relu".

        Args:
            hp: A configuration of the space.
            base: The name of the base configuration.

        Raises:
            SpaceError: `hp` is no configuration of the space.
        """
        parts = [
            f"-{self.aliases[key]}={str(value).strip('[]').strip(chr(39))}" for key, value in self.settings(hp).items()
        ]
        return "".join([base, *parts])[:250]


def read_grid(path: PathLike) -> Grid:
    """Return the grid of a file; see :func:`parse_grid`.

    Raises:
        PathError: The file cannot be read.
        SpaceError: A row breaks a rule; the text has its line.
    """
    return parse_grid(text_of(path))


def parse_grid(text: str) -> Grid:
    r"""Return the grid that a text describes: rows of a key, an alias, and a list of values.

    A value list is a list or tuple of Python's literals, or a ``range``; nothing is executed. Numbers are an ordered
    parameter, rising; other values are choices, a single one is fixed, and a value that is there twice counts once.
    Lines with a ``#`` in front are comments, and an empty line begins another grid.

    Raises:
        SpaceError: A row breaks a rule; the text has its line.

    Example:
        >>> grid = parse_grid("gnn.layers_mp l_mp [2,4,6]\ngnn.act act ['relu','prelu']")
        >>> grid.space["gnn.layers_mp"]
        OrdinalHP(name='gnn.layers_mp', values=(2, 4, 6))
        >>> grid.name_of({"gnn.layers_mp": 4, "gnn.act": "relu"}, "example")
        'example-l_mp=4-act=relu'
    """
    if not isinstance(text, str):
        raise SpaceError(f"grid: must be a string, got {shown(text)}")
    blocks: list[dict[str, list[Any]]] = [{}]
    aliases: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"line {number}"
        if line.lstrip().startswith("#"):
            continue
        if not line.strip():
            blocks += [{}] if blocks[-1] else []
            continue
        if "#" in line:
            raise SpaceError(f"{where}: a comment must have a line of its own, as GraphGym skips the whole line")
        words = line.split(maxsplit=2)
        if len(words) < 3:
            raise SpaceError(f"{where}: must have a key, an alias and a list of values, got {shown(line.strip())}")
        key, alias, values = words
        if not all(part.isidentifier() for part in key.split(".")):
            raise SpaceError(f"{where}: key must be names with dots between them, got {shown(key)}")
        if key in blocks[-1]:
            raise SpaceError(f"{where}: {key} must have one row in a grid, got another one")
        if aliases.setdefault(key, alias) != alias:
            raise SpaceError(f"{where}: {key} must have one alias, got {shown(aliases[key])} and {shown(alias)}")
        blocks[-1][key] = values_of(f"{where}: {key}", values)
    blocks = [block for block in blocks if block]
    if not blocks:
        raise SpaceError("grid: must have at least one row, got none")
    return Grid(_space(blocks), aliases)


def _space(blocks: Sequence[Mapping[str, list[Any]]]) -> SearchSpace:
    """Return the space of one grid, or of several of which one is chosen."""
    if len(blocks) == 1:
        return SearchSpace([_parameter(key, values) for key, values in blocks[0].items()])
    shared = [key for key in blocks[0] if all(key in b and is_same(b[key], blocks[0][key]) for b in blocks)]
    children = {
        number: [_parameter(f"{number}:{key}", values) for key, values in block.items() if key not in shared]
        for number, block in enumerate(blocks, 1)
    }
    which = ChoiceHP(WHICH, list(children), children={number: own for number, own in children.items() if own})
    return SearchSpace([which, *(_parameter(key, blocks[0][key]) for key in shared)])


def _parameter(name: str, values: list[Any]) -> HPSpace:
    if len(values) == 1:
        return FixedHP(name, values[0])
    if all(type(value) in (int, float) for value in values):
        return OrdinalHP(name, sorted(values))
    return ChoiceHP(name, values)
