"""Learning-curve extrapolation: the chance that a training which is under way ends above a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray

N_CURVES = 5
"""The number of finished curves from which on there is a prediction."""

_N_BACK = 4  # what a curve is read at: now, and that many times at half the fidelity before
_BANDWIDTH = 0.75  # of the weights of finished curves, by how far apart the values are now
_FLOOR = 0.05  # the least weight
_SHRINK = 0.3  # the penalty on what is not the mean gain, in curves
_RATIO, _RATIO_WEIGHT = 0.7, 0.2  # what a doubling gains beside the one before it, and how much that is believed
_N_PRIOR = 2.0  # errors of which those of the finished curves are thought to be too small by half
_MOST_DEGREES = 6.0  # of freedom: the tails are never thinner than that
_MOST_ERROR = 10.0  # deviations


@dataclass(frozen=True)
class Prediction:
    """What a training will come to, on the transformed scale of an :class:`Extrapolator`: Student's distribution.

    Attributes:
        mean: The location; 0 is the target.
        sd: The scale.
        degrees: The degrees of freedom.
    """

    mean: float
    sd: float
    degrees: float


@dataclass(frozen=True, eq=False)
class _Table:
    """The finished curves as they stood at one fidelity, on the transformed scale.

    Attributes:
        features: ``(n, p)`` what is known of each.
        now: ``(n,)`` the value of each.
        gains: ``(n,)`` what each gained from there to its end.
        errors: ``(n,)`` of predicting each by the others, in deviations.
    """

    features: FloatArray
    now: FloatArray
    gains: FloatArray
    errors: FloatArray

    @property
    def inflation(self) -> float:
        """The factor by which deviations are too small, by leaving one out; at least 1."""
        squares = np.minimum(self.errors**2, _MOST_ERROR**2)
        return max(1.0, math.sqrt((squares.sum() + _N_PRIOR * 2.0) / (len(squares) + _N_PRIOR)))


class Extrapolator:
    """Predicts where a learning curve ends, from the curves of the same search that are finished.

    What a curve gains from now to its end is a regression on how high it is, how much it has risen since half the
    fidelity, and what a power law through its last points adds. The finished curves that were as high as this one at
    the same fidelity count most. Values are compared by ``asinh((value - target) / unit)``, with half the gaps of the
    finished curves below `unit`: so it does not matter what is measured, nor how far diverged trainings fall.

    The prediction is calibrated: each finished curve is predicted by the others, and where they err by more than they
    say, deviations grow. The chance is no smaller than the share of the finished curves that were surprised so much.

    Args:
        curves: Fidelities, positive and rising, and values, higher is better, ``(m,)`` each, of every finished curve.
        finals: ``(n,)`` what each came to in the end.
        target: What is to be beaten.

    Source: The power law of learning curves: Domhan, Springenberg & Hutter 2015, IJCAI. Calibration by the errors of
        leaving one out: Vovk, Gammerman & Shafer 2005, section 4.2, conformal prediction; here they rescale a Student
        distribution, since a few curves alone cannot show a small chance.

    Example:
        >>> epochs = np.arange(1.0, 28.0)
        >>> ends = np.linspace(0.5, 0.9, 9)
        >>> curves = [(epochs, end - 0.4 * epochs**-0.7) for end in ends]
        >>> model = Extrapolator(curves, np.array([values[-1] for _, values in curves]), target=0.8)
        >>> low, high = (model.chance(epochs[:9], end - 0.4 * epochs[:9] ** -0.7) for end in (0.6, 0.89))
        >>> low < 0.01, high > 0.5
        (True, True)
    """

    def __init__(self, curves: Sequence[tuple[FloatArray, FloatArray]], finals: FloatArray, target: float) -> None:
        self._target = target
        self._curves, self._finals = list(curves), np.asarray(finals, dtype=float)
        self._tables: dict[float, _Table | None] = {}

    @cached_property
    def unit(self) -> float:
        """The median gap between the finished curves' ends and the target; 0 where they are all equal."""
        gaps = np.abs(self._finals - self._target)
        gaps = gaps[gaps > 0]
        return float(np.median(gaps)) if len(gaps) else 0.0

    @cached_property
    def _joined(self) -> tuple[FloatArray, FloatArray, IntArray, FloatArray, FloatArray]:
        """All curves in one: log fidelities, transformed values, where each begins, its first and its last fidelity."""
        logs = [np.log(fidelities) for fidelities, _ in self._curves]
        begins = np.cumsum([0, *(len(one) for one in logs)])
        values = self._transformed(np.concatenate([values for _, values in self._curves]))
        first, last = np.array([one[0] for one in logs]), np.array([one[-1] for one in logs])
        return np.concatenate(logs), values, begins, first, last

    def chance(self, fidelities: FloatArray, values: FloatArray) -> float:
        """Return the chance that a training ends above the target; 1 where too few curves are finished to say.

        Args:
            fidelities: ``(m,)`` where it was measured, positive and rising.
            values: ``(m,)`` what it was.
        """
        found = self._table(float(fidelities[-1]))
        if found is None:
            return 1.0
        from scipy.special import stdtr  # here, because the package loads without scipy

        predicted = self._predict(found, fidelities, values)
        surprise = -predicted.mean / predicted.sd
        tail = 1.0 - float(stdtr(predicted.degrees, surprise))
        n_surprised = int((found.errors >= surprise * found.inflation).sum())
        return max(tail, n_surprised / (len(found.errors) + 1))

    def predict(self, fidelities: FloatArray, values: FloatArray) -> Prediction | None:
        """Return what a training comes to; None where too few curves are finished to say. See :meth:`chance`."""
        found = self._table(float(fidelities[-1]))
        return None if found is None else self._predict(found, fidelities, values)

    def _predict(self, table: _Table, fidelities: FloatArray, values: FloatArray) -> Prediction:
        logs = np.log(fidelities)
        back = np.interp(_looks(float(logs[-1])), logs, self._transformed(values))[None]
        row = self._features(back, float(logs[-1]))
        mean, sd, degrees = _local_fit(table.features, table.now, table.gains, row, back[:, 0])
        return Prediction(float(back[0, 0] + mean[0]), float(sd[0]) * table.inflation, float(degrees[0]))

    def _transformed(self, values: FloatArray) -> FloatArray:
        scaled: FloatArray = np.arcsinh((values - self._target) / self.unit)
        return scaled

    def _table(self, fidelity: float) -> _Table | None:
        """The finished curves as they stood at a fidelity; None where too few went past it."""
        if fidelity not in self._tables:
            self._tables[fidelity] = self._made(math.log(fidelity))
        return self._tables[fidelity]

    def _made(self, log: float) -> _Table | None:
        if len(self._curves) < N_CURVES or not self.unit:
            return None
        logs, values, begins, first, last = self._joined
        rows = np.flatnonzero((first <= log + 1e-9) & (last > log + 1e-9))
        if len(rows) < N_CURVES:
            return None
        back = np.stack(
            [np.interp(_looks(log), logs[begins[i] : begins[i + 1]], values[begins[i] : begins[i + 1]]) for i in rows]
        )
        features, now = self._features(back, log), back[:, 0]
        gains = self._transformed(self._finals[rows]) - now
        mean, sd, _ = _local_fit(features, now, gains, features, now, left_out=np.eye(len(rows), dtype=bool))
        return _Table(features, now, gains, (gains - mean) / sd)

    def _features(self, back: FloatArray, log: float) -> FloatArray:
        """``(n, 4)`` one, the value, its rise since half the fidelity, and what a power law adds.

        Args:
            back: ``(n, 5)`` values now and at half the fidelity, at a quarter, and so on.
            log: The logarithm of the fidelity.
        """
        end = float(np.median(self._joined[-1]))
        rises = back[:, :-1] - back[:, 1:]
        return np.column_stack([np.ones(len(back)), back[:, 0] + 1.0, rises[:, 0], _power_law(rises, end - log)])


