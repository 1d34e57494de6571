"""The exit codes of the command line, and which error ends with which."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
NO_STORE = 3
BUSY = 4
NO_RESULT = 5
NOT_READY = 6
COMPLETE = 7
DAMAGED = 8
STOP = 9
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FAILED: "it could not be done; standard error says why",
    USAGE: "the command line, an option or a configuration file is wrong",
    NO_STORE: "there is no such store, or no run in it",
    BUSY: "another process works on the run",
    NO_RESULT: "no trial has a result",
    NOT_READY: "ask: no suggestion now, but perhaps after the next result",
    COMPLETE: "ask: there will never be another suggestion",
    DAMAGED: "the store is damaged; see autohpo doctor and autohpo repair",
    STOP: "tell --report: the trial should end now",
    INTERRUPTED: "ended by Ctrl-C; 143 after SIGTERM, 129 after SIGHUP; everything is saved",
}
"""What each exit code means; the page on the command line has the same table."""

_BY_ERROR = {
    "RunBusyError": BUSY,
    "NoResultError": NO_RESULT,
    "NotReady": NOT_READY,
    "OptimizationComplete": COMPLETE,
    "StoreCorruptError": DAMAGED,
    "NoStoreError": NO_STORE,
    "NoRunError": NO_STORE,
    "UsageError": USAGE,
    "OptionError": USAGE,
    "SpaceError": USAGE,
    "RegistryError": USAGE,
}


def code_of(error: BaseException) -> int:
    """Return the exit code that an error ends a command with."""
    names = [cls.__name__ for cls in type(error).__mro__]
    return next((_BY_ERROR[name] for name in names if name in _BY_ERROR), FAILED)
