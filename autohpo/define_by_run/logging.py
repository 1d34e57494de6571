"""How much is said, under the names that define-by-run users know; the study itself is silent."""

from __future__ import annotations

import logging as _logging

__all__ = ["CRITICAL", "DEBUG", "ERROR", "INFO", "WARNING", "get_verbosity", "set_verbosity"]

CRITICAL, ERROR, WARNING, INFO, DEBUG = (
    *(_logging.CRITICAL, _logging.ERROR, _logging.WARNING),
    *(_logging.INFO, _logging.DEBUG),
)


def set_verbosity(verbosity: int) -> None:
    """Set the level of this library's messages."""
    _logging.getLogger("autohpo").setLevel(verbosity)


def get_verbosity() -> int:
    """Return the level of this library's messages."""
    return _logging.getLogger("autohpo").getEffectiveLevel()
