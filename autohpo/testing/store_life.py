"""Checks of a store's life: its header, its files, opening it again, a second driver, readers, and a search on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from autohpo.algorithms.registry import build_hpo_from_name
from autohpo.errors import RunBusyError, StoreMismatchError
from autohpo.search import Search
from autohpo.spaces import ChoiceHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.store import LogEvent, Store
from autohpo.testing.checks import expect, expect_equal, expect_error
from autohpo.testing.store_case import HEADER, StoreCase, trial_events
from autohpo.testing.store_log import expect_log

N_TRIALS = 8


def keeps_the_header(case: StoreCase) -> None:
    """There is no header before a run began, then it is the one given, also when the store is opened again."""
    with case.run() as run:
        store = run.open()
        expect(store.header is None, "no header in a new store", store.header)
        store.begin(HEADER)
        expect(store.header == HEADER, f"the header {HEADER}", store.header)
        store = run.reopen()
        expect(store.header == HEADER, f"the header {HEADER} after it was opened again", store.header)


def takes_the_same_header_again(case: StoreCase) -> None:
    """A run goes on where its header is the same; the order of keys, its name and the release say nothing of that."""
    with case.run() as run:
        store = run.open()
        store.begin(HEADER)
        store.append(trial_events(0))
        store = run.reopen()
        store.begin(dict(reversed(HEADER.items())))
        store.begin({**HEADER, "name": "second", "version": "9.9"})
        expect(store.header == HEADER, "the header of the first begin", store.header)
        expect_log(store, trial_events(0))


def refuses_another_header(case: StoreCase) -> None:
    """Another algorithm, option or space is a StoreMismatchError that shows the difference, and changes nothing."""
    options, low = HEADER["options"], "space.parameters[0].low"
    others: list[tuple[dict[str, Any], str]] = [
        ({**HEADER, "algorithm": "tpe"}, "algorithm"),
        ({**HEADER, "options": {**options, "seed": 4}}, "options.seed"),
        ({**HEADER, "options": {**options, "noise": True}}, "options.noise"),
        ({**HEADER, "options": {"seed": 3, "mode": "max"}}, "options.eta"),
        ({**HEADER, "space": {"parameters": [{**HEADER["space"]["parameters"][0], "low": 0.2}]}}, low),
    ]
    with case.run() as run:
        store = run.open()
        store.begin(HEADER)
        store.append(trial_events(0))
        for other, part in others:
            error = expect_error(StoreMismatchError, partial(store.begin, other), f"another {part}")
            expect(part in str(error), f"a text that names {part}", str(error))
        expect(store.header == HEADER, f"the header {HEADER}", store.header)
        expect_log(store, trial_events(0))


def opens_again_with_all_it_had(case: StoreCase) -> None:
    """A store that was closed has every event when it is opened again, and places go on."""
    wanted: list[LogEvent] = []
    with case.run() as run:
        for number in range(3):
            store = run.reopen()
            expect_log(store, wanted)
            wanted += trial_events(number)
            store.append(trial_events(number))
        expect_log(run.reopen(), wanted)


def keeps_runs_apart(case: StoreCase) -> None:
    """Two runs share neither events nor header nor files."""
    with case.run() as run, case.run() as other:
        store, neighbour = run.open(), other.open()
        store.begin(HEADER)
        store.append(trial_events(0))
        neighbour.append(trial_events(0)[:2])
        expect(neighbour.header is None, "no header in a new store", neighbour.header)
        expect_log(store, trial_events(0))
        expect_log(neighbour, trial_events(0)[:2])
        expect(store.files != neighbour.files, "a folder of its own for each run", store.files)


def closes_twice(case: StoreCase) -> None:
    """A second close does nothing, nor does one of a store that was never opened."""
    with case.run() as run:
        case.make(run.name).close()
        store = run.open()
        store.append(trial_events(0))
        store.close()
        store.close()
        expect_log(run.open(), trial_events(0))


def keeps_its_files(case: StoreCase) -> None:
    """The folder for checkpoints is the same when the store is opened again, and what was saved there is in it."""
    with case.run() as run:
        store = run.open()
        folder = store.files
        expect(isinstance(folder, Path), "a pathlib.Path", type(folder).__name__)
        expect(store.files == folder, "the same folder each time", f"{folder} and {store.files}")
        checkpoint = folder / "trial-0" / "weights.bin"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(b"epoch 3")
        store.append(trial_events(0))
        again = run.reopen().files
        expect(again == folder, f"the folder {folder}", again)
        expect(checkpoint.is_file() and checkpoint.read_bytes() == b"epoch 3", "the file that was saved there", "none")


def refuses_a_second_driver(case: StoreCase) -> None:
    """While a driver has it open another one gets RunBusyError, and may open it once the first has closed it.

    Where there is but one object for a run, as in memory, nobody can be another driver.
    """
    with case.run() as run:
        store = run.open()
        store.append(trial_events(0))
        second = case.make(run.name)
        if second is store:
            return
        expect_error(RunBusyError, second.open, "a second driver")
        second.close()  # which must not take the store from the first
        expect_error(RunBusyError, case.make(run.name).open, "a third driver")
        store.append(trial_events(1))
        store.close()
        expect_log(run.open(), [*trial_events(0), *trial_events(1)])


def is_read_while_it_is_written(case: StoreCase) -> None:
    """A reader sees what a driver has appended, new events at each look, and disturbs nobody."""
    with case.run() as run:
        store = run.open()
        store.begin(HEADER)
        store.append(trial_events(0))
        reader = run.read()
        expect(reader.header == HEADER, f"the header {HEADER}", reader.header)
        expect_log(reader, trial_events(0))
        reading = iter(reader.events())
        next(reading)
        store.append(trial_events(1))
        n = 1 + sum(1 for _ in reading)
        n_least = len(trial_events(0))
        expect(n >= n_least, f"at least {n_least} events in a reading that had begun", n)
        expect_log(reader, [*trial_events(0), *trial_events(1)])
        expect(reader.files == store.files, "the folder that the driver has", reader.files)
        reader.close()
        expect_log(store, [*trial_events(0), *trial_events(1)])


def carries_a_search(case: StoreCase) -> None:
    """A search that is closed and opened again after every trial is the search that was never interrupted."""
    with case.run() as run, case.run() as other:
        whole = _searched(case.make(run.name), N_TRIALS)
        for n in range(1, N_TRIALS + 1):
            by_turns = _searched(case.make(other.name), n)
    expect_equal(whole, by_turns, "trials of a search that was interrupted")


def _searched(store: Store, n: int) -> list[str]:
    """Go on with a search up to n trials, and return what they were."""
    space = SearchSpace([LogRangeHP("lr", 1e-4, 1e-1), RangeHP("hops", 1, 8), ChoiceHP("act", ["relu", None])])
    with Search(build_hpo_from_name("random", space, seed=0), store) as search:
        while search.state.n_asked < n:
            suggestion = search.ask()
            search.tell(suggestion, suggestion["lr"])
        return [f"{trial.number}: {dict(trial.hp)} gave {trial.perf}" for trial in search.state.trials()]
