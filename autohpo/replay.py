"""Replay: how an optimizer follows the log of earlier processes, and what a user is told about that."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError, StoreCorruptError, StoreWarning
from autohpo.made_with import changes
from autohpo.run_header import is_ordered
from autohpo.store import RunState, Store
from autohpo.store.base import LogEvent
from autohpo.store.collecting import collector_paused
from autohpo.store.run_state import report_from
from autohpo.trial import Trial


def replay(
    store: Store, state: RunState, hpo: BaseHPOptimizer, hear: Callable[[LogEvent, Trial | None], None] | None
) -> None:
    """Fold what the log has more than before, and let the optimizer follow, unless it was there then.

    Args:
        store: The log.
        state: What was folded before.
        hpo: The optimizer.
        hear: Hears of every event, and of the trial that it ended.

    Raises:
        StoreCorruptError: An event is none that autohpo writes, contradicts others, or is none of this algorithm.
        OptionError: The optimizer has another history.
    """
    session = session_of(hpo)
    is_known = bool(hpo.n_asked) and not state.seq
    is_in_order = is_ordered(store.header)
    is_loud = is_heard(hpo)
    hears_reports = is_loud and not is_in_order
    is_quiet = not (is_known or is_loud or hear is not None or session.history.running)
    with collector_paused():
        events = state.checked(store.events(state.seq))
        if is_quiet:
            _follow(store, state, hpo, events)
        else:
            _tell(store, state, hpo, events, hear, is_known=is_known, hears_reports=hears_reports)
    if not (is_known or hears_reports or is_in_order):
        for number, running in state.running.items():
            if number >= 0:
                session.history.find(number).reports[:] = running.reports
    n_ended = state.n_done + state.n_failed + state.n_known
    if (state.n_asked, n_ended) != (hpo.n_asked, hpo.n_told):
        raise OptionError("store: it and this optimizer have different histories; build a new optimizer")


def _follow(store: Store, state: RunState, hpo: BaseHPOptimizer, events: Iterable[LogEvent]) -> None:
    """Fold events of which nobody hears: the history takes trials when they have ended, and the others afterwards."""
    session, apply, running = session_of(hpo), state.apply, state.running
    follow, followed = session.follow, session.followed
    for event in events:
        trial = apply(event)
        if event[1] < 0:  # a confirming trial: nobody but the state learns of it
            continue
        try:
            if trial is not None:
                followed(trial)
            elif event[0] == "ask":
                follow(running[event[1]].suggestion)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise _cannot_replay(store, hpo, event, error) from error
    session.history.go_on(one.suggestion for number, one in running.items() if number >= 0)


def _tell(
    store: Store,
    state: RunState,
    hpo: BaseHPOptimizer,
    events: Iterable[LogEvent],
    hear: Callable[[LogEvent, Trial | None], None] | None,
    *,
    is_known: bool,
    hears_reports: bool,
) -> None:
    """Fold events one by one, and tell each to whom it is for."""
    session = session_of(hpo)
    for event in events:
        trial = state.apply(event)
        if event.trial < 0:  # a confirming trial: nobody but the state learns of it
            continue
        if hear is not None:
            hear(event, trial)
        if is_known:
            continue
        try:
            if event.kind == "ask":
                session.adopt(state.running[event.trial].suggestion)
            elif trial is not None:
                session.close(trial)
            elif not hears_reports:
                pass  # they are handed over at the end, of trials that still run
            elif event.kind == "start" and event.attempt > 1:
                session.restart(event.trial)
            elif event.kind == "report" and event.attempt == state.attempts[event.trial].n:
                session.reported(event.trial, *report_from(event.data))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise _cannot_replay(store, hpo, event, error) from error


def is_heard(hpo: BaseHPOptimizer) -> bool:
    """Return whether somebody hears of results or reports: a hook, or the rule that ends hopeless trials."""
    hooks = (hpo._on_report, BaseHPOptimizer._on_report), (hpo._update_trials, BaseHPOptimizer._update_trials)
    is_own = any(getattr(own, "__func__", None) is not base for own, base in hooks)
    return is_own or session_of(hpo).hopeless is not None


def _cannot_replay(store: Store, hpo: BaseHPOptimizer, event: LogEvent, error: Exception) -> StoreCorruptError:
    """Return the error for an event that the algorithm could not take in."""
    path = getattr(store, "path", "the log")
    return StoreCorruptError(
        f"store: event {event.seq} of {path} ({event.kind} of trial {event.trial}) cannot be taken in by "
        f"{type(hpo).__name__} ({type(error).__name__}: {error}): it is not what that has written, or it works "
        "otherwise by now"
    )


def warn_of_changes(kept: Mapping[str, Any], given: Mapping[str, Any], where: str, n_trials: int) -> None:
    """Warn where a run is not what it was when it was begun: old and new results may not belong together.

    Args:
        kept: The header of the store.
        given: What this process would write there.
        where: Where the run is kept.
        n_trials: How many of its trials have ended.
    """
    found = changes(kept.get("made_with", {}), given.get("made_with", {})) if n_trials else ()
    if found:
        warnings.warn(
            f"store: {where or 'this run'} was begun with something else: {'; '.join(found)}; the results of "
            f"its {n_trials} trials are taken over as they are, so use another store for a new search",
            StoreWarning,
            stacklevel=4,
        )
