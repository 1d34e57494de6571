"""`autohpo doctor`: the health of a store and of an installation, with the exit code and the next command to run."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.registry import _REGISTERED
from autohpo.cli import exits
from autohpo.cli.health import installation, machine
from autohpo.cli.health.findings import Finding, findings_of, size_text
from autohpo.cli.main import main
from autohpo.search import Search

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_db(tmp_path, monkeypatch):
    """A store with four finished trials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=4, seed=0)
    hpo.optimize(store="run.db", progress=False, name="first try")
    return Path("run.db")


def examined(capsys, *words):
    """The exit code, and the findings by their subject."""
    code = main(["doctor", *map(str, words), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["is_well"] is (code == exits.OK)
    found = {}
    for finding in said["findings"]:
        found.setdefault(finding["about"], []).append((finding["level"], finding["text"], finding["advice"]))
    return code, found


# A store.


def test_a_whole_store_is_well(run_db, capsys):
    """And nothing is changed by looking."""
    before = run_db.read_bytes()
    code, found = examined(capsys, "run.db")
    assert code == exits.OK
    assert found["log"] == [("ok", "it is whole: 12 events", "")]
    assert found["lock"] == [("ok", "nobody writes to it", "")]
    assert found["run"][0][1].startswith("random 'first try', made by autohpo ")
    assert found["trials"][0][1].startswith("4 asked for: 4 have a result, 0 failed, 0 have no end; the best is trial ")
    assert {level for findings in found.values() for level, _, _ in findings} <= {"ok", "note"}
    assert run_db.read_bytes() == before


def test_a_damaged_store_has_an_exit_code_and_the_next_command(run_db, capsys):
    """The last line is the command, and it does what it says."""
    data = bytearray(run_db.read_bytes())
    data[data.rindex(b'"state": "COMPLETE"') + 10] ^= 1
    run_db.write_bytes(data)
    assert main(["doctor", "run.db"]) == exits.DAMAGED
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("DAMAGED  log") and "is not what was written" in line for line in lines)
    assert lines[-1] == f"next: autohpo repair {run_db.resolve()}"
    assert main(lines[-1].split()[2:]) == exits.OK
    capsys.readouterr()
    assert examined(capsys, "run.repaired.db")[0] == exits.OK


@pytest.mark.parametrize("content", [b"x", b"no store\n" * 1000, b"SQLite format 3\0" + bytes(500)])
def test_what_is_no_store_is_examined_without_a_crash(tmp_path, capsys, monkeypatch, content):
    """No content makes a check raise; there is nothing to save then."""
    monkeypatch.chdir(tmp_path)
    Path("odd.db").write_bytes(content)
    code, found = examined(capsys, "odd.db")
    assert code == exits.DAMAGED
    assert not any("repair" in advice for _, _, advice in found["log"])


def test_a_store_without_a_run_and_one_of_a_newer_release_are_not_damaged(run_db, capsys):
    """Nothing is to be repaired there."""
    Path("empty.db").touch()
    code, found = examined(capsys, "empty.db")
    assert (code, found["log"][0][0]) == (exits.OK, "note")
    assert "holds no run yet" in found["log"][0][1]
    db = sqlite3.connect(run_db)
    db.execute("PRAGMA user_version = 99")
    db.close()
    code, found = examined(capsys, "run.db")
    assert (code, found["log"][0][0]) == (exits.FAILED, "problem")
    assert "has format 99, of a newer autohpo" in found["log"][0][1]


def test_a_store_that_was_cut_is_damaged_wherever_it_was(run_db, capsys):
    """As a full disk or a broken copy leaves it."""
    data = run_db.read_bytes()
    for size in range(0, len(data), 4096):
        run_db.write_bytes(data[:size])
        assert examined(capsys, "run.db")[0] == exits.DAMAGED, size
    run_db.write_bytes(data)
    assert examined(capsys, "run.db")[0] == exits.OK


def test_trials_that_wait_are_named_with_their_clients(run_db, capsys):
    """And what to do about them."""
    with Search.load("run.db", max_evals=9) as search:
        search.ask(client_id="worker 7")
        search.ask()
    code, found = examined(capsys, "run.db")
    level, text, advice = found["trials"][1]
    assert (code, level) == (exits.OK, "note")
    assert re.fullmatch(r"without an end, the oldest asked for \d+ seconds ago: 4 \(client worker 7\), 5", text)
    assert f"autohpo fail {run_db.resolve()} --number N" in advice


def test_a_store_in_use_is_looked_at_as_far_as_that_goes(run_db, capsys):
    """The holder is named, and it is no fault."""
    with Search.load("run.db"):
        code, found = examined(capsys, "run.db")
    assert code == exits.OK
    assert "is in use by" in found["lock"][0][1]
    assert found["log"][0][:2] == ("note", "12 events can be read, each as it was written")


def test_what_a_killed_process_leaves_is_no_damage(run_db, capsys):
    """Its results are in the write-ahead log, which the next one takes over."""
    code = (
        "import os, signal\nfrom autohpo.search import Search\n"
        "search = Search.load('run.db', max_evals=9)\nsearch.open()\nsearch.ask()\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -signal.SIGKILL
    code, found = examined(capsys, "run.db")
    assert code == exits.OK
    assert found["log"] == [("ok", "it is whole: 13 events", "")]
    assert "run.db-wal has results that are not in the main file yet" in found["left over"][0][1]


def test_what_lies_beside_it_is_named(run_db, capsys):
    """Copies of torn logs, checkpoints that were being removed, an earlier repair."""
    Path("run.db-wal.dropped").write_bytes(b"x")
    Path("run.repaired.db").write_bytes(b"x")
    for name in ("trial-0", "trial-1.partial", "trial-2.removed"):
        (Path("run.db.files") / name).mkdir(parents=True)
        (Path("run.db.files") / name / "model").write_bytes(bytes(1000))
    code, found = examined(capsys, "run.db")
    texts = " | ".join(text for _, text, _ in found["left over"])
    assert code == exits.OK
    assert "run.db-wal.dropped is a copy" in texts
    assert "2 checkpoints that were being copied or removed: trial-1.partial, trial-2.removed" in texts
    assert "run.repaired.db is beside it" in texts
    assert "KB in 3 files of checkpoints and logs in run.db.files" in found["size"][0][1]


def test_hard_links_and_a_full_disk_are_problems(run_db, capsys, monkeypatch):
    """With the exit code of one."""
    os.link(run_db, "other.db")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    code, found = examined(capsys, "run.db")
    assert code == exits.FAILED
    assert "has 2 hard links" in found["permissions"][-1][1]
    assert found["disk"][0][0] == "problem"
    assert "1 KB free" in found["disk"][0][1]


def test_a_network_file_system_is_a_problem(tmp_path, monkeypatch):
    """The longest mount counts; blanks in its name are written as octal numbers."""
    share = tmp_path / "my share"
    share.mkdir()
    mounts = f"rootfs / ext4 rw 0 0\nserver:/x {str(share).replace(' ', chr(92) + '040')} nfs4 rw 0 0\n"
    monkeypatch.setattr(machine, "_text", lambda _: mounts)
    (found,) = machine.file_system("file system", share)
    assert (found.level, found.text) == ("problem", f"{share} is a network file system (nfs4)")
    (found,) = machine.file_system("file system", tmp_path)
    assert (found.level, found.text) == ("ok", "ext4, mounted at /")


def test_no_store_is_said(tmp_path, capsys, monkeypatch):
    """As everywhere."""
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "no.db"]) == exits.NO_STORE
    assert main(["doctor", "no.db", "--installation"]) == exits.USAGE


