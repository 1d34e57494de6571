"""The growing estimator against the plain one over the same points."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.surrogates.parzen import ParzenEstimator
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.parzen_rows import LONGEST_ONE_HOT, LONGEST_TABLE, GrowingParzen, steady

UNEVEN = np.array([0.0, 0.1, 0.3, 1.0])
MANY = LONGEST_ONE_HOT + 9  # categories without a feature each
ALL_KINDS = Columns(
    np.array([0, 0, 0, 3, 3, MANY, MANY]), [None, None, UNEVEN, None, np.array([0, 0.5, 0.7, 1]), None, None]
)
PARTIAL = np.array([True, False, True, False, True, True, False])


def draws(columns, n, seed, is_partial=None):
    """n points of the columns, some of whose columns have no meaning for some of them."""
    rng = np.random.default_rng(seed)
    units = rng.random((n, len(columns.levels)))
    units[0] = 0.5  # where columns without meaning stand
    coded = columns.snap(units)
    if is_partial is None:
        return coded
    active = ~is_partial | (rng.random(coded.points.shape) < 0.6)
    return columns.encoded(np.where(active, coded.points, 0.5), active)


def grown(columns, points, is_partial=None, steps=(1, 4, 2)):
    """The estimator after the points came a few at a time."""
    rows, place, turn = GrowingParzen(columns, is_partial), 0, 0
    while place < len(points):
        step = steps[turn % len(steps)]
        rows.extend(points[slice(place, place + step)])
        place, turn = place + step, turn + 1
    return rows


@pytest.mark.parametrize("n", [1, 7, 150])
@pytest.mark.parametrize(("is_partial", "is_asked_in_full"), [(None, True), (PARTIAL, True), (PARTIAL, False)])
def test_density_equals_that_of_the_plain_estimator(n, is_partial, is_asked_in_full):
    """All kinds of columns, after several steps of the bandwidths and of the memory; a third of the rows left out.

    Absolute 1e-11: exponents stay below 100, and the sums have some ten parts.
    """
    points = draws(ALL_KINDS, n, 0, is_partial)
    queries = draws(ALL_KINDS, 24, 1, None if is_asked_in_full else is_partial)
    rows = grown(ALL_KINDS, points, is_partial)
    assert len(rows) == n
    out = list(range(0, n, 3)) if n > 1 else []
    kept = points[np.setdiff1d(np.arange(n), out)]
    plain = ParzenEstimator(ALL_KINDS, kept, np.ones(len(kept)), rows.bandwidths, 0.7)
    found = rows.log_density(queries, out, prior_weight=0.7)
    np.testing.assert_allclose(found, plain.log_density(queries), rtol=0, atol=1e-11)


def test_density_does_not_depend_on_how_the_points_came():
    """One by one, or all at once: the same floats."""
    points, queries = draws(ALL_KINDS, 90, 0, PARTIAL), draws(ALL_KINDS, 24, 1, PARTIAL)
    one_by_one, at_once = grown(ALL_KINDS, points, PARTIAL, (1,)), grown(ALL_KINDS, points, PARTIAL, (90,))
    np.testing.assert_array_equal(one_by_one.log_density(queries), at_once.log_density(queries))


def test_rows_come_back_as_they_went_in():
    """Points, places and masks, across the growth of the memory."""
    points = draws(ALL_KINDS, 150, 0, PARTIAL)
    back, expected = grown(ALL_KINDS, points, PARTIAL)[[3, 149, 64]], points[[3, 149, 64]]
    np.testing.assert_array_equal(back.points, expected.points)
    np.testing.assert_array_equal(back.codes, expected.codes)
    np.testing.assert_array_equal(back.active, expected.active)


def test_an_ordered_column_of_many_values_counts_as_a_real_one():
    """The density at the middle of a cell in place of its mean: they differ by (length/h)^2/24 (z^2 - 1), here < 3 %.

    Cells are 1/40 long, h = .2 30^(-1/5) = .101, and 2.5 widths away, where the kernel matters, z^2 - 1 = 5.25.
    """
    columns = Columns(np.array([0]), [np.linspace(0, 1, 41)])
    assert len(columns.edges[0]) > LONGEST_TABLE
    points = draws(columns, 30, 0)
    rows = grown(columns, points)
    queries = draws(columns, 40, 1)
    plain = ParzenEstimator(columns, points, np.ones(30), rows.bandwidths)
    difference = rows.log_density(queries) - plain.log_density(queries)
    assert 0 < abs(difference).max() < 0.03


def test_without_rows_it_is_the_prior():
    """Density one, before the first point and with every point left out."""
    rows, queries = GrowingParzen(ALL_KINDS), draws(ALL_KINDS, 5, 0)
    assert rows.log_density(queries).tolist() == [0.0] * 5
    rows.extend(queries)
    np.testing.assert_allclose(rows.log_density(queries, list(range(5)), prior_weight=0.3), 0.0, atol=1e-14)


def test_bandwidths_follow_the_number_of_points_in_steps():
    """Of 36 points 36 count, of 37 too; .2 n^(-1/11) in seven columns; L/(n + L) of the points that know a column."""
    columns = Columns(np.array([0, 3]), [None, None])
    rows = GrowingParzen(columns, np.array([False, True]))
    points = draws(columns, 37, 0)
    active = np.ones((37, 2), dtype=bool)
    active[20:, 1] = False
    rows.extend(columns.encoded(np.where(active, points.points, 0.5), active))
    np.testing.assert_allclose(rows.bandwidths, [0.2 * 36 ** (-1 / 6), 3 / 23], rtol=1e-14)


def test_steady_counts_keep_four_binary_digits():
    """Small ones as they are, larger ones by at most an eighth less."""
    counts = np.arange(5000)
    expected = [c if c < 16 else c - c % 2 ** (int(c).bit_length() - 4) for c in counts.tolist()]
    assert steady(counts).tolist() == expected


def test_densities_of_many_narrow_columns_do_not_overflow():
    """200 columns of 400 points: exponents near 350, and below -700 without the points at hand."""
    columns = Columns(np.zeros(200, dtype=np.int64), [None] * 200)
    points = draws(columns, 400, 0)
    rows = GrowingParzen(columns, factor=0.02)
    rows.extend(points)
    near = points[[0, 1]]
    plain = ParzenEstimator(columns, points, np.ones(400), rows.bandwidths)
    assert plain.log_density(near).min() > 500
    np.testing.assert_allclose(rows.log_density(near), plain.log_density(near), rtol=1e-9)
