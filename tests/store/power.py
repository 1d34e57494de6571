"""A power supply that can fail: what of a program's writes is on disk at any moment, by its system calls.

``strace`` writes down what a program does to the files of a folder. A :class:`Disk` plays it back up to a moment and
gives what it may hold if the power fails then: every write that a sync came behind, and of the others any part, because
a disk writes what was not synced in any order, in sectors, or never.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SECTOR_BYTES = 512
CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink"
_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """A system call on a file, or something that the program said on its standard output.

    Attributes:
        kind: "write", "truncate", "sync", "unlink", "sync names" (of the folder), or "say".
        name: The name of the file; what was said.
        offset: Where it wrote, or the new length.
        data: What it wrote.
    """

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """The files of a folder: what is on disk for good, and what was done since, in order."""

    kept: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Call]] = field(default_factory=dict)

    def take(self, call: Call) -> None:
        """Does what a call did."""
        if call.kind == "sync":
            for earlier in self.pending.pop(call.name, []):
                apply(self.kept, earlier)
        elif call.kind == "sync names":
            for name in [name for name, calls in self.pending.items() if any(c.kind == "unlink" for c in calls)]:
                self.take(Call("sync", name))
        elif call.kind != "say":
            self.pending.setdefault(call.name, []).append(call)

    def image(self, choose: Callable[[Call], Call | None]) -> dict[str, bytes]:
        """The files, where of each pending call that is done which `choose` makes of it."""
        files = {name: bytearray(data) for name, data in self.kept.items()}
        for calls in self.pending.values():
            for done in map(choose, calls):
                if done is not None:
                    apply(files, done)
        return {name: bytes(data) for name, data in files.items()}


def apply(files: dict[str, bytearray], call: Call) -> None:
    """Does to files what a call says."""
    if call.kind == "unlink":
        files.pop(call.name, None)
        return
    data = files.setdefault(call.name, bytearray())
    end = call.offset + len(call.data)
    data.extend(bytes(max(0, end - len(data))))
    if call.kind == "truncate":
        del data[call.offset :]
    else:
        data[call.offset : end] = call.data


def loses(draw: random.Random) -> Callable[[Call], Call | None]:
    """A disk that keeps any part of what was not synced: all, nothing, or some sectors from the first on."""
    share = draw.choice([0.0, 0.5, 0.9, 1.0])

    def choose(call: Call) -> Call | None:
        if draw.random() >= share:
            return None
        if call.kind == "write" and draw.random() < 0.2:
            n = draw.randrange(0, len(call.data) + 1, SECTOR_BYTES)
            return Call(call.kind, call.name, call.offset, call.data[:n])
        return call

    return choose


def record(code: str, folder: Path, *arguments: object) -> list[Call] | None:
    """Runs code that writes into an empty folder, and returns its calls; None where nothing can be recorded."""
    if shutil.which("strace") is None:
        return None
    trace = folder.with_name(folder.name + ".strace")
    command = ["strace", "-f", "-y", "-xx", "-s", str(2**20), "-e", f"trace={CALLS}", "-o", str(trace)]
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    program = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run([*command, *program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ptrace" in done.stderr:
            return None
        raise AssertionError(done.stderr)
    return [call for call in (_parsed(line, folder) for line in trace.read_text().splitlines()) if call is not None]


def _parsed(line: str, folder: Path) -> Call | None:
    """What a line of the trace says, if it is about a file of the folder or standard output."""
    found = _LINE.match(line)
    if found is None or int(found[3]) < 0:
        return None
    name, arguments = found[1], found[2]
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
    if name == "unlink":
        path = Path(os.fsdecode(texts[0]))
        return Call("unlink", path.name) if path.parent == folder else None
    file = re.match(r"(\d+)<((?:\\x[0-9a-f]{2})+)>", arguments)
    if name == "openat" or file is None:
        return None
    if name == "write" and file[1] == "1":
        return Call("say", texts[0].decode())
    path = Path(bytes.fromhex(file[2].replace("\\x", "")).decode())
    if path == folder and name in ("fsync", "fdatasync"):
        return Call("sync names", "")
    if path.parent != folder:
        return None
    if name == "write":
        raise AssertionError(f"a write whose place is not known: {line[:100]}")
    number = int(arguments.rsplit(",", 1)[-1]) if name in ("pwrite64", "ftruncate") else 0
    kinds = {"pwrite64": "write", "ftruncate": "truncate", "fsync": "sync", "fdatasync": "sync"}
    return Call(kinds[name], path.name, number, texts[0] if name == "pwrite64" else b"")
