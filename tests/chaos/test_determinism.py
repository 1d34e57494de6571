"""Determinism: one seed gives one sequence, in any process; with a deterministic schedule also with many workers."""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sequences as made
from determinism import compared, is_near, sequences
from program import training_of
from scenarios import Search, faults, kill_driver

from autohpo import BaseHPOptimizer, OptionError, RangeHP, StoreError, TrialState, available_hpos, build_hpo_from_name
from autohpo.errors import EvaluationsError, NoResultError
from autohpo.search import Search as AskTell
from autohpo.store import SQLiteStore
from autohpo.testing import EVERY_FAULT, FakeEngine

N_WORKERS = 4
LISTENING = {"median_stopping"}
"""The registered algorithms that end trials by their reports by default."""


def told(hpo: BaseHPOptimizer) -> list[tuple[str, int, Any]]:
    """The asks and ends of a log in their order; without costs, which are seconds."""
    return [
        (event.kind, event.trial, {name: value for name, value in event.data.items() if name != "cost"})
        for event in hpo.run_store.events()
        if event.kind in ("ask", "end")
    ]


def run(name: str, executor: Any, n: int = made.N_TRIALS, **options: Any) -> BaseHPOptimizer:
    """A search with a deterministic schedule and four open trials, somewhere."""
    hpo: BaseHPOptimizer = made.built(name, n, made.objective_of(name))
    options = {"num_workers": N_WORKERS, "retries": {"LOST": 10**6}, "progress": False} | options
    hpo.optimize(executor=executor, schedule="deterministic", **options)
    return hpo


def test_processes_with_other_hash_seeds_make_equal_suggestions() -> None:
    """Every registered name, bit for bit."""
    with ThreadPoolExecutor(2) as pool:
        found = [one["sequences"] for one in pool.map(functools.partial(sequences, sys.executable), ("1", "2"))]
    assert compared(*found) == {"equal": sum(":" not in name for name in available_hpos()), "near": [], "different": {}}
    assert all(len(sequence) >= 20 for sequence in found[0].values()), "an algorithm did not take the space"


def test_sequences_are_compared_value_by_value() -> None:
    """The last digits of a float may differ, and nothing else."""
    one = [[{"x": 0.5, "n": 3, "c": None}, 9.0]]
    assert is_near(one, [[{"x": 0.5 + 1e-12, "n": 3, "c": None}, 9.0]])
    for other in ({"x": 0.51, "n": 3, "c": None}, {"x": 0.5, "n": 3.0, "c": None}, {"x": 0.5, "n": 3}):
        assert not is_near(one, [[other, 9.0]])
    assert compared({"a": one, "b": one}, {"a": one, "b": [*one[:0]]})["different"] == {"b": 0}


@pytest.mark.parametrize("name", sorted({name for name in available_hpos() if ":" not in name} - LISTENING))
def test_the_timing_of_four_workers_changes_nothing(name: str) -> None:
    """Two engines whose slots come, go, and lose trials; one process that runs a trial after the other: equal logs."""
    logs = [told(run(name, FakeEngine(seed, N_WORKERS, EVERY_FAULT))) for seed in (0, 1)]
    assert logs[0] == logs[1] == told(run(name, "serial"))


@pytest.mark.parametrize("name", ["random", "tpe", "bohb", "asha", "regularized_evolution"])
def test_the_sequence_is_that_of_a_queue(name: str) -> None:
    """Asks while fewer than four are open, else the oldest is told: ask and tell by hand give the same."""
    asked = made.emulated(name, N_WORKERS)
    hpo = run(name, FakeEngine(3, N_WORKERS, EVERY_FAULT))
    assert [[dict(sorted(t.hp.items())), t.fidelity] for t in hpo.result] == asked


def noisy(hps: dict[str, Any], trial: Any) -> float:
    """Takes a time that nobody knows before."""
    time.sleep(random.Random().uniform(0.0, 0.02))
    return hps["x"] + trial.number % 3


def test_real_workers_tell_in_the_order_of_the_asks(tmp_path: Path) -> None:
    """Ends come in any order, and are in the log at once; the optimizer hears of them in one."""
    logs = []
    for i in range(2):
        hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], noisy, seed=0, max_evals=40)
        path = tmp_path / f"{i}.db"
        hpo.optimize(num_workers=N_WORKERS, schedule="deterministic", store=path, progress=False)
        events = list(SQLiteStore(path, read_only=True).events())
        ends = [event.trial for event in events if event.kind == "end"]
        assert ends == sorted(ends) == [trial.number for trial in hpo.trials]
        held = {event.trial for event in events if event.kind == "late"}
        assert held, "no trial ended before its turn, so nothing was tried"
        logs.append([(e.kind, e.trial, e.data.get("hp")) for e in events if e.kind in ("ask", "end")])
    assert logs[0] == logs[1]


@pytest.mark.parametrize("name", ["tpe", "bohb", "pbt"])
def test_a_killed_search_goes_on_with_the_same_sequence(tmp_path: Path, name: str) -> None:
    """Results that were held are not trained again, and what comes next follows from the log."""
    search = Search(tmp_path, name, training_of(name), max_evals=30, workers=N_WORKERS, schedule="deterministic")
    counts = kill_driver(search, 2, 0.9)
    assert (counts["kills"], faults(counts)) == (2, {}), counts


def waits(hps: dict[str, Any], trial: Any, *, folder: Path) -> float:
    """Trial 0 ends when there is a file that lets it; each says that it ran."""
    (folder / f"ran-{trial.number}-{trial.attempt}").touch()
    while trial.number == 0 and not (folder / "release").exists():
        time.sleep(0.01)
    return float(hps["x"])


