"""Work: what one call of ``fit`` of an HPOSearchCV works with, from the space to the table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from joblib import effective_n_jobs

from autohpo.algorithms.registry import name_of
from autohpo.errors import OptionError, shown
from autohpo.integrations.sklearn.build import build, checked_metrics
from autohpo.integrations.sklearn.calls import Calls, FirstFolds
from autohpo.integrations.sklearn.loop import Loop
from autohpo.integrations.sklearn.resources import Resource, resource_of
from autohpo.integrations.sklearn.resumable import Models
from autohpo.integrations.sklearn.rows import Out, Row, at_the_top, fill_table
from autohpo.integrations.sklearn.space import space_of
from autohpo.result import Result
from autohpo.search import Search


class Work:
    """What one call of ``fit`` works with.

    Args:
        search: The search, whose arguments are checked.

    Attributes:
        space: The search space.
        resource: What there is more of at a higher fidelity, if anything.
        folds: The folds.
        models: Where fitted estimators are held.
        outs: Everything that scikit-learn has measured.
        table: What becomes ``cv_results_``; empty until the search has ended.

    Raises:
        OptionError: An argument breaks a rule.
        SpaceError: The space does.
    """

    def __init__(self, search: Any) -> None:
        self._search = search
        self.space = space_of(search.space)
        self.resource = self._resource()
        self.models = Models()
        self.outs: list[Out] = []
        self.table: dict[str, Any] = {}
        one_by_one = self.resource is not None and self.resource.kind == "folds"
        self.folds = FirstFolds(search.cv, search.estimator, one_by_one=one_by_one)
        for name in ("batch_size", "n_trials"):
            value = getattr(search, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise OptionError(f"{name}: must be None or an integer of at least 1, got {shown(value)}")
        limit = search.time_limit
        if limit is not None and (not isinstance(limit, (int, float)) or not limit > 0):
            raise OptionError(f"time_limit: must be None or seconds above 0, got {shown(limit)}")

    def _resource(self) -> Resource | None:
        search = self._search
        if search.fidelity is None:
            for name in ("min_fidelity", "max_fidelity"):
                if getattr(search, name) is not None:
                    raise OptionError(f"{name}: must be None where fidelity is, got {shown(getattr(search, name))}")
            return None
        found = resource_of(search.fidelity, search.estimator, search.resume, set(self.space.names))
        if found.kind in ("folds", "n_samples"):
            return found  # how much there is of it shows once there are folds
        return found.within(search.min_fidelity, search.max_fidelity, search.estimator.get_params().get(found.name))

    def run(self, calls: Calls, form: Callable[..., Mapping[str, Any]]) -> Result:
        """Search, fill the table, and return the trials.

        Args:
            calls: Has scikit-learn fit candidates.
            form: scikit-learn's own ``_format_results``.

        Raises:
            ValueError: No fit succeeded; it is scikit-learn's own.
        """
        search, splits, y = self._search, self.folds.splits, self.folds.y
        if self.resource is not None:
            self.resource = self.resource.for_folds(search.min_fidelity, search.max_fidelity, splits, y)
        metrics = checked_metrics(search.scoring, search.refit, search.metric)
        hpo = build(search, self.space, self.resource, metrics)
        at_once = 1 if self.folds.get_n_splits() == 1 else len(splits)
        size = search.batch_size or math.ceil(effective_n_jobs(search.n_jobs) / at_once)
        log = Search(hpo, search.store)
        try:
            log.claim()  # a run that goes on has its own seed, which comes before the set-up
            hpo.set_up(size, search.time_limit)
            log.begin({"sklearn": self._described()})
            loop = Loop(
                log,
                calls.evaluate,
                splits,
                y,
                resource=self.resource,
                models=self.models,
                metrics=metrics,
                batch_size=size,
                time_limit=search.time_limit,
            )
            loop.run()
            result = Result.of(log.state, hpo.mode, algorithm=name_of(type(hpo)), name=log.name)
        finally:
            log.close()
        self._fill([loop.rows[number] for number in sorted(loop.rows)], calls, form)
        return result

    def _described(self) -> dict[str, Any]:
        """Return what makes a run this run, beside its algorithm and its space."""
        found: dict[str, Any] = {"estimator": type(self._search.estimator).__name__, "n_splits": len(self.folds.splits)}
        return found | ({} if self.resource is None else {"fidelity": self.resource.name})

    def _fill(self, rows: list[Row], calls: Calls, form: Callable[..., Mapping[str, Any]]) -> None:
        good = [row for row in rows if not row.has_failed]
        if not good:
            raise calls.last_error or ValueError("All fits failed, in an earlier run.")
        if not self.outs:  # the run was complete, or nothing succeeded since: scikit-learn wants to have seen scores
            best = max(good, key=lambda row: row.fidelity or 0.0)
            calls.evaluate([best.params], self.folds.splits[: self.folds.get_n_splits()])
        error_score = self._search.error_score
        fill_table(self.table, rows, len(self.folds.splits), math.nan if error_score == "raise" else error_score, form)
        places = at_the_top(self.table)
        if places is not None and self.resource is not None:
            reached = self.table["fidelity"][places[0]]
            if reached < self.resource.high:
                warnings.warn(
                    f"fidelity: no configuration was evaluated at max_fidelity, {self.resource.high}; the best is that "
                    f"of {reached}; raise n_trials or budget",
                    UserWarning,
                    stacklevel=2,
                )
