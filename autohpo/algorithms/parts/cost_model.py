"""The model of costs: what it will cost to train a configuration from one fidelity to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.bayes_model import fitted_at
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.history import Cursor, History
from autohpo.surrogates.ridge import Ridge, fit_ridge
from autohpo.trial import Trial

MOST = 500
"""The number of the latest costs that a model is made of."""
UNKNOWN = 1.0
"""The deviation of a log cost of which nothing is known: a factor of e."""

_POWERS = (1.0, 0.5, 1.5, 2.0)  # of the fidelity, in what the training costs
_STARTS = (
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
    30.0,
    100.0,
)  # what a start costs, in trainings to the lowest fidelity that was seen
_CLEAR = 0.9  # the share of the error that a curve other than the straight line may leave to be believed
_OWN = 0.25  # the share of the variance that is noise, where no configuration has two costs
_LEAST_NOISE = 1e-12


class Costs(NamedTuple):
    """Predicted costs.

    Attributes:
        log_cost: ``(m,)`` expected logarithm of the cost, in the unit of ``trial.cost``.
        sd: ``(m,)`` its deviation; 1 where nothing is known.
    """

    log_cost: FloatArray
    sd: FloatArray


@dataclass(frozen=True)
class _Curve:
    """How cost grows with fidelity: as ``start + given^power - had^power``, but for a factor of the configuration.

    Attributes:
        power: The exponent.
        start: What it costs to start at all.
        is_paid_again: Whether a trial that goes on pays for its start, too.
    """

    power: float = 1.0
    start: float = 0.0
    is_paid_again: bool = True

    def log_amount(self, had: FloatArray, given: FloatArray) -> FloatArray:
        """``(n,)`` logarithm of what is paid for."""
        start = self.start if self.is_paid_again else np.where(had > 0, 0.0, self.start)
        return np.log(np.maximum(start + given**self.power - had**self.power, 1e-300))


class _Row(NamedTuple):
    """A trial, the fidelity that it had before and that it came to, and the logarithm of what that cost."""

    trial: Trial
    had: float
    given: float
    log_cost: float


class CostModel:
    """Predicts costs from those of the finished trials: a curve over the fidelity times a factor of the configuration.

    The logarithm of the factor is a ridge regression on the encoded configuration, with squares and products where
    they help, and what a configuration's own costs add to it. The curve is the straight line through nothing unless
    another one explains the costs clearly better. Trials that failed, and costs that are unknown or 0, say nothing.

    All follows from the trials in the order told.

    Args:
        history: The history of the search.
        encoder: The encoder of its space.
        full: The fidelity of a full evaluation, which trials without a fidelity are.
        is_continued: Whether a promoted trial pays only for what is added, as ``hpo.is_continued`` says.
    """

    def __init__(
        self, history: History, encoder: Encoder, full: float | None = None, *, is_continued: bool = True
    ) -> None:
        self._cursor, self._history, self._encoder = Cursor(history), history, encoder
        self._full, self._is_continued = 1.0 if full is None else float(full), is_continued
        self._restart()

    def _restart(self) -> None:
        self._rows: list[_Row] = []
        self._fitted: _Fitted | None = None
        self._curve: tuple[int, _Curve] = 0, _Curve()  # and the number of costs that it was chosen by

    def __len__(self) -> int:
        """Return how many costs were seen; the model is made of the latest 500."""
        return len(self._rows)

    def update(self) -> int:
        """Take the trials that have ended since the last call; return how many costs they had."""
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        n_before = len(self._rows)
        for trial in step.told:
            had, given = self.had(trial.resume), min(trial.reached, self._full)
            if trial.perf is not None and trial.cost and given > had:
                self._rows.append(_Row(trial, had, given, math.log(trial.cost)))
        n_new = len(self._rows) - n_before
        if n_new:
            self._fitted = None
        return n_new

    def had(self, resumed: int | None) -> float:
        """Return the fidelity that a trial does not pay for any more: what the trial had that it continues.

        Args:
            resumed: The number of that trial, if there is one.
        """
        trial = None if resumed is None or not self._is_continued else self._history.get(resumed)
        return 0.0 if trial is None else min(trial.reached, self._full)

    def predict(self, points: FloatArray, mask: BoolArray, had: FloatArray | float, given: FloatArray | float) -> Costs:
        """Return what it costs to train configurations from one fidelity to another.

        Args:
            points: ``(m, d)`` where the configurations lie, as the encoder has them.
            mask: ``(m, d)`` which columns are active.
            had: ``(m,)`` or one number: the fidelity that each has had; 0 for a new one.
            given: ``(m,)`` or one number: the fidelity that it is to have, above `had`.
        """
        m = len(points)
        had, given = np.broadcast_to(had, m).astype(float), np.broadcast_to(given, m).astype(float)
        if not self._rows:
            return Costs(_Curve().log_amount(had, given), np.full(m, UNKNOWN))
        if self._fitted is None:
            self._fitted = self._fit()
        return self._fitted.predict(points, mask, had, given)

    def _fit(self) -> _Fitted:
        """The model of all costs; its curve is looked for anew at some numbers of costs alone."""
        n = fitted_at(len(self._rows))
        if self._curve[0] != n:
            self._curve = n, _Fitted(self._encoder, self._rows[max(n - MOST, 0) : n]).curve
        return _Fitted(self._encoder, self._rows[-MOST:], self._curve[1])


class _Fitted:
    """The model of some costs.

    Args:
        encoder: The encoder of the space.
        rows: Trials, the fidelity that each had before, that it came to, and the logarithm of its cost.
        curve: The curve; None looks for it.
    """

    def __init__(self, encoder: Encoder, rows: Sequence[_Row], curve: _Curve | None = None) -> None:
        points, mask = encoder.of_hps([row.trial.hp for row in rows])
        had, given, log_costs = np.array([row[1:] for row in rows]).T
        self._embedding = encoder.embedding.showing(points)
        curves = _curves(had, given) if curve is None else [curve]
        factors = np.stack([log_costs - curve.log_amount(had, given) for curve in curves], axis=1)  # (n, k)
        fits = self._fits(points, mask, factors)
        errors = np.array([fit.error for _, fit in fits])
        best = int(errors.argmin())
        chosen = best if errors[best] < _CLEAR * errors[0] - _LEAST_NOISE else 0
        self.curve, (self._degree, self._ridge) = curves[chosen], fits[chosen]
        residuals = factors[:, chosen] - self._ridge.predict(self._features(points, mask, self._degree))
        self._own(points, mask, residuals)

    def _fits(self, points: FloatArray, mask: BoolArray, factors: FloatArray) -> list[tuple[int, Ridge]]:
        """The regression of each of ``(n, k)`` columns, with the degree of its features: what leaves least error."""
        n, k = factors.shape
        if n < 2:
            nothing = np.zeros(0)
            return [(0, Ridge(nothing, nothing, float(factors[0, j]), nothing, 0.0)) for j in range(k)]
        found: list[tuple[int, Ridge]] = []
        for degree in range(4):
            features = self._features(points, mask, degree)
            if degree and features.shape[1] > n - 2:
                break
            fits = fit_ridge(features, factors)
            found = [
                (degree, new) if not found or new.error < _CLEAR * found[j][1].error else found[j]
                for j, new in enumerate(fits)
            ]
        return found

    def _features(self, points: FloatArray, mask: BoolArray, degree: int) -> FloatArray:
        """``(n, p)`` features: none at degree 0, the columns at 1, with squares at 2, and products at 3."""
        embedding = self._embedding
        ordered = embedding.columns.levels == 0
        u = np.where(mask, points - 0.5, 0.0)[:, ordered]
        if degree == 0:
            return np.zeros((len(points), 0))
        parts = [u, mask[:, ordered & embedding.optional].astype(float)]
        parts.append(embedding.coordinates(points, mask)[:, embedding.is_category])
        if degree >= 2:
            parts.append(u**2)
        if degree >= 3:
            first, second = np.triu_indices(u.shape[1], 1)
            parts.append(u[:, first] * u[:, second])
        return np.concatenate(parts, axis=1)

    def _own(self, points: FloatArray, mask: BoolArray, residuals: FloatArray) -> None:
        """Take what the costs of each configuration add to the regression."""
        groups: dict[bytes, list[float]] = {}
        for key, residual in zip(_keys(points, mask), residuals.tolist(), strict=True):
            groups.setdefault(key, []).append(residual)
        self._sums = {key: (sum(own), len(own)) for key, own in groups.items()}
        n, g = len(residuals), len(groups)
        total = max(float(residuals @ residuals) / n, self._ridge.error)
        if n > g:
            around = sum(float(np.var(own)) * len(own) for own in groups.values())
            self._noise = max(around / (n - g), _LEAST_NOISE)
        else:
            self._noise = max(_OWN * total, _LEAST_NOISE)
        self._between = max(total - self._noise, 0.0)
        if n == 1:
            self._between = UNKNOWN**2

    def predict(self, points: FloatArray, mask: BoolArray, had: FloatArray, given: FloatArray) -> Costs:
        """Return costs; see :meth:`CostModel.predict`."""
        mean = self.curve.log_amount(had, given) + self._ridge.predict(self._features(points, mask, self._degree))
        sums = np.array([self._sums.get(key, (0.0, 0)) for key in _keys(points, mask)]).reshape(-1, 2)
        weight = self._between / (sums[:, 1] * self._between + self._noise)  # posterior of a normal random effect
        variance = self._between * self._noise / (sums[:, 1] * self._between + self._noise) + self._noise
        return Costs(mean + weight * sums[:, 0], np.sqrt(variance))


def _curves(had: FloatArray, given: FloatArray) -> list[_Curve]:
    """The curves that may explain costs of ``(n,)`` trainings, the straight line first."""
    if len(np.unique(given - had)) == 1:
        return [_Curve()]
    unit, is_again = float((given - had).min()), (True, False) if had.any() else (True,)
    kinds = [(0.0, True), *((start, again) for start in _STARTS for again in is_again)]
    return [_Curve(power, start * unit**power, again) for power in _POWERS for start, again in kinds]


def _keys(points: FloatArray, mask: BoolArray) -> list[bytes]:
    """What tells configurations apart."""
    return [p.tobytes() + m.tobytes() for p, m in zip(points, mask, strict=True)]
