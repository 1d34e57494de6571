"""Population based training's scheduler against its rule, by brute force."""

from __future__ import annotations

import math
import random

import pytest

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.base import Fork, Promote, Start
from autohpo.schedulers.pbt import PopulationBased, steps_of

STEPS = (2.0, 4.0, 6.0, 7.0)


def neighbour(space, hp, rng):
    """The next integer: a mutation that can be recognised."""
    return {"x": hp["x"] + 1}


def scheduler_of(size=8, quantile=0.25):
    """A scheduler of four steps."""
    return PopulationBased(size, STEPS, quantile, neighbour)


class Rule:
    """What the population may do next, from a list of all trials and nothing else."""

    def __init__(self, search, quantile):
        self.quantile = quantile
        self.running = {running.number for running in search.history.running}
        self.trials = [*search.history.trials, *search.history.running]
        self.newest = {}
        for one in sorted(self.trials, key=lambda one: one.number):
            self.newest[one.info["member"]] = one

    def is_running(self, one):
        return one.number in self.running

    def is_failed(self, one):
        return not self.is_running(one) and one.score is None

    def ranked(self, fidelity):
        """The results at a step, the best first."""
        there = [t for t in self.trials if t.fidelity == fidelity and not self.is_running(t) and t.score is not None]
        return sorted(there, key=lambda t: (-t.score, t.number))

    def share(self, ranked):
        """The number that is nearest to the quantile of the results; of two the lower."""
        return min(range(len(ranked) + 1), key=lambda n: (abs(n - self.quantile * len(ranked)), n))

    def is_loser(self, trial):
        ranked = self.ranked(trial.fidelity)
        n_worst = self.share(ranked)
        return self.is_failed(trial) or (n_worst > 0 and trial in ranked[-n_worst:])

    def best(self, loser):
        """The newest trials of those who were the best at the step of a loser, and are not trained in full."""
        ranked = self.ranked(loser.fidelity)
        n_best = self.share(ranked)
        best = ranked[: max(1, n_best) if self.is_failed(loser) else n_best]
        return [one for t in best if (one := self.newest[t.info["member"]]).fidelity < STEPS[-1]]

    def decisions(self):
        """What each paused member would do, in the order in which they are served."""
        paused = [t for t in self.newest.values() if not self.is_running(t)]
        paused = [t for t in paused if t.fidelity < STEPS[-1]]
        for trial in sorted(paused, key=lambda t: (t.fidelity, not self.is_loser(t), t.number)):
            best = self.best(trial) if self.is_loser(trial) else []
            parents = [one for one in best if not self.is_running(one) and not self.is_loser(one)]
            if parents:
                yield "fork", trial.number, {one.number for one in parents}
            elif any(self.is_running(one) for one in best):
                yield "wait", trial.number, None
            elif not self.is_failed(trial):
                yield "promote", trial.number, STEPS[STEPS.index(trial.fidelity) + 1]


@pytest.mark.parametrize("seed", range(40))
def test_decisions_follow_the_rule_whatever_fails_and_in_whatever_order_it_ends(search_of, seed):
    """Populations of 4 to 12 with 1 to 12 workers, a fifth of whose trials fail, to their end."""
    rng = random.Random(seed)
    size, quantile, n_workers = rng.choice([4, 8, 12]), rng.choice([0.25, 0.5]), rng.choice([1, 2, 5, 12])
    failing = rng.choice([0.0, 0.2])
    search = search_of(scheduler_of(size, quantile))
    while True:
        rule = Rule(search, quantile)
        wanted = next((d for d in rule.decisions() if d[0] != "wait"), None)
        try:
            decision = search.next()
        except NotReady:
            assert search.running
            assert wanted is None
            assert len(rule.newest) == size
        except OptimizationComplete:
            assert not search.running
            assert list(rule.decisions()) == []
            break
        else:
            match decision:
                case Start(fidelity):
                    assert len(rule.newest) < size
                    assert fidelity == STEPS[0]
                case Promote(number, fidelity):
                    assert wanted == ("promote", number, fidelity)
                case Fork(parent, hp, fidelity, info):
                    assert wanted[:2] == ("fork", info["replaces"])
                    assert parent in wanted[2]
                    loser, copied = search.history[info["replaces"]], search.history[parent]
                    assert info["member"] == loser.info["member"]
                    assert hp["x"] == copied.hp["x"] + 1
                    assert fidelity == STEPS[STEPS.index(copied.fidelity) + 1] > loser.fidelity
            resumable = search.resumable()
            asked = search.ask()
            assert not {asked.resume, asked.fork} - {None} - resumable
        while len(search.running) >= n_workers or (search.running and (wanted is None or rng.random() < 0.2)):
            number = rng.choice(search.running)
            search.tell(number, None if rng.random() < failing else rng.choice([0.5, rng.random()]))
            wanted = ()
    newest = Rule(search, quantile).newest.values()
    assert all(one.fidelity == STEPS[-1] or one.score is None for one in newest)
    if not failing:
        assert len(search.history.trials) <= size * len(STEPS)


