"""The budget of iterations with real processes: workers end themselves, drivers are killed, the command goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")

ROOT = Path(__file__).parents[2]

PROGRAM = textwrap.dedent("""
    import json, os, random, sys, time
    from autohpo import RangeHP, build_hpo_from_name
    from autohpo.controller.metered import Metered
    from autohpo.execution.local import LocalExecutor

    name, folder, total, kind = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]

    def work():
        with open(folder + "/iterations", "ab", 0) as file:
            file.write(b".")  # one write, so that two workers do not write over each other
        time.sleep(float(sys.argv[5]))
        if sys.argv[6] == "faulty" and random.random() < 0.02:
            os._exit(3) if random.random() < 0.5 else sys.exit("no luck")

    def generator(hps):
        epoch = 0
        while True:
            epoch += 1
            work()
            yield hps["x"] - 1 / epoch

    def function(hps, trial):
        while True:
            work()
            if not trial.report(hps["x"]):
                return

    options = {"min_fidelity": 1, "max_fidelity": 9} if name != "random" else {}
    f = {"generator": generator, "function": function}[kind]
    hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], f, max_evals=500, seed=0, **options)
    metered = Metered(LocalExecutor(2), max_iterations_per_job=9, total_iterations=total)
    retries = {"FAILED": 1, "CRASHED": 1}
    hpo.optimize(executor=metered, store=folder + "/run.db", progress=False, continue_on_error=True,
                 max_consecutive_failures=None, retries=retries)
    print(json.dumps([metered.closing, metered.used["iterations"]["used"]]))
""")


def n_trained(folder):
    """How many iterations the objectives have begun."""
    path = folder / "iterations"
    return path.stat().st_size if path.exists() else 0


def start(name, folder, total, kind, seconds=0.002, fault="faulty"):
    """Start the program."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, str(folder), str(total), kind, str(seconds), fault],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid):
    """The processes below one, at any depth."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    found = [int(child) for child, parent in map(str.split, listed.splitlines()) if parent == str(pid)]
    return found + [below for child in found for below in children(child)]


def kill_at(process, folder, n, *, everything=False):
    """Kill a driver once so many iterations were begun, or it and its workers; return False where it ended before."""
    until = time.monotonic() + 60
    while n_trained(folder) < n and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    was_running = process.poll() is None
    workers = children(process.pid) if everything else []
    process.send_signal(signal.SIGKILL)  # first, so that it does not see the others die
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    return was_running


@pytest.mark.parametrize(("name", "kind"), [("random", "function"), ("bohb", "generator"), ("asha", "function")])
def test_a_budget_is_kept_by_processes_that_are_killed(name, kind, tmp_path):
    """What the objectives wrote into a file is never more than the budget; the last driver says that it is used up."""
    total, rng = 150, random.Random(name)
    for n in sorted(rng.sample(range(5, 90), 2)):
        assert kill_at(start(name, tmp_path, total, kind), tmp_path, n)
    last = start(name, tmp_path, total, kind)
    out, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    closing, used = json.loads(out)
    assert closing.startswith("iterations: ")
    assert n_trained(tmp_path) <= used <= total
    assert used > total - 9


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize(("name", "kind"), [("random", "function"), ("random", "generator"), ("bohb", "generator")])
def test_the_account_is_exact_but_for_the_steps_that_were_begun(name, kind, everything, tmp_path):
    """What a process that is killed costs is one iteration of each worker, and no file of it stays."""
    kills = [30, 60, 85]
    for n in kills:
        assert kill_at(start(name, tmp_path, 150, kind, 0.02, "sound"), tmp_path, n, everything=everything)
    last = start(name, tmp_path, 150, kind, 0.002, "sound")
    out, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    _, used = json.loads(out)
    assert n_trained(tmp_path) <= used <= n_trained(tmp_path) + 2 * len(kills)
    assert used > 150 - 9
    assert not list((tmp_path / "run.db.files").glob("odometers/*"))
