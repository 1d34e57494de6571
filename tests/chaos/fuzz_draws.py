"""Draws: where the cases of the fuzzer take their choices from, so that each can be made again, and made smaller.

A case is a function of a :class:`Draws` alone. Every choice is an integer below some bound; the integers are kept. A
case that was made of some is made again of the same, and :func:`shrunk` looks for fewer and smaller ones that end in
the same fault. Hypothesis may take the place of the generator: see ``test_fuzz.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from autohpo.errors import AutoHPOError

T = TypeVar("T")

MOST_TEXT = 300  # characters of a value in a reproducer
MOST_TRIES = 250  # to make a fault smaller


class Draws:
    """Choices, and a record of what was called with them.

    Args:
        more: Returns the next choice, an integer of at least 0 and below its argument.
        kept: Choices to begin with; where they are used up the first of all possible ones is taken, if `more` is None.

    Attributes:
        made: The choices so far.
        said: The calls so far, in words.
        typed: How many of them raised an error of ours.
    """

    def __init__(self, more: Callable[[int], int] | None, kept: Sequence[int] = ()) -> None:
        self._more, self._kept = more, list(kept)
        self.made: list[int] = []
        self.said: list[str] = []
        self.typed = 0

    @classmethod
    def of(cls, seed: str) -> Draws:
        """The choices of a generator."""
        return cls(random.Random(seed).randrange)

    def index(self, n: int) -> int:
        """An integer below n."""
        place = len(self.made)
        is_kept = place < len(self._kept)
        found = min(self._kept[place], n - 1) if is_kept else 0 if self._more is None else self._more(n)
        self.made.append(found)
        return found

    def of_all(self, values: Sequence[T]) -> T:
        """One of some values; the first is the plainest."""
        return values[self.index(len(values))]

    def chance(self, percent: int) -> bool:
        """Whether something happens."""
        return self.index(100) >= 100 - percent

    def some(self, values: Sequence[T], most: int) -> list[T]:
        """Some of the values, perhaps one twice."""
        return [self.of_all(values) for _ in range(self.index(most + 1))]

    def call(self, what: str, f: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Return what a call returns; None where it raises an error of ours, which must have a text."""
        words = [safe(value) for value in args] + [f"{name}={safe(value)}" for name, value in named.items()]
        self.said.append(f"{what}({', '.join(words)})"[: 5 * MOST_TEXT])
        try:
            return f(*args, **named)
        except AutoHPOError as error:
            self.typed += 1
            if not str(error).strip():
                raise RuntimeError("an error of ours says nothing") from error
            return None


def safe(value: object) -> str:
    """A value in words, whatever it is."""
    try:
        text = repr(value)
    except BaseException as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT // 2]}...{text[-MOST_TEXT // 3 :]}"


def shrunk(made: Sequence[int], is_same: Callable[[Sequence[int]], bool]) -> list[int]:
    """Return fewer or smaller choices that give the same fault.

    Args:
        made: The choices that gave it.
        is_same: Whether choices give it.
    """
    best, n_left = list(made), MOST_TRIES
    size = max(1, len(best) // 2)
    while size and n_left > 0:
        at = 0
        while at < len(best) and n_left > 0:
            for tried in (
                best[:at] + best[at + size :],
                best[:at] + [0] * len(best[at : at + size]) + best[at + size :],
            ):
                if tried != best and n_left > 0:
                    n_left -= 1
                    if is_same(tried):
                        best = tried
                        break
            else:
                at += size
        size //= 2
    while best and best[-1] == 0:
        best.pop()
    return best


def as_dict(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table whose keys may be given by name."""
    return {str(name): value for name, value in table.items()}
