"""`autohpo run`: what can be run, the options, the record of how it was started, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import CONFIG, SCRIPT, slow

from autohpo import Result
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.control import driver_of
from autohpo.service import Launch, tail


def test_a_python_file_is_run_in_processes_of_its_own(shell):
    """Functions and classes of the file travel to the workers; its guard is respected."""
    shell.write("train.py", SCRIPT)
    said = shell.json("run", "train.py", "--num-workers", "2")
    result = Result.load(shell.folder / "train.db")
    assert said["n"] == 12
    assert said["states"] == {"COMPLETE": 12}
    assert (said["hp"], said["perf"], said["trial"]) == (result.best.hp, result.best.perf, result.best.number)
    assert said["perf"] == -((said["hp"]["x"] - 0.3) ** 2)
    assert (said["store"], said["algorithm"], said["is_finished"]) == ("train.db", "tpe", True)


def test_an_objective_may_start_processes_that_import_its_file(shell):
    """With *spawn*, as data loaders do; the file is their main module, as with `python train.py`."""
    more = SCRIPT.replace("import time\n", "import multiprocessing\nimport time\n").replace(
        'return score(Model(hps["x"]))',
        """with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(score, [Model(hps["x"])])[0]""",
    )
    shell.write("train.py", more)
    for workers in ("1", "2"):
        said = shell.json("run", "train.py", "--max-evals", "2", "--num-workers", workers, "--store", f"{workers}.db")
        assert said["states"] == {"COMPLETE": 2}


def test_people_are_told_the_best_the_store_and_what_to_raise(shell):
    """The result on standard output, all else on standard error."""
    shell.write("train.py", SCRIPT)
    done = shell.run("run", "train.py")
    best = Result.load(shell.folder / "train.db").best
    assert done.stdout.splitlines()[0] == f"best: {best.perf:.6g} in trial {best.number} of 12 trials: 12 complete"
    assert done.stdout.splitlines()[1].split() == ["x", f"{best.hp['x']:.6g}"]
    assert "store: train.db" in done.stderr
    assert "raise --max-evals to go on" in done.stderr


def test_a_finished_search_says_so_and_goes_on_with_more(here, capsys):
    """Nothing is run again."""
    (here / "train.py").write_text(SCRIPT)
    assert main(["run", "train.py", "--progress", "none"]) == exits.OK
    first = capsys.readouterr()
    assert main(["run", "train.py", "--progress", "none"]) == exits.OK
    assert capsys.readouterr() == first
    assert "finished: max_evals: all 12 suggestions were made; raise --max-evals to go on" in first.err
    assert main(["run", "train.py", "--progress", "none", "--max-evals", "14"]) == exits.OK
    assert "14 trials: 14 complete" in capsys.readouterr().out


def test_a_command_is_tuned_without_python(here, capsys):
    """The metric is read from its output."""
    (here / "run.yaml").write_text(CONFIG)
    assert main(["run", "run.yaml", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert said["states"] == {"COMPLETE": 4}
    assert said["perf"] == said["hp"]["x"] == min(t.hp["x"] for t in Result.load("run.db").trials)


def test_a_function_of_a_module_is_run_with_a_space_from_a_file(here, capsys):
    """The working directory is on the path, as with `python -m`."""
    (here / "a_module_of_mine.py").write_text("def loss(hps):\n    return abs(hps['x'])\n")
    (here / "space.yaml").write_text("space:\n  x: {low: -1.0, high: 1}\n")
    words = ["a_module_of_mine:loss", "--space", "space.yaml", "--mode", "min", "--algorithm", "random"]
    assert main(["run", *words, "--max-evals", "3", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["n"], said["store"]) == (3, "a_module_of_mine.db")
    assert said["perf"] == min(abs(t.hp["x"]) for t in Result.load("a_module_of_mine.db").trials)


def test_options_of_the_command_line_overrule_the_file(here, capsys):
    """Each where it belongs: the algorithm, the run, the space, the store."""
    (here / "train.py").write_text(SCRIPT)
    words = ["--algorithm", "random", "--max-evals", "5", "--seed", "3", "--store", "other.db", "--name", "mine"]
    words += ["-p", "x=0.5..1", "-p", "extra=7", "--set", "patience=50", "--set", "noise=true", "--json"]
    assert main(["run", "train.py", *words]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["n"], said["algorithm"], said["store"], said["name"]) == (5, "random", "other.db", "mine")
    assert all(0.5 <= t.hp["x"] <= 1 and t.hp["extra"] == 7 for t in Result.load("other.db").trials)


def test_without_a_store_nothing_is_left(here, capsys):
    """Not even a record."""
    (here / "train.py").write_text(SCRIPT)
    assert main(["run", "train.py", "--store", "none", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["store"] is None
    assert [path.name for path in here.iterdir() if path.name != "__pycache__"] == ["train.py"]


def test_the_environment_names_the_store_where_nothing_else_does(here, capsys, monkeypatch):
    """The file's and the command line's come first."""
    monkeypatch.setenv("AUTOHPO_STORE", "env.db")
    (here / "run.yaml").write_text(CONFIG)
    assert main(["run", "run.yaml", "--json"]) == exits.OK
    (here / "run.yaml").write_text(f"{CONFIG}store: file.db\n")
    assert main(["run", "run.yaml", "--json"]) == exits.OK
    assert main(["run", "run.yaml", "--json", "--store", "flag.db"]) == exits.OK
    stores = [json.loads(line)["store"] for line in capsys.readouterr().out.splitlines()]
    assert stores == ["env.db", "file.db", "flag.db"]


def test_what_an_objective_prints_does_not_break_json(here, capsys):
    """It goes to standard error."""
    (here / "train.py").write_text(f"print('first')\n{SCRIPT.replace('time.sleep(0.0)', 'print(8 * 8)')}")
    assert main(["run", "train.py", "--json"]) == exits.OK
    said = capsys.readouterr()
    assert json.loads(said.out)["n"] == 12
    assert said.err.splitlines() == ["first", *["64"] * 12]


def test_a_file_that_reads_its_arguments_does_not_see_ours(here, capsys):
    """It is loaded as `python FILE` would run it."""
    (here / "train.py").write_text(f"import argparse\nargparse.ArgumentParser().parse_args()\n{SCRIPT}")
    assert main(["run", "train.py", "--json", "--store", "none"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["n"] == 12


def test_several_objectives_have_a_front(here, capsys):
    """A dict says which way each is better."""
    text = SCRIPT.replace("return score(Model(hps['x']))", "").replace(
        'return score(Model(hps["x"]))', "return {'acc': hps['x'], 'size': hps['x'] ** 2}"
    )
    (here / "train.py").write_text(text)
    words = ["--algorithm", "random", "--mode", "acc=max,size=min", "--max-evals", "6", "--json"]
    assert main(["run", "train.py", *words]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert len(said["pareto"]) == 6  # each is better in one of them
    assert all(t["perfs"] == [t["hp"]["x"], t["hp"]["x"] ** 2] for t in said["pareto"])


def test_the_record_is_written_before_the_first_trial(shell):
    """With the command line, the folder, and of the environment only what is allowed."""
    shell.environment |= {"SECRET_TOKEN": "hush", "CUDA_VISIBLE_DEVICES": ""}
    shell.write("train.py", SCRIPT.replace("time.sleep(0.0)", "assert open('train.db.files/launch.json').read()"))
    shell.run("run", "train.py", "-p", "c=a", "--seed=4", "--time-limit", "1h")
    launch = Launch.read(shell.folder / "train.db")
    words = ["run", "train.py", "--time-limit=1h", "--seed=4", "--param=c=a"]
    assert list(launch.argv) == [sys.executable, "-m", "autohpo", *words]
    assert launch.cwd == str(shell.folder)
    assert launch.environment["CUDA_VISIBLE_DEVICES"] == ""
    text = (shell.folder / "train.db.files" / "launch.json").read_text()
    assert "hush" not in text
    assert (shell.folder / "train.db.files" / "launch.json").stat().st_mode & 0o077 == 0


def test_a_run_that_is_refused_leaves_the_record_alone(here, capsys):
    """Neither another search on the same store, nor one that cannot begin."""
    (here / "train.py").write_text(SCRIPT)
    assert main(["run", "train.py", "--json"]) == exits.OK
    kept = (here / "train.db.files" / "launch.json").read_bytes()
    assert main(["run", "train.py", "--seed", "5"]) == exits.FAILED
    assert "options.seed: the store has 0, here it is 5" in capsys.readouterr().err
    assert (here / "train.db.files" / "launch.json").read_bytes() == kept


def test_a_second_run_on_a_store_is_refused(shell):
    """It is said who has it."""
    shell.write("train.py", slow(0.3))
    first = shell.start("run", "train.py", "--max-evals", "1000")
    shell.wait_for(lambda: driver_of(shell.folder / "train.db") is not None)
    for words in (["run", "train.py"], ["run", "train.py", "--detach"], ["run", "train.py", "--dry-run"]):
        done = shell.run(*words, code=exits.BUSY)
        assert f"in use by process {first.pid} on " in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(shell, signum, code):
    """All is saved, and it is said how to go on."""
    shell.write("train.py", slow(0.1))
    process = shell.start("run", "train.py", "--max-evals", "1000")
    shell.wait_for(lambda: shell.n_ended("train.db") >= 2)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.splitlines()[-1] == "autohpo: resume with: autohpo resume train.db"
    assert driver_of(shell.folder / "train.db") is None


def test_a_detached_run_outlives_its_shell_and_sighup(shell):
    """It has a session of its own, and a log; when it has ended, its result stands there."""
    shell.write("train.py", slow(0.05))
    said = shell.json("run", "train.py", "--detach", "--max-evals", "40")
    pid = said["process"]
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGHUP)
    shell.wait_for(lambda: driver_of(shell.folder / "train.db") is None)
    assert shell.n_ended("train.db") == 40
    shell.wait_for(lambda: "40 trials: 40 complete" in tail(said["log"]))


def test_a_detached_run_is_told_with_what_to_do_next(shell):
    """Pid, log, and the commands."""
    shell.write("train.py", slow(0.3))
    lines = shell.run("run", "train.py", "--detach").stdout.splitlines()
    holder = driver_of(shell.folder / "train.db")
    assert lines[0].startswith(f"started: process {holder.process}; it prints to ")
    assert [line.split("autohpo ")[1] for line in lines[1:]] == ["top train.db", "stop train.db", "resume train.db"]


def test_a_detached_run_that_cannot_begin_says_why(shell):
    """The checks are made before it is started; what shows later stands in its log."""
    shell.write("train.py", SCRIPT)
    assert "needs a store" in shell.run("run", "train.py", "--detach", "--store", "none", code=exits.USAGE).stderr
    assert "at least 1" in shell.run("run", "train.py", "--detach", "--max-evals", "0", code=exits.USAGE).stderr
    shell.run("run", "train.py")
    done = shell.run("run", "train.py", "--detach", "--seed", "9", code=exits.FAILED)
    assert "options.seed: the store has 0, here it is 9" in done.stderr


def test_a_rehearsal_checks_all_and_leaves_nothing(here, capsys):
    """It shows the space, what will be trained, and the first command."""
    (here / "run.yaml").write_text(CONFIG)
    assert main(["run", "run.yaml", "--dry-run"]) == exits.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "algorithm: random (max_evals=4, seed=0, mode=min)"
    assert "  x  0 to 1" in lines
    assert "store: run.db, which is new" in lines
    assert [path.name for path in here.iterdir()] == ["run.yaml"]
    first = lines[-1].split()
    assert main(["run", "run.yaml", "--json"]) == exits.OK
    trial = Result.load("run.db").trials[0]
    assert first == ["echo", f"loss={trial.hp['x']}", trial.hp["c"]]
    capsys.readouterr()
    assert main(["run", "run.yaml", "--dry-run"]) == exits.OK
    assert "run.db, in which 4 trials are" in capsys.readouterr().out
    assert main(["run", "run.yaml", "--dry-run", "--seed", "1"]) == exits.FAILED
    assert "holds another run" in capsys.readouterr().err


def test_a_rehearsal_as_json_is_one_object(here, capsys):
    """With what the text has."""
    (here / "train.py").write_text(SCRIPT)
    assert main(["run", "train.py", "--dry-run", "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert said["options"] == {"max_evals": 12, "seed": 0}
    assert [item["name"] for item in said["space"]] == ["x", "c"]
    assert (said["n"], said["command"], set(said["hp"])) == (0, None, {"x", "c"})


def test_a_search_without_any_result_ends_with_its_own_code(here, capsys):
    """It is said what the first trial did; where that is allowed, that none has a result."""
    (here / "run.yaml").write_text(CONFIG.replace("echo", "no-such-program"))
    assert main(["run", "run.yaml"]) == exits.USAGE
    said = "run.yaml, line 1: command: must begin with a program, got no-such-program, which is not found"
    assert said in capsys.readouterr().err
    (here / "run.yaml").write_text(CONFIG.replace("{x}", "{x} {fidelity}", 1))
    assert main(["run", "run.yaml"]) == exits.USAGE
    assert "run.yaml, line 1: command: {fidelity} has no value" in capsys.readouterr().err
    assert not list(here.glob("*.db*"))
    (here / "run.yaml").write_text(CONFIG.replace("echo", "false"))
    assert main(["run", "run.yaml"]) == exits.FAILED
    assert "ended with exit code 1" in capsys.readouterr().err
    assert main(["run", "run.yaml", "--store", "b.db", "--set", "continue_on_error=yes", "--json"]) == exits.NO_RESULT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch.py"], "run: there is no file nosuch.py"),
        (["nosuch.yaml"], "run: there is no file nosuch.yaml"),
        (["nosuch"], "and there is no such file"),
        (["nosuch:f"], "run: nosuch cannot be loaded: ModuleNotFoundError"),
        (
            ["train.py:scores"],
            "run: train.py has no scores; did you mean 'score'?; name the objective, as in train.py:",
        ),
        (["broken.py"], "run: broken.py cannot be loaded: ZeroDivisionError: division by zero (line 2 of "),
        (["syntax.py"], "run: syntax.py cannot be loaded: SyntaxError: "),
        (["exits.py"], "run: exits.py cannot be loaded: SystemExit: 3"),
        (["no_space.py"], "space: no_space.py has none; write space = [...] in it, or give --space"),
        (["no_f.py"], "run: no_f.py has no f"),
        (["train.py", "--algorithm", "tpee"], "'tpee': no such algorithm; did you mean 'tpe'?"),
        (["train.py", "--set", "etta"], "--set: must be NAME=VALUE, got 'etta'"),
        (["train.py", "--set", "n_jobs=3"], "n_jobs: is called num_workers and belongs below run: in a file"),
        (["train.py", "--set", "max_evals=many"], "max_evals: must be int or None, got 'many'"),
        (["train.py", "-p", "x"], "--param: must be NAME=VALUE, got 'x'"),
        (["train.py", "-p", "x=1..0"], "x: low must be below high, got low=1, high=0"),
        (["train.py", "-p", "x=a..b"], "--param x: a range has two numbers, such as 1e-4..0.1, got 'a..b'"),
        (["train.py", "--space", "space:x"], "--space: space cannot be loaded: ModuleNotFoundError"),
        (["train.py", "--space", "no.yaml"], "--space: there is no file no.yaml"),
        (["train.py", "--time-limit", "soon"], "time_limit: must be a duration such as 90, 30m, 2h or 1d, got 'soon'"),
        (["train.py", "--memory-limit", "much"], "memory_limit: must be bytes or a string such as '4GB', got 'much'"),
        (["train.py", "--mode", "up="], "mode: must be max, min, or a list such as acc=max,latency=min, got 'up='"),
        (["train.py", "--progress", "loud"], "progress: must be 'auto', 'rich', 'plain', 'none' or False, got 'loud'"),
        (["train.py", "--store", "postgres://x/y"], "store: must name a study, as in 'postgresql://user@host/data"),
        (["train.py", "--store", "mysql://x/y"], "store: must be a path, 'sqlite:///path', 'postgresql://host/data"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_sentence(here, capsys, words, said):
    """The code is that of a wrong use, whatever the part that found it."""
    (here / "train.py").write_text(SCRIPT)
    (here / "broken.py").write_text("x = 1\ny = x / 0\n")
    (here / "syntax.py").write_text("def f(:\n")
    (here / "exits.py").write_text("raise SystemExit(3)\n")
    (here / "no_space.py").write_text("def f(hps):\n    return 0\n")
    (here / "no_f.py").write_text("space = []\n")
    assert main(["run", *words]) == exits.USAGE
    found = capsys.readouterr().err
    assert said in found
    assert "Traceback" not in found
    assert not list(here.glob("*.db"))
