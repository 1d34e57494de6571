"""The files of a run in HpBandSter's format: configs.json and results.json, with a JSON list in each line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError, PathError, shown
from autohpo.integrations.hpbandster.core.nameserver import make_folder
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum, Job
from autohpo.integrations.hpbandster.values import as_json

__all__ = ["LogExistsError", "LogMissingError", "json_result_logger", "read_logs"]

CONFIGS, RESULTS = "configs.json", "results.json"
STAMPS = ("submitted", "started", "finished")


class LogExistsError(PathError, FileExistsError):
    """A log of results is there already, and may not be overwritten."""


class LogMissingError(PathError, FileNotFoundError):
    """A log of results is not there."""


class json_result_logger:  # noqa: N801 - the name is HpBandSter's
    """Writes each configuration and each result into a file as soon as it is there.

    Args:
        directory: The folder of configs.json and results.json, which is made.
        overwrite: Whether files that are there already are emptied.

    Raises:
        LogExistsError: They are there, and `overwrite` is False.
        PathError: The folder cannot be made, or a file cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str], overwrite: bool = False) -> None:
        folder = make_folder("directory", directory)
        self.config_fn, self.results_fn = str(folder / CONFIGS), str(folder / RESULTS)
        self.config_ids: set[ConfigId] = set()
        files = [Path(self.config_fn), Path(self.results_fn)]
        there = [str(path) for path in files if path.exists()]
        if there and not overwrite:
            raise LogExistsError(f"directory: must have no log of another run, got {there[0]}; give overwrite=True")
        try:
            for path in files:
                path.write_bytes(b"")
        except OSError as error:
            raise PathError(f"directory: must be a folder for files, got {shown(directory)}: {error}") from None

    def new_config(self, config_id: ConfigId, config: dict[str, Any], config_info: Any) -> None:
        """Write a configuration, unless it was written before.

        Args:
            config_id: The id.
            config: The configuration.
            config_info: What is known of it.
        """
        if config_id not in self.config_ids:
            self.config_ids.add(config_id)
            _add_line(self.config_fn, [config_id, config, config_info])

    def __call__(self, job: Job) -> None:
        """Write a result.

        Args:
            job: The evaluation.
        """
        self.new_config(job.id, job.kwargs["config"], {})
        _add_line(self.results_fn, [job.id, job.kwargs["budget"], job.timestamps, job.result, job.exception])


def _add_line(path: str, values: list[Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(as_json(values)) + "\n")


def read_logs(directory: str | os.PathLike[str]) -> tuple[list[dict[ConfigId, Datum]], dict[str, Any]]:
    """Return the configurations of a log, and what it says of its run.

    Args:
        directory: The folder with configs.json and results.json.

    Raises:
        LogMissingError: A file is missing.
        PathError: A file cannot be read, or `directory` is no path.
        OptionError: A line is damaged.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise PathError(f"directory: must be the path of a folder, got {shown(directory)}")
    data: dict[ConfigId, Datum] = {}
    for where, line in _lines(directory, CONFIGS):
        if len(line) not in (2, 3) or not _is_id(line[0]) or not isinstance(line[1], dict):
            raise OptionError(f"directory: {where} must be a config id, a configuration and a dict, got {shown(line)}")
        data[_id(line[0])] = Datum(line[1], line[2] if len(line) == 3 else "N/A")
    stamps: list[float] = []
    for where, line in _lines(directory, RESULTS):
        if not _is_result(line):
            rule = "must be a config id, a budget, time stamps, a dict with a loss or null, and an error or null"
            raise OptionError(f"directory: {where} {rule}, got {shown(line)}")
        config_id, budget, times, result, exception = line
        if _id(config_id) not in data:
            raise OptionError(f"directory: {where} must be of a configuration in {CONFIGS}, got {shown(config_id)}")
        if result is not None and not _is_finite(result["loss"]):
            exception = exception or f"the loss must be one finite number, got {result['loss']}"
            result = None
        data[_id(config_id)].add(float(budget), result, times, exception)
        stamps.append(times["submitted"])
    return [data], _described(data, min(stamps, default=0.0))


def _described(data: dict[ConfigId, Datum], began: float) -> dict[str, Any]:
    """What the budgets of a log say of its run."""
    budgets = sorted({budget for datum in data.values() for budget in datum.results})
    return {
        "eta": budgets[1] / budgets[0] if len(budgets) > 1 and budgets[0] else None,
        "min_budget": budgets[0] if budgets else None,
        "max_budget": budgets[-1] if budgets else None,
        "budgets": budgets,
        "max_SH_iter": len(budgets),
        "time_ref": began,
    }


def _lines(directory: str | os.PathLike[str], name: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield each line of a file with its place; a last line that is being written is left out.

    Raises:
        LogMissingError: The file is missing.
        OptionError: A line is no JSON list.
    """
    path = Path(directory) / name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LogMissingError(f"directory: must have {CONFIGS} and {RESULTS}, but {path} is missing") from None
    except (OSError, UnicodeError, ValueError) as error:
        raise PathError(f"directory: {path} cannot be read: {error}") from None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):
                return
            raise OptionError(f"directory: {where} must be JSON, got {shown(line)}") from None
        if not isinstance(found, list):
            raise OptionError(f"directory: {where} must be a list, got {shown(found)}")
        yield where, found


def _is_id(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(part) is int for part in value)


def _id(value: list[int]) -> ConfigId:
    return value[0], value[1], value[2]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_result(line: list[Any]) -> bool:
    if len(line) != 5:
        return False
    config_id, budget, times, result, exception = line
    has_times = isinstance(times, dict) and all(_is_finite(times.get(name)) for name in STAMPS)
    has_result = result is None or (isinstance(result, dict) and "loss" in result)
    return (
        _is_id(config_id)
        and _is_finite(budget)
        and has_times
        and has_result
        and isinstance(exception, (str, type(None)))
    )
