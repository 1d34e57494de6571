"""Odometers: what an attempt notes outlives it, and what cannot be trusted counts as all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autohpo import NoResultError, RangeHP, build_hpo_from_name, odometer
from autohpo.controller import odometers
from autohpo.controller.account import Past
from autohpo.controller.metered import Metered
from autohpo.controller.odometers import Odometers
from autohpo.errors import AutoHPOError
from autohpo.execution.serial import SerialExecutor
from autohpo.objective import Evaluator, Objective
from autohpo.odometer import Odometer, Reading
from autohpo.store.base import LogEvent
from autohpo.trial import Task, TrialState

pytestmark = pytest.mark.skipif(not odometer.boot_id(), reason="the system does not tell one boot from another")

ASK = {"hp": {"x": 0.5}, "fidelity": 9.0, "resume": None, "pid": 0, "seed": 1, "info": {}}
LOG = [LogEvent("ask", 0, 0, ASK, 1.0), LogEvent("start", 0, 1, {"slot": 0}, 1.0)]


def task(folder, most=9.0):
    """An attempt with an odometer."""
    bare = Task(0, 1, {"x": 0.5}, fidelity=9.0, most=most)
    return Task(0, 1, {"x": 0.5}, fidelity=9.0, most=most, odometer=Odometers(folder).new(bare))


def counted(folder):
    """What an attempt counts with that was given 9 and has no end in the log."""
    return Past(9.0, 100.0).follow(LOG, Odometers(folder).read()).iterations


def noted(folder, *trained, is_over=False, is_generator=False):
    """The path of an odometer that a process left which trained so far."""
    its = task(folder)
    meter = Odometer(its)
    meter.begin(is_generator=is_generator)
    for one in trained:
        meter.note(one)
    meter.is_over = is_over
    meter.close()
    return its.odometer


@pytest.mark.parametrize(
    ("trained", "options", "counts"),
    [
        ((), {}, 9),  # nobody knows how far its first step has come
        ((), {"is_generator": True}, 1),
        ((1,), {}, 2),
        ((1, 2, 3), {}, 4),
        ((3, 6), {}, 9),
        ((1, 2, 5), {}, 8),
        ((1, 2, 8.5), {}, 9),  # no more than it might
        ((1, 2), {"is_over": True}, 2),
    ],
)
def test_an_attempt_counts_with_its_last_report_and_the_step_that_it_had_begun(tmp_path, trained, options, counts):
    """Without an end in the log; it is the same however often it is read."""
    noted(tmp_path, *trained, **options)
    assert [counted(tmp_path) for _ in range(3)] == [counts] * 3


def test_an_attempt_that_did_not_begin_counts_with_nothing_and_cannot_begin_later(tmp_path):
    """A worker of the driver that died may still be there."""
    its = task(tmp_path)
    assert counted(tmp_path) == 0
    called = []
    outcome = Evaluator(Objective.of(called.append)).run(its, lambda fidelity, perf: True)
    assert outcome.state is TrialState.FAILED
    assert "odometer: trial 0 was given up before it began" in outcome.error
    assert called == []
    assert counted(tmp_path) == 0


def test_an_attempt_that_runs_twice_counts_with_all(tmp_path):
    """What an interrupt ended begins again."""
    its = task(tmp_path)
    for _ in range(2):
        meter = Odometer(its)
        meter.begin(is_generator=True)
        meter.note(1)
        meter.close()
    assert counted(tmp_path) == 9


@given(st.binary(max_size=300) | st.tuples(st.integers(0, 111), st.integers(1, 255)) | st.integers(0, 111))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_record_count_as_all(tmp_path, harm):
    """Any bytes, a byte that changed, a record that was cut."""
    path = noted(tmp_path, 1, 2)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if isinstance(harm, bytes):
        data = harm
    elif isinstance(harm, tuple):
        data[harm[0] % len(data)] ^= harm[1]
    else:
        del data[harm % len(data) :]
    with open(path, "wb") as file:
        file.write(data)
    assert counted(tmp_path) == 9


def test_what_was_written_before_the_machine_was_started_again_counts_as_all(tmp_path, monkeypatch):
    """Its last reports may never have come to the disk."""
    noted(tmp_path, 1, 2)
    assert counted(tmp_path) == 3
    monkeypatch.setattr(odometer, "boot_id", lambda: b"a" * 36)
    assert counted(tmp_path) == 9


def test_where_a_boot_has_no_name_nothing_is_written(tmp_path, monkeypatch):
    """Everything counts as all there, and a task has no odometer."""
    monkeypatch.setattr(odometers, "boot_id", lambda: b"")
    assert task(tmp_path).odometer == ""
    assert [*tmp_path.iterdir()] == []


def test_what_another_attempt_wrote_counts_for_no_other(tmp_path):
    """A file under another name."""
    Path(noted(tmp_path, 1, 2)).rename(tmp_path / "odometers" / "1-1")
    assert Odometers(tmp_path).read() == {}


def test_no_number_is_read_while_its_process_lives(tmp_path, monkeypatch):
    """A worker may outlive its driver for a moment; when it does not end, all counts."""
    its = task(tmp_path)
    program = (
        "import sys, time; from autohpo.odometer import Odometer; from autohpo.trial import Task\n"
        "meter = Odometer(Task(0, 1, {}, fidelity=9.0, most=9.0, odometer=sys.argv[1]))\n"
        "meter.begin(is_generator=True); meter.note(1); print(flush=True); time.sleep(1); meter.note(2)\n"
        "print(flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program, its.odometer], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        monkeypatch.setattr(odometers, "WAIT_SECONDS", 0.1)
        assert counted(tmp_path) == 9
        process.stdout.readline()
        process.kill()
    monkeypatch.setattr(odometers, "WAIT_SECONDS", 60.0)
    began = time.monotonic()
    assert counted(tmp_path) == 3
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("harm", ["deleted", "closed", "taken"])
def test_an_odometer_that_is_lost_while_it_counts_misleads_nobody(tmp_path, harm):
    """Its file is deleted; the objective closes its descriptor, or has another file there: that one stays as it is."""
    its = task(tmp_path)
    meter = Odometer(its)
    meter.begin(is_generator=True)
    meter.note(1)
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    if harm == "deleted":
        Path(its.odometer).unlink()
    else:
        os.close(meter._file)
        fd = os.open(other, os.O_RDWR) if harm == "taken" else None
        assert fd is None or fd == meter._file
    meter.note(2)
    meter.close()
    assert other.read_bytes() == b"precious"
    assert counted(tmp_path) == 9
    if harm == "taken":
        os.close(fd)


def test_training_ends_where_its_odometer_can_be_neither_written_nor_removed(tmp_path, monkeypatch):
    """Else it would count with less than it trains."""
    meter = Odometer(task(tmp_path))
    meter.begin(is_generator=True)

    def fail(*_, **__):
        raise PermissionError(1, "no")

    monkeypatch.setattr(odometer.os, "pwrite", fail)
    monkeypatch.setattr(odometer.Path, "unlink", fail)
    with pytest.raises(AutoHPOError, match="odometer: .* can be neither written nor removed"):
        meter.note(1)


def test_a_function_that_has_not_reported_counts_with_the_first_step_of_others():
    """Of those with the same fidelity; where none was silent, and none is known, with all."""
    shown = {(0, 1): Reading(0, 1, most=9.0, is_begun=True)}
    other = [LogEvent("ask", 1, 0, ASK, 1.0), LogEvent("start", 1, 1, {"slot": 0}, 1.0)]
    report = LogEvent("report", 1, 1, {"fidelity": 2.0, "perf": 1.0}, 1.0)
    end = {"state": "COMPLETE", "perf": 1.0, "fidelity": 9.0, "error": "", "trained": 9.0}
    ended = LogEvent("end", 1, 1, end, 1.0)
    silent = LogEvent("end", 1, 1, {**end, "fidelity": None}, 1.0)
    at_the_end = LogEvent("report", 1, 1, {"fidelity": 9.0, "perf": 1.0}, 1.0)
    for more, counts in [([report, ended], 2), ([silent], 9), ([at_the_end, ended], 9), ([], 9)]:
        past = Past(9.0, 100.0).follow([*LOG, *other, *more], shown)
        assert past.left[0, 1] == counts


def test_a_search_leaves_no_odometer(tmp_path):
    """Each is removed when the end of its attempt is in the log; a deleted folder harms nothing."""

    def f(hps, trial):
        folder = tmp_path / "run.db.files" / "odometers"
        assert [path.name for path in folder.iterdir()] == [f"{trial.number}-{trial.attempt}"]
        if trial.number == 1:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        while trial.report(hps["x"]):
            pass

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, seed=0, max_evals=3)
    metered = Metered(SerialExecutor(), max_iterations_per_job=9, total_iterations=27)
    hpo.optimize(executor=metered, store=tmp_path / "run.db", progress=False)
    assert hpo.result.counts() == {"COMPLETE": 3}
    assert metered.used["iterations"]["used"] == 27
    assert not (tmp_path / "run.db.files" / "odometers").exists()


def test_a_search_that_an_exception_ends_says_in_its_log_what_was_trained(tmp_path):
    """Three reports and the step that it had begun, not the nine that it was given."""

    def f(hps, trial):
        for _ in range(3):
            trial.report(hps["x"])
        raise KeyboardInterrupt

    for life in range(1, 3):
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, seed=0, max_evals=3)
        metered = Metered(SerialExecutor(), max_iterations_per_job=9, total_iterations=27)
        with pytest.raises(KeyboardInterrupt):
            hpo.optimize(executor=metered, store=tmp_path / "run.db", progress=False)
        assert metered.used["iterations"]["used"] == 4 * life


def test_a_budget_that_is_used_up_without_a_result_says_so(tmp_path):
    """Not only that no trial has one."""

    def f(hps, trial):
        trial.report(hps["x"])
        raise ValueError

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, seed=0, max_evals=99)
    metered = Metered(SerialExecutor(), max_iterations_per_job=9, total_iterations=10)
    with pytest.raises(
        NoResultError, match="iterations: 2 of 10 are used, and the next trial may need 9; raise the total"
    ):
        hpo.optimize(executor=metered, progress=False, continue_on_error=True, max_consecutive_failures=None)
