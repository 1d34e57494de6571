"""Spaces and configurations of the graph trainers: they need neither torch nor PyTorch Geometric."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from autohpo import build_hpo_from_name
from autohpo.errors import MissingExtraError, OptionError, SpaceError
from autohpo.integrations.pyg import GRAPH_DEFAULTS, MODELS, NODE_DEFAULTS, GraphTrainer, NodeTrainer, space_of
from autohpo.integrations.pyg.configuration import flat
from autohpo.spaces import SearchSpace

TRAINERS = [(NodeTrainer, "node"), (GraphTrainer, "graph")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("kind", "task"), TRAINERS)
def test_every_default_is_a_configuration_of_its_space(kind, task, model):
    """Under plain names and under AutoGL's."""
    trainer = kind(model)
    SearchSpace(trainer.space).check(trainer.default)
    prefixed = SearchSpace(trainer.combined_hyper_parameter_space())
    own = trainer.get_default_hyper_parameter()
    prefixed.check({name: own[name] for name in prefixed.names if prefixed.is_active(name, own) and name in own})
    assert [name.rpartition(":")[2] for name in prefixed.names] == list(SearchSpace(trainer.space).names)


@pytest.mark.parametrize("model", [*MODELS, MODELS])
@pytest.mark.parametrize(("kind", "task"), TRAINERS)
def test_every_configuration_of_a_space_is_one_of_the_trainer(kind, task, model):
    """With each spelling of the names the trainer has the very values that were drawn."""
    points = np.random.default_rng(0).random((30, 30))
    trainer = kind(model)
    for prefix in (False, True):
        space = SearchSpace(space_of(model, task, prefix=prefix))
        for hp in space.decode(points[:, : space.n_columns]):
            got = trainer.duplicate_from_hyper_parameter(hp).hp
            assert {name: got[name] for name in flat(hp)} == flat(hp)


def test_the_default_of_a_gcn_is_that_of_its_paper():
    """Kipf and Welling 2017, section 5.2: 16 units, dropout .5, rate .01, decay .0005, 200 epochs, two layers."""
    wanted = {"hidden": [16], "dropout": 0.5, "lr": 0.01, "weight_decay": 5e-4, "max_epoch": 200, "layers": 2}
    assert wanted.items() <= NODE_DEFAULTS["gcn"].items()
    assert set(GRAPH_DEFAULTS) == set(NODE_DEFAULTS) == set(MODELS)


def test_what_one_model_has_alone_is_active_for_it_alone():
    """In a search over several models."""
    space = SearchSpace(space_of(["gcn", "appnp"]))
    assert space.is_active("alpha", {"model": "appnp"})
    assert not space.is_active("alpha", {"model": "gcn"})
    trainer = NodeTrainer(["gcn", "gat"])
    new = trainer.duplicate_from_hyper_parameter({"model": "gat", "heads": 2})
    assert (new.hp["model"], new.hp["heads"]) == ("gat", 2)
    assert "heads" not in trainer.hp


def test_a_temperature_belongs_to_the_softmax():
    """Of the four poolings."""
    space = SearchSpace(space_of("gin", "graph"))
    assert space.is_active("temperature", {"pooling": "softmax"})
    assert not space.is_active("temperature", {"pooling": "mean"})


def test_one_width_stands_for_all_layers():
    """And a change of the layers alone keeps the width."""
    assert NodeTrainer("gcn", layers=3, hidden=32).hp["hidden"] == [32, 32]
    assert NodeTrainer("gcn", layers=3).hp["hidden"] == [16, 16]
    assert GraphTrainer("gin", layers=4).hp["hidden"] == [32] * 4


def test_the_default_is_asked_for_first_and_in_full():
    """At the rung where new trials start, and at the highest."""
    trainer = NodeTrainer("gcn")
    options = {"points": [trainer.default_point], "min_fidelity": 20, "max_fidelity": 180, "seed": 0}
    hpo = build_hpo_from_name("bohb", trainer.space, **options)
    asked = [hpo.ask(), hpo.ask()]
    assert [dict(one) for one in asked] == [trainer.default] * 2
    assert 180 in {one.fidelity for one in asked}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: NodeTrainer("gnn"), "model: must be one of gcn, gat"),
        (lambda: NodeTrainer([]), "model: must be one of"),
        (lambda: NodeTrainer(["gcn", "gcn"]), "model: must be one of"),
        (lambda: NodeTrainer("gcn", lr=-1.0), "lr: must be a positive"),
        (lambda: NodeTrainer("gcn", dropout=1.0), "dropout: must be in"),
        (lambda: NodeTrainer("gcn", dropout=True), "dropout: must be in"),
        (lambda: NodeTrainer("gcn", hidden=[16, 16]), "hidden: must have 1 widths for 2 layers"),
        (lambda: NodeTrainer("gcn", heads=4), "gcn has no heads"),
        (lambda: NodeTrainer("gcn", pooling="sum"), "gcn has no pooling"),
        (lambda: NodeTrainer("gcn", epochs=4), "names must be of"),
        (lambda: NodeTrainer("gcn", patience=0), "patience: must be an integer of at least 1, or None"),
        (lambda: NodeTrainer("gcn", device=0), "device: must be 'auto'"),
        (lambda: NodeTrainer("gcn", split=-1), "split: must be an integer"),
        (lambda: NodeTrainer("gcn").objective(checkpoint_every=0), "checkpoint_every: must be"),
        (lambda: NodeTrainer("gcn").duplicate_from_hyper_parameter({"encoder:lr": 0.1}), "names must be of"),
        (lambda: NodeTrainer("gcn").duplicate_from_hyper_parameter(3), "hp: must be a dict"),
        (lambda: GraphTrainer("gin", pooling=["sum"]), "pooling: must be one of"),
        (lambda: GraphTrainer("gin", split=(0.5, 0.5)), "split: must be three shares"),
    ],
)
def test_a_wrong_argument_is_named(make, text):
    """With its rule, before anything is loaded."""
    with pytest.raises((OptionError, SpaceError), match=text):
        make()


def test_nothing_is_loaded_before_something_is_trained():
    """Neither by the import, nor by a trainer and its space."""
    code = (
        "import sys; from autohpo.integrations.pyg import NodeTrainer; NodeTrainer('gcn').space;"
        "print([m for m in ('torch', 'torch_geometric', 'scipy.stats') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["torch", "torch_geometric"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name):
    """When training begins."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"autohpo\[pyg\]"):
        NodeTrainer("gcn").train(object())
