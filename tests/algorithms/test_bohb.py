"""BOHB's model against its plain formula, and the traps that its forerunners fell into."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.bohb import BOHB
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.surrogates.kde import MixedKDE, normal_reference
from autohpo.trial import Suggestion, TrialState

SPACE = [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0), ChoiceHP("act", ["relu", "tanh", "elu"])]
FULL = {"sampler": "kde", "min_fidelity": 1.0, "max_fidelity": 1.0}  # one rung: a trial is a bracket
LADDER = {"sampler": "kde", "min_fidelity": 1.0, "max_fidelity": 9.0}
COUNTABLE = [ChoiceHP(name, [0, 1, 2]) for name in "abc"]


def score(hp):
    """Best at x = .3, lr = .01, act = tanh."""
    return -abs(hp["x"] - 0.3) - abs(math.log10(hp["lr"]) + 2) / 4 - 0.2 * (hp["act"] != "tanh")


def signature(suggestion):
    """All of a suggestion that the algorithm decides."""
    return dict(suggestion), suggestion.fidelity, suggestion.resume, suggestion.info


def run(hpo, n, f=score):
    """Asks and tells n times, one by one; a score of None is a failure."""
    asked = []
    for _ in range(n):
        asked.append(hpo.ask())
        tell(hpo, asked[-1], f(asked[-1]))
    return asked


def tell(hpo, suggestion, perf):
    """Tells a result; None is a crash."""
    if perf is None:
        hpo.fail(suggestion, "planned", TrialState.CRASHED)
    else:
        hpo.tell(suggestion, perf)


def with_history(hpo, history):
    """Hands over trials that another search made: ``(hp, fidelity, perf)`` each."""
    for number, (hp, fidelity, perf) in enumerate(history):
        suggestion = Suggestion(hp, fidelity=fidelity, number=number)
        hpo.adopt(suggestion)
        tell(hpo, suggestion, perf)
    return hpo


def plain_density(points, data, bandwidths, levels):
    """``(m,)`` product kernels summed one by one, with scipy's truncated normal."""
    total = np.zeros(len(points))
    for row in data:
        kernel = np.ones(len(points))
        for j, h in enumerate(bandwidths):
            if levels[j]:
                kernel *= np.where(np.isclose(points[:, j], row[j]), 1 - h, h / (levels[j] - 1))
            else:
                kernel *= stats.truncnorm.pdf(points[:, j], -row[j] / h, (1 - row[j]) / h, row[j], h)
        total += kernel / len(data)
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [6, 7, 30, 61])
def test_the_suggestion_has_the_largest_density_ratio_of_the_candidates(n, seed):
    """Good are the best max(d + 1, 15 %), bad the worst max(d + 1, the rest): sorted and summed by hand."""
    hpo = BOHB(SPACE, **FULL, seed=seed, random_fraction=0.0, bandwidth_factor=2.0)
    run(hpo, n, lambda hp: score(hp) if n < 30 or hp.number % 4 else None)
    while sum(trial.perf is not None for trial in hpo.trials) < 6:
        run(hpo, 1)
    suggestion, space = hpo.ask(), hpo.space
    ranked = sorted(hpo.trials, key=lambda t: (math.inf if t.perf is None else -t.perf, t.number))
    n_good = max(4, int(0.15 * sum(trial.perf is not None for trial in ranked)))
    n_bad = max(4, len(ranked) - n_good)
    good, bad = (space.encode([t.hp for t in part]) for part in (ranked[:n_good], ranked[-n_bad:]))
    widths = [normal_reference(part, space.levels, 1e-3) for part in (good, bad)]
    widths[1][2] = widths[0][2]  # the choice
    rng = np.random.default_rng((seed, len(hpo.trials)))
    rng.random()  # the draw that decides between model and prior
    candidates = MixedKDE(good, space.levels, widths[0]).sample(64, rng, 2.0)
    ratio = plain_density(candidates, good, widths[0], space.levels) / plain_density(
        candidates, bad, widths[1], space.levels
    )
    assert dict(suggestion) == space.decode(candidates[[np.argmax(ratio)]])[0]


def test_the_first_model_needs_the_papers_number_of_results():
    """N_min + 2 = d + 3: six results with three columns; fixed parameters are no columns."""
    hpo = BOHB([*SPACE, FixedHP("device", "cpu")], **FULL, random_fraction=0.0, seed=0)
    assert [s.info["model"] for s in run(hpo, 9)] == [False] * 6 + [True] * 3


