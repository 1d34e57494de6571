"""Trainers under AutoGL's contract: they solve what can be solved, are tuned, come back trained, and can be sent."""

from __future__ import annotations

import cloudpickle
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import NoResultError, OptionError
from autohpo.integrations.pyg import MODELS, GraphTrainer, NodeTrainer
from autohpo.spaces import SearchSpace

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-extras` installs it")
pytest.importorskip("torch_geometric", reason="PyTorch Geometric is not installed; `make test-extras` installs it")
pytestmark = pytest.mark.torch


SHORT = {"min_fidelity": 2, "max_fidelity": 18, "seed": 0}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_solves_communities(communities, model):
    """Neighbours tell the group: 19 of 20 test nodes, where a guess is right for 1 of 3."""
    trainer = NodeTrainer(model, max_epoch=60, dropout=0.2)
    trainer.train(communities, seed=0)
    assert trainer.evaluate(communities) >= 0.95
    assert trainer.get_valid_score() == (trainer.evaluate(communities, "val"), True)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_tells_rings_from_stars(rings_and_stars, model):
    """By the degrees of their nodes."""
    from torch_geometric.transforms import OneHotDegree

    with_degrees = OneHotDegree(9)
    graphs = [with_degrees(graph.clone()) for graph in rings_and_stars]
    trainer = GraphTrainer(model, max_epoch=20, dropout=0.0, patience=10)
    trainer.train(graphs, seed=0)
    assert trainer.evaluate(graphs, "test") >= 0.95


@pytest.mark.parametrize("pooling", ["sum", "mean", "max", "softmax"])
def test_every_pooling_tells_rings_from_stars(rings_and_stars, pooling):
    """Nodes have no features; with sums over neighbours each knows its degree."""
    trainer = GraphTrainer("gin", pooling=pooling, max_epoch=30, dropout=0.0, temperature=2.0)
    trainer.train(rings_and_stars, seed=0)
    assert trainer.evaluate(rings_and_stars, "test") >= 0.95


def test_bohb_tunes_a_trainer_by_its_epochs_and_gives_it_back_trained(communities):
    """The default is tried in full; the best one's score is that of the search, and its probabilities are its."""
    trainer = NodeTrainer("gcn")
    hpo = build_hpo_from_name("bohb", max_evals=14, **SHORT)
    best, hp = hpo.optimize(trainer, communities, fidelity="trainer:max_epoch", default_first=True, progress=False)
    trials = hpo.result.trials
    own = {name: value for name, value in trainer.get_default_hyper_parameter().items() if name in trials[0].hp}
    assert [dict(trial.hp) for trial in trials[:2]] == [own, own]
    assert 18 in {trial.fidelity for trial in trials[:2]}
    assert best.get_valid_score()[0] == hpo.result.best.perf == best.evaluate(communities, "valid")
    assert {name: best.get_default_hyper_parameter()[name] for name in hp} == hp
    assert best.hp["max_epoch"] == 18
    proba = best.get_valid_predict_proba()
    assert torch.equal(proba, best.predict_proba(communities, "valid"))
    torch.testing.assert_close(proba.sum(1), torch.ones(40))
    right = proba.argmax(1) == communities.y[communities.val_mask]
    assert int(right.sum()) / 40 == best.get_valid_score()[0]
    assert trainer.trained is None


def test_rungs_of_a_trainer_go_on_where_the_last_one_ended(communities):
    """Each result is that of a training from the beginning with the seed of its chain."""
    hpo = build_hpo_from_name("hyperband", max_evals=14, **SHORT)
    hpo.optimize(NodeTrainer("gcn"), communities, fidelity="trainer:max_epoch", progress=False)
    promoted = [trial for trial in hpo.result.trials if trial.resume is not None]
    assert promoted
    for trial in promoted:
        root = trial
        while root.resume is not None:
            root = hpo.result.trials[root.resume]
        anew = NodeTrainer("gcn", **trial.hp, max_epoch=int(trial.fidelity))
        anew.train(communities, seed=root.seed)
        assert anew.get_valid_score()[0] == trial.perf


def test_two_searches_with_one_seed_are_equal_and_the_seed_of_a_trial_counts(communities):
    """In the user's own process, whose generators nobody seeds."""
    found = []
    for seed in (0, 0, 1):
        hpo = build_hpo_from_name("random", [RangeHP("trainer:lr", 0.01, 0.011)], max_evals=3, seed=seed)
        hpo.optimize(NodeTrainer("gcn", max_epoch=5), communities, progress=False)
        found.append([trial.perf for trial in hpo.result.trials])
    assert found[0] == found[1]
    scores = set()
    for seed in range(5):
        trainer = NodeTrainer("gcn", max_epoch=5)
        trainer.train(communities, seed=seed)
        scores.add(trainer.get_valid_score()[0])
    assert len(scores) > 1


def test_plain_names_do_as_well(communities):
    """With the default first, and a search over several models."""
    trainer = NodeTrainer(["gcn", "appnp"], max_epoch=5)
    hpo = build_hpo_from_name("random", trainer.space, max_evals=6, seed=0)
    best, hp = hpo.optimize(trainer, communities, default_first=True, progress=False)
    assert hpo.result.trials[0].hp == trainer.default
    assert {trial.hp["model"] for trial in hpo.result.trials} == {"gcn", "appnp"}
    assert {name: best.hp[name] for name in hp} == hp
    again = NodeTrainer(**hp, max_epoch=5)
    assert again.hp == best.hp


def test_a_graph_trainer_is_tuned_too(rings_and_stars):
    """BOHB by epochs, on batches."""
    trainer = GraphTrainer("gin", max_epoch=9)
    hpo = build_hpo_from_name("bohb", max_evals=5, min_fidelity=1, max_fidelity=9, seed=0)
    best, hp = hpo.optimize(trainer, rings_and_stars, fidelity="trainer:max_epoch", progress=False)
    assert "decoder:pooling" in hp
    assert best.evaluate(rings_and_stars, "valid") == hpo.result.best.perf


def test_a_trained_trainer_can_be_sent_to_another_process(communities):
    """With its weights, without the data."""
    trainer = NodeTrainer("gat", max_epoch=4)
    trainer.train(communities)
    assert trainer._data
    other = cloudpickle.loads(cloudpickle.dumps(trainer))
    assert not other._data
    assert torch.equal(other.predict_proba(communities), trainer.predict_proba(communities))
    assert [type(layer).__name__ for layer in other.model["layers"]] == ["GATConv", "GATConv"]


def test_what_evaluate_returns_is_what_was_asked_for(communities):
    """Accuracy and log loss, one or a list; by hand from the probabilities."""
    trainer = NodeTrainer("gcn", max_epoch=10)
    trainer.train(communities)
    proba, y = trainer.predict_proba(communities, "test"), communities.y[communities.test_mask]
    loss = -float(proba[torch.arange(40), y].log().mean())
    right = int((proba.argmax(1) == y).sum()) / 40
    assert trainer.evaluate(communities, feval=["acc", "logloss"]) == pytest.approx([right, loss], rel=1e-5)
    assert trainer.evaluate(communities, feval="logloss") == pytest.approx(loss, rel=1e-5)
    assert trainer.get_valid_score(return_major=False) == ([trainer.get_valid_score()[0]], [True])
    assert trainer.to("cpu").device == "cpu"


def test_graphs_are_split_with_the_same_share_of_each_class(rings_and_stars):
    """120 graphs of two classes, by shares of 3/4, 1/6 and 1/12; the same ones each time, none twice."""
    trainer = GraphTrainer("gin", split=(0.75, 1 / 6, 1 / 12))
    parts = trainer.parts(rings_and_stars)
    classes = {name: sorted(int(graph.y) for graph in graphs) for name, graphs in parts.items()}
    assert classes == {"train": [0] * 45 + [1] * 45, "valid": [0] * 10 + [1] * 10, "test": [0] * 5 + [1] * 5}
    assert len({id(graph) for graphs in parts.values() for graph in graphs}) == 120
    again = trainer.parts(rings_and_stars)
    assert all(a is b for name in parts for a, b in zip(parts[name], again[name], strict=True))
    given = trainer.parts((parts["train"], parts["valid"], parts["test"]))
    assert given == parts


def broken(data, **changes):
    """A graph of which something is missing or wrong."""
    new = data.clone()
    for name, value in changes.items():
        setattr(new, name, value)
    return new


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": None}, "must have x, edge_index and y, got none for x"),
        ({"val_mask": None}, "must have a val_mask; torch_geometric.transforms.RandomNodeSplit"),
        ({"train_mask": torch.zeros(120, dtype=torch.bool)}, "train_mask must have a node"),
        ({"y": torch.zeros(120)}, "y must have a class, an integer, for each of 120 nodes"),
        ({"y": torch.full((120,), -1)}, "y must be at least 0 for each train node"),
        ({"x": torch.full((120, 60), float("nan"))}, "x must have finite numbers, got 7200 that are none"),
        ({"val_mask": torch.ones(120)}, "val_mask must be a mask, or numbers of nodes from 0 to 119"),
        ({"val_mask": torch.tensor([0, 120])}, "val_mask must be a mask, or numbers of nodes from 0 to 119"),
        ({"val_mask": torch.ones(60, dtype=torch.bool)}, "val_mask must say of each of 120 nodes .*, got 60"),
        ({"edge_index": torch.tensor([[0], [120]])}, "edge_index must name nodes from 0 to 119, got 120"),
    ],
)
def test_a_graph_that_cannot_be_used_is_named(communities, changes, text):
    """With what is wrong with it."""
    with pytest.raises(OptionError, match=text):
        NodeTrainer("gcn").train(broken(communities, **changes))


def test_a_mask_may_be_bools_ones_or_the_numbers_of_its_nodes(communities):
    """All three choose the same nodes."""
    trainer = NodeTrainer("gcn", max_epoch=3)
    found = []
    for form in (lambda mask: mask, lambda mask: mask.to(torch.uint8), lambda mask: mask.nonzero().reshape(-1)):
        data = communities.clone()
        for name in ("train_mask", "val_mask", "test_mask"):
            data[name] = form(communities[name])
        trainer.train(data, seed=0)
        found.append((trainer.get_valid_score(), trainer.evaluate(data, "test")))
    assert found[1:] == found[:1] * 2


def test_data_of_the_other_kind_are_named(communities, rings_and_stars):
    """A graph for a list of graphs, and the other way round."""
    with pytest.raises(OptionError, match="GraphTrainer classifies graphs"):
        NodeTrainer("gcn").train(rings_and_stars)
    with pytest.raises(OptionError, match="must be a list of graphs"):
        GraphTrainer("gin").train(communities)
    with pytest.raises(OptionError, match="got none in valid"):
        GraphTrainer("gin").train({"train": rings_and_stars})
    with pytest.raises(OptionError, match="each graph must have edge_index and y"):
        GraphTrainer("gin").train([broken(graph, y=None) for graph in rings_and_stars])
    with pytest.raises(OptionError, match="x must have finite numbers"):
        GraphTrainer("gin").train([broken(g, x=torch.full((g.num_nodes, 1), float("inf"))) for g in rings_and_stars])


def test_a_trainer_that_was_not_trained_says_so(communities):
    """And a part that has no nodes, and a measure that is unknown."""
    trainer = NodeTrainer("gcn", max_epoch=1)
    for call in (trainer.get_valid_score, trainer.get_valid_predict_proba, lambda: trainer.evaluate(communities)):
        with pytest.raises(NoResultError, match="not trained"):
            call()
    data = broken(communities, test_mask=None)
    trainer.train(data)
    with pytest.raises(OptionError, match="mask: must be train, valid or test"):
        trainer.evaluate(data)
    with pytest.raises(OptionError, match="feval: must be acc or logloss"):
        trainer.evaluate(data, "train", feval="auc")


def test_several_splits_are_chosen_by_number(communities):
    """Masks with a column for each split."""
    masks = {name: torch.stack([~communities[name], communities[name]], 1) for name in ("train_mask", "val_mask")}
    data = broken(communities, **masks)
    task = NodeTrainer("gcn", split=1)._task(data)
    assert torch.equal(task.graph.nodes["valid"], communities.val_mask.nonzero().reshape(-1))
    with pytest.raises(OptionError, match="split: must be one of the 2 splits"):
        NodeTrainer("gcn", split=2).train(data)


def test_the_space_of_a_trainer_can_be_changed(communities):
    """It is a list of parameters like any other."""
    trainer = NodeTrainer("gcn", max_epoch=3, hidden=[8])
    kept = [parameter for parameter in trainer.space if parameter.name not in ("layers", "hidden")]
    hpo = build_hpo_from_name("random", kept, trainer.objective(communities), max_evals=2, seed=0)
    best_hp, _ = hpo.optimize(progress=False)
    assert set(best_hp) == set(SearchSpace(kept).names)
