"""Secrets that must not come out, and run files from elsewhere that must not run. Each returns counts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from counts import Counts, total
from rooms import Room
from searches import HERE, ROOT

from autohpo import Result
from autohpo import store as store_module
from autohpo.errors import AutoHPOError
from autohpo.report import write_html
from autohpo.report.origin import origin_of
from autohpo.store import check, open_store, repair
from autohpo.store.rows import crc_of

CANARY = "cAnArY-7f3a"
URLS = (
    f"postgresql://bob:{CANARY}@127.0.0.1:1/runs",
    f"postgresql://127.0.0.1:1/runs?user=bob&password={CANARY}",
    f"postgresql+psycopg://bob:{CANARY}@127.0.0.1:1/runs",
    f"mysql://bob:{CANARY}@127.0.0.1/runs",
    f"sqlite:///run.db?password={CANARY}",
    f"https://bob:{CANARY}@127.0.0.1/runs?token={CANARY}",
)

SCRIPT = """\
import os
from autohpo import RangeHP
space = [RangeHP("x", 0.0, 1.0)]
algorithm = "tpe"
options = {"max_evals": 4, "seed": 0}
headers = {"Authorization": "Bearer " + os.environ["API_TOKEN"]}

def f(hps):
    if hps["x"] > 0.9:
        raise ValueError("no")
    return hps["x"] if headers else 0.0
"""

COMMANDS = (
    ("run", "train.py", "--num-workers", "2"),
    ("resume", "train.db", "--max-evals", "6"),
    ("show", "train.db"),
    ("show", "train.db", "--json"),
    ("best", "train.db", "--json"),
    ("trials", "train.db", "--json"),
    ("ls", "--json"),
    ("top", "train.db", "--once"),
    ("report", "train.db"),
    ("export", "train.db", "out.jsonl"),
    ("doctor",),
    ("doctor", "train.db"),
    ("repair", "train.db"),
)


def shell(folder: Path, *words: str, plant: str = "") -> str:
    """Return all that a command prints."""
    broken = [str(HERE / "planted.py"), plant] if plant else []
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    environment |= {"API_TOKEN": CANARY, "DATABASE_PASSWORD": CANARY}
    done = subprocess.run(
        [sys.executable, *broken, "-m", "autohpo", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def secrets(room: Room) -> Counts:
    """Passwords in URLs, the environment and headers are in no output, no file and no error of a whole session."""
    (room.folder / "train.py").write_text(SCRIPT)
    words = COMMANDS if room.is_long else (COMMANDS[0], COMMANDS[3], COMMANDS[10])
    outputs = {" ".join(one): shell(room.folder, *one, plant=room.plant) for one in words}
    urls = URLS if hasattr(store_module, "redacted") else ()
    for url in urls:
        outputs[f"open {url}"] = _said(lambda url=url: open_store(url))  # type: ignore[misc]
        outputs[f"load {url}"] = _said(lambda url=url: Result.load(url))  # type: ignore[misc]
        if room.is_long:
            outputs[f"run {url}"] = shell(room.folder, "run", "train.py", "--store", url)
            outputs[f"show {url}"] = shell(room.folder, "show", url)
    for path in room.folder.rglob("*"):
        if path.is_file():
            outputs[str(path)] = path.read_bytes().decode(errors="replace")
    found = [name for name, text in outputs.items() if CANARY in text]
    return {
        "outputs": len(outputs),
        "urls": len(urls),
        "leaks": len(found),
        "where": [name.replace(CANARY, "***") for name in found],
    }


def _said(act: Any) -> str:
    """Return the text of the error that something raises, and of those behind it."""
    try:
        act()
    except Exception as error:
        texts, fault = [], error  # type: ignore[var-annotated]
        while fault is not None:
            texts.append(f"{fault!r} {fault}")
            fault = fault.__cause__ or fault.__context__  # type: ignore[assignment]
        return " ".join(texts)
    return ""


class Runs:
    """Makes a file, where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def payloads(canary: Path) -> dict[str, Any]:
    """Return what makes a file where it is taken for more than text."""
    pickled = pickle.dumps(Runs(canary))
    call = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    return {
        "pickle": pickled.decode("latin-1"),
        "pickle, base64": base64.b64encode(pickled).decode(),
        "YAML": f"!!python/object/apply:os.mknod [{str(canary)!r}]",
        "expression": call,
        "HTML": f'"><script>{call}</script><img src=x onerror=alert(1)>',
        "__reduce__": {"__reduce__": ["pathlib.Path.touch", [str(canary)]], "py/reduce": [{"py/type": "os.mknod"}]},
        "reference": {"type": "os.mknod", "class": "os.mknod", "opaque": call, "callable": "os.mknod"},
    }


