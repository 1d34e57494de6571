"""Confirm: the best configurations and the default are trained anew, and the answer is the one that is best there."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from autohpo import (
    ChoiceHP,
    Confirm,
    NoResultError,
    OptionError,
    RangeHP,
    Result,
    Search,
    SearchSpace,
    build_hpo_from_name,
)
from autohpo.confirming import Confirming
from autohpo.errors import StoreCorruptError
from autohpo.objectives import Objectives
from autohpo.progress import Standing
from autohpo.report.confirmed import gain_of
from autohpo.store import LogEvent, RunState, repair

SPACE = [RangeHP("x", 0.0, 1.0)]


def noisy(hps, seed):
    """A parabola with noise that follows from the seed and from the configuration."""
    noise = np.random.default_rng((seed, round(1e6 * hps["x"]))).normal()
    return -((hps["x"] - 0.3) ** 2) + 0.1 * noise


def searched(f=noisy, name="random", space=SPACE, n=12, **options):
    """An optimizer of a fixed seed."""
    return build_hpo_from_name(name, space, f, max_evals=n, seed=0, **options)


def test_the_answer_is_the_best_over_fresh_seeds_that_are_the_same_for_all():
    """With its mean, a t interval as scipy has it, and how much better the search saw it."""
    hpo = searched()
    best_hp, best_perf = hpo.optimize(confirm=3, progress=False)
    result = hpo.result
    winner = result.confirmed[0]
    assert (best_hp, best_perf) == (winner.trial.hp, winner.mean) == hpo.best()
    assert result.best is result.trials[winner.trial.number]
    means = [one.mean for one in result.confirmed]
    assert means == sorted(means, reverse=True)
    assert {one.trial.number for one in result.confirmed} == {trial.number for trial in result.top(3)}
    seeds = {place: {t.seed for t in result.repeats if t.info["repeat"] == place} for place in range(5)}
    assert [len(same) for same in seeds.values()] == [1] * 5
    fresh = set.union(*seeds.values())
    assert len(fresh) == 5
    assert not fresh & {trial.seed for trial in result.trials}
    for one in result.confirmed:
        perfs = [t.perf for t in result.repeats if t.info["confirms"] == one.trial.number]
        assert one.perfs == tuple(perfs)
        sem = stats.sem(perfs)
        assert one.interval == pytest.approx(stats.t.interval(0.95, 4, np.mean(perfs), sem), rel=1e-9)
        assert one.optimism == pytest.approx(one.trial.perf - np.mean(perfs), rel=1e-9)


def test_confirming_changes_nothing_of_the_search_itself():
    """It counts in no budget, the algorithm does not see it, and 8 trials and then 20 are 20 at once."""
    hpo = searched(name="bayes", n=8)
    hpo.optimize(confirm=2, progress=False)
    assert (hpo.n_asked, hpo.n_told, len(hpo.history.trials), len(hpo.result)) == (8, 8, 8, 8)
    assert [t.number for t in hpo.result.repeats] == [-1 - k for k in range(10)]
    hpo.max_evals = 20
    hpo.optimize(confirm=2, progress=False)
    alone = searched(name="bayes", n=20)
    alone.optimize(progress=False)
    assert [(t.number, t.hp, t.seed, t.perf) for t in hpo.result] == [
        (t.number, t.hp, t.seed, t.perf) for t in alone.result
    ]


def tabled(table):
    """An objective with prescribed results: the first in the search, the others one for each fresh seed."""
    seen = {name: {} for name in table}

    def f(hps, seed, trial):
        places = seen[hps["x"]]
        place = places.setdefault(seed, len(places)) if trial.number < 0 else 0
        return table[hps["x"]][place + (trial.number < 0)]

    return f


@pytest.mark.parametrize(
    ("rival", "is_kept"),
    [
        ([0.99, 0.80, 0.84, 0.82, 0.81, 0.83], True),  # a lucky result, and no better than the default
        ([0.99, 0.82, 0.82, 0.83, 0.81, 0.83], True),  # better on average, within the noise
        ([0.99, 0.90, 0.94, 0.92, 0.91, 0.93], False),  # better
    ],
)
def test_the_default_is_kept_unless_another_is_better_by_more_than_a_standard_error(rival, is_kept):
    """That of the paired differences, and not below the one that statsmodels has for all results, less both effects."""
    import statsmodels.api as sm

    table = {"default": [0.5, 0.82, 0.81, 0.83, 0.82, 0.82], "rival": rival, "poor": [0.6, 0.2, 0.22, 0.24, 0.2, 0.21]}
    hpo = build_hpo_from_name("grid", [ChoiceHP("x", list(table))], tabled(table), points=[{"x": "default"}])
    best_hp, best_perf = hpo.optimize(confirm=2, progress=False)
    assert best_hp == {"x": "default" if is_kept else "rival"}
    assert best_perf == pytest.approx(np.mean(table[best_hp["x"]][1:]))
    first, second, third = hpo.result.confirmed
    assert first.is_default is is_kept
    assert {one.trial.hp["x"] for one in (second, third)} == set(table) - {best_hp["x"]}
    shown = next(one for one in hpo.result.confirmed if one.trial.hp["x"] == "rival")
    differences = np.subtract(rival[1:], table["default"][1:])
    values = np.array([table[name][1:] for name in table])
    effects = np.zeros((15, 7))  # three configurations, and the difference of each seed but the last
    for row, (configuration, seed) in enumerate(np.ndindex(3, 5)):
        effects[row, [configuration, *([3 + seed] * (seed < 4))]] = 1
    pooled = math.sqrt(2 * sm.OLS(values.ravel(), effects).fit().mse_resid / 5)
    assert shown.gain == pytest.approx(np.mean(differences), abs=1e-12)
    assert shown.gain_error == pytest.approx(max(stats.sem(differences), pooled))
    assert (shown.gain > shown.gain_error) != is_kept


def test_lower_is_better_in_mode_min():
    """The intervals are the user's own values, and a positive optimism means that the search saw too good a value."""
    up, down = searched(), searched(lambda hps, seed: -noisy(hps, seed), mode="min")
    assert up.optimize(confirm=3, progress=False)[0] == down.optimize(confirm=3, progress=False)[0]
    for one, other in zip(up.result.confirmed, down.result.confirmed, strict=True):
        assert other.mean == -one.mean
        assert other.interval == (-one.interval[1], -one.interval[0])
        assert other.optimism == one.optimism


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_objective_without_noise_is_trained_twice_only(num_workers):
    """Its results are all equal, so that a third would be, too; the intervals are points."""
    hpo = searched(lambda hps: hps["x"])
    assert hpo.optimize(confirm=3, num_workers=num_workers, progress=False)[1] == max(t.perf for t in hpo.result)
    assert len(hpo.result.repeats) == 6
    assert all(one.interval == (one.mean, one.mean) and one.optimism == 0 for one in hpo.result.confirmed)


