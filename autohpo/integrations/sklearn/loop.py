"""The loop of a search: ask for a batch, let scikit-learn evaluate it, tell; every result in the log first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from autohpo.errors import AutoHPOError, NotReady, OptimizationComplete, OptionError
from autohpo.integrations.sklearn.resources import Parts, Resource, Split
from autohpo.integrations.sklearn.resumable import Models
from autohpo.integrations.sklearn.rows import Out, Row, row_of
from autohpo.search import Search
from autohpo.trial import Suggestion, Trial

Evaluate = Callable[[list[dict[str, Any]], list[Split]], list[Out]]
"""Fits candidates on folds, and returns what was measured, the folds of the first candidate first."""


class Loop:
    """Asks, has it evaluated, and tells, until there is nothing left to ask for.

    Args:
        search: The optimizer and its log, open.
        evaluate: What fits candidates.
        splits: The folds.
        y: The target.
        resource: What there is more of at a higher fidelity, if anything.
        models: Where fitted estimators are held.
        metrics: The names of the metrics that are objectives; None is the only one there is.
        batch_size: How many trials run at once.
        time_limit: Seconds, after which no batch begins; None sets no limit.

    Attributes:
        rows: The trials that have ended, by number.
    """

    def __init__(
        self,
        search: Search,
        evaluate: Evaluate,
        splits: list[Split],
        y: Any,
        *,
        resource: Resource | None,
        models: Models,
        metrics: list[str | None],
        batch_size: int,
        time_limit: float | None,
    ) -> None:
        self._search, self._evaluate, self._splits, self._resource = search, evaluate, splits, resource
        self._models, self._metrics, self._batch_size = models, metrics, batch_size
        self._until = math.inf if time_limit is None else time.monotonic() + time_limit
        is_part = resource is not None and resource.kind == "n_samples"
        self._parts = Parts(splits, y, search.hpo.seed or 0) if is_part else None
        self.rows: dict[int, Row] = {}

    def run(self) -> None:
        """Run until the search has ended.

        Raises:
            AutoHPOError: The algorithm waits for results though nothing runs.
            OptionError: The scores have no metric of the name that is to be searched for.
        """
        for trial in self._search.state.trials():
            if trial.metrics or not trial.perfs:  # else its result was known before
                self.rows[trial.number] = row_of(trial, self._shown(trial.suggestion), len(self._splits))
        batch = [running.suggestion for running in self._search.state.running.values()]  # of a run that was killed
        while batch := batch or self._ask():
            for key in dict.fromkeys(self._key(one) for one in batch):
                self._run([one for one in batch if self._key(one) == key], *key)
            self._let_go()
            batch = []

    def _ask(self) -> list[Suggestion]:
        """Return the next trials; none where the search has ended."""
        batch: list[Suggestion] = []
        if self.rows and time.monotonic() >= self._until:
            return batch
        while len(batch) < self._batch_size:
            found = self._next(len(batch))
            if found is None:
                break
            batch.append(found)
        return batch

    def _next(self, n_waiting: int) -> Suggestion | None:
        """Return the next trial; None where there is none, or none before those that wait have their results."""
        try:
            return self._search.ask(n_waiting)
        except OptimizationComplete:
            return None
        except NotReady:
            if not n_waiting:
                raise AutoHPOError(f"{type(self._search.hpo).__name__}: is not ready though nothing runs") from None
            return None

    def _key(self, one: Suggestion) -> tuple[int, int, float | None]:
        """Return the first and the last fold of a trial, and its part of the training sets: one call for each such."""
        kind = None if self._resource is None else self._resource.kind
        if kind == "folds":
            return self._n_before(one), int(self._fidelity(one) or 0), None
        return 0, len(self._splits), self._fidelity(one) if kind == "n_samples" else None

    def _n_before(self, one: Suggestion) -> int:
        """Return how many folds a trial takes over from the one that it continues."""
        return 0 if one.resume is None else len(self.rows[one.resume].outs)

    def _fidelity(self, one: Suggestion) -> float | None:
        if self._resource is None:
            return None
        return self._resource.high if one.fidelity is None else one.fidelity

    def _shown(self, one: Suggestion) -> dict[str, Any]:
        """Return the parameters that the estimator has; inactive ones keep the value that it was given with."""
        if self._resource is None or not self._resource.is_parameter:
            return dict(one)
        return {**one, self._resource.name: self._fidelity(one)}

    def _run(self, batch: list[Suggestion], first: int, last: int, part: float | None) -> None:
        """Evaluate trials on the same folds, and tell their results."""
        splits = self._splits if self._parts is None or part is None else self._parts.of(int(part))
        candidates = []
        for one in batch:
            candidate = self._shown(one)
            if self._resource is not None and self._resource.is_held:
                candidate |= {"trial": self._search.state.chain(one.number).root, "amount": self._fidelity(one)}
            candidates.append(candidate)
        n = last - first
        outs = self._outs(candidates, splits[first:last]) if n > 0 else []
        for place, one in enumerate(batch):
            row = Row(one.number, self._shown(one), self._fidelity(one), one.resume)
            if self._resource is not None and self._resource.kind == "folds" and one.resume is not None:
                row.outs |= self.rows[one.resume].outs
            row.outs |= dict(enumerate(outs[place * n : (place + 1) * n], first))
            self.rows[one.number] = row
            self._tell(one, row, cost=sum(out["fit_time"] + out["score_time"] for out in outs[place * n :][:n]))

    def _outs(self, candidates: list[dict[str, Any]], splits: list[Split]) -> list[Out]:
        """Return what was measured, the folds of the first candidate first; a call has all folds, or one alone."""
        if self._resource is None or self._resource.kind != "folds":
            return self._evaluate(candidates, splits)
        by_fold = [self._evaluate(candidates, [split]) for split in splits]
        return [outs[place] for place in range(len(candidates)) for outs in by_fold]

    def _tell(self, one: Suggestion, row: Row, cost: float) -> Trial:
        try:
            means = [row.mean(name) for name in self._metrics]
        except KeyError as error:
            raise OptionError(f"metric: must be one of the scores, got {error}") from None
        if row.has_failed or not all(map(math.isfinite, means)):
            return self._search.fail(one, row.error or f"the mean test score is not finite: {means}")
        perf: Any = means[0] if len(means) == 1 else tuple(means)
        return self._search.tell(one, perf, cost=cost, metrics=row.metrics())

    def _let_go(self) -> None:
        """Hold only what may still be continued."""
        if self._resource is not None and self._resource.is_held:
            state = self._search.state
            self._models.keep({state.chain(number).root for number in self._search.hpo.resumable})
