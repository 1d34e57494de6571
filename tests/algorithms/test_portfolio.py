"""The portfolio: what each of its arms suggests, and how often each is asked."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, LogRangeHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.portfolio import ARMS

SPACE = [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0), ChoiceHP("act", ["relu", "tanh", "elu"])]


def value(hp, fidelity: float) -> float:
    """A bowl with its top at x = .3, lr = .01, relu; half of the error goes with training."""
    bowl = -abs(hp["x"] - 0.3) - abs(np.log10(hp["lr"]) + 2.0) / 4.0 - 0.2 * (hp["act"] != "relu")
    return float(bowl - 0.5 / fidelity)


def run(n: int, name: str = "asha", workers: int = 1, scale: float = 1.0, **options):
    """An optimizer after n results."""
    known = {"seed": 0, **({"sampler": "portfolio", "max_fidelity": 9} if name != "portfolio" else {}), **options}
    hpo = build_hpo_from_name(name, SPACE, **known)
    running = []
    for _ in range(n):
        while len(running) < workers:
            running.append(hpo.ask())
        done = running.pop(0)
        hpo.tell(done, scale * value(done, done.fidelity or 9))
    return hpo


@pytest.mark.parametrize("name", ["asha", "hyperband", "bohb", "pasha", "successive_halving", "portfolio"])
def test_it_finds_the_top_in_every_scheduler(name: str) -> None:
    """Ten times nearer to the top than the median of random configurations."""
    hpo = run(90, name)
    best, _ = hpo.best()
    assert value(best, 9) > -0.5 / 9 - 0.06
    arms = {trial.info.get("arm") for trial in hpo.trials}
    assert arms >= (set(ARMS) if name != "pasha" else {"random", "parzen"})  # there full results are rare


def test_it_does_not_depend_on_the_unit_of_results() -> None:
    """Results in another unit, a power of two, lead to the same suggestions."""
    plain, other = run(60), run(60, scale=2.0**-20)
    assert [trial.hp for trial in plain.trials] == [trial.hp for trial in other.trials]


def test_an_arm_that_earns_is_asked_more_often() -> None:
    """Chances follow from the counts as the docstring says, with the plan of the options."""
    hpo = run(80, sampler=("portfolio", {"random_fraction": 0.2, "n_full": 1}))
    hpo.ask()
    inner = hpo._samplers[None][1].inner
    scores = rank_of(inner)
    planned = np.array([0.2, 0.8 * (1 - 0.67), 0.8 * 0.67])
    cut = np.quantile(scores[np.isfinite(scores)], 0.85)
    earned = []
    for arm in ARMS:
        own = [s for s, a in zip(scores, inner._chains.makers, strict=True) if a == arm and np.isfinite(s)][-40:]
        earned.append((sum(s > cut for s in own) + 1.5) / (len(own) + 6.0))
    expected = planned * earned / (planned * earned).sum()
    expected[0] = max(expected[0], 0.08)
    np.testing.assert_allclose(inner._chances(scores), expected / expected.sum())


def rank_of(inner):
    """The scores by which a portfolio ranks."""
    from autohpo.surrogates.promoted import rank_scores

    return rank_scores(inner._chains.values)


def test_the_process_waits_for_full_results() -> None:
    """Before any result at full fidelity only random draws and Parzen estimators are asked."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, sampler="portfolio", max_fidelity=81)
    while True:
        suggestion = hpo.ask()
        if suggestion.fidelity == 81:
            break
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
    assert {trial.info["arm"] for trial in hpo.trials} == {"random", "parzen"}


def test_running_trials_and_failures_are_no_obstacle() -> None:
    """Sixteen workers, and every fourth trial fails."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, sampler="portfolio", max_fidelity=9)
    running = []
    for n in range(120):
        while len(running) < 16:
            running.append(hpo.ask())
        done = running.pop(0)
        if n % 4 == 3:
            hpo.fail(done, "diverged")
        else:
            hpo.tell(done, value(done, done.fidelity))
    assert value(hpo.best()[0], 9) > -0.5 / 9 - 0.2


def test_all_values_equal() -> None:
    """A plateau has no best, and is searched on."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, sampler="portfolio", max_fidelity=9)
    for _ in range(60):
        hpo.tell(hpo.ask(), 1.0)
    assert hpo.best()[1] == 1.0


@pytest.mark.parametrize("name", ["asha", "portfolio"])
def test_under_constraints_a_search_goes_on_as_if_it_had_not_been_interrupted(name: str) -> None:
    """What keeps them gets worse with time, so that those that break them are told apart by when they are looked at."""
    known = {"seed": 3, **({"sampler": "portfolio", "max_fidelity": 9} if name == "asha" else {})}

    def finish(hpo, n: int, done: int = 0) -> list:
        log = []
        for k in range(done, n):
            suggestion = hpo.ask()
            outcome = value(suggestion, suggestion.fidelity or 9) - k / 20, {"size": abs(suggestion["x"] - 0.3) - 0.25}
            hpo.tell(suggestion, outcome[0], constraints=outcome[1])
            log.append((suggestion, outcome))
        return log

    whole = finish(build_hpo_from_name(name, SPACE, **known), 75)
    for cut in (30, 50):
        resumed = build_hpo_from_name(name, SPACE, **known)
        for suggestion, (perf, constraints) in whole[:cut]:
            resumed.adopt(suggestion.copy())
            resumed.tell(suggestion, perf, constraints=constraints)
        assert finish(resumed, 75, cut) == whole[cut:]


HUGE = {
    "equal and huge": lambda _, k: -1e300,
    "the ends of the floats": lambda _, k: (-1) ** k * 1.7976931348623157e308,
    "one far below": lambda perf, k: -1e308 if k % 7 == 0 else perf,
    "one far above": lambda perf, k: 1e308 if k % 11 == 0 else perf,
    "denormal": lambda perf, k: perf * 1e-320,
}


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_values_of_any_size_are_taken_without_a_warning(kind: str, mode: str) -> None:
    """Warnings are errors here; and the best is the best of what was told."""
    hpo = build_hpo_from_name("asha", SPACE, seed=0, sampler="portfolio", max_fidelity=3, mode=mode)
    full = []
    for k in range(45):
        suggestion = hpo.ask()
        perf = HUGE[kind](value(suggestion, suggestion.fidelity), k)
        hpo.tell(suggestion, perf)
        full += [perf] if suggestion.fidelity == 3 else []
    assert hpo.best()[1] == (max(full) if mode == "max" else min(full))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("n_startup", 0),
        ("random_fraction", 1.5),
        ("most_process", -0.1),
        ("n_full", 0),
        ("max_fidelity", 0.0),
        ("rung_levels", [3, 1]),
        ("rung_levels", 0.5),
    ],
)
def test_bad_options_are_named(name: str, bad: object) -> None:
    """The error begins with the option."""
    with pytest.raises(OptionError, match=f"^{name}: must be"):
        build_hpo_from_name("portfolio", SPACE, **{name: bad})
