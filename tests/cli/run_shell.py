"""What the tests of `run`, `resume` and `stop` share: a shell in a folder of its own, and searches for it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from autohpo.cli.config.plan import plan_of
from autohpo.cli.main import parser_of
from autohpo.control import driver_of, wait_until_free
from autohpo.service import kill_driver
from autohpo.store import open_store

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0

SCRIPT = """
import time
from autohpo import ChoiceHP, RangeHP

space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b"])]
algorithm = "tpe"
options = {"max_evals": 12, "seed": 0}


class Model:
    def __init__(self, x):
        self.x = x


def score(model):
    return -((model.x - 0.3) ** 2)


def f(hps):
    time.sleep(0.0)
    return score(Model(hps["x"]))


if __name__ == "__main__":
    raise SystemExit("the guard was not respected")
"""

CONFIG = """\
command: echo "loss={x}" {c}
pattern: loss=(\\S+)
metric: {loss: min}
space:
  x: {low: 0.0, high: 1.0}
  c: [a, b]
algorithm: random
options:
  max_evals: 4
  seed: 0
"""


def slow(seconds: float) -> str:
    """The script with trials that take a while."""
    return SCRIPT.replace("sleep(0.0)", f"sleep({seconds})")


class Shell:
    """A shell in a folder: every driver that still has a store there is killed in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[str]] = []
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.environment.pop("AUTOHPO_STORE", None)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command, and do not wait."""
        command = [sys.executable, "-m", "autohpo", *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        self._running.append(process)
        return process

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which has to be of a code."""
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, (process.returncode, out, err)
        return subprocess.CompletedProcess(words, code, out, err)

    def json(self, *words: str, code: int = 0):
        """Run a command, and return the one JSON value that it prints."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def log(self, store: str):
        """The events of a store, without their times: what a search did."""
        kept = open_store(self.folder / store, read_only=True)
        try:
            events = [event for event in kept.events() if event.kind in ("ask", "end")]
        finally:
            kept.close()
        return [(e.kind, e.trial, e.data["hp"] if e.kind == "ask" else e.data["perf"]) for e in events]

    def n_ended(self, store: str) -> int:
        """How many trials have ended."""
        try:
            return sum(kind == "end" for kind, *_ in self.log(store))
        except Exception:  # it is being made
            return 0

    def wait_for(self, what) -> None:
        """Wait until something is so."""
        began = time.monotonic()
        while not what():
            assert time.monotonic() - began < PATIENCE, "it never came to be"
            time.sleep(0.05)

    def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for path in self.folder.rglob("*.lock"):
            store = path.with_suffix("")
            holder = driver_of(store)
            if holder is not None:
                with contextlib.suppress(Exception):
                    kill_driver(store, holder)
                assert wait_until_free(store, holder, PATIENCE)


def plan(*words):
    """The plan of a command line of `run`."""
    return plan_of(parser_of("run").parse_args(list(words)))
