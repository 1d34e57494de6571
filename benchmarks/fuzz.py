"""Fuzz: random spaces, options, results and calls; every error must be one of ours, and nothing may hang.

Run ``python benchmarks/fuzz.py --episodes 2000 --seed 0``; a failed episode is run again with ``--only NUMBER``. An
episode is a function of its number alone. What it counts as a failure: an error that is no ``AutoHPOError``, a warning
of a numerical kind, a best result that is not finite, or more than a minute of wall time.
"""

from __future__ import annotations

import argparse
import collections
import decimal
import fractions
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from autohpo import (
    ChoiceHP,
    FixedHP,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
    available_hpos,
    build_hpo_from_name,
)
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import AutoHPOError

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_calls


class Odd:
    """An object that nobody expects."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


class Silent:
    """An object that cannot be shown, copied or asked for anything."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __reduce__(self) -> str:
        raise RuntimeError("no copy")


ODD = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        3,
        7,
        10**6,
        10**30,
        -(10**30),
        0.0,
        -0.0,
        0.5,
        1.0,
        1.5,
        -2.5,
        1e-320,
        1e308,
        -1e308,
    ),
    *(
        math.nan,
        math.inf,
        -math.inf,
        "",
        "x",
        "nan",
        "1",
        b"x",
        "\ud800",
        "a\0b",
        (),
        (1,),
        (0.0, 1.0),
        [],
        [1, 2],
        [None],
    ),
    *(
        {},
        {"x": 1},
        {"perf": 1.0},
        {1},
        np.float64(0.5),
        np.int64(3),
        np.nan,
        np.bool_(1),
        np.array(1.0),
        np.arange(3),
    ),
    *(np.array([]), np.str_("x"), 1j, decimal.Decimal("0.3"), decimal.Decimal("sNaN"), fractions.Fraction(1, 3)),
    *(
        Silent(),
        10**5000,
        [10**5000],
        {"x": Silent()},
        np.array(["a"], dtype=object),
        np.datetime64("2020"),
        np.ma.masked,
    ),
    *(Odd(), object(), int, len, lambda _: 1.0, range(3), Ellipsis, iter([1]), Exception("x")),
]
FORMULAS = [
    *("x", "x > 0", "x + y <= 0.3", "1", "1 == 2", "lambda > 1", "`x` > 1", "x in (1, 2)", "z == 'a'", "x ** 1e9 > 1"),
    *(
        "not x",
        "x and y",
        "x / 0 > 1",
        "x / y < 2",
        "((((",
        "",
        " ",
        "x == 'a'",
        "z",
        "x % 0",
        "x < y < z",
        "len(x)",
        "x.y",
    ),
    *(
        "__import__('os')",
        "x" * 5000,
        "(" * 200 + "x" + ")" * 200,
        "x == nan",
        "None",
        "x is None",
        "y - x > 0.5",
        "\0",
    ),
]
NAMES = ["x", "y", "z", "lambda", "a b", "", "hp.x", "é", "x", "perf", "1", "\ud800", "a\0b", "x" * 2000, "`", "\n"]


def some_value(rng: random.Random) -> object:
    """A value that may or may not be sensible."""
    return rng.choice(ODD) if rng.random() < 0.7 else rng.choice([rng.randint(-3, 9), rng.random(), rng.uniform(-5, 5)])


def odd_parameter(rng: random.Random) -> object:
    """A parameter made of odd arguments; making it may raise."""
    name, v = rng.choice(NAMES), lambda: some_value(rng)
    kind = rng.randrange(8)
    if kind == 0:
        return RangeHP(name, v(), v(), step=rng.choice([None, v()]))
    if kind == 1:
        return LogRangeHP(name, v(), v(), step=rng.choice([None, v()]))
    if kind == 2:
        return ChoiceHP(name, rng.choice([v(), [v() for _ in range(rng.randint(0, 4))]]))
    if kind == 3:
        return OrdinalHP(name, rng.choice([v(), [v() for _ in range(rng.randint(0, 4))]]))
    if kind == 4:
        return FixedHP(name, v())
    if kind == 5:
        return PermutationHP(name, rng.choice([v(), [v() for _ in range(rng.randint(0, 5))]]))
    if kind == 6:
        item = rng.choice([odd_parameter(rng), RangeHP("e", 0.0, 1.0)])
        return ListHP(name, item, rng.choice([v(), rng.choice(FORMULAS), 2]), max_length=rng.choice([v(), 3]))
    return RangeHP(name, 0.0, 1.0, prior=v())


