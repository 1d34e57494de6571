"""A trial that processes started by its own can report to."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from autohpo.errors import InvalidPerfError, OptionError
from autohpo.trial_handle import TrialHandle

__all__ = ["Relay"]


class Relay:
    """Reports of a trial: in its own process at once, in a child through a pipe that a thread of the parent reads.

    Args:
        trial: The trial.
        from_children: Whether children will report; else there is neither pipe nor thread.
    """

    def __init__(self, trial: TrialHandle, *, from_children: bool) -> None:
        self._trial: TrialHandle | None = trial
        self._home = os.getpid()
        self._line: Connection | None = None
        if from_children:
            ours, self._line = Pipe()
            threading.Thread(target=_serve, args=(ours, trial), name="autohpo-relay", daemon=True).start()

    def report(self, perf: object, fidelity: float, metrics: Mapping[str, object] | None = None) -> bool:
        """Report to the search; return whether the training should go on.

        Args:
            perf: The result so far.
            fidelity: How much training is done.
            metrics: Further numbers by name.

        Raises:
            InvalidPerfError: `perf` is not one finite number.
            OptionError: This is a child, and none was said to report.
        """
        if self._trial is not None and os.getpid() == self._home:
            return self._trial.report(perf, fidelity, metrics=metrics)
        if self._line is None:
            raise OptionError("from_children: must be True where the trainer starts processes, got False")
        self._line.send((perf, fidelity, metrics))
        answer = self._line.recv()
        if isinstance(answer, str):
            raise InvalidPerfError(answer)
        return bool(answer)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trial": None}  # the handle stays with its process


def _serve(line: Connection, trial: TrialHandle) -> None:
    """Hand reports of children on, until nobody has the other end."""
    while True:
        try:
            perf, fidelity, metrics = line.recv()
        except (EOFError, OSError):
            return
        answer: bool | str
        try:
            answer = trial.report(perf, fidelity, metrics=metrics)
        except Exception as error:  # it is raised again where the report came from
            answer = str(error)
        line.send(answer)
