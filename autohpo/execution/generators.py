"""The random generators that libraries share in a process: seeded before each trial, so that it can be repeated."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from autohpo.trial import Task

_TOP = 2**31  # seeds lie below it, and numpy takes no more than twice that

_SEED: dict[str, Callable[[Any, int], object]] = {
    "numpy": lambda numpy, seed: numpy.random.seed(seed),
    "torch": lambda torch, seed: torch.manual_seed(seed),
}


class Generators(MetaPathFinder):
    """The global generators of ``random``, numpy and torch in a worker.

    Only there: in the user's own process they are the user's. A library that a trial is the first to import is seeded
    when it is loaded.
    """

    def __init__(self) -> None:
        self._seed = 0

    def seed(self, task: Task, *, is_continued: bool) -> None:
        """Seed them from the seed of a trial.

        Args:
            task: The task that begins.
            is_continued: Whether a paused training goes on: it must not draw again what it drew when it began.
        """
        self._seed = task.seed % _TOP
        if is_continued:
            self._seed = random.Random(f"{self._seed} {task.number}").randrange(_TOP)
        random.seed(self._seed)
        for name in _SEED:
            if name in sys.modules:
                self._seed_library(name)

    def _seed_library(self, name: str) -> None:
        with contextlib.suppress(Exception):  # it may be half loaded, or another module of that name
            _SEED[name](sys.modules[name], self._seed)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how numpy or torch is loaded, and then seeded; None for all else."""
        if name not in _SEED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if spec is None or load is None:
            return None

        def load_and_seed(module: ModuleType) -> None:
            load(module)
            self._seed_library(name)

        with contextlib.suppress(AttributeError):  # a loader that takes no attribute stays as it is
            spec.loader.exec_module = load_and_seed  # type: ignore[union-attr,method-assign]
        return spec
