"""Our algorithms inside AutoGL itself, and what our stand-in of it claims; `make test-autogl` runs this."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from autohpo.algorithms.registry import _built_in_names, available_hpos
from autohpo.integrations.autogl import register

pytestmark = [
    pytest.mark.autogl,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # AutoGL is of 2022, and its packages are of today
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore:It is not recommended to directly access the internal storage format"),
]
with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    autogl = pytest.importorskip("autogl", reason="AutoGL is not installed; `make test-autogl` installs it")
    import torch
    from autogl.module.hpo import HPO_DICT, BaseHPOptimizer, register_hpo
    from autogl.module.hpo.base import TimeTooLimitedError
    from autogl.module.train import TRAINER_DICT
    from autogl.solver import AutoGraphClassifier, AutoNodeClassifier
    from torch_geometric.data import Data, InMemoryDataset

STANDIN = Path(__file__).parent / "autogl_standin"
N_CLASSES = 3
SHORT = [
    {"parameterName": "max_epoch", "type": "INTEGER", "minValue": 1, "maxValue": 9, "scalingType": "LINEAR"},
    {
        "parameterName": "early_stopping_round",
        "type": "INTEGER",
        "minValue": 10,
        "maxValue": 30,
        "scalingType": "LINEAR",
    },
    {"parameterName": "lr", "type": "DOUBLE", "minValue": 1e-3, "maxValue": 1e-1, "scalingType": "LOG"},
    {"parameterName": "weight_decay", "type": "DOUBLE", "minValue": 1e-4, "maxValue": 1e-2, "scalingType": "LOG"},
]


def communities(n_per_class=30, seed=0):
    """A graph of communities, each with a class: neighbours mostly agree, and the features tell a little."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(N_CLASSES).repeat_interleave(n_per_class)
    chance = torch.where(y[:, None] == y[None, :], 0.2, 0.01)
    edges = torch.rand(chance.shape, generator=generator) < chance
    edges = (edges | edges.T).fill_diagonal_(False)
    x = torch.nn.functional.one_hot(y, 8).float() + 2 * torch.randn(len(y), 8, generator=generator)
    part = torch.randperm(len(y), generator=generator)
    masks = {f"{name}_mask": torch.zeros(len(y), dtype=torch.bool) for name in ("train", "val", "test")}
    for name, at in (("train", part[:30]), ("val", part[30:60]), ("test", part[60:])):
        masks[f"{name}_mask"][at] = True
    return [Data(x=x, edge_index=edges.nonzero().T.contiguous(), y=y, **masks)]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    """Once: AutoGL's registry is for the whole process."""
    register()


def solver_of(name, models=("gcn",), **options):
    """A solver that tunes with one of our algorithms."""
    options = {"ensemble_module": None, "device": "cpu", "trainer_hp_space": SHORT, "max_evals": 3, **options}
    return AutoNodeClassifier(graph_models=models, hpo_module=name, **options)


def accuracy(solver, data):
    """The share of the test nodes that are told right."""
    graph = data[0]
    found = solver.predict_proba(data, use_ensemble=solver.ensemble_module is not None, mask="test").argmax(1)
    return (found == graph.y[graph.test_mask].numpy()).mean()


def test_all_our_names_stand_beside_autogls_own():
    """None of its own is touched, and ours are of its base class."""
    own = {"anneal", "autone", "bayes", "cmaes", "grid", "mocmaes", "quasi", "random", "tpe"}
    ours = {f"autohpo_{name}" for name in available_hpos()}
    assert set(HPO_DICT) >= own | ours
    assert all(issubclass(HPO_DICT[name], BaseHPOptimizer) for name in ours)
    assert all(HPO_DICT[name].__module__.startswith("autogl.") for name in own)


@pytest.mark.filterwarnings("ignore:.*takes no fidelity")
@pytest.mark.filterwarnings("ignore:.*no configuration will be trained in full")
@pytest.mark.parametrize("name", sorted(_built_in_names() - {"pbt"}))
def test_every_algorithm_tunes_a_solver(name):
    """By its name; the trained model predicts."""
    data = communities()
    solver = solver_of(f"autohpo_{name}").fit(data, seed=0)
    (result,) = solver.hpo_module.results.values()
    assert 1 <= len(result) <= 3
    assert not [trial.error for trial in result if trial.error]
    assert 0.0 <= accuracy(solver, data) <= 1.0


def test_bohb_takes_the_epochs_of_autogls_own_space():
    """From 10 to 500, few in full; the chosen one is, and it has learned the communities."""
    data = communities()
    solver = solver_of("autohpo_bohb", trainer_hp_space=None, max_evals=16).fit(data, seed=0)
    result = solver.hpo_module.results["0-gcn"]
    fidelities = [trial.fidelity for trial in result]
    assert max(fidelities) == 500
    assert all(fidelity >= 10 for fidelity in fidelities)
    assert sum(fidelity < 500 for fidelity in fidelities) >= len(fidelities) / 2
    (trained,) = solver.trained_models.values()
    assert trained.max_epoch == 500
    assert accuracy(solver, data) > 0.6  # chance is 1/3


