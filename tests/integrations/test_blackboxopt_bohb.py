"""BOHB with blackboxopt's arguments: its signature, its brackets, and our `bohb` behind them."""

from __future__ import annotations

import inspect
import logging
import math

import numpy as np
import pytest

from autohpo import OptionError, build_hpo_from_name

pytest.importorskip("blackboxopt", reason="the extra autohpo[blackboxopt] is not installed")

import blackboxopt as bbo
import parameterspace as ps
from blackboxopt.optimization_loops import sequential
from blackboxopt.optimizers.hyperband import Hyperband

from autohpo.integrations.blackboxopt import BOHB, from_parameterspace

LOSS = bbo.Objective("loss", greater_is_better=False)


def a_space(d=2):
    """The unit cube."""
    space = ps.ParameterSpace(seed=0)
    for i in range(d):
        space.add(ps.ContinuousParameter(f"x{i}", (0.0, 1.0)))
    return space


def drained(optimizer, loss=lambda configuration, fidelity: sum(configuration.values())):
    """Every specification until the optimization is complete, with its loss."""
    found = []
    while True:
        try:
            specification = optimizer.generate_evaluation_specification()
        except bbo.OptimizationComplete:
            return found
        value = loss(specification.configuration, specification.settings["fidelity"])
        optimizer.report(specification.create_evaluation(objectives={"loss": value}))
        found.append((specification, value))


def test_its_arguments_are_those_of_the_class_of_the_library():
    """Names, order, defaults and kinds; ours has two more, by name alone."""
    theirs = pytest.importorskip("blackboxopt.optimizers.bohb", reason="blackboxopt[bohb] is not installed")
    wanted = inspect.signature(theirs.BOHB.__init__).parameters
    ours = inspect.signature(BOHB.__init__).parameters
    shared = {name: one for name, one in ours.items() if one.kind is not inspect.Parameter.KEYWORD_ONLY}
    assert [(one.name, one.default, one.kind) for one in shared.values()] == [
        (one.name, one.default, one.kind) for one in wanted.values()
    ]
    assert set(ours) - set(shared) == {"sampler", "store"}


BRACKETS = {  # of bohb.md, section 3: configurations of each rung
    (1, 9, 3): [(9, 3, 1), (5, 1), (3,)],
    (1, 27, 3): [(27, 9, 3, 1), (12, 4, 1), (6, 2), (4,)],
    (1, 81, 3): [(81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,)],
    (1, 16, 2): [(16, 8, 4, 2, 1), (10, 5, 2, 1), (7, 3, 1), (5, 2), (5,)],
    (1, 64, 4): [(64, 16, 4, 1), (22, 5, 1), (8, 2), (4,)],
}


@pytest.mark.parametrize(("low", "high", "eta"), BRACKETS)
def test_its_brackets_are_those_of_the_library(low, high, eta):
    """One round and the first bracket again: by the table, and as the library's own Hyperband runs them."""
    table = BRACKETS[low, high, eta]
    ours = BOHB(a_space(), LOSS, low, high, len(table) + 1, eta=eta, sampler="random", seed=0)
    theirs = Hyperband(a_space(), LOSS, low, high, len(table) + 1, eta=eta, seed=0)

    def counts(found):
        keys = [(s.optimizer_info["configuration_key"][0], float(s.settings["fidelity"])) for s, _ in found]
        return {key: keys.count(key) for key in keys}

    found = counts(drained(ours))
    assert found == counts(drained(theirs))
    for i, sizes in enumerate([*table, table[0]]):
        assert tuple(n for (bracket, _), n in sorted(found.items()) if bracket == i) == sizes


def test_the_best_of_a_rung_go_on():
    """The oracle sorts the losses."""
    for bracket in (drained(BOHB(a_space(), LOSS, 1, 9, 1, seed=0)),):
        by_fidelity = {f: [(v, s) for s, v in bracket if s.settings["fidelity"] == f] for f in (1, 3, 9)}
        for low, high in ((1, 3), (3, 9)):
            best = sorted(value for value, _ in by_fidelity[low])[: len(by_fidelity[high])]
            assert sorted(value for value, _ in by_fidelity[high]) == best