def test_a_default_without_noise_loses_to_anything_better():
    """Two equal results are enough where nothing is random."""
    hpo = searched(lambda hps: hps["x"], points=[{"x": 0.1}])
    best_hp, _ = hpo.optimize(confirm=1, progress=False)
    assert best_hp["x"] == max(t.hp["x"] for t in hpo.result) > 0.1


def generated(hps, seed):
    """A generator with noise."""
    rng = np.random.default_rng(seed)
    for epoch in range(1, 10):
        yield hps["x"] - 1 / epoch + 0.01 * rng.normal()


@pytest.mark.parametrize("algorithm", ["bohb", "asha", "auto"])
def test_a_search_with_fidelities_is_confirmed_at_the_full_one(algorithm):
    """Also what the search has seen at a lower one only: then it says nothing of its optimism."""
    hpo = searched(generated, algorithm, min_fidelity=1, max_fidelity=9, n=12, points=[{"x": 0.0}])
    hpo.optimize(confirm=3, progress=False)
    assert {trial.fidelity for trial in hpo.result.repeats} == {9}
    assert all(len(trial.reports) == 9 for trial in hpo.result.repeats)
    default = next(one for one in hpo.result.confirmed if one.is_default)
    assert default.trial.hp == {"x": 0.0}
    for one in hpo.result.confirmed:
        assert (one.optimism is None) == (one.trial.reached < 9)


def test_a_search_that_expects_noise_is_confirmed_with_what_its_model_says_and_with_its_luckiest():
    """The first of them is what ends the confirmation's validity when it is beaten, so it must be there."""
    for k in (1, 2):
        hpo = searched(noise=True, n=20)
        hpo.optimize(progress=False)
        wanted = [hpo.result.top(1)[0].number, hpo.result.best.number][:k]
        hpo.confirm(k)
        assert {one.trial.number for one in hpo.result.confirmed} >= set(wanted)
        assert hpo.result.winner is not None


