"""Plain PyTorch: trainings that are cut off go on number by number, and paused models leave their device."""

from __future__ import annotations

import random

import numpy as np
import pytest

from autohpo import CheckpointError, LogRangeHP, OptionError, TrialState, build_hpo_from_name
from autohpo.integrations.torch import Checkpoint, off_device_while_paused
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
pytestmark = pytest.mark.torch


def handle(folder, answer=True, **task):
    """A trial whose folder is given."""
    return TrialHandle(Task(0, 1, {}, checkpoint_dir=str(folder), **task), lambda *_: answer)


def parts(dropout=0.5):
    """A model, its optimizer, a schedule and a generator: all that has a state."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(dropout), torch.nn.Linear(8, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=100)
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler, "own": torch.Generator().manual_seed(3)}


def train_epoch(own, model, optimizer, scheduler):
    """An epoch that draws from every generator there is."""
    x = torch.randn(16, 4) + random.random() + float(np.random.random())  # noqa: NPY002 - the process's own
    order = torch.randperm(16, generator=own)
    for batch in order.split(4):
        optimizer.zero_grad()
        model(x[batch]).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()


def numbers(made):
    """All numbers of the states, in order."""
    found = list(made["model"].state_dict().values())
    for state in made["optimizer"].state_dict()["state"].values():
        found += state.values()
    return [value.clone() for value in found] + [made["scheduler"].get_last_lr()[0], torch.rand(3), random.random()]


def seed(number):
    """Seeds the generators of the process."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.manual_seed(number)


def trained(folder, epochs, stops=(), made=None):
    """The numbers after some epochs; at each stop the process forgets everything but the folder."""
    made = made or parts()
    seed(1)
    checkpoint = Checkpoint(handle(folder), **made)
    for epoch in range(epochs):
        if epoch in stops:
            made = parts()
            seed(99)  # what another process would draw
            checkpoint = Checkpoint(handle(folder), **made)
            assert checkpoint.start_epoch == epoch
        train_epoch(**made)
        checkpoint.save(epoch + 1)
    return numbers(made)


def test_a_training_that_is_cut_off_twice_is_the_uninterrupted_one_bit_for_bit(tmp_path):
    """Weights, running means, moments, learning rate, and what is drawn next."""
    whole = trained(tmp_path / "a", 7)
    resumed = trained(tmp_path / "b", 7, stops=(2, 5))
    assert len(whole) == len(resumed)
    for one, other in zip(whole, resumed, strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))


def test_only_the_last_checkpoint_is_kept_and_one_that_is_half_written_is_never_read(tmp_path):
    """A process that died while it saved leaves its part beside the whole one before it."""
    made, trial = parts(), handle(tmp_path)
    checkpoint = Checkpoint(trial, **made)
    assert checkpoint.start_epoch == 0
    for epoch in (1, 2, 10):
        checkpoint.save(epoch)
        assert [one.name for one in tmp_path.iterdir()] == [f"epoch-{epoch}.pt"]
    (tmp_path / "part-epoch-0.pt").write_bytes(b"torn")
    assert Checkpoint(handle(tmp_path), **made).start_epoch == 10
    checkpoint.save(11)
    assert [one.name for one in tmp_path.iterdir()] == ["epoch-11.pt"]


def test_what_is_loaded_counts_as_trained_before(tmp_path):
    """The search is told, so that a budget pays only for what is new."""
    made = parts()
    Checkpoint(handle(tmp_path), **made).save(3)
    trial = handle(tmp_path)
    Checkpoint(trial, **made)
    trial.report(0.5)
    assert trial.reports == [(4, 0.5)]
    assert trial.trained == 1


def test_a_checkpoint_of_other_parts_or_shapes_is_refused_by_name(tmp_path):
    """A changed objective must not go on with half of what it had."""
    made = parts()
    Checkpoint(handle(tmp_path), **made).save(1)
    with pytest.raises(CheckpointError, match="has model, optimizer, own, scheduler, and is to be loaded into model"):
        Checkpoint(handle(tmp_path), model=made["model"])
    with pytest.raises(CheckpointError, match="does not fit model: "):
        Checkpoint(handle(tmp_path), **{**made, "model": torch.nn.Linear(2, 1)})
    (tmp_path / "epoch-1.pt").write_bytes(b"rotten")
    with pytest.raises(CheckpointError, match=r"epoch-1\.pt cannot be loaded"):
        Checkpoint(handle(tmp_path), **made)


class Secret:
    """A part whose state is of a type of its own."""

    loaded = None

    def state_dict(self):
        return {"own": Secret}

    def load_state_dict(self, state):
        self.loaded = state["own"]


def test_a_state_of_any_type_is_loaded_only_where_the_file_is_trusted(tmp_path):
    """Loading it may run code."""
    Checkpoint(handle(tmp_path), part=Secret()).save(1)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Checkpoint(handle(tmp_path), part=Secret())
    part = Secret()
    Checkpoint(handle(tmp_path), is_trusted=True, part=part)
    assert part.loaded.__name__ == "Secret"


