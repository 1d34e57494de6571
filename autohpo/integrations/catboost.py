"""CatBoost: boosting as a generator, and a callback; needs the extra ``autohpo[catboost]``."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError
from autohpo.integrations._boosting import RoundReporter, Yielded, check_rounds, measured
from autohpo.integrations._callbacks import Saved, load, trial_of
from autohpo.trial_handle import TrialHandle

if TYPE_CHECKING:
    from catboost import CatBoost, Pool

__all__ = ["ReportCallback", "boost"]

FILE = "rounds-{}.cbm"
NOTE = "autohpo.metrics"  # in a model's metadata: what was yielded last
LEARN = "learn"  # what CatBoost calls the training data


def boost(
    params: Mapping[str, Any],
    train: Pool,
    valid: Pool,
    *,
    n_rounds: int,
    every: int = 10,
    metric: str | None = None,
    trial: TrialHandle | None = None,
) -> Generator[Yielded, None, CatBoost]:
    """Boost, and yield the metric of the validation data after every few rounds: an objective, by ``yield from``.

    CatBoost trains in whole fits, so each step is a fit of `every` rounds that continues the model before it: no round
    is boosted twice, but each fit applies the model before it to the data, so `every` should not be too small. The
    random choices of each fit begin anew. CatBoost continues no model with categorical features.

    Args:
        params: Parameters of the model, but not ``iterations``.
        train: The data to learn from.
        valid: The data that the metric is of.
        n_rounds: The rounds of a full training.
        every: The rounds between two yields: one unit of fidelity.
        metric: Which of the metrics is yielded as the result, such as ``"AUC"``; None where there is one alone. The
            others come as metrics of the trial.
        trial: Where the objective's trial is given, the model is kept in its folder when it pauses and at its end, and
            a generator that starts again goes on with it.

    Yields:
        The metric, or the metric and a dict of the others.

    Returns:
        The model.

    Raises:
        MissingExtraError: CatBoost is not installed.
        OptionError: `every`, `n_rounds`, `metric` or `trial` is not possible.
    """
    check_rounds(every, n_rounds)
    library = load("catboost", "catboost")
    saved = None if trial is None else Saved(trial_of(trial).checkpoint_dir, FILE)
    found = None if saved is None else saved.latest()
    model: Any = None
    n_done = 0
    values: dict[str, float] = {}
    if found is not None:
        model, n_done = library.CatBoost(), int(found[1])
        model.load_model(str(found[0]))

    def keep() -> None:
        if saved is not None and model is not None:
            model.get_metadata()[NOTE] = json.dumps(values)
            model.save_model(str(saved.part))
            saved.keep(n_done)

    if trial is not None:
        trial.on_pause(keep)
        if n_done:
            trial.resume_at(-(-n_done // every) - 1)  # what was yielded before the last yield
            values = json.loads(model.get_metadata()[NOTE])
            yield measured(values, metric)
    fixed = {"verbose": False, "allow_writing_files": False, "use_best_model": False, **params}
    while n_done < n_rounds:
        n_more = min(every, n_rounds - n_done)
        following = library.CatBoost({**fixed, "iterations": n_more})
        # without the sum, CatBoost 1.2.10 counts the trees of a model twice that went on with one from a file
        following.fit(train, eval_set=valid, init_model=None if model is None else library.sum_models([model]))
        model, n_done, values = following, n_done + n_more, _last(following.get_evals_result(), metric)
        if n_done == n_rounds:
            keep()
        yield measured(values, metric)
    return model


def _last(results: Mapping[str, Mapping[str, list[float]]], metric: str | None = None) -> dict[str, float]:
    """The last value of each metric; those of the training data only where one of them is asked for."""
    values = {f"{data}-{name}": found[-1] for data, by in results.items() for name, found in by.items()}
    if metric in values:
        return values
    return {name: value for name, value in values.items() if not name.startswith(f"{LEARN}-")}


class ReportCallback(RoundReporter):
    """Callback of CatBoost's ``fit`` that reports to the search and stops where it says so.

    CatBoost shows its callbacks no model, so say ``report.save(model)`` after ``fit``: a promoted trial goes on with
    it, by ``init_model=report.init_model`` and ``report.n_done`` rounds less.

    Args:
        trial: What the objective was given as ``trial``.
        metric: Which metric is reported, such as ``"validation-AUC"`` or ``"AUC"``; None where the validation data
            have one alone. The others go into the log as metrics.
        every: The rounds between two reports: one unit of fidelity.

    Raises:
        OptionError: `trial` is no trial, or `every` no integer from 1; while it trains: `metric` names no metric.

    Example:
        .. code-block:: python

            def train(hps, trial):
                report = ReportCallback(trial, every=10)
                model = CatBoostClassifier(iterations=810 - report.n_done, depth=hps["depth"])
                model.fit(pool, eval_set=valid, init_model=report.init_model, callbacks=[report])
                report.save(model)
    """

    def __init__(self, trial: TrialHandle, metric: str | None = None, *, every: int = 1) -> None:
        super().__init__(trial, metric, every, FILE)

    def after_iteration(self, info: Any) -> bool:
        """Report where a report is due; return whether the training should go on."""
        values = _last(info.metrics, self._metric)
        if not values:
            raise OptionError("eval_set: must hold the validation data, got none")
        return self.take(self._n_before + info.iteration, values, None)

    def save(self, model: CatBoost) -> None:
        """Keep a model in the folder of the training, so that a promoted trial goes on with it."""
        model.save_model(str(self._saved.part))
        self._saved.keep(model.tree_count_)
