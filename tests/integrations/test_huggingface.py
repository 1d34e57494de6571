"""Hugging Face's Trainer with a tiny model made here: reports, stops, checkpoints, and its search under our loop."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from autohpo import LogRangeHP, OptionError, RangeHP, SpaceError, TrialState
from autohpo.integrations.huggingface import ReportCallback, hyperparameter_search
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # of Transformers' own code
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),
]


@pytest.fixture
def hf():
    """The library."""
    pytest.importorskip("accelerate", reason="Accelerate is not installed: pip install 'autohpo[transformers]'")
    return pytest.importorskip("transformers", reason="it is not installed: pip install 'autohpo[transformers]'")


def data():
    """Sequences of six tokens whose first one is the label."""
    ids = torch.randint(5, 50, (48, 6), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": one, "labels": int(one[0] > 25)} for one in ids]


def model_init():
    """A model with eight units, and the same weights each time."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=8, **sizes))


def accuracy(prediction):
    """The share of right labels."""
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def arguments(hf, folder, **more):
    """Nine epochs of three steps, without noise on the screen."""
    quiet = {"disable_tqdm": True, "report_to": "none", "use_cpu": True, "logging_strategy": "no"}
    loop = {"num_train_epochs": 9, "per_device_train_batch_size": 16, "eval_strategy": "epoch", "learning_rate": 0.01}
    return hf.TrainingArguments(
        str(folder), **{**loop, "save_strategy": "epoch", "save_total_limit": 1, **quiet, **more}
    )


def trainer_of(hf, folder, callbacks=(), **more):
    """A trainer of that model."""
    return hf.Trainer(
        model_init=more.pop("model_init", model_init),
        args=arguments(hf, folder, **more),
        train_dataset=data(),
        eval_dataset=data(),
        compute_metrics=accuracy,
        callbacks=list(callbacks),
    )


def run(f, number, fidelity, folder, answer=lambda *_: True):
    """Outcome and reports of a task in a process that knows only the folder."""
    reports = []
    task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir=str(folder))
    outcome = Evaluator(Objective.of(f)).run(task, lambda *r: reports.append(r) or answer(*r))
    return outcome, reports


def test_a_promoted_trial_trains_only_the_new_epochs_and_comes_to_the_same_loss(hf, tmp_path):
    """Rungs 1, 3 and 9 are nine epochs of three steps in all; checkpoints have the optimizer and the generators."""
    steps = []

    def f(hps, trial):
        report = ReportCallback(trial, "eval_loss")
        assert isinstance(report, hf.TrainerCallback)
        trainer = trainer_of(hf, trial.checkpoint_dir, [report])
        before = report.last_checkpoint
        trainer.train(resume_from_checkpoint=before)
        steps.append(trainer.state.global_step)

    assert Objective.of(f).is_continued
    seen = []
    for number, fidelity in enumerate((1, 3, 9)):
        outcome, reports = run(f, number, fidelity, tmp_path / "a")
        assert (outcome.state, outcome.error) == (TrialState.COMPLETE, "")
        seen += reports
    assert steps == [3, 9, 27]
    assert [fidelity for fidelity, *_ in seen] == list(range(1, 10))
    assert set(seen[0][2]) == {"eval_accuracy"}
    whole, _ = run(f, 0, 9, tmp_path / "b")
    assert outcome.perf == pytest.approx(whole.perf, rel=1e-5)


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_with(hf, tmp_path):
    """Its last file is missing, or torn: the whole one before it counts."""

    def f(hps, trial):
        report = ReportCallback(trial)
        trainer_of(hf, trial.checkpoint_dir, [report], save_total_limit=3).train()

    run(f, 0, 3, tmp_path)
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text('{"epoch": 3.0, "glo')
    (tmp_path / "checkpoint-12").mkdir()
    trial = TrialHandle(Task(1, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True)
    assert ReportCallback(trial).last_checkpoint == str(tmp_path / "checkpoint-6")
    trial.report(0.5)
    assert trial.reports == [(3, 0.5)]


def test_the_search_s_no_ends_the_training_and_steps_are_parts_of_epochs(hf, tmp_path):
    """Evaluated after each of the three steps of an epoch."""

    def f(hps, trial):
        report = ReportCallback(trial, lambda metrics: metrics["eval_accuracy"] / 2)
        trainer = trainer_of(hf, tmp_path, [report], eval_strategy="steps", eval_steps=1, save_strategy="no")
        trainer.train()
        assert trainer.state.global_step == 3

    outcome, reports = run(f, 0, None, tmp_path, lambda fidelity, *_: fidelity < 1)
    assert (outcome.state, outcome.error) == (TrialState.STOPPED, "")
    assert [fidelity for fidelity, *_ in reports] == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-5)
    assert all(perf == metrics["eval_accuracy"] / 2 for _, perf, metrics in reports)


