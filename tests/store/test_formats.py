"""Stores that earlier releases made: they open, read as a result, and go on to the very run of that release."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autohpo import ChoiceHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, TrialState, build_hpo_from_name
from autohpo.algorithms import registry
from autohpo.algorithms.options import options_of
from autohpo.errors import StoreCorruptError, StoreError, StoreMismatchError
from autohpo.result import Result
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.sqlite import FORMAT, _crc
from autohpo.version import __version__

FIXTURES = Path(__file__).parent / "fixtures" / "v0.1"
SPACE = SearchSpace(
    [
        LogRangeHP("lr", 1e-4, 1e-1),
        RangeHP("hops", 1, 8),
        ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
        OrdinalHP("width", [16, 32, 64]),
    ]
)


def value(hps: dict[str, Any]) -> float:
    """What the scripts of the fixtures measured."""
    return float(-((math.log10(hps["lr"]) + 2.3) ** 2) - 0.05 * (hps["hops"] - 3) ** 2 + 0.3 * hps.get("momentum", 0.5))


def plain(hps: dict[str, Any]) -> float:
    """An objective that fails now and then."""
    if hps["hops"] == 8:
        raise ValueError("eight")
    return value(hps)


def epochs(hps: dict[str, Any]) -> Iterator[float]:
    """An objective with nine rungs."""
    for epoch in range(1, 10):
        yield value(hps) * (1 + 1 / epoch)


def two(hps: dict[str, Any]) -> dict[str, float]:
    """Two objectives."""
    return {"good": value(hps), "size": hps["width"] * hps["hops"]}


RUNS: dict[str, tuple[str, dict[str, Any], Callable[..., Any], int, int]] = {
    "tpe": ("tpe", {}, plain, 30, 42),
    "bohb": ("bohb", {"min_fidelity": 1, "max_fidelity": 9}, epochs, 30, 42),
    "random_killed": ("random", {}, plain, 15, 20),
    "two_objectives": ("motpe", {"mode": {"good": "max", "size": "min"}}, two, 30, 42),
}
"""For each fixture the algorithm, options, objective, trials in the store, and trials of the whole run."""


@pytest.fixture(params=sorted(RUNS))
def name(request: pytest.FixtureRequest) -> str:
    """A fixture."""
    return str(request.param)


@pytest.fixture
def path(name: str, tmp_path: Path) -> Path:
    """A copy of it, with the write-ahead log of a killed run."""
    for file in FIXTURES.glob(f"{name}.db*"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / f"{name}.db"


def whole_run(name: str) -> list[dict[str, Any]]:
    """Suggestions and results of the same run in one go, by the release that made the fixture."""
    return json.loads((FIXTURES / f"{name}.json").read_text())  # type: ignore[no-any-return]


def is_close(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same, but for the last bits of floats that other processors may give."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(is_close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9)
    return type(a) is type(b) and a == b


def expect_log(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Passes a log that says what another one says; it may say more of a trial: its cost, and why it was promoted."""
    assert [(one["kind"], one["trial"]) for one in got] == [(one["kind"], one["trial"]) for one in wanted]
    for mine, theirs in zip(got, wanted, strict=True):
        common = {key: mine[key] for key in theirs}
        if "info" in theirs:
            common["info"] = {key: mine["info"][key] for key in theirs["info"]}
        assert is_close(common, theirs), (mine, theirs)


def log_of(path: Path) -> list[dict[str, Any]]:
    """The suggestions and ends in a store."""
    with closing(SQLiteStore(path, read_only=True)) as store:
        return [{"kind": e.kind, "trial": e.trial, **e.data} for e in store.events() if e.kind in ("ask", "end")]


