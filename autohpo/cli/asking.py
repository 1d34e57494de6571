"""What `ask`, `tell` and `fail` share: their arguments, and a search that waits until nobody else has the store."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import UsageError, store_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output
    from autohpo.search import Search

PAUSE_SECONDS = 0.05
"""How often a store that another process has is tried again."""

_NEGATIVE = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|^-(inf|nan)$", re.IGNORECASE)


def add_client(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every call of a client has."""
    parser.add_argument(
        "--client-id",
        metavar="ID",
        help="a name of who asks: until its trial has a result, asking again returns the same one, and what was told "
        "may be told again",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait where another process has the store (default 10)",
    )
    parser._negative_number_matcher = _NEGATIVE  # argparse takes -1e-5 for an option


def add_number(parser: argparse.ArgumentParser) -> None:
    """Add the number of a trial."""
    parser.add_argument(
        "--number",
        type=int,
        metavar="N",
        help="the number of the trial, as `ask` printed it; by default the last one that the client asked for",
    )


@contextmanager
def opened(search: Search, seconds: float, output: Output) -> Iterator[Search]:
    """Open a search as soon as nobody else has its store, and close it at the end.

    Args:
        search: The search.
        seconds: How long to wait for others.
        output: Where to say what a user should know.

    Raises:
        RunBusyError: Another process has the store all the time.
        UsageError: The time is below 0 or no number.
    """
    import time
    import warnings

    from autohpo.errors import RunBusyError

    if not seconds >= 0:
        raise UsageError(f"wait: must be at least 0 seconds, got {seconds:g}")
    ends = time.monotonic() + seconds
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        while True:
            try:
                search.open()
                break
            except RunBusyError:
                if time.monotonic() >= ends:
                    raise
                time.sleep(PAUSE_SECONDS)
    for warning in said:
        output.note(f"autohpo: {warning.message}")
    try:
        yield search
    finally:
        search.close()


def stored_search(args: argparse.Namespace) -> Search:
    """Return the search of the store that a command line names.

    Raises:
        NoStoreError: There is none.
        NoRunError: It holds no run.
    """
    from autohpo.search import Search

    return Search.load(store_of(args))


def number_of(search: Search, args: argparse.Namespace) -> int:
    """Return the number of the trial that is meant: the client's own one where none is given.

    Raises:
        UsageError: There is no such trial; or none is given, and no client that has asked.
    """
    if args.number is not None:
        n = search.state.n_asked
        if not 0 <= args.number < n:
            there = f"there are 0 to {n - 1}" if n > 1 else f"there is {'trial 0 alone' if n else 'none yet'}"
            raise UsageError(f"number: there is no trial {args.number} in this run; {there}")
        return int(args.number)
    if args.client_id is None:
        raise UsageError("number: must be given, or a --client-id that has asked; `autohpo ask` prints it")
    pending = search.state.pending_of(args.client_id)
    if pending is not None:
        return pending.number
    asked = [number for number, client in search.state.clients.items() if client == args.client_id]
    if not asked:
        raise UsageError(f"client-id: {args.client_id!r} has asked for no trial of this run; give --number")
    return asked[-1]


def pairs_of(words: Sequence[str] | None, option: str) -> dict[str, str]:
    """Return what ``NAME=VALUE`` words say.

    Raises:
        UsageError: One has another form, or a name stands twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        name, sign, value = word.partition("=")
        if not (name and sign):
            raise UsageError(f"{option}: must be NAME=VALUE, got {word!r}")
        if name in found:
            raise UsageError(f"{option}: must be given once for each name, got {name} twice")
        found[name] = value
    return found


def numbers_of(words: Sequence[str] | None, option: str) -> dict[str, float] | None:
    """Return what ``NAME=NUMBER`` words say; None where there are none.

    Raises:
        UsageError: One has another form.
    """
    return {name: number(value, option) for name, value in pairs_of(words, option).items()} or None


def number(text: str, option: str) -> float:
    """Return a number of a command line.

    Raises:
        UsageError: It is none.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option}: must be a number, got {text!r}") from None


def perf_of(words: Sequence[str]) -> Any:
    """Return the result that ``--perf`` gives: a number, a list of them, or a dict from objective to number.

    Raises:
        UsageError: One is no number, or some have names and others do not.
    """
    named = ["=" in word for word in words]
    if all(named):
        return numbers_of(words, "perf")
    if any(named):
        raise UsageError(f"perf: must be numbers, or NAME=NUMBER for every objective, got {' '.join(words)}")
    values = [number(word, "perf") for word in words]
    return values[0] if len(values) == 1 else values
