"""The protocol: frames in pieces, messages there and back, and bytes of anybody else."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo.execution.frames import (
    LENGTH,
    MAX_ANSWER_BYTES,
    FrameError,
    FrameReader,
    Message,
    pack_frame,
    read_frame,
)
from autohpo.execution.mains import dump_task, load_task
from autohpo.objective import MAX_ERROR_CHARACTERS, clip
from autohpo.trial import Outcome, Task, TrialState

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.dictionaries(st.text(max_size=5), finite, max_size=2)
measured = st.builds(
    Outcome,
    st.sampled_from([TrialState.COMPLETE, TrialState.STOPPED]),
    perfs=st.lists(finite, min_size=1, max_size=3).map(tuple),
    constraints=numbers,
    metrics=numbers,
    cost=st.none() | finite,
    reached=st.none() | finite,
)
unmeasured = st.builds(
    Outcome,
    st.sampled_from([TrialState.FAILED, TrialState.INVALID]),
    error=st.text(max_size=40),
    cost=st.none() | finite,
)


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_frames_survive_any_cut_into_pieces(bodies, data):
    """However a stream is cut, the reader gives its frames back; the blocking one does so, too."""
    stream = b"".join(pack_frame(body[:3], body[3:]) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = FrameReader()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == bodies
    pipe = io.BytesIO(stream)
    assert [read_frame(pipe) for _ in bodies] == bodies
    assert read_frame(pipe) is None


def test_a_stream_that_ends_inside_a_frame_is_at_its_end():
    """Half a head or half a body is no frame."""
    frame = pack_frame(b"abcdef")
    assert [read_frame(io.BytesIO(frame[:n])) for n in range(len(frame))] == [None] * len(frame)


def test_a_frame_too_long_is_refused_before_it_is_read():
    """The limit itself is allowed; one byte more is refused from the head alone, after the good frame before it."""
    assert list(FrameReader().feed(LENGTH.pack(MAX_ANSWER_BYTES))) == []
    frames = FrameReader().feed(pack_frame(b"good") + LENGTH.pack(MAX_ANSWER_BYTES + 1))
    assert next(frames) == b"good"
    with pytest.raises(FrameError, match="at most"):
        next(frames)


@given(st.integers(0, 2**40), st.integers(1, 99), finite, finite, measured | unmeasured, st.booleans())
def test_messages_survive_the_way(number, attempt, fidelity, perf, outcome, is_paused):
    """Every kind of message comes back equal, its outcome whole, each float to its last bit."""
    messages = [
        Message("ready"),
        Message("started", number, attempt),
        Message("report", number, attempt, fidelity, perf),
        Message("end", number, attempt, outcome=outcome, is_paused=is_paused),
    ]
    bodies = FrameReader().feed(b"".join(message.pack() for message in messages))
    assert [Message.unpack(body) for body in bodies] == messages


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_framed(data):
    """No bytes make the reader or the parser raise anything but FrameError."""
    try:
        for body in [*FrameReader().feed(data), data]:
            Message.unpack(body)
    except FrameError:
        pass


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
flat = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=5), scalars, max_size=3)
json_values = flat | st.lists(flat, max_size=3) | st.dictionaries(st.text(max_size=5), flat, max_size=3)
NAMES = ["kind", "number", "attempt", "fidelity", "perf", "outcome", "is_paused", "other"]
PARTS = ["state", "perf", "fidelity", "error", "constraints", "metrics", "cost", "why", "other"]
outcomes = st.dictionaries(st.sampled_from(PARTS), json_values | st.sampled_from(["COMPLETE", "FAILED", 1.0]))


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(NAMES), json_values | outcomes | st.sampled_from(["report", "end", 1.0]))
    | st.fixed_dictionaries({"kind": st.just("end"), "outcome": outcomes})
)
def test_a_message_that_is_accepted_is_whole(fields):
    """JSON with the right names and any values is refused, or has all that its kind needs."""
    try:
        message = Message.unpack(json.dumps(fields).encode())
    except FrameError:
        return
    assert message.kind in ("ready", "started", "report", "end")
    assert isinstance(message.number, int)
    if message.kind == "report":
        assert math.isfinite(message.perf)
    assert (message.kind == "end") == (message.outcome is not None)
    if message.outcome is not None:
        outcome = message.outcome
        assert outcome.state.has_perf == bool(outcome.perfs)
        assert all(map(math.isfinite, [*outcome.perfs, *outcome.constraints.values(), *outcome.metrics.values()]))
        assert isinstance(outcome.error + outcome.why, str)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"kind": "report", "number": 1, "attempt": 1, "fidelity": 1, "perf": NaN}',
        b'{"kind": "end", "number": 1, "attempt": 1}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "CRASHED"}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "COMPLETE", "perf": null}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "FAILED", "perf": 1.0}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": ["COMPLETE"], "perf": 1}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "COMPLETE", "perf": 1, "why": 3}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "COMPLETE", "perf": 1, "cost": NaN}}',
        b'{"kind": "end", "number": 1, "outcome": {"state": "COMPLETE", "perf": 1, "metrics": {"a": ""}}}',
        b'{"kind": "end", "number": 1, "attempt": 1, "outcome": {"state": "COMPLETE", "perf": 1, "metrics": [1]}}',
        b'{"kind": "report", "number": 1, "attempt": 1, "fidelity": 1, "perf": 1' + b"0" * 400 + b"}",
        b'{"kind": "started", "number": true}',
        b"\xff\xfe",
        b"null",
    ],
)
def test_what_is_no_message_is_refused(body):
    """Deep nesting, non-finite values, states that no worker may say, and other JSON."""
    with pytest.raises(FrameError):
        Message.unpack(body)


def test_long_texts_keep_head_and_tail():
    """A text at the limit stays; one above keeps both ends and says how much is missing."""
    text = "a" * (MAX_ERROR_CHARACTERS // 2) + "b" * (MAX_ERROR_CHARACTERS // 2)
    assert clip(text) == text
    cut = clip("head" + text + "tail")
    assert cut.startswith("head")
    assert cut.endswith("tail")
    assert "8 characters left out" in cut
    assert clip("\ud800") == "\\ud800"


def test_a_started_message_is_the_json_of_its_fields():
    """It is written without json, and reads as every other one."""
    message = Message("started", 12, 3)
    frame = message.pack()
    assert frame[LENGTH.size :] == json.dumps({"kind": "started", "number": 12, "attempt": 3}).encode()
    assert Message.unpack(frame[LENGTH.size :]) == message


@pytest.mark.parametrize("hp", [{"x": 0.5, "n": 3, "on": True, "a": "relu", "b": None}, {"x": (1, 2)}, {}])
def test_a_task_comes_back_whichever_way_it_was_pickled(hp):
    """Plain values go by pickle alone; those of other types by the pickler that knows the user's script."""
    task = Task(7, 1, hp, seed=5, fidelity=3, root=7, checkpoint_dir="somewhere")
    found = load_task(dump_task(task))
    assert found == task
    assert [type(value) for value in found.hp.values()] == [type(value) for value in hp.values()]
