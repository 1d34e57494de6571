"""Tests of the demo's graph network: against dense algebra, finite differences and published numbers."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from itertools import islice
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax

from autohpo.demo.cora import (
    APPNP,
    DEFAULTS,
    PUBLISHED,
    Cora,
    cora_space,
    evaluate,
    load_cora,
    propagate,
    train_appnp,
)
from autohpo.errors import OptionError
from autohpo.spaces import SearchSpace

GOOD = {**PUBLISHED, "lr": 0.03, "weight_decay": 1e-3}
SMALL = {**PUBLISHED, "hidden": 5, "hops": 3, "weight_decay": 0.1, "lr": 0.05}


@pytest.fixture(scope="module")
def cora() -> Cora:
    """The shipped graph."""
    return load_cora()


@pytest.fixture
def tiny() -> Cora:
    """Twelve nodes, seven features and three classes, drawn at random, in float64."""
    rng = np.random.default_rng(5)
    graph = np.triu(rng.random((12, 12)) < 0.3, 1)
    graph = graph + graph.T + np.eye(12)
    scale = np.diag(graph.sum(axis=1) ** -0.5)
    return Cora(
        features=sparse.csr_matrix(rng.random((12, 7)) * (rng.random((12, 7)) < 0.6)),
        adjacency=sparse.csr_matrix(scale @ graph @ scale),
        labels=rng.integers(3, size=12),
        train=np.array([3, 0, 7, 10]),
        validation=np.array([1, 2, 4]),
        test=np.array([5, 6, 8, 9, 11]),
        n_classes=3,
    )


def dense_propagation(adjacency: sparse.csr_matrix, alpha: float, hops: int) -> np.ndarray:
    """The power iteration written out: ``(1 - a)^K S^K + a sum_k (1 - a)^k S^k``, k from 0 to K - 1."""
    step = (1 - alpha) * adjacency.toarray()
    powers = [np.linalg.matrix_power(step, k) for k in range(hops + 1)]
    return powers[-1] + alpha * sum(powers[:-1], np.zeros_like(step))


def dense_scores(model: APPNP, data: Cora, hp: dict[str, Any], features: Any, mask: Any) -> np.ndarray:
    """The class scores of all nodes by dense algebra, for relu."""
    hidden = np.maximum(features.toarray() @ model.weights[0], 0) * mask
    return dense_propagation(data.adjacency, hp["alpha"], hp["hops"]) @ hidden @ model.weights[1]


# The data


def test_the_graph_has_the_published_counts_and_split(cora: Cora) -> None:
    """Yang et al. 2016, table 1, counts 5,429 links with repeats and self loops: 5,278 edges without."""
    assert (cora.n_nodes, cora.n_features, cora.n_classes) == (2708, 1433, 7)
    assert cora.adjacency.nnz == 2 * 5278 + 2708
    assert [part.size for part in (cora.train, cora.validation, cora.test)] == [140, 500, 1000]
    assert np.unique(np.concatenate([cora.train, cora.validation, cora.test])).size == 1640
    assert np.bincount(cora.labels[cora.train]).tolist() == [20] * 7


def test_features_are_row_normalised(cora: Cora) -> None:
    """Each row sums to 1; float32 sums of at most 30 terms are exact to 30 roundings of 6e-8."""
    assert cora.features.dtype == np.float32
    assert np.diff(cora.features.indptr).max() <= 30
    np.testing.assert_allclose(cora.features.sum(axis=1), 1, atol=30 * 6e-8)


def test_adjacency_is_normalised_and_symmetric(cora: Cora) -> None:
    """The square roots of the degrees are its eigenvector of eigenvalue 1: the definition of the scaling."""
    roots = np.sqrt(np.diff(cora.adjacency.indptr))
    assert cora.adjacency.dtype == np.float32
    assert abs(cora.adjacency - cora.adjacency.T).max() == 0
    np.testing.assert_allclose(cora.adjacency @ roots, roots, rtol=1e-5)  # 169 float32 terms at most
    assert (cora.adjacency.diagonal() > 0).all()


def test_the_licence_is_shipped_beside_the_data() -> None:
    """The licence asks for its text and the copyright line in every copy."""
    text = (files("autohpo.demo") / "data" / "LICENSE-planetoid.txt").read_text(encoding="utf-8")
    assert "Copyright (c) 2016 Zhilin Yang" in text
    assert "Permission is hereby granted" in text
    assert "Yang, William W. Cohen, Ruslan Salakhutdinov" in text


# The model


@pytest.mark.parametrize("hops", [0, 1, 4])
def test_propagation_equals_its_closed_form(tiny: Cora, hops: int) -> None:
    """Equation 4 of the paper, unrolled into powers of the matrix."""
    scores = np.random.default_rng(0).normal(size=(12, 3))
    expected = dense_propagation(tiny.adjacency, 0.2, hops) @ scores
    np.testing.assert_allclose(propagate(tiny.adjacency, scores, 0.2, hops), expected, atol=1e-13)


def test_propagation_converges_to_personalised_pagerank(tiny: Cora) -> None:
    """Equation 3 of the paper: ``a (I - (1 - a) S)^-1``; after 200 steps 0.8^200 < 1e-19 is left."""
    scores = np.random.default_rng(0).normal(size=(12, 3))
    limit = 0.2 * np.linalg.solve(np.eye(12) - 0.8 * tiny.adjacency.toarray(), scores)
    np.testing.assert_allclose(propagate(tiny.adjacency, scores, 0.2, 200), limit, atol=1e-13)


def test_loss_equals_dense_algebra(tiny: Cora) -> None:
    """The shortcut over the training nodes' rows gives the loss of the full propagation."""
    model = APPNP(SMALL, tiny, seed=0)
    features, mask = model.draw_dropout()
    shares = log_softmax(dense_scores(model, tiny, SMALL, features, mask), axis=1)
    decay = 0.1 / 2 * np.sum(model.weights[0] ** 2)
    expected = -shares[tiny.train, tiny.labels[tiny.train]].mean() + decay
    assert model.loss_and_gradients(features, mask)[0] == pytest.approx(expected, abs=1e-12)


