"""The command line on studies in PostgreSQL: every command takes their URL, and prints none of its password."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import PASSWORD, Server

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.control import (
    StopRequests,
    driver_of,
    files_of,
    is_request_seen,
    place_of,
    request_stop,
    store_path,
    wait_until_free,
)
from autohpo.errors import StoreError
from autohpo.service import kill_driver
from autohpo.store import PostgresStore, open_store, redacted
from autohpo.store.lock import Holder
from autohpo.store.postgres_studies import ask_to_stop, studies_of

ROOT = Path(__file__).parents[2]
SCRIPT = """
import time
from autohpo import RangeHP

space = [RangeHP("x", 0.0, 1.0)]
algorithm = "tpe"
options = {"max_evals": 8, "seed": 0}


def f(hps):
    time.sleep(PAUSE)
    return -((hps["x"] - 0.3) ** 2)
"""


@pytest.fixture(autouse=True)
def _no_password(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fails where a command has printed the password."""
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    SAID.clear()
    yield
    assert not [text for text in SAID if PASSWORD in text or "canary" in text]


SAID: list[str] = []


def call(capsys: pytest.CaptureFixture[str], *words: object, code: int = exits.OK) -> str:
    """What a command prints in this process, to both streams."""
    found = main(list(map(str, words)))
    said = capsys.readouterr()
    SAID.extend(said)
    assert found == code, said
    return said.out + said.err


def value(capsys: pytest.CaptureFixture[str], *words: object, code: int = exits.OK) -> Any:
    """What a command prints as JSON."""
    found = main([*map(str, words), "--json"])
    said = capsys.readouterr()
    SAID.extend(said)
    assert found == code, said
    return json.loads(said.out)


def search(store: str, n: int = 6) -> Result:
    """A search of some trials."""
    hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=n, seed=0)
    hpo.optimize(store=store, progress=False, name="mine")
    assert hpo.result is not None
    return hpo.result


def name_of(study: str) -> str:
    """The name of a study."""
    return study.rpartition("/")[2]


