"""RangeHP and LogRangeHP: ends, steps, scales and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from autohpo import LogRangeHP, RangeHP, SpaceError

THRESHOLD = 1e-6
"""Of each statistical test: the seeds are fixed, and one seed in a million would fail a right sampler."""


def column(*units):
    """``(n, 1)`` points."""
    return np.array(units)[:, None]


def draw(hp, n=20_000):
    """Values of uniform points, as sampling a space draws them."""
    return hp.decode(np.random.default_rng(0).random((n, 1)))


@pytest.mark.parametrize(
    ("hp", "values"),
    [
        (RangeHP("x", 0, 4), [0, 1, 2, 4, 4]),
        (RangeHP("x", -3, 3, step=3), [-3, -3, 0, 3, 3]),
        (RangeHP("x", 0.0, 4.0), [0.0, 1.0, 2.0, 3.0, 4.0]),
        (RangeHP("x", 0, 4.0), [0.0, 1.0, 2.0, 3.0, 4.0]),
        (RangeHP("x", 0.1, 0.3, step=0.1), [0.1, 0.1, 0.2, 0.3, 0.3]),
        (LogRangeHP("x", 1.0, 16.0), [1.0, 2.0, 4.0, 8.0, 16.0]),
    ],
)
def test_values_between_the_ends(hp, values):
    """By hand: cells of equal length where values can be counted, the straight line or the exponential elsewhere."""
    decoded = hp.decode(column(0.0, 0.25, 0.5, 0.80 if hp.n_values else 0.75, 1.0))
    assert decoded == pytest.approx(values, rel=1e-15)
    assert [type(value) for value in decoded] == [type(values[0])] * 5


@pytest.mark.parametrize(
    "hp",
    [
        RangeHP("x", 0.1, 0.7),
        RangeHP("x", -1e308, 7e307),
        RangeHP("x", 0.1, 0.9, step=0.1),
        LogRangeHP("x", 3.0, 7.0),
        LogRangeHP("x", 1e-4, 1e-1),
        LogRangeHP("x", 5e-324, 1.7e308),
        LogRangeHP("x", 9.237591961284905e208, 1e212),  # numpy's logarithm of this low is less than Python's
    ],
)
def test_ends_of_the_unit_interval_are_the_ends_exactly(hp):
    """exp(log(x)) and low + (high - low) are off by rounding; a user who says 0.1 gets 0.1."""
    assert hp.decode(column(0.0, 1.0)) == [hp.low, hp.high]
    assert hp.encode([hp.low, hp.high])[:, 0].tolist()[0] >= 0.0
    assert hp.encode([hp.low, hp.high])[:, 0].tolist()[1] <= 1.0


def test_integers_are_equally_likely():
    """All of them, both ends included: a chi-square test; with half the mass at the ends it would be near 2,000."""
    hp = RangeHP("x", 1, 8)
    counts = [draw(hp).count(value) for value in range(1, 9)]
    assert sum(counts) == 20_000
    assert stats.chisquare(counts).statistic < stats.chi2.isf(THRESHOLD, 7)


def test_steps_are_equally_likely():
    """As integers are, for a float step too."""
    hp = RangeHP("x", 0.1, 0.9, step=0.1)
    counts = [draw(hp).count(value) for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]
    assert sum(counts) == 20_000
    assert stats.chisquare(counts).statistic < stats.chi2.isf(THRESHOLD, 8)


def test_integers_on_a_log_scale_have_the_mass_of_their_cells():
    """The number v has all between v - 1/2 and v + 1/2: its share is log((v + 1/2) / (v - 1/2)) of the whole."""
    values = np.arange(1, 21)
    shares = np.log((values + 0.5) / (values - 0.5)) / math.log(20.5 / 0.5)
    drawn = draw(LogRangeHP("x", 1, 20))
    counts = [drawn.count(value) for value in values.tolist()]
    assert sum(counts) == 20_000
    assert stats.chisquare(counts, 20_000 * shares).statistic < stats.chi2.isf(THRESHOLD, 19)


@pytest.mark.parametrize(
    ("hp", "law"),
    [(RangeHP("x", -2.0, 3.0), stats.uniform(-2, 5)), (LogRangeHP("x", 1e-5, 1e2), stats.loguniform(1e-5, 1e2))],
)
def test_floats_follow_their_law(hp, law):
    """Uniform, and uniform in the logarithm: scipy's Kolmogorov-Smirnov test agrees."""
    assert stats.kstest(draw(hp, 5000), law.cdf).pvalue > THRESHOLD


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RangeHP("x", 1, 1), "x: low must be below high, got low=1, high=1"),
        (lambda: RangeHP("x", 2, 1), "x: low must be below high, got low=2, high=1"),
        (lambda: RangeHP("x", math.nan, 1), "x: low must be finite, got nan"),
        (lambda: RangeHP("x", 0, math.inf), "x: high must be finite, got inf"),
        (lambda: RangeHP("x", 0, 10**400), "x: high must be finite, got 1000"),
        (lambda: RangeHP("x", -1.7e308, 1.7e308), "x: high - low must be a finite float, got low=-1.7e+308"),
        (lambda: RangeHP("x", 0, 2**53), "x: integer ends must lie within 2**49, got low=0"),
        (lambda: RangeHP("x", "0", 1), "x: low must be an int or a float, got '0'"),
        (lambda: RangeHP("x", False, True), "x: low must be an int or a float, got False"),
        (lambda: RangeHP("x", None, 1), "x: low must be an int or a float, got None"),
        (lambda: RangeHP("x", 0, 10, step=3), "x: step must lead from low to high exactly, got 3: it ends at 9"),
        (lambda: RangeHP("x", 0, 10, step=0), "x: step must be positive, and an integer for integer ends, got 0"),
        (lambda: RangeHP("x", 0, 10, step=2.5), "x: step must be positive, and an integer for integer ends, got 2.5"),
        (lambda: RangeHP("x", 0.0, 1.0, step=-0.1), "x: step must be positive"),
        (lambda: RangeHP("x", 0.0, 1.0, step=2), "x: step must lead from low to high exactly"),
        (lambda: RangeHP("x", 0.0, 1.0, step=1e-300), "x: step must make fewer than 2**50 values, got 1e-300"),
        (lambda: RangeHP("x", 0.0, 1.0, step=math.nan), "x: step must be finite, got nan"),
        (lambda: RangeHP("", 0, 1), "name: must be a string that is not empty, got ''"),
        (lambda: RangeHP(3, 0, 1), "name: must be a string that is not empty, got 3"),
        (lambda: LogRangeHP("x", 0, 1), "x: low must be above 0 on a logarithmic scale, got 0"),
        (lambda: LogRangeHP("x", -1.0, 1.0), "x: low must be above 0 on a logarithmic scale, got -1.0"),
        (lambda: LogRangeHP("x", 1, 2**41), "x: integer ends must lie within 2**40 on a logarithmic scale"),
        (
            lambda: LogRangeHP("x", 1e300, math.nextafter(1e300, math.inf)),
            "x: low and high must differ in their logarithms, got",
        ),
    ],
)
def test_what_does_not_make_a_range_is_refused(make, text):
    """The error names parameter, rule and value."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


def test_numpy_ends_become_plain():
    """Ends that were computed are as good as typed ones."""
    hp = RangeHP("x", np.int64(1), np.int32(8))
    assert (type(hp.low), type(hp.high)) == (int, int)
    assert hp == RangeHP("x", 1, 8)
    assert type(LogRangeHP("x", np.float32(0.5), 8).low) is float


@pytest.mark.parametrize(
    ("hp", "legal", "illegal"),
    [
        (RangeHP("x", 0, 4), [0, 4], [-1, 5, 2.0, True, "2", None, np.int64(2), math.nan, 10**400]),
        (RangeHP("x", 0, 4, step=2), [0, 2, 4], [1, 3, 2.0]),
        (RangeHP("x", 0.0, 4.0), [0.0, 4.0, 2, 0], [-1e-9, 4.1, math.nan, math.inf, True, "2", None, np.float64(2)]),
        (RangeHP("x", 0.0, 1.0, step=0.1), [0.0, 0.1, 0.1 + 0.2, 0.7, 1.0, 1], [0.05, 0.1001, 1.1]),
        (RangeHP("x", 1e9, 1e9 + 1, step=1e-3), [1e9, 1e9 + 0.001, 1e9 + 1], [1e9 + 0.0005]),
        (LogRangeHP("x", 1, 100), [1, 100], [0, 101, 2.0, True]),
        (LogRangeHP("x", 1.0, 100.0), [1.0, 100.0, 7], [0.99, 100.1, -1.0, True, math.nan]),
    ],
)
def test_what_is_a_value(hp, legal, illegal):
    """Type, ends and steps are looked at; an int may stand for a float, a bool for nothing."""
    assert [value for value in legal if not hp.contains(value)] == []
    assert [value for value in illegal if hp.contains(value)] == []


def test_steps_are_the_decimals_they_were_written_as():
    """0.1 + 2 * 0.1 is 0.30000000000000004 in binary; the user means 0.3."""
    assert RangeHP("x", 0.1, 0.9, step=0.1).grid(9) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert RangeHP("x", -0.25, 0.5, step=0.25).grid(4) == [-0.25, 0.0, 0.25, 0.5]


def test_many_steps_are_counted_rightly():
    """A quotient of floats misses an integer by more than a fixed slack when it is large."""
    assert RangeHP("x", 0.0, 0.7 * 10**8, step=0.7).n_values == 10**8 + 1
    assert RangeHP("x", 0.0, 1e-7, step=1e-9).n_values == 101


@pytest.mark.parametrize(
    ("hp", "steps", "values"),
    [
        (RangeHP("x", 0, 9), 4, [0, 3, 6, 9]),
        (RangeHP("x", 0, 2), 5, [0, 1, 2]),
        (RangeHP("x", 0.0, 1.0), 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (LogRangeHP("x", 1, 5), 5, [1, 2, 3, 4, 5]),
        (LogRangeHP("x", 1, 5), 9, [1, 2, 3, 4, 5]),
        (LogRangeHP("x", 1.0, 8.0), 4, [1.0, 2.0, 4.0, 8.0]),
        (LogRangeHP("x", 1, 1000), 2, [1, 1000]),
    ],
)
def test_grid_of_a_range(hp, steps, values):
    """Evenly spaced on the scale, both ends included; all values where there are no more than steps."""
    assert hp.grid(steps) == pytest.approx(values, rel=1e-14)


def test_integer_and_float_ends_make_different_parameters():
    """0 equals 0.0, but a range of ints is none of floats."""
    assert RangeHP("x", 0, 1) != RangeHP("x", 0.0, 1.0)
    assert RangeHP("x", 0, 4) != RangeHP("x", 0, 4, step=2)
    assert RangeHP("x", 1, 2) != LogRangeHP("x", 1, 2)
    assert len({RangeHP("x", 0, 1), RangeHP("x", 0, 1), RangeHP("y", 0, 1)}) == 2
