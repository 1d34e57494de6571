"""Joint: an algorithm over parameters that are only known once trials have used them, by groups that occur together."""

from __future__ import annotations

import zlib
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.sampler import SamplerSpec, spec_of
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import NotReady, OptimizationComplete, OptionError, SpaceError
from autohpo.objectives import Objectives
from autohpo.spaces import FixedHP, HPSpace, SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

Notes = Mapping[str, Sequence[Any]]
"""What algorithms note on their suggestions, by group: the checksum of the configuration, and the notes."""

_MOST_SEED = 2**31
_RUNNING = Outcome(TrialState.RUNNING)


@dataclass(frozen=True)
class Seen:
    """A trial of which somebody else decided what its parameters are.

    Attributes:
        number: The number that it has there.
        hp: The value of each parameter that it used.
        parameters: The parameters that it used, by name.
        outcome: How it ended; RUNNING where it has not.
        notes: What :meth:`Joint.draw` noted when it drew for this trial; JSON types.
    """

    number: int
    hp: Mapping[str, Any]
    parameters: Mapping[str, HPSpace]
    outcome: Outcome = _RUNNING
    notes: Notes = field(default_factory=dict)


class Joint:
    """An algorithm without a space of its own: the trials that it is shown say which parameters there are.

    Parameters that always occur together are one group, and each group is a space of its own for the algorithm. One
    that was seen with two definitions belongs to none. What is drawn is a function of the trials that were shown, in
    their order, and of the seed.

    A trial that was stopped early counts with its last value, as no worse than the worst and no better than the median
    of the complete ones; before there is one it counts as running.

    Args:
        sampler: The algorithm: a registered name, ``(name, options)`` or an optimizer.
        seed: The seed; a group beside the first has one of its own.
        mode: Which way each objective is better.
        space: The space, where it is known before: then it is the only group, and what a trial lacks is filled in.

    Raises:
        OptionError: The algorithm schedules fidelities itself, or does not take the options or the space.
        RegistryError: No algorithm has this name.
    """

    def __init__(self, sampler: SamplerSpec | BaseHPOptimizer, seed: int, mode: Any, space: Any = None) -> None:
        spec = spec_of(sampler)
        self._name: str = spec if isinstance(spec, str) else spec[0]
        self._options: Mapping[str, Any] = {} if isinstance(spec, str) else spec[1]
        self._seed, self._mode, self._signs = seed, mode, Objectives.of(mode).signs
        check_flat(self._name)
        self._given = None if space is None else SearchSpace(space)
        self._seen: list[Seen] = []
        self._scores: list[float] = []  # of complete trials, rising; of one objective
        self._waiting: list[Seen] = []  # stopped before any trial was complete
        self._parameters: dict[str, HPSpace] = {}
        self._moving: set[str] = set()  # names with several definitions
        self._groups: list[_Group] = [] if self._given is None else [self._group(self._given, 0)]

    @property
    def names(self) -> list[str]:
        """The names of the parameters that are drawn together with others, or by a model of their own."""
        return [name for group in self._groups for name in group.names]

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself: in a space that was given it may."""
        return self._given is not None and any(group.hpo.is_finite for group in self._groups)

    def take(self, seen: Seen) -> None:
        """Take a trial that has ended."""
        if seen.outcome.state is TrialState.STOPPED and len(self._signs) == 1:
            if not self._scores:
                self._waiting.append(seen)
                return
            seen = self._judged(seen)
        self._take(seen)
        if seen.outcome.state is TrialState.COMPLETE and len(self._signs) == 1:
            insort(self._scores, self._signs[0] * seen.outcome.perfs[0])
            waiting, self._waiting = self._waiting, []
            for stopped in waiting:
                self._take(self._judged(stopped))

    def draw(self, running: Iterable[Seen] = ()) -> tuple[dict[str, Any], Notes]:
        """Return a value of each parameter that has a group, and notes that are to be kept with the trial.

        Args:
            running: The trials that run now, as far as their parameters are known.

        Raises:
            OptimizationComplete: The algorithm has nothing left of the space that was given.
        """
        open_now = [*self._waiting, *running]
        made: dict[str, Any] = {}
        notes: dict[str, Sequence[Any]] = {}
        for group in self._groups:
            for seen in open_now:
                group.adopt(seen)
            try:
                drawn = group.draw()
            except NotReady:  # the trial draws these by itself
                continue
            except OptimizationComplete:
                if self._given is not None:
                    raise
                continue  # a trial may still ask for something else, and draws these by itself
            made |= drawn
            if drawn.info:
                notes[group.key] = [group.checksum(drawn), drawn.info]
        return made, notes

    def _take(self, seen: Seen) -> None:
        self._seen.append(seen)
        if self._given is None and seen.outcome.state.has_perf and self._learn(seen.parameters):
            return  # the groups that are new were told everything
        for i, group in enumerate(self._groups):
            if not group.end(seen):  # it turned out to be another one than it was taken for
                self._groups[i] = self._filled(group.space, group.seed)

    def _judged(self, seen: Seen) -> Seen:
        """A trial that was stopped, with the result that it counts with."""
        sign, scores = self._signs[0], self._scores
        score = min(max(sign * seen.outcome.perfs[0], scores[0]), scores[(len(scores) - 1) // 2])
        return replace(seen, outcome=replace(seen.outcome, state=TrialState.COMPLETE, perfs=(sign * score,)))

    def _learn(self, parameters: Mapping[str, HPSpace]) -> bool:
        """Bring the groups up to date with the parameters of one more trial; return whether all were told of it."""
        before = [group.names for group in self._groups]
        for name, parameter in parameters.items():
            known = self._parameters.setdefault(name, parameter)
            if known is not parameter and known != parameter:
                self._moving.add(name)
        used = [name for name in parameters if name not in self._moving]
        groups = []
        for names in before:
            kept = [name for name in names if name not in self._moving]
            groups += [[n for n in kept if n in parameters], [n for n in kept if n not in parameters]]
        known_names = {name for names in groups for name in names}
        groups = [names for names in [*groups, [n for n in used if n not in known_names]] if names]
        if groups == before:
            return False
        old = {tuple(group.names): group for group in self._groups}
        self._groups = []
        for names in groups:
            seed = 0 if not self._groups else 1 + zlib.crc32("\0".join(names).encode())
            group = old.get(tuple(names))
            if group is None or group.seed != seed or not group.end(self._seen[-1]):
                group = self._filled(SearchSpace([self._parameters[name] for name in names]), seed)
            self._groups.append(group)
        return True

    def _group(self, space: SearchSpace, seed: int) -> _Group:
        own = (self._seed + seed) % _MOST_SEED if seed else self._seed
        hpo = build_hpo_from_name(self._name, space, None, seed=own, mode=self._mode, **self._options)
        return _Group(hpo, seed, fills_in=self._given is not None)

    def _filled(self, space: SearchSpace, seed: int) -> _Group:
        """A new group that was told of all trials that have ended."""
        group = self._group(space, seed)
        for seen in self._seen:
            group.end(seen)
        return group


def check_flat(name: str) -> None:
    """Raise OptionError where an algorithm decides about fidelities, which it cannot where others run the trials."""
    if get_hpo(name).is_multi_fidelity:
        raise OptionError(
            f"name: must be an algorithm that runs every trial in full, as nothing here can resume one, got {name!r}; "
            "take it as a pruner, or another one as the sampler"
        )


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


class _Group:
    """An optimizer of the parameters that occur together, and what it was told.

    Args:
        hpo: The optimizer.
        seed: What was added to the seed.
        fills_in: Whether a trial that lacks a parameter counts, with a value that is drawn for it.
    """

    def __init__(self, hpo: BaseHPOptimizer, seed: int, *, fills_in: bool) -> None:
        self.hpo, self.space, self.seed, self._fills_in = hpo, hpo.space, seed, fills_in
        self.names: Sequence[str] = list(hpo.space.names)
        self._session = session_of(hpo)
        self.key = _checksum("\0".join(self.names))
        self._fixed = {one.name: one.value for one in hpo.space.roots if isinstance(one, FixedHP)}
        self._running: dict[int, Suggestion] = {}  # by the number of the trial elsewhere
        hpo.has_fidelity = False
        hpo.set_up()

    def draw(self) -> Suggestion:
        return self._session.propose(0)

    def checksum(self, hp: Mapping[str, Any]) -> str:
        return _checksum(self.space.key(hp))

    def adopt(self, seen: Seen) -> bool:
        """Take a trial as running, if it has a configuration of this space."""
        if seen.number in self._running:
            return True
        hp = self._configuration(seen)
        if hp is None:
            return False
        of, info = seen.notes.get(self.key, ("", {}))
        info = info if of and of == self.checksum(hp) else {}  # else another configuration was tried in its place
        suggestion = self._running[seen.number] = Suggestion(hp, number=self.hpo.n_asked, info=info)
        self._session.adopt(suggestion)
        return True

    def end(self, seen: Seen) -> bool:
        """Take the end of a trial; return False where it ran with another configuration than it was taken for."""
        known = self._running.get(seen.number)
        if known is not None:
            hp = self._configuration(seen)
            if hp is None or self.space.key(hp) != self.space.key(known):
                return False
        elif not self.adopt(seen):
            return True
        number = self._running.pop(seen.number).number
        self._session.close(self._session.history.find(number).ended(seen.outcome))
        return True

    def _configuration(self, seen: Seen) -> dict[str, Any] | None:
        """The part of a trial's parameters that is a legal configuration here; None where there is none."""
        hp = {name: seen.hp[name] for name in self.names if name in seen.hp}
        if not self._fills_in and len(hp) < len(self.names):
            return None
        try:
            return self.space.checked({**self._fixed, **self.space.trim(hp)})
        except SpaceError:  # a value is missing, or of an earlier program with other bounds
            fills_in = self._fills_in and seen.outcome.state is not TrialState.RUNNING  # what runs may still ask for it
            return self._filled_in(hp, seen.number) if fills_in else None

    def _filled_in(self, hp: Mapping[str, Any], number: int) -> dict[str, Any] | None:
        """A configuration with draws from the prior for what a trial did not use: no model may read more into it."""
        drawn = self.space.sample(np.random.default_rng((number, 2)), 1)[0]
        try:
            return self.space.checked(self.space.trim({**drawn, **hp, **self._fixed}))
        except SpaceError:
            return None
