"""The examples and the demo run, in short form, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

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


def test_the_architecture_search_finds_networks_and_draws_its_regret(tmp_path):
    """The regret is that to the best of the table: above 0, and below that of the median network, .036."""
    command = ("--seeds", "2", "--max-evals", "25", "--algorithms", "random,tpe", "--svg", "regret.svg")
    lines = run(str(ROOT / "examples/architecture_search.py"), *command, cwd=tmp_path).splitlines()
    assert [line.split()[0] for line in lines] == ["algorithm", "random", "tpe"]
    assert all(0.0 <= float(line.split()[1]) < 0.036 for line in lines[1:])
    svg = ET.parse(tmp_path / "regret.svg").getroot()
    assert len(svg.findall("{*}polyline")) == len(svg.findall("{*}polygon")) == 2


def test_the_architecture_search_knows_networks_in_any_numbering():
    """Brute force: of all 24 ways to link four layers, those of one tree have one name, and the nine names stay."""
    code = (
        "import itertools, architecture_search as a; "
        "tree = lambda hp, n=0: tuple(sorted((hp[f'op{k}'], tree(hp, k + 1)) for k in range(4) "
        "if (0, hp['in1'], hp['in2'], hp['in3'])[k] == n)); "
        "ops = {f'op{k}': name for k, name in enumerate(['gat', 'gcn', 'gin', 'fc'])}; "
        "hps = [{'in1': i, 'in2': j, 'in3': k, **ops} for i in range(2) for j in range(3) for k in range(4)]; "
        "back = lambda link, ops: dict(zip(['in1', 'in2', 'in3', 'op0', 'op1', 'op2', 'op3'], [*link[1:], *ops])); "
        "assert all(tree(back(*a.canonical(hp))) == tree(hp) for hp in hps); "
        "assert {a.canonical(hp)[0] for hp in hps} == set(a.LINKS)"
    )
    run("-c", f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); {code}", cwd=ROOT)


def test_the_demo_runs_and_goes_on_where_it_was(tmp_path):
    """Started twice, it searches once; it prints the table and leaves store and page."""
    command = ("-m", "autohpo.demo", "--max-evals", "8", "--quiet")
    first = run(*command, cwd=tmp_path)
    assert all(name in first for name in ("Best configuration", "untuned", "random search", "BOHB"))
    page = (tmp_path / "cora-demo" / "report.html").read_text()
    assert "untuned" in page
    assert run(*command, cwd=tmp_path) == first
