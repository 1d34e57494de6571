"""Hyperband's schedule against published tables, and successive halving against sorting."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.brackets import Brackets
from autohpo.schedulers.schedule import Schedule
from autohpo.trial import Outcome, Suggestion, Trial, TrialState

# Sizes and costs of HpBandSter 0.7.4 ("floor") and blackboxopt 5.3.8 ("ceil"), as both print them.
ORACLE = [
    (1, 9, 3, "floor", "9-3-1 / 3-1 / 3", [3, 2, 3]),
    (1, 9, 3, "ceil", "9-3-1 / 5-1 / 3", [3, 2.67, 3]),
    (1, 27, 3, "floor", "27-9-3-1 / 9-3-1 / 6-2 / 4", [4, 3, 4, 4]),
    (1, 27, 3, "ceil", "27-9-3-1 / 12-4-1 / 6-2 / 4", [4, 3.67, 4, 4]),
    (1, 81, 3, "floor", "81-27-9-3-1 / 27-9-3-1 / 9-3-1 / 6-2 / 5", [5, 4, 3, 4, 5]),
    (1, 81, 3, "ceil", "81-27-9-3-1 / 34-11-3-1 / 15-5-1 / 8-2 / 5", [5, 4.48, 4.33, 4.67, 5]),
    (1, 16, 2, "floor", "16-8-4-2-1 / 8-4-2-1 / 4-2-1 / 4-2 / 5", [5, 4, 3, 4, 5]),
    (1, 16, 2, "ceil", "16-8-4-2-1 / 10-5-2-1 / 7-3-1 / 5-2 / 5", [5, 4.5, 4.25, 4.5, 5]),
    (1, 64, 4, "floor", "64-16-4-1 / 16-4-1 / 8-2 / 4", [4, 3, 4, 4]),
    (1, 64, 4, "ceil", "64-16-4-1 / 22-5-1 / 8-2 / 4", [4, 3.625, 4, 4]),
]


@pytest.mark.parametrize(("low", "high", "eta", "rule", "sizes", "costs"), ORACLE)
def test_sizes_and_costs_are_those_of_the_two_reference_systems(low, high, eta, rule, sizes, costs):
    """The whole table of both rule sets; costs are printed with two digits there."""
    schedule = Schedule(low, high, eta, rule)
    assert " / ".join("-".join(map(str, plan.sizes)) for plan in schedule.brackets) == sizes
    assert [plan.cost for plan in schedule.brackets] == pytest.approx(costs, abs=0.005)
    assert schedule.cost(len(costs)) == pytest.approx(sum(costs), abs=0.005 * len(costs))


@pytest.mark.parametrize("scale", [1.0, 0.1, 7.3])
@pytest.mark.parametrize(
    ("eta", "power"),
    [(3, 5), (9, 5), (10, 1), (10, 2), (10, 3), (10, 4), (10, 6), (2.5, 1), (2.5, 3), (2, 40)],
)
def test_no_rung_is_lost_to_the_rounding_of_a_logarithm(scale, eta, power):
    """A ratio of exactly eta^k makes k + 1 rungs; int(log(ratio) / log(eta)) is one short for most of these."""
    schedule = Schedule(scale, scale * eta**power, eta)
    assert len(schedule.fidelities) == power + 1
    assert schedule.fidelities[0] == pytest.approx(scale, rel=1e-9)
    assert schedule.fidelities[0] >= scale
    assert schedule.fidelities[-1] == scale * eta**power


@pytest.mark.parametrize(("eta", "power"), [(3, 6), (6, 6), (7, 2), (10, 3)])
@pytest.mark.parametrize("rule", ["ceil", "floor"])
def test_sizes_shrink_by_exactly_eta_where_they_can(eta, power, rule):
    """The first bracket starts with eta^k, so its rungs are the powers below; int(n * eta**-k) is one short at some."""
    assert Schedule(1, eta**power, eta, rule).brackets[0].sizes == tuple(eta**k for k in range(power, -1, -1))


@pytest.mark.parametrize(("start", "eta", "k", "size"), [(98, 7, 2, 2), (1458, 3, 6, 2), (93312, 6, 6, 2)])
def test_known_traps_of_the_shrinking_sizes_are_avoided(start, eta, k, size):
    """Bracket sizes at which int(n0 * eta**-k) gives one less than the whole number it stands for."""
    assert int(start * eta**-k) == size - 1  # the trap itself
    n_rungs = next(
        n for n in range(1, 60) if any(p.sizes[0] == start for p in Schedule(1, eta**n, eta, "floor").brackets)
    )
    plan = next(p for p in Schedule(1, eta**n_rungs, eta, "floor").brackets if p.sizes[0] == start)
    assert plan.sizes[k] == size


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (0.7, 2.1), (1.1, 9.9)])
def test_no_rung_is_lost_to_the_rounding_of_a_quotient(low, high):
    """0.3 / 3 is less than 0.1 as floats go; the lowest rung is 0.1 all the same, and not a bit below."""
    schedule = Schedule(low, high, 3)
    assert schedule.fidelities[0] == pytest.approx(low, rel=1e-15)
    assert schedule.fidelities[0] >= low


@pytest.mark.parametrize("eta", range(2, 11))
def test_sizes_equal_exact_fractions(eta):
    """Both rules in rational arithmetic, for one to eight rungs."""
    for n, rule in itertools.product(range(1, 9), ["ceil", "floor"]):
        plans = Schedule(1, eta ** (n - 1), eta, rule).brackets
        for plan, s in zip(plans, reversed(range(n)), strict=True):
            start = math.ceil(Fraction(n, s + 1) * eta**s) if rule == "ceil" else n // (s + 1) * eta**s
            assert plan.sizes == tuple(start // eta**k for k in range(s + 1))


@pytest.mark.parametrize(("rule", "sizes"), [("ceil", (7, 2, 1)), ("floor", (6, 2, 1))])
def test_an_eta_that_is_no_whole_number_leaves_no_rung_empty(rule, sizes):
    """2.5^2 = 6.25 configurations are 7 or 6, of which int(6 / 6.25) = 0 would be trained in full."""
    assert Schedule(1, 6.25, 2.5, rule).brackets[0].sizes == sizes


def test_the_lowest_fidelity_is_used_only_where_it_lies_on_the_grid():
    """Rungs come down from the largest fidelity: 100, 33.3, 11.1, 3.7, 1.23."""
    assert Schedule(1, 100, 3).fidelities == pytest.approx([100 / 81, 100 / 27, 100 / 9, 100 / 3, 100])


def test_resumed_trials_cost_only_what_they_are_trained_further():
    """The bracket 81-27-9-3-1 trains 81*1 + 27*2 + 9*6 + 3*18 + 1*54 = 297 epochs, and 5 * 81 = 405 from scratch."""
    plan = Schedule(1, 81, 3).brackets[0]
    assert plan.cost * 81 == pytest.approx(405)
    assert plan.resumed_cost * 81 == pytest.approx(297)


def test_brackets_come_round_again():
    """After the last bracket of a round the first one follows."""
    schedule = Schedule(1, 9, 3)
    assert [schedule.bracket(i).sizes[0] for i in range(7)] == [9, 5, 3, 9, 5, 3, 9]


def test_many_brackets_are_counted_by_rounds():
    """A million brackets of 9-3-1, 5-1, 3 start with 17 configurations for each three, and cost 8 2/3."""
    schedule = Schedule(1, 9, 3)
    assert schedule.n_new(3_000_002) == 17_000_000 + 9 + 5
    assert schedule.cost(3_000_002) == pytest.approx(26e6 / 3 + 3 + 8 / 3, rel=1e-12)


def test_the_table_has_a_line_for_each_bracket_and_their_sum():
    """Sizes stand under their fidelities, and totals at the end."""
    lines = str(Schedule(1, 81, 3)).splitlines()
    assert lines[1].split() == ["bracket", "@1", "@3", "@9", "@27", "@81", "cost", "resumed"]
    assert lines[3].split() == ["1", "34", "11", "3", "1", "4.48", "3.41"]
    assert lines[3].index("34") + 2 == lines[1].index("@3") + 2
    assert lines[-1].split() == ["all", "81", "61", "35", "19", "10", "23.48", "19.52"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 9), "min_fidelity: must be positive and finite, got 0"),
        ((float("nan"), 9), "min_fidelity: must be positive and finite, got nan"),
        ((3, 1), "max_fidelity: must be finite and at least min_fidelity, 3, got 1"),
        ((1, float("inf")), "max_fidelity: must be finite and at least min_fidelity, 1, got inf"),
        ((1, 9, 1), "eta: must be at least 2, got 1"),
        ((1, 9, float("nan")), "eta: must be at least 2, got nan"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(arguments, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        Schedule(*arguments)
    assert str(caught.value) == message


class Driver:
    """Asks and tells a `Brackets` as an optimizer does; configurations are numbered as they are drawn."""

    def __init__(self, schedule, num_iterations=None, n_configurations=None):
        self.brackets = Brackets(schedule, num_iterations)
        self.schedule, self.num_iterations, self.n_configurations = schedule, num_iterations, n_configurations
        self.asked, self.trials, self.running, self.n_drawn = [], [], {}, 0

    def sample(self, fidelity):
        if self.n_drawn == self.n_configurations:
            raise OptimizationComplete("all drawn")
        self.n_drawn += 1
        return Suggestion({"x": self.n_drawn - 1}, info={"note": self.n_drawn - 1})

    def ask(self):
        self.brackets.follow(self.trials, list(self.running.values()))
        suggestion = self.brackets.suggest(self.sample)
        suggestion.number = len(self.asked)
        self.asked.append(suggestion)
        self.running[suggestion.number] = suggestion
        return suggestion

    def tell(self, number, perf):
        s = self.running.pop(number)
        state = TrialState.FAILED if perf is None else TrialState.COMPLETE
        self.trials.append(
            Trial(
                number,
                dict(s),
                Outcome(state, () if perf is None else (perf,)),
                fidelity=s.fidelity,
                resume=s.resume,
                info=s.info,
            )
        )

    def run(self, n, perf=lambda s: float(s["x"])):
        """Asks and tells n times, one by one."""
        for _ in range(n):
            s = self.ask()
            self.tell(s.number, perf(s))

    def replayed(self, trials):
        """Another driver that was handed the same history at once, ended in the order of `trials`."""
        other = Driver(self.schedule, self.num_iterations, self.n_configurations)
        other.asked, other.trials, other.running = list(self.asked), list(trials), dict(self.running)
        other.n_drawn = self.n_drawn
        return other

    def resumable(self):
        self.brackets.follow(self.trials, list(self.running.values()))
        return self.brackets.resumable


def test_the_best_go_on_best_first_and_equals_in_the_order_asked():
    """Ranks 7, 2, 7, 9, 0, 7, ... leave 3, then 0 and 2 of the three equals."""
    driver = Driver(Schedule(1, 9, 3))
    perfs = [7.0, 2.0, 7.0, 9.0, 0.0, 7.0, 1.0, 1.0, 1.0]
    driver.run(9, lambda s: perfs[s["x"]])
    promoted = [driver.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [3, 0, 2]
    assert [s["x"] for s in promoted] == [3, 0, 2]
    assert [s.fidelity for s in promoted] == [3.0] * 3
    assert promoted[0].info == {"note": 3, "bracket": 0, "rung": 1}


def test_a_bracket_ends_with_one_configuration_trained_in_full():
    """9-3-1 is 13 trials, each continuing the one before; then the next bracket starts one rung higher."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(13)
    assert [s.fidelity for s in driver.asked] == [1.0] * 9 + [3.0] * 3 + [9.0]
    assert (driver.asked[12]["x"], driver.asked[12].resume) == (8, 9)
    assert driver.asked[9].resume == 8
    s = driver.ask()
    assert (s.fidelity, s.resume, s.info["bracket"], s.info["rung"]) == (3.0, None, 1, 0)


