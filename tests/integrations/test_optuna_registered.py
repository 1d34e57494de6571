"""Optuna's samplers under our registry: their own draws, the rules of algorithms, and names only where Optuna is."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest

from autohpo import (
    ChoiceHP,
    LogRangeHP,
    OptionError,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    RegistryError,
    SearchSpace,
    available_hpos,
    build_hpo_from_name,
    register_hpo,
)
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import MissingExtraError
from autohpo.spaces import ListHP
from autohpo.testing import optimizer_checks

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")

SPACE = [RangeHP("x", -3.0, 3.0), LogRangeHP("lr", 1e-4, 1e-1), RangeHP("k", 1, 9), ChoiceHP("c", ["a", "b", "z"])]
CHECKS = {
    *("same_seed_same_suggestions", "survives_pickling", "rebuilds_from_history", "rebuilds_while_trials_run"),
    *("draws_from_its_own_generator", "mode_min_mirrors_mode_max", "suggests_legal_values", "leaves_inputs_alone"),
    *("is_unmoved_by_asking_in_vain", "accepts_results_in_any_order", "suggests_behind_a_view_what_it_does_alone"),
}
"""Those of a few hundredths of a second; test_optuna_conformance.py has all of them, for each name."""


@pytest.fixture(autouse=True)
def _silence():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def value(hp):
    """A bowl and a choice."""
    return (hp["x"] - 1) ** 2 + abs(np.log10(hp["lr"]) + 2) + hp["k"] / 9 + (hp["c"] != "b")


@pytest.mark.parametrize("check", [c for c in optimizer_checks("optuna:tpe") if str(c) in CHECKS], ids=str)
def test_optunas_tpe_conforms(check):
    """The conformance checks of every algorithm."""
    check()


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        ("optuna:cmaes", ["rebuilds_from_history", "survives_pickling", "suggests_behind_a_view_what_it_does_alone"]),
        ("optuna:nsgaii", ["rebuilds_while_trials_run", "rebuilds_with_several_objectives"]),
        ("optuna:qmc", ["rebuilds_from_history", "is_unmoved_by_asking_in_vain"]),
    ],
)
def test_what_others_keep_with_a_study_is_rebuilt_from_the_log(name, checked):
    """Generations, places in a sequence, and the state of CMA-ES."""
    checks = {str(check): check for check in optimizer_checks(name)}
    for one in checked:
        checks[one]()


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("optuna:tpe", "TPESampler"), ("optuna:random", "RandomSampler"), ("optuna:nsgaii", "NSGAIISampler")],
)
def test_suggestions_are_those_of_optuna_itself(name, sampler):
    """The oracle is a study of Optuna's with the same trials, and a sampler with the seed of the suggestion."""
    options = {"population_size": 5} if name == "optuna:nsgaii" else {}
    hpo = build_hpo_from_name(name, SPACE, seed=4, mode="min", **options)
    study = optuna.create_study()
    for number in range(20):
        hp = hpo.ask()
        seed = int(np.random.default_rng((4, number)).integers(2**31))
        study.sampler = getattr(optuna.samplers, sampler)(seed=seed, **options)
        trial = study.ask()
        theirs = {
            "x": trial.suggest_float("x", -3, 3),
            "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
            "k": trial.suggest_int("k", 1, 9),
            "c": ["a", "b", "z"][trial.suggest_categorical("c", [0, 1, 2])],
        }
        assert dict(hp) == theirs
        hpo.tell(hp, value(hp))
        study.tell(trial, value(hp))


def test_trials_that_run_are_running_there():
    """Asked together, no two suggestions of TPE are alike, and they are not those without pending trials."""
    hpo = build_hpo_from_name("optuna:tpe", SPACE, seed=0)
    for _ in range(12):
        hp = hpo.ask()
        hpo.tell(hp, -value(hp))
    pending = [dict(hpo.ask()) for _ in range(4)]
    states = [trial.state.name for trial in hpo._followed.study.trials]
    assert states == ["COMPLETE"] * 12 + ["RUNNING"] * 3  # the newest is seen at the next question
    assert len({str(one) for one in pending}) == 4


