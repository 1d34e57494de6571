"""What an optimizer remembers: the trials told, and the suggestions that still run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from autohpo.errors import OptionError
from autohpo.objectives import Measured
from autohpo.trial import Suggestion, Trial, TrialState

T = TypeVar("T")


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


@dataclass
class Pending:
    """A suggestion without a result, and what it has reported."""

    suggestion: Suggestion
    reports: list[tuple[float, float]] = field(default_factory=list)


class ReadOnly(Sequence[Trial]):
    """A list of trials that others may only look at."""

    def __init__(self, items: list[Trial]) -> None:
        self._items = items

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass
class History:
    """Every suggestion of an optimizer: first running, then told.

    Attributes:
        told: In the order told; perf is higher where it is better.
        running: By number, in the order asked.
        n_asked: How many suggestions were made.
    """

    told: list[Trial] = field(default_factory=list)
    running: dict[int, Pending] = field(default_factory=dict)
    n_asked: int = 0

    def add(self, suggestion: Suggestion) -> None:
        """Takes the next suggestion."""
        self.running[suggestion.number] = Pending(suggestion)
        self.n_asked = suggestion.number + 1

    def pending(self, suggestion: object) -> Pending:
        """What is kept of a running trial.

        Raises:
            OptionError: It is not running, or no suggestion at all.
        """
        if not isinstance(suggestion, Suggestion):
            raise OptionError(f"suggestion: must be one that ask() returned, got {type(suggestion).__name__}")
        pending = self.running.get(suggestion.number)
        if pending is None:
            reason = "was told before" if 0 <= suggestion.number < self.n_asked else "was not asked for here"
            raise OptionError(f"suggestion: number {suggestion.number} {reason}")
        return pending

    def finish(
        self,
        suggestion: object,
        state: TrialState,
        perfs: tuple[float, ...] | None = None,
        *,
        reason: str = "",
        update: Callable[[int, Suggestion, Any], None] | None = None,
        measured: Measured | None = None,
    ) -> None:
        """Moves a trial from running to told and hands its perf, or the tuple of several, to `update`.

        Where `update` raises, nothing has changed.

        Raises:
            OptionError: It is not running, or no suggestion at all.
        """
        pending = self.pending(suggestion)
        kept, running = pending.suggestion, dict(self.running)
        self.told.append(
            Trial(
                number=kept.number,
                hp=dict(kept),
                state=state,
                perf=None if perfs is None else perfs[0],
                fidelity=kept.fidelity,
                resume=kept.resume,
                pid=kept.pid,
                info=kept.info,
                reports=tuple(pending.reports),
                error=reason,
                perfs=perfs or (),
                constraints=measured.constraints if measured else {},
                metrics=measured.metrics if measured else {},
            )
        )
        del self.running[kept.number]
        try:
            if perfs is not None and update is not None:
                update(kept.pid, kept.copy(), perfs[0] if len(perfs) == 1 else perfs)
        except BaseException:
            self.told.pop()
            self.running = running
            raise
