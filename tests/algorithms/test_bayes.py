"""Bayes: what it suggests, that it follows from the results alone, and that it finds optima sooner than chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.bayes_model import SearchModel, fitted_at
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.trial import TrialState

MIXED = [
    RangeHP("x", 0.0, 1.0),
    LogRangeHP("lr", 1e-4, 1.0),
    RangeHP("hops", 1, 40),
    ChoiceHP("act", ["relu", "tanh", "elu"]),
    FixedHP("device", "cpu"),
]
CONDITIONAL = [
    ChoiceHP("opti", ["sgd", "adam"], [[RangeHP("momentum", 0.0, 1.0)], [LogRangeHP("beta", 1e-3, 1.0)]]),
    RangeHP("x", 0.0, 1.0),
]


def score(hp):
    """A smooth function of the parameters of MIXED; 0 is the best, at x = .3, lr = .01, hops = 12, act = tanh."""
    far = (hp["x"] - 0.3) ** 2 + (math.log10(hp["lr"]) + 2) ** 2 / 4 + (hp["hops"] - 12) ** 2 / 400
    return -far - 0.3 * (hp["act"] != "tanh")


def conditional_score(hp):
    """Best with sgd at momentum .8 and x = .3; adam's best is .2 below."""
    far = (hp["x"] - 0.3) ** 2
    return -far - ((hp["momentum"] - 0.8) ** 2 if hp["opti"] == "sgd" else 0.2 + (math.log10(hp["beta"]) + 1) ** 2)


def run(hpo, n, f=score):
    """Asks and tells n times; the suggestions."""
    asked = []
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))
        asked.append(suggestion)
    return asked


def bayes(space=None, seed=0, **options):
    """An optimizer of MIXED, or of another space."""
    return build_hpo_from_name("bayes", MIXED if space is None else space, seed=seed, **options)


def test_it_comes_nearer_than_random_search_with_ten_times_the_trials():
    """Thirty trials against three hundred, on a mixed space."""
    for seed in range(2):
        ours, random = bayes(seed=seed), build_hpo_from_name("random", MIXED, seed=seed)
        run(ours, 30)
        run(random, 300)
        assert ours.best()[1] > random.best()[1]


def test_it_finds_the_optimum_of_a_conditional_space():
    """Within .01 of the optimum at 0, which is in the branch that has a parameter of its own."""
    hpo = bayes(CONDITIONAL)
    run(hpo, 35, conditional_score)
    best, perf = hpo.best()
    assert best["opti"] == "sgd"
    assert perf > -0.01


@pytest.mark.parametrize("acquisition", ["ucb", "pi", "thompson"])
def test_every_acquisition_function_comes_nearer_than_random_search(acquisition):
    """Thirty-five trials against a hundred."""
    ours, random = bayes(acquisition=acquisition), build_hpo_from_name("random", MIXED, seed=0)
    run(ours, 35)
    run(random, 100)
    assert ours.best()[1] > random.best()[1]


@pytest.fixture(scope="module")
def plain():
    """The first 16 suggestions on MIXED."""
    return run(bayes(), 16)


@pytest.mark.parametrize(("a", "b"), [(2.0**-20, 0.0), (3.7, 0.0), (1e5, -40.0), (1.0, 1e3)])
def test_another_unit_of_the_results_changes_no_suggestion(plain, a, b):
    """Of results a y + b, a > 0: the same 16 configurations, and expected improvements a times as large."""
    other = run(bayes(), 16, lambda hp: a * score(hp) + b)
    assert [dict(hp) for hp in plain] == [dict(hp) for hp in other]
    ours, theirs = (np.array([hp.info.get("expected_improvement", 0.0) for hp in asked]) for asked in (plain, other))
    np.testing.assert_allclose(theirs, a * ours, rtol=1e-6)


def test_the_expected_improvement_falls_as_the_optimum_comes_near():
    """It is said of each suggestion of the model, above 0, and in the end below a hundredth of the first."""
    asked = run(bayes([RangeHP("x", 0.0, 1.0)]), 25, lambda hp: -((hp["x"] - 0.2) ** 2))
    expected = [hp.info.get("expected_improvement") for hp in asked]
    assert expected[:5] == [None] * 5
    assert all(one > 0 for one in expected[5:])
    assert expected[-1] < expected[5] / 100


def test_running_trials_keep_suggestions_apart():
    """Four asked at once after the same results differ as much as any two that are worth trying."""
    hpo = bayes([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)])
    run(hpo, 15, lambda hp: -((hp["x"] - 0.3) ** 2) - (hp["y"] - 0.6) ** 2)
    points = np.array([[hp["x"], hp["y"]] for hp in (hpo.ask() for _ in range(4))])
    distances = np.linalg.norm(points[:, None] - points, axis=-1)[~np.eye(4, dtype=bool)]
    assert distances.min() > 1e-3


def test_where_trials_fail_it_does_not_go_on():
    """Everything above x = .5 fails, and results rise towards it: at most a third of the later trials fail."""
    hpo, failed = bayes([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]), []
    for number in range(30):
        hp = hpo.ask()
        if hp["x"] > 0.5:
            hpo.fail(hp, "diverged", TrialState.FAILED)
            failed.append(number)
        else:
            hpo.tell(hp, hp["x"] - (hp["y"] - 0.4) ** 2)
    assert sum(number >= 10 for number in failed) <= 7
    assert hpo.best()[1] > 0.45