def test_a_held_result_survives_and_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trial 0 does not end in the first run: what did is kept, said, not trained again, and told in the second one."""
    path = tmp_path / "run.db"

    def search() -> BaseHPOptimizer:
        f = functools.partial(waits, folder=tmp_path)
        return build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], f, seed=0, max_evals=12)

    def kinds() -> list[tuple[str, int]]:
        with contextlib.suppress(StoreError), contextlib.closing(SQLiteStore(path, read_only=True)) as store:
            return [(event.kind, event.trial) for event in store.events()]
        return []  # there is no run yet

    def stop_when_three_are_held() -> None:
        while sum(kind == "late" for kind, _ in kinds()) < 3:
            time.sleep(0.02)
        first.stop()

    first = search()
    thread = threading.Thread(target=stop_when_three_are_held, daemon=True)
    thread.start()
    how: dict[str, Any] = {"num_workers": 4, "schedule": "deterministic", "store": path, "grace_seconds": 0.0}
    with pytest.raises(NoResultError, match="no trial of 4 has a result"):
        first.optimize(progress="plain", **how)
    thread.join()
    assert "the results of 3 trials wait in the log for the turn after trial 0" in capsys.readouterr().err
    assert [number for kind, number in kinds() if kind == "end"] == []
    assert [trial.state for trial in first.result] == [TrialState.CANCELLED, *[TrialState.COMPLETE] * 3]
    (tmp_path / "release").touch()
    second = search()
    second.optimize(progress=False, **how)
    assert [trial.number for trial in second.trials] == list(range(12))
    assert sorted(file.name for file in tmp_path.glob("ran-*-2")) == ["ran-0-2"], "a held trial ran again"


def test_what_would_break_the_promise_is_refused(tmp_path: Path) -> None:
    """Rules that listen to reports, suggestions made ahead, and another schedule for a run that was begun."""

    class Rule(BaseHPOptimizer):
        def _get_suggestion(self, pid: int) -> dict[str, Any]:
            return {"x": 0.5}

        def _on_report(self, hp: Any, fidelity: float, perf: float) -> bool:
            return False

    space = [RangeHP("x", 0.0, 1.0)]
    listening = [
        Rule(space, noisy, max_evals=3),
        build_hpo_from_name("median_stopping", space, noisy, max_evals=3),
        build_hpo_from_name("asha", space, noisy, max_evals=3, max_fidelity=9, type="stopping"),
        build_hpo_from_name("random", space, noisy, max_evals=3, stop_hopeless=True),
    ]
    for hpo in listening:
        with pytest.raises(OptionError, match="schedule: 'deterministic' tells reports with the end"):
            hpo.optimize(schedule="deterministic", progress=False)
    hpo = build_hpo_from_name("random", space, noisy, max_evals=3, seed=0)
    for options, text in [
        ({"schedule": "sorted"}, "schedule: must be 'asynchronous' or 'deterministic', got 'sorted'"),
        ({"schedule": None}, "schedule: must be"),
        ({"schedule": "deterministic", "ask_ahead": True}, "ask_ahead: must be False with"),
    ]:
        with pytest.raises(OptionError, match=text):
            hpo.optimize(progress=False, **options)
    hpo.optimize(progress=False, store=tmp_path / "run.db")
    again = build_hpo_from_name("random", space, noisy, max_evals=5, seed=0)
    with pytest.raises(StoreError, match="schedule: the store has nothing, here it is 'deterministic'"):
        again.optimize(progress=False, store=tmp_path / "run.db", schedule="deterministic")


def epochs(hps: dict[str, Any]) -> Iterator[float]:
    """Reports three times."""
    for epoch in range(1, 4):
        yield hps["x"] * epoch


def test_reports_are_told_with_the_end() -> None:
    """While a trial runs its reports are in the log, and no algorithm sees them; then the trial has them all."""
    seen: list[int] = []

    class Looking(BaseHPOptimizer):
        def _get_suggestion(self, pid: int) -> dict[str, Any]:
            seen.extend(len(running.reports) for running in self.history.running)
            return {"x": 0.5}

    hpo = Looking([RangeHP("x", 0.0, 1.0)], epochs, max_evals=12, seed=0)
    hpo.optimize(executor=FakeEngine(0, 3), num_workers=3, schedule="deterministic", progress=False)
    assert set(seen) == {0}
    assert all(len(trial.reports) == 3 for trial in hpo.trials)


def test_ask_and_tell_follow_the_schedule_of_a_run(tmp_path: Path) -> None:
    """A trial that has a held result cannot be told another one by hand; the run stays what it was."""
    path = tmp_path / "run.db"
    space = [RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("random", space, made_up, max_evals=8, seed=0)
    hpo.optimize(executor=FakeEngine(0, 2), num_workers=2, schedule="deterministic", progress=False, store=path)
    with AskTell.load(path, max_evals=10) as search:
        assert search.is_ordered
        first, second = search.ask(), search.ask()
        search.hold(second.number, search.start(second.number, 0), search.hpo.objectives.measure(0.25))
        search.save()
        with pytest.raises(EvaluationsError, match="has a result, which is told once all trials before it"):
            search.tell(second, 0.5)
        assert not search.report(second, 1, 0.5)
        search.tell(first, 0.75)
    more = build_hpo_from_name("random", space, made_up, max_evals=10, seed=0)
    more.optimize(executor=FakeEngine(0, 2), num_workers=2, schedule="deterministic", progress=False, store=path)
    assert [trial.perf for trial in more.trials][-2:] == [0.75, 0.25]


def made_up(hps: dict[str, Any]) -> float:
    """Gives what it is told."""
    return float(hps["x"])