def test_a_space_that_optuna_lacks_is_coded():
    """Orders, lists, conditions, steps on a log scale and priors: what comes back is legal, and a good one is found."""
    space = SearchSpace(
        [
            PermutationHP("order", ["a", "b", "c"]),
            ListHP("hidden", RangeHP("width", 1, 9), length="layers", max_length=3),
            RangeHP("layers", 1, 3),
            OrdinalHP("batch", [8, 64, 512]),
            LogRangeHP("steps", 1, 64, step=3),
            ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [RangeHP("m", 0.0, 0.9)]}),
        ]
    )
    hpo = build_hpo_from_name("optuna:tpe", space, seed=0, mode="min")
    for _ in range(60):
        hp = hpo.ask()
        space.check(hp)
        hpo.tell(hp, hp["order"].index("c") + sum(hp["hidden"]) + (hp["batch"] != 64) + hp.get("m", 1.0))
    assert hpo.best()[1] < 5  # random: .05 of the draws have at most 4 and the right order and batch far fewer


def test_constraints_of_results_are_optunas():
    """The oracle is a study of Optuna's with the same constraints; the suggestions without them are others."""
    hpo = build_hpo_from_name("optuna:tpe", [RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
    study = optuna.create_study()
    for number in range(25):
        hp = hpo.ask()
        seed = int(np.random.default_rng((0, number)).integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that constraints are experimental
            study.sampler = optuna.samplers.TPESampler(seed=seed, constraints_func=lambda t: [0.6 - t.params["x"]])
        trial = study.ask()
        assert trial.suggest_float("x", 0, 1) == hp["x"]
        hpo.tell(hp, hp["x"], constraints={"above": 0.6 - hp["x"]})
        study.tell(trial, hp["x"])
    free = build_hpo_from_name("optuna:tpe", [RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
    for _ in range(25):
        hp = free.ask()
        free.tell(hp, hp["x"])
    assert [t.hp for t in free.trials] != [t.hp for t in hpo.trials]


def test_it_is_the_sampler_of_a_scheduler():
    """With options of its own; a name is not enough to take fidelities."""
    hpo = build_hpo_from_name(
        "asha",
        [RangeHP("x", 0.0, 1.0)],
        lambda hps, fidelity: hps["x"] * fidelity,
        sampler=("optuna:tpe", {"multivariate": False}),
        max_fidelity=9,
        max_evals=30,
        seed=0,
    )
    assert hpo.optimize(progress=False)[1] > 7


def test_a_search_is_killed_and_goes_on_with_no_pickle_in_its_log(tmp_path):
    """CMA-ES keeps its optimizer with trials, as a pickle; the log has it in JSON, and the search goes on the same."""
    whole = build_hpo_from_name("optuna:cmaes", SPACE[:3], value3, mode="min", max_evals=40, seed=2)
    whole.optimize(progress=False)
    for n in (23, 40):
        part = build_hpo_from_name("optuna:cmaes", SPACE[:3], value3, mode="min", max_evals=n, seed=2)
        part.optimize(progress=False, store=tmp_path / "run.db")
    assert [t.hp for t in part.result.trials] == [t.hp for t in whole.result.trials]
    with sqlite3.connect(tmp_path / "run.db") as connection:
        text = "\n".join(connection.iterdump())
    assert '"kind":"CMA"' in text.replace(" ", "")
    assert b"cmaes._cma".hex() not in text  # the class in a pickle, as Optuna writes it


def value3(hps):
    """Of the numbers alone."""
    return value({**hps, "c": "b"})


@pytest.mark.parametrize("name", ["optuna:grid", "optuna:brute_force"])
def test_exhaustive_samplers_try_everything_once_and_end(name):
    """Six configurations; a space that is not countable is refused."""
    space = [RangeHP("k", 1, 3), ChoiceHP("c", ["a", None])]
    hpo = build_hpo_from_name(name, space, lambda hps: hps["k"], seed=0)
    hpo.optimize(progress=False)
    assert sorted(str(dict(t.hp)) for t in hpo.result.trials) == sorted(
        str({"k": k, "c": c}) for k in (1, 2, 3) for c in ("a", None)
    )
    with pytest.raises(OptionError, match="x: must have values that can be counted"):
        build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)])


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("optuna:tep", {}, RegistryError, "'optuna:tep': no such algorithm; did you mean 'optuna:tpe'?"),
        ("optna:tpe", {}, RegistryError, "did you mean 'optuna:tpe'?"),
        ("optuna:tpe", {"n_startup": 3}, OptionError, "n_startup: optuna:tpe has no such option; did you mean"),
        ("optuna:tpe", {"n_startup_trials": "x"}, OptionError, "n_startup_trials: must be int or None"),
        ("optuna:qmc", {"qmc_type": "x"}, OptionError, "qmc_type: must be 'sobol' or 'halton'"),
    ],
)
def test_a_wrong_name_or_option_is_refused(name, options, error, text):
    """As for our own."""
    with pytest.raises(error, match=text):
        build_hpo_from_name(name, SPACE, **options)


