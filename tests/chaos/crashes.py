"""Ways to fail: what raises, exits, dies or hangs, while it is loaded, while it runs, and as its result is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autohpo import ChoiceHP, TrialState, build_hpo_from_name
from autohpo.errors import AutoHPOError
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

Function = Callable[[dict[str, Any]], Any]
FAILED, INVALID, CRASHED = TrialState.FAILED, TrialState.INVALID, TrialState.CRASHED
HOW = ("raise", "exit", "_exit", "segv")


def do(how: str) -> Any:
    """Fail in one of the four ways."""
    import os
    import signal
    import sys

    if how == "raise":
        raise ArithmeticError("on purpose")
    if how == "exit":
        sys.exit(5)
    if how == "_exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)
    return None


class Loaded:
    """Fails as it is unpickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return do, (self.how,)


class Dumped:
    """Fails as it is pickled."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return do(self.how)


class Number:
    """Fails as somebody makes a number of it."""

    ndim = 0

    def __init__(self, how: str) -> None:
        self.how = how

    def item(self) -> Any:
        return do(self.how)


class Report(dict):  # type: ignore[type-arg]
    """Fails as its items are read."""

    def __init__(self, how: str) -> None:
        super().__init__(perf=1.0)
        self.how = how

    def items(self) -> Any:
        return do(self.how)

    __iter__ = items  # type: ignore[assignment]


class Odd(Exception):
    """Cannot be made again from its text."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"odd {first} {second}")


def others(kind: str) -> Any:
    """What loky's cases do not have."""
    import ctypes
    import os
    import sys
    import threading

    if kind == "stack overflow":  # glibc parses nested parentheses by recursion
        ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(1024), b"(" * 10**6 + b")" * 10**6, 1)
    if kind == "abort":
        os.abort()
    if kind == "sys.exit":
        sys.exit(0)
    if kind == "odd exception":
        raise Odd(1, 2)
    if kind == "recursion":
        return others("recursion")
    if kind == "no exception":
        raise KeyboardInterrupt
    if kind == "unpicklable":
        return threading.Lock()
    if kind == "1 GB":
        return b"x" * 10**9
    return {"perf": 1.0, **{f"{i:01000}": 1.0 for i in range(100_000)}}  # "huge metrics"


OTHERS = {
    "stack overflow": {CRASHED},
    "abort": {CRASHED},
    "sys.exit": {FAILED},
    "odd exception": {FAILED},
    "recursion": {FAILED},
    "no exception": {FAILED},
    "unpicklable": {INVALID},
    "1 GB": {INVALID},
    "huge metrics": {INVALID},
}


ENDS = {"raise": {FAILED}, "exit": {FAILED}, "_exit": {CRASHED}, "segv": {CRASHED}}
"""The state that each of the four ways ends in."""


def cases(*, is_long: bool) -> dict[str, set[TrialState]]:
    """Return the cases that :func:`running` knows, each with the states that it may end in."""
    found = {f"run {how}": ENDS[how] for how in HOW}
    for what in ("number", "report"):
        found |= {f"{what} {how}": ENDS[how] | ({INVALID} if how == "raise" else set()) for how in HOW}
    return found | (OTHERS if is_long else {k: v for k, v in OTHERS.items() if k not in ("1 GB", "huge metrics")})


def running() -> Function:
    """Return an objective that fails as it runs, or as its result is read."""
    made = {"number": Number, "report": Report}

    def f(hps: dict[str, Any]) -> Any:
        what, _, how = hps["kind"].partition(" ")
        if what == "good":
            return 1.0
        if what == "run":
            return do(how)
        return made[what](how) if what in made and how in HOW else others(hps["kind"])

    return f


def loaded_values(seconds: float = 20.0) -> dict[str, TrialState | None]:
    """Return the states of trials whose configuration fails as a worker loads it; None has not ended."""
    found: dict[str, TrialState | None] = dict.fromkeys(HOW)
    executor = LocalExecutor(1)
    executor.open(Objective.of(lambda hp: 1.0), lambda event: True)
    try:
        for number, how in enumerate(HOW):
            executor.submit(0, Task(number, 1, {"x": Loaded(how)}))
            until = time.monotonic() + seconds
            while found[how] is None and time.monotonic() < until:
                found[how] = next((e.outcome.state for e in executor.poll(0.1) if e.outcome is not None), None)
    finally:
        executor.close()
    return found


def refused(*, is_long: bool) -> list[AutoHPOError | None]:
    """Return the errors for objectives that cannot be pickled, or loaded: None where it was another one, or none."""
    found: list[AutoHPOError | None] = []
    for what in (Dumped("raise"), *map(Loaded, HOW if is_long else HOW[:1])):

        def f(hps: dict[str, Any], what: object = what) -> float:
            return float(what is None)

        hpo = build_hpo_from_name("grid", [ChoiceHP("kind", ["a"])], f)
        try:
            hpo.optimize(executor="local", progress=False, time_limit=20.0)
            found.append(None)
        except AutoHPOError as error:
            found.append(error)
        except BaseException:
            found.append(None)
    return found


def hangs(folder: Path) -> Function:
    """Return an objective that hangs for four seconds: asleep, in C with the interpreter held, deaf to signals.

    Args:
        folder: Where it says when it began, as a worker may take a while to be ready.
    """
    place = str(folder)

    def f(hps: dict[str, Any]) -> float:
        import contextlib
        import ctypes
        import signal
        import time

        with open(f"{place}/{hps['kind']}", "w") as file:
            file.write(str(time.time()))
        if hps["kind"] == "sleep":
            time.sleep(4)
        elif hps["kind"] == "c_loop":
            ctypes.PyDLL(None).sleep(4)
        elif hps["kind"] == "ignores":
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError):
                    signal.signal(number, signal.SIG_IGN)
            until = time.monotonic() + 4
            while time.monotonic() < until:
                time.sleep(0.1)
        return 1.0

    return f
