"""The charts of the whole search: its course and its learning curves; and what all charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from autohpo.report import svg
from autohpo.report.markup import Markup, join, number, tag
from autohpo.report.series import Step, added_training, course, roots
from autohpo.result import Result
from autohpo.trial import Trial

WIDE, PANEL = (480, 290), (260, 180)  # pixels, before the page scales them
MAX_DOTS, MAX_CURVES, MAX_POINTS = 2_000, 400, 6_000  # in a chart: less than 80 KB
MAX_RUNGS = 12  # that are drawn and labelled
REACH = 2.5  # of the upright axis, in units of the distance within which three quarters of all results are


def course_chart(result: Result, objective: str = "", name: str = "course") -> Markup:
    """Best so far against the training spent, or trials where that is unknown; empty without results.

    Args:
        result: The trials of one objective; see :meth:`Result.along`.
        objective: The name of the objective, where it is one of several.
        name: A name of the chart, unique in the page.
    """
    steps = course(result)
    done = [step for step in steps if step.trial.perf is not None]
    if not done or done[-1].best is None or done[-1].best.perf is None:
        return Markup()
    is_count = added_training(result) is None
    x_name = "trials ended" if is_count else "training spent, in units of fidelity"
    y = perf_axis([perf_of(s.trial) for s in done], result.sign, WIDE)
    x = x_axis(svg.linear_axis([0.0, steps[-1].spent], least_step=is_count), y, WIDE)
    stride = math.ceil(len(done) / MAX_DOTS)
    failed = [s for s in steps if s.trial.perf is None][:MAX_DOTS]
    body = [
        svg.frame(x, y, x_name, perf_name(result, objective)),
        svg.path((svg.dot(x(s.spent), y(perf_of(s.trial))) for s in done[::stride]), "dots k2"),
        svg.path((svg.cross(x(s.spent), y.start - 4) for s in failed), "fail"),
        svg.path([_stairs(done, x, y)], "best line"),
        svg.path([svg.dot(x(steps[-1].spent), y(done[-1].best.perf))], "best dots"),
    ]
    line = "the best of this objective alone" if objective else "the trial that the search would have returned"
    caption = f"Line: {line}. Dots: results."
    caption += " Crosses: trials without a result." * bool(failed)
    caption += f" One dot of {stride} is drawn." * (stride > 1)
    caption += beyond(y, [perf_of(s.trial) for s in done])
    first, last = done[0].trial.perf, done[-1].best.perf
    about = f"From {first:.6g} to {last:.6g} over {len(steps)} trials that ended."
    title = f"Course of {objective}" if objective else "Course of the search"
    return figure(title, body, name=name, about=about, caption=caption, size=WIDE)


def curves_chart(result: Result) -> Markup:
    """Learning curve of each training, the best one on top; empty where no trial tells a fidelity."""
    curves = {root: points for root, points in result.curves().items() if points}
    if not curves:
        return Markup()
    best = roots(result).get(result.best.number, -1) if result.top(1) else -1  # a default may have no trial
    order = sorted(curves, key=lambda root: (root != best, -max(f for f, _ in curves[root]), root))
    longest = order[:MAX_CURVES]
    rungs = sorted({t.fidelity for t in result if t.fidelity is not None and t.perf is not None})
    has_rungs = 1 < len(rungs) <= MAX_RUNGS
    y = perf_axis([perf for root in longest for _, perf in curves[root]], result.sign, WIDE)
    x = x_axis(_fidelity_axis([f for root in longest for f, _ in curves[root]], rungs), y, WIDE)
    n_points = max(MAX_POINTS // len(longest), 8)
    lines = {root: svg.line([(x(f), y(p)) for f, p in _thinned(curves[root], n_points)]) for root in longest}
    ends = set(rungs)
    marks = [(x(f), y(p)) for root in longest for f, p in curves[root] if f in ends]
    body = [
        svg.frame(x, y, "fidelity", perf_name(result)),
        svg.path((f"M{number(x(rung))} {y.start}V{y.end}" for rung in rungs if has_rungs), "rung"),
        svg.path((line for root, line in lines.items() if root != best), "curve"),
        svg.path((svg.dot(*mark) for mark in marks[:MAX_DOTS]), "dots small k2"),
        svg.path((line for root, line in lines.items() if root == best), "best line"),
    ]
    caption = "One line a training: a promoted trial continues the line."
    if best in longest:
        caption += f" Orange: the training of the best trial, {result.best.number}."
    caption += " Dashes: the rungs." * has_rungs
    caption += f" The {len(longest)} longest of {len(curves)} are drawn." * (len(longest) < len(curves))
    caption += beyond(y, [perf for root in longest for _, perf in curves[root]])
    about = f"{len(curves)} trainings, the longest up to fidelity {x.high:g}."
    return figure("Learning curves", body, name="curves", about=about, caption=caption, size=WIDE)


def perf_axis(perfs: Sequence[float], sign: int, size: tuple[int, int], n_ticks: int = 5) -> svg.Axis:
    """The upright axis. Outliers on the bad side do not stretch it: they are drawn at its edge.

    It ends at two and a half times the distance from the best within which three quarters of all are: results that are
    spread evenly, or as a bell, all have their place.
    """
    held = [min(max(perf, -svg.LARGEST), svg.LARGEST) for perf in perfs]
    best = max(held, key=lambda perf: sign * perf)
    distances = sorted(abs(best - perf) for perf in held)
    usual = distances[int(0.75 * (len(distances) - 1))]
    if distances[-1] > REACH * usual > 0:
        held = [best, best - sign * REACH * usual]
    bottom, top = (size[1] - 44, 22) if size is WIDE else (size[1] - 24, 8)
    return svg.linear_axis(held, n_ticks, margin=0.05).on(bottom, top)


def x_axis(axis: svg.Axis, y: svg.Axis, size: tuple[int, int]) -> svg.Axis:
    """The level axis, to the right of the labels of the upright one."""
    return axis.on(14 + svg.LETTER * max(len(label) for _, label in y.ticks), size[0] - svg.EDGE)


def _fidelity_axis(fidelities: Sequence[float], rungs: Sequence[float]) -> svg.Axis:
    """Logarithmic where the rungs are spread so; labelled with the rungs where they are few."""
    low, high = min(fidelities), max(fidelities)
    is_log = low > 0 and len(rungs) > 1 and rungs[0] > 0 and rungs[-1] / rungs[0] >= 8 and low < high
    axis = svg.log_axis(low, high) if is_log else svg.linear_axis([min(low, 0.0), high])
    if not 1 < len(rungs) <= MAX_RUNGS:
        return axis
    return svg.Axis(axis.low, axis.high, tuple((r, svg.short_number(r)) for r in rungs), axis.is_log)


def _stairs(done: Sequence[Step], x: svg.Axis, y: svg.Axis) -> str:
    """Path data of the best so far: level until it changes, and on to the end."""
    pieces: list[str] = []
    best: Trial | None = None
    for step in done:
        if step.best is not None and step.best is not best:
            best = step.best
            move = f"H{number(x(step.spent))}V" if pieces else f"M{number(x(step.spent))} "
            pieces.append(f"{move}{number(y(perf_of(best)))}")
    return "".join(pieces) + f"H{number(x.end)}"


def _thinned(points: Sequence[tuple[float, float]], n: int) -> list[tuple[float, float]]:
    """At most n of the points, evenly taken, the first and the last among them."""
    if len(points) <= n:
        return list(points)
    return [points[round(k * (len(points) - 1) / (n - 1))] for k in range(n)]


def figure(title: str, body: Iterable[str], *, name: str, about: str, caption: str, size: tuple[int, int]) -> Markup:
    """A chart with heading and caption; `name` is unique in the page, `about` for those who cannot see."""
    drawing = svg.drawing(join(body), size, name, title, about)
    note = [tag("figcaption", caption)] if caption else []
    return tag("figure", tag("h3", title), drawing, *note)


def beyond(y: svg.Axis, perfs: Iterable[float]) -> str:
    """A sentence for a caption where performances lie beyond an axis."""
    n = sum(not y.low <= perf <= y.high for perf in perfs)
    return f" {n} beyond the axis, drawn at its edge." if n else ""


def perf_of(trial: Trial) -> float:
    """The performance of a trial that has one."""
    assert trial.perf is not None
    return trial.perf


def perf_name(result: Result, objective: str = "") -> str:
    """Name of the upright axis."""
    return f"{objective or 'perf'} ({'higher' if result.sign > 0 else 'lower'} is better)"
