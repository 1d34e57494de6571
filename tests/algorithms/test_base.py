"""BaseHPOptimizer: the hooks as AutoGL documents them, options, and ask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from autohpo import (
    BaseHPOptimizer,
    ChoiceHP,
    FixedHP,
    NotReady,
    OptimizationComplete,
    OptionError,
    RangeHP,
    SpaceError,
    Suggestion,
)
from autohpo.errors import SuggestionError

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b"])]


class Steps(BaseHPOptimizer):
    """The least that an algorithm must be."""

    def _get_suggestion(self, pid):
        return {"x": self.number / 1000, "c": "a"}


class Documented(BaseHPOptimizer):
    """A subclass as AutoGL's documentation shows it, with positional hooks and trials of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    def _set_up(self, num_slaves, time_limit, memory_limit):
        self.trials = []
        self.calls.append((num_slaves, time_limit, memory_limit))

    def _get_suggestion(self, pid):
        return {"x": len(self.calls) / 100, "c": "b"}

    def _update_trials(self, pid, hp, perf):
        self.calls.append(pid)
        self.trials.append((hp, perf))

    def _best_hp(self):
        hp, perf = max(self.trials, key=lambda trial: trial[1])
        return hp, perf


class Returns(BaseHPOptimizer):
    """Suggests whatever it is given to suggest."""

    what = None

    def _get_suggestion(self, pid):
        return self.what


def returning(what, space=SPACE):
    """An optimizer that suggests `what`."""
    hpo = Returns(space)
    hpo.what = what
    return hpo


def test_subclass_with_one_hook_works():
    """``_get_suggestion`` alone makes an algorithm; everything else has a default."""
    hpo = Steps(SPACE)
    for perf in (0.2, 0.9, 0.4):
        hpo.tell(hpo.ask(), perf)
    assert hpo.best() == ({"x": 0.001, "c": "a"}, 0.9)
    assert [trial.perf for trial in hpo.trials] == [0.2, 0.9, 0.4]


def test_documented_subclass_runs_unchanged():
    """Hooks written from AutoGL's documentation are called as it says, and its own list of trials is its own."""
    hpo = Documented(SPACE, max_evals=3)
    hpo.set_up(4, 60.0, 10**9)
    first, second = hpo.ask(0), hpo.ask(3)
    hpo.tell(second, 0.25)
    hpo.tell(first, 0.75)
    assert hpo.calls == [(4, 60.0, 10**9), 3, 0]
    assert hpo.trials == [({"x": 0.01, "c": "b"}, 0.25), ({"x": 0.01, "c": "b"}, 0.75)]
    assert hpo.best() == ({"x": 0.01, "c": "b"}, 0.75)
    del hpo.trials  # what it covered is still there
    assert [trial.number for trial in hpo.trials] == [1, 0]


def test_documented_subclass_can_optimize():
    """The runner needs nothing of a subclass but the four hooks."""
    hpo = Documented(SPACE, lambda hp: hp["x"], max_evals=5)
    best_hp, best_perf = hpo.optimize(progress="none")
    assert best_perf == best_hp["x"] == 0.05
    assert len(hpo.result.trials) == 5


def test_class_without_suggestions_says_so():
    """A subclass that forgot the one hook it must have is told which."""
    with pytest.raises(NotImplementedError, match=r"BaseHPOptimizer must define _get_suggestion\(self, pid\)"):
        BaseHPOptimizer(SPACE).ask()


def test_trials_can_be_read_from_the_class():
    """Tools that look through a class, as help() does, must not stumble over ``trials``."""
    assert BaseHPOptimizer.trials is not None


def test_trials_are_read_only():
    """Nobody outside changes the history."""
    hpo = Steps(SPACE)
    hpo.tell(hpo.ask(), 1.0)
    assert not hasattr(hpo.trials, "append")
    assert len(hpo.trials) == len(list(hpo.trials)) == len(hpo.trials[:]) == 1
    assert repr(hpo.trials) == repr([hpo.trials[0]])


def test_set_up_is_called_once_with_the_limits():
    """A driver sets up first; the first ask must not do it again."""
    hpo = Documented(SPACE)
    hpo.set_up(2, 5.0, 7)
    hpo.set_up(3, 6.0, 8)
    hpo.ask()
    assert hpo.calls == [(2, 5.0, 7)]
    assert (hpo.time_limit, hpo.memory_limit) == (5.0, 7)


def test_set_up_that_raises_is_tried_again():
    """A set-up that failed has not happened."""

    class Fails(Steps):
        n = 0

        def _set_up(self, num_workers, time_limit, memory_limit):
            self.n += 1
            if self.n == 1:
                raise OSError("not yet")

    hpo = Fails(SPACE)
    with pytest.raises(OSError, match="not yet"):
        hpo.ask()
    assert hpo.ask().number == 0
    assert hpo.n == 2


