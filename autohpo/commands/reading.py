"""What a line of a program's output says: metrics, and how far the training came."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autohpo.errors import OptionError, shown

FIDELITY_KEYS = (
    *("epoch", "epochs", "iteration", "iter", "step", "global_step", "fidelity", "resource", "budget"),
    *("training_iteration", "round", "n_epochs", "num_epochs"),
)
"""Names of what a program counts, the first that a line has being taken."""

MAX_DEPTH = 4  # of dicts in dicts
MAX_NUMBER_CHARACTERS = 64


@dataclass(frozen=True)
class Found:
    """What a line says.

    Attributes:
        metrics: Numbers by name, also such as are not finite.
        counts: What may be the fidelity, by name.
    """

    metrics: Mapping[str, float]
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    r"""How lines are read: as JSON, or by regular expressions.

    Attributes:
        metrics: The metrics that matter.
        pattern: A regular expression, or one for each metric; None reads JSON.
        fidelity_key: The name of the fidelity; None takes the first of some usual ones.

    Raises:
        OptionError: A pattern is no regular expression, or has no group for a metric.

    Example:
        >>> Reading(("acc",)).read('INFO {"epoch": 3, "acc": ".81", "loss": {"train": 0.4}}')
        Found(metrics={'acc': 0.81, 'loss/train': 0.4}, counts={'epoch': 3.0})
        >>> Reading(("acc",), r"acc=(\S+)").read("epoch 3: acc=0.81")
        Found(metrics={'acc': 0.81}, counts={})
    """

    metrics: tuple[str, ...]
    pattern: str | Mapping[str, str] | None = None
    fidelity_key: str | None = None

    @property
    def fidelity_keys(self) -> tuple[str, ...]:
        """The names that a fidelity may have."""
        return FIDELITY_KEYS if self.fidelity_key is None else (self.fidelity_key,)

    @property
    def has_fidelity(self) -> bool:
        """Whether a line may say how far the training came."""
        return self.pattern is None or any(set(self.fidelity_keys) & {*names.values()} for _, names in self._patterns)

    def read(self, line: str) -> Found | None:
        """Return what a line says; None where it says nothing."""
        if self.pattern is None:
            return self._of_json(line)
        values: dict[str, float] = {}
        for pattern, names in self._patterns:
            match = pattern.search(line)
            if match is None:
                continue
            numbers = {name: number_of(match[group]) for group, name in names.items()}
            values |= {name: number for name, number in numbers.items() if number is not None}
        return self._found(values)

    def _of_json(self, line: str) -> Found | None:
        start, end = line.find("{"), line.rfind("}")
        if start < 0 or end < start:
            return None
        try:
            value = json.loads(line[start : end + 1])
        except (ValueError, RecursionError):  # no JSON; or an integer of thousands of digits
            return None
        return self.of_object(value)

    def of_object(self, value: object) -> Found | None:
        """Return what an object of JSON says: numbers by name, those of objects inside it as ``outer/inner``.

        The shape of ClearML's scalars, ``{"title": .., "series": .., "value": .., "iteration": ..}``, is one metric
        with the name ``title/series``.
        """
        if not isinstance(value, Mapping):
            return None
        if isinstance(value.get("title"), str) and number_of(value.get("value")) is not None:
            series = value.get("series")
            name = f"{value['title']}/{series}" if isinstance(series, str) and series else value["title"]
            counts = {key: item for key, item in value.items() if key not in ("title", "series", "value")}
            value = {**counts, name: value["value"]}
        return self._found(dict(_numbers_in(value)))

    def _found(self, values: Mapping[str, float]) -> Found | None:
        if not values:
            return None
        keys = [key for key in self.fidelity_keys if key in values and key not in self.metrics]
        counts = {key: values[key] for key in keys}
        return Found({name: value for name, value in values.items() if name not in counts}, counts)

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], dict[int | str, str]]]:
        """Each pattern, and the names of its groups."""
        if self.pattern is None:
            return []
        if isinstance(self.pattern, str):
            compiled = _compiled(self.pattern)
            return [(compiled, _groups(compiled, self.metrics))]
        return [(one, _groups(one, (name,))) for name, one in ((n, _compiled(p)) for n, p in self.pattern.items())]

    def check(self) -> None:
        """Check that the patterns can find every metric.

        Raises:
            OptionError: They cannot.
        """
        if self.pattern is None:
            return
        named = {name for _, names in self._patterns for name in names.values()}
        missing = [name for name in self.metrics if name not in named]
        if missing:
            raise OptionError(
                f"pattern: must have a group for the metric {missing[0]!r}, such as (?P<{_as_group(missing[0])}>\\S+), "
                f"or be a dict from metric to pattern, got {shown(self.pattern)}"
            )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as fault:
        raise OptionError(f"pattern: must be a regular expression, got {shown(pattern)}: {fault}") from None
    if not compiled.groups:
        raise OptionError(f"pattern: must have a group around the number, such as acc=(\\S+), got {shown(pattern)}")
    return compiled


def _groups(pattern: re.Pattern[str], metrics: Sequence[str]) -> dict[int | str, str]:
    """Return the names of a pattern's groups: their own; an unnamed group is the one metric."""
    names: dict[int | str, str] = {name: name for name in pattern.groupindex}
    unnamed = [group for group in range(1, pattern.groups + 1) if group not in pattern.groupindex.values()]
    if unnamed and len(metrics) == 1 and metrics[0] not in names:
        names[unnamed[0]] = metrics[0]
    return names


def _as_group(name: str) -> str:
    return name if name.isidentifier() else "value"


def _numbers_in(value: Mapping[Any, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, float]]:
    """Yield the names and numbers of an object of JSON."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            if depth < MAX_DEPTH:
                yield from _numbers_in(item, f"{before}{key}/", depth + 1)
        else:
            number = number_of(item)
            if number is not None:
                yield f"{before}{key}", number


def number_of(value: object) -> float | None:
    """Return the float that a value of JSON, or a piece of text, stands for; None where it is no number."""
    if isinstance(value, str):
        if len(value) > MAX_NUMBER_CHARACTERS:
            return None
        try:
            return float(value)
        except ValueError:
            return None
    if not isinstance(value, (int, float)):  # booleans are numbers
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
