"""Chains: the view in which every started configuration is one trial, and the fidelity whose results say most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from autohpo.history import Cursor, History
from autohpo.schedulers.retold import Retold
from autohpo.trial import Running, Trial

_RICH = 4  # times the least a model needs: so many results do, however many more a lower fidelity has


def informative_fidelity(n_results: Mapping[float, int], n_least: int) -> float | None:
    """Return the largest fidelity with at least `n_least` results that is not barely filled beside a lower one.

    Nine full evaluations say less than fifty short ones: a fidelity wants half as many results as any lower one has, or
    four times as many as a model needs.

    Args:
        n_results: How many results each fidelity has.
        n_least: How many a model needs.
    """
    richest, chosen = 0, None
    for fidelity in sorted(n_results):
        n = n_results[fidelity]
        if n >= n_least and n >= min(_RICH * n_least, richest / 2):
            chosen = fidelity
        richest = max(richest, n)
    return chosen


def fidelity_of(trial: Trial, full: float) -> float:
    """Return the fidelity that the result of a trial stands for: where it was stopped, or all that it was given.

    Args:
        trial: A finished trial.
        full: The fidelity of a full evaluation, which a trial without a fidelity is.
    """
    reached = trial.reached
    return full if reached == math.inf else reached


class ResultCounts:
    """How many results each fidelity has, kept up to date.

    Args:
        history: The history that is counted.
        full: The fidelity of a full evaluation, which trials without a fidelity are.
    """

    def __init__(self, history: History, full: float = math.inf) -> None:
        self._cursor, self._full = Cursor(history), full
        self._counts: dict[float, int] = {}

    def update(self) -> Mapping[float, int]:
        """Return the number of results by fidelity."""
        step = self._cursor.step()
        if step.is_reset:
            self._counts = {}
        for trial in step.told:
            if trial.score is not None:
                fidelity = fidelity_of(trial, self._full)
                self._counts[fidelity] = self._counts.get(fidelity, 0) + 1
        return self._counts


class Chains(Retold):
    """The history as a sampler without fidelities may see it: one trial for each configuration that was started.

    It is finished once its chain has a result at one fidelity, which is then its result, or has failed. All others run:
    also those that wait at a lower fidelity, or were left behind there. Trials have the numbers of their chains' first
    ones.

    Args:
        history: The whole history.
        fidelity: The fidelity whose results count.
        full: The fidelity of a full evaluation, which trials without a fidelity are.
    """

    def __init__(self, history: History, fidelity: float, full: float = math.inf) -> None:
        super().__init__(history)
        self._levels = [history.at(fidelity), *([history.at(None)] if fidelity == full else [])]
        self._restart()

    def _restart(self) -> None:
        super()._restart()  # what is open is kept by root
        self._cursors = [Cursor(level) for level in self._levels]

    def _read(self) -> None:
        """Take what is new in the history."""
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        for item in step.asked:
            if item.resume is None:
                started = item if isinstance(item, Running) else Running(item.suggestion, [], item.signs)
                self._open[item.number] = started
        there = {trial.number: trial for cursor in self._cursors for trial in cursor.told()}
        for trial in step.told:
            root = self._history.root(trial.number)
            found = there.get(trial.number, trial if trial.perf is None else None)
            if found is not None and self._open.pop(root, None) is not None:
                self._closed.append(replace(found, number=root, resume=None, fork=None))
