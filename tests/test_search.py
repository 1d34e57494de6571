"""Search: ask, tell, report and fail, with everything in the log first; and beside optimize."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, EvaluationsError, OptionError, RangeHP, StoreError, build_hpo_from_name
from autohpo.errors import OptimizationComplete, StoreMismatchError
from autohpo.search import Search
from autohpo.store import SQLiteStore
from autohpo.trial import Suggestion, TrialState

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("hops", 1, 8), ChoiceHP("act", ["relu", None])]
OPTIONS: dict[str, dict[str, Any]] = {"bohb": {"max_fidelity": 9.0}, "nsga2": {"mode": {"acc": "max", "cost": "min"}}}


def build(name: str = "tpe", f: Any = None, **options: Any) -> BaseHPOptimizer:
    """An optimizer, the same one in every process."""
    return build_hpo_from_name(name, SPACE, f, **{"seed": 3, **OPTIONS.get(name, {}), **options})


def value(suggestion: Any) -> float:
    """What a configuration gives."""
    return -((suggestion["x"] - 0.3) ** 2) - abs(suggestion["hops"] - 3)


# Log first.


def log_of(path: Path) -> list[tuple[str, int]]:
    """What another process would find if this one died now."""
    store = SQLiteStore(path, read_only=True)
    try:
        return [(event.kind, event.trial) for event in store.events()]
    finally:
        store.close()


class Looks(BaseHPOptimizer):
    """Reads the log while it is told."""

    path: Path

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]

    def _update_trials(self, pid, hp, perf):
        self.seen = log_of(self.path)


def test_a_suggestion_is_on_disk_when_ask_returns_and_a_result_before_the_hook_hears_of_it(tmp_path: Path) -> None:
    """And so is a failure, when `fail` returns."""
    hpo = Looks(SPACE, seed=0)
    hpo.path = tmp_path / "run.db"
    with Search(hpo, hpo.path) as search:
        first, second = search.ask(), search.ask()
        assert log_of(hpo.path) == [("ask", 0), ("ask", 1)]
        search.tell(second, 0.5)
        assert hpo.seen == [("ask", 0), ("ask", 1), ("end", 1)]
        search.fail(first, "no luck")
        assert log_of(hpo.path)[-1] == ("end", 0)


def test_an_ask_in_vain_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither in the log nor in the state."""
    store = tmp_path / "run.db"
    with Search(build(max_evals=1), store) as search:
        search.ask()
        for _ in range(2):
            with pytest.raises(OptimizationComplete):
                search.ask()
        assert (search.state.n_asked, log_of(store)) == (1, [("ask", 0)])
    with Search(build(max_evals=2), store) as search:  # the budget may grow
        assert search.ask().number == 1


def test_points_whose_results_are_known_are_in_the_log_once(tmp_path: Path) -> None:
    """Before the first suggestion, whichever process makes it."""
    hp = {"x": 0.5, "hops": 2, "act": None}
    for n in (2, 3):
        with Search(build(points=[(hp, 0.75)]), tmp_path / "run.db") as search:
            search.ask()
            assert (search.state.n_known, search.state.n_asked) == (1, n)
            assert search.state.best is not None
            assert (search.state.best.hp, search.state.best.perf) == (hp, 0.75)
    assert log_of(tmp_path / "run.db") == [("ask", 0), ("end", 0), ("ask", 1), ("ask", 2)]


# Tell, report and fail.


