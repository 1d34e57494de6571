"""The front of a search with several objectives: charts of two at a time, and its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from autohpo.report import svg
from autohpo.report.charts import MAX_DOTS, WIDE, figure, perf_axis, x_axis
from autohpo.report.markup import Markup, number
from autohpo.result import Result
from autohpo.trial import Trial

MAX_PAIRS = 6  # of objectives that are drawn: all of four
MAX_ROWS = 30  # of the table


def names_of(result: Result) -> list[str]:
    """What the page calls the objectives: their names, or "objective 1" and so on."""
    return [name or f"objective {place}" for place, name in enumerate(result.objectives.names, 1)]


def way_of(result: Result, place: int) -> str:
    """Which way an objective is better, in a word."""
    return "higher" if result.objectives.signs[place] > 0 else "lower"


def front_charts(result: Result) -> list[Markup]:
    """A chart for each pair of objectives, the first pairs where there are many; none without results."""
    if not any(trial.perf is not None for trial in result):
        return []
    pairs = list(combinations(range(result.objectives.n), 2))
    return [_chart(result, one, two, f"front{k}") for k, (one, two) in enumerate(pairs[:MAX_PAIRS])]


def _chart(result: Result, one: int, two: int, name: str) -> Markup:
    """The trials by two objectives: those that meet the constraints, those that do not, the front, the compromise."""
    names, signs = names_of(result), result.objectives.signs
    done = [trial for trial in result if trial.perf is not None]
    front = result.pareto
    met = [trial for trial in done if not trial.violation]
    missed = [trial for trial in done if trial.violation]
    # A few far outliers on the bad side do not stretch an axis; see perf_axis.
    y = perf_axis([trial.perfs[two] for trial in done], signs[two], WIDE)
    level = perf_axis([trial.perfs[one] for trial in done], signs[one], WIDE)
    x = x_axis(level, y, WIDE)

    def place(trial: Trial) -> tuple[float, float]:
        return x(trial.perfs[one]), y(trial.perfs[two])

    stride = max(math.ceil(len(met) / MAX_DOTS), 1)
    across, up = (f"{names[k]} ({way_of(result, k)} is better)" for k in (one, two))
    body = [
        svg.frame(x, y, across, up),
        svg.path((svg.dot(*place(trial)) for trial in met[::stride]), "dots k2"),
        svg.path((svg.cross(*place(trial)) for trial in missed[:MAX_DOTS]), "fail"),
        *([svg.path([_stairs(result, front, x, y)], "line")] if result.objectives.n == 2 and front else []),
        svg.path((svg.dot(*place(trial)) for trial in front), "best dots"),
        svg.path([_ring(*place(result.best))], "line"),
    ]
    best = result.best
    caption = f"Orange: the {len(front)} trials of the Pareto front; in a ring: the compromise, trial {best.number}."
    if not front:
        caption = f"No trial meets the constraints. In a ring: the one that misses them least, trial {best.number}."
    caption += " Crosses: trials that miss a constraint." * bool(missed)
    caption += " With more than two objectives a trial of the front may look beaten here." * (result.objectives.n > 2)
    caption += f" One dot of {stride} is drawn." * (stride > 1)
    beyond = sum(not _is_within(x, y, trial, one, two) for trial in done)
    caption += f" {beyond} beyond an axis, drawn at its edge." * bool(beyond)
    about = f"{len(done)} results by {names[one]} and {names[two]}, {len(front)} of them on the front."
    return figure(f"{names[two]} against {names[one]}", body, name=name, about=about, caption=caption, size=WIDE)


def _ring(x: float, y: float) -> str:
    """Path data of a ring around a dot."""
    return f"M{number(x - 8)} {number(y)}a8 8 0 1 0 16 0a8 8 0 1 0-16 0"


def _is_within(x: svg.Axis, y: svg.Axis, trial: Trial, one: int, two: int) -> bool:
    return x.low <= trial.perfs[one] <= x.high and y.low <= trial.perfs[two] <= y.high


def _stairs(result: Result, front: Sequence[Trial], x: svg.Axis, y: svg.Axis) -> str:
    """Path data of what a front of two objectives covers: stairs, whose corners on the covered side touch no trial."""
    ordered = sorted(front, key=lambda trial: trial.perfs[0])
    pieces = [f"M{number(x(ordered[0].perfs[0]))} {number(y(ordered[0].perfs[1]))}"]
    for right in ordered[1:]:
        # The corner is as bad as the worse of both neighbours in each objective.
        across, up = f"H{number(x(right.perfs[0]))}", f"V{number(y(right.perfs[1]))}"
        pieces.append(across + up if result.objectives.signs[0] < 0 else up + across)
    return "".join(pieces)


def shown_front(result: Result) -> tuple[list[Trial], str]:
    """The trials of the front that its table shows, evenly taken where they are many; and the caption."""
    front = result.pareto
    shown = front
    if len(front) > MAX_ROWS:
        shown = [front[round(k * (len(front) - 1) / (MAX_ROWS - 1))] for k in range(MAX_ROWS)]
    caption = f"The Pareto front, the best in {names_of(result)[0]} first"
    return shown, caption + f"; {len(shown)} of {len(front)} trials" * (len(shown) < len(front))
