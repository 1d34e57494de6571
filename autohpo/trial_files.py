"""The files of a run's trials: their checkpoints, and what they printed."""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autohpo.arguments import checked_index
from autohpo.errors import OptionError, shown
from autohpo.folders import checkpoint_dir
from autohpo.outputs import read_output
from autohpo.shared_storage import SharedFolder, is_url
from autohpo.store import Store
from autohpo.trial import Trial


def files_of(store: Store) -> dict[str, Any]:
    """Return what a result says of where the files of its trials are."""
    return {"files": store.files, "checkpoints": str((store.header or {}).get("checkpoints", ""))}


class TrialFiles:
    """What a result says of files; a base of :class:`autohpo.Result`."""

    trials: Sequence[Trial]
    files: Path | None
    checkpoints: str

    @abstractmethod
    def _trial(self, number: int) -> Trial:
        """The trial of a number; below 0 a confirming one.

        Raises:
            OptionError: There is none.
        """

    def checkpoint_dir(self, number: int) -> Path | None:
        """Return the checkpoint folder of a trial's training; None where there is none, or none any more.

        It is None, too, where checkpoints are kept under a URL: see :meth:`fetch_checkpoint`.

        Args:
            number: The number of the trial.

        Raises:
            OptionError: There is no such trial.
        """
        root = self._root_of(number)
        files = Path(self.checkpoints) if self.checkpoints and not is_url(self.checkpoints) else self.files
        if files is None or is_url(self.checkpoints):
            return None
        folder = checkpoint_dir(files, root)
        return folder if folder.is_dir() else None

    def fetch_checkpoint(self, number: int, folder: str | os.PathLike[str]) -> Path:
        """Copy the checkpoint of a trial's training into a folder of this machine, wherever it is kept.

        Args:
            number: The number of the trial.
            folder: The folder; it is made, or must be empty.

        Returns:
            The folder.

        Raises:
            OptionError: There is no such trial, it left no checkpoint, or `folder` is not empty.
            CheckpointError: The storage that has it does not answer.
            MissingExtraError: It is kept under a URL, and fsspec is not installed.
        """
        if not isinstance(folder, (str, os.PathLike)):
            raise OptionError(f"folder: must be a path, got {shown(folder)}")
        root, target = self._root_of(number), Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OptionError(f"folder: must be empty, or not there yet, got {target}")
        source = self.checkpoint_dir(number)
        if source is not None:
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif is_url(self.checkpoints):
            target.mkdir(parents=True, exist_ok=True)
            SharedFolder(f"{self.checkpoints.rstrip('/')}/trial-{root}").fetch(target)
        if not target.is_dir() or not any(target.iterdir()):
            raise OptionError(f"number: trial {number} has left no checkpoint, or has none any more")
        return target

    def _root_of(self, number: int) -> int:
        """The number of the first trial of a training."""
        trial = self._trial(number)
        while trial.resume is not None:
            trial = self.trials[trial.resume]
        return trial.number

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
