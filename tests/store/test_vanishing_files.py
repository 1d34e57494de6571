"""Files of a store that go between two looks: another process closed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autohpo.store import SQLiteStore, opening, wal


def test_a_write_ahead_log_that_goes_while_it_is_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that closes a store last removes it, at the moment when a driver looks at it."""
    path = tmp_path / "run.db"
    store = SQLiteStore(path)
    store.open()
    store.begin({"a": 1})
    log, kept = path.with_name("run.db-wal"), wal.read_frames

    def gone(place: Path) -> Iterator[wal.Frames]:
        place.rename(path.with_name("gone"))
        try:
            yield from kept(place)
        finally:
            path.with_name("gone").rename(place)

    assert wal.walk(log).n_frames > 0
    monkeypatch.setattr(wal, "read_frames", gone)
    assert wal.walk(log) == wal.WalState()
    store.close()


def test_a_file_that_goes_between_two_looks_has_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one look."""
    monkeypatch.setattr("pathlib.Path.exists", lambda _: True)
    assert opening.size_of(tmp_path / "none") == 0
    (tmp_path / "some").write_bytes(b"abc")
    assert opening.size_of(tmp_path / "some") == 3
