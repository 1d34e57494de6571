"""Checks of a store's log: what is appended comes back, in order, whole, or not at all."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from autohpo.errors import StoreError
from autohpo.store import LogEvent, Store
from autohpo.testing.checks import expect, expect_equal, expect_error
from autohpo.testing.store_case import StoreCase, event, trial_events

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**53 + 1, 10**30, 0.0, -0.0, 1.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308),
    *("", "1", [], {}, [[]], [1, 1.0, True, None], {"a": {"b": [{"c": 1.5}]}}, {"": 1}, {"kind": "end", "seq": 7}),
]
TEXTS = [
    "späť",
    "日本語",
    "🙂",
    "e\u0301",
    "\u202eleft",
    "a\nb\r\n\tc",
    "\"quoted'\\",
    "\x00\x07\x1f",
    "\ud800",
    "'; DROP",
]
NOT_JSON: list[Any] = [float("nan"), float("inf"), -float("inf"), {1, 2}, b"bytes", object(), {"deep": [{"er": 1j}]}]
LARGE = 2**20
SHOWN = 500


def written(events: Sequence[LogEvent]) -> list[str]:
    """Return events as text in which 1, 1.0 and True differ, as do 0.0 and -0.0; without their places."""
    return [_short(json.dumps([*one[:3], one.data, one.time], sort_keys=True)) for one in events]


def _short(text: str) -> str:
    """Return a text that a failed check can show: a long one as its beginning, length and checksum."""
    return text if len(text) < SHOWN else f"{text[:SHOWN]}... ({len(text)} characters, {zlib.crc32(text.encode()):x})"


def expect_log(store: Store, wanted: Sequence[LogEvent]) -> None:
    """Go on where a store has just these events, in places from 1 on.

    Raises:
        CheckFailed: It has others.
    """
    got = list(store.events())
    expect_equal(written(wanted), written(got), "events")
    expect_equal(list(range(1, len(wanted) + 1)), [one.seq for one in got], "places of the events")


def returns_what_was_appended(case: StoreCase) -> None:
    """Events of every kind come back as they were, in the order of the appends and of the events in each."""
    first, second = trial_events(0), trial_events(1, fork=0)
    with case.run() as run:
        store = run.open()
        expect_log(store, [])
        store.append(first[:3])
        store.append(first[3:])
        store.append(second)
        expect_log(store, [*first, *second])


def numbers_events_without_gaps(case: StoreCase) -> None:
    """Places go on from 1 over all appends, whatever `seq` was given, and an empty append takes none."""
    with case.run() as run:
        store = run.open()
        store.append([])
        store.append([event("ask", 0, 0)._replace(seq=7)])
        store.append([])
        store.append([event("start", 0), event("report", 0, perf=1.0)])
        places = [one.seq for one in store.events()]
        expect(places == [1, 2, 3], "the places 1, 2, 3", places)


def returns_the_events_behind_a_place(case: StoreCase) -> None:
    """`events(after)` gives those with a higher place, so that a reader gets only what is new."""
    events = trial_events(0)
    with case.run() as run:
        store = run.open()
        store.append(events)
        for after in range(len(events) + 2):
            places = [one.seq for one in store.events(after)]
            wanted = list(range(after + 1, len(events) + 1))
            expect(places == wanted, f"the places {wanted} behind {after}", places)
        store.append(trial_events(1)[:1])
        got = [(one.seq, one.trial) for one in store.events(len(events))]
        expect(got == [(len(events) + 1, 1)], "the one new event", got)


def refuses_a_second_ask_or_end(case: StoreCase) -> None:
    """A trial is asked once and ends once: a second time is a StoreError, and nothing of that append is kept."""
    first, second = trial_events(0), trial_events(1)
    with case.run() as run:
        store = run.open()
        store.append(first)
        for kind in ("ask", "end"):
            again = next(one for one in first if one.kind == kind)
            for events in ([*second[:3], again], [again, *second]):
                expect_error(StoreError, partial(store.append, events), f"a second {kind} of trial 0")
                expect_log(store, first)
        twice = [second[0], *second]
        expect_error(StoreError, partial(store.append, twice), "two asks of one trial in one append")
        expect_log(store, first)
        store.append(second)
        expect_log(store, [*first, *second])


def takes_every_other_kind_again(case: StoreCase) -> None:
    """A trial may be started, report, be interrupted, and be told of late, any number of times."""
    again = [one for one in trial_events(0) if one.kind not in ("ask", "end")]
    with case.run() as run:
        store = run.open()
        store.append(trial_events(0))
        store.append([*again, *again])
        store.append(again)
        expect_log(store, [*trial_events(0), *again, *again, *again])


def keeps_json_types(case: StoreCase) -> None:
    """What JSON holds comes back with its type and its last bit: a log that rounds makes another run when resumed."""
    events = [event("report", 0, i, value=value) for i, value in enumerate(VALUES)]
    events = [one._replace(time=1.7e9 + i / 7) for i, one in enumerate(events)]
    with case.run() as run:
        store = run.open()
        store.append(events)
        expect_log(store, events)
        expect_log(run.reopen(), events)


def keeps_any_text(case: StoreCase) -> None:
    """Names and errors may hold any character: other scripts, quotes, controls, halves of surrogate pairs."""
    events = [event("report", 0, i, **{text: text}) for i, text in enumerate(TEXTS)]
    with case.run() as run:
        store = run.open()
        store.append(events)
        expect_log(store, events)
        expect_log(run.reopen(), events)


def keeps_large_events(case: StoreCase) -> None:
    """A long traceback, many metrics, and many events in one append are no special case."""
    large = event("end", 0, error="x" * LARGE, metrics={f"m{i}": i / 7 for i in range(5000)})
    many = [event("report", 0, i, perf=i / 3) for i in range(3000)]
    with case.run() as run:
        store = run.open()
        store.append([event("ask", 0, 0), *many, large])
        expect_log(store, [event("ask", 0, 0), *many, large])


def refuses_what_json_cannot_hold(case: StoreCase) -> None:
    """NaN, infinity and what is no JSON type are a StoreError, and nothing that came with them is kept."""
    first = trial_events(0)
    with case.run() as run:
        store = run.open()
        store.append(first)
        for bad in NOT_JSON:
            events = [event("ask", 1, 0), event("end", 1, metrics={"loss": bad})]
            expect_error(StoreError, partial(store.append, events), f"{bad!r} in an event")
            expect_log(store, first)
        store.append(trial_events(1))
        expect_log(store, [*first, *trial_events(1)])


def keeps_what_it_need_not_sync(case: StoreCase) -> None:
    """An append without `sync` is kept as well, and an empty one with `sync` is no event."""
    events = trial_events(0)
    with case.run() as run:
        store = run.open()
        for place, one in enumerate(events):
            store.append([one], sync=place % 2 == 0)
        expect_log(store, events)
        store.append(trial_events(1), sync=False)
        store.append([], sync=True)
        store.append(trial_events(2), sync=False)
        wanted = [*events, *trial_events(1), *trial_events(2)]
        expect_log(store, wanted)
        expect_log(run.reopen(), wanted)


def may_be_appended_to_while_it_is_read(case: StoreCase) -> None:
    """A reading that was begun goes on with what there was, whatever is appended meanwhile."""
    first = trial_events(0)
    with case.run() as run:
        store = run.open()
        store.append(first)
        reading = iter(store.events())
        got = [next(reading)]
        store.append(trial_events(1))
        got += reading
        expect_equal(written(first), written(got[: len(first)]), "events of a reading")
        expect_log(store, [*first, *trial_events(1)])
