"""Searches inside AutoGL's solvers: losses, defaults, failures, workers, stores, limits and options."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from autohpo import NoResultError, OptionError, SpaceError, TrialState
from autohpo.errors import PathError
from autohpo.integrations.autogl.tuner import model_name

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from autogl_shared import GCNEncoderMaintainer, LoglossTrainer, Trainer, build, epochs_in, own_names, standin

_own_names = pytest.fixture(autouse=True)(own_names)
autogl = pytest.fixture(standin)


def test_a_loss_is_minimised(autogl):
    """The trainer says which way is better."""
    hpo = build(autogl, "random", max_evals=8)
    trained, _ = hpo.optimize(LoglossTrainer(), "data")
    losses = [-trial.perf for trial in hpo.results["0-gcn"]]
    assert trained.get_valid_score()[0] == pytest.approx(min(losses), rel=1e-12)


@pytest.mark.parametrize(("name", "fidelity"), [("tpe", None), ("bohb", 500)])
def test_the_trainers_own_configuration_may_be_the_first(autogl, name, fidelity):
    """It is trained in full; the rounds without progress, 100 by default, come down to the 30 that are searched."""
    hpo = build(autogl, name, max_evals=12, default_first=True)
    hpo.optimize(Trainer(), "data")
    own = {
        "trainer:early_stopping_round": 30,
        "trainer:lr": 1e-4,
        "trainer:weight_decay": 1e-4,
        "encoder:num_layers": 2,
        "encoder:hidden": [16],
        "encoder:dropout": 0.2,
        "encoder:act": "leaky_relu",
    }
    own |= {} if fidelity else {"trainer:max_epoch": 100}
    trials = [trial for trial in hpo.results["0-gcn"] if trial.hp == own]
    assert trials[0].number == 0
    assert fidelity in [trial.fidelity for trial in trials]


def test_a_default_that_is_not_there_or_fits_nowhere_is_an_error(autogl):
    """The parameter is named."""
    hpo = build(autogl, "tpe", max_evals=2, default_first=True)
    trainer = Trainer()
    del trainer.hyper_parameters["lr"]
    with pytest.raises(OptionError, match="default_first: Trainer has no value of its own for trainer:lr"):
        hpo.optimize(trainer, "data")
    trainer = Trainer()
    trainer.encoder = GCNEncoderMaintainer(act="gelu")
    with pytest.raises(OptionError, match="default_first: .*does not fit the space; encoder:act.*'gelu'"):
        hpo.optimize(trainer, "data")


def test_a_training_that_fails_is_a_state_and_the_search_goes_on(autogl):
    """Also the very first; AutoGL's own loop loses everything by one exception."""
    hpo = build(autogl, "random", max_evals=12)
    trained, hp = hpo.optimize(Trainer(broken=("relu", "elu")), "data")
    states = [trial.state for trial in hpo.results["0-gcn"]]
    assert set(states) == {TrialState.FAILED, TrialState.COMPLETE}
    assert hp["encoder"]["act"] in ("leaky_relu", "tanh")
    assert trained.is_trained
    everything = ("leaky_relu", "relu", "elu", "tanh")
    with pytest.raises(NoResultError, match=r"(?s)no trial of 12 has a result.*CUDA out of memory") as caught:
        hpo.optimize(Trainer(broken=everything), "data", time_limit=100.0)
    assert not isinstance(caught.value, autogl.module.hpo.base.TimeTooLimitedError)
    assert len(hpo.results["1-gcn"]) == 12


def test_two_workers_train_beside_each_other(autogl, tmp_path):
    """Lambdas of the space and all: the trainer travels to processes of ours, and comes back trained."""
    log = tmp_path / "epochs"
    hpo = build(autogl, "tpe", max_evals=4, num_workers=2)
    trained, hp = hpo.optimize(Trainer(log=log), "data", time_limit=500.0)
    assert trained.is_trained
    assert trained.hp == hp
    assert len(epochs_in(log)) == 4


def test_each_model_has_a_store_and_the_same_program_goes_on(autogl, tmp_path):
    """A second process trains nothing anew but the best of each model, whose weights went with the first one."""
    log, runs = tmp_path / "epochs", tmp_path / "runs"
    best = []
    for _ in range(2):
        solver = autogl.solver.Solver([Trainer(log=log), Trainer(log=log)])
        solver.set_hpo_module("autohpo_random", max_evals=5, store=str(runs), progress=False)
        solver.fit("data")
        best.append([trainer.hp for trainer in solver.trained])
        assert sorted(path.name for path in runs.glob("*.db")) == ["0-gcn.db", "1-gcn.db"]
    assert best[0] == best[1]
    assert len(epochs_in(log)) == 5 + 5 + 2


