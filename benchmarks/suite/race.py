"""A race: one optimizer on one task with one seed, and what it had found after 25, 50 and 100 results."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from suite.space import Configuration
from suite.task import Task

CHECKPOINTS = (25, 50, 100)


class Exhausted(Exception):  # noqa: N818 - no error: the space is small, and everything was tried
    """The optimizer has nothing left to ask for."""


class Optimizer(Protocol):
    """What a rival's adapter offers; higher values are better."""

    def ask(self) -> tuple[Any, Configuration]:
        """A token, to be handed back with the value, and a configuration of active parameters.

        Raises:
            Exhausted: There will be no more.
        """

    def tell(self, token: Any, value: float) -> None:
        """The value of what was asked with the token."""

    def best(self) -> Mapping[str, Any] | None:
        """The configuration that the optimizer names the best; None where it names that of the best value told."""


@dataclass(frozen=True)
class Run:
    """What a race gives.

    Attributes:
        values: True value of the incumbent after each of the checkpoints within the budget.
        cpu_seconds: Of all asks and tells.
        evaluations: The budget, even where the optimizer ended before it.
    """

    task: str
    seed: int
    in_flight: int
    evaluations: int
    values: tuple[float, ...]
    cpu_seconds: float
    version: str = ""


def race(optimizer: Optimizer, task: Task, seed: int, budget: int, in_flight: int) -> Run:
    """Runs to the budget with `in_flight` asks open at any time; which of them ends next is drawn from the seed.

    The incumbent is the best configuration tried. Where values are noisy an optimizer is told one repeat, the same for
    all optimizers with the same seed and number; then the incumbent is the one that the optimizer itself names.
    """
    order = np.random.default_rng((seed, in_flight))
    clock = _Clock()
    open_asks: list[tuple[Any, Configuration, int]] = []
    best_told, best_true, named = -np.inf, -np.inf, -np.inf
    n_asked, most, values = 0, budget, []
    for n_told in range(1, budget + 1):
        while len(open_asks) < in_flight and n_asked < most:
            asked = _asked(optimizer, clock)
            if asked is None:
                most = n_asked
                break
            open_asks.append((*asked, n_asked))
            n_asked += 1
        if open_asks:
            token, configuration, number = open_asks.pop(int(order.integers(len(open_asks))))
            true, told = _evaluated(task, configuration, seed, number)
            with clock:
                optimizer.tell(token, told)
            best_true = max(best_true, true)
            if told > best_told:
                best_told, named = told, true
        if n_told in CHECKPOINTS:
            values.append(best_true if task.repeats is None else _named(optimizer, task, named))
    return Run(task.name, seed, in_flight, budget, tuple(values), clock.seconds)


def _asked(optimizer: Optimizer, clock: _Clock) -> tuple[Any, Configuration] | None:
    """The next configuration and its token; None where there will be no more."""
    try:
        with clock:
            return optimizer.ask()
    except Exhausted:
        return None


def _evaluated(task: Task, configuration: Configuration, seed: int, number: int) -> tuple[float, float]:
    """The true value, and what the optimizer is told."""
    true = task.evaluate(configuration)
    if task.repeats is None:
        return true, true
    repeats = task.repeats(configuration)
    return true, repeats[int(np.random.default_rng((seed, number, 1)).integers(len(repeats)))]


def _named(optimizer: Optimizer, task: Task, otherwise: float) -> float:
    """True value of the configuration that the optimizer names the best."""
    named = optimizer.best()
    return otherwise if named is None else task.evaluate(named)


class _Clock:
    """CPU seconds of this process spent inside it; warnings of rivals are none of ours."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._start = time.process_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.process_time() - self._start
        self._caught.__exit__(kind, error, trace)
