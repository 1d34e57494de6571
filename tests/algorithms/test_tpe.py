"""TPE against its plain formula, and what it promises of duplicates, failures, running trials and replays."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.tpe import LONGEST_LIST, LONGEST_TABLE, TPE
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.surrogates.parzen import Columns, Kernels, ParzenEstimator
from autohpo.trial import Suggestion

MIXED = [
    RangeHP("x", 0.0, 1.0),
    LogRangeHP("lr", 1e-4, 1.0),
    RangeHP("hops", 1, 5),  # short enough for a table
    LogRangeHP("units", 1, 500),  # too long for one
    ChoiceHP("act", ["relu", "tanh", "elu"]),
    FixedHP("device", "cpu"),
]


def score(hp):
    """A smooth function of the parameters of MIXED, best at x = .3, lr = .01, hops = 2, units = 30, act = tanh."""
    far = (hp["x"] - 0.3) ** 2 + (math.log10(hp["lr"]) + 2) ** 2 / 4 + (hp["hops"] - 2) ** 2 / 9
    return -far - (math.log(hp["units"]) - math.log(30)) ** 2 / 9 - 0.3 * (hp["act"] != "tanh")


def run(hpo, n, f=score):
    """Asks and tells n times; the suggestions."""
    asked = []
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))
        asked.append(suggestion)
    return asked


def run_in_disorder(hpo, n, seed=0):
    """Asks n times with up to five running; results come in any order, and one in six fails."""
    rng, running = np.random.default_rng(seed), []
    for _ in range(n):
        running.append(hpo.ask())
        while running and (len(running) > 5 or rng.random() < 0.4):
            suggestion = running.pop(rng.integers(len(running)))
            if suggestion.number % 6 == 5:
                hpo.fail(suggestion, "planned")
            else:
                hpo.tell(suggestion, round(score(suggestion), 1))  # rounded, so that there are ties


def kernel_sum(points, rows, weights, bandwidths, columns, prior_weight):
    """``(m,)`` density of a mixture, column by column with scipy's distributions; nothing kept, nothing expanded."""
    kernels = np.ones((len(points), len(rows)))
    uniform = np.ones(len(points))
    for j, (n_levels, grid) in enumerate(zip(columns.levels, columns.grids, strict=True)):
        z, x, h = points[:, j][:, None], rows[:, j][None], bandwidths[j]
        if n_levels:
            kernels *= np.where(np.isclose(z, x), 1 - h, h / (n_levels - 1))
            uniform /= n_levels
            continue
        normal = stats.truncnorm(-x / h, (1 - x) / h, loc=x, scale=h)
        if grid is None:
            kernels *= normal.pdf(z)
        else:
            ends = np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, [1.0]])
            cell = abs(grid - z).argmin(axis=1)
            low, high = ends[cell], ends[cell + 1]
            kernels *= normal.cdf(high[:, None]) - normal.cdf(low[:, None])
            uniform *= high - low
    return (kernels @ weights + prior_weight * uniform) / (weights.sum() + prior_weight)