@pytest.mark.parametrize("store", [None, "run.db", "memory:"])
def test_a_result_is_told_with_the_suggestion_or_by_its_number(tmp_path: Path, store: str | None) -> None:
    """In a file or in memory; a number may be numpy's. What was told is returned as a trial."""
    with Search(build(), None if store is None else store if ":" in store else tmp_path / store) as search:
        suggestions = [search.ask() for _ in range(4)]
        trials = [
            search.tell(suggestions[2], 0.5, cost=2.0),
            search.tell(0, {"perf": 0.75, "loss": 1.0}),
            search.tell(np.int64(3), 0.25, constraints={"memory": 1.0}),
        ]
        assert [(trial.number, trial.perf, trial.cost) for trial in trials] == [
            (2, 0.5, 2.0),
            (0, 0.75, None),
            (3, 0.25, None),
        ]
        assert [trial.hp for trial in trials] == [suggestions[2], suggestions[0], suggestions[3]]
        assert (dict(trials[1].metrics), dict(trials[2].constraints)) == ({"loss": 1.0}, {"memory": 1.0})
        assert [trial.number for trial in search.hpo.trials] == [2, 0, 3]
        assert search.state.best is not None
        assert search.state.best.number == 0
        assert list(search.state.running) == [1]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda s, done, running: s.tell(done, 0.5), "trial 0: suggestion 0 has a result already"),
        (lambda s, done, running: s.tell(0, 0.5), "trial 0: suggestion 0 has a result already"),
        (lambda s, done, running: s.report(done, 1, 0.5), "suggestion 0 has a result already"),
        (lambda s, done, running: s.fail(0, "late"), "suggestion 0 has a result already"),
        (lambda s, done, running: s.tell(2, 0.5), "trial 2: suggestion 2 was not asked for here"),
        (lambda s, done, running: s.tell(-1, 0.5), "suggestion -1 was not asked for here"),
        (lambda s, done, running: s.tell("1", 0.5), "must be one that ask() returned, got str"),
        (lambda s, done, running: s.tell(True, 0.5), "must be one that ask() returned, got bool"),
        (lambda s, done, running: s.tell(Suggestion(done, number=1), 0.5), "trial 1 was asked with"),
        (lambda s, done, running: s.tell(build(seed=9).ask(), 0.5), "has a result already"),
        (lambda s, done, running: s.tell(running, math.nan), "trial 1: the objective's result must be finite, got nan"),
        (lambda s, done, running: s.tell(1, None), "trial 1: the objective's result must be one number"),
        (lambda s, done, running: s.tell(1, 0.5, cost=-1), "cost: must be at least 0"),
        (lambda s, done, running: s.tell(1, 0.5, constraints={"c": "high"}), "one number"),
        (lambda s, done, running: s.report(running, 1, None), "must be one number"),
        (lambda s, done, running: s.report(1, math.nan, 0.5), "fidelity: must be a finite number of at least 0"),
        (lambda s, done, running: s.report(1, -1, 0.5), "fidelity: must be a finite number of at least 0"),
        (lambda s, done, running: s.report(1, "2", 0.5), "fidelity: must be a finite number of at least 0"),
    ],
)
def test_what_is_refused_is_named_and_changes_nothing(tmp_path: Path, act: Callable[..., Any], text: str) -> None:
    """Neither the log nor the optimizer; the trial goes on running, and its result is taken."""
    with Search(build(), tmp_path / "run.db") as search:
        done, running = search.ask(), search.ask()
        search.tell(done, 0.25)
        before = log_of(tmp_path / "run.db")
        with pytest.raises(EvaluationsError) as caught:
            act(search, done, running)
        assert text in str(caught.value)
        search.save()
        assert log_of(tmp_path / "run.db") == before
        assert (search.hpo.n_told, search.hpo.running) == (1, [running])
        search.tell(running, 0.5)
        assert [trial.perf for trial in search.state.trials()] == [0.25, 0.5]


@pytest.mark.parametrize("state", ["FAILED", None, TrialState.COMPLETE, TrialState.RUNNING, TrialState.LOST])
def test_a_failure_ends_in_a_state_of_failures(state: Any) -> None:
    """Others are no end of a failed trial."""
    with Search(build()) as search:
        suggestion = search.ask()
        with pytest.raises(OptionError, match="state: must be the end of a failed trial"):
            search.fail(suggestion, "no luck", state)
        trial = search.fail(suggestion, "no luck", TrialState.TIMEOUT)
        assert (trial.state, trial.error, trial.perf) == (TrialState.TIMEOUT, "no luck", None)
        assert (search.state.n_failed, search.state.best) == (1, None)


