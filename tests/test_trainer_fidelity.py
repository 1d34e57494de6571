"""A trainer's epochs as the fidelity: each rung trains to its epoch, and none twice where it can go on."""

from __future__ import annotations

import json

import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name

SPACE = [RangeHP("trainer:lr", 0.0, 1.0)]
RUNGS = {"min_fidelity": 1, "max_fidelity": 9, "num_iterations": 1}


class Trainer:
    """Trains epoch by epoch, and counts every epoch in a file, so that those of all processes are counted."""

    def __init__(self, lr=None, max_epoch=100, log=None):
        self.lr, self.max_epoch, self.log = lr, max_epoch, log
        self.n_trained, self.error = 0, 1.0

    def duplicate_from_hyper_parameter(self, hp):
        """A new trainer with this learning rate, for so many epochs."""
        own = hp["trainer"]
        return type(self)(own["lr"], own.get("max_epoch", self.max_epoch), self.log)

    def train(self, dataset, keep_valid_result=True):
        """Trains from the beginning."""
        for _ in range(self.max_epoch):  # fails for a float
            self._epoch()

    def _epoch(self):
        self.error *= 1 - 0.5 * self.lr
        self.n_trained += 1
        with self.log.open("a") as file:
            file.write(json.dumps([self.lr, self.max_epoch]) + "\n")

    def get_valid_score(self, return_major=True):
        """One minus the error: higher is better."""
        return 1 - self.error, True


class Continuing(Trainer):
    """The same, with a checkpoint."""

    def train(self, dataset, keep_valid_result=True, checkpoint_dir=None):
        """Goes on from what an earlier rung saved."""
        saved = checkpoint_dir / "state.json"
        if saved.exists():
            self.n_trained, self.error = json.loads(saved.read_text())
        while self.n_trained < self.max_epoch:
            self._epoch()
        saved.write_text(json.dumps([self.n_trained, self.error]))


def n_epochs(log):
    """Epochs that were trained by anybody."""
    return len(log.read_text().splitlines())


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [(Trainer, 9 * 1 + 3 * 3 + 1 * 9), (Continuing, 9 * 1 + 3 * 2 + 1 * 6)],  # one bracket of 9, 3 and 1 trials
)
def test_bohb_over_a_trainer_trains_each_rung_to_its_epoch(tmp_path, kind, wanted, num_workers):
    """Nine trainings of one epoch, three of three, one of nine; who can go on trains only what is missing."""
    log = tmp_path / "epochs"
    hpo = build_hpo_from_name("bohb", SPACE, seed=0, **RUNGS)
    best, best_hp = hpo.optimize(
        kind(log=log), "data", fidelity="trainer:max_epoch", num_workers=num_workers, progress=False
    )
    assert n_epochs(log) == wanted
    assert [trial.fidelity for trial in hpo.result].count(9) == 1
    assert (best.n_trained, best.max_epoch) == (9, 9)
    assert best.lr == best_hp["trainer:lr"]
    assert best.get_valid_score()[0] == pytest.approx(1 - (1 - 0.5 * best.lr) ** 9, rel=1e-12)


def test_a_stored_search_returns_the_best_trainer_trained_to_its_full_epochs(tmp_path):
    """The trained one died with its process: it is trained again, to the epoch of its rung."""
    log, how = tmp_path / "epochs", {"store": tmp_path / "run.db", "fidelity": "trainer:max_epoch", "progress": False}
    _, first = build_hpo_from_name("bohb", SPACE, seed=0, **RUNGS).optimize(Trainer(log=log), "data", **how)
    n = n_epochs(log)
    best, again = build_hpo_from_name("bohb", SPACE, seed=0, **RUNGS).optimize(Trainer(log=log), "data", **how)
    assert again == first
    assert n_epochs(log) == n + 9
    assert best.n_trained == 9


def test_a_function_may_have_a_hyper_parameter_as_its_fidelity():
    """It stands among the others in the configuration, as an integer where it is one."""
    seen = []

    def f(hps):
        seen.append(hps["epochs"])
        return 1 - (1 - hps["lr"]) ** hps["epochs"]

    hpo = build_hpo_from_name("hyperband", [RangeHP("lr", 0.0, 1.0)], f, seed=0, **RUNGS)
    best_hp, _ = hpo.optimize(fidelity="epochs", progress=False)
    assert sorted(seen) == [1] * 9 + [3] * 3 + [9]
    assert {type(epochs) for epochs in seen} == {int}
    assert set(best_hp) == {"lr"}


def test_a_searched_parameter_cannot_be_the_fidelity(tmp_path):
    """It would have two values."""
    space = [*SPACE, RangeHP("trainer:max_epoch", 1, 9)]
    hpo = build_hpo_from_name("bohb", space, seed=0, **RUNGS)
    with pytest.raises(OptionError, match="trainer:max_epoch is set for each trial, so it must not be searched"):
        hpo.optimize(Trainer(log=tmp_path / "epochs"), "data", fidelity="trainer:max_epoch", progress=False)


def test_an_algorithm_without_fidelities_refuses_one(tmp_path):
    """It would never set the parameter, and every training would be a full one."""
    hpo = build_hpo_from_name("tpe", SPACE, max_evals=2, seed=0)
    with pytest.raises(OptionError, match="fidelity: tpe trains every configuration in full"):
        hpo.optimize(Trainer(log=tmp_path / "epochs"), "data", fidelity="trainer:max_epoch", progress=False)