def plain_suggestion(hpo):
    """The next suggestion by the formulas alone, from the history; the draws are those of the tested estimator."""
    space, d = hpo.space, hpo.space.n_columns
    hps = {t.number: t.hp for t in hpo.trials} | {s.number: s for s in hpo.running}
    rows = space.encode([hps[number] for number in sorted(hps)])
    grids = [None if len(g) > LONGEST_TABLE else space[n].encode(g)[:, 0] for n, g in GRIDS.items()]
    columns = Columns(space.levels, [None, None, *grids, None])
    ranked = sorted((t for t in hpo.trials if t.perf is not None), key=lambda t: (-t.perf, t.number))
    good = [t.number for t in ranked[: min(math.ceil(hpo.gamma * len(ranked)), hpo.max_good)]]
    k, weights = len(good), 1 - np.arange(len(good)) / len(good)
    mean = np.average(rows[good], axis=0, weights=weights)
    variance = np.average((rows[good] - mean) ** 2, axis=0, weights=weights)
    widths = np.maximum(1.06 * np.sqrt((k * variance + 1 / 12) / (k + 1)) * k ** (-1 / (d + 4)), 0.01)
    widths[-1] = 2 / (k + 3)
    n = len(rows)
    while n >= 16 and n & (2 ** (n.bit_length() - 4) - 1):  # down to four binary digits
        n -= 1
    bad_widths = np.full(d, 0.2 * n ** (-1 / (d + 4)))
    bad_widths[-1] = 2 / (n + 3)
    rng = np.random.default_rng((hpo.seed, hpo.n_asked))
    estimator = ParzenEstimator(Kernels(columns, widths), rows[good], weights, hpo.prior_weight)
    drawn = space.decode(estimator.sample(hpo.n_candidates, rng))
    points = space.encode(drawn)
    bad = np.delete(rows, good, axis=0)
    ratio = kernel_sum(points, rows[good], weights, widths, columns, hpo.prior_weight)
    ratio /= kernel_sum(points, bad, np.ones(len(bad)), bad_widths, columns, hpo.prior_weight)
    fresh = [i for i in np.argsort(-ratio, kind="stable") if not (rows == points[i]).all(axis=1).any()]
    return drawn[fresh[0]], ratio[fresh[:2]]


GRIDS = {"hops": [1, 2, 3, 4, 5], "units": list(range(1, 501))}


@pytest.mark.parametrize("options", [{}, {"gamma": 0.4, "max_good": 6, "prior_weight": 3.0, "n_candidates": 9}])
def test_suggestions_equal_those_of_the_plain_formula(options):
    """Every suggestion of a disorderly run, past the growth of the caches and several steps of the bandwidths.

    To 1e-9: a draw carries the rounding of the widths, 1e-15. No two ratios of this run are nearer than that.
    """
    hpo = TPE(MIXED, seed=3, **options)
    run_in_disorder(hpo, 20)
    for i in range(60):
        expected, ratios = plain_suggestion(hpo)
        assert ratios[0] > ratios[1] * (1 + 1e-9)
        suggestion = hpo.ask()
        np.testing.assert_allclose(hpo.space.encode([suggestion]), hpo.space.encode([expected]), rtol=0, atol=1e-9)
        if i % 7 == 6:
            hpo.fail(suggestion, "planned")
        elif i % 5:  # every fifth keeps running
            hpo.tell(suggestion, score(suggestion))


def test_a_replay_in_another_order_gives_the_same_suggestion():
    """What is known does not depend on the order of results, nor on when it was taken in."""
    hpo = TPE(MIXED, seed=1)
    run_in_disorder(hpo, 70)
    known = sorted([*((t.number, t.hp) for t in hpo.trials), *((s.number, s) for s in hpo.running)], key=lambda k: k[0])
    copy = TPE(MIXED, seed=1)
    for number, hp in known:
        copy.adopt(Suggestion(hp, number=number))
    for trial in sorted(hpo.trials, key=lambda t: t.number):
        suggestion = Suggestion(trial.hp, number=trial.number)
        if trial.perf is None:
            copy.fail(suggestion, "planned")
        else:
            copy.tell(suggestion, trial.perf)
    assert [copy.ask() for _ in range(3)] == [hpo.ask() for _ in range(3)]


def test_a_pickled_optimizer_goes_on_alike():
    """The caches travel with it."""
    hpo = TPE(MIXED, seed=2)
    run_in_disorder(hpo, 40)
    assert [pickle.loads(pickle.dumps(hpo)).ask()] == [hpo.ask()]


def test_running_trials_count_as_bad():
    """While it runs a suggestion is one bad trial more, which makes its place less wanted; the best of all is good."""
    hpo = TPE([RangeHP("x", 0.0, 1.0)], seed=0)
    run(hpo, 30, lambda hp: -abs(hp["x"] - 0.5))
    first = hpo.ask()
    there, wanted = hpo.space.encode([first]), []
    for weight in (1.0, 0.0):
        hpo._take_in()
        good, bad = hpo._estimators()
        assert bad.weights[first.number] == weight
        wanted.append(good.log_density(there)[0] - bad.log_density(there)[0])
        if first.number in {s.number for s in hpo.running}:
            hpo.tell(first, 1.0)
    assert wanted[0] < wanted[1]


