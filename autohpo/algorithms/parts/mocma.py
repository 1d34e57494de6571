"""The population of MO-CMA-ES: survivors, each with the distribution of its offspring; a function of the history."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.survivors import Individual, Survivors, volumes
from autohpo.history import Cursor, HistoryView
from autohpo.trial import Trial

P_TARGET = 0.3
"""The success rate at which the step size stays; see MOCMAES for why it is not the paper's."""
P_THRESH = 0.44
"""The success rate from which on the path of steps stands still: Igel, Hansen and Roth 2007, table 1."""
_SIGMAS = (1e-6, 1.0)  # of a range; beyond them a step is no step, or a draw from anywhere


@dataclass(frozen=True, eq=False)
class Strategy:
    """The distribution of a survivor's offspring, by the paper's letters.

    Attributes:
        sigma: Step size, as a share of each range.
        p_succ: Smoothed share of offspring that survive.
        p_c: ``(d,)`` evolution path: smoothed steps, in step sizes.
        C: ``(d, d)`` covariance matrix.
    """

    sigma: float
    p_succ: float
    p_c: FloatArray
    C: FloatArray


class Population:
    """The survivors and their strategies.

    A suggestion's note names its parent and the step size it was drawn with, so that every update can be made again.

    Args:
        history: The trials.
        size: Survivors at most.
        sigma: First step size.
    """

    def __init__(self, history: HistoryView, size: int, sigma: float) -> None:
        self._history, self._space, self._sigma = history, history.space, sigma
        self._cursor = Cursor(history)
        self._survivors = Survivors(self._space, size, volumes)
        self._known: dict[int, Individual] = {}  # survivors, and parents of what runs
        self._strategies: dict[int, Strategy] = {}
        has_values = np.array([edges is not None for edges in self._space.edges], dtype=bool)
        self._is_stepped = has_values & (self._space.levels == 0)

    def __len__(self) -> int:
        """How many survivors there are."""
        return len(self._survivors)

    # The history.

    def update(self) -> None:
        """Learn from the results told since the last call."""
        for trial in self._cursor.told():
            if trial.scores:
                self._add(trial)
        running = self._history.running
        kept = {individual.number for individual in self._survivors.individuals}
        kept |= {item.info["parent"] for item in running if "parent" in item.info}
        self._known = {number: individual for number, individual in self._known.items() if number in kept}
        self._strategies = {number: strategy for number, strategy in self._strategies.items() if number in kept}

    def _add(self, trial: Trial) -> None:
        """Let a result compete, and update its strategy and its parent's by whether it survives.

        Source: Igel, Suttorp & Hansen 2007, EMO (the steady state); Voss, Hansen & Igel 2010, GECCO (what success is).
        """
        offspring, parent = self._survivors.individual(trial), trial.info.get("parent")
        is_success = self._survivors.add(offspring) is not offspring
        d = len(offspring.point)
        strategy = Strategy(self._sigma, P_TARGET, np.zeros(d), np.eye(d))
        if parent in self._strategies:
            x = self._known[parent]
            is_step = offspring.mask & x.mask & (self._space.levels == 0)  # elsewhere a difference means nothing
            x_step = np.where(is_step, offspring.point - x.point, 0.0) / trial.info["sigma"]
            self._strategies[parent] = update_step_size(self._strategies[parent], is_success)
            strategy = update_covariance(self._strategies[parent], x_step)
        self._known[offspring.number], self._strategies[offspring.number] = offspring, strategy

    # The suggestions.

    def offspring(self, rng: np.random.Generator) -> tuple[int, float, FloatArray]:
        """Return the number of a parent, its step size, and a ``(d,)`` point drawn from its distribution."""
        best = np.flatnonzero(self._survivors.ranks == 0)
        parent = self._survivors.individuals[int(best[rng.integers(len(best))])]
        strategy, levels = self._strategies[parent.number], self._space.levels
        d = len(levels)
        values, vectors = np.linalg.eigh(strategy.C)
        step = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(d))
        # What is inactive in the parent is drawn from the prior, for an offspring in which it is active.
        x = np.where(parent.mask, parent.point, rng.random(d))
        point = reflected(x + strategy.sigma * step)  # x + sigma N(0, C)
        is_changed = rng.random(d) < 1 / d
        point = np.where(levels > 0, np.where(is_changed, rng.random(d), x), point)
        return parent.number, strategy.sigma, self._stepped(x, point, is_changed, rng)

    def _stepped(self, x: FloatArray, point: FloatArray, is_changed: BoolArray, rng: np.random.Generator) -> FloatArray:
        """``(d,)`` a point in which integers that are to change, and did not, are one value away."""
        for j in np.flatnonzero(self._is_stepped & is_changed):
            edges = self._space.edges[j]
            if edges is None:
                continue
            last = len(edges) - 2
            old, new = (min(int(np.searchsorted(edges, at, side="right")) - 1, last) for at in (x[j], point[j]))
            if old == new and last > 0:
                up = old < last and (old == 0 or rng.random() < 0.5)
                cell = old + (1 if up else -1)
                point[j] = (edges[cell] + edges[cell + 1]) / 2
        return point


def update_step_size(a: Strategy, is_success: bool) -> Strategy:
    """Return a strategy after an offspring: the step size grows with successes.

    Source: Igel, Hansen and Roth 2007, Evolutionary Computation 15(1), procedure updateStepSize, with the constants of
    table 1 but for the target.
    """
    d = 1 + len(a.p_c) / 2  # damping
    c_p = P_TARGET / (2 + P_TARGET)
    p_succ = (1 - c_p) * a.p_succ + c_p * is_success  # line 1
    sigma = a.sigma * math.exp((p_succ - P_TARGET) / (1 - P_TARGET) / d)  # line 2
    return replace(a, p_succ=p_succ, sigma=min(max(sigma, _SIGMAS[0]), _SIGMAS[1]))


def update_covariance(a: Strategy, x_step: FloatArray) -> Strategy:
    """Return a strategy after a ``(d,)`` step, in step sizes: the covariance follows the path of steps.

    Source: Igel, Hansen and Roth 2007, Evolutionary Computation 15(1), procedure updateCovariance, with the constants
    of table 1.
    """
    n = len(x_step)
    c_c, c_cov = 2 / (n + 2), 2 / (n**2 + 6)
    if a.p_succ < P_THRESH:
        p_c = (1 - c_c) * a.p_c + math.sqrt(c_c * (2 - c_c)) * x_step
        C = (1 - c_cov) * a.C + c_cov * np.outer(p_c, p_c)
    else:
        p_c = (1 - c_c) * a.p_c
        C = (1 - c_cov) * a.C + c_cov * (np.outer(p_c, p_c) + c_c * (2 - c_c) * a.C)
    return replace(a, p_c=p_c, C=C)


def reflected(point: FloatArray) -> FloatArray:
    """``(d,)`` a point folded back into the unit cube at its faces, as often as it takes."""
    folded = np.mod(point, 2.0)
    return np.where(folded > 1, 2 - folded, folded)
