"""History: what an algorithm may look at; its views of one fidelity or of last values; and a cursor for caches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, overload

from autohpo.errors import OptionError, SuggestionError
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Running, Suggestion, Trial, TrialState

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

    def __init__(self, items: list[T]) -> None:
        self._items = items

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


class Shadowable(Generic[T]):
    """A property that an attribute of the same name may cover: AutoGL's hooks keep what they like in ``self``."""

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    @overload
    def __get__(self, optimizer: None, owner: type) -> Shadowable[T]: ...
    @overload
    def __get__(self, optimizer: object, owner: type) -> T: ...
    def __get__(self, optimizer: object, owner: type) -> T | Shadowable[T]:
        return self if optimizer is None else self._get(optimizer)


class History(HistoryView):
    """Every suggestion of a search: running first, then finished.

    It is the whole :class:`HistoryView`, and knows the chains: a chain is a trial and those that resumed it.
    """

    def __init__(self, space: SearchSpace, objectives: Objectives) -> None:
        self.objectives = objectives
        self._space = space
        self._n_asked = 0
        self._signs = objectives.signs if any(sign < 0 for sign in objectives.signs) else ()
        self._told: list[Trial] = []
        self._costs: list[float | None] = []
        self._by_number: list[Trial | None] = []  # finished trials at the place of their number
        self._running: dict[int, Running] = {}
        self._roots: dict[int, int] = {}  # of trials that resume another
        self._leaves: dict[int, int] = {}  # newest trial of chains with more than one, by root
        self._levels: dict[float, _Level] = {}
        self._last: _LastValues | None = None

    @property
    def space(self) -> SearchSpace:
        """The parameters that are searched."""
        return self._space

    @property
    def n_asked(self) -> int:
        """How many suggestions were made, finished ones and running ones."""
        return self._n_asked

    @property
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; a failed one has a state and no score."""
        return ReadOnly(self._told)

    @property
    def running(self) -> Sequence[Running]:
        """The suggestions without an end, in the order asked, each with its reports."""
        return list(self._running.values())

    @property
    def costs(self) -> Sequence[float | None]:
        """The cost of each finished trial, None where it is unknown."""
        return ReadOnly(self._costs)

    @property
    def n_told(self) -> int:
        """How many trials have ended."""
        return len(self._told)

    def __getitem__(self, number: int) -> Trial:
        """Return a finished trial by its number.

        Raises:
            KeyError: No trial of that number has ended.
        """
        trial = self._by_number[number] if 0 <= number < len(self._by_number) else None
        if trial is None:
            raise KeyError(number)
        return trial

    def root(self, number: int) -> int:
        """Return the first trial of the chain that a trial belongs to."""
        return self._roots.get(number, number)

    def leaf(self, number: int) -> int:
        """Return the newest trial of the chain that a trial belongs to, finished or running."""
        root = self.root(number)
        return self._leaves.get(root, root)

    def at(self, fidelity: float | None) -> HistoryView:
        """Return the search as it looks at one fidelity.

        Its `trials` are those that have ended and were given just this fidelity, or reported there on their way: in the
        latter case with the value that was reported. Its `running` are the trials on their way to this fidelity. Trials
        keep their numbers. `trials` only grows.

        Args:
            fidelity: A level; None is the view of the trials that were given everything there is.
        """
        key = math.inf if fidelity is None else float(fidelity)
        if key not in self._levels:
            self._levels[key] = _Level(self, key)
        return self._levels[key]

    def last_values(self) -> HistoryView:
        """Return the view in which every chain is one trial: the last that ended with a result.

        A trial that continues another takes its place, and `revision` grows then.
        """
        if self._last is None:
            self._last = _LastValues(self)
        return self._last

    # What changes it: the session alone.

    def add(self, suggestion: Suggestion) -> Running:
        """Add the next suggestion, as running."""
        running = Running(suggestion, [], self._signs)
        if suggestion.resume is not None:
            root = self._roots[suggestion.number] = self.root(suggestion.resume)
            self._leaves[root] = suggestion.number
        self._running[suggestion.number] = running
        self._n_asked = suggestion.number + 1
        return running

    def find(self, number: int) -> Running:
        """Return a running suggestion by its number.

        Raises:
            OptionError: It is not running.
        """
        running = self._running.get(number)
        if running is None:
            raise OptionError(not_running(number, self._n_asked))
        return running

    def finish(self, trial: Trial) -> None:
        """Move a trial from running to finished."""
        del self._running[trial.number]
        self._told.append(trial)
        self._costs.append(trial.cost)
        missing = trial.number + 1 - len(self._by_number)
        self._by_number.extend([None] * missing)
        self._by_number[trial.number] = trial

    def take_back(self, running: Running, order: Sequence[int]) -> None:
        """Undo the last :meth:`finish`: what a hook raised must leave nothing behind.

        Args:
            running: The suggestion, which runs again.
            order: The numbers that were running before, in their order.
        """
        self._told.pop()
        self._costs.pop()
        self._by_number[running.number] = None
        self.revision += 1  # the hook may have looked
        for level in self._levels.values():
            level.reread()
        if self._last is not None:
            self._last.reread()
        known = {**self._running, running.number: running}
        self._running = {number: known[number] for number in order}

    # What an algorithm may not ask for.

    def check(self, suggestion: Suggestion) -> None:
        """Check that a suggestion resumes or forks a trial that can be resumed or forked so.

        Raises:
            SuggestionError: It cannot; the text says why.
        """
        if suggestion.resume is not None and suggestion.fork is not None:
            raise SuggestionError("resume, fork: a suggestion has one of them at most")
        if suggestion.resume is not None:
            self._check_resume(suggestion, suggestion.resume)
        if suggestion.fork is not None:
            self._check_source("fork", suggestion.fork)

    def _check_source(self, what: str, number: object) -> Trial:
        """Return the trial that is to be resumed or forked, if it is the finished end of its chain."""
        if type(number) is not int or not 0 <= number < self._n_asked:
            raise SuggestionError(f"{what}: must be the number of an earlier trial, got {number!r}")
        if number in self._running:
            raise SuggestionError(f"{what}: trial {number} is still running")
        leaf = self.leaf(number)
        if leaf != number:
            raise SuggestionError(f"{what}: trial {number} was continued by trial {leaf}; name the last of a chain")
        trial = self[number]
        if trial.perf is None:
            raise SuggestionError(f"{what}: trial {number} ended as {trial.state} and has no result to go on from")
        return trial

    def _check_resume(self, suggestion: Suggestion, number: int) -> None:
        trial = self._check_source("resume", number)
        if self.space.key(trial.hp) != self.space.key(suggestion):
            raise SuggestionError(
                f"resume: must have the configuration of trial {number}, {dict(trial.hp)}, got {dict(suggestion)}; "
                "use fork to go on with another one"
            )
        had, given = (math.inf if one is None else one for one in (trial.fidelity, suggestion.fidelity))
        if given <= had:
            raise SuggestionError(f"resume: fidelity must be above that of trial {number}, {had:g}, got {given:g}")


def not_running(number: int, n_asked: int) -> str:
    """Return why a suggestion cannot be told: it has ended, or was never made here."""
    if 0 <= number < n_asked:
        return f"suggestion {number} has a result already; tell each suggestion once"
    return f"suggestion {number} was not asked for here; tell what ask() of this very optimizer returned"


class _Level(HistoryView):
    """The view of one fidelity; built when it is looked at, and append-only."""

    def __init__(self, history: History, fidelity: float) -> None:
        self._history, self._fidelity = history, fidelity
        self.revision = 0
        self._trials: list[Trial] = []
        self._chains: set[int] = set()  # roots that are in there
        self._n_read = 0  # finished trials of the history looked at

    @property
    def space(self) -> SearchSpace:
        return self._history.space

    @property
    def trials(self) -> Sequence[Trial]:
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
                outcome = Outcome(TrialState.COMPLETE, (perf,), reached=fidelity)
                return replace(trial, outcome=outcome, fidelity=fidelity, reports=())
        return None

    @property
    def running(self) -> Sequence[Running]:
        history, level = self._history, self._fidelity
        found = []
        for running in history._running.values():
            given = math.inf if running.fidelity is None else running.fidelity
            had = 0.0 if running.resume is None else history[running.resume].reached
            if had < level <= given:
                found.append(running)
        return found

    def at(self, fidelity: float | None) -> HistoryView:
        return self._history.at(fidelity)

    def last_values(self) -> HistoryView:
        return self._history.last_values()


class _LastValues(HistoryView):
    """The view in which every chain is its last trial with a result."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._places: dict[int, int] = {}  # by root
        self._trials: list[Trial] = []
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
    def space(self) -> SearchSpace:
        return self._history.space

    @property
    def trials(self) -> Sequence[Trial]:
        self._read()
        return ReadOnly(self._trials)

    @property
    def revision(self) -> int:  # type: ignore[override]
        self._read()
        return self._revision

    @property
    def running(self) -> Sequence[Running]:
        """Chains that have no finished trial yet."""
        return [running for running in self._history._running.values() if running.resume is None]

    def at(self, fidelity: float | None) -> HistoryView:
        return self._history.at(fidelity)

    def last_values(self) -> HistoryView:
        return self


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
