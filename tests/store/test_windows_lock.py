"""The lock of a run on Windows, with functions of the system that record their calls and lock for real."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import RunBusyError
from autohpo.store import lock as lock_module
from autohpo.store import windows_files
from autohpo.store.lock import Count, RunLock, holder_of


class FakeMsvcrt(SimpleNamespace):
    """A module that locks one byte for one handle, as Windows does: also against others of the same process."""

    LK_UNLCK, LK_LOCK, LK_NBLCK = 0, 1, 2

    def __init__(self) -> None:
        super().__init__(calls=[])

    def locking(self, fd: int, mode: int, n_bytes: int) -> None:
        """Locks from where the file stands; a lock that is there is a PermissionError, as there."""
        self.calls.append((mode, os.lseek(fd, 0, os.SEEK_CUR), n_bytes))
        try:
            fcntl.flock(fd, fcntl.LOCK_UN if mode == self.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMsvcrt]:
    """The functions of Windows in place of ours."""
    found = FakeMsvcrt()
    monkeypatch.setitem(sys.modules, "msvcrt", found)  # type: ignore[arg-type]
    for name in ("lock", "locked_by", "read_at", "write_at"):
        monkeypatch.setattr(lock_module, f"_{name}", getattr(windows_files, name))
    return found


def forget(path: Any) -> None:
    """Make this process look like another one to the lock."""
    lock_module._HELD.pop(path, None)


def test_one_byte_far_behind_the_text_is_locked(system: FakeMsvcrt, tmp_path: Any) -> None:
    """Windows keeps others from reading what is locked: the text stays readable."""
    lock = RunLock(tmp_path / "run.db.lock")
    lock.acquire()
    assert system.calls == [(system.LK_NBLCK, 2**30, 1)]
    lock.note(Count(1, 2, 3))
    assert lock.count() == Count(1, 2, 3)
    assert (tmp_path / "run.db.lock").stat().st_size < 2**12
    lock.release()


def test_another_driver_is_refused_and_told_who_has_it(system: FakeMsvcrt, tmp_path: Any) -> None:
    """And it has it once the first one is gone."""
    path = tmp_path / "run.db.lock"
    first, second = RunLock(path), RunLock(path)
    first.acquire()
    forget(path)
    with pytest.raises(RunBusyError, match="is in use by process"):
        second.acquire()
    assert len(system.calls) == 1 + windows_files.N_TRIES
    holder = holder_of(path)
    assert holder is not None
    assert holder.is_here
    assert first._file is not None
    first._file.close()
    assert holder_of(path) is None
    second.acquire()
    second.release()


def test_a_look_leaves_it_unlocked(system: FakeMsvcrt, tmp_path: Any) -> None:
    """Nothing waits for the file to be closed."""
    path = tmp_path / "run.db.lock"
    path.write_bytes(b"")
    assert holder_of(path) is None
    assert [mode for mode, *_ in system.calls] == [system.LK_NBLCK, system.LK_UNLCK]


def test_a_driver_that_begins_while_somebody_looks_tries_again(
    system: FakeMsvcrt, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks has the file locked for a moment."""
    path = tmp_path / "run.db.lock"
    path.write_bytes(b"")
    with path.open("r+b", buffering=0) as look:
        windows_files._set(look, is_locked=True)  # type: ignore[arg-type]
        pauses = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            windows_files._set(look, is_locked=False)  # type: ignore[arg-type]

        monkeypatch.setattr("time.sleep", pause)
        lock = RunLock(path)
        lock.acquire()
        lock.release()
    assert len(pauses) == 1


def test_a_search_has_its_store_to_itself(system: FakeMsvcrt, tmp_path: Any) -> None:
    """All of a run, with a second driver in its middle."""
    store = tmp_path / "run.db"
    refused = []

    def f(hps: dict[str, Any]) -> float:
        if not refused:
            try:
                build_hpo_from_name("random", space, f, max_evals=1, seed=0).optimize(store=store, progress=False)
            except RunBusyError as error:
                refused.append(str(error))
        return float(hps["x"])

    space = [RangeHP("x", 0.0, 1.0)]
    for _ in range(2):
        hpo = build_hpo_from_name("random", space, f, max_evals=3, seed=0)
        hpo.optimize(store=store, progress=False)
    assert len(refused) == 1
    assert hpo.result.counts() == {"COMPLETE": 3}
    assert system.calls