def test_what_is_no_metric_cannot_be_monitored(hf, tmp_path):
    """The error lists those there are."""

    def f(hps, trial):
        trainer_of(hf, tmp_path, [ReportCallback(trial, "eval_f1")]).train()

    outcome, _ = run(f, 0, 3, tmp_path)
    assert outcome.state is TrialState.FAILED
    assert "monitor: must name one of 'eval_accuracy', 'eval_loss', got str 'eval_f1'" in outcome.error
    with pytest.raises(OptionError, match="monitor: must be a metric's name or a function of the metrics, got int 3"):
        ReportCallback(TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True), 3)
    with pytest.raises(OptionError, match="trial: must be the trial"):
        ReportCallback(None)


def suggested(trial):
    """A space in Transformers' form."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "per_device_train_batch_size": trial.suggest_int("per_device_train_batch_size", 8, 24, step=8),
        "lr_scheduler_type": trial.suggest_categorical("lr_scheduler_type", ["linear", "constant"]),
    }


def test_a_search_with_epochs_as_fidelity_continues_what_it_promotes(hf, tmp_path):
    """The space in Transformers' form; each trial trains the epochs between its rungs."""
    trainer = trainer_of(hf, tmp_path, num_train_epochs=3)
    more = {"direction": "maximize", "algorithm": "bohb", "seed": 0, "run": {"progress": False}}
    best = hyperparameter_search(trainer, suggested, n_trials=5, **more)
    trials = best.run_summary.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    promoted = [trial for trial in trials if trial.resume is not None]
    assert promoted
    for trial in trials:
        before = 0 if trial.resume is None else trials[trial.resume].fidelity
        assert [fidelity for fidelity, _ in trial.reports] == list(range(before + 1, trial.fidelity + 1))
    assert max(trial.fidelity for trial in trials) == 3
    assert set(best.hyperparameters) == {"learning_rate", "per_device_train_batch_size", "lr_scheduler_type"}
    top = max((trial for trial in trials if trial.fidelity == 3), key=lambda trial: trial.perf)
    assert best.objective == top.perf
    assert trials[int(best.run_id)].perf == top.perf


def test_a_search_minimizes_the_loss_in_two_workers_with_parameters_of_ours(hf, tmp_path):
    """Transformers' own default where there are no metrics; a model_init may take the configuration."""

    def sized(hps):
        from transformers import BertConfig, BertForSequenceClassification

        sizes = {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
        return BertForSequenceClassification(
            BertConfig(vocab_size=50, max_position_embeddings=8, hidden_size=hps["width"], **sizes)
        )

    trainer = trainer_of(hf, tmp_path, num_train_epochs=1, eval_strategy="no", save_strategy="no")
    trainer.compute_metrics = None
    trainer.model_init = sized
    space = [LogRangeHP("learning_rate", 1e-4, 1e-1), RangeHP("width", 2, 4)]
    best = hyperparameter_search(
        trainer, lambda: space, n_trials=3, algorithm="random", seed=0, run={"progress": False, "num_workers": 2}
    )
    trials = best.run_summary.trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert best.objective == min(trial.perf for trial in trials)
    assert 0.3 < best.objective < 1.5


def test_impossible_searches_are_refused(hf, tmp_path):
    """Each argument is named, with its rule and its value."""
    trainer = trainer_of(hf, tmp_path)
    space = [LogRangeHP("learning_rate", 1e-4, 1e-1)]
    with pytest.raises(OptionError, match="direction: must be 'minimize' or 'maximize', got str 'max'"):
        hyperparameter_search(trainer, space, direction="max")
    with pytest.raises(SpaceError, match="hp_space: must name arguments of TrainingArguments, got lr"):
        hyperparameter_search(trainer, [LogRangeHP("lr", 1e-4, 1e-1)])
    with pytest.raises(SpaceError, match="hp_space: must have at least one parameter, got list"):
        hyperparameter_search(trainer, lambda trial: {})
    with pytest.raises(OptionError, match="trainer: must have a model_init"):
        hyperparameter_search(hf.Trainer(model=model_init(), args=arguments(hf, tmp_path, eval_strategy="no")), space)
