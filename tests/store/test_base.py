"""The contract of every store, and the comparison of headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from autohpo.errors import StoreError, StoreMismatchError
from autohpo.store import LogEvent, Store
from autohpo.store.base import SHOWN_DIFFERENCES, check_header

Trials = Callable[..., list[LogEvent]]


def test_events_come_back_as_they_were_in_order_with_their_places(store: Store, trial_events: Trials) -> None:
    """What goes in comes out, numbered from 1 over all appends."""
    given_events = trial_events(0) + trial_events(1)
    store.append(given_events[:3])
    store.append([])
    store.append(given_events[3:])
    assert list(store.events()) == [event._replace(seq=i) for i, event in enumerate(given_events, start=1)]


def test_events_behind_a_place_are_those_with_a_higher_one(store: Store, trial_events: Trials) -> None:
    """A reader that remembers its last place gets only what is new."""
    store.append(trial_events(0))
    assert [event.seq for event in store.events(after=2)] == [3, 4]
    assert list(store.events(after=4)) == []
    store.append(trial_events(1)[:1])
    assert [(event.seq, event.trial) for event in store.events(after=4)] == [(5, 1)]


@pytest.mark.parametrize("again", [0, 3], ids=["ask", "end"])
def test_a_second_ask_or_end_is_refused_with_all_that_came_with_it(
    store: Store, trial_events: Trials, again: int
) -> None:
    """An append is kept whole or not at all, and the store goes on."""
    store.append(trial_events(0))
    before = list(store.events())
    with pytest.raises(StoreError):
        store.append([*trial_events(1), trial_events(0)[again]])
    assert list(store.events()) == before
    store.append(trial_events(1))
    assert [event.seq for event in store.events()] == list(range(1, 9))


@pytest.mark.parametrize("twice", [0, 3], ids=["ask", "end"])
def test_a_second_ask_or_end_within_one_append_is_refused(store: Store, trial_events: Trials, twice: int) -> None:
    """The first of the two is not kept either."""
    with pytest.raises(StoreError):
        store.append([*trial_events(0), trial_events(0)[twice]])
    assert list(store.events()) == []


def test_attempts_may_start_report_and_be_interrupted_again_and_again(store: Store, trial_events: Trials) -> None:
    """Only ask and end are single."""
    interrupt = LogEvent("interrupt", 0, 1, {"state": "LOST", "error": ""}, 1001.0)
    ask, start, report, _ = trial_events(0)
    store.append([ask, start, report, interrupt, start, report, interrupt])
    assert len(list(store.events())) == 7


def test_a_store_has_no_header_before_a_run_began(store: Store, header: Mapping[str, object]) -> None:
    """The first header is kept and the same one passes again."""
    assert store.header is None
    store.begin(header)
    store.begin(dict(reversed(header.items())))  # the order of the keys means nothing
    assert store.header == header


def test_a_run_with_another_header_is_refused_and_the_difference_shown(store: Store) -> None:
    """The text has the path of each leaf that differs, with both values; what is equal is not in it."""
    store.begin({"algorithm": "random", "options": {"seed": 3, "mode": "max"}, "space": [{"low": 0.1}]})
    with pytest.raises(StoreMismatchError) as caught:
        store.begin({"algorithm": "random", "options": {"seed": 4, "eta": 2}, "space": [{"low": 0.1}, {"low": 1}]})
    assert str(caught.value).splitlines()[1:] == [
        "  options.seed: the store has 3, here it is 4",
        "  options.mode: the store has 'max', here it is nothing",
        "  options.eta: the store has nothing, here it is 2",
        "  space[1]: the store has nothing, here it is {'low': 1}",
    ]
    assert store.header == {"algorithm": "random", "options": {"seed": 3, "mode": "max"}, "space": [{"low": 0.1}]}


@pytest.mark.parametrize(("kept", "given"), [(1, True), (1, 1.0), (0.0, False), ("1", 1), (None, 0), ([], {})])
def test_headers_differ_where_the_types_do(kept: object, given: object) -> None:
    """True is not 1, and an int range is not a float range."""
    check_header({"a": kept}, {"a": kept}, "x")
    with pytest.raises(StoreMismatchError, match="a: the store has"):
        check_header({"a": kept}, {"a": given}, "x")


def test_a_long_list_of_differences_is_cut() -> None:
    """The text stays readable where everything differs, and says how much it left out."""
    kept = {f"k{i}": i for i in range(SHOWN_DIFFERENCES + 5)}
    with pytest.raises(StoreMismatchError) as caught:
        check_header(kept, {}, "x")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + SHOWN_DIFFERENCES + 1
    assert lines[-1].strip() == "... and 5 more"


def test_a_number_comes_back_to_the_last_bit(store: Store) -> None:
    """Every finite float is given back as it was, minus zero and subnormal numbers too."""
    bits = np.random.default_rng(0).integers(0, 2**64, 2000, dtype=np.uint64)
    drawn = bits.view(np.float64)
    values = [-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, *drawn[np.isfinite(drawn)].tolist()]
    store.append([LogEvent("report", 0, 1, {"fidelity": 1.0, "perf": value}, 1.0) for value in values])
    got = [event.data["perf"] for event in store.events()]
    assert np.array(got).tobytes() == np.array(values).tobytes()


def test_a_long_log_comes_back_from_every_place(store: Store, trial_events: Trials) -> None:
    """Also what was packed; and no trial can end twice, however long ago that was."""
    given_events = [event for number in range(300) for event in trial_events(number)]
    for place in range(0, len(given_events), 100):
        store.append(given_events[place : place + 100])
    wanted = [event._replace(seq=i) for i, event in enumerate(given_events, start=1)]
    for after in (0, 1, 255, 256, 257, 700, len(wanted) - 1, len(wanted), len(wanted) + 5):
        assert list(store.events(after)) == wanted[after:]
    for trial in (0, 299):
        with pytest.raises(StoreError):
            store.append([trial_events(trial)[0]])
