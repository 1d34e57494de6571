"""Kills programs with a controller at random moments, and lets the same program go on.

    python benchmarks/controller_kills.py --sessions 8 --kills 3 --seed 0

One line for each session and one of counts. A fault is: a finished job that is lost or has changed, a callback twice
for a job, or none for a job that the last process completed, more iterations than the cap, a process that is left, or
an error of the program that goes on. Iterations are counted by the jobs themselves.
"""

import argparse
import contextlib
import ctypes
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from autohpo import CommandObjective, HyperParameterOptimizer, Result
from autohpo.controller import UniformParameterRange

MOST, N = 9, 8
TRAIN = """
import json, pathlib, sys, time
x, most, folder, counter = float(sys.argv[1]), int(float(sys.argv[2])), pathlib.Path(sys.argv[3]), sys.argv[4]
folder.mkdir(parents=True, exist_ok=True)
saved = folder / "epoch"
done = int(saved.read_text()) if saved.exists() else 0
for epoch in range(min(done + 1, most), most + 1):
    if epoch > done:
        with open(counter, "a") as file:
            file.write("x")
        time.sleep(0.02)
        saved.with_suffix(".part").write_text(str(epoch))
        saved.with_suffix(".part").replace(saved)
    print(json.dumps({"epoch": epoch, "accuracy": x * epoch}), flush=True)
"""


def train(hps, trial):  # type: ignore[no-untyped-def]
    """Train from what was saved, and count each iteration in a file."""
    trial.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    saved = trial.checkpoint_dir / "epoch"
    done = int(saved.read_text()) if saved.exists() else 0
    for epoch in range(done + 1, 10_000):
        with Path(os.environ["COUNTER"]).open("a") as file:
            file.write("x")
        time.sleep(0.02)
        saved.with_suffix(".part").write_text(str(epoch))
        saved.with_suffix(".part").replace(saved)
        if not trial.report({"accuracy": hps["x"] * epoch}, epoch):
            return


def program(kind: str, workers: int, algorithm: str) -> None:
    """Run the search, or go on with it, in the current directory."""
    os.environ["COUNTER"] = str(Path("trained").resolve())
    Path("train.py").write_text(TRAIN)
    command = [sys.executable, "-S", str(Path("train.py").resolve()), "{x}", "{fidelity}", "{checkpoint_dir}"]
    job = train if kind == "function" else CommandObjective([*command, os.environ["COUNTER"]], metric="accuracy")
    made = HyperParameterOptimizer(
        job,
        [UniformParameterRange("x", 0.0, 1.0)],
        "validation",
        "accuracy",
        "max",
        algorithm,
        workers,
        total_max_jobs=N,
        min_iteration_per_job=1,
        max_iteration_per_job=MOST,
        max_consecutive_failures=None,
        store="run.db",
        seed=0,
    )

    def told(job_id: str, *_: object) -> None:
        with Path("told").open("a") as file:
            file.write(f"{job_id}\n")

    made.start(told)
    print("started", flush=True)
    made.wait()
    made.stop()


def children() -> list[int]:
    """The processes whose parent is this one, which orphans of its descendants become."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def reap(seconds: float) -> int:
    """Wait until no child is left; end those that stay, and return how many they were."""
    until = time.monotonic() + seconds
    while children() and time.monotonic() < until:
        time.sleep(0.05)
    left = children()
    for process in left:
        os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return len(left)


def finished(store: Path) -> dict[int, object]:
    """What is recorded of each finished job, by number."""
    try:
        result = Result.load(store)
    except Exception:  # it is not there yet
        return {}
    return {trial.number: (trial.hp, trial.perf, trial.state) for trial in result if trial.state.is_final}


def session(rng: random.Random, arguments: list[str], n_kills: int) -> Counter[str]:
    """Kill a program so many times, let it end, and count what is wrong."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder, before, earlier = Path(name), dict[int, object](), dict[int, object]()
        command = [sys.executable, str(Path(__file__).resolve()), "--program", *arguments]
        for turn in range(n_kills + 1):
            process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
            )
            assert process.stdout is not None
            process.stdout.readline()
            if turn < n_kills:
                time.sleep(rng.uniform(0.0, 2.0))
                counts["kills"] += process.poll() is None
                process.kill()
            _, errors = process.communicate(timeout=300)
            if process.returncode > 0:
                counts["no_result" if "NoResultError" in errors else "errors"] += 1
            counts["orphans"] += reap(10.0)
            now = finished(folder / "run.db")
            counts["lost"] += sum(number not in now for number in before)
            counts["changed"] += sum(number in now and now[number] != one for number, one in before.items())
            earlier, before = before, now
        told = (folder / "told").read_text().split() if (folder / "told").exists() else []
        counts["told_twice"] = len(told) - len(set(told))
        trials = [trial for trial in Result.load(folder / "run.db") if trial.perf is not None]
        numbers = {int(job_id.rsplit("-", 1)[1]) for job_id in told}
        counts["not_told"] = sum(trial.number not in numbers | set(earlier) for trial in trials)
        n_trained = (folder / "trained").stat().st_size if (folder / "trained").exists() else 0
        counts["over_the_cap"] = max(n_trained - N * MOST, 0)
        counts["completed"], counts["told"], counts["trained"] = len(trials), len(told), n_trained
    return counts


def main() -> None:
    """Run the sessions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", nargs=3, help="the program that is killed: kind, workers, algorithm")
    args = parser.parse_args()
    if args.program:
        return program(args.program[0], int(args.program[1]), args.program[2])
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
    rng, total = random.Random(args.seed), Counter[str]()
    for number in range(args.sessions):
        kind, workers = ("function", "command")[number % 2], ("1", "3")[number // 2 % 2]
        algorithm = rng.choice(["bohb", "asha", "random", "tpe"])
        counts = session(rng, [kind, workers, algorithm], args.kills)
        total += counts
        print(f"{kind} {workers} {algorithm}: {dict(counts)}", flush=True)
    faults = sum(
        total[name] for name in ("errors", "orphans", "lost", "changed", "told_twice", "not_told", "over_the_cap")
    )
    print(f"sessions {args.sessions}, kills {total['kills']}, faults {faults}, {dict(total)}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
