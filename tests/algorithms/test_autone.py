"""AutoNE: what it trains on which graph, and what it carries over from sub-graphs to the whole."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from autohpo import ChoiceHP, OptimizationComplete, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.autone import (
    MOST_SEEN,
    AutoNE,
    _distances,
    _informative,
    graph_signature,
    sample_nodes,
    standardised,
    subgraph_signatures,
)
from autohpo.trial import Outcome, Trial, TrialState

LINE = [RangeHP("x", 0.0, 1.0)]
RING = np.stack([np.arange(200), (np.arange(200) + 1) % 200])


def run(hpo, n, f):
    """Asks and tells n times."""
    asked = []
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))
        asked.append(suggestion)
    return asked


def test_sub_graphs_come_first_and_in_turn():
    """Six trials on two sub-graphs; all others on the whole graph, whose fidelity is what the user calls it."""
    hpo = AutoNE(LINE, seed=0, shares=(0.1, 0.25), n_small=6, max_fidelity=1000.0)
    asked = run(hpo, 9, lambda s: s["x"])
    assert [s.fidelity for s in asked] == [100.0, 250.0] * 3 + [1000.0] * 3
    assert hpo.min_fidelity == 100.0
    assert all(s.resume is None for s in asked)


def test_running_trials_count_as_tried_on_their_sub_graphs():
    """Seven asks without a result between are six on sub-graphs and one on the whole."""
    hpo = AutoNE(LINE, seed=0, shares=(0.1,), n_small=6)
    assert [hpo.ask().fidelity for _ in range(7)] == [0.1] * 6 + [1.0]


def test_the_first_trial_on_the_whole_graph_is_where_the_sub_graphs_are_best():
    """It is one that was tried there, near their best at .62, although the levels of all three graphs differ."""

    def f(suggestion):
        return -((suggestion["x"] - 0.6 - 0.02 * (suggestion.fidelity < 1)) ** 2) + 5.0 * suggestion.fidelity

    for seed in range(3):
        asked = run(AutoNE(LINE, seed=seed, n_small=12), 13, f)
        nearest = sorted(asked[:12], key=lambda s: abs(s["x"] - 0.62))
        assert dict(asked[12]) in [dict(s) for s in nearest[:3]]


def test_what_the_whole_graph_says_outweighs_sub_graphs_that_mislead():
    """The sub-graphs have their best at .2, the whole graph at .8: after 15 trials on it the search has found it."""

    def f(suggestion):
        return -((suggestion["x"] - (0.2 if suggestion.fidelity < 1 else 0.8)) ** 2)

    hpo = AutoNE(LINE, seed=0, n_small=10)
    run(hpo, 25, f)
    assert abs(hpo.best()[0]["x"] - 0.8) < 0.05


def test_a_configuration_tried_on_a_sub_graph_may_be_tried_on_the_whole():
    """Thirty configurations, 20 trials on sub-graphs: then all thirty are tried on the whole graph, each once."""
    space = [RangeHP("n", 1, 10), ChoiceHP("c", ["a", "b", "c"])]
    hpo = AutoNE(space, seed=0, n_small=20)
    asked = run(hpo, 50, lambda s: s["n"] - (s["c"] == "b"))
    assert [s.fidelity < 1 for s in asked] == [True] * 20 + [False] * 30
    assert len({(s["n"], s["c"]) for s in asked[20:]}) == 30
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_few_configurations_are_all_tried_on_the_whole_graph():
    """Where there are no more of them than trials on sub-graphs, these would cost more than they tell."""
    hpo = AutoNE([RangeHP("n", 1, 20)], seed=0, n_small=20)
    assert {s.fidelity for s in run(hpo, 20, lambda s: s["n"])} == {1.0}


def test_points_are_tried_on_the_whole_graph():
    """The user's own points are no samples of what sub-graphs may show."""
    hpo = AutoNE(LINE, seed=0, n_small=2, points=[{"x": 0.5}])
    assert [s.fidelity for s in run(hpo, 4, lambda s: s["x"])] == [1.0, 0.2, 0.3, 1.0]


def test_an_objective_without_fidelity_is_warned_about_once():
    """And searched on the whole graph all the same."""
    hpo = AutoNE(LINE, seed=0)
    hpo.has_fidelity = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asked = run(hpo, 12, lambda s: -((s["x"] - 0.4) ** 2))
    assert [s.fidelity for s in asked] == [None] * 12
    text = "AutoNE: the objective takes no fidelity, so every trial is on the whole graph"
    assert [str(w.message) for w in caught] == [text]
    assert hpo.best()[1] > -0.01


def test_it_runs_with_an_objective_that_makes_its_sub_graph():
    """End to end through the runner: what f trains on has the share of its fidelity."""
    shares, sizes = (0.1, 0.2), []

    def f(hps, dataset, fidelity):
        nodes = sample_nodes(dataset, 200, fidelity)
        sizes.append(len(nodes))
        return -((hps["x"] - 0.3) ** 2)

    signatures = subgraph_signatures(RING, 200, shares)
    options = {"shares": shares, "n_small": 4, "signatures": signatures, "max_evals": 6, "seed": 0}
    hpo = build_hpo_from_name("autone", LINE, f, **options)
    hpo.optimize(dataset=RING, progress="none")
    assert sizes == [20, 40, 20, 40, 200, 200]


