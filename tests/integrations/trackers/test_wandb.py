"""Weights & Biases, offline: what stands in the files that would be sent, read with wandb's own records."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import OptionError

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"),
]
pytest.importorskip("wandb", reason="wandb is not installed; `make test-extras` installs it")

from autohpo.integrations._wandb_files import wait_until_written  # noqa: E402
from autohpo.integrations.wandb import WandbTracker  # noqa: E402

BLOCK, WHOLE, LAST = 32768, 1, 4


def records_of(path):
    """The records of a .wandb file: a log of LevelDB's form, in blocks, behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no room for the head of a record: the block is padded
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            break
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(part))
            part = b""
    return found


def run_of(path):
    """Of a run: its record, configuration, history rows, summary and exit code."""
    rows, summary, config, code, head = [], {}, {}, None, None
    for record in records_of(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            head = record.run
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            rows.append({(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item})
        elif kind == "summary":
            summary |= {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.summary.update}
        elif kind == "exit":
            code = record.exit.exit_code
    return head, config, rows, summary, code


def runs_of(folder):
    """The search's run files in order, and those of the trials by their name; each trial has one."""
    found = [run_of(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
    searches = [run for run in found if run[0].job_type == "search"]
    trials = [run for run in found if run[0].job_type == "trial"]
    names = [run[0].display_name for run in trials]
    assert len(set(names)) == len(names), "a trial was logged twice"
    return searches, dict(zip(names, trials, strict=True))


def rows_of(run):
    """The history without wandb's own columns; ``step`` is its step."""
    return [{k: v for k, v in row.items() if not k.startswith("_")} | {"step": row.get("_step", 0)} for row in run[2]]


def test_each_trial_is_a_run_of_the_group_of_the_search(searched, tmp_path):
    """Configuration, steps, states, errors; the result is the oracle."""
    before = dict(os.environ)
    result = searched(WandbTracker(mode="offline", folder=tmp_path, project="cora", tags=["a"]))
    ((search, config, _, summary, code),), trials = runs_of(tmp_path)
    assert (search.project, list(search.tags), code) == ("cora", ["a"], 0)
    assert (config["algorithm"], config["seed"]) == ("random", 0)
    assert summary["best_trial"] == result.best.number
    assert sorted(trials) == [f"trial-{trial.number:04d}" for trial in result]
    for trial in result:
        head, config, _, summary, code = run = trials[f"trial-{trial.number:04d}"]
        assert head.run_group == search.run_group
        assert {name: config[name] for name in trial.hp} == trial.hp
        points = [(row["step"], row["perf"]) for row in rows_of(run) if "perf" in row]
        assert points == [(step, pytest.approx(perf)) for step, perf in trial.reports]
        assert summary["state"] == trial.state.value
        assert code == (0 if trial.perfs else 1)
        assert summary.get("error", "") == trial.error
    assert any(trial.error for trial in result)
    assert dict(os.environ) == before


def test_the_best_so_far_is_a_curve_of_the_search(searched, tmp_path):
    """The running maximum, with the number of ended trials as step."""
    result = searched(WandbTracker(mode="offline", folder=tmp_path, trials=False))
    (search,), trials = runs_of(tmp_path)
    best, course = float("-inf"), []
    for n, trial in enumerate(result, start=1):
        best = max(best, trial.perf if trial.perf is not None else best)
        if best > float("-inf"):
            course.append((n, best))
    assert [(row["step"], row["best.perf"]) for row in rows_of(search)] == course
    assert not trials


def test_the_active_run_of_a_program_is_left_alone(searched, tmp_path):
    """It stays what ``wandb.run`` is, and has nothing of ours."""
    import wandb

    own = wandb.init(mode="offline", dir=str(tmp_path), id="own", settings=wandb.Settings(silent=True, console="off"))
    (tmp_path / "ours").mkdir()
    searched(WandbTracker(mode="offline", folder=tmp_path / "ours", trials=False))
    assert wandb.run is own
    own.finish()
    (path,) = tmp_path.glob("wandb/offline-run-*-own/*.wandb")
    assert run_of(path)[2] == []


def test_a_killed_search_has_one_whole_run_and_one_of_each_trial(killed_and_resumed):
    """No trial has two runs, none lacks a step or its end, and the curve of the search begins at the first trial."""

    def is_told(folder):
        return len(list(folder.glob("wandb/offline-run-*-trial-*"))) >= 8

    imports = "from autohpo.integrations.wandb import WandbTracker"
    folder = killed_and_resumed(imports, 'WandbTracker(mode="offline")', is_told)
    (search,), trials = runs_of(folder)
    assert sorted(trials) == [f"trial-{n:04d}" for n in range(30)]
    for run in trials.values():
        assert [row["step"] for row in rows_of(run) if "perf" in row] == [1, 2, 3]
        assert run[4] == 0
    assert [row["step"] for row in rows_of(search) if "best.perf" in row] == list(range(1, 31))
    assert search[4] == 0


KILLED_AT_ONCE = """
import os, signal
import psutil
from autohpo import RangeHP, build_hpo_from_name
from autohpo.integrations.wandb import WandbTracker

class Killed(WandbTracker):
    def _write_trial(self, change, rows):
        children = psutil.Process().children(recursive=True)
        super()._write_trial(change, rows)
        if change.trial.number == 2:
            for child in children:
                os.kill(child.pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=3, seed=0)
hpo.optimize(progress=False, trackers=[Killed(mode="offline")])
"""


@pytest.mark.parametrize("attempt", range(3))
def test_a_trial_that_was_taken_is_whole_although_the_driver_is_killed_at_once(attempt, tmp_path):
    """W&B's process ends with the driver, here in the same instant; so the file must be complete before that."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", KILLED_AT_ONCE], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    for n in range(3):
        (path,) = tmp_path.glob(f"wandb/offline-run-*-trial-{n:04d}/*.wandb")
        assert run_of(path)[4] == 0


def test_what_a_kill_cut_off_is_no_complete_run(searched, tmp_path):
    """A file without its last record; long ones are read from their last two blocks."""
    import wandb

    from autohpo.integrations._wandb_files import is_complete

    settings = wandb.Settings(silent=True, console="off")
    run = wandb.init(mode="offline", dir=str(tmp_path), reinit="create_new", settings=settings)
    for step in range(1500):
        run.log({"text": f"{step:0100d}"}, step=step)
    run.finish()
    folder = Path(run.dir).parent
    wait_until_written(folder)
    (path,) = folder.glob("*.wandb")
    data = path.read_bytes()
    assert len(data) > 5 * BLOCK
    assert (len(run_of(path)[2]), run_of(path)[4]) == (1500, 0)
    for end in (3, 7, 100, BLOCK, 2 * BLOCK, 2 * BLOCK + 3, len(data) // 2, len(data) - BLOCK):
        path.write_bytes(data[:end])
        assert not is_complete(folder), end
    path.write_bytes(b"something else")
    assert is_complete(folder)


def test_wrong_options_are_refused():
    """With the name of the option."""
    with pytest.raises(OptionError, match="mode: must be 'online' or 'offline', got 'dryrun'"):
        WandbTracker(mode="dryrun")
    with pytest.raises(OptionError, match="project: must be a string, got None"):
        WandbTracker(project=None)
    with pytest.raises(OptionError, match="tags: must be a list of strings"):
        WandbTracker(tags="a")
