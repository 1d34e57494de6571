"""Points: configurations to try first, and results that are known already."""

from __future__ import annotations

import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.errors import OptimizationComplete, OptionError, SpaceError

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]
FIRST, SECOND = {"x": 0.25, "act": "tanh"}, {"x": 0.75, "act": "relu"}


@pytest.mark.parametrize("name", ["random", "quasi_random", "grid", "tpe", "hyperband", "bohb"])
def test_points_are_tried_first_in_their_order(name):
    """Whatever the algorithm, it begins with the user's own ideas."""
    hpo = build_hpo_from_name(name, SPACE, points=[FIRST, SECOND], seed=0)
    assert [hpo.ask(), hpo.ask()] == [FIRST, SECOND]
    assert "point" not in hpo.ask().info


def test_a_known_result_is_not_run_and_not_counted():
    """It stands in the history from the start, and leaves the budget alone."""
    hpo = build_hpo_from_name("random", SPACE, points=[FIRST, (SECOND, 0.9)], max_evals=2, seed=0)
    asked = [hpo.ask(), hpo.ask()]
    assert asked[0] == FIRST
    assert [(trial.hp, trial.perf) for trial in hpo.trials] == [(SECOND, 0.9)]
    assert hpo.best() == (SECOND, 0.9)
    with pytest.raises(OptimizationComplete, match="max_evals"):
        hpo.ask()


def test_a_known_result_is_in_the_users_own_direction():
    """With mode="min" a low known value is a good one."""
    hpo = build_hpo_from_name("tpe", SPACE, points=[(FIRST, 3.0), (SECOND, 1.0)], mode="min", seed=0)
    hpo.ask()
    assert hpo.best() == (SECOND, 1.0)
    assert [trial.perf for trial in hpo.trials] == [3.0, 1.0]
    assert [trial.score for trial in hpo.trials] == [-3.0, -1.0]


def test_known_results_guide_a_model():
    """tpe with twenty known results, the good ones at x near .9, asks there at once."""
    known = [({"x": i / 20, "act": "relu"}, -abs(i / 20 - 0.9)) for i in range(20)]
    hpo = build_hpo_from_name("tpe", SPACE, points=known, seed=0)
    near = 0
    for _ in range(10):
        suggestion = hpo.ask()
        near += abs(suggestion["x"] - 0.9) < 0.25
        hpo.tell(suggestion, -abs(suggestion["x"] - 0.9))
    assert near >= 7  # a uniform draw lies there with probability .35: seven of ten by chance once in 40


@pytest.mark.parametrize(
    ("points", "error", "text"),
    [
        ([{"x": 2.0, "act": "relu"}], SpaceError, "points[0]: x: must be a value of"),
        ([FIRST, {"x": 0.5}], SpaceError, "points[1]: act: must be in the configuration, got only ['x']"),
        ([(FIRST, "good")], OptionError, "points[0]: the objective's result must be one number, got str"),
        ([(FIRST, float("nan"))], OptionError, "points[0]: the objective's result must be finite, got nan"),
        ({"x": 0.5}, OptionError, "points: must be a list of configurations or (configuration, result), got dict"),
    ],
)
def test_wrong_points_are_named(points, error, text):
    """The error says which point, and what is wrong with it."""
    with pytest.raises(error) as caught:
        build_hpo_from_name("random", SPACE, points=points)
    assert str(caught.value).startswith(text)


def test_points_survive_a_rebuild_from_history():
    """A second optimizer that adopts what the first suggested goes on with the same suggestions."""
    points = [(SECOND, 0.9), FIRST]
    one = build_hpo_from_name("tpe", SPACE, points=points, seed=3)
    asked = [one.ask()]
    one.tell(asked[0], 0.4)
    two = build_hpo_from_name("tpe", SPACE, points=points, seed=3)
    for trial in one.trials:
        suggestion = asked[0].copy() if trial.number else type(asked[0])(trial.hp, number=0, info=trial.info)
        two.adopt(suggestion)
        two.tell(suggestion, trial.perf)
    assert [one.ask(), one.ask()] == [two.ask(), two.ask()]