# An installation.


def test_the_installation_of_the_tests_is_well(tmp_path, capsys, monkeypatch):
    """Every subject has a finding, and no check fails itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOHPO_STORE", "run.db")
    _, found = examined(capsys, "--installation")
    assert {"Python", "autohpo", "packages", "plug-ins", "SQLite", "cores", "memory", "GPUs", "temporary files"} <= set(
        found
    )
    assert not [text for findings in found.values() for _, text, _ in findings if "could not be looked at" in text]
    assert [level for level, _, _ in found["SQLite"]] == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_every_extra_that_users_can_install_is_explained():
    """And no other one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(installation.EXTRAS) == set(project["optional-dependencies"]) - set(installation.OF_DEVELOPERS)
    for line in project["dependencies"]:
        found = installation.requirement_of(line)
        assert found is None or (found.name in line and not found.extra)


@pytest.mark.parametrize(
    ("has", "bounds", "is_met"),
    [
        ("1.24.0", [(">=", "1.24")], True),
        ("1.23.9", [(">=", "1.24")], False),
        ("2.0", [(">=", "1.24"), ("<", "2")], False),
        ("1.9.10", [(">=", "1.9.9")], True),
        ("1.24", [("==", "1.24.0")], True),
        ("3.0rc1", [(">=", "3.0")], True),
        ("1.4.5", [("~=", "1.4.2")], True),
        ("1.5", [("~=", "1.4.2")], False),
        ("1.4", [("!=", "1.4.0")], False),
        ("", [(">=", "1")], False),
    ],
)
def test_versions_are_compared_as_numbers(has, bounds, is_met):
    """Part by part."""
    assert installation.are_met(has, tuple(bounds)) is is_met


