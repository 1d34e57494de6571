"""AutoNE: tries configurations on small sub-graphs first, and carries over to the whole graph what it learns there."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.algorithms.parts.local_search import local_search
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.shares import checked_shares
from autohpo.algorithms.parts.start import SobolStart
from autohpo.algorithms.registry import register_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError, shown
from autohpo.schedulers.limits import TrainingPlan
from autohpo.schedulers.schedule import SLACK, PlannedRungs, with_training_plan
from autohpo.surrogates.acquisition import log_ei
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.surrogates.effects import Level, Noise, TaskSimilarity
from autohpo.surrogates.gp import Data, GaussianProcess, Posterior, Predict
from autohpo.surrogates.graphs import graph_signature, induced_edges, sample_nodes
from autohpo.surrogates.kernels import Product, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.priors import Prior
from autohpo.trial import Running, Suggestion, Trial, whole

__all__ = ["AutoNE", "graph_signature", "induced_edges", "sample_nodes", "subgraph_signatures"]

MOST_SEEN = 300
"""The number of trials that the process learns from, so that a suggestion stays below .3 s: the best third, and the
newest."""

WORST_SHARE = 0.25
"""The share of the results whose differences do not count, the worst ones."""

DARING = 0.5
"""The share of a deviation that counts in the improvement expected: a trial on the whole graph is expensive, and
sub-graphs are there to explore."""

LEVEL_VARIANCE = 0.25
"""The variance of what all results on one graph have in common, beside that of all graphs; results have variance 1."""

_MEAN_VARIANCE = 1.0
_FAILED = -1.0  # in deviations; a failed trial is no better than that, even where all others are alike
_MOST_STEPS = 40  # of the fit
_N_DRAWS = 500
_N_STARTS = 10
_STEPS = (0.2, 0.05)  # of the local searches, the second from where the first has come to
_N_KEPT = 50


def subgraph_signatures(
    edges: Any, n_nodes: int, shares: Sequence[float], *, keep: Sequence[int] = (), seed: int = 0
) -> list[list[float]]:
    """Return the signatures that :class:`AutoNE` wants: of the sub-graph of each share, and of the whole graph.

    Args:
        edges: ``(2, m)`` node numbers, each edge in one direction or in both.
        n_nodes: How many nodes the graph has.
        shares: The share of the nodes in each sub-graph, as given to the optimizer.
        keep: Nodes that each sub-graph must hold, as given to :func:`sample_nodes`.
        seed: The seed of the walks, as given to :func:`sample_nodes`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    found = []
    for share in shares:
        nodes = sample_nodes(edges, n_nodes, share, keep=keep, seed=seed)
        found.append(graph_signature(induced_edges(edges, nodes, n_nodes), len(nodes)).tolist())
    return [*found, graph_signature(edges, n_nodes).tolist()]


