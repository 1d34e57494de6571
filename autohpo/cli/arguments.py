"""Arguments that several commands share, and the store that a command works on."""

from __future__ import annotations

import argparse
import os

from autohpo.errors import AutoHPOError, StoreError

VARIABLE = "AUTOHPO_STORE"
"""The environment variable that names the store where a command line does not."""


class UsageError(AutoHPOError, ValueError):
    """A command line lacks something, or contradicts itself; the text says what to write."""


class NoStoreError(StoreError):
    """There is no store under the path that was given; the text says which."""


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the store as an argument by position, which ``AUTOHPO_STORE`` may stand for."""
    parser.add_argument("store", nargs="?", metavar="STORE", help=f"path of the store; by default that of ${VARIABLE}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, which every command has."""
    parser.add_argument("--json", action="store_true", help="print JSON; errors are an object on standard error")


def store_of(args: argparse.Namespace, *, must_exist: bool = True) -> str:
    """Return the path or URL of the store that a command line names.

    Args:
        args: What was parsed; with ``store``.
        must_exist: Whether a path without a file is an error.

    Raises:
        UsageError: Neither the command line nor the environment names one.
        NoStoreError: There is none of that name.
    """
    store: str = args.store or os.environ.get(VARIABLE, "")
    if not store:
        raise UsageError(f"store: none was given; name it, as in `autohpo best run.db`, or set {VARIABLE}")
    is_path = "://" not in store
    if must_exist and is_path and not os.path.exists(store):  # noqa: PTH110 - pathlib would double the time to import
        raise NoStoreError(f"store: there is no {store}")
    return store
