"""Objectives made of a script or of a function for Syne Tune: what it reports goes to the trial."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from autohpo.errors import AutoHPOError
from autohpo.integrations.syne_tune.constants import ST_CHECKPOINT_DIR, ST_CONFIG_JSON_FNAME_ARG
from autohpo.integrations.syne_tune.points import Configurations
from autohpo.integrations.syne_tune.report import Stopped, reports_go_to
from autohpo.integrations.syne_tune.script import ScriptError, run_script
from autohpo.integrations.syne_tune.values import numbers_of, resource_of, value_of
from autohpo.trial_handle import TrialHandle

__all__ = ["FunctionObjective", "Reading", "ScriptObjective"]

CHECKPOINTS = "checkpoints"
"""The folder of a training that its script saves in; scripts take it for a checkpoint where it exists."""


@dataclass(frozen=True)
class Reading:
    """How reports are read.

    Attributes:
        metric: The name of the metric.
        resource_attr: The name of the resource; None counts the reports.
        cost_attr: The name of the cost, if costs matter.
    """

    metric: str
    resource_attr: str | None = None
    cost_attr: str | None = None

    def relay(self, trial: TrialHandle, result: Mapping[str, Any]) -> bool:
        """Hand a report to a trial, and return whether it goes on.

        Raises:
            OptionError: The metric or the resource is missing, or is no number.
            InvalidPerfError: The metric is not finite.
        """
        perf = value_of(result, self.metric, "metric")
        reached = None if self.resource_attr is None else resource_of(result, self.resource_attr)
        return trial.report(perf, reached, metrics=numbers_of(result, (self.metric, self.resource_attr)))

    def result(self, last: Mapping[str, Any] | None) -> Any:
        """Return the result of an objective whose last report is known.

        Raises:
            ScriptError: It never reported.
        """
        if last is None:
            raise ScriptError("it ended without a report; call Reporter()(...) at least once")
        if self.cost_attr is None:
            return None  # the last report says it
        return {"perf": last[self.metric], "cost": value_of(last, self.cost_attr, "cost_attr")}


@dataclass(frozen=True)
class ScriptObjective:
    """An objective that runs a script, with the configuration as its arguments.

    Attributes:
        entry_point: The path of the script.
        configurations: What makes configurations of hyper-parameters.
        reading: How reports are read.
        folder: The folder for what the script prints.
        pass_args_as_json: Whether the configuration is handed over in a file.
    """

    is_continued: ClassVar[bool] = True  # the script is told where its checkpoints are

    entry_point: str
    configurations: Configurations
    reading: Reading
    folder: Path
    pass_args_as_json: bool = False

    def __call__(self, hps: Mapping[str, Any], trial: TrialHandle) -> Any:
        """Run the script until it ends or the search ends it, and return its result.

        Raises:
            ScriptError: It failed, or never reported; the text has the end of what it printed.
        """
        config = self.configurations(hps, trial.fidelity)
        home = trial.checkpoint_dir
        last: list[Mapping[str, Any]] = []

        def take(result: Mapping[str, Any]) -> bool:
            last[:] = [result]
            return self.reading.relay(trial, result)

        run_script(self._command(config, home), take, self.folder, home.name)
        return self.reading.result(last[0] if last else None)

    def _command(self, config: Mapping[str, Any], home: Path) -> list[str]:
        arguments = dict(config)
        if self.pass_args_as_json:
            path = home / "config.json"
            path.write_text(json.dumps(dict(config)), encoding="utf-8")
            arguments = {ST_CONFIG_JSON_FNAME_ARG: str(path)}
        arguments[ST_CHECKPOINT_DIR] = str(home / CHECKPOINTS)
        words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        return [sys.executable, self.entry_point, *words]


@dataclass(frozen=True)
class FunctionObjective:
    """An objective that calls a function, with the configuration as its arguments.

    Attributes:
        function: The function; it reports through a :class:`Reporter`.
        configurations: What makes configurations of hyper-parameters.
        reading: How reports are read.
    """

    is_continued: ClassVar[bool] = True

    function: Callable[..., Any]
    configurations: Configurations
    reading: Reading

    def __call__(self, hps: Mapping[str, Any], trial: TrialHandle) -> Any:
        """Call the function until it returns or the search ends it, and return its result.

        Raises:
            ScriptError: It never reported.
        """
        given = self.configurations(hps, trial.fidelity)
        if ST_CHECKPOINT_DIR in inspect.signature(self.function).parameters:
            given[ST_CHECKPOINT_DIR] = str(trial.checkpoint_dir / CHECKPOINTS)
        last: list[Mapping[str, Any]] = []
        faults: list[AutoHPOError] = []

        def take(result: Mapping[str, Any]) -> bool:
            last[:] = [result]
            try:
                return self.reading.relay(trial, result)
            except AutoHPOError as error:  # the function may catch what its reporter raises
                faults.append(error)
                return False

        with reports_go_to(take), contextlib.suppress(Stopped):
            self.function(**given)
        if faults:
            raise faults[0]
        return self.reading.result(last[0] if last else None)
