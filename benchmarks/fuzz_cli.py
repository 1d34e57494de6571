"""Random command lines: every command with odd values, in a folder of good, damaged and foreign stores.

    python benchmarks/fuzz_cli.py                       # 3,000 command lines
    python benchmarks/fuzz_cli.py --calls 500 --seed 7
    python benchmarks/fuzz_cli.py --only 1234           # one again, with what it printed

Each runs in a process of its own, forked from this one. What must hold, whatever was typed:

- the exit code is a documented one, there is no traceback, and it ends within a minute;
- with ``--json`` standard output is empty or one JSON value (JSON lines where they were asked for), and standard
  error of what failed is one JSON object;
- a command that only looks changes no file and leaves none.

One line of counts is printed, and a line for each fault; the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_cli_stores import make
from fuzz_cli_words import random_argv, stores_of

LIMIT_SECONDS = 60
EPISODE = 50
"""How many calls share a folder, before it is made anew."""

LOOKS = {"top", "ls", "show", "best", "trials", "doctor", "algorithms"}
"""Commands that only look."""

HOLD = """
import sys, time
from autohpo import RangeHP, Search, build_hpo_from_name
with Search(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], max_evals=9, seed=0), sys.argv[1]) as search:
    search.tell(search.ask(), 0.5)
    search.ask(client_id="w0")
    print("1", end="", flush=True)
    time.sleep(600)
"""
"""A process that has a store, and does not look for requests to stop."""


class Fault(NamedTuple):
    """What was wrong after a call."""

    call: int
    argv: list[str]
    what: str
    said: str


class Done(NamedTuple):
    """How a call ended; the code is None where it had to be killed."""

    code: int | None
    out: bytes
    err: bytes


def call(argv: list[str], folder: Path, *, limit: float = LIMIT_SECONDS) -> Done:
    """Run a command line in a forked process, in a folder."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = _fork()
        if child == 0:
            _child(argv, folder, out.fileno(), err.fileno())
        code = _code_of(child, limit)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(50_000_000))
    return Done(code, *texts)