def test_signatures_are_those_of_the_sub_graphs_and_of_the_whole():
    """The whole graph comes last."""
    found = subgraph_signatures(RING, 200, (0.5,), keep=[3], seed=2)
    nodes = sample_nodes(RING, 200, 0.5, keep=[3], seed=2)
    chain = np.stack([np.arange(len(nodes) - 1), np.arange(1, len(nodes))])  # what is left of a ring: one piece
    assert found[1] == graph_signature(RING, 200).tolist()
    if (np.diff(nodes) == 1).all():
        np.testing.assert_allclose(found[0], graph_signature(chain, len(nodes)))


def test_distances_are_those_of_signatures_or_else_of_sizes():
    """The whole graph first; squared, and divided by their mean."""
    found = _distances([[0.0, 3.0], [4.0, 0.0], [0.0, 0.0]], (0.1, 0.2))
    np.testing.assert_allclose(found, np.array([[0, 9, 16], [9, 0, 25], [16, 25, 0]]) / (50 / 3))
    a, b = np.log([0.1, 0.4])
    plain = np.array([[0, a * a, b * b], [a * a, 0, (a - b) ** 2], [b * b, (a - b) ** 2, 0]])
    np.testing.assert_allclose(_distances(None, (0.1, 0.4)), plain / (plain.sum() / 6))
    assert (_distances([[1.0]] * 2, (0.5,)) == 0).all()


def test_sub_graphs_are_brought_to_one_median_and_the_whole_graph_is_left():
    """Two sub-graphs with medians of 1 and 11 come to 6; results of 5 and 7 on the whole lie among them, and stay."""
    perfs, tasks = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 13.0, 5.0, 7.0]), np.array([1, 1, 1, 2, 2, 2, 0, 0])
    plain = np.array([5.0, 6.0, 7.0, 5.0, 6.0, 8.0, 5.0, 7.0])  # of eight the quarter is 5, the lowest
    np.testing.assert_allclose(standardised(perfs, tasks), (plain - plain.mean()) / plain.std(), atol=1e-12)


def test_a_whole_graph_on_another_scale_is_brought_to_the_median_of_the_others():
    """Where all its results are better, or all are worse, than any on a sub-graph."""
    for level in (-500.0, 500.0):
        perfs, tasks = np.array([1.0, 2.0, 3.0, level, level + 1.0, level + 2.0]), np.array([1, 1, 1, 0, 0, 0])
        plain = np.array([1.25, 2.0, 3.0, 1.25, 2.0, 3.0])  # of six the quarter lies at 1.25
        np.testing.assert_allclose(standardised(perfs, tasks), (plain - plain.mean()) / plain.std(), atol=1e-10)


def test_how_bad_a_bad_result_is_does_not_count():
    """Of five the worst quarter is the worst and the one above it; equal results have values of 0."""
    for worst in (1.0, -400.0):
        plain = np.array([1.0, 1.0, 2.0, 3.0, 5.0])
        found = standardised(np.array([worst, 1.0, 2.0, 3.0, 5.0]), np.zeros(5, int))
        np.testing.assert_allclose(found, (plain - plain.mean()) / plain.std(), atol=1e-12)
    assert standardised(np.full(3, -2.0), np.zeros(3, int)).tolist() == [0.0] * 3


def test_of_very_many_trials_the_best_and_the_newest_inform():
    """The best hundred of all, then the newest until there are three hundred; in the order told."""
    trials = [Trial(n, {}, Outcome(TrialState.COMPLETE, (float(-abs(n - 50)),))) for n in range(500)]
    kept = [trial.number for trial in _informative(trials)]
    assert kept == [*range(100), *range(300, 500)]  # of 0 and 100, which are as good, the older
    assert len(kept) == MOST_SEEN
    assert _informative(trials[:MOST_SEEN]) == trials[:MOST_SEEN]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shares": ()}, r"shares: must be a list of different numbers above 0 and below 1, got \(\)"),
        ({"shares": (0.1, 0.1)}, "shares: must be different"),
        ({"shares": (0.1, 1.0)}, "shares: must be a list of different"),
        ({"max_fidelity": 0.0}, "max_fidelity: must be positive and finite, got 0.0"),
        ({"n_small": -1}, "n_small: must be at least 0, got -1"),
        ({"signatures": [[1.0], [2.0]]}, "signatures: must be 3 lists of equally many finite numbers"),
        ({"signatures": [[1.0], [2.0], [float("nan")]]}, "signatures: must be 3 lists"),
        ({"signatures": [[1.0], [2.0], [1.0, 2.0]]}, "signatures: must be 3 lists"),
    ],
)
def test_wrong_options_are_named(options, text):
    """With rule and value."""
    with pytest.raises(OptionError, match=text):
        AutoNE(LINE, **options)
