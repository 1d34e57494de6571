"""An honest budget: every limit trains something in full, is kept, and is said before the search."""

from __future__ import annotations

import logging
import math

import pytest

from autohpo import BaseHPOptimizer, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.session import session_of
from autohpo.objective import Objective
from autohpo.testing import FakeEngine

SPACE = [RangeHP("x", 0.0, 1.0)]
RUNGS = {"min_fidelity": 1, "max_fidelity": 81}


def anew(hps, fidelity):
    """Trained from nothing at each rung."""
    return -((hps["x"] - 0.3) ** 2) - 1 / fidelity


def paused(hps):
    """Paused at a rung, and continued."""
    for epoch in range(1, 82):
        yield -((hps["x"] - 0.3) ** 2) - 1 / epoch


def built(name, f=anew, **options):
    """An optimizer of that name; auto needs to know that there are fidelities."""
    more = {"max_fidelity": 81} if name == "auto" else {}
    return build_hpo_from_name(name, SPACE, f, **{"seed": 0, **more, **options})


def run(hpo, **how):
    """The trials of a whole search."""
    hpo.optimize(progress=False, **how)
    return list(hpo.result)


def cost(trials, full, *, is_continued):
    """What trials cost by the plain formula, in full evaluations."""
    given = {trial.number: trial.fidelity for trial in trials}
    had = {trial.number: given[trial.resume] if trial.resume is not None and is_continued else 0 for trial in trials}
    return sum(given[number] - had[number] for number in given) / full


def spent_by(hpo):
    """What an optimizer takes itself to have spent."""
    return session_of(hpo).allowance.spending.update()


SMALL = [
    {},
    *({"max_evals": n} for n in (1, 5, 20, 100)),
    {"budget": 1},
    {"budget": 2.5},
    {"budget": 9},
]


@pytest.mark.parametrize("limits", SMALL, ids=str)
@pytest.mark.parametrize("name", ["bohb", "hyperband", "asha", "autone", "auto"])
def test_some_trial_is_trained_in_full_whatever_the_limit(name, limits, recwarn):
    """With the defaults the first bracket has 121 trainings, of which only the last is one in full."""
    hpo = built(name, **limits)
    trials = run(hpo)
    assert any(trial.fidelity == hpo.full_fidelity for trial in trials)
    assert not [one for one in recwarn if "in full" in str(one.message)]
    if "max_evals" in limits:
        assert len(trials) == limits["max_evals"]


@pytest.mark.parametrize("f", [anew, paused])
@pytest.mark.parametrize("budget", [1.0, 2.5, 7.3])
@pytest.mark.parametrize("name", ["bohb", "asha", "auto"])
def test_a_budget_is_kept_and_counts_what_is_trained(name, budget, f):
    """Only what is added where a paused training is continued, the whole where it starts anew."""
    hpo = built(name, f, budget=budget)
    spent = cost(run(hpo), 81, is_continued=f is paused)
    assert budget - 1 < spent <= budget + 1e-9
    assert spent_by(hpo) == pytest.approx(spent)


def test_two_workers_keep_a_budget():
    """What runs counts with all that it was given."""
    trials = run(built("hyperband", paused, budget=4.0), num_workers=2)
    assert 3 < cost(trials, 81, is_continued=True) <= 4 + 1e-9
    assert any(trial.fidelity == 81 for trial in trials)


def test_a_stopped_trial_costs_what_it_was_trained():
    """asha stops most trials at their first epoch: a budget of 6 pays for many more than 6."""
    hpo = built("asha", paused, type="stopping", budget=6, **RUNGS)
    trials = run(hpo)
    assert len(trials) > 12
    assert sum(trial.reached for trial in trials) / 81 == pytest.approx(spent_by(hpo))
    assert spent_by(hpo) <= 6


def test_a_failed_trial_costs_what_it_had_reported():
    """One that reported nothing counts whole, so that a search ends all the same."""

    def fails(hps, trial):
        if trial.number:
            trial.report(1.0)
            raise ValueError("no")
        return 1.0

    hpo = build_hpo_from_name("hyperband", SPACE, fails, min_fidelity=3, max_fidelity=3, budget=3, seed=0)
    trials = run(hpo)
    assert len(trials) == 1 + 4  # one in full, and four of a third each, as the fifth might cost a whole one


