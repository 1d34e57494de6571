"""Stores that somebody else may have written: whole checksums, and rows and headers that autohpo never writes.

    python benchmarks/fuzz_store.py                 # 500 stores, each resumed, read, taken over from, and reported on
    python benchmarks/fuzz_store.py --stores 5000 --seed 7

Each store is a run of some algorithm in which up to three values were replaced, removed, moved or doubled, with the
checksum made anew. Whatever is done with it must work or raise an error of ours; anything else is printed.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import sqlite3
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from autohpo import AutoHPOError, ChoiceHP, ListHP, LogRangeHP, RangeHP, Result, build_hpo_from_name
from autohpo.report.html import write_html_from_store
from autohpo.store import check, repair
from autohpo.store.rows import crc_of

SPACE = [
    LogRangeHP("lr", 1e-4, 0.1),
    RangeHP("hops", 1, 8),
    ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
    ListHP("hidden", RangeHP("width", 4, 64), 3),
]
SLOW_SECONDS = 20.0
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, 1e-320, "", "x", "NaN", "1"),
    *([], {}, [1], ["x", None], {"x": 1}, {"": {}}, [[[]]], {"float": "nan"}, {"opaque": "f"}, {"tuple": 3}),
    *(
        "\0",
        "\x1b[31m",
        "<script>",
        "../../x",
        "x" * 70_000,
        list(range(3000)),
        {"kind": "RangeHP"},
        "COMPLETE",
        "LOST",
    ),
]
DEEP = 400
RAW = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "",
    "null",
    "[]",
    "{",
    "[" * 100_000,
    '{"a":' * 5000,
    "9" * 5000,
    "{},{}",
]


def plain(hps: dict[str, Any]) -> float:
    """An objective that fails now and then."""
    if hps["hops"] == 8:
        raise ValueError("eight")
    return float(hps["lr"] * hps["hops"])


def epochs(hps: dict[str, Any]) -> Iterator[float]:
    """An objective that trains."""
    for epoch in range(1, 10):
        yield float(hps["lr"] * epoch)


def two(hps: dict[str, Any]) -> dict[str, float]:
    """An objective of two parts."""
    return {"good": hps["lr"], "size": float(hps["hops"])}


RUNS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "random": (plain, {}),
    "tpe": (plain, {}),
    "bohb": (epochs, {"min_fidelity": 1, "max_fidelity": 9}),
    "asha": (epochs, {"min_fidelity": 1, "max_fidelity": 9}),
    "motpe": (two, {"mode": {"good": "max", "size": "min"}}),
    "regularized_evolution": (plain, {}),
}


def build(name: str, n: int, seed: int | None = 3) -> Any:
    """Return an optimizer of a run."""
    f, options = RUNS[name]
    return build_hpo_from_name(name, SPACE, f, max_evals=n, seed=seed, **options)


def paths_of(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values in JSON data."""
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += paths_of(value, (*path, key))
    return found


def changed(data: Any, draw: random.Random) -> Any:
    """Return JSON data in which one value is another, is missing, or is deep."""
    data = copy.deepcopy(data)
    paths = paths_of(data)
    if not paths or draw.random() < 0.05:
        return draw.choice(HOSTILE)
    *path, last = draw.choice(paths)
    at = data
    for key in path:
        at = at[key]
    kind = draw.random()
    if kind < 0.2:
        del at[last]
    elif kind < 0.25:
        deep: Any = 1
        for _ in range(DEEP):
            deep = [deep]
        at[last] = deep
    else:
        at[last] = copy.deepcopy(draw.choice(HOSTILE))
    return data