def test_a_given_least_number_of_points_is_kept():
    """With N_min = 10 the first model needs 12."""
    hpo = BOHB(SPACE, **FULL, random_fraction=0.0, min_samples_in_model=10, seed=0)
    assert [s.info["model"] for s in run(hpo, 13)].index(True) == 12


def test_failures_do_not_count_towards_the_first_model():
    """Six results among the crashes; and where all crash there is no model, and no error."""
    hpo = BOHB(SPACE, **FULL, random_fraction=0.0, seed=0)
    asked = run(hpo, 14, lambda hp: None if hp.number % 2 else score(hp))
    assert [s.info["model"] for s in asked].index(True) == 11
    hpo = BOHB(SPACE, **LADDER, random_fraction=0.0, seed=0)
    assert not any(s.info["model"] for s in run(hpo, 60, lambda hp: None))


def test_failures_are_bad_configurations():
    """Everything below 1/2 is equally good and everything above crashes: the model keeps below."""
    hpo = BOHB([RangeHP("x", 0.0, 1.0)], **FULL, seed=1)
    asked = run(hpo, 150, lambda hp: 0.0 if hp["x"] < 0.5 else None)
    modelled = [s["x"] < 0.5 for s in asked[50:] if s.info["model"]]
    assert len(modelled) > 50
    assert np.mean(modelled) > 0.95


def test_a_third_of_the_draws_comes_from_the_prior():
    """300 draws with a model, of which 100 +- 3 * sqrt(300 * 1/3 * 2/3) = 100 +- 25 are random."""
    hpo = BOHB(SPACE, **FULL, seed=0)
    asked = run(hpo, 306)
    assert abs(sum(not s.info["model"] for s in asked[6:]) - 100) < 25


@pytest.mark.parametrize(
    ("n_short", "n_full", "near"),
    [(40, 0, 0.2), (40, 15, 0.2), (40, 16, 0.8), (60, 40, 0.8), (20, 9, 0.2), (20, 10, 0.8), (3, 4, 0.8)],
)
def test_few_full_evaluations_do_not_replace_many_short_ones(n_short, n_full, near):
    """Short ones say .2, full ones .8, which count when they are half as many, or 4 (N_min + 2) = 16.

    The 40 full ones come without a fidelity, which means the same.
    """
    short, full = ((np.arange(n) + 0.5) / max(n, 1) for n in (n_short, n_full))
    history = [({"x": x}, 1.0, -abs(x - 0.2)) for x in short.tolist()]
    history += [({"x": x}, 9.0, -abs(x - 0.8)) for x in full.tolist()]
    if n_full == 40:
        history = [(hp, None if fidelity == 9.0 else fidelity, perf) for hp, fidelity, perf in history]
    drawn = []
    for seed in range(10):
        hpo = with_history(BOHB([RangeHP("x", 0.0, 1.0)], **LADDER, random_fraction=0.0, seed=seed), history)
        drawn += [hpo.ask()["x"] for _ in range(4)]
    assert abs(np.median(drawn) - near) < 0.2  # of .6 between the two


@pytest.mark.parametrize("n_levels", [3, 5, 10])
def test_a_level_that_nobody_saw_does_not_win(n_levels):
    """The good share a level, the last one was never drawn: with L the levels seen it would always be chosen."""
    space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", list(range(n_levels)))]
    rng = np.random.default_rng(0)
    history = [({"x": rng.random(), "c": int(c)}, 1.0, -float(c)) for c in rng.integers(0, n_levels - 1, 60)]
    chosen = []
    for seed in range(30):
        hpo = with_history(BOHB(space, **FULL, random_fraction=0.0, seed=seed), history)
        chosen.append(hpo.ask()["c"])
    assert chosen.count(n_levels - 1) <= 6
    assert chosen.count(0) >= 20


def test_the_order_of_choices_changes_nothing():
    """The same history under codes in another order gives the same density of good levels."""
    rng = np.random.default_rng(0)
    drawn = [(rng.random(), int(rng.integers(8))) for _ in range(60)]
    shares = []
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [7, 3, 5, 0, 2, 6, 1, 4]):
        space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", order)]
        history = [({"x": x, "c": c}, 1.0, -float(c not in (0, 7))) for x, c in drawn]
        optimizers = [BOHB(space, **FULL, random_fraction=0.0, seed=seed) for seed in range(60)]
        asked = [with_history(hpo, history).ask()["c"] for hpo in optimizers]
        shares.append(np.mean([c in (0, 7) for c in asked]))
    assert min(shares) > 0.9