@pytest.mark.parametrize(
    ("name", "n"), [("hyperband", 206), ("bohb", 206), ("asha", 206), ("auto", 206), ("autone", 100)]
)
def test_without_a_limit_a_search_ends_with_a_round(name, n):
    """206 trainings are one round of Hyperband's brackets from 1 to 81."""
    assert len(run(built(name))) == n


def test_many_workers_run_the_round_to_its_end():
    """Eight at once open no bracket of the next round with what the open ones need: five of 22 are in full."""
    trials = run(built("hyperband", min_fidelity=1, max_fidelity=9), executor=FakeEngine(0, 8))
    assert [sum(trial.fidelity == level for trial in trials) for level in (1, 3, 9)] == [9, 8, 5]


def test_a_limit_that_fits_leaves_every_suggestion_as_it_was():
    """A first bracket of 13 trainings: with 13 or more of them nothing is chosen, and no sizes are noted."""
    rungs = {"min_fidelity": 1, "max_fidelity": 9}
    free = [built("bohb", **rungs) for _ in range(2)]
    limited = built("bohb", max_evals=15, **rungs)
    for hpo in (free[0], limited):
        for _ in range(15):
            suggestion = hpo.ask()
            hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
    outline = [[(t.hp, t.fidelity, t.info) for t in hpo.trials] for hpo in (free[0], limited)]
    assert outline[0] == outline[1]
    assert not any("sizes" in trial.info for trial in limited.trials)


@pytest.mark.parametrize("f", [anew, paused])
@pytest.mark.parametrize("limits", [{"max_evals": 20}, {"budget": 3}], ids=str)
def test_a_search_with_a_small_limit_may_be_resumed_and_extended(tmp_path, limits, f):
    """What was decided stays: no trial changes, none is lost, and what was begun is gone on with."""
    (name, limit), store = next(iter(limits.items())), tmp_path / "run.db"
    part = run(
        built("hyperband", f, **{name: limit / 2}) if name == "budget" else built("hyperband", f, max_evals=10),
        store=store,
    )
    whole = run(built("hyperband", f, **limits), store=store)
    more = run(built("hyperband", f, **{name: limit * 3}), store=store)
    key = [[(t.number, t.hp, t.fidelity, t.resume, t.perf) for t in trials] for trials in (part, whole, more)]
    assert key[0] == key[1][: len(part)]
    assert key[1] == key[2][: len(whole)]
    assert len(part) < len(whole) < len(more)
    if name == "max_evals":
        assert len(more) == 60
    else:
        assert 8 < cost(more, 81, is_continued=f is paused) <= 9 + 1e-9


def test_a_killed_search_with_a_budget_goes_on_as_if_it_had_not_been(tmp_path):
    """One worker: stopped in the middle and resumed, it is the uninterrupted search."""
    whole = run(built("bohb", budget=4))

    def stops(hps, fidelity, trial):
        if trial.number == 20 and trial.attempt == 1:
            raise KeyboardInterrupt
        return anew(hps, fidelity)

    with pytest.raises(KeyboardInterrupt):
        run(built("bohb", stops, budget=4), store=tmp_path / "run.db")
    resumed = run(built("bohb", stops, budget=4), store=tmp_path / "run.db")
    assert [(t.hp, t.fidelity, t.resume) for t in resumed] == [(t.hp, t.fidelity, t.resume) for t in whole]


@pytest.mark.parametrize("name", ["bohb", "asha", "auto"])
def test_a_budget_that_trains_nothing_in_full_is_warned_of(name):
    """Half an evaluation: it is spent, and one warning says what it cannot do."""
    with pytest.warns(UserWarning, match="budget: .* no configuration will be trained in full"):
        run(built(name, budget=0.5))


def test_a_search_says_its_plan_in_one_line(caplog):
    """Twenty trainings, of which three are in full: 297 epochs where trainings are continued."""
    caplog.set_level(logging.INFO, logger="autohpo")
    trials = run(built("bohb", paused, max_evals=20))
    said = [record.getMessage() for record in caplog.records if "trainings" in record.getMessage()]
    assert said == ["plan: 20 trainings, 3 in full, 297 epochs (3.67 full evaluations)"]
    assert sum(trial.fidelity == 81 for trial in trials) == 3
    assert cost(trials, 81, is_continued=True) * 81 == pytest.approx(297)