def test_a_population_with_one_worker_is_compared_as_a_whole(search_of):
    """Four steps of eight: nobody is a step ahead before all have taken it; two of eight are replaced each time."""
    search = search_of(scheduler_of())
    search.run(8, lambda s: float(s["x"]))
    search.run(8, lambda s: s["x"] + 0.5)
    assert [s.fidelity for s in search.asked] == [2.0] * 8 + [4.0] * 8
    second = search.asked[8:]
    assert [s.info["replaces"] for s in second[:2]] == [0, 1]  # the worst come first, while the best are paused
    assert {s.fork for s in second[:2]} <= {6, 7}
    assert [s.resume for s in second[2:]] == [2, 3, 4, 5, 6, 7]
    assert second[0].info == {
        "member": 0,
        "rung": 1,
        "replaces": 0,
        "why": "trial 0 was rank 8 of 8 at fidelity 2",
    }
    assert second[2].info["why"] == "rank 6 of 8 at fidelity 2: trained on to 4"


def test_a_loser_waits_while_the_best_run_and_others_go_on(search_of):
    """Of four the best runs on already: the worst waits for it, the others do not; the error says why."""
    search = search_of(scheduler_of(4))
    asked = [search.ask() for _ in range(4)]
    search.tell(3, 9.0)
    assert search.ask().resume == 3  # too few results for anybody to be the worst
    for s in asked[:3]:
        search.tell(s.number, float(s["x"]))
    assert [search.ask().resume for _ in range(2)] == [1, 2]
    with pytest.raises(NotReady, match="wait for one of the best to pause, and to be copied"):
        search.ask()
    search.tell(4, 9.5)
    copy = search.ask()
    assert (copy.fork, copy.fidelity, copy.info["replaces"]) == (4, 6.0, 0)
    with pytest.raises(NotReady, match="being trained"):
        for _ in range(2):
            search.ask()


def test_where_the_best_are_trained_in_full_the_worst_go_on_by_themselves(search_of):
    """Nothing is left of the best to be trained on."""
    search = search_of(PopulationBased(4, STEPS[:2], 0.25, neighbour))
    slow = [search.ask() for _ in range(4)][2]
    for number in (0, 1):
        search.tell(number, 1.0 + number)
        search.tell(search.ask().number, 5.0)
    search.tell(slow.number, 0.0)
    last = search.ask()
    assert (last.resume, last.fork) == (slow.number, None)
    assert last.info["why"] == "rank 3 of 3 at fidelity 2: trained on to 4"


def test_where_all_fail_it_ends(search_of):
    """Nobody can be copied."""
    search = search_of(scheduler_of(4))
    search.run(4, lambda s: None)
    with pytest.raises(OptimizationComplete, match="the 4 trainings of the population are over"):
        search.ask()
    assert search.resumable() == frozenset()


def test_a_finite_space_makes_a_smaller_population(search_of):
    """Three configurations are trained to the end."""
    search = search_of(scheduler_of(), n_configurations=3)
    with pytest.raises(OptimizationComplete):
        search.run(100)
    assert [s.fidelity for s in search.asked] == [f for f in STEPS for _ in range(3)]


def test_only_the_newest_of_a_member_may_be_continued(search_of):
    """What was replaced, has failed, or is trained in full is let go."""
    search = search_of(PopulationBased(4, STEPS[:2], 0.25, neighbour))
    search.run(4)
    assert search.resumable() == {0, 1, 2, 3}
    copy = search.ask()
    assert copy.info["replaces"] == 0
    assert search.resumable() == {1, 2, 3}
    search.tell(copy.number, 1.0)
    search.tell(search.ask().number, None)
    assert search.resumable() == {2, 3}


def test_texts_say_the_rank(search_of):
    """Where it stood when it ended; a trial of others has no rank."""
    search = search_of(scheduler_of(4))
    search.run(4)
    assert search.scheduler.why(search.history, 1) == "rank 3 of 4 at fidelity 2"
    other = search.asked[0].copy()
    other.info = {}
    search.adopt(other)
    search.tell(4, 99.0)
    assert search.scheduler.why(search.history, 4) == ""


@pytest.mark.parametrize(
    ("interval", "full", "steps"),
    [(1, 3, (1, 2, 3)), (2, 7, (2, 4, 6, 7)), (0.1, 0.3, (0.1, 0.2, 0.3)), (5, 5, (5,)), (4, 5, (4, 5))],
)
def test_steps_end_with_the_full_fidelity(interval, full, steps):
    """Also where it is no multiple of the interval, and where floats miss one by a rounding."""
    assert steps_of(interval, full) == pytest.approx(steps)
    assert steps_of(interval, full)[-1] == full
    assert math.isinf(scheduler_of().cost) is False


def test_a_history_replayed_in_any_order_gives_the_same_decisions(search_of):
    """Every state of a run with five workers, handed to a fresh scheduler at once."""
    rng, search = random.Random(0), search_of(scheduler_of())

    def decision(one):
        try:
            return one.next()
        except (NotReady, OptimizationComplete) as error:
            return type(error)

    while decision(search) is not OptimizationComplete:
        trials = list(search.history.trials)
        other = search.replayed(scheduler_of(), rng.sample(trials, len(trials)))
        assert decision(other) == decision(search)
        assert other.resumable() == search.resumable()
        if decision(search) is not NotReady and len(search.running) < 5:
            search.ask()
        else:
            search.tell(rng.choice(search.running), None if rng.random() < 0.1 else rng.random())


def test_too_many_steps_are_refused():
    """They would not fit into memory; the option is named."""
    with pytest.raises(OptionError, match=r"^interval: must make at most 10000 steps up to 1e\+09, got 1$"):
        steps_of(1, 1e9)
