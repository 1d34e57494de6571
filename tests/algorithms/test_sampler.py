"""Sampler: another algorithm behind a history or a view, and how one is named."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.sampler import Sampler, spec_of
from autohpo.algorithms.registry import _REGISTERED
from autohpo.algorithms.tpe import TPE
from autohpo.errors import RegistryError, SuggestionError
from autohpo.trial import Suggestion

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]


def owner_of(*trials, mode="max"):
    """A search whose trials were made elsewhere: ``(x, fidelity, perf)`` each; a perf of None still runs."""
    hpo = build_hpo_from_name("random", SPACE, seed=0, mode=mode)
    for x, fidelity, perf in trials:
        add(hpo, x, fidelity, perf)
    return hpo


def add(hpo, x, fidelity, perf=None, **kind):
    """One more of them."""
    suggestion = Suggestion({"x": x, "act": "relu"}, fidelity=fidelity, number=hpo.n_asked, **kind)
    hpo.adopt(suggestion)
    if perf is not None:
        hpo.tell(suggestion, perf)
    return suggestion


def test_it_follows_a_history_that_others_made():
    """It adopts what it did not suggest itself, and is told results and failures in their order."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    first, second, third = hpo.ask(), hpo.ask(), hpo.ask()
    hpo.tell(second, 0.5)
    hpo.fail(first, "no luck")
    sampler = Sampler("tpe", hpo)
    sampler.suggest(hpo.history)
    assert [(t.number, t.perf) for t in sampler.inner.trials] == [(1, 0.5), (0, None)]
    assert [s.number for s in sampler.inner.running] == [2]
    hpo.tell(third, 0.7)
    sampler.suggest(hpo.history)
    assert sampler.inner.trials[-1].perf == 0.7
    assert sampler.inner.n_asked == 3  # what it suggests counts once the history has it


def test_it_learns_in_the_direction_of_the_search():
    """With mode="min" its trials keep the user's values, and scores are higher where they are better."""
    hpo = owner_of((0.5, None, 3.0), mode="min")
    sampler = Sampler("tpe", hpo)
    sampler.suggest(hpo.history)
    assert (sampler.inner.trials[0].perf, sampler.inner.trials[0].score) == (3.0, -3.0)


def test_behind_a_view_trials_are_numbered_anew_and_full():
    """Of five trials two were at 3, and one is on its way there; what runs at 1 is none of it."""
    hpo = owner_of((0.1, 1.0, 1.0), (0.2, 3.0, 2.0), (0.3, 1.0, None), (0.4, 3.0, None), (0.5, 3.0, 5.0))
    sampler, view = Sampler("tpe", hpo), hpo.history.at(3.0)
    sampler.suggest(view)
    assert [(t.number, t.hp["x"], t.fidelity, t.perf) for t in sampler.inner.trials] == [
        (0, 0.2, None, 2.0),
        (2, 0.5, None, 5.0),
    ]
    assert [(s.number, s["x"], s.fidelity) for s in sampler.inner.running] == [(1, 0.4, None)]
    assert sampler.resumable(view) == frozenset()


def test_the_whole_history_shows_fidelities_and_what_continues_what():
    """A scheduler inside another optimizer, as auto has it, promotes by the numbers of the search."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0)
    sampler = Sampler("hyperband", hpo, {"max_fidelity": 9.0})
    for n in range(9):
        made = sampler.suggest(hpo.history).copy()
        assert made.fidelity == 1.0
        made.number = n
        hpo.adopt(made)
        hpo.tell(made, float(n))
    promoted = sampler.suggest(hpo.history)
    assert (promoted.resume, promoted.fidelity) == (8, 3.0)
    assert sampler.resumable(hpo.history) == {6, 7, 8}


def test_reports_are_handed_over_once_and_anew_after_a_restart():
    """They reach the hook of the inner algorithm, each time with its fidelity."""

    class Listens(BaseHPOptimizer):
        heard = ()

        def _get_suggestion(self, pid):
            return {"x": 0.5, "act": "relu"}

        def _on_report(self, hp, fidelity, perf):
            self.heard = (*self.heard, (hp.number, fidelity, perf))
            return True

    hpo = owner_of()
    running = add(hpo, 0.1, None)
    sampler = Sampler(Listens, hpo)
    hpo.report(running, 1, 0.1)
    sampler.suggest(hpo.history)
    hpo.report(running, 2, 0.2)
    sampler.suggest(hpo.history)
    assert sampler.inner.heard == ((0, 1, 0.1), (0, 2, 0.2))
    hpo.restart(running)
    hpo.report(running, 1, 0.15)
    sampler.suggest(hpo.history)
    assert sampler.inner.heard[2:] == ((0, 1, 0.15),)
    hpo.tell(running, 0.2)
    sampler.suggest(hpo.history)
    assert sampler.inner.trials[0].reports == ((1, 0.15),)


def test_hooks_of_results_are_called():
    """An algorithm written as AutoGL's page has it keeps what it is told itself."""

    class Keeps(BaseHPOptimizer):
        def _set_up(self, num_workers, time_limit, memory_limit):
            self.best = (-1.0, {"x": 0.5, "act": "relu"})

        def _update_trials(self, pid, hp, perf):
            self.best = max(self.best, (perf, dict(hp)), key=lambda item: item[0])

        def _get_suggestion(self, pid):
            return self.best[1]

    hpo = owner_of((0.1, None, 0.3), (0.7, None, 0.9), (0.2, None, 0.4))
    assert Sampler(Keeps, hpo).suggest(hpo.history)["x"] == 0.7