def test_suggestions_without_results_between_them_differ():
    """Twenty at once, of a model that knows thirty results."""
    hpo = TPE(MIXED, seed=0)
    run(hpo, 30)
    assert len({hpo.space.key(hpo.ask()) for _ in range(20)}) == 20


def test_failures_are_avoided_and_are_never_good():
    """Half of the space fails, the rest is flat: failures alone tell the halves apart, and few more are made.

    Of 60 blind suggestions 30 would fail; 12 or fewer have a chance of 2e-6.
    """
    hpo = TPE([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], seed=0)
    for _ in range(80):
        suggestion = hpo.ask()
        if suggestion["x"] > 0.5:
            hpo.fail(suggestion, "no memory")
        else:
            hpo.tell(suggestion, 0.0)
    assert sum(t.perf is None for t in hpo.trials[20:]) <= 12
    assert {number for _, number in hpo._order} <= {t.number for t in hpo.trials if t.perf is not None}


def test_a_search_where_all_fails_goes_on_with_the_prior():
    """There is no good trial, so there is no model."""
    hpo = TPE(MIXED, seed=0)
    for _ in range(30):
        hpo.fail(hpo.ask(), "broken")
    rng = np.random.default_rng((0, 30))
    assert dict(hpo.ask()) == hpo.space.decode(rng.random((24, 5)))[0]


@pytest.mark.parametrize(
    "space",
    [
        [ChoiceHP("a", ["u", "v", "w"]), RangeHP("b", 1, 9)],
        [LogRangeHP("n", 1, 40), ChoiceHP("a", [True, 1])],  # long for a table, and cells of very different length
        [RangeHP("s", 0.0, 1.0, step=0.05)],
        [ChoiceHP("one", ["only"]), ChoiceHP("a", [1, 2, 3])],
        [FixedHP("a", 1), ChoiceHP("one", ["only"])],
    ],
)
@pytest.mark.parametrize("n_startup", [1, 1000])
def test_a_finite_space_is_searched_once_and_whole(space, n_startup):
    """As many suggestions as configurations, none twice, failures and running ones included; then the end."""
    hpo = TPE(space, seed=0, n_startup=n_startup)
    n = hpo.space.n_configurations
    keys, running = set(), []
    for i in range(n):
        running.append(hpo.ask())
        keys.add(hpo.space.key(running[-1]))
        if i % 3:
            hpo.tell(running.pop(0), 0.0)
        elif i % 2:
            hpo.fail(running.pop(0), "planned")
    assert len(keys) == n
    assert hpo.is_finite
    with pytest.raises(OptimizationComplete, match=f"all {n} configurations"):
        hpo.ask()


def test_the_last_configurations_of_a_space_too_long_to_list_are_found():
    """All but three of 5000 are known; the prior is asked until it names them."""
    hpo = TPE([RangeHP("n", 1, 5000)], seed=0)
    assert hpo.space.n_configurations > LONGEST_LIST
    for number, value in enumerate(v for v in range(1, 5001) if v not in (7, 2500, 4999)):
        suggestion = Suggestion({"n": value}, number=number)
        hpo.adopt(suggestion)
        hpo.tell(suggestion, -abs(value - 2500))
    assert {run(hpo, 1, lambda hp: 0.0)[0]["n"] for _ in range(3)} == {7, 2500, 4999}
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_a_parameter_that_counts_values_it_has_not_ends_the_search(monkeypatch):
    """A fault of a plug-in's space, and no endless loop: 5000 values are claimed, two can be had."""
    monkeypatch.setattr("autohpo.algorithms.tpe._PRIOR_BATCHES_OF_MANY", 20)

    class Boastful(RangeHP):
        n_values = 5000

        def decode(self, units):
            return [int(u > 0.5) for u in units[:, 0]]

    hpo = TPE([Boastful("n", 0, 4999)], seed=0, n_startup=1)
    run(hpo, 2, lambda hp: 0.0)
    with pytest.raises(OptimizationComplete, match="that can be found was suggested: 2 of 5000"):
        hpo.ask()


