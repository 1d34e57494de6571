"""Annealing and the engine behind it: hyperopt's own suggestions from our spaces, histories and seeds."""

from __future__ import annotations

import math
import warnings

import hyperopt
import numpy as np
import pytest
from hyperopt import hp as hp_of

from autohpo import ChoiceHP, FixedHP, LogRangeHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.spaces import ListHP, OrdinalHP, PermutationHP, SearchSpace

WITH_FMIN = pytest.mark.filterwarnings("ignore::DeprecationWarning:hyperopt")  # its own affair, with numpy 2.5
SPACE = [
    RangeHP("x", -1.0, 3.0),
    LogRangeHP("lr", 1e-4, 1e-1),
    RangeHP("n", 1, 8),
    LogRangeHP("hidden", 8, 128),
    ChoiceHP("act", ["relu", "tanh", "elu"]),
    FixedHP("epochs", 5),
]
THEIRS = {
    "x": hp_of.uniform("x", -1.0, 3.0),
    "lr": hp_of.loguniform("lr", math.log(1e-4), math.log(1e-1)),
    "n": hp_of.uniformint("n", 0.5, 8.5),
    "hidden": hp_of.qloguniform("hidden", math.log(7.5), math.log(128.5), 1),
    "act": hp_of.choice("act", ["relu", "tanh", "elu"]),
}


def loss(hp):
    """A bowl with a term for every parameter."""
    act = {"relu": 1.0, "tanh": 0.0, "elu": 2.0}[hp["act"]]
    return (hp["x"] - 1) ** 2 + math.log(hp["lr"] / 0.01) ** 2 / 10 + abs(hp["n"] - 3) + math.log(hp["hidden"]) + act


def fmin_losses(objective, space, n, seed):
    """The losses of hyperopt's own search, in their order."""
    trials = hyperopt.Trials()
    hyperopt.fmin(
        objective,
        space,
        hyperopt.anneal.suggest,
        n,
        trials=trials,
        rstate=np.random.default_rng(seed),
        verbose=False,
    )
    return [result.get("loss") for result in trials.results]


def our_losses(space, n, seed, objective=loss, **options):
    """The losses of ours; an objective that returns None fails."""
    optimizer = build_hpo_from_name("anneal", space, seed=seed, mode="min", **options)
    losses = []
    for _ in range(n):
        suggestion = optimizer.ask()
        losses.append(objective(suggestion))
        if losses[-1] is None:
            optimizer.fail(suggestion, "on purpose")
        else:
            optimizer.tell(suggestion, losses[-1])
    return losses


@WITH_FMIN
def test_search_is_that_of_fmin():
    """Equal to the last digit for 100 trials: more than one block of seeds, and hyperopt's values are ours."""
    assert our_losses(SPACE, 100, seed=3) == fmin_losses(loss, THEIRS, 100, seed=3)


@WITH_FMIN
def test_children_of_a_choice_are_hyperopts_own_conditionals():
    """Nested twice, and one parameter under two choices: equal to the natural nested space of hyperopt."""
    dropout, theirs = RangeHP("dropout", 0.0, 0.9), hp_of.uniform("dropout", 0.0, 0.9)
    heads = ChoiceHP("heads", [1, 2, 4], children={4: [LogRangeHP("rate", 1e-3, 1.0)]})
    children = {"gcn": [RangeHP("hops", 1, 4), dropout], "gat": [heads, dropout]}
    ours = [ChoiceHP("model", ["gcn", "gat", "mlp"], children=children)]
    rate = hp_of.loguniform("rate", math.log(1e-3), 0.0)
    of_heads = hp_of.choice("heads", [{"heads": 1}, {"heads": 2}, {"heads": 4, "rate": rate}])
    gcn = {"model": "gcn", "hops": hp_of.uniformint("hops", 0.5, 4.5), "dropout": theirs}
    gat = {"model": "gat", "below": of_heads, "dropout": theirs}
    nested = hp_of.choice("model", [gcn, gat, {"model": "mlp"}])

    def objective(hp):
        flat = dict(hp) | dict(hp).get("below", {})
        first = {"gcn": 1.0, "gat": 0.5, "mlp": 2.0}[flat["model"]]
        return first - 0.7 * (flat.get("hops") == 3) + flat.get("dropout", 0.0) - flat.get("rate", 0.0)

    assert our_losses(ours, 80, seed=5, objective=objective) == fmin_losses(objective, nested, 80, seed=5)


@WITH_FMIN
def test_failed_trials_are_hyperopts_failed_trials():
    """A trial of no result counts as one that returned STATUS_FAIL: the searches stay equal."""

    def theirs(hp):
        return {"status": "fail"} if hp["n"] == 4 else {"status": "ok", "loss": loss(hp)}

    ours = our_losses(SPACE, 60, seed=1, objective=lambda hp: None if hp["n"] == 4 else loss(hp))
    assert ours == fmin_losses(theirs, THEIRS, 60, seed=1)
    assert None in ours


