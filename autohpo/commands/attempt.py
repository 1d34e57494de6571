"""One attempt at a trial by a command: what it prints becomes reports, metrics and a result."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.commands.following import ResultFile
from autohpo.commands.given import Given
from autohpo.commands.lines import Lines, Tail
from autohpo.commands.output import TrialLog
from autohpo.commands.readings import Readings, Report
from autohpo.commands.running import Running, Start
from autohpo.errors import CommandError, InvalidPerfError
from autohpo.other_names import did_you_mean

if TYPE_CHECKING:
    from autohpo.commands.objective import CommandObjective

N_LINES = 20  # of the end of the output, in an error
MAX_COMMAND_CHARACTERS = 300
MAX_NAMES = 20

REACHED = ".autohpo-reached"
"""The file in a checkpoint folder that says how far the training there had come at its last report."""

_STREAMS = {"stdout": (1,), "stderr": (2,), "both": (1, 2)}


class Attempt:
    """A run of a command for one trial.

    Args:
        f: The objective.
        given: What the command is given.
        command: The words of the command, or a string for the shell.
        env: The environment of the command.
        cwd: The working directory of the command; None is that of this process.
    """

    def __init__(
        self, f: CommandObjective, given: Given, command: list[str] | str, env: Mapping[str, str], cwd: str | None
    ) -> None:
        self._f, self._given, self._trial = f, given, given.trial
        self._start = Start(command, env, cwd, f.grace_seconds)
        self._readings = Readings(f.reading, f.fidelity_offset)
        self._file = None if given.result_file is None else ResultFile(Path(given.result_file))
        self._read = () if self._file is not None else _STREAMS[f.stream]
        self._lines = {stream: Lines() for stream in (0, 1, 2)}  # 0 is the file
        self._tails = {stream: Tail() for stream in (1, 2)}
        self._n_reports = 0
        self._reported: Mapping[str, float] = {}
        self._is_told = f.is_told_fidelity or _has_value(given)
        # A command that goes on from a checkpoint does not say so; but then its first report is beyond the last one.
        may_resume = f.is_continued or (f.uses_env and self._trial.fidelity is not None)
        self._note_file = Path(given.folder) / REACHED if may_resume else None
        self._before = _reached(self._note_file)

    def run(self) -> Any:
        """Run the command to its end, or to where the search ends it; return its metrics.

        Raises:
            CommandError: It failed, or printed no metric.
            InvalidPerfError: A metric that matters is not finite.
        """
        folder = None if self._f.output_dir is None else str(self._f.output_dir)
        log = TrialLog(folder, self._trial.number, self._trial.attempt)
        log.write(f"$ {self._text()}\n".encode("utf-8", "replace"))
        self._log = log
        try:
            with Running(self._start) as running:
                is_over = running.drain(self._take, self._look) and self._rest()
                code = running.end(self._beyond)
            log.write(f"\n[{_ended(code)}]\n".encode())
        finally:
            log.close()
        if is_over and code:
            raise CommandError(f"{self._shown()} {_ended(code)}{self._why(code)}{self._last_lines(is_error=True)}")
        return self._result(is_over)

    # What comes from the command.

    def _note(self, stream: int, data: bytes) -> bool:
        """Keep what was printed; it says nothing any more."""
        self._tails[stream].add(data)
        self._log.write(data)
        return True

    def _take(self, stream: int, data: bytes) -> bool:
        """Take what was printed; return whether the command may go on."""
        self._note(stream, data)
        return stream not in self._read or self._all_wanted(self._lines[stream].feed(data))

    def _beyond(self, stream: int, data: bytes) -> bool:
        """Take what was printed after the command was asked to end: it only tells how far its training went on."""
        self._note(stream, data)
        if stream in self._read:
            self._went_on(self._lines[stream].feed(data))
        return True

    def _all_wanted(self, lines: Iterator[str]) -> bool:
        """Take lines; return whether the search wanted all of them."""
        if all(map(self._line, lines)):
            return True
        self._went_on(lines)
        return False

    def _went_on(self, lines: Iterable[str]) -> None:
        if self._n_reports and not self._is_told:
            found = [self._readings.fidelity_in(line) or 0.0 for line in lines]
            self._trial._beyond = max(self._trial._beyond, *found, 0.0)

    def _look(self) -> bool:
        """Look for what no pipe tells: a request of the search, and new lines of the file of results.

        Without a report so far there would be no result, so the command goes on, as a function would.
        """
        return not (self._n_reports and self._trial.is_asked_to_end) and self._follow()

    def _follow(self) -> bool:
        if self._file is None or self._file.is_document:
            return True
        while data := self._file.new():
            if not self._all_wanted(self._lines[0].feed(data)):
                return False
        return True

    def _rest(self) -> bool:
        """Take the last lines, which need no end; return whether the search wanted all."""
        if not self._follow():
            return False
        streams = (0,) if self._file is not None else self._read
        return all(self._line(self._lines[stream].rest()) for stream in streams)

    def _line(self, line: str) -> bool:
        report = self._readings.add(line) if line else None
        return report is None or self._report(report)

    def _report(self, report: Report) -> bool:
        """Report; return whether the command may go on.

        A command that knows its fidelity ends by itself when it has come as far: it may have a checkpoint to save.
        """
        trial = self._trial
        if trial.is_enough and trial.reports:
            return self._is_told and trial.fidelity is not None and report.fidelity <= trial.fidelity
        self._check(report.values, f" at fidelity {report.fidelity:g}")
        if not self._n_reports and 0 < self._before < report.fidelity:
            trial.resume_at(self._before)
        if self._note_file is not None:
            with contextlib.suppress(OSError):  # the folder is gone, or full: the next attempt counts in full
                self._note_file.write_text(f"{report.fidelity!r}\n")
        self._n_reports, self._reported = self._n_reports + 1, report.values
        is_wanted = trial.report(self._shape(report.values), report.fidelity, metrics=report.metrics or None)
        return is_wanted or (not trial.is_stopped and self._is_told)

    # What it comes to.

    def _shape(self, values: Mapping[str, float]) -> Any:
        """Return the values of the metrics as the search wants its objectives: by name, in order, or the one."""
        by_objective = {name: values[metric] for name, metric in self._f.metrics.items()}
        names = self._trial._objectives.names
        if len(names) == len(by_objective) == 1:
            (value,) = by_objective.values()
            return {names[0]: value} if names[0] else value
        return by_objective if names[0] else tuple(by_objective.values())

    def _result(self, is_over: bool) -> Any:
        """Return what the command came to: its last report where that was the end, else its last line."""
        readings = self._readings
        if is_over and self._file is not None:
            self._read_file(self._file)
        missing = [name for name in readings.reading.metrics if name not in readings.last]
        if missing:
            raise CommandError(
                f"{self._shown()} ended without a value of the metric {missing[0]!r}; "
                f"{self._sought(missing[0])}{self._last_lines()}"
            )
        is_at_report = self._n_reports and (self._trial.is_stopped or self._trial.is_enough)
        values = self._reported if is_at_report else readings.last
        self._check(values)
        self._check_fidelity()
        shape = self._shape(values)
        if isinstance(shape, tuple):
            return shape
        result = shape if isinstance(shape, dict) else {"perf": shape}
        metrics = readings.tally.merged({})
        return {**{name: value for name, value in metrics.items() if name != "cost"}, **result}

    def _check(self, values: Mapping[str, float], where: str = "") -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                raise InvalidPerfError(f"the metric {name!r} of {self._shown()} must be finite, got {value}{where}")

    def _read_file(self, file: ResultFile) -> None:
        """Read the file of results in the end, where it holds one document, or its lines were not followed."""
        if not file.is_written:
            raise CommandError(f"{self._shown()} did not write its result to {file.path}{self._last_lines()}")
        if self._n_reports or (self._readings.last and not file.is_document):
            return
        document = file.document() if self._f.pattern is None else None
        objects = document if isinstance(document, list) else [] if document is None else [document]
        for found in map(self._readings.reading.of_object, objects):
            if found is not None:
                self._readings.take(found)
        if document is None:
            for line in _lines_of(file):
                self._readings.add(line)

    def _check_fidelity(self) -> None:
        """Raise CommandError where a command had no way to know how far to train, and did not say how far it came."""
        if self._trial.fidelity is not None and not self._is_told and not self._n_reports:
            example = json.dumps({"epoch": 1, self._readings.reading.metrics[0]: 0.5})
            raise CommandError(
                f"{self._shown()} was to train up to fidelity {self._trial.fidelity:g}, but was not told so, and no "
                "line with the metric says how far it came; write {fidelity} into the command, give uses_env=True if "
                f"it reads AUTOHPO_FIDELITY, or print lines such as {example}"
            )

    # What errors say.

    def _text(self) -> str:
        command = self._start.command
        return command if isinstance(command, str) else shlex.join(command)

    def _shown(self) -> str:
        text = self._text()
        most = MAX_COMMAND_CHARACTERS
        return f"the command `{text if len(text) <= most else text[: most - 3] + '...'}`"

    def _why(self, code: int) -> str:
        """Return the end of a sentence about an exit code: the last line of the errors, or what the code means."""
        hint = {126: "a program in it is not executable", 127: "a program in it is not found"}.get(code, "")
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            hint = "perhaps by the system for lack of memory"
        last = self._tails[2].lines(1)
        return "".join(f": {text}" for text in ([hint] if hint else last))

    def _sought(self, metric: str) -> str:
        """Return where a metric was sought, and what was found there."""
        f = self._f
        streams = {"both": "its output and its errors", "stdout": "its output", "stderr": "its errors"}
        where = streams[f.stream] if self._file is None else f"the file {self._given.result_file}"
        how = "lines of JSON" if f.pattern is None else f"the pattern {f.pattern!r}"
        names = list(self._readings.tally.values)
        found = f", which have {', '.join(names[:MAX_NAMES])}{did_you_mean(metric, names).rstrip('.')}" if names else ""
        return f"{where} was read for {how}{found}"

    def _last_lines(self, *, is_error: bool = False) -> str:
        """Return the last lines that the command printed: its errors where it failed, else what was read."""
        order = (2, 1) if is_error or self._read == (2,) else (1, 2)
        for stream in order:
            lines = self._tails[stream].lines(N_LINES)
            if lines:
                what = "errors" if stream == 2 else "output"
                return f"; the last lines of its {what}:\n" + "\n".join(lines)
        return "; it printed nothing"


def _reached(note: Path | None) -> float:
    """Return how far the training in a checkpoint folder had come at its last report; 0 where nothing is known."""
    if note is None:
        return 0.0
    try:
        found = float(note.read_text())
    except (OSError, ValueError):  # there is none; or it was not written to its end
        return 0.0
    return found if math.isfinite(found) else 0.0


def _has_value(given: Given) -> bool:
    """Whether some parameter holds the fidelity, as ``optimize(fidelity="epochs")`` has it.

    Where one is equal to it by chance, the command may go on for one report more than it should.
    """
    fidelity = given.trial.fidelity
    return fidelity is not None and any(
        type(value) in (int, float) and value == fidelity for value in given.hp.values()
    )


def _lines_of(file: ResultFile) -> Iterator[str]:
    lines = Lines()
    yield from lines.feed(file.tail())
    yield lines.rest()


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # the real-time signals have no names
        return f"was ended by signal {-code}"
