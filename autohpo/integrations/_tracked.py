"""What the trackers share: names, texts and states for services that want strings and numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from autohpo.errors import MissingExtraError, NoResultError, OptionError, shown, text_of
from autohpo.result import Result
from autohpo.trial import Trial, TrialState

BEST = "best"
"""What the names of the best results so far begin with."""


def need(package: str, extra: str) -> None:
    """Check that a package is there, without importing it.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec(package) is None:
        raise MissingExtraError(f"{package} is not installed: pip install 'autohpo[{extra}]'")


def check_texts(options: object, *names: str) -> None:
    """Check that options are strings.

    Raises:
        OptionError: One is not.
    """
    for name in names:
        if not isinstance(getattr(options, name), str):
            raise OptionError(f"{name}: must be a string, got {shown(getattr(options, name))}")


def check_flags(options: object, *names: str) -> None:
    """Check that options are True or False.

    Raises:
        OptionError: One is neither.
    """
    for name in names:
        if not isinstance(getattr(options, name), bool):
            raise OptionError(f"{name}: must be True or False, got {shown(getattr(options, name))}")


def digest(*parts: object) -> str:
    """Return a short name for where a tracker writes."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:8]


def name_of(trial: Trial) -> str:
    """Return what a trial is called: trial-0007, or confirm-1 where it trains an earlier one anew."""
    return f"trial-{trial.number:04d}" if trial.number >= 0 else f"confirm-{-trial.number}"


def plain(value: Any) -> str | int | float | bool:
    """Return a value as a service can show it: a string, a finite number or a flag."""
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping | list | tuple):
        try:
            return json.dumps(value)
        except (TypeError, ValueError):
            return text_of(value)
    return str(value.__name__) if hasattr(value, "__name__") else text_of(value)


def notes_of(trial: Trial) -> dict[str, str]:
    """Return what a service should know of a trial beside its configuration and its numbers."""
    found = {"number": str(trial.number), "state": trial.state.value, "attempt": str(trial.attempt)}
    more = {"resumes": trial.resume, "forks": trial.fork, "fidelity": trial.fidelity}
    found |= {name: f"{value:g}" for name, value in more.items() if value is not None}
    found |= {"error": trial.error} if trial.error else {}
    info = {name: value for name, value in trial.info.items() if isinstance(value, str | int | float)}
    return found | {f"info.{name}": str(value) for name, value in info.items()}


def best_of(result: Result) -> Trial | None:
    """Return the best trial; None where none has a result."""
    try:
        return result.best
    except NoResultError:
        return None


def is_failed(state: TrialState) -> bool:
    """Return whether a state is the end of a trial without a result."""
    return state.is_final and not state.has_perf
