"""Scheduled, where a scheduler and a sampler meet: decisions become suggestions, and options become a run's header."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass

import pytest

from autohpo import ChoiceHP, OptionError, RangeHP, Result, Suggestion, build_hpo_from_name
from autohpo.algorithms.registry import _REGISTERED, get_hpo
from autohpo.algorithms.scheduled import Scheduled
from autohpo.algorithms.tpe import TPE
from autohpo.errors import NotReady, OptimizationComplete, StoreMismatchError, SuggestionError
from autohpo.schedulers import Fork, Promote, Scheduler, Start
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]


def train(hps):
    """Nearer to x with each epoch."""
    for epoch in range(1, 30):
        yield hps["x"] - 1 / epoch


class Scripted(Scheduler):
    """Says what it was told to say, and remembers what it was asked with."""

    def __init__(self, *decisions, cost=math.inf):
        self.decisions, self.asked, self.cost = list(decisions), [], cost

    def next(self, seen, rng, *, can_start=True, n_left=math.inf):
        self.asked.append((can_start, n_left))
        decision = self.decisions[0]
        if isinstance(decision, Exception):
            raise decision
        return self.decisions.pop(0)

    def on_report(self, seen, trial, fidelity, score):
        return score > -0.5

    def why(self, seen, trial):
        return f"trial {trial} was not good"


@dataclass(eq=False, kw_only=True)
class Follows(Scheduled):
    """An algorithm around a scripted scheduler."""

    script: Scheduler = None

    def _make_scheduler(self):
        return self.script


def hpo_of(*decisions, space=SPACE, **options):
    """An optimizer that carries out these decisions."""
    return Follows(space, script=Scripted(*decisions), max_fidelity=9.0, seed=0, **options)


def test_decisions_become_suggestions():
    """A start has the sampler's configuration, a promotion that of its trial, a fork its own; notes are joined."""
    hpo = hpo_of(
        Start(1.0, {"rung": 0}),
        Promote(0, 3.0, {"rung": 1, "why": "good"}),
        Fork(1, {"x": 0.25}, 5.0, {"replaces": 7, "why": "better"}),
        Promote(2, 9.0, {"why": "last"}),
        Start(),
        sampler="quasi_random",
    )
    made = []
    for _ in range(5):
        made.append(hpo.ask())
        hpo.tell(made[-1], 0.5)
    start, promoted, fork, last, full = made
    assert (start.fidelity, start.resume, start.fork, start.info) == (1.0, None, None, {"rung": 0, "index": 0})
    assert (promoted.fidelity, promoted.resume, dict(promoted)) == (3.0, 0, dict(start))
    assert promoted.info == {"rung": 1, "why": "good", "index": 0}
    assert (fork.fidelity, fork.fork, dict(fork)) == (5.0, 1, {"x": 0.25})
    assert fork.info == {"replaces": 7, "why": "better"}
    assert (last.resume, last.info) == (2, {"why": "last"})  # it replaces nobody
    assert (full.fidelity, full.info) == (None, {"index": 1})


def test_a_start_may_name_its_configuration():
    """It is suggested in place of the sampler's; a point of the user's comes first, at the same fidelity."""
    hpo = hpo_of(*[Start(3.0, {"rung": 1}, {"x": 0.25})] * 2, points=[{"x": 0.75}])
    point, named = hpo.ask(), hpo.ask()
    assert (dict(point), point.fidelity, point.info) == ({"x": 0.75}, 3.0, {"rung": 1, "point": 0})
    assert (dict(named), named.fidelity, named.info) == ({"x": 0.25}, 3.0, {"rung": 1})


def test_the_scheduler_hears_of_the_budget():
    """The suggestions left, this one included."""
    hpo = hpo_of(*[Start(1.0)] * 3, max_evals=3)
    for _ in range(3):
        hpo.ask()
    assert hpo.script.asked == [(True, 3), (True, 2), (True, 1)]


def test_a_used_up_sampler_leaves_the_promotions():
    """It is asked again without a start; where there is nothing either, the sampler's own reason is told."""
    space = [ChoiceHP("c", ["a"])]
    hpo = hpo_of(Start(1.0), Start(1.0), Promote(0, 9.0), Start(1.0), OptimizationComplete("mine"), space=space)
    hpo.tell(hpo.ask(), 0.1)
    assert hpo.ask().resume == 0
    assert [can_start for can_start, _ in hpo.script.asked] == [True, True, False]
    with pytest.raises(OptimizationComplete, match="all 1 configurations"):
        hpo.ask()
    hpo = hpo_of(Start(1.0), Start(1.0), NotReady("later"), space=space)
    hpo.ask()
    with pytest.raises(NotReady, match="later"):
        hpo.ask()


