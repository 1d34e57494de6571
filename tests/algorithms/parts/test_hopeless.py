"""Trials that end early because they will hardly beat the best."""

from __future__ import annotations

import contextlib
import math
import pickle
import re

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.options import CHANCE
from autohpo.algorithms.scheduled import Scheduled
from autohpo.errors import NotReady, OptimizationComplete, OptionError, SuggestionError
from autohpo.schedulers import Promote, Scheduler, Start
from autohpo.surrogates.extrapolation import N_CURVES, Extrapolator

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]
EPOCHS = 27


def value(hp, epoch):
    """A curve that rises to x."""
    return hp["x"] - 0.5 * epoch**-0.7


def trained(hpo, suggestion, *, epochs=EPOCHS, sign=1):
    """Reports epoch after epoch, as a worker does, and tells the result; returns where it was stopped, if it was."""
    given = epochs if suggestion.fidelity is None else int(suggestion.fidelity)
    had = 0 if suggestion.resume is None else int(hpo.history[suggestion.resume].reached)
    for epoch in range(had + 1, given + 1):
        go_on = hpo.report(suggestion, epoch, sign * value(suggestion, epoch))
        if epoch < given and not go_on:
            hpo.tell(suggestion, sign * value(suggestion, epoch), is_stopped=True)
            return epoch
    hpo.tell(suggestion, sign * value(suggestion, given))
    return None


def with_points(name="random", xs=(), **options):
    """A search that tries some values of x first."""
    return build_hpo_from_name(name, SPACE, points=[{"x": x, "act": "relu"} for x in xs], seed=0, **options)


XS = [0.3, 0.5, 0.6, 0.7, 0.55, 0.8]


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
@pytest.mark.parametrize("name", ["random", "tpe", "bayes", "quasi_random"])
def test_a_hopeless_trial_ends_and_says_why(name, mode, sign):
    """After six full trainings that rise alike, one that lies far below is stopped, and one that lies above is not."""
    hpo = with_points(name, [*XS, 0.1, 0.9], mode=mode, stop_hopeless=True)
    for _ in XS:
        assert trained(hpo, hpo.ask(), sign=sign) is None
    low, high = hpo.ask(), hpo.ask()
    at = trained(hpo, low, sign=sign)
    assert at is not None
    assert trained(hpo, high, sign=sign) is None
    best = sign * value({"x": 0.8}, EPOCHS)
    assert re.fullmatch(rf"stopped at {at}: chance (below )?0\.0\d+ to beat {best:.4g}", hpo.why(low.number))
    assert hpo.why(high.number) == ""


def test_nobody_ends_before_there_are_five_full_curves():
    """The documented number: with four of them, and results without reports, even the worst goes on."""
    hpo = with_points(xs=[*XS[: N_CURVES - 1], 0.9, 0.0, 0.65, 0.0], stop_hopeless=0.5)
    for _ in range(N_CURVES - 1):
        trained(hpo, hpo.ask())
    hpo.tell(hpo.ask(), 0.9)  # full, but without a curve
    assert trained(hpo, hpo.ask()) is None  # the fifth curve itself
    assert trained(hpo, hpo.ask()) is not None
    assert N_CURVES == 5


def test_whoever_is_as_good_as_the_best_already_goes_on():
    """Curves that all fall after a peak: at the peak of the best nobody is ended, although all will lose."""
    hpo = with_points(xs=[*XS, 0.75], stop_hopeless=0.9)

    def falling(hp, epoch):
        return hp["x"] - 0.3 * max(0, epoch - 9) / 18

    for _ in XS:
        suggestion = hpo.ask()
        for epoch in range(1, EPOCHS + 1):
            hpo.report(suggestion, epoch, falling(suggestion, epoch))
        hpo.tell(suggestion, falling(suggestion, EPOCHS))
    suggestion = hpo.ask()
    assert all(hpo.report(suggestion, epoch, falling(suggestion, epoch)) for epoch in range(1, 10))


def test_the_option_is_off_unless_it_is_given():
    """Nothing is stopped, and the worst is trained in full."""
    hpo = with_points(xs=[*XS, 0.0])
    assert [trained(hpo, hpo.ask()) for _ in range(7)] == [None] * 7


@pytest.mark.parametrize("given", [0, 1, 0.0, 1.5, -0.1, math.nan])
def test_a_chance_is_between_0_and_1(given):
    """And the error says so."""
    rule = "stop_hopeless: must be True, False, or a chance between 0 and 1, got"
    with pytest.raises(OptionError, match=rule):
        build_hpo_from_name("random", SPACE, stop_hopeless=given)


