"""The log in memory: packed, and yet the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autohpo.errors import StoreError
from autohpo.store import LogEvent, MemoryStore

Trials = Callable[..., list[LogEvent]]


@pytest.mark.parametrize("data", [{"perf": (0.5, 0.25)}, {"more": {1: "x"}}], ids=["tuple", "key"])
def test_values_that_would_come_back_as_others_stay_as_they_are(data: dict[str, object]) -> None:
    """JSON has neither tuples nor keys that are numbers; a search with several objectives reports tuples."""
    store = MemoryStore()
    events = [LogEvent("report", 0, 1, {"fidelity": 1.0, **data}) for _ in range(2_000)]
    store.append(events)
    assert [event[:5] for event in store.events()] == [event[:5] for event in events]


def test_a_list_of_events_goes_on_while_others_are_added(trial_events: Trials) -> None:
    """Whoever reads sees what there was when the reading began, without a hole."""
    store = MemoryStore()
    store.append([event for number in range(200) for event in trial_events(number)])
    reader = store.events()
    first = next(reader)
    store.append([event for number in range(200, 500) for event in trial_events(number)])
    assert [event.seq for event in (first, *reader)] == list(range(1, 801))


@pytest.mark.parametrize("number", [-1, 10**12])
def test_a_number_below_0_or_far_away_is_asked_once(number: int) -> None:
    """Confirming trials have numbers below 0; a damaged log may have any."""
    store = MemoryStore()
    ask = LogEvent("ask", number, 0, {})
    store.append([ask, LogEvent("end", number, 1, {})])
    for again in ([ask], [LogEvent("end", number, 1, {})], [LogEvent("ask", 0, 0, {}), LogEvent("ask", 0, 0, {})]):
        with pytest.raises(StoreError, match="second ask or end"):
            store.append(again)
