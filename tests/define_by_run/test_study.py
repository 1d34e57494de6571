"""A study under our loop: the log, workers, kills, schedulers, and what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import autohpo.define_by_run as optuna
from autohpo import OptionError, RegistryError, Result, SpaceError, available_hpos
from autohpo.define_by_run.exceptions import DuplicatedStudyError, NoTrialError
from autohpo.errors import EvaluationsError, FailuresError, StoreMismatchError


def conditional(trial):
    """One parameter more behind a choice."""
    x, c = trial.suggest_float("x", -5, 5), trial.suggest_categorical("c", ["a", "b"])
    if c == "a":
        return (x - 1) ** 2 + trial.suggest_int("n", 1, 8)
    return (x + 1) ** 2 + trial.suggest_float("lr", 1e-5, 1, log=True)


def params(study):
    """What was tried."""
    return [dict(trial.params) for trial in study.trials]


def test_the_model_sees_all_parameters_and_finds_more_than_random_search():
    """From the second trial on a trial gets its parameters from the model, those behind the choice too."""
    values = {}
    for name in ("tpe", "random"):
        best = []
        for seed in range(5):
            study = optuna.create_study(sampler=optuna.samplers.Sampler(name, seed=seed))
            study.optimize(conditional, n_trials=50)
            best.append(study.best_value)
            assert {"x", "c", "lr"} <= set(study._hpo.history.trials[-1].hp["params"])
        values[name] = sorted(best)[2]
    assert values["tpe"] < values["random"]


def test_a_study_that_goes_on_in_its_file_is_the_study_that_was_not_interrupted(tmp_path):
    """Equal trials, with one worker; notes of the algorithm, the queue's place and draws of trials included."""
    sampler = optuna.samplers.QMCSampler(seed=3)
    whole = optuna.create_study(sampler=sampler)
    whole.enqueue_trial({"x": 2.0, "c": "a"})
    whole.optimize(conditional, n_trials=16)
    for n in (6, 10):
        part = optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db", sampler=sampler, load_if_exists=True)
        if n == 6:
            part.enqueue_trial({"x": 2.0, "c": "a"})
        part.optimize(conditional, n_trials=n)
    assert params(part) == params(whole)
    again = optuna.load_study(storage=tmp_path / "s.db", sampler=sampler)
    assert params(again) == params(whole)
    assert again.best_value == whole.best_value
    assert len(Result.load(tmp_path / "s.db")) == 16  # a log of this library like any other


def test_a_killed_study_goes_on(tmp_path):
    """Kill -9 while two workers run: what was told is there, nothing twice, and the same script ends it."""
    program = tmp_path / "script.py"
    program.write_text(
        textwrap.dedent(f"""
        import time
        import autohpo.define_by_run as optuna

        def f(trial):
            x = trial.suggest_float("x", 0, 1)
            if trial.suggest_categorical("c", ["a", "b"]) == "a":
                x += trial.suggest_float("y", 0, 1)
            time.sleep(0.05)
            with open({str(tmp_path / "marks")!r}, "a") as file:
                file.write("x")
            return x

        if __name__ == "__main__":
            study = optuna.create_study(
                storage={str(tmp_path / "s.db")!r}, sampler=optuna.samplers.TPESampler(seed=0), load_if_exists=True
            )
            n = 20 - len([t for t in study.trials if t.state.is_finished()])
            if n > 0:
                study.optimize(f, n_trials=n, n_jobs=2)
            print(len([t for t in study.trials if t.state.is_finished()]))
        """)
    )
    process = subprocess.Popen([sys.executable, str(program)], start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    marks = tmp_path / "marks"
    while (not marks.exists() or marks.stat().st_size < 12) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    before = {t.number: (dict(t.metrics), t.perf) for t in Result.load(tmp_path / "s.db") if t.perf is not None}
    assert 5 <= len(before) < 20
    out = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True, timeout=120)
    assert int(out.stdout) >= 20
    study = optuna.load_study(storage=tmp_path / "s.db", sampler=optuna.samplers.TPESampler(seed=0))
    after = {t.number: (dict(t.metrics), t.perf) for t in Result.load(tmp_path / "s.db") if t.perf is not None}
    assert all(after[n] == before[n] for n in before)
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert len({t.params["x"] for t in done}) == len(done)
    assert all((t.params["c"] == "a") == ("y" in t.params) for t in done)


