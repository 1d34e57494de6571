"""Classes and trainers written for AutoGL: they register, they run, and the trainer's own space is searched."""

from __future__ import annotations

import random
import threading

import pytest

from autohpo import BaseHPOptimizer, FixedHP, OptionError, RangeHP, RegistryError, SpaceError, build_hpo_from_name
from autohpo.algorithms.registry import _REGISTERED, _built_in_names, get_hpo, register_hpo

LR = {"parameterName": "lr", "type": "DOUBLE", "minValue": 0.01, "maxValue": 1.0, "scalingType": "LOG"}
UNITS = {"parameterName": "units", "type": "INTEGER", "minValue": 4, "maxValue": 16, "scalingType": "LINEAR"}
ACT = {"parameterName": "act", "type": "CATEGORICAL", "feasiblePoints": ["relu", "tanh"]}


class Trainer:
    """A stand-in with AutoGL's contract, best at lr 0.1: the score is better the higher it is."""

    hyper_parameter_space = (LR, UNITS, ACT)

    def __init__(self, hp=None):
        self.hp, self.is_trained = hp, False

    def duplicate_from_hyper_parameter(self, hp, model=None, restricted=True):
        """A new one."""
        return type(self)(hp)

    def train(self, dataset, keep_valid_result=True):
        """Nothing to learn."""
        self.is_trained = True

    def get_valid_score(self, return_major=True):
        """The score, and that higher is better."""
        hp = self.hp.get("trainer", self.hp)
        return -abs(hp["lr"] - 0.1), True


class ModuleTrainer(Trainer):
    """One whose space has modules, as AutoGL 0.4 has."""

    def combined_hyper_parameter_space(self):
        """By module, one of them empty."""
        return {"trainer": [LR], "encoder": [UNITS, ACT], "decoder": []}


for _name in _built_in_names():
    get_hpo(_name)  # before the names of a test are taken away again: a module registers only once


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    """What a test registers is its own."""
    monkeypatch.setattr("autohpo.algorithms.registry._REGISTERED", dict(_REGISTERED))


def test_a_class_that_only_writes_optimize_registers_and_runs():
    """AutoGL's page allows it; a class with neither method is still refused."""

    @register_hpo("only_optimize")
    class OnlyOptimize(BaseHPOptimizer):
        def optimize(self, *args, **kwargs):
            return {"x": 0.5}, self.f({"x": 0.5})

    space = [RangeHP("x", 0.0, 1.0)]
    assert build_hpo_from_name("only_optimize", space, lambda hp: hp["x"]).optimize() == ({"x": 0.5}, 0.5)
    with pytest.raises(RegistryError, match=r"must define _get_suggestion\(self, pid\), or an optimize\(\) of its own"):
        register_hpo("neither")(type("Neither", (BaseHPOptimizer,), {}))