@pytest.mark.parametrize("random_fraction", [0.0, 1 / 3, 1.0])
@pytest.mark.parametrize("n_running", [1, 4])
def test_a_space_of_27_configurations_is_tried_whole_and_then_it_ends(random_fraction, n_running):
    """Each of them once, whether drawn by the model or from the prior, running ones too."""
    hpo, running, seen = BOHB(COUNTABLE, **FULL, random_fraction=random_fraction, seed=0), [], []
    for _ in range(27):
        running.append(hpo.ask())
        seen.append(tuple(running[-1].values()))
        if len(running) == n_running:
            hpo.tell(running[0], -float(sum(running.pop(0).values())))
    assert sorted(seen) == sorted(itertools.product(range(3), repeat=3))
    while running:
        hpo.tell(running.pop(), 0.0)
    with pytest.raises(OptimizationComplete, match="all 27 configurations"):
        hpo.ask()
    assert hpo.is_finite


def test_the_last_configurations_are_chosen_by_the_model_where_it_is_to_choose():
    """With random_fraction 0 the prior is no silent stand-in for candidates that are used up."""
    hpo = BOHB(COUNTABLE, **FULL, random_fraction=0.0, seed=0)
    asked = run(hpo, 27, lambda hp: -float(sum(hp.values())))
    assert [s.info["model"] for s in asked] == [False] * 6 + [True] * 21
    assert np.mean([sum(s.values()) for s in asked[6:12]]) < 3 < np.mean([sum(s.values()) for s in asked[21:]])


def test_where_every_candidate_was_seen_the_model_chooses_among_the_rest():
    """200 whole numbers, best at 60: the 100 nearest lie 25 away in the mean, and it takes hardly any other."""
    hpo = BOHB([RangeHP("n", 1, 200)], **FULL, random_fraction=0.0, seed=0)
    asked = run(hpo, 100, lambda hp: -abs(hp["n"] - 60.0))
    assert len({s["n"] for s in asked}) == 100
    assert np.mean([abs(s["n"] - 60) for s in asked if s.info["model"]]) < 26


def test_whole_numbers_on_a_log_scale_are_tried_whole_too():
    """Cells of very unequal length: 1 has 22 % of the prior, 60 has .3 %."""
    hpo = BOHB([LogRangeHP("n", 1, 60)], **FULL, seed=0)
    assert {s["n"] for s in run(hpo, 60, lambda hp: -float(hp["n"]))} == set(range(1, 61))
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_in_brackets_a_used_up_space_still_gets_its_promotions():
    """27 configurations start at fidelity 1 of 1..27; 9, 3 and 1 of them go on."""
    hpo = BOHB(COUNTABLE, max_fidelity=27.0, seed=0)
    asked = run(hpo, 40, lambda hp: float(sum(hp.values())))
    assert [[s.fidelity for s in asked].count(r) for r in (1.0, 3.0, 9.0, 27.0)] == [27, 9, 3, 1]
    assert len({tuple(s.values()) for s in asked if s.resume is None}) == 27
    assert sum(asked[-1].values()) == 6
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_a_space_without_anything_to_search_has_one_trial():
    """A single value needs no model and no second look."""
    hpo = BOHB([FixedHP("device", "cpu"), ChoiceHP("one", ["only"])], **FULL, seed=0)
    assert run(hpo, 1, lambda hp: 0.0)[0] == {"device": "cpu", "one": "only"}
    with pytest.raises(OptimizationComplete):
        hpo.ask()
    hpo = with_history(BOHB([FixedHP("device", "cpu")], **FULL), [({"device": "cpu"}, 1.0, 0.0)] * 5)
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_it_is_finite_where_brackets_or_configurations_are():
    """The runner asks for a limit of its own where neither is."""
    assert BOHB(SPACE, num_iterations=1).is_finite
    assert BOHB(COUNTABLE).is_finite
    assert not BOHB(SPACE).is_finite


@pytest.mark.parametrize("space", [SPACE, COUNTABLE])
def test_an_adopted_history_gives_the_same_next_suggestion_in_any_order_told(space):
    """At every point of a run with five workers, ties and failures; pickling changes nothing either."""
    options = {"sampler": "kde", "max_fidelity": 9.0, "num_iterations": 3, "seed": 2}
    hpo, rng, running, asked = BOHB(space, **options), np.random.default_rng(0), [], []
    for n in range(32):
        other, copy = BOHB(space, **options), pickle.loads(pickle.dumps(hpo))
        for suggestion in asked:
            other.adopt(suggestion)
        for i in rng.permutation(len(hpo.trials)):
            tell(other, asked[hpo.trials[i].number], hpo.trials[i].perf)
        try:
            suggestion = hpo.ask()
        except NotReady:
            with pytest.raises(NotReady):
                other.ask()
        else:
            assert signature(other.ask()) == signature(suggestion)
            assert signature(copy.ask()) == signature(suggestion)
            asked.append(suggestion)
            running.append(suggestion)
        while len(running) >= 5 or (running and rng.random() < 0.2):
            suggestion = running.pop(rng.integers(len(running)))
            tell(hpo, suggestion, None if n % 7 == 3 else round(rng.random(), 1))
    assert any(s.info["model"] for s in asked)


