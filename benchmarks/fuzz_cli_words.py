"""Random command lines: the words that each argument is given."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_cli_stores import TEXTS

JUNK = ["", " ", "0", "-1", "1", "2", "3", "nan", "inf", "-inf", "1e400", "9" * 30, "-" + "9" * 30, "1e-320", "0x10"]
JUNK += [
    "1_000",
    "\u0663",
    "\u00b2",
    "x",
    "x=1",
    "=",
    "=1",
    "x=",
    "a=b=c",
    "a,b",
    ",",
    "None",
    "True",
    "{}",
    "[",
    "{x}",
]
JUNK += [
    "'",
    '"',
    "$(x)",
    "%s",
    "%(prog)s",
    "{0}",
    "\n",
    "a\nb",
    "\t",
    "\x1b[31m",
    "\u2028",
    "\u6a21\u578b",
    "\U0001f600",
]
JUNK += ["\udcff", "x" * 300, "-", "--", "---", "-x", "*", "~", "\\", "NAME", "perf", "number", "hp.x", "lr", "12.5"]

PATHS = ["nosuch.db", "no/such/run.db", ".", "..", "/", "folder", "folder.db", "circle.db", "link.db", "dangling.db"]
PATHS += ["pipe.db", "pipe.db", "\udcff.db", "x" * 300]  # no device of the machine: who is root could replace it
PATHS += [
    "a/" * 2100,
    "memory:",
    "memory://",
    "sqlite://",
    "sqlite:///good.db",
    "sqlite:good.db",
    "http://x/y.db",
    "://",
]
PATHS += [
    "file:good.db?mode=ro",
    "good.db/",
    "good.db/x",
    "./good.db",
    "good.db-wal",
    "good.db.lock",
    "new.db",
    "-",
    "~",
]

NUMBERS = ["0", "1", "2", "5", "-1", "-3", "1000", "1.5", "1e3", "-1e-5", "nan", "inf", "9" * 30]

VALUES = {
    "what": ["train.py", "train.py:f", "train.py:fails", "train.py:ends", "train.py:nosuch", "train:f", "run.yaml"],
    "algorithm": ["random", "tpe", "bohb", "grid", "nosuch", "plugged_in", "hyperband", "Random", "auto"],
    "mode": ["max", "min", "a=max", "a=max,b=min", "max,min", "MAX", "a=up"],
    "space": [*TEXTS, "train:space", "math:pi", "nosuch:x"],
    "store": ["none", "new.db", "good.db"],
    "time_limit": ["1", "0.5s", "2s", "0", "-1", "1y", "1h30m", "nan"],
    "trial_time_limit": ["1", "30m", "0", "nan", "inf", "1d"],
    "memory_limit": ["4GB", "1KB", "0", "-1GB", "nanGB", "1", "1e30TB"],
    "timeout": ["0", "0.1", "1", "-1", "nan", "x"],
    "executor": ["serial", "local", "slurm"],
    "progress": ["auto", "rich", "plain", "none", "dots"],
    "param": ["x=0..1", "x=0..1,log", "lr=1e-4..0.1,log", "c=a,b", "x=5", "x={low: 0, high: 1}", "y=..", "x=1..0"],
    "set": ["eta=4", "grace_seconds=1", "keep=all", "store=x", "seed=1", "nosuch=1", "max_evals=2", "num_workers=nan"],
    "state": ["FAILED", "FAILED,CRASHED", "complete", "RUNNING", "LOST", ",", "nosuch"],
    "sort": ["perf", "number", "hp.x", "x", "error", "state", "nosuch"],
    "columns": ["number,perf", "x", "number,,perf", "error", "number,number", "nosuch"],
    "format": ["table", "csv", "json", "jsonl", "yaml", "args", "env", "parquet"],
    "name": ["my_algo", "random", "tpe", "bohb", "Bad-Name", "a/b", "..", "class", "import", "nosuch"],
    "number": NUMBERS,
    "perf": [*NUMBERS, "a=1", "b=2", "perf"],
    "metric": ["acc=1", "acc=nan", "a b=1", "=1"],
    "constraint": ["c=0", "c=nan", "c=x"],
    "client_id": ["w0", "w1", "w2", "me", "", "\n", "x" * 300],
    "wait": ["0", "0.1", "-1", "1e-9"],
    "option": ["max_fidelity=9", "eta=3", "nosuch=1", "seed=1", "f=1", "mode=max", "x"],
    "reason": ["gone", "", "\n"],
    "fidelity": NUMBERS,
    "file": [*TEXTS, "binary.csv", "good.db"],
    "to": [
        "out.csv",
        "out.json",
        "out.jsonl",
        "out.parquet",
        "out.html",
        "out.db",
        "-",
        "good.db",
        "new",
        "folder",
        "out",
    ],
    "interval": ["1", "0.05", "0", "nan", "inf", "-1"],
    "folder": ["folder", ".", "/proc/self", "nosuch"],
}
VALUES["what"] += [*TEXTS, "math:sin", "json.decoder:x", ":", "a:b:c", "good.db"]
"""Words that an argument may mean something by, besides the junk."""

PLACES = {"store", "file", "what", "space", "to", "folder"}
"""Arguments that are paths."""

ENDLESS = {"wait": ("inf", "9" * 30), "timeout": ("inf",)}
"""Values that ask to wait for ever: no fault."""


def stores_of(folder: Path) -> list[str]:
    """Return the names of all stores of a folder."""
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".db"))


def random_argv(rng: random.Random, stores: list[str]) -> list[str]:
    """Return a random command line."""
    from autohpo.cli.main import COMMANDS, parser_of

    if rng.random() < 0.02:
        return rng.choice([[], ["--json"], [rng.choice(JUNK)], ["help", rng.choice(JUNK)], ["nosuch", "--json"]])
    name = rng.choice(list(COMMANDS))
    wildness = rng.choice([0.02, 0.05, 0.3])
    words: list[str] = []
    for action in parser_of(name)._actions:
        is_needed = action.required or not action.option_strings
        if action.dest in ("help", "json") or (rng.random() > (0.97 if is_needed else rng.choice([0.1, 0.4]))):
            continue
        for _ in range(rng.choice([1, 1, 2]) if type(action).__name__ == "_AppendAction" else 1):
            value = [] if action.nargs == 0 else [_value(rng, action.dest, stores, action.choices, wildness)]
            if not action.option_strings:
                words = [*words, *value]
            elif value and rng.random() < 0.5:
                words.append(f"{rng.choice(action.option_strings[-1:])}={value[0]}")
            else:
                words += [rng.choice(action.option_strings), *value]
    words += ["--json"] if rng.random() < 0.5 else []
    if rng.random() < wildness / 5:
        words.insert(rng.randrange(len(words) + 1), rng.choice(JUNK))
    return [name, *_ending(name, words)]


def _ending(name: str, words: list[str]) -> list[str]:
    """Return the words of a command that comes to an end: with a limit of time, and nothing that outlives it."""
    words = [word for word in words if word != "--detach"]
    limit = {"run": "--time-limit=0.3s", "resume": "--time-limit=0.3s", "stop": "--timeout=0.2"}.get(name)
    limit = "--wait=0.2" if name in ("ask", "tell", "fail") and _lacks(words, "--wait") else limit
    return [*words, limit] if limit else words


def _lacks(words: list[str], option: str) -> bool:
    """Whether an option is not given."""
    return not any(word.startswith(option) for word in words)


def _value(rng: random.Random, dest: str, stores: list[str], choices: object, wildness: float) -> str:
    words = [*VALUES.get(dest, ["1"])]
    if rng.random() < wildness:
        words = JUNK
    elif choices and rng.random() > wildness:
        words = list(choices)
    elif dest in PLACES and rng.random() < wildness:
        words = PATHS
    elif dest in ("store", "file") and rng.random() < 0.8:
        words = stores
    elif dest in PLACES and rng.random() < 0.2:
        words = [*words, *PATHS]
    word = rng.choice(words)
    if word == "pipe.db" and dest == "file":  # who reads a pipe waits for a writer, as `cat` does
        return "train.py"
    return "0.1" if word in ENDLESS.get(dest, ()) else word
