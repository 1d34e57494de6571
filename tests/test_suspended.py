"""Paused trainings: how many are held, and which of them go first."""

from __future__ import annotations

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.testing import FakeEngine

SPACE = [RangeHP("x", 0.0, 1.0)]


class Held:
    """Counts how many trainings are held in this process at once, and where each begins."""

    def __init__(self):
        self.now = self.most = 0
        self.begun = []

    def __call__(self, hps, trial):
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.append(hps["x"])
        try:
            for _ in range(81):
                yield hps["x"]
        finally:
            self.now -= 1


def search(f, name="bohb", n=80, **how):
    """A search that is over."""
    hpo = build_hpo_from_name(name, SPACE, f, max_evals=n, seed=0, max_fidelity=27)
    hpo.optimize(progress=False, **how)
    return hpo


@pytest.mark.parametrize("name", ["bohb", "asha"])
@pytest.mark.parametrize("limit", [0, 3, 8])
def test_no_more_trainings_are_held_than_the_user_allows(name, limit):
    """Beside the one that runs, and the one that has just been paused; and the results are the same."""
    held = Held()
    hpo = search(held, name, max_suspended=limit)
    assert limit <= held.most <= limit + 1
    assert held.now == 0
    assert [t.perf for t in hpo.result] == [t.perf for t in search(Held(), name, max_suspended=1000).result]


def test_by_default_some_are_held_and_not_all():
    """A search in the user's own process must not fill its memory."""
    held, free = Held(), Held()
    search(held, "asha", n=120)
    search(free, "asha", n=120, max_suspended=1000)
    assert held.most == 33 < free.most


def test_the_best_of_a_rung_is_held_the_longest():
    """Whoever was let go starts again when it is promoted; with half of them held, few are."""
    free, half = Held(), Held()
    hpo = search(free, "hyperband", max_suspended=1000)
    n_new = sum(trial.resume is None for trial in hpo.result)
    assert len(free.begun) == n_new
    n_promoted = len(hpo.result) - n_new
    search(half, "hyperband", max_suspended=6)
    n_again = len(half.begun) - n_new
    assert 0 < n_again < n_promoted / 3


def test_a_training_that_was_let_go_goes_on_from_its_checkpoint():
    """As after a crash: the objective finds its folder as it left it."""
    began = []

    def f(hps, trial):
        path, start = trial.checkpoint_dir / "epoch", 0
        if path.exists():
            start = int(path.read_text())
            trial.resume_at(start)
        began.append(start)
        for epoch in range(start, 27):
            path.write_text(str(epoch + 1))
            yield hps["x"] * (epoch + 1)

    hpo = search(f, "asha", max_suspended=0)
    wanted = [0 if t.resume is None else hpo.result.trials[t.resume].fidelity for t in hpo.result]
    assert began == wanted


def test_the_limit_counts_trainings_in_all_slots():
    """A search over four slots holds no more than one over one slot."""
    engine, most = FakeEngine(0, 4), []

    def f(hps):
        for _ in range(27):
            yield hps["x"]

    drop = engine.drop

    def count(root):
        drop(root)
        most.append(sum(engine.holds(slot, r) for slot in engine.slots() for r in range(80)))

    engine.drop = count
    search(f, "asha", executor=engine, max_suspended=5)
    assert most
    assert max(most) <= 5 + 4  # those that run meanwhile may just have been paused


@pytest.mark.parametrize("value", [-1, 1.5, True, "many"])
def test_a_limit_that_is_no_number_is_refused(value):
    """The text names the argument and the rule."""
    with pytest.raises(OptionError, match="max_suspended: must be an integer of at least 0"):
        search(Held(), max_suspended=value)
