"""SearcherLog: the history that the calls of a scheduler to a searcher make, and what is pending after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autohpo.errors import OptionError
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState, whole

Event = list[Any]
"""A call in JSON types: its kind, the id of the trial, and what else it says."""


class SearcherLog:
    """Trials of a scheduler as a history: each result ends a trial of its own, which continues the one before.

    Args:
        space: The space of the configurations.
        objectives: The objective.
        first: The first rung, at which a suggested configuration is waited for until something else is said.

    Attributes:
        history: The history.
        trials: The number of the first trial of the chain, by the scheduler's id.
        n_suggested: How many configurations there were.
        results: The fidelities with results, by the scheduler's id.
    """

    def __init__(self, space: SearchSpace, objectives: Objectives, first: float) -> None:
        self.history = History(space, objectives)
        self.trials: dict[str, int] = {}
        self.results: dict[str, list[float]] = {}
        self.n_suggested = 0
        self._first = float(first)
        self._waits: dict[str, list[float]] = {}
        self._unsaid: set[str] = set()  # trials whose pending result nobody has named
        self._costs: dict[str, float] = {}

    def pending(self) -> list[tuple[int, float]]:
        """Return the chains whose results are waited for, each with a fidelity."""
        return [(self.trials[trial], fidelity) for trial, waits in self._waits.items() for fidelity in waits]

    def apply(self, event: Event) -> None:
        """Take a call.

        Raises:
            OptionError: The trial is unknown.
        """
        kind, trial, *rest = event
        if kind not in {"config", "claim"} and trial not in self.trials:
            raise OptionError(f"trial_id: must be that of a trial that was suggested or told, got {trial!r}")
        getattr(self, f"_{kind}")(trial, *rest)

    def unclaimed(self, hp: Mapping[str, Any]) -> str | None:
        """Return the id under which a configuration was suggested in a batch without names, if it was."""
        space, key = self.history.space, self.history.space.key(hp)
        for trial, number in self.trials.items():
            if trial.startswith(BATCH) and space.key(self._hp(number)) == key:
                return trial
        return None

    def _hp(self, number: int) -> Mapping[str, Any]:
        ended = self.history.get(number)
        return self.history.find(number).hp if ended is None else ended.hp

    def _config(self, trial: str, data: Mapping[str, Any]) -> None:
        number = self.history.n_asked
        self.history.add(Suggestion(self.history.space.from_json(data), number=number))
        self.trials[trial], self._waits[trial], self.results[trial] = number, [self._first], []
        self._unsaid.add(trial)
        self.n_suggested += 1

    def _claim(self, trial: str, name: str) -> None:
        """Gives a trial of a batch its own id."""
        self.trials[trial] = self.trials.pop(name)
        self._waits[trial], self.results[trial] = self._waits.pop(name), self.results.pop(name)
        self._unsaid.discard(name)
        self._unsaid.add(trial)

    def _result(self, trial: str, fidelity: float, value: float, cost: float | None) -> None:
        if fidelity in self.results[trial]:
            return
        self._settle(trial)
        self._waits[trial] = [wait for wait in self._waits[trial] if wait != fidelity]
        self.results[trial].append(fidelity)
        paid = None if cost is None else cost - self._costs.get(trial, 0.0)
        if cost is not None:
            self._costs[trial] = cost
        self._end(trial, fidelity, Outcome(TrialState.COMPLETE, (value,), cost=paid))

    def _pending(self, trial: str, fidelity: float) -> None:
        self._settle(trial)
        if fidelity not in self.results[trial] and fidelity not in self._waits[trial]:
            self._waits[trial].append(fidelity)

    def _cleanup(self, trial: str) -> None:
        self._settle(trial)
        self._waits[trial] = []

    def _failed(self, trial: str) -> None:
        self._cleanup(trial)
        self._end(trial, None, Outcome(TrialState.FAILED))

    def _settle(self, trial: str) -> None:
        """Forgets that a trial is waited for at the first rung, as something else was said of it."""
        if trial in self._unsaid:
            self._unsaid.discard(trial)
            self._waits[trial] = []

    def _end(self, trial: str, fidelity: float | None, outcome: Outcome) -> None:
        """Ends the trial that runs, or one that continues the last of the chain."""
        root = self.trials[trial]
        leaf = self.history.leaf(root)
        if self.history.get(leaf) is None:
            running = self.history.find(leaf)
        else:
            number = self.history.n_asked
            running = self.history.add(Suggestion(self._hp(root), fidelity=fidelity, resume=leaf, number=number))
        at = None if fidelity is None else whole(fidelity)
        self.history.finish(replace(running.ended(outcome), fidelity=at))


BATCH = "batch:"
"""How the ids begin of trials that were suggested in a batch without names."""


def without_removed(events: Sequence[Event]) -> list[Event]:
    """Return the calls that count: without results that were taken back later, and without the calls that did it."""
    kept: list[Event] = []
    for event in events:
        if event[0] == "remove":
            kept = [one for one in kept if one[0] != "result" or one[1:3] != event[1:3]]
        else:
            kept.append(event)
    return kept


def space_of(given: SearchSpace | Sequence[HPSpace] | Mapping[str, HPSpace]) -> SearchSpace:
    """Return the search space that a searcher is given.

    Args:
        given: A space, a list of parameters, or a dict of them by name.

    Raises:
        OptionError: A parameter stands under another name.
        SpaceError: It breaks a rule.
    """
    if isinstance(given, SearchSpace):
        return given
    if isinstance(given, Mapping):
        for name, parameter in given.items():
            own = getattr(parameter, "name", None)
            if own != name:
                raise OptionError(f"config_space: must have parameters under their names, got {name!r} for {own!r}")
        return SearchSpace(list(given.values()))
    return SearchSpace(given)