def test_a_failed_evaluation_never_goes_on_and_new_configurations_take_its_place():
    """As blackboxopt fills a stage with too few survivors."""
    optimizer = BOHB(a_space(), LOSS, 1, 9, 1, seed=0)
    for i in range(9):
        specification = optimizer.generate_evaluation_specification()
        optimizer.report(specification.create_evaluation(objectives={"loss": None if i else 1.0}))
    found = drained(optimizer)
    assert [s.settings["fidelity"] for s, _ in found] == [3, 3, 3, 9]
    assert ["resume" in s.optimizer_info for s, _ in found] == [True, False, False, True]
    assert [s.optimizer_info["configuration_key"] for s, _ in found][1:3] == [(0, 1, 0), (0, 1, 1)]


def hartmann6(configuration, fidelity):
    """Hartmann's function of six dimensions with a fidelity from 1 to 27; the optimum is -3.3224 at 27."""
    alphas = np.array([1.0, 1.2, 3.0, 3.2]) - 0.1 * (1 - fidelity / 27)
    a = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    p = np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    x = np.array([configuration[f"x{i}"] for i in range(6)])
    return -float(alphas @ np.exp(-(a * (x - p / 1e4) ** 2).sum(1)))


@pytest.mark.parametrize("sampler", [None, "kde"])
def test_it_is_our_bohb_and_finds_what_that_finds(sampler):
    """The same configurations at the same fidelities, through the loop and by ask and tell."""
    optimizer = BOHB(a_space(6), LOSS, 1, 27, 4, seed=5, sampler=sampler)

    def function(specification):
        loss = hartmann6(specification.configuration, specification.settings["fidelity"])
        return specification.create_evaluation(objectives={"loss": loss})

    found = sequential.run_optimization_loop(optimizer, function)
    options = {"min_fidelity": 1, "max_fidelity": 27, "num_iterations": 4, "sampler": sampler, "mode": "min", "seed": 5}
    direct = build_hpo_from_name("bohb", from_parameterspace(a_space(6)), **options)
    for evaluation in found:
        suggestion = direct.ask()
        assert (dict(suggestion), suggestion.fidelity) == (evaluation.configuration, evaluation.settings["fidelity"])
        direct.tell(suggestion, hartmann6(suggestion, suggestion.fidelity))
    assert optimizer.hpo.best() == direct.best()
    assert len(found) == sum(sum(sizes) for sizes in BRACKETS[1, 27, 3])


def test_the_options_of_the_densities_act():
    """Each is that of our `bohb`; a share of .15 percent is an error there, and no minimum in silence."""
    optimizer = BOHB(
        a_space(), LOSS, 1, 9, 3, 3.0, 20, 4, 32, 0.5, 2.0, 1e-2, 1, logging.getLogger("mine"), sampler="kde"
    )
    hpo = optimizer.hpo
    assert (hpo.top_n_percent, hpo.min_samples_in_model, hpo.num_samples) == (20, 4, 32)
    assert (hpo.random_fraction, hpo.bandwidth_factor, hpo.min_bandwidth, hpo.seed) == (0.5, 2.0, 1e-2, 1)
    assert (optimizer.min_fidelity, optimizer.max_fidelity, optimizer.num_iterations, optimizer.eta) == (1, 9, 3, 3.0)
    assert any(s.optimizer_info["model_based_pick"] for s, _ in drained(optimizer))
    for wrong in (
        {"top_n_percent": 0.15},
        {"min_fidelity": 0},
        {"min_fidelity": 10},
        {"eta": 1.5},
        {"num_iterations": 0},
        {"num_samples": 0},
        {"random_fraction": math.nan},
        {"min_bandwidth": -1.0},
        {"sampler": "tpe", "num_samples": 10},
    ):
        arguments = {"min_fidelity": 1, "max_fidelity": 9, "num_iterations": 3, **wrong}
        with pytest.raises(OptionError, match=next(reversed(wrong))):
            BOHB(a_space(), LOSS, **arguments)


def test_its_logger_hears_of_each_specification(caplog):
    """At the level DEBUG, in the logger that was given, else in the library's own."""
    with caplog.at_level(logging.DEBUG, "mine"):
        drained(BOHB(a_space(), LOSS, 1, 3, 1, seed=0, logger=logging.getLogger("mine")))
    assert [record.name for record in caplog.records] == ["mine"] * 4
    assert caplog.messages[-1].startswith("trial 3 of bracket 0, rung 1, fidelity 3: rank 1 of 3")
    assert BOHB(a_space(), LOSS, 1, 3, 1).logger.name == "blackboxopt"
