"""Encoder: points moved to where their configurations stand, as the space's own coding says."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.algorithms.parts import encoding
from autohpo.algorithms.parts.encoding import Encoder
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
    "a whole number decides": SearchSpace(
        [RangeHP("n", 1, 4), RangeHP("x", 0.0, 1.0), ChoiceHP("c", [1, 2])],
        conditions={"x": "n >= 3", "c": "n == 2"},
    ),
    "a real decides": SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], conditions={"y": "x > 0.37"}),
}


@pytest.mark.parametrize("name", SPACES)
def test_points_stand_where_their_configurations_do(name):
    """The space makes a configuration of each of 500 points and codes it again; to 1e-12, the rounding of middles."""
    space, points = SPACES[name], np.random.default_rng(0).random((500, SPACES[name].n_columns))
    kept = points.copy()
    standing = Encoder(space)
    for _ in range(2):  # the second time from what it has kept
        found, mask = standing.of_points(points)
        hps = space.decode(points)
        np.testing.assert_allclose(found, space.encode(hps), rtol=0, atol=1e-12)
        assert (mask == space.mask(hps)).all()
    assert (points == kept).all()
    of_hps, mask_of_hps = standing.of_hps(hps)
    assert (of_hps == space.encode(hps)).all()
    assert (mask_of_hps == mask).all()


def test_masks_are_right_when_more_combinations_come_than_are_kept(monkeypatch):
    """The store of masks is emptied when it is full, and what is asked for is made again."""
    monkeypatch.setattr(encoding, "MOST_KEPT", 3)
    space = SPACES["children of children"]
    standing, rng = Encoder(space), np.random.default_rng(1)
    for n in (2, 5, 40, 3):
        points = rng.random((n, space.n_columns))
        assert (standing.of_points(points)[1] == space.mask(space.decode(points))).all()


def test_no_points_stand_nowhere():
    """An empty batch keeps its width."""
    for space in SPACES.values():
        found, mask = Encoder(space).of_points(np.empty((0, space.n_columns)))
        assert found.shape == mask.shape == (0, space.n_columns)
