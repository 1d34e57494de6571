"""hyperopt's TPE behind our interface: the suggestions of ``fmin``."""

from __future__ import annotations

import math
from functools import partial

import hyperopt
import numpy as np
import pytest
from hyperopt import hp as hp_of

from autohpo import ChoiceHP, LogRangeHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.spaces import ListHP, OrdinalHP, PermutationHP, SearchSpace

WITH_FMIN = pytest.mark.filterwarnings("ignore::DeprecationWarning:hyperopt")  # its own affair, with numpy 2.5
SPACE = [
    RangeHP("x", -1.0, 3.0),
    LogRangeHP("lr", 1e-4, 1e-1),
    RangeHP("n", 1, 8),
    ChoiceHP("act", ["relu", "tanh"], children={"relu": [RangeHP("slope", 0.0, 0.5)]}),
]
ACT = [{"act": "relu", "slope": hp_of.uniform("slope", 0.0, 0.5)}, {"act": "tanh"}]
THEIRS = {
    "x": hp_of.uniform("x", -1.0, 3.0),
    "lr": hp_of.loguniform("lr", math.log(1e-4), math.log(1e-1)),
    "n": hp_of.uniformint("n", 0.5, 8.5),
    "act": hp_of.choice("act", ACT),
}


def loss(hp):
    """A bowl with a term for every parameter, nested or flat."""
    slope = (hp["act"] if isinstance(hp["act"], dict) else hp).get("slope", 0.6)
    return (hp["x"] - 1) ** 2 + math.log(hp["lr"] / 0.01) ** 2 / 10 + abs(hp["n"] - 3) + slope


OPTIONS = {"n_startup_jobs": 8, "n_EI_candidates": 5, "gamma": 0.8, "prior_weight": 0.3}


@pytest.mark.parametrize("options", [{}, OPTIONS])
@WITH_FMIN
def test_search_is_that_of_fmin(options):
    """Equal to the last digit for 60 trials, most of them from the model, and the options are hyperopt's own."""
    trials, algorithm = hyperopt.Trials(), partial(hyperopt.tpe.suggest, **options)
    rstate = np.random.default_rng(9)
    hyperopt.fmin(loss, THEIRS, algorithm, 60, trials=trials, rstate=rstate, verbose=False)
    optimizer = build_hpo_from_name("hyperopt_tpe", SPACE, seed=9, mode="min", **options)
    for wanted in trials.losses():
        suggestion = optimizer.ask()
        assert loss(suggestion) == wanted
        optimizer.tell(suggestion, wanted)


def test_every_kind_is_drawn_from_its_prior():
    """Before there is a model each value has the share that our own space gives it: within 5 sd of a count.

    The sd of n draws is sqrt(n p (1 - p)); that of the share, from 50 times as many draws, is a seventh of it.
    """
    space = SearchSpace(
        [
            RangeHP("ints", 0, 3),
            LogRangeHP("log_ints", 1, 4),
            ChoiceHP("weighted", ["a", "b"], prior=[1, 3]),
            OrdinalHP("ordinal", [8, 16, 512]),
            RangeHP("steps", 0.1, 0.4, step=0.1),
            LogRangeHP("log_steps", 32, 128, step=32),
            RangeHP("believed", 0, 3, prior=[1, 1, 1, 3]),
            ListHP("list", ChoiceHP("item", ["u", "v"]), length=2),
            PermutationHP("order", ["p", "q"]),
        ]
    )
    n = 400
    optimizer = build_hpo_from_name("hyperopt_tpe", space, seed=0, n_startup_jobs=n)
    got, wanted = [optimizer.ask() for _ in range(n)], space.sample(np.random.default_rng(0), 50 * n)
    for name in space.names:
        for value in {repr(hp[name]): hp[name] for hp in wanted}.values():
            share = np.mean([hp[name] == value for hp in wanted])
            assert abs(sum(hp[name] == value for hp in got) - n * share) < 5 * math.sqrt(n * share * (1 - share))


def test_nothing_is_printed_or_logged(capsys, caplog):
    """hyperopt tells its log of every suggestion; here it says nothing."""
    with caplog.at_level("INFO"):
        optimizer = build_hpo_from_name("hyperopt_tpe", SPACE, seed=0, n_startup_jobs=1)
        for _ in range(3):
            suggestion = optimizer.ask()
            optimizer.tell(suggestion, loss(suggestion))
    assert capsys.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("hyperopt.tpe")] == []


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("n_startup_jobs", 0, "must be at least 1"),
        ("n_EI_candidates", 0, "must be at least 1"),
        ("gamma", 0.0, "must be above 0 and finite"),
        ("prior_weight", float("inf"), "must be above 0 and finite"),
    ],
)
def test_options_out_of_range_are_refused(option, value, rule):
    """The error names option, rule and value."""
    with pytest.raises(OptionError, match=f"{option}: {rule}, got {value}"):
        build_hpo_from_name("hyperopt_tpe", SPACE, **{option: value})
