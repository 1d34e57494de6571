"""Import of HpBandSter's logs: as a store of ours, and as points that a search knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import Point
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import OptionError, SpaceError, StoreMismatchError
from autohpo.integrations.hpbandster.compute import numbers_of
from autohpo.integrations.hpbandster.core.result import Result, logged_results_to_HBS_result
from autohpo.integrations.hpbandster.core.runs import Run
from autohpo.integrations.hpbandster.inferring import inferred_space
from autohpo.integrations.hpbandster.plans import space_of
from autohpo.made_with import made_with
from autohpo.result import Result as OurResult
from autohpo.run_header import run_header
from autohpo.spaces import SearchSpace
from autohpo.store import LogEvent, open_store
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Outcome, Suggestion, TrialState, whole

__all__ = ["import_results", "points_of"]


def import_results(
    directory: str | os.PathLike[str], store_path: str | os.PathLike[str], configspace: Any = None, *, name: str = ""
) -> OurResult:
    """Write the results that HpBandSter logged into a new store of ours, and return them as a result of ours.

    The store can be looked at, exported, and given to ``optimize(warm_start=...)``. A run is a trial, at its budget as
    the fidelity; one at a larger budget continues the trial before it. Numbers of an info become metrics. Trials that
    another search went on from (of `previous_result`) are in no log, and so not here.

    Args:
        directory: The folder with configs.json and results.json, of HpBandSter or of this package.
        store_path: The path of the store, where there is none yet.
        configspace: The space of the run, a ConfigurationSpace or one of ours; None takes as ranges and choices what
            values there are.
        name: The name of the run; by default the folder's.

    Raises:
        LogMissingError: A file is missing.
        OptionError: A line of a file is damaged, or there is no result with a positive budget.
        SpaceError: A configuration is none of the space, or the space cannot be told from the values.
        StoreError: The store cannot be written, or has a run already.
    """
    logged = logged_results_to_HBS_result(directory)
    runs = _ordered(logged)
    budgets = logged.HB_config["budgets"]
    if not budgets or budgets[0] <= 0:
        raise OptionError(f"directory: must have results with positive budgets, got {budgets} in {directory}")
    configs = [datum.config for datum in logged.data.values()]
    space = inferred_space(configs) if configspace is None else space_of(configspace)
    hpo = _optimizer(logged, space)
    name = name or Path(directory).resolve().name
    events = sorted(_events(logged, runs, space), key=lambda event: (event.time, event.trial))
    store = open_store(store_path)
    store.open()
    try:
        if store.header is not None:
            raise StoreMismatchError(f"store: {store_path} must be new, but holds a run already")
        header = run_header(hpo, None)
        store.begin({**header, "made_with": made_with(), "name": name, "imported_from": "hpbandster"})
        store.append(events)
    finally:
        store.close()
    return OurResult.load(store_path, space)


def points_of(result: Result, space: Any = None) -> list[Point]:
    """Return the results of a run as points that a search can be given: ``build_hpo_from_name(..., points=...)``.

    Crashed runs are left out. The points have losses, so the search needs ``mode="min"``, and as its `max_fidelity` at
    least the largest budget.

    Args:
        result: The result.
        space: A space that the configurations are checked to be of; None checks nothing.

    Raises:
        SpaceError: A configuration is none of the space.
    """
    checked = None if space is None else space_of(space)
    return [
        Point(_checked(result, run, checked), run.loss, whole(run.budget))
        for run in result.get_all_runs()
        if run.loss is not None
    ]


def _checked(result: Result, run: Run, space: SearchSpace | None) -> dict[str, Any]:
    config = result[run.config_id].config
    if space is None:
        return dict(config)
    try:
        return space.checked(config)
    except SpaceError as error:
        raise SpaceError(f"configuration {run.config_id}: {error}") from None


class _Numbered(NamedTuple):
    """A run with the number of its trial, and that of the trial that it continues."""

    number: int
    resume: int | None
    run: Run


def _ordered(result: Result) -> list[_Numbered]:
    """The runs in the order in which they were submitted."""
    found: list[_Numbered] = []
    last: dict[Any, _Numbered] = {}
    for number, run in enumerate(sorted(result.get_all_runs(), key=lambda run: run.time_stamps["submitted"])):
        before = last.get(run.config_id)
        can_resume = before is not None and before.run.budget < run.budget and before.run.loss is not None
        found.append(_Numbered(number, before.number if before is not None and can_resume else None, run))
        last[run.config_id] = found[-1]
    return found


def _optimizer(result: Result, space: SearchSpace) -> BaseHPOptimizer:
    """An optimizer of ours that could have made the results."""
    budgets = result.HB_config["budgets"]
    is_model = any(isinstance(one.config_info, Mapping) and one.config_info for one in result.data.values())
    options: dict[str, Any] = {"rung_levels": list(budgets), "max_fidelity": budgets[-1], "bracket_sizes": "floor"}
    if is_model:
        options["sampler"] = "kde"
    return get_hpo("bohb" if is_model else "hyperband")(space, None, mode="min", seed=0, **options)


def _events(result: Result, runs: list[_Numbered], space: SearchSpace) -> Iterator[LogEvent]:
    """The events of the runs, trial by trial."""
    began = result.HB_config["time_ref"]
    budgets = result.HB_config["budgets"]
    for number, resume, run in runs:
        stamps = {name: began + second for name, second in run.time_stamps.items()}
        datum = result[run.config_id]
        iteration, stage, _ = run.config_id
        first = min(datum.results)
        info: dict[str, Any] = {"hpbandster": list(run.config_id)}
        if iteration >= 0:
            level = stage + budgets.index(run.budget) - budgets.index(first)
            info |= {"bracket": iteration, "rung": level}
        if isinstance(datum.config_info, Mapping) and "model_based_pick" in datum.config_info:
            info["model"] = bool(datum.config_info["model_based_pick"])
        hp = _checked(result, run, space)
        asked = Suggestion(hp, fidelity=whole(run.budget), resume=resume, info=info, number=number)
        yield LogEvent("ask", number, 0, suggestion_data(asked, space), stamps["submitted"])
        yield LogEvent("start", number, 1, {"slot": 0}, max(stamps["started"], stamps["submitted"]))
        cost = max(0.0, stamps["finished"] - stamps["started"])
        if run.loss is None:
            outcome = Outcome(TrialState.FAILED, cost=cost, error=run.error_logs or "it crashed")
        else:
            outcome = Outcome(TrialState.COMPLETE, (float(run.loss),), {}, numbers_of(run.info), cost)
        yield LogEvent(
            "end", number, 1, outcome.to_json(), max(stamps["finished"], stamps["started"], stamps["submitted"])
        )
