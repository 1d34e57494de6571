"""History: every suggestion of a search and what became of it, their chains, and what may be resumed or forked."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

from autohpo.errors import OptionError, SuggestionError, shown
from autohpo.objectives import Objectives
from autohpo.packed import Costs, TrialList
from autohpo.spaces import SearchSpace
from autohpo.trial import Running, Suggestion, Trial
from autohpo.views import Cursor, HistoryView, LastValues, LevelView, ReadOnly, Step

__all__ = ["Cursor", "History", "HistoryView", "ReadOnly", "Step", "not_running"]


class History(HistoryView):
    """Every suggestion of a search: running first, then finished.

    It is the whole :class:`HistoryView`, and knows the chains: a chain is a trial and those that resumed it.
    """

    def __init__(self, space: SearchSpace, objectives: Objectives) -> None:
        self.objectives = objectives
        self._space = space
        self._n_asked = 0
        self._signs = objectives.signs if any(sign < 0 for sign in objectives.signs) else ()
        self._told = TrialList()
        self._costs = Costs()
        self._places = array("q")  # of finished trials among those told, by number; -1 where there is none
        self._running: dict[int, Running] = {}
        self._roots: dict[int, int] = {}  # of trials that resume another
        self._leaves: dict[int, int] = {}  # newest trial of chains with more than one, by root
        self._levels: dict[float, LevelView] = {}
        self._last: LastValues | None = None

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
        trial = self.get(number)
        if trial is None:
            raise KeyError(number)
        return trial

    def get(self, number: int) -> Trial | None:
        """Return a finished trial by its number; None where no trial of that number has ended."""
        place = self._places[number] if 0 <= number < len(self._places) else -1
        return self._told[place] if place >= 0 else None

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
            self._levels[key] = LevelView(self, key)
        return self._levels[key]

    def last_values(self) -> HistoryView:
        """Return the view in which every chain is one trial: the last that ended with a result.

        A trial that continues another takes its place, and `revision` grows then.
        """
        if self._last is None:
            self._last = LastValues(self)
        return self._last

    # What changes it: the session alone.

    def add(self, suggestion: Suggestion) -> Running:
        """Add the next suggestion, as running."""
        self.follow(suggestion)
        running = self._running[suggestion.number] = Running(suggestion, [], self._signs)
        return running

    def follow(self, suggestion: Suggestion) -> None:
        """Count the next suggestion, of which nobody hears before it has ended: it is not seen as running."""
        if suggestion.resume is not None:
            root = self._roots[suggestion.number] = self.root(suggestion.resume)
            self._leaves[root] = suggestion.number
        self._n_asked = suggestion.number + 1

    def go_on(self, suggestions: Iterable[Suggestion]) -> None:
        """Add those that were counted alone and have not ended, in the order asked."""
        for suggestion in suggestions:
            self._running[suggestion.number] = Running(suggestion, [], self._signs)

    def find(self, number: int) -> Running:
        """Return a running suggestion by its number.

        Raises:
            OptionError: It is not running.
        """
        running = self._running.get(number) if isinstance(number, int) else None
        if running is None:
            raise OptionError(not_running(number, self._n_asked))
        return running

    def finish(self, trial: Trial) -> None:
        """Move a trial from running to finished."""
        del self._running[trial.number]
        self.followed(trial)

    def followed(self, trial: Trial) -> None:
        """Add a finished trial that was not seen as running."""
        places, number = self._places, trial.number
        if number == len(places):
            places.append(len(self._told))
        else:
            places.extend([-1] * (number + 1 - len(places)))
            places[number] = len(self._told)
        self._told.append(trial)
        self._costs.append(trial.outcome.cost)

    def take_back(self, running: Running, order: Sequence[int]) -> None:
        """Undo the last :meth:`finish`: what a hook raised must leave nothing behind.

        Args:
            running: The suggestion, which runs again.
            order: The numbers that were running before, in their order.
        """
        self._told.pop()
        self._costs.pop()
        self._places[running.number] = -1
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
            raise SuggestionError(f"{what}: must be the number of an earlier trial, got {shown(number)}")
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
                f"resume: must have the configuration of trial {number}, {shown(dict(trial.hp), 1000)}, "
                f"got {shown(dict(suggestion), 1000)}; "
                "use fork to go on with another one"
            )
        had, given = (math.inf if one is None else one for one in (trial.fidelity, suggestion.fidelity))
        if given <= had:
            raise SuggestionError(f"resume: fidelity must be above that of trial {number}, {had:g}, got {given:g}")


def not_running(number: int, n_asked: int) -> str:
    """Return why a suggestion cannot be told: it has ended, or was never made here."""
    if isinstance(number, int) and 0 <= number < n_asked:
        return f"suggestion {number} has a result already; tell each suggestion once"
    return f"suggestion {shown(number)} was not asked for here; tell what ask() of this very optimizer returned"