def good_parameter(rng: random.Random, name: str) -> object:
    """A parameter as people write them."""
    kinds = [
        lambda: RangeHP(name, 0.0, rng.choice([1.0, 0.3, 1e-9, 1e9])),
        lambda: RangeHP(name, 0.0, 0.3, step=0.1),
        lambda: RangeHP(name, 0, rng.choice([1, 9, 10**6])),
        lambda: LogRangeHP(name, 1e-6, rng.choice([1.0, 1e6])),
        lambda: LogRangeHP(name, 1, rng.choice([8, 1024])),
        lambda: ChoiceHP(name, rng.choice([["a", "b"], [None, True, 1, "1"], list(range(40)), [(1, 2), (3,)]])),
        lambda: OrdinalHP(name, [1, 4, 16]),
        lambda: PermutationHP(name, list("abcd")),
        lambda: ListHP(name, RangeHP("e", 0.0, 1.0), 2),
        lambda: FixedHP(name, 3),
        lambda: ChoiceHP(name, ["p", "q"], children={"q": [RangeHP(name + "_child", 0.0, 1.0)]}),
    ]
    return rng.choice(kinds)()


def good_space(rng: random.Random) -> SearchSpace:
    """A space as people write them, now and then with a constraint."""
    parameters = [good_parameter(rng, f"p{i}") for i in range(rng.randint(1, 5))]
    constraints: list[object] = []
    conditions: dict[str, str] = {}
    if rng.random() < 0.2:
        parameters += [RangeHP("x", 0.0, 1.0, step=rng.choice([None, 0.1])), RangeHP("y", 0.0, 1.0)]
        if rng.random() < 0.5:
            conditions["y"] = rng.choice(["x > 0.3", "x <= 0.1 + 0.2", "True"])
        else:
            constraints.append(rng.choice(["x + y <= 0.3", "x < y", LinearConstraint({"x": 1, "y": 1}, upper=0.5)]))
    return SearchSpace(parameters, constraints=constraints, conditions=conditions)


def some_options(rng: random.Random, name: str, chance: float) -> dict[str, object]:
    """Options of an algorithm with odd values."""
    return {option: some_value(rng) for option in option_names(get_hpo(name)) if rng.random() < chance}


def told(rng: random.Random, hpo: object, n: int) -> None:
    """Ask, and tell odd results, fail, report."""
    for _ in range(n):
        suggestion = hpo.ask()
        action = rng.random()
        if action < 0.15:
            hpo.fail(suggestion, "odd")
        elif action < 0.3:
            try:
                hpo.report(suggestion, some_value(rng), some_value(rng))
            finally:
                hpo.tell(suggestion, rng.random())
        elif action < 0.5:
            try:
                hpo.tell(suggestion, some_value(rng))
            except AutoHPOError:
                hpo.tell(suggestion, rng.random())
        else:
            hpo.tell(suggestion, rng.choice([rng.random(), rng.gauss(0, 1) * 10 ** rng.randint(-300, 300), 1.0]))
    hp, perf = hpo.best()
    assert isinstance(hp, dict)
    assert math.isfinite(perf), perf


def objective(rng: random.Random) -> object:
    """An objective of some shape with some results, good and bad ones."""
    results = [rng.choice([rng.random(), rng.random(), some_value(rng)]) for _ in range(6)]

    def plain(_hps):
        return rng.choice(results)

    def reporting(_hps, trial):
        for _ in range(3):
            if not trial.report(rng.choice(results)):
                break
        return rng.choice(results)

    def steps(_hps):
        for _ in range(3):
            yield rng.choice(results)

    def budgeted(_hps, fidelity=None):  # noqa: ARG001 - asks for it
        return rng.choice(results)

    return rng.choice([plain, plain, reporting, steps, budgeted])


def episode(number: int) -> None:
    """Run one episode; what it raises says how it went."""
    rng = random.Random(number)
    names = [name for name in available_hpos() if ":" not in name]
    kind = rng.randrange(8)
    if kind > 3:
        call = rng.choice(fuzz_calls.KINDS)
        call(rng, lambda: some_value(rng), good_space(rng), number)
        return
    if kind == 0:
        parameters = [
            odd_parameter(rng) if rng.random() < 0.5 else good_parameter(rng, n) for n in NAMES[: rng.randint(1, 3)]
        ]
        extra = {}
        if rng.random() < 0.4:
            extra["conditions"] = rng.choice([{rng.choice(NAMES): rng.choice(FORMULAS)}, some_value(rng)])
        if rng.random() < 0.4:
            extra["constraints"] = rng.choice([[rng.choice(FORMULAS)], some_value(rng)])
        space = SearchSpace(parameters, **extra)
        for hp in space.sample(np.random.default_rng(number), 5):
            space.check(hp)
            space.from_json(space.to_json(hp))
        space.check({name: some_value(rng) for name in space.names})
        return
    name = rng.choice(names)
    space = good_space(rng)
    if kind == 1:
        options = some_options(rng, name, 0.25)
        points = [{p: some_value(rng) for p in space.names}] if rng.random() < 0.3 else options.get("points", ())
        told(rng, build_hpo_from_name(name, space, **{"seed": number, **options, "points": points}), 6)
    elif kind == 2:
        told(rng, build_hpo_from_name(name, space, seed=number, mode=rng.choice(["max", "min"])), 16)
    else:
        arguments = [
            "time_limit",
            "memory_limit",
            "store",
            "patience",
            "target",
            "min_improvement",
            "warm_start",
            "retries",
        ]
        arguments += ["fidelity", "grace_seconds", "num_workers", "trial_time_limit", "confirm", "executor", "name"]
        odd = {argument: some_value(rng) for argument in arguments if rng.random() < 0.06}
        if isinstance(odd.get("num_workers"), int) and odd["num_workers"] > 2:
            del odd["num_workers"]
        options = {"max_fidelity": 3} if "max_fidelity" in option_names(get_hpo(name)) else {}
        hpo = build_hpo_from_name(name, space, objective(rng), seed=number, max_evals=8, **options)
        hpo.optimize(progress=False, continue_on_error=rng.random() < 0.8, **odd)
        assert math.isfinite(hpo.result.best.perf)


