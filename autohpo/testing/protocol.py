"""Checks of what an optimizer suggests, and of when it has no suggestion."""

from __future__ import annotations

import copy
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import NotReady, OptimizationComplete
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, ListHP, OrdinalHP, PermutationHP, SearchSpace
from autohpo.testing.cases import Case, Session, measure
from autohpo.testing.checks import CheckFailed, expect, expect_equal, expect_error
from autohpo.testing.examples import CONSTRAINED, SPACES, few_conditional_space, few_space
from autohpo.trial import Suggestion

PLAIN = (int, float, str, bool, type(None))


def expect_legal(space: SearchSpace, suggestion: Suggestion) -> None:
    """Goes on where a suggestion is a configuration of the space, in plain Python types.

    Raises:
        CheckFailed: It is not.
    """
    active = space.active(suggestion)
    expect(set(suggestion) == set(active), f"values for {active}, which are active", dict(suggestion))
    space.check(suggestion)
    for name, value in suggestion.items():
        expect(space[name].contains(value), f"a value of {space[name]}", repr(value))
        _expect_plain(space[name], value)


def _expect_plain(hp: HPSpace, value: Any) -> None:
    """Goes on where a value is of a plain Python type, or one of the user's own objects.

    Raises:
        CheckFailed: It is not.
    """
    match hp:
        case ListHP():
            expect(type(value) is list, f"a list for {hp.name}", type(value))
            for item, entry in zip(hp.items, value, strict=False):
                _expect_plain(item, entry)
        case PermutationHP(items=given):
            for entry in value:
                expect(any(entry is one for one in given), f"one of the very objects of {hp}", f"a copy, {entry!r}")
        case ChoiceHP(choices=given) | OrdinalHP(values=given):
            expect(any(value is one for one in given), f"one of the very objects of {hp}", f"a copy, {value!r}")
        case FixedHP():
            expect(value is hp.value, f"the very object of {hp}", f"a copy, {value!r}")
        case _:
            expect(type(value) in PLAIN, f"a plain Python type for {hp.name}", type(value))


def suggests_legal_values(case: Case) -> None:
    """Every suggestion lies in the space and holds plain Python types, or the very choices that the user gave."""
    session = Session(case.build(), n_workers=2).run(2 * 30)
    for suggestion in session.asked:
        expect_legal(session.hpo.space, suggestion)


def handles_every_kind_of_space(case: Case) -> None:
    """Works on every kind of parameter, alone and mixed, on fixed values and on kinds it has never seen.

    A suggestion holds what is active in it, and nothing else.
    """
    for name, make in SPACES.items():
        session = Session(case.build(make()))
        try:
            session.run(16).finish_all()
            for suggestion in session.asked:
                expect_legal(session.hpo.space, suggestion)
            expect(bool(session.asked), "at least one suggestion", "none")
        except Exception as error:  # whatever it is, the user wants to know on which space
            raise CheckFailed(f"on the space {name!r}: {type(error).__name__}: {error}") from error


def respects_constraints(case: Case) -> None:
    """Suggests only what the constraints on the space allow, as `supports` says: the rest may break the objective."""
    for name, make in CONSTRAINED.items():
        session = Session(case.build(make()), n_workers=2)
        try:
            session.run(24).finish_all()
            for suggestion in session.asked:
                expect_legal(session.hpo.space, suggestion)
            expect(bool(session.asked), "at least one suggestion", "none")
        except Exception as error:  # whatever it is, the user wants to know on which space
            raise CheckFailed(f"with {name}: {type(error).__name__}: {error}") from error


def repeats_nothing_in_finite_spaces(case: Case) -> None:
    """Starts no configuration twice where it ends with a finite space: what is known already is a trial wasted."""
    for make in (few_space, few_conditional_space):
        hpo = case.build(make())
        session = Session(hpo, n_workers=3, order="mixed").run(200).finish_all()
        started = [hpo.space.key(one) for one in session.asked if one.resume is None and one.fork is None]
        twice = sorted({key for key in started if started.count(key) > 1})
        expect(not twice, "no configuration twice, as is_finite is True", twice)


def leaves_inputs_alone(case: Case) -> None:
    """Changes neither the space nor a choice, and does not mind what the caller does to a suggestion it was given."""

    def spoil(given: Suggestion) -> None:
        given.clear()
        given.info["spoilt"] = True
        given.fidelity = given.resume = given.fork = None

    def build() -> BaseHPOptimizer:
        return case.build(SearchSpace([*space, ChoiceHP("layers", choices)]))

    choices: list[Any] = [[8], [8, 16], {"wide": 1}]
    space = SPACES["mixed"]()
    kept, described = copy.deepcopy(choices), space.to_dict()
    records = [Session(build(), n_workers=2, on_ask=act).run().records for act in (None, spoil)]
    expect(choices == kept, f"the choices as they were given, {kept}", choices)
    expect(space.to_dict() == described, "the space as it was given", "another one")
    expect_equal(records[0], records[1], "suggestions when the caller writes into those it got")


