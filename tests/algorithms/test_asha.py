"""ASHA as an algorithm: real trainings by promotion and by stopping; its rule is tested with the scheduler."""

from __future__ import annotations

import re
import time

import pytest

from autohpo import OptionError, RangeHP, TrialState, build_hpo_from_name
from autohpo.algorithms.asha import ASHA

SPACE = [RangeHP("x", 0.0, 1.0)]
RUNGS = (1.0, 3.0, 9.0)
OPTIONS = {"max_fidelity": 9.0, "seed": 0, "max_evals": 60}
trained = []


def train(hps):
    """Better with each epoch, and the more the larger x is."""
    for epoch in range(1, 10):
        trained.append(epoch)
        yield hps["x"] * epoch


@pytest.mark.parametrize("num_workers", [1, 3])
def test_promoted_trials_go_on_where_they_were_paused(num_workers, tmp_path):
    """Every trial trains just what it was given beyond the one that it continues; the best are trained in full."""
    log = tmp_path / "epochs"

    def logged(hps):
        for epoch, value in enumerate(train(hps), 1):
            with log.open("a") as file:
                file.write(f"{epoch}\n")
            yield value

    hpo = build_hpo_from_name("asha", SPACE, logged, **OPTIONS)
    hpo.optimize(num_workers=num_workers, progress=False)
    trials = list(hpo.result)
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trial.fidelity for trial in trials} == set(RUNGS)
    had = {trial.number: trial.fidelity for trial in trials}
    epochs = sum(trial.fidelity - had.get(trial.resume, 0) for trial in trials)
    assert len(log.read_text().split()) == epochs
    counts = [sum(trial.fidelity == rung for trial in trials) for rung in RUNGS]
    assert counts[0] > 2 * counts[1] > 2 * 2 * counts[2] > 0  # who is promoted early may fall behind later


@pytest.mark.parametrize("num_workers", [1, 3])
def test_stopped_trials_have_the_result_of_their_rung_and_say_why(num_workers):
    """Nothing is resumed; what is stopped was not among the best third of its rung when it came.

    A worker hears of it at its next report.
    """

    def slowly(hps):
        for value in train(hps):
            time.sleep(0.02 if num_workers > 1 else 0)
            yield value

    hpo = build_hpo_from_name("asha", SPACE, slowly, type="stopping", **OPTIONS)
    hpo.optimize(num_workers=num_workers, progress=False)
    trials = list(hpo.result)
    assert all((trial.fidelity, trial.resume) == (9.0, None) for trial in trials)
    stopped = [trial for trial in trials if trial.state is TrialState.STOPPED]
    assert {trial.reached for trial in stopped} >= ({1.0, 3.0} if num_workers == 1 else {2.0})
    assert all(trial.perf == trial.hp["x"] * trial.reached for trial in stopped)
    texts = [hpo.result.why(trial.number) for trial in stopped]
    assert all(re.fullmatch(r"stopped at [13]: rank \d+ of \d+, the best \d+ go on", text) for text in texts)
    full = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert 2 <= len(full) <= 20
    assert hpo.result.why(hpo.result.best.number).startswith("rank 1 of ")


def test_why_reads_as_a_sentence():
    """Of the first three the best is promoted; the others wait, and are told so in the end."""

    def four(hps, trial):
        if trial.number == 4:
            raise KeyboardInterrupt
        yield from train(hps)

    hpo = build_hpo_from_name("asha", SPACE, four, max_fidelity=9.0, seed=0)
    with pytest.raises(KeyboardInterrupt):
        hpo.optimize(progress=False)
    trials = list(hpo.result)
    best = max(trials[:3], key=lambda trial: trial.perf).number
    assert hpo.result.why(best) == "rank 1 of 3 at fidelity 1: promoted to 3; went on as trial 3"
    rest = sorted((trial for trial in trials[:3] if trial.number != best), key=lambda trial: -trial.perf)
    assert [hpo.result.why(trial.number) for trial in rest] == [
        f"rank {rank} of 3 at fidelity 1: it was not promoted" for rank in (2, 3)
    ]
    assert hpo.result.why(3) == "rank 1 of 1 at fidelity 3: it had everything"  # so far nobody had more


def test_brackets_start_at_higher_rungs():
    """With three brackets some start at each of the rungs, most at the lowest."""
    hpo = ASHA(SPACE, max_fidelity=9.0, brackets=3, seed=0)
    started = []
    for _ in range(200):
        suggestion = hpo.ask()
        if suggestion.resume is None:
            started.append(suggestion.fidelity)
        hpo.tell(suggestion, suggestion["x"])
    counts = [started.count(rung) for rung in RUNGS]
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_rungs_can_be_read_and_other_names_are_known():
    """Ray's and Syne Tune's, and HpBandSter's."""
    hpo = build_hpo_from_name("asha", SPACE, grace_period=2, max_t=32, reduction_factor=4)
    assert hpo.fidelity_schedule() == (2.0, 8.0, 32.0)
    assert build_hpo_from_name("asha", SPACE, min_budget=3, max_budget=27).fidelity_schedule() == (3.0, 9.0, 27.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "halving"}, "type: must be 'promotion' or 'stopping', got 'halving'"),
        ({"brackets": 6}, "brackets: must be from 1 to 5, the number of rungs, got 6"),
        ({"brackets": 0}, "brackets: must be from 1 to 5, the number of rungs, got 0"),
        ({"eta": 1}, "eta: must be at least 2, got 1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        ASHA(SPACE, **options)
    assert str(caught.value) == message
