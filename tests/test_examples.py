"""The examples and the demo run, in short form, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command, cwd):
    """Standard output of a command that must succeed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cora_example_runs(tmp_path):
    """A few short trainings in two processes, and a store beside them."""
    out = run(str(ROOT / "examples/cora.py"), "--max-evals", "6", "--store", "run.db", cwd=tmp_path)
    assert "test accuracy 0." in out
    assert (tmp_path / "run.db").exists()


def test_the_custom_optimizer_example_runs_and_passes_its_checks(tmp_path):
    """The checks are those of the built-in algorithms."""
    out = run(str(ROOT / "examples/custom_optimizer.py"), cwd=tmp_path)
    assert "checks passed" in out
    assert "'opti': 'adam'" in out


def test_the_trainer_example_gives_back_a_trained_trainer(tmp_path):
    """Its accuracy is that of a model that has learned something: chance is 1/7."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); import trainer; trainer.main(16, 20)"
    out = run("-c", code, cwd=tmp_path)
    assert float(out.split("test accuracy ")[1]) > 0.3


def test_the_scikit_learn_example_promotes_and_its_best_is_good(tmp_path):
    """A share of the trials has all rounds; always saying "benign" is right in .63 of the cases."""
    out = run(str(ROOT / "examples/sklearn_search.py"), "--budget", "4", "--rounds", "27", cwd=tmp_path)
    assert float(out.split("test accuracy ")[1]) > 0.9
    trials, full = (int(out.split(part)[0].split()[-1]) for part in (" trials", " of them"))
    assert 0 < full < trials


def test_the_demo_runs_and_goes_on_where_it_was(tmp_path):
    """Started twice, it searches once; it prints the table and leaves store and page."""
    command = ("-m", "autohpo.demo", "--max-evals", "8", "--quiet")
    first = run(*command, cwd=tmp_path)
    assert all(name in first for name in ("Best configuration", "untuned", "random search", "BOHB"))
    page = (tmp_path / "cora-demo" / "report.html").read_text()
    assert "untuned" in page
    assert run(*command, cwd=tmp_path) == first
