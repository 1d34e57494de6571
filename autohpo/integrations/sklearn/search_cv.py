"""HPOSearchCV: any algorithm of ours as a search of scikit-learn's, with fidelities."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV

from autohpo.integrations.sklearn.calls import Calls
from autohpo.integrations.sklearn.habits import with_hints
from autohpo.integrations.sklearn.resumable import ROWS, Resumable
from autohpo.integrations.sklearn.rows import Out, at_the_top, part_of
from autohpo.integrations.sklearn.work import Work

BaseSearchCV: Any = GridSearchCV.__base__
"""The base of scikit-learn's own searches, which it documents but has under no public name."""


class HPOSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Search the parameters of an estimator by cross-validation, with any algorithm of autohpo.

    Everything that scikit-learn's own searches have is here: ``best_estimator_``, ``best_params_``, ``best_score_``,
    ``best_index_``, ``cv_results_``, ``predict``, several metrics, metadata routing, callbacks. With a `fidelity` most
    configurations get less than a full evaluation, and ``best_index_`` is among those that got the most.

    Args:
        estimator: The estimator. Parameters that a configuration does not have keep its values.
        space: A list of parameters such as RangeHP, a SearchSpace, or a dict from the name of a parameter to one of
            ours, a list of values or a range, or a frozen distribution of ``scipy.stats``.
        algorithm: The name of the algorithm, one of :func:`autohpo.available_hpos`.
        n_trials: Suggestions to make at most; a configuration that is promoted counts again. None makes as many as
            ``optimize`` would: 100, or one round of the rungs.
        budget: What the search may train in all, in full evaluations; for algorithms with fidelities, and "auto".
        time_limit: Seconds after which no new batch of trials begins.
        fidelity: What a configuration gets more of if it is promoted: "folds", "n_samples" (training examples of each
            fold), "epochs" (calls of ``partial_fit``), or a parameter such as "n_estimators" or "clf__max_iter".
        min_fidelity: The lowest fidelity; None takes a 27th of the highest, and 30 examples for each class at least.
        max_fidelity: The highest one; None takes all folds, all examples, or the estimator's own value.
        resume: Whether a promoted configuration goes on with its fitted estimators (``warm_start``): "auto" knows
            scikit-learn's own classes. The parameter counts all rounds in a "total" one, or what is "added" by a call
            of ``fit``; False trains anew.
        metric: Which of several metrics is searched for; None takes that of `refit`, or else all, as objectives.
        batch_size: Trials that run at once; None takes as many as keep `n_jobs` busy, so that the suggestions depend on
            `n_jobs`.
        algorithm_options: Further options of the algorithm, such as ``{"eta": 3}``, and ``points`` to try first.
        store: A path or URL where every result is kept: the same call goes on there after it was killed. A run that is
            complete is not searched again: its best is evaluated and fitted once more.
        scoring: What is measured, as in scikit-learn's searches: None is the estimator's own score.
        n_jobs: How many fits run at once; None is 1 unless joblib says otherwise.
        refit: Whether the best is fitted to all data; of several metrics, which one chooses it. A function gets the
            rows at the highest fidelity alone, and returns a place among them.
        cv: The folds, as in scikit-learn's searches; they are drawn once.
        verbose: How much scikit-learn prints.
        pre_dispatch: How many fits joblib prepares at once.
        random_state: A number for everything random in the search; the same one gives the same search.
        error_score: What a fold is worth that cannot be fitted. A configuration that fails in all folds has no result,
            and ends the search only with "raise".
        return_train_score: Whether the table has scores on the training sets.

    Attributes:
        cv_results_: scikit-learn's columns, and ``trial``, with a fidelity also ``fidelity`` and ``resumed``: which
            trial a row continues, or -1. Folds that a row has not are nan, and its times are those of the row alone.
        result_: The trials as a :class:`autohpo.Result`.

    Raises:
        OptionError: An argument breaks a rule, which ``fit`` says; or has a name that other searches have, such as
            ``n_iter``, and says so when it is given.
        SpaceError: The space breaks a rule.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> from autohpo import LogRangeHP
        >>> search = HPOSearchCV(SVC(), [LogRangeHP("C", 1e-2, 1e2)], n_trials=5, random_state=0)
        >>> bool(search.fit(*load_iris(return_X_y=True)).best_score_ > 0.95)
        True
    """

    @with_hints
    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        algorithm: str = "auto",
        n_trials: int | None = None,
        budget: float | None = None,
        time_limit: float | None = None,
        fidelity: str | None = None,
        min_fidelity: float | None = None,
        max_fidelity: float | None = None,
        resume: Any = "auto",
        metric: str | None = None,
        batch_size: int | None = None,
        algorithm_options: Any = None,
        store: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.algorithm = algorithm
        self.n_trials = n_trials
        self.budget = budget
        self.time_limit = time_limit
        self.fidelity = fidelity
        self.min_fidelity = min_fidelity
        self.max_fidelity = max_fidelity
        self.resume = resume
        self.metric = metric
        self.batch_size = batch_size
        self.algorithm_options = algorithm_options
        self.store = store
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> HPOSearchCV:
        """Search, and fit the best configuration to all data.

        Args:
            X: The examples.
            y: The target.
            params: Metadata for the estimator, the scorer and the splitter, such as ``sample_weight`` and ``groups``.
        """
        run: Any = object.__new__(type(self))  # a search of its own: this one changes only once there is a result
        run.__dict__.update(vars(self))
        run._work = work = Work(self)
        run.cv = work.folds
        if work.resource is not None and work.resource.is_held:
            run.estimator = Resumable(self.estimator, work.resource, work.models)
            n = X.shape[0] if hasattr(X, "shape") else len(X)
            params = {**params, ROWS: np.arange(n)}
        try:
            BaseSearchCV.fit(run, X, y, **params)
        finally:
            work.models.close()
        if run.estimator is not self.estimator:
            if hasattr(run, "best_estimator_"):
                run.best_estimator_ = run.best_estimator_.estimator_
            if self.scoring is None:
                run.scorer_ = check_scoring(self.estimator)
        run.n_splits_ = len(work.folds.splits)
        for name, value in vars(run).items():
            if name.endswith("_"):
                setattr(self, name, value)
        return self

    # What BaseSearchCV.fit calls, on the search that runs.

    def _run_search(self, evaluate_candidates: Any, *, callback_ctx: Any = None) -> None:
        calls = Calls(self, self._work.outs, evaluate_candidates, callback_ctx)
        self.result_ = self._work.run(calls, super()._format_results)
        calls.close()

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: list[Out], more_results: Any = None
    ) -> dict[str, Any]:
        """Take what was measured; the table is filled once, when the search has ended."""
        work: Work = self._work
        work.outs[:] = out
        return work.table

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: Any, results: dict[str, Any]) -> int:
        """Return the place of the best row among those at the highest fidelity."""
        places = at_the_top(results)
        if places is None:
            return int(BaseSearchCV._select_best_index(refit, refit_metric, results))
        return int(places[BaseSearchCV._select_best_index(refit, refit_metric, part_of(results, places))])
