"""Result: what a search found, as trials, tables and frames."""

from __future__ import annotations

import heapq
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.arguments import checked_index, checked_numbers, is_index
from autohpo.confirm import Confirmed, confirmed_of
from autohpo.errors import NoResultError, NoRunError, OptionError, shown
from autohpo.hypervolume import hypervolume
from autohpo.objectives import Objectives, incumbent, pareto
from autohpo.other_names import explains_names, missing_attribute
from autohpo.outcome import perfs_of
from autohpo.ranking import along, followers, given_up_in, last_of_each, of_signs, rank
from autohpo.result_text import line, table
from autohpo.spaces import SearchSpace
from autohpo.store import RunState, Store, open_store
from autohpo.store.described import mode_of, space_of
from autohpo.tables import to_frame, write_csv
from autohpo.trial import Trial
from autohpo.trial_files import TrialFiles, files_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Result(TrialFiles):
    """The trials of a run; every ``perf`` is the user's own value.

    Attributes:
        trials: The trials in the order asked, with every state.
        mode: "max" or "min": which way is better; with several objectives a dict or a list of these.
        algorithm: The registered name of the algorithm.
        files: The folder of the trials' checkpoints and outputs, if there are any.
        chosen: The number of the trial that is the best by more than its own result: the one that was chosen when the
            best were confirmed, or that the algorithm names where results are noisy.
        name: The name of the run, if it has one.
        confirmed: The configurations that were trained anew with fresh seeds, the chosen one first; empty where none
            were, or where the search has found a better one since.
        repeats: The trials of that, with numbers below 0.
        checkpoints: Where checkpoints are kept, as ``optimize`` was told; empty where they are beside the store.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=9, seed=0)
        >>> best = hpo.optimize(progress=False)
        >>> hpo.result
        <Result of random: 9 trials (9 COMPLETE), best 0.894973 in trial 3>
    """

    trials: Sequence[Trial]
    mode: Any = "max"
    algorithm: str = ""
    files: Path | None = None
    chosen: int | None = None
    name: str = ""
    confirmed: tuple[Confirmed, ...] = ()
    repeats: Sequence[Trial] = ()
    checkpoints: str = ""
    _keep: Any = field(default=None, repr=False)  # a store whose temporary folder lives as long as this does
    _best: Trial | None = field(default=None, repr=False)  # where it is known already

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", of_signs(self.trials, self.objectives.signs))

    if not TYPE_CHECKING:  # a type checker would take every attribute for one

        def __getattr__(self, name: str) -> Any:
            return missing_attribute(self, name)

    @classmethod
    def of(
        cls, state: RunState, mode: Any, *, algorithm: str = "", store: Store | None = None, name: str = ""
    ) -> Result:
        """Return the result that a run has now.

        Args:
            state: What its log says.
            mode: Which way each objective is better.
            algorithm: The registered name of its algorithm.
            store: The store, whose folder of files lives as long as the result.
            name: The name of the run.
        """
        files = {} if store is None else files_of(store)
        confirmed = confirmed_of(state)
        return cls(
            state.kept(),
            mode,
            algorithm,
            **files,
            chosen=confirmed[0].trial.number
            if confirmed and confirmed[0].perfs and not confirmed[0].n_failed
            else None,
            name=name,
            confirmed=confirmed,
            repeats=state.confirming(),
            _keep=store,
            _best=state.best,
        )

    @classmethod
    @explains_names("Result.load")
    def load(cls, url: str | os.PathLike[str], space: SearchSpace | None = None) -> Result:
        """Return the result of the run in a store, also while it goes on.

        Args:
            url: The path or URL of the store.
            space: The space of the run; the store has functions and objects among the choices by name only.

        Raises:
            StoreError: There is no such store, or it holds no run yet.
            StoreCorruptError: It is damaged.
            SpaceError: Its space has values that only the program that made it knows, or is another one.
        """
        store = open_store(url, read_only=True)
        try:
            return cls.read(store, None if space is None else SearchSpace(space))
        finally:
            store.close()

    @classmethod
    def read(cls, store: Store, space: SearchSpace | None = None) -> Result:
        """Return the result of the run in an open store.

        Args:
            store: The store; its run may still go on.
            space: The space of the run; None reads it from the store.

        Raises:
            StoreError: The store holds no run yet.
            SpaceError: The space has values that only the program that made it knows.
        """
        header = store.header
        if header is None:
            raise NoRunError(f"store: {getattr(store, 'path', type(store).__name__)} holds no run yet")
        where = str(getattr(store, "path", "the log"))
        mode = mode_of(header, where)
        space = space_of(header, where) if space is None else space
        state = RunState(space, Objectives.of(mode), where).follow(store.events())
        result = cls.of(state, mode, algorithm=header.get("algorithm", ""), name=header.get("name", ""))
        return replace(result, **files_of(store))

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    def __repr__(self) -> str:
        return line(self)

    def _repr_html_(self) -> str:
        """A short table, which notebooks show."""
        return table(self)

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
        """The best of the trials with the most training; with several objectives the compromise on the Pareto front.

        Where the best were confirmed, it is the trial of the configuration chosen there; its perf is what the search
        saw, and ``confirmed[0].mean`` what to expect of it.

        Raises:
            NoResultError: No trial has a result.
        """
        if self.chosen is not None:
            return next(trial for trial in (*self.trials, *self.repeats) if trial.number == self.chosen)
        best = self._best or incumbent(self.trials)
        if best is None:
            raise NoResultError(f"no trial of {len(self.trials)} has a result; states: {self.counts()}")
        return best

    @property
    def pareto(self) -> list[Trial]:
        """The trials that no other one beats in every objective; the best in the first objective comes first.

        Only those that meet their constraints, with the most training; empty where there are none.
        """
        return pareto(self.trials)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """The volume that the Pareto front covers, up to a reference point; 0 without a trial that is better there.

        Args:
            reference: A value of each objective, in the order of `mode`: so bad that only better ones count.

        Raises:
            OptionError: It does not have as many values as there are objectives.
            MissingExtraError: moocore is not installed.
        """
        signs = self.objectives.signs
        return hypervolume(self.pareto, signs, checked_numbers("reference", reference, len(signs)))

    def along(self, objective: int | str) -> Result:
        """The same trials, with one objective's values as their perf.

        Args:
            objective: The place of the objective in `mode`, or its name.

        Raises:
            OptionError: There is no such objective.
        """
        objectives = self.objectives
        place: Any = objective
        if isinstance(objective, str) and objective and objective in objectives.names:
            place = objectives.names.index(objective)
        if not is_index(place, objectives.n):
            known = [name or place for place, name in enumerate(objectives.names)]
            raise OptionError(f"objective: must be one of {known}, a name or a place, got {shown(objective)}")
        way = "max" if objectives.signs[place] > 0 else "min"
        trials = [along(trial, place) for trial in self.trials]
        return replace(self, trials=trials, mode=way, _best=None)

    @property
    def winner(self) -> Confirmed | None:
        """The configuration that was chosen when the best were confirmed; None where none was."""
        return self.confirmed[0] if self.confirmed and self.confirmed[0].trial.number == self.chosen else None

    def why(self, number: int) -> str:
        """Return why a trial went on, paused or stopped, as far as the log tells; else the empty string.

        Args:
            number: The number of a trial.

        Raises:
            OptionError: There is no such trial.
        """
        trial = self._trial(number)
        if trial.outcome.why:
            return trial.outcome.why
        followers, given_up = self._later
        later = followers.get(number)
        if later is not None:
            why = later.info.get("why", "the algorithm chose it")
            if later.resume == number:
                return f"{why}; went on as trial {later.number}"
            return f"{why}; replaced by trial {later.number}, a copy of trial {later.fork}"
        if trial.fidelity is None or trial.perf is None or "rung" not in trial.info:
            return ""
        rivals = self._scores[trial.info.get("bracket"), trial.reached]  # of its bracket alone, where there are any
        rank = 1 + len(rivals) - bisect_right(rivals, trial.score or 0.0)
        rule = trial.info.get("rule")  # of those that may go on
        is_full = not rule and trial.reached == max(reached for _, reached in self._scores)
        end = "it had everything" if is_full else f"it was not promoted; {rule}" if rule else "it was not promoted"
        end = given_up.get(number, end)
        return f"rank {rank} of {len(rivals)} at fidelity {trial.reached:g}: {end}"

    @cached_property
    def _by_number(self) -> dict[int, Trial]:
        return {trial.number: trial for trial in (*self.trials, *self.repeats)}

    def _trial(self, number: int) -> Trial:
        """The trial of a number; below 0 a confirming one.

        Raises:
            OptionError: There is none.
        """
        if is_index(number, len(self.trials)):  # in a run a trial stands at the place of its number
            at_place = self.trials[number]
            if at_place.number == number:
                return at_place
        found = self._by_number.get(number) if type(number) is int else None
        return self.trials[checked_index("number", number, len(self.trials))] if found is None else found

    @cached_property
    def _scores(self) -> dict[tuple[Any, float], list[float]]:
        """The scores of all trials by bracket and by how far they came, the worst first."""
        found: dict[tuple[Any, float], list[float]] = {}
        for trial in self.trials:
            if trial.score is not None:
                found.setdefault((trial.info.get("bracket"), trial.reached), []).append(trial.score)
        return {key: sorted(scores) for key, scores in found.items()}

    @cached_property
    def _later(self) -> tuple[dict[int, Trial], dict[int, str]]:
        """What became of trials later: who continued or replaced them, and why they were given up."""
        return followers(self.trials), given_up_in(self.trials)

    def top(self, k: int) -> list[Trial]:
        """The k best trainings by their last trial, best first: those with more training before those with less.

        Those that miss their constraints come last. Of several objectives the first one counts; see :meth:`along`.

        Raises:
            OptionError: `k` is no integer of at least 0.
        """
        k = min(checked_index("k", k), len(self.trials))
        return heapq.nlargest(k, last_of_each(self.trials), key=lambda trial: rank(trial, self.sign))

    def counts(self) -> dict[str, int]:
        """How many trials are in each state that occurs."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
        return counts

    def to_records(self) -> list[dict[str, Any]]:
        """A flat dict for each trial: number, state, perf, fidelity, ... and ``hp.<name>`` for each parameter.

        Several objectives, constraints and metrics have columns ``perf.<name>``, ``constraint.<name>`` and
        ``metric.<name>``. Where the best were confirmed, those trainings follow, with numbers below 0, and the column
        ``confirms`` has the number of the trial that each repeats.
        """
        names = [name or str(place) for place, name in enumerate(self.objectives.names)]
        return [
            {
                "number": t.number,
                "state": t.state.value,
                "perf": t.perf,
                "fidelity": t.fidelity,
                "resume": t.resume,
                "fork": t.fork,
                "attempt": t.attempt,
                "pid": t.pid,
                "started": t.started,
                "seconds": t.seconds,
                "cost": t.cost,
                "error": t.error,
            }
            | ({f"perf.{k}": v for k, v in zip(names, t.perfs, strict=False)} if names != ["0"] else {})
            | {f"constraint.{k}": v for k, v in t.constraints.items()}
            | {f"metric.{k}": v for k, v in t.metrics.items()}
            | {f"hp.{name}": value for name, value in t.hp.items()}
            | ({"confirms": t.info.get("confirms")} if self.repeats else {})
            for t in (*self.trials, *self.repeats)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """:meth:`to_records` as a data frame, indexed by number.

        In a column ``hp.<name>`` a chosen None is None and NaN means that the parameter is not active; integers stay
        integers, in a column of objects where some are missing. ``frame.convert_dtypes()`` makes pandas' own nullable
        types of these, for which None and NaN are the same.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        frame = to_frame(self.to_records())
        return frame.set_index("number") if len(frame) else frame

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_records` to a CSV file, without pandas; ``autohpo.tables.read_csv`` gives them back.

        A cell that is empty is no value: an inactive parameter, or what a failed trial lacks. A chosen None is "None".

        Args:
            path: The path of the file, which is overwritten.

        Raises:
            PathError: The file cannot be written.
        """
        write_csv(self.to_records(), path)

    def curves(self) -> dict[int, list[tuple[float, float]]]:
        """``(fidelity, perf)`` points of each training, by the number of its first trial; of the first objective.

        A training is a trial together with those that resumed it.
        """
        roots: dict[int, int] = {}
        curves: dict[int, list[tuple[float, float]]] = {}
        for trial in self.trials:
            root = trial.number if trial.resume is None else roots.get(trial.resume, trial.resume)
            roots[trial.number] = root
            points = [(fidelity, perfs_of(perf)[0]) for fidelity, perf in trial.reports]
            if trial.fidelity is not None and trial.perf is not None and not points:
                points.append((trial.reached, trial.perf))
            curves.setdefault(root, []).extend(points)
        return curves
