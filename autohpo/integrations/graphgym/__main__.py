"""The command that writes the configuration of one trial: ``python -m autohpo.integrations.graphgym``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from autohpo.errors import AutoHPOError, OptionError
from autohpo.integrations.graphgym.configs import read_config, write_config
from autohpo.integrations.graphgym.files import text_of
from autohpo.integrations.graphgym.grids import read_grid


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the configuration of one trial, with a folder of results of its own beside it."""
    parser = argparse.ArgumentParser(prog="python -m autohpo.integrations.graphgym", description=main.__doc__)
    parser.add_argument("base", help="the YAML file that the values are put into")
    parser.add_argument("grid", help="the grid file")
    parser.add_argument("values", help="a JSON file with the values of the trial: {config_file} in a command")
    parser.add_argument("to", help="the YAML file to write")
    given = parser.parse_args(arguments)
    try:
        _write(given.base, given.grid, given.values, given.to)
    except AutoHPOError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _write(base: str, grid: str, values: str, to: str) -> None:
    text = text_of(values)
    try:
        hp = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"values: {values} must be JSON: {error}") from error
    settings = read_grid(grid).settings(hp)
    folder = str(Path(to).resolve().parent / "results")
    write_config(read_config(base), {"out_dir": folder, **settings}, to)


if __name__ == "__main__":
    main()
