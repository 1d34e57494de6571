"""The folder in which ``benchmarks/fuzz_cli.py`` calls commands: stores of every kind, files that are none, odd places.

``make(folder)`` fills a folder; ``python benchmarks/fuzz_cli_stores.py FOLDER`` does so by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

from autohpo import ChoiceHP, RangeHP, Search, SearchSpace, build_hpo_from_name, register_hpo
from autohpo.algorithms.random import RandomSearch

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "store" / "fixtures"

SCRIPT = """\
from autohpo import ChoiceHP, RangeHP

space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b"])]
options = {"max_evals": 3, "seed": 0}
__all__ = ["f"]


def f(hps):
    print("training", hps["x"])
    return hps["x"]


def fails(hps):
    raise ValueError("always\\n\\u2028 so")


def ends(hps):
    raise SystemExit(3)
"""

CONFIG = """\
command: echo "acc={x}" {c}
pattern: acc=(\\S+)
metric: {acc: max}
space:
  x: {low: 0.0, high: 1.0}
  c: [a, b]
algorithm: random
options: {max_evals: 2, seed: 0}
"""

TEXTS = {
    "train.py": SCRIPT,
    "broken.py": "def f(:\n",
    "raises.py": "raise RuntimeError('at import')\n",
    "leaves.py": "raise SystemExit('at import')\n",
    "nothing.py": "",
    "run.yaml": CONFIG,
    "broken.yaml": "space: [x: {\n",
    "list.yaml": "- 1\n- 2\n",
    "huge.yaml": "[" * 3000,
    "alias.yaml": "space: &a {x: *a}\n",
    "space.yaml": "x: {low: 0.0, high: 1.0}\nc: [a, b]\n",
    "toml.toml": "[space.x]\nlow = 0.0\nhigh = 1.0\n",
    "run.json": json.dumps({"command": "echo {x}", "pattern": "(.*)", "space": {"x": {"low": 0, "high": 1}}}),
    "table.csv": "number,x,perf\n0,0.5,1.0\n1,0.25,nan\n2,oops,3\n",
    "text.db": "this is no store\n" * 50,
    "events.jsonl": '{"kind": "header"}\n[]\n',
    "page.html": "<html></html>\n",
}
"""Files of text by name."""

X = RangeHP("x", 0.0, 1.0)


class Circle:
    """A value that only a program knows."""


def _value(hps):
    if hps["x"] < 0.2:
        raise ValueError("too small\n\x1b[31m\tand in red")
    return hps["x"]


def _mf(hps, trial):
    done = 0.0
    for epoch in range(1, int(trial.fidelity) + 1):
        done = hps["x"] * epoch
        trial.report(epoch, done)
    return done


def _run(path, f, space=(X,), n=12, name="random", mode="max", options=None, **arguments):
    hpo = build_hpo_from_name(
        name, list(space) if isinstance(space, tuple) else space, f, max_evals=n, seed=0, mode=mode, **(options or {})
    )
    with contextlib.suppress(Exception):  # those that have failures alone end with an error
        hpo.optimize(store=str(path), progress=False, **arguments)


def _asked(path, n=3):
    with Search(build_hpo_from_name("random", [X], max_evals=20, seed=0), str(path)) as search:
        for k in range(n):
            search.ask(client_id=f"w{k}")
        if n:
            search.tell(0, 0.5, client_id="w0")


def make(folder: Path) -> None:
    """Fill a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _good_stores(folder)
    _bad_stores(folder)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 4)
    (folder / "folder").mkdir()
    (folder / "folder.db").mkdir()
    (folder / "circle.db").symlink_to("circle.db")
    (folder / "link.db").symlink_to("good.db")
    (folder / "dangling.db").symlink_to("nowhere/at/all.db")
    os.mkfifo(folder / "pipe.db")


def _good_stores(folder: Path) -> None:
    _run(folder / "good.db", _value, [X, ChoiceHP("c", ["a", "b"])], name="tpe")
    _run(folder / "mf.db", _mf, name="hyperband", options={"max_fidelity": 9})
    _run(folder / "two.db", lambda hps: {"a": hps["x"], "b": hps["x"] ** 2}, mode={"a": "max", "b": "min"})
    _run(folder / "confirmed.db", lambda hps: hps["x"], confirm=2)
    with Search(build_hpo_from_name("random", [X], max_evals=20, seed=0), str(folder / "failed.db")) as search:
        for _ in range(4):
            search.fail(search.ask(), "never\n\u2028\x1b[31m")
    _run(folder / "opaque.db", lambda hps: hps["x"], [X, ChoiceHP("f", [len, Circle, max])])
    _run(folder / "na\u00efve \u6a21\u578b.db", _value, [RangeHP("\u03bb x", 0.0, 1.0), X], name="random")
    within = SearchSpace([X, RangeHP("y", 0.0, 1.0)], constraints=[lambda hp: hp["x"] + hp["y"] < 1.5])
    _run(folder / "predicate.db", lambda hps: hps["x"], within)
    _asked(folder / "asked.db")
    _asked(folder / "none.db", 0)
    with contextlib.suppress(OSError):  # names that are no text of this file system
        shutil.copy(folder / "good.db", folder / "\udcff.db")
    (folder / "asked.db.files").mkdir(exist_ok=True)
    (folder / "asked.db.files" / "launch.json").write_text('{"argv": ["python", 7], "cwd": "/"}')
    (folder / "mf.db.files").mkdir(exist_ok=True)
    (folder / "mf.db.files" / "launch.json").write_text("[" * 5000)
    register_hpo("plugged_in")(type("PluggedIn", (RandomSearch,), {}))
    _run(folder / "plugin.db", _value, name="plugged_in")


def _bad_stores(folder: Path) -> None:
    (folder / "empty.db").touch()
    good = (folder / "good.db").read_bytes()
    (folder / "half.db").write_bytes(good[: len(good) // 2])
    (folder / "head.db").write_bytes(good[:100])
    for k, place in enumerate((20, 60, 100, 4097, len(good) // 2, len(good) - 300)):
        bad = bytearray(good)
        bad[place : place + 40] = bytes(255 - byte for byte in bad[place : place + 40])
        (folder / f"bad{k}.db").write_bytes(bytes(bad))
        (folder / f"bad{k}.db.lock").touch()
    with contextlib.closing(sqlite3.connect(folder / "other.db")) as db:
        db.execute("CREATE TABLE t (x)")
        db.commit()
    for version in ("v0.1", "v0.2"):
        for path in (FIXTURES / version).glob("*.db*"):
            shutil.copy(path, folder / f"{version}-{path.name}")
    shutil.copy(folder / "good.db", folder / "newer.db")
    with contextlib.closing(sqlite3.connect(folder / "newer.db")) as db:
        db.execute("PRAGMA user_version = 99")
    shutil.copy(folder / "good.db", folder / "header.db")
    with contextlib.closing(sqlite3.connect(folder / "header.db")) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in set(tables) - {"events"}:
            with contextlib.suppress(sqlite3.Error):
                db.execute(f"DELETE FROM {table}")
        db.commit()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
