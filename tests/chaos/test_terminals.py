"""Ctrl-C in a real terminal, and a terminal that is closed: what a script, a command and a prompt do then."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autohpo import Result

ROOT = str(Path(__file__).parents[2])

SCRIPT = """
import sys
import time
from autohpo import RangeHP, build_hpo_from_name

space = [RangeHP("x", 0.0, 1.0)]

def f(hps, trial):
    while trial.report(hps["x"]):  # for ever, unless it is asked to end
        time.sleep(0.02)
    while (trial.checkpoint_dir.parent / "stubborn").exists():
        time.sleep(0.02)
    return hps["x"]

if __name__ == "__main__":
    hpo = build_hpo_from_name("random", space, f, max_evals=50, seed=0)
    hpo.optimize(num_workers=int(sys.argv[1]), store="run.db")
"""


class Terminal:
    """A terminal of its own, with a shell and what it runs, or with a program alone, in a folder."""

    def __init__(self, folder: Path, command: str, *, has_shell: bool = True) -> None:
        self.said, self.folder, self.is_closed = "", folder, False
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            for number in (signal.SIGINT, signal.SIGHUP):  # pytest may have been told to ignore them
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)
            os.environ.update(PYTHONPATH=ROOT, OMP_NUM_THREADS="1", TERM="xterm", COLUMNS="200")
            shell = f"trap : INT; {command}; echo $? > code; echo shell-is-done" if has_shell else f"exec {command}"
            os.execv("/bin/sh", ["/bin/sh", "-c", shell])

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Read until the terminal has shown a text since the last time."""
        until = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < until, self.said
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self._fd, 1 << 16).decode(errors="replace")
                except OSError:  # nobody has it open any more
                    raise AssertionError(self.said) from None

    def type(self, text: str) -> None:
        """Press some keys."""
        self.said = ""
        os.write(self._fd, text.encode())

    def close(self) -> int:
        """Close the window; return the code that the shell, or the program alone, ended with."""
        os.close(self._fd)
        self.is_closed = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def code(self) -> int:
        """The exit code that the shell saw, once it has said that all is over."""
        self.wait_for("shell-is-done")
        self.close()
        return int((self.folder / "code").read_text())

    def end(self) -> None:
        """End what a test left that failed."""
        if not self.is_closed:
            os.killpg(self.pid, signal.SIGKILL)
            self.close()


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    """The terminals of a test, which are closed in any case."""
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.end()


def open_terminal(
    folder: Path, way: str, n_workers: int, opened: list[Terminal], *, has_shell: bool = True
) -> Terminal:
    """A terminal in which a search runs; its trials have begun."""
    (folder / "train.py").write_text(SCRIPT)
    ways = {
        "script": f"train.py {n_workers}",
        "run": f"-m autohpo run train.py --store run.db --num-workers {n_workers}",
    }
    terminal = Terminal(folder, f"{sys.executable} {ways[way]}", has_shell=has_shell)
    opened.append(terminal)
    terminal.wait_for(f"{n_workers} running")
    return terminal


def states_in(folder: Path) -> set[str]:
    """The states of the trials in the store."""
    return set(Result.load(folder / "run.db").counts())


@pytest.mark.parametrize(("way", "n_workers"), [("script", 1), ("script", 4), ("run", 1)])
def test_ctrl_c_ends_a_search_in_order_and_says_how_to_go_on(
    tmp_path: Path, opened: list[Terminal], way: str, n_workers: int
) -> None:
    """The shell sees 130; nothing is running in the store."""
    terminal = open_terminal(tmp_path, way, n_workers, opened)
    terminal.type("\x03")
    assert terminal.code() == 130
    hint = "run the same command to resume" if way == "script" else "resume with: autohpo resume run.db"
    assert hint in terminal.said
    assert states_in(tmp_path) == {"CANCELLED"}


@pytest.mark.parametrize(("way", "n_workers"), [("script", 1), ("run", 4)])
def test_a_second_ctrl_c_ends_it_now(tmp_path: Path, opened: list[Terminal], way: str, n_workers: int) -> None:
    """Trials that take no notice have 10 s after the first one; not after the second one."""
    (tmp_path / "run.db.files").mkdir()
    (tmp_path / "run.db.files" / "stubborn").touch()
    terminal = open_terminal(tmp_path, way, n_workers, opened)
    terminal.type("\x03")
    if n_workers > 1:
        terminal.wait_for("a second Ctrl-C ends at once")
        began = time.monotonic()
        terminal.type("\x03")
        terminal.wait_for("shell-is-done")
        assert time.monotonic() - began < 8
    assert terminal.code() == 130
    assert states_in(tmp_path) == {"CANCELLED"}


@pytest.mark.parametrize(("way", "n_workers"), [("script", 4), ("run", 1)])
def test_a_terminal_that_is_closed_ends_a_search_in_order(
    tmp_path: Path, opened: list[Terminal], way: str, n_workers: int
) -> None:
    """The shell would see 129, which is that of SIGHUP; what is said goes nowhere, and that harms nothing."""
    assert open_terminal(tmp_path, way, n_workers, opened, has_shell=False).close() == 129
    assert states_in(tmp_path) == {"CANCELLED"}


def test_a_prompt_lives_on_after_ctrl_c(tmp_path: Path, opened: list[Terminal]) -> None:
    """As in a notebook: the search raises KeyboardInterrupt, and what it found is there."""
    (tmp_path / "train.py").write_text(SCRIPT)
    terminal = Terminal(tmp_path, f"{sys.executable} -q -i -c 'from train import *'")
    opened.append(terminal)
    terminal.wait_for(">>> ")
    terminal.type("hpo = build_hpo_from_name('random', space, f, max_evals=50, seed=0)\n")
    terminal.wait_for(">>> ")
    terminal.type("hpo.optimize(num_workers=2)\n")
    terminal.wait_for("2 running")
    terminal.type("\x03")
    terminal.wait_for("KeyboardInterrupt")
    terminal.wait_for(">>> ")
    terminal.type("print('states', hpo.result.counts())\n")
    terminal.wait_for("states {'CANCELLED': 2}")
    terminal.type("exit()\n")
    assert terminal.code() == 0
