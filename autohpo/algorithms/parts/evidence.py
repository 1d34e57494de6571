"""Evidence: the values at all fidelities that a history has, and what it waits for, as arrays."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.gp_options import SearcherData
from autohpo.history import Cursor, History
from autohpo.trial import Running, Trial

_SLACK = 1e-9  # fidelities nearer than this share are one


@dataclass(frozen=True, eq=False)
class Rows:
    """Values, or what is waited for, one row each.

    Attributes:
        points: ``(n, d)`` where the configurations lie in the unit cube.
        mask: ``(n, d)`` which columns are active.
        fidelity: ``(n,)`` how much training a value stands for.
        number: ``(n,)`` which configuration it is of: rows of one curve share it.
        score: ``(n,)`` the values, higher is better; NaN where it is waited for.
    """

    points: FloatArray
    mask: BoolArray
    fidelity: FloatArray
    number: IntArray
    score: FloatArray

    def __len__(self) -> int:
        return len(self.fidelity)

    def take(self, rows: IntArray | slice) -> Rows:
        """Return some of the rows."""
        return Rows(self.points[rows], self.mask[rows], self.fidelity[rows], self.number[rows], self.score[rows])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a multi-fidelity model is made of.

    Attributes:
        rows: The values: first those of trials that have ended, in the order told, then those of running ones.
        n_settled: How many of them are of trials that have ended: these stay as they are.
        pending: The values that are waited for, with the fidelities that the trials head for.
        failed: ``(f, d)`` where configurations lie that failed.
        n_ended: How many configurations have a value, or failed.
        n_started: How many were started.
        levels: The rungs, rising: as they were given, or those that values stand for.
        full: The fidelity of a full evaluation.
    """

    rows: Rows
    n_settled: int
    pending: Rows
    failed: FloatArray
    n_ended: int
    n_started: int
    levels: Sequence[float]
    full: float


@dataclass
class _Table:
    """Rows that grow; they become arrays when they are asked for."""

    places: list[int] = field(default_factory=list)
    fidelity: list[float] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def add(self, place: int, fidelity: float, number: int, score: float) -> None:
        """Add a row."""
        self.places.append(place)
        self.fidelity.append(fidelity)
        self.number.append(number)
        self.score.append(score)


class EvidenceTable:
    """Evidence as it comes: configurations by number, each encoded once, and their values.

    Args:
        encoder: The encoder of the space.
        full: The fidelity of a full evaluation.
        levels: The rungs, rising; None takes those that values stand for.
    """

    def __init__(self, encoder: Encoder, full: float, levels: Sequence[float] | None) -> None:
        self._encoder, self._full = encoder, float(full)
        self.given_levels = None if levels is None else tuple(map(float, levels))
        d = encoder.space.n_columns
        self._points, self._mask = np.empty((0, d)), np.empty((0, d), dtype=bool)
        self._places: dict[int, int] = {}  # by the number of the configuration
        self._settled = _Table()
        self._known: set[tuple[int, float]] = set()  # configuration and fidelity: the first value counts
        self._failed: list[int] = []
        self._ended: set[int] = set()

    def place(self, items: Sequence[tuple[int, object]]) -> None:
        """Encode the configurations of pairs ``(number, hp)`` that are new."""
        fresh = {number: hp for number, hp in items if number not in self._places}
        if fresh:
            points, mask = self._encoder.of_hps(list(fresh.values()))  # type: ignore[arg-type]
            self._places.update({number: len(self._points) + i for i, number in enumerate(fresh)})
            self._points, self._mask = np.concatenate([self._points, points]), np.concatenate([self._mask, mask])

    def settle(self, number: int, fidelity: float, score: float) -> None:
        """Add a value that stays."""
        if (number, fidelity) not in self._known:
            self._known.add((number, fidelity))
            self._settled.add(self._places[number], fidelity, number, score)
            self._ended.add(number)

    def fail(self, number: int) -> None:
        """Say that a configuration failed."""
        self._failed.append(self._places[number])
        self._ended.add(number)

    def is_level(self, fidelity: float) -> bool:
        """Whether a fidelity is one of the rungs that were given, or the full one."""
        levels = self.given_levels or ()
        return any(abs(fidelity - level) <= _SLACK * level for level in (*levels, self._full))

    def evidence(
        self, pending: Sequence[tuple[int, float]], open_values: Sequence[tuple[int, float, float]] = ()
    ) -> Evidence:
        """Return the evidence so far.

        Args:
            pending: Numbers and fidelities of the values that are waited for.
            open_values: Numbers, fidelities and values of trials that run.
        """
        waited, rows = _Table(), _Table(*(list(part) for part in vars(self._settled).values()))
        n_settled = len(rows.score)
        known = set(self._known)
        for number, fidelity, score in open_values:
            if (number, fidelity) not in known:
                known.add((number, fidelity))
                rows.add(self._places[number], fidelity, number, score)
        for number, fidelity in pending:
            if (number, fidelity) not in known:
                known.add((number, fidelity))
                waited.add(self._places[number], fidelity, number, math.nan)
        levels = self.given_levels or tuple(sorted(set(rows.fidelity)))
        return Evidence(
            self._rows(rows),
            n_settled,
            self._rows(waited),
            self._points[self._failed] if self._failed else self._points[:0],
            n_ended=len(self._ended),
            n_started=len(self._places),
            levels=levels,
            full=self._full,
        )

    def _rows(self, table: _Table) -> Rows:
        places = np.array(table.places, dtype=np.int64)
        return Rows(
            self._points[places],
            self._mask[places],
            np.array(table.fidelity, dtype=float),
            np.array(table.number, dtype=np.int64),
            np.array(table.score, dtype=float),
        )


