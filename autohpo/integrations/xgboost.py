"""XGBoost: boosting as a generator that pauses and goes on, and a callback; needs the extra ``autohpo[xgboost]``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from autohpo.errors import OptionError, short
from autohpo.integrations._boosting import RoundReporter, Yielded, check_rounds, measured
from autohpo.integrations._callbacks import LibraryCallback, Saved, load, trial_of
from autohpo.trial_handle import TrialHandle

if TYPE_CHECKING:
    from xgboost import Booster, DMatrix

__all__ = ["ReportCallback", "boost"]

FILE = "rounds-{}.ubj"


def boost(
    params: Mapping[str, Any],
    dtrain: DMatrix,
    dvalid: DMatrix,
    *,
    n_rounds: int,
    every: int = 1,
    metric: str | None = None,
    custom_metric: Callable[..., Any] | None = None,
    obj: Callable[..., Any] | None = None,
    trial: TrialHandle | None = None,
) -> Generator[Yielded, None, Booster]:
    """Boost, and yield the metric of the validation data after every few rounds: an objective, by ``yield from``.

    A multi-fidelity algorithm pauses it at a rung and continues it where it is promoted: no round is boosted twice.
    One unit of fidelity is `every` rounds.

    Args:
        params: Parameters of the booster.
        dtrain: The data to learn from.
        dvalid: The data that the metric is of.
        n_rounds: The rounds of a full training.
        every: The rounds between two yields.
        metric: Which of the metrics is yielded as the result, such as ``"auc"``; None where there is one alone. The
            others come as metrics of the trial.
        custom_metric: A metric of your own, as ``xgboost.train`` takes it.
        obj: A loss of your own, as ``xgboost.train`` takes it.
        trial: Where the objective's trial is given, the model is kept in its folder when it pauses and at its end, and
            a generator that starts again goes on with it.

    Yields:
        The metric, or the metric and a dict of the others.

    Returns:
        The booster.

    Raises:
        MissingExtraError: XGBoost is not installed.
        OptionError: `every`, `n_rounds`, `metric` or `trial` is not possible.

    Example:
        .. code-block:: python

            def train(hps):
                yield from boost({"eta": hps["eta"], "objective": "binary:logistic"}, dtrain, dvalid, n_rounds=81)
    """
    check_rounds(every, n_rounds)
    library = load("xgboost", "xgboost")
    saved = None if trial is None else Saved(trial_of(trial).checkpoint_dir, FILE)
    found = None if saved is None else saved.latest()
    path, n_done = (None, 0) if found is None else (str(found[0]), int(found[1]))
    booster = library.Booster(dict(params), [dtrain, dvalid], model_file=path)

    def result() -> Yielded:
        text = booster.eval_set([(dvalid, "valid")], n_done - 1, custom_metric, output_margin=obj is not None)
        return measured(_read(text), metric)

    def keep() -> None:
        if saved is not None:
            booster.save_model(str(saved.part))
            saved.keep(n_done)

    if trial is not None:
        trial.on_pause(keep)
        if n_done:
            trial.resume_at(-(-n_done // every) - 1)  # what was yielded before the last yield
            yield result()
    while n_done < n_rounds:
        booster.update(dtrain, n_done, obj)
        n_done += 1
        if n_done % every == 0 or n_done == n_rounds:
            if n_done == n_rounds:
                keep()
            yield result()
    return booster


def _read(text: str) -> dict[str, float]:
    """Read XGBoost's line of metrics: ``[9]``, then names and values, a tab before each."""
    pairs = (one.rpartition(":") for one in text.split("\t")[1:])
    return {name.removeprefix("valid-"): float(value) for name, _, value in pairs}


class ReportCallback(RoundReporter, LibraryCallback):
    """Callback of ``xgboost.train`` and XGBoost's estimators that reports to the search and stops where it says so.

    Before each report the model is saved in the trial's folder. A promoted trial goes on with it: give
    ``xgboost.train`` the ``xgb_model=report.init_model``, and ``report.n_done`` rounds less.

    Args:
        trial: What the objective was given as ``trial``.
        metric: Which metric is reported, such as ``"valid-auc"`` or ``"auc"``; None where there is one alone. The
            others go into the log as metrics.
        every: The rounds between two reports: one unit of fidelity.

    Raises:
        MissingExtraError: XGBoost is not installed.
        OptionError: `trial` is no trial, or `every` no integer from 1; while it trains: `metric` names no metric.

    Example:
        .. code-block:: python

            def train(hps, trial):
                report = ReportCallback(trial, metric="valid-logloss")
                xgboost.train(
                    params(hps), dtrain, 81 - report.n_done, evals=[(dvalid, "valid")],
                    xgb_model=report.init_model, callbacks=[report],
                )
    """

    _extra: ClassVar[str] = "xgboost"
    _bases: ClassVar[tuple[tuple[str, str], ...]] = (("xgboost.callback", "TrainingCallback"),)

    def __init__(self, trial: TrialHandle, metric: str | None = None, *, every: int = 1) -> None:
        super().__init__(trial, metric, every, FILE)

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, list[float]]]) -> bool:
        """Report where a report is due; return whether the training should end."""
        if not evals_log:
            raise OptionError(f"evals: must hold the validation data, got {short(dict(evals_log))}")
        values = {f"{data}-{name}": found[-1] for data, by in evals_log.items() for name, found in by.items()}
        return not self.take(self._n_before + epoch + 1, values, model.save_model)
