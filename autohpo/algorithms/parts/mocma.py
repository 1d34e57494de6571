"""The survivors of MO-CMA-ES, each with the distribution of its offspring; a function of the history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.parts.survivors import Individual, Survivors, volumes
from autohpo.spaces import SearchSpace
from autohpo.trial import Suggestion, Trial

FloatArray = NDArray[np.float64]

SUCCESS_TARGET = 0.3  # at which the step size stays; see MOCMAES
SUCCESS_CAP = 0.44  # above it the path of steps stands still, Igel et al. 2007, table 1
_SIGMAS = (1e-6, 1.0)  # of a range; beyond them a step is no step, or a draw from anywhere


@dataclass(frozen=True, eq=False)
class Shape:
    """The distribution of a survivor's offspring.

    Attributes:
        sigma: Step size, as a share of each range.
        success: Smoothed share of offspring that survive.
        path: ``(d,)`` smoothed steps, in step sizes.
        covariance: ``(d, d)``.
    """

    sigma: float
    success: float
    path: FloatArray
    covariance: FloatArray


class Colony:
    """The survivors and their shapes.

    A suggestion's note names its parent and the step size it was drawn with, so that every update can be made again.

    Args:
        space: That is searched.
        size: Survivors at most.
        sigma: First step size.
    """

    def __init__(self, space: SearchSpace, size: int, sigma: float) -> None:
        self._space, self._sigma, self._n_told = space, sigma, 0
        self._survivors = Survivors(space, size, volumes)
        self._known: dict[int, Individual] = {}  # survivors, and parents of what runs
        self._shapes: dict[int, Shape] = {}
        has_values = np.array([edges is not None for edges in space.edges], dtype=bool)
        self._is_stepped = has_values & (space.levels == 0)

    def __len__(self) -> int:
        """How many survivors there are."""
        return len(self._survivors)

    # The history.

    def take_in(self, trials: Sequence[Trial], running: Sequence[Suggestion]) -> None:
        """Learns from the results told since the last call."""
        for trial in trials[self._n_told :]:
            if trial.scores:
                self._take(trial)
        self._n_told = len(trials)
        kept = {member.number for member in self._survivors.members} | {one.info.get("parent") for one in running}
        self._known = {number: member for number, member in self._known.items() if number in kept}
        self._shapes = {number: shape for number, shape in self._shapes.items() if number in kept}

    def _take(self, trial: Trial) -> None:
        """Lets a result compete, and updates its shape and its parent's by whether it survives."""
        member, parent = self._survivors.member(trial), trial.info.get("parent")
        is_success = self._survivors.add(member) is not member
        d = len(member.point)
        shape = Shape(self._sigma, SUCCESS_TARGET, np.zeros(d), np.eye(d))
        if parent in self._shapes:
            origin = self._known[parent]
            is_step = member.mask & origin.mask & (self._space.levels == 0)  # elsewhere a difference means nothing
            step = np.where(is_step, member.point - origin.point, 0.0) / trial.info["sigma"]
            self._shapes[parent] = tried(self._shapes[parent], is_success)
            shape = moved(self._shapes[parent], step)
        self._known[member.number], self._shapes[member.number] = member, shape

    # The suggestions.

    def offspring(self, rng: np.random.Generator) -> tuple[int, float, FloatArray]:
        """The number of a parent, its step size, and a ``(d,)`` point drawn from its distribution."""
        best = np.flatnonzero(self._survivors.ranks == 0)
        parent = self._survivors.members[int(best[rng.integers(len(best))])]
        shape, levels = self._shapes[parent.number], self._space.levels
        d = len(levels)
        values, vectors = np.linalg.eigh(shape.covariance)
        step = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(d))
        # What is not in force in the parent is drawn from the prior, for an offspring in which it is.
        at = np.where(parent.mask, parent.point, rng.random(d))
        point = reflected(at + shape.sigma * step)
        is_changed = rng.random(d) < 1 / d
        point = np.where(levels > 0, np.where(is_changed, rng.random(d), at), point)
        return parent.number, shape.sigma, self._stepped(at, point, is_changed, rng)

    def _stepped(
        self, at: FloatArray, point: FloatArray, is_changed: NDArray[np.bool_], rng: np.random.Generator
    ) -> FloatArray:
        """``(d,)`` a point in which whole numbers that are to change, and did not, are one value away."""
        for j in np.flatnonzero(self._is_stepped & is_changed):
            edges = self._space.edges[j]
            if edges is None:
                continue
            last = len(edges) - 2
            old, new = (min(int(np.searchsorted(edges, x, side="right")) - 1, last) for x in (at[j], point[j]))
            if old == new and last > 0:
                up = old < last and (old == 0 or rng.random() < 0.5)
                cell = old + (1 if up else -1)
                point[j] = (edges[cell] + edges[cell + 1]) / 2
        return point


def tried(shape: Shape, is_success: bool) -> Shape:
    """A shape after an offspring: the step size grows with successes.

    Source: Igel, Hansen and Roth 2007, Procedure 2, updateStepSize, with table 1's constants but for the target.
    """
    d = len(shape.path)
    c_p = SUCCESS_TARGET / (2 + SUCCESS_TARGET)
    damping = 1 + d / 2
    success = (1 - c_p) * shape.success + c_p * is_success
    sigma = shape.sigma * math.exp((success - SUCCESS_TARGET) / (1 - SUCCESS_TARGET) / damping)
    return replace(shape, success=success, sigma=min(max(sigma, _SIGMAS[0]), _SIGMAS[1]))


def moved(shape: Shape, step: FloatArray) -> Shape:
    """A shape after a ``(d,)`` step, in step sizes: the covariance follows it.

    Source: Igel, Hansen and Roth 2007, Procedure 3, updateCovariance.
    """
    d = len(step)
    c_c, c_cov = 2 / (d + 2), 2 / (d**2 + 6)
    if shape.success < SUCCESS_CAP:
        path = (1 - c_c) * shape.path + math.sqrt(c_c * (2 - c_c)) * step
        covariance = (1 - c_cov) * shape.covariance + c_cov * np.outer(path, path)
    else:
        path = (1 - c_c) * shape.path
        covariance = (1 - c_cov) * shape.covariance + c_cov * (
            np.outer(path, path) + c_c * (2 - c_c) * shape.covariance
        )
    return replace(shape, path=path, covariance=covariance)


def reflected(point: FloatArray) -> FloatArray:
    """``(d,)`` a point folded back into the unit cube at its faces, as often as it takes."""
    folded = np.mod(point, 2.0)
    return np.where(folded > 1, 2 - folded, folded)
