"""Metrics: which of a job's metrics are its objectives, under which names they are found, and which value ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from autohpo.errors import OptionError, shown
from autohpo.store.described import mode_of

SIGNS = ("min", "max", "min_global", "max_global")
"""What ``objective_metric_sign`` may be: the last value counts, or with ``_global`` the best of all reports."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Metric:
    """A metric that is an objective.

    Attributes:
        title: The title, such as "validation".
        series: The series, such as "accuracy".
        sign: Which way it is better, and whether the last report counts or the best; one of `SIGNS`.

    Raises:
        OptionError: A name is no string or is empty, or the sign is unknown.
    """

    title: str
    series: str
    sign: str = "min"

    def __post_init__(self) -> None:
        for name in ("title", "series"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise OptionError(
                    f"objective_metric_{name}: must be a string that is not empty, or a list of these, "
                    f"got {shown(value)}"
                )
        if not isinstance(self.sign, str) or self.sign not in SIGNS:
            raise OptionError(f"objective_metric_sign: must be one of {', '.join(SIGNS)}, got {shown(self.sign)}")

    @property
    def name(self) -> str:
        """The name of the objective in the run's record."""
        return f"{self.title}/{self.series}"

    @property
    def way(self) -> str:
        """Which way it is better: "max" or "min"."""
        return self.sign[:3]

    @property
    def is_global(self) -> bool:
        """Whether the best of all reports counts, and not the last."""
        return self.sign.endswith("_global")

    def better(self, a: float, b: float) -> float:
        """Return the better one of two values."""
        return max(a, b) if self.way == "max" else min(a, b)

    def key_in(self, seen: Mapping[str, Any]) -> str | None:
        """Return under which name a job has reported this metric: "title/series", else series, else title.

        Args:
            seen: What the job reported, by name.
        """
        return next((name for name in (self.name, self.series, self.title) if name in seen), None)


@dataclass(frozen=True)
class Metrics:
    """The objectives of a controller, in their order.

    Attributes:
        each: The metrics.

    Example:
        >>> metrics = Metrics.of("validation", "accuracy", "max_global")
        >>> metrics.mode, metrics.keep
        ({'validation/accuracy': 'max'}, 'best')
    """

    each: tuple[Metric, ...]

    @classmethod
    def of(cls, title: object, series: object, sign: object = "min") -> Metrics:
        """Return the objectives that a title, a series and a sign name, or lists of these of the same length.

        Raises:
            OptionError: The lists differ in length or are empty, a name is there twice, or a metric breaks a rule.
        """
        given = {"title": title, "series": series, "sign": sign}
        lists = {name: list(value) for name, value in given.items() if isinstance(value, (list, tuple))}
        n = max([len(values) for values in lists.values()], default=1)
        for name in ("title", "series"):
            if lists and (name not in lists or len(lists[name]) != n or not n):
                raise OptionError(
                    "objective_metric_title, objective_metric_series, objective_metric_sign: must be lists of the same "
                    f"length where one of them is a list, got {shown(title)}, {shown(series)} and {shown(sign)}"
                )
        if "sign" in lists and len(lists["sign"]) != n:
            raise OptionError(f"objective_metric_sign: must have one sign for each of {n} metrics, got {shown(sign)}")
        rows = zip(*(lists.get(name, [value] * n) for name, value in given.items()), strict=True)
        each = tuple(Metric(*row) for row in rows)
        names = [metric.name for metric in each]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise OptionError(f"objective_metric_title, objective_metric_series: {twice!r} is there twice")
        return cls(each)

    @classmethod
    def in_header(cls, header: Mapping[str, Any]) -> Metrics | None:
        """Return the objectives of a run by the header of its store; None where a controller did not begin it."""
        mode = mode_of(header, "the store")
        is_best = header.get("objective", {}).get("keep") == "best"
        if not isinstance(mode, Mapping) or not all("/" in str(name) for name in mode):
            return None
        rows = [(*str(name).split("/", 1), f"{way}_global" if is_best else way) for name, way in mode.items()]
        return cls(tuple(Metric(*row) for row in rows))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the objectives in the run's record."""
        return tuple(metric.name for metric in self.each)

    @property
    def mode(self) -> dict[str, str]:
        """The ``mode`` of an optimizer with these objectives."""
        return {metric.name: metric.way for metric in self.each}

    @property
    def keep(self) -> str:
        """The ``keep`` of ``optimize``; with several objectives each one is kept as it says by the job itself."""
        return "best" if len(self.each) == 1 and self.each[0].is_global else "last"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The title and the series of each."""
        return [(metric.title, metric.series) for metric in self.each]

    def one_or_list(self, values: Sequence[Value]) -> Value | list[Value]:
        """Return the value of the one objective, or a list where there are several."""
        return values[0] if len(self.each) == 1 else list(values)


def split_name(name: str) -> tuple[str, str]:
    """Return the title and the series that the name of a metric stands for; a plain name is both."""
    title, slash, series = name.partition("/")
    return (title, series) if slash and title and series else (name, name)
