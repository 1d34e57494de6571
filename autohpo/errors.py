"""The errors of autohpo: one base, one class for each thing a caller may want to tell apart."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from enum import Enum


class AutoHPOError(Exception):
    """Base of every error that autohpo raises on purpose."""


class SpaceError(AutoHPOError, ValueError):
    """A parameter, a search space or a configuration breaks a rule; the text names parameter, rule, value."""


class OptionError(AutoHPOError, ValueError):
    """An option or argument breaks a rule; the text names argument, rule, value."""


class PathError(OptionError, OSError):
    """A file cannot be read or written under the path that was given; the text says why."""


class RegistryError(AutoHPOError, ValueError):
    """An algorithm's name is unknown, taken or broken."""


class SuggestionError(AutoHPOError, ValueError):
    """An algorithm returned something that is no configuration of its space; the text names the algorithm."""


class AlgorithmError(SuggestionError):
    """A hook of an algorithm raised; the text names both, and the cause is chained."""


class OptimizationComplete(AutoHPOError):  # noqa: N818 - a state of the search, not a fault
    """There is nothing left to suggest, and there never will be."""


class NotReady(AutoHPOError):  # noqa: N818 - a state of the search, not a fault
    """No suggestion now; after the next result there may be one."""


class InvalidPerfError(AutoHPOError, ValueError):
    """A performance is not one finite number."""


class MetricError(AutoHPOError, ValueError):
    """A job has no value of the metric that is its objective; the text lists the names that it reported."""


class CommandError(AutoHPOError):
    """A command failed, or printed no result; the text has the command, how it ended, and what it printed last."""


class EvaluationsError(AutoHPOError, ValueError):
    """Some of the results told were refused; every other one of the batch was taken.

    Attributes:
        refused: ``(suggestion, reason)`` for each result that was not taken.
    """

    def __init__(self, refused: Sequence[tuple[object, str]]) -> None:
        self.refused = list(refused)
        lines = "; ".join(f"{_label(suggestion)}: {reason}" for suggestion, reason in self.refused)
        n = len(self.refused)
        super().__init__(lines if n == 1 else f"{n} results were refused: {lines}")

    def __reduce__(self) -> tuple[type[EvaluationsError], tuple[list[tuple[object, str]]]]:
        """Pickles by its argument: the base class would hand the text to ``__init__``."""
        return type(self), (self.refused,)


def _label(suggestion: object) -> str:
    try:
        number = suggestion if isinstance(suggestion, int) else getattr(suggestion, "number", None)
    except Exception:  # an object that may raise whatever it is asked
        number = None
    return shown(suggestion) if number is None else f"trial {shown(number)}"


class CheckpointError(AutoHPOError):
    """Checkpoints cannot be read or saved where they are kept; the text says where, and why."""


class StoreError(AutoHPOError):
    """A store cannot be used."""


class NoRunError(StoreError):
    """There is no such store, or it holds no run yet."""


class StoreMismatchError(StoreError):
    """A store holds another run: the text shows what differs."""


class StoreCorruptError(StoreError):
    """A store's file is damaged or is no store of autohpo."""


class StoreFullError(StoreError):
    """The disk of a store is full, over its quota or failing, and stayed so; the text says what is not saved."""


class StoreLockedError(StoreError):
    """Another process kept a store's file locked for too long; the text says what is not saved."""


class StoreGoneError(StoreError):
    """A store's file was removed, moved or replaced while a driver wrote to it; the text says what is not saved."""


class StoreOfflineError(StoreError):
    """The server of a store cannot be reached, or lets nobody in; the text says what is not saved, if anything."""


class StoreWarning(UserWarning):
    """Something about a store that a user should know, though the search goes on."""


class RunBusyError(StoreError):
    """Another driver works on this run; the text says which, and since when."""


class DetachedError(AutoHPOError):
    """A driver that was started on its own ended before it had its store; the text has the end of its log.

    Args:
        text: What is to be said.
        code: The exit code of the driver; below 0 the signal that ended it.

    Attributes:
        code: The argument of that name.
    """

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)

    def __reduce__(self) -> tuple[type[DetachedError], tuple[str, int]]:
        """Pickle by the arguments."""
        return type(self), (str(self), self.code)


class FirstTrialError(AutoHPOError):
    """The first trial raised, or returned no number: the objective is probably wrong; the text has the reason."""


class FailuresError(AutoHPOError):
    """Too many trials in a row ended without a result; the text has the last error."""


class NoResultError(AutoHPOError):
    """The search ended, or was asked for its best, before any trial was complete."""


class NoResultYetError(NoResultError, AttributeError):
    """``hpo.result`` was asked for before ``optimize`` was called: there is no such attribute yet."""


class TrackerError(AutoHPOError):
    """A tracker could not be told everything; the text says why, and how far it got."""


class MissingExtraError(AutoHPOError, ImportError):
    """A package of an extra is not installed; the text names the extra."""


def short(value: object) -> str:
    """Return type and at most 80 characters of a value whose own ``repr`` may be huge or broken."""
    if value is None:
        return "None"
    cutter = reprlib.Repr()  # does not build the whole text of a huge list or string first
    cutter.maxstring = cutter.maxother = 80
    size = len(value) if isinstance(value, (bytes, bytearray)) else 0
    try:
        text = f"of {size} bytes" if size > 80 else cutter.repr(value)
    except Exception:  # a user's __repr__ may raise anything, and Python refuses to write huge integers
        text = f"of {value.bit_length()} bits" if isinstance(value, int) else "<no repr>"
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def text_of(value: object) -> str:
    """Return the ``repr`` of a value; where it has none, its type and what can be said of it."""
    try:
        return repr(value)
    except Exception:  # an integer of thousands of digits, or a user's __repr__, which may raise anything
        return short(value)


def shown(value: object, most: int = 80) -> str:
    """Return the ``repr`` of a value, cut to so many characters; it may be too large to have one, or be broken.

    The member of an enumeration is shown by its value, as users write it.
    """
    return str(value.value)[:most] if isinstance(value, Enum) else text_of(value)[:most]
