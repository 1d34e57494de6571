"""Whatever ends a trial, a worker or a driver: the whole tree of the command's processes ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import autohpo
from autohpo import CommandObjective, FirstTrialError, NoResultError, RangeHP, TrialState, build_hpo_from_name
from autohpo.commands.keeper import shared
from autohpo.execution.local import LocalExecutor
from autohpo.execution.platform.macos import MacPlatform
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

REPORT = """echo '{"epoch": 1, "acc": 0.5}'; """
SPACE = [RangeHP("x", 0.0, 1.0)]


def objective(command, **options):
    """An objective that reads JSON."""
    return CommandObjective(command, metric="acc", uses_env=True, **options)


def evaluate(f, answer, folder):
    """The outcome of an attempt in this process."""
    return Evaluator(Objective.of(f)).run(Task(0, 1, {}, checkpoint_dir=str(folder)), answer)


def test_a_stopped_trial_ends_the_whole_tree(tree, tmp_path):
    """Also what has left the group and the parent."""
    outcome = evaluate(objective(tree.command(REPORT + "sleep 600")), lambda *report: False, tmp_path / "c")
    assert outcome.state is TrialState.STOPPED
    assert tree.are_gone(0)


def test_what_a_command_leaves_running_ends_with_it(tree, tmp_path):
    """Nobody would ever end it."""
    outcome = evaluate(objective(tree.command(REPORT + "exit 0")), lambda *report: True, tmp_path / "c")
    assert (outcome.state, outcome.perf) == (TrialState.COMPLETE, 0.5)
    assert tree.are_gone(0)


@pytest.mark.parametrize("report", [REPORT + "sleep 600", REPORT + "exit 0"])
def test_a_group_ends_also_where_there_is_no_proc(tree, tmp_path, monkeypatch, report):
    """As on macOS: no descendants are known, and no descriptor tells of an end; what is in the group ends."""
    monkeypatch.setattr("autohpo.commands.running.current", MacPlatform)
    monkeypatch.setattr("autohpo.commands.running._pidfd", lambda pid: -1)
    text = f"sleep 600 & echo $$ > {tree.pids_file}; echo $! >> {tree.pids_file}; {report}"
    f = objective(["sh", "-c", text.replace("{", "{{").replace("}", "}}")])
    outcome = evaluate(f, lambda *_: False, tmp_path / "c")
    assert outcome.perf == 0.5
    assert tree.are_gone(n=2)


def test_a_command_that_ignores_the_request_is_ended_by_force(tree, tmp_path):
    """After its grace, and not before."""
    began = time.monotonic()
    f = objective(tree.command("trap '' TERM; " + REPORT + "while true; do sleep 0.1; done"), grace_seconds=0.4)
    assert evaluate(f, lambda *report: False, tmp_path / "c").state is TrialState.STOPPED
    assert time.monotonic() - began >= 0.4
    assert tree.are_gone(0)


def test_an_error_in_a_report_ends_the_command(tree, tmp_path):
    """Here the metric is not finite."""
    f = objective(tree.command("""echo '{"epoch": 1, "acc": NaN}'; sleep 600"""))
    assert evaluate(f, lambda *report: True, tmp_path / "c").state is TrialState.INVALID
    assert tree.are_gone(0)


def test_an_interrupt_ends_the_command_and_passes_on(tree, tmp_path):
    """Also one that comes again and again while the command is ended."""

    def answer(*_):
        threads = [threading.Timer(at, os.kill, (os.getpid(), signal.SIGINT)) for at in (0.02, 0.04, 0.06, 0.08)]
        for thread in threads:
            thread.start()
        raise KeyboardInterrupt

    command = tree.command("trap '' TERM; " + REPORT + "while true; do sleep 0.1; done")
    with pytest.raises(KeyboardInterrupt):
        try:
            evaluate(objective(command), answer, tmp_path / "c")
        finally:
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:  # signals that were late must not hit another test
                try:
                    time.sleep(0.05)
                except KeyboardInterrupt:
                    continue
    assert tree.are_gone(1)


def test_two_commands_of_one_process_do_not_end_each_other(tmp_path):
    """Both are trial 0 of their searches, in two threads."""
    outcomes = {}

    def search(name, seconds):
        f = objective(["sh", "-c", f"sleep {seconds} & wait; echo '{{{{\"acc\": {seconds}}}}}'"])
        outcomes[name] = evaluate(f, lambda *report: True, tmp_path / name)

    threads = [threading.Thread(target=search, args=one) for one in (("a", 0.1), ("b", 0.5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: outcome.perf for name, outcome in outcomes.items()} == {"a": 0.1, "b": 0.5}


def test_the_helper_knows_the_group_of_each_command_that_runs(tmp_path):
    """So it can end it where there is no /proc; it forgets it before the number is free."""
    seen = []

    def answer(*_):
        seen.extend(shared._keeper.guardian._groups)
        return True

    f = objective(["sh", "-c", f"echo $$ > {tmp_path}/pid; " + REPORT.replace("{", "{{").replace("}", "}}")])
    evaluate(f, answer, tmp_path / "c")
    assert seen == [int((tmp_path / "pid").read_text())]
    assert shared._keeper.guardian._groups == set()


@pytest.fixture
def executor():
    """A local executor that is always closed."""
    made = LocalExecutor(1, trial_time_limit=20.0)
    yield made
    made.close()


def end_of(executor):
    """The end of the one task of an executor."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for event in executor.poll(0.1):
            if event.outcome is not None:
                return event
    raise AssertionError("no end")


