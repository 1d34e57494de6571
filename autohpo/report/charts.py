"""The charts of the page: course of the search, learning curves, and a panel for each parameter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.report import svg
from autohpo.report.markup import Markup, join, tag
from autohpo.report.series import Step, course, roots
from autohpo.result import Result
from autohpo.spaces import HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Trial

WIDE, PANEL = (480, 290), (260, 180)  # pixels, before the page scales them
LEVELS = 5  # of colour, for fidelities
MAX_DOTS, MAX_CURVES, MAX_POINTS = 2_000, 400, 6_000  # about 80 KB a chart
MAX_PANEL_DOTS = 10_000  # in all panels together
MAX_LABELS = 12  # values of a choice that are listed by name


def course_chart(result: Result) -> Markup:
    """Best so far against the training spent, or against trials where no fidelity is known; all trials as dots."""
    steps = course(result)
    done = [step for step in steps if step.trial.perf is not None]
    if not done or done[-1].best is None or done[-1].best.perf is None:
        return tag("p", "No trial has a result yet.", class_="quiet")
    is_training = any(s.spent != k for k, s in enumerate(steps, 1))
    y = _perf_axis([_perf(s.trial) for s in done], result.sign, WIDE)
    x = _x_axis(svg.linear_axis([0.0, steps[-1].spent]), y, WIDE)
    shown = done[:: math.ceil(len(done) / MAX_DOTS)]
    failed = [s for s in steps if s.trial.perf is None][:MAX_DOTS]
    body = [
        svg.frame(x, y, "training spent, in units of fidelity" if is_training else "trials ended", _perf_name(result)),
        svg.path((svg.dot(x(s.spent), y(_perf(s.trial))) for s in shown), "dots k2"),
        svg.path((svg.cross(x(s.spent), y.start - 4) for s in failed), "fail"),
        svg.path([_stairs(done, x, y)], "best line"),
        svg.path([svg.dot(x(steps[-1].spent), y(done[-1].best.perf))], "best dots"),
    ]
    caption = ["Line: the trial that the search would have returned. Dots: results."]
    caption += ["Crosses: trials without a result."] * bool(failed)
    caption += [f"Every {math.ceil(len(done) / MAX_DOTS)}th dot is drawn."] * (len(shown) < len(done))
    caption += _beyond(y, [_perf(s.trial) for s in done])
    first, last = done[0].trial.perf, done[-1].best.perf
    about = f"From {first:.6g} to {last:.6g} over {len(steps)} trials that ended."
    return _figure("Course of the search", "course", about, body, " ".join(caption), WIDE)


def curves_chart(result: Result) -> Markup:
    """Learning curve of each training, the best one on top; empty where no trial tells a fidelity."""
    curves = {root: points for root, points in result.curves().items() if points}
    if not curves:
        return Markup()
    longest = sorted(curves, key=lambda root: (-max(f for f, _ in curves[root]), root))[:MAX_CURVES]
    best = roots(result)[result.best.number] if any(t.perf is not None for t in result) else -1
    rungs = sorted({t.fidelity for t in result if t.fidelity is not None and t.perf is not None})
    y = _perf_axis([perf for root in longest for _, perf in curves[root]], result.sign, WIDE)
    x = _x_axis(_fidelity_axis([f for root in longest for f, _ in curves[root]], rungs), y, WIDE)
    n_points = max(MAX_POINTS // len(longest), 8)
    lines = {root: svg.line([(x(f), y(p)) for f, p in _thinned(curves[root], n_points)]) for root in longest}
    ends = [(x(f), y(p)) for root in longest for f, p in curves[root] if f in rungs]
    body = [
        svg.frame(x, y, "fidelity", _perf_name(result)),
        svg.path((f"M{svg.number(x(rung))} {y.start}V{y.end}" for rung in rungs[:MAX_LABELS]), "rung"),
        svg.path((line for root, line in lines.items() if root != best), "curve"),
        svg.path((svg.dot(*end) for end in ends[:MAX_DOTS] if len(rungs) > 1), "dots small k2"),
        svg.path((line for root, line in lines.items() if root == best), "best line"),
    ]
    caption = [f"One line a training, a promoted trial continues its line. The best is trial {best}'s."] * (best >= 0)
    caption += ["Dashes: the rungs."] * (1 < len(rungs) <= MAX_LABELS)
    caption += [f"The {len(longest)} longest of {len(curves)} are drawn."] * (len(longest) < len(curves))
    caption += _beyond(y, [perf for root in longest for _, perf in curves[root]])
    about = f"{len(curves)} trainings, the longest up to fidelity {max(f for f, _ in curves[longest[0]]):g}."
    return _figure("Learning curves", "curves", about, body, " ".join(caption), WIDE)


def parameter_panels(result: Result, space: SearchSpace | None) -> Markup:
    """A panel for each parameter that was varied: its value against the performance of each training's last trial."""
    trials = sorted(result.top(len(result)), key=lambda t: t.number)
    if not trials:
        return Markup()
    names = list(dict.fromkeys(name for trial in result for name in trial.hp))
    parameters = [_parameter(result, name, space) for name in names]
    varied = [p for p in parameters if p is not None]
    if not varied:
        return tag("p", "No parameter was varied.", class_="quiet")
    drawn = set(id(t) for t in result.top(max(MAX_PANEL_DOTS // len(varied), 50)))
    shown = [t for t in trials if id(t) in drawn]
    levels, legend = _levels(shown)
    caption = "Each training once, with its last result. Orange: the best. Crosses: trials without a result."
    if len(shown) < len(trials):
        caption += f" The {len(shown)} best of {len(trials)}, those with the most training first."
    panels = [_panel(result, p, shown, levels, f"hp{k}") for k, p in enumerate(varied)]
    return join([tag("p", caption, " ", legend, class_="quiet"), tag("div", *panels, class_="panels")])


@dataclass(frozen=True)
class _Parameter:
    """A parameter on its axis.

    Attributes:
        name: Of the parameter.
        axis: For its values.
        labels: Each value as text, in the order of the strips; empty for an axis of numbers.
        note: What the strips stand for, where they are only numbered.
    """

    name: str
    axis: svg.Axis
    labels: tuple[str, ...] = ()
    note: str = ""

    def place(self, hp: Mapping[str, Any], jitter: float) -> float | None:
        """Where the axis has the value of a configuration; None if it has none."""
        if self.name not in hp:
            return None
        if self.labels:
            return self.labels.index(label_of(hp[self.name])) + 0.6 * (jitter - 0.5)
        return float(hp[self.name])


def _parameter(result: Result, name: str, space: SearchSpace | None) -> _Parameter | None:
    """The parameter with an axis that suits it; None where it has one value only."""
    kind: HPSpace | None = space[name] if space is not None and name in space.names else None
    values = [trial.hp[name] for trial in result if name in trial.hp]
    labels = dict.fromkeys(map(label_of, values))
    if len(labels) < 2:
        return None
    numbers = [float(v) for v in values if _is_number(v)]
    if len(numbers) < len(values) or (kind is not None and kind.levels):
        choices = dict.fromkeys(label_of(v) for v in kind.grid(2)) if kind is not None and kind.levels else {}
        return _strips(name, tuple(choices | labels))
    if isinstance(kind, (RangeHP, LogRangeHP)):
        numbers = [float(kind.low), float(kind.high)]
    is_log = isinstance(kind, LogRangeHP) or (not isinstance(kind, RangeHP) and _looks_logarithmic(numbers))
    return _Parameter(name, svg.log_axis(min(numbers), max(numbers), 4) if is_log else svg.linear_axis(numbers, 4))


def _strips(name: str, labels: tuple[str, ...]) -> _Parameter:
    """A parameter without order: strips with the values as labels, or with numbers where those are too long."""
    room = (PANEL[0] - 50) / len(labels) / svg.LETTER  # letters that fit in a strip
    if all(len(label) <= room for label in labels):
        return _Parameter(name, svg.strip_axis(labels), labels)
    note = ", ".join(f"{k}: {label}" for k, label in enumerate(labels[:MAX_LABELS], 1))
    note += ", ..." * (len(labels) > MAX_LABELS)
    return _Parameter(name, svg.strip_axis([str(k) for k in range(1, len(labels) + 1)]), labels, note)


def _looks_logarithmic(numbers: Sequence[float]) -> bool:
    """Whether positive numbers spread over more than a decade fill a logarithmic scale more evenly than a linear one.

    Judged by their median, which even spread puts in the middle.
    """
    low, high = min(numbers), max(numbers)
    if low <= 0 or high / low < 10:
        return False
    median = sorted(numbers)[len(numbers) // 2]
    linear = (median - low) / (high - low)
    logarithmic = (math.log(median) - math.log(low)) / (math.log(high) - math.log(low))
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _panel(result: Result, p: _Parameter, trials: Sequence[Trial], levels: Mapping[float, int], name: str) -> Markup:
    y = _perf_axis([_perf(t) for t in trials], result.sign, PANEL, n_ticks=4)
    x = _x_axis(p.axis, y, PANEL)
    dots: dict[int, list[str]] = {level: [] for level in range(1, LEVELS + 1)}
    best: list[str] = []
    for trial in trials:
        place = p.place(trial.hp, jitter=trial.number * 0.618034 % 1)  # the golden ratio spreads neighbours evenly
        if place is not None:
            mark = svg.dot(x(place), y(_perf(trial)))
            (best if trial is result.best else dots[levels[trial.reached]]).append(mark)
    failed = [p.place(t.hp, 0.5) for t in result if t.state.is_final and t.perf is None][:MAX_DOTS]
    body = [
        svg.frame(x, y),
        *(svg.path(marks, f"dots k{level}") for level, marks in dots.items()),
        svg.path((svg.cross(x(place), y.start - 4) for place in failed if place is not None), "fail"),
        svg.path(best, "best dots"),
    ]
    about = f"{_perf_name(result)} of {len(trials)} trials against {p.name}."
    return _figure(p.name, name, about, body, p.note, PANEL)


def _levels(trials: Iterable[Trial]) -> tuple[dict[float, int], Markup]:
    """A level of colour for each fidelity reached, the highest for the most, and the legend."""
    reached = sorted({trial.reached for trial in trials})
    n = len(reached)
    levels = {f: LEVELS - (n - 1 - k) if n <= LEVELS else 1 + k * LEVELS // n for k, f in enumerate(reached)}
    parts: list[str] = []
    for level in sorted(set(levels.values())):
        same = [f"{f:g}" if math.isfinite(f) else "full" for f in reached if levels[f] == level]
        label = same[0] if len(same) == 1 else f"{same[0]} to {same[-1]}"
        parts.append(tag("span", tag("span", "●", class_=f"k{level}"), f" {label} "))
    return levels, tag("span", "Fidelity: ", *parts, class_="legend") if n > 1 else Markup()


def _perf_axis(perfs: Sequence[float], sign: int, size: tuple[int, int], n_ticks: int = 5) -> svg.Axis:
    """The upright axis. A few far outliers on the bad side do not stretch it: they are drawn at its edge.

    A bad quarter more than twelve times as far from the best as the rest is cut off at three times.
    """
    held = [min(max(perf, -svg.LARGEST), svg.LARGEST) for perf in perfs]
    best = max(held, key=lambda perf: sign * perf)
    distances = sorted(abs(best - perf) for perf in held)
    usual = distances[int(0.75 * (len(distances) - 1))]
    if distances[-1] > 12 * usual > 0:
        held = [best, best - sign * 3 * usual]
    bottom, top = (size[1] - 44, 22) if size is WIDE else (size[1] - 24, 8)
    return svg.linear_axis(held, n_ticks, margin=0.05).on(bottom, top)


def _x_axis(axis: svg.Axis, y: svg.Axis, size: tuple[int, int]) -> svg.Axis:
    """The level axis, to the right of the labels of the upright one."""
    return axis.on(14 + svg.LETTER * max(len(label) for _, label in y.ticks), size[0] - 14)


def _fidelity_axis(fidelities: Sequence[float], rungs: Sequence[float]) -> svg.Axis:
    """Logarithmic where the rungs are spread so; labelled with the rungs where they are few."""
    low, high = min(fidelities), max(fidelities)
    is_log = low > 0 and len(rungs) > 1 and rungs[0] > 0 and rungs[-1] / rungs[0] >= 8 and low < high
    axis = svg.log_axis(low, high) if is_log else svg.linear_axis([min(low, 0.0), high])
    if not 1 < len(rungs) <= MAX_LABELS:
        return axis
    return svg.Axis(axis.low, axis.high, tuple((r, svg.short_number(r)) for r in rungs), axis.is_log)


def _stairs(done: Sequence[Step], x: svg.Axis, y: svg.Axis) -> str:
    """Path data of the best so far: level until it changes, and on to the end."""
    pieces: list[str] = []
    best: Trial | None = None
    for step in done:
        if step.best is not None and step.best is not best:
            best = step.best
            move = f"H{svg.number(x(step.spent))}V" if pieces else f"M{svg.number(x(step.spent))} "
            pieces.append(f"{move}{svg.number(y(_perf(best)))}")
    return "".join(pieces) + f"H{svg.number(x.end)}"


def _thinned(points: Sequence[tuple[float, float]], n: int) -> list[tuple[float, float]]:
    """At most n of the points, evenly taken, the first and the last among them."""
    if len(points) <= n:
        return list(points)
    return [points[round(k * (len(points) - 1) / (n - 1))] for k in range(n)]


def _figure(
    title: str, name: str, about: str, body: Iterable[str], caption: str, size: tuple[int, int]
) -> Markup:
    drawing = svg.drawing(join(body), size, name, title, about)
    note = [tag("figcaption", caption)] if caption else []
    return tag("figure", tag("h3", title), drawing, *note)


def _beyond(y: svg.Axis, perfs: Iterable[float]) -> list[str]:
    n = sum(not y.low <= perf <= y.high for perf in perfs)
    return [f"{n} far worse lie at the edge."] if n else []


def _perf(trial: Trial) -> float:
    assert trial.perf is not None  # noqa: S101 - callers pass trials with a result
    return trial.perf


def _perf_name(result: Result) -> str:
    return f"perf ({'higher' if result.sign > 0 else 'lower'} is better)"


def _is_number(value: object) -> bool:
    """Whether a value has a place on an axis of numbers."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= svg.LARGEST  # False for NaN too


def label_of(value: object, limit: int = 80) -> str:
    """A value as Python writes it, in at most `limit` letters and without memory addresses."""
    try:
        text = repr(value)
    except Exception:  # a user's __repr__ may raise anything
        text = f"<{type(value).__name__}>"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
