"""A panel for each parameter: its values against what they led to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autohpo.errors import text_of
from autohpo.report import svg
from autohpo.report.charts import PANEL, beyond, figure, perf_axis, perf_of, x_axis
from autohpo.report.markup import Markup, join, tag
from autohpo.result import Result
from autohpo.spaces import HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Trial

BEST, LOST = "best dots", "fail"
GOLDEN = 0.618034  # multiples of the golden ratio spread neighbouring trials evenly over a strip
LEVELS = 5  # of colour, for fidelities
MAX_PANEL_DOTS = 8_000  # in all panels together: 100 KB
MAX_LABELS = 12  # values of a choice that are listed by name
MAX_PLACES = 4  # of a list that have panels of their own


def parameter_panels(result: Result, space: SearchSpace | None, name: str = "hp") -> Markup:
    """A panel for each parameter that was varied: its value against the last result of each training.

    Args:
        result: The trials of one objective; see :meth:`Result.along`.
        space: What was searched, if known.
        name: A name of the panels, unique in the page together with their numbers.
    """
    if not result.top(1):
        return Markup()
    result = _spread(result)
    names = dict.fromkeys(name for trial in result for name in trial.hp)
    varied = [p for p in (_parameter(result, name, space) for name in names) if p is not None]
    if not varied:
        return tag("p", "No parameter was varied.", class_="quiet")
    n_dots = max(MAX_PANEL_DOTS // len(varied), 50)
    shown = sorted(result.top(n_dots), key=lambda t: t.number)
    lost = [t for t in result if t.state.is_final and t.perf is None][: n_dots // 2]  # a cross is as long as two dots
    levels, legend = _levels(shown)
    kinds = {t.number: f"dots k{levels[t.reached]}" for t in shown} | {t.number: LOST for t in lost}
    kinds[result.best.number] = BEST
    y = perf_axis([perf_of(t) for t in shown], result.sign, PANEL, n_ticks=4)
    panels = [_panel(p, y, shown + lost, kinds, f"{name}{k}") for k, p in enumerate(varied)]
    caption = "Each training once, with its last result. Orange: the best."
    caption += " Crosses: trials without a result." * bool(lost)
    n_results = len(result.top(len(result)))
    if len(shown) < n_results:
        caption += f" The {len(shown)} best of {n_results}, those with the most training first."
    caption += beyond(y, map(perf_of, shown))
    return join([tag("p", caption, " ", legend, class_="quiet"), tag("div", *panels, class_="panels")])


def _spread(result: Result) -> Result:
    """The same trials with lists taken apart: a panel for the length, and one for each of the first few places."""
    if not any(isinstance(value, (list, tuple)) for trial in result for value in trial.hp.values()):
        return result
    return replace(result, trials=[replace(trial, hp=_taken_apart(trial.hp)) for trial in result])


def _taken_apart(hp: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in hp.items():
        if isinstance(value, (list, tuple)):
            found[f"length of {name}"] = len(value)
            found |= {f"{name}[{place}]": item for place, item in enumerate(value[:MAX_PLACES])}
        else:
            found[name] = value
    return found


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

    def place(self, trial: Trial) -> float | None:
        """Where the axis has the value of a trial; None if it has none."""
        if self.name not in trial.hp:
            return None
        if self.labels:
            jitter = trial.number * GOLDEN % 1 - 0.5
            return self.labels.index(label_of(trial.hp[self.name])) + 0.6 * jitter
        return float(trial.hp[self.name])


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
    is_log = isinstance(kind, LogRangeHP)
    if isinstance(kind, (RangeHP, LogRangeHP)):
        numbers = [float(kind.low), float(kind.high)]
    else:
        is_log = _looks_logarithmic(numbers)
    if is_log:
        return _Parameter(name, svg.log_axis(min(numbers), max(numbers), n_ticks=4))
    return _Parameter(name, svg.linear_axis(numbers, least_step=all(isinstance(v, int) for v in values)))


def _strips(name: str, labels: tuple[str, ...]) -> _Parameter:
    """A parameter without order: strips labelled with the values, or numbered where those are too long."""
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


def _panel(p: _Parameter, y: svg.Axis, trials: Sequence[Trial], kinds: Mapping[int, str], name: str) -> Markup:
    """One panel; `kinds` says how to draw each trial."""
    x = x_axis(p.axis, y, PANEL)
    marks: dict[str, list[str]] = {}
    for trial in trials:
        place, kind = p.place(trial), kinds[trial.number]
        if place is not None:
            mark = svg.cross(x(place), y.start - 4) if kind == LOST else svg.dot(x(place), y(perf_of(trial)))
            marks.setdefault(kind, []).append(mark)
    order = sorted(marks, key=lambda kind: (kind == BEST, kind))  # the best on top, more training above less
    body = [svg.frame(x, y), *(svg.path(marks[kind], kind) for kind in order)]
    about = f"Performance of {len(trials)} trials against {p.name}."
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
        text = text_of(value)
    except Exception:  # a user's __repr__ may raise anything
        text = f"<{type(value).__name__}>"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