# Options.


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_evals": 0}, "max_evals: must be at least 1, got 0"),
        ({"max_evals": 1.5}, "max_evals: must be int or None, got 1.5"),
        ({"max_evals": True}, "max_evals: must be int or None, got True"),
        ({"seed": -1}, "seed: must be at least 0, got -1"),
        ({"seed": "0"}, "seed: must be int or None, got '0'"),
        ({"mode": "best"}, None),
        ({"mode": {"acc": "best"}}, None),
        ({"mode": []}, None),
        ({"mode": {"": "max"}}, "mode: names of objectives must be strings that are not empty, got {'': 'max'}"),
    ],
)
def test_wrong_options_are_named(options, text):
    """The error says which option, which rule and which value."""
    with pytest.raises(OptionError) as caught:
        Steps(SPACE, **options)
    form = "'max', 'min', a dict such as {'acc': 'max', 'latency': 'min'}, or a list such as ['max', 'min']"
    assert str(caught.value) == (text or f"mode: must be {form}, got {options['mode']!r}")


def test_options_of_a_subclass_are_checked_by_their_annotations():
    """A dataclass field is all it takes; an int may stand for a float, a bool for no number."""

    @dataclass(eq=False, kw_only=True)
    class Tuned(Steps):
        width: float = 0.5
        name: str | None = None

    assert Tuned(SPACE, width=2).width == 2
    with pytest.raises(OptionError, match="width: must be float, got True"):
        Tuned(SPACE, width=True)
    with pytest.raises(OptionError, match="name: must be str or None, got 3"):
        Tuned(SPACE, name=3)


def test_space_must_be_a_list_of_parameters():
    """What is no space is refused when the optimizer is built."""
    for space in (RangeHP("x", 0, 1), "x", {"x": 1}, [], ["x"]):
        with pytest.raises(SpaceError):
            Steps(space)


def test_drawn_seed_can_be_read_and_used_again():
    """Without a seed one is drawn, so that even that search can be repeated."""

    class Draws(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return self.space.sample(self.rng, 1)[0]

    first = Draws(SPACE)
    assert first.is_seed_drawn
    assert not Draws(SPACE, seed=3).is_seed_drawn
    assert Draws(SPACE, seed=first.seed).ask() == first.ask()
    assert len({Draws(SPACE).seed for _ in range(20)}) == 20  # 32 random bits: a pair is equal once in 2**32


# Ask.


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ([1], "must return a dict, got list"),
        (None, "must return a dict, got NoneType"),
        ({"x": 0.5}, "c: must be in the configuration, got only ['x']"),
        ({"x": 1.5, "c": "a"}, "x: must be a value of RangeHP"),
        ({"x": 0.5, "c": "z"}, "c: must be a value of ChoiceHP"),
        ({"x": math.nan, "c": "a"}, "x: must be a value of RangeHP"),
        ({"x": 0.5, "c": "a", "y": 1}, "names must be among ['x', 'c'], got ['y']"),
        (Suggestion({"x": 0.5, "c": "a"}, fidelity=0.0), "fidelity must be positive and finite, got float 0.0"),
        (Suggestion({"x": 0.5, "c": "a"}, fidelity=math.inf), "fidelity must be positive and finite, got float inf"),
        (Suggestion({"x": 0.5, "c": "a"}, fidelity="9"), "fidelity must be positive and finite, got str '9'"),
        (Suggestion({"x": 0.5, "c": "a"}, resume=0), "resume: must be the number of an earlier trial, got 0"),
        (Suggestion({"x": 0.5, "c": "a"}, resume="0"), "resume: must be the number of an earlier trial, got '0'"),
        (Suggestion({"x": 0.5, "c": "a"}, info={"o": object()}), "not JSON serializable"),
        (Suggestion({"x": 0.5, "c": "a"}, info={"score": math.nan}), "not JSON compliant"),
    ],
)
def test_suggestion_that_breaks_a_rule_is_refused_by_name(what, text):
    """The error names the class and the rule, and nothing has happened: no number is used up."""
    hpo = returning(what)
    with pytest.raises(SuggestionError) as caught:
        hpo.ask()
    assert str(caught.value).startswith("Returns._get_suggestion: ")
    assert text in str(caught.value)
    assert hpo.n_asked == 0
    assert hpo.running == []
    hpo.what = {"x": 0.5, "c": "a"}
    assert hpo.ask().number == 0


