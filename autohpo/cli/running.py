"""What ``run`` and ``resume`` share: their options, as words and back, and what they print of a search."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

Option = tuple[Callable[[str], Any], str, str]
"""The type of an option, the name of its value, and its help."""


def number(text: str) -> int | float:
    """Return the number that a text stands for: an integer where it is written as one.

    Raises:
        ValueError: It is none.
    """
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)


CHANGING: dict[str, Option] = {
    "max_evals": (int, "N", "trials to make at most"),
    "budget": (number, "B", "full evaluations to spend at most, where an algorithm trains some trials less"),
    "num_workers": (int, "N", "trials that run at once, each in a process of its own"),
    "time_limit": (str, "TIME", "time for the whole search: 90, 30m, 2h, 1d"),
    "trial_time_limit": (str, "TIME", "time for each trial"),
    "cost_limit": (str, "X", "what all trials may cost together: a time, or a number in the objective's own unit"),
    "memory_limit": (str, "SIZE", "memory of each worker, such as 4GB"),
    "memory_by": (str, "WAY", "how --memory-limit is held: rss, cgroup or address-space"),
    "gpu_memory_limit": (str, "SIZE", "GPU memory of each worker, such as 8GB"),
    "target": (number, "X", "end at a result as good as this"),
    "patience": (int, "N", "end after so many results in a row without a better one"),
    "confirm": (int, "K", "train the K best anew in the end, with fresh seeds"),
    "executor": (
        str,
        "NAME",
        "where trials run: serial, local, dask, ray, joblib, or an address such as tcp://host:8786",
    ),
    "progress": (str, "KIND", "auto, rich, plain or none"),
}
"""The options that a resume may change: type, name of the value, help."""

ONCE: dict[str, Option] = {
    "algorithm": (str, "NAME", "the algorithm; see `autohpo algorithms`"),
    "seed": (int, "N", "a number for everything random"),
    "mode": (str, "WAY", "max or min; of several objectives acc=max,latency=min"),
    "min_fidelity": (number, "F", "the least that a trial is trained, such as epochs"),
    "max_fidelity": (number, "F", "the most that a trial is trained"),
    "store": (str, "STORE", "path of the store; by default WHAT's name with .db, here; none keeps nothing"),
    "name": (str, "NAME", "a name of the run, kept in the store"),
    "space": (str, "WHERE", "the search space: a YAML or TOML file, or module:name"),
}
"""The options that make a run what it is."""

LISTS = {"param": "-p", "set": "-s"}
"""The options that may be given several times, and their short forms."""


def flag_of(name: str) -> str:
    """Return an option of the command line by its name."""
    return f"--{name.replace('_', '-')}"


def add_options(parser: argparse.ArgumentParser, names: dict[str, Option]) -> None:
    """Add options to a parser."""
    for name, (kind, value, text) in names.items():
        parser.add_argument(flag_of(name), type=kind, metavar=value, help=text)


def words_of(args: argparse.Namespace) -> list[str]:
    """Return the words of a command line of ``run`` that say the same as what was parsed.

    Args:
        args: What was parsed.
    """
    words = ["run", args.what]
    for name in (*CHANGING, *ONCE):
        value = getattr(args, name)
        if value is not None:
            words.append(f"{flag_of(name)}={value}")
    for name in LISTS:
        words += [f"{flag_of(name)}={value}" for value in getattr(args, name) or ()]
    return [*words, "--json"] if args.json else words


def shown_number(value: Any) -> str:
    """Return a number as people read it; anything else as its text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def shown_hp(hp: Any) -> list[str]:
    """Return a line for each parameter of a configuration."""
    width = max((len(str(name)) for name in hp), default=0)
    return [f"  {name!s:{width}}  {shown_number(value)}" for name, value in hp.items()]


def shown_states(counts: dict[str, int]) -> str:
    """Return how many trials ended in each way."""
    n = sum(counts.values())
    parts = [f"{k} {state.lower()}" for state, k in counts.items()]
    return f"{n} trial{'' if n == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")


def quoted(words: Sequence[str]) -> str:
    """Return words as a shell reads them."""
    import shlex

    return shlex.join(words)
