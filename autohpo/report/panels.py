"""A panel for each parameter: its values against what they led to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.report import svg
from autohpo.report.charts import MAX_DOTS, PANEL, figure, perf_axis, perf_name, perf_of, x_axis
from autohpo.report.markup import Markup, join, tag
from autohpo.result import Result
from autohpo.spaces import HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Trial

BEST = "best dots"
GOLDEN = 0.618034  # multiples of the golden ratio spread neighbouring trials evenly over a strip
LEVELS = 5  # of colour, for fidelities
MAX_PANEL_DOTS = 10_000  # in all panels together: 130 KB
MAX_LABELS = 12  # values of a choice that are listed by name


def parameter_panels(result: Result, space: SearchSpace | None) -> Markup:
    """A panel for each parameter that was varied: its value against the last result of each training."""
    trials = sorted(result.top(len(result)), key=lambda t: t.number)
    if not trials:
        return Markup()
    names = list(dict.fromkeys(name for trial in result for name in trial.hp))
    parameters = [_parameter(result, name, space) for name in names]
    varied = [p for p in parameters if p is not None]
    if not varied:
        return tag("p", "No parameter was varied.", class_="quiet")
    drawn = {t.number for t in result.top(max(MAX_PANEL_DOTS // len(varied), 50))}
    shown = [t for t in trials if t.number in drawn]
    levels, legend = _levels(shown)
    kinds = {t.number: f"dots k{levels[t.reached]}" for t in shown} | {result.best.number: BEST}
    caption = "Each training once, with its last result. Orange: the best. Crosses: trials without a result."
    if len(shown) < len(trials):
        caption += f" The {len(shown)} best of {len(trials)}, those with the most training first."
    panels = [_panel(result, p, shown, kinds, f"hp{k}") for k, p in enumerate(varied)]
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
    axis = svg.log_axis(min(numbers), max(numbers), 4) if is_log else svg.linear_axis(numbers)
    return _Parameter(name, axis)


def _strips(name: str, labels: tuple[str, ...]) -> _Parameter:
    """A parameter without order: strips labelled with the values, or with numbers where those are too long."""
    room = (PANEL[0] - 50) / len(labels) / svg.LETTER  # letters that fit in a strip
    if all(len(label) <= room for label in labels):
        return _Parameter(name, svg.strip_axis(labels), labels)
    note = ", ".join(f"{k}: {label}" for k, label in enumerate(labels[:MAX_LABELS], 1))
    note += ", ..." * (len(labels) > MAX_LABELS)
    return _Parameter(name, svg.strip_axis([str(k) for k in range(1, len(labels) + 1)]), labels, note)


def _looks_logarithmic(numbers: Sequence[float]) -> bool:
    """Whether numbers over more than a decade fill a logarithmic scale more evenly than a linear one.

    Judged by their median, which lies in the middle where they are spread evenly.
    """
    low, high = min(numbers), max(numbers)
    if low <= 0 or high / low < 10:
        return False
    median = sorted(numbers)[len(numbers) // 2]
    linear = (median - low) / (high - low)
    logarithmic = (math.log(median) - math.log(low)) / (math.log(high) - math.log(low))
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _panel(
    result: Result, p: _Parameter, trials: Sequence[Trial], kinds: Mapping[int, str], name: str
) -> Markup:
    """One panel; `kinds` says how to draw each trial."""
    y = perf_axis([perf_of(t) for t in trials], result.sign, PANEL, n_ticks=4)
    x = x_axis(p.axis, y, PANEL)
    marks: dict[str, list[str]] = {}
    for trial in trials:
        place = p.place(trial.hp, jitter=trial.number * GOLDEN % 1)
        if place is not None:
            marks.setdefault(kinds[trial.number], []).append(svg.dot(x(place), y(perf_of(trial))))
    failed = [p.place(t.hp, jitter=0.5) for t in result if t.state.is_final and t.perf is None][:MAX_DOTS]
    order = sorted(marks, key=lambda kind: (kind == BEST, kind))  # the best on top, more training above less
    body = [
        svg.frame(x, y),
        *(svg.path(marks[kind], kind) for kind in order),
        svg.path((svg.cross(x(place), y.start - 4) for place in failed if place is not None), "fail"),
    ]
    about = f"{perf_name(result)} of {len(trials)} trials against {p.name}."
    return figure(p.name, body, name=name, about=about, caption=p.note, size=PANEL)


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
