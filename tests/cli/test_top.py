"""`autohpo top`: what is shown of a run, in a terminal of any size, before it begins, and after it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from autohpo import RangeHP, Result, Search, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.look.chart import columns_chart
from autohpo.cli.look.screen import screen
from autohpo.cli.look.watch import Watch
from autohpo.cli.main import main
from autohpo.errors import StoreCorruptError
from autohpo.trial import TrialState

ROOT = Path(__file__).parents[2]
SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


def f(hps):
    """A training that fails now and then."""
    for epoch in range(1, 10):
        if hps["x"] < 0.1:
            raise ValueError("x is too small")
        yield hps["x"] - 1 / epoch


@pytest.fixture
def store(tmp_path):
    """A run with rungs and failures."""
    hpo = build_hpo_from_name("hyperband", SPACE, f, min_fidelity=1, max_fidelity=9, max_evals=40, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False, continue_on_error=True, max_consecutive_failures=None)
    return str(tmp_path / "run.db")


@pytest.fixture
def watched():
    """Returns watches that are closed at the end."""
    made = []

    def watch(path):
        made.append(Watch(str(path)))
        return made[-1]

    yield watch
    for one in made:
        one.close()


def text_of(watch, width=120, height=200, **more):
    """What is shown, as plain text."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(screen(watch, width, height, **more))
    return console.file.getvalue()


def test_a_program_is_told_how_it_stands(store, capsys):
    """The numbers are those of the result."""
    assert main(["top", store, "--json"]) == exits.OK
    said, result = json.loads(capsys.readouterr().out), Result.load(store)
    assert (said["status"], said["n_ended"], said["budget"]) == ("finished", 40, {"max_evals": 40})
    assert said["n_with_result"] == result.counts()["COMPLETE"]
    assert said["failures"] == {"FAILED": result.counts()["FAILED"]}
    assert said["best"] == {"number": result.best.number, "perf": result.best.perf, "hp": result.best.hp}
    assert said["running"] == []
    for rung in said["rungs"]:
        perfs = [t.perf for t in result if t.perf is not None and t.reached == rung["fidelity"]]
        assert (rung["n"], rung["best"]) == (len(perfs), max(perfs))


def test_without_a_terminal_it_is_printed_once(store, capsys):
    """All sections of it."""
    assert main(["top", store]) == exits.OK
    said = capsys.readouterr().out
    best = Result.load(store).best
    assert "hyperband  finished" in said
    assert "40 of 40 trials" in said
    assert f"best {best.perf:.6g} in trial {best.number}, fidelity 9" in said
    assert "best perf over 40 trials" in said
    assert "ended last" in said
    assert "ValueError: x is too small" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_the_terminal_by_columns_not_by_cutting_numbers(width, store, watched):
    """With little room the less important ones are missing; no number is cut."""
    watch = watched(store)
    watch.update(float("inf"))
    lines = text_of(watch, width).splitlines()
    assert max(map(len, lines)) <= width
    of_rungs = lines[lines.index("rungs") + 1 :]
    assert "best" in of_rungs[0]
    assert not any("\u2026" in line for line in of_rungs[:4])
    assert ("running" in of_rungs[0]) == (width > 40)
    ended = lines[lines.index("ended last") + 1]
    assert all(word in ended for word in ("trial", "state", "result"))
    assert ("took" in ended) == (width > 40)


