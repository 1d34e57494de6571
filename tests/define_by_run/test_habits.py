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
