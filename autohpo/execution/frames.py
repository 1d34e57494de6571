"""What goes over the two pipes between driver and worker: frames, and the messages inside a worker's frames.

A frame is its length and then its bytes. The driver sends a kind and, with a task, a pickle; a worker answers
with JSON only, so that whatever an objective returns or raises, the driver never unpickles it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autohpo.errors import AutoHPOError
from autohpo.execution.platform.base import Pipe
from autohpo.objective import clip
from autohpo.outcome import MAX_RESULT_BYTES
from autohpo.trial import Outcome, Perf, TrialState

LENGTH = struct.Struct(">Q")
KEY = struct.Struct(">qq")  # number and attempt of a trial, before a pickled task and alone in a stop
ROOT = struct.Struct(">q")

TASK, STOP, DROP, RELIEVE, EXIT = b"T", b"S", b"D", b"R", b"X"  # the kinds that a driver sends

MAX_ANSWER_BYTES = MAX_RESULT_BYTES + (1 << 20)  # a longer frame is not from our worker

_FLOAT = frozenset({float})
_ENDS = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED, TrialState.INVALID)


class FrameError(AutoHPOError):
    """Bytes on a pipe are no frame, or a frame is no message, of this protocol."""


def pack_frame(*parts: bytes) -> bytes:
    """Return the frame of some bytes, joined."""
    return LENGTH.pack(sum(map(len, parts))) + b"".join(parts)


def read_frame(pipe: Pipe) -> bytes | None:
    """Return the next frame of a blocking pipe, or None at its end."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = pipe.read(length)
    return body if len(body) == length else None


class FrameReader:
    """A reader that cuts frames out of bytes as they come, in pieces of any size."""

    def __init__(self, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Return the frames that new bytes complete, one by one: those before a bad one are good.

        Raises:
            FrameError: A frame says that it is longer than the limit: whoever wrote it does not speak this protocol.
        """
        self._rest += data
        return self._frames()

    def _frames(self) -> Iterator[bytes]:
        while len(self._rest) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._rest)
            if length > self._max_bytes:
                raise FrameError(f"a frame of {length} bytes, at most {self._max_bytes} are allowed")
            end = LENGTH.size + length
            if len(self._rest) < end:
                break
            frame = bytes(self._rest[LENGTH.size : end])
            del self._rest[:end]
            yield frame


@dataclass(frozen=True)
class Message:
    """A thing that a worker says.

    Attributes:
        kind: *ready* once, when the objective is loaded; then for each task *started*, any *report*, one *end*.
        number: The number of the trial.
        attempt: The attempt at the trial.
        fidelity: How far the training came, in a report.
        perf: How good it is, in a report.
        metrics: Further numbers by name, in a report that has some.
        outcome: How the attempt ended, in an end.
        is_paused: Whether the worker keeps the training to continue it, in an end.
        held: The bytes of memory that the worker holds, in all but reports, where memory is limited.
    """

    kind: Literal["ready", "started", "report", "end"]
    number: int = -1
    attempt: int = 0
    fidelity: float | None = None
    perf: Perf | None = None
    metrics: Mapping[str, float] | None = None
    outcome: Outcome | None = None
    is_paused: bool = False
    held: int = 0

    def pack(self) -> bytes:
        """Return the frame of this message; the error of an outcome is cut to its allowed length."""
        if self.kind == "started" and not self.held:  # as json writes it
            return pack_frame(b'{"kind": "started", "number": %d, "attempt": %d}' % (self.number, self.attempt))
        fields: dict[str, Any] = {"kind": self.kind, "number": self.number, "attempt": self.attempt}
        if self.held:
            fields["held"] = self.held
        if self.kind == "report":
            fields |= {"fidelity": self.fidelity, "perf": self.perf}
            if self.metrics:
                fields["metrics"] = dict(self.metrics)
        if self.outcome is not None:
            data = self.outcome.to_json()
            if data["error"]:
                data["error"] = clip(data["error"])
            fields["outcome"], fields["is_paused"] = data, self.is_paused
        return pack_frame(json.dumps(fields).encode())

    @classmethod
    def unpack(cls, body: bytes) -> Message:
        """Return the message in a frame.

        Raises:
            FrameError: It holds none, whatever the bytes are.
        """
        try:
            fields = json.loads(body.decode())
            if fields.get("outcome") is not None:
                fields["outcome"] = _checked(fields["outcome"])
            if type(fields.get("perf")) is list:
                fields["perf"] = tuple(fields["perf"])
            message = cls(**fields)
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as fault:
            raise FrameError(f"a frame that is no message: {body[:80]!r}") from fault
        if not message._is_valid():
            raise FrameError(f"a message that breaks a rule: {body[:80]!r}")
        return message

    def _is_valid(self) -> bool:
        if self.kind not in ("ready", "started", "report", "end") or (self.outcome is None) == (self.kind == "end"):
            return False
        if not type(self.number) is type(self.attempt) is type(self.held) is int or type(self.is_paused) is not bool:
            return False
        if self.metrics is not None and not (
            type(self.metrics) is dict and all(map(_is_finite, self.metrics.values()))
        ):
            return False
        return self.kind != "report" or (_is_finite(self.fidelity) and self._has_perf())

    def _has_perf(self) -> bool:
        """Whether a report has one finite number, or some for several objectives."""
        perf = self.perf
        return all(map(_is_finite, perf)) and len(perf) > 1 if isinstance(perf, tuple) else _is_finite(perf)


def _checked(data: dict[str, Any]) -> Outcome:
    """The outcome of an end.

    Raises:
        ValueError: A worker cannot end so, or a number is not finite.
    """
    outcome = Outcome.from_json(data)
    is_known = outcome.state in _ENDS and bool(outcome.perfs) == outcome.state.has_perf
    if (
        not is_known
        or type(outcome.has_own_cost) is not bool
        or any(type(text) is not str for text in (outcome.error, outcome.why, outcome.advice))
    ):
        raise ValueError("outcome")
    numbers: list[Any] = [*outcome.perfs, *outcome.constraints.values(), *outcome.metrics.values()]
    numbers += [number for number in (outcome.cost, outcome.reached, outcome.trained) if number is not None]
    if not all(map(math.isfinite if set(map(type, numbers)) <= _FLOAT else _is_finite, numbers)):
        raise ValueError("outcome")
    return outcome


def _is_finite(value: object) -> bool:
    """Whether a value is a plain number that fits into a finite float."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False