def test_accuracy_equals_dense_algebra_without_dropout(tiny: Cora) -> None:
    """For every single node, so that a mix-up of nodes shows."""
    hp = {**SMALL, "alpha": 0.8}  # little smoothing, so that predictions differ between nodes
    model = APPNP(hp, tiny, seed=8)
    predicted = dense_scores(model, tiny, hp, tiny.features, 1.0).argmax(axis=1)
    is_right = predicted == tiny.labels
    assert np.unique(predicted).size > 1
    assert 0 < is_right.sum() < 12
    assert [model.accuracy(np.array([node])) for node in range(12)] == is_right.tolist()


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_gradients_equal_finite_differences(tiny: Cora, activation: str) -> None:
    """Central differences at h = 1e-5 are off by some h^2 + 1e-16 / h = 1e-10; a wrong term by far more."""
    model = APPNP({**SMALL, "activation": activation}, tiny, seed=1)
    drawn = model.draw_dropout()
    gradients = model.loss_and_gradients(*drawn)[1]
    for weight, gradient in zip(model.weights, gradients, strict=True):
        expected = np.empty_like(weight)
        for index, value in np.ndenumerate(weight):
            losses = []
            for shift in (1e-5, -1e-5):
                weight[index] = value + shift
                losses.append(model.loss_and_gradients(*drawn)[0])
            weight[index] = value
            expected[index] = (losses[0] - losses[1]) / 2e-5
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_training_follows_adam_as_published(tiny: Cora) -> None:
    """Kingma and Ba 2015, Algorithm 1, line by line; without dropout nothing is random after the start."""
    hp = {**SMALL, "dropout": 0.0}
    model, other = APPNP(hp, tiny, seed=2), APPNP(hp, tiny, seed=2)
    means = [np.zeros_like(weight) for weight in other.weights]
    squares = [np.zeros_like(weight) for weight in other.weights]
    for t in range(1, 6):
        _, gradients = other.loss_and_gradients(tiny.features, np.ones((12, 5)))
        for k, gradient in enumerate(gradients):
            means[k] = 0.9 * means[k] + 0.1 * gradient
            squares[k] = 0.999 * squares[k] + 0.001 * gradient**2
            step = (means[k] / (1 - 0.9**t)) / (np.sqrt(squares[k] / (1 - 0.999**t)) + 1e-8)
            other.weights[k] -= 0.05 * step
        model.train_epoch()
    for weight, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-12)


