"""The forest: what its trees split on, and means and variances that follow from what they were grown on."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, SearchSpace
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.forest import Forest, TreeCoding


def grown(features, values, n_trees=10, max_rows=1000, seed=0):
    """A forest on arrays of any type."""
    features, values = np.asarray(features, dtype=np.float32), np.asarray(values, dtype=float)
    return Forest.grow(features, values, np.random.default_rng(seed), n_trees=n_trees, max_rows=max_rows)


def test_categories_are_flags_and_what_is_inactive_is_apart():
    """An ordered column is itself, one of three categories three flags, one of one nothing; inactive ones -1 and 0."""
    space = SearchSpace(
        [
            ChoiceHP("opti", ["sgd", "adam"], [[RangeHP("m", 0.0, 1.0), ChoiceHP("act", list("xyz"))], []]),
            ChoiceHP("one", ["only"]),
            RangeHP("n", 1, 4),
        ]
    )
    hps = [{"opti": "sgd", "m": 0.25, "act": "z", "one": "only", "n": 4}, {"opti": "adam", "one": "only", "n": 1}]
    encoder = Encoder(space)
    features = TreeCoding(encoder.columns).features(*encoder.of_hps(hps))
    assert features.dtype == np.float32
    assert features.tolist() == [[0.25, 0.875, 1, 0, 0, 0, 1], [-1, 0.125, 0, 1, 0, 0, 0]]


def test_one_tree_predicts_the_rows_it_was_grown_on():
    """Trees go down to single rows: where two rows differ, each of the values stands for itself, with no variance."""
    features, values = [[0.0], [1.0]] * 30, [2.0, 5.0] * 30
    means, variances = grown(features, values, n_trees=1).predict(np.array([[0.0], [1.0]], dtype=np.float32))
    assert means.tolist() == [2.0, 5.0]
    assert variances.tolist() == [0.0, 0.0]


def test_variance_is_that_of_all_rows_where_none_can_be_told_apart():
    """The law of total variance: within trees plus between them is the variance of all rows drawn.

    400 trees draw 50 rows each: their variance is off by sqrt(2 / 20,000) = 1 %, of which 5 are allowed; the variance
    between the trees alone is 1/50 of it, that within them 49/50.
    """
    values = np.random.default_rng(3).standard_normal(50)
    point = np.zeros((1, 2), dtype=np.float32)
    means, variances = grown(np.zeros((50, 2)), values, n_trees=400).predict(point)
    assert means[0] == pytest.approx(values.mean(), abs=5 * values.std() / 20_000**0.5)
    assert variances[0] == pytest.approx(values.var(), rel=0.05)


def test_variance_between_trees_grows_away_from_the_data():
    """Trees that split at different places disagree in a gap, and agree where the data is."""
    x = np.concatenate([np.linspace(0, 0.2, 40), np.linspace(0.8, 1, 40)])
    _, variances = grown(x[:, None], x > 0.5, n_trees=50).predict(np.array([[0.1], [0.5], [0.9]], dtype=np.float32))
    assert variances[1] > 0.1  # of a coin, .25
    assert max(variances[0], variances[2]) < 1e-3


def test_no_tree_sees_more_rows_than_it_may():
    """Ten rows of a thousand make at most ten leaves."""
    x = np.arange(1000.0)[:, None]
    forest = grown(x, x[:, 0], max_rows=10)
    assert max(tree.tree_.n_leaves for tree in forest.trees) <= 10
    assert max(tree.tree_.n_leaves for tree in grown(x, x[:, 0]).trees) > 500