def _looks(log: float) -> FloatArray:
    """``(5,)`` where a curve is read, in logarithms of the fidelity."""
    return log - math.log(2.0) * np.arange(_N_BACK + 1, dtype=np.float64)


def _power_law(rises: FloatArray, left: float) -> FloatArray:
    """``(n,)`` what curves gain until the end if they follow power laws.

    A power law rises by the same share of the last rise with each doubling of the fidelity.

    Args:
        rises: ``(n, 4)`` the rises over the last doublings, the latest first.
        left: The logarithm of how often the fidelity grows until the end.
    """
    together = rises[:, 0] * rises[:, 1] + rises[:, 1] * rises[:, 2]
    before = rises[:, 1] ** 2 + rises[:, 2] ** 2 + 1e-12
    ratio = np.clip((together + _RATIO * _RATIO_WEIGHT * before) / ((1.0 + _RATIO_WEIGHT) * before), 0.2, 1.0)
    steps = np.arange(1, max(1, math.ceil(left / math.log(2.0))) + 1)
    gains: FloatArray = rises[:, 0] * (ratio[:, None] ** steps).sum(axis=1)
    return gains


def _local_fit(
    features: FloatArray,
    now: FloatArray,
    gains: FloatArray,
    rows: FloatArray,
    at: FloatArray,
    *,
    left_out: BoolArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``(q,)`` each: predicted gains, their deviations, and degrees of freedom, by regressions around each of q curves.

    Args:
        features: ``(n, p)`` of the finished curves.
        now: ``(n,)`` their values.
        gains: ``(n,)`` what they gained.
        rows: ``(q, p)`` features of those that are predicted.
        at: ``(q,)`` their values.
        left_out: ``(q, n)`` which finished curves are not used.
    """
    weights = _FLOOR + (1.0 - _FLOOR) * np.exp(-0.5 * ((now - at[:, None]) / _BANDWIDTH) ** 2)  # (q, n)
    if left_out is not None:
        weights = np.where(left_out, 0.0, weights)
    p = features.shape[1]
    moments = np.einsum("qn,np,nr->qpr", weights, features, features, optimize=True)
    inverse = np.linalg.inv(moments + np.diag([1e-3] + [_SHRINK] * (p - 1)))
    beta = np.einsum("qpr,qr->qp", inverse, (weights * gains) @ features)
    n = weights.sum(axis=1)
    residuals = gains - beta @ features.T  # (q, n)
    degrees = np.maximum(n - np.einsum("qpr,qrp->q", inverse, moments), 0.0) + 1.0
    spread = (weights * (gains - ((weights @ gains) / n)[:, None]) ** 2).sum(axis=1) / n + 1e-12  # one more error
    variance = ((weights * residuals**2).sum(axis=1) + spread) / degrees
    leverage = 1.0 + np.einsum("qp,qpr,qr->q", rows, inverse, rows, optimize=True)
    sd: FloatArray = np.sqrt(variance * leverage)
    return (rows * beta).sum(axis=1), sd, np.minimum(degrees, _MOST_DEGREES)