@register_hpo("autone")
@dataclass(eq=False, kw_only=True)
class AutoNE(BaseHPOptimizer):
    """Learns on sub-graphs which configurations are good, by a Gaussian process over configurations and graphs.

    A suggestion's fidelity is the share of the graph to train on, times `max_fidelity`. Each share stands for one
    sub-graph: the objective makes it by :func:`sample_nodes`, with the fidelity as the share. The first `n_small`
    trials, evenly spread, take the sub-graphs in turn. All others train on the whole graph, the first of them what
    looks best on the sub-graphs. How far a sub-graph is believed follows from how far its signature is from the whole
    graph's, and from how well the results agree.

    Without `signatures` sub-graphs are told apart by their sizes; then the small data sets may be of any kind, not only
    graphs. Where a space has no more than `n_small` configurations, all are tried on the whole graph at once.

    It departs from the paper: results on a graph have a level and noise of their own, the worst quarter counts as
    equal, what is sought is the improvement on the best result, and the sub-graphs are of several sizes, so that it can
    be seen what size does.

    Args:
        shares: The share of the nodes in each sub-graph, above 0 and below 1, all different.
        max_fidelity: The fidelity of the whole graph.
        n_small: The number of trials on sub-graphs. Where `max_evals` or `budget` would all go into these, it is half
            of what they allow, and the other half trains on the whole graph.
        budget: What the search may train in all, in trainings on the whole graph: a trial on a share of the graph costs
            that share. None sets no such limit.
        signatures: The signature of each sub-graph, in the order of `shares`, and of the whole graph; numbers, equally
            many each. See :func:`subgraph_signatures`.

    Source: Tu et al. 2019, KDD, AutoNE: Hyperparameter Optimization for Massive Network Embedding.

    Example:
        >>> from autohpo import RangeHP
        >>> def f(hps, fidelity):
        ...     return -(hps["x"] - 0.3 - 0.1 * (1 - fidelity)) ** 2
        >>> hpo = AutoNE([RangeHP("x", 0.0, 1.0)], f, shares=(0.1, 0.2), n_small=10, max_evals=15, seed=0)
        >>> best_hp, best_perf = hpo.optimize(progress="none")
        >>> abs(best_hp["x"] - 0.3) < 0.05
        True
    """

    is_multi_fidelity: ClassVar[bool] = True
    takes_budget: ClassVar[bool] = True
    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    shares: Sequence[float] = (0.2, 0.3)
    max_fidelity: float = 1.0
    n_small: int = 20
    signatures: Sequence[Sequence[float]] | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = checked_shares(self.shares)
        if not 0 < self.max_fidelity < math.inf:
            raise OptionError(f"max_fidelity: must be positive and finite, got {self.max_fidelity}")
        if self.n_small < 0:
            raise OptionError(f"n_small: must be at least 0, got {self.n_small}")
        fidelities = [self.max_fidelity, *(share * self.max_fidelity for share in shares)]
        self._fidelities = [whole(fidelity) for fidelity in fidelities]  # of each task
        self._distances = _distances(self.signatures, shares)
        self._has_warned = False

    @property
    def default_evals(self) -> int:
        """How many suggestions a search makes that has no limit: half of them on the whole graph at least."""
        return max(super().default_evals, 2 * self.n_small)

    @property
    def min_fidelity(self) -> float:
        """The fidelity of the smallest sub-graph."""
        return min(self._fidelities)

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        space = self.space
        self._encoder = Encoder(space)
        self._seen = SeenSet(self.history, self._is_in_full)  # a try on a sub-graph is none on the whole
        self._encoded = EncodedTrials(self.history, self._encoder)
        self._results: list[Trial] = []  # of the process, in the order told
        self._theta: tuple[int, FloatArray] | None = None  # of how many results, and the parameters
        n_all = space.n_configurations
        is_small = not space.n_columns or (n_all is not None and n_all <= self.n_small)
        self._n_small = 0 if is_small else self._affordable()
        self._start = SobolStart(space.n_columns, self.seed, 1 if is_small else max(self.n_small, 1))

    def _affordable(self) -> int:
        """How many trials on sub-graphs the limits allow, with at least one on the whole graph beside them."""
        n, share = self.n_small, self._mean_share
        most = session_of(self).allowance.most_evals
        if most <= n:
            n = int(most) // 2
        if self.budget is not None and n * share + 1 > self.budget + SLACK:
            paid = min(self.budget / 2, self.budget - 1) if self.budget >= 1 else self.budget
            n = min(n, int(paid / share + SLACK))
        return n

    @property
    def _mean_share(self) -> float:
        """What a trial on a sub-graph costs, in trainings on the whole graph."""
        return sum(self._fidelities[1:]) / (len(self.shares) * self.max_fidelity)

    def fidelity_schedule(self) -> Any:
        """Return the fidelities of the sub-graphs and of the whole graph; printed, with what will be trained."""
        return with_training_plan(PlannedRungs(sorted(self._fidelities)), self.training_plan())

    def training_plan(self) -> TrainingPlan | None:
        """Return what the search will train with its limits; None where it has none."""
        limits = session_of(self).allowance.limits
        if not limits.is_any:
            return None
        n_small = self._affordable() if self.has_fidelity else 0
        most = math.inf if self.budget is None else (self.budget - n_small * self._mean_share + SLACK)
        n_full = max(0, math.floor(min(limits.n - n_small, most)))
        trained = n_full + n_small * self._mean_share
        return TrainingPlan(n_small + n_full, n_full, trained * self.max_fidelity, self.max_fidelity)

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Suggestion:
        return Suggestion(hp, fidelity=self.max_fidelity if self.has_fidelity else None)

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._seen.update()
        if not self.has_fidelity:
            self._warn()
            return Suggestion(self._best_new())
        asked: list[Trial | Suggestion] = [*self.trials, *self.running]
        tried = [trial for trial in asked if self.task_of(trial) > 0]
        if len(tried) >= self._n_small:
            return Suggestion(self._best_new(), fidelity=self.max_fidelity)
        task = 1 + len(tried) % (len(self._fidelities) - 1)
        return Suggestion(self._spread(tried), fidelity=self._fidelities[task])

    def _is_in_full(self, trial: Trial | Running) -> bool:
        return self.task_of(trial) == 0

    def task_of(self, trial: Trial | Suggestion | Running) -> int:
        """Return the place of a trial's sub-graph, from 1; 0 for the whole graph, and -1 for any other fidelity."""
        if trial.fidelity is None:
            return 0
        near = [task for task, fidelity in enumerate(self._fidelities) if math.isclose(fidelity, trial.fidelity)]
        return near[0] if near else -1

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            message = "the objective takes no fidelity, so every trial is on the whole graph"
            warnings.warn(f"{type(self).__name__}: {message}", UserWarning, stacklevel=2)

    def _spread(self, tried: list[Trial | Suggestion]) -> dict[str, Any]:
        """The next of evenly spread configurations, or a draw from the prior where that is known or not allowed."""
        hp = self.space.decode(self._start.point(len(tried)))[0]
        known = {self.space.key(trial.hp) for trial in tried}
        is_new = self.space.key(hp) not in known and self.space.is_allowed(hp)
        return hp if is_new else self.space.sample(self.rng, 1)[0]

    def _best_new(self) -> dict[str, Any]:
        """The configuration with the largest expected improvement, of those not tried on the whole graph."""
        return self._seen.first_or_draw(self.space.decode(self._candidates()), self.rng)[0]

    def _candidates(self) -> FloatArray:
        """``(n, d)`` points, the largest expected improvement on the whole graph first; none without a model."""
        told = self._encoded.update()
        self._results += [trial for trial in told if self.task_of(trial) >= 0]
        if not any(trial.score is not None for trial in self._results):
            return np.empty((0, self.space.n_columns))
        posterior, data, is_failed = self._posterior()
        seen, tasks = data.points[:, :-1], data.points[:, -1]
        means, _ = posterior.predict(*_on_task(seen, data.mask, 0))
        tried = np.flatnonzero((tasks == 0) & ~is_failed)
        if not len(tried):  # no configuration is surer than one that was tried on a sub-graph
            return seen[np.argsort(-means, kind="stable")[:_N_KEPT]]
        top = tried[means[tried].argmax()]
        best = seen[np.argsort(-means, kind="stable")[: _N_STARTS // 2]]
        return self._improve(posterior.gain_over(*_on_task(seen[[top]], data.mask[[top]], 0)), best)

    def _improve(self, predict: Predict, best: FloatArray) -> FloatArray:
        """``(n, d)`` points found from ``(k, d)`` the best ones and from draws, the largest improvement first."""
        rng, levels = self.rng, self.space.levels

        def score(points: FloatArray) -> FloatArray:
            gain, deviation = predict(*_on_task(*self._encoder.of_points(points), 0))
            return log_ei(gain, DARING * deviation, 0.0)[0]

        drawn = rng.random((_N_DRAWS, self.space.n_columns))
        values = score(drawn)
        order = np.argsort(-values, kind="stable")[:_N_KEPT]
        found, scores = np.concatenate([best, drawn[order]]), np.concatenate([score(best), values[order]])
        starts = found[:_N_STARTS]
        for step in _STEPS:
            more, heights = local_search(score, starts, levels, rng, step)
            found, scores = np.concatenate([found, more]), np.concatenate([scores, heights])
            starts = found[np.argsort(-scores, kind="stable")[:_N_STARTS]]
        sorted_points: FloatArray = found[np.argsort(-scores, kind="stable")[:_N_KEPT]]
        return sorted_points

    def _process(self, *points: FloatArray) -> GaussianProcess:
        """What is assumed before anything is seen, for some data: ``(n, d)`` points in one array or several.

        The covariance of two results is a Matern kernel of the configurations times one of the distance between the
        graphs; and each graph has a level of its own. Noise on sub-graphs differs from that on the whole graph.

        Source: Tu et al. 2019, KDD, section 4.4; the product of two kernels as in Swersky et al. 2013, NeurIPS 26.
        """
        embedding = self._encoder.embedding.showing(*points)
        d, task = self.space.n_columns, len(embedding.owner)  # the task is the coordinate after those of the embedding
        length = Prior(math.log(0.5) + 0.5 * math.log(max(d, 1)), 0.7, 0.1, 50.0)  # distances grow as the root of d
        smooth = Matern52(embedding.owner, [length] * d, Prior(0.0, 1.0, 0.05, 20.0))
        alike = TaskSimilarity(task, self._distances, Prior(math.log(0.4), 1.0, 1e-3, 20.0))
        variances = [Prior(math.log(variance), 1.0, 1e-5, 2.0) for variance in (0.02, 0.2)]
        noise = Noise(variances, task, [0] + [1] * len(self.shares))
        parts = Product([smooth, alike]), noise, Level(_MEAN_VARIANCE), Level(LEVEL_VARIANCE, task)
        return GaussianProcess(embedding, Sum(parts), mean_precision=math.inf)

    def _posterior(self) -> tuple[Posterior, Data, BoolArray]:
        """The process after all results, what it was made of, and ``(n,)`` which of the trials failed."""
        trials = _informative(self._results)
        theta, data = self._fitted(), self._data(trials)
        is_failed = np.array([trial.score is None for trial in trials])
        running = [suggestion for suggestion in self.running if self.task_of(suggestion) >= 0]
        if not running:
            return self._process(data.points).posterior(theta, data), data, is_failed
        points, mask = self._encoder.of_hps(running)
        tasks = np.array([self.task_of(suggestion) for suggestion in running])
        return self._process(data.points, points).posterior(theta, data, _on_task(points, mask, tasks)), data, is_failed

    def _data(self, trials: list[Trial]) -> Data:
        """What some trials tell."""
        tasks = np.array([self.task_of(trial) for trial in trials])
        scores = np.array([trial.score for trial in trials], dtype=float)  # NaN where a trial failed
        is_known = ~np.isnan(scores)
        values = np.full(len(scores), _FAILED)
        if is_known.any():
            values[is_known] = standardised(scores[is_known], tasks[is_known])
            values[~is_known] = min(_FAILED, values[is_known].min())
        return Data(*_on_task(*self._encoded.of(trials), tasks), values)

    def _fitted(self) -> FloatArray:
        """``(P,)`` the parameters, fitted to the first n results, where n has three binary digits that count.

        So they are fitted anew after each result up to 8, and after each 32nd at 200; and the history says when.
        """
        n = len(self._results)
        n -= n % (1 << max(n.bit_length() - 3, 0))
        if self._theta is None or self._theta[0] != n:
            data = self._data(_informative(self._results[:n]))
            process = self._process(data.points)
            self._theta = n, process.fit(data, [process.start], _MOST_STEPS)
        return self._theta[1]


def _on_task(points: FloatArray, mask: BoolArray, tasks: IntArray | int) -> tuple[FloatArray, BoolArray]:
    """``(n, d + 1)`` points with the numbers of their tasks, and their mask."""
    return np.hstack([points, np.full((len(points), 1), tasks) if isinstance(tasks, int) else tasks[:, None]]), mask


def _informative(trials: list[Trial]) -> list[Trial]:
    """At most `MOST_SEEN` trials, in their order: the best third of these, and the newest."""
    if len(trials) <= MOST_SEEN:
        return trials
    older = sorted(trials, key=lambda t: (math.inf if t.score is None else -t.score, t.number))[: MOST_SEEN // 3]
    kept = {trial.number for trial in older} | {trial.number for trial in trials[-(MOST_SEEN - len(older)) :]}
    return [trial for trial in trials if trial.number in kept]


def standardised(scores: FloatArray, tasks: IntArray) -> FloatArray:
    """``(n,)`` results with mean 0 and variance 1 in all.

    Sub-graphs are brought to one median, as their configurations are evenly spread. The whole graph's are not: there
    few trials are anything but the best, so their median says nothing. Only where all its results lie outside those of
    the sub-graphs it is brought to their median, as they cannot be of one scale. How bad a bad one is tells little of
    where good ones are: the worst quarter counts as if it were equal.

    Args:
        scores: ``(n,)`` results; higher is better.
        tasks: ``(n,)`` the graph of each; 0 is the whole one.
    """
    values = scores / (np.abs(scores).max() or 1.0)  # no difference overflows
    is_whole = tasks == 0
    if is_whole.any() and not is_whole.all():
        middle = float(np.median(values[~is_whole]))
        for task in np.unique(tasks[~is_whole]):
            values[tasks == task] += middle - np.median(values[tasks == task])
        whole, others = values[is_whole], values[~is_whole]
        if whole.min() > others.max() or whole.max() < others.min():
            values[is_whole] += middle - np.median(whole)
    values = np.maximum(values, np.quantile(values, WORST_SHARE))
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def _distances(signatures: Sequence[Sequence[float]] | None, shares: Sequence[float]) -> FloatArray:
    """``(T, T)`` squared distances between the graphs, the whole one first, as shares of their mean.

    Raises:
        OptionError: `signatures` has another form.
    """
    if signatures is None:
        curves = np.log([[1.0], *([share] for share in shares)])
    else:
        try:
            curves = np.array(signatures, dtype=float)
        except (TypeError, ValueError):
            curves = np.empty(0)
        if curves.ndim != 2 or len(curves) != len(shares) + 1 or not np.isfinite(curves).all():
            rule = f"{len(shares) + 1} lists of equally many finite numbers: of each share, and of the whole graph"
            raise OptionError(f"signatures: must be {rule}, got {shown(signatures)}")
        curves = np.concatenate([curves[-1:], curves[:-1]])
    squared: FloatArray = ((curves[:, None] - curves[None]) ** 2).sum(axis=2)
    mean = squared.sum() / (len(squared) * (len(squared) - 1))
    return squared / mean if mean > 0 else squared
