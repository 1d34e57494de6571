"""Results on the disk: one file of JSON lines for each player, one line for each run, appended as they end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from suite.fidelity.simulator import Setting

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the budget: when regret is told."""


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        regrets: Of the incumbent, at each of `SHARES`; 1, a random configuration, before there is one.
        path: ``(share of the budget, regret of the incumbent)`` at each change.
        n_trials: Configurations that were begun and have shown something.
        n_full: Of them, those with a full training.
        n_asks: Jobs that were begun.
        cpu_seconds: Of the player.
        busy: Share of the budget in which workers worked.
    """

    task: str
    seed: int
    workers: int
    trainings: float
    clock: str
    reports: str
    is_continued: bool
    regrets: tuple[float, ...]
    path: tuple[tuple[float, float], ...]
    n_trials: int
    n_full: int
    n_asks: int
    cpu_seconds: float
    busy: float = 1.0
    version: str = ""
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What a run is known by; `reports` is not in it."""
        return (*self.place, self.task, self.seed)

    @property
    def place(self) -> tuple[object, ...]:
        """The conditions that runs share if they may be compared."""
        return place_of(Setting(self.workers, self.trainings, self.clock, self.reports, self.is_continued))  # type: ignore[arg-type]

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the player for each job."""
        return 1e3 * self.cpu_seconds / max(self.n_asks, 1)

    def reaches(self, regret: float) -> float | None:
        """The share of the budget at which the incumbent is as good as that for the first time; None if it never is."""
        return next((share for share, found in self.path if found <= regret + 1e-12), None)


def place_of(setting: Setting) -> tuple[object, ...]:
    """The conditions of a search that must be equal for a comparison."""
    return (setting.workers, float(setting.trainings), setting.clock, setting.is_continued)


def read(path: Path) -> list[Run]:
    """Every run of a file; of two with one key the later."""
    runs: dict[tuple[object, ...], Run] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            run = Run(**json.loads(line))
            runs[run.key] = run
    return list(runs.values())


def append(path: Path, run: Run) -> None:
    """Adds one run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)) + "\n")