def test_several_objectives_have_no_best_to_be_beaten():
    """The option is refused there."""
    with pytest.raises(OptionError, match="stop_hopeless: must not be given with several objectives"):
        build_hpo_from_name("tpe", SPACE, mode={"a": "max", "b": "min"}, stop_hopeless=True)


def test_the_chance_is_that_of_the_curves_of_the_history():
    """Against the extrapolation of the full curves alone, by thresholds just above and just below it."""
    curves = [(np.arange(1.0, 28), np.array([value({"x": x}, e) for e in range(1, 28)])) for x in XS]
    finals = np.array([values[-1] for _, values in curves])
    model = Extrapolator(curves, finals, float(finals.max()))
    now = np.array([value({"x": 0.7}, epoch) for epoch in range(1, 3)])
    chance = model.chance(np.arange(1.0, 3), now)
    for factor, goes_on in ((0.999, True), (1.001, False)):
        hpo = with_points(xs=[*XS, 0.7], stop_hopeless=factor * chance)
        for _ in XS:
            trained(hpo, hpo.ask())
        suggestion = hpo.ask()
        hpo.report(suggestion, 1, now[0])
        assert hpo.report(suggestion, 2, now[1]) is goes_on


def test_infeasible_results_are_not_what_is_to_be_beaten():
    """The best that breaks a constraint does not count."""
    hpo = with_points(xs=[*XS, 0.79], stop_hopeless=True)
    for x in XS:
        suggestion = hpo.ask()
        for epoch in range(1, EPOCHS + 1):
            hpo.report(suggestion, epoch, value(suggestion, epoch))
        hpo.tell(suggestion, value(suggestion, EPOCHS), constraints={"size": 1.0 if x > 0.6 else -1.0})
    assert trained(hpo, hpo.ask()) is None


