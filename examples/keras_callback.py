"""Keras 3: BOHB tunes a model; trials that are promoted go on from their weights and those of their optimizer."""

import os
from typing import Any

from autohpo.trial_handle import TrialHandle

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.keras import ReportCallback

x = np.random.default_rng(0).normal(size=(600, 8)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("float32")


def train(hps: dict[str, Any], trial: TrialHandle) -> None:
    """Train as long as the search says."""
    keras.utils.set_random_seed(trial.seed)
    hidden = keras.layers.Dense(hps["units"], activation="relu")
    model = keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(hps["lr"]), "binary_crossentropy", metrics=["accuracy"])
    report = ReportCallback(trial, "val_accuracy")
    model.fit(
        x[:400],
        y[:400],
        validation_data=(x[400:], y[400:]),
        epochs=9,
        initial_epoch=report.restore(model),
        callbacks=[report],
        verbose=0,
    )


if __name__ == "__main__":
    space = [LogRangeHP("lr", 1e-3, 1e-1), RangeHP("units", 4, 32)]
    hpo = build_hpo_from_name("bohb", space, train, max_fidelity=9, max_evals=9, seed=0)
    best_hp, best_accuracy = hpo.optimize(progress=False)
    print("best", best_hp, "validation accuracy", round(best_accuracy, 3))
