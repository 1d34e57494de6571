"""`autohpo ask`: who gets which configuration, in which form, and how a search begins and ends without a driver."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.result import Result
from autohpo.search import Search

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command-line.md"
SPACE = """\
lr: {low: 1e-4, high: 0.1, log: true}
hops: {low: 1, high: 8}
opti: [adam, sgd with a blank]
"""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """The arguments that begin a search, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    Path("space.yaml").write_text(SPACE)
    return ["ask", "run.db", "--space", "space.yaml", "--algorithm", "random", "--seed", "3"]


def call(capsys, *words):
    """The exit code and what was printed, as JSON where it is some."""
    code = main(list(map(str, words)))
    out, err = capsys.readouterr()
    text = out or err
    return code, json.loads(text) if text.startswith(("{", "[")) else text


def autohpo(*words):
    """A process of the command line."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "autohpo", *map(str, words)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_first_call_makes_the_store_and_later_ones_need_only_its_name(begin, capsys):
    """The suggestions are those of the optimizer itself, with the same seed."""
    hpo = build_hpo_from_name("random", Search.load(store_of(begin, capsys)).hpo.space, seed=3)
    wanted = [hpo.ask() for _ in range(3)]
    assert call(capsys, "ask", "run.db") == (
        exits.OK,
        {
            "number": 1,
            "hp": dict(wanted[1]),
            "fidelity": None,
            "resume": None,
            "fork": None,
            "seed": wanted[1].seed,
            "client_id": None,
            "checkpoint_dir": str(Path("run.db.files").resolve() / "trial-1"),
        },
    )
    assert call(capsys, *begin)[1]["hp"] == dict(wanted[2])  # what was said before may be said again


def store_of(begin, capsys):
    """The store after the first call."""
    assert call(capsys, *begin)[0] == exits.OK
    return "run.db"


def test_the_store_may_be_named_by_the_environment(begin, capsys, monkeypatch):
    """As everywhere."""
    monkeypatch.setenv("AUTOHPO_STORE", "other.db")
    assert call(capsys, *[word for word in begin if word != "run.db"])[0] == exits.OK
    assert Path("other.db").exists()


def test_a_client_that_asks_again_gets_its_trial_again(begin, capsys):
    """As long as that has no result; every call is a process of its own to the store."""
    numbers = [call(capsys, *begin, "--client-id", who)[1]["number"] for who in "aabab"]
    assert numbers == [0, 0, 1, 0, 1]
    assert call(capsys, "tell", "run.db", "--number", 0, "--perf", 1, "--client-id", "a")[0] == exits.OK
    assert call(capsys, "ask", "run.db", "--client-id", "a")[1]["number"] == 2


def test_the_end_of_the_budget_has_an_exit_code_and_more_budget_goes_on(begin, capsys):
    """The budget of the first call counts for all of them; a pending trial is handed out again also behind it."""
    assert call(capsys, *begin, "--max-evals", 1, "--client-id", "a")[0] == exits.OK
    assert call(capsys, "ask", "run.db")[0] == exits.COMPLETE
    assert call(capsys, "ask", "run.db", "--client-id", "a")[1]["number"] == 0
    assert call(capsys, "ask", "run.db", "--max-evals", 2)[1]["number"] == 1
    code, said = call(capsys, "ask", "run.db", "--json")
    assert (code, said["error"]["type"]) == (exits.COMPLETE, "OptimizationComplete")


def test_nothing_to_do_now_has_an_exit_code_of_its_own(begin, capsys):
    """Successive halving waits for the results of a rung."""
    begin[begin.index("random")] = "successive_halving"
    pairs = ("max_fidelity=9", "n=3", "num_iterations=1")
    options = [word for pair in pairs for word in ("--option", pair)]
    codes = [call(capsys, *begin, *options)[0] for _ in range(4)]
    assert codes == [exits.OK] * 3 + [exits.NOT_READY]
    for number in range(3):
        call(capsys, "tell", "run.db", "--number", number, "--perf", number)
    said = call(capsys, "ask", "run.db")[1]
    assert (said["resume"], said["checkpoint_dir"]) == (2, str(Path("run.db.files").resolve() / "trial-2"))


def test_the_words_for_a_command_line_are_quoted(begin, capsys):
    """A shell splits them into just the options and their values; the fidelity has the name that is wanted."""
    begin[begin.index("random")] = "bohb"
    more = ["--option", "max_fidelity=9", "--client-id", "a"]
    asked = call(capsys, *begin, *more)[1]
    words = shlex.split(call(capsys, *begin, *more, "--format", "args", "--fidelity-name", "epochs")[1])
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        **{f"--{name}": str(value) for name, value in asked["hp"].items()},
        "--epochs": str(asked["fidelity"]),
    }
    code, said = call(capsys, "ask", "run.db", "--client-id", "a", "--format", "args", "--fidelity-name", "lr")
    assert (code, "must not be that of a parameter, got 'lr'" in said) == (exits.USAGE, True)


def test_the_lines_for_a_shell_set_the_variables_that_commands_get(tmp_path, capsys, monkeypatch):
    """Whatever characters names and values have; nothing of it is run."""
    monkeypatch.chdir(tmp_path)
    evil = "a'b $(touch pwned) `touch pwned` \\ ;\nnew line"
    Path("space.json").write_text(json.dumps({"lr-rate": [0.25], "o": {"value": evil}, "PATH": [True]}))
    lines = call(capsys, "ask", "run.db", "--space", "space.json", "--client-id", "x y", "--format", "env")[1]
    names = "AUTOHPO_TRIAL AUTOHPO_CLIENT_ID AUTOHPO_FIDELITY AUTOHPO_CONFIG HP_lr_rate HP_o HP_PATH"
    script = f'{lines}\nfor name in {names}; do printf "%s\\0" "${{!name}}"; done\n'
    script += "eval \"printf '%s\\\\0' $AUTOHPO_ARGS\""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    number, client, fidelity, config, lr, o, path, *args = done.stdout.split("\0")[:-1]
    assert (number, client, fidelity, lr, o, path) == ("0", "x y", "", "0.25", evil, "True")
    assert json.loads(config) == {"lr-rate": 0.25, "o": evil, "PATH": True}
    assert args == ["--lr-rate", "0.25", "--o", evil, "--PATH", "True"]
    assert not Path("pwned").exists()


def test_two_parameters_with_one_variable_are_refused(tmp_path, capsys, monkeypatch):
    """JSON takes them."""
    monkeypatch.chdir(tmp_path)
    Path("space.json").write_text(json.dumps({"a-b": [1], "a_b": [2]}))
    begin = ["ask", "run.db", "--space", "space.json"]
    code, said = call(capsys, *begin, "--client-id", "a", "--format", "env")
    assert (code, "two parameters would be $HP_a_b" in said) == (exits.USAGE, True)
    assert call(capsys, *begin, "--client-id", "a")[1]["hp"] == {"a-b": 1, "a_b": 2}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["run.db"], exits.NO_STORE, "run.db does not exist; give --space FILE to begin one"),
        (["memory:", "--space", "space.yaml"], exits.USAGE, "which ends with this command"),
        (["run.db", "--space", "no.yaml"], exits.USAGE, "no.yaml: cannot be read"),
        (["run.db", "--space", "bad.yaml"], exits.USAGE, "bad.yaml, line 2: hops"),
        (["run.db", "--space", "space.yaml", "--algorithm", "tpee"], exits.USAGE, "did you mean"),
        (["run.db", "--space", "space.yaml", "--option", "nope=1"], exits.USAGE, "nope: auto has no such option"),
        (["run.db", "--space", "space.yaml", "--option", "noise"], exits.USAGE, "option: must be NAME=VALUE"),
        (
            ["run.db", "--space", "space.yaml", "--option", "seed=1", "--seed", "2"],
            exits.USAGE,
            "seed: must be given once",
        ),
        (
            ["run.db", "--space", "space.yaml", "--option", "space=1"],
            exits.USAGE,
            "option: must be one of the algorithm",
        ),
        (["run.db", "--space", "space.yaml", "--option", "cls=1"], exits.USAGE, "cls: auto has no such option"),
        (["run.db", "--space", "space.yaml", "--mode", "up"], exits.USAGE, "mode: must be"),
        (["run.db", "--space", "space.yaml", "--client-id", ""], exits.USAGE, "client_id: must be a string"),
        (["run.db", "--space", "space.yaml", "--json", "--format", "env"], exits.USAGE, "format: must be json"),
        (["folder", "--space", "space.yaml"], exits.FAILED, "is a folder"),
        (["nowhere/run.db", "--space", "space.yaml"], exits.FAILED, "nowhere does not exist"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_no_store(begin, capsys, words, code, text):
    """Nothing is made before everything is known to be right."""
    Path("bad.yaml").write_text("lr: {low: 0, high: 1}\nhops: {low: 3}\n")
    Path("folder").mkdir()
    found, said = call(capsys, "ask", *words)
    assert (found, text in str(said)) == (code, True), said
    assert not Path("run.db").exists()


def test_another_space_seed_or_algorithm_than_that_of_the_store_is_refused(begin, capsys):
    """The text says what differs; nothing is added."""
    store_of(begin, capsys)
    Path("other.yaml").write_text(SPACE.replace("0.1", "0.2"))
    for words, text in [
        (["--seed", "4"], "options.seed: the store has 3, here it is 4"),
        (["--algorithm", "tpe"], "algorithm: the store has 'random', here it is 'tpe'"),
        (["--space", "other.yaml"], "the store has 0.1, here it is 0.2"),
        (["--mode", "min"], "options.mode: the store has 'max', here it is 'min'"),
    ]:
        code, said = call(capsys, "ask", "run.db", *words)
        assert (code, text in said) == (exits.FAILED, True), said
    assert len(Result.load("run.db").trials) == 1


def test_a_store_that_another_process_has_is_waited_for(begin, capsys):
    """As long as --wait says; then it is busy."""
    store_of(begin, capsys)
    search = Search.load("run.db")
    search.open()
    try:
        code, said = call(capsys, "ask", "run.db", "--wait", "0.1")
        assert (code, "is in use by" in said) == (exits.BUSY, True)
        timer = threading.Timer(0.5, search.close)
        timer.start()
        assert call(capsys, "ask", "run.db", "--wait", "60")[1]["number"] == 1
        timer.join()
    finally:
        search.close()


def test_processes_that_ask_at_the_same_time_get_a_trial_each_and_a_client_gets_one(begin):
    """Whichever of them makes the store."""
    processes = [autohpo(*begin, "--client-id", who, "--wait", "120") for who in "aabb"]
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [exits.OK] * 4, said
    numbers = [json.loads(out)["number"] for out, _ in said]
    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[3]
    assert sorted(set(numbers)) == [0, 1]


def test_a_run_of_a_program_can_be_asked_from_the_shell(tmp_path, capsys, monkeypatch):
    """What its optimize had kept is enough, unless it has values that only the program knows."""
    monkeypatch.chdir(tmp_path)
    hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=4, seed=0)
    hpo.optimize(store="run.db", progress=False)
    assert call(capsys, "ask", "run.db")[0] == exits.COMPLETE
    assert call(capsys, "ask", "run.db", "--max-evals", 5)[1]["number"] == 4
    with Search(build_hpo_from_name("random", [ChoiceHP("c", [len, max])], seed=0), "own.db") as search:
        search.ask()
    code, said = call(capsys, "ask", "own.db")
    assert (code, "values that only the program that made it knows" in said) == (exits.USAGE, True)


def test_the_shell_loop_of_the_docs_tunes_a_program_and_survives_a_kill(begin, tmp_path):
    """Two shells share the work; the one that was killed gets its trial again, and a program may fail."""
    shutil.copy(ROOT / "examples" / "ask_tell.sh", tmp_path)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "autohpo"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m autohpo "$@"\n')
    command.chmod(0o755)
    Path("space.yaml").write_text("hops: {low: 1, high: 8}\n")
    Path("train.sh").write_text(  # -(hops - 3)^2 as its last line
        'echo "$@" >> ran; while [ -e block ]; do sleep 0.05; done\n'
        'echo training "$@"; [ "$2" -gt 6 ] && exit 3; echo "$(( -($2 - 3) * ($2 - 3) ))"\n'
    )
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "MAX_EVALS": "4"}

    def start(who):
        words = ["bash", "ask_tell.sh", "run.db", "space.yaml", who, "sh train.sh"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(words, env=env, text=True, start_new_session=True, **pipes)

    Path("block").touch()
    killed = start("one")
    deadline = time.monotonic() + 120
    while not Path("ran").exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    Path("block").unlink()
    loops = [start(who) for who in ("one", "two")]
    said = [loop.communicate(timeout=300) for loop in loops]
    assert [loop.returncode for loop in loops] == [0, 0], said
    trials, ran = Result.load("run.db").trials, Path("ran").read_text().splitlines()
    assert sorted(ran) == sorted(f"--hops {trial.hp['hops']}" for trial in [trials[0], *trials])
    assert ran[0] == f"--hops {trials[0].hp['hops']}"
    assert len(trials) == 4
    for trial in trials:
        hops, is_failed = trial.hp["hops"], trial.hp["hops"] > 6
        assert (trial.perf, trial.error) == ((None, "exit code 3") if is_failed else (-((hops - 3) ** 2), ""))


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not written yet")
def test_the_page_has_the_very_loop_that_is_tested():
    """Word for word."""
    assert (ROOT / "examples" / "ask_tell.sh").read_text() in PAGE.read_text()
