"""Tests of axes, series and charts against coordinates worked out by hand."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from autohpo.report import svg
from autohpo.report.charts import course_chart, curves_chart
from autohpo.report.markup import Markup, number, tag
from autohpo.report.panels import parameter_panels
from autohpo.report.series import added_training, course, roots
from autohpo.result import Result
from autohpo.spaces import ChoiceHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Outcome, Trial, TrialState

# A wide chart is 480 x 290: the upright axis runs from 246 up to 22, with a margin of 5 % of the spread at
# both ends; the level one from 14 + 6.6 letters of the longest label to 466.
DONE, FAILED = TrialState.COMPLETE, TrialState.FAILED


def paths(chart: str, kind: str) -> list[str]:
    """Data of the paths of a class."""
    return re.findall(rf'<path class="{kind}" d="([^"]*)"', chart)


def up(share: float) -> str:
    """Height in a wide chart of a value that lies at this share of the spread."""
    return number(246 + (share + 0.05) / 1.1 * (22 - 246))


def hyperband() -> Result:
    """Two trainings of one epoch, the better one promoted to three, and a failure after one more epoch."""
    return Result(
        [
            Trial(0, {"x": 1}, Outcome(DONE, (0.0,)), fidelity=1.0, reports=((1.0, 0.0),), ended=10.0),
            Trial(1, {"x": 2}, Outcome(DONE, (1.0,)), fidelity=1.0, reports=((1.0, 1.0),), ended=5.0),
            Trial(
                2,
                {"x": 2},
                Outcome(DONE, (0.5,)),
                fidelity=3.0,
                resume=1,
                reports=((2.0, 0.75), (3.0, 0.5)),
                ended=30.0,
            ),
            Trial(3, {"x": 3}, Outcome(FAILED), fidelity=3.0, reports=((1.0, 0.9),), ended=20.0),
            Trial(4, {"x": 4}, Outcome(TrialState.RUNNING), fidelity=3.0),
        ]
    )


def test_training_counts_what_each_trial_added() -> None:
    """A promoted trial counts from where it began, one without a result as far as it reported."""
    assert added_training(hyperband()) == {0: 1.0, 1: 1.0, 2: 2.0, 3: 1.0, 4: 0.0}


def test_training_is_unknown_where_a_result_had_no_limit() -> None:
    """A full training has no number of units; a failed one does not matter."""
    assert added_training([Trial(0, {}, Outcome(DONE, (0.5,)))]) is None
    assert added_training([Trial(0, {}, Outcome(FAILED)), Trial(1, {}, Outcome(DONE, (0.5,)), fidelity=2.0)]) == {
        0: 0.0,
        1: 2.0,
    }


def test_a_training_stopped_early_counts_as_far_as_it_came() -> None:
    """The fidelity of its last report, not the one it was given."""
    stopped = Trial(0, {}, Outcome(TrialState.STOPPED, (0.5,)), fidelity=9.0, reports=((1.0, 0.4), (2.0, 0.5)))
    assert added_training([stopped]) == {0: 2.0}


def test_course_follows_the_ends_and_longer_training_leads() -> None:
    """Order of the ends, cumulated training, and the incumbent of each moment."""
    steps = [(s.spent, s.trial.number, s.best.number if s.best else None) for s in course(hyperband())]
    assert steps == [(1.0, 1, 1), (2.0, 0, 1), (3.0, 3, 1), (5.0, 2, 2)]


def test_course_without_fidelity_counts_trials() -> None:
    """One for each trial that ended, those without a result too."""
    trials = [Trial(0, {}, Outcome(FAILED)), Trial(1, {}, Outcome(DONE, (3.0,))), Trial(2, {}, Outcome(DONE, (4.0,)))]
    steps = [(s.spent, s.best.number if s.best else None) for s in course(Result(trials, "min"))]
    assert steps == [(1.0, None), (2.0, 1), (3.0, 1)]


def test_roots_follow_the_chain() -> None:
    """Trials of one training share the number of its first trial."""
    trials = [Trial(0, {}), Trial(1, {}), Trial(2, {}, resume=1), Trial(3, {}, resume=2)]
    assert roots(trials) == {0: 0, 1: 1, 2: 1, 3: 1}


def test_course_chart_has_its_marks_where_they_belong() -> None:
    """Dots, stairs, cross and end of the little hyperband at the pixels computed from the layout."""
    chart = course_chart(hyperband())
    left = 14 + 6.6 * len("0.0")  # labels 0.0, 0.2, ... 1.0

    def right(spent: float) -> str:
        return number(left + spent / 5 * (466 - left))

    assert paths(chart, "dots k2") == [
        f"M{right(1)} {up(1)}h0M{right(2)} {up(0)}h0M{right(5)} {up(0.5)}h0",
    ]
    assert paths(chart, "best line") == [f"M{right(1)} {up(1)}H{right(5)}V{up(0.5)}H466"]
    assert paths(chart, "best dots") == [f"M466 {up(0.5)}h0"]
    x = left + 3 / 5 * (466 - left)
    assert paths(chart, "fail") == [f"M{number(x - 2.5)} 239.5l5 5m-5 0l5-5"]
    assert "training spent, in units of fidelity" in chart


def test_curves_chart_joins_the_rungs_of_a_training() -> None:
    """The promoted training is one line, the best; the others are apart; ticks are the rungs."""
    chart = curves_chart(hyperband())
    left = 14 + 6.6 * len("0.0")

    def right(fidelity: float) -> str:
        return number(left + fidelity / 3 * (466 - left))  # linear: the rungs 1 and 3 are not eight times apart

    assert paths(chart, "best line") == [f"M{right(1)} {up(1)}L{right(2)} {up(0.75)}L{right(3)} {up(0.5)}"]
    assert paths(chart, "curve") == [f"M{right(1)} {up(0)}h0M{right(1)} {up(0.9)}h0"]
    assert paths(chart, "rung") == [f"M{right(1)} 246V22M{right(3)} 246V22"]


def test_curves_chart_is_logarithmic_for_rungs_far_apart() -> None:
    """Rungs 1, 3, 9, 27 are evenly spaced and labelled."""
    trials = [
        Trial(
            k,
            {"x": k},
            Outcome(DONE, (0.5 + k / 10,)),
            fidelity=3.0**k,
            resume=k - 1 if k else None,
            reports=((3.0**k, k / 10),),
        )
        for k in range(4)
    ]
    chart = curves_chart(Result(trials))
    assert re.findall(r'text-anchor="middle" class="label">(\d+)<', chart) == ["1", "3", "9", "27"]
    (rungs,) = paths(chart, "rung")
    places = [float(x) for x in re.findall(r"M([\d.]+) ", rungs)]
    assert len(places) == 4
    gaps = [b - a for a, b in pairwise(places)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.2)  # each place is rounded to a tenth of a pixel


def test_runs_without_fidelity_have_no_curves() -> None:
    """Nothing is drawn where nothing was reported."""
    assert curves_chart(Result([Trial(0, {"x": 1}, Outcome(DONE, (0.5,)))])) == ""


def test_panel_uses_the_scale_of_the_space() -> None:
    """1, 10 and 100 are where a LogRangeHP and a RangeHP up to 1,000 have them; the best has its own mark."""
    trials = [Trial(k, {"x": 10**k}, Outcome(DONE, (float(-abs(k - 1)),))) for k in range(3)]
    left = 14 + 6.6 * len("-1.0")
    for kind, shares in ((LogRangeHP, [0, 1 / 3, 2 / 3]), (RangeHP, [0, 9 / 999, 99 / 999])):
        chart = parameter_panels(Result(trials), SearchSpace([kind("x", 1, 1000)]))
        places = [left + share * (246 - left) for share in shares]  # a panel is 260 wide, 14 of them margin
        heights = [svg.linear_axis([-1.0, 0.0], margin=0.05).on(156, 8)(perf) for perf in (-1.0, 0.0)]
        low, high = map(number, heights)
        assert paths(chart, "dots k5") == [f"M{number(places[0])} {low}h0M{number(places[2])} {low}h0"]
        assert paths(chart, "best dots") == [f"M{number(places[1])} {high}h0"]


def test_scale_without_a_space_is_that_of_the_values() -> None:
    """Values spread evenly in the logarithm get a logarithmic axis, others a linear one."""
    for values in ([10.0**k for k in range(-4, 1)], [1.0, 26.0, 51.0, 76.0, 101.0]):
        trials = [Trial(k, {"x": v}, Outcome(DONE, (float(k),))) for k, v in enumerate(values)]
        chart = parameter_panels(Result(trials), None)
        dots = "".join(paths(chart, "dots k5") + paths(chart, "best dots"))
        places = [float(x) for x in re.findall(r"M([\d.]+) ", dots)]
        gaps = [b - a for a, b in pairwise(places)]
        assert gaps == pytest.approx([gaps[0]] * 4, abs=0.2)


@pytest.mark.parametrize("choices", [[64, None, 8, 16], [64, 32, 8, 16], [2, True, 1, False]])
def test_choices_get_a_strip_each_in_the_order_of_the_space(choices: list) -> None:
    """A dot lies in the middle 60 % of its choice's strip, numbers too; untried choices keep theirs."""
    trials = [Trial(k, {"x": choices[1 + k % 3]}, Outcome(DONE, (float(k),))) for k in range(30)]
    chart = parameter_panels(Result(trials), SearchSpace([ChoiceHP("x", choices)]))
    assert re.findall(r'text-anchor="middle" class="label">([^<]*)<', chart) == [repr(c) for c in choices]
    (marks,) = paths(chart, "dots k5")
    dots = [float(x) for x in re.findall(r"M([\d.]+) ", marks + paths(chart, "best dots")[0])]
    left = 14 + 6.6 * len("10")
    assert len(dots) == 30
    for k, x in enumerate(dots):
        strip = (x - left) / (246 - left) * 4 - (1 + k % 3)  # in [0, 1) within its own strip
        assert 0.2 - 1e-3 <= strip <= 0.8 + 1e-3  # places are rounded: 0.05 pixels of 219 for 4 strips


