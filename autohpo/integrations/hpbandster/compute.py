"""Compute: the objective of a search whose evaluations are those of workers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import InvalidPerfError, short
from autohpo.integrations.hpbandster.values import as_json
from autohpo.objectives import as_perf

if TYPE_CHECKING:
    from autohpo.integrations.hpbandster.core.worker import Worker

__all__ = ["JOB", "Compute", "numbers_of", "read_info"]

JOB = "\0job"
"""The key under which an attempt gets its config id and the file for its info; no parameter can have this name."""

_TAKEN = ("perf", "cost")  # names that mean something in a result of ours


@dataclass(eq=False)
class Compute:
    """The evaluation of a configuration by the worker of its slot.

    Attributes:
        workers: The workers; slots beyond their number share them.
        budget: The budget where a trial says none.
        working_directory: What ``compute`` gets.
    """

    workers: tuple[Worker, ...]
    budget: float
    working_directory: str

    def __call__(self, hps: dict[str, Any], fidelity: float | None = None) -> dict[str, float]:
        """Return the loss as ``perf``, and the numbers of the info as metrics.

        Args:
            hps: The configuration, and the job.
            fidelity: The budget.

        Raises:
            InvalidPerfError: ``compute`` returned no dict with one finite number as its loss.
        """
        job = hps.pop(JOB)
        worker = self.workers[job["slot"] % len(self.workers)]
        returned = worker.compute(
            config_id=tuple(job["config_id"]),
            config=hps,
            budget=float(self.budget if fidelity is None else fidelity),
            working_directory=self.working_directory,
        )
        if not isinstance(returned, Mapping) or "loss" not in returned:
            raise InvalidPerfError(f"compute: must return a dict with 'loss' and 'info', got {short(returned)}")
        try:
            loss = as_perf(returned["loss"])
        except InvalidPerfError as error:
            got = short(returned["loss"])
            raise InvalidPerfError(f"compute: 'loss' must be one finite number, got {got}") from error
        info = returned.get("info")
        if info is not None:
            _write_info(Path(job["path"]), info)
        return {"perf": loss, **numbers_of(info)}


def _write_info(path: Path, info: Any) -> None:
    """Keep an info for the process of the search, whole or not at all."""
    replaced: list[str] = []
    text = json.dumps({"info": as_json(info, replaced), "replaced": replaced})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_info(path: Path) -> tuple[Any, list[str]]:
    """Return the info that an evaluation kept, and the places of parts of it that JSON could not hold.

    Args:
        path: The path of the file; without one there was no info.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, []
    return found["info"], found["replaced"]


def numbers_of(info: Any) -> dict[str, float]:
    """Return the finite numbers of an info, which become metrics of a trial.

    Args:
        info: What ``compute`` returned beside the loss.
    """
    found = {}
    for name, value in as_json(info).items() if isinstance(info, Mapping) else ():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and name not in _TAKEN and abs(value) < _LARGEST and math.isfinite(value):
            found[name] = float(value)
    return found


_LARGEST = 1e300
