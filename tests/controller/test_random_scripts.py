"""Random programs of a controller end, with typed errors alone; `benchmarks/controller_scripts.py` runs many more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parent))

from random_scripts import ARGUMENTS, GARBAGE, STEPS, script_of, scripts
from script_runs import Script, Server

from autohpo import AutoHPOError, HyperParameterOptimizer

ROOT = Path(__file__).parents[2]
N = int(os.environ.get("AUTOHPO_RANDOM_SCRIPTS", "30"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc, and adopts orphans")


@pytest.fixture(scope="module")
def server():
    """A process that runs scripts."""
    started = Server(ROOT)
    yield started
    started.close()


@settings(
    max_examples=N, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=scripts())
def test_a_random_script_ends_without_an_untyped_error_and_leaves_nothing(server, script):
    """No hang, no thread and no process is left."""
    assert server.run(script)["faults"] == []


def test_the_server_finds_faults(server):
    """It says so where a hook raises what is no error of autohpo's, and where a script does not end."""
    script = {**script_of(0), "garbage": None, "job": "quick", "algorithm": "random", "workers": 0}
    steps = [["broken step", "none"]]
    (fault,) = server.run({**script, "threads": [steps]})["faults"]
    assert fault[:2] == ["broken step", "none"]
    assert "KeyError" in fault[2]


def test_every_public_method_is_among_the_steps():
    """A new verb joins the list."""
    code = (Path(__file__).parent / "random_scripts.py").read_text(encoding="utf-8")
    public = {name for name in dir(HyperParameterOptimizer) if not name.startswith("_")}
    assert len(STEPS) > len(public)
    assert [name for name in public if f".{name}" not in code] == []


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_garbage_as_an_argument_is_a_typed_error_that_names_it_or_is_taken(argument, tmp_path, monkeypatch):
    """At build, and not at the start."""
    monkeypatch.chdir(tmp_path)
    plain = {"algorithm": "bohb", "job": "quick", "has_store": False, "workers": 1, "has_iterations": True}
    plain |= {"search_seconds": None, "compute_seconds": None, "job_seconds": None, "top_k": None}
    n_errors = 0
    for kind in GARBAGE:
        try:
            Script({**script_of(0), **plain, "garbage": [argument, kind]}, tmp_path).make()
        except AutoHPOError:
            n_errors += 1
    takes_all = {"auto_connect_task", "always_create_task", "dataset", "warm_start", "local_port"}
    assert n_errors == 0 if argument in takes_all else n_errors > len(GARBAGE) / 2