class StopsTheWorse(BaseHPOptimizer):
    """Ends a trial that reports less than the best result so far, whatever the mode."""

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]

    def _on_report(self, hp, fidelity, perf):
        scores = [trial.score for trial in self.trials if trial.score is not None]
        return not scores or perf >= max(scores)


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_reports_are_answered_by_the_hook_and_known_in_the_next_process(tmp_path: Path, mode: str, sign: int) -> None:
    """The user's own values are in the log; the trial that is stopped has what it came to."""
    store = tmp_path / "run.db"
    with Search(StopsTheWorse(SPACE, seed=0, mode=mode), store) as search:
        search.tell(search.ask(), sign * 0.5)
        first, second = search.ask(), search.ask()
        assert search.report(first, 1, sign * 0.75) is True
        assert search.report(second.number, np.int64(1), np.float64(sign * 0.25)) is False
    with Search(StopsTheWorse(SPACE, seed=0, mode=mode), store) as search:
        reports = [running.reports for running in search.hpo.history.running]
        assert reports == [[(1.0, sign * 0.75)], [(1.0, sign * 0.25)]]
        assert [running.curve for running in search.hpo.history.running] == [((1.0, 0.75),), ((1.0, 0.25),)]
        trial = search.tell(2, sign * 0.25, is_stopped=True)
        assert (trial.state, trial.reached, trial.perf) == (TrialState.STOPPED, 1.0, sign * 0.25)
        assert search.report(1, 2, sign * 0.875) is True
        assert search.report(1, 2, sign * 0.125) is False
        assert search.tell(1, sign * 0.875).reports == ((1.0, sign * 0.75), (2.0, sign * 0.875), (2.0, sign * 0.125))


def test_a_report_of_several_objectives_has_all_of_them() -> None:
    """One number for several is refused; a value of each is kept."""
    with Search(build("nsga2")) as search:
        suggestion = search.ask()
        with pytest.raises(EvaluationsError, match="must have 2 numbers"):
            search.report(suggestion, 1, 0.5)
        assert search.report(suggestion, 1, (0.5, 2))
        assert search.state.running[0].reports == [(1, (0.5, 2.0))]


def test_threads_may_share_a_search(tmp_path: Path) -> None:
    """Every suggestion and every result is in the log once, though the store was opened in another thread."""
    errors = []

    def work() -> None:
        try:
            for _ in range(10):
                suggestion = search.ask()
                search.report(suggestion, 1, 0.5)
                search.tell(suggestion, value(suggestion))
        except BaseException as error:
            errors.append(error)

    with Search(build("random"), tmp_path / "run.db") as search:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    with Search(build("random"), tmp_path / "run.db") as search:
        trials = search.state.trials()
        assert [trial.number for trial in trials] == list(range(80))
        assert all(trial.perf == value(trial.hp) and trial.reports == ((1.0, 0.5),) for trial in trials)


# In memory.


def test_a_search_in_memory_is_that_of_the_optimizer() -> None:
    """It goes on where it was, also in `optimize`, and leaves no file."""
    hpo = build("random", value, max_evals=6)
    with Search(hpo) as search:
        search.tell(search.ask(), 9.0)
    with Search(hpo) as search:
        assert search.state.n_done == 1
        search.tell(search.ask(), 8.0)
    best_hp, best_perf = hpo.optimize(progress=False)
    assert (best_perf, [trial.perf for trial in hpo.result][:2]) == (9.0, [9.0, 8.0])
    assert len(hpo.result) == 6
    assert best_hp == dict(hpo.result.trials[0].hp)


def test_a_history_made_without_the_search_is_refused() -> None:
    """It would be missing in the log."""
    hpo = build()
    hpo.tell(hpo.ask(), 0.5)
    with pytest.raises(OptionError, match="build a new one"):
        Search(hpo)
    hpo = build()
    search = Search(hpo)
    hpo.ask()
    with pytest.raises(OptionError, match="different histories"):
        search.open()


# With optimize.


@pytest.mark.parametrize("name", ["random", "tpe"])
@pytest.mark.parametrize("turns", ["so", "os", "soso"])
def test_search_and_optimize_go_on_with_each_others_runs(tmp_path: Path, name: str, turns: str) -> None:
    """Three trials each in turn: the run is that of optimize alone."""
    store = tmp_path / "run.db"
    for n, who in enumerate(turns, start=1):
        hpo = build(name, value, max_evals=3 * n)
        if who == "o":
            hpo.optimize(store=store, progress=False)
        else:
            with Search(hpo, store) as search:
                for _ in range(3):
                    search.tell(suggestion := search.ask(), value(suggestion))
    alone = build(name, value, max_evals=3 * len(turns))
    alone.optimize(progress=False)
    with Search(build(name), store) as search:
        trials = search.state.trials()
    assert [(t.number, t.hp, t.perf, t.seed) for t in trials] == [
        (t.number, t.hp, t.perf, t.seed) for t in alone.result
    ]