def test_the_example_of_autogls_tutorial_runs_unchanged():
    """No space at building, the trainer's own in optimize, encoded and decoded, the trials kept in self."""

    class Uniform(BaseHPOptimizer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.max_evals = kwargs.get("max_evals", 2)

        def optimize(self, trainer, dataset, time_limit=None, memory_limit=None):
            space = self._encode_para(trainer.hyper_parameter_space)
            best, self.trials = None, []
            for _ in range(self.max_evals):
                drawn = {}
                for para in space:
                    if para["type"] == "DOUBLE":
                        drawn[para["parameterName"]] = random.uniform(para["minValue"], para["maxValue"])
                    else:
                        drawn[para["parameterName"]] = random.choice(para["feasiblePoints"].split(","))
                for_trainer, for_hpo = self._decode_para(drawn)
                trained = trainer.duplicate_from_hyper_parameter(for_trainer)
                trained.train(dataset)
                loss = -trained.get_valid_score()[0]
                self.trials.append((for_hpo, loss))
                if best is None or loss < best[2]:
                    best = trained, for_trainer, loss
            return best[:2]

    register_hpo("uniform_of_the_tutorial")(Uniform)
    hpo = build_hpo_from_name("uniform_of_the_tutorial", max_evals=5)
    trained, hp = hpo.optimize(Trainer(), "data", time_limit=60)
    assert trained.is_trained
    assert set(hp) == {"lr", "units", "act"}
    assert type(hp["units"]) is int
    assert len(hpo.trials) == 5


def test_a_class_that_takes_any_option_finds_its_own_in_kwargs():
    """It hands all of them on, as AutoGL's classes do; names that are surely wrong are still explained."""

    class Own(BaseHPOptimizer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.shape = kwargs.get("shape", "round")

        def optimize(self, trainer, dataset=None):
            return trainer, {"shape": self.shape}

    register_hpo("own_options")(Own)
    hpo = build_hpo_from_name("own_options", shape="square", max_evals=7)
    assert (hpo.optimize(None)[1], hpo.max_evals) == ({"shape": "square"}, 7)
    assert Own(shape="flat").shape == "flat"
    for build in (Own, lambda **options: build_hpo_from_name("own_options", **options)):
        with pytest.raises(OptionError, match="n_trials: .* called max_evals here"):
            build(n_trials=3)


def test_decoding_before_encoding_is_an_error_with_the_way_out():
    """There is no space to decode with."""

    class Hasty(BaseHPOptimizer):
        def optimize(self, trainer, dataset=None):
            return self._decode_para({})

    with pytest.raises(OptionError, match=r"_decode_para: needs a space; call _encode_para\(space\) first"):
        Hasty().optimize(Trainer())


@pytest.mark.filterwarnings("ignore:.*takes no fidelity")
@pytest.mark.parametrize("name", sorted(_built_in_names() - {"pbt", "ehvi"}))
def test_without_a_space_the_trainers_own_is_searched(name):
    """Any algorithm can be built by its name alone, as in AutoGL, and serves any number of trainers."""
    hpo = build_hpo_from_name(name, max_evals=2, seed=0)
    trained, hp = hpo.optimize(Trainer(), "data", progress=False)
    assert trained.is_trained
    assert set(hp) == {"lr", "units", "act"}
    assert set(hpo.optimize(ModuleTrainer(), "data", progress=False)[1]) == {
        "trainer:lr",
        "encoder:units",
        "encoder:act",
    }


def test_the_parameter_that_is_the_fidelity_leaves_the_trainers_space():
    """Each trial gets it from the algorithm; a module that is left empty stays."""
    how = {"min_fidelity": 4, "max_fidelity": 16, "max_evals": 5, "seed": 0}
    hpo = build_hpo_from_name("asha", **how)
    trained, hp = hpo.optimize(ModuleTrainer(), None, fidelity="encoder:units", progress=False)
    assert set(hp) == {"trainer:lr", "encoder:act"}
    assert trained.hp.keys() == {"trainer", "encoder", "decoder"}
    assert trained.hp["encoder"]["units"] in (4, 12, 16)
    hpo = build_hpo_from_name("asha", **how)
    assert set(hpo.optimize(Trainer(), None, fidelity="units", progress=False)[1]) == {"lr", "act"}


def test_a_space_that_was_given_goes_before_the_trainers():
    """It is the user's word."""
    hpo = build_hpo_from_name("random", [FixedHP("lr", 0.25)], max_evals=1, seed=0)
    assert hpo.optimize(Trainer(), None, progress=False)[1] == {"lr": 0.25}


def test_without_any_space_the_error_says_so():
    """For ask, for a function, and for a trainer that has none."""
    with pytest.raises(OptionError, match=r"space: was not given; give build_hpo_from_name one"):
        build_hpo_from_name("tpe").ask()
    with pytest.raises(SpaceError, match=r"space: must be a list of parameters, got None"):
        build_hpo_from_name("tpe", None, lambda hp: 1.0)
    bare = Trainer()
    bare.hyper_parameter_space = None
    with pytest.raises(OptionError, match=r"space: was not given, and Trainer has none of its own"):
        build_hpo_from_name("tpe").optimize(bare)
    bare.hyper_parameter_space = [{"parameterName": "lr"}]
    with pytest.raises(SpaceError, match=r"trainer.hyper_parameter_space: lr: type must be one of"):
        build_hpo_from_name("tpe").optimize(bare)


def test_points_wait_for_the_trainers_space():
    """They are checked, and tried, once the space is known."""
    hpo = build_hpo_from_name("random", max_evals=1, points=[{"lr": 0.1, "units": 8, "act": "tanh"}])
    assert hpo.optimize(Trainer(), None, progress=False)[1] == {"lr": 0.1, "units": 8, "act": "tanh"}
    with pytest.raises(SpaceError, match=r"points\[0\]"):
        build_hpo_from_name("random", max_evals=1, points=[{"rate": 0.1}]).optimize(Trainer(), None, progress=False)


def test_the_limits_stand_by_position_as_autogl_has_them():
    """optimize(trainer, dataset, time_limit, memory_limit)."""
    hpo = build_hpo_from_name("random", max_evals=2, seed=0)
    assert hpo.optimize(Trainer(), "data", 60, None)[0].is_trained


def test_a_trainer_that_cannot_be_pickled_is_called_a_trainer():
    """And a dataset a dataset; the remedy is in the text."""
    trainer = Trainer()
    trainer.lock = threading.Lock()
    with pytest.raises(OptionError, match=r"^trainer: must be picklable .* or run one worker"):
        build_hpo_from_name("random", max_evals=2).optimize(trainer, None, num_workers=2, progress=False)
    with pytest.raises(OptionError, match="^dataset: must be picklable"):
        build_hpo_from_name("random", max_evals=2).optimize(Trainer(), threading.Lock(), num_workers=2, progress=False)
