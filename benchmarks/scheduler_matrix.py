"""Every scheduler with every sampler: one worker, one worker killed with SIGKILL and resumed, and four workers.

Run ``python benchmarks/scheduler_matrix.py``; ``--shard 0/2`` runs every second combination. A row says whether the
log of the killed search equals that of the undisturbed one, how many trials four workers ended, and what went wrong.
Searches run in forks of this process, so that nothing is imported twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import AutoHPOError
from autohpo.store import LogEvent, SQLiteStore

SAMPLERS = ("random", "kde", "tpe", "bayes", "portfolio")
SCHEDULERS: list[tuple[str, dict[str, Any]]] = [
    ("successive_halving", {}),
    ("hyperband", {}),
    ("hyperband", {"type": "asynchronous"}),
    ("bohb", {}),
    ("bohb", {"type": "asynchronous"}),
    ("asha", {}),
    ("asha", {"first_promotions": 2}),
    ("asha", {"cost_promotion": True}),
    ("asha", {"rush": 2}),
    ("asha", {"brackets": 3}),
    ("asha", {"type": "stopping"}),
    ("pasha", {}),
    ("median_stopping", {}),
    ("mobster", {}),
    ("mobster", {"type": "stopping"}),
    ("hypertune", {}),
    ("priorband", {}),
    ("dehb", {}),
    ("pbt", {}),
]
ALONE: list[tuple[str, dict[str, Any]]] = [
    ("mobster", {"gp_resource_kernel": "exp-decay-sum"}),
    ("mobster", {"model": "gp_independent"}),
    ("hypertune", {}),
    ("dyhpo", {}),
    ("dyhpo", {"rung_increment": 2.0}),
    ("prior", {}),
    ("priorband", {}),
    ("dehb", {}),
    ("gp_multi_fidelity", {}),
    ("portfolio", {}),
    ("auto", {}),
]
SPACE = [LogRangeHP("lr", 1e-4, 1.0), RangeHP("hops", 1, 8), RangeHP("drop", 0.0, 0.9), ChoiceHP("act", ["relu", None])]
EPOCHS, MAX_EVALS, SECONDS = 9, 30, 120


def epochs(hps: dict[str, Any], seed: int) -> Iterator[float]:
    """A training whose noise follows from its seed."""
    noise = random.Random(seed)
    value = -abs(hps["drop"] - 0.3) - abs(hps["hops"] - 3) / 8 - (hps["act"] is None) / 5 - hps["lr"]
    for epoch in range(1, EPOCHS + 1):
        yield value - 0.5 / epoch + noise.gauss(0, 0.02)


def costly(hps: dict[str, Any], fidelity: float) -> dict[str, float]:
    """A training that says its cost: where that is its seconds, promotions by cost depend on the machine."""
    return {"perf": -abs(hps["drop"] - 0.3) - hps["lr"] - 0.5 / fidelity, "cost": fidelity * (1.0 + hps["hops"] / 8)}


def saved(hps: dict[str, Any], trial: Any) -> Iterator[float]:
    """A training that saves its epochs, for populations."""
    path = trial.checkpoint_dir / "n"
    n = int(path.read_text()) if path.exists() else 0
    for epoch in range(1, EPOCHS + 1):
        if epoch > n:
            path.write_text(str(epoch))
        yield -abs(hps["drop"] - 0.3) - hps["lr"] - 0.5 / epoch


def search(name: str, options: dict[str, Any], store: Path, workers: int, kill_at: int = 0) -> None:
    """One search, which kills itself at its k-th commit."""
    if kill_at:
        append, n_left = SQLiteStore.append, [kill_at]

        def appended(self: SQLiteStore, events: list[LogEvent], **given: Any) -> None:
            append(self, events, **given)
            n_left[0] -= 1
            if not n_left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        SQLiteStore.append = appended  # type: ignore[method-assign]
    cls = get_hpo(name)
    extra: dict[str, Any] = {"max_fidelity": EPOCHS} if "max_fidelity" in option_names(cls) else {}
    if cls.needs_checkpoints:
        extra["population_size"] = MAX_EVALS // 3
    points = [{"lr": 0.01, "hops": 3, "drop": 0.3, "act": "relu"}] * bool(options.get("rush"))
    f = saved if cls.needs_checkpoints else costly if "cost_promotion" in options else epochs
    hpo = build_hpo_from_name(name, SPACE, f, max_evals=MAX_EVALS, seed=0, points=points, **extra, **options)
    hpo.optimize(store=store, num_workers=workers, progress=False)


def forked(call: Callable[[], None]) -> str:
    """Return how a call in a fork ended: the empty string, the signal, or the error."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        text = ""
        try:
            os.setpgid(0, 0)
            signal.alarm(SECONDS)
            warnings.simplefilter("ignore")
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
            call()
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = "typed" if isinstance(error, AutoHPOError) else "FAULT"
            text = f"{kind} {type(error).__name__}: {str(error)[:90]} ({Path(where.filename).name}:{where.lineno})"
        os.write(writer, json.dumps(text).encode())
        os._exit(0)
    os.close(writer)
    status = os.waitpid(pid, 0)[1]
    with open(reader, "rb") as pipe:
        said = pipe.read()
    return json.loads(said) if said else f"signal {os.WTERMSIG(status)}"


