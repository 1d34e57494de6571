"""What the callbacks of training libraries share, without these: imports, names of metrics, checkpoints, the relay."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from autohpo import InvalidPerfError, OptionError
from autohpo.errors import MissingExtraError
from autohpo.integrations._callbacks import LibraryCallback, Saved, chosen, finite, load
from autohpo.integrations._relay import Relay
from autohpo.objective import Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

MODULES = ("catboost", "huggingface", "keras", "lightgbm", "lightning", "torch", "xgboost")
LIBRARIES = ("catboost", "keras", "lightgbm", "lightning", "pytorch_lightning", "torch", "transformers", "xgboost")


def handle(folder="unused", report=lambda *_: True):
    """A trial of a folder."""
    return TrialHandle(Task(0, 1, {}, checkpoint_dir=str(folder)), report)


def test_importing_the_integrations_loads_no_library():
    """Each is loaded when it is used."""
    names = [f"autohpo.integrations.{name}" for name in MODULES]
    code = f"import sys, {', '.join(names)}; print([m for m in {LIBRARIES} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("module", "extra", "make"),
    [
        ("catboost", "catboost", lambda ours, trial: next(ours.boost({}, None, None, n_rounds=1))),
        ("huggingface", "transformers", lambda ours, trial: ours.ReportCallback(trial)),
        ("huggingface", "transformers", lambda ours, trial: ours.hyperparameter_search(None, [])),
        ("keras", "keras", lambda ours, trial: ours.ReportCallback(trial)),
        ("lightgbm", "lightgbm", lambda ours, trial: next(ours.boost({}, None, None, n_rounds=1))),
        ("lightning", "lightning", lambda ours, trial: ours.ReportCallback(trial, "loss")),
        ("torch", "torch", lambda ours, trial: ours.Checkpoint(trial)),
        ("torch", "torch", lambda ours, trial: ours.off_device_while_paused(trial)),
        ("xgboost", "xgboost", lambda ours, trial: next(ours.boost({}, None, None, n_rounds=1))),
        ("xgboost", "xgboost", lambda ours, trial: ours.ReportCallback(trial)),
    ],
)
def test_a_missing_library_is_named_with_its_extra(module, extra, make, monkeypatch, tmp_path):
    """Whether it is installed here or not."""
    for name in [*LIBRARIES, *sys.modules]:
        if name.partition(".")[0] in LIBRARIES:
            monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.partition(".")[0] in LIBRARIES and "." in name]:
        monkeypatch.delitem(sys.modules, name)
    ours = importlib.import_module(f"autohpo.integrations.{module}")
    with pytest.raises(MissingExtraError, match=rf"is not installed: pip install 'autohpo\[{extra}\]'"):
        make(ours, handle(tmp_path))


def test_a_library_that_is_there_and_lacks_another_one_says_what_it_lacks(tmp_path, monkeypatch):
    """It would be misleading to ask for what is installed."""
    (tmp_path / "half_there.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        load("half", "half_there")


def test_a_metric_is_chosen_by_its_name_or_the_end_of_it():
    """One that may be two is none."""
    values = {"valid-auc": 1, "valid-loss": 2, "train-loss": 3}
    assert chosen("auc", values) == chosen("valid-auc", values) == "valid-auc"
    assert chosen("train-loss", values) == "train-loss"
    assert chosen(None, {"loss": 1}) == "loss"
    for name in ("loss", "f1", None, "uc"):
        with pytest.raises(OptionError, match="metric: must name one of 'train-loss', 'valid-auc', 'valid-loss', got"):
            chosen(name, values)
    with pytest.raises(OptionError, match="monitor: must name one of the metrics, but there are none, got None"):
        chosen(None, {}, "monitor")


def test_metrics_that_are_no_numbers_are_left_out_of_the_log():
    """The result itself is not: that makes the trial INVALID."""
    assert finite({"a": 1, "b": float("nan"), "c": float("inf")}) == {"a": 1.0}
    assert finite({"b": float("nan")}) is None


@pytest.mark.parametrize("is_folder", [False, True])
def test_of_the_checkpoints_the_one_that_came_furthest_counts_and_alone_stays(tmp_path, is_folder):
    """By number, not by letters; other files are left alone."""
    saved = Saved(tmp_path, "epoch-{}.x")
    (tmp_path / "epoch-best.x").write_text("a name of the user's own")
    assert saved.latest() is None
    for done in (9, 10, 10, 10.5):
        if is_folder:
            saved.part.mkdir()
            (saved.part / "weights").write_text(str(done))
        else:
            saved.part.write_text(str(done))
        saved.keep(done)
        assert saved.latest() == (tmp_path / f"epoch-{done}.x", done)
    (tmp_path / "epoch-9.x").write_text("what a process left that died before it removed it")
    assert saved.latest() == (tmp_path / "epoch-10.5.x", 10.5)
    assert (tmp_path / "epoch-best.x").exists()


def test_a_class_of_ours_derives_from_the_library_s_when_the_first_is_made(tmp_path, monkeypatch):
    """Under both of its names, where both are imported; pickled, it is of the same class again."""
    import pickle

    (tmp_path / "first_name.py").write_text(
        "class Base:\n    def hook(self): return 'theirs'\n    def other(self): return 1"
    )
    (tmp_path / "second_name.py").write_text("class Base: pass")
    monkeypatch.syspath_prepend(tmp_path)

    class Ours(LibraryCallback):
        _extra, _bases = "none", (("first_name", "Base"), ("second_name", "Base"))

        def hook(self):
            return "ours"

    monkeypatch.setattr(sys.modules[__name__], "Ours", Ours, raising=False)
    Ours.__qualname__ = "Ours"
    one = Ours()
    assert "second_name" not in sys.modules
    import first_name
    import second_name

    assert (one.hook(), one.other()) == ("ours", 1)
    assert isinstance(one, Ours)
    assert isinstance(one, first_name.Base)
    assert not isinstance(one, second_name.Base)
    assert isinstance(Ours(), second_name.Base)
    one.value = 3
    again = pickle.loads(pickle.dumps(one))
    assert type(again) is type(one)
    assert again.value == 3


def ends_at_two(fidelity, perf, metrics=None):
    """A search that wants no more than two epochs."""
    return fidelity < 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_reports_through_its_parent_and_hears_the_answer():
    """The trial's own process has the reports."""
    trial = handle(report=ends_at_two)
    relay = Relay(trial, from_children=True)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a process with threads that forks
        child = os.fork()
    if not child:
        code = 1
        try:
            answers = [relay.report(0.5, 1, {"loss": 2.0}), relay.report(0.25, 2)]
            code = 0 if answers == [True, False] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert trial.reports == [(1, 0.5), (2, 0.25)]
    assert trial.is_stopped


