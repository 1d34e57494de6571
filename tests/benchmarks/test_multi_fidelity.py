"""The multi-fidelity benchmark: its clock, its incumbents, its tables, and the plain rules beside the library's."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import multi_fidelity
from suite.fidelity.catalogue import make_task
from suite.fidelity.incumbent import BestSeen, Incumbent
from suite.fidelity.players import make_player
from suite.fidelity.players.plain import ASHA
from suite.fidelity.race import race
from suite.fidelity.report import Shown, interval, print_report, reached
from suite.fidelity.results import Run, place_of, read
from suite.fidelity.simulator import Exhausted, Job, Setting, simulate
from suite.fidelity.task import FidelityTask
from suite.space import Space, real

SPACE = Space((real("x", 0, 1),))


def linear(low=1, high=9, seconds=None):
    """A task whose value after r of 9 epochs is x + r, and whose seconds are those of a function of x and r."""
    return FidelityTask(
        "linear",
        SPACE,
        low,
        high,
        lambda hp, rs: np.array([hp["x"] + r for r in rs], dtype=float),
        lambda hp, rs: np.array([(seconds or (lambda x, r: r))(hp["x"], r) for r in rs], dtype=float),
        best=10.0,
        median=9.5,
        mean_seconds=9.0,
    )


class Script:
    """Asks for given jobs, in order; stops trials at given fidelities; writes down all that it is told."""

    def __init__(self, jobs, stops=()):
        self.jobs, self.stops, self.told, self.reported = list(jobs), set(stops), [], []
        self.takes_reports = True

    def ask(self):
        if not self.jobs:
            raise Exhausted
        job = self.jobs.pop(0)
        if callable(job):  # waits until a condition is met
            if not job(self):
                self.jobs.insert(0, job)
                return None
            return self.ask()
        return job

    def report(self, job, fidelity, value):
        self.reported.append((job.trial, fidelity))
        return (job.trial, fidelity) not in self.stops

    def tell(self, job, fidelity, value, *, is_stopped):
        self.told.append((job.trial, fidelity, value, is_stopped))


class Watch:
    """Writes down when each value is known, in full trainings of one worker."""

    def __init__(self, setting):
        self.seen, self._setting = [], setting

    def see(self, share, trial, hp, fidelity, value):
        self.seen.append((round(share * self._setting.deadline, 6), trial, fidelity))


def watched(jobs, setting, task=None, stops=()):
    """The player after a search, what was seen when, and the record."""
    player, watch = Script(jobs, stops), Watch(setting)
    record = simulate(player, task or linear(), setting, [watch])
    return player, watch.seen, record


def job(trial, fidelity, had=0, x=0.5):
    """One job of a script."""
    return Job(None, trial, {"x": x}, fidelity, had)


RUNGS = Setting(workers=1, trainings=10, reports="rungs")


def test_a_training_costs_its_share_and_a_promotion_what_it_adds():
    """To 3 of 9, then on to 9: a third, and one in all."""
    _, seen, record = watched([job("a", 3), job("a", 9, 3)], RUNGS)
    assert seen == [(0.111111, "a", 1), (0.333333, "a", 3), (1.0, "a", 9)]
    assert record.busy == pytest.approx(1.0)
    assert record.trials == {"a": 9}
    assert record.n_asks == 2


def test_from_scratch_a_promotion_costs_all_of_it():
    """A third, and then nine ninths; what was shown before is shown no more."""
    setting = replace(RUNGS, is_continued=False)
    _, seen, _ = watched([job("a", 3), job("a", 9, 3)], setting)
    assert seen == [(0.111111, "a", 1), (0.333333, "a", 3), (1.333333, "a", 9)]


def test_seconds_are_those_of_the_table():
    """A task of 5 seconds at the start and r^2 more, of which a mean training takes 9."""
    task = linear(seconds=lambda x, r: 5 + r * r * x)
    _, seen, _ = watched([job("a", 3), job("a", 9, 3)], replace(RUNGS, clock="seconds", reports="none"), task)
    assert seen == [(round((5 + 4.5) / 9, 6), "a", 3), (round((5 + 40.5) / 9, 6), "a", 9)]


def test_time_never_runs_back_where_a_table_does():
    """Seconds that fall with the fidelity cost nothing."""
    task = linear(seconds=lambda x, r: 9 - r)
    _, seen, _ = watched([job("a", 3), job("a", 9, 3)], replace(RUNGS, clock="seconds", reports="none"), task)
    assert [when for when, *_ in seen] == [round(6 / 9, 6), round(6 / 9, 6)]


@pytest.mark.parametrize(("reports", "wanted"), [("all", [*range(1, 10)]), ("rungs", [1, 3, 9]), ("none", [])])
def test_what_is_reported(reports, wanted):
    """Every epoch, the rungs, or nothing; the end is told in each case."""
    player, _, _ = watched([job("a", 9)], replace(RUNGS, reports=reports))
    assert [fidelity for _, fidelity in player.reported] == wanted
    assert player.told == [("a", 9, 9.5, False)]


def test_a_stopped_trial_frees_its_worker_at_that_report():
    """Stopped at 3 of 9: the next one begins there."""
    player, seen, record = watched([job("a", 9), job("b", 9)], RUNGS, stops=[("a", 3)])
    assert player.told == [("a", 3, 3.5, True), ("b", 9, 9.5, False)]
    assert seen[-1] == (round(1 / 3 + 1, 6), "b", 9)
    assert record.busy == pytest.approx(1 / 3 + 1)


def test_what_is_under_way_at_the_deadline_does_not_count():
    """Two workers, 3 trainings: 1.5 each, so each ends one; the other half is worked for nothing."""
    jobs = [job(k, 9) for k in range(10)]
    player, _, record = watched(jobs, Setting(workers=2, trainings=3, reports="none"))
    assert [trial for trial, *_ in player.told] == [0, 1]
    assert record.busy == pytest.approx(3.0)
    assert record.n_asks == 4


def test_what_ends_at_the_deadline_counts():
    """Thirty ninths are not exact in floats, three trainings are."""
    player, _, _ = watched([job("a", 1), job("a", 9, 1), job("b", 9), job("c", 9)], replace(RUNGS, trainings=3))
    assert [trial for trial, *_ in player.told] == ["a", "a", "b", "c"]


def test_a_worker_that_waits_spends_its_time():
    """The second worker waits for the first: half of the time is lost."""
    jobs = [job("a", 9), lambda player: player.told, job("b", 9), lambda player: len(player.told) == 2, job("c", 9)]
    _, seen, record = watched(jobs, Setting(workers=2, trainings=6, reports="none"))
    assert seen == [(1.0, "a", 9), (2.0, "b", 9), (3.0, "c", 9)]
    assert record.busy == pytest.approx(3.0)


def test_a_count_that_is_asked_for_in_part_is_rounded():
    """5.8 epochs are 6, and go on to 9."""
    _, seen, _ = watched([job("a", 5.8), job("a", 9, 6)], replace(RUNGS, reports="none"))
    assert seen == [(round(6 / 9, 6), "a", 6), (1.0, "a", 9)]


def test_the_incumbent_is_the_best_at_the_highest_rung_anybody_has_reached():
    """A worse trial at a higher rung takes over, and a better one below it does not; scored by true values."""
    task = replace(linear(), values=lambda hp, rs: np.array([hp["x"] if r == 9 else -hp["x"] for r in rs]))
    incumbent = Incumbent(task)
    incumbent.see(0.1, "a", {"x": 0.3}, 1, -0.3)
    incumbent.see(0.2, "b", {"x": 0.1}, 1, -0.1)
    incumbent.see(0.3, "a", {"x": 0.3}, 3, -0.3)
    incumbent.see(0.4, "b", {"x": 0.1}, 2, 0.9)  # between rungs: no value at one
    incumbent.see(0.5, "c", {"x": 0.2}, 4, -0.2)  # its first at or above 3
    incumbent.see(0.6, "a", {"x": 0.3}, 5, 0.5)  # not its first there
    assert incumbent.path == [(0.1, 0.3), (0.2, 0.1), (0.3, 0.3), (0.5, 0.2)]
    assert [incumbent.at(share) for share in (0.05, 0.1, 0.29, 1.0)] == [None, 0.3, 0.1, 0.2]


def test_the_best_seen_counts_at_any_fidelity():
    """The highest value of all, scored by the true value."""
    seen = BestSeen(linear())
    seen.see(0.1, "a", {"x": 0.3}, 9, 9.3)
    seen.see(0.2, "b", {"x": 0.8}, 1, 9.4)
    seen.see(0.3, "c", {"x": 0.9}, 9, 9.2)
    assert seen.path == [(0.1, 9.3), (0.2, 9.8)]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (1, 81, [1, 3, 9, 27, 81]),
        (2, 52, [6, 17, 52]),
        (1, 200, [2, 7, 22, 67, 200]),
        (0.03, 1.0, [1 / 27, 1 / 9, 1 / 3, 1]),
    ],
)
def test_rungs_are_the_full_fidelity_over_powers_of_three(low, high, wanted):
    """Rounded where they are counts, not below the lowest."""
    assert linear(low, high).levels() == pytest.approx(wanted)


def test_regret_is_clipped():
    """0 at the best, 1 at the median, 2 at most."""
    assert [linear().regret(value) for value in (11.0, 10.0, 9.75, 9.5, 1.0)] == [0, 0, 0.5, 1, 2]


# The plain rules beside the library's


class Listed(ASHA):
    """The plain rule, whose new configurations are given."""

    def __init__(self, hps, *rest, **options):
        super().__init__(*rest, **options)
        self._task = replace(self._task, space=type("Given", (), {"sample": lambda _, rng: hps.pop(0)})())


@pytest.mark.parametrize(
    ("name", "workers", "reports"),
    [("mf_hartmann6_toy", 1, "none"), ("mf_hartmann6_toy", 16, "none"), ("gnn_cora", 4, "rungs")],
)
def test_asha_is_the_plain_rule_decision_for_decision(name, workers, reports):
    """Given the library's random configurations, the plain rule starts and promotes the same ones at the same times.

    The rungs of gnn_cora, 200 epochs and thirds of them, are no whole numbers before they are rounded.
    """
    task = make_task(name)
    setting = Setting(workers=workers, trainings=20, reports=reports)

    def seen(player):
        watch = Watch(setting)
        simulate(player, task, setting, [watch])
        return watch.seen

    class Kept(type(make_player("asha", task, 0, setting, {}))):
        started = []  # noqa: RUF012

        def ask(self):
            job = super().ask()
            if not job.had:
                self.started.append(job.hp)
            return job

    library = Kept("asha", task, 0, setting, {})
    decided = seen(library)
    numbers = {trial: k for k, trial in enumerate(sorted({trial for _, trial, _ in decided}), 1)}
    plain = seen(Listed(library.started, task, 0, setting))
    renamed = {trial: k for k, trial in enumerate(sorted({trial for _, trial, _ in plain}), 1)}
    assert len(decided) > 100
    assert [(when, numbers[t], r) for when, t, r in decided] == [(when, renamed[t], r) for when, t, r in plain]


def test_the_plain_rule_promotes_from_the_highest_rung_first():
    """Twelve values at the lowest rung, and three at the next one, whose best goes on before a fourth of the lowest."""
    player = ASHA(linear(), 0, RUNGS)
    started = [player.ask() for _ in range(12)]
    for value, one in enumerate(started[:9]):
        player.tell(one, 1, value, is_stopped=False)
    promoted = [player.ask() for _ in range(3)]
    assert [one.trial for one in promoted] == [started[k].trial for k in (8, 7, 6)]
    assert {(one.had, one.fidelity) for one in promoted} == {(1, 3)}
    for value, one in enumerate(promoted):
        player.tell(one, 3, value, is_stopped=False)
    for value, one in enumerate(started[9:], 20):
        player.tell(one, 1, value, is_stopped=False)
    first, second, third = player.ask(), player.ask(), player.ask()
    assert (first.trial, first.had, first.fidelity) == (promoted[-1].trial, 3, 9)
    assert (second.trial, second.fidelity) == (started[11].trial, 3)
    assert (third.trial, third.fidelity) == (started[10].trial, 3)


def test_the_oracle_promotes_by_true_values():
    """Its three trials lie; the one that is best in the end goes on."""
    task = replace(linear(), values=lambda hp, rs: np.array([hp["x"] if r == 9 else -hp["x"] for r in rs]))
    setting = Setting(workers=1, trainings=4 / 9, reports="none")
    trials = {}
    for name in ("plain-asha", "oracle-asha"):
        player = make_player(name, task, 0, setting, {})
        watch = Watch(setting)
        simulate(player, task, setting, [watch])
        xs = {trial: job.hp["x"] for trial, (_, job) in player._results[0].items()}
        trials[name] = xs[player._results[0] and next(iter(player._promoted[0]))] == (min if name[0] == "p" else max)(
            xs.values()
        )
    assert trials == {"plain-asha": True, "oracle-asha": True}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random", {}),
        ("asha", {"type": "stopping"}),
        ("bohb", {"budget": 3}),
        ("plain-random", {}),
        ("oracle-asha", {"rungs": [4, 17, 81]}),
    ],
)
def test_a_race_is_the_same_twice(name, options):
    """But for CPU time; it has a regret at each share, and none rises above 2."""
    task, setting = make_task("mf_hartmann6_toy"), Setting(trainings=8)
    runs = [race(name, task, 3, setting, options) for _ in range(2)]
    assert replace(runs[0], cpu_seconds=0.0) == replace(runs[1], cpu_seconds=0.0)
    assert all(0 <= regret <= 2 for regret in runs[0].regrets)
    assert 0 < runs[0].busy <= 1
    assert runs[0].n_asks >= runs[0].n_trials >= runs[0].n_full


@pytest.mark.parametrize(
    ("name", "wanted"), [("random", False), ("tpe", False), ("asha", True), ("plain-random", False)]
)
def test_who_is_told_on_the_way(name, wanted):
    """Algorithms that know no fidelity are not: nothing is known of their trials before the end."""
    assert make_player(name, make_task("mfh3_good"), 0, Setting(), {}).takes_reports is wanted


def test_before_anything_is_known_regret_is_that_of_a_random_configuration():
    """One worker and full trainings alone: a tenth of five is none."""
    task = make_task("mf_hartmann6_toy")
    run = race("random", task, 0, Setting(workers=1, trainings=5), {})
    assert run.regrets[0] == 1.0
    assert run.path[0][0] == pytest.approx(0.2)


# Results and tables


def test_runs_are_resumed_and_compared(tmp_path, capsys):
    """What is there is not run again; the table has a line for each label, and pairs."""
    given = ["--tasks", "mf_hartmann6_toy", "--trainings", "4", "--results", str(tmp_path)]
    one = ["run", "--optimizer", "random", *given]
    multi_fidelity.main([*one, "--seeds", "1"])
    multi_fidelity.main([*one, "--seeds", "2"])
    path = tmp_path / "random.jsonl"
    assert [run.seed for run in read(path)] == [0, 1] == [k for k, _ in enumerate(path.read_text().splitlines())]
    multi_fidelity.main([*one, "--seeds", "1", "--again"])
    assert len(path.read_text().splitlines()) == 3
    assert len(read(path)) == 2
    multi_fidelity.main(["run", "--optimizer", "plain-asha", "--seeds", "2", *given])
    capsys.readouterr()
    multi_fidelity.main(["report", "--seeds", "2", "--against", "random", *given])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("| random (2)", "| plain-asha (2)")) for line in lines) == 3
    assert "| less random (pairs) | @10% | @25% | @50% | @100% | better at the end |" in lines
    with pytest.raises(SystemExit):
        multi_fidelity.main([*one, "--option", "noise=true"])
    with pytest.raises(SystemExit):
        multi_fidelity.main(["report", "--labels", "nobody", *given])


def made(task, seed, regrets, path=()):
    """A run."""
    return Run(task, seed, 4, 30, "epochs", "all", True, regrets, path or ((0.1, regrets[-1]),), 9, 3, 12, 0.012)


def test_a_mean_is_over_tasks_of_means_over_seeds():
    """Three runs of one task count as much as one of another."""
    mean, low, high = interval([np.array([[0.1], [0.2], [0.3]]), np.array([[0.6], [0.6]])])
    assert mean == pytest.approx([0.4])
    assert low < mean < high
    mean, low, high = interval([np.array([[0.1], [0.2], [0.3]]), np.array([[0.6]])])
    assert mean == pytest.approx([0.4])
    assert np.isnan([low, high]).all()


def test_when_an_end_is_reached():
    """The first time; a run that never does counts as the whole budget."""
    row = {("t", 0): made("t", 0, (0.5,), ((0.1, 0.9), (0.3, 0.5))), ("t", 1): made("t", 1, (0.8,), ((0.2, 0.8),))}
    assert reached(row, {"t": 0.5}) == pytest.approx((0.65, 0.5))


def test_incomplete_rows_are_named(capsys):
    """A label without one of the tasks is in no mean."""
    regrets = (0.4, 0.3, 0.2, 0.1)
    runs = {
        "a": [made(task, seed, regrets) for task in "tu" for seed in range(2)],
        "b": [made("t", 0, (1, 1, 1, 1))],
    }
    print_report(runs, Shown(["t", "u"], 5, place_of(Setting())))
    printed = capsys.readouterr().out
    assert "| a (4) | .400 [.400, .400] |" in printed
    assert "b: has no run of u" in printed
    print_report(runs, Shown(["v"], 5, place_of(Setting())))
    assert "no runs of these tasks" in capsys.readouterr().out
