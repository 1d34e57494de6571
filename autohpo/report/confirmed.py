"""The confirmed configurations: a chart of their means with intervals, and a table."""

from __future__ import annotations

import math

from autohpo.confirm import Confirmed
from autohpo.report import svg
from autohpo.report.charts import WIDE, figure, perf_name, x_axis
from autohpo.report.markup import Markup, number, tag
from autohpo.result import Result

MAX_SHOWN = 12
"""Configurations in the chart."""


def confirmed_section(result: Result) -> Markup:
    """A chart and a table, side by side; empty where nothing was confirmed."""
    if not any(one.perfs for one in result.confirmed):
        return Markup()
    return tag("div", _chart(result), _table(result.confirmed), class_="pair")


def name_of(one: Confirmed) -> str:
    """What a configuration is called: by its trial, or the default."""
    return "default" if one.is_default else f"trial {one.trial.number}"


def mean_of(one: Confirmed) -> str:
    """The mean with its interval."""
    if one.mean is None or one.interval is None:
        return ""
    return f"{one.mean:.4g} ({interval_of(one)})"


def interval_of(one: Confirmed) -> str:
    """The interval of the mean."""
    return "" if one.interval is None else "{:.4g} to {:.4g}".format(*one.interval)


def _chart(result: Result) -> Markup:
    shown = [one for one in result.confirmed if one.perfs][:MAX_SHOWN]
    perfs = [perf for one in shown for perf in (*one.perfs, *(one.interval or ()), *_searched(one))]
    y = svg.linear_axis(perfs, 5, margin=0.05).on(WIDE[1] - 44, 22)
    x = x_axis(svg.strip_axis([name_of(one) for one in shown]), y, WIDE)
    bars: dict[str, list[str]] = {"curve bar": [], "best line": []}
    means: dict[str, list[str]] = {"dots k5": [], "best dots": []}
    for place, one in enumerate(shown):
        assert one.mean is not None  # it has results
        is_best = one is result.winner
        low, high = one.interval or (one.mean, one.mean)
        bars["best line" if is_best else "curve bar"].append(f"M{number(x(place))} {number(y(low))}V{number(y(high))}")
        means["best dots" if is_best else "dots k5"].append(svg.dot(x(place), y(one.mean)))
    dots = [svg.dot(x(place + 0.12), y(perf)) for place, one in enumerate(shown) for perf in one.perfs]
    crosses = [svg.cross(x(place - 0.12), y(perf)) for place, one in enumerate(shown) for perf in _searched(one)]
    body = [
        svg.frame(x, y, "", perf_name(result)),
        svg.path(dots, "dots small k2"),
        *(svg.path(pieces, kind) for kind, pieces in bars.items()),
        *(svg.path(pieces, kind) for kind, pieces in means.items()),
        svg.path(crosses, "fail"),
    ]
    n = len(shown[0].perfs)
    caption = f"Bars: 95 % intervals of the means over {n} new seeds, the same for all. Small dots: each seed."
    caption += " Crosses: what the search saw." * bool(crosses) + " Orange: the chosen one."
    about = f"{len(shown)} configurations; {name_of(shown[0])} was chosen, with a mean of {mean_of(shown[0])}."
    return figure("Confirmed with new seeds", body, name="confirmed", about=about, caption=caption, size=WIDE)


def _searched(one: Confirmed) -> list[float]:
    """What the search saw, where it trained in full."""
    return [one.trial.perf] if one.optimism is not None and one.trial.perf is not None else []


def _table(confirmed: tuple[Confirmed, ...]) -> Markup:
    has_default = any(one.gain is not None for one in confirmed)
    heads = ["configuration", "mean", "95 % interval", "search", *["gain"] * has_default]
    rows = []
    for one in confirmed:
        name = f"trial {one.trial.number}, the default" if one.is_default and one.trial.number >= 0 else name_of(one)
        searched = "".join(f"{perf:.4g}" for perf in _searched(one))
        mean = f"{one.n_failed} failed" if one.mean is None or one.n_failed else f"{one.mean:.4g}"
        cells = [
            tag("th", name, scope="row"),
            *(tag("td", text, class_="n") for text in (mean, interval_of(one), searched)),
        ]
        if has_default:
            cells.append(tag("td", gain_of(one), class_="n"))
        rows.append(tag("tr", *cells))
    caption = "The chosen one first. Search: what the search saw, where it trained in full."
    if has_default:
        caption += " Gain: on the default, which is kept unless another gains more than the standard error behind ±."
    columns = [tag("th", text, scope="col", class_="n" * bool(k)) for k, text in enumerate(heads)]
    head = tag("thead", tag("tr", *columns))
    return tag("div", tag("table", tag("caption", caption), head, tag("tbody", *rows)), class_="card")


def gain_of(one: Confirmed) -> str:
    """Return a gain with as many decimals as its standard error has, such as "+0.102 ± 0.007"; empty without one."""
    gain, error = one.gain, one.gain_error
    if gain is None or error is None:
        return ""
    if not 1e-4 <= error < 1e4:
        return f"{gain:+.3g} ± {error:.1g}"
    n_decimals = max(0, -math.floor(math.log10(float(f"{error:.0e}"))))
    return f"{gain:+.{n_decimals}f} ± {error:.{n_decimals}f}"
