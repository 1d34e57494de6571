"""Checks of algorithms that are declared to be multi-fidelity."""

from __future__ import annotations

import math
import warnings

import numpy as np

from autohpo.testing.cases import Case, Session, every_third_fails
from autohpo.testing.checks import expect
from autohpo.testing.examples import mixed_space

N_ASKS = 80
"""Enough to fill the lowest rung of one bracket with eta 3 and five rungs, and to promote some."""


def stays_within_its_fidelities(case: Case) -> None:
    """Every fidelity lies within `min_fidelity` and `max_fidelity`, and the highest is given to some trial.

    The latter not where `reaches_full` is False.
    """
    hpo = case.build()
    low, high = (getattr(hpo, name, math.nan) for name in ("min_fidelity", "max_fidelity"))
    expect(
        0 < low <= high, "attributes min_fidelity and max_fidelity, the one positive, the other no lower", (low, high)
    )
    session = Session(hpo, n_workers=2)
    while len(session.asked) < 500 and not session.is_complete:
        session.run(N_ASKS)
        if any(suggestion.fidelity == high for suggestion in session.asked):
            break
    fidelities = [suggestion.fidelity for suggestion in session.asked]
    for fidelity in fidelities:
        expect(fidelity is not None and low <= fidelity <= high, f"a fidelity from {low} to {high}", fidelity)
        is_int = not isinstance(fidelity, float) or not fidelity.is_integer()
        expect(is_int, "whole fidelities to be integers, as range(fidelity) wants them", fidelity)
    is_reached = high in fidelities or not case.cls.reaches_full
    expect(is_reached, f"a trial at fidelity {high} within 500 suggestions", sorted(set(fidelities), key=str))


def compares_known_results_with_full_ones(case: Case) -> None:
    """A known result counts as one of a full evaluation, and as no more: a better one of the search is the best."""
    space = mixed_space()
    hp = space.decode(np.full((1, space.n_columns), 0.5))[0]
    bad = -1e3 if case.build(space).mode == "max" else 1e3
    hpo = case.build(space, points=[(hp, bad)])
    session = Session(hpo, n_workers=2)
    full = getattr(hpo, "max_fidelity", None)
    full = math.inf if full is None else full
    while not any(trial.reached >= full and "known" not in trial.info for trial in hpo.trials):
        expect(len(session.asked) < 500 and not session.is_complete, "a full evaluation within 500", len(session.asked))
        session.run(10).finish_all()
    best = hpo.best_trial()
    expect(best is not None and best.number != 0, "a result of the search to beat a bad one that was known", best)


def resumes_rightly(case: Case) -> None:
    """Trials are resumed and forked only while `resumable` names them, and one that has left it never comes back.

    Whoever runs the trials keeps the state of those that `resumable` names, and may let go of all others. All else is
    demanded by `ask` itself: a trial is resumed at most once, with its own configuration and more fidelity.
    """
    hpo = case.build()
    session = Session(hpo, n_workers=3, order="mixed", ending=every_third_fails)
    known, gone = frozenset[int](), set[int]()
    for _ in range(N_ASKS):
        while len(session.running) < 3:
            now = hpo.resumable
            gone |= known - now
            expect(not gone & now, "trials that have left `resumable` to stay away", sorted(gone & now))
            known = now
            if not session.ask():
                break
            asked = session.asked[-1]
            for what, number in (("resumed", asked.resume), ("forked", asked.fork)):
                wanted = f"trial {number}, to be {what}, to be in `resumable`"
                expect(number is None or number in now, wanted, sorted(now))
        session.finish()


def forks_as_declared(case: Case) -> None:
    """Trials are forked only where `needs_checkpoints` says so, and then to a higher fidelity than they had.

    An objective must save its state to be forked, and whoever starts the search asks it to by that declaration.
    """
    session = Session(case.build(), n_workers=2, order="mixed", ending=every_third_fails).run(N_ASKS)
    forks = [suggestion for suggestion in session.asked if suggestion.fork is not None]
    if not case.cls.needs_checkpoints:
        expect(not forks, "no fork, as needs_checkpoints is False", forks[:1])
        return
    expect(bool(forks), f"a fork within {N_ASKS} suggestions, as needs_checkpoints is True", "none")
    for suggestion in forks:
        low, high = (one.fidelity for one in (session.asked[suggestion.fork or 0], suggestion))
        is_higher = low is not None and (high is None or high > low)
        expect(is_higher, f"more fidelity than trial {suggestion.fork}, which is copied, had, {low}", high)


def works_without_fidelity(case: Case) -> None:
    """Where the objective takes no fidelity, every trial is run in full and from scratch, and one warning says so."""
    hpo = case.build()
    hpo.has_fidelity = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = Session(hpo, n_workers=2).run()
    for suggestion in session.asked:
        got = suggestion.fidelity, suggestion.resume, suggestion.fork
        expect(got == (None,) * 3, "no fidelity, no resume and no fork, as has_fidelity is False", got)
    texts = [str(warning.message) for warning in caught]
    about = [text for text in texts if "fidelity" in text]
    expect(len(about) == 1, "one warning that speaks of fidelity", texts)


def survives_lost_survivors(case: Case) -> None:
    """Fills up or closes a rung whose trials have failed: missing survivors must not stop the search."""
    session = Session(case.build(), n_workers=4, ending=every_third_fails).run(N_ASKS)
    n = len(session.asked)
    expect(n == N_ASKS or session.is_complete, f"{N_ASKS} suggestions, or an end", n)
