"""Stores by path and URL: which store a name opens, and which names are none."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from autohpo import OptionError, RangeHP, StoreError, build_hpo_from_name
from autohpo.result import Result
from autohpo.store import LogEvent, MemoryStore, SQLiteStore, open_store

Url = str | os.PathLike[str]


def search(store: Url, n: int = 3, name: str = "") -> list[float | None]:
    """Run a small search, and return the values of x it tried."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=n, seed=0)
    hpo.optimize(store=store, name=name, progress=False)
    assert hpo.result is not None
    assert hpo.result.name == (Result.load(store).name if store != "memory:" else name)
    return [trial.perf for trial in hpo.result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def urls(folder: Path) -> list[Url]:
    """All ways to name one file."""
    path = folder / "run.db"
    return ["run.db", "./run.db", Path("run.db"), path, str(path), "sqlite:///run.db", f"sqlite:///{path}"]


def test_every_name_of_a_file_opens_that_file(folder: Path) -> None:
    """A path as text or object, and a URL with a relative or an absolute path."""
    for url in urls(folder):
        store = open_store(url)
        assert isinstance(store, SQLiteStore)
        assert store.path == (folder / "run.db").resolve(), url


def test_a_search_goes_on_and_reads_under_every_name_of_its_store(folder: Path) -> None:
    """One run: each call finds what the calls before it left."""
    found = search("run.db", 10)
    (folder / "run.db").unlink()
    for n, url in enumerate(urls(folder), start=1):
        assert search(url, n) == found[:n]
        assert [trial.perf for trial in Result.load(url)] == found[:n]
    beside = {"run.db", "run.db.lock", "run.db-wal", "run.db-shm"}  # readers leave the last two
    assert {path.name for path in folder.iterdir()} <= beside


def test_memory_is_a_store_of_this_process_alone(folder: Path) -> None:
    """It leaves no file, and each is a new one."""
    assert isinstance(open_store("memory:"), MemoryStore)
    assert open_store("memory:") is not open_store("memory:")
    search("memory:")
    assert list(folder.iterdir()) == []
    with pytest.raises(StoreError, match="MemoryStore holds no run yet"):
        Result.load("memory:")


def test_a_store_that_is_only_read_needs_no_lock(folder: Path) -> None:
    """It sees what a driver has written, and cannot write."""
    driver = open_store("run.db")
    driver.open()
    driver.append([LogEvent("ask", 0, 0, {}, 1.0)])
    reader = open_store("sqlite:///run.db", read_only=True)
    assert [event.kind for event in reader.events()] == ["ask"]
    with pytest.raises(StoreError, match="read only"):
        reader.open()
    reader.close()
    driver.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://host/lab/runs",
        "postgresql:run.db",
        "sqlite://run.db",
        "sqlite:run.db",
        "sqlite:///",
        "sqlite:///run.db?timeout=3",
        "sqlite://",
        "http://host/run.db",
        "memory://",
        "file:run.db",
    ],
)
def test_a_url_of_another_kind_is_refused_with_those_there_are(folder: Path, url: str) -> None:
    """Before any file is made."""
    with pytest.raises(
        OptionError, match=r"must be a path, 'sqlite:///path', 'postgresql://.*' or 'memory:', got"
    ) as caught:
        search(url)
    assert repr(url) in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_url_of_another_kind_is_told_what_was_probably_meant(folder: Path) -> None:
    """Spellings of other libraries, and slips."""
    for url, meant in [
        ("sqlite://run.db", "'sqlite:///run.db'"),
        ("sqlite:run.db", "'sqlite:///run.db'"),
        ("sqlite+pysqlite:///run.db", "'sqlite:///run.db'"),
        ("file:run.db?mode=ro", "'sqlite:///run.db'"),
        ("sqlite://", "'memory:'"),
        ("memory://", "'memory:'"),
        ("postgresql+psycopg://host/lab/runs", "'postgresql://user@host/database/study'"),
        ("mysql://host/runs", "one file on a local disk"),
        ("odd:run.db", "'./odd:run.db'"),
    ]:
        with pytest.raises(OptionError) as caught:
            open_store(url)
        assert meant in str(caught.value), url
    for path in ("run\0.db", Path("run\0.db")):
        with pytest.raises(OptionError, match="NUL character"):
            open_store(path)


def test_a_file_whose_name_looks_like_a_url_opens(folder: Path) -> None:
    """A path object is a path, and so is the text of a file that is there."""
    for url in (Path("odd:run.db"), "odd:run.db"):
        assert len(search(url)) == 3
    assert (folder / "odd:run.db").is_file()


@pytest.mark.parametrize("what", [5, None, [], b"run.db"], ids=repr)
def test_what_is_neither_path_nor_url_is_refused(what: object) -> None:
    """With its type in the text."""
    with pytest.raises(
        OptionError, match=f"must be a path or a URL, got {None if what is None else type(what).__name__}"
    ):
        open_store(what)  # type: ignore[arg-type]


def test_a_folder_is_refused_with_a_name_that_would_do(folder: Path) -> None:
    """Whether it is to be read or written, and nothing is made beside it."""
    (folder / "runs").mkdir()
    wanted = folder.resolve() / "runs" / "run.db"
    for url in ("runs", Path("runs"), "sqlite:///runs", "runs/", "runs/."):
        for read_only in (True, False):
            with pytest.raises(StoreError, match=r"is a folder; name a file in it, such as .*run\.db") as caught:
                open_store(url, read_only=read_only)
            assert str(wanted) in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["runs"]


def test_a_run_keeps_its_name(folder: Path) -> None:
    """The name is in the header and in the result; it says nothing about which run it is, so another one may resume."""
    search("run.db", 2, name="first try")
    assert Result.load("run.db").name == "first try"
    found = search("run.db", 4, name="second try")
    assert len(found) == 4
    assert Result.load("run.db").name == "first try"
    with closing(SQLiteStore("run.db", read_only=True)) as store:
        assert store.header is not None
        assert store.header["name"] == "first try"