def test_an_endless_space_has_no_duplicates_and_does_not_end():
    """Neither of floats and choices, nor of the two floats of the shortest range there is: then it repeats them."""
    hpo = TPE(MIXED, seed=0)
    assert not hpo.is_finite
    assert len({hpo.space.key(s) for s in run(hpo, 120)}) == 120
    short = TPE([RangeHP("x", 1.0, np.nextafter(1.0, 2.0).item())], seed=0, n_startup=1)
    found = [s["x"] for s in run(short, 6, lambda hp: 0.0)]
    assert set(found[:2]) == set(found) == {1.0, 1.0000000000000002}


def test_the_first_trials_are_drawn_from_the_prior():
    """As many as `n_startup` must have ended, failed ones among them; running ones do not count."""
    hpo = TPE(MIXED, seed=0, n_startup=4)
    first = [hpo.ask() for _ in range(7)]
    for suggestion in first[:4]:
        prior = hpo.space.decode(np.random.default_rng((0, hpo.n_asked)).random((24, 5)))[0]
        asked = hpo.ask()
        assert dict(asked) == prior
        if suggestion.number:
            hpo.tell(suggestion, score(suggestion))
        else:
            hpo.fail(suggestion, "planned")
    expected, _ = plain_suggestion(hpo)
    np.testing.assert_allclose(hpo.space.encode([hpo.ask()]), hpo.space.encode([expected]), rtol=0, atol=1e-9)


def test_one_trial_is_enough_for_a_model():
    """With n_startup = 1 the second suggestion is the plain formula's."""
    hpo = TPE(MIXED, seed=0, n_startup=1)
    run(hpo, 1)
    expected, _ = plain_suggestion(hpo)
    np.testing.assert_allclose(hpo.space.encode([hpo.ask()]), hpo.space.encode([expected]), rtol=0, atol=1e-9)


def test_equal_results_rank_by_number():
    """A constant function: the oldest trials are the good ones, and the search goes on."""
    hpo = TPE(MIXED, seed=0)
    run(hpo, 60, lambda hp: 1.0)
    hpo.ask()
    assert [number for _, number in hpo._order] == list(range(60))


def test_min_mirrors_max():
    """The same suggestions for the negated function."""
    least = run(TPE(MIXED, seed=5, mode="min"), 40, lambda hp: -score(hp))
    assert least == run(TPE(MIXED, seed=5), 40)


def test_it_finds_better_than_random_search():
    """Mixed space, 60 evaluations, 10 seeds: every median gap to the optimum, 0, is at most a third of random's."""

    def gap(name, seed):
        hpo = build_hpo_from_name(name, MIXED, seed=seed)
        run(hpo, 60)
        return -hpo.best()[1]

    tpe, random = (np.median([gap(name, seed) for seed in range(10)]) for name in ("tpe", "random"))
    assert tpe < random / 3


def test_the_space_of_the_caller_is_used_as_it_is():
    """A SearchSpace goes in unchanged, and short ordered parameters get a table of exactly their values."""
    space = SearchSpace(MIXED)
    hpo = TPE(space, seed=0)
    hpo.ask()
    assert hpo.space is space
    grids = hpo._rows.columns.grids
    np.testing.assert_allclose(grids[2], [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-15)
    assert [i for i, grid in enumerate(grids) if grid is None] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("n_startup", 0), ("n_candidates", 0), ("max_good", 0)),
        *(("gamma", 0.0), ("gamma", 1.0), ("gamma", math.nan)),
        *(("prior_weight", 0.0), ("prior_weight", math.inf), ("prior_weight", math.nan)),
    ],
)
def test_wrong_options_are_named(option, value):
    """Option, rule, value."""
    with pytest.raises(OptionError, match=f"^{option}: must be .*got {value}$"):
        TPE(MIXED, **{option: value})