def test_decisions_that_cannot_be_are_named():
    """The scheduler is at fault, and the text says what it may say."""
    hpo = hpo_of(Promote(3, 9.0))
    with pytest.raises(SuggestionError, match="Scripted.next: cannot promote trial 3, which has not ended"):
        hpo.ask()
    hpo = hpo_of({"x": 0.5})
    with pytest.raises(
        SuggestionError, match=r"Scripted.next: must return Start \(if can_start\), Promote or Fork, got"
    ):
        hpo.ask()
    hpo = hpo_of(Start(1.0), Start(1.0), Start(1.0), space=[ChoiceHP("c", ["a"])])
    hpo.tell(hpo.ask(), 0.0)
    with pytest.raises(SuggestionError, match="must return Start"):
        hpo.ask()
    hpo = hpo_of(Start(1.0), Promote(0, 1.0))
    hpo.tell(hpo.ask(), 0.0)
    with pytest.raises(SuggestionError, match="resume: fidelity must be above that of trial 0"):
        hpo.ask()
    with pytest.raises(NotImplementedError, match="Scheduled must define _make_scheduler"):
        Scheduled(SPACE)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_scheduler_stops_trials_and_says_why(num_workers):
    """Scores in the user's direction, negated once; the reason is in the result."""
    hpo = hpo_of(*[Start(9.0)] * 4, mode="min", points=[{"x": x} for x in (0.1, 0.9, 0.2, 0.8)], max_evals=4)

    def loss(hps):
        for epoch in range(9):
            time.sleep(0.05 if num_workers > 1 else 0)  # a worker hears of it at its next report
            yield hps["x"] + epoch / 100

    hpo.f = loss
    hpo.optimize(num_workers=num_workers, progress=False)
    assert [trial.state for trial in hpo.result] == [TrialState.COMPLETE, TrialState.STOPPED] * 2
    assert [trial.reached for trial in hpo.result][::2] == [9.0, 9.0]
    assert all(trial.reached <= num_workers for trial in list(hpo.result)[1::2])
    assert hpo.result.why(1) == "trial 1 was not good"


@pytest.mark.parametrize("name", ["hyperband", "asha", "pbt"])
def test_a_subclass_may_stop_trials_that_the_scheduler_would_not(name):
    """The scheduler has no reason to give, and continues none of them: they did not come to their rung."""
    cls = get_hpo(name)

    class Impatient(cls):
        def _on_report(self, hp, fidelity, perf):
            return fidelity != 2 or hp["x"] > 0.8

    def slow(hps, trial):
        (trial.checkpoint_dir / "state").write_text("saved")
        for epoch in range(1, 10):
            yield hps["x"] * epoch

    hpo = Impatient(SPACE, slow, max_fidelity=9.0, max_evals=30, seed=0)
    hpo.optimize(progress=False)
    stopped = [trial for trial in hpo.result if trial.state is TrialState.STOPPED]
    assert stopped
    assert all((trial.reached, trial.perf) == (2.0, 2 * trial.hp["x"]) for trial in stopped)
    assert all(trial.outcome.why == "" for trial in stopped)
    assert not {trial.number for trial in stopped} & {trial.resume for trial in hpo.result}
    assert not {trial.number for trial in stopped} & {trial.fork for trial in hpo.result}
    assert not hpo.why(99)


def test_points_start_as_any_configuration_does_and_each_is_tried():
    """Twelve points in rungs of 9-3-1: promotions come between them, and count for none of them."""
    points = [{"x": n / 12} for n in range(12)]
    hpo = build_hpo_from_name("hyperband", SPACE, max_fidelity=9.0, points=points, seed=0)
    started = []
    for _ in range(20):
        suggestion = hpo.ask()
        if suggestion.resume is None:
            started.append(suggestion)
        else:
            assert "point" not in suggestion.info
        hpo.tell(suggestion, suggestion["x"])
    assert [dict(s) for s in started[:12]] == points
    assert [s.info["point"] for s in started[:12]] == list(range(12))


