"""The models of values at several fidelities: which process the options name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.bayes_model import embedding_of
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import Rows
from autohpo.algorithms.parts.gp_options import CURVE_MODELS, GPOptions
from autohpo.surrogates.effects import Level, MainEffects, Noise
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.gp import EFFECTS, LENGTH, NOISE, SCALE, Data, GaussianProcess
from autohpo.surrogates.kernels import Product, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.priors import Prior

_ONE = Prior(0.0, 0.01, 0.9, 1.1)


class ResourceModel:
    """A model of values at several fidelities over one space.

    It makes rows of points of the unit cube, their fidelity and the number of their configuration, which is what the
    processes of `surrogates` take.

    Args:
        encoder: The encoder of the space.
        options: The options of the process.
        full: The fidelity of a full evaluation.
    """

    def __init__(self, encoder: Encoder, options: GPOptions, full: float) -> None:
        self._encoder, self._options, self._full = encoder, options, full
        self._kept: tuple[Embedding, Any] | None = None  # the process that was made last

    @property
    def can_subsample(self) -> bool:
        """Whether the model may be made of a part of the values."""
        return self._options.model not in CURVE_MODELS

    @property
    def knows_all_fidelities(self) -> bool:
        """Whether it predicts where there are no values."""
        return self._options.model != "gp_independent"

    @cached_property
    def _embedding(self) -> Embedding:
        return embedding_of(self._encoder, is_input_warped=self._options.input_warping)

    def _process(self, *points: FloatArray) -> Any:
        """The process for some data: ``(n, d)`` points in one array or several."""
        embedding = self._embedding.showing(*points)
        if self._kept is None or self._kept[0] is not embedding:
            self._kept = embedding, log_resource(embedding)
        return self._kept[1]

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""
        start: FloatArray = self._process().start
        return start

    def data(self, rows: Rows, targets: FloatArray) -> Data:
        """Return values as the processes take them, with ``(n,)`` targets."""
        from autohpo.surrogates.gp import Data

        return Data(self.extended(rows.points, rows.fidelity, rows.number), rows.mask, targets)

    def extended(self, points: FloatArray, fidelity: FloatArray | float, number: IntArray | int) -> FloatArray:
        """``(n, d + 2)`` points with their fidelity and the number of their configuration."""
        n = len(points)
        return np.column_stack([points, self._time(np.broadcast_to(fidelity, n)), np.broadcast_to(number, n)])

    def _time(self, r):
        return np.log(r / self._full) / 4.4 + 1

    def fit(self, data: Data, starts: Sequence[FloatArray], max_steps: int) -> FloatArray:
        """Return the ``(P,)`` parameters that fit best of what is found from some starts."""
        fitted: FloatArray = self._process(data.points).fit(data, starts, max_steps)
        return fitted

    def posterior(self, theta: FloatArray, data: Data, pending: tuple[FloatArray, BoolArray] | None) -> Any:
        """Return the process after data and pending values, ``(q, d + 2)`` points with their mask."""
        points = [data.points] if pending is None else [data.points, pending[0]]
        return self._process(*points).posterior(theta, data, pending)

    def describe(self, theta: FloatArray) -> dict[str, Any]:
        """Return the process and its parameters in JSON types."""
        return {"model": self._options.model, **self._process().describe(theta)}


def log_resource(embedding: Embedding) -> GaussianProcess:
    d, F = len(embedding.optional), len(embedding.owner)
    length = LENGTH.shifted(0.5 * math.log(max(d, 1)))
    time = Prior(0.0, 0.7, 0.05, 20.0)
    shares = np.where(embedding.is_category, 2.0 / max(len(embedding.categories), 1), 0.0)
    ones = np.zeros(1, dtype=np.int64)
    parts = (
        Matern52(embedding.owner, [length] * d, SCALE),
        Product([Matern52(embedding.owner, [length] * d, Prior(-1.0, 1.0, 0.01, 50.0)), Matern52(ones, [time], _ONE, first=F)]),
        Matern52(ones, [time], Prior(0.0, 1.0, 0.01, 50.0), first=F),
        Product([Level(1.0, column=F + 1), Matern52(ones, [time], Prior(-2.0, 1.0, 1e-3, 10.0), first=F)]),
        Noise([NOISE]),
        MainEffects(np.append(shares, [0.0, 0.0]), EFFECTS),
    )
    return GaussianProcess(embedding, Sum(parts))
