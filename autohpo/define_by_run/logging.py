"""How much is said, under the names that define-by-run users know; the study itself is silent."""

from __future__ import annotations

import logging as _logging

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "INFO",
    "WARN",
    "WARNING",
    "disable_default_handler",
    "disable_propagation",
    "enable_default_handler",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "set_verbosity",
]

CRITICAL, ERROR, WARNING, INFO, DEBUG = (
    *(_logging.CRITICAL, _logging.ERROR, _logging.WARNING),
    *(_logging.INFO, _logging.DEBUG),
)
WARN = WARNING

_ours = _logging.getLogger("autohpo")
_handler = _logging.StreamHandler()


def get_logger(name: str) -> _logging.Logger:
    """Return the logger of a name; this library's own for "optuna" and what is below it."""
    head, *rest = name.split(".")
    return _logging.getLogger(".".join(["autohpo", *rest]) if head == "optuna" else name)


def set_verbosity(verbosity: int) -> None:
    """Set the level of this library's messages."""
    _ours.setLevel(verbosity)


def get_verbosity() -> int:
    """Return the level of this library's messages."""
    return _ours.getEffectiveLevel()


def enable_default_handler() -> None:
    """Write this library's messages to the standard error stream."""
    _ours.addHandler(_handler)


def disable_default_handler() -> None:
    """Write this library's messages to the standard error stream no longer."""
    _ours.removeHandler(_handler)


def enable_propagation() -> None:
    """Hand this library's messages on to the root logger, as is so unless it was disabled."""
    _ours.propagate = True


def disable_propagation() -> None:
    """Hand this library's messages on to the root logger no longer."""
    _ours.propagate = False
