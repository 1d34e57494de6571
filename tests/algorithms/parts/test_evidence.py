"""The values that a history has at all fidelities, and what it waits for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import HistoryEvidence
from autohpo.trial import Outcome, Suggestion, TrialState

LEVELS = [1.0, 3.0, 9.0]


def search(mode="max"):
    """An optimizer, whose history is filled by hand."""
    return build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0, mode=mode)


def start(hpo, x, fidelity, resume=None):
    """The next suggestion, as if it had been asked for."""
    made = Suggestion({"x": x}, fidelity=fidelity, resume=resume, number=hpo.n_asked)
    hpo.adopt(made)
    return made


def rows_of(hpo, data, levels=LEVELS):
    """Configuration, fidelity and score of all values, those that are waited for, and how many are settled."""
    evidence = HistoryEvidence(hpo.history, Encoder(hpo.space), 9.0, levels, data).evidence()
    found = [
        [(float(x), float(r), float(y)) for x, r, y in zip(part.points[:, 0], part.fidelity, part.score, strict=True)]
        for part in (evidence.rows, evidence.pending)
    ]
    return found[0], [(x, r) for x, r, y in found[1] if math.isnan(y)], evidence.n_settled


def test_a_promoted_trial_is_one_configuration_with_two_values():
    """Both have the number of the first trial of the chain."""
    hpo = search()
    first = start(hpo, 0.25, 1)
    hpo.tell(first, 0.5)
    second = start(hpo, 0.25, 3, resume=0)
    hpo.tell(second, 0.75)
    evidence = HistoryEvidence(hpo.history, Encoder(hpo.space), 9.0, LEVELS, "rungs").evidence()
    assert evidence.rows.number.tolist() == [0, 0]
    assert evidence.rows.fidelity.tolist() == [1.0, 3.0]
    assert evidence.rows.score.tolist() == [0.5, 0.75]
    assert (evidence.n_ended, evidence.n_started) == (1, 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("rungs", [(0.5, 1.0, 1.0), (0.5, 3.0, 3.0)]),
        ("all", [(0.5, float(r), float(r)) for r in range(1, 5)]),
        ("rungs_and_last", [(0.5, 1.0, 1.0), (0.5, 3.0, 3.0), (0.5, 4.0, 4.0)]),
    ],
)
def test_reports_of_a_running_trial_count_as_the_option_says(data, expected):
    """After epoch 4 it heads for the next rung, 9."""
    hpo = search()
    running = start(hpo, 0.5, 9)
    for epoch in range(1, 5):
        hpo.report(running, epoch, float(epoch))
    assert rows_of(hpo, data) == (expected, [(0.5, 9.0)], 0)


def test_a_stopped_trial_counts_where_it_was_stopped():
    """With what it reported at the rungs before."""
    hpo = search(mode="min")
    running = start(hpo, 0.5, 9)
    for epoch in range(1, 4):
        hpo.report(running, epoch, float(epoch))
    hpo.tell(running, 3.0, is_stopped=True)
    assert rows_of(hpo, "rungs") == ([(0.5, 1.0, -1.0), (0.5, 3.0, -3.0)], [], 2)


def test_reports_up_to_where_a_trial_went_on_are_ignored():
    """Some objectives train anew what was trained before."""
    hpo = search()
    hpo.tell(start(hpo, 0.5, 3), 3.0)
    again = start(hpo, 0.5, 9, resume=0)
    for epoch in (1, 3, 5):
        hpo.report(again, epoch, 10.0 + epoch)
    assert rows_of(hpo, "all") == ([(0.5, 3.0, 3.0), (0.5, 5.0, 15.0)], [(0.5, 9.0)], 1)


def test_a_failed_trial_is_no_value_and_has_ended():
    """What it reported before counts, and so does its end."""
    hpo = search()
    running = start(hpo, 0.5, 9)
    hpo.report(running, 1, 0.25)
    hpo.fail(running, Outcome(TrialState.FAILED))
    evidence = HistoryEvidence(hpo.history, Encoder(hpo.space), 9.0, LEVELS, "rungs").evidence()
    assert evidence.rows.score.tolist() == [0.25]
    assert len(evidence.pending) == 0
    assert evidence.failed.tolist() == [[0.5]]
    assert evidence.n_ended == 1


def test_evidence_that_is_kept_up_to_date_is_that_of_a_fresh_look():
    """After each of many calls, in a search with promotions and trials that run."""
    hpo = build_hpo_from_name("asha", [RangeHP("x", 0.0, 1.0)], max_fidelity=9, seed=0)
    kept = HistoryEvidence(hpo.history, Encoder(hpo.space), 9.0, LEVELS, "rungs")
    running = []
    for i in range(60):
        running.append(hpo.ask())
        if i % 3:
            done = running.pop(i % len(running))
            hpo.tell(done, -abs(done["x"] - 0.3) - 1 / done.fidelity)
        seen, fresh = kept.evidence(), HistoryEvidence(hpo.history, Encoder(hpo.space), 9.0, LEVELS, "rungs").evidence()
        for part in ("rows", "pending"):
            for name, values in vars(getattr(fresh, part)).items():
                assert np.array_equal(getattr(getattr(seen, part), name), values, equal_nan=values.dtype == float)
        assert seen.n_settled == fresh.n_settled == len(hpo.trials)
