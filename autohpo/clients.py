"""Clients: programs that ask and tell from processes of their own, and may have to say the same thing twice.

A client that asked or told, and died or lost the answer, says it again. Its name in the log tells a repetition from a
mistake: the same trial is handed out again, and a result that was taken already is taken as said.
"""

from __future__ import annotations

from autohpo.errors import EvaluationsError, OptionError, shown
from autohpo.outcome import Outcome, TrialState
from autohpo.store.checked import MAX_CLIENT
from autohpo.store.run_state import RunState
from autohpo.trial import Perf, Trial


def checked_client(client_id: object) -> str:
    """Return the name of a client; the empty string for None.

    Raises:
        OptionError: It is no string of a usual length that can be printed.
    """
    if client_id is None:
        return ""
    if not isinstance(client_id, str) or not 0 < len(client_id) <= MAX_CLIENT or not client_id.isprintable():
        rule = f"must be a string of 1 to {MAX_CLIENT} characters that can be printed"
        raise OptionError(f"client_id: {rule}, got {shown(client_id)}")
    return str(client_id)


def check_owner(state: RunState, number: int, client: str) -> None:
    """Check that a trial is one that a client asked for; whoever gives no name may end any trial.

    Raises:
        EvaluationsError: Another client, or none, asked for it.
    """
    owner = state.clients.get(number, "")
    if not client or owner == client or not 0 <= number < state.n_asked:
        return
    who = f"client {owner!r} asked for it" if owner else "it was asked for without a client_id"
    raise EvaluationsError([(number, f"{who}, so client {client!r} cannot end it; leave client_id out to do so")])


def told_before(state: RunState, number: int, outcome: Outcome) -> Trial:
    """Return a trial that has ended, if it ended just so.

    Args:
        state: What the log says.
        number: The number of the trial.
        outcome: What its client says once more.

    Raises:
        EvaluationsError: It ended in another way.
    """
    trial = state[number]
    if _kept(trial.outcome) == _kept(outcome):
        return trial
    text = f"it has another result already: {_said(trial.outcome)}, and now {_said(outcome)} was told"
    raise EvaluationsError([(number, text)])


def reported_before(state: RunState, number: int, fidelity: float, perf: Perf) -> bool:
    """Return whether a report is just the last one of a running trial.

    Raises:
        EvaluationsError: The trial has reported another value at this fidelity, or has gone further.
    """
    reports = state.running[number].reports
    if not reports or reports[-1][0] < fidelity:
        return False
    if reports[-1] == (fidelity, perf):
        return True
    text = f"it has reported {reports[-1][1]} at fidelity {reports[-1][0]} already, and now {perf} at {fidelity}"
    raise EvaluationsError([(number, text)])


def _kept(outcome: Outcome) -> tuple[object, ...]:
    """What a log keeps of an outcome."""
    named = (dict(outcome.constraints), dict(outcome.metrics))
    return (outcome.state, outcome.perfs, *named, outcome.cost, outcome.reached, outcome.error)


def _said(outcome: Outcome) -> str:
    """An outcome in a few words."""
    if outcome.state.has_perf:
        perfs = outcome.perfs[0] if len(outcome.perfs) == 1 else list(outcome.perfs)
        more = {"constraints": outcome.constraints, "metrics": outcome.metrics, "cost": outcome.cost}
        rest = ", ".join(f"{name} {shown(value)}" for name, value in more.items() if value)
        state = "" if outcome.state is TrialState.COMPLETE else f"{outcome.state} "
        return f"{state}{perfs}" + (f" ({rest})" if rest else "")
    return f"{outcome.state} ({shown(outcome.error)})"
