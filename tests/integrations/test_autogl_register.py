"""Our algorithms inside AutoGL's solvers, with a stand-in for AutoGL; tests/integrations/test_autogl_real.py has it."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import BaseHPOptimizer, NoResultError, OptionError, RegistryError, SpaceError, TrialState
from autohpo.algorithms.registry import _REGISTERED, _built_in_names, available_hpos, get_hpo, register_hpo
from autohpo.errors import MissingExtraError, PathError
from autohpo.integrations.autogl import register
from autohpo.integrations.autogl.tuner import epochs_of, model_name
from autohpo.spaces import FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace

STANDIN = Path(__file__).parent / "autogl_standin"
for _name in _built_in_names():
    get_hpo(_name)  # before the names of a test are taken away again: a module registers only once


def _number(name, kind, low, high, scaling="LINEAR"):
    return {"parameterName": name, "type": kind, "minValue": low, "maxValue": high, "scalingType": scaling}


TRAINER = [
    _number("max_epoch", "INTEGER", 10, 500),
    _number("early_stopping_round", "INTEGER", 10, 30),
    _number("lr", "DOUBLE", 1e-4, 1e-1, "LOG"),
    _number("weight_decay", "DOUBLE", 1e-4, 1e-2, "LOG"),
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
    _number("dropout", "DOUBLE", 0.2, 0.8),
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


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    """What a test registers is its own."""
    monkeypatch.setattr("autohpo.algorithms.registry._REGISTERED", dict(_REGISTERED))


@pytest.fixture
def autogl(monkeypatch):
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


def test_every_algorithm_is_registered_beside_autogls_own(autogl):
    """Under the prefix, and as a class that AutoGL takes; a second call changes nothing."""
    theirs = autogl.module.hpo
    names = register()
    assert names == [f"autohpo_{name}" for name in available_hpos()]
    assert set(theirs.HPO_DICT) == {"random", *names}
    assert all(issubclass(theirs.HPO_DICT[name], theirs.BaseHPOptimizer) for name in names)
    classes = dict(theirs.HPO_DICT)
    register()
    assert classes == theirs.HPO_DICT
    assert theirs.HPO_DICT["random"].__module__ == "autogl.module.hpo"
    assert theirs.build_hpo_from_name("autohpo_tpe").algorithm == "tpe"


def test_an_algorithm_of_ones_own_is_registered_too(autogl):
    """It is added by the next call, and tunes trainers like the others."""

    @register_hpo("always_the_middle")
    class AlwaysTheMiddle(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return self.space.decode([[0.5] * self.space.n_columns])[0]

    assert "autohpo_always_the_middle" in register()
    trained, hp = build(autogl, "always_the_middle", max_evals=1).optimize(Trainer(), "data")
    assert trained.is_trained
    assert hp["encoder"]["dropout"] == pytest.approx(0.5)  # the middle of 0.2 and 0.8


def test_a_plug_in_that_cannot_be_loaded_is_left_out(autogl, monkeypatch, caplog):
    """The log says which one, and why; the others are there."""
    broken = type("Point", (), {"name": "bad_plug_in", "value": "nowhere:Nothing", "load": lambda self: 1 / 0})()
    monkeypatch.setattr("autohpo.algorithms.registry._plug_ins", lambda: {"bad_plug_in": broken})
    with caplog.at_level(logging.WARNING, "autohpo"):
        names = register(prefix="again_")
    assert "again_bad_plug_in" not in names
    assert "again_tpe" in names
    assert "plug-in bad_plug_in is not registered in AutoGL" in caplog.text


def test_a_name_that_autogl_has_is_not_taken_from_it(autogl):
    """Without a prefix, "random" is AutoGL's; the error says whose, and the way out."""
    with pytest.raises(
        RegistryError, match=r"random: is the name of autogl\.module\.hpo\.RandAdvisor .* another prefix"
    ):
        register(prefix="")
    with pytest.raises(OptionError, match="prefix: must be a string such as 'autohpo_', got 3"):
        register(prefix=3)


def test_without_autogl_the_error_says_where_to_look(monkeypatch):
    """Not installed is one thing, and not importable another: then the reason is named."""

    class Nowhere:
        """A finder that has looked everywhere."""

        def find_spec(self, name, path=None, target=None):
            """AutoGL is nowhere."""
            if name == "autogl":
                raise ModuleNotFoundError("No module named 'autogl'", name="autogl")

    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=r"AutoGL is not installed: see docs/autogl\.md"):
        register()


