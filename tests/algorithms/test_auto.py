"""Auto: whom it picks, and when."""

from __future__ import annotations

import pytest

from autohpo import ChoiceHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.auto import LONG_RUN, MANY_WORKERS, AutoSearch
from autohpo.spaces import SearchSpace

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]


def member_of(hpo, n_workers=1):
    """Who made the first suggestion."""
    hpo.set_up(num_workers=n_workers)
    return hpo.ask().info["member"]


def test_without_a_name_it_is_auto():
    """`build_hpo_from_name(space, f)`, with f or without, also for a SearchSpace."""
    for space in (SPACE, SearchSpace(SPACE)):
        assert isinstance(build_hpo_from_name(space), AutoSearch)
        hpo = build_hpo_from_name(space, lambda hp: hp["x"], max_evals=3, seed=0)
        assert isinstance(hpo, AutoSearch)
        assert hpo.optimize(progress=False)[1] == max(trial.perf for trial in hpo.result)


@pytest.mark.parametrize(
    ("options", "n_workers", "member"),
    [
        ({}, 1, "bayes"),
        ({}, MANY_WORKERS, "tpe"),
        ({"mode": ["max", "min"]}, 1, "ehvi"),
        ({"mode": ["max", "min"]}, MANY_WORKERS, "motpe"),
        ({"mode": ["max", "min", "max", "min"]}, 1, "motpe"),
        ({"max_fidelity": 27.0}, 1, "mobster"),
    ],
)
def test_it_picks_by_the_problem(options, n_workers, member):
    """Gaussian processes for few trials, densities for many at once or many objectives, rungs for fidelities."""
    assert member_of(build_hpo_from_name(SPACE, seed=0, **options), n_workers) == member


def test_an_objective_without_fidelity_is_never_given_rungs():
    """With max_fidelity for an objective that is only run in full, it is as if that was not given."""
    hpo = build_hpo_from_name(SPACE, seed=0, max_fidelity=27.0)
    hpo.has_fidelity = False
    assert member_of(hpo) == "bayes"


def test_results_with_constraints_go_to_densities():
    """tpe learns from them; the first trial cannot know yet that there are any."""
    hpo = build_hpo_from_name(SPACE, seed=0)
    first = hpo.ask()
    hpo.tell(first, (0.5, {"memory": 1.0}))
    assert (first.info["member"], hpo.ask().info["member"]) == ("bayes", "tpe")


def test_a_long_search_goes_over_to_densities():
    """With 400 known results the next suggestion is of tpe, which knows them all."""
    known = [({"x": i / LONG_RUN, "act": "relu"}, -abs(i / LONG_RUN - 0.3)) for i in range(LONG_RUN)]
    hpo = build_hpo_from_name(SPACE, points=known, seed=0)
    suggestion = hpo.ask()
    assert suggestion.info["member"] == "tpe"
    assert abs(suggestion["x"] - 0.3) < 0.2


def test_fidelities_must_make_a_range():
    """The error says which rule was broken."""
    with pytest.raises(OptionError, match="max_fidelity: must be at least min_fidelity, 3.0, got 1.0"):
        build_hpo_from_name(SPACE, min_fidelity=3.0, max_fidelity=1.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"eta": 1}, "eta: must be at least 2, got 1"),
        ({"min_fidelity": -1.0}, "min_fidelity: must be positive and finite, got -1.0"),
        ({"max_fidelity": float("inf")}, "max_fidelity: must be finite"),
    ],
)
def test_wrong_fidelities_are_refused_when_it_is_built(options, text):
    """The rules are those of every algorithm with rungs, and no search has begun by then."""
    with pytest.raises(OptionError, match=text):
        build_hpo_from_name(SPACE, **{"max_fidelity": 9.0, **options})


def test_it_says_why_a_training_went_on_or_waits():
    """The reasons are those of the algorithm that schedules its trials, asked by itself about the same trials."""
    hpo = build_hpo_from_name(SPACE, max_fidelity=9, seed=0)
    assert hpo.why(0) == ""  # nothing was suggested yet
    alone = build_hpo_from_name("mobster", SPACE, max_fidelity=9, seed=0)
    for _ in range(20):
        suggestion = hpo.ask()
        twin = alone.ask()
        assert dict(twin) == dict(suggestion)
        for searcher, asked in ((hpo, suggestion), (alone, twin)):
            searcher.tell(asked, -abs(asked["x"] - 0.3) - 1 / asked.fidelity)
    reasons = [hpo.why(number) for number in range(20)]
    assert all(reasons)
    assert reasons == [alone.why(number) for number in range(20)]
    promoted = next(trial for trial in hpo.trials if trial.resume is not None)
    assert reasons[promoted.resume].endswith(f"promoted to 3; went on as trial {promoted.number}")
