"""Players: autohpo's algorithms, the rules written plainly, and rivals where they are installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from suite.fidelity.simulator import Player, Setting
from suite.fidelity.task import FidelityTask

PLAYERS = {  # name: module, class, and the installed package that is named as the version
    "plain-asha": ("plain", "ASHA", ""),
    "plain-random": ("plain", "Random", ""),
    "oracle-asha": ("plain", "OracleASHA", ""),
    "optuna": ("optuna", "TPE", "optuna"),
    "synetune": ("synetune", "SyneTune", "syne-tune"),
    "dehb": ("dehb", "DEHB", "dehb"),
    "smac": ("smac", "MultiFidelity", "smac"),
}


def make_player(name: str, task: FidelityTask, seed: int, setting: Setting, options: Mapping[str, Any]) -> Player:
    """A player; any name that is not in `PLAYERS` is that of an algorithm of autohpo.

    Raises:
        ImportError: Its library is not installed.
    """
    module, kind, _ = PLAYERS.get(name, ("ours", "", ""))
    found = importlib.import_module(f"suite.fidelity.players.{module}")
    if not kind:
        return found.Ours(name, task, seed, setting, options)
    return getattr(found, kind)(task, seed, setting, **options)


def version_of(name: str) -> str:
    """The installed version of the player's library; the empty string for a plain rule."""
    package = PLAYERS.get(name, ("", "", "autohpo"))[2]
    try:
        return f"{package} {importlib.metadata.version(package)}" if package else ""
    except importlib.metadata.PackageNotFoundError:  # run from its folder
        return package