def test_workers_confirm_at_once_and_the_choice_is_the_same():
    """Twelve trainings in two processes."""
    alone, many = searched(slow), searched(slow)
    alone.optimize(confirm=Confirm(3, seeds=4), progress=False)
    many.optimize(confirm={"k": 3, "seeds": 4}, progress=False, num_workers=2)
    perfs = [[(one.trial.hp, one.perfs) for one in hpo.result.confirmed] for hpo in (alone, many)]
    assert perfs[0] == perfs[1]
    assert len({trial.pid for trial in many.result.repeats}) > 1


def test_a_finished_search_is_confirmed_later_and_by_another_process(tmp_path):
    """``hpo.confirm`` goes on from the store, and more seeds add to those that are known."""
    how = {"store": tmp_path / "run.db", "progress": False}
    searched().optimize(**how)
    hpo = searched()
    hpo.confirm(3, seeds=3, **how)
    assert len(hpo.result.repeats) == 9
    known = [(t.number, t.perf) for t in hpo.result.repeats]
    answer = hpo.confirm(3)
    assert len(hpo.result.repeats) == 15
    assert [(t.number, t.perf) for t in hpo.result.repeats][:9] == known
    loaded = Result.load(tmp_path / "run.db")
    assert loaded.confirmed == hpo.result.confirmed
    assert (loaded.best.hp, loaded.confirmed[0].mean) == answer
    assert searched().optimize(**how) == answer  # it stays the answer


def test_records_have_the_confirming_trials_with_what_they_confirm():
    """Below those of the search."""
    hpo = searched()
    hpo.optimize(progress=False)
    assert "confirms" not in hpo.result.to_records()[0]
    hpo.confirm(2, seeds=2)
    records = hpo.result.to_records()
    assert [record["confirms"] for record in records[:12]] == [None] * 12
    assert {record["confirms"] for record in records[12:]} == {one.trial.number for one in hpo.result.confirmed}


def test_a_better_configuration_found_since_takes_the_confirmation_away():
    """Until that one is confirmed, too."""
    hpo = searched(lambda hps, seed: hps["x"] + 1e-6 * (seed % 7), n=2)
    hpo.optimize(confirm=1, progress=False)
    assert hpo.result.winner is not None
    hpo.max_evals = 20
    assert hpo.optimize(progress=False)[1] == max(trial.perf for trial in hpo.result)
    assert hpo.result.confirmed == ()
    hpo.confirm(1)
    assert hpo.result.winner.trial.hp["x"] == max(trial.hp["x"] for trial in hpo.result)


def fails(hps, trial, seed):
    """Fails in confirming where x is large."""
    if trial.number < 0 and hps["x"] > 0.5:
        raise RuntimeError("out of luck")
    return hps["x"] + 1e-3 * (seed % 11)


def test_a_configuration_that_fails_once_ranks_behind():
    """And is not trained again."""
    table = {"a": [0.9], "b": [0.8], "c": [0.7]}

    def f(hps, trial, seed):
        if trial.number < 0 and hps["x"] == "a":
            raise RuntimeError("out of luck")
        return table[hps["x"]][0] + 1e-3 * (seed % 11)

    hpo = build_hpo_from_name("grid", [ChoiceHP("x", list(table))], f)
    best_hp, _ = hpo.optimize(confirm=3, progress=False)
    assert best_hp == {"x": "b"}
    assert [(one.trial.hp["x"], one.n_failed) for one in hpo.result.confirmed] == [("b", 0), ("c", 0), ("a", 1)]


def test_where_all_fail_the_answer_is_that_of_the_search_with_a_warning():
    """There is nothing better to say."""
    hpo = searched(fails)
    with pytest.warns(UserWarning, match="every training failed"):
        best_hp, best_perf = hpo.optimize(confirm=1, progress=False)
    assert best_hp == hpo.result.top(1)[0].hp
    assert best_perf == max(trial.perf for trial in hpo.result)
    assert [one.n_failed for one in hpo.result.confirmed] == [1]