def test_an_autogl_that_lacks_what_it_needs_is_named_with_the_reason(tmp_path, monkeypatch):
    """Whatever its import raises."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "autogl"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "autogl").mkdir()
    init = tmp_path / "autogl" / "__init__.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    for code, reason in (
        ("import torch_sparse_of_nobody", "ModuleNotFoundError: No module named 'torch_sparse_of_nobody'"),
        ("raise AttributeError('np.Inf')", "AttributeError: np.Inf"),
    ):
        init.write_text(code)
        sys.modules.pop("autogl", None)
        with pytest.raises(MissingExtraError, match=f"AutoGL cannot be imported.*{reason}"):
            register()


def test_importing_autogl_leaves_the_process_as_it_was():
    """No poem, and the start method of `multiprocessing` is what it was before: none chosen, or the user's."""
    code = (
        "import multiprocessing as mp; from autohpo.integrations.autogl import register\n{}\nregister()\n"
        "import autogl; print(mp.get_start_method(allow_none=True))"
    )
    for before, after in (("", "None"), ("mp.set_start_method('forkserver')", "forkserver")):
        path = f"import sys; sys.path[:0] = [{str(STANDIN)!r}, {str(Path(__file__).parents[2])!r}]\n"
        command = [sys.executable, "-c", path + code.format(before)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.returncode) == (after, 0), done.stderr


@pytest.mark.filterwarnings("ignore:.*takes no fidelity")
@pytest.mark.filterwarnings("ignore:.*no configuration will be trained in full")
@pytest.mark.parametrize("name", sorted(_built_in_names() - {"pbt"}))
def test_every_algorithm_tunes_one_trainer_after_the_other(autogl, name):
    """The trainer comes back trained, with its configuration by module; each call is a search of its own."""
    hpo = build(autogl, name, max_evals=3)
    for _ in range(2):
        trained, hp = hpo.optimize(trainer=Trainer(), dataset="data", time_limit=100.0)
        assert trained.is_trained
        assert trained.hp == hp
        assert set(hp) == {"trainer", "encoder", "decoder"}
        assert set(hp["trainer"]) == {item["parameterName"] for item in TRAINER}
        assert type(hp["trainer"]["max_epoch"]) is int
        assert len(hp["encoder"]["hidden"]) == hp["encoder"]["num_layers"] - 1
    assert list(hpo.results) == ["0-gcn", "1-gcn"]
    assert all(1 <= len(result) <= 3 for result in hpo.results.values())


def test_what_needs_checkpoints_says_so_when_it_is_built(autogl):
    """Not in the middle of a solver's work."""
    with pytest.raises(OptionError, match="pbt: needs trainers that save checkpoints, and AutoGL's do not"):
        build(autogl, "pbt")


def test_a_solver_takes_our_names(autogl):
    """By name with its own max_evals, with options, and as an object; one object serves all of its models."""
    solver = autogl.solver.Solver([Trainer(), Trainer()], "autohpo_tpe", max_evals=4)
    solver.set_hpo_module("autohpo_tpe", max_evals=5, progress=False)
    solver.fit("data", seed=0)
    assert all(trainer.is_trained for trainer in solver.trained)
    assert [len(result) for result in solver.hpo_module.results.values()] == [5, 5]
    solver.set_hpo_module(build(autogl, "random", max_evals=2)).fit("data", time_limit=50)
    assert [len(result) for result in solver.hpo_module.results.values()] == [2, 2]


def test_the_seed_of_a_solver_is_that_of_the_search(autogl):
    """It seeds Python's generator; without a seed, two searches differ."""
    found = []
    for seed in (1, 1, 2):
        solver = autogl.solver.Solver([Trainer()]).set_hpo_module("autohpo_random", max_evals=3, progress=False)
        solver.fit("data", seed=seed)
        found.append([trial.hp["trainer:lr"] for trial in solver.hpo_module.results["0-gcn"]])
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("name", ["bohb", "hyperband", "asha", "dehb", "mobster", "hypertune", "dyhpo"])
def test_epochs_are_the_fidelity_of_a_multi_fidelity_algorithm(autogl, tmp_path, name):
    """From the least of the trainer's space to its most: few are trained in full, and the best one is."""
    log = tmp_path / "epochs"
    hpo = build(autogl, name, max_evals=60)
    trained, hp = hpo.optimize(Trainer(log=log), "data")
    epochs = epochs_in(log)
    assert all(10 <= n <= 500 for n in epochs)
    assert max(epochs) == 500
    assert sum(n < 500 for n in epochs) > len(epochs) / 2
    assert sum(epochs) < 0.5 * 500 * len(epochs)
    assert hp["trainer"]["max_epoch"] == trained.hp["trainer"]["max_epoch"] == 500
    assert "trainer:max_epoch" not in next(iter(hpo.results["0-gcn"])).hp


