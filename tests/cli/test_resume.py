"""`autohpo resume`: the same search goes on, from another folder, after a kill, with more to spend."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import CONFIG, SCRIPT, Shell, slow

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.control import driver_of
from autohpo.service import Launch


def test_a_killed_driver_is_resumed_as_if_nothing_had_been(shell):
    """With one worker the log is that of a search that was never interrupted."""
    shell.write("train.py", slow(0.05))
    pid = shell.json("run", "train.py", "--detach", "--max-evals", "25")["process"]
    shell.wait_for(lambda: shell.n_ended("train.db") >= 5)
    os.kill(pid, signal.SIGKILL)
    shell.wait_for(lambda: driver_of(shell.folder / "train.db") is None)
    assert shell.n_ended("train.db") < 25
    shell.json("resume", "train.db", "--detach")
    shell.wait_for(lambda: driver_of(shell.folder / "train.db") is None)
    shell.run("run", "train.py", "--max-evals", "25", "--store", "whole.db")
    assert len(shell.log("whole.db")) == 50
    assert shell.log("train.db") == shell.log("whole.db")


def test_it_goes_on_from_any_folder_with_changes(shell):
    """In the folder where it began, with its environment; a change stands in the record from then on."""
    shell.environment["CUDA_VISIBLE_DEVICES"] = "7"
    shell.write("helpers.py", "import os\nGPU = os.environ['CUDA_VISIBLE_DEVICES']\n")
    shell.write("train.py", f"import helpers\nassert helpers.GPU == '7'\n{SCRIPT}")
    assert shell.json("run", "train.py", "--num-workers", "2", "-p", "extra=1")["n"] == 12
    other = shell.folder / "elsewhere"
    other.mkdir()
    far = Shell(other)
    far.environment.pop("CUDA_VISIBLE_DEVICES", None)
    said = far.json("resume", str(shell.folder / "train.db"), "--max-evals", "15", "--num-workers", "1")
    assert (said["n"], said["store"]) == (15, "train.db")
    assert list(other.iterdir()) == []
    words = Launch.read(shell.folder / "train.db").argv[3:]
    assert words == (
        *("run", "train.py", "--max-evals=15", "--num-workers=1"),
        *("--store=train.db", "--param=extra=1", "--json"),
    )
    assert far.json("resume", str(shell.folder / "train.db"), "--set", "max_evals=16")["n"] == 16


def test_a_moved_store_brings_its_record_along(shell):
    """The run goes on where the store is now."""
    shell.write("train.py", SCRIPT)
    shell.run("run", "train.py")
    (shell.folder / "there").mkdir()
    for name in ("train.db", "train.db.files"):
        shutil.move(shell.folder / name, shell.folder / "there" / name)
    said = shell.json("resume", "there/train.db", "--max-evals", "13")
    assert (said["n"], said["store"]) == (13, str(shell.folder / "there" / "train.db"))
    assert not (shell.folder / "train.db").exists()


def test_a_changed_command_is_warned_of_and_a_changed_space_refused(shell):
    """What is in the store stays as it is."""
    shell.write("run.yaml", CONFIG)
    shell.run("run", "run.yaml")
    shell.write("run.yaml", CONFIG.replace("loss={x}", "loss=0{x}", 1))
    done = shell.run("resume", "run.db", "--max-evals", "5")
    assert "warning: " in done.stderr
    assert "f (its code, its command, or a value it closes over) has changed" in done.stderr
    shell.write("run.yaml", CONFIG.replace("high: 1.0", "high: 2.0"))
    done = shell.run("resume", "run.db", "--max-evals", "6", code=exits.FAILED)
    assert "space.parameters[0].high: the store has 1.0, here it is 2.0" in done.stderr
    assert len(Result.load(shell.folder / "run.db")) == 5


def test_a_running_search_is_not_resumed(shell):
    """It is said who has it."""
    shell.write("train.py", slow(0.3))
    pid = shell.json("run", "train.py", "--detach")["process"]
    done = shell.run("resume", "train.db", code=exits.BUSY)
    assert f"train.db is in use by process {pid} on " in done.stderr
    assert "it runs already" in done.stderr


def test_a_search_of_a_python_program_is_not_resumed(shell, tmp_path):
    """The program is named."""
    code = (
        "from autohpo import RangeHP, build_hpo_from_name\n"
        "hpo = build_hpo_from_name('random', [RangeHP('x', 0.0, 1.0)], lambda hps: hps['x'], max_evals=2, seed=0)\n"
        "hpo.optimize(store='mine.db', progress=False)\n"
    )
    shell.write("program.py", code)
    import subprocess

    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=shell.environment, check=True)
    said = shell.run("resume", "mine.db", code=exits.FAILED).stderr
    assert "mine.db has no record of an `autohpo run`; it was last used by program.py; run that again to go on" in said


def test_what_is_gone_is_named(shell):
    """The file, the folder, the record itself, the store."""
    folder = shell.folder / "work"
    folder.mkdir()
    inner = Shell(folder)
    inner.write("train.py", SCRIPT)
    inner.run("run", "train.py", "--store", str(shell.folder / "train.db"))
    (folder / "train.py").unlink()
    said = shell.run("resume", "train.db", code=exits.FAILED).stderr
    assert f"train.py, which it was started from in {folder}, is gone" in said
    inner.write("train.py", SCRIPT)
    record = shell.folder / "train.db.files" / "launch.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "cwd": str(shell.folder / "no")}))
    assert "is gone" in shell.run("resume", "train.db", code=exits.FAILED).stderr
    record.write_text(json.dumps({**kept, "argv": [*kept["argv"][:4], "train.py", "--no-such-option"]}))
    assert "is of no command line that is understood" in shell.run("resume", "train.db", code=exits.FAILED).stderr
    one_object = json.loads(shell.run("resume", "train.db", "--json", code=exits.FAILED).stderr)
    assert one_object["error"]["type"] == "StoreError"
    record.write_text("{")
    assert "is no record of how a search was started" in shell.run("resume", "train.db", code=exits.FAILED).stderr
    (shell.folder / "text.db").write_text("no store")
    assert "it is no store" in shell.run("resume", "text.db", code=exits.DAMAGED).stderr


def test_what_the_run_is_cannot_change(shell):
    """Only budgets and arguments of the run."""
    shell.write("train.py", SCRIPT)
    shell.run("run", "train.py")
    for change in ("seed=3", "noise=true", "store=x.db", "eta=3"):
        said = shell.run("resume", "train.db", "--set", change, code=exits.USAGE).stderr
        assert f"--set: {change.partition('=')[0]} cannot change at a resume" in said
    assert shell.json("resume", "train.db", "--set", "grace_seconds=1")["n"] == 12


def test_a_script_that_was_started_on_its_own_is_started_again(shell):
    """It takes no changes, as its options stand in it."""
    shell.write("program.py", "import sys\nprint('again', sys.argv[1:])\n")
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2, seed=0)
    hpo.optimize(store=str(shell.folder / "mine.db"), progress=False)
    argv = (sys.executable, "program.py", "a b")
    Launch(argv, str(shell.folder)).write(shell.folder / "mine.db.files")
    done = shell.run("resume", "mine.db")
    assert done.stdout == "again ['a b']\n"
    assert done.stderr == f"resume: in {shell.folder}: {sys.executable} program.py 'a b'\n"
    said = shell.run("resume", "mine.db", "--max-evals", "9", code=exits.USAGE).stderr
    assert "--max-evals: this search is started by " in said
    assert "program.py 'a b', so change it there" in said
