"""Our schedulers as pruners of Optuna: the decisions are those of our own search, and of the rules written out."""

from __future__ import annotations

import pickle
import random
import statistics
import threading

import pytest

from autohpo import OptionError, RangeHP, RegistryError, build_hpo_from_name

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")

from autohpo.integrations.optuna import Pruner  # noqa: E402 - needs Optuna

N, EPOCHS = 40, 27


@pytest.fixture(autouse=True)
def _silence():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def curve(number):
    """The reports of a trial: some curves cross, and some end early."""
    rng = random.Random(number)
    level, speed = rng.random(), rng.uniform(0.05, 0.6)
    return [level * (1 - (1 - speed) ** epoch) + rng.gauss(0, 0.02) for epoch in range(1, EPOCHS + 1)]


def reached_in_optuna(pruner, direction="maximize", n_jobs=1):
    """The last step of each trial of a study."""
    sign = 1 if direction == "maximize" else -1

    def f(trial):
        for epoch, value in enumerate(curve(trial.number), 1):
            trial.report(sign * value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * value

    study = optuna.create_study(pruner=pruner, direction=direction)
    study.optimize(f, n_trials=N, n_jobs=n_jobs)
    return [trial.last_step for trial in study.trials]


def reached_in_our_search(name, **options):
    """The last fidelity of each trial where our algorithm is asked, reported to and told."""
    hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], max_fidelity=EPOCHS, seed=0, **options)
    found = []
    for number in range(N):
        suggestion = hpo.ask()
        for epoch, value in enumerate(curve(number), 1):
            goes_on = hpo.report(suggestion, epoch, value)
            if not goes_on and epoch < EPOCHS:
                break
        hpo.tell(suggestion, value, is_stopped=epoch < EPOCHS)
        found.append(epoch)
    return found


def asha_by_hand(eta):
    """Stop at a rung unless among the best 1 / eta of the results there, one's own included, from eta of them on."""
    rungs = {1: [], 3: [], 9: []}
    found = []
    for number in range(N):
        for epoch, value in enumerate(curve(number), 1):
            if epoch in rungs:
                rungs[epoch].append(value)
                n_best = len(rungs[epoch]) // eta
                if n_best and value < sorted(rungs[epoch], reverse=True)[n_best - 1]:
                    break
        found.append(epoch)
    return found


def median_by_hand(grace, least):
    """Stop where the best value so far is below the median of the others' means until there."""
    done, found = [], []
    for number in range(N):
        values = curve(number)
        for epoch in range(1, EPOCHS + 1):
            means = [statistics.fmean(one[:epoch]) for one in done if len(one) >= epoch]
            is_judged = grace <= epoch < EPOCHS and len(means) >= least
            if is_judged and max(values[:epoch]) < statistics.median(means):
                break
        done.append(values[:epoch])
        found.append(epoch)
    return found


def test_asha_decides_as_our_search_and_as_the_rule_written_out():
    """Both oracles agree, and trials stop at each rung."""
    wanted = asha_by_hand(3)
    assert {1, 3, 9, 27} == set(wanted)
    assert reached_in_our_search("asha", type="stopping", eta=3.0) == wanted
    assert reached_in_optuna(Pruner("asha", 1, EPOCHS, eta=3.0)) == wanted
    assert reached_in_optuna(Pruner("asha", 1, EPOCHS, eta=3.0), direction="minimize") == wanted


def test_the_median_rule_decides_as_our_search_and_as_the_rule_written_out():
    """With a grace period and a least number of others."""
    wanted = median_by_hand(3, 4)
    assert len(set(wanted)) > 3
    assert reached_in_our_search("median_stopping", grace_period=3.0, min_trials=4) == wanted
    assert reached_in_optuna(Pruner("median_stopping", 3, EPOCHS, min_trials=4)) == wanted


def test_brackets_judge_from_different_rungs_on_as_in_our_search():
    """The draw of a bracket follows from the seed and the number of the trial."""
    wanted = reached_in_our_search("asha", type="stopping", eta=3.0, brackets=3)
    assert reached_in_optuna(Pruner("asha", 1, EPOCHS, eta=3.0, brackets=3)) == wanted
    assert wanted != asha_by_hand(3)


def test_a_trial_that_is_asked_about_seldom_is_judged_at_each_of_its_reports():
    """Asked at epoch 5 only, it was stopped at epoch 3, as a worker would have been told then."""
    study = optuna.create_study(pruner=Pruner("asha", 3, EPOCHS, eta=3.0), direction="maximize")
    for level in (0.9, 0.8, 0.1):
        trial = study.ask()
        for epoch in range(1, 6):
            trial.report(level * epoch, epoch)
        assert trial.should_prune() == (level != 0.9 and level < 0.5)
        assert trial.should_prune() == (level != 0.9 and level < 0.5)  # asked twice it says the same
        study.tell(trial, level)


def test_trials_of_other_threads_count_while_they_run():
    """Three trials report together: once three have reported the third best of them stops."""
    first, last = threading.Barrier(3, timeout=60), threading.Barrier(3, timeout=60)

    def f(trial):
        trial.report(float(trial.number), 1)
        first.wait()
        stopped = trial.should_prune()
        last.wait()
        if stopped:
            raise optuna.TrialPruned
        return 0.0

    study = optuna.create_study(pruner=Pruner("asha", 1, 9, eta=3.0), direction="maximize")
    study.optimize(f, n_trials=3, n_jobs=3)
    assert [trial.state.name for trial in study.trials][2] == "COMPLETE"
    assert "PRUNED" in {trial.state.name for trial in study.trials}


def test_a_new_pruner_goes_on_from_the_study():
    """What was decided does not live in the pruner; a pickled one starts anew from the trials."""
    wanted = asha_by_hand(3)
    study = optuna.create_study(pruner=Pruner("asha", 1, EPOCHS, eta=3.0), direction="maximize")

    def f(trial):
        for epoch, value in enumerate(curve(trial.number), 1):
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(f, n_trials=N // 2)
    study.pruner = pickle.loads(pickle.dumps(study.pruner))
    study.optimize(f, n_trials=N // 2)
    assert [trial.last_step for trial in study.trials] == wanted


def test_a_value_that_is_no_number_stops_the_trial():
    """And the trials after it are judged without it."""
    study = optuna.create_study(pruner=Pruner("median_stopping", 1, 9, min_trials=1))
    trial = study.ask()
    trial.report(float("nan"), 1)
    assert trial.should_prune()
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    good = study.ask()
    good.report(1.0, 1)
    assert not good.should_prune()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Pruner("bohb"), OptionError, "must be an algorithm that stops trials, as Optuna resumes none"),
        (lambda: Pruner("tpe"), OptionError, "must be an algorithm that stops trials"),
        (lambda: Pruner("ashaa"), RegistryError, "did you mean 'asha'"),
        (lambda: Pruner("asha", 1, 0), OptionError, "max_resource: must be finite and at least min_resource"),
        (lambda: Pruner("asha", 1, 9, etaa=3), OptionError, "did you mean 'eta'"),
        (lambda: Pruner("asha", 1, 9, sampler="tpe"), OptionError, "sampler: must not be given to a pruner"),
    ],
)
def test_what_cannot_be_a_pruner_is_refused_when_it_is_made(make, error, text):
    """With a typed error that says why."""
    with pytest.raises(error, match=text):
        make()