def test_what_runs_is_told(tmp_path, watched):
    """Configuration, last report, for how long; and what ended since."""
    hpo = build_hpo_from_name("random", SPACE, seed=0, max_evals=3)
    watch = watched(tmp_path / "run.db")
    watch.update()
    assert watch.status == "waiting"
    assert "there is no" in text_of(watch)
    with Search(hpo, tmp_path / "run.db", name="a name") as search:
        watch.update()
        assert "no result yet" in text_of(watch)
        first, second = search.ask(), search.ask()
        for number in (first.number, second.number):
            search.start(number, number)
        search.report(first.number, 3, 0.25)
        search.save()
        watch.update()
        shown = text_of(watch, now=time.time() + 100)
        assert "a name  random  running" in shown
        assert "2 workers busy" in shown
        assert re.search(r"\n0 +1 min \d\d s +0\.25 at 3 +x=", shown)
        search.tell(first, 0.5)
        search.fail(second, "it is broken", state=TrialState.CRASHED)
        watch.update()
        shown = text_of(watch)
        assert "best 0.5 in trial 0" in shown
        assert "without a result: 1 CRASHED; trial 1: it is broken" in shown
        search.ask()
        search.save()
    watch.update()
    assert watch.status == "interrupted"
    assert "1 to be run again" in text_of(watch)


def test_what_was_seen_bit_by_bit_is_what_is_seen_at_once(store, watched, monkeypatch):
    """However few events a look takes."""
    from autohpo.cli.look import watch as module

    monkeypatch.setattr(module, "_CLOCK_EVERY", 1)
    bits, whole = watched(store), watched(store)
    whole.update(1e9)
    n = 0
    while n == 0 or bits.is_behind:
        bits.update(0.0)
        n += 1
        assert bits.status in ("reading", "finished")
    assert n > 40
    assert bits.state.trials() == whole.state.trials()
    assert bits.seen == whole.seen


def test_a_budget_of_full_evaluations_is_told(tmp_path, watched):
    """What was trained: a promotion adds what it continues with."""
    hpo = build_hpo_from_name("hyperband", SPACE, f, min_fidelity=1, max_fidelity=9, budget=5.0, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False, continue_on_error=True, max_consecutive_failures=None)
    watch = watched(tmp_path / "run.db")
    watch.update()
    reached = {trial.number: trial.reached for trial in hpo.result if trial.perf is not None}
    spent = sum(end - reached.get(hpo.result.trials[n].resume, 0) for n, end in reached.items()) / 9
    assert f"{len(hpo.result)} trials, about {spent:.3g} of 5 full evaluations" in text_of(watch)
    assert 4 < spent <= 5


def test_a_store_that_is_replaced_is_read_anew(tmp_path, watched):
    """Also where it is gone for a while."""
    path = tmp_path / "run.db"
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=4, seed=0)
    hpo.optimize(store=path, progress=False)
    watch = watched(path)
    watch.update()
    assert watch.state.n_asked == 4
    for one in tmp_path.glob("run.db*"):
        one.unlink()
    watch.update()
    assert watch.status == "waiting"
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=2, seed=1)
    hpo.optimize(store=path, progress=False)
    watch.update()
    assert (watch.state.n_asked, watch.seen.n_ended) == (2, 2)


@pytest.mark.parametrize("width", [5, 20, 40, 80, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 13, 24, 60])
def test_it_fits_any_terminal(store, watched, width, height):
    """No line is too long, and there are not too many; what there is room for is there."""
    watch = watched(store)
    watch.update(1e9)
    lines = text_of(watch, width, height, hint="q quits").splitlines()
    assert 1 <= len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("run")
    if height >= 3 and width >= 20:
        assert any(line.startswith("best ") for line in lines)
    if height >= 60 and width >= 80:
        assert sum("█" in line for line in lines) >= 3


def test_several_objectives_are_told(tmp_path, watched):
    """The front, and the compromise on it."""
    objective = lambda hps: {"acc": hps["x"], "size": hps["y"]}
    hpo = build_hpo_from_name("random", SPACE, objective, max_evals=20, seed=0, mode={"acc": "max", "size": "min"})
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    watch = watched(tmp_path / "run.db")
    watch.update()
    best = hpo.result.best
    said = f"best {len(hpo.result.pareto)} on the front; the compromise, trial {best.number}: acc {best.perfs[0]:.6g}"
    assert said in text_of(watch)


