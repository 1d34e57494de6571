"""The densities of kde: on spaces with children, lists, weighted choices and constraints, and what they learn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from autohpo import ChoiceHP, LogRangeHP, NotReady, OptimizationComplete, RangeHP, SearchSpace
from autohpo.algorithms.bohb import BOHB
from autohpo.algorithms.hyperband import Hyperband
from autohpo.algorithms.kde import KDE
from autohpo.algorithms.parts import kde_model
from autohpo.algorithms.parts.kde_model import EvenCells, Model, Observations, imputed
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.spaces import LinearConstraint, OrdinalHP
from autohpo.surrogates.kde import MixedKDE
from autohpo.testing.examples import few_conditional_space
from autohpo.trial import Outcome, Suggestion, TrialState

FULL = {"min_fidelity": 1.0, "max_fidelity": 1.0}  # one rung: a trial is a bracket


def kde(rng, n):
    """A density over a range, a choice of three and another range."""
    points = np.column_stack([rng.random(n), (rng.integers(0, 3, n) + 0.5) / 3, rng.random(n)])
    return MixedKDE(points, np.array([0, 3, 0]), np.array([0.2, 0.3, 0.15]))


def integrated(density, point, mask):
    """The density of the active columns at a point: the whole one summed and integrated over the others."""

    def over_choices(x, z):
        middles = [point[1]] if mask[1] else [1 / 6, 0.5, 5 / 6]
        return sum(np.exp(density.log_density(np.array([[x, c, z]]))[0]) for c in middles)

    if mask[0] and mask[2]:
        return over_choices(point[0], point[2])
    if mask[0]:
        return integrate.quad(lambda z: over_choices(point[0], z), 0, 1, limit=200)[0]
    return integrate.quad(lambda x: over_choices(x, point[2]), 0, 1, limit=200)[0]


def test_points_are_judged_by_their_active_columns_alone():
    """What stands in the others does not matter: scipy integrates them away, to 1e-7."""
    rng = np.random.default_rng(0)
    model = Model(kde(rng, 5), kde(rng, 7))
    points = np.column_stack([rng.random(6), (rng.integers(0, 3, 6) + 0.5) / 3, rng.random(6)])
    masks = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=bool)
    got = model.log_ratio(points, masks)
    for i in range(5):
        good, bad = (integrated(one, points[i], masks[i]) for one in (model.good, model.bad))
        assert got[i] == pytest.approx(np.log(good / bad), abs=1e-7)
    assert got[5] == 0.0
    moved = np.where(masks, points, 0.5)
    np.testing.assert_array_equal(model.log_ratio(moved, masks), got)
    np.testing.assert_array_equal(model.log_ratio(points), model.log_ratio(points, np.ones((6, 3), dtype=bool)))


def test_inactive_columns_take_turns_at_the_values_of_active_ones():
    """By hand; even steps where there are none, and the points themselves are left alone."""
    points = np.array([[0.1, 0.5, 0.5], [0.2, 0.8, 0.5], [0.3, 0.5, 0.5], [0.4, 0.9, 0.5], [0.6, 0.5, 0.5]])
    mask = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]], dtype=bool)
    kept = points.copy()
    filled = imputed(points, mask)
    np.testing.assert_array_equal(filled[:, 0], points[:, 0])
    np.testing.assert_array_equal(filled[:, 1], [0.8, 0.8, 0.9, 0.9, 0.8])
    np.testing.assert_allclose(filled[:, 2], [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_array_equal(points, kept)
    np.testing.assert_array_equal(imputed(points, np.ones((5, 3), dtype=bool)), points)


def test_choices_with_weights_stand_in_equal_cells_and_come_back():
    """The densities know levels by number; the order of values and equal choices stay where they are."""
    space = SearchSpace(
        [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b", "c"], prior=[6, 3, 1]), ChoiceHP("d", [0, 1]),
         OrdinalHP("o", [1, 2, 3], prior=[6, 3, 1])]
    )  # fmt: skip
    cells = EvenCells(space)
    hps = space.sample(np.random.default_rng(0), 40)
    points = space.encode(hps)
    even = cells.evened(points)
    np.testing.assert_allclose(even[:, 1], [("abc".index(hp["c"]) + 0.5) / 3 for hp in hps])
    np.testing.assert_array_equal(even[:, [0, 2, 3]], points[:, [0, 2, 3]])
    np.testing.assert_array_equal(cells.stretched(even), points)
    plain = EvenCells(SearchSpace([ChoiceHP("c", [1, 2, 3]), RangeHP("n", 1, 3)]))
    assert plain.evened(points) is points
    assert plain.stretched(points) is points


def nested():
    """Where it matters: adam's own parameters, under a choice that the prior thinks little of."""
    adam = [LogRangeHP("lr", 1e-4, 1.0), RangeHP("b", 0.0, 1.0)]
    opti = ChoiceHP("opti", ["sgd", "adam", "rms"], {"adam": adam, "sgd": [RangeHP("m", 0.0, 1.0)]}, prior=[5, 2, 1])
    return SearchSpace([opti, RangeHP("x", 0.0, 1.0)])


