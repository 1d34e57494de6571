"""The options of the sweeper, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.errors import OptionError, shown
from autohpo.spaces import SearchSpace

_WAYS = {"minimize": "min", "maximize": "max", "min": "min", "max": "max"}


@dataclass(frozen=True)
class Fidelity:
    """The config key that says how long a job trains.

    Attributes:
        parameter: The key.
        least: The least value.
        most: The value of a full training.
        checkpoint: The key of the folder that a training goes on from; empty where each job trains anew.
    """

    parameter: str
    least: float
    most: float
    checkpoint: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Fidelity | None:
        """Return what ``fidelity`` says; None where it says nothing.

        Raises:
            OptionError: It says something else.
        """
        if given["parameter"] is None:
            if given["max"] is None and given["checkpoint"] is None:
                return None
            raise OptionError("fidelity: must have a parameter, as in {parameter: epochs, min: 1, max: 27}")
        ends = given["min"], given["max"]
        if not all(_is_number(end) for end in ends) or not 0 < ends[0] < ends[1]:
            raise OptionError(f"fidelity: min must be above 0 and below max, got {shown(ends[0])}, {shown(ends[1])}")
        return cls(given["parameter"], ends[0], ends[1], given["checkpoint"] or "")

    def text(self, fidelity: float | None) -> str:
        """Return the value of the key: an integer where both ends are."""
        value = self.most if fidelity is None else fidelity
        if isinstance(self.least, int) and isinstance(self.most, int):
            value = round(value)
        return repr(value)


@dataclass(frozen=True)
class Settings:
    """What the configuration says; see the configuration's own class for the meaning of each."""

    algorithm: str
    options: Mapping[str, Any]
    mode: Any
    n_trials: int
    n_jobs: int
    seed: int | None
    max_failure_rate: float
    storage: str | None
    study_name: str
    fidelity: Fidelity | None
    params: Mapping[str, Any]
    conditions: Mapping[str, str]
    constraints: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Return the options, checked.

        Raises:
            OptionError: One breaks a rule.
        """
        given = {name: _plain(value) for name, value in options.items()}
        rate = given["max_failure_rate"]
        if not 0 <= rate <= 1:
            raise OptionError(f"max_failure_rate: must be from 0 to 1, got {rate}")
        for name in ("n_trials", "n_jobs"):
            if given[name] < 1:
                raise OptionError(f"{name}: must be at least 1, got {given[name]}")
        return cls(
            algorithm=given["algorithm"],
            options=given["options"] or {},
            mode=_mode(given["direction"]),
            n_trials=given["n_trials"],
            n_jobs=given["n_jobs"],
            seed=given["seed"],
            max_failure_rate=rate,
            storage=given["storage"],
            study_name=given["study_name"] or "",
            fidelity=Fidelity.of(given["fidelity"]),
            params=given["params"] or {},
            conditions=given["conditions"] or {},
            constraints=tuple(given["constraints"] or ()),
        )

    def build(self, space: SearchSpace) -> BaseHPOptimizer:
        """Return the optimizer.

        Raises:
            RegistryError: There is no such algorithm.
            OptionError: An option breaks a rule, or jobs of a sweep cannot do what the algorithm needs.
        """
        cls = get_hpo(self.algorithm)
        if cls.is_multi_fidelity and self.fidelity is None:
            hint = "{parameter: epochs, min: 1, max: 27}"
            raise OptionError(f"fidelity: must be given, as {self.algorithm} trains jobs in part; write {hint}")
        options: dict[str, Any] = {"max_evals": self.n_trials, "seed": self.seed, "mode": self.mode}
        if self.fidelity is not None:
            ends = {"min_fidelity": self.fidelity.least, "max_fidelity": self.fidelity.most}
            options |= {name: end for name, end in ends.items() if name in option_names(cls)}
        for name in options.keys() & self.options.keys():
            key = {"max_evals": "n_trials", "mode": "direction"}.get(name, name)
            key = "fidelity" if name.endswith("_fidelity") else key
            raise OptionError(f"options: {name} stands outside of options, as {key}")
        hpo = build_hpo_from_name(self.algorithm, space, **options, **self.options)
        hpo.is_continued = self.fidelity is not None and bool(self.fidelity.checkpoint)
        if hpo.needs_reports or hpo.needs_checkpoints:
            what = "stops jobs that report" if hpo.needs_reports else "copies trainings"
            raise OptionError(
                f"algorithm: {self.algorithm} {what}, which jobs of a sweep do not do; try asha, bohb or hyperband"
            )
        return hpo


def _mode(direction: Any) -> Any:
    """Return a direction, or several, as autohpo's mode.

    Raises:
        OptionError: It is none.
    """
    if isinstance(direction, Mapping) and direction:
        return {name: _way(way) for name, way in direction.items()}
    return [_way(way) for way in direction] if isinstance(direction, list) and direction else _way(direction)


def _way(direction: Any) -> str:
    way = _WAYS.get(direction.lower()) if isinstance(direction, str) else None
    if way is None:
        raise OptionError(f"direction: must be minimize or maximize, a list or a dict of these, got {shown(direction)}")
    return way


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """Return a value of a configuration as Python's own types."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