def test_missing_and_old_packages_are_problems_with_a_remedy(monkeypatch):
    """Extras that are missing are none: the text says what they would give."""
    lines = ["numpy>=9999", 'no-such-package>=1.0; python_version >= "3.8"', 'tomli>=2; python_version < "3.1"']
    lines += ['also-missing>=2; extra == "pandas"']
    monkeypatch.setattr(installation, "requires", lambda _: lines)
    old, missing = installation.packages()
    assert (old.level, old.advice) == ("problem", 'pip install "numpy>=9999"')
    assert (missing.level, missing.text) == ("problem", "no-such-package is missing")
    (extra,) = installation.extras()
    assert (extra.level, extra.advice) == ("note", "pip install 'autohpo[pandas]'")
    assert "also-missing is missing or too old, for results as data frames" in extra.text
    lines += ['another-missing>=2; extra == "pandas"']
    (extra,) = installation.extras()
    assert "also-missing, another-missing are missing or too old" in extra.text


def test_plug_ins_are_loaded_and_those_that_fail_are_problems(tmp_path, monkeypatch):
    """Real entry points of real distributions, found on the path."""
    (tmp_path / "good_plug.py").write_text(
        "from autohpo import BaseHPOptimizer\nclass Good(BaseHPOptimizer):\n    def _get_suggestion(self, pid): ...\n"
    )
    (tmp_path / "bad_plug.py").write_text("raise SystemExit('broken')\n")
    points = {"doctor_good": "good_plug:Good", "doctor_bad": "bad_plug:Bad", "tpe": "good_plug:Good"}
    for name, value in points.items():
        info = tmp_path / f"plug_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[autohpo.algorithms]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    found = {finding.text.split()[0]: finding for finding in installation.plug_ins()}
    _REGISTERED.pop("doctor_good")
    assert (found["doctor_good"].level, found["doctor_good"].text) == (
        "ok",
        "doctor_good of plug-doctor_good 1.0 loads",
    )
    assert found["doctor_bad"].level == "problem"
    assert "does not load" in found["doctor_bad"].text
    assert "SystemExit: broken" in found["doctor_bad"].text
    assert (found["tpe"].level, "its name is taken" in found["tpe"].text) == ("problem", True)


@pytest.mark.parametrize(
    ("files", "quota", "limit"),
    [
        ({"/proc/self/cgroup": "0::/a/b", "/a/b/cpu.max": "150000 100000", "/a/memory.max": "1000"}, 1.5, 1000),
        ({"/proc/self/cgroup": "0::/", "/cpu.max": "max 100000", "/memory.max": "max"}, None, None),
        (
            {
                "/proc/self/cgroup": "3:cpu,cpuacct:/x\n4:memory:/x",
                "/cpu/x/cpu.cfs_quota_us": "200000",
                "/cpu/x/cpu.cfs_period_us": "100000",
                "/memory/x/memory.limit_in_bytes": "4096",
            },
            2.0,
            4096,
        ),
        ({}, None, None),
    ],
)
def test_the_limits_of_a_container_are_read_in_both_versions_of_control_groups(monkeypatch, files, quota, limit):
    """The innermost group with a limit counts."""
    monkeypatch.setattr(machine, "_text", lambda path: files.get(str(path).removeprefix(str(machine.CGROUP)), ""))
    assert (machine.cpu_quota(), machine.memory_limit()) == (quota, limit)


def test_gpus_are_those_that_the_tool_of_their_maker_lists(tmp_path, monkeypatch):
    """It is run; what it says on an error is said."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB'\necho 'NVIDIA H100, 81559 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    (found,) = machine.gpus()
    assert found.text == "2: NVIDIA H100, 81559 MiB; NVIDIA H100, 81559 MiB; CUDA_VISIBLE_DEVICES shows 1"
    tool.write_text("#!/bin/sh\necho 'driver not loaded' >&2\nexit 9\n")
    (found,) = machine.gpus()
    assert (found.level, found.text) == ("note", "nvidia-smi says: driver not loaded")


def test_a_check_that_raises_is_a_finding_and_the_others_run():
    """Whatever it raises; what it warns of is said too."""

    def breaks():
        yield Finding("a", "seen")
        raise MemoryError("no room")

    def warns():
        import warnings

        warnings.warn("store: careful", UserWarning, stacklevel=1)
        yield Finding("b", "seen")

    found = findings_of([("a", breaks), ("b", warns)])
    assert [(one.about, one.level, one.text) for one in found] == [
        ("a", "ok", "seen"),
        ("a", "note", "could not be looked at (MemoryError: no room)"),
        ("b", "ok", "seen"),
        ("b", "note", "careful"),
    ]


def test_a_folder_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    """As that of an archive."""
    monkeypatch.chdir(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(installation.tempfile, "TemporaryDirectory", refuse)
    (found,) = installation.sqlite()
    assert (found.level, "cannot be written (Permission denied)" in found.text) == ("note", True)
    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    (found,) = machine.temporary_files()
    assert (found.level, found.advice) == ("problem", "set TMPDIR to a folder with room")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (20_500, "20.5 KB"), (25.3e9, "25.3 GB"), (2e15, "2000 TB")],
)
def test_sizes_are_written_as_people_do(n_bytes, text):
    """In thousands."""
    assert size_text(n_bytes) == text