def test_a_store_is_a_folder(autogl, tmp_path):
    """A file in its place, or a URL, is an error before anything is trained."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PathError, match="store: must be a folder"):
        build(autogl, "random", max_evals=1, store=tmp_path / "file").optimize(Trainer(), "data")
    for wrong in ("postgresql://host/runs", "", 3):
        with pytest.raises(OptionError, match="store: must be a folder for a file of each model"):
            build(autogl, "random", store=wrong)


@pytest.mark.parametrize("limit", [None, -1, 60, 86_400.0])
def test_no_limit_and_a_long_one_let_the_search_run(autogl, limit):
    """None and a negative integer stand for no limit, as in a solver's fit(time_limit=-1)."""
    hpo = build(autogl, "random", max_evals=2)
    assert hpo.optimize(Trainer(), "data", time_limit=limit)[0].is_trained


@pytest.mark.parametrize("limit", [0, 0.0, -0.25])
def test_time_that_is_up_is_autogls_own_error_and_ours(autogl, limit):
    """What a solver has left for a model after the ones before took too long."""
    hpo = build(autogl, "random", max_evals=2)
    with pytest.raises(autogl.module.hpo.base.TimeTooLimitedError, match="time_limit: the time is up") as caught:
        hpo.optimize(Trainer(), "data", time_limit=limit)
    assert isinstance(caught.value, NoResultError)


def test_a_time_limit_ends_the_search_between_trainings(autogl):
    """What is done by then counts: the first training always ends here, as no clock is looked at before it is over."""

    class Slow(Trainer):
        """Never ends before its time is up."""

        def train(self, dataset, keep_valid_result=True):
            """Waits longer than the limit."""
            import time

            super().train(dataset, keep_valid_result)
            time.sleep(0.6)

    hpo = build(autogl, "random", max_evals=50)
    trained, _ = hpo.optimize(Slow(), "data", time_limit=0.5)
    assert trained.is_trained
    assert len(hpo.results["0-gcn"]) == 1


@pytest.mark.parametrize("limit", [math.nan, "60", True])
def test_a_time_limit_is_anumber(autogl, limit):
    """Seconds."""
    with pytest.raises(OptionError, match="time_limit: must be a number of seconds or None"):
        build(autogl, "random").optimize(Trainer(), "data", time_limit=limit)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_trials": 5}, "n_trials: .* called max_evals here"),
        ({"max_evals": 0}, "max_evals: must be at least 1, got 0"),
        ({"num_workers": 0}, "num_workers: must be"),
        ({"nonsense": 1}, "nonsense: .* has no such option"),
        ({"default_first": "yes"}, "default_first: must be"),
        ({"fidelity": 3}, "fidelity: must be"),
    ],
)
def test_options_are_checked_when_a_solver_builds_it(autogl, options, text):
    """Not after the first hour."""
    with pytest.raises(OptionError, match=text):
        build(autogl, "tpe", **options)


def test_options_stand_by_name(autogl):
    """A solver that hands them on by position would be misread."""
    with pytest.raises(OptionError, match="tpe: options must be given by name, such as max_evals=50, got int 50"):
        autogl.module.hpo.HPO_DICT["autohpo_tpe"](50)


def test_what_is_no_trainer_or_has_no_space_is_an_error(autogl):
    """The text names what is missing."""
    hpo = build(autogl, "tpe", max_evals=1)
    with pytest.raises(OptionError, match="trainer: .* has no method duplicate_from_hyper_parameter"):
        hpo.optimize(object(), "data")
    broken = Trainer(space={"trainer": [{"parameterName": "lr"}], "encoder": [], "decoder": []})
    with pytest.raises(SpaceError, match="trainer:lr: type must be one of"):
        hpo.optimize(broken, "data")


def test_models_have_short_names(autogl):
    """Of the encoder, else of the trainer; only letters, digits and dashes, as they name files."""
    assert model_name(Trainer()) == "gcn"
    trainer = Trainer()
    trainer.encoder = type("AutoGCN_2", (), {})()
    assert model_name(trainer) == "autogcn-2"
    trainer.encoder = None
    assert model_name(trainer) == "trainer"
