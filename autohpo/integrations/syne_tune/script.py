"""A script as a process of its own: started with its arguments, heard while it runs, ended when the search says so."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from autohpo.errors import AutoHPOError
from autohpo.integrations.syne_tune.report import ANSWERS, parsed

__all__ = ["ScriptError", "run_script"]

POLL_SECONDS = 0.1  # how late the end of a script is noticed whose children keep its output open
TERM_SECONDS = 1.0  # to end in order
TAIL_BYTES = 4000  # of what a failed script printed


class ScriptError(AutoHPOError, RuntimeError):
    """A script or function for Syne Tune failed, or never reported."""


def run_script(command: Sequence[str], take: Callable[[Mapping[str, Any]], bool], folder: Path, name: str) -> None:
    """Run a script until it ends by itself, or a report is answered with False.

    Args:
        command: The program and its arguments.
        take: A function that takes each report, and returns whether the script goes on.
        folder: The folder for what it prints.
        name: The name of its two files there, which are added to.

    Raises:
        ScriptError: It ended with an error; the text has the end of what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    with out.open("ab") as printed, err.open("ab") as errors, _answers() as (ours, theirs):
        began = errors.tell()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=(theirs,),
            env={**os.environ, **_path(), ANSWERS: _identity(theirs)},
            start_new_session=True,  # so that its own children end with it
        )
        assert process.stdout is not None  # it is a pipe
        try:
            for line in _lines(process, process.stdout):
                printed.write(line)
                printed.flush()
                result = parsed(line.decode("utf-8", "replace"))
                if result is None:
                    continue
                if not take(result):
                    return
                with contextlib.suppress(OSError):  # it may have ended, or print reports without waiting for answers
                    os.write(ours, b"+")
        finally:
            _end(process)
            process.stdout.close()
    if process.returncode:
        said = _tail(err, began) or _tail(out, 0)
        raise ScriptError(f"{command[1]} ended with exit code {process.returncode}:\n{said}")


@contextlib.contextmanager
def _answers() -> Iterator[tuple[int, int]]:
    """Open a pipe for answers: the end to write to, which never blocks, and the script's end."""
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def _path() -> dict[str, str]:
    """Where the script finds this very package, if it is not installed: the working folder may have changed since."""
    root = Path(__file__).resolve().parents[3]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))}


def _identity(fd: int) -> str:
    """What the script knows the pipe by: another process may have another file under the same number."""
    found = os.fstat(fd)
    return f"{fd}:{found.st_dev}:{found.st_ino}"


def _lines(process: subprocess.Popen[bytes], stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines that a process prints, until it has ended and all is read."""
    fd, rest = stream.fileno(), b""
    while True:
        has_ended = process.poll() is not None
        ready, _, _ = select.select([fd], [], [], 0 if has_ended else POLL_SECONDS)
        if ready:
            chunk = os.read(fd, 1 << 16)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines)
            if chunk:
                continue
        if has_ended or ready:  # what its children print later is of no interest
            break
    if rest:
        yield rest
    process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a script that still runs, and what it has started: first in order, then at once."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        until = time.monotonic() + TERM_SECONDS
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
    _signal(process, signal.SIGKILL)  # its children, too
    process.wait()


def _signal(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def _tail(path: Path, start: int) -> str:
    """The last lines of a file from a place on."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace").strip()