def test_without_fidelity_it_evaluates_in_full_up_to_what_the_schedule_costs():
    """One warning; the sampler sees everything."""
    hpo = Follows(SPACE, script=Scripted(cost=3.5), sampler=("tpe", {"n_startup": 2}), seed=0)
    hpo.has_fidelity = False
    with pytest.warns(UserWarning, match="Follows: the objective takes no fidelity, so every trial is a full"):
        hpo.tell(hpo.ask(), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            hpo.tell(hpo.ask(), 0.0)
        with pytest.raises(OptimizationComplete, match="what the schedule costs went into 3 full evaluations"):
            hpo.ask()
    assert all(trial.fidelity is None for trial in hpo.trials)
    assert hpo.is_finite
    assert not Follows(SPACE, script=Scripted()).is_finite
    assert Follows(SPACE, script=Scripted(), sampler="grid").is_finite


def test_a_sampler_sees_the_results_of_one_fidelity(monkeypatch):
    """Of 9-3-1 the lowest, until there are enough at 3 for a model; never both together."""
    seen = []

    class Watched(TPE):
        def _get_suggestion(self, pid):
            seen.append([trial.perf for trial in self.trials])
            return super()._get_suggestion(pid)

    monkeypatch.setitem(_REGISTERED, "watched", Watched)
    hpo = build_hpo_from_name("hyperband", SPACE, sampler="watched", max_fidelity=9.0, seed=0)
    for _ in range(60):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion.fidelity + suggestion["x"] / 2)
    assert all(len({int(perf) for perf in perfs}) <= 1 for perfs in seen)
    assert {int(perf) for perfs in seen for perf in perfs} == {1, 3, 9}


@pytest.mark.parametrize("sampler", ["tpe", ("tpe", {"n_startup": 4}), "quasi_random"])
def test_a_run_goes_on_with_the_sampler_in_any_form(tmp_path, sampler):
    """Cut after 14 of 30 suggestions: the same as without the cut; another sampler is another run."""
    path, options = tmp_path / "cut.db", {"max_fidelity": 9.0, "seed": 0}
    whole = build_hpo_from_name("asha", SPACE, train, sampler=sampler, max_evals=30, **options)
    whole.optimize(progress=False, store=tmp_path / "whole.db")
    build_hpo_from_name("asha", SPACE, train, sampler=sampler, max_evals=14, **options).optimize(
        progress=False, store=path
    )
    if not isinstance(sampler, str):
        sampler = TPE(SPACE, n_startup=4)
    again = build_hpo_from_name("asha", SPACE, train, sampler=sampler, max_evals=30, **options)
    again.optimize(progress=False, store=path)
    assert [(t.hp, t.fidelity, t.resume, t.info, t.perf) for t in Result.load(path)] == [
        (t.hp, t.fidelity, t.resume, t.info, t.perf) for t in whole.result
    ]
    other = build_hpo_from_name("asha", SPACE, train, sampler="random", max_evals=40, **options)
    with pytest.raises(StoreMismatchError, match="sampler"):
        other.optimize(progress=False, store=path)


def test_a_search_without_a_seed_goes_on_with_the_one_that_was_drawn(tmp_path):
    """The sampler is made when the seed is known, not before."""

    def f(hps, fidelity):
        return hps["x"] - 1 / fidelity

    path = tmp_path / "run.db"
    for n in (13, 18):
        hpo = build_hpo_from_name("hyperband", SPACE, f, sampler="tpe", max_fidelity=9.0, max_evals=n)
        hpo.optimize(progress=False, store=path)
    again = build_hpo_from_name("hyperband", SPACE, sampler="tpe", max_fidelity=9.0, max_evals=18, seed=hpo.seed)
    for trial in hpo.result:
        suggestion = again.ask()
        assert dict(suggestion) == trial.hp
        again.tell(suggestion, trial.perf)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hyperband", {"sampler": "bohb"}, "sampler: must have no fidelities of its own, got bohb"),
        ("hyperband", {"sampler": ("tpe", {"gamma": 2.0})}, "gamma: must be above 0 and below 1, got 2.0"),
        (
            "bohb",
            {"sampler": "tpe", "num_samples": 8},
            "num_samples: is an option of the sampler kde, not of tpe",
        ),
        ("bohb", {"sampler": ("kde", {"num_samples": 0})}, "num_samples: must be at least 1, got 0"),
    ],
)
def test_wrong_samplers_are_refused_when_built(name, options, message):
    """The text names what is wrong, and of whom."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name(name, SPACE, **options)
    assert str(caught.value) == message


def test_an_option_of_kde_may_be_given_in_both_places():
    """What is said of the sampler itself counts."""
    hpo = build_hpo_from_name("bohb", SPACE, num_samples=8, sampler=("kde", {"top_n_percent": 30}))
    assert hpo._new_sampler().inner.num_samples == 8
    assert hpo._new_sampler().inner.top_n_percent == 30
    assert hpo._new_sampler().inner.max_fidelity == 81.0
    assert hpo.sampler == ["kde", {"top_n_percent": 30}]


def test_a_scheduler_sees_the_same_history_as_the_sampler():
    """Results told out of order and failures are there for both; why asks the scheduler."""
    hpo = hpo_of(Start(1.0), Start(1.0))
    first, second = hpo.ask(), hpo.ask()
    hpo.tell(second, 0.5)
    hpo.fail(first, "no luck")
    assert hpo.why(1) == "trial 1 was not good"
    assert hpo.resumable == frozenset()
    assert isinstance(first, Suggestion)
