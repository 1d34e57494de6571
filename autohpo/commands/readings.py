"""What the lines of an attempt come to: reports, the last value of each objective, and the metrics along the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from autohpo.commands.reading import Found, Reading
from autohpo.reported import Tally
from autohpo.trial import whole

MAX_METRICS = 200
"""The most metrics that are kept of a trial, beside its objectives: some programs number the names of theirs."""


@dataclass(frozen=True)
class Report:
    """What goes to the search while the command runs.

    Attributes:
        fidelity: How far the training came.
        values: The value of each objective's metric, by its name.
        metrics: Further numbers by name, all finite.
    """

    fidelity: float
    values: Mapping[str, float]
    metrics: Mapping[str, float]


@dataclass
class Readings:
    """Takes what lines say, one after the other.

    Values of one fidelity may come in several lines: a report is due when each objective has one.

    Attributes:
        reading: How lines are read.
        offset: What is added to a fidelity: 1 where a program counts from 0.
        last: The last value of each objective's metric.
        tally: The last, the least and the largest of each metric, as far as finite.
    """

    reading: Reading
    offset: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    _key: str | None = None
    _fidelity: float | None = None
    _now: dict[str, float] = field(default_factory=dict)

    def add(self, line: str) -> Report | None:
        """Take a line; return the report that is due with it."""
        found = self.reading.read(line)
        return None if found is None else self.take(found)

    def fidelity_in(self, line: str) -> float | None:
        """Return how far the training came by a line, which says nothing else any more; None where it does not tell."""
        found = self.reading.read(line)
        return None if found is None else self._fidelity_of(found)

    def take(self, found: Found) -> Report | None:
        """Take what a line says; return the report that is due with it."""
        self._move_to(self._fidelity_of(found))
        wanted = self.reading.metrics
        finite = {name: value for name, value in found.metrics.items() if math.isfinite(value) and self._is_kept(name)}
        self.tally.count(finite)
        is_due = False
        for name in wanted:
            if name in found.metrics:
                self.last[name] = self._now[name] = found.metrics[name]
                is_due = True
        self._now |= finite
        if not is_due or self._fidelity is None or any(name not in self._now for name in wanted):
            return None
        others = {name: value for name, value in self._now.items() if name not in wanted}
        return Report(self._fidelity, {name: self._now[name] for name in wanted}, others)

    def _fidelity_of(self, found: Found) -> float | None:
        """Return the fidelity of a line: by the name that the first line with a metric had, if it had any."""
        if self._key is None and any(name in found.metrics for name in self.reading.metrics) and found.counts:
            self._key = next(iter(found.counts))
        key = next(iter(found.counts), "") if self._key is None else self._key
        value = found.counts.get(key)
        return whole(value + self.offset) if value is not None and math.isfinite(value) else None

    def _move_to(self, fidelity: float | None) -> None:
        """Begin the values of another fidelity; where patterns read the lines, one may have told it before."""
        if fidelity is None and self.reading.pattern is not None:
            return
        if fidelity != self._fidelity:
            self._fidelity, self._now = fidelity, {}

    def _is_kept(self, name: str) -> bool:
        return name in self.tally.values or name in self.reading.metrics or len(self.tally.values) < MAX_METRICS
