"""What driver and hosts say to each other: JSON, and beside a task the bytes that only its worker unpickles."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autohpo.errors import AutoHPOError
from autohpo.execution.base import Event
from autohpo.objective import clip
from autohpo.trial import Outcome, TrialState

_LENGTH = struct.Struct(">I")

TASK, STOP, KILL, DROP, RANK, END = "task", "stop", "kill", "drop", "rank", "end"
"""What a driver says."""

HELLO, ALIVE, EVENTS, BYE = "hello", "alive", "events", "bye"
"""What a host says: it is ready, it lives, something happened, it ends."""

_KINDS = frozenset({TASK, STOP, KILL, DROP, RANK, END, HELLO, ALIVE, EVENTS, BYE})
_EVENTS = frozenset({"started", "report", "done", "failed", "died", "killed"})


class MessageError(AutoHPOError):
    """Bytes between driver and host are no message of theirs."""


@dataclass(frozen=True)
class Message:
    """Something that the driver says to a host, or a host to the driver.

    Attributes:
        kind: What it is.
        fields: The rest, JSON types only.
        blob: The pickled task, beside a task.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    blob: bytes = b""

    def pack(self) -> bytes:
        """Return the bytes of this message."""
        head = json.dumps({"kind": self.kind, **self.fields}).encode()
        return _LENGTH.pack(len(head)) + head + self.blob

    @classmethod
    def unpack(cls, data: bytes) -> Message:
        """Return the message in some bytes.

        Raises:
            MessageError: They hold none.
        """
        try:
            (length,) = _LENGTH.unpack_from(data)
            head = data[_LENGTH.size : _LENGTH.size + length]
            fields = json.loads(head)
            kind = fields.pop("kind")
        except (struct.error, ValueError, RecursionError, AttributeError, TypeError, KeyError) as fault:
            raise MessageError(f"bytes that are no message: {data[:80]!r}") from fault
        if not isinstance(kind, str) or kind not in _KINDS or len(head) < length:
            raise MessageError(f"bytes that are no message: {data[:80]!r}")
        return cls(kind, fields, data[_LENGTH.size + length :])


def events_message(events: Iterable[Event], held: Iterable[int]) -> Message:
    """Return the message about some events.

    Args:
        events: What happened, in its order.
        held: The roots of the chains whose paused training the host has now.
    """
    return Message(EVENTS, {"events": [_to_json(event) for event in events], "held": sorted(held)})


def events_of(message: Message, slot: int) -> tuple[list[Event], frozenset[int]]:
    """Return the events of a message, and the roots of the trainings that the host holds.

    Args:
        message: The message.
        slot: The number of the host.

    Raises:
        MessageError: It holds something else.
    """
    try:
        events = [_from_json(data, slot) for data in message.fields["events"]]
        held = frozenset(map(int, message.fields["held"]))
    except (ValueError, AttributeError, TypeError, KeyError) as fault:
        raise MessageError(f"a message with no events: {str(message.fields)[:80]}") from fault
    return events, held


def _to_json(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": event.kind, "number": event.number, "attempt": event.attempt}
    if event.outcome is not None:
        outcome = event.outcome.to_json()
        data["outcome"] = outcome | {"error": clip(outcome["error"])}
    if event.fidelity is not None:
        data |= {"fidelity": event.fidelity, "perf": event.perf}
        if event.metrics:
            data["metrics"] = dict(event.metrics)
    return data


def _from_json(data: Mapping[str, Any], slot: int) -> Event:
    kind, number, attempt = data["kind"], data["number"], data["attempt"]
    if kind not in _EVENTS or type(number) is not int or type(attempt) is not int:
        raise ValueError("event")
    outcome = data.get("outcome")
    if (outcome is None) != (kind in ("started", "report")):
        raise ValueError("outcome")
    perf, fidelity = data.get("perf"), data.get("fidelity")
    perf = tuple(perf) if isinstance(perf, list) else perf
    if kind == "report":
        numbers = [fidelity, *(perf if isinstance(perf, tuple) else (perf,))]
        if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ValueError("report")
    ended = None if outcome is None else Outcome.from_json(outcome)
    if ended is not None and (ended.state is TrialState.RUNNING or bool(ended.perfs) != ended.state.has_perf):
        raise ValueError("state")
    return Event(kind, number, attempt, slot, ended, fidelity, perf, data.get("metrics"))
