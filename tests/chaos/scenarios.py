"""What may happen to a search, and what must hold afterwards. Each scenario returns counts; see :mod:`counts`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from counts import Counts, faults
from oracles import canonical, trials_of
from searches import HANG_SECONDS, Search

from autohpo import TrialState
from autohpo.store import SQLiteStore

__all__ = ["Counts", "Search", "fail_at", "faults", "kill_driver", "kill_workers", "send_signals", "start_twice"]


def copy_of(search: Search, name: str) -> Search:
    """The same search in another folder below its own."""
    tag = f"{os.getpid()}-{uuid.uuid4().hex}"
    return dataclasses.replace(search, folder=search.folder / name, tag=tag)


def rounds(search: Search, n: int) -> Iterator[tuple[Search, random.Random]]:
    """The same search anew, as long as the caller asks: one may be finished before it was killed n times."""
    draw = random.Random(n)
    for i in range(10 * n):
        yield copy_of(search, f"round-{i}"), draw


def kill_driver(search: Search, n_kills: int, most_seconds: float = 0.3) -> Counts:
    """Kills the driver at random moments and starts it again until the search is finished, n times in all.

    Args:
        search: With one worker it is compared with a run that nobody disturbed, event for event.
        n_kills: SIGKILLs.
        most_seconds: From the start of a search to the kill; drawn uniformly from 0.
    """
    expected = search.undisturbed() if search.is_repeatable else []
    counts: Counts = {"kills": 0, "rounds": 0, "lost": 0, "orphans": 0, "different": 0}
    for one, draw in rounds(search, n_kills):
        is_over = False
        while not is_over:
            driver = one.start()
            try:
                if counts["kills"] < n_kills:
                    driver.wait(draw.uniform(0, most_seconds))
                is_over = driver.wait(HANG_SECONDS) == 0
                if not is_over:
                    raise AssertionError(f"the driver ended with {driver.returncode}: {one.errors()}")
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                counts["kills"] += 1
                counts["orphans"] += one.orphans()
                counts["lost"] += one.n_lost()
        counts["rounds"] += 1
        for name, n in one.check().items():
            counts[name] = counts.get(name, 0) + n
        if one.is_repeatable:
            counts["different"] += one.repeatable() != expected
        if counts["kills"] >= n_kills:
            break
    return counts


def fail_at(search: Search, points: Iterable[str], times: Iterable[int] = (3,)) -> Counts:
    """Kills the driver at each named point of its loop, the k-th time it comes there; then finishes the search."""
    expected = search.undisturbed()
    counts: Counts = {"kills": 0, "unreached": 0, "different": 0, "lost": 0}
    for point in points:
        for k in times:
            one = copy_of(search, f"{point}-{k}")
            code = one.start(f"{point}:{k}").wait(HANG_SECONDS)
            counts["kills"] += code == -signal.SIGKILL
            counts["unreached"] += code == 0
            if code not in (0, -signal.SIGKILL):
                raise AssertionError(f"the driver ended with {code}: {one.errors()}")
            counts["lost"] += one.n_lost()
            one.finish()
            for name, n in one.check().items():
                counts[name] = counts.get(name, 0) + n
            counts["different"] += one.repeatable() != expected
    return counts


def kill_workers(search: Search, n_kills: int) -> Counts:
    """Kills workers in the middle of a trial: that trial is CRASHED, and no other one notices.

    A worker is stopped first, so that what it says of the trial that it runs is true when it is killed.
    """
    driver, draw = search.start(), random.Random(n_kills)
    killed: dict[int, float] = {}
    while len(killed) < n_kills and driver.poll() is None:
        time.sleep(draw.uniform(0, 2 * search.pause))
        marks = list(search.folder.glob("runs-*"))
        if not marks:
            continue
        mark = draw.choice(marks)
        pid = int(mark.name.removeprefix("runs-"))
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGSTOP)
            while _state_of(pid) not in "TZ":
                time.sleep(0.0005)
            number = mark.read_text() if mark.exists() else ""
            os.kill(pid, signal.SIGKILL if number else signal.SIGCONT)
            if number:
                killed[int(number)] = time.time()
                mark.unlink()
    driver.wait(HANG_SECONDS)
    trials = {t.number: t for t in trials_of(search.events())}
    hit = [trials[number] for number in killed]
    others = [t for t in trials.values() if t.number not in killed]
    named = [t for t in hit if t.state is TrialState.CRASHED and "SIGKILL" in t.error]
    seconds = sorted(t.ended - killed[t.number] for t in named if t.ended is not None)
    back = slots_back(search, killed)
    return {
        "kills": len(killed),
        "unnamed": len(hit) - len(named),
        "bystanders": sum(t.state is not TrialState.COMPLETE for t in others),
        "exits": int(driver.returncode != 0),
        "orphans": search.orphans(),
        "detected_p50_ms": round(1000 * seconds[len(seconds) // 2], 1) if seconds else None,
        "detected_max_ms": round(1000 * seconds[-1], 1) if seconds else None,
        "slot_back_max_ms": round(1000 * max(back), 1) if back else None,
        **search.check(),
    }


def slots_back(search: Search, killed: dict[int, float]) -> list[float]:
    """The seconds from the kill of a worker to the next start in its slot, where there is one."""
    starts = [(e.data["slot"], e.time, e.trial) for e in search.events() if e.kind == "start"]
    slots = {number: slot for slot, _, number in starts}
    later = [[at for slot, at, _ in starts if slot == slots[n] and at > when] for n, when in killed.items()]
    return [min(times) - when for times, when in zip(later, killed.values(), strict=True) if times]


def leave_children(search: Search, n: int) -> Counts:
    """Kills the driver while every worker runs a trial of ten minutes that has a child of its own, n times."""
    counts: Counts = {"kills": 0, "orphans": 0, "slowest_s": 0.0}
    for i in range(n):
        one = copy_of(search, f"round-{i}")
        driver = one.start()
        until = time.monotonic() + HANG_SECONDS
        while len(list(one.folder.glob("child-*"))) < one.workers and time.monotonic() < until:
            time.sleep(0.01)
        driver.kill()
        driver.wait()
        began = time.monotonic()
        counts["kills"] += 1
        counts["orphans"] += one.orphans()
        counts["slowest_s"] = max(counts["slowest_s"], round(time.monotonic() - began, 2))
    return counts


def _state_of(pid: int) -> str:
    """The letter that Linux has for the state of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def send_signals(search: Search, signals: list[int], most_seconds: float, gap_seconds: float = 0.3) -> Counts:
    """Sends signals to the driver's process group in the middle of the search; then lets the same command finish it.

    Args:
        search: With one worker it is compared with a run that nobody disturbed.
        signals: The first ends it in order, a second one at once.
        most_seconds: From the last signal to its end.
        gap_seconds: Between two signals.
    """
    one = copy_of(search, "interrupted")
    driver = one.start()
    one.wait_for("start", min(4, search.workers) if search.shape == "stubborn" else 4, driver)
    for i, number in enumerate(signals):
        time.sleep(gap_seconds if i else min(search.pause / 2, gap_seconds))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, number)
    began = time.monotonic()
    code = driver.wait(HANG_SECONDS)
    late = time.monotonic() - began
    codes = {signal.SIGINT: (-signal.SIGINT, 130), signal.SIGTERM: (143,)}[signal.Signals(signals[0])]
    trials = trials_of(one.events())
    counts: Counts = {
        "seconds": round(late, 2),
        "late": int(late > most_seconds),
        "exits": int(code not in codes),
        "left_running": sum(t.state is TrialState.RUNNING for t in trials),
        "orphans": one.orphans(),
        "interrupted": sum(t.state is TrialState.CANCELLED for t in trials),
    }
    one.release()
    dataclasses.replace(one, pause=0.0).finish()
    checked = one.check()
    checked["running"] += counts.pop("left_running")
    is_equal = search.workers > 1 or canonical(one.events()) == search.undisturbed()
    return {**counts, **checked, "different": int(not is_equal)}


