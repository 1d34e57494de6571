"""What scripts for Optuna do by habit: older names, some columns of a table, numbers of numpy, fixed distributions."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import autohpo.define_by_run as ours
from autohpo.errors import OptionError, SpaceError


def test_older_names_ask_for_what_the_newer_ones_do():
    """The distributions are the same, and so are the draws."""
    study = ours.create_study(sampler=ours.samplers.RandomSampler(seed=0))
    trial = study.ask()
    u, v = trial.suggest_uniform("u", 0, 1), trial.suggest_loguniform("v", 1e-3, 1)
    w = trial.suggest_discrete_uniform("w", 0, 1, 0.25)
    kinds = ours.distributions.FloatDistribution
    assert trial.distributions == {"u": kinds(0, 1), "v": kinds(1e-3, 1, log=True), "w": kinds(0, 1, step=0.25)}
    assert 0 <= u <= 1
    assert 1e-3 <= v <= 1
    assert w in (0.0, 0.25, 0.5, 0.75, 1.0)


def test_a_trial_may_be_asked_for_with_its_distributions():
    """They are as if the trial had asked; what is no distribution is refused with its name."""
    kinds = ours.distributions
    study = ours.create_study()
    fixed = {
        "x": kinds.FloatDistribution(0.0, 1.0),
        "n": kinds.IntDistribution(1, 9, step=2),
        "c": kinds.CategoricalDistribution(["a", "b"]),
    }
    trial = study.ask(fixed)
    assert list(trial.params) == ["x", "n", "c"]
    assert trial.params["n"] in (1, 3, 5, 7, 9)
    assert trial.suggest_categorical("c", ["a", "b"]) == trial.params["c"]
    study.tell(trial, 1.0)
    assert study.trials[0].params == trial.params
    with pytest.raises(OptionError, match="y: must be a distribution"):
        study.ask({"y": (0, 1)})
    with pytest.raises(SpaceError, match="z: low: must be at most high"):
        study.ask({"z": kinds.FloatDistribution(2, 1)})


def test_numbers_of_numpy_are_numbers():
    """As ends, steps, choices and the step of a report; what is drawn is Python's own."""
    trial = ours.create_study().ask()
    x = trial.suggest_float("x", np.float64(0), np.float32(1), step=np.float64(0.5))
    n = trial.suggest_int("n", np.int64(1), np.int32(3))
    c = trial.suggest_categorical("c", np.array([1, 2]))
    assert (type(x), type(n), type(c)) == (float, int, int)
    trial.report(np.float32(0.5), np.int64(2))


def test_a_table_has_the_columns_that_are_asked_for():
    """In their order; several objectives are several columns, and an unknown name is refused."""
    pytest.importorskip("pandas", reason="the extra autohpo[pandas] is not installed")
    study = ours.create_study(directions=["minimize", "maximize"])
    assert list(study.trials_dataframe(("number", "state")).columns) == ["number", "state"]
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), n_trials=2)
    columns = list(study.trials_dataframe(attrs=("params", "number", "values")).columns)
    assert columns == ["params_x", "params_y", "number", "values_0", "values_1"]
    with pytest.raises(OptionError, match="attrs: must be names among number, value, .*, got 'valeu'"):
        study.trials_dataframe(attrs=("valeu",))


def test_to_look_for_a_study_makes_no_file(tmp_path):
    """A storage that is not there holds none, and is not there afterwards."""
    with pytest.raises(ours.exceptions.NoTrialError, match="holds no study"):
        ours.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db")
    assert list(tmp_path.iterdir()) == []


def test_what_is_elsewhere_says_where():
    """An AttributeError, as Python's own, with the place."""
    with pytest.raises(AttributeError, match="autohpo.integrations.optuna.study"):
        _ = ours.visualization
    with pytest.raises(AttributeError, match="storage= takes a path"):
        _ = ours.storages
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = ours.nonsense
    with pytest.raises(OptionError, match="direction: must be 'minimize' or 'maximize', got 'min'"):
        ours.create_study(direction="min")


def test_the_loggers_names_of_optuna_are_ours():
    """Handlers are added and removed as scripts do."""
    logger = logging.getLogger("autohpo")
    before = list(logger.handlers)
    assert ours.logging.get_logger("optuna") is logger
    assert ours.logging.get_logger("optuna.study").name == "autohpo.study"
    assert ours.logging.get_logger("mine").name == "mine"
    ours.logging.enable_default_handler()
    assert len(logger.handlers) == len(before) + 1
    ours.logging.disable_default_handler()
    assert logger.handlers == before
    ours.logging.disable_propagation()
    assert not logger.propagate
    ours.logging.enable_propagation()
    assert logger.propagate


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (
            lambda p: p.HyperbandPruner(max_resource="auto"),
            "max_resource: must be an integer of at least 1, got 'auto'",
        ),
        (lambda p: p.HyperbandPruner(min_resource=0), "min_resource: must be an integer of at least 1, got 0"),
        (lambda p: p.HyperbandPruner(reduction_factor=1), "reduction_factor: must be an integer of at least 2, got 1"),
        (lambda p: p.SuccessiveHalvingPruner("auto"), "min_resource: must be an integer of at least 1, got 'auto'"),
        (lambda p: p.SuccessiveHalvingPruner(min_early_stopping_rate=2), "min_early_stopping_rate: must be 0"),
        (lambda p: p.MedianPruner(interval_steps=5), "interval_steps: must be 1, as it has no counterpart here, got 5"),
        (lambda p: p.MedianPruner(n_startup=5), "n_startup: is no option of this pruner"),
        (lambda p: p.MedianPruner(n_warmup_steps=-1), "n_warmup_steps: must be an integer of at least 0, got -1"),
    ],
)
def test_an_option_of_a_pruner_that_cannot_be_is_an_error(made, text):
    """And never an endless loop, nor ignored."""
    with pytest.raises(OptionError, match=text):
        made(ours.pruners)


def test_options_at_the_defaults_of_optuna_are_fine():
    """As scripts write them out."""
    made = ours.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0, interval_steps=1, n_min_trials=1)
    assert made.options == ours.pruners.MedianPruner().options
    made = ours.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4, min_early_stopping_rate=0)
    assert made.options == {"type": "stopping", "min_fidelity": 1, "max_fidelity": 4**8, "eta": 4.0}
    assert ours.pruners.HyperbandPruner(bootstrap_count=0).options["brackets"] == 5  # 81, 27, 9, 3, 1


def test_a_class_that_is_not_here_says_what_to_take():
    """Samplers and pruners."""
    with pytest.raises(AttributeError, match="write the space down"):
        _ = ours.samplers.GridSampler
    with pytest.raises(AttributeError, match="take MedianPruner"):
        _ = ours.pruners.PercentilePruner
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = ours.pruners.nonsense
