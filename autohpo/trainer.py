"""Trainers: objects with AutoGL's contract as objectives."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from autohpo.errors import OptionError, SpaceError, short
from autohpo.objective import Objective
from autohpo.objectives import as_perf
from autohpo.spaces import FixedHP, SearchSpace
from autohpo.trial import Trial, whole
from autohpo.trial_handle import TrialHandle

_log = logging.getLogger("autohpo")


@dataclass
class TrainerObjective:
    """A trainer with AutoGL's contract as an objective: duplicate, train, score.

    The best trained trainer of each process is kept in a file, so that the search can return it.

    Args:
        trainer: An object with ``duplicate_from_hyper_parameter(hp)``, ``train(dataset)`` and ``get_valid_score()``.
            A ``train`` that names ``checkpoint_dir`` gets the folder of the training, to go on from what it saved; one
            that names ``seed`` the trial's seed.
        dataset: The data that ``train`` gets.
        folder: A folder for the files, one for each process that trains.
        modules: The parts that a configuration always has, also where nothing is searched in them.
    """

    trainer: Any
    dataset: Any
    folder: str
    modules: tuple[str, ...] = ()
    _best: tuple[tuple[float, float], Path] | None = None

    def __call__(self, hps: dict[str, Any], trial: TrialHandle) -> float:
        """Return the validation score of a trainer trained with these hyper-parameters; higher is better."""
        trained, perf = self.train(hps, trial)
        rank = (math.inf if trial.fidelity is None else trial.fidelity), perf
        is_here = Path(self.folder).is_dir()  # not on another machine: there it is trained again in the end
        if is_here and (self._best is None or rank > self._best[0]):
            path = self.path_of(trial.number)
            part = path.with_suffix(".part")
            try:
                part.write_bytes(cloudpickle.dumps(trained))
                part.replace(path)  # whole, or not at all
            except Exception:  # its pickling may raise anything; the best is trained again in the end
                _log.warning("the trainer of trial %d cannot be kept", trial.number, exc_info=True)
                part.unlink(missing_ok=True)
            if self._best is not None:
                self._best[1].unlink(missing_ok=True)
            self._best = rank, path
        return perf

    def train(
        self, hps: dict[str, Any], trial: TrialHandle | None = None, seed: int | None = None
    ) -> tuple[Any, float]:
        """Return a new trainer, trained, and its score; higher is better.

        Args:
            hps: The configuration, with names such as ``trainer:lr``.
            trial: The trial, whose checkpoint folder a trainer may ask for; None trains from the beginning.
            seed: The seed of a training without a trial.
        """
        trained = self.trainer.duplicate_from_hyper_parameter({m: {} for m in self.modules} | nested(hps))
        offered: dict[str, Any] = {}
        if trial is not None and _takes(trained, "checkpoint_dir"):
            offered["checkpoint_dir"] = trial.checkpoint_dir
        own = seed if trial is None else trial.seed
        if own is not None and _takes(trained, "seed"):
            offered["seed"] = own
        trained.train(self.dataset, **offered)
        score = trained.get_valid_score()
        score, is_higher_better = score if isinstance(score, tuple) else (score, True)
        perf = as_perf(score)
        return trained, perf if is_higher_better else -perf

    @property
    def is_continued(self) -> bool:
        """Whether training goes on from a checkpoint: where ``train`` names ``checkpoint_dir``."""
        return _takes(self.trainer, "checkpoint_dir")

    def path_of(self, number: int) -> Path:
        """Return where the trainer of a trial is kept while it is the best of its process."""
        return Path(self.folder) / f"trainer-{number}.pkl"

    def configuration(self, trial: Trial, fidelity: str | None) -> dict[str, Any]:
        """Return the configuration that a trial was trained with, the parameter that is its fidelity included."""
        given = {} if fidelity is None or trial.fidelity is None else {fidelity: whole(trial.fidelity)}
        return {**trial.hp, **given}

    def objective(self, fidelity: str | None = None) -> Objective:
        """Return this as an objective.

        Args:
            fidelity: The hyper-parameter that is the fidelity, such as ``trainer:max_epoch``; None trains in full.
        """
        wants = frozenset({"trial"})
        return Objective(self, wants=wants, takes_fidelity=fidelity is not None, fidelity_name=fidelity)


def _takes(trainer: Any, name: str) -> bool:
    """Whether a trainer's ``train`` names an argument."""
    try:
        return name in inspect.signature(trainer.train).parameters
    except (TypeError, ValueError):  # some built-ins have no signature
        return False


