"""Many shells on one store: `autohpo run`, `resume`, `stop`, `top`, `ask` and `tell` at once, and kills at any moment.

Two scenarios, each of which returns counts: :func:`storm` has a driver that is started, stopped and killed while others
look and ask; :func:`clients` has processes that ask and tell, some of which are killed between the two.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from searches import MARK, kill_all, processes

from autohpo.control import driver_of
from autohpo.store import check, open_store

SCRIPT = """\
import time
from autohpo import ChoiceHP, RangeHP

space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b"])]
algorithm = "random"
options = {{"max_evals": {n}, "seed": 0}}


def f(hps):
    time.sleep({pause})
    return hps["x"]
"""

PATIENCE = 60.0
"""How long anything may take to end, in seconds."""

HOPELESS = "lost 3 times"
"""What stands for the result of a trial that was given up, as its driver was killed in it again and again."""

SETTLE = 10.0
"""How long workers and locks of a killed driver may stay, in seconds."""


@dataclass
class Shells:
    """Shells in one folder, all of whose processes carry one tag in their environment.

    Attributes:
        folder: The folder.
        tag: The tag, which :func:`scenarios.processes` finds.
        n: How many trials the search makes.
        draw: The source of everything random.
    """

    folder: Path
    n: int = 40
    pause: float = 0.05
    draw: random.Random = field(default_factory=lambda: random.Random(0))
    tag: str = ""

    def __post_init__(self) -> None:
        self.tag = f"{os.getpid()}-shells-{time.monotonic_ns()}"
        (self.folder / "train.py").write_text(SCRIPT.format(n=self.n, pause=self.pause))
        self.store = self.folder / "train.db"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command."""
        root = Path(__file__).parents[2]
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", MARK: self.tag}
        environment.pop("AUTOHPO_STORE", None)
        return subprocess.Popen(
            [sys.executable, "-m", "autohpo", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def results(self) -> dict[int, Any]:
        """Return the result of each trial that has one, read from the log: KeyError where one has two."""
        found: dict[int, Any] = {}
        with contextlib.closing(open_store(self.store, read_only=True)) as store:
            for event in store.events():
                if event.kind == "end":
                    if event.trial in found:
                        raise KeyError(f"trial {event.trial} has two results")
                    is_hopeless = event.data["error"].startswith("lost 3 times")  # a kill hit it each time it began
                    found[event.trial] = HOPELESS if is_hopeless else event.data["perf"]
        return found

    def configurations(self) -> dict[int, Any]:
        """Return the value of x of each trial."""
        with contextlib.closing(open_store(self.store, read_only=True)) as store:
            return {event.trial: event.data["hp"]["x"] for event in store.events() if event.kind == "ask"}


class Wrong(Exception):
    """Something that must not happen."""


def said_of(process: subprocess.Popen[str], words: tuple[str, ...], codes: set[int]) -> str:
    """Wait for a command, and return what it printed.

    Raises:
        Wrong: It has another exit code, a traceback, or does not end.
    """
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Wrong(f"{words} hangs") from None
    if process.returncode not in codes or "Traceback" in err:
        raise Wrong(f"{words} ended with {process.returncode}: {out[-500:]}{err[-2000:]}")
    return out


def settle(shells: Shells, alive: set[int]) -> None:
    """Wait until a killed driver has let go of its store and its workers are gone.

    Raises:
        Wrong: They stay.
    """
    ends = time.monotonic() + SETTLE
    while time.monotonic() < ends:
        if driver_of(shells.store) is None and not set(processes(shells.tag)) - alive:
            return
        time.sleep(0.05)
    raise Wrong(f"{driver_of(shells.store)} has the store, {processes(shells.tag)} are there")


ALLOWED = {  # 1: a client that is late, a store that just begins; 3: no store yet; 4: another one was faster
    "run": {0, 4, 137},
    "resume": {0, 4, 137},
    "stop": {0},
    "top": {0, 3},
    "ls": {0},
    "show": {0, 3},
    "best": {0, 3, 5},
    "ask": {0, 4, 7},
}
"""The exit codes that commands may have in the storm; with 137 a driver that was killed as it began."""


def commands(shells: Shells, n: int) -> list[tuple[str, ...]]:
    """Return random commands."""
    kinds: list[tuple[str, ...]] = [
        ("run", "train.py", "--detach", "--num-workers", "2"),
        ("resume", "train.db", "--detach"),
        ("stop", "train.db"),
        ("stop", "train.db", "--now"),
        ("top", "train.db", "--once"),
        ("top", "train.db", "--json"),
        ("ls", "--json"),
        ("show", "train.db"),
        ("best", "train.db"),
        ("ask", "train.db", "--client-id", "me", "--wait", "0"),
    ]
    return [shells.draw.choice(kinds) for _ in range(n)]


def storm(shells: Shells, n_kills: int) -> Counter[str]:
    """Kill drivers and commands at random moments, with others at work, then finish the search.

    Raises:
        Wrong: A result was lost, doubled or changed, a process stayed, a lock stayed, or a command failed.
    """
    counts: Counter[str] = Counter()
    before: dict[int, Any] = {}
    begun = shells.start("run", "train.py", "--detach", "--num-workers", "2")
    said_of(begun, ("run",), {0})
    while counts["kills"] < n_kills:
        driver = driver_of(shells.store)
        if driver is None:
            words = ("resume", "train.db", "--detach", "--max-evals", str(shells.n + counts["kills"]))
            said_of(shells.start(*words), words, {0, 4})
        given = commands(shells, shells.draw.randint(1, 3))
        running = [(shells.start(*words), words) for words in given]
        time.sleep(shells.draw.uniform(0.0, 1.2))
        driver = driver_of(shells.store)
        victims = [process.pid for process, _ in running if process.poll() is None and shells.draw.random() < 0.3]
        if driver is not None and shells.draw.random() < 0.8:
            victims.append(driver.process)
        before |= _kept(shells, before)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                counts["kills"] += 1
        rows = json.loads(said_of(shells.start("ls", "--json"), ("ls",), {0}))
        if [row["state"] for row in rows] not in (["idle"], ["running"]):
            raise Wrong(f"after a kill, ls says {rows}")
        for process, words in running:
            said_of(process, words, ALLOWED[words[0]] | ({-signal.SIGKILL} if process.pid in victims else set()))
            counts["commands"] += 1
            counts["killed by stop"] += "--now" in words
        _kept(shells, before)
    words = ("stop", "train.db")
    said_of(shells.start(*words), words, {0})
    settle(shells, set())
    last = ("resume", "train.db", "--max-evals", str(shells.n + n_kills + 10))
    said_of(shells.start(*last), last, {0})
    settle(shells, set())
    _check_whole(shells, shells.n + n_kills + 10, _kept(shells, before))
    counts["trials"] = shells.n + n_kills + 10
    counts["given up"] = sum(perf == HOPELESS for perf in shells.results().values())
    if 3 * counts["given up"] > counts["kills"] + counts["killed by stop"]:
        raise Wrong(f"more trials were given up than so many kills can explain: {counts}")
    return counts


def _kept(shells: Shells, before: dict[int, Any]) -> dict[int, Any]:
    """Return the results there are, which have to include earlier ones.

    Raises:
        Wrong: One is lost, or another one.
    """
    now = shells.results()
    lost = {number: perf for number, perf in before.items() if now.get(number) != perf}
    if lost:
        raise Wrong(f"results were lost or changed: {lost}")
    return now


def _check_whole(shells: Shells, n: int, results: dict[int, Any]) -> None:
    asked = shells.configurations()
    if sorted(results) != list(range(n)) or sorted(asked) != list(range(n)):
        raise Wrong(f"{n} trials were to be made, {sorted(asked)} were, and {sorted(results)} have a result")
    wrong = {number: (perf, asked[number]) for number, perf in results.items() if perf not in (asked[number], HOPELESS)}
    if wrong:
        raise Wrong(f"results of other configurations: {wrong}")
    report = check(shells.store)
    if not report.is_whole:
        raise Wrong(f"the store is damaged: {report}")


CLIENT = """\
import json, os, subprocess, sys, time
name, store, space, n, pause = *sys.argv[1:5], float(sys.argv[5])
base = [sys.executable, "-m", "autohpo"]
while True:
    asked = subprocess.run([*base, "ask", store, "--space", space, "--algorithm", "random", "--max-evals", n, "--seed",
                            "1", "--client-id", name, "--wait", "50", "--json"], capture_output=True, text=True)
    if asked.returncode == 7:
        break
    if asked.returncode:
        sys.exit(f"ask {asked.returncode}: {asked.stderr}")
    said = json.loads(asked.stdout)
    with open(f"{name}.asked", "a") as file:
        file.write(f"{said['number']}\\n")
    time.sleep(pause)
    told = subprocess.run([*base, "tell", store, "--number", str(said["number"]), "--perf", repr(said["hp"]["x"]),
                           "--client-id", name, "--wait", "50", "--json"], capture_output=True, text=True)
    if told.returncode:
        sys.exit(f"tell {told.returncode}: {told.stderr}")
"""


def clients(shells: Shells, n_clients: int, n_kills: int, pause: float = 0.1) -> Counter[str]:
    """Let clients ask and tell at once; kill some at random moments, with what they had started, and start them again.

    Raises:
        Wrong: A trial has no result or that of another one, or a client met an error.
    """
    counts: Counter[str] = Counter()
    (shells.folder / "space.yaml").write_text("x: {low: 0.0, high: 1.0}\n")
    (shells.folder / "client.py").write_text(CLIENT)
    running = {f"client-{k}": _client(shells, f"client-{k}", pause) for k in range(n_clients)}
    ends = time.monotonic() + PATIENCE + 4.0 * (shells.n + n_kills)
    while running and time.monotonic() < ends:
        time.sleep(shells.draw.uniform(0.1, 0.6))
        for name, process in list(running.items()):
            if process.poll() is not None:
                _, err = process.communicate()
                if process.returncode:
                    raise Wrong(f"{name} ended with {process.returncode}: {err}")
                del running[name]
        if running and counts["kills"] < n_kills:
            name = shells.draw.choice(sorted(running))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running[name].pid, signal.SIGKILL)
            running[name].communicate()
            counts["kills"] += 1
            running[name] = _client(shells, name, pause)
    if running:
        raise Wrong(f"{sorted(running)} hang")
    _check_whole(shells, shells.n, shells.results())
    if HOPELESS in shells.results().values():
        raise Wrong("a client does not lose its trial")
    given: Counter[int] = Counter()
    for path in shells.folder.glob("*.asked"):
        given.update(set(map(int, path.read_text().split())))
    twice = sorted(number for number, times in given.items() if times > 1)
    if twice:
        raise Wrong(f"given to two clients: {twice}")
    counts["trials"] = shells.n
    return counts


def _client(shells: Shells, name: str, pause: float) -> subprocess.Popen[str]:
    """Start a client, as the first process of a group."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", MARK: shells.tag}
    return subprocess.Popen(
        [sys.executable, "client.py", name, str(shells.store), "space.yaml", str(shells.n), str(pause)],
        cwd=shells.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def clean(shells: Shells) -> int:
    """Kill what is left, and return how many processes that were."""
    return kill_all(shells.tag)