@WITH_FMIN
def test_running_trials_are_hyperopts_running_trials():
    """With four in flight each suggestion is the one that hyperopt makes from the same documents without a loss."""
    domain, trials = hyperopt.base.Domain(loss, THEIRS), hyperopt.Trials()
    optimizer = build_hpo_from_name("anneal", SPACE, seed=2, mode="min")
    seeds, running = np.random.default_rng(2), []
    for number in range(30):
        suggestion = optimizer.ask()
        document = hyperopt.anneal.suggest([number], domain, trials, seeds.integers(2**31 - 1))[0]
        vals = {label: val[0] for label, val in document["misc"]["vals"].items()}
        assert (suggestion["x"], suggestion["lr"]) == (vals["x"], vals["lr"])
        trials.insert_trial_docs([document])
        trials.refresh()
        running.append((suggestion, trials.trials[number]))
        if number >= 3:
            suggestion, document = running.pop(number % 4)  # not in the order asked
            optimizer.tell(suggestion, loss(suggestion))
            document.update(state=hyperopt.JOB_STATE_DONE, result={"status": "ok", "loss": loss(suggestion)})


@WITH_FMIN
def test_options_reach_hyperopt():
    """Both change hyperopt's own search, and ours alike."""

    def algorithm(*args):
        return hyperopt.anneal.suggest(*args, avg_best_idx=4.0, shrink_coef=0.5)

    trials = hyperopt.Trials()
    rstate = np.random.default_rng(0)
    hyperopt.fmin(loss, THEIRS, algorithm, 30, trials=trials, rstate=rstate, verbose=False)
    ours = our_losses(SPACE, 30, seed=0, avg_best_idx=4.0, shrink_coef=0.5)
    assert ours == trials.losses()
    assert ours != our_losses(SPACE, 30, seed=0)


def test_coded_kinds_come_back_into_the_model():
    """Steps, ordinals, weighted choices, lists and permutations: the search ends near the goal.

    Annealing narrows to a sixteenth of each range by then; it may be stuck in one permutation, not in all columns, so
    it must be nearer than half the distance of the first 20 draws.
    """
    space = [PermutationHP("order", ["p", "q", "r"]), OrdinalHP("size", [1, 2, 9]), RangeHP("s", 0.0, 1.0, step=0.125)]
    space += [ChoiceHP("w", ["a", "b", "c"], prior=[2, 1, 1]), ListHP("list", RangeHP("item", 0, 9), length=2)]
    space = SearchSpace(space)
    goal = space.encode([{"order": ["q", "r", "p"], "size": 9, "s": 0.75, "w": "b", "list": [8, 1]}])
    optimizer = build_hpo_from_name("anneal", space, seed=0, mode="min")
    distances = []
    for _ in range(160):
        suggestion = optimizer.ask()
        distances.append(np.abs(space.encode([suggestion]) - goal)[0])
        optimizer.tell(suggestion, distances[-1].sum())
    assert np.mean(distances[-40:]) < np.mean(distances[:20]) / 2


def test_constraints_are_met():
    """A tenth of the draws meets the constraint; every suggestion does."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 10)], constraints=["x < 0.2", "n > 5"])
    optimizer = build_hpo_from_name("anneal", space, seed=0)
    for _ in range(25):
        suggestion = optimizer.ask()
        assert suggestion["x"] < 0.2
        assert suggestion["n"] > 5
        optimizer.tell(suggestion, suggestion["x"])


def test_entries_of_a_list_may_share_a_name_with_a_parameter():
    """A parameter named like the label of an entry: hyperopt draws three variables, and none stands for both."""
    space = [ListHP("a", RangeHP("item", 0.0, 1.0), length=2), RangeHP("a[0]", 0.0, 1.0)]
    suggestion = build_hpo_from_name("anneal", space, seed=0).ask()
    assert len({*suggestion["a"], suggestion["a[0]"]}) == 3


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [("avg_best_idx", 0.5, "must be at least 1"), ("shrink_coef", -0.1, "must be at least 0")],
)
def test_options_out_of_range_are_refused(option, value, rule):
    """The error names option, rule and value."""
    with pytest.raises(OptionError, match=f"{option}: {rule} and finite, got {value}"):
        build_hpo_from_name("anneal", SPACE, **{option: value})


def test_what_numpy_deprecates_in_hyperopt_is_no_warning_of_ours(monkeypatch):
    """A search under ``-W error`` goes on; only what hyperopt itself does is quiet."""
    suggest = hyperopt.anneal.suggest

    def warning(*args, **options):
        warnings.warn("setting the shape of an array", DeprecationWarning, stacklevel=1)
        return suggest(*args, **options)

    monkeypatch.setattr(hyperopt.anneal, "suggest", warning)
    hpo = build_hpo_from_name("anneal", SPACE, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hpo.ask().number == 0
        with pytest.raises(DeprecationWarning):
            warnings.warn("ours", DeprecationWarning, stacklevel=1)
