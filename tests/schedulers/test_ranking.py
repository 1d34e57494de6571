"""Ranks in a rung: by score, and of several objectives by front and room, against plain definitions."""

import math

import numpy as np
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.schedulers.ranking import Ranking, ranked

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]
MODE = {"acc": "max", "latency": "min"}


def dominates(a, b):
    """Whether the first is nowhere worse, and somewhere better."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


def fronts(results):
    """The front of each result, by taking away what nothing dominates, again and again."""
    rest, found, front = dict(results), {}, 0
    while rest:
        best = [n for n, a in rest.items() if not any(dominates(b, a) for b in rest.values())]
        found.update(dict.fromkeys(best, front))
        rest = {n: a for n, a in rest.items() if n not in best}
        front += 1
    return found


def room(number, results, front):
    """The crowding distance of a result in its front, by its definition."""
    mine = {n: a for n, a in results.items() if front[n] == front[number]}
    total = 0.0
    for j in range(len(results[number])):
        values = sorted(a[j] for a in mine.values())
        value = results[number][j]
        place = values.index(value)
        if len(mine) < 3 or place in (0, len(values) - 1):
            return math.inf
        total += (values[place + 1] - values[place - 1]) / (values[-1] - values[0])
    return total


@pytest.mark.parametrize("seed", range(5))
def test_several_objectives_are_ranked_by_front_and_then_by_room(seed):
    """The order is that of the definitions, whatever the order in which results came."""
    values = np.random.default_rng(seed).random((30, 2))
    results = {
        int(n): tuple(map(float, v)) for n, v in zip(np.random.default_rng(seed).permutation(30), values, strict=True)
    }
    front = fronts(results)
    wanted = sorted(results, key=lambda n: (front[n], -room(n, results, front), n))
    given = {number: (0.0, *scores) for number, scores in results.items()}
    assert ranked(given) == wanted
    ranking = Ranking()
    for number, scores in given.items():
        ranking.add(number, scores)
    assert list(ranking.best(30)) == wanted
    assert [ranking.rank(number) for number in wanted] == list(range(1, 31))


def test_one_objective_is_ranked_by_score_and_then_by_number():
    """Of equals the one asked first is the better one; failures are left out."""
    assert ranked({3: (0.0, 0.5), 1: (0.0, 0.5), 2: (), 0: (0.0, 0.1), 4: (0.0, 0.9)}) == [4, 1, 3, 0]


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_whoever_misses_its_constraints_least_comes_first_of_those_that_do(n_objectives):
    """After all that meet them, however good it is."""
    results = {0: (-0.5, 9.0), 1: (0.0, 0.1), 2: (-0.2, 3.0), 3: (0.0, 0.4)}
    assert ranked({number: (miss, *[score] * n_objectives) for number, (miss, score) in results.items()}) == [
        3,
        1,
        2,
        0,
    ]


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_a_ranking_forgets_what_is_discarded_and_a_copy_is_its_own(n_objectives):
    """What is left has the ranks it would have alone."""
    ranking = Ranking()
    for number, value in enumerate([0.3, 0.9, 0.6]):
        ranking.add(number, (0.0, *[value] * n_objectives))
    copy = ranking.copy()
    ranking.discard(1)
    ranking.discard(7)
    assert (list(ranking.best(9)), list(copy.best(9))) == ([2, 0], [1, 2, 0])
    assert (1 in ranking, 1 in copy, len(ranking)) == (False, True, 2)


@pytest.mark.parametrize("algorithm", ["hyperband", "asha"])
@pytest.mark.parametrize("sampler", ["random", "motpe"])
def test_brackets_promote_by_front(algorithm, sampler):
    """At each rung nobody who goes on is dominated by one who does not, as long as the front is no larger than that."""
    options = {"max_fidelity": 9, "max_evals": 40, "seed": 0, "sampler": sampler}

    def f(hps, fidelity):
        return {"acc": hps["x"] * fidelity, "latency": hps["y"] + hps["x"]}

    hpo = build_hpo_from_name(algorithm, SPACE, f, mode=MODE, **options)
    hpo.optimize(progress=False)
    first = [t for t in hpo.result if t.fidelity == 1 and t.info.get("bracket", 0) == 0]
    promoted = {t.resume for t in hpo.result if t.resume is not None}
    assert any(t.number in promoted for t in first)
    if algorithm == "hyperband":
        chosen = ranked({t.number: (0.0, *t.scores) for t in first})[:3]
        assert {t.number for t in first if t.number in promoted} == set(chosen)
    assert len(hpo.result.pareto) >= 1
    assert all(t.fidelity == 9 for t in hpo.result.pareto)


def test_auto_has_brackets_for_several_objectives():
    """With fidelities and several objectives the default trains in brackets, too."""
    hpo = build_hpo_from_name(SPACE, lambda hps, fidelity: (hps["x"], hps["y"]), mode=["max", "min"], max_fidelity=9)
    suggestion = hpo.ask()
    assert (suggestion.fidelity, suggestion.info["member"]) == (1, "hyperband")
