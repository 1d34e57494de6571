"""A result at a prompt: one line of text, and a short table for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from autohpo.errors import text_of

if TYPE_CHECKING:
    from autohpo.result import Result

N_ROWS = 5
"""Rows of the table."""


def line(result: Result) -> str:
    """Return a result in one line: algorithm, trials, states, the best."""
    counts = ", ".join(f"{n} {state}" for state, n in result.counts().items())
    name = f"Result {result.name!r}" if result.name else "Result"
    head = f"{name} of {result.algorithm}" if result.algorithm else name
    n = len(result)
    return f"<{head}: {n} trial{'s' * (n != 1)}{f' ({counts})' * bool(counts)}, {_best(result)}>"


def _best(result: Result) -> str:
    winner = result.winner
    if winner is not None and winner.mean is not None:
        return f"confirmed {winner.mean:.6g} in trial {winner.trial.number}"
    if not any(trial.perfs for trial in result.trials):
        return "no result yet"
    if result.objectives.n > 1:
        return f"{len(result.pareto)} on the front"
    return f"best {result.best.perf:.6g} in trial {result.best.number}"


def table(result: Result) -> str:
    """Return the line above an HTML table of the best trials, or of the confirmed configurations."""
    rows: list[tuple[dict[str, Any], Mapping[str, Any]]]  # the trial's own columns, and its configuration
    if result.confirmed:
        rows = [
            (
                {
                    "trial": c.trial.number,
                    "mean": c.mean,
                    "interval": "" if c.interval is None else "{:.4g} to {:.4g}".format(*c.interval),
                    "default": "yes" if c.is_default else "",
                },
                c.trial.hp,
            )
            for c in result.confirmed[:N_ROWS]
        ]
    else:
        n = result.objectives.n
        names = [name or ("perf" if n == 1 else f"perf.{i}") for i, name in enumerate(result.objectives.names)]
        shown = result.pareto[:N_ROWS] if result.objectives.n > 1 else result.top(N_ROWS)
        rows = [({"trial": t.number} | dict(zip(names, t.perfs, strict=False)), t.hp) for t in shown]
    columns = [list(dict.fromkeys(name for row in rows for name in row[part])) for part in (0, 1)]
    head = "".join(f"<th>{escape(str(name))}</th>" for part in columns for name in part)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(_cell(part.get(name, '')))}</td>"
            for part, names in zip(row, columns, strict=True)
            for name in names
        )
        + "</tr>"
        for row in rows
    )
    return f"<p>{escape(line(result))}</p>" + f"<table><tr>{head}</tr>{body}</table>" * bool(rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else text_of(value)
    return text if len(text) <= 60 else text[:57] + "..."
