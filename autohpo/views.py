"""Views: what an algorithm sees of a history, of one fidelity of it, or of last values; and a cursor for caches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, overload

from autohpo.outcome import perfs_of
from autohpo.packed import TrialList
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Running, Trial, TrialState

if TYPE_CHECKING:
    from autohpo.history import History

T = TypeVar("T")


class HistoryView(ABC):
    """Everything that an algorithm or a scheduler knows of a search, or of a part of it.

    Attributes:
        revision: Grows when `trials` changes in any other way than by new ones at its end.
    """

    revision: int = 0

    @property
    @abstractmethod
    def space(self) -> SearchSpace:
        """The parameters that are searched."""

    @property
    @abstractmethod
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; ``trial.score`` is higher where it is better."""

    @property
    @abstractmethod
    def running(self) -> Sequence[Running]:
        """The suggestions without an end, in the order asked, each with its reports."""

    @property
    def n_asked(self) -> int:
        """How many suggestions were made, finished ones and running ones."""
        return len(self.trials) + len(self.running)

    @property
    def costs(self) -> Sequence[float | None]:
        """The cost of each of `trials`, None where it is unknown."""
        return [trial.cost for trial in self.trials]

    @abstractmethod
    def at(self, fidelity: float | None) -> HistoryView:
        """Return the view of one fidelity; see :meth:`History.at`."""

    @abstractmethod
    def last_values(self) -> HistoryView:
        """Return the view in which every chain is its last finished trial; see :meth:`History.last_values`."""


class ReadOnly(Sequence[T]):
    """A list that others may only look at."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]  # type: ignore[return-value]  # a list, as those that are wrapped return

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass(frozen=True)
class Step:
    """What is new in a view.

    Attributes:
        told: Trials that have ended since the last look, in the order told.
        asked: Trials and running suggestions that were not seen before, in the order of their numbers.
        is_reset: Whether the view has changed otherwise than by growing, so that everything is new.
    """

    told: Sequence[Trial]
    asked: Sequence[Trial | Running]
    is_reset: bool = False


class Cursor:
    """Where a cache stands in a view: hands over what is new, once.

    Args:
        view: A history, or a view of it.

    Example:
        A sum that stays up to date without being computed anew::

            for trial in self.cursor.told():
                self.total += trial.score or 0.0
    """

    def __init__(self, view: HistoryView) -> None:
        self.view = view
        self._n_told = 0
        self._revision = view.revision
        self._open: set[int] = set()  # suggestions handed over while they ran

    @property
    def n_told(self) -> int:
        """How many trials were handed over."""
        return self._n_told

    def told(self) -> list[Trial]:
        """Return the trials that have ended since the last look, in the order told; for a view that only grows."""
        trials = self.view.trials
        new = list(trials[self._n_told :])
        self._n_told += len(new)
        return new

    def step(self) -> Step:
        """Return what has ended and what was asked since the last look; not to be mixed with :meth:`told`."""
        revision = self.view.revision
        is_reset = revision != self._revision
        if is_reset:
            self._revision, self._n_told = revision, 0
            self._open.clear()
        told = self.told()
        asked: list[Trial | Running] = []
        for trial in told:
            if trial.number in self._open:
                self._open.discard(trial.number)
            else:
                asked.append(trial)
        for running in self.view.running:
            if running.number not in self._open:
                self._open.add(running.number)
                asked.append(running)
        asked.sort(key=lambda item: item.number)
        return Step(told, asked, is_reset)


class PartView(HistoryView):
    """The base of views that are made of a part of a history."""

    def __init__(self, history: History) -> None:
        self._history = history

    @property
    def space(self) -> SearchSpace:
        """The parameters that are searched."""
        return self._history.space

    def at(self, fidelity: float | None) -> HistoryView:
        """Return the view of one fidelity of the whole history."""
        return self._history.at(fidelity)

    def last_values(self) -> HistoryView:
        """Return the view of last values of the whole history."""
        return self._history.last_values()


class LevelView(PartView):
    """The view of one fidelity; built when it is looked at, and append-only. See :meth:`History.at`."""

    def __init__(self, history: History, fidelity: float) -> None:
        super().__init__(history)
        self._fidelity = fidelity
        self.revision = 0
        self._trials = TrialList()
        self._chains: set[int] = set()  # roots that are in there
        self._n_read = 0  # finished trials of the history looked at

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials that ended at this fidelity or reported there, in the order told; only grows."""
        told = self._history._told
        for trial in told[self._n_read :]:
            found = self._entry(trial)
            root = self._history.root(trial.number)
            if found is not None and root not in self._chains:
                self._chains.add(root)
                self._trials.append(found)
        self._n_read = len(told)
        return ReadOnly(self._trials)

    def reread(self) -> None:
        """Forget what was read, after the history has lost a trial."""
        self._trials.clear()
        self._chains.clear()
        self._n_read = 0
        self.revision += 1

    def _entry(self, trial: Trial) -> Trial | None:
        """Return the trial as it stood at this fidelity; None where it was never there."""
        if trial.state is TrialState.STOPPED:
            given = trial.reached
        else:
            given = math.inf if trial.fidelity is None else trial.fidelity
        if given == self._fidelity:
            return trial
        for fidelity, perf in trial.reports:
            if fidelity == self._fidelity:
                outcome = Outcome(TrialState.COMPLETE, perfs_of(perf), reached=fidelity)
                return replace(trial, outcome=outcome, fidelity=fidelity, reports=())
        return None

    @property
    def running(self) -> Sequence[Running]:
        """The trials on their way to this fidelity, in the order asked."""
        history, level = self._history, self._fidelity
        found = []
        for running in history._running.values():
            given = math.inf if running.fidelity is None else running.fidelity
            had = 0.0 if running.resume is None else history[running.resume].reached
            if had < level <= given:
                found.append(running)
        return found


class LastValues(PartView):
    """The view in which every chain is its last trial with a result. See :meth:`History.last_values`."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._places: dict[int, int] = {}  # by root
        self._trials = TrialList()
        self._n_read = 0
        self._revision = 0

    def reread(self) -> None:
        """Forget what was read, after the history has lost a trial."""
        self._places.clear()
        self._trials.clear()
        self._n_read = 0
        self._revision += 1

    def _read(self) -> None:
        told = self._history._told
        for trial in told[self._n_read :]:
            place = self._places.setdefault(self._history.root(trial.number), len(self._trials))
            if place == len(self._trials):
                self._trials.append(trial)
            elif trial.perf is not None or self._trials[place].perf is None:
                self._trials[place] = trial
                self._revision += 1
        self._n_read = len(told)

    @property
    def trials(self) -> Sequence[Trial]:
        """The last trial with a result of each chain, in the order in which chains ended first."""
        self._read()
        return ReadOnly(self._trials)

    @property
    def revision(self) -> int:  # type: ignore[override]
        """How often a trial was replaced by one that continues it."""
        self._read()
        return self._revision

    @property
    def running(self) -> Sequence[Running]:
        """Chains that have no finished trial yet."""
        return [running for running in self._history._running.values() if running.resume is None]
