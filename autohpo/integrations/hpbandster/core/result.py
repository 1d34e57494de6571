"""Result: the evaluations of a run by configuration, the incumbent, and how it came to be."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.hpbandster.core.logs import (
    LogExistsError,
    LogMissingError,
    json_result_logger,
    read_logs,
)
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum, Run
from autohpo.integrations.hpbandster.core.tables import fanova_data, frames

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "Datum",
    "LogExistsError",
    "LogMissingError",
    "Result",
    "Run",
    "extract_HBS_learning_curves",
    "json_result_logger",
    "logged_results_to_HBS_result",
]

Curve = list[tuple[float, float]]


def extract_HBS_learning_curves(runs: Iterable[Run]) -> list[Curve]:  # noqa: N802 - the name is HpBandSter's
    """Return the losses of the runs of a configuration as one curve of ``(budget, loss)``, without crashed ones.

    Args:
        runs: The runs.
    """
    return [[(run.budget, run.loss) for run in sorted(runs, key=lambda run: run.budget) if run.loss is not None]]


def logged_results_to_HBS_result(directory: str | os.PathLike[str]) -> Result:  # noqa: N802 - the name is HpBandSter's
    """Return the result that a :class:`json_result_logger` wrote, of this package or of HpBandSter, also while it does.

    Args:
        directory: The folder with configs.json and results.json.

    Raises:
        LogMissingError: A file is missing.
        PathError: A file cannot be read, or `directory` is no path.
        OptionError: A line is damaged; a last line that is not whole yet is left out.
    """
    return Result(*read_logs(directory))


class Result:
    """The evaluations of a run.

    Args:
        HB_iteration_data: A dict from config id to :class:`Datum` for each iteration.
        HB_config: What is known of the run: eta, min_budget, max_budget, budgets, max_SH_iter and time_ref, the Unix
            seconds of its begin, which are taken from all time stamps.

    Attributes:
        data: The configurations by id.
        HB_config: What is known of the run.

    Example:
        >>> datum = Datum({"x": 0.5}, {})
        >>> datum.add(9.0, {"loss": 0.25, "info": None}, {"submitted": 7.0, "started": 7.0, "finished": 8.5}, None)
        >>> config = {"min_budget": 9.0, "max_budget": 9.0, "budgets": [9.0], "time_ref": 7.0}
        >>> result = Result([{(0, 0, 0): datum}], config)
        >>> result.get_incumbent_id()
        (0, 0, 0)
    """

    def __init__(
        self,
        HB_iteration_data: Sequence[Mapping[ConfigId, Datum]],
        HB_config: Mapping[str, Any],
    ) -> None:
        self.HB_config = dict(HB_config)
        self.data: dict[ConfigId, Datum] = {}
        for part in HB_iteration_data:
            self.data.update(copy.deepcopy(dict(part)))
        began = self.HB_config.get("time_ref") or 0.0
        for datum in self.data.values():
            for stamps in datum.time_stamps.values():
                stamps.update({name: second - began for name, second in stamps.items()})

    def __getitem__(self, config_id: ConfigId) -> Datum:
        """Return what is known of a configuration.

        Raises:
            OptionError: There is none of that id.
        """
        found = self.data.get(config_id) if isinstance(config_id, tuple) else None
        if found is None:
            raise OptionError(
                f"config_id: must be the id of one of {len(self.data)} configurations, got {shown(config_id)}"
            )
        return found

    def get_incumbent_id(self) -> ConfigId | None:
        """Return the id of the configuration with the least loss at the largest budget; None where none came there."""
        largest = self.HB_config.get("max_budget")
        found = [
            (run.loss, run.config_id) for run in self.get_all_runs() if run.loss is not None and run.budget == largest
        ]
        return min(found)[1] if found else None

    def get_incumbent_trajectory(
        self, all_budgets: bool = True, bigger_is_better: bool = True, non_decreasing_budget: bool = True
    ) -> dict[str, list[Any]]:
        """Return each incumbent in the order in which the runs finished.

        It is a dict of the lists ``config_ids``, ``times_finished``, ``budgets`` and ``losses``. The last incumbent
        stands there once more, with the time at which the last run finished, unless that run has its loss.

        Args:
            all_budgets: Whether runs at any budget count, and not only those at the largest.
            bigger_is_better: Whether the first run at a larger budget is the incumbent whatever its loss.
            non_decreasing_budget: Whether runs at a smaller budget than the incumbent's do not count.
        """
        runs = self.get_all_runs()
        if not all_budgets:
            runs = [run for run in runs if run.budget == self.HB_config.get("max_budget")]
        runs.sort(key=lambda run: run.time_stamps["finished"])
        found: list[tuple[Run, float]] = []
        budget = self.HB_config.get("min_budget") or 0.0
        for run in runs:
            if run.loss is None or (non_decreasing_budget and run.budget < budget):
                continue
            is_larger = bigger_is_better and run.budget > budget
            best = found[-1][0].loss if found else None
            if is_larger or best is None or run.loss < best:
                found.append((run, run.time_stamps["finished"]))
                budget = run.budget
        if found and found[-1][0].loss != runs[-1].loss:
            found.append((found[-1][0], runs[-1].time_stamps["finished"]))
        return {
            "config_ids": [run.config_id for run, _ in found],
            "times_finished": [second for _, second in found],
            "budgets": [run.budget for run, _ in found],
            "losses": [run.loss for run, _ in found],
        }

    def get_runs_by_id(self, config_id: ConfigId) -> list[Run]:
        """Return the runs of a configuration, the one with the largest budget last.

        Args:
            config_id: The id of the configuration.

        Raises:
            OptionError: There is none of that id.
        """
        datum = self[config_id]
        return [
            Run(
                config_id,
                budget,
                None if result is None else result["loss"],
                None if result is None else result.get("info"),
                datum.time_stamps[budget],
                datum.exceptions.get(budget),
            )
            for budget, result in sorted(datum.results.items(), key=lambda item: item[0])
        ]

    def get_learning_curves(
        self,
        lc_extractor: Callable[[list[Run]], Any] = extract_HBS_learning_curves,
        config_ids: Iterable[ConfigId] | None = None,
    ) -> dict[ConfigId, Any]:
        """Return the learning curves of configurations by id.

        Args:
            lc_extractor: Makes curves of the runs of a configuration.
            config_ids: The ids; None is all.

        Raises:
            OptionError: There is no configuration of an id.
        """
        ids = self.data if config_ids is None else config_ids
        return {config_id: lc_extractor(self.get_runs_by_id(config_id)) for config_id in ids}

    def get_all_runs(self, only_largest_budget: bool = False) -> list[Run]:
        """Return all runs, configuration by configuration.

        Args:
            only_largest_budget: Whether only the run with the largest budget of each configuration is returned.
        """
        found: list[Run] = []
        for config_id in self.data:
            runs = self.get_runs_by_id(config_id)
            found += runs[-1:] if only_largest_budget else runs
        return found

    def get_id2config_mapping(self) -> dict[ConfigId, dict[str, Any]]:
        """Return a dict with ``config`` and ``config_info`` for each id."""
        return {
            config_id: {"config": copy.deepcopy(datum.config), "config_info": copy.deepcopy(datum.config_info)}
            for config_id, datum in self.data.items()
        }

    def num_iterations(self) -> int:
        """Return how many iterations there are; those before the search, of `previous_result`, do not count."""
        return max((config_id[0] for config_id in self.data), default=-1) + 1

    def get_pandas_dataframe(
        self, budgets: Sequence[float] | None = None, loss_fn: Callable[[Run], Any] = lambda run: run.loss
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return a data frame of configurations, with a column budget where there are several, and one of losses.

        Args:
            budgets: The budgets whose runs are wanted; None is all.
            loss_fn: The loss of a run that did not crash.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return frames(self.get_all_runs(), self.data, self._budgets(budgets), loss_fn)

    def get_fANOVA_data(  # noqa: N802 - the name is HpBandSter's
        self,
        config_space: Any,
        budgets: Sequence[float] | None = None,
        loss_fn: Callable[[Run], Any] = lambda run: run.loss,
        failed_loss: float | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any], Any]:
        """Return what fANOVA takes: ``(n, d)`` configurations, ``(n,)`` losses, and the space of the former.

        With several budgets the space has a parameter ``budget`` more; the one that is given stays as it is. Values
        that have no order stand there as their places, inactive ones as NaN.

        Args:
            config_space: The space of the run.
            budgets: The budgets whose runs are wanted; None is all.
            loss_fn: The loss of a run that did not crash.
            failed_loss: The loss of a run that crashed; None leaves them out.

        Raises:
            OptionError: `config_space` is no ConfigurationSpace.
            MissingExtraError: ConfigSpace is not installed.
        """
        runs = self.get_all_runs()
        return fanova_data(config_space, runs, self.data, self._budgets(budgets), loss_fn, failed_loss)

    def _budgets(self, budgets: Sequence[float] | None) -> list[float]:
        return list(self.HB_config.get("budgets") or ()) if budgets is None else list(budgets)

    def __repr__(self) -> str:
        n_runs = len(self.get_all_runs())
        return f"<Result: {n_runs} runs of {len(self.data)} configurations, incumbent {self.get_incumbent_id()}>"