def test_promotions_come_before_new_configurations_and_older_brackets_first():
    """Bracket 1 is half sampled when bracket 0 gets its promotions; they go first, then its free slots."""
    driver = Driver(Schedule(1, 9, 3))
    first = [driver.ask() for _ in range(9)]
    second = [driver.ask() for _ in range(2)]
    assert [s.info["bracket"] for s in second] == [1, 1]
    for s in first:
        driver.tell(s.number, float(s["x"]))
    assert [driver.ask().resume for _ in range(3)] == [8, 7, 6]
    assert [driver.ask().info["bracket"] for _ in range(4)] == [1, 1, 1, 2]


def test_of_two_brackets_with_promotions_the_older_goes_first():
    """Both first rungs end at once: 3 trials of bracket 0 go on, then 1 of bracket 1."""
    driver = Driver(Schedule(1, 9, 3))
    for s in [driver.ask() for _ in range(9 + 5)]:
        driver.tell(s.number, float(s["x"]))
    assert [driver.ask().resume for _ in range(4)] == [8, 7, 6, 13]


def test_failed_trials_are_never_promoted_and_new_configurations_take_their_places():
    """Of nine, two survive: the next rung of three gets them and one new configuration at its fidelity."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9, lambda s: float(s["x"]) if s["x"] in (2, 5) else None)
    promoted = [driver.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [5, 2, None]
    assert (promoted[2].fidelity, promoted[2]["x"]) == (3.0, 9)
    assert (promoted[2].info["bracket"], promoted[2].info["rung"]) == (0, 1)


def test_where_all_failed_the_next_rung_is_filled_anew():
    """No survivor: three new configurations at fidelity 3, of which the best goes on."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9, lambda s: None)
    driver.run(3)
    assert [(s.fidelity, s.resume, s.info["rung"]) for s in driver.asked[9:]] == [(3.0, None, 1)] * 3
    assert driver.ask().resume == 11


