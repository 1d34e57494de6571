"""``autohpo top``: a run as it goes on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import NoStoreError, UsageError, add_store, store_of

if TYPE_CHECKING:
    from autohpo.cli.look.watch import Watch
    from autohpo.cli.output import Output

WAIT_SECONDS = 60.0
"""How long a store may take to appear while somebody watches."""

EPILOG = """\
q, or Ctrl-C, ends it; the search goes on. Without a terminal, and with --once, it prints once.

examples:
  autohpo top run.db
  autohpo top run.db --once
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument("--once", action="store_true", help="print once, and end")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds between two looks (default 1)"
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Show the run until somebody has seen enough.

    Raises:
        UsageError: The interval is no positive number.
        NoStoreError: There is no such store, or none came in time.
        StoreError: The store is damaged, or cannot be read.
    """
    if not 0.05 <= args.interval < float("inf"):
        raise UsageError(f"interval: must be at least 0.05 seconds, got {args.interval:g}")
    is_live = output.is_terminal and not args.once and not output.is_json
    url = store_of(args, must_exist=not is_live)
    from autohpo.cli.look.watch import Watch

    watch = Watch(url)
    try:
        if is_live:
            _live(watch, args.interval)
        else:
            _once(watch, output)
    except KeyboardInterrupt:  # to look at a run, or no more, is no fault
        return
    finally:
        watch.close()


def _once(watch: Watch, output: Output) -> None:
    from rich.console import Console

    from autohpo.cli.look.screen import as_facts, screen

    watch.update(float("inf"))
    if watch.state is None:
        raise NoStoreError(f"store: {watch.note}")
    if output.is_json:
        output.value(as_facts(watch))
        return
    width = None if output.is_terminal else 120  # for a file: nobody knows how wide it is looked at
    console = Console(file=output.stream, highlight=False, width=width)
    console.print(screen(watch, console.width, 200))


def _live(watch: Watch, interval: float) -> None:
    """Show the run, and again at each interval, until q or Ctrl-C."""
    import gc
    import time

    from rich.console import Console
    from rich.live import Live

    from autohpo.cli.look.keys import Keys
    from autohpo.cli.look.screen import screen

    console = Console(highlight=False)
    began = time.monotonic()
    is_frozen = False
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        while True:
            watch.update()
            if watch.state is None and time.monotonic() - began > WAIT_SECONDS:
                raise NoStoreError(f"store: {watch.note}, after {WAIT_SECONDS:g} seconds")
            hint = "q quits; the search goes on" if watch.holder is not None else "q quits"
            live.update(screen(watch, console.width, console.height, hint=hint), refresh=True)
            if watch.state is not None and not watch.is_behind and not is_frozen:
                gc.freeze()  # the trials of a long log stay: the collector need not look at them again and again
                is_frozen = True
            pause = 0.0 if watch.is_behind else min(interval, 0.2) if watch.state is None else interval
            if keys.pressed(pause) in ("q", "Q", "\x03", "\x04", "\x1b"):
                return
