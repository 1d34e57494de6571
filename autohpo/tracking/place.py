"""Where a tracker got to in the log, kept beside the store."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from autohpo.store import MemoryStore, PostgresStore, Store

FOLDER = "trackers"
"""The folder, among the files of a store, that says how far each tracker got."""

_IN_MEMORY: WeakKeyDictionary[Store, dict[str, Place]] = WeakKeyDictionary()


@dataclass
class Place:
    """How far a tracker got.

    Attributes:
        id: The name of the run at the service.
        seq: The last event that the tracker has written.
        kept: What the tracker wants to know when it goes on.
    """

    id: str
    seq: int = 0
    kept: Mapping[str, Any] = field(default_factory=dict)


class Places:
    """The places of all trackers of a run.

    Args:
        store: The store of the run.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = None if isinstance(store, MemoryStore) else Path(store.files) / FOLDER

    def load(self, key: str) -> Place:
        """Return how far a tracker got; a new place where it has not begun.

        Raises:
            OSError: It cannot be read.
            ValueError: It is none that autohpo writes.
        """
        if self._folder is None:
            known = _IN_MEMORY.setdefault(self._store, {})
            return known.setdefault(key, Place(self._new_id()))
        try:
            said = json.loads(self._path(key).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Place(self._new_id())
        try:
            return Place(str(said["id"]), int(said["seq"]), dict(said["kept"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self._path(key)} is no place of a tracker; remove it to track the run anew") from error

    def save(self, key: str, place: Place) -> None:
        """Keep how far a tracker got.

        Raises:
            OSError: It cannot be written.
            TypeError: What the tracker wants to keep is not of JSON types.
        """
        if self._folder is None:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.{os.getpid()}.new")
        made.write_text(json.dumps(asdict(place)), encoding="utf-8")  # not synced: soon after `take`, or it comes again
        made.replace(path)

    def _new_id(self) -> str:
        """Return a name for the run: from any host the same, where the store can be reached from several."""
        if isinstance(self._store, PostgresStore):  # its folder has a random part, which is kept with the study
            return hashlib.sha256(self._store.files.name.encode()).hexdigest()[:16]
        return uuid.uuid4().hex[:16]

    def _path(self, key: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", key)[:80]
        digest = hashlib.sha256(key.encode()).hexdigest()[:6]
        return (self._folder or Path()) / f"{name}-{digest}.json"
