"""Lightning: epochs are reported, trainings stop and go on, under both names of the package and in two processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import LogRangeHP, OptionError, TrialState, build_hpo_from_name
from autohpo.integrations.lightning import ReportCallback
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # Lightning's own, and torch's
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def pl(request):
    """The package under each of its names."""
    return pytest.importorskip(request.param, reason="Lightning is not installed: pip install 'autohpo[lightning]'")


def loader(n=8):
    """Two batches."""
    data = torch.utils.data.TensorDataset(torch.ones(n, 2))
    return torch.utils.data.DataLoader(data, batch_size=n // 2)


def net_of(pl, log, lr=0.1, name="val_loss"):
    """A module whose validation says the epoch; it notes which epochs were trained."""

    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(2, 1)

        def on_train_epoch_start(self):
            log.append(self.current_epoch + 1)

        def training_step(self, batch, index):
            return self.layer(batch[0]).pow(2).mean()

        def validation_step(self, batch, index):
            self.log(name, self.layer(batch[0]).pow(2).mean())
            self.log("epoch_of", float(self.current_epoch + 1))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr)

    return Net()


def trainer_of(pl, report, **more):
    """A quiet trainer on the CPU."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    more = {"max_epochs": 27, "enable_checkpointing": False, "accelerator": "cpu", **quiet, **more}
    return pl.Trainer(callbacks=[report], **more)


def run(f, number, fidelity, folder, answer=lambda *_: True):
    """Outcome and reports of a task in a process that knows only the folder."""
    reports = []
    task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir=str(folder))
    outcome = Evaluator(Objective.of(f)).run(task, lambda *r: reports.append(r) or answer(*r))
    return outcome, reports


def test_a_promoted_trial_trains_only_the_new_epochs_and_comes_to_the_same_weights(pl, tmp_path):
    """Rungs 1, 3 and 9 from checkpoints are nine epochs in all; the loss is that of nine epochs in one go."""
    log = []

    def f(hps, trial):
        report = ReportCallback(trial, "val_loss", metrics=["epoch_of"])
        assert isinstance(report, pl.Callback)
        trainer_of(pl, report).fit(net_of(pl, log), loader(), loader(), ckpt_path=report.ckpt_path)

    assert Objective.of(f).is_continued
    seen = []
    for number, fidelity in enumerate((1, 3, 9)):
        outcome, reports = run(f, number, fidelity, tmp_path / "a")
        assert (outcome.state, outcome.error) == (TrialState.COMPLETE, "")
        assert [one.name for one in (tmp_path / "a").iterdir()] == [f"epoch-{fidelity}.ckpt"]
        seen += reports
    assert log == list(range(1, 10))
    assert [(fidelity, metrics["epoch_of"]) for fidelity, _, metrics in seen] == [(n, n) for n in range(1, 10)]
    whole, _ = run(f, 0, 9, tmp_path / "b")
    assert outcome.perf == whole.perf


@pytest.mark.parametrize("max_epochs", [3, 27])
def test_a_trial_that_is_started_again_at_its_last_epoch_trains_nothing(pl, tmp_path, max_epochs):
    """Its process died after the checkpoint, or the result was lost: it is reported from the checkpoint."""
    log = []

    def f(hps, trial):
        report = ReportCallback(trial, "val_loss")
        trainer_of(pl, report, max_epochs=max_epochs).fit(
            net_of(pl, log), loader(), loader(), ckpt_path=report.ckpt_path
        )

    first, _ = run(f, 0, 3, tmp_path)
    again, reports = run(f, 0, 3, tmp_path)
    assert log == [1, 2, 3]
    assert reports == [(3, first.perf)]
    assert again.perf == first.perf


def test_the_search_s_no_ends_the_training_and_sanity_checks_are_not_reported(pl, tmp_path):
    """``should_stop`` is set after the epoch; the metrics of the sanity check would be those of no training."""
    log = []

    def f(hps, trial):
        report = ReportCallback(trial, "val_loss", is_saved=False)
        trainer = trainer_of(pl, report, num_sanity_val_steps=2)
        trainer.fit(net_of(pl, log), loader(), loader())

    outcome, reports = run(f, 0, None, tmp_path, lambda fidelity, _: fidelity < 2)
    assert (outcome.state, [fidelity for fidelity, _ in reports]) == (TrialState.STOPPED, [1, 2])
    assert log == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_epochs_without_validation_are_not_reported_and_several_validations_count_once(pl, tmp_path):
    """The fidelity is the epoch all the same."""

    def f(hps, trial):
        report = ReportCallback(trial, "val_loss")
        more = {"check_val_every_n_epoch": 2} if trial.number == 0 else {"val_check_interval": 0.5}
        trainer_of(pl, report, **more).fit(net_of(pl, []), loader(), loader())

    assert [fidelity for fidelity, _ in run(f, 0, 6, tmp_path / "a")[1]] == [2, 4, 6]
    assert [fidelity for fidelity, _ in run(f, 1, 2, tmp_path / "b")[1]] == [1, 2]


