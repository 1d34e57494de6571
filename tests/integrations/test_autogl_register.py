"""Our algorithms inside AutoGL's solvers, with a stand-in for AutoGL; tests/integrations/test_autogl_real.py has it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import BaseHPOptimizer, OptionError, RegistryError
from autohpo.algorithms.registry import _built_in_names, available_hpos, register_hpo
from autohpo.errors import MissingExtraError
from autohpo.integrations.autogl import register
from autohpo.integrations.autogl.tuner import epochs_of
from autohpo.spaces import FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from autogl_shared import ENCODER, STANDIN, TRAINER, Trainer, build, epochs_in, number, own_names, standin

_own_names = pytest.fixture(autouse=True)(own_names)
autogl = pytest.fixture(standin)


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
    space = {"trainer": [number("max_epoch", "INTEGER", 9, 243), *TRAINER[1:]], "encoder": ENCODER, "decoder": []}
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
