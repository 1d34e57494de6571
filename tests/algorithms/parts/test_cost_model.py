"""What a training will cost."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.cost_model import CostModel
from autohpo.algorithms.parts.encoding import Encoder

SPACE = [LogRangeHP("width", 8.0, 512.0), RangeHP("depth", 1, 4), ChoiceHP("act", ["relu", "tanh"])]


def factor(hp):
    """A cost an epoch whose logarithm is linear in the unit cube."""
    return 2e-3 * hp["width"] * math.exp(0.3 * hp["depth"]) * (1.5 if hp["act"] == "tanh" else 1.0)


def told(n, cost, *, name="asha", is_continued=True, seed=0, space=SPACE):
    """An asynchronous halving whose trials cost `cost(hp, had, given)`, and the model of it."""
    hpo = build_hpo_from_name(name, space, max_fidelity=27, seed=seed)
    hpo.is_continued = is_continued
    model = CostModel(hpo.history, Encoder(hpo.space), 27, is_continued=is_continued)
    for _ in range(n):
        suggestion = hpo.ask()
        had = hpo.history[suggestion.resume].fidelity if suggestion.resume is not None and is_continued else 0
        hpo.tell(suggestion, -suggestion["depth"], cost=cost(suggestion, had, suggestion.fidelity))
        model.update()
    return hpo, model


def predicted(hpo, model, hps, had, given):
    """The costs of some configurations."""
    points, mask = Encoder(hpo.space).of_hps(hps)
    return model.predict(points, mask, had, given)


@pytest.mark.parametrize("is_continued", [True, False])
def test_cost_in_proportion_to_the_fidelity_is_predicted_exactly(is_continued):
    """Where log c(x) is linear, c(x) (r' - r) is known for configurations that were never tried, too."""
    hpo, model = told(60, lambda hp, had, given: factor(hp) * (given - had), is_continued=is_continued)
    rng = np.random.default_rng(5)
    fresh = hpo.space.decode(rng.random((20, hpo.space.n_columns)))
    had, given = rng.integers(0, 5, 20), rng.integers(5, 28, 20)
    expected = [math.log(factor(hp) * (b - a)) for hp, a, b in zip(fresh, had, given, strict=True)]
    costs = predicted(hpo, model, fresh, had, given)
    assert costs.log_cost == pytest.approx(expected, abs=1e-5)
    assert (costs.sd < 1e-3).all()


def test_a_configuration_goes_on_at_its_own_rate():
    """However odd the factor is: what the configuration paid at one rung is what it pays an epoch at the next."""
    rates = {}

    def cost(hp, had, given):
        rate = rates.setdefault(hp["width"], math.exp(np.random.default_rng(len(rates)).normal()))
        return rate * (given - had)

    hpo, model = told(60, cost)
    known = [trial.hp for trial in hpo.trials]
    expected = [math.log(rates[hp["width"]] * 18) for hp in known]
    assert predicted(hpo, model, known, 9, 27).log_cost == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("is_paid_again", [True, False])
def test_what_a_start_costs_is_not_taken_for_training(is_paid_again):
    """With 1.5 s to begin and .5 s an epoch the highest rung is not 27 times the lowest."""

    def cost(hp, had, given):
        return (1.5 if is_paid_again or not had else 0.0) + 0.5 * (given - had)

    hpo, model = told(60, cost)
    hp = hpo.trials[0].hp
    costs = predicted(hpo, model, [hp, hp], np.array([0.0, 9.0]), np.array([27.0, 27.0]))
    expected = [math.log(cost(hp, 0, 27)), math.log(cost(hp, 9, 27))]
    assert costs.log_cost == pytest.approx(expected, abs=1e-4)


def test_cost_that_grows_with_the_square_is_found():
    """As a kernel matrix does with the size of the data."""
    hpo, model = told(60, lambda hp, had, given: factor(hp) * (given**2 - had**2))
    hp = hpo.trials[0].hp
    costs = predicted(hpo, model, [hp], 9, 27)
    assert costs.log_cost[0] == pytest.approx(math.log(factor(hp) * 648), abs=1e-4)


def test_parameters_may_multiply():
    """Where deep networks pay more for their width, the product of the two columns says so."""

    def cost(hp, had, given):
        return (given - had) * math.exp(0.4 * hp["depth"] * math.log(hp["width"] / 8))

    hpo, model = told(80, cost)
    fresh = hpo.space.decode(np.random.default_rng(0).random((9, hpo.space.n_columns)))
    expected = [math.log(cost(hp, 0, 27)) for hp in fresh]
    assert predicted(hpo, model, fresh, 0, 27).log_cost == pytest.approx(expected, abs=1e-3)


def test_the_deviation_is_that_of_noisy_costs():
    """With a deviation of .2 within a configuration and .5 between them, for known and for new ones."""
    rng = np.random.default_rng(3)
    own = {}

    def cost(hp, had, given):
        mine = own.setdefault(hp["width"], 0.5 * rng.normal())
        return (given - had) * math.exp(mine + 0.2 * rng.normal())

    hpo, model = told(200, cost)
    fresh = hpo.space.decode(rng.random((5, hpo.space.n_columns)))
    assert predicted(hpo, model, fresh, 0, 9).sd == pytest.approx(math.hypot(0.2, 0.5), rel=0.25)
    paused = [t.hp for t in hpo.trials if t.fidelity == 1]
    one = predicted(hpo, model, paused, 1, 3)
    leaf = [i for i, hp in enumerate(paused) if sum(t.hp == hp for t in hpo.trials) == 1]
    expected = math.sqrt(0.25 * 0.04 / (0.25 + 0.04) + 0.04)  # a normal effect after one look
    assert one.sd[leaf] == pytest.approx(expected, rel=0.35)


def test_without_costs_only_the_fidelity_counts():
    """Trials that say no cost, and failed ones, leave a cost in proportion to what is added."""
    hpo = build_hpo_from_name("asha", SPACE, max_fidelity=27, seed=0)
    model = CostModel(hpo.history, Encoder(hpo.space), 27)
    hpo.tell(hpo.ask(), 1.0)
    hpo.tell(hpo.ask(), 1.0, cost=0.0)
    hpo.fail(hpo.ask(), "broken")
    assert (model.update(), len(model)) == (0, 0)
    costs = predicted(hpo, model, [hpo.trials[0].hp], 3, 9)
    assert (costs.log_cost[0], costs.sd[0]) == (pytest.approx(math.log(6)), 1.0)


def test_one_cost_is_a_rate_for_all():
    """And is believed by a factor of e."""
    hpo, model = told(1, lambda hp, had, given: 10.0 * (given - had))
    fresh = hpo.space.decode(np.full((1, hpo.space.n_columns), 0.9))
    costs = predicted(hpo, model, fresh, 0, 9)
    assert costs.log_cost[0] == pytest.approx(math.log(90))
    assert costs.sd[0] == pytest.approx(1.0, abs=0.2)


def test_the_model_follows_from_the_trials_alone():
    """Updated after each trial or once, it predicts the same."""
    hpo, model = told(83, lambda hp, had, given: factor(hp) * (given - had) ** 1.2)
    late = CostModel(hpo.history, Encoder(hpo.space), 27)
    assert late.update() == 83
    fresh = hpo.space.decode(np.random.default_rng(0).random((9, hpo.space.n_columns)))
    one, other = (predicted(hpo, m, fresh, 0, 27) for m in (model, late))
    assert one.log_cost.tolist() == other.log_cost.tolist()
    assert one.sd.tolist() == other.sd.tolist()


def test_inactive_parameters_cost_nothing():
    """A conditional column is a factor only where it is active."""
    space = [ChoiceHP("net", ["small", "deep"], [[], [RangeHP("layers", 1.0, 9.0)]]), RangeHP("depth", 0.0, 1.0)]

    def cost(hp, had, given):
        return (given - had) * (math.exp(0.2 * hp["layers"]) if hp["net"] == "deep" else 0.1)

    hpo, model = told(80, cost, space=space)
    fresh = hpo.space.decode(np.random.default_rng(0).random((9, hpo.space.n_columns)))
    costs = predicted(hpo, model, fresh, 0, 27)
    assert costs.log_cost == pytest.approx([math.log(cost(hp, 0, 27)) for hp in fresh], abs=1e-4)


def test_an_update_is_fast():
    """At 500 costs a fit and a prediction for 1,000 candidates take less than 100 ms of this process."""
    hpo, model = told(500, lambda hp, had, given: factor(hp) * (given - had))
    points = np.random.default_rng(0).random((1000, hpo.space.n_columns))
    points, mask = Encoder(hpo.space).of_points(points)
    began = time.process_time()
    model.predict(points, mask, 0.0, 27.0)
    assert time.process_time() - began < 0.1