def test_one_optimizer_serves_several_models_and_their_ensemble(tmp_path):
    """With options, two workers and a store for each; the same program started again trains little."""
    data = communities()
    seconds = []
    for _ in range(2):
        solver = solver_of("autohpo_tpe", models=("gcn", "sage"), ensemble_module="voting")
        solver.set_hpo_module("autohpo_tpe", max_evals=6, num_workers=2, store=tmp_path / "runs", seed=1)
        solver.fit(data)
        assert [len(result) for result in solver.hpo_module.results.values()] == [6, 6]
        seconds.append([trial.seconds for result in solver.hpo_module.results.values() for trial in result])
        assert accuracy(solver, data) > 0.4
    assert seconds[0] == seconds[1]  # those of the first run: nothing was trained anew
    assert sorted(path.name for path in (tmp_path / "runs").glob("*.db")) == ["0-gcn.db", "1-sage.db"]


def test_the_trainers_own_configuration_can_be_the_first():
    """AutoGL's default early stopping, 100 rounds, lies outside of what it searches."""
    solver = solver_of("random", trainer_hp_space=None)
    solver.set_hpo_module("autohpo_random", max_evals=2, default_first=True).fit(communities(), seed=0)
    first = next(iter(solver.hpo_module.results["0-gcn"])).hp
    own = TRAINER_DICT["NodeClassificationFull"]().hyper_parameters
    assert {name: first[f"trainer:{name}"] for name in own} == {**own, "early_stopping_round": 30}
    assert (first["encoder:num_layers"], first["encoder:hidden"]) == (2, [16])


def test_a_time_limit_is_that_of_the_solver():
    """A solver with no time left raises what AutoGL raises."""
    with pytest.raises(TimeTooLimitedError):
        solver_of("autohpo_random").fit(communities(), time_limit=0)


class Graphs(InMemoryDataset):
    """A data set of graphs in memory, in three parts."""

    def __init__(self, graphs):
        super().__init__(None)
        self.data, self.slices = self.collate(graphs)
        self.train_split, self.val_split, self.test_split = graphs[:18], graphs[18:24], graphs[24:]


def test_graphs_are_classified_too():
    """Another trainer, with other hyper-parameters, and a decoder that has some."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for number in range(30):
        n, y = 8, number % 2
        edges = (torch.rand(n, n, generator=generator) < (0.2 + 0.5 * y)).nonzero().T
        x = torch.ones(n, 3) + 0.1 * torch.randn(n, 3, generator=generator)
        graphs.append(Data(x=x, edge_index=edges, y=torch.tensor([y])))
    dataset = Graphs(graphs)
    solver = AutoGraphClassifier(graph_models=("gin",), hpo_module="autohpo_bohb", ensemble_module=None, device="cpu")
    solver.set_hpo_module("autohpo_bohb", max_evals=3, min_fidelity=1, max_fidelity=3)
    solver.fit(dataset, seed=0, evaluation_method=["acc"])
    (result,) = solver.hpo_module.results.values()
    assert not [trial.error for trial in result if trial.error]
    assert {trial.fidelity for trial in result} <= {1, 3}


def test_the_stand_in_has_the_space_and_the_defaults_of_autogl():
    """What the tests without AutoGL believe of a trainer of node classification with GCN."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import autogl_shared as standin
    finally:
        del sys.path[0]
    trainer = TRAINER_DICT["NodeClassificationFull"](model="gcn", num_features=8, num_classes=3)
    space = trainer.combined_hyper_parameter_space()
    assert space["trainer"] == standin.TRAINER
    plain = [
        [{k: v for k, v in item.items() if k != "cutFunc"} for item in items]
        for items in (space["encoder"], standin.ENCODER)
    ]
    assert plain[0] == plain[1]
    assert [item["cutFunc"]([3]) for item in (space["encoder"][1], standin.ENCODER[1])] == [2, 2]
    assert trainer.hyper_parameters == standin.Trainer().hyper_parameters
    assert trainer.encoder.hyper_parameters == standin.GCNEncoderMaintainer().hyper_parameters
    assert space["decoder"] == standin.Trainer().combined_hyper_parameter_space()["decoder"] == []


def test_the_stand_in_refuses_what_autogl_refuses():
    """A name twice, and a class that is none of its own."""
    with pytest.raises(ValueError, match="Cannot register duplicate HP Optimizer"):
        register_hpo("random")(BaseHPOptimizer)
    with pytest.raises(ValueError, match="must extend HPOptimizer"):
        register_hpo("nobody")(int)


def test_importing_autogl_by_us_leaves_the_process_as_it_was():
    """AutoGL's own import prints a poem and sets a start method; ours does neither."""
    said = {}
    for name, code in (
        ("theirs", "import autogl"),
        ("ours", "from autohpo.integrations.autogl import register; register()"),
    ):
        code += "; import multiprocessing as mp; print(mp.get_start_method(allow_none=True))"
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        said[name] = done.stdout.split("\n")
    assert "The Zen of Python, by Tim Peters" in said["theirs"]
    assert said["theirs"][-2] == "spawn"
    assert said["ours"] == ["None", ""]
    assert json.dumps(said)
