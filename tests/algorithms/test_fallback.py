"""What happens when an algorithm cannot compute a suggestion."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, RangeHP, build_hpo_from_name
from autohpo.algorithms.bayes import Bayes
from autohpo.algorithms.kde import KDE
from autohpo.errors import AlgorithmError, SuggestionError

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("k", 1, 9)]


def value(hps):
    """Best at the upper end."""
    return hps["x"] + hps["k"]


@pytest.fixture
def faulty(monkeypatch):
    """Makes an algorithm raise in every third suggestion."""

    def make(cls, fault):
        real = cls._get_suggestion

        def suggest(hpo, pid):
            if hpo.number % 3 == 2:
                raise fault
            return real(hpo, pid)

        monkeypatch.setattr(cls, "_get_suggestion", suggest)

    return make


def hps_of(hpo):
    """What was suggested, and what is noted of it."""
    return [(dict(trial.hp), trial.info.get("fallback")) for trial in hpo.result]


def test_a_numerical_fault_costs_one_suggestion_and_not_the_search(faulty):
    """A draw from the prior takes its place, which is noted, and said once."""
    faulty(Bayes, np.linalg.LinAlgError("not positive definite"))
    hpo = build_hpo_from_name("bayes", SPACE, value, max_evals=9, seed=0)
    with pytest.warns(RuntimeWarning, match="Bayes: could not compute suggestion 2 .LinAlgError") as said:
        hpo.optimize(progress=False)
    assert len(said) == 1
    assert [note for _, note in hps_of(hpo)] == [None, None, "LinAlgError: not positive definite"] * 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_search_with_such_draws_is_resumed_to_the_same_end(faulty, tmp_path):
    """They follow from the seed and the number, and the log has them."""
    faulty(Bayes, ZeroDivisionError())

    def run(max_evals, store):
        hpo = build_hpo_from_name("bayes", SPACE, value, max_evals=max_evals, seed=0)
        hpo.optimize(progress=False, store=store)
        return hpo

    run(4, tmp_path / "run.db")
    assert hps_of(run(9, tmp_path / "run.db")) == hps_of(run(9, None))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_scheduler_keeps_its_fidelities_where_its_sampler_raises(faulty):
    """Only the configuration is drawn; a scheduler itself has no substitute."""

    def f(hps):
        for epoch in range(9):
            yield value(hps) * epoch

    faulty(KDE, FloatingPointError("underflow"))
    plain = build_hpo_from_name("hyperband", SPACE, f, max_evals=12, seed=0, max_fidelity=9)
    mixed = build_hpo_from_name("bohb", SPACE, f, max_evals=12, seed=0, max_fidelity=9, sampler="kde")
    plain.optimize(progress=False)
    mixed.optimize(progress=False)
    assert any("fallback" in trial.info for trial in mixed.result)
    assert [t.fidelity for t in mixed.result] == [t.fidelity for t in plain.result]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "options"), [("autone", {"n_small": 4}), ("bohb", {"max_fidelity": 9})])
def test_a_draw_starts_at_a_fidelity_of_the_algorithm(faulty, name, options):
    """As a point of the user's would, where an algorithm says the fidelity of each configuration itself."""

    def f(hps, fidelity):
        return value(hps) * fidelity

    hpo = build_hpo_from_name(name, SPACE, f, max_evals=9, seed=0, **options)
    fidelities = set(plain_fidelities(name, f, options))
    faulty(type(hpo), np.linalg.LinAlgError("not positive definite"))
    hpo.optimize(progress=False)
    assert any("fallback" in trial.info for trial in hpo.result)
    assert {trial.fidelity for trial in hpo.result} <= fidelities


def plain_fidelities(name, f, options):
    """The fidelities of a search without a fault."""
    hpo = build_hpo_from_name(name, SPACE, f, max_evals=9, seed=0, **options)
    hpo.optimize(progress=False)
    return [trial.fidelity for trial in hpo.result]


class Mine(BaseHPOptimizer):
    """An algorithm of the user's own, which is wrong."""

    def _get_suggestion(self, pid):
        return {"x": {}["best"]}


class MyBayes(Bayes):
    """One of ours with a hook of the user's own."""

    def _get_suggestion(self, pid):
        raise ValueError("mine")


@pytest.mark.parametrize(("cls", "text"), [(Mine, "KeyError: 'best'"), (MyBayes, "ValueError: mine")])
def test_an_own_algorithm_that_raises_is_named(cls, text):
    """With the cause, and without a substitute that would hide it."""
    assert issubclass(AlgorithmError, SuggestionError)
    with pytest.raises(AlgorithmError, match=rf"{cls.__name__}._get_suggestion: raised {text}, for suggestion 0") as e:
        cls(SPACE, value, max_evals=3).optimize(progress=False)
    assert type(e.value.__cause__).__name__ == text.split(":")[0]


def test_what_is_meant_for_the_search_passes_through():
    """An interrupt is no fault of the algorithm, and a wrong suggestion of ours is none to be hidden."""

    class Stops(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            raise GeneratorExit

    with pytest.raises(GeneratorExit):
        Stops(SPACE, value, max_evals=3).ask()