def test_what_was_not_logged_cannot_be_monitored(pl, tmp_path):
    """The error lists what was; a loss of nan is no result."""

    def f(hps, trial):
        report = ReportCallback(trial, "val_acc")
        trainer_of(pl, report).fit(net_of(pl, []), loader(), loader())

    outcome, _ = run(f, 0, 3, tmp_path)
    assert outcome.state is TrialState.FAILED
    assert "monitor: must name one of 'epoch_of', 'val_loss', got str 'val_acc'" in outcome.error

    def h(hps, trial):
        report = ReportCallback(trial, "val_loss", metrics=["val_acc"])
        trainer_of(pl, report).fit(net_of(pl, []), loader(), loader())

    assert "metrics: must name one of 'epoch_of', 'val_loss', got str 'val_acc'" in run(h, 0, 3, tmp_path)[0].error

    def g(hps, trial):
        report = ReportCallback(trial, "val_loss")
        trainer_of(pl, report).fit(net_of(pl, [], lr=float("inf")), loader(), loader())

    assert run(g, 0, 3, tmp_path)[0].state is TrialState.INVALID


def test_impossible_arguments_are_refused(tmp_path):
    """Each is named, with its rule and its value."""
    pytest.importorskip("lightning", reason="Lightning is not installed: pip install 'autohpo[lightning]'")
    with pytest.raises(OptionError, match="trial: must be the trial that the objective was given, got None"):
        ReportCallback(None, "val_loss")
    with pytest.raises(OptionError, match="monitor: must be the name of a logged metric, got int 3"):
        ReportCallback(TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True), 3)
    for metrics in ("val_loss", [3], None):
        with pytest.raises(OptionError, match="metrics: must be a list of names of logged metrics, got "):
            ReportCallback(
                TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True), "a", metrics=metrics
            )


def test_a_pickled_callback_is_of_the_same_class_and_leaves_the_trial_behind(pl, tmp_path):
    """As a trainer does it that starts processes."""
    report = ReportCallback(TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True), "val_loss")
    again = pickle.loads(pickle.dumps(report))
    assert type(again) is type(report)
    with pytest.raises(OptionError, match="from_children: must be True where the trainer starts processes, got False"):
        again._relay.report(1.0, 1)


def test_bohb_tunes_a_lightning_module_in_two_workers(tmp_path):
    """A whole search, with a store: the epochs of all trials are those of the highest rungs."""
    pytest.importorskip("lightning", reason="Lightning is not installed: pip install 'autohpo[lightning]'")

    def f(hps, trial, net_of=net_of, trainer_of=trainer_of, loader=loader):
        import warnings

        import lightning.pytorch as pl

        warnings.simplefilter("ignore")
        log, report = [], ReportCallback(trial, "val_loss")
        trainer_of(pl, report).fit(net_of(pl, log, hps["lr"]), loader(), loader(), ckpt_path=report.ckpt_path)

    hpo = build_hpo_from_name("bohb", [LogRangeHP("lr", 0.01, 1.0)], f, mode="min", max_fidelity=3, max_evals=5, seed=0)
    hpo.optimize(store=tmp_path / "run.db", num_workers=2, progress=False)
    assert {trial.state for trial in hpo.result.trials} == {TrialState.COMPLETE}
    for trial in hpo.result.trials:
        before = 0 if trial.resume is None else hpo.result.trials[trial.resume].fidelity
        assert [fidelity for fidelity, _ in trial.reports] == list(range(before + 1, trial.fidelity + 1))


TWO = """
import os, sys, warnings
warnings.simplefilter("ignore")
import lightning as pl, torch
from autohpo.integrations.lightning import ReportCallback
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def on_train_epoch_start(self):
        with open(f"rank-{self.global_rank}.txt", "a") as file:
            file.write(f"{self.current_epoch + 1} {torch.distributed.get_backend()}\\n")
    def training_step(self, batch, index):
        return self.layer(batch[0]).pow(2).mean()
    def validation_step(self, batch, index):
        self.log("rank", float(self.global_rank + 1), sync_dist=True)  # the mean over ranks is 1.5
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

def f(hps, trial):
    report = ReportCallback(trial, "rank", from_children=sys.argv[1] == "yes")
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 2)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=27, accelerator="cpu", strategy="ddp_fork", devices=2, callbacks=[report], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )
    trainer.fit(Net(), data, data, ckpt_path=report.ckpt_path)

for number, fidelity in enumerate((1, 3)):
    reports = []
    task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir="checkpoints")
    outcome = Evaluator(Objective.of(f)).run(task, lambda *r: reports.append((r, os.getpid())) or True)
    print(outcome.state.value, [r for r, _ in reports], {pid for _, pid in reports} <= {os.getpid()}, outcome.error)
"""


def run_two(folder, *words):
    """What a program prints that trains with two processes of gloo on the CPU."""
    pytest.importorskip("lightning", reason="Lightning is not installed: pip install 'autohpo[lightning]'")
    (folder / "two.py").write_text(TWO)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "two.py", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return [
        line for line in done.stdout.splitlines() if "COMPLETE" in line or "FAILED" in line or "OptionError" in line
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_with_two_processes_rank_0_reports_once_and_both_stop_and_go_on(tmp_path):
    """Each rank trains epochs 1, 2, 3, once; the value is the mean of both, heard in the search's own process."""
    first, second = run_two(tmp_path, "yes")
    assert first.strip() == "COMPLETE [(1, 1.5)] True"
    assert second.strip() == "COMPLETE [(2, 1.5), (3, 1.5)] True"
    for rank in (0, 1):
        assert (tmp_path / f"rank-{rank}.txt").read_text() == "1 gloo\n2 gloo\n3 gloo\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_nobody_expects_to_report_says_what_to_write(tmp_path):
    """Without ``from_children`` nobody would hear it."""
    assert any("from_children: must be True where the trainer starts" in line for line in run_two(tmp_path, "no"))
