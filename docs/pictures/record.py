"""Records the terminal pictures of the manual: real commands in a real pseudo-terminal, drawn as SVG by rich.

``python docs/pictures/record.py`` writes them anew beside this file. Each picture is what somebody at a terminal of
that width would see; nothing is drawn by hand, only the names of the machine and of its folders are replaced. It takes
a minute, and needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).parent
TUTORIAL = HERE.parent / "tuning-from-the-shell.md"
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # of a server elsewhere: a page must not ask it
WIDTH = 100


def files_of(page: Path) -> dict[str, str]:
    """The files that the tutorial tells its reader to write, by name."""
    found = re.findall(r"<!-- file: (\S+) -->\n+```\w*\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return dict(found)


def seen(command: str, folder: Path, *, seconds: float | None = None) -> str:
    """What a terminal shows of a command; with `seconds` what it shows until then, and Ctrl-C ends it."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "40"}
    environment["PATH"] = f"{scripts}{os.pathsep}{environment['PATH']}"
    streams = {"stdin": child, "stdout": child, "stderr": child}
    words = ["/bin/sh", "-c", command]
    process = subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True, **streams)
    os.close(child)
    until = time.monotonic() + (seconds or 300.0)
    pieces = []
    os.set_blocking(parent, False)
    while time.monotonic() < until:
        try:
            pieces.append(os.read(parent, 65536))
            if not pieces[-1]:
                break
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # the other end is closed
            break
    if process.poll() is None:
        os.killpg(process.pid, 2)
    process.wait()
    os.close(parent)
    return b"".join(pieces).decode(errors="replace")


def settled(text: str) -> str:
    """What stays of lines that were written over again and again, as a line of progress is."""
    text = text.replace("\r\n", "\n")
    return "\n".join(re.split(r"\r|\x1b\[2K", line.rstrip("\r"))[-1] for line in text.split("\n"))


def anonymous(text: str, folder: Path) -> str:
    """The text without what is of this machine alone."""
    text = text.replace(str(folder.resolve()), "~/tuning").replace(str(folder), "~/tuning")
    text = re.sub(rf"{re.escape(str(Path(sys.executable).parent))}/python[\d.]*", "python3", text)
    return text.replace(f"on {socket.gethostname()}", "on laptop")


def last_screen(text: str) -> str:
    """The last state of a display that was drawn again and again in place."""
    text = text.replace("\r\n", "\n")
    frames = re.split(r"(?:\x1b\[1A|\x1b\[2K|\x1b\[H|\x1b\[2J|\x1b\[\?1049[hl])+", text)
    full = [frame for frame in frames if frame.count("\n") >= max(f.count("\n") for f in frames) * 0.8]
    return (full[-1] if full else text).strip("\r\n")


def draw(name: str, parts: list[tuple[str, str]]) -> None:
    """Write a picture of commands and what they printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, output in parts:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        if output:
            console.print(Text.from_ansi(re.sub(r"\x1b\[\?25[hl]", "", output.replace("\r", ""))))
    console.print()  # so that the last line is not cut where another font is used
    svg = console.export_svg(title="", theme=MONOKAI, unique_id=name)
    svg = FONT.sub("", svg).replace("Fira Code", "DejaVu Sans Mono")
    (HERE / f"{name}.svg").write_text(svg + "\n")
    print(f"{name}.svg")


def record(folder: Path) -> None:
    """Record all pictures in a folder with the tutorial's files."""
    for name, text in files_of(TUTORIAL).items():
        (folder / name).write_text(text)
        if text.startswith("#!"):
            (folder / name).chmod(0o755)

    def shown(*commands: str) -> list[tuple[str, str]]:
        return [(command, settled(seen(command, folder)).strip("\n")) for command in commands]

    def drawn(name: str, parts: list[tuple[str, str]]) -> None:
        draw(name, [(command, anonymous(output, folder)) for command, output in parts])

    drawn("help", shown("autohpo --help"))
    drawn("dry-run", shown("autohpo run tune.yaml --dry-run"))
    drawn("detach", shown("autohpo run tune.yaml --detach", "autohpo ls"))
    time.sleep(12)
    drawn("top", [("autohpo top tune.db", last_screen(seen("autohpo top tune.db", folder, seconds=4)))])
    drawn("stop", shown("autohpo stop tune.db"))
    drawn("resume", shown("autohpo resume tune.db"))
    drawn("best", shown("autohpo best tune.db", "autohpo trials tune.db --sort perf --limit 8"))
    drawn("export", shown("autohpo export tune.db --to trials.csv", "head -3 trials.csv"))


def main() -> None:
    """Record in a temporary folder, or in one that is given and kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    folder = parser.parse_args().folder
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        record(folder)
        return
    made = Path(tempfile.mkdtemp())
    try:
        record(made)
    finally:
        shutil.rmtree(made)


if __name__ == "__main__":
    main()