def score(hp):
    """Best with adam, at lr = 10**-3.5, b = .9 and x = .3."""
    own = 0.6 if hp["opti"] == "rms" else 0.3 + (hp.get("m", 0.1) - 0.1) ** 2
    if hp["opti"] == "adam":
        own = (np.log10(hp["lr"]) + 3.5) ** 2 / 4 + (hp["b"] - 0.9) ** 2
    return -own - (hp["x"] - 0.3) ** 2


def test_the_model_learns_under_a_choice_that_the_prior_thinks_little_of():
    """Late draws of the model are better than draws from the prior by far, and most of them are adam's.

    Draws from the prior score -.82 in the mean of 40,000, and a quarter of them is adam's.
    """
    late = []
    for seed in range(5):
        hpo = BOHB(nested(), **FULL, sampler="kde", seed=seed)
        for _ in range(80):
            suggestion = hpo.ask()
            hpo.tell(suggestion, score(suggestion))
        late += [trial for trial in hpo.trials[40:] if trial.info["model"]]
    assert np.mean([trial.perf for trial in late]) > -0.3
    assert np.mean([trial.hp["opti"] == "adam" for trial in late]) > 0.5


def test_the_densities_are_of_evened_points_filled_where_nothing_is_active():
    """Both of a model's densities, against the plain steps: code, even, fill."""
    hpo = KDE(nested(), seed=0, min_samples_in_model=8)
    for _ in range(30):
        suggestion = hpo.ask()
        hpo.tell(suggestion, score(suggestion))
    hpo.ask()
    model = hpo._current_model()
    ranked = [trial.hp for trial in sorted(hpo.trials, key=lambda trial: -trial.perf)]
    for density, hps in ((model.good, ranked[:8]), (model.bad, ranked[8:])):
        even = EvenCells(hpo.space).evened(hpo.space.encode(hps))
        assert not hpo.space.mask(hps).all()
        np.testing.assert_array_equal(density.points, imputed(even, hpo.space.mask(hps)))


@pytest.mark.parametrize("cls", [BOHB, Hyperband])
def test_constraints_are_kept_by_the_model_and_by_the_prior(cls):
    """One in six is allowed; the best allowed one lies on the border, and is approached from inside."""
    space = SearchSpace(
        [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0), RangeHP("z", 0.0, 1.0)],
        constraints=LinearConstraint({"x": 1, "y": 1, "z": 1}, upper=1.0),
    )
    hpo = cls(space, max_fidelity=9.0, sampler="kde" if cls is BOHB else "random", seed=0)
    for _ in range(80):
        suggestion = hpo.ask()
        assert sum(suggestion.values()) <= 1.0 + 1e-9
        hpo.tell(suggestion, suggestion["x"] + suggestion["y"])
    if cls is BOHB:
        by_model = [sum(trial.hp.values()) for trial in hpo.trials if trial.resume is None and trial.info["model"]]
        assert len(by_model) > 15
        assert np.mean(by_model) > 0.8  # uniform on the simplex it is 3 / 4


