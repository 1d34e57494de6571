"""Reference values of tasks: what full trainings of random configurations take in the mean."""

from __future__ import annotations

import json

import numpy as np

from suite.fidelity.catalogue import DEV, make_task
from suite.task import DATA

_N_RANDOM = 2000


def write_reference() -> None:
    """Writes ``data/fidelity.json``."""
    found: dict[str, dict[str, float]] = {}
    for name in DEV:
        task, rng = make_task(name), np.random.default_rng(0)
        if not np.isnan(task.mean_seconds):  # the task knows it exactly
            continue
        seconds = [float(task.seconds(task.space.sample(rng), [task.high])[0]) for _ in range(_N_RANDOM)]
        found[name] = {"mean_seconds": float(np.mean(np.maximum(seconds, 0)))}
        print(f"{name}: {found[name]}", flush=True)
    (DATA / "fidelity.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
