"""Encoder: points moved to where their configurations stand, as the space's own coding says."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.parts import encoding
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.spaces import OrdinalHP, PermutationHP

SPACES = {
    "plain": SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 5), ChoiceHP("c", list("abc")), FixedHP("f", 1)]),
    "very many values": SearchSpace([LogRangeHP("n", 1, 100_000), PermutationHP("p", ["a", "b", "c", "d"])]),
    "children of children": SearchSpace(
        [
            ChoiceHP(
                "a", [0, 1], [[ChoiceHP("b", [0, 1, 2], [[], [RangeHP("x", 0.0, 1.0)], []])], [RangeHP("y", 1, 9)]]
            ),
            OrdinalHP("o", [1, 10, 100]),
        ]
    ),
    "an integer decides": SearchSpace(
        [RangeHP("n", 1, 4), RangeHP("x", 0.0, 1.0), ChoiceHP("c", [1, 2])],
        conditions={"x": "n >= 3", "c": "n == 2"},
    ),
    "a real decides": SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], conditions={"y": "x > 0.37"}),
}


@pytest.mark.parametrize("name", SPACES)
def test_points_lie_where_their_configurations_do(name):
    """The space makes a configuration of each of 500 points and codes it again; to 1e-12, the rounding of middles."""
    space, points = SPACES[name], np.random.default_rng(0).random((500, SPACES[name].n_columns))
    kept = points.copy()
    encoder = Encoder(space)
    for _ in range(2):  # the second time from what it has kept
        found, mask = encoder.of_points(points)
        hps = space.decode(points)
        np.testing.assert_allclose(found, space.encode(hps), rtol=0, atol=1e-12)
        assert (mask == space.mask(hps)).all()
    assert (points == kept).all()
    of_hps, mask_of_hps = encoder.of_hps(hps)
    assert (of_hps == space.encode(hps)).all()
    assert (mask_of_hps == mask).all()


def test_masks_are_right_when_more_combinations_come_than_are_kept(monkeypatch):
    """The store of masks is emptied when it is full, and what is asked for is made again."""
    monkeypatch.setattr(encoding, "MOST_KEPT", 3)
    space = SPACES["children of children"]
    encoder, rng = Encoder(space), np.random.default_rng(1)
    for n in (2, 5, 40, 3):
        points = rng.random((n, space.n_columns))
        assert (encoder.of_points(points)[1] == space.mask(space.decode(points))).all()


def test_no_points_lie_nowhere():
    """An empty batch keeps its width."""
    for space in SPACES.values():
        found, mask = Encoder(space).of_points(np.empty((0, space.n_columns)))
        assert found.shape == mask.shape == (0, space.n_columns)


def test_trials_are_encoded_once_in_the_order_told():
    """Points, masks and scores of a search in which one trial failed and another is still running."""
    hpo = build_hpo_from_name("random", SPACES["children of children"], seed=0, mode="min")
    encoded = EncodedTrials(hpo.history, Encoder(hpo.space))
    assert (len(encoded), encoded.has_scores, encoded.update()) == (0, False, [])
    asked = [hpo.ask() for _ in range(5)]
    hpo.fail(asked[2], "planned")
    assert [trial.number for trial in encoded.update()] == [2]
    assert not encoded.has_scores
    for number in (3, 0, 4):
        hpo.tell(asked[number], float(number))
    assert [trial.number for trial in encoded.update()] == [3, 0, 4]
    assert encoded.update() == []
    hps = [dict(asked[number]) for number in (2, 3, 0, 4)]
    np.testing.assert_array_equal(encoded.points, hpo.space.encode(hps))
    np.testing.assert_array_equal(encoded.mask, hpo.space.mask(hps))
    np.testing.assert_array_equal(encoded.scores, [np.nan, -3.0, 0.0, -4.0])
    points, mask = encoded.of([hpo.trials[3], hpo.trials[1]])
    np.testing.assert_array_equal(points, hpo.space.encode([hps[3], hps[1]]))
    np.testing.assert_array_equal(mask, hpo.space.mask([hps[3], hps[1]]))
