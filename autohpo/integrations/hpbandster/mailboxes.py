"""Mailboxes: an executor whose slots are workers of other processes, beside those of this one."""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autohpo.errors import OptionError
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.integrations.hpbandster.rendezvous import NoWorkersError, claimed, is_held, lives
from autohpo.integrations.hpbandster.serving import CLAIM, EXIT, JOB_FILE, LOCK, NAME, RESULT, write_json
from autohpo.objective import Objective
from autohpo.trial import Outcome, Task, TrialState

__all__ = ["Mailboxes", "boxes_in", "end_workers"]

POLL_SECONDS = 0.005
LOOK_SECONDS = 0.2


def boxes_in(folder: Path) -> list[Path]:
    """Return the boxes of the workers of a run that live; what killed ones left is removed.

    Args:
        folder: The folder of the run.
    """
    found = []
    for box in sorted(folder.glob("worker-*")):
        if lives(box, box / LOCK):
            found.append(box)
        else:
            shutil.rmtree(box, ignore_errors=True)
    return found


def end_workers(folder: Path) -> None:
    """Ask the workers of a run to end, those that no optimizer uses.

    Args:
        folder: The folder of the run.
    """
    for box in boxes_in(folder):
        if not is_held(box / CLAIM):
            (box / EXIT).touch()


def _name_in(box: Path) -> str:
    """The name of the worker of a box."""
    try:
        return (box / NAME).read_text(encoding="utf-8")
    except OSError:  # it has just ended
        return box.name


@dataclass
class _Box:
    """The box of a worker that this executor uses."""

    path: Path
    name: str
    let_go: Callable[[], object]
    task: Task | None = None
    token: str = ""
    is_given_up: bool = False  # it still works on what was killed


class Mailboxes(Executor):
    """An executor whose slots are workers of other processes, which come and go, beside those of another executor.

    A job is a file in the box of a worker, and so is its result: JSON, in a folder of this user alone.

    Args:
        folder: The folder of the run.
        inner: An executor whose slots come first; None is none.
        budget: The budget where a trial says none.
        working_directory: What ``compute`` gets.
        patience: The seconds for which there may be no worker at all.
    """

    def __init__(
        self, folder: Path, inner: Executor | None, *, budget: float, working_directory: str, patience: float
    ) -> None:
        self._folder, self._inner, self._patience = folder, inner, patience
        self._budget, self._working_directory = budget, working_directory
        self._n_inner = 0 if inner is None else len(inner.slots())
        self._numbers = itertools.count(self._n_inner)
        self._boxes: dict[int, _Box] = {}  # by slot
        self._events: list[Event] = []
        self._last_look, self._last_worker = 0.0, time.monotonic()
        self._look()

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective."""
        if self._inner is not None:
            self._inner.open(objective, on_report)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots there are now."""
        own = [slot for slot, box in self._boxes.items() if not box.is_given_up]
        return [*range(self._n_inner), *own]

    def name_of(self, slot: int) -> str:
        """Return the name of the worker of a slot; the empty text where it is one of the executor inside.

        Args:
            slot: The slot.
        """
        return self._boxes[slot].name if slot in self._boxes else ""

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free.

        Raises:
            OptionError: There is no such slot, it is not free, or a value of the configuration is no JSON.
        """
        if self._inner is not None and slot < self._n_inner:
            self._inner.submit(slot, task)
            return
        box = self._boxes.get(slot)
        if box is None or box.task is not None:
            raise OptionError(f"slot: must be free, got {slot}")
        token = secrets.token_hex(8)
        job = {
            "token": token,
            "number": task.number,
            "attempt": task.attempt,
            "hp": task.hp,
            "seed": task.seed,
            "fidelity": task.fidelity,
            "budget": self._budget,
            "working_directory": self._working_directory,
        }
        try:
            (box.path / RESULT).unlink(missing_ok=True)
            write_json(box.path / JOB_FILE, job)
        except TypeError as error:
            raise OptionError(
                f"configspace: values must be of JSON types for workers of other processes: {error}"
            ) from None
        except OSError:  # the worker has ended, and so has its box: the next look tells
            pass
        box.task, box.token = task, token
        self._events.append(Event("started", task.number, task.attempt, slot))

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call.

        Raises:
            NoWorkersError: There is no worker, and none has come for long.
        """
        until = time.monotonic() + timeout_seconds
        while True:
            self._take()
            if time.monotonic() - self._last_look > LOOK_SECONDS:
                self._look()
            if self._inner is not None:
                self._events += self._inner.poll(0 if self._events else POLL_SECONDS)
            if self._events or time.monotonic() >= until:
                events, self._events = self._events, []
                return events
            if self._inner is None:
                time.sleep(POLL_SECONDS)

    def _take(self) -> None:
        """Take the results in the boxes."""
        for slot, box in self._boxes.items():
            path = box.path / RESULT
            if not box.token or not path.exists():
                continue
            found = json.loads(path.read_text(encoding="utf-8"))
            path.unlink(missing_ok=True)
            if found["token"] != box.token:
                continue
            task, box.task, box.token, box.is_given_up = box.task, None, "", False
            if task is not None:
                outcome = Outcome.from_json(found["outcome"])
                kind = "done" if outcome.state.has_perf else "failed"
                self._events.append(Event(kind, task.number, task.attempt, slot, outcome))  # type: ignore[arg-type]

    def _look(self) -> None:
        """Look for workers that have come or gone.

        Raises:
            NoWorkersError: There is none, and none has come for long.
        """
        self._last_look = now = time.monotonic()
        living = set(boxes_in(self._folder))
        for slot, box in list(self._boxes.items()):
            if box.path not in living:
                del self._boxes[slot]
                box.let_go()
                if box.task is not None:
                    lost = Outcome(TrialState.LOST, error=f"the worker {box.name} died")
                    self._events.append(Event("died", box.task.number, box.task.attempt, slot, lost))
        known = {box.path for box in self._boxes.values()}
        for path in sorted(living - known):
            let_go = claimed(path / CLAIM)
            if let_go is not None:
                self._boxes[next(self._numbers)] = _Box(path, _name_in(path), let_go)
        if self._boxes or self._n_inner:
            self._last_worker = now
        elif now - self._last_worker > self._patience:
            raise NoWorkersError(f"run_id: no worker has been there for {self._patience:g} s; start Worker.run again")

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report: workers have none."""
        if self._inner is not None:
            self._inner.stop(number)

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once; a worker of another process goes on, but nobody waits for it."""
        if self._inner is not None:
            self._inner.kill(number, state, reason)
        for slot, box in self._boxes.items():
            if box.task is not None and box.task.number == number:
                event = Event("killed", number, box.task.attempt, slot, Outcome(state, error=reason))
                self._events.append(event)
                box.task, box.is_given_up = None, True

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot has a paused training: workers have none."""
        return self._inner is not None and slot < self._n_inner and self._inner.holds(slot, root)

    def drop(self, root: int) -> None:
        """Let go of a paused training."""
        if self._inner is not None:
            self._inner.drop(root)

    def close(self) -> None:
        """Give the workers free; those of other processes wait for another search."""
        if self._inner is not None:
            self._inner.close()
        for box in self._boxes.values():
            (box.path / JOB_FILE).unlink(missing_ok=True)
            box.let_go()
        self._boxes.clear()
