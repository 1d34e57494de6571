"""`autohpo stop`: ends a search from another process, in order or at once, and says what is saved."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import slow

from autohpo import RangeHP, Result, Search, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.control import REQUEST, driver_of


def test_a_detached_search_is_stopped_in_order(shell):
    """Its last trial ends, nothing runs any more, and it can go on."""
    shell.write("train.py", slow(0.1))
    pid = shell.json("run", "train.py", "--detach", "--max-evals", "1000")["process"]
    shell.wait_for(lambda: shell.n_ended("train.db") >= 1)
    lines = shell.run("stop", "train.db").stdout.splitlines()
    result = Result.load(shell.folder / "train.db")
    assert lines[0].startswith(f"stopped: process {pid} on ")
    assert lines[1].startswith(f"saved: {len(result)} trials: {len(result)} complete; the best so far is ")
    assert lines[2] == "go on with: autohpo resume train.db"
    assert driver_of(shell.folder / "train.db") is None
    assert not list((shell.folder / "train.db.files").glob(f"{REQUEST}*"))
    n = len(result)
    assert shell.json("resume", "train.db", "--max-evals", str(n + 2))["states"] == {"COMPLETE": n + 2}


def test_a_search_with_workers_is_stopped_while_they_run(shell):
    """They are asked to end, and have the grace that the search gives them."""
    shell.write("train.py", slow(60))
    shell.run("run", "train.py", "--detach", "--num-workers", "2", "--set", "grace_seconds=0.2")
    shell.wait_for((shell.folder / "train.db").exists)
    said = shell.json("stop", "train.db")
    assert said["way"] == "stopped"
    assert said["best"] is None
    assert driver_of(shell.folder / "train.db") is None


def test_it_can_be_killed(shell):
    """What ended is kept; what ran goes on at a resume."""
    shell.write("train.py", slow(0.1))
    pid = shell.json("run", "train.py", "--detach", "--max-evals", "1000")["process"]
    shell.wait_for(lambda: shell.n_ended("train.db") >= 2)
    said = shell.json("stop", "train.db", "--now")
    assert (said["way"], said["process"]) == ("killed", pid)
    assert said["states"]["COMPLETE"] >= 2
    assert driver_of(shell.folder / "train.db") is None


def test_nothing_to_stop_is_no_error(tmp_path, capsys):
    """Whoever stops a search to be sure that it does not run gets what he wants."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2, seed=0)
    hpo.optimize(store=str(tmp_path / "run.db"), progress=False)
    assert main(["stop", str(tmp_path / "run.db")]) == exits.OK
    assert "no process has run.db open, so there is nothing to stop" in capsys.readouterr().out
    assert main(["stop", str(tmp_path / "run.db"), "--now", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["way"], said["states"], said["best"]) == ("none", {"COMPLETE": 2}, hpo.result.best.perf)


def test_a_search_in_a_thread_of_this_process_is_stopped(tmp_path, capsys):
    """As one in a notebook would be: nothing but the file is needed."""
    path = tmp_path / "run.db"

    def f(hps):
        time.sleep(0.05)
        return hps["x"]

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=10_000, seed=0)
    thread = threading.Thread(target=lambda: hpo.optimize(store=str(path), progress=False))
    thread.start()
    while driver_of(path) is None:
        time.sleep(0.01)
    time.sleep(0.2)
    assert main(["stop", str(path)]) == exits.OK
    thread.join(60)
    assert not thread.is_alive()
    assert "saved: " in capsys.readouterr().out
    assert 1 <= len(hpo.result) < 10_000


def test_what_does_not_look_is_waited_for_no_longer_than_it_was_said(tmp_path, capsys):
    """Whoever asks and tells by itself has no driver that could be asked; the request stays for it alone."""
    path = tmp_path / "run.db"
    with Search(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0), path):
        assert main(["stop", str(path), "--timeout", "0.3"]) == exits.FAILED
        said = capsys.readouterr().err
        assert "is still in use by process" in said
        assert "it has not seen the request yet" in said
        assert "--now kills it" in said
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=4, seed=0)
    hpo.optimize(store=str(path), progress=False)
    assert len(hpo.result) == 4  # the request was to another one
    assert not list((tmp_path / "run.db.files").glob(f"{REQUEST}*"))
