"""Counts: what a scenario returns, and which of them are faults."""

from __future__ import annotations

from typing import Any

Counts = dict[str, Any]

MUST_BE_ZERO = (
    "lost",  # results that were acknowledged and are not there, or not the same
    "twice",  # trials with more than one ask or end
    "wrong",  # trials with another value, state or text than theirs
    "missing",  # trials that the finished search does not have
    "running",  # trials that a finished or interrupted search left without an end
    "attempts",  # trials whose attempts are not numbered one after the other, or that run twice at once
    "different",  # runs whose log is not that of a run that nobody disturbed
    "misfolded",  # drivers that came to another result than their log folds to
    "orphans",  # processes that outlived their driver
    "bystanders",  # trials that ended badly though their worker was not touched
    "unnamed",  # killed workers whose trial does not say so, errors that name nobody
    "unreached",  # points that the search never came to
    "late",  # drivers and trials that took too long to end
    "exits",  # drivers that ended with another code than they should
    "silent",  # drivers that did not say what they should
    "admitted",  # second drivers that were let in
    "unruly",  # trials that ended otherwise than the stopping rule says
    "hangs",  # what did not end by itself
    "untyped",  # ends that are not of the kind they should be
    "errors",  # calls that raised and should not
    "infinite",  # numbers that are not finite where a model or a best result has them
    "equal_seeds",  # trials whose random numbers are those of another one
    "over",  # what took more than its limit allows
    "killed",  # trials that were ended though they broke no limit
    "unstored",  # late results that are not in the log
    "leaked",  # files, threads, processes and folders that are more than before
    "leaks",  # secrets that are found in an output
    "executions",  # code that a file from elsewhere ran
    "failed",  # tests of a suite that did not pass
)


def faults(counts: Counts) -> Counts:
    """Return the counts that should be zero and are not."""
    return {name: counts[name] for name in MUST_BE_ZERO if counts.get(name)}


def total(every: list[Counts]) -> Counts:
    """Return the sums of some counts; of a number that is no integer, the largest."""
    found: Counts = {}
    for counts in every:
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                found.setdefault(name, value)
            elif isinstance(value, int):
                found[name] = found.get(name, 0) + value
            else:
                found[name] = max(found.get(name, value), value)
    return found