def test_a_killed_worker_takes_its_command_along(tree, tmp_path, executor):
    """The worker has no chance to do anything."""
    executor.open(Objective.of(objective(tree.command("sleep 600"))), lambda event: True)
    executor.submit(0, Task(0, 1, {}, checkpoint_dir=str(tmp_path / "c")))
    threading.Timer(0.1, lambda: tree.pids() and os.kill(executor._slots[0].process.pid, signal.SIGKILL)).start()
    assert end_of(executor).outcome.state is TrialState.CRASHED
    assert tree.are_gone()


def test_a_trial_that_is_killed_at_a_limit_takes_its_command_along(tree, tmp_path, executor):
    """By the driver, whatever the worker is doing."""
    executor.open(Objective.of(objective(tree.command("sleep 600"))), lambda event: True)
    executor.submit(0, Task(0, 1, {}, checkpoint_dir=str(tmp_path / "c")))
    executor.poll(0.1)
    tree.pids()
    executor.kill(0, TrialState.TIMEOUT, "too long")
    assert end_of(executor).outcome.state is TrialState.TIMEOUT
    assert tree.are_gone()


def test_a_stop_ends_a_command_between_its_reports(tree, tmp_path, executor):
    """The answer to a report comes when the command is already training on: an epoch may take hours."""
    executor.open(Objective.of(objective(tree.command(REPORT + "sleep 600"))), lambda event: False)
    executor.submit(0, Task(0, 1, {}, checkpoint_dir=str(tmp_path / "c")))
    event = end_of(executor)
    assert (event.outcome.state, event.outcome.perf) == (TrialState.STOPPED, 0.5)
    assert tree.are_gone(0)


def test_a_stop_does_not_end_a_command_without_a_report(tmp_path, executor):
    """There would be no result: as a function it may come to its end within the grace of the search."""
    executor.open(
        Objective.of(objective(["sh", "-c", "echo go; sleep 0.6; echo '{{\"acc\": 1}}'"])), lambda event: True
    )
    executor.submit(0, Task(0, 1, {}, checkpoint_dir=str(tmp_path / "c")))
    while not executor.poll(0.05):
        pass
    executor.stop(0)
    event = end_of(executor)
    assert (event.outcome.state, event.outcome.perf) == (TrialState.COMPLETE, 1.0)