def test_a_failed_promotion_leaves_the_others_of_its_rung():
    """The best of rung 0 fails in rung 1; the second best is trained in full."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9)
    driver.run(3, lambda s: None if s["x"] == 8 else float(s["x"]))
    assert driver.ask()["x"] == 7


def test_it_waits_only_when_no_bracket_may_be_opened():
    """With two brackets (9-3-1 and 5-1) the 15th ask must wait; after the last result nothing is left."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=2)
    for _ in range(14):
        driver.ask()
    with pytest.raises(NotReady):
        driver.ask()
    while driver.running:
        driver.tell(min(driver.running), 0.0)
        with pytest.raises((NotReady, OptimizationComplete)):
            while True:
                driver.ask()
    with pytest.raises(OptimizationComplete, match="num_iterations: all 2 brackets"):
        driver.ask()
    assert len(driver.asked) == (9 + 3 + 1) + (5 + 1)


def test_a_rung_that_cannot_be_filled_is_halved_all_the_same():
    """Ten configurations in a rung of 27: a third of them go on, then one, and then all is over."""
    driver = Driver(Schedule(1, 27, 3), n_configurations=10)
    driver.run(10)
    driver.run(3)
    assert [s.resume for s in driver.asked[10:]] == [9, 8, 7]
    driver.run(2)
    assert [(s.fidelity, s["x"]) for s in driver.asked[13:]] == [(9.0, 9), (27.0, 9)]
    with pytest.raises(OptimizationComplete, match="all drawn"):
        driver.ask()