@pytest.mark.parametrize("limits", [{"max_evals": 37}, {"budget": 6.5}], ids=str)
@pytest.mark.parametrize("name", ["hyperband", "autone"])
def test_the_schedule_shows_before_the_search_what_it_will_train(name, limits):
    """The plan is what happens where no trial fails, and stands below the printed schedule."""
    hpo = built(name, **limits)
    hpo.is_continued = False
    plan = hpo.training_plan()
    shown = str(hpo.fidelity_schedule())
    assert str(plan) in shown
    trials = run(hpo)
    if name == "hyperband":
        row = [int(cell) for cell in shown.splitlines()[-2].split()[1:]]
        counts = [sum(trial.fidelity == level for trial in trials) for level in (1, 3, 9, 27, 81)]
        assert row == [n for n in counts if n]
    assert len(trials) == plan.n_trials
    assert sum(trial.fidelity == hpo.full_fidelity for trial in trials) == plan.n_full
    assert cost(trials, 1, is_continued=False) == pytest.approx(plan.trained)


@pytest.mark.parametrize("limits", [{"max_evals": 37}, {"budget": 6.5}], ids=str)
@pytest.mark.parametrize("name", ["asha", "auto"])
def test_a_plan_that_depends_on_results_says_so_and_the_limit_holds(name, limits):
    """Who is promoted when cannot be known; the plan is shown as a rough one, and some trial is trained in full."""
    hpo = built(name, **limits)
    hpo.is_continued = False
    plan = hpo.training_plan()
    assert not plan.is_exact
    assert str(plan) in str(hpo.fidelity_schedule())
    trials = run(hpo)
    assert len(trials) <= limits.get("max_evals", math.inf)
    assert cost(trials, 81, is_continued=False) <= limits.get("budget", math.inf) + 1e-9
    assert any(trial.fidelity == 81 for trial in trials)


def test_the_plan_of_a_search_without_fidelities_speaks_of_trainings_alone():
    """There are no epochs, and all of them are in full."""
    assert str(build_hpo_from_name("random", SPACE, max_evals=7).training_plan()) == "7 trainings, all in full"


def test_a_population_shrinks_to_what_is_trained_in_full():
    """Of five members in four steps the first is in full by the 16th training; with 14 there are three members."""
    whole = build_hpo_from_name("pbt", SPACE, population_size=5, interval=1, max_fidelity=4, max_evals=16, seed=0)
    assert str(whole.training_plan()) == "16 trainings, 1 in full, 16 epochs (4 full evaluations)"
    hpo = build_hpo_from_name("pbt", SPACE, population_size=5, interval=1, max_fidelity=4, max_evals=14, seed=0)
    assert str(hpo.training_plan()) == "12 trainings, 3 in full, 12 epochs (3 full evaluations)"
    first = [hpo.ask() for _ in range(3)]
    assert [suggestion.info["member"] for suggestion in first] == [0, 1, 2]
    for suggestion in first:
        hpo.tell(suggestion, suggestion["x"])
    assert hpo.ask().fidelity == 2


def test_without_fidelities_a_budget_counts_evaluations():
    """An objective that takes no fidelity is run in full four times."""
    with pytest.warns(UserWarning, match="takes no fidelity"):
        assert len(run(built("bohb", lambda hps: hps["x"], budget=4.5))) == 4
    assert len(run(build_hpo_from_name("auto", SPACE, lambda hps: hps["x"], budget=4.5, seed=0))) == 4


@pytest.mark.parametrize("budget", [0, -1.0, float("inf"), float("nan")])
def test_a_budget_that_is_none_is_refused(budget):
    """It must be a positive finite number."""
    with pytest.raises(OptionError, match="budget: must be a positive finite number"):
        built("bohb", budget=budget)


def test_a_training_that_loads_its_checkpoint_is_continued():
    """What names the folder or `resume_at` goes on there; what does not starts anew."""

    def loads(hps, trial):
        trial.resume_at(0)
        return 1.0

    def helped(hps, trial):
        def inner():
            return trial.checkpoint_dir

        return float(inner() is not None)

    found = [Objective.of(f).is_continued for f in (loads, helped, paused, anew, lambda hps, trial: 1.0)]
    assert found == [True, True, True, False, False]


def test_an_algorithm_of_your_own_may_keep_a_budget_of_another_kind():
    """Only those that declare `takes_budget` have one that counts; names in ``self`` are free."""

    class Keeps(BaseHPOptimizer):
        def _set_up(self, num_workers, time_limit, memory_limit):
            self.budget, self.limits, self.training_plan = {"epochs": 3}, "none", None

        def _get_suggestion(self, pid):
            return {"x": 0.5}

    assert len(run(Keeps(SPACE, lambda hps: hps["x"], max_evals=3, seed=0))) == 3
