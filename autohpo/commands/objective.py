"""CommandObjective: a command line as the objective of a search."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autohpo.commands.given import Given
from autohpo.commands.options import as_metrics, as_pattern, as_variables, check_options
from autohpo.commands.reading import Reading
from autohpo.commands.template import Placeholder, Template, fill_text, parse_text
from autohpo.errors import OptionError, shown
from autohpo.folders import remove_folder, temporary_folder
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle
from autohpo.untrusted import reading

if TYPE_CHECKING:
    from autohpo.spaces import HPSpace, SearchSpace

Stream = Literal["stdout", "stderr", "both"]


@dataclass(frozen=True)
class CommandObjective:
    """An objective that runs a command for each trial and reads its metrics from what it prints, or from a file.

    In the command ``{lr}`` is the value of a parameter, ``{--lr}`` the option ``--lr VALUE`` where the parameter is
    active and nothing where it is not, ``{--rate:lr}`` an option of another name, ``{--lr=}`` one word ``--lr=VALUE``,
    ``{args}`` such an option for each parameter that the command does not name, ``{json}`` the configuration as JSON,
    ``{config_file}`` a file with that. ``{fidelity}``, ``{seed}``, ``{trial}``, ``{checkpoint_dir}``, ``{device}``,
    ``{slot}`` and ``{result_file}`` are those of the trial, ``{python}`` is the interpreter that runs this, and ``{{``
    is a brace. No value can break a word in two.

    A line with the metric and with a fidelity is a report, at which the search may stop the command. The last line with
    the metric is the result.

    Args:
        command: A string, which is split into words as a shell does, or a list of words.
        metric: The name of the metric; of several, a list, or a dict from objective to metric.
        pattern: A regular expression with a group around the number, or with named groups; or one for each metric, as a
            dict. None reads JSON, such as ``{"epoch": 3, "val_acc": 0.81}``.
        fidelity_key: The name of what counts the training; None takes the first of ``epoch``, ``iteration``, ``step``
            and other usual names that stands beside the metric.
        fidelity_offset: What is added to it: 1 where the program counts from 0.
        result_file: The file that has the result, instead of the output. One whose name ends with ``.json`` holds one
            document, or lines, and is read in the end; any other one is followed line by line.
        stream: The stream that is read: "stdout", "stderr" or "both".
        shell: Whether a shell reads the command; then values are quoted for it.
        env: Variables of the command, with placeholders; None takes one away. One whose placeholder has no value is
            not set.
        uses_env: Whether the command reads ``AUTOHPO_CONFIG``, ``AUTOHPO_FIDELITY`` and ``AUTOHPO_CHECKPOINT_DIR``.
        cwd: The working directory, with placeholders; None is that of the search.
        output_dir: The folder where ``trial-<number>.log`` has what each command printed; None keeps only the end of
            it, for errors.
        grace_seconds: The seconds that a command has to end after SIGTERM, before SIGKILL.
        full_fidelity: The value of ``{fidelity}`` where the search trains in full.

    Raises:
        OptionError: An option breaks a rule; the text names option, rule and value.

    Example:
        >>> import sys
        >>> command = [sys.executable, "-c", "print('loss =', abs({x} - 2))"]
        >>> f = CommandObjective(command, metric="loss", pattern="loss = (.*)")
        >>> f({"x": 2.5})
        {'loss': 0.5, 'loss.min': 0.5, 'loss.max': 0.5, 'perf': 0.5}
    """

    command: str | Sequence[str]
    metric: str | Sequence[str] | Mapping[str, str] = field(kw_only=True)
    pattern: str | re.Pattern[str] | Mapping[str, str | re.Pattern[str]] | None = field(default=None, kw_only=True)
    fidelity_key: str | None = field(default=None, kw_only=True)
    fidelity_offset: float = field(default=0, kw_only=True)
    result_file: str | os.PathLike[str] | None = field(default=None, kw_only=True)
    stream: Stream = field(default="stdout", kw_only=True)
    shell: bool = field(default=False, kw_only=True)
    env: Mapping[str, str | None] = field(default_factory=dict, kw_only=True)
    uses_env: bool = field(default=False, kw_only=True)
    cwd: str | os.PathLike[str] | None = field(default=None, kw_only=True)
    output_dir: str | os.PathLike[str] | None = field(default=None, kw_only=True)
    grace_seconds: float = field(default=5.0, kw_only=True)
    full_fidelity: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        with reading("command", OptionError):
            self._check()

    def _check(self) -> None:
        check_options(self)
        command = (
            self.command
            if isinstance(self.command, str)
            else [os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in self.command]
        )
        plain = {
            "command": command,
            "metric": as_metrics(self.metric),
            "pattern": as_pattern(self.pattern),
            "env": as_variables(self.env),
            **{name: _path(getattr(self, name)) for name in ("result_file", "cwd", "output_dir")},
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.output_dir is not None:  # workers may have another working directory
            object.__setattr__(self, "output_dir", os.path.abspath(self.output_dir))  # noqa: PTH100
        _ = self._template, list(self._others)
        self.reading.check()
        if self.result_file is None and any("result_file" in p.names for p in (*self._template, *self._others)):
            raise OptionError(
                "result_file: {result_file} stands in the command, so give result_file='result.json' or the like"
            )

    @property
    def _template(self) -> Template:
        return Template.of(self.command, shell=self.shell)

    @property
    def _others(self) -> Iterator[Placeholder]:
        """The placeholders of variables and paths."""
        texts = [*self.env.values(), self.result_file, self.cwd]
        return (
            piece
            for text in texts
            if text is not None
            for piece in parse_text(str(text))
            if isinstance(piece, Placeholder)
        )

    @property
    def metrics(self) -> dict[str, str]:
        """The metric of each objective."""
        if isinstance(self.metric, str):
            return {self.metric: self.metric}
        return dict(self.metric) if isinstance(self.metric, Mapping) else {name: name for name in self.metric}

    @property
    def reading(self) -> Reading:
        """How lines are read."""
        return Reading(tuple(self.metrics.values()), self.pattern, self.fidelity_key)  # type: ignore[arg-type]

    def _names(self, name: str) -> bool:
        """Whether the command, or a variable of it, names a placeholder."""
        return any(name in placeholder.names for placeholder in (*self._template, *self._others))

    @property
    def is_told_fidelity(self) -> bool:
        """Whether the command is told how far to train."""
        return self.uses_env or self._names("fidelity")

    @property
    def can_report(self) -> bool:
        """Whether what the command prints while it runs may say how far its training came."""
        is_followed = self.result_file is None or not str(self.result_file).lower().endswith(".json")
        return is_followed and self.reading.has_fidelity

    @property
    def takes_fidelity(self) -> bool:
        """Whether the command can be given less than full training: it is told how much, or is stopped at a report."""
        return self.is_told_fidelity or self.can_report

    @property
    def is_continued(self) -> bool:
        """Whether a promoted trial goes on where it paused: the command, or a variable, has its checkpoints."""
        env = [text for text in self.env.values() if text is not None]
        pieces = [*self._template, *(p for text in env for p in parse_text(text) if isinstance(p, Placeholder))]
        return any("checkpoint_dir" in placeholder.names for placeholder in pieces)

    def check(
        self, space: SearchSpace | Sequence[HPSpace], fidelity: str | None = None, *, num_workers: int = 1
    ) -> None:
        """Check that the command can be given the configurations of a space.

        Args:
            space: The space.
            fidelity: The hyper-parameter that holds the fidelity, as ``optimize(fidelity=...)`` names it.
            num_workers: How many commands run at once.

        Raises:
            OptionError: The command names an unknown parameter, does not use one, or has no form for one that is not
                always active; a value cannot stand in a command; or commands that run at once would write the same
                file of results.
        """
        from autohpo.commands.checking import check_command  # a worker needs no space, nor what that needs
        from autohpo.spaces import SearchSpace

        if num_workers > 1 and self.result_file is not None and not self._has_own_file:
            raise OptionError(
                f"result_file: must have {{checkpoint_dir}}, {{trial}} or {{slot}} in it, or in cwd, for {num_workers} "
                f"commands at once would write to the same file, got {shown(self.result_file)}"
            )
        space = space if isinstance(space, SearchSpace) else SearchSpace(space)
        more = () if fidelity is None else (fidelity,)
        check_command(self._template, self._others, space, more=more, uses_env=self.uses_env)

    @property
    def _has_own_file(self) -> bool:
        """Whether commands that run at once have different files of results."""
        texts = [str(path) for path in (self.result_file, self.cwd) if path is not None]
        names = {name for text in texts for p in parse_text(text) if isinstance(p, Placeholder) for name in p.names}
        return bool(names & {"checkpoint_dir", "trial", "slot"})

    def command_of(self, hp: Mapping[str, Any], trial: TrialHandle | None = None) -> list[str] | str:
        """Return the command of a configuration: its words, or one string for the shell; nothing runs.

        Args:
            hp: The configuration.
            trial: The trial; None is trial 0, with the full fidelity.

        Raises:
            OptionError: A placeholder has no value.
        """
        with _some(trial, hp) as handle:
            given = self._given(hp, handle)
            try:
                return self._filled(given)
            finally:
                given.remove_files()

    def _given(self, hp: Mapping[str, Any], trial: TrialHandle) -> Given:
        fidelity = self.full_fidelity if trial.fidelity is None else trial.fidelity
        folder = os.path.abspath(trial.checkpoint_dir)  # noqa: PTH100 - links stay
        given = Given(hp, trial, fidelity, folder)
        if self.result_file is not None:
            path = fill_text(str(self.result_file), given.lookup)
            given.result_file = os.path.abspath(Path(self._cwd(given) or "", path))  # noqa: PTH100
        return given

    def _cwd(self, given: Given) -> str | None:
        return None if self.cwd is None else fill_text(str(self.cwd), given.lookup)

    def _filled(self, given: Given) -> list[str] | str:
        named = {name for placeholder in self._template for name in placeholder.names}
        return self._template.fill(given.lookup, given.args(named) if "args" in named else ())

    def _environment(self, given: Given) -> dict[str, str]:
        variables = {
            name: value for name, value in os.environ.items() if name not in ("AUTOHPO_FIDELITY", "AUTOHPO_CONFIG")
        }
        variables |= given.variables()
        for name, text in self.env.items():
            names = [] if text is None else [p.names[0] for p in parse_text(text) if isinstance(p, Placeholder)]
            if text is None or any(given.lookup(inner) is None for inner in names):
                variables.pop(name, None)
            else:
                variables[name] = fill_text(text, given.lookup)
        return variables

    def __call__(self, hps: Mapping[str, Any], trial: TrialHandle | None = None) -> Any:
        """Run the command for a configuration, and return its metrics.

        Args:
            hps: The configuration.
            trial: The trial; None tries the command out, in a checkpoint folder of its own.

        Raises:
            CommandError: The command failed, or printed no metric.
            InvalidPerfError: The metric is not finite.
            OptionError: A placeholder has no value.
        """
        from autohpo.commands.attempt import Attempt  # of no use where nothing runs

        with _some(trial, hps) as handle:
            given = self._given(hps, handle)
            try:
                attempt = Attempt(self, given, self._filled(given), self._environment(given), self._cwd(given))
                return attempt.run()
            finally:
                given.remove_files()

    def leave_process(self) -> None:
        """End the helper process that watches over the commands of this process; the next one starts it again."""
        from autohpo.commands.keeper import shared

        shared.close()

    def to_dict(self) -> dict[str, Any]:
        """Return the objective in JSON types: the options that are not their defaults."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value != _DEFAULTS.get(name, _NONE)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CommandObjective:
        """Return the objective that :meth:`to_dict` wrote.

        Raises:
            OptionError: An option is missing, unknown or wrong.
        """
        known = [one.name for one in fields(cls)]
        unknown = [name for name in data if name not in known]
        missing = [name for name in ("command", "metric") if name not in data]
        if unknown or missing:
            what = f"has no option {shown(unknown[0])}" if unknown else f"needs {missing[0]}"
            raise OptionError(f"CommandObjective: {what}; the options are {', '.join(known)}")
        return cls(**data)


_NONE = object()
_DEFAULTS = {one.name: one.default for one in fields(CommandObjective)} | {"env": {}}


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


@contextmanager
def _some(trial: TrialHandle | None, hp: Mapping[str, Any]) -> Iterator[TrialHandle]:
    """The trial that is given, or one that serves to try a command out."""
    if trial is not None:
        yield trial
        return
    folder = temporary_folder()
    try:
        yield TrialHandle(Task(0, 1, dict(hp), checkpoint_dir=str(folder / "checkpoints")), lambda *_: True)
    finally:
        remove_folder(folder)
