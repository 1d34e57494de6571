"""`autohpo doctor`: whether a store is whole, or whether this installation and this machine are as they should be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli import exits
from autohpo.cli.arguments import NoStoreError, add_store

if TYPE_CHECKING:
    from pathlib import Path

    from autohpo.cli.health.findings import Finding
    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo doctor run.db   is the store whole, who has it, what waits in it?
  autohpo doctor postgresql://host/lab/run
  autohpo doctor          is this installation complete, what has this machine?

exit code 8: the store is damaged, and the last line is the command that saves what is whole; 1: something else
will not work. Nothing is changed."""

MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM", "damage": "DAMAGED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser._actions[-1].help = "path of a store; without one (and without $AUTOHPO_STORE) the installation is checked"
    parser.add_argument("--installation", action="store_true", help="check the installation, also with $AUTOHPO_STORE")


def run(args: argparse.Namespace, output: Output) -> int:
    """Print what the checks find."""
    import os

    from autohpo.cli.arguments import VARIABLE, UsageError, store_of
    from autohpo.cli.health.findings import findings_of

    if args.installation and args.store:
        raise UsageError(f"installation: must not be given with a store, got {args.store}")
    if args.installation or not (args.store or os.environ.get(VARIABLE)):
        from autohpo.cli.health import installation

        return _say(findings_of(installation.checks()), output, "the installation")
    from autohpo.store.postgres_url import is_postgres

    if is_postgres(url := store_of(args, must_exist=False)):
        from autohpo.cli.health import study_checks

        return _say(findings_of(study_checks.checks(url)), output, study_checks.place_of(url))
    from autohpo.cli.health import store_checks

    path = path_of(url)
    return _say(findings_of(store_checks.checks(path)), output, str(path))


def path_of(url: str) -> Path:
    """Return the path of the file of a store, which may be damaged; only its write-ahead log may be there.

    Raises:
        NoStoreError: There is none, or it is no file.
    """
    from autohpo.errors import StoreError
    from autohpo.store import SQLiteStore, open_store, redacted

    try:
        store = open_store(url)
    except StoreError as error:
        raise NoStoreError(str(error)) from None
    if not isinstance(store, SQLiteStore):
        raise NoStoreError(f"store: must be a file, got {redacted(url)}")
    if not store.path.is_file() and not store.path.with_name(f"{store.path.name}-wal").is_file():
        raise NoStoreError(f"store: there is no {url}")
    return store.path


def _say(findings: list[Finding], output: Output, what: str) -> int:
    """Print findings, and return the exit code that they stand for."""
    levels = {finding.level for finding in findings}
    if "damage" in levels:
        code, verdict = exits.DAMAGED, f"{what} is damaged"
    elif "problem" in levels:
        code, verdict = exits.FAILED, f"{what} has problems"
    else:
        code, verdict = exits.OK, f"{what} is well"
    if output.is_json:
        output.value({"is_well": code == exits.OK, "findings": [finding.to_dict() for finding in findings]})
        return code
    width = max(len(finding.about) for finding in findings) + 2
    for finding in findings:
        output.line(f"{MARKS[finding.level]:9}{finding.about:{width}}{finding.text}")
        if finding.advice:
            output.line(f"{'':9}{'':{width}}-> {finding.advice}")
    output.line(verdict)
    cure = [finding.advice for finding in findings if finding.level == "damage" and finding.advice]
    if cure:
        output.line(f"next: {cure[-1]}")
    return code
