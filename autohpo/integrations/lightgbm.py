"""LightGBM: boosting as a generator that pauses and goes on, and a callback; needs the extra ``autohpo[lightgbm]``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError
from autohpo.integrations._boosting import RoundReporter, Yielded, check_rounds, measured
from autohpo.integrations._callbacks import Saved, load, trial_of
from autohpo.trial_handle import TrialHandle

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

__all__ = ["ReportCallback", "boost"]

FILE = "rounds-{}.txt"


def boost(
    params: Mapping[str, Any],
    dtrain: Dataset,
    dvalid: Dataset,
    *,
    n_rounds: int,
    every: int = 1,
    metric: str | None = None,
    custom_metric: Callable[..., Any] | None = None,
    trial: TrialHandle | None = None,
) -> Generator[Yielded, None, Booster]:
    """Boost, and yield the metric of the validation data after every few rounds: an objective, by ``yield from``.

    A multi-fidelity algorithm pauses it at a rung and continues it where it is promoted: no round is boosted twice.
    One unit of fidelity is `every` rounds. A generator that starts again, as its worker died or it was let go, begins
    with the first round: LightGBM goes on with a saved model only by changing the data set, which other trials share.

    Args:
        params: Parameters of the booster. Those of the data set, such as ``max_bin``, must be the same for all trials
            that share it.
        dtrain: The data to learn from.
        dvalid: The data that the metric is of, made with ``reference=dtrain``.
        n_rounds: The rounds of a full training.
        every: The rounds between two yields.
        metric: Which of the metrics is yielded as the result, such as ``"auc"``; None where there is one alone. The
            others come as metrics of the trial.
        custom_metric: A metric of your own, as the ``feval`` of ``lightgbm.train``.
        trial: Where the objective's trial is given, the model is kept in its folder when it pauses and at its end.

    Yields:
        The metric, or the metric and a dict of the others.

    Returns:
        The booster.

    Raises:
        MissingExtraError: LightGBM is not installed.
        OptionError: `every`, `n_rounds`, `metric` or `trial` is not possible.
    """
    check_rounds(every, n_rounds)
    library = load("lightgbm", "lightgbm")
    saved = None if trial is None else Saved(trial_of(trial).checkpoint_dir, FILE)
    booster = library.Booster(dict(params), dtrain)
    booster.add_valid(dvalid, "valid")
    n_done = 0

    def keep() -> None:
        if saved is not None:
            booster.save_model(str(saved.part))
            saved.keep(n_done)

    if trial is not None:
        trial.on_pause(keep)
    while n_done < n_rounds:
        is_over = booster.update()  # no leaf can be split any more: later rounds change nothing
        n_done += 1
        if n_done % every == 0 or n_done == n_rounds or is_over:
            if n_done == n_rounds or is_over:
                keep()
            yield measured({name: value for _, name, value, _ in booster.eval_valid(custom_metric)}, metric)
        if is_over:
            break
    return booster


class ReportCallback(RoundReporter):
    """Callback of ``lightgbm.train`` and LightGBM's estimators that reports to the search and stops where it says so.

    Before each report the model is saved in the trial's folder. A promoted trial goes on with it: give
    ``lightgbm.train`` the ``init_model=report.init_model``, ``report.n_done`` rounds less, and data sets of this trial
    alone, as it changes them.

    Args:
        trial: What the objective was given as ``trial``.
        metric: Which metric is reported, such as ``"valid-auc"`` or ``"auc"``; None where there is one alone. The
            others go into the log as metrics.
        every: The rounds between two reports: one unit of fidelity.

    Attributes:
        order: When LightGBM calls it, among other callbacks: before its own early stopping.

    Raises:
        OptionError: `trial` is no trial, or `every` no integer from 1; while it trains: `metric` names no metric.

    Example:
        .. code-block:: python

            def train(hps, trial):
                report = ReportCallback(trial, metric="binary_logloss")
                lightgbm.train(
                    params(hps), dtrain(), 81 - report.n_done, valid_sets=[dvalid()],
                    init_model=report.init_model, callbacks=[report],
                )
    """

    order = 25
    before_iteration = False

    def __init__(self, trial: TrialHandle, metric: str | None = None, *, every: int = 1) -> None:
        super().__init__(trial, metric, every, FILE)

    def __call__(self, env: Any) -> None:
        """Report where a report is due.

        Args:
            env: What LightGBM tells callbacks.

        Raises:
            OptionError: There are no validation data.
            EarlyStopException: The training should end; LightGBM catches it.
        """
        results = env.evaluation_result_list
        if not results:
            raise OptionError("valid_sets: must hold the validation data, got none")
        values = {f"{data}-{name}": value for data, name, value, *_ in results}
        if not self.take(env.iteration + 1, values, env.model.save_model):
            raise load("lightgbm", "lightgbm.callback").EarlyStopException(env.iteration, results)
