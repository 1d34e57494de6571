"""Packed: finished trials in a few hundred bytes each, made anew when somebody looks at them."""

from __future__ import annotations

import marshal
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

from autohpo.outcome import NOTHING, Outcome, Perf, TrialState
from autohpo.trial import Trial, packed_of, remember_packed

RECENT = 10_000
"""How many of the newest trials stay as they are: whoever looks at all trials of a usual search finds objects."""

MOST_KINDS = 4_096
"""How many kinds of configurations are known by a number; conditional spaces may have any number of them."""

_VERSION = 2  # of the format of marshal: floats in eight bytes, and no search for values that occur twice
_SCALARS = frozenset({int, float, str, bool, type(None)})
_FLOAT = frozenset({float})
_NUMBER = frozenset({int, float})
_MOST_EXACT = 2**53  # above it an integer may be none as a float
_STATES = tuple(TrialState)
_PLACES = {state: place for place, state in enumerate(_STATES)}
_USUAL: tuple[Any, ...] = (None, None, None, NOTHING, NOTHING, NOTHING, None, "", "", "", None, False, ())

Kind = tuple[tuple[str, ...], tuple[int, ...]]
"""What many trials share: the names of the active parameters, and the signs of the objectives."""


class _Kinds:
    """Numbers for kinds, the same for all who ask in this process."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self._places: dict[Kind, int] = {}
        self._lock = threading.Lock()

    def place(self, kind: Kind) -> int | Kind:
        """Return the number of a kind; the kind itself where there are too many."""
        found = self._places.get(kind)
        if found is not None:
            return found
        with self._lock:
            if kind not in self._places:
                if len(self.kinds) >= MOST_KINDS:
                    return kind
                self.kinds.append(kind)
                self._places[kind] = len(self.kinds) - 1
            return self._places[kind]


_KINDS = _Kinds()


def pack(trial: Trial) -> bytes | None:
    """Return a trial as bytes for this process alone; None where it holds values that are more than their text.

    A choice may be any object, and must be found again as the very same one: such a trial stays as it is.
    """
    known = packed_of(trial)
    if known is not None:
        return known
    hp, outcome = trial.hp, trial.outcome
    if type(hp) is not dict or not _are_plain(hp.values()):
        return None
    more: Any = (
        *(trial.fidelity, trial.resume, trial.fork, trial.info, outcome.constraints, outcome.metrics),
        *(outcome.reached, outcome.error, outcome.why, outcome.advice, outcome.trained),
        *(outcome.has_own_cost, trial.reports),
    )
    if more == _USUAL:
        more = None
    else:
        more = (*more[:-1], _packed_reports(trial.reports))
        if not all(map(_is_plain, more)):
            return None
    rest = (outcome.cost, trial.started, trial.ended, trial.seed, trial.pid, trial.attempt)
    if not (_SCALARS.issuperset(map(type, rest)) and _FLOAT.issuperset(map(type, outcome.perfs))):
        return None
    kind = _KINDS.place((tuple(hp), trial.signs))
    row = (kind, trial.number, _PLACES[outcome.state], *rest, more, *hp.values(), *outcome.perfs)
    try:
        packed = marshal.dumps(row, _VERSION)
    except ValueError:  # it lies too deep
        return None
    remember_packed(trial, packed)
    return packed


def unpack(packed: bytes) -> Trial:
    """Return the trial that :func:`pack` was given, as an equal one."""
    kind, number, state, cost, started, ended, seed, pid, attempt, more, *values = marshal.loads(packed)
    names, signs = _KINDS.kinds[kind] if type(kind) is int else kind
    n = len(names)
    fidelity, resume, fork, info, constraints, metrics, *rest, reports = more or _USUAL
    outcome = Outcome(_STATES[state], tuple(values[n:]), constraints, metrics, cost, *rest)
    hp = dict(zip(names, values, strict=False))
    reported = _unpacked_reports(reports)
    trial = Trial(
        *(number, hp, outcome, fidelity, resume, fork, pid, info, reported, attempt, started, ended, signs, seed)
    )
    remember_packed(trial, packed)
    return trial


def _are_plain(values: Iterable[object]) -> bool:
    """Whether values are scalars, or tuples of such: whoever has an equal one has the same."""
    values = tuple(values)
    if _SCALARS.issuperset(map(type, values)):
        return True
    return all(type(one) in _SCALARS or (type(one) is tuple and _are_plain(one)) for one in values)


def _is_plain(value: object, depth: int = 0) -> bool:
    """Whether a value is of Python's own types all the way down, and not too deep."""
    kind = type(value)
    if kind in _SCALARS or kind is bytes or value is NOTHING:
        return True
    if depth > 64:
        return False
    if kind is dict:
        return all(_is_plain(one, depth + 1) for one in chain.from_iterable(value.items()))  # type: ignore[attr-defined]
    return kind in (tuple, list) and all(_is_plain(one, depth + 1) for one in value)  # type: ignore[attr-defined]