def test_a_result_that_is_no_number_is_refused_in_the_child_too():
    """Seen from the child's end of the line, in this process."""
    trial = handle()
    relay = Relay(trial, from_children=True)
    relay._home = -1
    with pytest.raises(InvalidPerfError, match="nan"):
        relay.report(float("nan"), 1)
    assert relay.report(0.5, 1) is True
    assert trial.reports == [(1, 0.5)]


def test_an_objective_that_asks_a_helper_where_to_begin_goes_on_from_its_checkpoint():
    """As one does that names ``checkpoint_dir``; a helper that only reports does not."""
    from autohpo.integrations.lightning import ReportCallback
    from autohpo.integrations.torch import Checkpoint

    def goes_on(hps, trial):
        return ReportCallback(trial, "loss").ckpt_path

    def goes_on_too(hps, trial):
        checkpoint = Checkpoint(trial)
        return checkpoint.start_epoch

    def begins_anew(hps, trial):
        return ReportCallback(trial, "loss")

    def has_a_start_of_its_own(hps, trial, start_epoch=0):
        return hps.start_epoch

    assert Objective.of(goes_on).is_continued
    assert Objective.of(goes_on_too).is_continued
    assert not Objective.of(begins_anew).is_continued
    assert not Objective.of(has_a_start_of_its_own).is_continued
