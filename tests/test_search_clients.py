"""Clients of a search: they may say everything twice, in any process. And runs that a store alone opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autohpo import (
    BaseHPOptimizer,
    ChoiceHP,
    EvaluationsError,
    LogRangeHP,
    NotReady,
    OptimizationComplete,
    OptionError,
    RangeHP,
    RegistryError,
    SpaceError,
    build_hpo_from_name,
    register_hpo,
)
from autohpo.algorithms.registry import _REGISTERED
from autohpo.errors import NoRunError, StoreCorruptError, StoreMismatchError
from autohpo.run_header import run_header
from autohpo.search import Search
from autohpo.store import SQLiteStore, repair
from autohpo.store.base import LogEvent
from autohpo.stored_run import optimizer_of
from autohpo.trial import TrialState

SPACE = [LogRangeHP("lr", 1e-4, 1e-1), RangeHP("hops", 1, 8), ChoiceHP("act", ["relu", None, (1, 2)])]


def build(name: str = "tpe", f: Any = None, **options: Any) -> BaseHPOptimizer:
    """An optimizer, the same one in every process."""
    return build_hpo_from_name(name, SPACE, f, **{"seed": 3, **options})


def value(hp: Any) -> float:
    """What a configuration gives."""
    return -abs(hp["lr"] - 0.01) - abs(hp["hops"] - 3)


def log_of(path: Path) -> list[LogEvent]:
    """The events of a store."""
    store = SQLiteStore(path, read_only=True)
    try:
        return list(store.events())
    finally:
        store.close()


# Ask again.


@pytest.mark.parametrize("store", ["memory:", "run.db"])
def test_a_client_that_asks_again_gets_the_same_suggestion(tmp_path: Path, store: str) -> None:
    """As often as it likes; others get one of their own, and so does it once it has told."""
    with Search(build(), store if ":" in store else tmp_path / store) as search:
        first = search.ask(client_id="a")
        other = search.ask(client_id="b")
        nobody = search.ask()
        again = search.ask(client_id="a")
        assert (again, again.number, again.seed, again.fidelity) == (first, 0, first.seed, first.fidelity)
        assert [one.number for one in (other, nobody)] == [1, 2]
        search.tell(first, 0.5, client_id="a")
        assert search.ask(client_id="a").number == 3
        assert search.ask().number == 4  # without a name each is a new one


def test_a_client_gets_its_suggestion_in_another_process_too(tmp_path: Path) -> None:
    """With its fidelity and its chain: the log has the name, and the algorithm of the new process as well."""
    path = tmp_path / "run.db"
    with Search(build("bohb", max_fidelity=9.0), path) as search:
        asked = search.ask(client_id="a")
        search.ask()
    for _ in range(2):
        with Search(build("bohb", max_fidelity=9.0), path) as search:
            again = search.ask(client_id="a")
            assert (again, again.number, again.fidelity) == (asked, asked.number, asked.fidelity)
            assert search.state.clients == {0: "a"}
            assert search.state.n_asked == 2


@pytest.mark.parametrize("name", ["tpe", "bohb", "asha", "random", "regularized_evolution"])
def test_no_algorithm_sees_who_asks(tmp_path: Path, name: str) -> None:
    """With the names and without them the suggestions are the same, and so is the log but for the names."""
    options = {"max_fidelity": 9.0} if name in ("bohb", "asha") else {}
    logs, told = [], []
    for who in (None, "a"):
        path = tmp_path / f"{who}.db"
        with Search(build(name, **options), path) as search:
            for _ in range(20):
                suggestion = search.ask(client_id=who)
                assert not any("client" in str(note) or note == who for note in suggestion.info)
                search.tell(suggestion, value(suggestion), client_id=who)
            told.append([(trial.hp, trial.fidelity, trial.info) for trial in search.hpo.trials])
        data = [(event.kind, event.trial, dict(event.data)) for event in log_of(path)]
        assert [one[2].pop("client", None) for one in data if one[0] == "ask"] == [who] * 20
        logs.append(data)
    assert logs[0] == logs[1]
    assert told[0] == told[1]


def test_optimize_runs_what_clients_left_behind_and_the_client_is_told_so(tmp_path: Path) -> None:
    """A driver that opens the store takes their trials; whoever tells later is refused, or has said the same."""
    path = tmp_path / "run.db"
    with Search(build(max_evals=6), path) as search:
        asked = [search.ask(client_id=who) for who in "ab"]
    build(f=value, max_evals=6).optimize(store=path, progress=False)
    with Search.load(path) as search:
        assert search.state.n_done == 6
        assert search.state.clients == {0: "a", 1: "b"}
        assert search.tell(0, value(asked[0]), cost=search.state[0].cost, client_id="a").number == 0
        with pytest.raises(EvaluationsError, match="has another result already"):
            search.tell(1, 7.0, client_id="b")
        with pytest.raises(OptimizationComplete):
            search.ask(client_id="a")


def test_a_trial_that_a_driver_left_is_its_clients_again(tmp_path: Path) -> None:
    """A start without an end is no end: the client asks, and tells a new attempt."""
    path = tmp_path / "run.db"
    with Search(build(), path) as search:
        asked = search.ask(client_id="a")
        attempt = search.start(asked.number, 0)
        search.interrupt(asked.number, attempt, TrialState.CANCELLED, "the search ended")
    with Search.load(path) as search:
        assert search.ask(client_id="a").number == asked.number
        assert search.tell(asked, 0.5, client_id="a").attempt == 2


# Tell again.


def test_what_a_client_tells_twice_counts_once(tmp_path: Path) -> None:
    """In the same process and in another one; the log has it once, and the trial is the same."""
    path = tmp_path / "run.db"
    result: dict[str, Any] = {"metrics": {"loss": 2.0}, "constraints": {"size": -1.0}, "cost": 3.5, "client_id": "a"}
    with Search(build(), path) as search:
        done, failed = search.ask(client_id="a"), search.ask(client_id="b")
        trial = search.tell(done, 0.25, **result)
        assert search.tell(done, 0.25, **result) == trial
        assert search.tell(0, 0.25, **result) == trial
        lost = search.fail(failed, "no luck", TrialState.MEMORY, client_id="b")
        assert search.fail(1, "no luck", TrialState.MEMORY, client_id="b") == lost
    n_events = len(log_of(path))
    with Search.load(path) as search:
        assert search.tell(0, 0.25, **result) == trial
        assert search.fail(1, "no luck", TrialState.MEMORY, client_id="b") == lost
        assert (search.state.n_done, search.state.n_failed) == (1, 1)
    assert len(log_of(path)) == n_events == 4


@pytest.mark.parametrize(
    ("again", "text"),
    [
        (lambda s: s.tell(0, 0.5, client_id="a"), "it has another result already: 0.25, and now 0.5 was told"),
        (lambda s: s.tell(0, 0.25, cost=1.0, client_id="a"), r"0.25, and now 0.25 \(cost 1.0\) was told"),
        (lambda s: s.tell(0, 0.25, metrics={"x": 1}, client_id="a"), "another result"),
        (lambda s: s.fail(0, "no", client_id="a"), r"0.25, and now FAILED \('no'\) was told"),
        (lambda s: s.tell(1, 0.25, client_id="b"), r"FAILED \('no'\), and now 0.25 was told"),
        (lambda s: s.fail(1, "yes", client_id="b"), r"FAILED \('no'\), and now FAILED \('yes'\) was told"),
        (lambda s: s.fail(1, "no", TrialState.CRASHED, client_id="b"), "another result"),
        (lambda s: s.tell(0, 0.25, is_stopped=True, client_id="a"), "another result"),
        (lambda s: s.tell(0, 0.25), "has a result already; tell each suggestion once"),
        (lambda s: s.fail(1, "no"), "has a result already"),
        (lambda s: s.tell(0, 0.25, client_id="b"), "client 'a' asked for it, so client 'b' cannot end it"),
        (lambda s: s.tell(2, 0.25, client_id="a"), "client 'c' asked for it, so client 'a' cannot end it"),
        (lambda s: s.fail(3, "no", client_id="a"), "it was asked for without a client_id, so client 'a' cannot"),
        (lambda s: s.report(2, 1, 0.25, client_id="a"), "client 'c' asked for it"),
        (lambda s: s.report(0, 1, 0.25, client_id="a"), "has a result already"),
        (lambda s: s.tell(9, 0.25, client_id="a"), "was not asked for here"),
        (lambda s: s.tell(-1, 0.25, client_id="a"), "was not asked for here"),
    ],
)
def test_what_is_no_repetition_is_refused_and_changes_nothing(tmp_path: Path, again: Any, text: str) -> None:
    """Another value, another client, or no name at all; the text says what was told before."""
    with Search(build(), tmp_path / "run.db") as search:
        for who in ("a", "b", "c", None):
            search.ask(client_id=who)
        search.tell(0, 0.25, client_id="a")
        search.fail(1, "no", client_id="b")
        n_events = len(log_of(tmp_path / "run.db"))
        with pytest.raises(EvaluationsError, match=text):
            again(search)
        assert (search.state.n_done, search.state.n_failed, search.hpo.n_told) == (1, 1, 2)
        assert len(log_of(tmp_path / "run.db")) == n_events


def test_who_gives_no_name_may_end_any_trial(tmp_path: Path) -> None:
    """An operator fails the trial of a client that is gone; the client then gets another one."""
    with Search(build(), tmp_path / "run.db") as search:
        search.ask(client_id="a")
        assert search.fail(0, "its machine is gone").state is TrialState.FAILED
        assert search.ask(client_id="a").number == 1


class StopsSecond(BaseHPOptimizer):
    """Ends a trial at its second report, and counts how often it was asked."""

    n_calls = 0

    def _get_suggestion(self, pid: int) -> Any:
        return self.space.sample(self.rng, 1)[0]

    def _on_report(self, hp: Any, fidelity: float, perf: Any) -> bool:
        type(self).n_calls += 1
        return len(self.history.running[-1].reports) < 2


def test_a_report_that_is_made_twice_counts_once_and_has_the_same_answer(tmp_path: Path) -> None:
    """Also in another process. Another value at the same fidelity, or a step back, is refused."""
    path = tmp_path / "run.db"
    with Search(StopsSecond(SPACE, seed=0), path) as search:
        search.ask(client_id="a")
        assert [search.report(0, 1, 0.5, client_id="a") for _ in range(3)] == [True] * 3
        assert [search.report(0, 2, 0.75, client_id="a") for _ in range(2)] == [False] * 2
    with Search(StopsSecond(SPACE, seed=0), path) as search:
        assert search.report(0, 2, 0.75, client_id="a") is False
        for fidelity, perf in ((2, 0.5), (1, 0.5)):
            with pytest.raises(EvaluationsError, match="it has reported 0.75 at fidelity 2 already"):
                search.report(0, fidelity, perf, client_id="a")
        trial = search.tell(0, 0.75, is_stopped=True, client_id="a")
        assert search.tell(0, 0.75, is_stopped=True, client_id="a") == trial
        assert (trial.state, trial.reports, trial.reached) == (TrialState.STOPPED, ((1, 0.5), (2, 0.75)), 2)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 3, b"a", "\x00"])
def test_a_name_is_a_string_of_a_usual_length(tmp_path: Path, name: Any) -> None:
    """Anything else is refused before anything happens."""
    with Search(build(), tmp_path / "run.db") as search:
        for call in (lambda: search.ask(client_id=name), lambda: search.tell(0, 1.0, client_id=name)):
            with pytest.raises(OptionError, match="client_id: must be a string of 1 to 200 characters"):
                call()
        assert search.state.n_asked == 0


@pytest.mark.parametrize("client", ["", 3, None, ["a"], "x" * 201])
def test_a_log_with_another_kind_of_name_is_damaged(tmp_path: Path, client: Any) -> None:
    """Also where a checksum says that it is as it was written."""
    with Search(build(), tmp_path / "run.db") as search:
        search.ask(client_id="a")
        data = {**log_of(tmp_path / "run.db")[0].data, "client": client}
        search.store.append([LogEvent("ask", 1, 0, data)])
    with pytest.raises(StoreCorruptError, match="client must be a string"):
        Search.load(tmp_path / "run.db").open()


def test_names_survive_a_repair(tmp_path: Path) -> None:
    """Of the trials that do."""
    with Search(build(), tmp_path / "run.db") as search:
        for who in "ab":
            search.ask(client_id=who)
    repair(tmp_path / "run.db", tmp_path / "new.db")
    with Search.load(tmp_path / "new.db") as search:
        assert search.ask(client_id="b").number == 1


ACTS = st.lists(
    st.tuples(st.sampled_from(["ask", "tell", "again", "other", "fail", "reopen"]), st.sampled_from("ab")), max_size=14
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_any_script_of_two_clients_leaves_what_a_model_says(tmp_path: Path, acts: list[tuple[str, str]]) -> None:
    """The model: a dict from client to its pending trial, and one from trial to its end."""
    path = tmp_path / f"{abs(hash(tuple(acts)))}.db"
    path.unlink(missing_ok=True)
    pending: dict[str, int] = {}
    ends: dict[int, float | None] = {}
    last: dict[str, int] = {}
    search = Search(build("random"), path)
    search.open()
    n_asked = 0
    for act, who in acts:
        if act == "ask":
            suggestion = search.ask(client_id=who)
            if who not in pending:
                pending[who], n_asked = n_asked, n_asked + 1
            assert suggestion.number == pending[who]
        elif act == "reopen":
            search.close()
            search = Search.load(path) if n_asked else Search(build("random"), path)
            search.open()
        elif act in ("tell", "fail") and who in pending:
            number = last[who] = pending.pop(who)
            ends[number] = None if act == "fail" else number / 8
            if act == "fail":
                search.fail(number, "no", client_id=who)
            else:
                search.tell(number, number / 8, client_id=who)
        elif act == "again" and who in last:
            number = last[who]
            if ends[number] is None:
                search.fail(number, "no", client_id=who)
            else:
                search.tell(number, ends[number], client_id=who)
        elif act == "other" and who in last:
            with pytest.raises(EvaluationsError, match="another result already"):
                search.tell(last[who], 5.0, client_id=who)
    assert {trial.number: trial.perf for trial in search.state.trials() if trial.state.is_final} == ends
    assert sorted(search.state.running) == sorted(pending.values())
    assert (search.state.n_asked, search.hpo.n_told) == (n_asked, len(ends))
    search.close()
    path.unlink(missing_ok=True)


# A run from its store alone.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tpe", {}),
        ("bayes", {"mode": "min"}),
        ("bohb", {"max_fidelity": 27.0, "eta": 3, "sampler": "tpe"}),
        ("asha", {"max_fidelity": 9, "min_fidelity": 1.0}),
        ("nsga2", {"mode": {"acc": "max", "cost": "min"}}),
        ("motpe", {"mode": ["max", "min"]}),
        ("tpe", {"points": [{"lr": 0.01, "hops": 2, "act": None}, ({"lr": 0.02, "hops": 3, "act": (1, 2)}, 0.5)]}),
        ("auto", {"max_evals": 40}),
    ],
)
def test_a_run_goes_on_from_its_store_alone_as_if_it_had_not_ended(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """Its suggestions are those of a run in one process, with the algorithm, options, space and mode it had."""
    n_objectives = build(name, **options).objectives.n

    def go_on(search: Search, n: int) -> list[Any]:
        found: list[Any] = []
        for _ in range(n):
            try:
                hp = search.ask()
            except NotReady:
                break
            found.append((dict(hp), hp.fidelity))
            search.tell(
                hp,
                value(hp)
                if n_objectives == 1
                else {"acc": value(hp), "cost": hp["lr"]}
                if isinstance(options["mode"], dict)
                else (value(hp), hp["lr"]),
            )
        return found

    with Search(build(name, **options), tmp_path / "whole.db") as search:
        whole = go_on(search, 24)
    with Search(build(name, **options), tmp_path / "run.db") as search:
        parts = go_on(search, 12)
    with Search.load(tmp_path / "run.db") as search:
        assert search.hpo.objectives == build(name, **options).objectives
        parts += go_on(search, 12)
    assert parts == whole


def test_the_budget_of_the_first_call_is_kept_and_may_be_raised(tmp_path: Path) -> None:
    """It is no part of what makes the run this run."""
    path = tmp_path / "run.db"
    with Search(build(max_evals=1), path) as search:
        search.ask()
    with Search.load(path) as search, pytest.raises(OptimizationComplete):
        search.ask()
    with Search.load(path, max_evals=2) as search:
        assert search.ask().number == 1
    assert optimizer_of(path).max_evals == 1
    with Search(build(), tmp_path / "no_limit.db") as search:
        search.ask()
    assert optimizer_of(tmp_path / "no_limit.db").max_evals is None


def test_another_option_is_a_mismatch_and_an_unknown_one_an_error(tmp_path: Path) -> None:
    """The store says what it has."""
    with Search(build(), tmp_path / "run.db") as search:
        search.ask()
    with pytest.raises(StoreMismatchError, match=r"options\.seed: the store has 3, here it is 4"):
        Search.load(tmp_path / "run.db", seed=4).open()
    with pytest.raises(OptionError, match="no_such: tpe has no such option"):
        Search.load(tmp_path / "run.db", no_such=4)


def test_the_objective_can_be_given_to_go_on_with_workers(tmp_path: Path) -> None:
    """The optimizer of the search then has it."""
    with Search(build(max_evals=4), tmp_path / "run.db") as search:
        search.ask()
    hpo = Search.load(tmp_path / "run.db", value).hpo
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    assert hpo.result.counts() == {"COMPLETE": 4}


def test_what_cannot_be_loaded_is_said_with_its_type(tmp_path: Path) -> None:
    """No store, no run, values of a program, classes without a name, plug-ins that are not there."""
    with pytest.raises(NoRunError, match="does not exist"):
        Search.load(tmp_path / "no.db")
    with pytest.raises(NoRunError, match="holds no run to load"):
        Search.load("memory:")
    empty = SQLiteStore(tmp_path / "empty.db")
    empty.open()
    empty.close()
    with pytest.raises(NoRunError, match="holds no run yet"):
        Search.load(tmp_path / "empty.db")

    class Odd:
        def __repr__(self) -> str:
            return "odd"

    space = [ChoiceHP("c", [Odd(), 1])]
    with Search(build_hpo_from_name("random", space, seed=0), tmp_path / "odd.db") as search:
        asked = search.ask()
    with pytest.raises(SpaceError, match="values that only the program that made it knows"):
        Search.load(tmp_path / "odd.db")
    with Search.load(tmp_path / "odd.db", space=space) as search:
        assert search.tell(0, 1.0).hp == asked

    with Search(StopsSecond(SPACE, seed=0), tmp_path / "own.db") as search:
        search.ask()
    with pytest.raises(RegistryError, match="is of a class that is not registered.*StopsSecond: build it in code"):
        Search.load(tmp_path / "own.db")

    with pytest.raises(RegistryError, match="'gone', which is not installed here"):
        Search.load(store_with(tmp_path / "gone.db", algorithm="gone"))
    with pytest.raises(StoreCorruptError, match="names no algorithm"):
        Search.load(store_with(tmp_path / "none.db", algorithm=None))


def store_with(path: Path, **changes: Any) -> Path:
    """A store with the header of a run, but for what is changed; None leaves a part out."""
    header = {**run_header(build(), None), "name": "", **changes}
    store = SQLiteStore(path)
    store.open()
    store.begin({name: part for name, part in header.items() if part is not None})
    store.close()
    return path


def test_an_option_that_only_a_program_knows_must_be_given(tmp_path: Path) -> None:
    """Such as a function that an algorithm of the user's calls."""
    name = "asks_a_function"

    @register_hpo(name)
    @dataclass(eq=False, kw_only=True)
    class AsksFunction(BaseHPOptimizer):
        draw: Any = None

        def _get_suggestion(self, pid: int) -> Any:
            return self.draw(self)

    def draw(hpo: Any) -> Any:
        return hpo.space.sample(hpo.rng, 1)[0]

    with Search(build(name, draw=draw), tmp_path / "run.db") as search:
        asked = search.ask(client_id="a")
    with pytest.raises(OptionError, match="draw: .*cannot be read back; give draw= as it was"):
        Search.load(tmp_path / "run.db")
    with Search.load(tmp_path / "run.db", draw=draw) as search:
        assert search.ask(client_id="a") == asked
    _REGISTERED.pop(name)


def test_a_store_without_the_budget_is_one_of_an_older_release(tmp_path: Path) -> None:
    """It goes on, without a limit, and with nothing to complain of."""
    with Search.load(store_with(tmp_path / "run.db", budget=None)) as search:
        assert search.hpo.max_evals is None
        assert search.ask().number == 0
