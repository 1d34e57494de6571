"""BOHB: Hyperband's brackets, filled from two density estimates, of good and of bad configurations."""

from __future__ import annotations

import contextlib
import math
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.parts.kde_model import BoolArray, EvenCells, FloatArray, Model, imputed
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import NotReady, OptionError
from autohpo.schedulers.brackets import BracketSearch
from autohpo.spaces import SearchSpace
from autohpo.surrogates.kde import MixedKDE, cv_ml_bandwidths, normal_reference
from autohpo.trial import Suggestion, Trial

_RICH = 4  # times the least a model needs: so many results do, however many more a lower fidelity has
_BLIND_SHARE = 1 / 6  # of all new configurations: so many may be drawn before the first result


@register_hpo("bohb")
@dataclass(eq=False, kw_only=True)
class BOHB(BracketSearch):
    """Fills Hyperband's brackets from two kernel densities, of good and of bad configurations.

    Most new configurations are drawn around good ones, `num_samples` at a time, and the one with the largest
    ratio of good to bad density is suggested. The rest come from the prior, so that no region is given up.

    Source: Falkner, Klein and Hutter 2018, ICML, Algorithms 1 and 2. Where they are silent, or fail:

    * The model learns at the largest fidelity with enough results (the paper's N_min + 2), if they are half
      as many as at any lower one, or four times enough: nine full evaluations say less than fifty short ones.
    * Both densities of a choice have the bandwidth of the good one, so that a level nobody has seen is neither
      good nor bad.
    * Failed trials are bad ones, and count neither as results nor towards the share of the good.
    * In a space that can be counted no configuration is drawn twice; after the last one the search is over.
    * A candidate is judged by the parameters in force alone. Where one is not, the densities have the values of
      configurations in which it is, in turn.
    * Where the number of brackets or suggestions is limited, no more than a sixth of it is drawn blindly
      while the results for a first model are on their way: other workers wait for them.

    The options of the brackets are those of Hyperband.

    Args:
        top_n_percent: Share of the results that counts as good, in percent from 1 to 99.
        num_samples: Candidates of which the best is suggested.
        random_fraction: Chance that a new configuration is drawn from the prior.
        bandwidth_factor: Widens the kernels that candidates are drawn from.
        min_bandwidth: Floor of every kernel's bandwidth, in the unit cube.
        min_samples_in_model: Least number of good and of bad points (N_min); None is the number of searched
            columns + 1.
        bandwidth: "normal_reference" is a rule of thumb; "cv_ml" searches for the likeliest, which takes
            seconds, and keeps to the rule of thumb where the likelihood has no maximum.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = BOHB([RangeHP("x", 0.0, 1.0)], min_fidelity=1, max_fidelity=9, seed=0)
        >>> for _ in range(9):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
        >>> promoted = hpo.ask()
        >>> promoted.fidelity, promoted.resume == max(hpo.trials, key=lambda trial: trial.score).number
        (3.0, True)
    """

    option_aliases: ClassVar[Mapping[str, str]] = {
        **BracketSearch.option_aliases,
        "min_points_in_model": "min_samples_in_model",
    }

    top_n_percent: float = 15
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    min_samples_in_model: int | None = None
    bandwidth: Literal["normal_reference", "cv_ml"] = "normal_reference"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_options()
        n_min = self.min_samples_in_model
        self._n_min = self.space.n_columns + 1 if n_min is None else n_min
        self._observations = _Observations(self.space, self.max_fidelity)
        self._model: tuple[tuple[float, int], Model] | None = None  # with its fidelity and number of results

    def _check_options(self) -> None:
        n_min = self.min_samples_in_model
        rules = [
            ("top_n_percent", 1 <= self.top_n_percent <= 99, "a percentage from 1 to 99"),
            ("num_samples", self.num_samples >= 1, "at least 1"),
            ("random_fraction", 0 <= self.random_fraction <= 1, "from 0 to 1"),
            ("bandwidth_factor", 0 < self.bandwidth_factor < math.inf, "positive and finite"),
            ("min_bandwidth", 0 < self.min_bandwidth <= 1, "above 0 and at most 1"),
            ("min_samples_in_model", n_min is None or n_min >= 2, "at least 2, or None"),
        ]
        for name, is_kept, rule in rules:
            if not is_kept:
                raise OptionError(f"{name}: must be {rule}, got {getattr(self, name)}")

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._observations.follow(self.trials, self.running)
        return self._suggest(self._draw)

    def _draw(self, fidelity: float) -> Suggestion:
        """A new configuration: the best of the model's candidates, or one from the prior."""
        self._seen.update()
        model = self._current_model()
        if model is None:
            self._wait_for_first_results()
        if model is None or self.rng.random() < self.random_fraction:
            return Suggestion(self._seen.draw(self.rng), info={"model": False})
        return Suggestion(self._best_candidate(model), info={"model": True})

    def _best_candidate(self, model: Model) -> dict[str, Any]:
        """Of configurations near good ones, new and allowed, that with the largest density ratio.

        Where none of them is new and allowed, they come from the prior.
        """
        cells = self._observations.cells
        points = model.good.sample(self.num_samples, self.rng, self.bandwidth_factor)
        if not (self._seen.is_finite or self.space.constraints or self.space.is_conditional):
            best = np.argmax(model.log_ratio(points))
            return self.space.decode(cells.stretched(points[[best]]))[0]
        hps = [hp for hp in self.space.decode(cells.stretched(points)) if self._seen.is_new(hp)]
        hps = hps or self._seen.some(self.rng, self.num_samples)
        return hps[int(np.argmax(model.log_ratio(cells.evened(self.space.encode(hps)), self.space.mask(hps))))]

    def _current_model(self) -> Model | None:
        """The model of the results so far; None while they are too few."""
        fidelity = self._observations.informative_fidelity(self._n_min + 2)
        if fidelity is None or not self.space.n_columns:
            return None
        ranked = self._observations.ranked[fidelity]
        key = (fidelity, len(ranked))
        if self._model is None or self._model[0] != key:
            numbers = [number for _, number in ranked]
            n_ok = self._observations.n_ok[fidelity]
            n_good = max(self._n_min, int(self.top_n_percent * n_ok // 100))
            n_bad = max(self._n_min, len(numbers) - n_good)  # the two overlap while there are few
            good = self._observations.points(numbers[:n_good])
            bad = self._observations.points(numbers[-n_bad:])
            self._model = key, self._fit(good, bad)
        return self._model[1]

    def _fit(self, good: FloatArray, bad: FloatArray) -> Model:
        """The densities of ``(n, d)`` good and ``(m, d)`` bad points."""
        levels = self.space.levels
        good_widths, bad_widths = self._bandwidths(good), self._bandwidths(bad)
        # Fewer points make for wider kernels, under which a level that neither side has seen would look good.
        bad_widths = np.where(levels > 0, good_widths, bad_widths)
        return Model(MixedKDE(good, levels, good_widths), MixedKDE(bad, levels, bad_widths))

    def _bandwidths(self, points: FloatArray) -> FloatArray:
        """``(d,)`` bandwidths for ``(n, d)`` points, by the chosen rule."""
        if self.bandwidth == "cv_ml":
            with contextlib.suppress(ValueError):  # no maximum: too few points, or a level seen once
                return cv_ml_bandwidths(points, self.space.levels, self.min_bandwidth)
        return normal_reference(points, self.space.levels, self.min_bandwidth)

    def _wait_for_first_results(self) -> None:
        """Keeps many workers from drawing most of a limited number of configurations blindly.

        It costs them one evaluation at the lowest fidelity, so it needs a schedule in which that is short: of
        three rungs and eta 3, it is a thirteenth of the first bracket's time.

        Raises:
            NotReady: Enough was drawn, and what runs at the lowest fidelity will do for a model.
        """
        limit = _BLIND_SHARE * self._most_configurations()
        is_soon = self.has_fidelity and len(self._schedule.fidelities) >= 3
        if not is_soon or self._observations.n_drawn < limit:
            return
        lowest = self._schedule.fidelities[0]
        n_coming = sum(suggestion.fidelity == lowest for suggestion in self.running)
        if self._observations.n_ok.get(lowest, 0) + n_coming >= self._n_min + 2:
            raise NotReady(f"the first model waits for {n_coming} trials at fidelity {lowest:g}")

    def _most_configurations(self) -> float:
        """How many new configurations there will be at most; infinite where neither limit is given."""
        limits = [math.inf]
        if self.num_iterations is not None:
            limits.append(self._schedule.n_new(self.num_iterations))
        if self.max_evals is not None:
            brackets = self._schedule.brackets  # a promotion is a suggestion too
            share = self._schedule.n_new(len(brackets)) / sum(sum(bracket.sizes) for bracket in brackets)
            limits.append(self.max_evals * share)
        return min(limits)


class _Observations:
    """What was suggested and what came of it, in arrays; every configuration is encoded once.

    Attributes:
        ranked: For each fidelity ``(loss, number)`` of the trials that ended, best first; failed ones have an
            infinite loss. The order told leaves no trace.
        n_ok: For each fidelity how many of them did not fail.
        n_drawn: How many suggestions were new configurations.
        cells: How choices stand in the points.
    """

    def __init__(self, space: SearchSpace, max_fidelity: float) -> None:
        self.ranked: dict[float, list[tuple[float, int]]] = {}
        self.n_ok: dict[float, int] = {}
        self.n_drawn = 0
        self.cells = EvenCells(space)
        self._space, self._max_fidelity = space, max_fidelity
        self._n_told = 0
        self._points = np.empty((0, space.n_columns))  # of each suggestion by its number
        self._mask: BoolArray = np.empty((0, space.n_columns), dtype=bool)  # which columns of it are in force
        self._numbers: set[int] = set()  # of the suggestions that are in there

    def follow(self, trials: Sequence[Trial], running: Sequence[Suggestion]) -> None:
        """Catches up with all trials that ended, in the order told, and all that run."""
        told = trials[self._n_told :]
        hps = {t.number: (t.hp, t.resume) for t in told} | {s.number: (s, s.resume) for s in running}
        self._encode({number: hp for number, hp in hps.items() if number not in self._numbers})
        for trial in told:
            fidelity = self._max_fidelity if trial.fidelity is None else trial.fidelity
            loss = math.inf if trial.score is None else -trial.score
            insort(self.ranked.setdefault(fidelity, []), (loss, trial.number))
            self.n_ok[fidelity] = self.n_ok.get(fidelity, 0) + (trial.score is not None)
        self._n_told = len(trials)

    def _encode(self, new: Mapping[int, tuple[Mapping[str, Any], int | None]]) -> None:
        """Takes in suggestions not seen yet: number to configuration, and the trial it continues."""
        if not new:
            return
        hps = [hp for hp, _ in new.values()]
        n_missing = max(new) + 1 - len(self._points)
        if n_missing > 0:  # doubled, so that the copying costs little
            spare = np.empty((max(n_missing, len(self._points)), self._space.n_columns))
            self._points = np.concatenate([self._points, spare])
            self._mask = np.concatenate([self._mask, np.ones(spare.shape, dtype=bool)])
        self._points[list(new)] = self.cells.evened(self._space.encode(hps))
        if self._space.is_conditional:
            self._mask[list(new)] = self._space.mask(hps)
        self._numbers.update(new)
        self.n_drawn += sum(resume is None for _, resume in new.values())

    def points(self, numbers: Sequence[int]) -> FloatArray:
        """``(n, d)`` points of the unit cube, of suggestions by their number; see :func:`imputed`."""
        return imputed(self._points[numbers], self._mask[numbers])

    def informative_fidelity(self, n_least: int) -> float | None:
        """The largest fidelity with at least `n_least` results, not barely filled beside a lower one."""
        richest, chosen = 0, None
        for fidelity in sorted(self.n_ok):
            n = self.n_ok[fidelity]
            if n >= n_least and n >= min(_RICH * n_least, richest / 2):
                chosen = fidelity
            richest = max(richest, n)
        return chosen
