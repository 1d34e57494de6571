"""DEHB: differential evolution in Hyperband's brackets."""

from __future__ import annotations

import logging
import tempfile
from typing import Any

import dehb
from loguru import logger

from suite.fidelity.players.continued import Continued
from suite.fidelity.simulator import Job, Setting
from suite.fidelity.task import FidelityTask
from suite.rivals.config_space import config_space, configuration


class DEHB:
    """Asked and told; a configuration that it promotes goes on where it was.

    Args:
        task: Says space and fidelities.
        seed: Of everything random.
        setting: Not used: asks may be open at once without its own workers.
        options: Handed to it.
    """

    takes_reports = False

    def __init__(self, task: FidelityTask, seed: int, setting: Setting, **options: Any) -> None:
        logger.remove()
        logging.disable(logging.WARNING)
        self._space, self._continued = task.space, Continued()
        self._folder = tempfile.TemporaryDirectory()
        self._dehb = dehb.DEHB(
            cs=config_space(task.space, seed),
            min_fidelity=task.low,
            max_fidelity=task.high,
            eta=3,
            n_workers=1,
            seed=seed,
            output_path=self._folder.name,
            save_freq="end",
            **options,
        )

    def ask(self) -> Job:
        """The next configuration and its fidelity."""
        asked = self._dehb.ask()
        return self._continued.job(asked, configuration(self._space, asked["config"]), float(asked["fidelity"]))

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Nothing is stopped."""
        return True

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The value at the fidelity that was asked for."""
        self._continued.ended(job, fidelity)
        self._dehb.tell(job.token, {"fitness": -value, "cost": fidelity})
