"""Rungs: by a factor, an increment or a list; integers where the fidelity counts something."""

from __future__ import annotations

import contextlib
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name, run_header
from autohpo.algorithms.options import options_of
from autohpo.errors import StoreMismatchError
from autohpo.schedulers.rungs import Rungs, is_count, rungs_of
from autohpo.schedulers.schedule import Schedule

SPACE = [RangeHP("x", 0.0, 1.0)]
ON_RUNGS = ["asha", "hyperband", "bohb"]


@pytest.mark.parametrize("eta", [2, 2.5, 3, 4, 7])
@pytest.mark.parametrize("least", [1, 2, 5])
def test_rungs_of_a_count_are_the_nearest_integers_and_rise(eta, least):
    """For every full fidelity from 2 to 400, by exact fractions; one a little below the least is the least."""
    for full in range(max(2, least), 401):
        exact = [Fraction(full)]
        while exact[0] / Fraction(eta) >= Fraction(9, 10) * least:
            exact.insert(0, exact[0] / Fraction(eta))
        exact[0] = max(exact[0], Fraction(least))
        found = rungs_of(least, full, eta).fidelities
        assert found == tuple(math.floor(rung + Fraction(1, 2)) for rung in exact)
        assert all(type(rung) is int for rung in found)
        assert all(low < high for low, high in itertools.pairwise(found))
        assert least <= found[0]
        assert found[-1] == full


@pytest.mark.parametrize(("least", "full"), [(0.05, 1), (0.5, 10), (1, 9.5), (1, 1)])
def test_other_fidelities_are_not_rounded(least, full):
    """Shares of a data set, and ends that are no integers, are no counts."""
    assert not is_count(least, full)
    assert rungs_of(least, full, 2).fidelities == rungs_of(least, full, 2, is_whole=False).fidelities


def test_a_list_is_taken_as_it_is_and_ends_with_the_full_fidelity():
    """Also as an array or a tuple, and with fractions between integers."""
    assert rungs_of(1, 9, levels=[1, 2.5, 9]).fidelities == (1, 2.5, 9)
    assert rungs_of(1, 81, levels=np.array([2, 3])).fidelities == (2, 3, 81)
    assert rungs_of(1, 9, levels=(9.0,)).fidelities == (9,)
    assert all(type(rung) is int for rung in rungs_of(1, 81, levels=[2.0, 3]).fidelities)


def test_an_increment_makes_rungs_of_equal_distance_and_the_full_one():
    """1, 4, 7 and 9; thirds and tenths add up without a rung beside the last."""
    assert rungs_of(1, 9, increment=3).fidelities == (1, 4, 7, 9)
    assert rungs_of(2, 8, increment=3).fidelities == (2, 5, 8)
    assert rungs_of(0.1, 0.3, increment=0.1).fidelities == pytest.approx((0.1, 0.2, 0.3))
    assert rungs_of(5, 8, increment=9).fidelities == (5, 8)


def test_as_many_go_on_as_the_fidelity_is_to_the_next_one():
    """From 10 results at 2 of 2, 5, 8 four go on, from 10 at 5 six; with a factor a third from each, rounded or not."""
    listed = Rungs((2, 5, 8))
    assert [listed.n_going_on(10, level) for level in (0, 1)] == [4, 6]
    assert [listed.share(level) for level in (0, 1)] == pytest.approx([2 / 5, 5 / 8])
    rounded = rungs_of(1, 100)
    assert [rounded.n_going_on(10, level) for level in range(4)] == [3] * 4


@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("full", [9, 50, 100])
def test_a_round_has_as_many_trials_as_the_brackets_show(eta, full):
    """The table of Hyperband is the oracle; also of a list."""
    assert rungs_of(1, full, eta).n_trials == Schedule(1, full, eta).n_trials
    assert Rungs((1, 4, 10, 30)).n_trials == Schedule(1, 30, levels=(1, 4, 10)).n_trials


def test_brackets_of_a_list_cost_about_the_same_at_each_rung():
    """Rungs 1, 4, 10, 30: the first bracket starts with 30, of which 30/4, 3 and 1 are trained on: by hand."""
    schedule = Schedule(1, 30, levels=(1, 4, 10))
    assert [plan.sizes for plan in schedule.brackets] == [(30, 7, 3, 1), (10, 4, 1), (6, 2), (4,)]


@pytest.mark.parametrize("name", ON_RUNGS)
@pytest.mark.parametrize("options", [{}, {"rung_levels": [2, 7]}, {"rung_increment": 7}])
def test_an_objective_gets_integers_at_every_rung(name, options):
    """With real trainings of 1 to 20 epochs, which fail on anything that is no int."""
    wanted = {1, 8, 15, 20} if "rung_increment" in options else {2, 7, 20}

    def train(hps, fidelity):
        return hps["x"] - 1 / len(range(fidelity))

    hpo = build_hpo_from_name(name, SPACE, train, max_fidelity=20, max_evals=45, seed=0, **options)
    hpo.optimize(progress=False)
    assert {trial.fidelity for trial in hpo.result} == wanted
    assert all(type(trial.fidelity) is int for trial in hpo.result)


