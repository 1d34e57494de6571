"""Checks that equal seeds and equal histories give equal suggestions, in any process."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from typing import Any

import cloudpickle
import numpy as np

from autohpo.testing.cases import Case, Event, Session, every_third_fails, follow, replay, transcript
from autohpo.testing.checks import expect, expect_equal

_IN_A_CHILD = """
import json, sys, cloudpickle
from autohpo.testing.cases import transcript
print(json.dumps(transcript(cloudpickle.load(sys.stdin.buffer))))
"""


def same_seed_same_suggestions(case: Case) -> None:
    """Two searches with equal seeds and equal results make equal suggestions, so that an experiment can be repeated."""
    expect_equal(transcript(case), transcript(case), "suggestions of a second search with the same seed")


def other_seed_other_suggestions(case: Case) -> None:
    """Another seed gives other configurations, so that repetitions of an experiment are independent."""
    first, second = (Session(case.build(seed=seed)).run() for seed in (7, 8))
    hps = [[first.hpo.space.key(suggestion) for suggestion in session.asked] for session in (first, second)]
    expect(hps[0] != hps[1], "other configurations with another seed", f"the same {len(hps[0])}")


def independent_of_the_process(case: Case) -> None:
    """A process with another hash seed makes equal suggestions, so that a search can go on anywhere."""
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run(
        [sys.executable, "-c", _IN_A_CHILD],
        input=cloudpickle.dumps(case),
        capture_output=True,
        env=environment,
        timeout=300,
        check=False,
    )
    expect(child.returncode == 0, "the search to run in a child process", child.stderr.decode(errors="replace")[-500:])
    records = json.loads(child.stdout.splitlines()[-1])
    expect_equal(transcript(case), records, "suggestions in a process with another hash seed")


def survives_pickling(case: Case) -> None:
    """A pickled and restored optimizer goes on as the original does: neither randomness nor state gets lost."""
    session = Session(case.build(), n_workers=3, order="mixed", ending=every_third_fails).run(20)
    restored = pickle.loads(cloudpickle.dumps(session.hpo))
    n = len(session.events)
    session.run(10)
    follow(restored, session.events[n:], "suggestions of the restored optimizer")


def rebuilds_from_history(case: Case) -> None:
    """A fresh optimizer that is fed a history goes on as the one that made it, so that a killed search can resume."""
    _check_rebuilding(case, Session(case.build(), ending=every_third_fails).run().events)


def rebuilds_while_trials_run(case: Case) -> None:
    """The same where several trials run and end in another order: a killed search leaves running trials behind."""
    session = Session(case.build(), n_workers=5, order="newest", ending=every_third_fails)
    _check_rebuilding(case, session.run().events)


def _check_rebuilding(case: Case, events: list[Event]) -> None:
    """Feeds the beginnings of a history to fresh optimizers, which must then go along the rest of it."""
    for n in {1, len(events) // 4, len(events) // 2, len(events) * 7 // 8}:
        rebuilt = case.build()
        replay(rebuilt, events[:n])
        follow(rebuilt, events[n:], f"suggestions after {n} of {len(events)} events were replayed")


def draws_from_its_own_generator(case: Case) -> None:
    """Neither reads nor moves the global generators of Python and numpy: they belong to the user."""
    kept = _global_states()
    try:
        records = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the old global generator is what is watched
            before = _global_states()
            records.append(transcript(case))
            after = _global_states()
            expect(before[0] == after[0], "the state of Python's random to be left alone", "another state")
            expect(before[1] == after[1], "the state of numpy.random to be left alone", "another state")
        expect_equal(records[0], records[1], "suggestions with other global generators")
    finally:
        random.setstate(kept[0])
        np.random.set_state(pickle.loads(kept[1]))  # noqa: NPY002


def _global_states() -> tuple[Any, bytes]:
    """Of Python's and of numpy's global generator; numpy's as bytes, since arrays have no plain equality."""
    return random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002


def mode_min_mirrors_mode_max(case: Case) -> None:
    """Minimising -f makes the suggestions that maximising f makes: the sign is dealt with in one place."""
    if "mode" in case.options:
        case = Case(case.cls, {k: v for k, v in case.options.items() if k != "mode"})
    highest, lowest = (Session(case.build(mode=mode), n_workers=2).run() for mode in ("max", "min"))
    expect_equal(highest.records, lowest.records, "suggestions with mode='min' on -f")