def hostile_files(room: Room) -> Counts:
    """A run with a payload in one field, whose checksums are right, is looked at in every way: nothing of it runs."""
    made = _run(room.folder)
    canary = room.folder / "ran"
    every = []
    for name, payload in payloads(canary).items():
        places = [place for _, value in _documents(made) for place in _places(value)]
        step = 1 if room.is_long else 7
        for i in range(0, len(places), step):
            every.append(_opened(room, made, i, payload, canary))
        if name == "YAML":
            config = room.folder / "train.yaml"
            config.write_text(f"space: {payload}\nobjective: {payload}\nname: {payload}\n")
            shell(room.folder, "run", "train.yaml", "--store", "none.db")
            every.append({"files": 1, "executions": int(canary.exists())})
    if room.is_long:
        every.append(_hostile_folder(room, made, canary))
    return total(every)


def _run(folder: Path) -> Path:
    """Return a finished run of one trial of each kind."""
    (folder / "train.py").write_text(SCRIPT)
    shell(folder, "run", "train.py")
    path = folder / "train.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
    return path


def _documents(path: Path) -> list[tuple[int, Any]]:
    """Return the header, as number 0, and the data of all events."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        header = db.execute("SELECT data FROM header").fetchone()[0]
        rows = db.execute("SELECT seq, data FROM events ORDER BY seq").fetchall()
    return [(0, json.loads(header)), *((seq, json.loads(text)) for seq, text in rows)]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each leaf of a document."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _places(item, (*path, key))
    elif isinstance(value, list) and value:
        for i, item in enumerate(value):
            yield from _places(item, (*path, i))
    else:
        yield path


def _opened(room: Room, made: Path, at: int, payload: Any, canary: Path) -> Counts:
    """Put a payload in the at-th place of a copy of a run, and look at it in every way."""
    path = room.folder / "hostile" / "run.db"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    shutil.copy(made, path)
    _put(path, at, payload)
    untyped = raw = 0
    which: list[Any] = []
    for look in (_load, _repair):
        try:
            raw += look(path)
        except AutoHPOError:
            continue
        except Exception as fault:
            untyped += 1
            which.append((at, str(payload)[:40], repr(fault)[:200]))
    ran = canary.exists()
    canary.unlink(missing_ok=True)
    return {"files": 1, "executions": int(ran) + raw, "untyped": untyped, **({"which": which} if which else {})}


def _put(path: Path, at: int, payload: Any) -> None:
    n = 0
    for seq, document in _documents(path):
        for place in _places(document):
            if n == at:
                target = document
                for key in place[:-1]:
                    target = target[key]
                if place:
                    target[place[-1]] = payload
                _write(path, seq, document)
                return
            n += 1


def _write(path: Path, seq: int, document: Any) -> None:
    """Replace a document and its checksum."""
    text = json.dumps(document)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        if not seq:
            db.execute("UPDATE header SET data = ?, crc = ?", (text, crc_of(text)))
            return
        row = list(db.execute("SELECT * FROM events WHERE seq = ?", (seq,)).fetchone())
        row[5] = text
        db.execute("UPDATE events SET data = ?, crc = ? WHERE seq = ?", (text, crc_of(*row[:6]), seq))


class Tags(HTMLParser):
    """Counts what a page would run: the scripts that are not ours, and handlers of events."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a tag."""
        self.n += tag == "img" or any(name.startswith("on") for name, _ in attrs)


def _load(path: Path) -> int:
    """Load a run, and make all that can be made of it; return what its page would run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = Result.load(path)
        str(result)
        repr(result.trials)
        page = path.parent / "page.html"
        with contextlib.closing(open_store(path, read_only=True)) as store:
            origin = origin_of(store.header or {})
        write_html(result, page, origin=origin)
        tags = Tags()
        tags.feed(page.read_text())
        return tags.n


def _repair(path: Path) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(path)
        repair(path, path.parent / "repaired.db")
    return 0


def _hostile_folder(room: Room, made: Path, canary: Path) -> Counts:
    """A pickle in every file beside a store, as somebody might have sent it along."""
    folder = room.folder / "sent"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(made, folder / "train.db")
    (folder / "train.py").write_text(SCRIPT)
    for name in ("train.db.lock", "train.db.files/trial-0/net.pkl", "train.db.files/objective.pickle", "train.db.log"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(Runs(canary)))
    for words in COMMANDS[2:]:
        shell(folder, *words)
    return {"files": 1, "executions": int(canary.exists())}