def test_constraints_count_as_they_are_measured_anew():
    """A configuration that misses them when it is trained anew is behind one that meets them."""

    def f(hps, trial, seed):
        is_lucky = trial.number >= 0 or hps["x"] == "b"
        return {"a": 0.9, "b": 0.5}[hps["x"]] + 1e-3 * (seed % 7), {"size": 0 if is_lucky else 1}

    hpo = build_hpo_from_name("grid", [ChoiceHP("x", ["a", "b"])], f)
    best_hp, _ = hpo.optimize(confirm=2, progress=False)
    assert best_hp == {"x": "b"}
    assert [one.violation for one in hpo.result.confirmed] == [0, 1]


def slow(hps, seed):
    """Takes a moment."""
    time.sleep(0.02)
    return noisy(hps, seed)


def test_a_time_limit_leaves_time_to_confirm():
    """Otherwise it would end the search just before its answer is known."""
    hpo = build_hpo_from_name("random", SPACE, slow, seed=0)
    began = time.monotonic()
    hpo.optimize(confirm=Confirm(2, seeds=3), time_limit=2.0, executor="serial", progress=False)
    assert time.monotonic() - began < 5
    assert len(hpo.result.repeats) == 6
    assert hpo.result.winner is not None


def test_the_time_that_confirming_takes_is_known_from_short_trainings_too():
    """Where one unit of fidelity took 0.01 seconds, 3 full trainings of 9 with 2 seeds each will take 0.54, or 0.81."""
    state = RunState(SearchSpace(SPACE), Objectives.of("max"))
    ask = {"hp": {"x": 0.5}, "resume": None, "pid": 0, "seed": 1, "info": {}}
    for number, fidelity in enumerate([1, 3]):
        for event in (
            LogEvent("ask", number, 0, {**ask, "fidelity": fidelity, "hp": {"x": fidelity / 10}}),
            LogEvent("start", number, 1, {"slot": 0}, 100.0),
            LogEvent("end", number, 1, {"state": "COMPLETE", "perf": 0.5}, 100.0 + 0.01 * fidelity),
        ):
            state.apply(event)
    hpo = searched(generated, "bohb", min_fidelity=1, max_fidelity=9)
    with Search(hpo) as search:
        search.state = state
        confirming = Confirming(search, Confirm(2, seeds=2), {"x": 0.1}, 9)
        assert confirming.expected_seconds(1) == pytest.approx(0.81)
        assert confirming.expected_seconds(4) == pytest.approx(0.27)


def test_a_time_limit_that_ends_confirming_says_so_and_a_second_call_goes_on():
    """Nothing is decided by one result of each."""

    def late(hps, trial, seed):
        time.sleep(0.3 if trial.number < 0 and is_slow else 0.0)
        return noisy(hps, seed)

    is_slow = True
    hpo = searched(late)
    hpo.optimize(progress=False)
    with pytest.warns(UserWarning, match="did not get far enough"):
        hpo.confirm(3, time_limit=0.5, executor="serial")
    assert hpo.result.confirmed == ()
    is_slow = False
    hpo.confirm(3, time_limit=None)
    assert len(hpo.result.repeats) == 15
    assert hpo.result.winner is not None


def test_rules_that_end_a_search_early_do_not_hear_of_confirming():
    """A target that only a confirming trial reaches ends nothing."""
    hpo = searched(lambda hps, trial, seed: float(trial.number < 0) + 1e-3 * (seed % 5), n=6)
    hpo.optimize(confirm=1, target=1.0, patience=50, progress=False)
    assert len(hpo.result.repeats) == 5


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "3", {"k": 2, "seeds": 1}, {"n": 3}, {"k": 0}, [3]])
def test_what_is_no_number_of_configurations_is_an_error(given):
    """It names the argument."""
    with pytest.raises(OptionError, match="confirm: "):
        searched().optimize(confirm=given, progress=False)


