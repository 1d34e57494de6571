"""Warm start: what a search takes over from earlier ones."""

from __future__ import annotations

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, build_hpo_from_name
from autohpo.errors import OptionError, SpaceError, StoreError

WIDE = [RangeHP("x", 0.0, 2.0), ChoiceHP("act", ["relu", "tanh"])]


def f(hp):
    """Best at x = .5."""
    return -((hp["x"] - 0.5) ** 2)


def search(space, n, **options):
    """A finished search of n trials."""
    hpo = build_hpo_from_name("random", space, f, max_evals=n, seed=options.pop("seed", 0))
    hpo.optimize(progress=False, **options)
    return hpo


def known(result):
    """Trials of a result that were brought along."""
    return [trial for trial in result if "known" in trial.info]


@pytest.mark.parametrize("kind", ["path", "result"])
def test_earlier_trials_are_known_and_cost_nothing(tmp_path, kind):
    """Six trials of a store, or of a Result, come before four new ones."""
    store = tmp_path / "first.db"
    first = search(WIDE, 6, store=store)
    second = search(WIDE, 4, seed=1, warm_start=[store if kind == "path" else first.result])
    assert [(t.hp, t.perf) for t in known(second.result)] == [(t.hp, t.perf) for t in first.result]
    assert len(second.result) == 10
    assert second.result.best.perf >= first.result.best.perf


def test_choices_come_back_as_the_objects_of_the_new_space(tmp_path):
    """A configuration of the store holds the new space's own values."""
    store = tmp_path / "first.db"
    search([ChoiceHP("act", [(1, 2), (3, 4)]), RangeHP("x", 0.0, 1.0)], 5, store=store)
    act = ChoiceHP("act", [(3, 4), (1, 2)])
    second = search([act, RangeHP("x", 0.0, 1.0)], 1, seed=1, warm_start=store)
    assert len(known(second.result)) == 5
    for trial in (*second.result, *second.trials):  # as the log has them, and as the algorithm saw them
        assert any(trial.hp["act"] is one for one in act.choices)


def test_a_store_with_functions_among_its_choices_is_read_with_their_space(tmp_path):
    """The store has their names only: a warm start has the space at hand, a reader gives it."""
    space = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", [lambda x: x, lambda x: -x])]
    path = tmp_path / "run.db"
    build_hpo_from_name("random", space, lambda hp: hp["act"](hp["x"]), max_evals=5, seed=0).optimize(
        progress=False, store=path
    )
    assert all(trial.hp["act"](trial.hp["x"]) == trial.perf for trial in Result.load(path, space))
    with pytest.raises(SpaceError, match="give it as space="):
        Result.load(path)
    hpo = build_hpo_from_name("random", space, lambda hp: hp["act"](hp["x"]), max_evals=2, seed=1)
    hpo.optimize(progress=False, warm_start=path)
    assert max(trial.perf for trial in Result.load(path, space)) <= hpo.best()[1]
    other = build_hpo_from_name("random", [space[0], ChoiceHP("act", [abs, float])], len, max_evals=2)
    with pytest.raises(OptionError, match="cannot be read back"):
        other.optimize(progress=False, warm_start=path)


def test_in_another_space_legal_trials_are_known_and_the_best_others_are_tried_first():
    """The new space ends at x = 1 and has a learning rate: no earlier trial has one, so five are tried first."""
    first = search(WIDE, 20)
    space = [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1e-2)]
    second = search(space, 7, seed=1, warm_start=first.result)
    assert known(second.result) == []
    tried = [trial for trial in second.result if "point" in trial.info]
    best = [trial.hp["x"] for trial in first.result.top(20) if trial.hp["x"] <= 1][:5]
    assert [trial.hp["x"] for trial in tried] == best
    assert {round(trial.hp["lr"], 9) for trial in tried} == {0.001}  # the middle of its scale


def test_a_resumed_search_keeps_what_it_brought_along(tmp_path):
    """The earlier store may be gone or grown: the log of this search has the truth."""
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    search(WIDE, 3, store=first)
    search(WIDE, 2, seed=1, store=second, warm_start=first)
    first.unlink()
    again = search(WIDE, 5, seed=1, store=second, warm_start=first)
    assert (len(known(again.result)), len(again.result)) == (3, 3 + 5)


def test_a_killed_start_brings_the_same_along(tmp_path):
    """A store that was begun, but has no trial yet, holds the earlier results in its header."""
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    search(WIDE, 3, store=first)

    def stop(hp):
        raise KeyboardInterrupt

    hpo = build_hpo_from_name("random", WIDE, stop, max_evals=2, seed=1)
    with pytest.raises(KeyboardInterrupt):
        hpo.optimize(store=second, warm_start=first, progress=False)
    first.unlink()
    again = search(WIDE, 2, seed=1, store=second)
    assert len(known(again.result)) == 3


def test_wrong_sources_are_named(tmp_path):
    """Another mode, no store, no path at all."""
    first = search(WIDE, 2)
    hpo = build_hpo_from_name("random", WIDE, f, mode="min", max_evals=1)
    with pytest.raises(OptionError, match="mode must be that of this search"):
        hpo.optimize(warm_start=first.result)
    with pytest.raises(OptionError, match="must be paths of stores or results, got int 3"):
        search(WIDE, 1, warm_start=[3])
    with pytest.raises(StoreError):
        search(WIDE, 1, warm_start=tmp_path / "missing.db")
