"""Rooms: where a row of the register runs, and how large."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Room:
    """An empty folder, and how much is to happen in it.

    Attributes:
        folder: The folder.
        n: How often it is to happen, in the unit of the row.
        is_long: Whether this is the long form.
        plant: The fault that is planted, for the processes that a row starts; see :mod:`planted`.
        algorithms: The algorithms to try, where a row has a choice; empty is its own choice.
        lateness: Seconds that anything may come late because the machine has other things to do.
    """

    folder: Path
    n: int
    is_long: bool = False
    plant: str = ""
    algorithms: tuple[str, ...] = ()
    lateness: float = 1.0

    @property
    def hog_bytes(self) -> int:
        """The memory that a hog takes: 2 GB, or less in the short form."""
        return 2_000_000_000 if self.is_long else 800_000_000

    def below(self, name: str) -> Room:
        """Return the same in a folder below."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return Room(folder, self.n, self.is_long, self.plant, self.algorithms, self.lateness)
