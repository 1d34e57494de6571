"""Pareto fronts and hypervolumes against brute force: pairwise dominance, inclusion and exclusion, closed forms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from autohpo.surrogates import pareto


def values(n, m, seed=0, digits=16):
    """``(n, m)`` random values; with one digit there are ties and doubles among them."""
    return np.round(np.random.default_rng(seed).random((n, m)), digits)


def dominates(a, b):
    """The definition."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))


def plain_ranks(points):
    """Front by front, every pair compared."""
    rest, found, rank = list(range(len(points))), {}, 0
    while rest:
        free = [i for i in rest if not any(dominates(points[j], points[i]) for j in rest)]
        found |= dict.fromkeys(free, rank)
        rest, rank = [i for i in rest if i not in free], rank + 1
    return [found[i] for i in range(len(points))]


def plain_volume(points, reference):
    """Inclusion and exclusion over every subset of the boxes."""
    total = 0.0
    for k in range(1, len(points) + 1):
        for subset in combinations(points, k):
            total += (-1) ** (k + 1) * np.prod(np.maximum(np.min(subset, axis=0) - reference, 0.0))
    return total


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("digits", [1, 16])
def test_ranks_equal_those_of_pairwise_dominance(m, digits):
    """Sixty values, with ties and without."""
    points = values(60, m, seed=m, digits=digits)
    assert pareto.ranks(points).tolist() == plain_ranks(points.tolist())


def test_dominance_equals_its_definition():
    """Each of 40 values against another set of 20, ties included."""
    points, by = values(40, 3, digits=1), values(20, 3, seed=1, digits=1)
    expected = [any(dominates(b, p) for b in by.tolist()) for p in points.tolist()]
    assert pareto.is_dominated(points, by).tolist() == expected
    assert 0 < sum(expected) < 40


def test_the_front_keeps_equal_values_and_columns_of_any_scale():
    """Doubled values do not dominate each other; sums of 1e300 or differences of 1e-300 do not matter."""
    points = np.array([[1e308, 1e-300], [1e308, 1e-300], [1.7e308, 0.0], [1.0, 2e-300], [1.0, 1e-300]])
    assert pareto.front(points).tolist() == [0, 1, 2, 3]
    assert pareto.ranks(np.empty((0, 2))).tolist() == []


def test_ranks_may_stop_early():
    """Those of the first fronts are the same; the rest share the next number."""
    points = values(80, 2)
    full, part = pareto.ranks(points), pareto.ranks(points, n_ranked=9)
    last = int(np.searchsorted(np.cumsum(np.bincount(full)), 9))
    assert part.tolist() == np.minimum(full, last + 1).tolist()
    assert last + 1 < full.max()


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("digits", [1, 16])
def test_volumes_equal_inclusion_and_exclusion(m, digits):
    """Eleven boxes, some not above the reference: 2,047 products below 1, each right to 1e-15, so 1e-11 in all."""
    points, reference = values(11, m, seed=m, digits=digits), np.full(m, 0.1)
    assert pareto.hypervolume(points, reference) == pytest.approx(plain_volume(points, reference), abs=1e-11)
    alone = pareto.contributions(points, reference)
    for i in range(11):
        without = plain_volume(np.delete(points, i, axis=0), reference)
        assert alone[i] == pytest.approx(plain_volume(points, reference) - without, abs=1e-11)


def test_volume_of_known_fronts():
    """A staircase of 10 steps covers 55 of 100 squares; a cube without a corner 7/8; nothing above the reference, 0."""
    steps = np.array([[i / 10, (11 - i) / 10] for i in range(1, 11)])
    assert pareto.hypervolume(steps, np.zeros(2)) == pytest.approx(0.55, rel=1e-14)
    corner = np.array([[1.0, 1.0, 0.5], [1.0, 0.5, 1.0], [0.5, 1.0, 1.0]])
    assert pareto.hypervolume(corner, np.zeros(3)) == pytest.approx(0.875, rel=1e-14)
    assert pareto.hypervolume(steps, np.full(2, 2.0)) == 0.0
    assert pareto.hypervolume(np.empty((0, 2)), np.zeros(2)) == 0.0


def test_dominated_and_doubled_values_contribute_nothing():
    """Of a value that stands twice, each alone can go."""
    points = np.array([[1.0, 1.0], [1.0, 1.0], [0.5, 2.0], [0.4, 0.9]])
    np.testing.assert_allclose(pareto.contributions(points, np.zeros(2)), [0.0, 0.0, 0.5, 0.0], atol=1e-15)


@pytest.mark.parametrize("m", [2, 3])
def test_the_subset_is_the_greedy_one(m):
    """Each step adds a value of the largest gain, computed afresh for all."""
    points, reference, chosen = values(15, m, seed=m), np.zeros(m), []
    found = pareto.spread_subset(points, 7, reference).tolist()
    for place in found:
        volumes = [pareto.hypervolume(points[[*chosen, i]], reference) for i in range(15)]
        assert volumes[place] == pytest.approx(max(volumes), rel=1e-12)
        chosen.append(place)
    assert len(set(found)) == 7


def test_a_subset_of_more_than_there_are_is_all_of_them():
    """Also of values that add nothing; of equal gains the first place comes first."""
    points = np.array([[1.0, 1.0], [0.5, 0.5], [0.2, 0.2]])
    assert pareto.spread_subset(points, 9, np.zeros(2)).tolist() == [0, 1, 2]
