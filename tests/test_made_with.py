"""What a resumed run says: how many trials it took over, and what has changed since it was begun."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import StoreWarning
from autohpo.made_with import MOST_BYTES, changes, made_with
from autohpo.store import SQLiteStore

SPACE = [RangeHP("x", 0.0, 1.0)]


def scaled(scale: Any) -> Any:
    """An objective that closes over a value."""

    def f(hp: dict[str, float], dataset: Any = None) -> float:
        return hp["x"] * float(np.sum(scale))

    return f


def search(path: Path, f: Any, n: int, dataset: Any = None) -> list[str]:
    """Run or go on with a search; return what it warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0).optimize(None, dataset, store=path, progress=False)
    return [str(one.message) for one in said if issubclass(one.category, StoreWarning)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (scaled(1), scaled(100)),
        (scaled([1, 2]), scaled([1, 3])),
        (scaled(np.arange(3.0)), scaled(np.arange(4.0))),
        (lambda hp: hp["x"], lambda hp: -hp["x"]),
        (functools.partial(scaled(1), dataset=1), functools.partial(scaled(1), dataset=2)),
    ],
    ids=["number", "list", "array", "code", "partial"],
)
def test_a_run_whose_objective_has_changed_is_a_warning_that_says_so(tmp_path: Path, before: Any, after: Any) -> None:
    """Its code, or the values it closes over; the same one again is none, and results are taken over as they are."""
    path = tmp_path / "run.db"
    assert search(path, before, 3) == []
    assert search(path, before, 4) == []
    (said,) = search(path, after, 5)
    assert (
        f"{path} was begun with something else: f (its code, its command, or a value it closes over) has changed"
        in said
    )
    assert "the results of its 4 trials are taken over as they are" in said


def test_a_changed_dataset_is_named(tmp_path: Path) -> None:
    """Where it is small and of plain parts; of others nothing is known, and nothing said."""
    path, f = tmp_path / "run.db", scaled(1)
    assert search(path, f, 3, dataset={"x": np.zeros(5)}) == []
    assert search(path, f, 4, dataset={"x": np.zeros(5)}) == []
    (said,) = search(path, f, 5, dataset={"x": np.ones(5)})
    assert "dataset (its values) has changed" in said
    assert "dataset" not in made_with(f, np.zeros(MOST_BYTES // 8 + 1))
    assert "dataset" not in made_with(f, object())
    assert search(path, f, 6, dataset=iter([])) == []


def test_an_objective_that_keeps_what_it_saw_is_the_same_in_its_next_search(tmp_path: Path) -> None:
    """In one process: the list that it closes over has grown, but nobody has changed the function."""
    calls: list[float] = []

    def f(hp: dict[str, float]) -> float:
        calls.append(hp["x"])
        return hp["x"]

    for n in (2, 4):
        assert search(tmp_path / "run.db", f, n) == []
    assert len(calls) == 4


def test_versions_are_compared_where_both_are_known() -> None:
    """A store of an older release says nothing of them."""
    now = made_with()
    assert {"python", "autohpo", "numpy", "scipy"} == set(now)
    assert changes(now, now) == changes({}, now) == []
    assert changes({**now, "numpy": "1.2.3"}, now) == [f"numpy was 1.2.3 and is {now['numpy']}"]
    assert changes({"f": "all:cpython-310:aa"}, {"f": "all:cpython-311:bb"}) == []  # compiled by another Python
    assert changes({"f": "code:cpython-311:aa"}, {"f": "all:cpython-311:bb"}) == []  # of other parts of it
    assert changes({"f": 3}, {"f": "all:aa"}) == []


def test_a_resumed_run_says_how_many_trials_it_took_over_and_from_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the log, and as a line of the progress; a new run does not."""
    caplog.set_level(logging.INFO, "autohpo")
    for n in (3, 5):
        hpo = build_hpo_from_name("random", SPACE, lambda hp: hp["x"], max_evals=n, seed=0)
        hpo.optimize(store=tmp_path / "run.db", progress="plain")
    text = f"resumed from {tmp_path / 'run.db'}: 3 trials were taken over, 3 of them with a result"
    assert [m for m in caplog.messages if "resumed" in m] == [text]
    assert capsys.readouterr().err.count(f"autohpo: {text}") == 1


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    """Whatever the hash seed."""
    code = "from autohpo.made_with import made_with\nk = {'a', 'b', 'c'}\ndef make(k): return lambda hp: hp in k\n"
    code += "print(made_with(make(k), [1, 'x'])['f'])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1
    assert next(iter(found)).startswith("all:")


def test_the_store_keeps_what_a_run_was_begun_with(tmp_path: Path) -> None:
    """Once: a run that goes on with something else is warned each time."""
    search(tmp_path / "run.db", scaled(1), 2)
    search(tmp_path / "run.db", scaled(2), 3)
    with closing(SQLiteStore(tmp_path / "run.db", read_only=True)) as store:
        assert store.header is not None
        assert store.header["made_with"] == made_with(scaled(1))