def test_a_chart_is_as_high_as_its_values():
    """The lowest has one eighth of a line, the highest all; equal ones stand in the middle."""
    assert columns_chart([0.0, 1.0, None, 0.5], 1) == ["▁█ ▅"]
    assert columns_chart([0.0, 1.0], 2) == [" █", "▁█"]
    assert columns_chart([3.0, 3.0], 1) == ["▄▄"]
    assert columns_chart([-1.7e308, 1.7e308], 1) == ["▁█"]
    assert columns_chart([None], 3) == []


def test_wrong_uses_are_told(store, capsys, tmp_path):
    """And a store that is damaged."""
    assert main(["top", store, "--interval", "0"]) == exits.USAGE
    assert "interval: must be at least 0.05" in capsys.readouterr().err
    assert main(["top", str(tmp_path / "no.db"), "--once"]) == exits.NO_STORE
    with open(store, "r+b") as file:
        file.truncate(3000)
    assert main(["top", store, "--once"]) == exits.DAMAGED
    with pytest.raises(StoreCorruptError):
        Watch(store).update()


class Terminal:
    """A terminal with a command in it.

    Args:
        path: The store that is watched.
    """

    def __init__(self, path):
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        command = [sys.executable, "-m", "autohpo", "top", str(path), "--interval", "0.1"]
        streams = {"stdin": self.theirs, "stdout": self.theirs, "stderr": subprocess.PIPE}
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, children ignore it
        self.process = subprocess.Popen(command, env=environment, text=True, **streams)
        signal.signal(signal.SIGINT, before)
        self.seen = ""

    def wait_for(self, text):
        """Wait until something is shown."""
        ends = time.monotonic() + 60
        while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen):
            assert time.monotonic() < ends, self.seen[-3000:]
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 65536).decode(errors="replace")

    def ended(self):
        """The exit code; what is still printed is read, so that nothing waits for it."""
        ends = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < ends
            if select.select([self.ours], [], [], 0.05)[0]:
                self.seen += os.read(self.ours, 65536).decode(errors="replace")
        return self.process.returncode

    def close(self):
        """End what is left."""
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal():
    """Returns terminals that are closed at the end."""
    made = []

    def start(path):
        made.append(Terminal(path))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_it_waits_for_a_store_and_follows_it_until_q(tmp_path, terminal):
    """And leaves the terminal as it was."""
    shown = terminal(tmp_path / "run.db")
    shown.wait_for("there is no ")
    with Search(build_hpo_from_name("random", SPACE, seed=0), tmp_path / "run.db") as search:
        search.tell(search.ask(), 0.75)
        shown.wait_for("best 0.75 in trial 0")
        search.tell(search.ask(), 0.875)
        shown.wait_for("0.875")
        shown.wait_for("the search goes on")
    os.write(shown.ours, b"q")
    assert shown.ended() == exits.OK
    assert termios.tcgetattr(shown.theirs) == shown.before
    assert "\x1b[?1049l" in shown.seen  # the screen that was there before is back


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, exits.OK), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(store, terminal, number, code):
    """Ctrl-C is no fault, and the terminal is as it was."""
    shown = terminal(store)
    shown.wait_for("finished")
    shown.wait_for("q quits")
    shown.process.send_signal(number)
    assert shown.ended() == code
    assert termios.tcgetattr(shown.theirs) == shown.before
    assert "Traceback" not in shown.process.stderr.read()


def test_damage_while_it_is_watched_is_told(store, terminal):
    """After the screen is as it was."""
    import sqlite3

    shown = terminal(store)
    shown.wait_for("finished")
    with sqlite3.connect(store) as db:
        db.execute("INSERT INTO events VALUES (10000, 1.0, 'ask', 99, 0, '{}', 0)")
    db.close()
    assert shown.ended() == exits.DAMAGED
    assert "damaged" in shown.process.stderr.read()
    assert termios.tcgetattr(shown.theirs) == shown.before
