"""A simulated search: workers whose time is what the tables say, whoever asks for it and however long that takes."""

from __future__ import annotations

import heapq
import time
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Protocol

from suite.fidelity.incumbent import Incumbent
from suite.fidelity.task import FidelityTask

_DIGITS = 9  # of the clock: sums of costs that are equal on paper end at once


class Exhausted(Exception):  # noqa: N818 - no error: a schedule has ended, or a small space
    """The player has nothing left to ask for."""


@dataclass(frozen=True)
class Setting:
    """How a search is run.

    Attributes:
        workers: How many trials run at once.
        trainings: The budget of all workers together, in full trainings; a worker that waits spends it, too.
        clock: Whether a training costs its share of the full fidelity, or the seconds of the task's table.
        reports: Which fidelities are reported on the way: every whole one ("all"; rungs where fidelities are no
            counts), only the rungs, or none.
        is_continued: Whether a promoted trial goes on where it paused, and pays only what is added.
    """

    workers: int = 4
    trainings: float = 30.0
    clock: Literal["epochs", "seconds"] = "epochs"
    reports: Literal["all", "rungs", "none"] = "all"
    is_continued: bool = True

    @property
    def deadline(self) -> float:
        """When the search ends, in full trainings of one worker."""
        return self.trainings / self.workers


@dataclass(frozen=True)
class Job:
    """What a worker is to do.

    Attributes:
        token: Handed back to the player with every value.
        trial: Which training this is; one that goes on is the same.
        hp: The configuration.
        fidelity: Where it pauses, or ends.
        had: Where it paused before; 0 for a new one.
    """

    token: Any
    trial: Hashable
    hp: Mapping[str, Any]
    fidelity: float
    had: float = 0.0


class Player(Protocol):
    """What asks for trainings; values are better where they are higher.

    Attributes:
        takes_reports: Whether trials report to it; otherwise nothing is known of one before its end.
    """

    takes_reports: bool

    def ask(self) -> Job | None:
        """The next job; None where some running one must end first.

        Raises:
            Exhausted: There will be no more.
        """

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Whether a running trial goes on."""

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The end of a job: where its trial is now, and what it shows there."""


@dataclass
class Record:
    """What a search did.

    Attributes:
        cpu_seconds: Of all that the player did.
        busy: Full trainings that workers worked on, the unfinished ones up to the end.
        n_asks: Jobs that were begun.
        trials: The fidelity that each training has reached.
    """

    cpu_seconds: float = 0.0
    busy: float = 0.0
    n_asks: int = 0
    trials: dict[Hashable, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Segment:
    """A job under way: its number, the fidelities that it shows on the way, what it shows there, and when."""

    number: int
    job: Job
    fidelities: Sequence[float]
    values: Sequence[float]
    times: Sequence[float]


def simulate(player: Player, task: FidelityTask, setting: Setting, incumbents: Sequence[Incumbent] = ()) -> Record:
    """Runs a search to its deadline; what is under way then does not count.

    Args:
        player: Who asks.
        task: What is trained.
        setting: Workers, budget and clock.
        incumbents: Each is shown every value when it is known.
    """
    record, clock = Record(), _CPU()
    if not player.takes_reports:
        setting = replace(setting, reports="none")
    running: list[tuple[float, int, int, _Segment]] = []  # when, job and place of what is shown next; a heap
    now, n_free, is_open = 0.0, setting.workers, True
    while True:
        while n_free and is_open:
            try:
                with clock:
                    job = player.ask()
            except Exhausted:
                is_open = False
                break
            if job is None:
                break
            segment = _segment(record.n_asks, job, task, setting, now)
            record.n_asks += 1
            record.busy += max(min(segment.times[-1], setting.deadline) - now, 0.0)
            heapq.heappush(running, (segment.times[0], segment.number, 0, segment))
            n_free -= 1
        if not running or running[0][0] > setting.deadline + 10**-_DIGITS:
            break
        now, number, place, segment = heapq.heappop(running)
        job, fidelity, value = segment.job, segment.fidelities[place], segment.values[place]
        record.trials[job.trial] = fidelity
        for incumbent in incumbents:
            incumbent.see(now / setting.deadline, job.trial, job.hp, fidelity, value)
        is_last = place == len(segment.fidelities) - 1
        with clock:
            goes_on = setting.reports == "none" or player.report(job, fidelity, value)
            if is_last or not goes_on:
                player.tell(job, fidelity, value, is_stopped=not is_last)
        if is_last or not goes_on:
            record.busy -= max(min(segment.times[-1], setting.deadline) - now, 0.0)
            n_free += 1
        else:
            heapq.heappush(running, (segment.times[place + 1], number, place + 1, segment))
    record.cpu_seconds = clock.seconds
    return record


def _segment(number: int, job: Job, task: FidelityTask, setting: Setting, now: float) -> _Segment:
    """What a job will show, and when; a count that is asked for in part is rounded."""
    end = max(round(job.fidelity), 1) if task.is_count else job.fidelity
    had = round(job.had) if task.is_count else job.had
    if setting.reports == "none":
        between: list[float] = []
    elif setting.reports == "all" and task.is_count:
        between = list(range(int(had) + 1, int(end)))
    else:
        between = [level for level in task.levels() if had < level < end * (1 - 1e-9)]
    fidelities = [*between, end]
    paid = had if setting.is_continued else 0.0
    costs = task.costs(job.hp, [paid, *fidelities] if paid else fidelities, setting.clock)
    start = costs[0] if paid else 0.0
    times = [round(now + max(float(cost - start), 0.0), _DIGITS) for cost in (costs[1:] if paid else costs)]
    return _Segment(number, job, fidelities, task.values(job.hp, fidelities).tolist(), times)


class _CPU:
    """CPU seconds of this process spent inside it; warnings of players are none of ours."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._start = time.process_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.process_time() - self._start
        self._caught.__exit__(kind, error, trace)
