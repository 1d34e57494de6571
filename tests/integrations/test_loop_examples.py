"""The examples of training loops run, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "package", "least"),
    [
        pytest.param("pytorch_checkpoints", "torch", 0.7, marks=pytest.mark.torch),
        pytest.param("lightning_callback", "lightning", 0.7, marks=pytest.mark.torch),
        pytest.param("keras_callback", "keras", 0.7, marks=pytest.mark.torch),
        pytest.param("huggingface_trainer", "transformers", 0.7, marks=pytest.mark.torch),
        pytest.param("xgboost_boosting", "xgboost", 0.97, marks=pytest.mark.extras),
        pytest.param("lightgbm_boosting", "lightgbm", 0.97, marks=pytest.mark.extras),
        pytest.param("catboost_boosting", "catboost", 0.97, marks=pytest.mark.extras),
    ],
)
def test_an_example_learns_more_than_chance(name, package, least, tmp_path):
    """Chance is .5 for the first four, and the AUC of a single good feature is about .95 for the others."""
    pytest.importorskip(package, reason=f"{package} is not installed; `make test-extras` installs it")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "accuracy" in line or "AUC" in line]
    found = [float(line.split()[-1]) for line in lines if not line.startswith("{")]
    assert found
    assert all(least < one <= 1 for one in found)