def judged(number: int) -> tuple[str, str, float]:
    """Return the failure of an episode in one line, empty where it went well; how it ended, and its seconds."""
    began, ended = time.monotonic(), "to the end"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            episode(number)
            text = ""
        except AutoHPOError as error:
            text, ended = "", type(error).__name__
            str(error)
        except BaseException as fault:
            frames = traceback.extract_tb(fault.__traceback__)
            where = ([f for f in frames if "/autohpo/" in f.filename] or frames)[-1]
            text = f"{type(fault).__name__}: {str(fault)[:100]!r} at {Path(where.filename).name}:{where.lineno}"
            text += "" if where is frames[-1] else f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
    numeric = [str(w.message)[:80] for w in said if issubclass(w.category, RuntimeWarning)]
    if not text and numeric:
        text = f"warning: {numeric[0]}"
    seconds = time.monotonic() - began
    return text or ("" if seconds < LIMIT else f"took {seconds:.0f} s"), ended, seconds


LIMIT = 60.0


class _TooLong(BaseException):
    """An episode that hangs."""


def worker(first: int, n: int, step: int, found: multiprocessing.Queue) -> None:
    """Run every step-th episode of a range."""
    os.environ["PWD"] = tempfile.mkdtemp(prefix="fuzz-")
    os.chdir(os.environ["PWD"])
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process

    def ring(*_: object) -> None:
        raise _TooLong(f"more than {LIMIT:g} s")

    signal.signal(signal.SIGALRM, ring)
    for number in range(first, first + n, step):
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        said = judged(number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        found.put((number, *said))
        shutil.rmtree(".", ignore_errors=True)
        Path(os.environ["PWD"]).mkdir(exist_ok=True)
        os.chdir(os.environ["PWD"])
    found.put(fuzz_calls.TYPED)


def main() -> None:
    """Run episodes in two processes, and print every kind of failure with its first episodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first episode")
    parser.add_argument("--only", type=int, help="run one episode here, with its traceback")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if args.only is not None:
        episode(args.only)
        return
    queue: multiprocessing.Queue = multiprocessing.Queue()
    n = args.processes
    workers = [
        multiprocessing.Process(target=worker, args=(args.seed + i, args.episodes - i, n, queue)) for i in range(n)
    ]
    for process in workers:
        process.start()
    failures: dict[str, list[int]] = collections.defaultdict(list)
    n_done, slowest = 0, (0.0, 0)
    ends: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    while n:
        said = queue.get()
        if isinstance(said, collections.Counter):
            n, calls = n - 1, calls + said
            continue
        n_done += 1
        number, text, end, seconds = said
        slowest = max(slowest, (seconds, number))
        ends[end] += not text
        if text:
            failures[text].append(number)
            print(f"episode {number}: {text}", file=sys.stderr, flush=True)
        if n_done % 250 == 0:
            print(
                f"{n_done} episodes, {sum(map(len, failures.values()))} failures, slowest {slowest[0]:.1f} s",
                file=sys.stderr,
                flush=True,
            )
    for process in workers:
        process.join()
    print(f"{n_done} episodes, {sum(map(len, failures.values()))} failures")
    print(f"ends: {dict(ends.most_common())}")
    print(f"single calls with a typed error: {dict(calls.most_common())}")
    print(f"slowest: {slowest[0]:.1f} s, episode {slowest[1]}")
    for text, numbers in sorted(failures.items(), key=lambda item: -len(item[1])):
        print(f"{len(numbers):5} {text}  episodes {numbers[:3]}")


if __name__ == "__main__":
    main()