def test_a_view_whose_trials_change_is_read_anew():
    """In the view of last values a promoted trial takes the place of the one that it continues."""
    hpo = owner_of((0.1, 1.0, 1.0), (0.2, 1.0, 2.0))
    sampler, view = Sampler("tpe", hpo), hpo.history.last_values()
    sampler.suggest(view)
    first = sampler.inner
    add(hpo, 0.1, 3.0, 9.0, resume=0)
    sampler.suggest(view)
    assert sampler.inner is not first
    assert [(t.hp["x"], t.perf) for t in sampler.inner.trials] == [(0.1, 9.0), (0.2, 2.0)]


def test_one_sampler_follows_one_view():
    """Another one would be another past."""
    hpo = owner_of((0.1, 1.0, 1.0))
    sampler = Sampler("tpe", hpo)
    sampler.suggest(hpo.history)
    with pytest.raises(OptionError, match="view: a sampler follows one view"):
        sampler.suggest(hpo.history.at(1.0))


def test_it_draws_from_the_generator_of_its_owner():
    """One that has been drawn from goes on; without one it is as the algorithm has it alone."""
    hpo = owner_of()
    used = np.random.default_rng((0, 0))
    used.random(5)
    wanted = np.random.default_rng((0, 0)).random(6)
    assert Sampler("random", hpo).suggest(hpo.history)["x"] == wanted[0]
    assert Sampler("random", hpo).suggest(hpo.history, 0, used)["x"] == wanted[5]


def test_an_algorithm_that_returns_no_configuration_is_named():
    """The text says whose fault it is."""

    class Silent(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return None

    hpo = owner_of()
    with pytest.raises(SuggestionError, match="Silent._get_suggestion: must return a dict, got NoneType"):
        Sampler(Silent, hpo).suggest(hpo.history)


def test_every_form_of_a_sampler_has_one_name():
    """A name alone where all options are the defaults; options of the search itself are none of the sampler's."""
    assert spec_of("tpe") == spec_of(TPE(SPACE)) == spec_of(("tpe", {})) == spec_of(["tpe", {"n_startup": 10}]) == "tpe"
    given = TPE(SPACE, lambda hps: 0.0, n_startup=5, max_evals=7, seed=3, mode="min")
    assert spec_of(given) == spec_of(("tpe", {"n_startup": 5})) == ["tpe", {"n_startup": 5}]
    assert spec_of(spec_of(given)) == spec_of(given)


def test_what_names_no_sampler_is_refused(monkeypatch):
    """The text says what it may be, or which name or option is near."""

    class Unknown(TPE):
        pass

    with pytest.raises(RegistryError, match="'tpee': no such algorithm; did you mean 'tpe'"):
        spec_of("tpee")
    with pytest.raises(OptionError, match="n_start: tpe has no such option; did you mean 'n_startup'"):
        spec_of(("tpe", {"n_start": 5}))
    with pytest.raises(OptionError, match=r"sampler: must be a name, \(name, options\) or an optimizer, got int 3"):
        spec_of(3)
    with pytest.raises(OptionError, match="sampler: must be of a registered class, got .*Unknown; decorate it with"):
        spec_of(Unknown(SPACE))
    monkeypatch.setitem(_REGISTERED, "known_now", Unknown)
    assert spec_of(Unknown(SPACE)) == "known_now"
