"""TPE against its plain formula, and what it promises of duplicates, failures, running trials and replays."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.parts.parzen_search import BAD_FACTOR
from autohpo.algorithms.tpe import TPE
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.spaces import ListHP, PermutationHP
from autohpo.spaces.priors import NormalPrior, WeightedPrior
from autohpo.surrogates.parzen import ParzenEstimator
from autohpo.surrogates.parzen_rows import LONGEST_TABLE
from autohpo.trial import Suggestion

MIXED = [
    RangeHP("x", 0.0, 1.0),
    LogRangeHP("lr", 1e-4, 1.0),
    RangeHP("hops", 1, 5),  # few enough values for a table
    LogRangeHP("units", 1, 500),  # too many for one, in cells of very different length
    ChoiceHP("act", ["relu", "tanh", "elu"]),
    FixedHP("device", "cpu"),
]
SGD = [RangeHP("momentum", 0.0, 0.99), RangeHP("steps", 1, 4)]
TREE = SearchSpace(
    [
        ChoiceHP("opti", ["adam", "sgd", "none"], children={"sgd": SGD, "adam": [LogRangeHP("eps", 1e-9, 1e-3)]}),
        RangeHP("x", 0.0, 1.0, prior=NormalPrior(0.2, 0.1)),
        ChoiceHP("act", ["relu", "tanh", "elu"], prior=WeightedPrior([5, 3, 2])),
        ListHP("hidden", RangeHP("units", 1, 30), length="steps", max_length=4),
    ]
)


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


def kernel_sum(points, mask, rows, row_mask, weights, bandwidths, space, prior_weight, is_bad):
    """``(m,)`` density of a mixture, column by column with scipy's normal one; nothing kept, nothing expanded."""
    kernels = np.ones((len(points), len(rows)))
    for j, (n_levels, edges) in enumerate(zip(space.levels, space.edges, strict=True)):
        z, x, h = points[:, j][:, None], rows[:, j][None], bandwidths[j]
        if edges is not None:
            cell = np.searchsorted(edges, points[:, j]) - 1  # no point stands on an end
            low, high = edges[cell][:, None], edges[cell + 1][:, None]
        share = stats.norm.cdf(1, x, h) - stats.norm.cdf(0, x, h)
        if n_levels:
            own = np.where(np.isclose(z, x, rtol=0, atol=1e-9), (1 - h) / (high - low), 0) + h
        elif edges is None or (is_bad and len(edges) - 1 > LONGEST_TABLE):
            own = stats.norm.pdf(z, x, h) / share
        else:
            own = (stats.norm.cdf(high, x, h) - stats.norm.cdf(low, x, h)) / share / (high - low)
        kernels *= np.where(mask[:, [j]] & row_mask[:, j], own, 1.0)
    return (kernels @ weights + prior_weight) / (weights.sum() + prior_weight)


def plain_closeness(points, mask, rows, row_mask, widths, space):
    """``(m, p)`` the kernels of running trials, relative to their height at the trial itself."""
    near = np.ones((len(points), len(rows)))
    for j, n_levels in enumerate(space.levels):
        z, x, h = points[:, [j]], rows[:, j], widths[j]
        own = np.exp(-0.5 * ((z - x) / h) ** 2)
        if n_levels:
            length = np.diff(space.edges[j])[np.searchsorted(space.edges[j], x) - 1]
            own = np.where(np.isclose(z, x, rtol=0, atol=1e-9), 1.0, h / (h + (1 - h) / length))
        near *= np.where(mask[:, [j]] & row_mask[:, j], own, 1.0)
    return near


def steady(n):
    """Down to four binary digits."""
    while n >= 16 and n & (2 ** (n.bit_length() - 4) - 1):
        n -= 1
    return n


