"""Result: what a search found, as trials, tables and frames."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import MissingExtraError, NoResultError
from autohpo.trial import Trial, incumbent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """The trials of a run; every ``perf`` is the user's own value.

    Attributes:
        trials: In the order asked, with every state.
        mode: "max" or "min": which way is better.
        algorithm: Its registered name.
        files: Folder of the trials' checkpoints, if any were made.
    """

    trials: Sequence[Trial]
    mode: str = "max"
    algorithm: str = ""
    files: Path | None = None
    _keep: Any = field(default=None, repr=False)  # a temporary folder lives as long as this does

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.mode == "max" else -1

    @property
    def best(self) -> Trial:
        """The best of the trials with the most training.

        Raises:
            NoResultError: No trial has a result.
        """
        best = incumbent(self.trials, self.sign)
        if best is None:
            raise NoResultError(f"no trial of {len(self.trials)} has a result; states: {self.counts()}")
        return best

    def top(self, k: int) -> list[Trial]:
        """The k best trainings by their last trial, best first: those with more training before those with less."""
        ranked = [t for t in self.trials if t.perf is not None]
        resumed = {t.resume for t in ranked}
        last = [t for t in ranked if t.number not in resumed]  # a promoted trial stands for the ones it continued
        return heapq.nlargest(k, last, key=lambda t: (t.reached, self.sign * (t.perf or 0.0), -t.number))

    def counts(self) -> dict[str, int]:
        """How many trials are in each state that occurs."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
        return counts

    def to_records(self) -> list[dict[str, Any]]:
        """A flat dict for each trial: number, state, perf, fidelity, ... and ``hp.<name>`` for each parameter."""
        return [
            {
                "number": t.number,
                "state": t.state.value,
                "perf": t.perf,
                "fidelity": t.fidelity,
                "resume": t.resume,
                "attempt": t.attempt,
                "pid": t.pid,
                "started": t.started,
                "seconds": t.seconds,
                "error": t.error,
            }
            | {f"hp.{name}": value for name, value in t.hp.items()}
            for t in self.trials
        ]

    def to_pandas(self) -> pd.DataFrame:
        """:meth:`to_records` as a data frame, indexed by number.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("pandas is not installed: pip install 'autohpo[pandas]'") from error
        frame = pd.DataFrame.from_records(self.to_records())
        return frame.set_index("number") if len(frame) else frame

    def curves(self) -> dict[int, list[tuple[float, float]]]:
        """``(fidelity, perf)`` points of each training, by the number of its first trial.

        A training is a trial together with those that resumed it.
        """
        roots: dict[int, int] = {}
        curves: dict[int, list[tuple[float, float]]] = {}
        for trial in self.trials:
            root = trial.number if trial.resume is None else roots.get(trial.resume, trial.resume)
            roots[trial.number] = root
            points = list(trial.reports)
            if trial.fidelity is not None and trial.perf is not None and not points:
                points.append((trial.reached, trial.perf))
            curves.setdefault(root, []).extend(points)
        return curves
