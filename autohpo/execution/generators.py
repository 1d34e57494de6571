"""The random generators that libraries share in a process: seeded before each trial, so that it can be repeated."""

from __future__ import annotations

import random
import sys

from autohpo.trial import Task

_TOP = 2**31  # seeds lie below it, and numpy takes no more than twice that


def seed_generators(task: Task, *, is_continued: bool) -> None:
    """Seed the global generators of ``random``, numpy and torch from the seed of a trial.

    Only a worker may do that: in the user's own process they are the user's. A library that is not loaded yet is left
    alone.

    Args:
        task: The task that begins.
        is_continued: Whether a paused training goes on: it must not draw again what it drew when it began.
    """
    seed = task.seed % _TOP
    if is_continued:
        seed = random.Random(f"{seed} {task.number}").randrange(_TOP)
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(seed)
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)
