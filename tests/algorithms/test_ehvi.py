"""EHVI: its acquisition function, how it treats constraints and running trials, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.ehvi import EHVI
from autohpo.algorithms.parts.ehvi_models import MOST_BOXES, improvement_over, reference_below
from autohpo.surrogates import pareto

FLOATS = [RangeHP(f"x{k}", 0.0, 1.0) for k in range(3)]


def bowls(hp):
    """Distances from two points; the front is the way between them; to be minimised."""
    x = np.array([hp["x0"], hp["x1"], hp["x2"]])
    return float(((x - 0.2) ** 2).sum()), float(((x - 0.7) ** 2).sum())


def run(hpo, n, f=bowls, constraints=None):
    """Asks and tells n times."""
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion), constraints=constraints and constraints(suggestion))
    return hpo


def covered(hpo):
    """The hypervolume up to (.75, .75), as a share of what the front covers."""
    way = np.linspace(0, 1, 2001)
    front = -0.75 * np.stack([way**2, (1 - way) ** 2], axis=1)
    reference = np.full(2, -0.75)
    values = np.array([trial.scores for trial in hpo.trials])
    return pareto.hypervolume(values, reference) / pareto.hypervolume(front, reference)


def test_it_covers_the_front_of_a_smooth_problem():
    """Thirty trials cover 93 % of what the whole front covers; as many random ones less than 85 %."""
    for seed in range(2):
        assert covered(run(EHVI(FLOATS, seed=seed, mode=["min"] * 2), 30)) > 0.93
        assert covered(run(build_hpo_from_name("random", FLOATS, seed=seed, mode=["min"] * 2), 30)) < 0.85


@pytest.mark.parametrize("warped", [False, True])
def test_scores_have_the_gradient_of_finite_differences(warped):
    """Of the improvement and of the constraint together; central differences of steps of 1e-5.

    A deviation is the root of a difference of numbers a million times as large: its rounding is the tolerance.
    """
    hpo = run(
        EHVI(FLOATS, seed=0, mode=["min"] * 2, is_output_warped=warped), 15, constraints=lambda s: {"c": s["x0"] - 0.5}
    )
    hpo._models.update()
    acquisition = hpo._models.acquisition([])
    assert len(acquisition.bounds) == 1
    rng = np.random.default_rng(0)
    points, mask, step = rng.random((5, 3)), np.ones((5, 3), dtype=bool), 1e-5
    score, gradient = acquisition.with_gradient(points, mask)
    np.testing.assert_allclose(score, acquisition.score(points, mask), rtol=1e-9)
    for j in range(3):
        shift = step * np.eye(3)[j]
        slope = (acquisition.score(points + shift, mask) - acquisition.score(points - shift, mask)) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-2, atol=1e-2)


def test_it_stays_where_the_constraint_is_met():
    """x0 may be at most .3: of the trials after the start nearly all keep to it, in two searches."""
    hpo = run(EHVI(FLOATS, seed=0, mode=["min"] * 2), 35, constraints=lambda s: {"room": s["x0"] - 0.3})
    assert sum(trial.violation == 0 for trial in hpo.trials[-20:]) >= 15


def test_without_a_feasible_trial_it_looks_for_one():
    """A thousandth of the space is allowed, and random search does not hit it: the constraints' models lead there."""

    def constraints(hp):
        return {name: abs(hp[name] - 0.83) - 0.05 for name in ("x0", "x1", "x2")}

    hpo = run(EHVI(FLOATS, seed=0, mode=["min"] * 2), 5, constraints=constraints)
    assert all(trial.violation > 0 for trial in hpo.trials)
    hpo._models.update()
    assert hpo._models.acquisition([]).improvement is None  # objectives do not count yet
    run(hpo, 25, constraints=constraints)
    assert any(trial.violation == 0 for trial in hpo.trials)


def test_a_constraint_that_is_the_same_everywhere_has_no_model():
    """There is nothing to learn, met or missed; the front is that of all trials."""
    for value in (-1.0, 1.0):
        hpo = run(EHVI(FLOATS, seed=0, mode=["min"] * 2), 12, constraints=lambda s, v=value: {"c": v})
        hpo._models.update()
        acquisition = hpo._models.acquisition([])
        assert acquisition.bounds == []
        assert acquisition.improvement is not None


def test_a_running_trial_leaves_less_to_be_learnt_and_to_be_gained():
    """Where it runs, the models are sure, and a trial there would add next to nothing to what it will."""
    hpo = run(EHVI(FLOATS, seed=0, mode=["min"] * 2), 12)
    models, running = hpo._models, [{"x0": 0.4, "x1": 0.5, "x2": 0.6}]
    models.update()
    point, mask = hpo.space.encode(running), np.ones((1, 3), dtype=bool)
    before, after = models.acquisition([]), models.acquisition(running)
    for old, new in zip(before.posteriors, after.posteriors, strict=True):
        assert new.predict(point, mask)[0] == pytest.approx(old.predict(point, mask)[0])
        assert new.predict(point, mask)[1] < 0.5 * old.predict(point, mask)[1]
    assert len(after.front) > 0
    assert after.score(point, mask) < before.score(point, mask) - 1


def test_running_trials_are_not_suggested_again():
    """Eight suggestions without a result lie apart: each lowers the value of its surroundings."""
    hpo = run(EHVI(FLOATS, seed=0, mode=["min"] * 2), 15)
    asked = [hpo.ask() for _ in range(8)]
    points = hpo.space.encode(asked)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(8, 1)]
    assert apart.min() > 1e-3


def test_the_reference_point_lies_in_turn_below_the_ends_and_below_the_middle():
    """By hand, from a front of eleven: its second worst less a fifth of all, and its median less a tenth."""
    way = np.arange(11.0)
    front = np.stack([way, 10.0 - way], axis=1)
    ranges = np.array([20.0, 40.0])
    np.testing.assert_allclose(reference_below(front, ranges, 0), [1 - 4, 1 - 8])
    np.testing.assert_allclose(reference_below(front, ranges, 1), [5 - 2, 5 - 4])
    np.testing.assert_allclose(reference_below(front, ranges, 2), reference_below(front, ranges, 0))


def test_a_front_too_large_is_stood_for_by_what_covers_most():
    """The boxes stay few, and the improvement is close to that over the whole front."""
    angles = np.linspace(0.05, np.pi / 2 - 0.05, 40)
    a, b = (grid.ravel() for grid in np.meshgrid(angles, angles))
    front = np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)
    improvement = improvement_over(front, np.zeros(3))
    assert improvement.lower.shape[1] < 2 * MOST_BOXES


def test_wrong_options_are_named():
    """When the optimizer is built."""
    for options, text in (
        ({"n_startup": 0}, "n_startup: must be at least 1, or None, got 0"),
        ({"max_results": 9}, "max_results: must be at least 10, got 9"),
    ):
        with pytest.raises(OptionError) as caught:
            EHVI(FLOATS, **options)
        assert str(caught.value) == text


def test_three_objectives_and_choices_are_no_trouble():
    """It gets nearer to the front than random search: c = "b" is better in all."""
    space = [*FLOATS, ChoiceHP("c", list("abc"))]

    def f(hp):
        off = 0.0 if hp["c"] == "b" else 0.3
        return (*(value + off for value in bowls(hp)), hp["x1"] + off)

    hpo = run(EHVI(space, seed=0, mode=["min"] * 3), 30, f)
    assert sum(trial.hp["c"] == "b" for trial in hpo.trials[-12:]) >= 9
