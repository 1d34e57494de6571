"""Measured: a base job as an objective, whose metrics are found by title and series."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import GeneratorType
from typing import Any

from autohpo.controller.metrics import Metrics
from autohpo.errors import InvalidPerfError, MetricError
from autohpo.objectives import as_metrics, as_perf
from autohpo.outcome import Perf
from autohpo.reported import Tally
from autohpo.trial_handle import TrialHandle


class Book:
    """What one job has reported: its objectives, and all other metrics with their least and largest values.

    Args:
        metrics: The objectives.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: dict[str, float] = {}  # every name that was reported, and its last value
        self._tally = Tally()  # of reports without the objectives
        self._last: tuple[float, ...] | None = None
        self._best: list[float] = []

    def report(self, value: object, metrics: object = None) -> tuple[Perf | None, dict[str, float]]:
        """Return the objectives of a report and its metrics; None for the former where it has not all of them.

        Args:
            value: What was reported or yielded: a number, several numbers in the order of the objectives, or a dict of
                metrics.
            metrics: Further metrics.

        Raises:
            InvalidPerfError: A number is not finite, or it is none of these.
        """
        if metrics is None and _is_pair(value):
            value, metrics = value  # type: ignore[misc]
        more = {} if metrics is None else as_metrics(metrics)
        if isinstance(value, Mapping):
            more = {**as_metrics(value), **more}
            found = self._found(more)
        else:
            found = self._listed(value)
        self._seen.update(more)
        if found is None:
            self._tally.count(more)
            return None, more
        self._take(found)
        raw = dict(zip(self._metrics.names, found, strict=True))
        more = {name: value for name, value in more.items() if name not in self._keys(more)}
        perfs = tuple(self._best[i] if m.is_global else found[i] for i, m in enumerate(self._metrics.each))
        return (found[0] if len(found) == 1 else perfs), {**more, **raw}

    def result(self, returned: object) -> object:
        """Return what a job's result is, as ``Objectives.measure`` takes it.

        Args:
            returned: What the job returned: nothing where its reports say everything.

        Raises:
            MetricError: It has no value of an objective.
            InvalidPerfError: A number is not finite, or it is no result.
        """
        constraints: object = None
        if _is_pair(returned):
            returned, constraints = returned  # type: ignore[misc]
        more: dict[str, float] = {}
        found: tuple[float, ...] | None = None
        if isinstance(returned, Mapping):
            more = as_metrics(returned)
            found = self._found(more)
            self._seen.update(more)
        elif returned is not None:
            found = self._listed(returned)
        if found is not None:
            self._take(found)
        if self._last is None:
            raise MetricError(self._missing())
        perfs = {
            metric.name: self._best[i] if metric.is_global and len(self._last) > 1 else self._last[i]
            for i, metric in enumerate(self._metrics.each)
        }
        more = {name: value for name, value in more.items() if name not in self._keys(more)}
        result = {**self._tally.merged(more), **perfs}
        return result if constraints is None else (result, constraints)

    def _take(self, found: tuple[float, ...]) -> None:
        self._last = found
        before = self._best or found
        rows = zip(self._metrics.each, before, found, strict=True)
        self._best = [metric.better(old, new) for metric, old, new in rows]

    def _keys(self, seen: Mapping[str, float]) -> set[str | None]:
        """The names that the objectives have among metrics."""
        return {metric.key_in(seen) for metric in self._metrics.each}

    def _found(self, seen: Mapping[str, float]) -> tuple[float, ...] | None:
        """The objectives among metrics; None where one is missing."""
        keys = [metric.key_in(seen) for metric in self._metrics.each]
        return None if None in keys else tuple(seen[key] for key in keys if key is not None)

    def _listed(self, value: object) -> tuple[float, ...]:
        """The objectives of what has no names: a number, or one for each in their order."""
        n = len(self._metrics.each)
        if n == 1:
            return (as_perf(value),)
        if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, (list, tuple)) or len(value) != n:
            names = ", ".join(self._metrics.names)
            raise InvalidPerfError(f"the result of a job must have {names}: a dict, or {n} numbers in this order")
        return tuple(as_perf(one) for one in value)

    def _missing(self) -> str:
        absent = [metric for metric in self._metrics.each if metric.key_in(self._seen) is None] or self._metrics.each
        seen = ", ".join(sorted(self._seen)) or "none at all"
        first = absent[0]
        tried = f"{first.name!r}, {first.series!r} and {first.title!r}"
        return f"objective metric: the job reported no {tried} (tried in this order); it reported these metrics: {seen}"


class JobHandle:
    """The ``trial`` of a job: a :class:`TrialHandle` whose reports are read by title and series.

    Args:
        trial: The handle of the trial.
        book: What the job has reported.
    """

    def __init__(self, trial: TrialHandle, book: Book) -> None:
        self._trial, self._book = trial, book

    def __getattr__(self, name: str) -> Any:
        """Everything but reports is that of the trial: its number, seed, fidelity and checkpoint folder."""
        return getattr(self._trial, name)

    def report(self, perf: object, fidelity: float | None = None, *, metrics: object = None) -> bool:
        """Tell the search how good the job is so far; False means: stop here.

        A report without the objective's metric is kept as metrics, and counts as no iteration.

        Args:
            perf: The value of the objective, or a dict of metrics in which it stands.
            fidelity: The iteration, counted from nothing; by default one more than at the last report.
            metrics: Further metrics by name.

        Raises:
            InvalidPerfError: A number is not finite.
        """
        value, more = self._book.report(perf, metrics)
        if value is None:
            self._trial._log.tally.count(more)
            return not (self._trial.is_stopped or self._trial.is_enough)
        return self._trial.report(value, fidelity, metrics=more)


class Measured:
    """A base job as an objective: what it reports and returns is read by title and series.

    It asks for what the job asks for: the dataset, the fidelity, the seed, the trial.

    Args:
        f: The job: a function that returns a number or a dict of metrics, reports, or is a generator.
        metrics: The objectives.
    """

    def __init__(self, f: Callable[..., Any], metrics: Metrics) -> None:
        self.f, self.metrics = f, metrics
        is_plain = inspect.isroutine(f) or hasattr(f, "func")
        self.__wrapped__ = f if is_plain else f.__call__  # type: ignore[operator] # whoever looks at this sees the job
        for name in ("is_continued", "takes_fidelity", "can_report", "leave_process"):
            if hasattr(f, name):  # what a command, or a trainer, says of itself
                setattr(self, name, getattr(f, name))

    def __call__(self, hps: dict[str, Any], **offered: Any) -> Any:
        """Return the result of the job, or a generator of its results."""
        book = Book(self.metrics)
        if "trial" in offered:
            offered["trial"] = JobHandle(offered["trial"], book)
        result = self.f(hps, **offered)
        return _steps(result, book) if isinstance(result, GeneratorType) else book.result(result)


def _steps(steps: Iterator[Any], book: Book) -> Iterator[Any]:
    """Yield what each step of a generator says of the objectives; what says nothing of them goes with the next one."""
    waiting: dict[str, float] = {}
    try:
        for step in steps:
            value, more = book.report(step)
            waiting |= more
            if value is not None:
                yield value, waiting
                waiting = {}
        book.result(None)  # raises where there was no objective at all
    finally:
        steps.close()  # type: ignore[attr-defined]


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[1], Mapping)
