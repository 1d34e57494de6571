"""The contract of every store: a header that says which run it is, and a log of events that only grows."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from autohpo.errors import StoreError, StoreMismatchError, shown

SHOWN_DIFFERENCES = 12
LogKind = Literal["ask", "start", "report", "end", "interrupt", "late"]


_NO_DATA: dict[str, Any] = {}  # shared, and never written to


class LogEvent(NamedTuple):
    """An event of a run; the state of the run is the fold of its events.

    ===========  =====================================================  =========================================
    kind         means                                                  data
    ===========  =====================================================  =========================================
    ask          the algorithm made a suggestion; once for each trial   hp, fidelity, resume, pid, seed, info; fork
                                                                        where it is one; client where one asked
    start        an attempt was handed to a slot                        slot
    report       an attempt told how good it is so far                  fidelity, perf; metrics if any
    end          the trial is over; once for each trial                 state, perf (a list of several objectives),
                                                                        fidelity, error; constraints, metrics,
                                                                        cost and trained if any, own_cost where
                                                                        the objective said it
    interrupt    an attempt ended, and the trial will be started again: state (CANCELLED, LOST, or one that is
                 with the search or its driver, or where it is retried  retried), error; trained and cost if known
    late         an attempt that no longer counts has ended; or the one as *end*; it changes nothing, or waits for
                 that counts has, and the turn of its trial to end has  the *end*, which says the same
                 not come (``schedule="deterministic"``)
    ===========  =====================================================  =========================================

    Attributes:
        kind: The kind of event, see the table.
        trial: The number of the trial; below 0 where it confirms an earlier one.
        attempt: The number of the attempt, from 1; 0 for *ask*.
        data: The rest, JSON types only; every ``perf`` is the user's own value.
        time: The time, in Unix seconds.
        seq: The place in the log, from 1; 0 before it is appended.
    """

    kind: LogKind
    trial: int
    attempt: int = 0
    data: Mapping[str, Any] = _NO_DATA
    time: float = 0.0
    seq: int = 0


class Store(ABC):
    """The contract of what keeps the events of one run. One driver at a time writes; anybody may read.

    ``autohpo.testing.check_store`` checks a store of your own; docs/own-store.md says how to write one.

    Attributes:
        pause: Waits for some seconds where an append cannot write now, but perhaps soon; where it returns False, the
            append gives up. A driver puts its own here, which goes on listening to workers and to signals.
    """

    pause: Callable[[float], object] = staticmethod(time.sleep)

    @abstractmethod
    def open(self) -> None:
        """Claim the store for this driver, before it writes.

        Raises:
            RunBusyError: Another driver has it.
            StoreCorruptError: Its file is damaged, or is no store.
        """

    @abstractmethod
    def begin(self, header: Mapping[str, Any]) -> None:
        """Take the header of a new run, or check that the kept one is the same; see :func:`check_header`.

        Args:
            header: What makes the run this run (space, algorithm, options, ...), JSON types only.

        Raises:
            StoreMismatchError: It holds another run; the text shows the difference.
        """

    @property
    @abstractmethod
    def header(self) -> Mapping[str, Any] | None:
        """The header that the run began with; None where none has begun."""

    @property
    @abstractmethod
    def files(self) -> Path:
        """The folder of the run's checkpoints and logs; it lives as long as the log. It need not exist yet."""

    @abstractmethod
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        """Add events in one step: when this returns all of them are kept, and if it raises none is.

        =================  ==========================================================================================
        after it returned  what survives
        =================  ==========================================================================================
        ``sync=True``      these events, and all that were appended before them, whatever happens to the process or
                           the power; also where `events` is empty
        ``sync=False``     these events, if the process dies. If the power fails, any number of the events since the
                           last call that synced may be missing, but only from the end: the log is never with holes
        =================  ==========================================================================================

        Args:
            events: The events, in their order.
            sync: Whether they must survive a power loss at once.

        Raises:
            StoreError: They cannot be kept, or contradict the log (a second end of a trial).
        """

    @abstractmethod
    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events with a `seq` above `after`, in order; events that are added meanwhile may be left out."""

    @abstractmethod
    def close(self) -> None:
        """Give the store free; everything is synced before. May be called twice."""


NOT_COMPARED = ("name", "version", "made_with", "budget", "checkpoints")
"""Parts of a header that say more of a run than which one it is."""


def check_header(kept: Mapping[str, Any], given: Mapping[str, Any], where: str) -> None:
    """Check that a header says the same run as the one kept.

    Raises:
        StoreMismatchError: It does not; the text lists what differs.
    """
    kept, given = ({k: v for k, v in header.items() if k not in NOT_COMPARED} for header in (kept, given))
    lines = list(_differences(kept, given, ""))
    if len(lines) > SHOWN_DIFFERENCES:
        lines[SHOWN_DIFFERENCES:] = [f"... and {len(lines) - SHOWN_DIFFERENCES} more"]
    if lines:
        advice = "use another file, or the same settings as before"
        raise StoreMismatchError(f"store: {where} holds another run; {advice}\n  " + "\n  ".join(lines))


def _differences(kept: Any, given: Any, path: str) -> Iterator[str]:
    """Return a line for each leaf that is not the same in both."""
    if isinstance(kept, Mapping) and isinstance(given, Mapping):
        for key in [*kept, *(k for k in given if k not in kept)]:
            yield from _differences(kept.get(key, _NOTHING), given.get(key, _NOTHING), f"{path}.{key}".lstrip("."))
    elif isinstance(kept, list) and isinstance(given, list):
        for i in range(max(len(kept), len(given))):
            a, b = (items[i] if i < len(items) else _NOTHING for items in (kept, given))
            yield from _differences(a, b, f"{path}[{i}]")
    elif kept != given or (type(kept) is not type(given) and not _is_number_of_an_option(path, kept, given)):
        yield f"{path}: the store has {_text(kept)}, here it is {_text(given)}"


def _is_number_of_an_option(path: str, kept: Any, given: Any) -> bool:
    """Return whether 9 may stand for 9.0: among options, but not among the ends of a range."""
    return path.startswith("options.") and {type(kept), type(given)} == {int, float}


class _Nothing:
    pass


_NOTHING = _Nothing()


def _text(value: Any) -> str:
    return "nothing" if value is _NOTHING else f"{shown(value, 120)}"


def check_json(value: object) -> None:
    """Check that a value is of JSON types all the way down, and that its numbers are finite.

    Raises:
        StoreError: It is not.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is float and value - value == 0):  # type: ignore[operator] # finite, without a call
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str and not isinstance(key, (str, int, float, type(None))):
                raise StoreError(f"store: keys must be strings, got {shown(key)}")
            check_json(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_json(item)
    elif not isinstance(value, (str, int)) and not (isinstance(value, float) and math.isfinite(value)):
        raise StoreError(f"store: events must be of JSON types, got {shown(value)}")


_PLAIN = frozenset({str, int, bool, type(None)})