@pytest.mark.parametrize("name", [*ON_RUNGS, "auto"])
@pytest.mark.parametrize("is_killed_before_the_first_trial", [False, True])
def test_a_run_of_an_older_release_goes_on_with_its_own_fractions(
    tmp_path, monkeypatch, name, is_killed_before_the_first_trial
):
    """Begun with the old rule, and its header as that release wrote it: without the option."""
    path, until = tmp_path / "run.db", tmp_path / "until"

    def train(hps, trial, fidelity):
        if trial.number == int(until.read_text()):
            raise KeyboardInterrupt
        return hps["x"] - 1 / fidelity

    def trials_of(n, store, is_older=False, **options):
        until.write_text(str(n))
        hpo = build_hpo_from_name(name, SPACE, train, max_fidelity=20, max_evals=30, seed=0, **options)
        if name == "auto" and is_older:
            hpo._is_of_older_release = True  # it was ``bohb`` then
        with contextlib.suppress(KeyboardInterrupt):
            hpo.optimize(progress=False, store=store)
        return [(dict(trial.hp), trial.fidelity, trial.resume) for trial in hpo.result]

    n = 0 if is_killed_before_the_first_trial else 12
    whole = trials_of(30, None, is_older=True, whole_fidelity=False)
    with monkeypatch.context() as older:
        older.setattr(run_header, "options_of", lambda hpo: without(options_of(hpo), "whole_fidelity"))
        begun = trials_of(n, path, is_older=True, whole_fidelity=False)
    assert begun[:n] == whole[:n]
    assert trials_of(30, path) == whole
    assert {fidelity for _, fidelity, _ in whole} == {20 / 9, 20 / 3, 20}
    assert trials_of(30, path, whole_fidelity=False) == whole
    with pytest.raises(StoreMismatchError, match="whole_fidelity"):
        trials_of(30, path, whole_fidelity=True)


def without(options, name):
    """Options but one."""
    return {key: value for key, value in options.items() if key != name}


@pytest.mark.parametrize("name", [*ON_RUNGS, "auto"])
def test_a_run_of_this_release_goes_on_with_integers(tmp_path, name):
    """Its header says so."""

    def fidelities(n):
        hpo = build_hpo_from_name(
            name, SPACE, lambda hps, fidelity: hps["x"] - 1 / fidelity, max_fidelity=20, max_evals=n, seed=0
        )
        hpo.optimize(progress=False, store=tmp_path / "run.db")
        return {trial.fidelity for trial in hpo.result}

    fidelities(10)
    assert fidelities(45) == {2, 7, 20}


@pytest.mark.parametrize("name", ON_RUNGS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rung_levels": [3, 1]}, "rung_levels: must be a list of positive numbers that rise, got [3, 1]"),
        ({"rung_levels": []}, "rung_levels: must be a list of positive numbers that rise, got []"),
        ({"rung_levels": [0, 1]}, "rung_levels: must be a list of positive numbers that rise, got [0, 1]"),
        ({"rung_levels": "139"}, "rung_levels: must be a list of positive numbers that rise, got '139'"),
        ({"rung_levels": [1, math.nan]}, "rung_levels: must be a list of positive numbers that rise, got [1, nan]"),
        ({"rung_levels": [1, 99]}, "rung_levels: must be at most max_fidelity, 81, got (1, 99)"),
        ({"rung_increment": 0}, "rung_increment: must be positive and finite, got 0"),
        ({"rung_increment": 1e-9}, "rung_increment: must leave at most 1000 rungs, got 1e-09"),
        ({"rung_increment": 1e-320}, "rung_increment: must leave at most 1000 rungs, got 1e-320"),
        ({"max_fidelity": 1e308}, "max_fidelity: must be at most 1e+15 times min_fidelity, 1.0, got 1e+308"),
        ({"min_fidelity": 1e-320}, "max_fidelity: must be at most 1e+15 times min_fidelity, 1e-320, got 81.0"),
        (
            {"rung_levels": np.array(1.0)},
            "rung_levels: must be a list of positive numbers that rise, got 1.0",
        ),
        ({"rung_levels": [1], "max_fidelity": "9"}, "max_fidelity: must be float, got '9'"),
        (
            {"rung_increment": 2, "rung_levels": [1]},
            "rung_increment: cannot be given together with rung_levels, which say every rung",
        ),
        (
            {"whole_fidelity": True, "min_fidelity": 0.5},
            (
                "whole_fidelity: must be False or None unless min_fidelity and max_fidelity are integers, and "
                "max_fidelity is above 1, got True for 0.5 to 81"
            ),
        ),
    ],
)
def test_rungs_that_cannot_be_are_refused(name, options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name(name, SPACE, **options)
    assert str(caught.value) == message