def test_the_names_of_a_family_are_reserved():
    """A user's algorithm may have a family of its own, but not one of ours."""
    with pytest.raises(RegistryError, match="optuna:mine: is the name of a built-in algorithm"):
        register_hpo("optuna:mine")(get_hpo("random"))
    with pytest.raises(RegistryError, match="must be lower-case letters"):
        register_hpo("a:b:c")(get_hpo("random"))


def test_names_are_listed_where_optuna_is_installed_and_it_is_not_imported_to_tell():
    """Without it they are not there, and the error names the extra; gp needs torch as well."""
    there = {f"optuna:{n}" for n in ("tpe", "random", "qmc", "grid", "brute_force", "nsgaii", "nsgaiii")}
    assert there <= set(available_hpos())
    assert ("optuna:gp" in available_hpos()) == (importlib.util.find_spec("torch") is not None)
    program = (
        "import sys, json, autohpo; names = autohpo.available_hpos(); loaded = 'optuna' in sys.modules\n"
        "import importlib.util as u\n"
        "import autohpo.algorithms.registry as r; r._is_installed.cache_clear()\n"
        "r._is_installed = lambda package: False; sys.modules['optuna'] = None\n"
        "try: autohpo.build_hpo_from_name('optuna:tpe', [autohpo.RangeHP('x', 0.0, 1.0)])\n"
        "except Exception as e: text = f'{type(e).__name__} {e}'\n"
        "print(json.dumps([names, loaded, [n for n in autohpo.available_hpos() if ':' in n], text]))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    names, loaded, without, text = json.loads(out.stdout)
    assert there <= set(names)
    assert not loaded
    assert without == []
    assert text == "MissingExtraError Optuna is not installed: pip install 'autohpo[optuna]'"


@pytest.mark.parametrize("name", ["optuna:qmc", "optuna:nsgaii"])
def test_what_is_drawn_in_vain_leaves_nothing_behind(name):
    """A scheduler may ask a sampler, and take another point: the next draw is the same."""
    hpo = build_hpo_from_name(name, SPACE, seed=0, **({"population_size": 4} if name == "optuna:nsgaii" else {}))
    for _ in range(9):
        drawn = [dict(session_of(hpo).propose(0)) for _ in range(3)]
        hp = hpo.ask()
        assert drawn == [dict(hp)] * 3
        hpo.tell(hp, value(hp))


@pytest.mark.parametrize(("name", "package"), [("optuna:gp", "torch"), ("optuna:cmaes", "cmaes")])
def test_a_package_that_a_sampler_needs_is_missed_before_the_first_trial(monkeypatch, name, package):
    """The sampler itself would miss it once it has a model to fit, after ten trials."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed, .*: pip install 'autohpo\[{package}\]'"):
        build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"])
