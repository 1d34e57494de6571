"""One script under Optuna and under define-by-run, with only its imports changed; studies trial by trial."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import autohpo.define_by_run as ours

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")

SCRIPT = """
optuna.logging.set_verbosity(optuna.logging.WARNING)


def build(trial):
    n_layers = trial.suggest_int("n_layers", 1, 3)
    return [trial.suggest_int(f"units_{i}", 4, 128, log=True) for i in range(n_layers)]


def objective(trial):
    layers = build(trial)
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", None])
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    momentum = trial.suggest_float("momentum", 0.0, 0.99) if optimizer == "sgd" else 0.0
    trial.set_user_attr("n_weights", sum(layers))
    accuracy = 0.0
    for epoch in range(10):
        accuracy = (1 - 0.7 ** (epoch + 1)) * (1 - abs(lr - 0.01)) - dropout / 10 - momentum / 100
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return accuracy


seen = []
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    study_name="first",
)
study.enqueue_trial({"n_layers": 2, "units_0": 8, "units_1": 16, "optimizer": "sgd", "lr": 0.01, "dropout": 0.1})
study.set_user_attr("by", "me")
study.optimize(objective, n_trials=25, timeout=600, callbacks=[lambda study, trial: seen.append(trial.number)])
trial = study.best_trial
assert trial.value == study.best_value and trial.params == study.best_params
assert len(study.trials) == 25 and seen == list(range(25))
states = {state: [t for t in study.trials if t.state == state] for state in optuna.trial.TrialState}
assert len(states[optuna.trial.TrialState.COMPLETE]) + len(states[optuna.trial.TrialState.PRUNED]) == 25
assert set(study.trials[0].intermediate_values) == set(range(study.trials[0].last_step + 1))
assert trial.user_attrs["n_weights"] == sum(v for k, v in trial.params.items() if k.startswith("units"))
frame = study.trials_dataframe()
assert {"number", "value", "params_lr", "user_attrs_n_weights", "state", "duration"} <= set(frame.columns)
asked = study.ask()
x = asked.suggest_float("lr", 1e-5, 1e-1, log=True)
study.tell(asked, x)
assert study.trials[-1].value == x
print(study.study_name, study.user_attrs, study.trials[0].params["lr"], trial.distributions["lr"].log)
"""


@pytest.mark.parametrize("imported", ["import optuna", "import autohpo.define_by_run as optuna"])
def test_a_first_script_runs_with_only_its_imports_changed(imported):
    """Spaces by code, loops, conditions, pruning, a queue, attributes, callbacks, tables, ask and tell."""
    out = subprocess.run(
        [sys.executable, "-c", f"{imported}\n{SCRIPT}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == "first {'by': 'me'} 0.01 True"


def test_it_needs_no_optuna():
    """Nothing of it is imported."""
    program = "import sys; sys.modules['optuna'] = None\nimport autohpo.define_by_run as optuna\n" + textwrap.dedent("""
        study = optuna.create_study()
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        print(len(study.trials))
    """)
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "3"


POINTS = [{"x": i / 7, "c": ["a", "b"][i % 2], "n": 1 + i % 4, "y": 0.5} for i in range(12)]


def objective(library):
    """An objective that fails, prunes and returns nonsense, by its parameters."""

    def f(trial):
        x, c = trial.suggest_float("x", 0, 2), trial.suggest_categorical("c", ["a", "b"])
        n = trial.suggest_int("n", 1, 4)
        if c == "b":
            trial.suggest_float("y", 0, 1)
        trial.set_user_attr("half", x / 2)
        trial.report(x, 0)
        if n == 3:
            raise library.TrialPruned
        if n == 2 and c == "b" and x > 1:
            raise ValueError("no")
        return float("nan") if x == 8 / 7 else x * n

    return f


def facts(library, study):
    """What both libraries say of the trials."""
    return [
        (t.number, t.state.name, t.values, dict(t.params), dict(t.intermediate_values), dict(t.user_attrs))
        for t in study.trials
        if t.state != library.trial.TrialState.FAIL
    ]


def test_the_trials_of_both_are_the_same():
    """Parameters, states, values, reports and attributes; the queue says what is tried, so no sampler decides."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    studies = []
    for library in (optuna, ours):
        study = library.create_study(direction="maximize")
        for point in POINTS:
            study.enqueue_trial({name: v for name, v in point.items() if name != "y" or point["c"] == "b"})
        study.optimize(objective(library), n_trials=len(POINTS), catch=ValueError)
        studies.append((library, study))
    (_, theirs), (_, own) = studies
    assert facts(*studies[0]) == facts(*studies[1])
    assert [t.state.name for t in theirs.trials] == [t.state.name for t in own.trials]
    assert {"COMPLETE", "PRUNED", "FAIL"} == {t.state.name for t in own.trials}
    assert (own.best_trial.number, own.best_value, own.best_params) == (
        theirs.best_trial.number,
        theirs.best_value,
        theirs.best_params,
    )
    done = [t for t in theirs.trials if t.state.name == "COMPLETE"]
    columns = ["number", "value", "params_x", "params_c", "params_n", "state"]
    both = [s.trials_dataframe()[columns] for s in (theirs, own)]
    assert both[0].loc[[t.number for t in done]].equals(both[1].loc[[t.number for t in done]])


def test_the_best_of_several_directions_are_the_same():
    """The Pareto front of the same points."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    fronts = []
    for library in (optuna, ours):
        study = library.create_study(directions=["minimize", "maximize"])
        for i in range(20):
            study.enqueue_trial({"x": (i * 7 % 20) / 20, "y": (i * 3 % 20) / 20})
        study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1) - t.params["x"]), n_trials=20)
        fronts.append(sorted(trial.number for trial in study.best_trials))
    assert fronts[0] == fronts[1]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("suggest_float", ("x", -2.0, 3.0)),
        ("suggest_int", ("x", -3, 9)),
        ("suggest_categorical", ("x", ["a", None, True, 2.5])),
    ],
)
def test_draws_have_the_distribution_of_optunas(method, arguments):
    """The quartiles, or shares, of 400 random draws of both: within 4 standard errors of the difference."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = []
    for library in (optuna, ours):
        study = library.create_study(sampler=library.samplers.RandomSampler(seed=1))
        drawn = [getattr(study.ask(), method)(*arguments) for _ in range(400)]
        found.append(drawn)
    if method == "suggest_categorical":
        for choice in arguments[1]:
            shares = [sum(one is choice or one == choice for one in drawn) / 400 for drawn in found]
            assert abs(shares[0] - shares[1]) < 4 * (2 * 0.25 * 0.75 / 400) ** 0.5
    else:
        for share in (0.25, 0.5, 0.75):
            cut = arguments[1] + share * (arguments[2] - arguments[1])
            below = [sum(one <= cut for one in drawn) / 400 for drawn in found]
            assert abs(below[0] - below[1]) < 4 * (2 * 0.25 / 400) ** 0.5
