"""A race: one player on one task with one seed, and how good its incumbent was on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.fidelity.incumbent import Incumbent
from suite.fidelity.players import make_player, version_of
from suite.fidelity.results import SHARES, Run
from suite.fidelity.simulator import Setting, simulate
from suite.fidelity.task import FidelityTask

_NOTHING = 1.0  # the regret before anything is known: that of a random configuration


def race(name: str, task: FidelityTask, seed: int, setting: Setting, options: Mapping[str, Any]) -> Run:
    """Runs a player to the end of its budget.

    Args:
        name: Of the player.
        task: What is trained.
        seed: Of the player; tasks have fixed values.
        setting: Workers, budget and clock.
        options: Handed to the player.
    """
    incumbent = Incumbent(task)
    record = simulate(make_player(name, task, seed, setting, options), task, setting, [incumbent])
    values = [incumbent.at(share) for share in SHARES]
    return Run(
        task=task.name,
        seed=seed,
        workers=setting.workers,
        trainings=setting.trainings,
        clock=setting.clock,
        reports=setting.reports,
        is_continued=setting.is_continued,
        regrets=tuple(round(_NOTHING if value is None else task.regret(value), 5) for value in values),
        path=tuple((round(share, 5), round(task.regret(value), 5)) for share, value in incumbent.path),
        n_trials=len(record.trials),
        n_full=sum(reached >= task.high for reached in record.trials.values()),
        n_asks=record.n_asks,
        cpu_seconds=round(record.cpu_seconds, 4),
        busy=round(record.busy / setting.trainings, 4),
        version=version_of(name),
    )