def test_a_used_up_sampler_waits_for_running_trials():
    """The last configurations still run, and may be promoted."""
    driver = Driver(Schedule(1, 9, 3), n_configurations=4)
    for _ in range(4):
        driver.ask()
    with pytest.raises(NotReady):
        driver.ask()


def test_resumable_are_those_that_may_still_be_promoted():
    """Three of nine can go on: the best three so far, then those chosen and not asked for, then nobody."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=1)
    for _ in range(9):
        driver.ask()
    for x in range(5):
        driver.tell(x, float(x))
    assert driver.resumable() == {2, 3, 4}
    for x in range(5, 9):
        driver.tell(x, -1.0 if x == 5 else None)
    assert driver.resumable() == {2, 3, 4}
    driver.ask()
    assert driver.resumable() == {2, 3}
    driver.run(2)
    driver.tell(9, 0.0)
    assert driver.resumable() == {10}  # which went on from 3, with the best result of its rung
    driver.run(1)
    assert driver.resumable() == set()


def test_trials_of_another_schedule_or_algorithm_take_no_slot():
    """Foreign notes, or none, change nothing; their results are there for the sampler alone."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=2)
    infos = [{}, {"bracket": 0}, {"bracket": "0", "rung": 0}, {"bracket": 0, "rung": 7}, {"bracket": -1, "rung": 0}]
    infos += [{"bracket": 30000, "rung": 0}, {"bracket": True, "rung": False}, {"bracket": 0, "rung": 1}]
    for number, info in enumerate(infos):
        driver.asked.append(Suggestion({"x": -1}, number=number))
        driver.trials.append(Trial(number, {"x": -1}, Outcome(TrialState.COMPLETE, (99.0,)), fidelity=1.0, info=info))
    driver.run(9)
    driver.run(3)
    assert [s["x"] for s in driver.asked[-3:]] == [8, 7, 6]
    driver.run(1)
    assert driver.asked[-1]["x"] == 8
    driver.run(5 + 1)
    with pytest.raises(OptimizationComplete):
        driver.ask()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_workers", [1, 4, 16])