def test_workers_are_processes_and_limits_hold():
    """Two slots; a trial that ends its process is FAIL, and the study goes on; so is one that is too slow."""

    def f(trial):
        x = trial.suggest_int("x", 0, 2)
        trial.set_user_attr("pid", os.getpid())
        if trial.number == 3:
            os._exit(3)
        if trial.number == 5:
            time.sleep(60)
        return x

    study = optuna.create_study()
    study.optimize(f, n_trials=8, n_jobs=2, trial_time_limit=3.0)
    assert [t.number for t in study.trials if t.state.name == "FAIL"] == [3, 5]
    pids = {t.user_attrs["pid"] for t in study.trials if t.state.name == "COMPLETE"}
    assert os.getpid() not in pids
    assert len(pids) >= 2


def train(trial):
    """Reports for nine epochs."""
    x = trial.suggest_float("x", 0, 1)
    for epoch in range(9):
        trial.report(x * (1 - 0.5 ** (epoch + 1)), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x + 1


def asha_by_hand(xs):
    """Stop at the first and the third epoch unless among the best third there, from three on."""
    rungs, found = {0: [], 2: []}, []
    for x in xs:
        for epoch in range(9):
            if epoch in rungs:
                value = x * (1 - 0.5 ** (epoch + 1))
                rungs[epoch].append(value)
                n_best = len(rungs[epoch]) // 3
                if n_best and value < sorted(rungs[epoch], reverse=True)[n_best - 1]:
                    break
        found.append(epoch)
    return found


def test_asha_prunes_by_the_rule_written_out():
    """The last step of each trial; a full training has the value that it returns, not its last report."""
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=("asha", {"max_fidelity": 9, "type": "stopping"}),
    )
    study.optimize(train, n_trials=30)
    assert [t.last_step for t in study.trials] == asha_by_hand([t.params["x"] for t in study.trials])
    full = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert len(full) > 2
    assert all(t.value == t.params["x"] + 1 and t.last_step == 8 for t in full)
    assert all(t.value == t.intermediate_values[t.last_step] for t in study.trials if t.state.name == "PRUNED")


def test_hyperband_promotes_a_trial_with_the_same_parameters():
    """A promoted trial has a number of its own, begins anew, and comes further; only full ones are complete."""
    study = optuna.create_study(direction="maximize", sampler="random", pruner=("hyperband", {"max_fidelity": 9}))
    study.optimize(train, n_trials=22)
    chains = {}
    for trial in study.trials:
        chains.setdefault(trial.params["x"], []).append(trial.last_step)
    assert any(len(steps) == 3 for steps in chains.values())
    assert all(steps == sorted(steps) and set(steps) <= {0, 2, 8} for steps in chains.values())
    assert {t.last_step for t in study.trials if t.state.name == "COMPLETE"} == {8}


def test_an_exception_ends_the_study_unless_it_is_caught():
    """The very object in this process; with workers a FailuresError with the traceback."""
    fault = ZeroDivisionError("mine")

    def f(trial):
        if trial.suggest_int("k", 0, 9) >= 0 and trial.number == 2:
            raise fault
        return 1.0

    study = optuna.create_study()
    with pytest.raises(ZeroDivisionError) as caught:
        study.optimize(f, n_trials=9)
    assert caught.value is fault
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    study.optimize(f, n_trials=2)  # it goes on
    assert len(study.trials) == 5
    with pytest.raises(FailuresError, match="ZeroDivisionError: mine"):
        optuna.create_study().optimize(f, n_trials=9, n_jobs=2)
    study = optuna.create_study()
    study.optimize(f, n_trials=6, catch=(ArithmeticError,))
    assert [t.state.name for t in study.trials].count("FAIL") == 1


def test_callbacks_may_stop_the_study_and_their_exceptions_are_the_users():
    """Called in the driver with each trial that has ended."""
    seen = []

    def stop_at_four(study, trial):
        seen.append((trial.number, trial.state.name))
        if len(study.trials) >= 4:
            study.stop()

    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=50, callbacks=[stop_at_four])
    assert seen == [(n, "COMPLETE") for n in range(4)]

    def bad(study, trial):
        raise LookupError(trial.number)

    with pytest.raises(LookupError, match="4"):
        study.optimize(lambda trial: 0.0, n_trials=3, callbacks=[bad])


def test_ask_and_tell_with_every_end():
    """Complete, pruned by the last report, failed; told twice is refused."""
    study = optuna.create_study(direction="maximize")
    trials = [study.ask() for _ in range(4)]
    for trial in trials:
        trial.suggest_float("x", 0, 1)
    trials[1].report(0.25, 3)
    study.tell(trials[0], 1.5)
    study.tell(trials[1], state=optuna.TrialState.PRUNED)
    study.tell(trials[2].number, state=optuna.TrialState.FAIL)
    study.tell(trials[3], state=optuna.TrialState.PRUNED)
    assert [(t.state.name, t.value) for t in study.trials] == [
        ("COMPLETE", 1.5),
        ("PRUNED", 0.25),
        ("FAIL", None),
        ("PRUNED", None),
    ]
    assert study.best_trial.params == trials[0].params
    with pytest.raises(EvaluationsError):
        study.tell(trials[0], 2.0)
    with pytest.raises(OptionError, match="PRUNED has no values"):
        study.tell(study.ask(), 1.0, optuna.TrialState.PRUNED)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 7


