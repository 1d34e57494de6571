"""Replay: an optimizer follows a log to the same history, whether or not anybody hears of its events."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from autohpo import BaseHPOptimizer, LogRangeHP, RangeHP, Search, Suggestion, build_hpo_from_name
from autohpo.algorithms.session import session_of
from autohpo.replay import is_heard, replay
from autohpo.store import MemoryStore, RunState

SPACE = [RangeHP("x", 0.0, 1.0), LogRangeHP("y", 1e-3, 1.0)]


class Steps(BaseHPOptimizer):
    """Suggests fixed configurations, some of which resume an earlier one."""

    def _get_suggestion(self, pid: int) -> Suggestion:
        number = self.number
        if number % 4 == 3:
            source = self.history[number - 3]
            return Suggestion(source.hp, fidelity=2, resume=source.number, info={"rung": 1})
        return Suggestion({"x": number / 50, "y": 0.5}, fidelity=1)


class Hearing(Steps):
    """The same, and it hears of results and reports."""

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self.heard: list[Any] = []

    def _update_trials(self, pid: int, hp: Suggestion, perf: float) -> None:
        self.heard.append((hp.number, perf))

    def _on_report(self, hp: Suggestion, fidelity: float, perf: float) -> bool:
        self.heard.append((hp.number, fidelity, perf))
        return True


def log_of_some_trials() -> MemoryStore:
    """A log with results out of order, failures, and trials that have reported and not ended."""
    store = MemoryStore()
    with Search(Steps(SPACE, seed=0, mode="min"), store) as search:
        for number in range(0, 40, 4):
            three = [search.ask(pid) for pid in range(3)]
            search.report(three[1], 0.5, 1.0)
            for suggestion in (three[2], three[0]):
                search.tell(suggestion, float(suggestion.number), constraints={"c": -1.0})
            search.tell(search.ask(), number / 7)
            if number < 30:
                search.fail(three[1], "no result")
    return store


def shape(hpo: BaseHPOptimizer, state: RunState) -> tuple[Any, ...]:
    """All that an optimizer and a state know of a log."""
    history = session_of(hpo).history
    running = [(one.number, dict(one.hp), one.fidelity, one.resume, one.reports) for one in history.running]
    chains = [(history.root(number), history.leaf(number)) for number in range(history.n_asked)]
    trials = [history.get(number) for number in range(history.n_asked)]
    numbers = history.n_asked, history.n_told, hpo.number, state.n_done, state.n_failed
    return list(history.trials), trials, list(history.costs), running, chains, numbers, state.trials()


@pytest.mark.filterwarnings("ignore:.*does not look at constraints")
def test_a_history_is_the_same_whether_or_not_a_hook_hears_of_it() -> None:
    """Trials, running ones with their reports, chains and counts."""
    store, found = log_of_some_trials(), []
    for kind in (Steps, Hearing):
        hpo = kind(SPACE, seed=0, mode="min")
        state = RunState(hpo.space, hpo.objectives)
        assert is_heard(hpo) is (kind is Hearing)
        replay(store, state, hpo, None)
        found.append(shape(hpo, state))
    assert found[0] == found[1]
    assert [one[0] for one in found[0][3]] == [33, 37]
    assert all(reports == [(0.5, 1.0)] for *_, reports in found[0][3])


def test_a_result_with_constraints_is_warned_of_where_no_hook_hears() -> None:
    """An algorithm that looks at none of them says so on a resume, too."""
    hpo = Steps(SPACE, seed=0, mode="min")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = log_of_some_trials()
    with pytest.warns(UserWarning, match="does not look at constraints"):
        replay(store, RunState(hpo.space, hpo.objectives), hpo, None)


def test_an_optimizer_goes_on_where_the_log_ends() -> None:
    """The next suggestion is that of the search that was not interrupted."""
    store, hpo = MemoryStore(), build_hpo_from_name("random", SPACE, seed=3)
    with Search(hpo, store) as search:
        for _ in range(5):
            search.tell(search.ask(), 1.0)
        expected = search.hpo.ask()
    again = build_hpo_from_name("random", SPACE, seed=3)
    replay(store, RunState(again.space, again.objectives), again, None)
    found = again.ask()
    assert (found, found.number, found.seed) == (expected, 5, expected.seed)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_search_returns_the_best_of_all_trials(mode: str) -> None:
    """It is known from the log; ``best`` looks at the trials. Of equals it is the first."""

    def f(hps: dict[str, Any]) -> float:
        return round(hps["x"] * 4) / 4 - 0.5

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=40, seed=0, mode=mode)
    assert hpo.optimize(progress=False) == hpo.best()


def test_an_algorithm_that_says_itself_what_is_best_is_asked() -> None:
    """Also where the log knows a better one."""

    class Own(Steps):
        def _best_hp(self) -> tuple[dict[str, Any], float]:
            return {"x": 0.25, "y": 0.5}, 7.0

    hpo = Own(SPACE, lambda hps: float(hps["x"]), max_evals=3, seed=0)
    assert hpo.optimize(progress=False) == ({"x": 0.25, "y": 0.5}, 7.0)