def test_switches_are_choices_also_without_a_space() -> None:
    """True and False have strips with their names, not places 1 and 0."""
    trials = [Trial(k, {"x": k == 0}, Outcome(DONE, (float(k),))) for k in range(2)]
    chart = parameter_panels(Result(trials), None)
    assert re.findall(r'text-anchor="middle" class="label">([^<]*)<', chart) == ["True", "False"]


def test_many_rungs_are_not_drawn_one_by_one() -> None:
    """An algorithm that gives each trial a fidelity of its own gets plain labels."""
    trials = [Trial(k, {"x": k}, Outcome(DONE, (float(k),)), fidelity=float(k + 1)) for k in range(40)]
    chart = curves_chart(Result(trials))
    assert paths(chart, "rung") == []
    assert re.findall(r'text-anchor="middle" class="label">(\d+)<', chart) == ["1", "2", "5", "10", "20"]


def test_a_chart_draws_a_bounded_number_of_marks() -> None:
    """Of 9,000 results each chart shows a part, and says which."""
    trials = [Trial(k, {"x": k}, Outcome(DONE, (float(k % 97),)), fidelity=1.0) for k in range(9_000)]
    course, curves, panels = (
        course_chart(Result(trials)),
        curves_chart(Result(trials)),
        parameter_panels(Result(trials), None),
    )
    assert paths(course, "dots k2")[0].count("M") == 1_800  # every fifth: no more than 2,000
    assert "One dot of 5 is drawn." in course
    assert paths(curves, "curve")[0].count("M") == 399  # and the best
    assert "The 400 longest of 9000 are drawn." in curves
    assert paths(panels, "dots k5")[0].count("M") == 7_999  # and the best
    assert "The 8000 best of 9000" in panels


