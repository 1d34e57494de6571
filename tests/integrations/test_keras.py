"""Keras 3 on PyTorch: epochs are reported, trainings stop and go on with the state of their optimizer."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

from autohpo import OptionError, TrialState
from autohpo.integrations.keras import ReportCallback
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # of Keras's own code
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
]
X = np.random.default_rng(0).normal(size=(64, 3))
Y = (X[:, 0] > 0).astype(float)


@pytest.fixture
def keras():
    """The library, with its backend in the tests."""
    pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
    return pytest.importorskip("keras", reason="Keras is not installed: pip install 'autohpo[keras]'")


def compiled(keras):
    """A small model whose optimizer has moments."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


def run(f, number, fidelity, folder, answer=lambda *_: True):
    """Outcome and reports of a task in a process that knows only the folder."""
    reports = []
    task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir=str(folder))
    outcome = Evaluator(Objective.of(f)).run(task, lambda *r: reports.append(r) or answer(*r))
    return outcome, reports


def fit(model, report, **more):
    """Keras's history of a training in a fixed order."""
    more = {"validation_data": (X, Y), "epochs": 27, "verbose": 0, "shuffle": False, "callbacks": [report], **more}
    return model.fit(X, Y, **more).epoch


def test_a_promoted_trial_trains_only_the_new_epochs_and_comes_to_the_same_loss(keras, tmp_path):
    """Rungs 1, 3 and 9 are nine epochs in all; with the moments of Adam lost, the loss would be another."""
    trained = []

    def f(hps, trial):
        model, report = compiled(keras), ReportCallback(trial, "val_loss")
        assert isinstance(report, keras.callbacks.Callback)
        trained.extend(fit(model, report, initial_epoch=report.restore(model)))

    assert Objective.of(f).is_continued
    seen = []
    for number, fidelity in enumerate((1, 3, 9)):
        outcome, reports = run(f, number, fidelity, tmp_path / "a")
        assert (outcome.state, outcome.error) == (TrialState.COMPLETE, "")
        assert [one.name for one in (tmp_path / "a").iterdir()] == [f"epoch-{fidelity}"]
        seen += reports
    assert trained == list(range(9))
    assert [fidelity for fidelity, _, _ in seen] == list(range(1, 10))
    assert set(seen[0][2]) == {"loss", "accuracy", "val_accuracy"}
    whole, _ = run(f, 0, 9, tmp_path / "b")
    assert outcome.perf == pytest.approx(whole.perf, rel=1e-5)


def test_a_trial_whose_checkpoint_has_all_its_epochs_reports_it_and_trains_nothing(keras, tmp_path):
    """Where ``epochs`` is what the trial gets."""
    trained = []

    def f(hps, trial):
        model, report = compiled(keras), ReportCallback(trial, "val_loss")
        trained.extend(fit(model, report, epochs=trial.fidelity, initial_epoch=report.restore(model)))

    first, _ = run(f, 0, 3, tmp_path)
    again, reports = run(f, 0, 3, tmp_path)
    assert trained == [0, 1, 2]
    assert again.perf == first.perf == reports[0][1]


def test_the_search_s_no_ends_the_training(keras, tmp_path):
    """And nothing is saved where nothing is to be."""
    trained = []

    def f(hps, trial):
        trained.extend(fit(compiled(keras), ReportCallback(trial, "accuracy", is_saved=False)))

    outcome, _ = run(f, 0, None, tmp_path, lambda fidelity, *_: fidelity < 2)
    assert outcome.state is TrialState.STOPPED
    assert trained == [0, 1]
    assert list(tmp_path.iterdir()) == []


def test_epochs_that_are_not_validated_are_not_reported(keras, tmp_path):
    """Keras validates every second one here."""

    def f(hps, trial):
        fit(compiled(keras), ReportCallback(trial, "val_loss"), validation_freq=2)

    assert [fidelity for fidelity, *_ in run(f, 0, 6, tmp_path)[1]] == [2, 4, 6]


def test_what_is_not_in_the_logs_cannot_be_monitored(keras, tmp_path):
    """The error lists what is; without validation data it comes in the end."""

    def f(hps, trial):
        fit(compiled(keras), ReportCallback(trial, "val_f1"))

    def g(hps, trial):
        fit(compiled(keras), ReportCallback(trial, "val_loss"), validation_data=None, epochs=1)

    outcome, _ = run(f, 0, 3, tmp_path)
    assert outcome.state is TrialState.FAILED
    assert "monitor: must name one of 'accuracy', 'loss', 'val_accuracy', 'val_loss', got str 'val_f1'" in outcome.error
    outcome, _ = run(g, 0, 3, tmp_path)
    assert "monitor: must name one of 'accuracy', 'loss', got str 'val_loss'" in outcome.error


def test_impossible_arguments_are_refused(keras, tmp_path):
    """Each is named, with its rule and its value."""
    trial = TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True)
    with pytest.raises(OptionError, match="trial: must be the trial that the objective was given, got None"):
        ReportCallback(None)
    with pytest.raises(OptionError, match="monitor: must be the name of a number in Keras's logs, got int 3"):
        ReportCallback(trial, 3)
    (tmp_path / "epoch-1").mkdir()
    with pytest.raises(OptionError, match="model: must be built to load its weights"):
        ReportCallback(trial).restore(keras.Sequential([keras.layers.Dense(1)]))
