"""A posterior at one fidelity: fast predictions for new configurations."""

from __future__ import annotations

from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.embedding import Embedded
from autohpo.surrogates.gp_posterior import Posterior, PullBack
from autohpo.surrogates.sections import Section, Term


class AtFidelity:
    """The predictions of a posterior for configurations that have no curve yet, at one fidelity.

    They are those of :meth:`Posterior.predict` at points with this fidelity and numbers of their own. But what is the
    same for all candidates is computed once, and the kernel of configurations takes each configuration of the data
    once, however many results it has.

    Args:
        posterior: The process after its data.
        fidelity: The fidelity, as the user counts it.
    """

    def __init__(self, posterior: Posterior, fidelity: float) -> None:
        self._posterior, self._fidelity = posterior, fidelity
        process, own = posterior.process, posterior.process.split(posterior.theta)[0]
        row = np.zeros((1, len(process.embedding.owner) + 2))
        row[0, -2] = fidelity
        section = process.kernel.section(own, posterior.known, row)
        self._parts = None if section is None else _Parts(posterior, section)
        offset = process.kernel.mean(own, process.kernel.place(own, row)) if process.kernel.has_mean else 0.0
        self._mean = posterior.mean + float(np.ravel(offset)[0])

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations, without noise, at ``(m, d)`` points with ``(m, d)`` mask.

        Means are ``(m, k)`` where the data have k columns of targets.
        """
        if self._parts is None:
            return self._posterior.predict(self._full(points), mask)
        means, rooted, spread, _ = self._parts.joint(self._embedded(points, mask))
        return self._mean + means, self._posterior.deviations(rooted, spread)

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        d, parts = points.shape[1], self._parts
        if parts is None:
            means, deviations, pull_full = self._posterior.predict_with_gradient(self._full(points), mask)
            return means, deviations, lambda by_mean, by_deviation: pull_full(by_mean, by_deviation)[:, :d]
        embedded = self._embedded(points, mask)
        means, rooted, spread, covariances = parts.joint(embedded)
        deviations = self._posterior.deviations(rooted, spread)

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_rooted = rooted * (-by_deviation / deviations)[:, None]
            by_coordinates = parts.by_left(covariances, by_mean, by_rooted)
            return self._posterior.process.embedding.by_points(embedded, by_coordinates)[:, :d]

        return self._mean + means, deviations, pull_back

    def _full(self, points: FloatArray) -> FloatArray:
        """Points with their fidelity, and with numbers that no result has."""
        first = self._posterior.data.points[:, -1].max() + 1.0
        return np.column_stack([points, np.full(len(points), self._fidelity), first + np.arange(len(points))])

    def _embedded(self, points: FloatArray, mask: BoolArray) -> Embedded:
        process, theta = self._posterior.process, self._posterior.theta
        full = np.zeros((len(points), points.shape[1] + 2))
        full[:, :-2] = points
        full[:, -2] = self._fidelity
        return process.embedding.place(full, mask, process.split(theta)[1])


class _Parts:
    """What the predictions at one fidelity need of the data.

    Args:
        posterior: The process after its data.
        section: The covariances of new configurations with the data.
    """

    def __init__(self, posterior: Posterior, section: Section) -> None:
        weights, root = posterior.weights, posterior.root
        rest = np.broadcast_to(section.rest, len(root))
        self._section = section
        self._means, self._rooted = rest @ weights, root @ rest
        self._terms = [(term, _collected(term, weights), _collected(term, root.T)) for term in section.terms]

    def joint(self, embedded: Embedded) -> tuple[FloatArray, FloatArray, FloatArray, list[Any]]:
        """Return means beside the constant one, covariances times the factor, prior variances, and the covariances."""
        m = len(embedded.points)
        means: Any = self._means
        rooted: Any = self._rooted
        spread, covariances = np.full(m, self._section.variance), []
        for term, weights, root in self._terms:
            rows = term.kernel.place(term.theta, embedded.coordinates)
            covariance = term.kernel.covariance(term.theta, rows, term.known.placed)
            matrix = covariance.matrix
            means, rooted = means + matrix @ weights, rooted + matrix @ root
            spread += term.share * term.kernel.diagonal(term.theta, rows)
            covariances.append(covariance)
        if not self._terms:
            means, rooted = np.repeat(means[None], m, axis=0), np.repeat(rooted[None], m, axis=0)
        return means, rooted, spread, covariances

    def by_left(self, covariances: list[Any], by_mean: FloatArray, by_rooted: FloatArray) -> FloatArray:
        """``(m, F)`` the gradient by the coordinates, from those by means and by covariances times the factor."""
        total: Any = np.zeros((len(by_mean), 0))
        for covariance, (_, weights, root) in zip(covariances, self._terms, strict=True):
            by_matrix = by_mean[:, None] * weights if by_mean.ndim == 1 else by_mean @ weights.T
            found = covariance.by_left(by_matrix + by_rooted @ root.T)
            total = found if not total.size else total + found
        return np.asarray(total)


def _collected(term: Term, matrix: FloatArray) -> FloatArray:
    """The rows of a matrix, times the factors of the data, in sums for each configuration."""
    shares = term.shares if matrix.ndim == 1 else term.shares[:, None]
    return term.known.groups.collect(shares * matrix)