def damage(db: sqlite3.Connection, draw: random.Random) -> str:
    """Change one thing in a store, with checksums that hold, and say what."""
    if draw.random() < 0.25:
        text = db.execute("SELECT data FROM header").fetchone()[0]
        made = draw.choice(RAW) if draw.random() < 0.1 else json.dumps(changed(json.loads(text), draw))
        db.execute("UPDATE header SET data = ?, crc = ?", (made, crc_of(made)))
        return f"header: {made[:200]}"
    rows = db.execute("SELECT * FROM events ORDER BY seq").fetchall()
    row = list(draw.choice(rows))
    kind = draw.random()
    if kind < 0.6:
        text = draw.choice(RAW) if draw.random() < 0.15 else json.dumps(changed(json.loads(row[5]), draw))
        row[5] = text
    elif kind < 0.9:
        column = draw.choice([1, 2, 3, 4])
        row[column] = draw.choice([0, 1, 3, -1, 10**12, 2**62, 0.5, 1e300, "ask", "end", "start", "report", "x", b"x"])
    else:  # another event in its place
        row[1:6] = draw.choice(rows)[1:6]
    row[6] = crc_of(*row[:6])
    try:
        db.execute(
            "UPDATE events SET time=?, kind=?, trial=?, attempt=?, data=?, crc=? WHERE seq=?", (*row[1:], row[0])
        )
    except sqlite3.IntegrityError:
        return "nothing"
    seq, time_, kind_, trial, attempt, data, _ = db.execute("SELECT * FROM events WHERE seq=?", (row[0],)).fetchone()
    db.execute("UPDATE events SET crc = ? WHERE seq = ?", (crc_of(seq, time_, kind_, trial, attempt, data), seq))
    return f"event {row[:5]} {row[5][:200]}"


def uses(name: str, path: Path) -> dict[str, Callable[[Path], object]]:
    """Return what is done with a store."""

    def on_a_copy(use: Callable[[Path], object]) -> Callable[[Path], object]:
        def run(folder: Path) -> object:
            shutil.copy(path, folder / "run.db")
            return use(folder / "run.db")

        return run

    n = 34
    return {
        "resume": on_a_copy(lambda p: build(name, n).optimize(store=p, progress=False, continue_on_error=True)),
        "resume without seed": on_a_copy(lambda p: build(name, n, None).optimize(store=p, progress=False)),
        "load": on_a_copy(lambda p: str(Result.load(p).best) + str(Result.load(p).top(3))),
        "report": on_a_copy(lambda p: write_html_from_store(p, p.with_suffix(".html"))),
        "warm start": on_a_copy(lambda p: build(name, 3).optimize(warm_start=p, progress=False)),
        "check": on_a_copy(lambda p: str(check(p))),
        "repair": on_a_copy(lambda p: str(repair(p))),
    }


def main() -> None:
    """Make stores, use them, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as root:
        for name in RUNS:
            build(name, 30).optimize(store=f"{root}/{name}.db", progress=False, continue_on_error=True)
        for i in range(arguments.stores):
            draw = random.Random(f"{arguments.seed}-{i}")
            name, path = draw.choice(list(RUNS)), Path(root, "damaged.db")
            shutil.copy(f"{root}/{name}.db", path)
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                what = []
                for _ in range(draw.choice([1, 1, 2, 3])):
                    with suppress(
                        ValueError, RecursionError
                    ):  # what an earlier damage has left is no JSON that Python reads
                        what.append(damage(db, draw))
            for use, run in uses(name, path).items():
                began = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        run(Path(folder))
                        counts["worked"] += 1
                    except AutoHPOError as error:
                        counts[f"typed {type(error).__name__}"] += 1
                    except BaseException as error:
                        counts["untyped"] += 1
                        where = traceback.extract_tb(error.__traceback__)[-1]
                        print(f"{i} {name} {use}: {type(error).__name__}: {error!s:.200} ({where}); {what}", flush=True)
                if time.monotonic() - began > SLOW_SECONDS:
                    counts["slow"] += 1
                    print(f"{i} {name} {use}: slow; {what}", flush=True)
    print(json.dumps({"stores": arguments.stores, "untyped": counts["untyped"], "slow": counts["slow"], **counts}))


if __name__ == "__main__":
    main()