def plain_suggestion(hpo):
    """The next suggestion by the formulas alone, from the history; the draws are those of the tested estimator."""
    space, d, levels = hpo.space, hpo.space.n_columns, hpo.space.levels
    hps = {t.number: t.hp for t in hpo.trials} | {s.number: s for s in hpo.running}
    known = [hps[number] for number in sorted(hps)]
    rows, row_mask = space.encode(known), space.mask(known)
    ranked = sorted((t for t in hpo.trials if t.score is not None), key=lambda t: (t.violation, -t.score, t.number))
    good = [t.number for t in ranked[: min(math.ceil(hpo.gamma * len(ranked)), hpo.max_good)]]
    weights, widths, bad_widths = 1 - np.arange(len(good)) / len(good), np.empty(d), np.empty(d)
    for j in range(d):
        has = row_mask[good, j]
        k, n, x, w = has.sum(), steady(int(row_mask[:, j].sum())), rows[good, j][has], weights[has]
        variance = np.average((x - np.average(x, weights=w)) ** 2, weights=w) if k else 0.0
        widths[j] = max(1.06 * np.sqrt((k * variance + 1 / 12) / (k + 1)) * max(k, 1) ** (-1 / (d + 4)), 0.01)
        bad_widths[j] = BAD_FACTOR * max(n, 1) ** (-1 / (d + 4))
        if levels[j]:
            widths[j], bad_widths[j] = levels[j] / (levels[j] + k), levels[j] / (levels[j] + n)
    centres = hpo._search.columns.encoded(rows[good], row_mask[good])
    estimator = ParzenEstimator(hpo._search.columns, centres, weights, widths, hpo.prior_weight)
    drawn = space.decode(estimator.sample(hpo.n_candidates, np.random.default_rng((hpo.seed, hpo.n_asked))).points)
    running = [one.number for one in hpo.running]
    points, mask, bad = space.encode(drawn), space.mask(drawn), np.delete(np.arange(len(rows)), good)
    ratio = kernel_sum(points, mask, rows[good], row_mask[good], weights, widths, space, hpo.prior_weight, False)
    ratio /= kernel_sum(
        points, mask, rows[bad], row_mask[bad], np.ones(len(bad)), bad_widths, space, hpo.prior_weight, True
    )
    near = plain_closeness(points, mask, rows[running], row_mask[running], widths, space)
    ratio *= 1 - np.minimum(near.max(axis=1, initial=0.0), 1 - 1e-9)
    fresh = [i for i in np.argsort(-ratio, kind="stable") if not (rows == points[i]).all(axis=1).any()]
    return drawn[fresh[0]], ratio[fresh[:2]]


def assert_plain(hpo, is_apart=True):
    """The next suggestion is that of the plain formula, to 1e-9: a draw carries the rounding of the widths, 1e-15."""
    expected, ratios = plain_suggestion(hpo)
    assert not is_apart or ratios[0] > ratios[1] * (1 + 1e-9)
    suggestion = hpo.ask()
    assert suggestion.keys() == expected.keys()
    units = hpo.space.encode([suggestion, expected])
    np.testing.assert_allclose(units[0], units[1], rtol=0, atol=1e-9)
    return suggestion


@pytest.mark.parametrize("options", [{}, {"gamma": 0.4, "max_good": 6, "prior_weight": 3.0, "n_candidates": 9}])
def test_suggestions_equal_those_of_the_plain_formula(options):
    """Every suggestion of a disorderly run, past the growth of the caches and several steps of the bandwidths.

    No two ratios of this run are nearer than the tolerance.
    """
    hpo = TPE(MIXED, seed=3, **options)
    run_in_disorder(hpo, 20)
    for i in range(60):
        suggestion = assert_plain(hpo)
        if i % 7 == 6:
            hpo.fail(suggestion, "planned")
        elif i % 5:  # every fifth keeps running
            hpo.tell(suggestion, score(suggestion))


def test_suggestions_equal_those_of_the_plain_formula_in_a_tree_with_priors():
    """A trial says nothing of a parameter it has not; the prior's density is 1 in every column."""
    hpo = TPE(TREE, seed=4)
    for i in range(60):
        suggestion = assert_plain(hpo) if i >= 35 else hpo.ask()
        perf = -abs(suggestion["x"] - 0.4) - 0.2 * (suggestion["opti"] != "sgd") - suggestion.get("momentum", 0.3)
        hpo.tell(suggestion, perf + 0.01 * sum(suggestion.get("hidden", [])))


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


def test_a_running_trial_makes_its_neighbourhood_less_wanted():
    """It is bad; and nearly all of the ratio is gone at its place, next to nothing six widths of good kernels away."""
    hpo = TPE([RangeHP("x", 0.0, 1.0), ChoiceHP("a", ["u", "v"])], seed=0)
    run(hpo, 30, lambda hp: -abs(hp["x"] - 0.5))
    first = hpo.ask()
    search = hpo._search
    h = search.good()[0].bandwidths[0]
    steps = np.clip(first["x"] + np.array([0.0, 1.0, 6.0]) * h * np.sign(0.5 - first["x"]), 0, 1)
    there = search.columns.encoded(hpo.space.encode([{"x": x, "a": first["a"]} for x in steps.tolist()]))
    search.update()
    good, numbers = search.good()
    ratio = good.log_density(there) - search.rows.log_density(there, numbers)
    expected = [np.log(1e-9), np.log1p(-np.exp(-0.5)), np.log1p(-np.exp(-18.0))]
    np.testing.assert_allclose(search.acquisition(there) - ratio, expected, rtol=1e-6, atol=1e-12)


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
    assert set(hpo._search.good()[1]) <= {t.number for t in hpo.trials if t.score is not None}


def test_a_search_where_all_fails_goes_on_with_the_prior():
    """There is no good trial, so there is no model."""
    hpo = TPE(MIXED, seed=0)
    for _ in range(30):
        hpo.fail(hpo.ask(), "broken")
    assert dict(hpo.ask()) == hpo.space.sample(np.random.default_rng((0, 30)), 1)[0]