@pytest.mark.parametrize("cls", [BOHB, Hyperband])
@pytest.mark.parametrize(
    "make",
    [few_conditional_space, lambda: SearchSpace([RangeHP("a", 0, 5), RangeHP("b", 0, 5)], constraints="a < b")],
)
def test_a_finite_space_is_started_whole_and_nothing_twice(cls, make):
    """With several workers and failures; what was promoted is the same trial, and at the end it is over."""
    space = make()
    hpo, running, started = cls(space, max_fidelity=9.0, seed=1), [], []
    assert hpo.is_finite
    with pytest.raises(OptimizationComplete):
        for _ in range(200):
            while len(running) < 3:
                try:
                    running.append(hpo.ask())
                except (NotReady, OptimizationComplete):
                    if not running:
                        raise
                    break
                if running[-1].resume is None:
                    started.append(space.key(running[-1]))
            suggestion = running.pop(0)
            if suggestion.number % 4 == 1:
                hpo.fail(suggestion, "planned")
            else:
                hpo.tell(suggestion, -float(suggestion.number))
    assert len(started) == len(set(started)) == space.n_configurations


def stopped_search():
    """Four trials of fidelity 27 that report at 1, 3, ...: two are stopped at 3, one at 9, one is trained in full."""
    history = History(SPACE, Objectives.of("max"))
    for number, last in enumerate([3.0, 27.0, 9.0, 3.0]):
        running = history.add(Suggestion({"x": number / 4}, fidelity=27.0, number=number))
        running.reports += [(r, number + r / 100) for r in (1.0, 3.0, 9.0, 27.0) if r <= last]
        state = TrialState.COMPLETE if last == 27.0 else TrialState.STOPPED
        history.finish(running.ended(Outcome(state, (running.reports[-1][1],), reached=last)))
    return history


SPACE = SearchSpace([RangeHP("x", 0.0, 1.0)])
LOSSES = {
    3.0: [(-3.03, 3), (-2.03, 2), (-1.03, 1), (-0.03, 0)],  # two were stopped here, and two went on
    9.0: [(-2.09, 2), (-1.09, 1)],
    27.0: [(-1.27, 1)],
}


def test_where_trials_are_stopped_those_that_went_on_count_too():
    """All at once and one by one: the stopped ones alone would be the worst of that fidelity."""
    history = stopped_search()
    observations = Observations(history, 27.0)
    observations.update()
    assert observations.ranked == LOSSES
    assert {f: observations.numbers(f).tolist() for f in LOSSES} == {f: [n for _, n in LOSSES[f]] for f in LOSSES}
    assert observations.n_results == {3.0: 4, 9.0: 2, 27.0: 1}
    again = History(SPACE, Objectives.of("max"))
    observations = Observations(again, 27.0)
    for trial in history.trials:
        again.add(trial.suggestion)
        observations.update()
        again.finish(trial)
        observations.update()
    assert observations.ranked == LOSSES
    np.testing.assert_array_equal(observations.points([0, 3]), [[0.0], [0.75]])


def test_reports_on_the_way_count_nowhere_else():
    """In Hyperband a trial of fidelity 3 that reports at 1 is none of the rung of fidelity 1."""
    history = History(SPACE, Objectives.of("max"))
    running = history.add(Suggestion({"x": 0.5}, fidelity=3.0, number=0))
    running.reports += [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]
    history.finish(running.ended(Outcome(TrialState.COMPLETE, (0.3,), reached=3.0)))
    observations = Observations(history, 9.0)
    observations.update()
    assert observations.ranked == {3.0: [(-0.3, 0)]}


@pytest.mark.parametrize("most", [0, kde_model.FEW_PAIRS])
def test_the_best_is_that_of_the_exact_ratios(monkeypatch, most):
    """The screen only leaves out who cannot be the best; few points go without one."""
    monkeypatch.setattr(kde_model, "FEW_PAIRS", most)
    rng, levels = np.random.default_rng(0), np.array([0, 3, 0])
    for n in (3, 30, 700):
        good, bad = (even(rng.random((k, 3)), levels) for k in (n, 2 * n))
        model = Model(MixedKDE(good, levels, np.full(3, 0.2)), MixedKDE(bad, levels, np.full(3, 0.25)))
        for _ in range(20):
            points = even(rng.random((64, 3)), levels)
            assert model.best(points) == np.argmax(model.log_ratio(points))


def even(points, levels):
    """Points with categories at the middles of their cells."""
    return np.where(levels, (np.floor(points * levels) + 0.5) / np.maximum(levels, 1), points)
