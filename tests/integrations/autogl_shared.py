"""What the tests of our algorithms inside AutoGL share: a stand-in for it, and a trainer with its contract."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from autohpo.algorithms.registry import _REGISTERED, _built_in_names, get_hpo
from autohpo.integrations.autogl import register

STANDIN = Path(__file__).parent / "autogl_standin"
for _name in _built_in_names():
    get_hpo(_name)  # before the names of a test are taken away again: a module registers only once


def number(name, kind, low, high, scaling="LINEAR"):
    """Return a numerical parameter in AutoGL's form."""
    return {"parameterName": name, "type": kind, "minValue": low, "maxValue": high, "scalingType": scaling}


TRAINER = [
    number("max_epoch", "INTEGER", 10, 500),
    number("early_stopping_round", "INTEGER", 10, 30),
    number("lr", "DOUBLE", 1e-4, 1e-1, "LOG"),
    number("weight_decay", "DOUBLE", 1e-4, 1e-2, "LOG"),
]
ENCODER = [
    {"parameterName": "num_layers", "type": "DISCRETE", "feasiblePoints": "2,3,4"},
    {
        "parameterName": "hidden",
        "type": "NUMERICAL_LIST",
        "numericalType": "INTEGER",
        "length": 3,
        "minValue": [8, 8, 8],
        "maxValue": [128, 128, 128],
        "scalingType": "LOG",
        "cutPara": ("num_layers",),
        "cutFunc": lambda x: x[0] - 1,
    },
    number("dropout", "DOUBLE", 0.2, 0.8),
    {"parameterName": "act", "type": "CATEGORICAL", "feasiblePoints": ["leaky_relu", "relu", "elu", "tanh"]},
]


class GCNEncoderMaintainer:
    """What a trainer has for its model."""

    def __init__(self, act="leaky_relu"):
        self.hyper_parameters = {"num_layers": 2, "hidden": [16], "dropout": 0.2, "act": act}


class Trainer:
    """AutoGL's contract, with the space and the defaults of its node classification; best at lr 0.01, and late."""

    def __init__(self, hp=None, space=None, log=None, broken=()):
        self.encoder = GCNEncoderMaintainer()
        self.space = {"trainer": TRAINER, "encoder": ENCODER, "decoder": []} if space is None else space
        self.hp, self.log, self.broken, self.is_trained = hp, log, broken, False
        self.hyper_parameters = {"max_epoch": 100, "early_stopping_round": 100, "lr": 1e-4, "weight_decay": 1e-4}

    def combined_hyper_parameter_space(self):
        """By module, one of them empty."""
        return self.space

    def duplicate_from_hyper_parameter(self, hp, model=None, restricted=True):
        """A new one; every hyper-parameter of the trainer must be there, and every module."""
        for item in self.space["trainer"]:
            hp["trainer"][item["parameterName"]]
        hp["encoder"], hp["decoder"]
        return type(self)(hp, self.space, self.log, self.broken)

    def train(self, dataset, keep_valid_result=True):
        """Writes down how many epochs it trained."""
        assert (dataset, keep_valid_result) == ("data", True)
        if self.hp["encoder"]["act"] in self.broken:
            raise RuntimeError("CUDA out of memory")
        self.is_trained = True
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(json.dumps(self.hp["trainer"].get("max_epoch")) + "\n")

    def get_valid_score(self, return_major=True):
        """The major score, and that higher is better."""
        assert return_major is True
        hp = self.hp["trainer"]
        return 1 - (math.log10(hp["lr"]) + 2) ** 2 / 10 - 1 / hp.get("max_epoch", 100), True


class LoglossTrainer(Trainer):
    """The same, measured by a loss."""

    def get_valid_score(self, return_major=True):
        """Lower is better."""
        return 1 - super().get_valid_score()[0], False


def own_names(monkeypatch):
    """What a test registers is its own."""
    monkeypatch.setattr("autohpo.algorithms.registry._REGISTERED", dict(_REGISTERED))


def standin(monkeypatch):
    """The stand-in, imported anew, with our algorithms in it."""
    forget = [name for name in sys.modules if name.partition(".")[0] == "autogl"]
    for name in forget:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(STANDIN))
    register()
    yield sys.modules["autogl"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "autogl"]:
        del sys.modules[name]


def build(autogl, name, **options):
    """An optimizer as a solver builds it."""
    return autogl.module.hpo.HPO_DICT[f"autohpo_{name}"](**{"progress": False, "seed": 0, **options})


def epochs_in(log):
    """How many epochs each training had, in order."""
    return [json.loads(line) for line in log.read_text().splitlines()]
