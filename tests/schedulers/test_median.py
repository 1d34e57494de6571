"""The median rule against its words, by brute force; and what a sampler sees of trials that were stopped."""

from __future__ import annotations

import random
import statistics

import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.schedulers.median import MedianStopping
from autohpo.schedulers.stopped import StoppedTrials
from autohpo.trial import TrialState

N_VERDICTS = 1000


@pytest.mark.parametrize("seed", range(10))
def test_a_trial_is_stopped_where_its_best_value_is_below_the_median_of_the_means(search_of, seed):
    """10,000 verdicts with skipped reports, failures and ties: against means of plain lists of all other trials."""
    rng = random.Random(seed)
    grace, min_trials = rng.choice([1, 2, 5]), rng.choice([1, 3, 8])
    search = search_of(MedianStopping(12.0, grace, min_trials))
    reports, failed, n_verdicts, n_stopped = {}, set(), 0, 0
    while n_verdicts < N_VERDICTS:
        while len(search.running) < 5:
            asked = search.ask()
            assert (asked.fidelity, asked.resume) == (12, None)
            reports[asked.number] = []
        number = rng.choice(search.running)
        mine = reports[number]
        done = (mine[-1][0] if mine else 0) + rng.choice([1, 1, 1, 2, 4])
        mine.append((done, rng.choice([0.5, rng.random(), rng.random() + done / 12])))
        goes_on = True
        if grace <= done < 12:
            n_verdicts += 1
            others = [those for one, those in reports.items() if one not in failed | {number} and those]
            means = [statistics.mean(v for at, v in those if at <= done) for those in others if those[-1][0] >= done
                     and those[0][0] <= done]  # fmt: skip
            goes_on = len(means) < min_trials or max(v for _, v in mine) >= statistics.median(means) - 1e-12
        assert search.report(number, *mine[-1]) is goes_on
        n_stopped += not goes_on
        if not goes_on:
            search.tell(number, mine[-1][1], TrialState.STOPPED, done)
        elif done >= 12 or rng.random() < 0.02:
            has_failed = rng.random() < 0.3
            failed |= {number} if has_failed else set()
            search.tell(number, None if has_failed else mine[-1][1])
    assert 0.05 * N_VERDICTS < n_stopped < 0.95 * N_VERDICTS


def test_the_reason_has_both_values_as_the_user_measures_them():
    """Of losses .5, .3 and .4 after one epoch, .6 is stopped: the median is .4."""
    space = [RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("median_stopping", space, mode="min", max_fidelity=9, min_trials=3, seed=0)
    running = [hpo.ask() for _ in range(4)]
    assert [hpo.report(one, 1, loss) for one, loss in zip(running, (0.5, 0.3, 0.4, 0.6), strict=True)][-1] is False
    wanted = "stopped at 1: its best value, 0.6, is worse than 0.4, the median of the means of 3 others until there"
    assert hpo.why(3) == wanted


def test_a_rebuilt_scheduler_judges_the_same(search_of):
    """At every tenth report of a run with four workers, handed over at once."""
    rng = random.Random(0)
    search = search_of(MedianStopping(9.0, 1, 2))
    for n in range(300):
        while len(search.running) < 4:
            search.ask()
        number = rng.choice(search.running)
        reports = search.history.find(number).reports
        done, score = len(reports) + 1, rng.random()
        if n % 10 == 0:
            other = search.replayed(MedianStopping(9.0, 1, 2), rng.sample(list(search.history.trials), n_ended(search)))
            assert other.report(number, done, score) == search.report(number, done, score)
            goes_on = search.scheduler.on_report(search.history, number, done, score)
        else:
            goes_on = search.report(number, done, score)
        if not goes_on or done == 9:
            search.tell(number, score, TrialState.COMPLETE if done == 9 else TrialState.STOPPED, done)


def n_ended(search):
    """How many trials have ended."""
    return len(search.history.trials)


def test_fidelities_that_are_never_the_same_are_not_all_kept(search_of):
    """Seconds, say: the means of a thousand of them at most are in memory."""
    search = search_of(MedianStopping(9.0, 0, 1))
    for _ in range(2):
        search.tell(search.ask().number, 0.0)
    for n in range(1500):
        search.ask()
        search.report(n + 2, random.Random(n).random(), 1.0)
        search.tell(n + 2, 1.0)
    assert len(search.scheduler._means) <= 1000


def test_it_ends_where_no_configuration_is_left(search_of):
    """There is nothing to promote."""
    search = search_of(MedianStopping(9.0), n_configurations=1)
    search.ask()
    with pytest.raises(OptimizationComplete, match="all drawn"):
        search.ask()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grace_period": -1}, "grace_period: must be at least 0 and finite, got -1"),
        ({"min_trials": 0}, "min_trials: must be at least 1, got 0"),
        ({"max_fidelity": 0}, "max_fidelity: must be positive and finite, got 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name("median_stopping", [RangeHP("x", 0.0, 1.0)], **options)
    assert str(caught.value) == message


def test_a_stopped_trial_counts_with_its_value_between_the_worst_and_the_median(search_of):
    """Stopped at .9 before anything is complete it waits; of .2, .4, .6 and .8 in full the lower middle is .4."""
    search = search_of(MedianStopping(9.0))
    view = StoppedTrials(search.history, 9.0)
    for _ in range(8):
        search.ask()

    def stop(number, score):
        search.tell(number, score, TrialState.STOPPED, 2)

    stop(0, 0.9)
    assert [one.number for one in view.running] == list(range(8))
    assert not view.trials
    for number, score in ((1, 0.2), (2, 0.4), (3, 0.6), (4, 0.8)):
        search.tell(number, score)
    stop(5, 0.9)
    stop(6, 0.3)
    stop(7, 0.1)
    found = {trial.number: trial.score for trial in view.trials}
    assert found == {1: 0.2, 0: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 0.4, 6: 0.3, 7: 0.2}
    assert {trial.state for trial in view.trials} == {TrialState.COMPLETE}
    assert not view.running


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("sampler", ["random", "kde", "tpe", "bayes"])
def test_stopping_saves_training_and_a_model_still_learns(sampler, mode):
    """40 trials of 27 epochs on a bowl: a tenth is saved at least, and models end nearer than random draws do."""
    sign = 1 if mode == "max" else -1

    def train(hps):
        for epoch in range(1, 28):
            yield sign * (-abs(hps["x"] - 0.3) - (hps["act"] == "b") - 1 / epoch)

    space = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["a", "b"])]
    hpo = build_hpo_from_name(
        "median_stopping", space, train, mode=mode, sampler=sampler, max_fidelity=27, max_evals=40, seed=0
    )
    best, perf = hpo.optimize(progress=False)
    trained = sum(trial.reached for trial in hpo.result) / 27
    assert trained < 36
    assert best["act"] == "a"
    assert abs(best["x"] - 0.3) < {"random": 0.1, "kde": 0.2, "tpe": 0.03, "bayes": 0.01}[sampler]
    assert sign * perf == pytest.approx(-abs(best["x"] - 0.3) - 1 / 27)
    stopped = [trial for trial in hpo.result if trial.state is TrialState.STOPPED]
    assert all("the median of the means of" in hpo.result.why(trial.number) for trial in stopped)