def _fork() -> int:
    """Fork this process; that a library has threads, which it handles, is no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _child(argv: list[str], folder: Path, out: int, err: int) -> None:
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        os.environ.pop("AUTOHPO_STORE", None)
        for number, stream in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, err)):
            os.dup2(stream, number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as the interpreter makes them
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.argv = ["autohpo", *argv]
        from autohpo.cli.main import main

        code = main(argv)
        sys.stdout.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code & 255)


def _code_of(child: int, limit: float) -> int | None:
    """Wait for a process, and end it with all that it started."""
    ends, pause = time.monotonic() + limit, 0.001
    code: int | None = None
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return code


def snapshot(folder: Path) -> dict[str, object]:
    """Return what every file of a folder holds, and when it changed."""
    found: dict[str, object] = {}
    for where, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(where) / name
            about = path.lstat()
            text = hashlib.sha1(path.read_bytes()).digest() if path.is_file() and not path.is_symlink() else b""
            found[str(path.relative_to(folder))] = (
                about.st_mode,
                about.st_size,
                text,
                bool(folders) or about.st_mtime_ns,
            )
    return found


def faults_of(argv: list[str], done: Done) -> list[str]:
    """Return what is wrong with how a call ended."""
    from autohpo.cli import exits

    if done.code is None:
        return ["it hangs"]
    found = []
    if done.code not in exits.MEANINGS:
        found.append(f"exit code {done.code}")
    if (
        b"Traceback" in done.err
        and b"always" not in done.err
        and b"at import" not in done.err
        and b"SystemExit: 3" not in done.err
    ):
        found.append("a traceback")
    is_help = any(word in ("-h", "--help") for word in argv)
    is_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
    if is_json and not is_help and argv[0] != "help":
        found += _json_faults(argv, done)
    elif done.code not in (0, 9) and argv[:1] != ["doctor"] and not done.err and argv:
        found.append("it failed, and said nothing")
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json_faults(argv: list[str], done: Done) -> list[str]:
    is_lines = argv[0] == "trials" and "jsonl" in " ".join(argv)
    is_other = (argv[0] == "trials" and "csv" in " ".join(argv)) or (argv[0] == "export" and done.code == 0)
    out, err = done.out.decode(errors="replace"), done.err.decode(errors="replace")
    found = []
    if out and not is_other:
        texts = out.splitlines() if is_lines else [out]
        if not all(map(_is_json, texts)):
            found.append("standard output is not one JSON value")
    has_said = bool(out) and done.code in (0, 1, 8, 9)  # doctor, and tell --report
    if done.code == 0 or (has_said and argv[0] in ("doctor", "tell")):
        if err.strip() and argv[0] != "run":
            found.append("it was done, and standard error is not empty")
        return found
    lines = err.rstrip("\n").split("\n") if argv[0] in ("run", "resume") else [err]
    try:
        error = json.loads(lines[-1] if lines else "")["error"]
        assert isinstance(error["type"], str)
        assert isinstance(error["message"], str)
    except (ValueError, TypeError, KeyError, AssertionError):
        found.append("standard error is not one JSON object")
    if out:
        found.append("it failed, and standard output is not empty")
    return found


def _is_shared_memory(name: str, before: dict[str, object]) -> bool:
    """Whether a file is what SQLite needs to read a write-ahead log, which was there: of a driver that was killed."""
    return name.endswith("-shm") and f"{name[:-4]}-wal" in before


class Fuzz:
    """Calls with random command lines, in folders made for them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed
        self.codes: collections.Counter[object] = collections.Counter()
        self.n = 0
        self._holder: subprocess.Popen[bytes] | None = None
        self._kept = root / "kept"
        self._made(self._kept)

    @staticmethod
    def _made(folder: Path) -> None:
        """Fill a folder in another process: what it registers and opens stays there."""
        child = _fork()
        if child == 0:
            code = 1
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                make(folder)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0

    def folder(self) -> Path:
        """Return the folder, as it was made."""
        here = self.root / "here"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(self._kept, here, symlinks=True, ignore=lambda _, names: {"pipe.db"} & set(names))
        os.mkfifo(here / "pipe.db")
        self.close()
        self._holder = subprocess.Popen([sys.executable, "-c", HOLD, str(here / "busy.db")], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.read(1) == b"1"
        return here

    def close(self) -> None:
        """End the process that has a store."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
            self._holder = None

    def argv_of(self, number: int, stores: list[str]) -> list[str]:
        """Return the command line of a call."""
        return random_argv(random.Random(f"{self.seed}-{number}"), stores)

    def faults(self, numbers: range, *, is_shown: bool = False) -> list[Fault]:
        """Make calls, and return what was wrong."""
        found: list[Fault] = []
        folder, before = Path(), {}
        stores = [*stores_of(self._kept), "busy.db"]
        for k, number in enumerate(numbers):
            if k % EPISODE == 0:
                folder, before = self.folder(), {}
            argv = self.argv_of(number, stores)
            is_look = bool(argv) and argv[0] in LOOKS
            before = (before or snapshot(folder)) if is_look else {}
            done = call(argv, folder)
            self.codes[done.code] += 1
            self.n += 1
            wrong = faults_of(argv, done)
            if is_look:
                after = snapshot(folder)
                changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
                changed = [n for n in changed if not (_is_shared_memory(n, before) or n.startswith("busy.db"))]
                wrong += [f"it changed {', '.join(changed)}"] if changed else []
                before = after
            said = (done.out[-1500:] + b"\n---\n" + done.err[-3000:]).decode(errors="replace")
            found += [Fault(number, argv, what, said) for what in wrong]
            if is_shown:
                print(argv, done.code, said, sep="\n")
        return found


def main() -> int:
    """Run the calls, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=int, default=0)
    parser.add_argument("--only", type=int)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        fuzz = Fuzz(Path(root), args.seed)
        numbers = range(args.begin, args.begin + args.calls) if args.only is None else range(args.only, args.only + 1)
        try:
            found = fuzz.faults(numbers, is_shown=args.only is not None)
        finally:
            fuzz.close()
    for fault in found:
        print(f"call {fault.call}: {fault.what}: {fault.argv}\n    " + repr(fault.said[-700:]))
    codes = ", ".join(f"{code}: {n}" for code, n in sorted(fuzz.codes.items(), key=str))
    print(f"{fuzz.n} calls in {time.monotonic() - began:.0f} s, {len(found)} faults; exit codes {codes}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