DRIVER = """
import json, os, signal, sys
from autohpo import CommandObjective, RangeHP, build_hpo_from_name
f = CommandObjective(json.loads(sys.argv[1]), metric="acc", uses_env=True)
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=4, seed=0)
if sys.argv[3] == "unguarded":
    from autohpo.execution.local import LocalExecutor
    opened = LocalExecutor.open
    def open_and_kill(executor, *rest):
        opened(executor, *rest)
        os.kill(executor._guardian._popen.pid, 9)
        executor._guardian.check = lambda: None
    LocalExecutor.open = open_and_kill
hpo.optimize(executor=sys.argv[2], store="run.db", progress=False)
"""


def drive(tree, folder, then, executor, how=""):
    """A driver in a process of its own, once its command runs."""
    (folder / "driver.py").write_text(DRIVER)
    environment = dict(os.environ, PYTHONPATH=str(Path(autohpo.__file__).parents[1]))
    words = [sys.executable, "driver.py", json.dumps(tree.command(then)), executor, how]
    driver = subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True)
    try:
        tree.pids()
    except BaseException:
        driver.kill()
        driver.wait()
        raise
    return driver


@pytest.mark.parametrize(("executor", "how"), [("serial", ""), ("local", ""), ("local", "unguarded")])
def test_a_killed_driver_takes_the_command_along(tree, tmp_path, executor, how):
    """With its trials in its own process, in a worker, and where the guardian was killed first."""
    driver = drive(tree, tmp_path, "sleep 600", executor, how)
    driver.kill()
    driver.wait()
    assert tree.are_gone()


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_an_interrupted_driver_ends_its_command_in_order(tree, tmp_path, executor):
    """The command of a serial search is asked to end; that of a worker ends with the worker."""
    then = f"trap 'echo saved > {tmp_path}/saved; exit 1' TERM; touch {tmp_path}/trapped; sleep 600 & wait"
    driver = drive(tree, tmp_path, then, executor)
    until = time.monotonic() + 20
    while not (tmp_path / "trapped").exists() and time.monotonic() < until:
        time.sleep(0.02)
    for _ in range(2 if executor == "local" else 1):  # the first one lets trials come to their next report
        driver.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert driver.wait(20) in (-signal.SIGINT, 130, 1)
    assert tree.are_gone()
    assert executor == "local" or (tmp_path / "saved").exists()


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_a_search_that_is_stopped_from_another_thread_ends_its_command(tree, executor):
    """Also where it runs in a thread itself, as that of a controller does; and at its time limit."""
    hpo = build_hpo_from_name("random", SPACE, objective(tree.command("sleep 600")), max_evals=5, seed=0)
    raised = []

    def search():
        try:
            hpo.optimize(executor=executor, progress=False, grace_seconds=0.2)
        except NoResultError as error:
            raised.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    tree.pids()
    hpo.stop()
    thread.join(30)
    assert raised
    assert [trial.state for trial in hpo.result] == [TrialState.CANCELLED]
    assert tree.are_gone()
    tree.pids_file.unlink()
    hpo = build_hpo_from_name("random", SPACE, objective(tree.command("sleep 600")), max_evals=5, seed=0)
    with pytest.raises(NoResultError):
        hpo.optimize(executor=executor, progress=False, time_limit=1.0, grace_seconds=0.2)
    assert tree.are_gone()


def test_a_program_that_is_missing_ends_the_search_at_its_first_trial(tmp_path):
    """With one clear error, in a worker, too."""
    f = CommandObjective("nosuchprogram {x}", metric="acc")
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=50, seed=0)
    with pytest.raises(FirstTrialError, match="there is no program 'nosuchprogram' in PATH"):
        hpo.optimize(executor="local", progress=False)
    assert len(hpo.result) == 1
