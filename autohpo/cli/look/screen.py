"""What `autohpo top` shows: sections, the more important ones first where a terminal has little room."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from autohpo.cli.look.budgets import NAMES, cost_text, trials_text
from autohpo.cli.look.chart import columns_chart
from autohpo.cli.look.watch import Watch
from autohpo.cli.look.words import ago, duration, error_line, fidelity_text, hp_text, number_text
from autohpo.outcome import perfs_of
from autohpo.store import RunState

STYLES = {
    "running": "bold green",
    "finished": "bold cyan",
    "idle": "bold yellow",
    "interrupted": "bold yellow",
    "waiting": "bold yellow",
    "reading": "bold yellow",
}
CHART_LINES = 5
LEAST_LINES = 6
"""The least height of a terminal whose last line says what keys do."""

LEAST = 8
"""The least width that a column is cut to, before others are left out."""

LINEAR_TRIALS = 300
"""Trials up to which a chart has as much room for the last as for the first."""

Section = tuple[int, Sequence[RenderableType]]
"""The least lines that are worth showing, and the lines."""


def screen(watch: Watch, width: int, height: int, *, now: float | None = None, hint: str = "") -> Group:
    """Return what there is to see of a run.

    Args:
        watch: The run.
        width: How many letters a line has.
        height: How many lines there are.
        now: The time, in Unix seconds; None takes that of the clock.
        hint: A last line.
    """
    now = time.time() if now is None else now
    hint = hint if height >= LEAST_LINES else ""
    lines: list[RenderableType] = [_status_line(watch, now)]
    if watch.note:
        lines.append(_line(watch.note, "yellow"))
    state = watch.state
    if state is not None:
        lines += [_progress_line(watch, state, width), *_best_lines(state, width)]
        room = max(height - len(lines) - bool(hint), 0)
        lines += _fitted(_sections(watch, state, width, now), room)
    lines = lines[: max(height - bool(hint), 1)]
    return Group(*lines, *([_line(hint, "dim")] if hint and len(lines) < height else []))


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)


def _fitted(sections: dict[str, Section], room: int) -> list[RenderableType]:
    """Return the lines of the sections that there is room for."""
    shares: dict[str, int] = {}
    for name in ("running", "failures", "chart", "rungs", "ended"):  # by what is missed most
        least, lines = sections[name]
        share = min(len(lines), room)
        if lines and share >= least:
            shares[name] = share
            room -= share
    order = ("chart", "rungs", "running", "ended", "failures")
    found = {name: list(sections[name][1][: shares[name]]) for name in order if name in shares}
    if "failures" in found and room:
        found["failures"].insert(0, _line(""))
    return [line for lines in found.values() for line in lines]


def _status_line(watch: Watch, now: float) -> Text:
    header, seen = watch.header, watch.seen
    status = watch.status
    text = _line("")
    text.append(str(header.get("name") or watch.path.name), style="bold")
    if header.get("algorithm"):
        text.append(f"  {header['algorithm']}")
    text.append("  ")
    text.append(status, style=STYLES[status])
    if seen.first is not None and seen.latest is not None:
        end = now if watch.holder is not None else seen.latest
        text.append(f"  {duration(end - seen.first)}")
        if watch.holder is None:
            text.append(f", last event {ago(now - seen.latest)}", style="dim")
    n = sum(1 for _ in watch.running())
    if watch.holder is not None:
        text.append(f"  {n} worker{'s' * (n != 1)} busy", style="dim")
        if watch.holder.host:
            text.append(f"  process {watch.holder.process} on {watch.holder.host}", style="dim")
    return text


def _progress_line(watch: Watch, state: RunState, width: int) -> Text:
    used = state.n_asked - state.n_known
    done = watch.seen.n_ended - state.n_known
    text = _line("")
    share, said = _share_done(watch, done)
    room = max(min(30, width - 50), 0)
    if share is not None and room:
        full = round(room * min(share, 1.0))
        text.append("━" * full, style="green")
        text.append("━" * (room - full), style="bright_black")
        text.append(" ")
    text.append(said)
    parts = [f"{state.n_failed:,} without a result"] * bool(state.n_failed)
    parts += [f"{state.n_known:,} known before"] * bool(state.n_known)
    waiting = used - done - sum(1 for _ in watch.running())
    parts += [f"{waiting:,} waiting"] * (waiting > 0 and watch.holder is not None)
    parts += [f"{waiting:,} to be run again"] * (waiting > 0 and watch.holder is None)
    confirming = state.confirming()
    if confirming:
        n = sum(trial.state.is_final for trial in confirming)
        parts.append(f"confirming the best: {n} of {len(confirming)} trainings")
    for part in parts:
        text.append(f", {part}", style="dim")
    return text


def _share_done(watch: Watch, done: int) -> tuple[float | None, str]:
    """Return how much of the budget is used, where there is one, and the same in words."""
    budget, most = watch.budget, watch.header.get("options", {}).get("max_fidelity")
    n, cost, limit = (budget.get(name) for name in NAMES)
    if limit and watch.state is not None:
        costs = watch.state.costs
        return costs.spent / limit, f"{trials_text(done, n) if n else f'{done:,} trials'}, {cost_text(costs, limit)}"
    if cost and isinstance(most, (int, float)) and most > 0:
        spent = watch.seen.trained / most
        return spent / cost, f"{done:,} trials, about {spent:.3g} of {cost:g} full evaluations"
    if n:
        return min(done / n, 1.0), trials_text(done, n)
    return None, f"{done:,} trials"


def _best_lines(state: RunState, width: int) -> list[Text]:
    best = state.best
    if best is None:
        return [_line("no result yet", "dim")]
    text = _line("best ", "dim")
    names = state.objectives.names
    if len(names) > 1:
        text.append(f"{len(state.front.trials)} on the front", style="bold")
        values = ", ".join(
            f"{name or k} {number_text(v)}" for k, (name, v) in enumerate(zip(names, best.perfs, strict=True))
        )
        text.append(f"; the compromise, trial {best.number}: {values}", style="not dim")
    else:
        text.append(number_text(best.perf or 0.0), style="bold not dim")
        text.append(f" in trial {best.number}", style="not dim")
    reached = fidelity_text(best.reached)
    if reached:
        text.append(f", fidelity {reached}")
    hp = hp_text(best.hp)
    if len(text) + len(hp) + 2 <= width:
        text.append(f"  {hp}", style="cyan not dim")
        return [text]
    return [text, _line(f"  {hp}", "cyan")]


def _sections(watch: Watch, state: RunState, width: int, now: float) -> dict[str, Section]:
    return {
        "chart": (4, _chart(watch, state, width)),
        "rungs": (3, _rungs(watch, state, width)),
        "running": (3, _running(watch, state, width, now)),
        "ended": (3, _ended(watch, width)),
        "failures": (1, _failures(watch)),
    }


def _chart(watch: Watch, state: RunState, width: int) -> list[RenderableType]:
    seen = watch.seen
    if len(seen.course) < 2 or width < 40:
        return []
    values = [value for _, value in seen.course]
    labels = [number_text(value) for value in (max(values), min(values))]
    room = max(map(len, labels))
    n_columns = max(min(width - room - 2, 100), 10)
    shares = [place / (n_columns - 1) for place in range(n_columns)]
    is_log = seen.n_ended > LINEAR_TRIALS  # most is gained early
    at = [seen.n_ended**share if is_log else 1 + share * (seen.n_ended - 1) for share in shares]
    lines = columns_chart([seen.best_at(n) for n in at], CHART_LINES)
    what = "best" if state.objectives.n == 1 else "the compromise"
    name = state.objectives.names[0] or "perf"
    shown: list[RenderableType] = [
        _line(""),
        _line(f"{what} {name} over {seen.n_ended:,} trials{' (log scale)' * is_log}", "dim"),
    ]
    for place, line in enumerate(lines):
        label = labels[0] if place == 0 else labels[1] if place == len(lines) - 1 else ""
        text = _line(f"{label:>{room}} ", "dim")
        text.append(line, style="cyan not dim")
        shown.append(text)
    return shown


def _table_lines(
    rows: Sequence[dict[str, str]], title: str, width: int, wide: str = "", spared: Sequence[str] = ()
) -> list[RenderableType]:
    """Return a table as lines of text: a heading, the names of the columns, and the rows.

    Args:
        rows: The rows; all values are texts.
        title: What stands above.
        width: How many letters a line has.
        wide: The column that is cut where there is too little room.
        spared: Columns that are left out where that is not enough, the first one first.
    """
    if not rows:
        return []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    least = {**widths, wide: min(LEAST, widths[wide])} if wide else widths
    for name in spared:
        if sum(least[one] + 2 for one in widths) - 2 > width:
            widths.pop(name, None)
    names = list(widths)
    if wide:
        others = sum(widths[name] + 2 for name in names if name != wide)
        widths[wide] = max(min(widths[wide], width - others), least[wide])
    lines: list[RenderableType] = [_line(""), _line(title, "dim")]
    for row in ({name: name for name in names}, *rows):
        cells = [_cut(row[name], widths[name]).ljust(widths[name]) for name in names]
        lines.append(_line("  ".join(cells).rstrip(), "bold" if len(lines) == 2 else ""))
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _rungs(watch: Watch, state: RunState, width: int) -> list[RenderableType]:
    rungs = watch.seen.rungs
    if len(rungs) < 2:
        return []
    at = [state.running[number].fidelity for number, _ in watch.running() if number in state.running]
    rows = [
        {
            "fidelity": f"{fidelity:g}",
            "with a result": f"{rung.n:,}",
            "running": str(at.count(fidelity)),
            "best": "" if rung.best is None else number_text(rung.best.perf or 0.0),
            "trial": "" if rung.best is None else str(rung.best.number),
        }
        for fidelity, rung in sorted(rungs.items(), key=lambda item: -item[0])
    ]
    shown = [row for row in rows if len(rows) <= 10 or row["running"] != "0"][:10] or rows[:10]
    title = "rungs" + f" (of {len(rows)} fidelities)" * (len(shown) < len(rows))
    return _table_lines(shown, title, width, spared=("running", "with a result"))


def _running(watch: Watch, state: RunState, width: int, now: float) -> list[RenderableType]:
    rows = []
    has_fidelity = bool(watch.seen.rungs)
    for number, started in watch.running():
        one = state.running[number]
        last = one.reports[-1] if one.reports else None
        reported = "" if last is None else f"{', '.join(number_text(v) for v in perfs_of(last[1]))} at {last[0]:g}"
        row = {"trial": str(number), "for": "" if started is None else duration(now - started)}
        if has_fidelity:
            row["fidelity"] = fidelity_text(one.fidelity)
        rows.append(row | {"last report": reported, "configuration": hp_text(one.hp)})
    if rows and not any(row["last report"] for row in rows):
        rows = [{name: text for name, text in row.items() if name != "last report"} for row in rows]
    return _table_lines(rows, "running", width, "configuration", spared=("for", "fidelity"))


def _ended(watch: Watch, width: int) -> list[RenderableType]:
    rows = []
    has_fidelity = bool(watch.seen.rungs)
    for trial in list(watch.seen.last)[:10]:
        perf = ", ".join(number_text(value) for value in trial.perfs) or error_line(trial.error, 40)
        row = {"trial": str(trial.number), "state": trial.state.value, "result": perf}
        if has_fidelity:
            row["fidelity"] = "" if math.isinf(trial.reached) else f"{trial.reached:g}"
        row["took"] = "" if trial.seconds is None else duration(trial.seconds)
        rows.append(row | {"configuration": hp_text(trial.hp)})
    return _table_lines(rows, "ended last", width, "configuration", spared=("took", "fidelity"))


def _failures(watch: Watch) -> list[RenderableType]:
    if not watch.seen.failures:
        return []
    parts = ", ".join(f"{n:,} {state}" for state, n in watch.seen.failures.most_common())
    last = next((trial for trial in watch.seen.last if trial.perf is None and trial.error), None)
    text = _line("without a result: ", "dim")
    text.append(parts, style="red not dim")
    if last is not None:
        text.append(f"; trial {last.number}: {error_line(last.error)}", style="not dim")
    return [text]


def as_facts(watch: Watch) -> dict[str, Any]:
    """Return what there is to see of a run, for programs."""
    state, seen = watch.state, watch.seen
    found: dict[str, Any] = {
        "store": str(watch.path),
        "status": watch.status,
        "name": watch.header.get("name", ""),
        "algorithm": watch.header.get("algorithm", ""),
        "budget": dict(watch.budget),
        "driver": None if watch.holder is None else {k: v for k, v in watch.holder._asdict().items() if k != "id"},
    }
    if state is None:
        return found
    best = state.best
    return found | {
        "n_suggested": state.n_asked,
        "n_ended": seen.n_ended,
        "n_with_result": state.n_done + state.n_known,
        "failures": dict(seen.failures),
        "begun": seen.first,
        "last_event": seen.latest,
        "best": None if best is None else {"number": best.number, "perf": best.perf, "hp": dict(best.hp)},
        "running": [
            {"number": number, "started": started, "fidelity": state.running[number].fidelity}
            | {"reports": state.running[number].reports[-1:], "hp": dict(state.running[number].hp)}
            for number, started in watch.running()
        ],
        "rungs": [
            {"fidelity": f, "n": rung.n, "best": rung.best and rung.best.perf} for f, rung in sorted(seen.rungs.items())
        ],
    }