def test_constraints_are_met_and_their_edge_is_found():
    """The best allowed configuration lies on the constraint x + y <= 1, at x = .7."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], constraints=["x + y <= 1"])
    asked = run(bayes(space), 30, lambda hp: -((hp["x"] - 0.9) ** 2) - (hp["y"] - 0.5) ** 2)
    assert all(hp["x"] + hp["y"] <= 1 for hp in asked)
    assert max(-((hp["x"] - 0.9) ** 2) - (hp["y"] - 0.5) ** 2 for hp in asked) > -0.085  # the best is -.08


def test_a_finite_space_is_used_up_without_a_repeat():
    """Twelve configurations, then no more."""
    hpo = bayes([RangeHP("hops", 1, 4), ChoiceHP("act", ["relu", "tanh", "elu"])])
    asked = run(hpo, 12, lambda hp: hp["hops"])
    assert len({(hp["hops"], hp["act"]) for hp in asked}) == 12
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_the_first_trials_are_the_middle_and_evenly_spread_points():
    """The middle of each range; then one point in each quarter of every four."""
    asked = run(bayes([RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0)], n_startup=16), 16, lambda hp: 0.0)
    assert asked[0]["x"] == 0.5
    assert asked[0]["lr"] == pytest.approx(1e-2)
    quarters = [sum(k / 4 <= hp["x"] < (k + 1) / 4 for hp in asked[1:]) for k in range(4)]
    assert min(quarters) >= 3


def test_fits_are_made_at_numbers_that_follow_from_the_number_of_results():
    """Each of the first 31; then in steps of a 16th to a 32nd."""
    assert [fitted_at(n) for n in range(1, 32)] == list(range(1, 32))
    for n in range(32, 3000):
        m = fitted_at(n)
        assert fitted_at(m) == m
        assert 0 <= n - m < n / 16


def test_what_a_model_says_does_not_depend_on_what_it_was_asked():
    """After 70 trials: of one that made all fits on the way, and of one that makes those it needs."""
    asked = bayes().space.sample(np.random.default_rng(1), 2)
    hpo = build_hpo_from_name("random", MIXED, seed=3)
    options = {"is_input_warped": True, "is_output_warped": True, "max_results": 50}
    encoded = [EncodedTrials(hpo.history, Encoder(hpo.space)) for _ in range(2)]
    models = [SearchModel(one, **options) for one in encoded]
    for _ in range(20):
        run(hpo, 3)
        encoded[0].update()
        models[0].posterior([], is_mean_free=True)
    run(hpo, 10)
    for one in encoded:
        one.update()
    queries = Encoder(hpo.space).of_points(np.random.default_rng(0).random((5, hpo.space.n_columns)))
    first, second = (model.posterior(asked, is_mean_free=False)[0].predict(*queries) for model in models)
    np.testing.assert_array_equal(first, second)


def test_of_very_many_results_the_best_and_the_latest_are_used():
    """Of 40 with room for 20: the ten best, and the last ten of the others, in the order told."""
    hpo = build_hpo_from_name("random", MIXED, seed=3)
    run(hpo, 40)
    encoded = EncodedTrials(hpo.history, Encoder(hpo.space))
    encoded.update()
    model = SearchModel(encoded, is_input_warped=False, is_output_warped=False, max_results=20)
    _, data, _ = model.posterior([], is_mean_free=True)
    scores = np.array([trial.score for trial in hpo.trials])
    best = set(np.argsort(-scores)[:10].tolist())
    rows = sorted(best | set([n for n in range(40) if n not in best][-10:]))
    np.testing.assert_array_equal(data.points, hpo.space.encode([hpo.trials[n].hp for n in rows]))


def test_the_search_finds_the_best_point_of_a_mixed_space():
    """A bowl in the reals, the log of ints and the choices; its optimum is known, and candidates are few."""
    space = SearchSpace(MIXED)
    goal = space.encode([{"x": 0.321, "lr": 0.0123, "hops": 29, "act": "elu", "device": "cpu"}])[0]
    search = AcquisitionSearch(Encoder(space), n_draws=10, n_near=10, n_starts=2)

    def bowl(points, mask):
        return -((points - goal) ** 2).sum(axis=1)

    def with_gradient(points, mask):
        return bowl(points, mask), -2 * (points - goal)

    points, values = search.maximize(bowl, with_gradient, np.full((1, 4), 0.5), np.ones(4), np.random.default_rng(0))
    np.testing.assert_allclose(points[0], goal, atol=1e-4)
    assert (np.diff(values) <= 0).all()


def test_the_search_stops_at_a_constraint():
    """The goal (.9, .5) is forbidden; what is allowed comes first, and the best of it is near (.7, .3), .08 away."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], constraints=["x + y <= 1"])
    search = AcquisitionSearch(Encoder(space), n_draws=50, n_near=50, n_starts=4)

    def bowl(points, mask):
        return -((points - [0.9, 0.5]) ** 2).sum(axis=1)

    def with_gradient(points, mask):
        return bowl(points, mask), -2 * (points - [0.9, 0.5])

    points, values = search.maximize(bowl, with_gradient, np.array([[0.6, 0.3]]), np.ones(2), np.random.default_rng(0))
    allowed = points.sum(axis=1) <= 1
    np.testing.assert_array_equal(np.isfinite(values), allowed)
    assert allowed[0]
    assert -0.09 < values[0] <= -0.08 + 1e-12


@pytest.mark.parametrize(
    ("options", "text"),
    [({"n_startup": 0}, "n_startup"), ({"max_results": 9}, "max_results"), ({"kappa": -1.0}, "kappa")],
)
def test_options_that_make_no_sense_are_refused(options, text):
    """By name, with the rule."""
    with pytest.raises(OptionError, match=f"{text}: must be at least"):
        bayes(**options)