def test_more_training_is_drawn_stronger_and_over_less() -> None:
    """Each fidelity has its level, in rising order, and the legend names them."""
    trials = [Trial(k, {"x": k}, Outcome(DONE, (float(k),)), fidelity=3.0**k) for k in range(3)]
    chart = parameter_panels(Result(trials), None)
    assert re.findall(r'class="(dots k\d|best dots)"', chart) == ["dots k3", "dots k4", "best dots"]
    assert re.findall(r'class="(k\d)">●</span> (\S+) ', chart) == [("k3", "1"), ("k4", "3"), ("k5", "9")]


def test_parameters_that_do_not_vary_have_no_panel() -> None:
    """Only the one that varies is drawn."""
    trials = [Trial(k, {"fixed": 1, "x": k}, Outcome(DONE, (float(k),))) for k in range(3)]
    assert re.findall(r"<h3>(.*?)</h3>", parameter_panels(Result(trials), None)) == ["x"]


@pytest.mark.parametrize("sign", [1, -1])
def test_far_outliers_do_not_flatten_the_rest(sign: int) -> None:
    """A diverged loss lies at the edge of the axis, with a word in the caption; the good side is not cut."""
    perfs = [*(sign * (1 - k / 10) for k in range(8)), -sign * 1e9]
    trials = [Trial(k, {"x": k}, Outcome(DONE, () if perf is None else (perf,))) for k, perf in enumerate(perfs)]
    chart = course_chart(Result(trials, "max" if sign > 0 else "min"))
    heights = [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)h0", paths(chart, "dots k2")[0])]
    assert heights[-1] == (246 if sign > 0 else 22)
    # Of nine distances that at place 6 is .6: the axis spans 2.5 * .6 = 1.5 and two margins, in 224 pixels.
    assert abs(heights[0] - heights[1]) == pytest.approx(224 * 0.1 / (1.5 * 1.1), abs=0.1)
    assert "1 beyond the axis, drawn at its edge." in chart


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.1, 0.1, ["-0.10", "-0.05", "0.00", "0.05", "0.10"]),
        (0.0, 1200.0, ["0", "200", "400", "600", "800", "1,000", "1,200"]),
        (3.0, 3.0, ["2.7", "2.8", "2.9", "3.0", "3.1", "3.2", "3.3"]),
        (0.0, 6e-7, ["0", "1e-7", "2e-7", "3e-7", "4e-7", "5e-7", "6e-7"]),
        (0.0, 6e9, ["0", "1e9", "2e9", "3e9", "4e9", "5e9", "6e9"]),
    ],
)
def test_labels_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    """Steps of 1, 2 or 5 times a power of ten, with as many digits as they need."""
    axis = svg.linear_axis([low, high])
    assert [label for _, label in axis.ticks] == labels
    for value, label in axis.ticks:
        assert float(label.replace(",", "")) == pytest.approx(value, abs=1e-9 * (axis.high - axis.low))