def test_the_queue_comes_first_and_skips_what_was_tried():
    """What is missing is drawn, and what does not fit the distribution, too."""
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.25})
    study.enqueue_trial({"x": 0.25}, skip_if_exists=True)
    study.enqueue_trial({"x": 7.0})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("k", 1, 3), n_trials=1)
    assert study.trials[0].params["x"] == 0.25
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert 0 <= study.trials[1].params["x"] <= 1
    with pytest.raises(OptionError, match="params: must be a dict"):
        study.enqueue_trial({"x": object()})


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda t: t.suggest_float("x", 1, 0), SpaceError, "x: low: must be at most high"),
        (lambda t: t.suggest_float("x", 0, 1, log=True), SpaceError, "x: low: must be positive with log"),
        (lambda t: t.suggest_float("x", 1, 2, log=True, step=0.1), SpaceError, "step: must not be given with log"),
        (lambda t: t.suggest_int("x", 0, 2.5), SpaceError, "x: low, high, step: must be integers"),
        (lambda t: t.suggest_categorical("x", []), SpaceError, "x: choices: must be None, bools"),
        (lambda t: t.suggest_categorical("x", [len]), SpaceError, "choose a key of a dict"),
        (lambda t: t.set_user_attr("x", {1, 2}), OptionError, "x: must be of types that JSON has"),
        (lambda t: t.report(1.0, -1), OptionError, "step: must be an integer of at least 0"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(ask, error, text):
    """With a typed error that names the parameter."""
    with pytest.raises(error, match=text):
        ask(optuna.create_study().ask())


def test_a_study_is_made_with_arguments_that_make_sense(tmp_path):
    """Each rule has an error of its own."""
    path = tmp_path / "s.db"
    optuna.create_study(storage=path, sampler="random").optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    wrong = [
        (lambda: optuna.create_study(storage=path, sampler="random"), DuplicatedStudyError, "load_if_exists=True"),
        (lambda: optuna.load_study(storage=path, sampler="tpe"), StoreMismatchError, "."),
        (lambda: optuna.load_study(storage=tmp_path / "none.db"), NoTrialError, "holds no study"),
        (lambda: optuna.create_study(direction="up"), OptionError, "must be 'minimize' or 'maximize'"),
        (lambda: optuna.create_study(sampler="bohb"), OptionError, "runs every trial in full"),
        (lambda: optuna.create_study(sampler="tpee"), RegistryError, "did you mean 'tpe'"),
        (lambda: optuna.create_study(pruner="tpe"), OptionError, "pruner: must be an algorithm with fidelities"),
        (lambda: optuna.samplers.TPESampler(gamma=len), OptionError, "gamma: has no counterpart"),
        (lambda: optuna.create_study().best_value, NoTrialError, "no trial of 0 is complete"),
        (lambda: optuna.create_study(directions=["minimize"] * 2).best_trial, OptionError, "see best_trials"),
        (lambda: optuna.create_study().optimize(len, n_trials=0), OptionError, "n_trials: must be at least 1"),
    ]
    for make, error, text in wrong:
        with pytest.raises(error, match=text):
            make()


def test_its_algorithm_is_no_choice_of_users():
    """It serves studies only, so it is not listed; its space is the open one."""
    from autohpo import RangeHP, build_hpo_from_name

    assert "define_by_run" not in available_hpos()
    with pytest.raises(OptionError, match=r"must be OpenHP\('params'\) alone"):
        build_hpo_from_name("define_by_run", [RangeHP("x", 0.0, 1.0)])


def test_a_study_of_few_values_runs_as_many_trials_as_were_asked_for():
    """A sampler that has tried all three values does not end the study: nobody knows that there are no others."""
    study = optuna.create_study(sampler="random")
    study.optimize(lambda trial: trial.suggest_int("k", 0, 2), n_trials=12)
    assert len(study.trials) == 12
    assert {t.params["k"] for t in study.trials} == {0, 1, 2}


def test_a_queue_of_a_later_program_is_tried_too(tmp_path):
    """The log says that a point was tried before; that was another queue's."""
    for x in (0.25, 0.75):
        study = optuna.create_study(storage=tmp_path / "s.db", sampler="random", load_if_exists=True)
        study.enqueue_trial({"x": x})
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert [study.trials[n].params["x"] for n in (0, 2)] == [0.25, 0.75]
