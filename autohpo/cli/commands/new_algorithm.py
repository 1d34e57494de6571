"""`autohpo new-algorithm`: a package with an algorithm of one's own, ready to be installed, tested and changed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from autohpo.cli.output import Output

EPILOG = """\
example:
  autohpo new-algorithm hill_climber
  cd hill_climber && pip install -e '.[test]' && python -m pytest

The algorithm that is written works, and is small: change it. No file is ever overwritten."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", metavar="NAME", help="the name of the algorithm: lower-case letters, digits, _")
    parser.add_argument("--to", metavar="FOLDER", help="the folder to make; by default the name, in this folder")


def run(args: argparse.Namespace, output: Output) -> None:
    """Write the package."""
    import shlex
    from pathlib import Path

    from autohpo.cli.new_package import class_of, files_of
    from autohpo.version import __version__

    _check_name(args.name)
    folder = Path(args.name if args.to is None else args.to)
    files = files_of(args.name, __version__)
    _write(folder, files)
    if output.is_json:
        output.value({"name": args.name, "class": class_of(args.name), "folder": str(folder), "files": list(files)})
        return
    for path in files:
        output.line(str(folder / path))
    output.note(f"next: cd {shlex.quote(str(folder))} && pip install -e '.[test]' && python -m pytest")


def _check_name(name: str) -> None:
    """Raise an error unless a new algorithm can have a name.

    Raises:
        UsageError: It is malformed.
        RegistryError: It is taken.
    """
    import re

    from autohpo.algorithms.registry import available_hpos
    from autohpo.errors import RegistryError

    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]|[a-z]", name):
        meant = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        hint = f"; did you mean {meant!r}?" if meant[:1].isalpha() and meant.isascii() else ""
        raise UsageError(f"name: must be lower-case letters, digits and underscores, got {name!r}{hint}")
    if name in available_hpos():
        raise RegistryError(f"{name}: is the name of an algorithm already; choose another")


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a new or empty folder.

    Raises:
        PathError: It is a file, holds something, or cannot be made.
    """
    from autohpo.errors import PathError

    try:
        is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise PathError(f"to: {folder} cannot be read: {error}") from error
    if not is_free:
        raise PathError(f"to: must be a new or an empty folder, got {folder}")
    try:
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise PathError(f"to: {folder} cannot be written: {error}") from error
