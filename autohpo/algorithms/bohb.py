"""BOHB: Hyperband's brackets, filled from two density estimates of where good and bad configurations lie."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms._brackets import BracketSearch
from autohpo.algorithms.registry import register_hpo
from autohpo.spaces import SearchSpace
from autohpo.surrogates.kde import MixedKDE, normal_reference
from autohpo.trial import Suggestion, Trial

FloatArray = NDArray[np.float64]


class _Seen:
    """Every configuration suggested so far, as a row of the unit cube, and what came of it.

    Attributes:
        ranked: For each fidelity the trials that ended, ``(loss, number)``, best first; the loss of a failed one is
            infinite.
        n_good: For each fidelity how many of them have a result.
    """

    def __init__(self, space: SearchSpace, max_fidelity: float) -> None:
        self._space, self._full = space, max_fidelity
        self._rows = np.empty((64, space.n_columns))
        self._known: set[int] = set()
        self._keys: set[bytes] = set()
        self._n_followed = 0
        self.ranked: dict[float, list[tuple[float, int]]] = {}
        self.n_ok: dict[float, int] = {}

    def follow(self, trials: Sequence[Trial], running: Iterable[Suggestion]) -> None:
        """Catches up with the history; every configuration is encoded once."""
        for suggestion in running:
            self._enter(suggestion.number, suggestion.resume, suggestion)
        for trial in trials[self._n_followed :]:
            self._enter(trial.number, trial.resume, trial.hp)
            fidelity = self._full if trial.fidelity is None else trial.fidelity
            loss = math.inf if trial.perf is None else -trial.perf
            insort(self.ranked.setdefault(fidelity, []), (loss, trial.number))
            self.n_ok[fidelity] = self.n_ok.get(fidelity, 0) + (trial.perf is not None)
        self._n_followed = len(trials)

    def rows(self, numbers: Sequence[int]) -> FloatArray:
        return self._rows[numbers]

    def has(self, row: FloatArray) -> bool:
        return row.tobytes() in self._keys

    def _enter(self, number: int, resume: int | None, hp: Mapping[str, Any]) -> None:
        if number in self._known:
            return
        if number >= len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty((number + 1, self._rows.shape[1]))])
        row = self._rows[resume] if resume in self._known else self.encode(hp)
        self._rows[number] = row
        self._known.add(number)
        self._keys.add(row.tobytes())

    def encode(self, hp: Mapping[str, Any]) -> FloatArray:
        return np.clip(self._space.encode([hp])[0], 0.0, 1.0)


@register_hpo("bohb")
@dataclass(eq=False, kw_only=True)
class BOHB(BracketSearch):
    """X."""

    top_n_percent: int = 15
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    min_samples_in_model: int | None = None
    bandwidth: Literal["normal_reference", "cv_ml"] = "normal_reference"

    variant = "hpb"
    wait = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._seen = _Seen(self.space, self.max_fidelity)
        self.nmodel = self.ndraw = 0

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._seen.follow(self.trials, self.running)
        return self._suggest(self._draw)

    @property
    def _least(self) -> int:
        return self.space.n_columns + 1 if self.min_samples_in_model is None else self.min_samples_in_model

    def split_one(self, b, m, frac=None):
        r = self._seen.ranked[b]; n = len(r); ok = self._seen.n_ok[b]
        f = self.top_n_percent if frac is None else frac
        ng = min(max(m, f * n // 100), ok)
        if n >= 2 * m:
            nb = max(m, (100 - f) * n // 100) if frac is None else n
            return [i for _, i in r[:ng]], [i for _, i in r[ng:ng + nb]]
        return [i for _, i in r[:ng]], [i for _, i in r[max(0, n - max(m, n - ng)):]]

    def _splits(self):
        """List of (weight, good, bad)"""
        m = self._least; ok = self._seen.n_ok; v = self.variant
        fids = sorted((b for b in ok), reverse=True)
        if v.startswith("ovl"):
            need = m + 2
            v = v[3:] or "hpb"
        else:
            need = 2 * m
        enough = [b for b in fids if ok[b] >= need]
        if not enough:
            return []
        if v in ("hpb",):
            return [(1.0, *self.split_one(enough[0], m))]
        if v.startswith("frac"):
            c = float(v.split("_")[1])
            for b in enough:
                if ok[b] >= c * max([ok[x] for x in fids if x <= b]):
                    return [(1.0, *self.split_one(b, m))]
        if v.startswith("rich"):
            c, k = map(float, v.split("_")[1:])
            for b in enough:
                if ok[b] >= min(k * m, c * max([ok[x] for x in fids if x <= b])):
                    return [(1.0, *self.split_one(b, m))]
        if v.startswith("losers"):
            # bad = bad at b + trials of lower rungs whose config never came to b
            b = enough[0]
            good, bad = self.split_one(b, m, frac=self.top_n_percent)
            here = {self._seen.rows([i])[0].tobytes() for _, i in self._seen.ranked[b]}
            extra = []
            for x in fids:
                if x < b:
                    r = self._seen.ranked[x]
                    k = int(len(r) * (1 - 1 / self.eta))
                    for _, i in r[len(r) - k:]:
                        key = self._seen.rows([i])[0].tobytes()
                        if key not in here:
                            here.add(key); extra.append(i)
            return [(1.0, good, bad + extra)]
        if v.startswith("sum"):
            k = float(v.split("_")[1])
            out = []
            rest = 1.0
            for b in enough:
                w = rest * min(1.0, ok[b] / (k * m)) if b != enough[-1] else rest
                out.append((w, *self.split_one(b, m)))
                rest -= w
                if rest <= 1e-9: break
            return out
        raise ValueError(v)

    def _kde(self, numbers):
        X = self._seen.rows(numbers)
        return MixedKDE(X, self.space.levels, normal_reference(X, self.space.levels, self.min_bandwidth))

    def _draw(self, fidelity: float) -> Suggestion:
        self.ndraw += 1
        splits = self._splits()
        if splits and self.rng.random() >= self.random_fraction:
            self.nmodel += 1
            models = [(w, self._kde(g), self._kde(b)) for w, g, b in splits]
            ws = np.array([w for w, _, _ in models])
            which = self.rng.choice(len(ws), p=ws / ws.sum()) if len(ws) > 1 else 0
            ns = getattr(self, "ns", self.num_samples)
            pts = models[which][1].sample(ns, self.rng, self.bandwidth_factor)
            score = sum(w * (g.log_density(pts) - b.log_density(pts)) for w, g, b in models)
            hp = self.space.decode(pts[[int(np.argmax(score))]])[0]
            return Suggestion(hp, info={"model": True})
        return Suggestion(self.space.sample(self.rng, 1)[0], info={"model": False})
