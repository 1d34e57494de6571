"""A training as a generator: paused, continued, started again from its checkpoint, and always the same."""

from __future__ import annotations

import pytest

from autohpo import build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.integrations.pyg import NodeTrainer
from autohpo.integrations.pyg.training import Training

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-extras` installs it")
pytest.importorskip("torch_geometric", reason="PyTorch Geometric is not installed; `make test-extras` installs it")
pytestmark = pytest.mark.torch


def search(communities, name="bohb", n=14, **options):
    """A short search, and its result."""
    trainer = NodeTrainer("gcn", max_epoch=18)
    rungs = {} if name == "random" else {"min_fidelity": 2, "max_fidelity": 18}
    points = [trainer.default_point]
    hpo = build_hpo_from_name(
        name, trainer.space, trainer.objective(communities), points=points, max_evals=n, seed=0, **rungs
    )
    hpo.optimize(progress=False, **options)
    return trainer, hpo.result


def outcomes(result):
    """What became of each trial."""
    return [(t.state, t.hp, t.fidelity, t.resume, t.perf, t.reached, t.metrics["loss"]) for t in result.trials]


def test_every_result_is_that_of_an_uninterrupted_training(communities):
    """With the seed of its chain, to the same epoch; the default was tried in full."""
    trainer, result = search(communities)
    assert any(trial.resume is not None for trial in result.trials)
    assert any(trial.hp == trainer.default and trial.reached == 18 for trial in result.trials)
    for trial in result.trials:
        root = trial
        while root.resume is not None:
            root = result.trials[root.resume]
        anew = trainer.duplicate_from_hyper_parameter({**trial.hp, "max_epoch": int(trial.reached)})
        anew.train(communities, seed=root.seed)
        assert anew.get_valid_score()[0] == trial.perf


def test_no_epoch_is_trained_twice(communities, monkeypatch):
    """The steps of all trainings are what the promotions add up to."""
    n_steps, step = [], Training.step
    monkeypatch.setattr(Training, "step", lambda self: (n_steps.append(1), step(self)))
    _, result = search(communities)
    reached = {trial.number: trial.reached for trial in result.trials}
    assert len(n_steps) == sum(t.reached - reached.get(t.resume, 0) for t in result.trials)


def test_a_training_that_was_let_go_starts_from_its_checkpoint(communities, monkeypatch):
    """With no paused training in memory the search is the same, and trains as many epochs."""
    expected = outcomes(search(communities)[1])
    n_steps, step = [], Training.step
    monkeypatch.setattr(Training, "step", lambda self: (n_steps.append(1), step(self)))
    _, result = search(communities, max_suspended=0)
    assert outcomes(result) == expected
    reached = {trial.number: trial.reached for trial in result.trials}
    assert len(n_steps) == sum(t.reached - reached.get(t.resume, 0) for t in result.trials)


def test_two_workers_find_what_they_find_alone(communities):
    """Each trial of a random search has a seed of its own, whoever runs it."""
    alone, together = (search(communities, "random", 4, num_workers=n)[1] for n in (1, 2))
    key = [{str(trial.hp): trial.perf for trial in result.trials} for result in (alone, together)]
    assert key[0] == key[1]


def test_every_epoch_is_in_the_log_with_its_metrics(communities):
    """The accuracy of the last epoch is never above the best one so far, which is the result."""
    _, result = search(communities, "random", 2)
    for trial in result.trials:
        assert [fidelity for fidelity, _ in trial.reports] == list(range(1, 19))
        assert trial.perf == trial.metrics["accuracy.max"] >= trial.metrics["accuracy"]
        assert {"loss", "train_loss"} <= set(trial.metrics)


def test_the_best_training_is_there_in_the_end_without_another_epoch(communities, monkeypatch, tmp_path):
    """A trainer that gets its checkpoint folder has the weights of its best epoch."""
    trainer, result = search(communities, store=str(tmp_path / "run.db"))
    best = trainer.duplicate_from_hyper_parameter(result.best.hp)
    monkeypatch.setattr(Training, "step", lambda self: pytest.fail("an epoch was trained"))
    best.train(communities, checkpoint_dir=result.checkpoint_dir(result.best.number))
    assert best.get_valid_score()[0] == result.best.perf == best.evaluate(communities, "valid")


def test_early_stopping_ends_a_trial(communities):
    """It is complete, and has fewer epochs than it might."""
    trainer = NodeTrainer("gcn", max_epoch=300, patience=3)
    hpo = build_hpo_from_name("random", trainer.space, trainer.objective(communities), max_evals=2, seed=0)
    hpo.optimize(progress=False)
    assert all(4 <= len(trial.reports) < 300 for trial in hpo.result.trials)


def test_populations_are_trained_from_copies(communities):
    """PBT forks trainings: the widths stay, rate and decay change."""
    trainer = NodeTrainer("gcn", max_epoch=30)
    kept = [parameter for parameter in trainer.space if parameter.name in ("lr", "weight_decay", "dropout")]
    hpo = build_hpo_from_name("pbt", kept, trainer.objective(), max_evals=12, max_fidelity=6, seed=0)
    hpo.optimize(dataset=communities, progress=False)
    forked = [trial for trial in hpo.result.trials if trial.fork is not None]
    assert forked
    assert all(trial.perfs for trial in hpo.result.trials)


def test_the_epochs_may_be_named_as_the_fidelity(communities):
    """As for a trainer: the search is the same."""
    assert outcomes(search(communities, fidelity="max_epoch")[1]) == outcomes(search(communities)[1])


def test_data_are_given_here_or_there(communities):
    """Or not at all, which fails the first trial."""
    objective = NodeTrainer("gcn").objective()
    with pytest.raises(OptionError, match="optimize"):
        next(objective({}, None))
