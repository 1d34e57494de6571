"""The configurations of a search as rows, with their values at the levels of fidelity."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.chain_values import MOST_LEVELS, ChainValues
from autohpo.algorithms.parts.encoding import Encoder

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("opti", ["adam", "sgd"], [[], [RangeHP("momentum", 0.0, 1.0)]])]


def searched(n: int, workers: int = 3, seed: int = 0, name: str = "asha", **options):
    """An optimizer in the middle of a search, with trials that run and some that failed."""
    hpo = build_hpo_from_name(name, SPACE, seed=seed, max_fidelity=9, **options)
    rng, running = np.random.default_rng(seed), []
    for _ in range(n):
        while len(running) < workers:
            running.append(hpo.ask())
        done = running.pop(int(rng.integers(len(running))))
        if rng.random() < 0.1:
            hpo.fail(done, "diverged")
        else:
            hpo.tell(done, done["x"] + rng.normal())
    return hpo


def test_rows_equal_a_plain_reading_of_the_history() -> None:
    """Values and running trainings are those that a loop over the trials finds."""
    hpo = searched(60)
    chains = ChainValues(hpo.history, Encoder(hpo.space), 9.0, [1.0, 3.0, 9.0])
    chains.update()
    roots = sorted({hpo.history.root(t.number) for t in [*hpo.history.trials, *hpo.history.running]})
    assert chains.numbers == roots
    expected = np.full((len(roots), 3), np.nan)
    heading = np.full(len(roots), np.nan)
    for trial in hpo.history.trials:
        row = roots.index(hpo.history.root(trial.number))
        if trial.score is not None:
            expected[row, [1, 3, 9].index(trial.fidelity)] = trial.score
    for running in hpo.history.running:
        heading[roots.index(hpo.history.root(running.number))] = running.fidelity
    np.testing.assert_array_equal(chains.values, expected)
    np.testing.assert_array_equal(chains.heading, heading)
    hps = [(hpo.history.get(n) or hpo.history.find(n)).hp for n in roots]
    np.testing.assert_array_equal(chains.points, hpo.space.encode(hps))


def test_rows_grow_with_the_history() -> None:
    """What is read bit by bit equals what is read at once, and so do the first values."""
    hpo = build_hpo_from_name("asha", SPACE, seed=1, max_fidelity=9)
    growing = ChainValues(hpo.history, Encoder(hpo.space), 9.0, [1.0, 3.0, 9.0])
    before = []
    for _ in range(30):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion["x"])
        growing.update()
        before.append(growing.values.copy())
    anew = ChainValues(hpo.history, Encoder(hpo.space), 9.0, [1.0, 3.0, 9.0])
    anew.update()
    np.testing.assert_array_equal(growing.values, anew.values)
    assert growing.numbers == anew.numbers
    for n in (1, 7, 20):
        known = before[n - 1]
        np.testing.assert_array_equal(anew.first_values(n)[: len(known)], known)
        assert np.isnan(anew.first_values(n)[len(known) :]).all()


def test_reports_of_running_trials_count_at_their_rungs() -> None:
    """A trial that reports has its values before it ends."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, max_fidelity=9, type="stopping")
    suggestion = hpo.ask()
    for epoch, perf in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)):
        assert hpo.report(suggestion, epoch, perf)
    chains = ChainValues(hpo.history, Encoder(hpo.space), 9.0, [1.0, 3.0, 9.0])
    chains.update()
    np.testing.assert_array_equal(chains.values, [[0.1, 0.3, np.nan]])
    assert chains.is_running.tolist() == [True]
    assert len(chains.scores) == 0


def test_very_many_fidelities_are_put_together() -> None:
    """Where trials end anywhere, levels are a third of each other."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, max_fidelity=81, rung_increment=1.0, min_fidelity=1.0)
    rng = np.random.default_rng(0)
    for _ in range(400):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion["x"] + 0.01 * rng.normal())
    chains = ChainValues(hpo.history, Encoder(hpo.space), 81.0, None)
    chains.update()
    assert len({trial.fidelity for trial in hpo.history.trials}) > MOST_LEVELS
    assert chains.levels == (1.0, 3.0, 9.0, 27.0, 81.0)
    assert np.isfinite(chains.values).any(axis=1).sum() == len(
        {hpo.history.root(trial.number) for trial in hpo.history.trials}
    )


def test_distances_count_levels_below_the_full_one() -> None:
    """The full fidelity is at 0, a third of it at 1, whatever the unit."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    chains = ChainValues(hpo.history, Encoder(hpo.space), 81.0, None)
    found = chains.distances(np.array([81.0, 27.0, 9.0, 3.0, 1.0, 50.0, 100.0]))
    assert found.tolist() == [0, 1, 2, 3, 4, 1, 0]
    assert math.isclose(float(chains.distances(np.array([81.0]))[0]), 0.0)


@pytest.mark.parametrize("levels", [[1.0, 3.0, 9.0], None])
def test_results_that_break_constraints_lie_below_the_others_of_their_time(levels) -> None:
    """The first values are those of a history that ends there, whatever comes after: a fit to them stays what it is."""
    hpo = build_hpo_from_name("asha", SPACE, seed=2, max_fidelity=9)
    growing = ChainValues(hpo.history, Encoder(hpo.space), 9.0, levels)
    before = []
    for k in range(40):
        suggestion = hpo.ask()
        constraint = {"size": 1.0 if k % 3 == 1 else -1.0}
        hpo.tell(suggestion, suggestion["x"] - k / 10, constraints=constraint)  # what keeps them gets worse and worse
        growing.update()
        before.append(growing.values)
        keep = [trial.score for trial in hpo.history.trials if not trial.violation]
        low = {trial.number for trial in hpo.history.trials if trial.violation}
        for trial in hpo.history.trials:
            row = growing.numbers.index(hpo.history.root(trial.number))
            there = growing.values[row, [*growing.levels].index(trial.fidelity)]
            assert there < min(keep) if trial.number in low else there == trial.score
    for n in range(30, 40):  # all levels are known by then
        first = before[n]
        np.testing.assert_array_equal(growing.first_values(n + 1)[: len(first)], first)


@pytest.mark.parametrize("unit", [1.0, 1e307, -1e308, 1e-320])
def test_constraints_and_values_at_the_ends_of_the_floats(unit) -> None:
    """Still below all others, and numbers."""
    hpo = build_hpo_from_name("asha", SPACE, seed=2, max_fidelity=9)
    chains = ChainValues(hpo.history, Encoder(hpo.space), 9.0, [1.0, 3.0, 9.0])
    for k in range(12):
        hpo.tell(hpo.ask(), unit * (1 - 2 * (k % 2)), constraints={"size": -1.0 if k % 4 < 2 else 1.7e308})
    chains.update()
    assert np.isfinite(chains.scores).all()
    broken = np.array([trial.violation > 0 for trial in hpo.history.trials])
    assert chains.scores[broken].max() < chains.scores[~broken].min() or unit in (1e307, -1e308)
    assert chains.scores[broken].max() <= chains.scores[~broken].min()