@pytest.mark.filterwarnings("ignore:store. .* f .* has changed:autohpo.errors.StoreWarning")
def test_what_optimize_left_running_is_told_by_its_number_and_not_run_again(tmp_path: Path) -> None:
    """A trial that was interrupted is begun anew by whoever tells it."""
    store = tmp_path / "run.db"

    def interrupted(hps: Any, trial: Any) -> float:
        if trial.number == 2:
            raise KeyboardInterrupt
        return value(hps)

    with pytest.raises(KeyboardInterrupt):
        build("random", interrupted, max_evals=5).optimize(store=store, progress=False)
    with Search(build("random"), store) as search:
        assert list(search.state.running) == [2]
        assert search.report(2, 1, 0.125) is True
        trial = search.tell(2, 0.25)
        assert (trial.state, trial.perf, trial.attempt, trial.reports) == (
            TrialState.COMPLETE,
            0.25,
            2,
            ((1.0, 0.125),),
        )
    numbers = []
    hpo = build("random", lambda hps, trial: numbers.append(trial.number) or value(hps), max_evals=5)
    hpo.optimize(store=store, progress=False)
    assert numbers == [3, 4]
    assert [t.state for t in hpo.result] == [TrialState.COMPLETE] * 5


def test_what_a_search_asked_for_and_nobody_told_is_run_by_optimize(tmp_path: Path) -> None:
    """First of all, in the order asked."""
    store = tmp_path / "run.db"
    with Search(build("random"), store) as search:
        asked = [search.ask(), search.ask()]
    seen: list[dict[str, Any]] = []
    build("random", lambda hps: seen.append(hps) or value(hps), max_evals=3).optimize(store=store, progress=False)
    assert seen[:2] == asked
    assert len(seen) == 3


def test_optimize_goes_on_with_a_search_only_if_its_objective_takes_what_was_suggested(tmp_path: Path) -> None:
    """Trials of bohb have a fidelity; an objective that takes none makes another run of it."""
    store = tmp_path / "run.db"
    with Search(build("bohb"), store) as search:
        assert search.ask().fidelity == 1.0
    with pytest.raises(StoreMismatchError, match="objective: the store has nothing, here it is"):
        build("bohb", lambda hps: 1.0).optimize(store=store, progress=False)
    hpo = build("bohb", lambda hps, fidelity: fidelity, max_evals=4)
    hpo.optimize(store=store, progress=False)
    assert [trial.perf for trial in hpo.result] == [trial.fidelity for trial in hpo.result]


@pytest.mark.filterwarnings("ignore:bohb")
def test_a_search_goes_on_in_full_where_the_objective_of_optimize_took_no_fidelity(tmp_path: Path) -> None:
    """Its suggestions are those that optimize would have made."""
    with pytest.warns(UserWarning, match="fidelity"):
        build("bohb", value, max_evals=3).optimize(store=tmp_path / "run.db", progress=False)
    with Search(build("bohb"), tmp_path / "run.db") as search:
        assert search.ask().fidelity is None


def test_a_store_of_another_run_is_refused_and_left_free(tmp_path: Path) -> None:
    """The error says what differs, and the next one may have it."""
    store = tmp_path / "run.db"
    with Search(build(), store) as search:
        search.ask()
    with pytest.raises(StoreMismatchError, match=r"options\.seed: the store has 3, here it is 4"):
        Search(build(seed=4), store).open()
    with Search(build(), store, name="a name is no part of what a run is") as search:
        assert search.ask().number == 1


def test_a_search_that_is_closed_takes_nothing(tmp_path: Path) -> None:
    """Before it is opened and after it was closed; closing twice is once."""
    search = Search(build(), tmp_path / "run.db")
    search.close()
    for act in (search.ask, lambda: search.tell(0, 0.5), lambda: search.report(0, 1, 0.5), lambda: search.fail(0, "")):
        with pytest.raises(StoreError, match="search: must be open"):
            act()
    with search:
        search.ask()
    search.close()
    with pytest.raises(StoreError, match="search: must be open"):
        search.tell(0, 0.5)


def test_a_clock_that_is_set_while_a_search_runs_changes_no_duration(monkeypatch):
    """An hour back between start and end: the trial did not take less than nothing."""
    with Search(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0)) as search:
        began = time.time()
        suggestion = search.propose()
        search.start(0, 0)
        monkeypatch.setattr(time, "time", lambda: began - 3600.0)
        search.tell(suggestion, 1.0)
    trial = search.state[0]
    assert 0 <= trial.seconds < 10
    assert abs(trial.started - began) < 10