def test_bohb_halves_as_the_paper_says_between_the_ends_of_the_space(autogl, tmp_path):
    """With eta 3 and 9 to 243 epochs, the first bracket is 27, 9, 3 and 1 trainings, by hand."""
    log = tmp_path / "epochs"
    space = {"trainer": [_number("max_epoch", "INTEGER", 9, 243), *TRAINER[1:]], "encoder": ENCODER, "decoder": []}
    hpo = build(autogl, "bohb", num_iterations=1, sampler="random")
    hpo.optimize(Trainer(space=space, log=log), "data")
    assert {n: epochs_in(log).count(n) for n in sorted(set(epochs_in(log)))} == {9: 27, 27: 9, 81: 3, 243: 1}


@pytest.mark.parametrize(
    ("options", "least", "most"),
    [
        ({"min_fidelity": 20, "max_fidelity": 180}, 20, 180),
        ({"min_budget": 20, "max_budget": 180}, 20, 180),
        ({"max_fidelity": 90}, 10, 90),
    ],
)
def test_the_users_epochs_go_before_those_of_the_space(autogl, tmp_path, options, least, most):
    """Also under the names that other libraries have for them."""
    log = tmp_path / "epochs"
    build(autogl, "bohb", max_evals=40, sampler="random", **options).optimize(Trainer(log=log), "data")
    assert (min(epochs_in(log)), max(epochs_in(log))) == (least, most)


def test_fidelity_none_trains_everything_in_full(autogl, tmp_path):
    """Then the epochs are searched like the rest."""
    log = tmp_path / "epochs"
    hpo = build(autogl, "random", max_evals=5, fidelity=None)
    _, hp = hpo.optimize(Trainer(log=log), "data")
    assert [trial.hp["trainer:max_epoch"] for trial in hpo.results["0-gcn"]] == epochs_in(log)
    assert hp["trainer"]["max_epoch"] in epochs_in(log)


def test_auto_has_a_fidelity_where_it_is_asked_for_one(autogl, tmp_path):
    """Without a word, it trains in full; a parameter of another name may be the fidelity."""
    for options, is_halved in (({}, False), ({"fidelity": "trainer:max_epoch"}, True), ({"max_fidelity": 200}, True)):
        log = tmp_path / f"epochs-{len(options)}-{is_halved}-{sorted(options)}"
        hpo = build(autogl, "auto", max_evals=12, **options)
        hpo.optimize(Trainer(log=log), "data")
        assert any(trial.fidelity is not None for trial in hpo.results["0-gcn"]) is is_halved
    with pytest.raises(OptionError, match="fidelity: must be a hyper-parameter of the trainer .* got 'trainer:lr'"):
        build(autogl, "bohb", fidelity="trainer:lr").optimize(Trainer(), "data")


def test_fixed_epochs_are_the_most_and_missing_ones_are_no_fidelity(autogl, tmp_path, caplog):
    """A 27th of the fixed number is the least; a trainer without epochs is trained in full, and the log says it."""
    log = tmp_path / "epochs"
    fixed = [{"parameterName": "max_epoch", "type": "FIXED", "value": 270}, *TRAINER[1:]]
    space = {"trainer": fixed, "encoder": ENCODER, "decoder": []}
    build(autogl, "hyperband", max_evals=60).optimize(Trainer(space=space, log=log), "data")
    assert (min(epochs_in(log)), max(epochs_in(log))) == (10, 270)
    hpo = build(autogl, "bohb", max_evals=3)
    with caplog.at_level(logging.WARNING, "autohpo"), pytest.warns(UserWarning, match="takes no fidelity"):
        hpo.optimize(Trainer(space={**space, "trainer": TRAINER[1:]}), "data")
    assert "bohb: the trainer has no trainer:max_epoch" in caplog.text
    assert [trial.fidelity for trial in hpo.results["0-gcn"]] == [None] * 3


@pytest.mark.parametrize(
    ("parameter", "wanted"),
    [
        (RangeHP("n", 3, 9), (3, 9)),
        (LogRangeHP("n", 8, 64), (8, 64)),
        (OrdinalHP("n", [5, 10, 20]), (5, 20)),
        (FixedHP("n", 81), (3, 81)),
        (FixedHP("n", 10), (1, 10)),
        (RangeHP("n", 0, 9), None),
        (RangeHP("n", 0.5, 9.0), None),
        (OrdinalHP("n", [0.5, 1.5]), None),
        (FixedHP("n", True), None),
        (RangeHP("m", 3, 9), None),
    ],
)
def test_epochs_are_integers_of_at_least_one(parameter, wanted):
    """From any kind of parameter that has a least and a most."""
    assert epochs_of(SearchSpace([parameter]), "n") == wanted


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
def test_a_time_limit_is_a_number(autogl, limit):
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
