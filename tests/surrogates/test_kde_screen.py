"""The screen of a kernel density against the density itself."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.surrogates.kde import MixedKDE
from autohpo.surrogates.kde_screen import Screen

LEVELS = np.array([0, 3, 0, 1, 5])
WIDTHS = np.array([0.08, 0.3, 0.4, 0.0, 0.5])


def points_of(n, seed):
    """Points with categories at the middles of their cells."""
    points = np.random.default_rng(seed).random((n, len(LEVELS)))
    for column in np.flatnonzero(LEVELS):
        points[:, column] = (np.floor(points[:, column] * LEVELS[column]) + 0.5) / LEVELS[column]
    return points


@pytest.mark.parametrize("n", [1, 40, 600])
def test_a_log_density_is_off_by_no_more_than_the_error(n):
    """With normalisers of each row, and from a table where there are many rows."""
    kde, asked = MixedKDE(points_of(n, 0), LEVELS, WIDTHS), points_of(50, 1)
    screen = Screen(kde)
    found = screen.log_density(asked)
    assert np.abs(found - kde.log_density(asked)).max() <= screen.error < 0.01


def test_columns_that_do_not_count_are_left_out():
    """The density of the others is that of a kernel density of them alone."""
    kde, asked = MixedKDE(points_of(30, 0), LEVELS, WIDTHS), points_of(8, 1)
    mask = np.random.default_rng(2).random(asked.shape) < 0.6
    mask[0] = False
    screen = Screen(kde)
    found = screen.log_density(asked, mask)
    assert found[0] == pytest.approx(0.0, abs=screen.error)
    for i in range(1, len(asked)):
        part = MixedKDE(kde.points[:, mask[i]], LEVELS[mask[i]], WIDTHS[mask[i]])
        assert found[i] == pytest.approx(part.log_density(asked[[i]][:, mask[i]])[0], abs=screen.error)


def test_narrow_kernels_have_a_large_error():
    """Squares of distances in such widths lose their digits, and the screen says so."""
    narrow = Screen(MixedKDE(points_of(20, 0), LEVELS, np.array([1e-3, 0.3, 0.4, 0.0, 0.5])))
    kde = MixedKDE(points_of(20, 0), LEVELS, np.array([1e-3, 0.3, 0.4, 0.0, 0.5]))
    asked = points_of(50, 1)
    assert np.abs(narrow.log_density(asked) - kde.log_density(asked)).max() <= narrow.error
