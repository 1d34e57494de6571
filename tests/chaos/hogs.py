"""Objectives that take too much memory; nested, so that they go to workers by value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Objective = Callable[[dict[str, Any]], float]
STEP_BYTES, STEP_SECONDS = 10_000_000, 0.01


@dataclass(frozen=True)
class Hog:
    """A kind of hog.

    Attributes:
        make: Makes the objective of so many bytes.
        is_slow: Whether it takes them bit by bit.
    """

    make: Callable[[int], Objective]
    is_slow: bool = False

    def __call__(self, n_bytes: int) -> Objective:
        """Return the objective: the configuration "hog" takes the memory, all others none."""
        take = self.make(n_bytes)
        return lambda hps: take(hps) if hps["kind"] == "hog" else 1.0

    def seconds(self, n_bytes: int) -> float:
        """Return how long it takes to have too much, at the most, on a machine that is busy."""
        return n_bytes / STEP_BYTES * STEP_SECONDS * 2 if self.is_slow else 2.0


def ramp(n_bytes: int) -> Objective:
    """Take memory bit by bit."""
    step, pause = STEP_BYTES, STEP_SECONDS

    def f(hps: dict[str, Any]) -> float:
        import time

        held = []
        for _ in range(n_bytes // step):
            held.append(b"x" * step)
            time.sleep(pause)
        time.sleep(2)
        return float(len(held))

    return f


def oneshot(n_bytes: int) -> Objective:
    """Take all memory at once."""

    def f(hps: dict[str, Any]) -> float:
        import time

        held = b"x" * n_bytes
        time.sleep(2)
        return float(len(held))

    return f


def child(n_bytes: int) -> Objective:
    """Let a grandchild take it."""

    def f(hps: dict[str, Any]) -> float:
        import subprocess
        import sys

        code = f"import time; held = b'x' * {n_bytes}; time.sleep(2)"
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
        subprocess.run([sys.executable, "-c", parent], check=False)
        return 1.0

    return f


HOGS = {"ramp": Hog(ramp, is_slow=True), "oneshot": Hog(oneshot), "child": Hog(child)}
"""All kinds by name."""