def test_each_suggestion_is_encoded_once(monkeypatch):
    """The cost of an ask must not grow with the history that is already known."""
    encoded, encode = [], SearchSpace.encode
    monkeypatch.setattr(SearchSpace, "encode", lambda self, hps: encoded.append(len(hps)) or encode(self, hps))
    asked = run(BOHB(SPACE, **LADDER, seed=0), 100)
    last = max(s.number for s in asked if s.resume is None)
    assert sum(encoded) == last  # the rest is encoded when the next configuration is wanted


def simulate(hpo, n_workers, f):
    """The draws of a run in which an evaluation lasts as long as its fidelity, and the end of its last one."""
    running, now, drawn = [], 0.0, []
    while True:
        try:
            while len(running) < n_workers:
                suggestion = hpo.ask()
                running.append((now + suggestion.fidelity, suggestion.number, suggestion))
                drawn += [suggestion] if suggestion.resume is None else []
        except NotReady:
            assert running
        except OptimizationComplete:
            if not running:
                return drawn, now
        running.sort(key=lambda item: item[:2])
        now, _, suggestion = running.pop(0)
        tell(hpo, suggestion, f(suggestion))


@pytest.mark.parametrize("n_workers", [16, 64])
def test_half_of_the_draws_are_the_models_though_many_workers_ask_at_once(n_workers):
    """8 brackets of 1..27; HpBandSter reaches 46-51 % and 10-15 %, and is busy for 67 and 41 units of time."""
    space = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(6)]
    shares, ends = [], []
    for seed in range(4):
        hpo = BOHB(space, sampler="kde", max_fidelity=27.0, num_iterations=8, seed=seed)
        drawn, end = simulate(hpo, n_workers, lambda hp: -sum(hp.values()))
        shares.append(np.mean([s.info["model"] for s in drawn]))
        ends.append(end)
    assert np.mean(shares) >= 0.5
    assert max(ends) == {16: 70.0, 64: 41.0}[n_workers]  # 16: 846 units of work, 36 more than HpBandSter's brackets


@pytest.mark.parametrize("n_workers", [1, 16, 64])
def test_waiting_for_the_first_results_never_ends_in_a_deadlock(n_workers):
    """All crash, so that no model ever comes: every bracket is run all the same."""
    hpo = BOHB(SPACE, max_fidelity=9.0, num_iterations=4, seed=0)
    simulate(hpo, n_workers, lambda hp: None)
    assert len(hpo.trials) == (9 + 3 + 1) + (5 + 1) + 3 + (9 + 3 + 1)


@pytest.mark.parametrize(
    ("limit", "n_blind"), [({"num_iterations": 8}, 17), ({"max_evals": 100}, 12), ({"max_evals": 40}, 9)]
)
def test_a_sixth_of_the_new_configurations_is_drawn_blindly(limit, n_blind):
    """Of 98 in 8 brackets 16.3; of 100 suggestions 49 in 69 are new, so 11.8; but a model needs 6 + 3 = 9."""
    hpo = BOHB([RangeHP(f"x{i}", 0.0, 1.0) for i in range(6)], max_fidelity=27.0, **limit, seed=0)
    asked = [hpo.ask() for _ in range(n_blind)]
    with pytest.raises((NotReady, OptimizationComplete)):
        hpo.ask()
    if n_blind > 9:
        for suggestion in asked[:8]:
            hpo.tell(suggestion, 0.0)
        with pytest.raises(NotReady, match=f"waits for {n_blind - 8} trials at fidelity 1"):
            hpo.ask()
        hpo.tell(asked[8], 0.0)
        hpo.ask()


def test_nobody_waits_where_suggestions_are_not_limited():
    """Later draws will learn from these, so 200 workers get one each."""
    hpo = BOHB(SPACE, max_fidelity=27.0, seed=0)
    assert len([hpo.ask() for _ in range(200)]) == 200


@pytest.mark.filterwarnings("ignore:BOHB")
def test_without_fidelity_the_model_learns_from_full_evaluations():
    """No brackets, the same model; the warning itself is Hyperband's test."""
    hpo = BOHB(SPACE, random_fraction=0.0, seed=0)
    hpo.has_fidelity = False
    asked = run(hpo, 60)
    assert all(s.fidelity is None and s.resume is None for s in asked)
    assert [s.info["model"] for s in asked] == [False] * 6 + [True] * 54
    assert np.mean([score(s) for s in asked[40:]]) > np.mean([score(s) for s in asked[:6]]) + 0.2


