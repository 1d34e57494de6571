"""The files of a run's trials: their checkpoints, and what they printed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from autohpo.arguments import checked_index
from autohpo.folders import checkpoint_dir
from autohpo.outputs import read_output
from autohpo.trial import Trial


class TrialFiles:
    """What a result says of files; a base of :class:`autohpo.Result`."""

    trials: Sequence[Trial]
    files: Path | None

    @abstractmethod
    def _trial(self, number: int) -> Trial:
        """The trial of a number; below 0 a confirming one.

        Raises:
            OptionError: There is none.
        """

    def checkpoint_dir(self, number: int) -> Path | None:
        """Return the checkpoint folder of a trial's training; None where there is none, or none any more.

        Args:
            number: The number of the trial.

        Raises:
            OptionError: There is no such trial.
        """
        trial = self._trial(number)
        while trial.resume is not None:
            trial = self.trials[trial.resume]
        folder = None if self.files is None else checkpoint_dir(self.files, trial.number)
        return folder if folder is not None and folder.is_dir() else None

    def output(self, number: int, attempt: int | None = None) -> str:
        """Return what a trial printed in its worker: all of it, or the first and the last megabyte.

        It is empty where the trial printed nothing, still runs, or ran in the driver's own process; and where so many
        trials printed so much that those that ended first were removed.

        Args:
            number: The number of the trial.
            attempt: Which start of the trial; None is the last one.

        Raises:
            OptionError: There is no such trial, or `attempt` is no integer.
        """
        trial = self._trial(number)
        wanted = trial.attempt if attempt is None else checked_index("attempt", attempt)
        return "" if self.files is None else read_output(self.files / "logs", trial.number, wanted)
