"""The table of decisions: why each training of a multi-fidelity search went on, paused or stopped."""

from __future__ import annotations

import math

from autohpo.report.markup import Markup, tag
from autohpo.result import Result
from autohpo.trial import Trial

MAX_ROWS = 60


def decisions(result: Result) -> Markup:
    """Return the table, folded away; empty where no trial has a fidelity or nothing is known of why.

    Each row is a training: a trial and those that continued it, those with the most training first.

    Args:
        result: The trials of one objective.
    """
    if all(trial.fidelity is None for trial in result):
        return Markup()
    chains = [(chain, _why(result, chain)) for chain in _chains(result)]
    known = [(chain, why) for chain, why in chains if why]
    if not known:
        return Markup()
    known.sort(key=lambda item: _order(item[0]))
    rows = [_row(chain, why) for chain, why in known[:MAX_ROWS]]
    more = f"; {len(known) - MAX_ROWS} others are not shown" if len(known) > MAX_ROWS else ""
    heads = ["trials", "fidelity", "perf", "what was decided"]
    columns = [tag("th", head, scope="col", class_="n" if head in ("fidelity", "perf") else "") for head in heads]
    caption = f"Why each training went on, paused or stopped, those with the most training first{more}"
    table = tag("table", tag("caption", caption), tag("thead", tag("tr", *columns)), tag("tbody", *rows))
    summary = tag("summary", f"Decisions on {len(known)} trainings")
    return tag("div", tag("details", summary, table), class_="card")


def _order(chain: list[Trial]) -> tuple[float, float, int]:
    """The most training first, then the best score; failed ones last."""
    last = chain[-1]
    return -last.reached, math.inf if last.score is None else -last.score, last.number


def _chains(result: Result) -> list[list[Trial]]:
    """The trials of each chain, in their order."""
    chains: dict[int, list[Trial]] = {}
    roots: dict[int, int] = {}
    for trial in result:
        root = trial.number if trial.resume is None else roots[trial.resume]
        roots[trial.number] = root
        chains.setdefault(root, []).append(trial)
    return list(chains.values())


def _why(result: Result, chain: list[Trial]) -> list[str]:
    """A line for each step of a chain of which something is known."""
    found = [result.why(trial.number) for trial in chain]
    first = chain[0]
    if first.fork is not None:
        found.insert(0, f"began as a copy of trial {first.fork}: {first.info.get('why', 'the algorithm chose it')}")
    return [why for why in found if why]


def _row(chain: list[Trial], why: list[str]) -> Markup:
    last = chain[-1]
    numbers = " \N{RIGHTWARDS ARROW} ".join(str(trial.number) for trial in chain)
    reached = f"{last.reached:g}" if math.isfinite(last.reached) else "full"
    perf = "" if last.perf is None else f"{last.perf:.6g}"
    lines = [tag("div", line) for line in why]
    cells = [tag("th", numbers, scope="row"), tag("td", reached, class_="n"), tag("td", perf, class_="n")]
    return tag("tr", *cells, tag("td", *lines))
