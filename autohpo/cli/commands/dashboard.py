"""``autohpo dashboard``: a run in optuna-dashboard, behind a guard."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from autohpo.cli.arguments import add_store, store_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output

EPILOG = """\
Who has the printed address sees the run; nobody changes it. Ctrl-C ends it.

examples:
  autohpo dashboard run.db
  autohpo dashboard run.db --port 0 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument(
        "--port", type=int, default=8080, metavar="N", help="the port (default 8080); 0 takes a free one"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="the address to listen on (default 127.0.0.1: this machine)"
    )
    parser.add_argument(
        "--allow", action="append", metavar="NAME", help="a further name that browsers may call it by; may be repeated"
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Serve the page until somebody ends it.

    Raises:
        NoStoreError: There is no such store, or no run in it yet.
        OptionError: The port cannot be listened on.
        MissingExtraError: optuna-dashboard is not installed.
    """
    from autohpo.cli.look.reading import opened
    from autohpo.integrations.optuna.serving import DashboardServer

    url = store_of(args)
    with opened(url) as found:  # says in the words of the command line what is missing
        path = found.path
    with _signals():
        server = DashboardServer(url, host=args.host, port=args.port, names=args.allow or ())
        try:
            if output.is_json:
                output.value({"url": server.url, "host": server.host, "port": server.port, "store": str(path)})
            else:
                output.line(server.url)
                output.note(f"{path}: open the address above in a browser; Ctrl-C ends this")
            output.flush()
            server.serve_forever()
        finally:
            server.close()


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command in order, with their exit codes."""
    kept = {}
    with contextlib.suppress(ValueError):  # this is no main thread
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                kept[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