@pytest.mark.parametrize("values", [[1.0, 1 + 2**-52], [1e16, 1e16 + 2], [0.0, 5e-324], [0.0, 0.0], [-7.0, -7.0]])
def test_equal_values_lie_in_the_middle(values: list[float]) -> None:
    """Also those that differ by rounding alone."""
    assert svg.linear_axis(values).on(0, 10)(values[0]) == pytest.approx(5, abs=1e-6)


def test_whole_numbers_have_whole_labels() -> None:
    """No label at a half where values are counts."""
    axis = svg.linear_axis([1, 4], least_step=1)
    assert [label for _, label in axis.ticks] == ["1", "2", "3", "4"]


def test_evenly_spread_results_all_have_their_place() -> None:
    """The worst of them is no outlier."""
    perfs = [k / 20 for k in range(21)]
    chart = course_chart(Result([Trial(k, {"x": k}, Outcome(DONE, (perf,))) for k, perf in enumerate(perfs)]))
    assert "beyond the axis" not in chart


def test_the_last_label_of_a_level_axis_is_not_cut() -> None:
    """Its middle lies so far from the edge of the drawing, at 480, as half of it is wide."""
    y = svg.linear_axis([0.0, 1.0]).on(246, 22)
    drawn = svg.frame(svg.linear_axis([0.0, 1e5]).on(40, 480 - svg.EDGE), y)
    texts = re.findall(r'<text x="([\d.]+)" y="263" text-anchor="middle"[^>]*>([\d,]+)<', drawn)
    place, label = max((float(x), label) for x, label in texts)
    assert label == "100,000"
    assert place + 6.6 * len(label) / 2 <= 480


def test_a_list_has_a_panel_for_its_length_and_for_its_places() -> None:
    """As a whole it would be a name among many."""
    sizes = [[8 * (k + 1 + i) for i in range(k % 2 + 1)] for k in range(6)]
    trials = [Trial(k, {"sizes": size}, Outcome(DONE, (float(k),))) for k, size in enumerate(sizes)]
    panels = parameter_panels(Result(trials), None)
    assert re.findall(r"<h3>(.*?)</h3>", panels) == ["length of sizes", "sizes[0]", "sizes[1]"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-4, 1.0, ["0.0001", "0.001", "0.01", "0.1", "1"]),
        (1e-6, 1e-1, ["1e-6", "0.0001", "0.01"]),
        (8, 128, ["10", "20", "50", "100"]),
        (1.0, 1.5, ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"]),
    ],
)
def test_logarithmic_labels_are_powers_of_ten_where_there_are_enough(
    low: float, high: float, labels: list[str]
) -> None:
    """Few decades get 1, 2 and 5 of each, less than one gets plain steps."""
    axis = svg.log_axis(low, high).on(0.0, 1.0)
    assert [label for _, label in axis.ticks] == labels
    for value, _ in axis.ticks:
        assert axis(value) == pytest.approx(math.log(value / low) / math.log(high / low), abs=1e-9)


def test_values_beyond_an_axis_lie_at_its_ends() -> None:
    """Also where they are infinite, or have no logarithm."""
    assert svg.linear_axis([0.0, 1.0]).on(10, 20)(math.inf) == 20
    assert svg.log_axis(1.0, 100.0).on(10, 20)(-5.0) == 10


def test_only_markup_is_left_unescaped() -> None:
    """Text in children and attributes is escaped, markup is not escaped twice, and slices are text again."""
    inner = tag("b", "1 < 2")
    assert tag("p", inner, " & ", class_="", title='"') == '<p title="&quot;"><b>1 &lt; 2</b> &amp; </p>'
    assert tag("p", Markup("<i>")[:2]) == "<p>&lt;i</p>"


@pytest.mark.parametrize(("value", "short"), [(0.0, "0"), (-0.04, "0"), (10.0, "10"), (1.25, "1.2"), (-3.26, "-3.3")])
def test_coordinates_are_short(value: float, short: str) -> None:
    """A tenth of a pixel at most."""
    assert number(value) == short