def test_numpy_values_of_a_hook_become_plain():
    """A hook may compute with numpy; the user, the log and JSON get Python's own types."""
    space = [RangeHP("x", 0.0, 1.0), RangeHP("n", 0, 9), ChoiceHP("b", [True, False]), ChoiceHP("s", ["u", "v"])]
    what = {"x": np.float32(0.5), "n": np.int64(3), "b": np.bool_(True), "s": np.str_("u")}
    suggestion = returning(Suggestion(what, fidelity=np.float64(3.0)), space).ask()
    assert [type(value) for value in suggestion.values()] == [float, int, bool, str]
    assert type(suggestion.fidelity) is int


def test_numpy_choices_of_the_user_stay_what_they_are():
    """A choice comes back as the very object given, also where it is numpy's own."""
    choices = list(np.arange(3))
    space = [ChoiceHP("x", choices), FixedHP("y", np.float64(0.5))]
    suggestion = returning({"x": choices[1], "y": space[1].value}, space).ask()
    assert suggestion["x"] is choices[1]
    assert suggestion["y"] is space[1].value


def test_info_is_what_a_store_would_give_back():
    """Tuples and int keys change in JSON, so they change at once: a resumed search must see what the first one saw."""
    suggestion = returning(Suggestion({"x": 0.5, "c": "a"}, info={"pair": (1, 2), 3: "three"})).ask()
    assert suggestion.info == {"pair": [1, 2], "3": "three"}


def test_writing_into_a_suggestion_changes_nothing_inside():
    """What the caller got is a copy all the way down."""
    hpo = returning(Suggestion({"x": 0.5, "c": "a"}, info={"deep": [1]}))
    suggestion = hpo.ask()
    whole = suggestion.copy()
    for one in (suggestion, whole):
        one.info["deep"].append(2)
    suggestion["x"], suggestion.fidelity = 7.0, 9.0
    hpo.tell(whole, 1.0)
    trial = hpo.trials[0]
    assert (trial.hp, trial.info, trial.fidelity) == ({"x": 0.5, "c": "a"}, {"deep": [1]}, None)


def test_seeds_of_trials_are_distinct_and_repeatable():
    """The objective's seed is a function of the search's seed and the number, and lies in [0, 2**31)."""
    seeds = {seed: [hpo.ask().seed for _ in range(200)] for seed in (0, 1) for hpo in [Steps(SPACE, seed=seed)]}
    again = Steps(SPACE, seed=0)
    assert [again.ask().seed for _ in range(200)] == seeds[0]
    drawn = seeds[0] + seeds[1]
    assert all(0 <= seed < 2**31 for seed in drawn)
    assert len(set(drawn)) == 400  # two of 400 would be equal by chance once in 27,000


def test_generator_is_made_anew_for_every_hook():
    """What a hook draws does not depend on what was drawn before it, nor on asks that came to nothing."""

    class Draws(BaseHPOptimizer):
        drawn = ()

        def _get_suggestion(self, pid):
            value = self.rng.random()
            if pid == 1:
                raise NotReady("later")
            return {"x": value, "c": "a"}

        def _update_trials(self, pid, hp, perf):
            self.drawn = (*self.drawn, self.rng.random())

    calm, busy = Draws(SPACE, seed=5), Draws(SPACE, seed=5)
    for hpo in (calm, busy):
        first, second = hpo.ask(), hpo.ask()
        assert first["x"] == np.random.default_rng((5, 0)).random()
        if hpo is busy:
            with pytest.raises(NotReady):
                hpo.ask(1)
        hpo.tell([(first, 1.0), (second, 2.0)])
    assert calm.drawn == busy.drawn == (np.random.default_rng((5, 2)).random(),) * 2
    assert calm.ask() == busy.ask()


def test_replayed_optimizer_numbers_as_the_first_did():
    """A hook that reads ``number`` finds the same one after a replay as in the search that was killed."""

    class Notes(Steps):
        seen = ()

        def _update_trials(self, pid, hp, perf):
            self.seen = (*self.seen, self.number)

    first, second = Notes(SPACE), Notes(SPACE)
    for _ in range(3):
        suggestion = first.ask()
        second.adopt(suggestion)
        first.tell(suggestion, 1.0)
        second.tell(suggestion, 1.0)
    assert first.seen == second.seen == (1, 2, 3)


def test_max_evals_ends_the_search():
    """The budget counts suggestions, whatever became of them."""
    hpo = Steps(SPACE, max_evals=2)
    hpo.fail(hpo.ask(), "broken")
    hpo.ask()
    for _ in range(2):
        with pytest.raises(OptimizationComplete, match="max_evals: all 2 suggestions were made"):
            hpo.ask()