def test_the_studies_of_a_database_are_listed(
    server: Server, study: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its best and whether somebody works on it, by the URL of the database or of any of its studies."""
    search(study)
    empty = open_store(f"{study}-empty")
    empty.open()
    for words in (["ls", server.url()], ["ls", study]):
        rows = {row["store"]: row for row in value(capsys, *words)}
        row = rows[name_of(study)]
        assert (row["name"], row["algorithm"], row["trials"], row["state"]) == ("mine", "tpe", 6, "idle")
        assert float(row["best"]) == pytest.approx(search(study).best.perf, abs=1e-5)
        assert abs(row["changed"] - time.time()) < 100
        assert rows[f"{name_of(study)}-empty"]["state"] == "running"
    empty.close()
    monkeypatch.setenv("AUTOHPO_STORE", study)
    assert f"{name_of(study)}-empty" in call(capsys, "ls")
    server.sql("UPDATE autohpo.studies SET crc = 0 WHERE name = %s", [name_of(study)])
    assert "is damaged: its header is not what was written" in call(capsys, "ls", server.url())


def test_a_study_is_looked_at_as_a_file_is(server: Server, study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Show, best, trials, top, export, report; and one that is not there has the exit code of that."""
    result = search(study)
    facts = value(capsys, "show", study)
    assert (facts["store"], facts["n_trials"], facts["driver"]) == (server.place(name_of(study)), 6, None)
    assert server.place(name_of(study)) in call(capsys, "show", study)
    assert value(capsys, "best", study)["perf"] == result.best.perf
    assert [row["perf"] for row in value(capsys, "trials", study)] == [trial.perf for trial in result]
    assert value(capsys, "top", study)["store"] == server.place(name_of(study))
    assert "mine" in call(capsys, "top", study, "--once")
    assert call(capsys, "export", study, "--to", "-", "--format", "csv").count("COMPLETE") == 6
    call(capsys, "report", study)
    assert Path(f"{name_of(study)}.html").is_file()
    for command in ("show", "best", "trials", "top", "resume", "doctor"):
        assert "does not exist" in call(capsys, command, f"{study}-none", code=exits.NO_STORE)


def test_a_client_asks_and_tells(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is a driver for a moment."""
    Path("space.yaml").write_text("x: {low: 0.0, high: 1.0}\n")
    asked = value(capsys, "ask", study, "--space", "space.yaml", "--max-evals", 5, "--seed", 0)
    call(capsys, "tell", study, "--number", asked["number"], "--perf", 0.5)
    second = value(capsys, "ask", study)
    call(capsys, "fail", study, "--number", second["number"], "--reason", "no")
    assert Result.load(study).counts() == {"COMPLETE": 1, "FAILED": 1}
    assert "holds another run" in call(capsys, "ask", study, "--algorithm", "random", code=exits.FAILED)


def test_a_run_moves_both_ways_whole(server: Server, study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file into a database, from there into a file, and over the log of `export`; then it goes on."""
    search("run.db")
    call(capsys, "import", "run.db", "--to", study)
    call(capsys, "import", study, "--to", "back.db")
    call(capsys, "export", study, "--to", "run.jsonl")
    call(capsys, "import", "run.jsonl", "--to", f"{study}-log")
    call(capsys, "import", study, "--to", f"{study}-copy")
    logs = []
    for store in ("run.db", study, "back.db", f"{study}-log", f"{study}-copy"):
        opened = open_store(store, read_only=True)
        logs.append((opened.header, list(opened.events())))
        opened.close()
    assert all(log == logs[0] for log in logs)
    assert len(logs[0][1]) == 18
    whole = [trial.perf for trial in search("memory:", 9)]
    assert [trial.perf for trial in search(study, 9)] == whole
    assert "is there already; name a new study, or give --force" in call(
        capsys, "import", "run.db", "--to", study, code=exits.USAGE
    )
    call(capsys, "import", "run.db", "--to", study, "--force")
    assert len(Result.load(study)) == 6
    assert [one.name for one in studies_of(study) if ".import-" in one.name] == []
    assert "is a store already; autohpo reads it as it is" in call(
        capsys, "import", "run.db", "--to", "other.db", code=exits.USAGE
    )


def test_a_failed_import_leaves_nothing(server: Server, study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a half study, nor less of the one that it was to replace."""
    search("run.db")
    search(study, 3)
    log = call(capsys, "export", "run.db", "--to", "-", "--format", "jsonl").splitlines()
    Path("cut.jsonl").write_text("\n".join(log[:-3]) + "\n")
    call(capsys, "import", "cut.jsonl", "--to", study, "--force", code=exits.USAGE)
    server.sql("""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'nein' USING ERRCODE = 'P0001'; END $$
    """)
    server.sql("CREATE TRIGGER fail BEFORE INSERT ON autohpo.events EXECUTE FUNCTION fail()")
    try:
        call(capsys, "import", "run.db", "--to", study, "--force", code=exits.FAILED)
    finally:
        server.sql("DROP FUNCTION fail CASCADE")
    assert len(Result.load(study)) == 3
    assert [one.name for one in studies_of(study) if ".import-" in one.name] == []
    held = open_store(study)
    held.open()
    assert "is in use by" in call(capsys, "import", "run.db", "--to", study, "--force", code=exits.BUSY)
    held.close()


def test_the_doctor_looks_at_every_row(server: Server, study: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And repair saves what is whole."""
    search(study)
    said = call(capsys, "doctor", study)
    for part in (
        "PostgreSQL ",
        "nobody writes to it",
        "it is whole: 18 events",
        "6 asked for: 6 have a result",
        "is well",
    ):
        assert part in said
    held = open_store(study)
    held.open()
    assert "it is in use by process" in call(capsys, "doctor", study)
    held.close()
    server.sql("UPDATE autohpo.events SET data = '{}' WHERE seq = 4 AND study = %s", [held._study])  # type: ignore[attr-defined]
    said = call(capsys, "doctor", study, code=exits.DAMAGED)
    assert "event 4 is not what was written" in said
    assert f"next: autohpo repair {server.place(name_of(study))} --to saved.db" in said
    assert "to: must name a new file" in call(capsys, "repair", study, code=exits.USAGE)
    assert "17 events are whole" in call(capsys, "repair", study, "--to", "saved.db")
    assert len(Result.load("saved.db")) == 5


def test_a_search_is_asked_to_end_through_its_row(server: Server, study: str) -> None:
    """By whoever reaches the database; a request that was for an earlier driver is none for the next."""
    began = threading.Event()

    def f(hps: dict[str, Any]) -> float:
        began.set()
        time.sleep(0.01)
        return float(hps["x"])

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=100_000, seed=0)
    thread = threading.Thread(
        target=lambda: hpo.optimize(store=study, executor="serial", progress=False), name="search"
    )
    thread.start()
    assert began.wait(30)
    holder = request_stop(study)
    assert holder is not None
    assert holder.process == os.getpid()
    assert wait_until_free(study, holder, 30)
    thread.join(30)
    assert not thread.is_alive()
    assert driver_of(study) is None
    assert request_stop(study) is None
    server.sql("UPDATE autohpo.drivers SET stop = %s", [holder.to_json()])
    n = len(Result.load(study))
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=n + 3, seed=0)
    hpo.optimize(store=study, executor="serial", progress=False)
    assert len(Result.load(study)) == n + 3
    with pytest.raises(StoreError, match="must be a file, got postgresql://.*, which is in a database"):
        store_path(study)
    assert place_of(study) == server.place(name_of(study))


def test_a_request_is_for_one_driver_and_seen_once(server: Server, study: str) -> None:
    """One that was meant for its predecessor, and came late, is only removed."""
    store = PostgresStore(study)
    store.open()
    requests = StopRequests.of(store)
    assert requests is not None
    assert not requests.is_asked()
    for holder, is_asked in [(Holder.of_this_process(), False), (store.driver, True)]:
        assert holder is not None
        ask_to_stop(study, holder)
        assert not is_request_seen(study)
        assert [requests.is_asked(), requests.is_asked()] == [is_asked, False]
        assert is_request_seen(study)
    store.close()
    assert StopRequests.of(store) is None


@pytest.fixture
def autohpo() -> Iterator[Any]:
    """Runs a command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    studies: list[str] = []

    def start(*words: str, is_waited: bool = True) -> Any:
        studies.extend(word for word in words if "://" in word)
        command = [sys.executable, "-m", "autohpo", *words]
        if not is_waited:
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        SAID.extend([done.stdout, done.stderr])
        return done.returncode, done.stdout + done.stderr

    yield start
    for study in studies:
        with contextlib.suppress(StoreError):
            holder = driver_of(study)
            if holder is not None and holder.process != os.getpid():
                kill_driver(study, holder)


def test_a_run_is_started_on_its_own_stopped_and_resumed(study: str, autohpo: Any) -> None:
    """Its log and the record of its command line are in the folder of its files, without the password."""
    Path("train.py").write_text(SCRIPT.replace("PAUSE", "0.3"))
    code, said = autohpo("run", "train.py", "--store", study, "--detach")
    assert code == 0, said
    holder = driver_of(study)
    assert holder is not None
    assert f"started: process {holder.process}" in said
    code, said = autohpo("stop", study)
    assert code == 0, said
    assert "stopped: process" in said
    assert driver_of(study) is None
    n = len(Result.load(study))
    assert 0 < n < 8
    Path("train.py").write_text(SCRIPT.replace("PAUSE", "0"))
    code, said = autohpo("resume", study)
    assert code == 0, said
    assert "8 trials: 8 complete" in said
    files = files_of(study)
    kept = [path.read_text(errors="replace") for path in files.rglob("*") if path.is_file()]
    SAID.extend(kept)
    assert {"driver.log", "launch.json"} <= {path.name for path in files.iterdir()}
    code, said = autohpo("show", study)
    assert "command" in said


def test_a_rehearsal_makes_no_study(
    study: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a change of one that is there."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
    Path("train.py").write_text(SCRIPT.replace("PAUSE", "0"))
    words = ["run", "train.py", "--store", study, "--executor", "serial"]
    assert "which is new" in call(capsys, *words, "--dry-run")
    assert name_of(study) not in [one.name for one in studies_of(study)]
    assert f"store: {redacted(study)}" in call(capsys, *words)
    assert "in which 8 trials are: they are taken over" in call(capsys, *words, "--dry-run")
    assert value(capsys, *words, "--dry-run")["store"] == redacted(study)


def test_a_killed_search_is_resumed_and_equals_the_uninterrupted_one(study: str, autohpo: Any) -> None:
    """SIGKILL at a few moments; the same command goes on, and every event but the interrupted starts is as it was."""
    Path("train.py").write_text(SCRIPT.replace("PAUSE", "0.02").replace('"max_evals": 8', '"max_evals": 25'))
    kills = 0
    for n in (4, 13):
        process = autohpo("run", "train.py", "--store", study, "--executor", "serial", is_waited=False)
        ends = time.monotonic() + 60
        while _n_ended(study) < n and process.poll() is None:
            assert time.monotonic() < ends
            time.sleep(0.005)
        process.kill()
        kills += process.wait() == -9
        process.stdout.close()
    assert kills == 2
    code, said = autohpo("run", "train.py", "--store", study, "--executor", "serial")
    assert code == 0, said
    found = Result.load(study)
    assert found.counts() == {"COMPLETE": 25}
    space = [RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("tpe", space, lambda hps: -((hps["x"] - 0.3) ** 2), max_evals=25, seed=0)
    hpo.optimize(progress=False, executor="serial")
    whole = hpo.result
    assert whole is not None
    assert [(trial.number, dict(trial.hp), trial.perf) for trial in found] == [
        (trial.number, dict(trial.hp), trial.perf) for trial in whole
    ]
    assert sum(trial.attempt - 1 for trial in found) <= kills


def _n_ended(study: str) -> int:
    try:
        store = open_store(study, read_only=True)
    except StoreError:
        return 0
    try:
        return sum(1 for event in store.events() if event.kind == "end")
    finally:
        store.close()
