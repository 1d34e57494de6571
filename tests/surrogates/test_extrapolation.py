"""Where learning curves end."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates.extrapolation import N_CURVES, Extrapolator, _local_fit

EPOCHS = np.arange(1.0, 28.0)


def drawn(rng, n, epochs=EPOCHS, noise=0.01):
    """Curves that rise by power laws of different heights and speeds, some of which peak and fall; and their ends."""
    found = []
    for _ in range(n):
        top, lost, power = rng.normal(0.7, 0.1), rng.uniform(0.2, 0.6), rng.uniform(0.3, 1.2)
        fall = max(0.0, rng.normal(-0.002, 0.003))
        values = top - lost * epochs**-power - fall * epochs + noise * rng.normal(size=len(epochs))
        found.append((epochs, values))
    return found, np.array([values[-1] for _, values in found])


def test_who_is_called_hopeless_is_no_more_often_wrong_than_it_says():
    """Of 120 x 20 curves at three fidelities, those with a chance below 2, 5, 10, 20 % beat the best no more often.

    Each time the best of 12 noisy curves is to be beaten; the share may exceed their mean chance by three errors.
    """
    rng = np.random.default_rng(0)
    chances, outcomes = [], []
    for _ in range(120):
        curves, finals = drawn(rng, 12, noise=0.02)
        model = Extrapolator(curves, finals, float(finals.max()))
        fresh, ends = drawn(rng, 20, noise=0.02)
        for (epochs, values), end in zip(fresh, ends, strict=True):
            k = int(rng.choice([3, 9, 18]))
            chances.append(model.chance(epochs[:k], values[:k]))
            outcomes.append(end > finals.max())
    chances, outcomes = np.array(chances), np.array(outcomes)
    for below in (0.02, 0.05, 0.1, 0.2):
        chosen = chances < below
        error = 3 * np.sqrt(below * (1 - below) / chosen.sum())
        assert outcomes[chosen].mean() <= chances[chosen].mean() + error
    assert (chances < 0.05).mean() > 0.4  # and it does not just stay silent
    assert outcomes[chances > 0.5].mean() > 0.4


@pytest.mark.parametrize(("factor", "shift"), [(1e6, 0.0), (1e-7, 3.0), (2.0, -1e4)])
def test_the_unit_and_the_level_of_the_values_do_not_matter(factor, shift):
    """Chances are the same in per mille, in dollars, and with another zero."""
    rng = np.random.default_rng(1)
    curves, finals = drawn(rng, 12)
    (epochs, values), *_ = drawn(rng, 1)[0]
    expected = Extrapolator(curves, finals, finals.max()).chance(epochs[:5], values[:5])
    scaled = [(epochs, factor * one + shift) for epochs, one in curves]
    ends = factor * finals + shift
    found = Extrapolator(scaled, ends, ends.max()).chance(epochs[:5], factor * values[:5] + shift)
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_local_fit_is_a_weighted_ridge_regression():
    """Against dense linear algebra with the weights written out; the deviation with its prior error, too."""
    rng = np.random.default_rng(2)
    features = np.column_stack([np.ones(15), rng.normal(size=(15, 3))])
    now, gains = features[:, 1] - 1, rng.normal(size=15)
    row, at = np.array([1.0, 0.3, -0.2, 0.5]), -0.7
    mean, sd, degrees = _local_fit(features, now, gains, row[None], np.array([at]))
    w = 0.05 + 0.95 * np.exp(-0.5 * ((now - at) / 0.75) ** 2)
    inner = features.T @ np.diag(w) @ features
    inverse = np.linalg.inv(inner + np.diag([1e-3, 0.3, 0.3, 0.3]))
    beta = inverse @ features.T @ (w * gains)
    df = w.sum() - np.trace(inverse @ inner) + 1
    centre = np.average(gains, weights=w)
    error = w @ (gains - features @ beta) ** 2 + np.average((gains - centre) ** 2, weights=w)
    assert mean[0] == pytest.approx(row @ beta)
    assert sd[0] == pytest.approx(np.sqrt(error / df * (1 + row @ inverse @ row)))
    assert degrees[0] == pytest.approx(min(df, 6.0))


def test_the_errors_are_those_of_predicting_each_curve_by_the_others():
    """Against a fit to the other rows alone."""
    curves, finals = drawn(np.random.default_rng(3), 9)
    model = Extrapolator(curves, finals, float(finals.max()))
    table = model._table(9.0)
    for j in range(9):
        others = np.arange(9) != j
        data = table.features[others], table.now[others], table.gains[others]
        mean, sd, _ = _local_fit(*data, table.features[j : j + 1], table.now[j : j + 1])
        assert table.errors[j] == pytest.approx((table.gains[j] - mean[0]) / sd[0])


def test_the_chance_is_the_tail_of_students_distribution_and_no_less_than_what_was_seen():
    """Against scipy, and a count of the finished curves that were surprised as much."""
    curves, finals = drawn(np.random.default_rng(4), 12)
    model = Extrapolator(curves, finals, float(finals.max()))
    (epochs, values), *_ = drawn(np.random.default_rng(5), 1)[0]
    found = model.predict(epochs[:9], values[:9])
    errors = model._table(9.0).errors
    inflation = max(1.0, np.sqrt((np.sum(np.minimum(errors**2, 100)) + 4) / 14))
    tail = stats.t.sf(-found.mean / found.sd, found.degrees)
    n = np.sum(errors * found.sd / inflation + found.mean >= 0)
    assert model.chance(epochs[:9], values[:9]) == pytest.approx(max(tail, n / 13))


def test_a_family_that_falls_after_its_peak_is_no_promise():
    """All finished curves lose .3 after epoch 9; one that stands .2 above the best end there will not beat it."""
    rng = np.random.default_rng(6)
    shape = -0.3 * (EPOCHS > 9) * (EPOCHS - 9) / 18
    curves = [(EPOCHS, level + shape + 0.002 * rng.normal(size=27)) for level in np.linspace(0.2, 0.5, 10)]
    finals = np.array([values[-1] for _, values in curves])
    now = 0.4 + shape[:9]
    assert now[-1] > finals.max()
    assert Extrapolator(curves, finals, finals.max()).chance(EPOCHS[:9], now) < 0.02


def test_reports_at_other_fidelities_say_the_same():
    """Smooth curves, each reported at a grid of its own, predict what those reported at each epoch do."""

    def curve(top, grid):
        return grid, top - 0.4 * grid**-0.5

    grids = [np.unique(np.r_[np.arange(1 + i % 2, 28, 1 + i % 3), 27.0]) for i in range(10)]
    tops = np.linspace(0.5, 0.9, 10)
    finals = np.array([curve(top, EPOCHS)[1][-1] for top in tops])
    model = Extrapolator([curve(t, EPOCHS) for t in tops], finals, 0.8)
    uneven = Extrapolator([curve(t, grid) for t, grid in zip(tops, grids, strict=True)], finals, 0.8)
    for top in (0.6, 0.84, 0.95):
        expected, found = model.chance(*curve(top, EPOCHS[:12])), uneven.chance(*curve(top, EPOCHS[1:12:2]))
        assert found == pytest.approx(expected, abs=0.05)


def test_without_enough_to_go_by_everyone_has_a_chance():
    """Too few finished curves; too few that were measured before; ends that are all equal."""
    curves, finals = drawn(np.random.default_rng(7), N_CURVES)
    low = np.full(9, -9.0)
    assert Extrapolator(curves, finals, finals.max()).chance(EPOCHS[:9], low) < 0.5
    assert Extrapolator(curves[1:], finals[1:], finals.max()).chance(EPOCHS[:9], low) == 1.0
    late = [(epochs[12:], values[12:]) for epochs, values in curves]
    assert Extrapolator(late, finals, finals.max()).chance(EPOCHS[:9], low) == 1.0
    assert Extrapolator(curves, np.ones(N_CURVES), 1.0).chance(EPOCHS[:9], low) == 1.0
    assert (
        Extrapolator(curves, finals, finals.max()).chance(EPOCHS, low[:1].repeat(27)) == 1.0
    )  # none went on from there


def test_diverged_trainings_do_not_drown_the_others():
    """Two of the finished losses are 1e9: what is good and what is not is told apart as before."""
    curves, finals = drawn(np.random.default_rng(8), 12)
    curves += [(EPOCHS, np.full(27, -1e9)), (EPOCHS, np.full(27, -1e9))]
    model = Extrapolator(curves, np.r_[finals, -1e9, -1e9], float(finals.max()))
    best, worst = (curves[i][1] for i in (int(finals.argmax()), int(finals.argmin())))
    assert model.chance(EPOCHS[:9], worst[:9]) < 0.05 < model.chance(EPOCHS[:9], best[:9])


def test_a_look_takes_a_millisecond():
    """With 100 finished curves of 100 reports, at a fidelity that nobody has asked about: 5 ms is far too slow."""
    epochs = np.arange(1.0, 101.0)
    curves, finals = drawn(np.random.default_rng(9), 100, epochs)
    model = Extrapolator(curves, finals, float(finals.max()))
    model.chance(epochs[:50], curves[0][1][:50])
    began = time.process_time()
    for k in range(10, 30):
        model.chance(epochs[:k], curves[k][1][:k])
    assert (time.process_time() - began) / 20 < 5e-3