def test_bandwidths_by_likelihood_are_used_where_there_is_one():
    """Two ranges, 12 results: the draw differs from the rule of thumb's; with a lone level it is the same."""
    ranges = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]
    rng = np.random.default_rng(0)
    points = [{"x": x, "y": y} for x, y in rng.random((12, 2)).tolist()]
    history = [(hp, 1.0, -abs(hp["x"] - 0.3)) for hp in points]
    asks = [
        with_history(BOHB(ranges, **FULL, seed=0, random_fraction=0.0, bandwidth=rule), history).ask()
        for rule in ("normal_reference", "cv_ml")
    ]
    assert asks[0] != asks[1]
    lone = [*ranges, ChoiceHP("c", ["a", "b"])]
    history = [({**hp, "c": "ab"[i % 6 == 0]}, 1.0, -float(i)) for i, hp in enumerate(points)]
    asks = [
        with_history(BOHB(lone, **FULL, seed=0, random_fraction=0.0, bandwidth=rule), history[:6]).ask()
        for rule in ("normal_reference", "cv_ml")
    ]
    assert asks[0] == asks[1]


def test_blackboxopts_and_hpbandsters_names_are_known():
    """One option, several names; the defaults are the same numbers."""
    hpo = build_hpo_from_name("bohb", SPACE, min_budget=1, max_budget=9, min_points_in_model=7, n_iterations=2)
    assert (hpo.max_fidelity, hpo.min_samples_in_model, hpo.num_iterations) == (9, 7, 2)
    defaults = (hpo.eta, hpo.top_n_percent, hpo.num_samples, hpo.random_fraction)
    assert defaults == (3, 15, 64, 1 / 3)
    assert (hpo.bandwidth_factor, hpo.min_bandwidth) == (3, 1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 1}, "eta: must be at least 2, got 1"),
        ({"top_n_percent": 0.15}, "top_n_percent: must be a percentage from 1 to 99, got 0.15"),
        ({"top_n_percent": 100}, "top_n_percent: must be a percentage from 1 to 99, got 100"),
        ({"num_samples": 0}, "num_samples: must be at least 1, got 0"),
        ({"random_fraction": 1.5}, "random_fraction: must be from 0 to 1, got 1.5"),
        ({"random_fraction": math.nan}, "random_fraction: must be from 0 to 1, got nan"),
        ({"bandwidth_factor": 0.0}, "bandwidth_factor: must be positive and finite, got 0.0"),
        ({"min_bandwidth": 0.0}, "min_bandwidth: must be above 0 and at most 1, got 0.0"),
        ({"min_samples_in_model": 1}, "min_samples_in_model: must be at least 2, or None, got 1"),
        ({"min_samples_in_model": 0}, "min_samples_in_model: must be at least 2, or None, got 0"),
        ({"bandwidth": "cv_ls"}, "bandwidth: must be 'normal_reference' or 'cv_ml', got 'cv_ls'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        BOHB(SPACE, **options)
    assert str(caught.value) == message


def test_new_configurations_are_those_of_auto_unless_the_papers_sampler_is_asked_for():
    """By name, or by one of its options; results at a single fidelity make it the very search of ``auto``."""
    assert BOHB(SPACE).sampler == "auto"
    assert BOHB(SPACE, num_samples=32).sampler == "kde"
    assert BOHB(SPACE, sampler="tpe").sampler == "tpe"
    full = {"min_fidelity": 1.0, "max_fidelity": 1.0}
    bohb, auto = BOHB(SPACE, **full, seed=0), build_hpo_from_name("auto", SPACE, seed=0)
    assert list(map(dict, run(bohb, 20))) == list(map(dict, run(auto, 20)))


def test_a_run_that_was_begun_with_the_papers_sampler_goes_on_with_it(tmp_path):
    """An earlier release had no other default, and whoever named none then names none now."""
    run_of = {"max_fidelity": 9.0, "seed": 0, "f": lambda hps, fidelity: hps["x"] * fidelity}
    to = {"store": tmp_path / "run.db", "progress": "none"}
    BOHB(SPACE, sampler="kde", max_evals=12, **run_of).optimize(**to)
    hpo = BOHB(SPACE, max_evals=15, **run_of)
    hpo.optimize(**to)
    assert hpo.sampler == "kde"
    assert len(hpo.trials) == 15
    assert "model" in hpo.trials[14].info
