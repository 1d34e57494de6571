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


def test_a_reader_that_comes_before_the_first_note_of_a_driver_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written then is no torn end of a run whose count is lost."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.begin({"a": 1})
    counts, seen = [None, *[store._lock.count()] * 9], []
    monkeypatch.setattr("autohpo.store.lock.RunLock.count", lambda _: counts.pop(0))
    monkeypatch.setattr(opening, "check_whole", lambda *given, **_: seen.append(given[2]))
    reader = SQLiteStore(tmp_path / "run.db", read_only=True)
    assert reader.header == {"a": 1}
    assert [one is not None for one in seen] == [True]
    reader.close()
    store.close()
