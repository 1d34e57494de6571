"""StoreResultsCallback: a callback that collects every report as a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from autohpo.integrations.syne_tune.backend.trial_status import Trial
from autohpo.integrations.syne_tune.constants import ST_DECISION, ST_STATUS, ST_TRIAL_ID, ST_TUNER_TIME
from autohpo.integrations.syne_tune.tuner_callback import TunerCallback
from autohpo.tables import to_frame

if TYPE_CHECKING:
    import pandas as pd

    from autohpo.integrations.syne_tune.tuner import Tuner

__all__ = ["StoreResultsCallback"]


class StoreResultsCallback(TunerCallback):
    """A callback that collects every report as a record; the store of the tuner has them in any case.

    Args:
        add_wallclock_time: Whether a record has the seconds since the search began.
        extra_results_composer: A function of the tuner that returns more for each record, or None.

    Attributes:
        results: The records, in the order reported.
    """

    def __init__(
        self,
        add_wallclock_time: bool = True,
        extra_results_composer: Callable[[Tuner], Mapping[str, Any] | None] | None = None,
    ) -> None:
        self.results: list[dict[str, Any]] = []
        self._add_time, self._more = add_wallclock_time, extra_results_composer
        self._tuner: Tuner | None = None
        self._began = time.perf_counter()

    def on_tuning_start(self, tuner: Tuner) -> None:
        """Take the tuner, and the time."""
        self._tuner, self._began = tuner, time.perf_counter()

    def on_trial_result(self, trial: Trial, status: str, result: Mapping[str, Any], decision: str) -> None:
        """Add a record.

        Args:
            trial: The trial.
            status: How it stands.
            result: What it reported.
            decision: What becomes of it: CONTINUE, PAUSE or STOP.
        """
        record = {**result, ST_DECISION: decision, ST_STATUS: status, ST_TRIAL_ID: trial.trial_id}
        record |= {f"config_{name}": value for name, value in trial.config.items()}
        if self._add_time:
            record[ST_TUNER_TIME] = time.perf_counter() - self._began
        if self._more is not None and self._tuner is not None:
            record |= self._more(self._tuner) or {}
        self.results.append(record)

    def dataframe(self) -> pd.DataFrame:
        """Return the records as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_frame(self.results)
