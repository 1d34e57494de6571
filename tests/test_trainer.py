"""Trainers with AutoGL's contract: tuned, and given back trained."""

from __future__ import annotations

import time

import numpy as np
import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SearchSpace, available_hpos, build_hpo_from_name
from autohpo.algorithms.options import options_of
from autohpo.algorithms.registry import get_hpo


class RidgeTrainer:
    """A small real trainer with AutoGL's contract: ridge regression, trained for real on made-up data."""

    def __init__(self, data_seed=0, penalty=1.0, sign=1):
        rng = np.random.default_rng(data_seed)
        self.x, self.w = rng.normal(size=(60, 8)), rng.normal(size=8)
        self.y = self.x @ self.w + rng.normal(size=60)
        self.penalty, self.sign, self.weights = penalty, sign, None

    def duplicate_from_hyper_parameter(self, hp):
        """A new trainer of the same data."""
        new = type(self)(0, hp["trainer"]["penalty"], self.sign)
        new.x, new.y = self.x, self.y
        return new

    def train(self, dataset, keep_valid_result=True):
        """Fits on the first half."""
        assert dataset == "the dataset"
        x, y = self.x[:30], self.y[:30]
        self.weights = np.linalg.solve(x.T @ x + self.penalty * np.eye(8), x.T @ y)

    def get_valid_score(self, return_major=True):
        """Mean squared error on the second half: lower is better."""
        return float(np.mean((self.x[30:] @ self.weights - self.y[30:]) ** 2)), False


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_trainer_comes_back_trained_and_the_optimizer_serves_the_next_one(num_workers):
    """(best_trainer, best_hp), and a second trainer starts a search of its own."""
    hpo = build_hpo_from_name("random", [LogRangeHP("trainer:penalty", 1e-4, 1e3)], max_evals=8, seed=0)
    for data_seed in (0, 1):
        trainer = RidgeTrainer(data_seed)
        best, best_hp = hpo.optimize(trainer, "the dataset", num_workers=num_workers, progress=False)
        assert best.penalty == best_hp["trainer:penalty"]
        assert trainer.weights is None
        scores = [-t.perf for t in hpo.result.trials]
        assert len(scores) == 8
        assert best.get_valid_score()[0] == pytest.approx(min(scores), rel=1e-12)


def test_a_trainer_resumed_from_a_store_is_trained_again(tmp_path):
    """Its trained weights died with the first process; the search is not repeated."""
    space = [LogRangeHP("trainer:penalty", 1e-4, 1e3)]
    how = {"store": tmp_path / "run.db", "progress": False}
    _, first = build_hpo_from_name("random", space, max_evals=4).optimize(RidgeTrainer(), "the dataset", **how)
    best, again = build_hpo_from_name("random", space, max_evals=4).optimize(RidgeTrainer(), "the dataset", **how)
    assert again == first
    assert best.weights is not None


def test_equal_scores_give_the_trainer_of_the_best_configuration():
    """Of equals the trial asked first is the best, whichever ended first."""

    class Tied(RidgeTrainer):
        def train(self, dataset, keep_valid_result=True):
            """The first trial takes longer than all others."""
            time.sleep(0.3 if self.penalty == first else 0.0)
            self.weights = self.penalty

        def get_valid_score(self, return_major=True):
            """The same for all."""
            return 1.0, True

    space = [LogRangeHP("trainer:penalty", 1e-4, 1e3)]
    first = build_hpo_from_name("random", space, seed=0).ask()["trainer:penalty"]
    hpo = build_hpo_from_name("random", space, max_evals=6, seed=0)
    best, best_hp = hpo.optimize(Tied(), None, num_workers=2, progress=False)
    assert best.weights == best_hp["trainer:penalty"] == first


class SeededTrainer(RidgeTrainer):
    """One whose score is the seed that it was trained with."""

    def train(self, dataset, keep_valid_result=True, seed=-1):
        """Keeps the seed."""
        self.seed = seed

    def get_valid_score(self, return_major=True):
        """Return the seed."""
        return float(self.seed), True


def test_a_trainer_that_names_a_seed_gets_that_of_its_trial():
    """And a confirming trial has a new one."""
    hpo = build_hpo_from_name("random", [LogRangeHP("trainer:penalty", 1e-4, 1e3)], max_evals=3, seed=0)
    best, _ = hpo.optimize(SeededTrainer(), "the dataset", confirm={"k": 1, "seeds": 2}, progress=False)
    trials = [*hpo.result.trials, *hpo.result.repeats]
    assert [trial.perf for trial in trials] == [trial.seed for trial in trials]
    assert len({trial.seed for trial in trials}) == 5
    assert best.seed in {trial.seed for trial in trials}


def test_a_trainer_that_is_trained_again_gets_the_seed_of_its_trial(tmp_path):
    """Where the store has the search, and no trainer was kept."""
    options = {"store": str(tmp_path / "run.db"), "progress": False}
    seeds = []
    for _ in range(2):
        hpo = build_hpo_from_name("random", [LogRangeHP("trainer:penalty", 1e-4, 1e3)], max_evals=3, seed=0)
        best, _ = hpo.optimize(SeededTrainer(), "the dataset", **options)
        seeds.append((best.seed, hpo.result.best.seed))
    assert seeds[0] == seeds[1]
    assert seeds[0][0] == seeds[0][1]


@pytest.mark.parametrize("name", [name for name in available_hpos() if ":" not in name])
def test_an_option_that_the_space_decides_waits_for_the_trainers_space(name):
    """Built without a space, an optimizer has the options then that it would have had with it."""
    space = [LogRangeHP("a", 1e-4, 1.0), ChoiceHP("b", ["c", "d"], children={"d": [RangeHP("e", 1, 9)]})]
    more = {"max_fidelity": 9} if "max_fidelity" in get_hpo(name).__dataclass_fields__ else {}
    direct = build_hpo_from_name(name, space, max_evals=9, seed=0, **more)
    late = build_hpo_from_name(name, max_evals=9, seed=0, **more)
    assert options_of(type(late)(SearchSpace(space), None, **options_of(late))) == options_of(direct)
