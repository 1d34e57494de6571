"""Generators are paused and continued: what is trained in truth is what the schedule says, to the epoch."""

from __future__ import annotations

import pytest

from autohpo import RangeHP, build_hpo_from_name


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_the_first_bracket_of_81_trains_297_epochs(name):
    """Of 81-27-9-3-1, no epoch twice and none too many: 81*1 + 27*2 + 9*6 + 3*18 + 1*54, counted in the objective.

    All 27 that go on wait at once: by default as many are kept.
    """
    n_epochs = 0

    def f(hps):
        nonlocal n_epochs
        while True:
            n_epochs += 1
            yield -abs(hps["x"] - 0.3)

    hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], f, min_fidelity=1, max_fidelity=81, max_evals=121, seed=0)
    hpo.optimize(num_workers=1, progress=False)
    assert [sum(trial.fidelity == r for trial in hpo.trials) for r in (1, 3, 9, 27, 81)] == [81, 27, 9, 3, 1]
    assert n_epochs == 297