def log_of(store: Path) -> list[tuple[Any, ...]]:
    """Return what must be equal in a log: suggestions, ends, and the reports of the attempts that ended."""
    if not store.exists():
        return []
    reader = SQLiteStore(store, read_only=True)
    events = list(reader.events())
    reader.close()
    last = {event.trial: event.attempt for event in events if event.kind == "end"}
    return [
        (event.kind, event.trial, {name: value for name, value in event.data.items() if name != "cost"})
        for event in events
        if event.kind in ("ask", "end") or (event.kind == "report" and event.attempt == last.get(event.trial))
    ]


def row(name: str, options: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a combination does all it should, and a line that says it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        whole, cut, four = (Path(folder) / f"{part}.db" for part in ("whole", "cut", "four"))
        said = forked(lambda: search(name, options, whole, 1))
        if said:
            return said.startswith("typed OptionError"), said
        expected = log_of(whole)
        faults, n_kills = [], 0
        for kill_at in (17, 40):
            ended = forked(lambda k=kill_at: search(name, options, cut, 1, k))
            n_kills += ended == f"signal {signal.SIGKILL}"
            if ended not in ("", f"signal {signal.SIGKILL}"):
                faults.append(ended)
        ended = forked(lambda: search(name, options, cut, 1))
        found = log_of(cut)
        if ended or found != expected:
            pairs = enumerate(zip(expected, found, strict=False))
            place = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(found)))
            faults.append(f"{ended} DIFFERENT after {n_kills} kills at {place} of {len(expected)}")
        ended = forked(lambda: search(name, options, four, 4))
        n_four = sum(kind == "end" for kind, *_ in log_of(four))
        n_one = sum(kind == "end" for kind, *_ in expected)
        if ended:
            faults.append(f"four workers: {ended}")
        if n_kills == 0:
            faults.append("never killed")
    text = f"{n_one:3d} ends, {n_kills} kills, four workers {n_four:3d} ends, {time.monotonic() - began:5.1f} s"
    return not faults, f"{text} {'; '.join(faults)}"


def main() -> None:
    """Run the combinations of a shard, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shard", default="0/1", help="K/N: every N-th combination from the K-th on")
    parser.add_argument("--only", default="", help="a part of the names of the combinations that are run")
    args = parser.parse_args()
    first, step = map(int, args.shard.split("/"))
    cases = [(name, {**options, "sampler": s}) for (name, options), s in itertools.product(SCHEDULERS, SAMPLERS)]
    bad = 0
    for name, options in (cases + ALONE)[first::step]:
        title = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
        if args.only in title:
            is_right, text = row(name, options)
            bad += not is_right
            print(f"{'ok ' if is_right else 'BAD'} {title:48s} {text}", flush=True)
    print(f"{bad} combinations are not right")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