def ends_as_declared(case: Case) -> None:
    """Ends, and stays ended, where `is_finite` says so; never ends where it says not: a driver plans by it."""
    hpo = case.build(few_space())
    session = Session(hpo, n_workers=4)
    if hpo.is_finite:
        session.run(5000)
        expect(session.is_complete, "OptimizationComplete within 5,000 suggestions, as is_finite is True", "no end")
    session.run(60)
    if session.is_complete:
        expect(hpo.is_finite, "no OptimizationComplete, as is_finite is False", f"it after {hpo.n_asked} suggestions")
        for _ in range(3):
            expect_error(OptimizationComplete, hpo.ask, "every further ask")
            session.finish_all()
    if not case.build().is_finite:
        session = Session(case.build()).run(200)
        n = len(session.asked)
        expect(n == 200, "200 suggestions, as is_finite is False", f"OptimizationComplete after {n}")


def waits_only_for_running_trials(case: Case) -> None:
    """Raises NotReady only while a trial runs: else the search would wait for ever."""
    for n_workers in (1, 8):
        Session(case.build(), n_workers=n_workers, order="newest").run(60).finish_all().run(1)


def suggests_while_others_run(case: Case) -> None:
    """Suggestions that are pending together are legal, numbered in turn, and listed as running."""
    session = Session(case.build(), n_workers=8)
    while len(session.running) < 8 and session.ask():
        pass
    hpo, asked = session.hpo, session.asked
    expect(bool(asked), "at least one suggestion", "none")
    for suggestion in asked:
        expect_legal(hpo.space, suggestion)
    expect_equal(list(range(len(asked))), [s.number for s in asked], "numbers")
    expect_equal([s.number for s in asked], [s.number for s in hpo.running], "numbers that are running")
    session.finish_all()
    expect_equal([], hpo.running, "what is running in the end")


def stops_at_max_evals(case: Case) -> None:
    """Makes `max_evals` suggestions and not one more: it is the user's budget."""
    session = Session(case.build(max_evals=7), n_workers=2).run(100)
    n = len(session.asked)
    expect(n == 7 or (n < 7 and case.build().is_finite), "7 suggestions with max_evals=7", n)
    expect_error(OptimizationComplete, session.finish_all().hpo.ask, "one ask more")


def names_the_best(case: Case) -> None:
    """`best()` is the best of the results at the highest fidelity, also where it is the first, or 0."""
    for mode in [case.options["mode"]] if "mode" in case.options else ["max", "min"]:
        for best in (0, 11):
            hpo = case.build(mode=mode)

            def value(suggestion: Suggestion, best: int = best, space: SearchSpace = hpo.space) -> float:
                return 0.0 if suggestion.number == best else measure(space, suggestion)

            session = Session(hpo, value=value).run(20).finish_all()
            told = [event for event in session.events if event.value is not None]
            most = max(float("inf") if e.suggestion.fidelity is None else e.suggestion.fidelity for e in told)
            top = [e for e in told if e.suggestion.fidelity in (None, most)]
            sign = 1 if hpo.mode == "max" else -1
            wanted = max(top, key=lambda event: sign * (event.value or 0.0))
            hp, perf = BaseHPOptimizer.best(hpo)
            expect(perf == wanted.value, f"the best result to be {wanted.value}", perf)
            expect(hp == dict(wanted.suggestion), f"the best configuration to be {dict(wanted.suggestion)}", hp)


def declares_its_fidelity(case: Case) -> None:
    """An algorithm that is not declared to be multi-fidelity leaves fidelity and resume alone: `f` may take none."""
    for suggestion in Session(case.build()).run().asked:
        got = suggestion.fidelity, suggestion.resume, suggestion.fork
        expect(got == (None,) * 3, "no fidelity, no resume and no fork, as is_multi_fidelity is False", got)


def is_unmoved_by_asking_in_vain(case: Case) -> None:
    """An ask that raises NotReady changes nothing, so that a driver may ask as often as it likes."""

    def impatient(hpo: BaseHPOptimizer) -> list[str]:
        session = Session(hpo, n_workers=6)
        for _ in range(60):
            while len(session.running) < 6 and session.ask():
                pass
            if len(session.running) < 6 and not session.is_complete:
                for _ in range(3):
                    expect_error(NotReady, hpo.ask, "an ask that had just raised it")
            session.finish()
        return session.records

    expect_equal(Session(case.build(), n_workers=6).run(40).records, impatient(case.build())[:40], "suggestions")
