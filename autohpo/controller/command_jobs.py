"""Command lines as base jobs: what they print is read by title and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from autohpo.commands import CommandObjective
from autohpo.commands.reading import Found, Reading
from autohpo.controller.metrics import Metrics
from autohpo.errors import OptionError

NO_METRICS = Metrics(())


@dataclass(frozen=True)
class NamedReading(Reading):
    """How lines are read where a metric may go by its title and series, by either alone, or by a name of its own.

    Attributes:
        objectives: The objectives.
        own: The names that the command itself has for them, in their order; empty where it says nothing.
    """

    objectives: Metrics = NO_METRICS
    own: tuple[str, ...] = ()

    def _found(self, values: Mapping[str, float]) -> Found | None:
        renamed = dict(values)
        for place, metric in enumerate(self.objectives.each):
            key = metric.key_in(values)
            if key is None and place < len(self.own) and self.own[place] in values:
                key = self.own[place]
            if key is not None:
                renamed[metric.name] = values[key]
                if key != metric.name:
                    renamed.pop(key, None)
        return super()._found(renamed)

    def check(self) -> None:
        """Check that patterns can find every metric, under one of its names.

        Raises:
            OptionError: They cannot.
        """
        named = {name for _, names in self._patterns for name in names.values()}
        for place, metric in enumerate(self.objectives.each if self.pattern is not None else ()):
            names = {metric.name, metric.series, metric.title, *self.own[place : place + 1]}
            if not names & named:
                raise OptionError(
                    f"pattern: must have a group for the metric {metric.name!r}, named {metric.series!r} or "
                    f"{metric.title!r}, got groups for {', '.join(sorted(named)) or 'none'}"
                )


@dataclass(frozen=True)
class CommandJob(CommandObjective):
    """A command whose metrics are found by title and series."""

    objectives: Metrics = field(default=NO_METRICS, kw_only=True)
    own: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def reading(self) -> Reading:
        """How lines are read."""
        names = tuple(self.metrics.values())
        return NamedReading(names, self.pattern, self.fidelity_key, self.objectives, self.own)  # type: ignore[arg-type]


def command_job(given: str | CommandObjective, metrics: Metrics) -> CommandJob:
    """Return a command as a job.

    Args:
        given: The command line, or a command with its options; the names of its metrics are tried last.
        metrics: The objectives.

    Raises:
        OptionError: The command has other metrics than there are objectives, or breaks a rule.
    """
    names = {name: name for name in metrics.names}
    if isinstance(given, str):
        return CommandJob(given, metric=names, objectives=metrics)
    own = tuple(given.metrics.values())
    if len(own) != len(metrics.each):
        n = len(metrics.each)
        raise OptionError(f"base_task_id: the command must have a metric for each of {n} objectives, got {len(own)}")
    options = {one.name: getattr(given, one.name) for one in fields(CommandObjective) if one.name != "command"}
    return CommandJob(given.command, **{**options, "metric": names}, objectives=metrics, own=own)
