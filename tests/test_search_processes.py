"""Search across processes: one asks, another tells, a third goes on; and each may die at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, EvaluationsError, RangeHP, StoreError, build_hpo_from_name
from autohpo.errors import RunBusyError
from autohpo.search import Search
from autohpo.trial import TrialState

ROOT = Path(__file__).parents[1]
SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("hops", 1, 8), ChoiceHP("act", ["relu", None])]
OPTIONS: dict[str, dict[str, Any]] = {"bohb": {"max_fidelity": 9.0}, "nsga2": {"mode": {"acc": "max", "cost": "min"}}}


def build(name: str = "tpe", f: Any = None, **options: Any) -> BaseHPOptimizer:
    """An optimizer, the same one in every process."""
    return build_hpo_from_name(name, SPACE, f, **{"seed": 3, **OPTIONS.get(name, {}), **options})


def value(suggestion: Any) -> float:
    """What a configuration gives."""
    return -((suggestion["x"] - 0.3) ** 2) - abs(suggestion["hops"] - 3)


def result(suggestion: Any, name: str) -> Any:
    """What the objective of an algorithm returns."""
    if name == "nsga2":
        return {"acc": value(suggestion), "cost": suggestion["x"]}
    return value(suggestion)


def outline(trials: Any) -> list[Any]:
    """What two equal runs share: trials without their times."""
    return [
        (t.number, dict(t.hp), t.state, t.perfs, t.fidelity, t.resume, t.seed, t.reports, t.cost, t.error)
        for t in trials
    ]


def turn(search: Search, name: str, n: int) -> None:
    """Tell the result of everything that runs, whoever asked for it, then ask for n more."""
    for number, running in sorted(search.state.running.items()):
        if number % 7 == 6:
            search.fail(number, "every seventh fails", TrialState.CRASHED)
        else:
            search.tell(number, result(running.suggestion, name), cost=float(number))
    for _ in range(n):
        search.ask()


# The program of the other processes: `test_search_processes.py CALL STORE ARGUMENTS...` prints what the call returns.


def call_turn(store: str, name: str, n: str) -> None:
    """Take a turn, and die at once, with the store still open."""
    search = Search(build(name), store)
    search.open()
    turn(search, name, int(n))
    os.kill(os.getpid(), signal.SIGKILL)


def call_ask(store: str) -> list[Any]:
    """Ask for one suggestion."""
    with Search(build(), store) as search:
        suggestion = search.ask()
    return [suggestion.number, dict(suggestion), suggestion.seed]


def call_tell(store: str, number: str, perf: str) -> list[Any]:
    """Tell a result by its number."""
    with Search(build(), store) as search:
        trial = search.tell(int(number), float(perf))
        return [trial.number, dict(trial.hp), trial.perf]


def call_hold(store: str) -> None:
    """Keep the store open until standard input ends."""
    with Search(build(), store) as search:
        search.ask()
        print("open", flush=True)
        sys.stdin.read()


def start(*arguments: object) -> subprocess.Popen[str]:
    """Another process that makes a call."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def elsewhere(*arguments: object) -> Any:
    """What a call returns in another process."""
    out, _ = start(*arguments).communicate(timeout=60)
    return json.loads(out)


# Across processes.


def test_one_process_asks_another_tells_and_a_third_goes_on(tmp_path: Path) -> None:
    """What they see is what one process alone would have seen."""
    store = tmp_path / "run.db"
    asked = elsewhere("ask", store)
    told = elsewhere("tell", store, 0, 0.25)
    asked_then = elsewhere("ask", store)
    with Search(build()) as alone:
        first = alone.ask()
        alone.tell(first, 0.25)
        second = alone.ask()
    assert asked == [0, dict(first), first.seed]
    assert told == [0, dict(first), 0.25]
    assert asked_then == [1, dict(second), second.seed]
    with Search(build(), store) as search:
        assert search.state.best is not None
        assert search.hpo.best() == (dict(first), 0.25)
        assert list(search.state.running) == [1]
        search.tell(second, 0.5)  # asked for elsewhere
        assert search.hpo.best()[1] == 0.5


@pytest.mark.parametrize("name", ["tpe", "bohb", "nsga2"])
def test_processes_that_die_in_turn_make_the_search_of_one_that_lives(tmp_path: Path, name: str) -> None:
    """Each tells what the one before asked for and asks for six more, then is killed; the results are the same."""
    store = tmp_path / "run.db"
    for _ in range(4):
        process = start("turn", store, name, 6)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    with Search(build(name)) as alone:
        for _ in range(4):
            turn(alone, name, 6)
        wanted = outline(alone.state.trials())
        with Search(build(name), store) as search:
            assert outline(search.state.trials()) == wanted
            assert outline(search.hpo.trials) == outline(alone.hpo.trials)
            assert [search.ask() for _ in range(3)] == [alone.ask() for _ in range(3)]
    assert len(wanted) == 24


def test_a_store_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    """The second one is told who has it; when that one is done it may go on."""
    store = tmp_path / "run.db"
    process = start("hold", store)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    search = Search(build(), store)
    with pytest.raises(RunBusyError, match=str(process.pid)):
        search.open()
    with pytest.raises(StoreError, match="search: must be open"):
        search.ask()
    process.communicate(timeout=60)
    with search:
        assert search.ask().number == 1


def test_the_same_search_opened_again_knows_what_others_did_meanwhile(tmp_path: Path) -> None:
    """It reads on from where it was."""
    store = tmp_path / "run.db"
    search = Search(build(), store)
    with search:
        suggestion = search.ask()
    elsewhere("tell", store, 0, 0.25)
    number, hp, _ = elsewhere("ask", store)
    with search:
        assert [trial.perf for trial in search.hpo.trials] == [0.25]
        assert search.hpo.running == [hp]
        with pytest.raises(EvaluationsError, match="has a result already"):
            search.tell(suggestion, 0.5)
        search.tell(number, 0.5)
        assert [trial.perf for trial in search.state.trials()] == [0.25, 0.5]


def test_a_seed_that_was_drawn_is_that_of_the_run(tmp_path: Path) -> None:
    """The store knows it, so that suggestions go on as they would have."""
    store = tmp_path / "run.db"
    with Search(build(seed=None), store) as search:
        first, seed = search.ask(), search.hpo.seed
    alone = build(seed=seed)
    with Search(build(seed=None), store) as search:
        assert search.hpo.seed == seed
        assert [first, search.ask()] == [alone.ask(), alone.ask()]


if __name__ == "__main__":
    CALLS: dict[str, Callable[..., Any]] = {"turn": call_turn, "ask": call_ask, "tell": call_tell, "hold": call_hold}
    print(json.dumps(CALLS[sys.argv[1]](*sys.argv[2:])))
