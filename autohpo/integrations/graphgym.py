"""GraphGym: its grid files as search spaces, and its YAML configurations with the values of a trial.

``python -m autohpo.integrations.graphgym base.yaml grid.txt values.json run.yaml`` writes the configuration of a trial,
for commands; see docs/graphgym.md.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError, PathError, SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP, SearchSpace
from autohpo.spaces.tagged import is_same

__all__ = ["Grid", "config_of", "parse_grid", "read_config", "read_grid", "write_config"]

MOST_BYTES = 2**20
"""The most bytes of a grid or a configuration."""

MOST_VALUES = 10_000
"""The most values of a row."""

WHICH = "grid"
"""The parameter that says which of several grids a configuration is of; they are counted from 1."""

PathLike = str | os.PathLike[str]


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
    return parse_grid(_text(path))


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
        blocks[-1][key] = _values(f"{where}: {key}", values)
    blocks = [block for block in blocks if block]
    if not blocks:
        raise SpaceError("grid: must have at least one row, got none")
    return Grid(_space(blocks), aliases)


def read_config(path: PathLike) -> dict[str, Any]:
    """Return the content of a YAML configuration of GraphGym.

    Raises:
        PathError: The file cannot be read.
        OptionError: It is no YAML, or no mapping.
    """
    import yaml

    text = _text(path)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError) as error:
        raise OptionError(f"config: {os.fspath(path)} must be YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OptionError(f"config: {os.fspath(path)} must have sections, got {shown(found)}")
    return found


def config_of(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with other values; `base` is not changed.

    Args:
        base: The configuration, such as :func:`read_config` returns.
        settings: The values by dotted key, such as ``{"gnn.act": "relu"}``; see :meth:`Grid.settings`.

    Raises:
        OptionError: A key leads into something that is no section.

    Example:
        >>> config_of({"gnn": {"act": "relu", "dropout": 0.0}}, {"gnn.act": "prelu", "optim.base_lr": 0.01})
        {'gnn': {'act': 'prelu', 'dropout': 0.0}, 'optim': {'base_lr': 0.01}}
    """
    config = copy.deepcopy(dict(base))
    for key, value in settings.items():
        *sections, last = str(key).split(".")
        place: Any = config
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise OptionError(f"{key}: {section} must be a section of the configuration, got {shown(place)}")
        place[last] = copy.deepcopy(value)
    return config


def write_config(base: Mapping[str, Any], settings: Mapping[str, Any], path: PathLike) -> None:
    """Write a configuration with other values as YAML; see :func:`config_of`.

    Raises:
        OptionError: A key leads into something that is no section, or a value has no form in YAML.
        PathError: The file cannot be written.
    """
    import yaml

    try:
        text = yaml.safe_dump(config_of(base, settings), default_flow_style=False, sort_keys=False)
    except yaml.YAMLError as error:
        raise OptionError(f"config: must have values that YAML has: {error}") from error
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PathError(f"{os.fspath(path)}: cannot be written: {error}") from error


def _text(path: PathLike) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError, TypeError) as error:
        raise PathError(f"{shown(path)}: cannot be read: {error}") from error
    if len(data) > MOST_BYTES:
        raise PathError(f"{shown(path)}: must be at most {MOST_BYTES} bytes, got more")
    return text


def _values(where: str, text: str) -> list[Any]:
    """Return the values of a row, each once; nothing is executed."""
    rule = "must be a list of values such as [1,2,3] or ['relu','prelu'], or a range"
    try:
        node = ast.parse(text, mode="eval").body
        found = _range(node) if isinstance(node, ast.Call) else ast.literal_eval(node)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise SpaceError(f"{where}: {rule}, got {shown(text)}: {error}") from None
    if not isinstance(found, (list, tuple, range)):
        raise SpaceError(f"{where}: {rule}, got {shown(text)}")
    if not 1 <= len(found) <= MOST_VALUES:
        raise SpaceError(f"{where}: must have from 1 to {MOST_VALUES} values, got {len(found)}")
    values: list[Any] = []
    for value in map(_plain, found):
        if value is NotImplemented:
            raise SpaceError(
                f"{where}: values must be finite numbers, strings, booleans, None, or lists, got {shown(text)}"
            )
        if not any(is_same(value, other) for other in values):
            values.append(value)
    return values


def _range(node: ast.Call) -> Any:
    """Return the range that ``range(...)`` or ``list(range(...))`` stands for."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "list" and len(node.args) == 1 and isinstance(node.args[0], ast.Call) and not node.keywords:
        return _range(node.args[0])
    if name != "range" or node.keywords:
        raise ValueError("only range() may be called")
    made = range(*(ast.literal_eval(argument) for argument in node.args))
    if len(made[: MOST_VALUES + 1]) > MOST_VALUES:
        raise ValueError(f"a range of more than {MOST_VALUES} values")
    return made


def _plain(value: Any) -> Any:
    """Return a value as YAML has it, tuples as lists; NotImplemented where YAML has none."""
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return NotImplemented if any(item is NotImplemented for item in items) else items
    is_plain = value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
    return value if is_plain else NotImplemented


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the configuration of one trial, with a folder of results of its own beside it."""
    parser = argparse.ArgumentParser(prog="python -m autohpo.integrations.graphgym", description=main.__doc__)
    parser.add_argument("base", help="the YAML file that the values are put into")
    parser.add_argument("grid", help="the grid file")
    parser.add_argument("values", help="a JSON file with the values of the trial: {config_file} in a command")
    parser.add_argument("to", help="the YAML file to write")
    given = parser.parse_args(arguments)
    try:
        hp = json.loads(_text(given.values))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"values: {given.values} must be JSON: {error}") from error
    settings = read_grid(given.grid).settings(hp)
    folder = str(Path(given.to).resolve().parent / "results")
    write_config(read_config(given.base), {"out_dir": folder, **settings}, given.to)


if __name__ == "__main__":
    main()