@pytest.mark.parametrize(
    "space",
    [
        [ChoiceHP("a", ["u", "v", "w"]), RangeHP("b", 1, 9)],
        [LogRangeHP("n", 1, 40), ChoiceHP("a", [True, 1])],  # long for a table, and cells of very different length
        [RangeHP("s", 0.0, 1.0, step=0.05)],
        [ChoiceHP("one", ["only"]), ChoiceHP("a", [1, 2, 3])],
        [FixedHP("a", 1), ChoiceHP("one", ["only"])],
        [PermutationHP("order", list("abcd"))],
        [ChoiceHP("a", [1, 2, 3], children={2: [RangeHP("b", 1, 4)]}), RangeHP("c", 1, 3)],
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


def test_the_last_configurations_of_a_long_space_are_found():
    """All but three of 5000 are known."""
    hpo = TPE([RangeHP("n", 1, 5000)], seed=0)
    for number, value in enumerate(v for v in range(1, 5001) if v not in (7, 2500, 4999)):
        suggestion = Suggestion({"n": value}, number=number)
        hpo.adopt(suggestion)
        hpo.tell(suggestion, -abs(value - 2500))
    assert {run(hpo, 1, lambda hp: 0.0)[0]["n"] for _ in range(3)} == {7, 2500, 4999}
    with pytest.raises(OptimizationComplete):
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
    """`n_startup` of them; with many workers more, until half that number has ended, failed ones among them."""
    hpo = TPE(MIXED, seed=0, n_startup=5)
    first = [hpo.ask() for _ in range(7)]
    for suggestion in first[:3]:
        prior = hpo.space.sample(np.random.default_rng((0, hpo.n_asked)), 1)[0]
        assert dict(hpo.ask()) == prior
        if suggestion.number:
            hpo.tell(suggestion, score(suggestion))
        else:
            hpo.fail(suggestion, "planned")
    assert_plain(hpo)
    few = TPE(MIXED, seed=0, n_startup=5)
    run(few, 4)
    assert dict(few.ask()) == few.space.sample(np.random.default_rng((0, 4)), 1)[0]


def test_one_trial_is_enough_for_a_model():
    """With n_startup = 1 the second suggestion is the plain formula's."""
    hpo = TPE(MIXED, seed=0, n_startup=1)
    run(hpo, 1)
    assert_plain(hpo)


def test_equal_results_rank_by_number():
    """A constant function: the oldest trials are the good ones, and the search goes on."""
    hpo = TPE(MIXED, seed=0)
    run(hpo, 60, lambda hp: 1.0)
    hpo.ask()
    assert hpo._search.good()[1] == list(range(9))


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


def test_only_allowed_configurations_are_suggested():
    """A corner that a fifth of the prior allows: none outside it, and the model works in it too."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 10)], constraints=["x * n < 1.5", "n > 1"])
    hpo = TPE(space, seed=0)
    asked = run(hpo, 60, lambda hp: hp["x"] + 0.1 * hp["n"])
    assert all(hp["x"] * hp["n"] < 1.5 and hp["n"] > 1 for hp in asked)
    best = max(x + 0.1 * n for n in range(2, 11) for x in [min(1.0, 1.5 / n)])
    assert hpo.best()[1] > best - 0.1


def test_results_that_break_a_constraint_rank_below_all_that_keep_it():
    """By how far they break it; a trial is good by that order, and the search moves to where the constraint holds."""
    hpo = TPE([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], seed=0)
    for _ in range(80):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion["x"], constraints={"room": suggestion["x"] + suggestion["y"] - 0.5})
    hpo.ask()
    ranked = sorted(hpo.trials, key=lambda t: (t.violation, -t.score, t.number))
    assert hpo._search.ranking.first(25) == [t.number for t in ranked[:25]]
    assert ranked[0].violation == 0 < ranked[-1].violation
    assert sum(t.violation == 0 for t in hpo.trials[40:]) > 20  # of 40 blind ones 5: more than 20 has a chance of 1e-8
    assert_plain(hpo)


def test_draws_follow_the_users_prior():
    """Before there is a model; a fifth of a normal distribution's mass lies within .25 standard deviations of its mean.

    500 draws: 4 standard deviations of the share are .07.
    """
    hpo = TPE([RangeHP("x", 0.0, 1.0, prior=NormalPrior(0.3, 0.1))], seed=0, n_startup=1000)
    near = np.mean([abs(hp["x"] - 0.3) < 0.025 for hp in run(hpo, 500, lambda hp: 0.0)])
    assert near == pytest.approx(0.197, abs=0.07)


def test_a_choice_of_thousands_is_modelled():
    """5,000 levels, of which 20 are good: they are drawn far more often than one in 250."""
    hpo = TPE([ChoiceHP("word", [f"w{i}" for i in range(5000)]), RangeHP("x", 0.0, 1.0)], seed=0)
    for number in range(200):
        suggestion = Suggestion({"word": f"w{number}", "x": 0.005 * number}, number=number)
        hpo.adopt(suggestion)
        hpo.tell(suggestion, float(number < 20))
    asked = [hpo.ask()["word"] for _ in range(40)]
    assert sum(int(word[1:]) < 20 for word in asked) > 10  # blind draws: .16 are expected


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
