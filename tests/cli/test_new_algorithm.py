"""`autohpo new-algorithm`: what it writes installs, passes its own tests, and is known by its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.cli.new_package import class_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Each test writes into a folder of its own."""
    monkeypatch.chdir(tmp_path)


def run(*command, cwd, path):
    """What a process printed, which must succeed; `path` is where it finds packages."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_installs_passes_its_tests_and_is_known_by_its_name(tmp_path, capsys):
    """As a user would: installed into a folder, found by its entry point, never imported by name."""
    pytest.importorskip("pip")
    assert main(["new-algorithm", "hill_walker"]) == exits.OK
    assert capsys.readouterr().out.splitlines() == [
        str(Path("hill_walker") / name)
        for name in ("autohpo_hill_walker.py", "pyproject.toml", "README.md", "tests/test_hill_walker.py")
    ]
    package, site = tmp_path / "hill_walker", tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    run("-m", "pip", "install", *options, "--target", str(site), str(package), cwd=tmp_path, path=[ROOT])
    path = [site, ROOT]
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "error"]
    said = run("-m", "pytest", *quiet, "--doctest-modules", "tests", "autohpo_hill_walker.py", cwd=package, path=path)
    n_passed = int(said.split(" passed")[0].split()[-1])
    assert n_passed > 20  # the checks that every algorithm passes are among them
    assert "failed" not in said
    code = (
        "from autohpo import RangeHP, available_hpos, build_hpo_from_name\n"
        "hpo = build_hpo_from_name('hill_walker', [RangeHP('x', 0.0, 1.0)], lambda hp: hp['x'], max_evals=30, seed=0)\n"
        "hpo.optimize(progress=False, store='run.db', num_workers=2)\n"
        "print('hill_walker' in available_hpos(), hpo.best()[1] > 0.9)\n"
    )
    assert run("-c", code, cwd=tmp_path, path=path) == "True True\n"
    said = json.loads(run("-m", "autohpo", "doctor", "--json", cwd=tmp_path, path=path))
    assert "hill_walker of autohpo-hill-walker 0.1.0 loads" in [one["text"] for one in said["findings"]]
    if find_spec("autohpo.cli.commands.algorithms") is not None:  # the list of algorithms has it
        assert "hill_walker" in run("-m", "autohpo", "algorithms", cwd=tmp_path, path=path)
    said = json.loads(run("-m", "autohpo", "ask", "run.db", "--max-evals", "31", cwd=tmp_path, path=path))
    assert said["number"] == 30  # a store of it is opened from the shell


def test_a_store_of_a_plug_in_that_is_gone_says_so(tmp_path, capsys):
    """What it needs is named."""
    main(["new-algorithm", "gone_walker", "--to", "package"])
    capsys.readouterr()
    code = (
        "from autohpo_gone_walker import GoneWalkerSearch\nfrom autohpo import RangeHP\n"
        "GoneWalkerSearch([RangeHP('x', 0.0, 1.0)], lambda hp: hp['x'], max_evals=3, seed=0).optimize(store='run.db')\n"
    )
    run("-c", code, cwd=tmp_path, path=[tmp_path / "package", ROOT])
    assert main(["ask", "run.db"]) == exits.USAGE
    assert "made by the algorithm 'gone_walker', which is not installed here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tpe", "tpe: is the name of an algorithm already"),
        ("motpe", "motpe: is the name of an algorithm already"),
        ("Hill-Walker", "did you mean 'hill_walker'?"),
        ("my walker", "did you mean 'my_walker'?"),
        ("1st", "must be lower-case letters, digits and underscores"),
        ("../walker", "must be lower-case letters"),
        ("walker_", "did you mean 'walker'?"),
        ("größe", "must be lower-case letters"),
        ("", "must be lower-case letters"),
        ("a\nb", "must be lower-case letters"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_written(tmp_path, capsys, name, text):
    """With what was meant, where that can be guessed."""
    assert main(["new-algorithm", name]) == exits.USAGE
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_ever_overwritten(tmp_path, capsys):
    """A folder with anything in it is refused, an empty one is taken."""
    Path("used").mkdir()
    Path("used/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    Path("empty").mkdir()
    for folder in ("used", "file", "file/below"):
        assert main(["new-algorithm", "walker", "--to", folder]) != exits.OK
        assert "to: " in capsys.readouterr().err
    assert [path.name for path in Path("used").iterdir()] == ["notes.txt"]
    assert Path("file").read_text() == "mine"
    assert main(["new-algorithm", "walker", "--to", "empty", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["class"], said["folder"], len(said["files"])) == ("WalkerSearch", "empty", 4)
    assert all((Path("empty") / name).is_file() for name in said["files"])
    assert main(["new-algorithm", "walker", "--to", "empty"]) == exits.USAGE


@pytest.mark.parametrize(
    ("name", "cls"),
    [("one_plus_one", "OnePlusOneSearch"), ("tree_search", "TreeSearch"), ("search", "SearchSearch"), ("x", "XSearch")],
)
def test_the_class_is_named_after_the_algorithm(name, cls):
    """And never is a keyword of Python."""
    assert class_of(name) == cls
