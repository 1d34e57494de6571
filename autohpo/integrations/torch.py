"""PyTorch: a checkpoint of a training, and models that leave their device while they are paused.

Needs the extra ``autohpo[torch]``.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from autohpo.errors import CheckpointError, OptionError, short
from autohpo.integrations._callbacks import Saved, load, trial_of
from autohpo.trial_handle import TrialHandle

__all__ = ["Checkpoint", "off_device_while_paused"]

FILE = "epoch-{}.pt"
REST = "cpu"  # where paused models wait


class Checkpoint:
    """The state of a training in its trial's folder: loaded where there is one, saved after each epoch.

    With the parts that are given it keeps the state of the generators of random numbers that belong to the process
    (Python's, numpy's, PyTorch's on the CPU and on each GPU that is in use), so that a training that is cut off and
    goes on is the same, number by number, as one that was not. A ``torch.Generator`` is a part like any other one.

    Args:
        trial: What the objective was given as ``trial``.
        is_trusted: Whether states of any Python type may be loaded, which can run code of whoever can write the file.
            Without it, tensors, numbers, strings and containers of these are loaded.
        **parts: What has a state, by name: a model, an optimizer, a scheduler, a scaler, a ``torch.Generator``, and
            whatever else has ``state_dict`` and ``load_state_dict``.

    Attributes:
        start_epoch: The epochs that are done: 0, or those of the checkpoint that was loaded.

    Raises:
        MissingExtraError: PyTorch is not installed.
        OptionError: A part has no state, or `trial` is no trial.
        CheckpointError: There is a checkpoint, and it does not belong to these parts.

    Example:
        .. code-block:: python

            def train(hps, trial):
                model, optimizer = build(hps)
                checkpoint = Checkpoint(trial, model=model, optimizer=optimizer)
                for epoch in range(checkpoint.start_epoch, 27):
                    train_epoch(model, optimizer)
                    checkpoint.save(epoch + 1)
                    if not trial.report(accuracy(model)):
                        return
    """

    def __init__(self, trial: TrialHandle, *, is_trusted: bool = False, **parts: Any) -> None:
        self._torch = load("torch", "torch")
        self._saved = Saved(trial_of(trial).checkpoint_dir, FILE)
        self._parts = {name: _state_of(name, part) for name, part in parts.items()}
        self.start_epoch = 0
        found = self._saved.latest()
        if found is not None:
            self.start_epoch = int(found[1])
            path = str(found[0])
            try:
                states = self._torch.load(path, map_location="cpu", weights_only=not is_trusted)
            except Exception as error:
                raise CheckpointError(f"checkpoint: {path} cannot be loaded: {error}") from error
            self._load(path, states)
            trial.resume_at(self.start_epoch)

    def _load(self, path: str, states: dict[str, Any]) -> None:
        given, kept = sorted(self._parts), sorted(states["parts"])
        if given != kept:
            raise CheckpointError(
                f"checkpoint: {path} has {', '.join(kept)}, and is to be loaded into {', '.join(given)}"
            )
        for name, (_, take) in self._parts.items():
            try:
                take(states["parts"][name])
            except Exception as error:  # noqa: PERF203 - the error names the part
                raise CheckpointError(f"checkpoint: {path} does not fit {name}: {error}") from error
        _set_generators(self._torch, states["generators"])

    def save(self, epoch: int) -> None:
        """Save the state after an epoch: whole, or, where the process dies meanwhile, not at all.

        Args:
            epoch: The epochs that are done, 1 after the first. Save before you report.

        Raises:
            OptionError: It is no integer from 1.
        """
        if type(epoch) is not int or epoch < 1:
            raise OptionError(f"epoch: must be an integer from 1, got {short(epoch)}")
        parts = {name: state() for name, (state, _) in self._parts.items()}
        with self._saved.part.open("wb") as file:
            self._torch.save({"parts": parts, "generators": _generators(self._torch)}, file)
            file.flush()
            os.fsync(file.fileno())
        self._saved.keep(epoch)


_Part = tuple[Callable[[], Any], Callable[[Any], Any]]


def _state_of(name: str, part: Any) -> _Part:
    """How the state of a part is read, and how it is set."""
    for read, write in (("state_dict", "load_state_dict"), ("get_state", "set_state")):
        if callable(getattr(part, read, None)) and callable(getattr(part, write, None)):
            return getattr(part, read), getattr(part, write)
    raise OptionError(f"{name}: must have state_dict and load_state_dict, got {short(part)}")


def _generators(torch: Any) -> dict[str, Any]:
    """The states of the process's generators, made of what loads without running code."""
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if "numpy" in sys.modules:
        kind, keys, *rest = sys.modules["numpy"].random.get_state()
        states["numpy"] = [kind, keys.tolist(), *rest]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _set_generators(torch: Any, states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    torch.set_rng_state(states["torch"])
    if "numpy" in states:
        import numpy as np

        kind, keys, *rest = states["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002 - the process's own
    if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])


def off_device_while_paused(trial: TrialHandle, *things: Any) -> None:
    """Have models and optimizers leave their GPU whenever this training, a generator, pauses, and return as it goes on.

    Without it each paused training keeps its memory on the GPU. What pauses waits in the memory of its worker, and what
    PyTorch has set aside for it on the GPU is given back, so that other workers on the same GPU have room. Tensors that
    the generator holds besides, such as the last batch, stay where they are.

    Args:
        trial: What the objective was given as ``trial``.
        *things: Modules, optimizers and tensors. A module on several devices returns to each of them.

    Raises:
        MissingExtraError: PyTorch is not installed.
        OptionError: Something is neither a module nor an optimizer nor a tensor, or `trial` is no trial.

    Example:
        .. code-block:: python

            def train(hps, trial):
                model, optimizer = build(hps, device="cuda")
                off_device_while_paused(trial, model, optimizer)
                for _ in range(27):
                    train_epoch(model, optimizer)
                    yield accuracy(model)
    """
    torch = load("torch", "torch")
    for thing in things:
        if not isinstance(thing, (torch.nn.Module, torch.optim.Optimizer, torch.Tensor)):
            raise OptionError(f"things: must be modules, optimizers or tensors, got {short(thing)}")
    moves: list[tuple[Callable[[Any], None], Any]] = []  # how each part is moved, and where it belongs

    def leave() -> None:
        moves[:] = [(move, home) for thing in things for move, home in _placed(torch, thing) if str(home) != REST]
        for move, _ in moves:
            move(REST)
        if any(str(home).startswith("cuda") for _, home in moves) and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def come_back() -> None:
        for move, home in moves:
            move(home)

    trial_of(trial).on_pause(leave)
    trial.on_resume(come_back)


def _placed(torch: Any, thing: Any) -> Iterator[tuple[Callable[[Any], None], Any]]:
    """How each part of a thing is moved, and the device that it is on."""
    if isinstance(thing, torch.nn.Module):
        tensors = list(chain(thing.parameters(), thing.buffers()))
        devices = {tensor.device for tensor in tensors}
        if len(devices) == 1:
            yield thing.to, devices.pop()
        else:
            grads = (tensor.grad for tensor in tensors if tensor.grad is not None)
            yield from ((_data_of(tensor), tensor.device) for tensor in chain(tensors, grads))
    elif isinstance(thing, torch.optim.Optimizer):
        for state in thing.state.values():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    yield _into(state, name), value.device
    else:
        yield _data_of(thing), thing.device


def _into(state: dict[str, Any], name: str) -> Callable[[Any], None]:
    def move(device: Any) -> None:
        state[name] = state[name].to(device)

    return move


def _data_of(tensor: Any) -> Callable[[Any], None]:
    def move(device: Any) -> None:
        tensor.data = tensor.data.to(device)

    return move
