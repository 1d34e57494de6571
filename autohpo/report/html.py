"""The page of a run: one HTML file that tells what was found, how, and what went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from autohpo.arguments import checked_file, path_errors
from autohpo.errors import NoRunError
from autohpo.report.charts import course_chart, curves_chart
from autohpo.report.confirmed import confirmed_section, mean_of
from autohpo.report.decisions import decisions
from autohpo.report.fronts import front_charts, names_of, shown_front, way_of
from autohpo.report.markup import Markup, tag
from autohpo.report.origin import origin_of
from autohpo.report.panels import label_of, parameter_panels
from autohpo.report.series import added_training
from autohpo.report.style import STYLE
from autohpo.result import Result
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.store import open_store, redacted
from autohpo.store.described import space_of
from autohpo.trial import Trial, TrialState

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page runs nothing and fetches nothing, whatever a log may hold."""

TITLE = "Hyper-parameter search"
TOP = 10
TOP_CAPTION = "Those with the most training first; a promoted trial stands for all the training it continued"
MAX_ERRORS = 20  # kinds of error
MAX_NUMBERS = 12  # trials named for each
MAX_TRACEBACK = 4_000  # letters


def write_html(
    result: Result,
    path: str | Path,
    *,
    title: str = TITLE,
    notes: Sequence[tuple[str, str]] = (),
    space: SearchSpace | Iterable[HPSpace] | None = None,
    origin: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page of a result, and return where it is; equal results give equal files.

    Args:
        result: The result of the run.
        path: Where the file goes.
        title: The title of the page.
        notes: ``(name, value)`` pairs to show beside the best configuration, such as test accuracies.
        space: What was searched: gives axes their ends and scales. Without it they follow the values tried.
        origin: ``(name, value)`` pairs that say how the run was made, such as seed, versions and command.

    Raises:
        PathError: The file cannot be written.
    """
    place = checked_file(path)
    page = render_html(result, title=title, notes=notes, space=space, origin=origin)
    with path_errors(path):
        place.write_bytes(page.encode("utf-8", "backslashreplace"))  # a user's text may hold half a character
    return place


def write_html_from_store(
    store: str | Path,
    path: str | Path,
    *,
    title: str = TITLE,
    notes: Sequence[tuple[str, str]] = (),
    space: SearchSpace | Iterable[HPSpace] | None = None,
    origin: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page of the run in a store, which may still be going on.

    Args:
        store: The path or URL of the store.
        path: Where the file goes.
        title: The title of the page.
        notes: ``(name, value)`` pairs to show beside the best configuration.
        space: What was searched; needed only where it holds objects that the store cannot carry.
        origin: Pairs that say how the run was made, beside what the store says: algorithm, options and version.

    Raises:
        StoreError: The store does not exist, is damaged, or holds no run.
        SpaceError: Its space cannot be read back; give `space`.
        PathError: The file cannot be written.
    """
    log = open_store(store, read_only=True)
    try:
        header = log.header
        if header is None:
            raise NoRunError(f"store: {redacted(store)} holds no run yet")
        known = space_of(header, redacted(store)) if space is None else SearchSpace(space)
        result = Result.read(log, known)
    finally:
        log.close()
    origin = [*origin_of(header), *origin]
    return write_html(result, path, title=title, notes=notes, space=known, origin=origin)


def render_html(
    result: Result,
    *,
    title: str = TITLE,
    notes: Sequence[tuple[str, str]] = (),
    space: SearchSpace | Iterable[HPSpace] | None = None,
    origin: Sequence[tuple[str, str]] = (),
) -> str:
    """The page as text; see :func:`write_html`."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    top = result.top(TOP)
    parts = [_headline(result, title), tag("div", _configuration(result), _pairs("Notes", notes), class_="pair")]
    space = None if space is None else SearchSpace(space)
    if top and result.objectives.n > 1:
        parts += _objectives(result, space)
    elif top:
        confirmed = confirmed_section(result)
        parts += [tag("h2", "Confirmed"), confirmed] if confirmed else []
        charts = tag("div", course_chart(result), curves_chart(result), class_="pair")
        parts += [tag("h2", "Search"), charts]
        panels = parameter_panels(result, space)
        parts += [tag("h2", "Parameters"), panels]
        parts += [tag("h2", "Best trials"), _ranking(result, top, TOP_CAPTION)]
        decided = decisions(result)
        if decided:
            parts += [tag("h2", "Decisions"), decided]
    errors = _errors(result)
    if errors:
        parts += [tag("h2", "Trials without a result"), errors]
    if origin:
        parts += [tag("h2", "To repeat this run"), _pairs("How it was made", origin)]
    return f'<!doctype html>\n<html lang="en">{head}{tag("body", tag("main", *parts))}</html>\n'


def _objectives(result: Result, space: SearchSpace | None) -> list[Markup]:
    """The sections of a search with several objectives: the front, and each objective on its own."""
    parts = [tag("h2", "Pareto front"), tag("div", *front_charts(result), class_="pair")]
    shown, caption = shown_front(result)
    if shown:
        parts += [tag("h2", "Trials on the front"), _ranking(result, shown, caption)]
    names, alone = names_of(result), [result.along(place) for place in range(result.objectives.n)]
    courses = [course_chart(one, names[k], f"course{k}") for k, one in enumerate(alone)]
    parts += [tag("h2", "Search"), tag("div", *courses, class_="pair")]
    for k, one in enumerate(alone):
        parts += [tag("h2", f"Parameters and {names[k]}"), parameter_panels(one, space, f"hp{k}-")]
    return parts


def _headline(result: Result, title: str) -> Markup:
    """Title, and the figures of the run: best, trials, training, time."""
    counts = result.counts()
    states = [f"{counts[s.value]} {s.value.lower()}" for s in TrialState if s.value in counts]
    facts: list[tuple[str, str]] = []
    has_best = bool(result.top(1))
    if has_best:
        best = result.best
        what, values = "best perf", f"{best.perf:.6g}"
        if result.objectives.n > 1:
            what, values = "the compromise", ", ".join(f"{value:.6g}" for value in best.perfs)
        where = f"trial {best.number}" if best.number >= 0 else "the default"
        winner = result.winner
        if winner is not None and winner.mean is not None:
            facts.append((f"mean of {where} over {len(winner.perfs)} new seeds", mean_of(winner)))
            if winner.optimism is not None:
                facts.append(("the same in the search", values))
        else:
            facts.append((f"{what}, {where}{_after(best)}", values))
    facts.append((", ".join(states) or "no trial was made", f"{len(result):,} trial" + "s" * (len(result) != 1)))
    spent = added_training(result)
    if spent and result.curves() and any(spent.values()):
        facts.append(("training spent, in units of fidelity", f"{sum(spent.values()):,.6g}"))
    started = [t.started for t in result if t.started is not None]
    ended = [t.ended for t in result if t.ended is not None]
    if started and ended:
        facts.append((f"from {_date(min(started))}", _duration(max(ended) - min(started))))
    way = "higher is better" if result.sign > 0 else "lower is better"
    if result.objectives.n > 1:
        facts.insert(has_best, ("on the Pareto front", f"{len(result.pareto):,}"))
        way = ", ".join(f"{name}: {way_of(result, k)} is better" for k, name in enumerate(names_of(result)))
    items = [
        tag("div", tag("dt", name), tag("dd", value), class_="first" if has_best and k == 0 else "")
        for k, (name, value) in enumerate(facts)
    ]
    algorithm = [tag("strong", result.algorithm), ", "] if result.algorithm else []
    return tag("header", tag("h1", title), tag("p", *algorithm, way, class_="quiet"), tag("dl", *items))


def _configuration(result: Result) -> Markup:
    """The best configuration, every digit of it."""
    if not result.top(1):
        return tag("p", "No trial has a result.", class_="card")
    hp = result.best.hp
    rows = [[_row_head(name), tag("td", label_of(value, 400), class_="mono")] for name, value in hp.items()]
    return tag("div", _table("Best configuration", ["parameter", "value"], rows), class_="card")


def _pairs(caption: str, pairs: Sequence[tuple[str, str]]) -> Markup:
    rows = [[_row_head(name), tag("td", value)] for name, value in pairs]
    return tag("div", _table(caption, ["what", "value"], rows), class_="card") if rows else Markup()


def _ranking(result: Result, top: Sequence[Trial], caption: str) -> Markup:
    """The best trials, each with its configuration."""
    heads = ["perf"] if result.objectives.n == 1 else names_of(result)
    names = list(dict.fromkeys(name for trial in top for name in trial.hp))
    known = {trial.number: trial for trial in result}
    has_fidelity = any(math.isfinite(t.reached) for t in top)
    seconds = {t.number: _training_seconds(t, known) for t in top}
    has_time = any(s is not None for s in seconds.values())
    rows = []
    for trial in top:
        cells = [_row_head(str(trial.number)), *(_figure_cell(f"{value:.6g}") for value in trial.perfs)]
        if has_fidelity:
            cells.append(_figure_cell(f"{trial.reached:g}" if math.isfinite(trial.reached) else "full"))
        if has_time:
            s = seconds[trial.number]
            cells.append(_figure_cell("" if s is None else _duration(s)))
        cells += [tag("td", _brief(trial.hp[name]) if name in trial.hp else "", class_="mono") for name in names]
        rows.append(cells)
    heads = ["trial", *heads, *["fidelity"] * has_fidelity, *["time"] * has_time]
    table = _table(caption, [*heads, *names], rows, figures=range(1, len(heads)))
    return tag("div", table, class_="card wide", role="region", aria_label="Best trials", tabindex="0")


def _errors(result: Result) -> Markup:
    """Trials that ended without a result, one row for each kind of error; empty where there are none."""
    kinds: dict[tuple[str, str], list[Trial]] = {}
    for trial in result:
        if trial.state.is_final and not trial.state.has_perf:
            lines = trial.error.strip().splitlines() or [""]
            kinds.setdefault((trial.state.value, lines[-1]), []).append(trial)
    rows = []
    often = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[1][0].number))
    for (state, last), trials in often[:MAX_ERRORS]:
        numbers = ", ".join(str(t.number) for t in trials[:MAX_NUMBERS]) + ", ..." * (len(trials) > MAX_NUMBERS)
        error = trials[0].error.strip()
        shown: str = last[:400]
        if error != shown:
            cut = "...\n" if len(error) > MAX_TRACEBACK else ""
            traceback = tag("pre", cut + error[-MAX_TRACEBACK:], tabindex="0")
            shown = tag("details", tag("summary", shown), traceback)
        rows.append([_row_head(state), tag("td", shown), _figure_cell(str(len(trials))), tag("td", numbers)])
    if not rows:
        return Markup()
    more = f"; {len(often) - MAX_ERRORS} other kinds are not shown" if len(often) > MAX_ERRORS else ""
    caption = f"By the last line of the error, most frequent first, with the first trial's traceback{more}"
    return tag("div", _table(caption, ["state", "error", "count", "trials"], rows, figures=[2]), class_="card")


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], figures: Sequence[int] = ()) -> Markup:
    """A table; `figures` are the places of the columns that hold figures."""
    columns = [tag("th", head, scope="col", class_="n" if k in figures else "") for k, head in enumerate(heads)]
    body = tag("tbody", *(tag("tr", *row) for row in rows))
    return tag("table", tag("caption", caption), tag("thead", tag("tr", *columns)), body)


def _row_head(text: str) -> Markup:
    return tag("th", text, scope="row")


def _figure_cell(text: str) -> Markup:
    return tag("td", text, class_="n")


def _after(trial: Trial) -> str:
    """How much training a trial's result stands for, where that is known."""
    return f", fidelity {trial.reached:g}" if math.isfinite(trial.reached) else ""


def _brief(value: object) -> str:
    """A value in a narrow column."""
    return f"{value:.4g}" if isinstance(value, float) else label_of(value, 40)


def _training_seconds(trial: Trial, known: Mapping[int, Trial]) -> float | None:
    """Wall-clock seconds of a trial and of those it continued; None where one is unknown."""
    total = 0.0
    while True:
        if trial.seconds is None:
            return None
        total += trial.seconds
        if trial.resume is None or trial.resume >= trial.number or trial.resume not in known:
            return total
        trial = known[trial.resume]


def _duration(seconds: float) -> str:
    """Seconds as 4.21 s, 3 min 20 s or 5 h 02 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:,} h {minute:02d} min" if hours else f"{minute} min {second:02d} s"


def _date(seconds: float) -> str:
    """A moment in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
