"""Result: what a search found, as trials, tables and frames."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import MissingExtraError, NoResultError, OptionError
from autohpo.objectives import Objectives
from autohpo.trial import Trial, incumbent, pareto

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """The trials of a run; every ``perf`` is the user's own value.

    Attributes:
        trials: In the order asked, with every state.
        mode: "max" or "min": which way is better; of several objectives a dict or a list of these.
        algorithm: Its registered name.
        files: Folder of the trials' checkpoints, if any were made.
        chosen: Number of the trial that the algorithm names the best, where results are noisy.
    """

    trials: Sequence[Trial]
    mode: Any = "max"
    algorithm: str = ""
    files: Path | None = None
    chosen: int | None = None
    _keep: Any = field(default=None, repr=False)  # a temporary folder lives as long as this does

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def objectives(self) -> Objectives:
        """The objectives that `mode` stands for."""
        return Objectives.of(self.mode)

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is; of several objectives that of the first."""
        return self.objectives.signs[0]

    @property
    def best(self) -> Trial:
        """The best of the trials with the most training; of several objectives the compromise on the Pareto front.

        Raises:
            NoResultError: No trial has a result.
        """
        if self.chosen is not None:
            return next(trial for trial in self.trials if trial.number == self.chosen)
        best = incumbent(self.trials, self.objectives.signs)
        if best is None:
            raise NoResultError(f"no trial of {len(self.trials)} has a result; states: {self.counts()}")
        return best

    @property
    def pareto(self) -> list[Trial]:
        """The trials that no other one beats in every objective; the best in the first objective comes first.

        Only those that meet their constraints, with the most training; empty where there are none.
        """
        return pareto(self.trials, self.objectives.signs)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """The volume that the Pareto front covers, up to a reference point; 0 without a trial that is better there.

        Args:
            reference: A value of each objective, in the order of `mode`: so bad that only better ones count.

        Raises:
            OptionError: It does not have as many values as there are objectives.
            MissingExtraError: moocore is not installed.
        """
        signs = self.objectives.signs
        if len(reference) != len(signs):
            raise OptionError(f"reference: must have {len(signs)} values, got {len(reference)}")
        try:
            import moocore
        except ImportError as error:
            raise MissingExtraError("moocore is not installed: pip install 'autohpo[pareto]'") from error
        values = [list(trial.perfs) for trial in self.pareto]
        if not values:
            return 0.0
        return float(moocore.hypervolume(values, ref=list(reference), maximise=[sign > 0 for sign in signs]))

    def along(self, objective: int | str) -> Result:
        """The same trials, with one objective's values as their perf.

        Args:
            objective: Its place in `mode`, or its name.

        Raises:
            OptionError: There is no such objective.
        """
        objectives = self.objectives
        place = objectives.names.index(objective) if objective in objectives.names and objective else objective
        if not isinstance(place, int) or not 0 <= place < objectives.n:
            raise OptionError(f"objective: must be one of {list(objectives.names)} or its place, got {objective!r}")
        way = "max" if objectives.signs[place] > 0 else "min"
        trials = [
            t if t.perf is None else replace(t, perf=t.perfs[place], perfs=(t.perfs[place],)) for t in self.trials
        ]
        return replace(self, trials=trials, mode=way)

    def top(self, k: int) -> list[Trial]:
        """The k best trainings by their last trial, best first: those with more training before those with less.

        Those that miss their constraints come last. Of several objectives the first one counts; see :meth:`along`.
        """
        ranked = [t for t in self.trials if t.perf is not None]
        resumed = {t.resume for t in ranked}
        last = [t for t in ranked if t.number not in resumed]  # a promoted trial stands for the ones it continued
        return heapq.nlargest(k, last, key=self._rank)

    def _rank(self, trial: Trial) -> tuple[float, ...]:
        value = self.sign * (trial.perf or 0.0)
        return (not trial.violation, trial.reached, -trial.violation, value, -trial.number)

    def counts(self) -> dict[str, int]:
        """How many trials are in each state that occurs."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
        return counts

    def to_records(self) -> list[dict[str, Any]]:
        """A flat dict for each trial: number, state, perf, fidelity, ... and ``hp.<name>`` for each parameter.

        Several objectives, constraints and metrics have columns ``perf.<name>``, ``constraint.<name>`` and
        ``metric.<name>``.
        """
        names = [name or str(place) for place, name in enumerate(self.objectives.names)]
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
            | ({f"perf.{k}": v for k, v in zip(names, t.perfs, strict=False)} if names != ["0"] else {})
            | {f"constraint.{k}": v for k, v in t.constraints.items()}
            | {f"metric.{k}": v for k, v in t.metrics.items()}
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