def start_twice(search: Search) -> Counts:
    """Starts a second driver while the first one runs: it is refused by name, and the first one does not notice."""
    one = dataclasses.replace(search, folder=search.folder / "one", shape="held")
    first = one.start()
    one.wait_for("start", 4, first)
    second = one.start()
    one.wait_for("start", 5, second)  # a trial that it would start only if it were let in
    one.release()
    code = second.wait(HANG_SECONDS)
    is_refused = code != 0 and "RunBusyError" in one.errors() and f"in use by process {first.pid} on" in one.errors()
    exits = int(first.wait(HANG_SECONDS) != 0)
    return {
        "admitted": int(not is_refused),
        "exits": exits,
        "drivers": 2,
        "different": int(canonical(one.events()) != search.undisturbed()),
        **one.check(),
    }


def take_over(search: Search) -> Counts:
    """Kills a driver in the midst of a trial: the next one has the store within a second, and finishes it."""
    one = dataclasses.replace(search, folder=search.folder / "killed", shape="held")
    first = one.start()
    one.wait_for("start", 4, first)
    first.kill()
    first.wait()
    began = time.monotonic()
    store = SQLiteStore(one.store)
    with contextlib.closing(store):
        store.open()
        seconds = time.monotonic() - began
    one.release()
    one.finish()
    is_equal = canonical(one.events()) == search.undisturbed()
    return {"takeovers": 1, "takeover_s": round(seconds, 3), "different": int(not is_equal), **one.check()}