def test_every_rung_promotes_the_best_whatever_fails_and_in_whatever_order_it_ends(seed, n_workers):
    """Against sorting: full rungs, the best survivors of the rung below continued once each, the rest new."""
    rng = random.Random(f"{seed} {n_workers}")
    schedule = Schedule(1, 27, 3, rng.choice(["ceil", "floor"]))
    driver = Driver(schedule, num_iterations=6)
    while True:
        try:
            while len(driver.running) < n_workers:
                driver.ask()
        except NotReady:
            pass
        except OptimizationComplete:
            if not driver.running:
                break
        perf = None if rng.random() < 0.3 else rng.choice([0.0, 1.0, rng.random()])  # with failures and ties
        driver.tell(rng.choice(list(driver.running)), perf)
    perfs = {t.number: t.perf for t in driver.trials}
    rungs = {}
    for s in driver.asked:
        rungs.setdefault((s.info["bracket"], s.info["rung"]), []).append(s)
    for index in range(6):
        sizes = schedule.bracket(index).sizes
        for level, size in enumerate(sizes):
            rung = rungs[index, level]
            assert len(rung) == size
            if level:
                below = [s.number for s in rungs[index, level - 1] if perfs[s.number] is not None]
                best = sorted(below, key=lambda number: (-perfs[number], number))[:size]
                assert [s.resume for s in rung if s.resume is not None] == best
                assert [s.resume for s in rung[len(best) :]] == [None] * (size - len(best))
                assert all(dict(s) == dict(driver.asked[s.resume]) for s in rung[: len(best)])


@pytest.mark.parametrize("n_configurations", [None, 11])
def test_a_history_replayed_in_any_order_gives_the_same_next_suggestions(n_configurations):
    """At every point of a run with five workers, failures and, once, a sampler that is used up."""
    rng = random.Random(0)
    driver = Driver(Schedule(1, 9, 3), num_iterations=3, n_configurations=n_configurations)

    def outcome(d):
        try:
            s = d.ask()
        except (NotReady, OptimizationComplete) as error:
            return type(error)
        return dict(s), s.fidelity, s.resume, s.info

    for _ in itertools.count():
        shuffled = rng.sample(driver.trials, len(driver.trials))
        other = driver.replayed(shuffled)
        got = outcome(driver)
        assert outcome(other) == got
        if other.n_drawn != n_configurations:  # whoever has not met the end yet may keep more than is needed
            assert other.resumable() == driver.resumable()
        assert other.resumable() >= driver.resumable()
        if got is OptimizationComplete and not driver.running:
            break
        if len(driver.running) == 5 or got in (NotReady, OptimizationComplete):
            driver.tell(rng.choice(list(driver.running)), rng.choice([None, rng.random(), 0.5]))
