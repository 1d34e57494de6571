"""What a terminal does to `autohpo run`: Ctrl-C once and twice, SIGTERM, a terminal that is closed. Returns counts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from counts import Counts, total
from oracles import canonical
from rooms import Room
from searches import HANG_SECONDS, HERE, MARK, ROOT, kill_all, processes

from autohpo.store import open_store

GRACE_SECONDS = 2.0
CODES = {"ctrl-c": 130, "ctrl-c twice": 130, "term": 143, "hang up": 129}

SCRIPT = """\
import time
from autohpo import RangeHP

space = [RangeHP("x", 0.0, 1.0)]
algorithm = "random"
options = {{"max_evals": 12, "seed": 0}}
run = {{"grace_seconds": {grace}}}


def f(hps, trial):
    time.sleep(0.02 if trial.number < 4 else {pause})
    return hps["x"]
"""


def _in_front() -> None:
    """Become the foreground process of the terminal, with the signals that a shell gives one."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@dataclass
class Terminal:
    """A command on a terminal of its own, as its foreground process.

    Attributes:
        folder: Where it runs.
        plant: A fault to break it with.
        tag: Tells its processes from all others.
        said: What it printed so far.
    """

    folder: Path
    plant: str = ""
    tag: str = field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex}")
    said: bytes = b""

    def start(self, *words: str) -> None:
        """Start `autohpo` with these words."""
        self.ours, theirs = pty.openpty()
        broken = [str(HERE / "planted.py"), self.plant] if self.plant else []
        environment = {**os.environ, MARK: self.tag, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "dumb"}
        self.process = subprocess.Popen(
            [sys.executable, *broken, "-m", "autohpo", *words],
            cwd=self.folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_in_front,  # noqa: PLW1509 - there are no other threads
        )
        os.close(theirs)

    def listen(self, seconds: float) -> None:
        """Read what it prints, for at most so long."""
        with contextlib.suppress(OSError):  # the other end is closed
            if select.select([self.ours], [], [], seconds)[0]:
                self.said += os.read(self.ours, 1 << 16)

    def wait(self, seconds: float = HANG_SECONDS) -> int | None:
        """Return its exit code, as a shell has it; None where it does not end."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            self.listen(0.02) if self.ours >= 0 else time.sleep(0.02)
        if self.ours >= 0:
            self.listen(0.0)
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def hang_up(self) -> None:
        """Close the terminal."""
        if self.ours >= 0:
            os.close(self.ours)
            self.ours = -1

    def close(self) -> int:
        """Close the terminal, end what is left, and return how many processes that were."""
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        until = time.monotonic() + 2
        while processes(self.tag) and time.monotonic() < until:
            time.sleep(0.02)
        return kill_all(self.tag)


def starts(path: Path) -> int:
    """Return how many attempts have begun."""
    if not path.exists():
        return 0
    with contextlib.suppress(Exception), contextlib.closing(open_store(path, read_only=True)) as store:
        return sum(event.kind == "start" for event in store.events())
    return 0


def cases(*, is_long: bool) -> Iterator[tuple[str, int]]:
    """Yield what is done, and with how many workers."""
    for i, what in enumerate(CODES):
        yield from ((what, workers) for workers in ((1, 4) if is_long else (1 + 3 * (i % 2),)))


def terminal(room: Room) -> Counts:
    """Each case ends in order and in time, with its exit code and a line that says how to go on; then it goes on."""
    every = []
    for i in range(max(1, room.n // 10) if room.is_long else 1):
        for what, workers in cases(is_long=room.is_long):
            every.append(_end(room.below(f"{what}-{workers}-{i}"), what, workers))
    return total(every)


def _end(room: Room, what: str, workers: int) -> Counts:
    pause = 600 if what == "ctrl-c twice" else 1
    (room.folder / "train.py").write_text(SCRIPT.format(pause=pause, grace=GRACE_SECONDS))
    store = room.folder / "train.db"
    words = ("run", "train.py", "--num-workers", str(workers))
    one = Terminal(room.folder, room.plant)
    one.start(*words)
    until = time.monotonic() + HANG_SECONDS
    while starts(store) < 4 + workers and one.process.poll() is None and time.monotonic() < until:
        one.listen(0.05)
    _do(one, what)
    began = time.monotonic()
    code = one.wait()
    seconds = time.monotonic() - began
    most = 1.0 if what == "ctrl-c twice" else GRACE_SECONDS + 1.0
    running = _running(store)
    orphans = one.close()
    has_said = b"to resume" in one.said or what == "hang up"  # then nobody could read it
    (room.folder / "train.py").write_text(SCRIPT.format(pause=0, grace=GRACE_SECONDS))
    again = Terminal(room.folder)
    again.start(*words)
    ended = again.wait()
    orphans += again.close()
    events = list(search_events(store))
    return {
        "signals": 1 + (what == "ctrl-c twice"),
        "late": int(seconds > most + room.lateness),
        "exits": int(code != CODES[what]) + int(ended != 0),
        "silent": int(not has_said),
        "running": running,
        "orphans": orphans,
        "missing": 12 - sum(event.kind == "end" for event in events),
        "twice": len(canonical(events)) - len({(kind, number) for kind, number, _ in canonical(events)}),
        "slowest_s": round(seconds, 2),
    }


def _do(one: Terminal, what: str) -> None:
    if what == "hang up":
        one.hang_up()
    elif what == "term":
        one.process.send_signal(signal.SIGTERM)
    else:
        os.write(one.ours, b"\x03")
        if what == "ctrl-c twice":
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                one.listen(0.05)
            os.write(one.ours, b"\x03")


def search_events(store: Path) -> list:  # type: ignore[type-arg]
    """Return the events of a store."""
    with contextlib.closing(open_store(store, read_only=True)) as opened:
        return list(opened.events())


def _running(store: Path) -> int:
    """Return how many attempts have begun and not ended."""
    running = set()
    for event in search_events(store):
        if event.kind == "start":
            running.add(event.trial)
        elif event.kind in ("end", "interrupt"):
            running.discard(event.trial)
    return len(running)
