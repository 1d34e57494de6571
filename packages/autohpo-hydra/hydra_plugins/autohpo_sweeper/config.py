"""The configuration of the sweeper: what ``hydra.sweeper`` holds after ``override hydra/sweeper: autohpo``."""

# No `from __future__ import annotations` here: Hydra imports this file without entering it into sys.modules, and a
# dataclass with annotations that are strings looks for its module there.

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore


@dataclass
class FidelityConf:
    """How long a job trains.

    Attributes:
        parameter: The config key that says it; None where all jobs train in full.
        min: The least value of the key.
        max: The value of a full training.
        checkpoint: The config key of a folder, the same for all jobs that go on with one training.
    """

    parameter: str | None = None
    min: Any = 1
    max: Any = None
    checkpoint: str | None = None


@dataclass
class AutohpoSweeperConf:
    """The options of the sweeper.

    Attributes:
        algorithm: The name of the algorithm: "auto", "tpe", "bayes", "bohb", ...
        options: Options of the algorithm, such as ``eta: 3``.
        direction: "minimize" or "maximize"; a list of these for several objectives, or a dict from the name of an
            objective to one of these, where the task returns a dict.
        n_trials: The number of trials of the whole sweep, those before a restart included.
        n_jobs: The number of jobs that the launcher gets at a time.
        seed: The seed of the algorithm; None draws one, which the store keeps.
        max_failure_rate: The share of `n_trials` that may fail before the sweep ends with the error of a job.
        storage: The path or URL of the store; None means ``autohpo.db`` in ``hydra.sweep.dir``.
        study_name: A name of the run, kept in the store.
        fidelity: How long a job trains, where the algorithm decides about that.
        params: What is searched: overrides by key, such as ``lr: tag(log, interval(1e-4, 1e-1))``.
        conditions: Formulas by key; a key that has one is only set where its formula is true.
        constraints: Formulas that all jobs must meet.
    """

    _target_: str = "hydra_plugins.autohpo_sweeper.sweeper.AutohpoSweeper"
    algorithm: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    direction: Any = "minimize"
    n_trials: int = 20
    n_jobs: int = 1
    seed: int | None = None
    max_failure_rate: float = 0.0
    storage: str | None = None
    study_name: str | None = None
    fidelity: FidelityConf = field(default_factory=FidelityConf)
    params: dict[str, Any] | None = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)


ConfigStore.instance().store(group="hydra/sweeper", name="autohpo", node=AutohpoSweeperConf, provider="autohpo")