def check_trainer(trainer: Any) -> None:
    """Check that an object has AutoGL's trainer contract.

    Raises:
        OptionError: A method is missing; the text names all that are.
    """
    needed = ("duplicate_from_hyper_parameter", "train", "get_valid_score")
    missing = [name for name in needed if not callable(getattr(trainer, name, None))]
    if missing:
        hint = "a function goes to build_hpo_from_name(name, space, f)"
        if isinstance(trainer, int):
            hint = f"the number of workers goes by name: optimize(num_workers={trainer})"
        elif isinstance(trainer, (str, Path)):
            hint = f"a store goes by name: optimize(store={str(trainer)!r})"
        raise OptionError(f"trainer: {short(trainer)} has no method {', '.join(missing)}; {hint}")


def nested(hps: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration as a trainer wants it: ``{"trainer:lr": 0.1}`` becomes ``{"trainer": {"lr": 0.1}}``.

    Names without a colon stay where they are.
    """
    result: dict[str, Any] = {}
    for name, value in hps.items():
        part, colon, rest = name.partition(":")
        if colon:
            result.setdefault(part, {})[rest] = value
        else:
            result[name] = value
    return result


PARTS = ("encoder", "decoder", "model", "prediction_head")
"""Attributes of AutoGL's trainers that have hyper-parameters of their own."""


def default_configuration(trainer: Any, space: SearchSpace) -> dict[str, Any] | None:
    """Return the configuration that a trainer has by itself; None where it says nothing of the space.

    It is what ``get_default_hyper_parameter()`` or ``default_hyper_parameters`` says, else ``hyper_parameters``, which
    AutoGL's trainers and each of their parts have. Names that are not searched are left out.

    Raises:
        OptionError: It is no configuration of the space.
    """
    found = own_values(trainer, space)
    if not found:
        return None
    hp: dict[str, Any] = {}
    for one in space.parameters:
        if isinstance(one, FixedHP):
            found[one.name] = one.value
        if one.name in found and space.is_active(one.name, hp):
            hp[one.name] = one.cut(found[one.name], hp)
    try:
        space.check(hp)
    except SpaceError as error:
        raise OptionError(f"default_first: the trainer's own configuration does not fit the space; {error}") from None
    return hp


def own_values(trainer: Any, space: SearchSpace) -> dict[str, Any]:
    """Return what a trainer has by itself for the parameters of a space, by their names there; it may be illegal."""
    found: dict[str, Any] = {}
    for name, value in _own_values(trainer):
        full = name if name in space.names else f"trainer:{name}"
        if full in space.names:
            found[full] = value
    return found


def _own_values(trainer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the flat names and the values of what a trainer has by itself."""
    for name in ("get_default_hyper_parameter", "default_hyper_parameters", "default_hyper_parameter"):
        said = getattr(trainer, name, None)
        said = said() if callable(said) else said
        if isinstance(said, Mapping):
            yield from _flat(said)
            return
    for part in (None, *PARTS):
        said = getattr(trainer if part is None else getattr(trainer, part, None), "hyper_parameters", None)
        said = said() if callable(said) else said
        if isinstance(said, Mapping):
            yield from _flat(said if part is None else {part: said})


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield ``{"trainer": {"lr": 0.1}}`` as ``("trainer:lr", 0.1)``, the opposite of :func:`nested`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}:{inner}", item) for inner, item in value.items())
        else:
            yield name, value
