"""Confirming the answer of a search with a trainer, whose own configuration is the default."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import (
    LogRangeHP,
    OptionError,
    RangeHP,
    SearchSpace,
    TrialState,
    build_hpo_from_name,
)
from autohpo.report import render_html
from autohpo.trainer import default_configuration

SPACE = [RangeHP("x", 0.0, 1.0)]


def noisy(hps, seed):
    """A parabola with noise that follows from the seed and from the configuration."""
    noise = np.random.default_rng((seed, round(1e6 * hps["x"]))).normal()
    return -((hps["x"] - 0.3) ** 2) + 0.1 * noise


def searched(f=noisy, name="random", space=SPACE, n=12, **options):
    """An optimizer of a fixed seed."""
    return build_hpo_from_name(name, space, f, max_evals=n, seed=0, **options)


class Ridge:
    """A trainer with AutoGL's contract, whose score has noise."""

    hyper_parameters = {"penalty": 1.0, "max_epoch": 3}  # noqa: RUF012 - as AutoGL's trainers have it

    def __init__(self, penalty=1.0):
        self.penalty, self.score = penalty, None

    def duplicate_from_hyper_parameter(self, hp):
        """A new one."""
        return Ridge(hp["trainer"]["penalty"])

    def train(self, dataset):
        """Trains, with other noise each time."""
        dataset.append(self.penalty)
        self.score = -(math.log10(self.penalty) ** 2) + 0.01 * math.sin(len(dataset))

    def get_valid_score(self):
        """The score; higher is better."""
        return self.score, True


RIDGE_SPACE = [LogRangeHP("trainer:penalty", 1e-4, 1e4)]


def test_a_trainers_own_configuration_is_the_default():
    """It needs no trial in the search; the trainer that comes back has the configuration that was chosen."""
    data = []
    hpo = searched(None, space=RIDGE_SPACE, n=6)
    best, best_hp = hpo.optimize(Ridge(), data, confirm=np.int64(2), progress=False)
    assert len(data) in (6 + 15, 6 + 15 + 1)  # trained again at the end, where the best of the repeats was another's
    assert best_hp == {"trainer:penalty": 1.0}
    assert best.penalty == 1.0
    assert best.score is not None
    default = hpo.result.confirmed[0]
    assert default.is_default
    assert default.trial.number < 0
    assert default.optimism is None
    assert hpo.result.best.hp == best_hp
    assert "mean of the default over 5 new seeds" in render_html(hpo.result)


def test_a_trainers_own_configuration_is_tried_first_on_request(tmp_path):
    """A run that goes on keeps it, whatever is said then."""
    how = {"store": tmp_path / "run.db", "progress": False}
    searched(None, space=RIDGE_SPACE, n=4).optimize(Ridge(), [], default_first=True, **how)
    hpo = searched(None, space=RIDGE_SPACE, n=6)
    hpo.optimize(Ridge(), [], **how)
    assert [t.hp["trainer:penalty"] for t in hpo.result].count(1.0) == 1
    assert hpo.result.trials[0].hp == {"trainer:penalty": 1.0}
    assert {t.state for t in hpo.result} == {TrialState.COMPLETE}
    best, best_hp = hpo.confirm(2, seeds=3)
    assert best.penalty == best_hp["trainer:penalty"]
    assert {one.trial.number for one in hpo.result.confirmed if one.is_default} == {0}


def test_a_trainers_own_configuration_is_trained_in_full_too_where_there_are_fidelities():
    """At the lowest rung, where new ones start, it might be lost."""
    options = {"min_fidelity": 1, "max_fidelity": 9, "n": 20}
    hpo = searched(None, "bohb", space=RIDGE_SPACE, **options)
    hpo.optimize(Ridge(), [], fidelity="trainer:max_epoch", default_first=True, progress=False)
    fidelities = {t.fidelity for t in hpo.result if t.hp == {"trainer:penalty": 1.0}}
    assert fidelities >= {1, 9}


def test_a_trainer_without_a_configuration_of_its_own_cannot_have_it_tried_first():
    """The error says what it lacks, or what does not fit."""

    class Bare(Ridge):
        hyper_parameters = None

    class Odd(Ridge):
        hyper_parameters = {"penalty": 1e9}  # noqa: RUF012

    hpo = searched(None, space=RIDGE_SPACE)
    with pytest.raises(OptionError, match="default_first: Bare has no default_hyper_parameters"):
        hpo.optimize(Bare(), [], default_first=True, progress=False)
    with pytest.raises(OptionError, match="default_first: the trainer's own configuration does not fit the space"):
        hpo.optimize(Odd(), [], default_first=True, progress=False)


def test_the_configuration_of_a_trainers_parts_is_read_in_autogls_form():
    """Parts, lists that another parameter cuts, fixed values, and names that are not searched."""

    class Part:
        hyper_parameters = {"num_layers": 2, "hidden": [16], "dropout": 0.2, "act": "leaky_relu"}  # noqa: RUF012

    class Graph(Ridge):
        hyper_parameters = {"max_epoch": 100, "lr": 0.01, "early_stopping_round": 30}  # noqa: RUF012
        encoder = Part()

    double = {"type": "DOUBLE", "scalingType": "LOG"}
    space = {
        "trainer": [
            {"parameterName": "lr", **double, "minValue": 1e-4, "maxValue": 1e-1},
            {"parameterName": "bs", "type": "FIXED", "value": 512},
        ],
        "encoder": [
            {"parameterName": "num_layers", "type": "DISCRETE", "feasiblePoints": "2,3,4"},
            {
                "parameterName": "hidden",
                "type": "NUMERICAL_LIST",
                "numericalType": "INTEGER",
                "length": 3,
                "minValue": [8] * 3,
                "maxValue": [128] * 3,
                "scalingType": "LOG",
                "cutPara": ("num_layers",),
                "cutFunc": lambda x: x[0] - 1,
            },
            {"parameterName": "dropout", "type": "DOUBLE", "minValue": 0.1, "maxValue": 0.8, "scalingType": "LINEAR"},
            {"parameterName": "act", "type": "CATEGORICAL", "feasiblePoints": ["leaky_relu", "relu"]},
        ],
        "decoder": [],
    }
    assert default_configuration(Graph(), SearchSpace(space)) == {
        "trainer:lr": 0.01,
        "trainer:bs": 512,
        "encoder:num_layers": 2,
        "encoder:hidden": [16],
        "encoder:dropout": 0.2,
        "encoder:act": "leaky_relu",
    }