def format_of(path: Path) -> int:
    """The number of the format that a file says it has."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def resume(name: str, path: Path, n: int) -> None:
    """Runs the same command as the script of the fixture."""
    algorithm, options, objective, _, _ = RUNS[name]
    hpo = build_hpo_from_name(algorithm, SPACE, objective, max_evals=n, seed=3, **options)
    hpo.optimize(store=path, progress=False, continue_on_error=True)


def test_a_store_of_an_earlier_release_reads_as_a_result(name: str, path: Path) -> None:
    """With all its trials, states and values; reading leaves the file as it is."""
    before = path.read_bytes()
    result = Result.load(path)
    wanted = [event for event in whole_run(name) if event["trial"] < RUNS[name][3]]
    ends = {event["trial"]: event for event in wanted if event["kind"] == "end"}
    assert len(result) == RUNS[name][3]
    n_open = 0
    for trial, ask in zip(result, (event for event in wanted if event["kind"] == "ask"), strict=True):
        assert SPACE.to_json(trial.hp) == ask["hp"]
        if trial.state is TrialState.RUNNING:
            n_open += 1
            continue
        end = ends[trial.number]
        perfs = [] if end["perf"] is None else end["perf"] if isinstance(end["perf"], list) else [end["perf"]]
        assert (trial.state.value, list(trial.perfs)) == (end["state"], perfs)
    assert n_open == (1 if name == "random_killed" else 0)
    assert (path.read_bytes(), format_of(path)) == (before, 1)


def test_a_store_of_an_earlier_release_goes_on_to_the_very_run_of_that_release(name: str, path: Path) -> None:
    """The same suggestions and results as if it had run in one go, and the file says that it has the newer format."""
    resume(name, path, RUNS[name][4])
    expect_log(log_of(path), whole_run(name))
    assert format_of(path) == FORMAT
    assert len(Result.load(path)) == RUNS[name][4]


def test_a_store_is_marked_when_a_driver_first_writes_to_it(tmp_path: Path) -> None:
    """Not when it is opened; and a commit that is taken back takes the mark back."""
    path = tmp_path / "tpe.db"
    shutil.copy(FIXTURES / "tpe.db", path)
    store = SQLiteStore(path)
    store.open()
    assert format_of(path) == 1
    with pytest.raises(StoreError):
        store.append([LogEvent("ask", 0, 0, {}, 1.0)])  # a second one
    assert format_of(path) == 1
    store.append([LogEvent("late", 0, 1, {"state": "COMPLETE", "perf": 1.0}, 1.0)])
    assert format_of(path) == FORMAT
    store.close()


@pytest.fixture(params=["closed", "killed"])
def newer(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store that a newer release closed in order, or left with its write-ahead log."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.begin({"algorithm": "tpe"})
    store._db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    folder = tmp_path / "newer"
    if request.param == "killed":
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("newer", "*.lock", "*-shm"))
    store.close()
    if request.param == "closed":
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("newer", "*.lock"))
    return folder / "run.db"


def test_a_newer_format_is_refused_with_both_numbers_and_left_alone(newer: Path) -> None:
    """An old release must not misread what a newer one wrote, nor mark it; and the file is not damaged."""
    for read_only in (True, False):
        with pytest.raises(StoreError) as caught:
            SQLiteStore(newer, read_only=read_only).open()
        assert f"has format {FORMAT + 1}, of a newer autohpo" in str(caught.value)
        assert f"this one, {__version__}, reads formats up to {FORMAT}" in str(caught.value)
        assert not isinstance(caught.value, StoreCorruptError)
    assert format_of(newer) == FORMAT + 1


def test_a_format_that_never_was_is_damage(tmp_path: Path) -> None:
    """Formats begin at 1."""
    path = tmp_path / "tpe.db"
    shutil.copy(FIXTURES / "tpe.db", path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
    with pytest.raises(StoreCorruptError, match="has format 0, which does not exist"):
        SQLiteStore(path).open()


# Headers of releases with other options and names.

OF_ALL = ("seed", "mode", "max_evals", "points", "noise", "stop_hopeless")  # options of every algorithm


def change_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Makes the header say something else, as another release might have written it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        header = json.loads(db.execute("SELECT data FROM header").fetchone()[0])
        change(header)
        text = json.dumps(header)
        db.execute("UPDATE header SET data = ?, crc = ?", (text, _crc(text)))


@pytest.fixture
def tpe(tmp_path: Path) -> Path:
    """A store of tpe."""
    path = tmp_path / "tpe.db"
    shutil.copy(FIXTURES / "tpe.db", path)
    return path


def test_an_option_that_the_release_of_a_store_did_not_know_is_no_mismatch_at_its_default(tpe: Path) -> None:
    """The run went without it; where it has another value than its default, it would go another way."""
    hpo = build_hpo_from_name("tpe", SPACE, plain, seed=3)
    option = next(name for name in options_of(hpo) if name not in OF_ALL)
    change_header(tpe, lambda header: header["options"].pop(option))
    resume("tpe", tpe, 32)
    assert len(Result.load(tpe)) == 32
    changed = {option: options_of(hpo)[option] + 1}
    other = build_hpo_from_name("tpe", SPACE, plain, max_evals=34, seed=3, **changed)
    with pytest.raises(StoreMismatchError, match=f"options.{option}: the store has nothing"):
        other.optimize(store=tpe, progress=False)


def test_an_option_that_is_gone_is_a_mismatch(tpe: Path) -> None:
    """What it did is not known any more."""
    change_header(tpe, lambda header: header["options"].update(magic=7))
    with pytest.raises(StoreMismatchError, match=r"options\.magic: the store has 7, here it is nothing"):
        resume("tpe", tpe, 32)


def test_an_algorithm_that_has_another_name_by_now_is_the_same(tpe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry says which class a name means; a name of another class is a mismatch."""
    change_header(tpe, lambda header: header.update(algorithm="parzen_tree"))
    with pytest.raises(StoreMismatchError, match="algorithm: the store has 'parzen_tree', here it is 'tpe'"):
        resume("tpe", tpe, 32)
    monkeypatch.setitem(registry._REGISTERED, "parzen_tree", registry.get_hpo("tpe"))
    resume("tpe", tpe, 32)
    assert len(Result.load(tpe)) == 32
