"""``autohpo stop``: end a running search in order, from another shell or another host."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import TYPE_CHECKING, Any

from autohpo.cli.output import Output
from autohpo.cli.running import quoted, shown_number, shown_states

if TYPE_CHECKING:
    from autohpo.store.lock import Holder

EPILOG = """\
Nothing is started any more, trials that run are asked to end and have some seconds, and everything is saved. The search
looks for such a request twice a second; this waits until it has let go of its store.

examples:
  autohpo stop run.db
  autohpo stop run.db --now
"""

SAID_SECONDS = 2.0
"""How long this waits before it says that it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from autohpo.cli.arguments import add_store

    add_store(parser)
    parser.add_argument("--now", action="store_true", help="kill it: trials that run are lost, results are not")
    parser.add_argument("--timeout", metavar="TIME", help="how long to wait for its end: 90, 5m; by default for ever")


def run(args: argparse.Namespace, output: Output) -> int:
    """Run the command."""
    from autohpo.cli.arguments import store_of
    from autohpo.cli.config.values import seconds
    from autohpo.control import driver_of, place_of, request_stop

    timeout = seconds("timeout", args.timeout)
    given = store_of(args)
    path = place_of(given)
    holder = driver_of(given) if args.now else request_stop(given)
    if holder is None:
        _say(given, output, "none", None, f"no process has {path.name} open, so there is nothing to stop")
        return 0
    if args.now:
        from autohpo.service import kill_driver

        is_killed = kill_driver(given, holder)
        is_over = _wait(given, holder, 30.0 if timeout is None else timeout, output)
        way, text = (
            ("killed", f"killed: {holder}") if is_killed else ("ended", f"it has just ended by itself: {holder}")
        )
    else:
        is_over = _wait(given, holder, timeout, output)
        way, text = "stopped", f"stopped: {holder}"
    if not is_over:
        raise _still_there(path.name, given, holder, args)
    _say(given, output, way, holder, text)
    return 0


def _wait(given: str, holder: Holder, timeout: float | None, output: Output) -> bool:
    """Wait for the end of a driver, and say so where it takes a while."""
    from autohpo.control import wait_until_free

    first = SAID_SECONDS if timeout is None else min(SAID_SECONDS, timeout)
    began = time.monotonic()
    if wait_until_free(given, holder, first):
        return True
    output.note(f"waiting for {holder}: trials that run have some seconds to end")
    left = None if timeout is None else timeout - (time.monotonic() - began)
    return wait_until_free(given, holder, left)


def _still_there(name: str, given: str, holder: Holder, args: argparse.Namespace) -> Exception:
    from autohpo.control import is_request_seen
    from autohpo.errors import StoreError
    from autohpo.store import redacted

    if args.now or not holder.is_here:
        advice = f"look at it on {holder.host}" if holder.host else "look for it"
    else:
        advice = f"{quoted(['autohpo', 'stop', redacted(given), '--now'])} kills it"
    seen = "it ends" if is_request_seen(given) else "it has not seen the request yet, which stands"
    return StoreError(f"store: {name} is still in use by {holder}: {seen}; {advice}")


def _say(given: str, output: Output, way: str, holder: Holder | None, text: str) -> None:
    """Say how it ended, and what is saved."""
    from autohpo.control import place_of
    from autohpo.store import redacted

    said: dict[str, Any] = {"way": way, "store": str(place_of(given))}
    if holder is not None:
        said |= {"host": holder.host, "process": holder.process}
    counts, best = _saved(given)
    if output.is_json:
        output.value({**said, "states": counts, "best": best})
        return
    output.line(text)
    if counts is not None:
        more = "" if best is None else f"; the best so far is {_shown(best)}"
        states = {("to be run again" if state == "RUNNING" else state): n for state, n in counts.items()}
        output.line(f"saved: {shown_states(states)}{more}")
        output.line(f"go on with: {quoted(['autohpo', 'resume', redacted(given)])}")


def _shown(best: Any) -> str:
    return ", ".join(map(shown_number, best)) if isinstance(best, (tuple, list)) else shown_number(best)


def _saved(given: str) -> tuple[dict[str, int] | None, Any]:
    """Return the states of the trials in a store, and the best result; None where they cannot be read."""
    from autohpo.errors import AutoHPOError
    from autohpo.result import Result

    with contextlib.suppress(AutoHPOError):
        result = Result.load(given)
        has_result = any(trial.perfs for trial in result.trials)
        perfs = result.best.perfs if has_result else ()
        return result.counts(), None if not perfs else perfs[0] if len(perfs) == 1 else list(perfs)
    return None, None
