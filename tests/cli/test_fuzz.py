"""Command lines at random, in a folder of good, damaged and foreign stores; ``benchmarks/fuzz_cli.py`` has more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo.cli import exits

ROOT = Path(__file__).parents[2]

sys.path.insert(0, str(ROOT / "benchmarks"))
fuzz_cli = pytest.importorskip("fuzz_cli")  # it forks, and limits memory


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    """The folder, and a process that has a store in it."""
    made = fuzz_cli.Fuzz(tmp_path_factory.mktemp("fuzz"), seed=10)
    yield made
    made.close()


@pytest.mark.parametrize("begin", [0, 50, 100])
def test_command_lines_end_in_order_whatever_is_typed(fuzz, begin):
    """With a documented exit code, no traceback, JSON where it was asked for, and nothing changed by who looks."""
    assert fuzz.faults(range(begin, begin + 50)) == []


def test_the_check_finds_what_is_wrong():
    """Each of its rules can fail."""
    argv = ["best", "x.db", "--json"]
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(None, b"", b"")) == ["it hangs"]
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(0, b"1\n2\n", b"")) == ["standard output is not one JSON value"]
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(0, b"1\n", b"note")) == [
        "it was done, and standard error is not empty"
    ]
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(1, b"", b"autohpo: no")) == ["standard error is not one JSON object"]
    error = json.dumps({"error": {"type": "T", "message": "m"}}).encode()
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(1, b"", error)) == []
    assert fuzz_cli.faults_of(argv, fuzz_cli.Done(1, b"1", error)) == ["it failed, and standard output is not empty"]
    assert fuzz_cli.faults_of(argv[:2], fuzz_cli.Done(99, b"", b"Traceback")) == ["exit code 99", "a traceback"]
    assert fuzz_cli.faults_of(argv[:2], fuzz_cli.Done(1, b"", b"")) == ["it failed, and said nothing"]


def test_every_command_is_called():
    """And those that look are commands."""
    import random

    from autohpo.cli.main import COMMANDS

    called = {argv[0] for argv in (fuzz_cli.random_argv(random.Random(k), ["x.db"]) for k in range(400)) if argv}
    assert set(COMMANDS) <= called
    assert set(COMMANDS) > fuzz_cli.LOOKS


def shell(line, folder, **variables):
    """Run a line of a shell, in which `autohpo` is the command; `$?` of it is the code."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables}
    text = f'autohpo() {{ "{sys.executable}" -m autohpo "$@"; }}; {line}'
    words = ["bash", "-c", text]
    return subprocess.run(words, check=False, cwd=folder, env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("autohpo best good.db >/dev/full", exits.FAILED),
        ("autohpo --help >/dev/full", exits.FAILED),
        ("autohpo best good.db >&-", exits.OK),
        ("autohpo best nosuch.db 2>&-", exits.NO_STORE),
        ("autohpo best nosuch.db 2>/dev/full", exits.NO_STORE),
        ("autohpo top good.db >&- 2>&- <&-", exits.OK),
        ("autohpo trials good.db --format csv | true; exit ${PIPESTATUS[0]}", exits.OK),
    ],
)
def test_streams_that_are_full_or_closed_are_no_traceback(fuzz, line, code):
    """The exit code says how it ended, and errors never go to standard output."""
    done = shell(line, fuzz.folder())
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr
    assert b"no nosuch" not in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_an_encoding_lacks_are_escaped(fuzz, encoding):
    """JSON is JSON in every encoding, and a name in no encoding at all is shown."""
    folder = fuzz.folder()
    listed = shell("autohpo ls --json", folder, PYTHONIOENCODING=encoding)
    names = {row["store"] for row in json.loads(listed.stdout.decode(encoding))}
    assert {"\udcff.db", "na\u00efve \u6a21\u578b.db"} <= names
    assert b"\\udcff.db" in shell("autohpo ls", folder, PYTHONIOENCODING=encoding).stdout
    assert shell("autohpo best na*.db", folder, PYTHONIOENCODING=encoding).returncode == exits.OK