class HistoryEvidence:
    """The evidence of a history, kept up to date: each trial is read once.

    Args:
        history: The history.
        encoder: The encoder of its space.
        full: The fidelity of a full evaluation.
        levels: The rungs, rising; None takes those that trials were given.
        data: Which values of a curve count.
    """

    def __init__(
        self, history: History, encoder: Encoder, full: float, levels: Sequence[float] | None, data: SearcherData
    ) -> None:
        self._history, self._cursor, self._data = history, Cursor(history), data
        self._arguments = encoder, full, levels
        self._full = float(full)
        self._table = EvidenceTable(*self._arguments)
        self.n_resets = 0

    def evidence(self, pending: Sequence[tuple[int, float]] | None = None) -> Evidence:
        """Return what the history says now.

        Args:
            pending: The first trials of chains whose values are waited for, with the fidelities; None takes those of
                the trials that run, with what they head for.
        """
        step = self._cursor.step()
        if step.is_reset:
            self._table = EvidenceTable(*self._arguments)
            self.n_resets += 1
        root = self._history.root
        self._table.place([(root(item.number), item.hp) for item in step.asked])
        for trial in step.told:
            number = root(trial.number)
            for fidelity, score in self._of_ended(trial):
                self._table.settle(number, fidelity, score)
            if trial.score is None:
                self._table.fail(number)
        values: list[tuple[int, float, float]] = []
        heading: list[tuple[int, float]] = []
        for running in self._history.running:
            number = root(running.number)
            values += [(number, fidelity, score) for fidelity, score in self._of_running(running)]
            heading.append((number, self._next_level(running)))
        return self._table.evidence(heading if pending is None else pending, values)

    def _of_ended(self, trial: Trial) -> list[tuple[float, float]]:
        """The values of a trial that has ended, those of its reports first."""
        found = [point for point in self._reported(trial) if self._counts(point[0])]
        if trial.score is not None:
            reached = self._full if trial.reached == math.inf else float(trial.reached)
            found = [point for point in found if point[0] != reached] + [(reached, trial.score)]
        return found

    def _of_running(self, running: Running) -> list[tuple[float, float]]:
        """The values that a running trial has reported."""
        found = self._reported(running)
        last = found[-1:] if self._data == "rungs_and_last" else []
        return [point for point in found if self._counts(point[0])] + last

    def _reported(self, item: Trial | Running) -> list[tuple[float, float]]:
        """The reports of a trial that tell something new: beyond the fidelity at which it went on."""
        had = 0.0 if item.resume is None else self._reached(item.resume)
        return [(float(fidelity), score) for fidelity, score in item.curve if fidelity > max(had, 0.0)]

    def _reached(self, number: int) -> float:
        reached = self._history[number].reached
        return self._full if reached == math.inf else reached

    def _counts(self, fidelity: float) -> bool:
        return self._data == "all" or self._table.is_level(fidelity)

    def _next_level(self, running: Running) -> float:
        """The fidelity that a running trial heads for."""
        given = self._full if running.fidelity is None else float(running.fidelity)
        done = running.reports[-1][0] if running.reports else 0.0
        if running.resume is not None:
            done = max(done, self._reached(running.resume))
        levels = self._table.given_levels or ()
        place = bisect_right(levels, done * (1 + _SLACK))
        return min(levels[place], given) if place < len(levels) else given
