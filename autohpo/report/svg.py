"""Axes and marks of small charts, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autohpo.report.markup import Markup, join, number, tag

LARGEST = 1e300  # a chart ends here, so that no difference overflows
LETTER = 6.6  # pixels, of a label
EDGE = 14  # pixels, from the end of a level axis to the edge of the drawing

Ticks = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Axis:
    """Where values lie on one side of a chart; those beyond its ends lie at the ends.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        ticks: Values with their labels.
        is_log: Whether the scale is logarithmic; `low` is above 0 then.
        start: The first end, in pixels.
        end: The other end, in pixels; less than `start` where values grow upwards.
    """

    low: float
    high: float
    ticks: Ticks
    is_log: bool = False
    start: float = 0.0
    end: float = 1.0

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def on(self, start: float, end: float) -> Axis:
        """The same axis between other pixels."""
        return replace(self, start=start, end=end)


def linear_axis(values: Iterable[float], n_ticks: int = 6, *, margin: float = 0.0, least_step: float = 0.0) -> Axis:
    """An axis that holds all values, with a margin at both ends: a share of their spread.

    Labels are at least `least_step` apart: 1 where the values are integers.
    """
    held = [min(max(value, -LARGEST), LARGEST) for value in values] or [0.0, 1.0]
    low, high = min(held), max(held)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-290):  # equal, as far as a chart can tell
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    pad = margin * (high - low)
    low, high = low - pad, high + pad
    return Axis(low, high, _linear_ticks(low, high, n_ticks, least_step))


def log_axis(low: float, high: float, n_ticks: int = 5) -> Axis:
    """A logarithmic axis between two different values above 0, labelled at powers of ten if they suffice."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(math.ceil((last - first + 1) / n_ticks), 1)
    values = [10.0**k for k in range(first, last + 1, stride)]
    if len(values) < 3:
        values = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
        values = [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    ticks = tuple((v, short_number(v)) for v in values) if len(values) > 1 else _linear_ticks(low, high, n_ticks)
    return Axis(low, high, ticks, is_log=True)


def strip_axis(labels: Sequence[str]) -> Axis:
    """An axis of strips of equal width, the k-th around the value k."""
    return Axis(-0.5, len(labels) - 0.5, tuple((float(k), label) for k, label in enumerate(labels)))


def short_number(value: float) -> str:
    """A number in at most four digits: 0.0312, 1e-5."""
    return _short_exponent(f"{value:.4g}")


def _short_exponent(text: str) -> str:
    """1e-05 as 1e-5, and 1e+12 as 1e12."""
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _linear_ticks(low: float, high: float, n_ticks: int, least_step: float = 0.0) -> Ticks:
    """About `n_ticks` round values within the ends, labelled with as many digits as tell them apart."""
    raw = (high - low) / n_ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9)), least_step)
    values = [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    largest, exponent = max(map(abs, values)), math.floor(math.log10(step) + 1e-9)
    if largest < 1e6 and exponent >= -5:
        return tuple((v, f"{v:,.{max(-exponent, 0)}f}") for v in values)
    digits = max(math.floor(math.log10(largest)) - exponent + 1, 1)
    return tuple((v, _short_exponent(f"{v:.{digits}g}")) for v in values)


def frame(x: Axis, y: Axis, x_name: str = "", y_name: str = "") -> Markup:
    """Grid lines, tick labels and names of two axes; a label that would touch the one before is left out."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    parts: list[str] = [path(f"M{number(left)} {number(y(v))}H{number(right)}" for v, _ in y.ticks)]
    parts += [text(left - 6, y(v) + 4, label, "end") for v, label in y.ticks]
    parts += [path((f"M{number(x(v))} {number(bottom)}v4" for v, _ in x.ticks), "axis")]
    free = -math.inf
    for value, label in x.ticks:
        half = LETTER * len(label) / 2
        middle = min(x(value), right + EDGE - half)  # the last one must not be cut at the edge of the drawing
        if middle - half >= free:
            parts.append(text(middle, bottom + 17, label, "middle"))
            free = middle + half + LETTER
    parts.append(path([f"M{number(left)} {number(bottom)}H{number(right)}"], "axis"))
    if x_name:
        parts.append(text((left + right) / 2, bottom + 34, x_name, "middle"))
    if y_name:
        parts.append(text(2, top - 9, y_name, "start"))
    return join(parts)


def path(pieces: Iterable[str], kind: str = "grid") -> Markup:
    """One path of many pieces; nothing where there are none."""
    data = "".join(pieces)
    return tag("path", class_=kind, d=data) if data else Markup()


def line(points: Sequence[tuple[float, float]]) -> str:
    """Path data of a line through points in pixels; a point alone becomes a dot."""
    if len(points) == 1:
        return dot(*points[0])
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def dot(x: float, y: float) -> str:
    """Path data of a dot: a line of no length with round ends, an eighth of a circle element."""
    return f"M{number(x)} {number(y)}h0"


def cross(x: float, y: float) -> str:
    """Path data of a small cross."""
    return f"M{number(x - 2.5)} {number(y - 2.5)}l5 5m-5 0l5-5"


def text(x: float, y: float, content: str, anchor: str, kind: str = "label") -> Markup:
    """A label."""
    return tag("text", content, x=x, y=y, text_anchor=anchor, class_=kind)


def drawing(body: str, size: tuple[int, int], name: str, title: str, description: str) -> Markup:
    """The svg element, with a title and a description for those who cannot see it.

    Args:
        body: What is drawn.
        size: Width and height in pixels; the page scales it.
        name: Unique in the page.
        title: A few words.
        description: What it shows, in a sentence.
    """
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        body,
        viewBox=f"0 0 {size[0]} {size[1]}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )
