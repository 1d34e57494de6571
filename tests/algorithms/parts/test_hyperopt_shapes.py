"""hyperopt's three functions without setting shapes: its numbers to the last digit, in its order."""

from __future__ import annotations

import numpy as np
import pytest
from hyperopt import anneal, tpe
from hyperopt.pyll import scope, stochastic

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.parts import hyperopt_shapes as ours

THEIRS = pytest.mark.filterwarnings("ignore::DeprecationWarning:hyperopt")  # its own affair, with numpy 2.5


def theirs(name):
    """A function of hyperopt's own, also where ours has taken its place."""
    return ours.REPLACED.get(name, scope._impls[name])


def mixture(n, rng):
    """Weights, means and widths of a mixture."""
    weights = rng.random(n)
    return weights / weights.sum(), rng.normal(size=n), rng.random(n) + 0.1


@THEIRS
@pytest.mark.parametrize("limits", [{}, {"low": -0.5, "high": 1.5}])
@pytest.mark.parametrize("q", [None, 0.25])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (0,)])
def test_densities_are_hyperopts(limits, q, shape):
    """Cut or not, in steps or not, in one and in two dimensions, and for no samples."""
    rng = np.random.default_rng(0)
    parts = mixture(5, rng)
    samples = rng.random(shape) + 0.5
    wanted = theirs("GMM1_lpdf")(samples, *parts, **limits, q=q)
    np.testing.assert_array_equal(ours.GMM1_lpdf(samples, *parts, **limits, q=q), wanted, strict=True)
    wanted = theirs("LGMM1_lpdf")(samples, *parts, **limits, q=q)
    np.testing.assert_array_equal(ours.LGMM1_lpdf(samples, *parts, **limits, q=q), wanted, strict=True)


@THEIRS
@pytest.mark.parametrize("size", [(), 3, (4,), (0,)])
def test_draws_are_hyperopts(size):
    """With the same probabilities for all, and with a row for each."""
    p = np.array([0.2, 0.5, 0.3])
    for given in (p, [p]):
        wanted = theirs("categorical")(given, np.random.default_rng(1), size)
        got = ours.categorical(given, np.random.default_rng(1), size)
        np.testing.assert_array_equal(got, wanted, strict=True)
    rows = np.array([p, p[::-1], p])
    wanted = theirs("categorical")(rows, np.random.default_rng(1), (3,))
    np.testing.assert_array_equal(ours.categorical(rows, np.random.default_rng(1), (3,)), wanted, strict=True)


@pytest.mark.parametrize("name", ["anneal", "hyperopt_tpe"])
def test_a_search_with_them_sets_no_shape_and_is_the_same(name, monkeypatch):
    """Whatever numpy thinks of setting shapes."""
    space = [RangeHP("x", -1.0, 3.0), LogRangeHP("n", 1, 64), ChoiceHP("act", ["relu", "tanh", "elu"])]

    def suggestions():
        hpo = build_hpo_from_name(name, space, seed=3, mode="min")
        found = []
        for _ in range(30):
            found.append(hpo.ask())
            hpo.tell(found[-1], (found[-1]["x"] - 1) ** 2 + found[-1]["n"] / 64)
        return found

    for module in (anneal, tpe, stochastic):
        for function in ("GMM1_lpdf", "LGMM1_lpdf", "categorical"):
            if hasattr(module, function):
                monkeypatch.setattr(module, function, theirs(function))
    monkeypatch.setattr(scope, "_impls", {**scope._impls, **{key: theirs(key) for key in ours.REPLACED}})
    monkeypatch.setattr(ours, "adapt_to_numpy", lambda: None)
    wanted = suggestions()
    ours.use_reshaped()
    assert suggestions() == wanted
    assert anneal.categorical is scope._impls["categorical"] is ours.categorical


def test_the_functions_are_put_in_place_only_where_numpy_needs_them():
    """An array whose shape cannot be set, or not without a warning."""
    version = tuple(map(int, np.__version__.split(".")[:2]))
    assert ours.can_set_shapes() == (version < (2, 5))