def test_dropout_removes_its_share_and_scales_the_rest(cora: Cora) -> None:
    """Shares within five standard deviations of the binomial; what is kept stays in its place."""
    features, mask = APPNP({**PUBLISHED, "dropout": 0.7}, cora, seed=0).draw_dropout()
    for n_kept, n_all in ((features.nnz, cora.features.nnz), (np.count_nonzero(mask), mask.size)):
        assert abs(n_kept - 0.3 * n_all) < 5 * np.sqrt(n_all * 0.3 * 0.7)
    assert np.unique(mask).tolist() == pytest.approx([0, 1 / 0.3])
    places = features.astype(bool)
    np.testing.assert_allclose(features.data, places.multiply(cora.features).tocsr().data / 0.3, rtol=1e-6)


# What the tuner sees


def test_a_good_configuration_learns_in_thirty_epochs(cora: Cora) -> None:
    """The mean over seeds is .789 with a standard deviation of .004, so .75 is missed only by a fault."""
    assert list(train_appnp(GOOD, cora, seed=0, max_epochs=30))[-1] > 0.75


def test_the_published_settings_reach_the_published_range(cora: Cora) -> None:
    """Reports on this split lie at .80 to .833; ours at .824 with a standard deviation of .006 over seeds."""
    assert 0.80 < evaluate(PUBLISHED, 200, [0], cora)[1][0] < 0.85


def test_equal_seeds_give_equal_curves(cora: Cora) -> None:
    """And another seed another curve: otherwise the seed would be ignored."""
    curves = [list(train_appnp(GOOD, cora, seed, max_epochs=6)) for seed in (3, 3, 4)]
    assert curves[0] == curves[1] != curves[2]


def test_the_curve_depends_on_no_label_outside_training_and_validation(cora: Cora) -> None:
    """All other labels are shifted by one: the test accuracy sees it, the curve does not."""
    labels = (cora.labels + 1) % 7
    for part in (cora.train, cora.validation):
        labels[part] = cora.labels[part]
    scrambled = replace(cora, labels=labels)
    assert list(train_appnp(GOOD, cora, 0, 12)) == list(train_appnp(GOOD, scrambled, 0, 12))
    assert evaluate(GOOD, 12, [0], cora)[1] > evaluate(GOOD, 12, [0], scrambled)[1]


def test_one_epoch_is_one_value_until_the_caller_stops(tiny: Cora) -> None:
    """The number of epochs is a limit; without it, the curve is the same and goes on."""
    limited = list(train_appnp(SMALL, tiny, 0, max_epochs=7))
    assert len(limited) == 7
    assert list(islice(train_appnp(SMALL, tiny, 0), 20))[:7] == limited


def test_evaluate_reports_the_last_value_of_each_seed(cora: Cora) -> None:
    """The validation accuracies are those the tuner saw; the test accuracies come from 1,000 other nodes."""
    validation, test = evaluate(GOOD, 10, [5, 6], cora)
    assert validation.tolist() == [list(train_appnp(GOOD, cora, seed, 10))[-1] for seed in (5, 6)]
    np.testing.assert_allclose(test * 1000, np.round(test * 1000), atol=1e-9)
    assert test.shape == (2,)


def test_the_space_holds_both_yardsticks_and_its_corners_train(cora: Cora) -> None:
    """No corner of the space overflows or warns, so a tuner never meets a number that is not finite."""
    space = cora_space()
    assert {hp.name for hp in space} == set(DEFAULTS) == set(PUBLISHED)
    assert all(hp.contains(yardstick[hp.name]) for hp in space for yardstick in (DEFAULTS, PUBLISHED))
    whole = SearchSpace(space)
    for hp in whole.decode(np.array([np.zeros(len(space)), np.full(len(space), 0.5), np.ones(len(space))])):
        curve = list(train_appnp(hp, cora, 0, max_epochs=3))
        assert len(curve) == 3
        assert all(0 <= perf <= 1 for perf in curve)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("weight_decay", -1e-3),
        ("hidden", 0),
        ("hidden", 8.5),
        ("dropout", 1.0),
        ("alpha", 0.0),
        ("hops", -1),
        ("activation", "gelu"),
    ],
)
def test_a_value_that_breaks_the_training_is_refused(tiny: Cora, name: str, value: object) -> None:
    """The error names the parameter, the rule and the value."""
    with pytest.raises(OptionError, match=rf"^{name}: must be .*, got {value!r}$"):
        APPNP({**SMALL, name: value}, tiny, seed=0)


def test_a_missing_parameter_is_named(tiny: Cora) -> None:
    """Also when it is the generator that is asked for its first value."""
    hp = {name: value for name, value in SMALL.items() if name != "alpha"}
    with pytest.raises(OptionError, match=r"got none for alpha$"):
        next(train_appnp(hp, tiny, seed=0))
