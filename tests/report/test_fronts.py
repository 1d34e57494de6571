"""The page of a search with several objectives: its charts and tables against the trials they show."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from autohpo.report import render_html
from autohpo.report.fronts import MAX_PAIRS, MAX_ROWS, front_charts, shown_front
from autohpo.result import Result
from autohpo.trial import Outcome, Trial, TrialState

MODE = {"acc": "max", "latency": "min"}


def trial(number, *perfs, missed=0.0):
    """A complete trial, or a failed one where it has no performance."""
    state = TrialState.COMPLETE if perfs else TrialState.FAILED
    return Trial(number, {"x": number / 10}, Outcome(state, perfs, constraints={"c": missed}))


FOUR = Result(
    [
        trial(0, 0.9, 9.0),
        trial(1, 0.8, 4.0),
        trial(2, 0.7, 6.0),
        trial(3, 1.0, 1.0, missed=2.0),
        trial(4, 0.5, 1.0),
        trial(5),
    ],
    MODE,
    "nsga2",
)


def paths(chart, kind):
    """The numbers of the path of a kind, as pairs of pixels where it is made of dots."""
    data = "".join(re.findall(rf'<path class="{kind}" d="([^"]*)"', chart))
    return [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", data)]


def test_the_chart_has_a_mark_for_each_trial_of_its_kind():
    """Dots for those that meet the constraints, crosses for those that do not, the front, and one ring."""
    chart = front_charts(FOUR)[0]
    assert len(paths(chart, "dots k2")) == 4
    assert len(paths(chart, "fail")) == 1
    assert len(paths(chart, "best dots")) == 3
    assert "the 3 trials of the Pareto front; in a ring: the compromise, trial 1." in chart
    assert "Crosses: trials that miss a constraint." in chart


def test_better_is_further_up_or_right_by_the_axes():
    """In pixels, which grow to the right and down; the axes say which way is better."""
    chart = front_charts(FOUR)[0]
    (x0, y0), (x1, y1), (x4, y4) = paths(chart, "best dots")  # the best in acc first
    assert x0 > x1 > x4
    assert y0 < y1 < y4
    assert "acc (higher is better)" in chart
    assert "latency (lower is better)" in chart


@pytest.mark.parametrize("mode", [("max", "max"), ("max", "min"), ("min", "max"), ("min", "min")])
def test_the_stairs_leave_every_trial_on_their_covered_side(mode):
    """Each corner of the line is no better than both of its neighbours, in every mixture of directions."""
    signs = [1 if way == "max" else -1 for way in mode]
    rows = [(signs[0] * a, signs[1] * (5.0 - a) ** 2) for a in (0.0, 1.0, 2.0, 4.0)]
    result = Result([trial(n, *row) for n, row in enumerate(rows)], list(mode))
    assert len(result.pareto) == 4
    chart = front_charts(result)[0]
    dots = sorted(paths(chart, "best dots"))
    line = re.search(r'<path class="line" d="(M[^"]*)"', chart).group(1)
    x, y = map(float, re.match(r"M(-?[\d.]+) (-?[\d.]+)", line).groups())
    assert (x, y) == dots[0]
    corners = []
    for kind, value in re.findall(r"([HV])(-?[\d.]+)", line):
        x, y = (float(value), y) if kind == "H" else (x, float(value))
        corners.append((x, y))
    assert corners[1::2] == dots[1:]
    for (left, right), corner in zip(pairwise(dots), corners[::2], strict=True):
        worse_x = min(left[0], right[0]) if signs[0] > 0 else max(left[0], right[0])
        worse_y = max(left[1], right[1]) if signs[1] > 0 else min(left[1], right[1])
        assert corner == (worse_x, worse_y)


def test_there_is_a_chart_for_each_pair_of_objectives():
    """Three of three objectives; of many the first few; names are unique in the page."""
    three = Result([trial(n, n, 3.0 - n, n % 2) for n in range(4)], ["max", "max", "min"])
    charts = front_charts(three)
    assert len(charts) == 3
    assert "objective 2 against objective 1" in charts[0]
    assert "may look beaten here" in charts[0]
    assert 'class="line" d="M' in charts[0]  # the ring; there are no stairs
    assert len(front_charts(Result([trial(0, *range(6))], ["max"] * 6))) == MAX_PAIRS
    ids = re.findall(r' id="([^"]*)"', render_html(three))
    assert len(ids) == len(set(ids))


def test_the_table_has_the_front_with_every_objective():
    """And not those that are beaten, miss a constraint, or have no result."""
    page = render_html(FOUR)
    section = page.split("Trials on the front")[1].split("</table>")[0]
    rows = re.findall(r'<th scope="row">(\d+)</th><td class="n">([^<]*)</td><td class="n">([^<]*)</td>', section)
    assert rows == [("0", "0.9", "9"), ("1", "0.8", "4"), ("4", "0.5", "1")]
    for text in ("the compromise, trial 1", "0.8, 4", "on the Pareto front", "Course of acc", "Course of latency"):
        assert text in page
    assert "acc: higher is better, latency: lower is better" in page


def test_a_long_front_is_shown_in_part():
    """Its ends and evenly between."""
    result = Result([trial(n, n, -float(n)) for n in range(100)], ["max", "max"])
    shown, caption = shown_front(result)
    assert len(shown) == MAX_ROWS
    assert (shown[0].number, shown[-1].number) == (99, 0)
    assert "30 of 100 trials" in caption


def test_without_a_feasible_trial_the_page_says_so():
    """It has no front, and no table of one."""
    page = render_html(Result([trial(0, 0.9, 9.0, missed=2.0), trial(1, 0.8, 4.0, missed=1.0)], MODE))
    assert "No trial meets the constraints. In a ring: the one that misses them least, trial 1." in page
    assert "Trials on the front" not in page


def test_without_results_there_are_no_charts():
    """The rest of the page is there."""
    empty = Result([trial(0)], MODE)
    assert front_charts(empty) == []
    assert "No trial has a result." in render_html(empty)
