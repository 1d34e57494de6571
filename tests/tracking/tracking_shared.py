"""What the tests of trackers share: a tracker that keeps what it is told, and a search."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from autohpo import RangeHP, build_hpo_from_name

SPACE = [RangeHP("x", 0.0, 1.0)]


@dataclass
class Notes:
    """A tracker that keeps all that it is told, in lists."""

    key: str = "notes"
    started: list = field(default_factory=list)
    changes: list = field(default_factory=list)
    batches: list = field(default_factory=list)
    finished: list = field(default_factory=list)
    threads: set = field(default_factory=set)

    def start(self, run):
        """Keep the run."""
        self.started.append(run)
        self.threads.add(threading.current_thread())
        return {"times": run.kept.get("times", 0) + 1}

    def take(self, changes):
        """Keep the changes."""
        self.threads.add(threading.current_thread())
        self.batches.append(len(changes))
        self.changes += changes

    def finish(self, result, error):
        """Keep the end."""
        self.finished.append((result, error))


def epochs(hps):
    """Three reports."""
    for step in range(1, 4):
        yield {"perf": hps["x"] * step, "loss": -float(step)}


def search(f=epochs, name="random", mode="max", **options):
    """An optimizer of five trials."""
    return build_hpo_from_name(name, SPACE, f, **{"max_evals": 5, "seed": 0, "mode": mode, **options})


@dataclass
class Broken(Notes):
    """A tracker whose service is not there."""

    n_calls: int = 0

    def start(self, run):
        """Raise."""
        self.n_calls += 1
        raise ConnectionError("no such service")
