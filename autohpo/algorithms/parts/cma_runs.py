"""The runs of CMA-ES in a search: generation after generation, restart after restart, as a function of the history."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.history import Cursor, History
from autohpo.spaces import SearchSpace
from autohpo.trial import Trial

if TYPE_CHECKING:
    from cmaes import CatCMAwM


MOST_DOUBLINGS = 6
"""The most times that the population is doubled: beyond that a generation is longer than most searches."""

_STREAM = 0x434D41  # keeps our draws apart from all others of the same seed


@dataclass(frozen=True)
class Settings:
    """What the runs of a search have in common.

    Attributes:
        seed: The seed of the search.
        population_size: The population size of the first run.
        sigma: First standard deviation, as a share of each range.
        restarts: How the population grows from run to run.
    """

    seed: int
    population_size: int
    sigma: float
    restarts: Literal["ipop", "bipop"]


class Layout:
    """The kind of variable that each column of the unit cube is searched as.

    Values in no order, and pairs, are categories; ordered values that can be counted are integers, each at the middle
    of its cell; every other column is continuous.
    """

    def __init__(self, space: SearchSpace) -> None:
        n_values = [0 if edges is None else len(edges) - 1 for edges in space.edges]
        sizes = [int(level) or n for level, n in zip(space.levels, n_values, strict=True)]
        self.n_columns = space.n_columns
        self.categories = [c for c, n in enumerate(sizes) if n == 2 or (n and space.levels[c])]
        self.integers = [c for c, n in enumerate(sizes) if n > 2 and not space.levels[c]]
        self.continuous = [c for c, n in enumerate(sizes) if c not in {*self.categories, *self.integers}]
        ends = [np.arange(n + 1) / n if n and e is None else e for e, n in zip(space.edges, sizes, strict=True)]
        self.middles = {c: (e[1:] + e[:-1]) / 2 for c, e in enumerate(ends) if e is not None}
        self.shares = {c: np.diff(e) for c, e in enumerate(ends) if e is not None and c in self.categories}
        self.gaussian = [*self.continuous, *self.integers]  # in the library's own order

    def point(self, solution: CatCMAwM.Solution) -> FloatArray:
        """Return the ``(d,)`` point of the unit cube that a solution of the library stands for."""
        point = np.full(self.n_columns, 0.5)
        point[self.continuous] = [] if solution.x is None else solution.x
        point[self.integers] = [] if solution.z is None else solution.z
        for row, column in enumerate(self.categories):
            point[column] = self.middles[column][int(np.argmax(solution.c[row]))]
        return point

    def probabilities(self, shares: Mapping[int, FloatArray]) -> FloatArray | None:
        """Return ``(n, k)`` a row for each categorical column, filled up with zeros; None where there is none."""
        if not self.categories:
            return None
        rows = np.zeros((len(self.categories), max(len(share) for share in shares.values())))
        for row, column in enumerate(self.categories):
            rows[row, : len(shares[column])] = shares[column]
        return rows


class Runs:
    """The state of CMA-ES, brought up to date by :meth:`update`; a function of the history.

    A suggestion's note says the run, the generation and the draw it is, and how many results were known when it was
    made; so every step can be made again, in whatever order the results came.

    Args:
        history: The trials.
        settings: What all runs have in common.

    Attributes:
        run: Number of the current run, from 0.
        generation: Number of the generation in the current run, from 0.
        n_draws: Draws of the current generation that were suggested or skipped.
        population_size: Results that end a generation of the current run.
    """

    def __init__(self, history: History, settings: Settings) -> None:
        self._history, self._space, self._settings = history, history.space, settings
        self._layout = Layout(self._space)
        self._cursor = Cursor(history)
        self._waiting: deque[Trial] = deque()  # results that no step has read yet, in the order told
        self.run = self.generation = self.n_draws = 0
        self._known: list[Trial] = []  # results of configurations that no run suggested
        self._n_used = {"first": 0, "large": 0, "small": 0}  # results that runs of each kind were told
        self._n_large = 0
        self._kind: Literal["first", "large", "small"] = "first"
        self._begin()

    def __reduce__(self) -> tuple[type[Runs], tuple[History, Settings]]:
        """Pickle by what it was made from: the rest follows from the history."""
        return type(self), (self._history, self._settings)

    def _begin(self) -> None:
        """Clear what belongs to one run, and set its population size.

        Source: Auger & Hansen 2005, CEC (IPOP: lambda doubles); Hansen 2009, GECCO (BIPOP: small lambdas between).
        """
        self.generation = 0
        factor = 2.0**self._n_large
        if self._kind == "small":
            factor = (factor / 2) ** (self._uniforms[0] ** 2)  # lambda_s = lambda (lambda_l / (2 lambda))^(U^2)
        self.population_size = int(self._settings.population_size * factor)
        self._engine: CatCMAwM | None = None  # made when it is first needed: until then more results may be known
        self._asked: dict[int, tuple[int, CatCMAwM.Solution]] = {}  # by number: generation and solution
        self._extremes: list[tuple[float, float]] = []  # of the results of each generation
        self._begin_generation()

    def _begin_generation(self) -> None:
        self.n_draws = 0
        self._draws: list[CatCMAwM.Solution] = []
        self._ended: list[Trial] = []  # in the order told
        last = self.generation - 1
        self._asked = {number: asked for number, asked in self._asked.items() if asked[0] == last}

    # The history.

    def update(self) -> None:
        """Take the steps of the suggestions made, and of the results told, since the last call."""
        step = self._cursor.step()
        self._waiting.extend(step.told)
        for item in step.asked:
            if "draw" in item.info:
                self._repeat(item.number, item.info)
        self._read_results(self._cursor.n_told)

    def _repeat(self, number: int, note: Mapping[str, Any]) -> None:
        """Take the steps that led to one suggestion."""
        self._read_results(note["n_told"])
        while self.run < note["run"]:
            self.restart()
        if (self.run, self.generation) == (note["run"], note["generation"]) and note["draw"] is not None:
            self._asked[number] = self.generation, self._drawn(note["draw"] + 1)[-1]
            self.n_draws = note["draw"] + 1

    def _read_results(self, n_told: int) -> None:
        """Read the results up to a number of them: a generation ends as soon as it has enough."""
        while self._waiting and self._n_read < n_told:
            trial = self._waiting.popleft()
            if trial.number in self._asked:
                self._ended.append(trial)
                if len(self._ended) == self.population_size:
                    self._end_generation()
            elif "draw" not in trial.info and trial.score is not None:
                self._known.append(trial)

    @property
    def _n_read(self) -> int:
        """How many of the results told the steps so far have used, or found of no use."""
        return self._cursor.n_told - len(self._waiting)

    # The steps.

    @property
    def note(self) -> dict[str, Any]:
        """What a suggestion that is made now must say of itself, but for its draw."""
        return {"run": self.run, "generation": self.generation, "n_told": self._n_read}

    @property
    def _uniforms(self) -> FloatArray:
        """``(2 + d,)`` the random numbers of a run: two for its kind, the others for its first mean."""
        return self._rng(0).random(2 + self._layout.n_columns)

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed, _STREAM, self.run, step))

    def points(self, n: int) -> FloatArray:
        """Return the ``(n, d)`` next draws of the generation, in the unit cube."""
        solutions = self._drawn(self.n_draws + n)[self.n_draws :]
        return np.array([self._layout.point(solution) for solution in solutions])

    def _drawn(self, n: int) -> list[CatCMAwM.Solution]:
        """The first n draws of the generation: they follow from the seed, the run and the generation."""
        if self._engine is None:
            self._engine = self._made()
        if not self._draws:
            self._engine.reseed_rng(int(self._rng(1 + self.generation).integers(2**32)))
        while len(self._draws) < n:
            self._draws.append(self._engine.ask())
        return self._draws[:n]

    def _end_generation(self) -> None:
        """Tell the results, as ranks: so that neither their scale nor an outlier matters; failed ones are last.

        Results of the last generation that came late count as well: they are draws from nearly the same distribution.
        Where all failed, there is nothing to learn.
        """
        self._n_used[self._kind] += len(self._ended)
        scores = [trial.score for trial in self._ended if trial.score is not None]
        ended = sorted(self._ended, key=lambda t: (math.inf if t.score is None else -t.score, t.number))
        ranked = [(self._asked.pop(trial.number)[1], float(rank)) for rank, trial in enumerate(ended)]
        self.generation += 1
        try:
            if scores and self._engine is not None:
                with np.errstate(all="ignore"):
                    self._engine.tell(ranked)
                self._extremes.append((min(scores), max(scores)))
            is_over = self._is_flat() or (bool(self._layout.gaussian) and self._engine_stops())
        except np.linalg.LinAlgError:  # the covariance has degenerated
            is_over = True
        if is_over:
            self.restart()
        else:
            self._begin_generation()

    def _engine_stops(self) -> bool:
        return self._engine is not None and bool(self._engine.should_stop())

    def _is_flat(self) -> bool:
        """Whether all results of the last generations are equal, for as many as the library would wait."""
        n = 10 + math.ceil(30 * self._layout.n_columns / self.population_size)
        last = self._extremes[-n:]
        return len(last) == n and min(low for low, _ in last) == max(high for _, high in last)

    def restart(self) -> None:
        """Begin another run: from a new mean, with another size of the population."""
        is_small = self._settings.restarts == "bipop" and self._n_used["small"] < self._n_used["large"]
        self.run += 1
        self._kind = "small" if is_small else "large"
        if not is_small:
            self._n_large = min(self._n_large + 1, MOST_DOUBLINGS)
        self._begin()

    def _made(self) -> CatCMAwM:
        """The library's optimizer of a new run."""
        from cmaes import CatCMAwM

        layout, sigma = self._layout, self._settings.sigma
        mean = np.full(layout.n_columns, 0.5) if self.run == 0 else self._uniforms[2:]
        if self._kind == "small":
            sigma *= 10.0 ** (-2.0 * self._uniforms[1])  # sigma_s = sigma 10^(-2 U), Hansen 2009 (BIPOP)
        cov, shares = np.eye(len(layout.gaussian)), dict(layout.shares)
        if self.run == 0 and self._known:
            mean, sigma, cov, shares = self._warm_start()
        return CatCMAwM(
            x_space=[[0.0, 1.0]] * len(layout.continuous) or None,
            z_space=[layout.middles[c].tolist() for c in layout.integers] or None,
            c_space=[len(shares[c]) for c in layout.categories] or None,
            population_size=self.population_size,
            mean=mean[layout.gaussian].copy(),
            sigma=sigma,
            cov=cov,
            cat_param=layout.probabilities(shares),
        )

    def _warm_start(self) -> tuple[FloatArray, float, FloatArray, dict[int, FloatArray]]:
        """Mean, standard deviation, covariance and probabilities around the best tenth of what is known.

        Source: Nomura et al. 2021, AAAI 35 (a promising distribution of the source task); the categories are counted,
        half beside the prior.
        """
        from cmaes import get_warm_start_mgd

        layout, n = self._layout, len(self._known)
        points = self._space.encode([trial.hp for trial in self._known])
        scores = np.array([-math.inf if trial.score is None else trial.score for trial in self._known])
        best = points[np.argsort(-scores, kind="stable")[: max(n // 10, 1)]]
        mean, sigma, cov = best.mean(axis=0), self._settings.sigma, np.eye(len(layout.gaussian))
        if layout.gaussian:
            solutions = [(point[layout.gaussian], 0.0) for point in best]
            mean[layout.gaussian], sigma, cov = get_warm_start_mgd(solutions, gamma=1.0)
        shares = {}
        for column, share in layout.shares.items():
            nearest = np.abs(best[:, column, None] - layout.middles[column]).argmin(axis=1)
            shares[column] = (share + np.bincount(nearest, minlength=len(share)) / len(best)) / 2
        return mean, sigma, cov, shares
