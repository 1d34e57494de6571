"""What a command is given for one trial: the values of its placeholders, its environment and its files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autohpo.commands.template import RESERVED
from autohpo.commands.words import json_of, word_of
from autohpo.trial import whole
from autohpo.trial_handle import TrialHandle

MAX_VARIABLE_BYTES = 100_000
"""The longest configuration that goes into a variable: Linux takes 128 kB."""


@dataclass
class Given:
    """The values of a trial, by the names of placeholders.

    Attributes:
        hp: The configuration.
        trial: The trial.
        fidelity: What the trial gets; None means full, and nothing says how much that is.
        folder: The checkpoint folder of the training.
        result_file: The file of results, once it is known.
        files: The files that were made for this trial.
    """

    hp: Mapping[str, Any]
    trial: TrialHandle
    fidelity: float | None
    folder: str
    result_file: str | None = None
    files: list[Path] = field(default_factory=list)

    def lookup(self, name: str) -> str | None:
        """Return the value of a placeholder as a word; None where it has none in this configuration."""
        if name in self.hp:
            return word_of(name, self.hp[name])
        found = getattr(self, f"_{name}", None) if name in _OWN else None
        return None if found is None else found()

    def args(self, named: set[str]) -> list[tuple[str, str]]:
        """Return the names and values of the parameters that a command does not name."""
        return [(name, word_of(name, value)) for name, value in self.hp.items() if name not in named]

    def variables(self) -> dict[str, str]:
        """Return the variables that every command gets."""
        found = {
            "AUTOHPO_TRIAL": str(self.trial.number),
            "AUTOHPO_SEED": str(self.trial.seed),
            "AUTOHPO_CHECKPOINT_DIR": self.folder,
            "PYTHONUNBUFFERED": "1",  # lines come when they are printed, not when the program ends
        }
        if self.fidelity is not None:
            found["AUTOHPO_FIDELITY"] = word_of("fidelity", whole(self.fidelity))
        config = json_of(self.hp)
        if len(config.encode()) <= MAX_VARIABLE_BYTES:
            found["AUTOHPO_CONFIG"] = config
        return found

    def remove_files(self) -> None:
        """Remove the files that were made for this trial, and the folder where the command left it empty."""
        for path in self.files:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something is in it, or it is gone
            os.rmdir(self.folder)  # noqa: PTH106

    def _fidelity(self) -> str | None:
        return None if self.fidelity is None else word_of("fidelity", whole(self.fidelity))

    def _seed(self) -> str:
        return str(self.trial.seed)

    def _trial(self) -> str:
        return str(self.trial.number)

    def _slot(self) -> str:
        return str(self.trial.slot)

    def _checkpoint_dir(self) -> str:
        return self.folder

    def _device(self) -> str | None:
        return self.trial.device

    def _python(self) -> str:
        return sys.executable

    def _json(self) -> str:
        return json_of(self.hp)

    def _result_file(self) -> str | None:
        return self.result_file

    def _config_file(self) -> str:
        path = Path(self.folder) / f"autohpo-trial-{self.trial.number}.json"
        if path not in self.files:
            path.write_text(json_of(self.hp), encoding="utf-8")
            self.files.append(path)
        return str(path)


_OWN = frozenset(RESERVED) - {"args"}
