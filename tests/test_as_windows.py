"""What works without all that Windows lacks: imports, a search with a store, signals, and slots with job objects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = ("imports", "serial", "signals", "commands", "slots")
PROGRAM = Path(__file__).with_name("as_windows.py")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes away what Linux has")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each part of the program prints, as lines; all in one process, as its imports take long."""
    folder = tmp_path_factory.mktemp("as-windows")
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
    command = [sys.executable, str(PROGRAM), str(folder), *PARTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    found = {}
    for part in done.stdout.split("--- ")[1:]:
        name, *lines = part.splitlines()
        found[name] = lines
    assert (folder / "serial" / "launch.json").exists()
    return found


def test_every_module_can_be_imported(told):
    """But for the one that Windows has another one for; what lacks an extra lacks it here as well."""
    assert told["imports"] == ["['autohpo.store.posix_files']"]


def test_a_search_in_this_process_is_kept_and_continued(told):
    """With its lock; and a request to end, the record of how it was started, and looks at its driver work."""
    *seen, last = told["serial"]
    assert seen == ["{'COMPLETE': 5} True None"]
    assert last.endswith("trial 0: a stop was requested")


def test_ctrl_c_and_ctrl_break_end_a_search_in_order(told):
    """The second one also comes when the console is closed."""
    counts = "{'COMPLETE': 2, 'CANCELLED': 1}"
    assert told["signals"] == [f"KeyboardInterrupt {counts}", f"SystemExit {counts}"]


def test_a_search_in_worker_processes_has_a_job_for_each(told):
    """Workers lack the same, and their standard input is empty; a trial that ends its process ends alone."""
    name, result, used = told["slots"]
    assert (name, result) == ("windows", "{'COMPLETE': 5, 'CRASHED': 1} {1.0}")
    calls = ["AssignProcessToJobObject", "CloseHandle", "CreateJobObjectW", "SetInformationJobObject"]
    assert used == f"{[*calls, 'TerminateJobObject']} {{}}"  # no job is left open


def test_a_command_says_what_it_needs(told):
    """It is ended with all it started, by groups of processes."""
    first, second = told["commands"][:2]
    assert first.startswith("FirstTrialError")
    assert second == (
        "autohpo.errors.OptionError: CommandObjective: needs Linux or macOS, for commands are ended with all they "
        "started"
    )
