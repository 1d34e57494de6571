"""TensorBoard: what stands in the event files, read back with tensorboardX's own classes."""

from __future__ import annotations

import importlib.util
import struct
import sys

import pytest

from autohpo import OptionError
from autohpo.errors import MissingExtraError
from autohpo.integrations.tensorboard import TensorBoardTracker

pytestmark = pytest.mark.extras
pytest.importorskip("tensorboardX", reason="tensorboardX is not installed; `make test-extras` installs it")


def events_of(folder):
    """The events of all files of a folder, in the order written; what a later file purges is left out."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found = []
    for path in sorted(folder.glob("events.*"), key=lambda p: p.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (n,) = struct.unpack("<Q", data[at : at + 8])  # a record: length, checksum, data, checksum
            event = Event.FromString(data[at + 12 : at + 12 + n])
            at += 16 + n
            if event.session_log.status == SessionLog.START:
                found = [one for one in found if one.step < event.step]
            found.append(event)
    return found


def scalars_of(folder):
    """``{tag: [(step, value)]}`` of a folder."""
    found = {}
    for event in events_of(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_every_trial_has_its_curves_and_hyper_parameters(searched, tmp_path):
    """The step is the fidelity; the trials of the result are the oracle."""
    result = searched(TensorBoardTracker(logdir=tmp_path), name="random")
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"search", *(f"trial-{t.number:04d}" for t in result)}
    for trial in result:
        scalars = scalars_of(folder / f"trial-{trial.number:04d}")
        assert scalars.get("perf", []) == [(s, pytest.approx(p)) for s, p in trial.reports]
        if trial.perfs:
            assert scalars["loss"] == [(1, -1.0), (2, -2.0), (3, -3.0)]
    texts = str(events_of(folder / f"trial-{next(t.number for t in result if t.error):04d}"))
    assert "x is too large" in texts
    assert "FAILED" in texts


def test_hyper_parameters_stand_where_the_hparams_page_looks(searched, tmp_path):
    """The session's start has the configuration."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    result = searched(TensorBoardTracker(logdir=tmp_path))
    (folder,) = tmp_path.iterdir()
    found = {}
    for event in events_of(folder / "trial-0003"):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                for name, number in data.session_start_info.hparams.items():
                    found[name] = number.number_value or number.string_value
    assert found == {"x": pytest.approx(result.trials[3].hp["x"]), "act": result.trials[3].hp["act"]}


def test_the_best_so_far_has_the_number_of_ended_trials_as_step(searched, tmp_path):
    """The running maximum of the results."""
    result = searched(TensorBoardTracker(logdir=tmp_path))
    (folder,) = tmp_path.iterdir()
    best, course = float("-inf"), []
    for n, trial in enumerate(result, start=1):
        best = max(best, trial.perf if trial.perf is not None else best)
        if best > float("-inf"):
            course.append((n, pytest.approx(best)))
    assert scalars_of(folder / "search")["best/perf"] == course


def test_several_objectives_have_their_names(searched, tmp_path):
    """Each a curve of its own."""
    result = searched(
        TensorBoardTracker(logdir=tmp_path),
        f=lambda hps: {"acc": hps["x"], "size": 2.0},
        name="nsga2",
        mode={"acc": "max", "size": "min"},
    )
    (folder,) = tmp_path.iterdir()
    assert scalars_of(folder / "trial-0002")["acc"] == [(0, pytest.approx(result.trials[2].perfs[0]))]
    assert {"best/acc", "best/size"} <= set(scalars_of(folder / "search"))


def test_a_killed_search_goes_on_in_the_same_files(killed_and_resumed):
    """Every trial has each step once, and the search one course."""

    def is_told(folder):
        return len([p for p in folder.glob("logs/*/trial-*") if "perf" in scalars_of(p)]) >= 8

    imports = "from autohpo.integrations.tensorboard import TensorBoardTracker"
    folder = killed_and_resumed(imports, 'TensorBoardTracker(logdir="logs")', is_told)
    (run,) = (folder / "logs").iterdir()
    trials = sorted(run.glob("trial-*"))
    assert [path.name for path in trials] == [f"trial-{n:04d}" for n in range(30)]
    for path in trials:
        assert [step for step, _ in scalars_of(path)["perf"]] == [1, 2, 3]
    assert [step for step, _ in scalars_of(run / "search")["best/perf"]] == list(range(1, 31))


def test_wrong_options_are_refused():
    """With the name of the option."""
    with pytest.raises(OptionError, match="logdir: must be the path of a folder, got 3"):
        TensorBoardTracker(logdir=3)
    with pytest.raises(OptionError, match="trials: must be True or False, got 'yes'"):
        TensorBoardTracker(logdir="logs", trials="yes")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    """When the tracker is made, not when the search begins."""
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("autohpo.integrations._tracked.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'autohpo\[tensorboard\]'"):
        TensorBoardTracker(logdir="logs")
