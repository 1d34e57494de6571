"""Import: a study of Optuna as a store of ours."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from autohpo.algorithms.registry import get_hpo
from autohpo.errors import SpaceError, StoreCorruptError, StoreMismatchError
from autohpo.integrations.optuna.inferring import InferredSpace
from autohpo.integrations.optuna.kept import HEADER_KEY, NOTE, TRIAL_KEY, events_of
from autohpo.integrations.optuna.library import load_optuna
from autohpo.integrations.optuna.storages import StorageArgument, one_study, opened_storage
from autohpo.integrations.optuna.writing import Writer, first_step, seconds_of
from autohpo.made_with import made_with
from autohpo.objectives import Objectives
from autohpo.result import Result
from autohpo.run_header import run_header
from autohpo.store import LogEvent, RunState, Store, open_store
from autohpo.store.described import mode_of, readable_space

__all__ = ["from_optuna_storage"]

BATCH = 10_000  # events that are written together


def from_optuna_storage(
    storage: StorageArgument,
    store: Store | str | os.PathLike[str],
    study_name: str | None = None,
    *,
    name: str = "",
    algorithm: str = "auto",
) -> Result:
    """Write a study of Optuna as a run into a new store, and return its result.

    The run can be looked at, exported, and given to ``optimize(warm_start=...)``. A study that
    :func:`to_optuna_storage` wrote becomes the run that it was. Of any other one:

    ==============================  ==================================================================================
    in Optuna                       here
    ==============================  ==================================================================================
    COMPLETE                        COMPLETE, with all the training there is; INVALID where a value is infinite
    PRUNED                          STOPPED, with its value, else its last intermediate value; FAILED without any
    FAIL                            FAILED
    RUNNING, WAITING                a trial without an end, started or not
    steps                           fidelities; they count from 1, where the study's first step is below that
    distributions                   a space of all of them; who decides which parameter is active is inferred
    user attributes, numbers        metrics
    constraints                     constraints
    everything, as it was           a note of the suggestion: views and exports give back the very trials
    ==============================  ==================================================================================

    A trial that failed before all of its parameters were suggested has the middle of the range of the others, and a
    note ``filled`` that names them.

    Args:
        storage: A storage of Optuna, the URL of a database, or the path of a journal file.
        store: The path or URL of a store where there is none yet, or a store.
        study_name: The name of the study; None where the storage has one alone.
        name: The name of the run; by default that of the study.
        algorithm: The registered name of the algorithm of the run, as a remark.

    Raises:
        OptionError: There is no such study, or several and none was named.
        PathError: The storage cannot be opened.
        SpaceError: No trial of the study has a parameter.
        StoreError: The store cannot be written, or has a run already.
        StoreCorruptError: What the study keeps of a run of ours cannot be read.
        MissingExtraError: Optuna, or the driver of the database, is not installed.
    """
    with opened_storage(storage, is_new=False) as source:
        study = _Study.of(source, one_study(source, study_name))
        header, events = _own(study) or _foreign(study, name, algorithm)
    where = f"the study {study.name!r}"
    space, mode = readable_space(header, where), mode_of(header, where)
    RunState(space, Objectives.of(mode), where).follow(events)  # before anything is written
    target = store if isinstance(store, Store) else open_store(store)
    target.open()
    try:
        if target.header is not None:
            raise StoreMismatchError(f"store: {store} must be new, but holds a run already")
        target.begin(header)
        for start in range(0, len(events), BATCH):
            target.append(events[start : start + BATCH], sync=False)
        target.append([])
        return Result.read(target, space)
    finally:
        if target is not store:
            target.close()


class _Study(NamedTuple):
    """All of a study."""

    name: str
    directions: Sequence[Any]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: Sequence[Any]

    @classmethod
    def of(cls, storage: Any, name: str) -> _Study:
        """Return a study of a storage."""
        number = storage.get_study_id_from_name(name)
        return cls(
            name,
            storage.get_study_directions(number),
            storage.get_study_user_attrs(number),
            storage.get_study_system_attrs(number),
            storage.get_all_trials(number, deepcopy=False),
        )


def _own(study: _Study) -> tuple[dict[str, Any], list[LogEvent]] | None:
    """Return header and events of a run of ours; None where the study is none, or has trials that others added."""
    header, trials = study.system_attrs.get(HEADER_KEY), study.trials
    if not isinstance(header, dict) or not all(TRIAL_KEY in trial.system_attrs for trial in trials):
        return None
    records = [trial.system_attrs[TRIAL_KEY] for trial in trials]
    try:
        times = [next((one for one in (r["started"], r["ended"]) if one is not None), math.inf) for r in records]
        asked = _asked(times)
        found = [events_of(one, number, asked[number]) for number, one in enumerate(records)]
        return header, _sorted(event for events in found for event in events)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error!s:.200}"
        raise StoreCorruptError(f"store: the study {study.name!r} keeps a run that cannot be read: {what}") from None


def _asked(times: Sequence[float]) -> list[float]:
    """Return when each trial was asked for at the latest, so that no time is before that of the trial before it."""
    latest = list(accumulate(reversed(times), min))[::-1]
    last = max((time for time in times if math.isfinite(time)), default=0.0)
    return [time if math.isfinite(time) else last for time in latest]


def _sorted(events: Iterator[LogEvent]) -> list[LogEvent]:
    """Return events in the order of their times; of those at one time the earlier trial's come first."""
    return sorted(events, key=lambda event: (event.time, event.trial))


def _foreign(study: _Study, name: str, algorithm: str) -> tuple[dict[str, Any], list[LogEvent]]:
    """Return header and events of a study that Optuna made."""
    trials = study.trials
    if not any(trial.distributions for trial in trials):
        raise SpaceError(f"study: {study.name!r} has no trial with a parameter, so nothing says what its space is")
    inferred = InferredSpace(trials)
    maximize = load_optuna().study.StudyDirection.MAXIMIZE
    ways = ["max" if direction == maximize else "min" for direction in study.directions]
    names = study.system_attrs.get("study:metric_names") or ()
    is_named = len(set(names)) == len(names) == len(ways) and all(names)
    mode: Any = dict(zip(names, ways, strict=True)) if is_named else ways[0] if len(ways) == 1 else ways
    hpo = get_hpo(algorithm)(inferred.space, None, mode=mode, seed=0)
    texts: dict[str, int] = {}
    writer = Writer(inferred, texts, len(ways), first_step(trials))
    asked = _asked([seconds_of(trial.datetime_start) if trial.datetime_start else math.inf for trial in trials])
    found = [list(writer.events(trial, number, asked[number])) for number, trial in enumerate(trials)]
    header = {
        **run_header(hpo, None),
        "made_with": made_with(),
        "name": name or study.name,
        "imported_from": NOTE,
        NOTE: {
            "study": study.name,
            "user_attrs": json.dumps(dict(study.user_attrs), default=repr),
            "system_attrs": json.dumps(dict(study.system_attrs), default=repr),
            "distributions": list(texts),
        },
    }
    return header, _sorted(event for events in found for event in events)