ALGORITHMS = [
    ("random", {}),
    ("tpe", {}),
    ("asha", {"max_fidelity": EPOCHS}),
    ("asha", {"max_fidelity": EPOCHS, "type": "stopping"}),
    ("hyperband", {"max_fidelity": EPOCHS}),
    ("auto", {"max_fidelity": EPOCHS, "min_fidelity": EPOCHS // 3}),
    ("pbt", {"max_fidelity": EPOCHS, "population_size": 6}),
]


@pytest.mark.parametrize(("name", "options"), ALGORITHMS)
def test_what_ends_follows_from_the_history_alone(name, options):
    """A fresh optimizer that is told the same, from the middle on asked itself, suggests and stops the same."""
    hpo = build_hpo_from_name(name, SPACE, seed=3, stop_hopeless=0.2, **options)
    twin = build_hpo_from_name(name, SPACE, seed=3, stop_hopeless=0.2, **options)
    n = {"pbt": 24, "random": 60, "tpe": 40, "auto": 110}.get(name, 300)
    for i in range(n):
        suggestion = hpo.ask()
        if i >= n // 2:
            other = twin.ask()
            assert (dict(other), other.fidelity, other.resume, other.info) == (
                dict(suggestion),
                suggestion.fidelity,
                suggestion.resume,
                suggestion.info,
            )
        else:
            other = suggestion.copy()
            twin.adopt(other)
        at = trained(hpo, suggestion)
        if i >= n // 2:
            assert trained(twin, other) == at
        else:  # as a log is replayed: nobody asks whether it goes on
            trial = hpo.trials[-1]
            for fidelity, perf in trial.reports:
                twin.report(other, fidelity, perf)
            twin.tell(other, trial.perf, is_stopped=at is not None)
        if i == 2 * n // 3:
            twin = pickle.loads(pickle.dumps(twin))
    if name != "pbt":
        assert any("chance" in hpo.why(trial.number) for trial in hpo.trials)


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_paused_trials_without_a_chance_are_given_up(name):
    """Results at the rungs alone say it: they are named where they would have been promoted, and never go on."""
    hpo = build_hpo_from_name(name, SPACE, seed=1, max_fidelity=EPOCHS, stop_hopeless=0.3)
    given_up, best = {}, None
    for _ in range(400):
        suggestion = hpo.ask()
        for number, why in suggestion.info.get("given_up", []):
            assert number not in given_up  # each is named once
            given_up[number] = best.score
            at = hpo.history[number].fidelity
            assert re.fullmatch(rf"given up at {at}: chance .* to beat trial {best.number}", why)
            assert re.fullmatch(rf"rank \d+ of \d+ .*at fidelity {at}.*; {why}", hpo.why(number))
            assert hpo.history[number].score < best.score
        assert suggestion.resume not in given_up
        assert not given_up.keys() & hpo.resumable
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
        full = [trial for trial in hpo.trials if trial.fidelity == EPOCHS]
        best = max(full, key=lambda trial: trial.score, default=None)
    assert len(given_up) > 5
    ends = [(value(hpo.history[n].hp, EPOCHS), target) for n, target in given_up.items()]
    assert np.mean([end > target for end, target in ends]) <= 0.3


def test_hyperband_trains_nobody_in_place_of_those_given_up():
    """New configurations start at the lowest rung of a bracket alone, as they do where no trial fails."""
    hpo = build_hpo_from_name("hyperband", SPACE, seed=1, max_fidelity=EPOCHS, num_iterations=12, stop_hopeless=0.3)
    n_given_up = 0
    while True:
        try:
            suggestion = hpo.ask()
        except OptimizationComplete:
            break
        n_given_up += len(suggestion.info.get("given_up", []))
        lowest = [27 / 3 ** (3 - k) for k in range(4)][suggestion.info["bracket"] % 4]
        assert suggestion.resume is not None or suggestion.fidelity == lowest
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
    assert n_given_up > 0


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_asking_changes_nothing(name):
    """Where a proposal with trials given up is dropped, and another result comes first, all is as if never proposed."""
    from autohpo.algorithms.session import session_of

    def walked(*, is_curious):
        hpo = build_hpo_from_name(name, SPACE, seed=1, max_fidelity=EPOCHS, stop_hopeless=0.3)
        records = []
        running = []
        for i in range(250):
            try:
                suggestion = hpo.ask()
            except NotReady:
                suggestion = running.pop(0)
                hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
                continue
            records.append((dict(suggestion), suggestion.fidelity, suggestion.resume, suggestion.info))
            running.append(suggestion)
            if is_curious and i % 3 == 0:
                with contextlib.suppress(NotReady):
                    session_of(hpo).propose(0)
                assert isinstance(hpo.resumable, frozenset)  # looked at between the two
            if len(running) == 4:
                suggestion = running.pop(0)
                hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
        return records

    plain = walked(is_curious=False)
    assert walked(is_curious=True) == plain
    assert any("given_up" in info for *_, info in plain)


class Stubborn(Scheduler):
    """Promotes every trial to the full fidelity, whoever was given up."""

    def next(self, seen, rng, *, can_start=True, n_left=math.inf):
        """Promotes the last one."""
        last = seen.trials[-1] if seen.trials else None
        return Promote(last.number, 9) if last is not None and last.fidelity == 1 else Start(1)


class StubbornSearch(Scheduled):
    """Its algorithm."""

    def _make_scheduler(self):
        return Stubborn()


def test_a_scheduler_that_knows_nothing_of_giving_up_goes_on_as_ever():
    """Its promotions stand, and no note says otherwise."""
    hpo = StubbornSearch(SPACE, max_fidelity=9, seed=0, stop_hopeless=0.9)
    for _ in range(40):
        suggestion = hpo.ask()
        assert "given_up" not in suggestion.info
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
    assert sum(trial.fidelity == 9 for trial in hpo.trials) == 20


def test_a_scheduler_that_says_it_gives_up_must(monkeypatch):
    """Else its algorithm would ask for ever: the error names it."""
    monkeypatch.setattr(Stubborn, "can_give_up", True)
    hpo = StubbornSearch(SPACE, max_fidelity=9, seed=0, stop_hopeless=0.9)
    with pytest.raises(SuggestionError, match="Stubborn.next: must not promote trial .*, which is given up"):
        for _ in range(40):
            suggestion = hpo.ask()
            hpo.tell(suggestion, value(suggestion, suggestion.fidelity))


def test_the_result_says_who_was_given_up(tmp_path):
    """Also when it is read from the store."""
    from autohpo import Result

    def f(hps, fidelity):
        return value(hps, fidelity)

    hpo = build_hpo_from_name("asha", SPACE, f, seed=1, max_fidelity=EPOCHS, stop_hopeless=0.3, max_evals=250)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    for result in (hpo.result, Result.load(tmp_path / "run.db")):
        named = [number for trial in result for number, _ in trial.info.get("given_up", [])]
        assert named
        assert all(re.search(r"given up at \d+: chance .* to beat", result.why(number)) for number in named)


def test_the_default_chance_is_what_the_manual_says():
    """Two per cent."""
    assert CHANCE == 0.02