def _packed_reports(reports: Sequence[tuple[Any, Perf]]) -> object:
    """Return reports of one objective as eight bytes a number; others as they are.

    Fidelities that count 1, 2, 3 and so on need not be said.
    """
    if not reports:
        return ()
    fidelities, perfs = zip(*reports, strict=True)
    if set(map(type, perfs)) != _FLOAT or not _NUMBER.issuperset(map(type, fidelities)):
        return tuple(reports)
    if fidelities == tuple(range(1, len(fidelities) + 1)) and set(map(type, fidelities)) == {int}:
        return array("d", perfs).tobytes()
    if max(fidelities) >= _MOST_EXACT or any(isinstance(one, float) and one % 1 == 0 for one in fidelities):
        return tuple(reports)
    return array("d", fidelities + perfs).tobytes(), len(fidelities)


def _unpacked_reports(packed: Any) -> tuple[tuple[float, Perf], ...]:
    """Return the reports that :func:`_packed_reports` was given."""
    if not packed:
        return ()
    if type(packed) is bytes:
        return tuple(enumerate(memoryview(packed).cast("d").tolist(), start=1))
    if type(packed[0]) is not bytes:
        return packed  # type: ignore[no-any-return]
    numbers: Sequence[float] = memoryview(packed[0]).cast("d").tolist()
    n = packed[1]
    fidelities = [int(one) if one.is_integer() else one for one in numbers[:n]]
    return tuple(zip(fidelities, numbers[n:], strict=True))


class TrialList(Sequence[Trial]):
    """A list of trials, the newest as they are and the others packed: a look at one of those makes it anew.

    A place may be kept for a trial that has not ended; whoever looks at it before finds None.

    Args:
        trials: What it begins with.
        recent: How many of the newest stay as they are; None is RECENT.

    Example:
        >>> trials = TrialList(recent=1)
        >>> for number in range(3):
        ...     trials.append(Trial(number, {"x": 0.5}))
        >>> trials[0] == Trial(0, {"x": 0.5}), trials[2] is trials[2]
        (True, True)
    """

    __slots__ = ("_items", "_recent")

    def __init__(self, trials: Iterable[Trial | None] = (), *, recent: int | None = None) -> None:
        self._items: list[Any] = []
        self._recent = RECENT if recent is None else recent
        for trial in trials:
            self.append(trial)

    def append(self, trial: Trial | None) -> None:
        """Add a trial; None keeps a place for one."""
        items = self._items
        items.append(trial)
        place = len(items) - 1 - self._recent
        if place >= 0:
            self._pack(place)

    def __setitem__(self, place: int, trial: Trial) -> None:
        """Put a trial at a place that there is."""
        self._items[place] = trial
        if place < len(self._items) - self._recent:
            self._pack(place)

    def _pack(self, place: int) -> None:
        trial = self._items[place]
        if trial is not None and type(trial) is not bytes:
            packed = pack(trial)
            if packed is not None:
                self._items[place] = packed

    def pop(self) -> Trial:
        """Remove the last trial, and return it."""
        item = self._items.pop()
        return unpack(item) if type(item) is bytes else item

    def clear(self) -> None:
        """Remove all."""
        self._items.clear()

    def copy(self) -> TrialList:
        """Return a list of the same trials, to which others can be added."""
        made = TrialList(recent=self._recent)
        made._items = self._items.copy()
        return made

    @property
    def is_long(self) -> bool:
        """Whether there are more than stay as they are."""
        return len(self._items) > self._recent

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        item: Any = self._items[index]
        if isinstance(index, slice):
            return [unpack(one) if type(one) is bytes else one for one in item]
        return unpack(item) if type(item) is bytes else item

    def __iter__(self) -> Iterator[Trial]:
        for item in self._items:
            yield unpack(item) if type(item) is bytes else item

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (TrialList, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave as trials: what is packed can only be read in this process."""
        return _restored, (list(self), self._recent)


def _restored(trials: list[Trial | None], recent: int) -> TrialList:
    return TrialList(trials, recent=recent)


class Costs(Sequence["float | None"]):
    """The cost of each finished trial, None where it is unknown; eight bytes each."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = array("d")

    def append(self, cost: float | None) -> None:
        """Add the cost of the next trial."""
        self._numbers.append(_UNKNOWN if cost is None else cost)

    def pop(self) -> float | None:
        """Remove the last cost, and return it."""
        return _known(self._numbers.pop())

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> float | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[float | None]: ...
    def __getitem__(self, index: int | slice) -> float | list[float | None] | None:
        if isinstance(index, slice):
            return list(map(_known, self._numbers[index]))
        return _known(self._numbers[index])

    def __iter__(self) -> Iterator[float | None]:
        return map(_known, self._numbers)


_UNKNOWN = float("nan")


def _known(number: float) -> float | None:
    return number if number == number else None  # noqa: PLR0124 - only NaN is not itself
