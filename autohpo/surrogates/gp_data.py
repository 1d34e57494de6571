"""The data of a Gaussian process: points, which of their columns are active, and results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Data:
    """Results to fit.

    Attributes:
        points: ``(n, d)`` in the unit cube; further columns (a task, a fidelity) are coordinates as they are.
        mask: ``(n, d)`` which columns of the unit cube are active.
        targets: ``(n,)`` results of mean 0 and variance 1. A posterior also takes ``(n, k)`` columns of them, and
            fewer of them than points: results of the last points are pending then.
    """

    points: FloatArray
    mask: BoolArray
    targets: FloatArray

    def joined(self, points: FloatArray, mask: BoolArray, targets: FloatArray | None = None) -> Data:
        """Return these data and some more, whose results are pending unless they are given.

        Args:
            points: ``(q, d)`` points.
            mask: ``(q, d)`` their mask.
            targets: ``(q,)`` their results, or ``(q, k)`` k columns of them; None where they are pending.

        Raises:
            ValueError: Results are given, but those of earlier points are pending.
        """
        old = self.targets
        if targets is not None:
            if len(old) < len(self.points):
                raise ValueError(f"targets: must be None after {len(self.points) - len(old)} pending points")
            if targets.ndim > old.ndim:
                old = np.broadcast_to(old[:, None], (len(old), targets.shape[1]))
            old = np.concatenate([old, targets])
        return Data(np.concatenate([self.points, points]), np.concatenate([self.mask, mask]), old)
