"""Kinds of cases about files: stores whose bytes, rows or headers are wrong, logs to import, configuration files."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_draws import Draws
from fuzz_mutations import as_json, json_value, mutated, mutated_bytes, mutated_text
from fuzz_spaces import GOOD, TOML, YAML

from autohpo import Result, Search, build_hpo_from_name
from autohpo.cli.config.plan import plan_of
from autohpo.cli.look.event_log import read_log, write_log
from autohpo.cli.main import main as command_line
from autohpo.cli.main import parser_of
from autohpo.errors import AutoHPOError
from autohpo.report.html import write_html_from_store
from autohpo.store import SQLiteStore, check, repair
from autohpo.store.rows import crc_of

KINDS = ["ask", "end", "start", "report", "interrupt", "late", "x", "", "ASK"]
COLUMNS = [0, 1, 3, -1, 10**12, 2**62, 0.5, 1e300, "ask", "end", b"x", "", None]
RAW = ["NaN", "Infinity", "1e999", "", "null", "[]", "{", "[" * 5000, '{"a":' * 2000, "9" * 5000, "{},{}", "\0"]


def plain(hps: dict[str, Any]) -> float:
    """Fails now and then."""
    if hps["hops"] == 8:
        raise ValueError("eight")
    return float(hps["lr"] * hps["hops"])


def epochs(hps: dict[str, Any]) -> Iterator[float]:
    """Trains."""
    for epoch in range(1, 4):
        yield float(hps["lr"] * epoch)


RUNS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "random": (plain, {}),
    "tpe": (plain, {}),
    "asha": (epochs, {"max_fidelity": 3}),
    "deterministic": (plain, {}),
}


def built(name: str, n: int = 14) -> Any:
    """An optimizer of a run."""
    f, more = RUNS[name]
    return build_hpo_from_name("random" if name == "deterministic" else name, GOOD, f, max_evals=n, seed=3, **more)


@cache
def valid(name: str, folder: str) -> Path:
    """A store of some trials, made once in a folder."""
    path = Path(folder) / f"{name}.db"
    if not path.exists():
        more = {"schedule": "deterministic"} if name == "deterministic" else {}
        built(name, 10).optimize(store=str(path), progress=False, continue_on_error=True, **more)
        if name == "deterministic":
            _hold(path)
    return path


def _hold(path: Path) -> None:
    """Leave a run in which a result waits for its turn."""
    with Search.load(path, max_evals=14) as search:
        search.ask()
        second = search.ask()
        search.hold(second.number, search.start(second.number, 0), search.hpo.objectives.measure(0.5))
        search.save()


def use(d: Draws, name: str, path: Path) -> None:
    """Do something with a store that may be damaged."""
    kind = d.index(7)
    room = path.parent
    if kind == 0:
        more = {"schedule": "deterministic"} if name == "deterministic" else {}
        d.call("resume", built(name).optimize, store=str(path), progress=False, continue_on_error=True, **more)
    elif kind == 1:
        d.call("load", lambda: [str(Result.load(path).best), Result.load(path).top(3), Result.load(path).counts()])
    elif kind == 2:
        d.call("report", write_html_from_store, path, room / "page.html")
    elif kind == 3:
        hpo = build_hpo_from_name("random", GOOD, plain, max_evals=3, seed=0)
        d.call("warm start", hpo.optimize, warm_start=str(path), progress=False, continue_on_error=True)
    elif kind == 4:
        d.call("check", lambda: str(check(path)))
        d.call("repair", lambda: str(repair(path)))
    elif kind == 5:
        d.call("Search.load", asked, path)
    else:
        with closing(io.StringIO()) as out, redirect_stdout(io.StringIO()), redirect_stderr(out):
            words = [d.of_all(["best", "show", "trials", "doctor", "top", "ls"]), str(path), "--json"]
            if words[0] == "ls":
                words[1] = str(room)
            if words[0] == "top":
                words = ["best", str(path)]
            d.said.append(" ".join(words))
            code = command_line(words)
            if out.getvalue().startswith("Traceback"):
                raise RuntimeError(f"a traceback, exit code {code}: {out.getvalue()[-500:]}")


def asked(path: Path) -> None:
    """Go on with a store by hand."""
    with Search.load(path, max_evals=14) as search:
        search.tell(search.ask(), 0.5)


def copied(name: str, room: Path) -> Path:
    """A copy of a valid store in the room of a case."""
    source = valid(name, str(room.parent))
    return Path(shutil.copy(source, room / "run.db"))


def store_bytes(d: Draws, room: Path) -> None:
    """Bytes of a saved store that are flipped, missing, doubled or zero."""
    name = d.of_all(list(RUNS))
    path = copied(name, room)
    path.write_bytes(mutated_bytes(d, path.read_bytes()))
    use(d, name, path)


def store_rows(d: Draws, room: Path) -> None:
    """Values of every column of a row, with a checksum that holds."""
    name = d.of_all(list(RUNS))
    path = copied(name, room)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for _ in range(1 + d.index(2)):
            with suppress(sqlite3.Error, OverflowError, ValueError, RecursionError):
                change_row(d, db)
    use(d, name, path)


def change_row(d: Draws, db: sqlite3.Connection) -> None:
    """Change one row."""
    rows = db.execute("SELECT * FROM events ORDER BY seq").fetchall()
    row = list(d.of_all(rows))
    kind = d.index(10)
    if kind < 5:
        changed = d.of_all(RAW) if d.chance(10) else as_json(mutated(d, json.loads(row[5]), json_value))
        row[5] = changed
    elif kind < 7:
        row[1 + d.index(4)] = d.of_all(COLUMNS)
    elif kind == 7:
        row[2] = d.of_all(KINDS)
    elif kind == 8:
        row[1:6] = d.of_all(rows)[1:6]
    else:
        db.execute("DELETE FROM events WHERE seq = ?", (row[0],))
        return
    d.said.append(f"row {row[:5]} {str(row[5])[:200]}")
    db.execute("UPDATE events SET time=?, kind=?, trial=?, attempt=?, data=? WHERE seq=?", (*row[1:6], row[0]))
    kept = db.execute("SELECT seq, time, kind, trial, attempt, data FROM events WHERE seq=?", (row[0],)).fetchone()
    db.execute("UPDATE events SET crc=? WHERE seq=?", (crc_of(*kept), row[0]))


def store_headers(d: Draws, room: Path) -> None:
    """The header and the numbers of a saved store, with a checksum that holds."""
    name = d.of_all(list(RUNS))
    path = copied(name, room)
    with closing(sqlite3.connect(path, isolation_level=None)) as db, suppress(sqlite3.Error, RecursionError):
        text = db.execute("SELECT data FROM header").fetchone()[0]
        made = d.of_all(RAW) if d.chance(10) else as_json(mutated(d, json.loads(text), json_value, 3))
        d.said.append(f"header {made[:300]}")
        if d.chance(10):
            db.execute(f"PRAGMA {d.of_all(['user_version', 'application_id'])} = {d.of_all([0, 1, 3, 99, -1])}")
        elif d.chance(5):
            db.execute(d.of_all(["DROP TABLE header", "DROP TABLE events", "DELETE FROM header", "DROP INDEX one_end"]))
        else:
            db.execute("UPDATE header SET data=?, crc=?", (made, crc_of(made)))
    use(d, name, path)


@cache
def log_text(name: str, folder: str) -> str:
    """A log as `autohpo export` writes it."""
    file = io.StringIO()
    with closing(SQLiteStore(valid(name, folder), read_only=True)) as store:
        assert store.header is not None
        write_log(file, store.header, store.events())
    return file.getvalue()


def logs(d: Draws, room: Path) -> None:
    """Logs to import, with lines that parse but are wrong, and with texts that do not."""
    lines = log_text(d.of_all(list(RUNS)), str(room.parent)).splitlines(keepends=True)
    place = d.index(len(lines))
    kind = d.index(6)
    if kind < 3:
        said = mutated(d, json.loads(lines[place]), json_value)
        with suppress(Exception):  # a checksum that holds, where there may be one
            row = (said["seq"], said["time"], said["kind"], said["trial"], said["attempt"])
            text = json.dumps(said["data"])
            said["crc"] = crc_of(*row, text) if "data" in said else crc_of(json.dumps(said["header"]))
        lines[place] = as_json(said) + "\n"
    elif kind == 3:
        lines[place] = mutated_text(d, lines[place][:2000])
    elif kind == 4:
        del lines[place]
    else:
        lines.insert(place, lines[d.index(len(lines))])
    d.said.append(f"line {place}: {lines[min(place, len(lines) - 1)][:300]}")
    if d.chance(70):
        d.call("read_log", read_log, lines, "log.jsonl")
        return
    path = room / "log.jsonl"
    path.write_bytes(mutated_bytes(d, "".join(lines).encode(errors="replace")))
    ran(d, ["import", str(path), "--to", str(room / "new.db")])


def config_files(d: Draws, room: Path) -> None:
    """Configuration files whose text or bytes were changed."""
    suffix, text = d.of_all([(".yaml", YAML), (".toml", TOML), (".json", json.dumps({"space": {"lr": [1, 2]}}))])
    path = room / f"config{suffix}"
    if d.chance(75):
        path.write_text(mutated_text(d, text, [YAML, TOML]), encoding="utf-8", errors="replace")
    else:
        path.write_bytes(mutated_bytes(d, text.encode()))
    d.said.append(f"{path.suffix}: {path.read_bytes()[:800]!r}")
    d.call("plan_of", lambda: plan_of(parser_of("run").parse_args(["run", str(path)])))


def tables(d: Draws, room: Path) -> None:
    """Tables of results to import."""
    text = d.of_all(["lr,act,perf\n0.01,relu,0.5\n0.02,elu,0.7\n", '[{"lr": 0.01, "act": "relu", "perf": 0.5}]'])
    path = room / ("table.csv" if text.startswith("lr") else "table.json")
    path.write_text(mutated_text(d, text), encoding="utf-8", errors="replace")
    (room / "space.yaml").write_text("lr: {low: 1.0e-4, high: 0.1}\nact: [relu, elu]\n")
    d.said.append(f"{path.name}: {path.read_bytes()[:500]!r}")
    ran(d, ["import", str(path), "--to", str(room / "new.db"), "--space", str(room / "space.yaml")])


def ran(d: Draws, words: list[str]) -> None:
    """Run a command in this process: it ends with an exit code, and without a traceback."""
    d.said.append(" ".join(words))
    out = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            command_line(words)
        except AutoHPOError:
            raise
        except SystemExit:
            pass
    if out.getvalue().startswith("Traceback"):
        raise RuntimeError(f"a traceback: {out.getvalue()[-500:]}")
