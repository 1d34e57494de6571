"""Rivals that ask for a configuration at a fidelity, and say not that they have asked for it at a lower one before."""

from __future__ import annotations

import json
from typing import Any

from suite.fidelity.simulator import Job
from suite.space import Configuration


class Continued:
    """Knows how far each configuration was trained, so that it goes on from there."""

    def __init__(self) -> None:
        self._had: dict[str, float] = {}

    def job(self, token: Any, hp: Configuration, fidelity: float) -> Job:
        """The job that trains a configuration up to a fidelity; from nothing where it had as much already."""
        key = _key(hp)
        had = self._had.get(key, 0.0)
        return Job(token, key, hp, fidelity, had if had < fidelity else 0.0)

    def ended(self, job: Job, fidelity: float) -> None:
        """A job has come to its end."""
        key = _key(dict(job.hp))
        self._had[key] = max(fidelity, self._had.get(key, 0.0))


def _key(hp: Configuration) -> str:
    return json.dumps(dict(sorted(hp.items())), default=float)
