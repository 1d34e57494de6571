"""SobolStart: the evenly spread points with which a search begins."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from autohpo.algorithms.parts.start import SobolStart


def test_points_are_those_of_scipys_sequence():
    """Scrambled by the seed, in any order of asking."""
    start, wanted = SobolStart(3, 11, 6), qmc.Sobol(3, rng=np.random.default_rng(11)).random(8)
    for number in (5, 0, 7, 5):
        np.testing.assert_array_equal(start.point(number), wanted[[number]])


def test_points_are_used_up_at_the_next_power_of_two():
    """Six wanted are eight; then there is none."""
    assert [len(SobolStart(2, 0, 6).point(number)) for number in (7, 8, 100)] == [1, 0, 0]
    assert len(SobolStart(2, 0, 1).point(1)) == 0


def test_a_space_without_columns_has_points_without_coordinates():
    """As many as any other."""
    assert [SobolStart(0, None, 2).point(number).shape for number in (1, 2)] == [(1, 0), (0, 0)]