def test_searches_that_cannot_be_confirmed_say_why():
    """Several objectives have no best; a population changes configurations as it trains; nothing was searched."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: {"a": 1, "b": 2}, max_evals=3, mode={"a": "max", "b": "min"})
    with pytest.raises(OptionError, match="several objectives"):
        hpo.optimize(confirm=2, progress=False)

    def saves(hps, trial):
        yield 1.0

    with pytest.raises(OptionError, match="pbt changes"):
        build_hpo_from_name("pbt", SPACE, saves, population_size=4).optimize(confirm=2, progress=False)
    with pytest.raises(NoResultError):
        searched().confirm()
    with pytest.raises(OptionError, match="time_limits: confirm has no such option; did you mean 'time_limit'"):
        searched().confirm(time_limits=3)
    with pytest.raises(OptionError, match="there is no trainer"):
        searched().optimize(default_first=True, progress=False)


def test_the_progress_line_says_how_far_confirming_is(capsys):
    """In place of nothing, and the last line says what was chosen."""
    assert "15/15 trials | confirming 3 of 20 |" in str(Standing(15, 0, 0, 0.5, 15, 1.0, None, confirming=(3, 20)))
    searched().optimize(confirm=2, progress="plain")
    shown = capsys.readouterr().err
    assert "12/12 trials | confirming 10 of 10 |" in shown
    assert "autohpo: confirmed trial " in shown


def test_a_result_at_a_prompt_is_one_line_and_a_short_table_in_a_notebook():
    """However many trials it has."""
    hpo = searched(n=50)
    hpo.optimize(progress=False)
    text = repr(hpo.result)
    assert text.startswith("<Result of random: 50 trials (50 COMPLETE), best ")
    assert "\n" not in text
    assert len(text) < 120
    table = hpo.result._repr_html_()
    assert table.count("<tr>") == 6
    assert len(table) < 2000
    hpo.confirm(2)
    assert "confirmed" in repr(hpo.result)
    assert hpo.result._repr_html_().count("<tr>") == 3
    assert repr(Result([])) == "<Result: 0 trials, no result yet>"
    assert "<table>" not in Result([])._repr_html_()


def test_a_repaired_store_says_the_same_of_what_was_confirmed(tmp_path):
    """Also where confirming trials are there only in part: the next call goes on from them."""
    how = {"store": tmp_path / "run.db", "progress": False}
    hpo = searched()
    hpo.optimize(confirm=2, **how)
    repair(tmp_path / "run.db", tmp_path / "new.db")
    assert Result.load(tmp_path / "new.db").confirmed == hpo.result.confirmed


@pytest.mark.parametrize(
    ("number", "info"),
    [(-2, {"confirms": 0, "repeat": 0}), (-1, {"confirms": 1, "repeat": 0}), (-1, {}), (-1, {"confirms": 0})],
)
def test_a_log_whose_confirming_trials_make_no_sense_is_damaged(number, info):
    """Their numbers go down by one, and they say what they confirm."""
    state = RunState(SearchSpace(SPACE), Objectives.of("max"))
    ask = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}
    state.follow([LogEvent("ask", 0, 0, ask)])
    with pytest.raises(StoreCorruptError):
        state.follow([LogEvent("ask", number, 0, {**ask, "info": info})])


def test_a_table_in_a_notebook_has_a_column_for_each_objective_and_each_parameter():
    """Objectives without names have those of the other tables, and a parameter may be called as a column is."""
    space = [RangeHP("trial", 0.0, 1.0), RangeHP("perf", 0.0, 1.0)]
    hpo = build_hpo_from_name("random", space, lambda hp: (hp["trial"], hp["perf"]), mode=["max", "max"], max_evals=1)
    hpo.optimize(progress=False)
    assert hpo.result._repr_html_().count("<td>") == 5
    assert "<th>trial</th><th>perf.0</th><th>perf.1</th><th>trial</th><th>perf</th>" in hpo.result._repr_html_()


def test_confirming_without_a_search_says_what_is_missing():
    """Not that an algorithm suggested nothing."""
    with pytest.raises(NoResultError, match="call optimize"):
        searched(n=3).confirm(2, progress=False)


@pytest.mark.parametrize(
    ("gain", "error", "text"),
    [
        (0.1016, 0.0072, "+0.102 ± 0.007"),
        (-0.5, 0.0996, "-0.5 ± 0.1"),
        (1234.5, 87.0, "+1234 ± 87"),
        (0.1, 0.0, "+0.1 ± 0"),
        (1e-7, 2e-9, "+1e-07 ± 2e-09"),
        (None, None, ""),
    ],
)
def test_a_gain_has_the_decimals_of_its_error(gain, error, text):
    """So that a reader sees how many errors it is."""
    assert gain_of(SimpleNamespace(gain=gain, gain_error=error)) == text
