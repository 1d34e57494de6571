"""Points and warm starts in searches with fidelities: a result stands for the training that it was measured after."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autohpo import OptionError, Point, RangeHP, Result, Search, build_hpo_from_name
from autohpo.algorithms.parts.points import checked_points
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.store import MemoryStore

SPACE = [RangeHP("x", 0.0, 1.0)]
RUNGS = {"min_fidelity": 1, "max_fidelity": 9, "seed": 0}
BAD = {"x": 0.9}


def epochs(hps):
    """Best at x = .3, and better with every epoch."""
    for epoch in range(1, 10):
        yield -((hps["x"] - 0.3) ** 2) - 0.01 * (9 - epoch)


def built(name, **options):
    """An optimizer with rungs 1, 3 and 9."""
    rungs = {"shares": (1 / 9, 1 / 3), "max_fidelity": 9, "n_small": 4, "seed": 0} if name == "autone" else RUNGS
    return build_hpo_from_name(name, SPACE, epochs, **{**rungs, **options})


def known(trials):
    """Fidelity, perf and source of what was known."""
    return [(trial.fidelity, trial.perf, trial.resume) for trial in trials if "known" in trial.info]


@pytest.mark.parametrize("name", ["bohb", "hyperband", "asha", "autone", "auto"])
def test_a_known_result_is_one_of_a_full_evaluation_and_no_more(tmp_path, name):
    """A bad one is beaten by the first better full training, in this process and when the store is read."""
    hpo = built(name, points=[(BAD, -5.0)], max_evals=16)
    _, perf = hpo.optimize(progress=False, store=tmp_path / "run.db")
    assert perf > -0.4
    assert known(hpo.result) == known(hpo.trials) == known(Result.load(tmp_path / "run.db")) == [(9, -5.0, None)]
    assert Result.load(tmp_path / "run.db").best.perf == perf


def test_a_known_result_may_be_of_a_short_training():
    """At fidelity 3 it competes with those at 3; a configuration known at several is one chain."""
    points = [Point(BAD, -1.0, fidelity=1), Point(BAD, -0.5, fidelity=3.0), (BAD, 7.0, 1), Point(BAD, -0.4, "full")]
    hpo = built("bohb", points=points)
    hpo.ask()
    assert known(hpo.trials) == [(1, -1.0, None), (3, -0.5, 0), (1, 7.0, None), (9, -0.4, 2)]
    assert [trial.number for trial in hpo.history.at(3).trials] == [1]
    assert type(hpo.trials[1].fidelity) is int
    assert hpo.best()[1] == -0.4


def test_a_search_with_known_results_is_resumed(tmp_path):
    """Points are a part of the header, however they were given; the log has their fidelities."""
    for max_evals in (6, 13):
        hpo = built(
            "bohb", points=[Point(BAD, -1.0, fidelity=3), Point({"x": 0.2}, fidelity="full")], max_evals=max_evals
        )
        hpo.optimize(progress=False, store=tmp_path / "run.db")
    assert known(hpo.result) == [(3, -1.0, None)]
    assert [trial.fidelity for trial in hpo.result if trial.hp == {"x": 0.2} and trial.resume is None] == [1, 9]
    assert len(hpo.result) == 1 + 13


@pytest.mark.parametrize("name", ["bohb", "asha", "pbt", "auto"])
def test_a_point_starts_at_the_lowest_rung_and_is_run_in_full_where_that_is_wanted(name):
    """Two suggestions for one point, in the order of the points; the second is no part of any rung."""
    options = {"interval": 1, "max_fidelity": 9, "seed": 0, "population_size": 4} if name == "pbt" else RUNGS
    points = [{"x": 0.1}, Point({"x": 0.2}, fidelity="full"), Point({"x": 0.3})]
    hpo = build_hpo_from_name(name, SPACE, points=points, **options)
    asked = [hpo.ask() for _ in range(5)]
    assert [(s["x"], s.fidelity) for s in asked[:4]] == [(0.1, 1), (0.2, 1), (0.2, 9), (0.3, 1)]
    assert "rung" not in asked[2].info
    assert not {"point", "point_in_full"} & {*asked[4].info}
    again = build_hpo_from_name(name, SPACE, points=points, **options)
    for suggestion in asked[:2]:
        again.adopt(suggestion)
    assert [(again.ask(), s) for s in asked[2:]] == [(s, s) for s in asked[2:]]


@pytest.mark.parametrize("name", ["tpe", "autone"])
def test_a_point_that_starts_in_full_is_run_once(name):
    """Nothing is to be added there."""
    hpo = build_hpo_from_name(name, SPACE, points=[Point({"x": 0.2}, fidelity="full")], seed=0)
    asked = [hpo.ask() for _ in range(2)]
    assert [suggestion["x"] == 0.2 for suggestion in asked] == [True, False]


def test_auto_lets_points_start_where_bohb_does():
    """A point to try must not be trained in full, and so displace every other trial."""
    hpo = built("auto", points=[BAD], max_evals=14)
    hpo.optimize(progress=False)
    assert (hpo.result.trials[0].hp, hpo.result.trials[0].fidelity) == (BAD, 1)
    assert hpo.result.best.perf > -0.05


@pytest.mark.parametrize(
    ("point", "text"),
    [
        (Point(BAD, fidelity=3), "without a result the fidelity must be 'full'"),
        (Point(BAD, 1.0, fidelity=0), "positive finite number or 'full', got int 0"),
        (Point(BAD, 1.0, fidelity="all"), "positive finite number or 'full'"),
        ((BAD, 1.0, math.inf), "positive finite number or 'full'"),
        ((BAD, 1.0, True), "positive finite number or 'full'"),
        (Point(BAD, math.nan), "must be finite"),
    ],
    ids=str,
)
def test_a_fidelity_that_is_none_is_refused(point, text):
    """The error names the point and the rule."""
    with pytest.raises(OptionError, match=r"points\[0\]: .*" + text):
        checked_points([point], SearchSpace(SPACE), Objectives.of("max"))


@pytest.mark.parametrize(
    ("name", "text"), [("tpe", "runs every trial in full, got 3"), ("asha", "at most max_fidelity, 2")]
)
def test_a_result_that_a_search_cannot_place_is_refused(name, text):
    """Less than all in a search without fidelities, more than all in one with them."""
    options = {} if name == "tpe" else {"max_fidelity": 2}
    hpo = build_hpo_from_name(name, SPACE, lambda hps, fidelity: 1.0, points=[Point(BAD, 1.0, 3)], **options)
    with pytest.raises(OptionError, match=rf"points\[0\]: fidelity must be .*{text}"):
        hpo.optimize(progress=False)


def earlier(max_fidelity=9, max_evals=13, name="hyperband", **options):
    """The result of an earlier search."""
    rungs = {"min_fidelity": 1, "max_fidelity": max_fidelity} if name == "hyperband" else {}
    hpo = build_hpo_from_name(name, SPACE, epochs, max_evals=max_evals, seed=5, **rungs, **options)
    hpo.optimize(progress=False)
    return hpo.result


@pytest.mark.parametrize("name", ["bohb", "asha", "autone", "auto"])
def test_a_warm_start_takes_every_result_at_its_own_fidelity(tmp_path, name):
    """Nine results at 1, three at 3 and one at 9; the resumed search has them too, and its best is its own."""
    first = earlier()
    for max_evals in (5, 14):
        hpo = built(name, max_evals=max_evals)
        best = hpo.optimize(progress=False, warm_start=first, store=tmp_path / "run.db")
    assert sorted(trial[0] for trial in known(hpo.result)) == [1] * 9 + [3] * 3 + [9]
    assert [trial[2] for trial in known(hpo.result)] == [trial.resume for trial in first]
    full = [trial.perf for trial in hpo.result if trial.fidelity == 9]
    assert best[1] == max(full)
    assert len(full) > 1


def test_a_warm_start_without_fidelities_is_one_of_full_evaluations():
    """Results of tpe have had everything there is, so that they count as full in bohb."""
    hpo = built("bohb", max_evals=13)
    hpo.optimize(progress=False, warm_start=earlier(name="tpe", max_evals=4))
    assert [trial[0] for trial in known(hpo.result)] == [9] * 4


def test_a_search_without_fidelities_takes_the_longest_trainings_alone():
    """Short trainings have no place in tpe."""
    hpo = build_hpo_from_name("tpe", SPACE, epochs, max_evals=2, seed=0)
    hpo.optimize(progress=False, warm_start=earlier())
    assert [trial[0] for trial in known(hpo.result)] == [None]


def test_longer_trainings_than_this_search_has_are_tried_again():
    """A result after 27 epochs would beat whatever 9 epochs can reach; its configuration is a good one to try."""
    hpo = built("bohb", max_evals=13)

    def longer(hps):
        for epoch in range(1, 28):
            yield hps["x"] + epoch

    first = build_hpo_from_name("hyperband", SPACE, longer, min_fidelity=27, max_fidelity=27, max_evals=2, seed=5)
    first.optimize(progress=False)
    hpo.optimize(progress=False, warm_start=first.result)
    assert known(hpo.result) == []
    assert {trial.hp["x"] for trial in hpo.result if "point" in trial.info} == {t.hp["x"] for t in first.result}


def test_stopped_trainings_come_along_with_what_they_reached():
    """Where asha has stopped a trial, its result is that of the report there."""
    first = build_hpo_from_name("asha", SPACE, epochs, type="stopping", max_evals=8, **{**RUNGS, "seed": 3})
    first.optimize(progress=False)
    hpo = built("bohb", max_evals=5)
    hpo.optimize(progress=False, warm_start=first.result)
    assert [(t[0], t[1]) for t in known(hpo.result)] == [(t.reached, t.perf) for t in first.result]
    assert {t.reached for t in first.result} >= {1, 9}


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", None])
def test_results_that_are_no_finite_numbers_are_left_out_of_a_warm_start(value):
    """A store from elsewhere may hold anything; a warning says how many."""
    result = earlier(name="tpe", max_evals=4)
    broken = replace(result.trials[1], outcome=replace(result.trials[1].outcome, perfs=(value,)))
    hpo = built("bohb", max_evals=13)
    with pytest.warns(UserWarning, match="warm_start: left out 1 results of 4 trials"):
        hpo.optimize(
            progress=False,
            warm_start=replace(result, trials=[result.trials[0], broken, *result.trials[2:]], _best=None),
        )
    assert len(known(hpo.result)) == 3


def test_a_sampler_without_fidelities_sees_a_known_chain_once():
    """Behind asha, results of one configuration at 1, 3 and 9 are one trial at each rung, and none runs for ever."""
    points = [Point(BAD, -1.0, 1), Point(BAD, -0.5, 3), Point(BAD, -0.4)]
    hpo = built("asha", points=points, sampler="tpe")
    hpo.ask()
    from autohpo.schedulers.chains import Chains

    for fidelity in (1, 3, 9):
        view = Chains(hpo.history, fidelity, 9)
        assert [trial.perf for trial in view.trials] == [{1: -1.0, 3: -0.5, 9: -0.4}[fidelity]]
        assert len(view.running) == 1


def test_known_results_of_an_older_release_are_full_ones_in_a_resumed_search():
    """They stand in its log without a fidelity, where they beat every new result."""
    old = MemoryStore()
    with Search(built("bohb", points=[(BAD, -5.0)]), old) as search:
        search.ask()
    new = MemoryStore()
    new.open()
    new.begin(old.header)
    for event in old.events():
        data = (
            {**event.data, "fidelity": None}
            if event.kind == "ask" and event.data["info"] == {"known": True}
            else event.data
        )
        new.append([event._replace(data=data)])
    new.close()
    hpo = built("bohb", points=[(BAD, -5.0)], max_evals=13)
    _, perf = hpo.optimize(progress=False, store=new)
    assert perf > -1
    assert known(hpo.result) == [(9, -5.0, None)]