def test_impossible_arguments_are_refused(tmp_path):
    """Each is named, with its rule and its value."""
    with pytest.raises(OptionError, match="model: must have state_dict and load_state_dict, got int 3"):
        Checkpoint(handle(tmp_path), model=3)
    with pytest.raises(OptionError, match="trial: must be the trial that the objective was given, got None"):
        Checkpoint(None)
    with pytest.raises(OptionError, match="epoch: must be an integer from 1, got int 0"):
        Checkpoint(handle(tmp_path)).save(0)
    with pytest.raises(OptionError, match="things: must be modules, optimizers or tensors, got str 'model'"):
        off_device_while_paused(handle(tmp_path), "model")


def test_a_search_with_checkpoints_trains_each_epoch_once(tmp_path):
    """Promoted trials begin where their training stood; the objective is seen to go on from its checkpoint."""
    epochs = []

    def f(hps, trial):
        made = parts()
        checkpoint = Checkpoint(trial, **made)
        for epoch in range(checkpoint.start_epoch, 9):
            train_epoch(**made)
            epochs.append((trial.number, epoch + 1))
            checkpoint.save(epoch + 1)
            if not trial.report(hps["lr"] * epoch):
                return

    assert Objective.of(f).is_continued
    hpo = build_hpo_from_name("bohb", [LogRangeHP("lr", 0.01, 1.0)], f, max_fidelity=9, max_evals=12, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    promoted = [trial for trial in hpo.result.trials if trial.resume is not None]
    assert promoted
    for trial in hpo.result.trials:
        before = 0 if trial.resume is None else hpo.result.trials[trial.resume].fidelity
        assert [epoch for number, epoch in epochs if number == trial.number] == list(
            range(before + 1, trial.fidelity + 1)
        )


class Place:
    """A tensor's stand-in that says where it is."""

    def __init__(self, device):
        self.device = torch.device(device)


class OnGpu(torch.nn.Linear):
    """A module that believes to be on a GPU, and counts where it is moved to: there is none here."""

    def __init__(self):
        super().__init__(2, 1)
        self.place, self.moves = Place("cuda:1"), []

    def parameters(self, recurse=True):
        yield self.place

    def buffers(self, recurse=True):
        yield from ()

    def to(self, device):
        self.moves.append(str(device))
        self.place = Place(device)
        return self


class Moment(torch.Tensor):
    """A tensor of an optimizer that believes to be on a GPU."""

    place = "cuda:1"

    @property
    def device(self):
        return torch.device(self.place)

    def to(self, device):
        moved = self.clone().as_subclass(Moment)
        moved.place = str(device)
        return moved


def moment():
    """One such tensor."""
    return torch.ones(2).as_subclass(Moment)


def test_models_and_optimizers_are_off_the_gpu_exactly_while_their_training_is_paused(tmp_path):
    """A stand-in counts the moves; what is on the CPU, as Adam's step, is not moved at all."""
    model, weight = OnGpu(), torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    optimizer.state[weight] = {"step": torch.tensor(3.0), "exp_avg": moment()}
    step, places = optimizer.state[weight]["step"], []

    def f(hps, trial):
        off_device_while_paused(trial, model, optimizer)
        while True:
            places.append((str(model.place.device), str(optimizer.state[weight]["exp_avg"].device)))
            yield 1.0

    evaluator = Evaluator(Objective.of(f))

    def run(number, fidelity):
        task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir=str(tmp_path))
        assert evaluator.run(task, lambda *_: True).error == ""
        return str(model.place.device), str(optimizer.state[weight]["exp_avg"].device)

    assert run(0, 1) == ("cpu", "cpu")
    assert run(1, 3) == ("cpu", "cpu")
    assert places == [("cuda:1", "cuda:1")] * 3
    assert model.moves == ["cpu", "cuda:1", "cpu"]
    assert optimizer.state[weight]["step"] is step


def test_a_module_on_several_devices_is_moved_tensor_by_tensor(tmp_path):
    """Those on the CPU are left alone. ``meta`` stands for a GPU, but tensors do not come back from it."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1, device="meta"))
    trial = handle(tmp_path)
    off_device_while_paused(trial, model)
    with pytest.raises(NotImplementedError, match="meta"):
        trial._call("pause")
    assert [str(one.device) for one in model.parameters()] == ["cpu", "cpu", "meta", "meta"]


def test_a_model_that_cannot_be_moved_makes_its_trial_fail_and_no_other(tmp_path):
    """PyTorch's own text is in the error."""

    def f(hps, trial):
        off_device_while_paused(trial, torch.nn.Linear(2, 2, device="meta"))
        yield 1.0
        yield 2.0

    task = Task(0, 1, {}, fidelity=1, root=0, checkpoint_dir=str(tmp_path))
    outcome = Evaluator(Objective.of(f)).run(task, lambda *_: True)
    assert outcome.state is TrialState.FAILED
    assert outcome.error.startswith("what the objective gave trial.on_pause raised")
    assert "Cannot copy out of meta tensor" in outcome.error


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_paused_training_holds_no_memory_of_a_real_gpu(tmp_path):
    """And goes on with the same numbers."""
    model = torch.nn.Linear(1000, 1000, device="cuda")
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 1000, device="cuda")).sum().backward()
    optimizer.step()
    before = model.weight.detach().cpu().clone()
    trial = handle(tmp_path)
    off_device_while_paused(trial, model, optimizer)
    held = torch.cuda.memory_allocated()
    trial._call("pause")
    assert torch.cuda.memory_allocated() < held / 10
    trial._call("resume")
    assert torch.cuda.memory_allocated() == held
    assert torch.equal(model.weight.detach().cpu(), before)
