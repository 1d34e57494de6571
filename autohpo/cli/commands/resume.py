"""``autohpo resume``: go on with a search that ``autohpo run`` started, by the command line that started it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from autohpo.cli.output import Output
from autohpo.cli.running import CHANGING, add_options, flag_of, quoted, words_of

if TYPE_CHECKING:
    from autohpo.service import Launch
    from autohpo.store.postgres_url import Place

EPILOG = """\
The record of how a search was started lies beside its store. A resume repeats it in the same working directory; budgets
and arguments of the run may change, what is searched may not.

examples:
  autohpo resume run.db
  autohpo resume run.db --max-evals 200 --num-workers 4 --detach
"""

OWN = ("autohpo", "autohpo.exe", "__main__.py")
"""What the program of this package is called."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from autohpo.cli.arguments import add_store

    add_store(parser)
    add_options(parser, CHANGING)
    text = "any other argument of the run, such as grace_seconds=60"
    parser.add_argument("-s", "--set", action="append", metavar="KEY=VALUE", help=text)
    parser.add_argument("--detach", action="store_true", help="start it on its own, and return; it outlives the shell")


def run(args: argparse.Namespace, output: Output) -> int:
    """Run the command."""
    from autohpo.cli.arguments import store_of
    from autohpo.control import driver_of, place_of
    from autohpo.errors import RunBusyError
    from autohpo.service import Launch, without_secrets

    url = store_of(args)
    path = place_of(url)
    holder = driver_of(url)
    if holder is not None:
        raise RunBusyError(f"store: {path.name} is in use by {holder}; it runs already")
    launch = Launch.read(url)
    if launch is None:
        raise _no_record(url, path)
    words = _command(launch, args, url, output)
    if not Path(launch.cwd).is_dir():
        raise _gone(path, f"the working directory {launch.cwd}")
    output.note(f"resume: in {launch.cwd}: {quoted(list(map(without_secrets, words)))}")
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":  # exec would return to the shell at once
        return subprocess.call(words, cwd=launch.cwd, env=launch.variables())
    os.chdir(launch.cwd)
    return os.execve(words[0], words, launch.variables())  # noqa: S606 - nothing for a shell to read


def _command(launch: Launch, args: argparse.Namespace, url: str, output: Output) -> list[str]:
    """Return the command line that goes on: the recorded one, with what the user changes.

    Raises:
        StoreError: The search was not started by ``autohpo run``, or its files are gone.
        UsageError: A change is none that a resume may make.
    """
    from autohpo.cli.arguments import UsageError
    from autohpo.control import place_of

    path = place_of(url)
    python = launch.argv[0]
    if not os.access(python, os.X_OK) or not Path(python).name.lower().startswith(("python", "pypy")):
        output.note(f"autohpo: {python} is no Python that is there, so this one runs the search: {sys.executable}")
        python = sys.executable
    changed = [name for name in (*CHANGING, "set") if getattr(args, name) is not None] + ["detach"] * args.detach
    if launch.argv[1:4] != ("-m", "autohpo", "run"):
        if changed:
            what = ", ".join(map(flag_of, changed))
            raise UsageError(f"{what}: this search is started by {quoted(launch.argv)}, so change it there")
        return [python, *launch.argv[1:]]
    kept = _parsed(launch.argv[4:], path)
    if ":" not in kept.what and not (Path(launch.cwd) / kept.what).exists():
        raise _gone(path, f"{kept.what}, which it was started from in {launch.cwd},")
    for name in CHANGING:
        if getattr(args, name) is not None:
            setattr(kept, name, getattr(args, name))
    for text in args.set or ():
        _check_change(text)
        kept.set = [*(kept.set or ()), text]
    if isinstance(path, Path):
        url = path.name if path.parent == Path(launch.cwd) else str(path)
    kept.store = url
    kept.json, kept.detach = args.json, args.detach
    return [python, "-m", "autohpo", *words_of(kept), *(["--detach"] if args.detach else [])]


def _parsed(words: tuple[str, ...], path: Path | Place) -> argparse.Namespace:
    """Return a recorded command line, parsed.

    Raises:
        StoreError: This release does not understand it.
    """
    from autohpo.cli.arguments import UsageError
    from autohpo.cli.main import parser_of
    from autohpo.errors import StoreError

    try:
        return parser_of("run").parse_args(list(words))
    except (UsageError, SystemExit):  # SystemExit: it asks for help
        raise StoreError(
            f"store: the record beside {path} is of no command line that is understood: {quoted(words)}"
        ) from None


def _check_change(text: str) -> None:
    from autohpo.algorithms.options import RunArguments
    from autohpo.cli.arguments import UsageError
    from autohpo.cli.config.values import pair

    name, _ = pair("--set", text)
    fixed = {"store", "name", "keep", "fidelity", "schedule"}
    if name not in {*RunArguments.__annotations__, "max_evals", "budget"} - fixed:
        raise UsageError(
            f"--set: {name} cannot change at a resume, as it is part of what the run is; start another run"
        )


def _no_record(url: str, path: Path | Place) -> Exception:
    """Return the error of a store that ``autohpo run`` did not make."""
    from autohpo.control import last_driver_of
    from autohpo.errors import StoreError
    from autohpo.store import open_store

    store = open_store(url, read_only=True)  # is it one at all?
    source = (store.header or {}).get("imported_from")
    store.close()
    if source:
        advice = "give it to a new search: optimize(warm_start=...)"
        return StoreError(f"store: {path.name} was imported from {source}, so it cannot go on; {advice}")
    last = last_driver_of(url)
    program = "" if last is None or last.program in ("", "-c", "-m") else last.program
    shown = path.name if isinstance(path, Path) else path
    who = f"by {program}" if program else "by a Python program or a notebook"
    if Path(program).name in OWN:  # another command of ours
        advice = f"go on with `autohpo run FILE --store {shown}`, where FILE has its space, or with `autohpo ask`"
        return StoreError(f"store: {path.name} has no record of an `autohpo run`; {advice}")
    advice = "run that again to go on: it takes over what is in the store"
    return StoreError(f"store: {path.name} has no record of an `autohpo run`; it was last used {who}; {advice}")


def _gone(path: Path | Place, what: str) -> Exception:
    from autohpo.errors import StoreError

    return StoreError(f"store: {path.name} cannot be resumed as it was started: {what} is gone")
