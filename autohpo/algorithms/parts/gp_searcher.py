"""GPMultiFidelitySearcher: the multi-fidelity process by ask and tell, with the calls of Syne Tune's searcher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from autohpo.algorithms.options import check_names
from autohpo.algorithms.parts.given_points import given_points, restricted
from autohpo.algorithms.parts.gp_options import GP_OPTIONS, GPOptions, check_gp_options
from autohpo.algorithms.parts.gp_suggester import GPSuggester
from autohpo.algorithms.parts.searcher_log import BATCH, Event, SearcherLog, space_of, without_removed
from autohpo.errors import OptimizationComplete, OptionError, shown
from autohpo.objectives import Objectives
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.surrogates.blas import one_blas_thread


class GPMultiFidelitySearcher:
    """Suggests configurations for a scheduler that compares trials at rungs, by a process of all rungs.

    It is the model of ``mobster``, for schedulers that are not ours. What it suggests follows from its seed and the
    calls that were made: two searchers that were told the same suggest the same.

    A configuration that was suggested counts as pending at the first rung, until it has a result there, or until
    :meth:`register_pending` names another rung, or :meth:`cleanup_pending` none.

    Args:
        config_space: A list of parameters, a dict of them by name, or a search space.
        metric: The name of the metric in results.
        points_to_evaluate: Configurations to suggest first, in which parameters may be missing; None is the middle of
            the space, an empty list none.
        seed: The seed of everything random, 0 or more.
        **search_options: Options of the model, by the names of ``gp_multi_fidelity``.

    Raises:
        OptionError: An option is unknown or breaks a rule.
        SpaceError: The space or a configuration breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> searcher = GPMultiFidelitySearcher({"x": RangeHP("x", 0.0, 1.0)}, metric="loss")
        >>> searcher.configure_scheduler(rungs=[1, 3], R=9, resource_attr="epoch", mode="min")
        >>> config = searcher.get_config(trial_id="0")
        >>> config
        {'x': 0.5}
        >>> searcher.register_pending("0", config, milestone=1)
        >>> searcher.on_trial_result("0", config, {"loss": 0.7, "epoch": 1})
    """

    def __init__(
        self,
        config_space: SearchSpace | Sequence[HPSpace] | Mapping[str, HPSpace],
        metric: str,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        *,
        seed: int = 0,
        **search_options: Any,
    ) -> None:
        self.space = space_of(config_space)
        check_names(type(self).__name__, search_options, GP_OPTIONS)
        self.options = GPOptions(points_to_evaluate=points_to_evaluate, **search_options)
        check_gp_options(self.options)
        if not isinstance(metric, str):
            raise OptionError(f"metric: must be the name of a metric, got {shown(metric)}")
        given_points(points_to_evaluate, self.space)  # raises for what is no configuration
        restricted(self.options.restrict_configurations, self.space)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise OptionError(f"seed: must be an integer of at least 0, got {shown(seed)}")
        self.metric, self.seed = metric, seed
        self._setting: dict[str, Any] | None = None
        self._events: list[Event] = []
        self._log: SearcherLog | None = None

    # What a scheduler says before and while it runs.

    def configure_scheduler(
        self, rungs: Sequence[float], R: float, resource_attr: str = "epoch", mode: Literal["min", "max"] = "min"
    ) -> None:
        """Say at which fidelities trials are compared; it must be called first.

        Args:
            rungs: The rungs, rising; `R` need not be among them.
            R: The fidelity of a full evaluation.
            resource_attr: The name of the fidelity in results.
            mode: Whether a lower or a higher metric is better.

        Raises:
            OptionError: The rungs do not rise, or lie above `R`; or results were told already.
        """
        levels = [float(rung) for rung in rungs if rung < R]
        is_rising = all(a < b for a, b in zip([0.0, *levels], levels, strict=False))
        if not is_rising or not 0 < R < math.inf or any(rung > R for rung in rungs):
            raise OptionError(f"rungs: must be above 0, rise, and end at most at R, {R}, got {list(rungs)}")
        if self._events:
            raise OptionError("configure_scheduler: must be called before anything is suggested or told")
        Objectives.of(mode)
        self._setting = {"rungs": levels, "R": float(R), "resource_attr": resource_attr, "mode": mode}
        self._restart()

    def register_pending(
        self, trial_id: str, config: Mapping[str, Any] | None = None, milestone: float | None = None
    ) -> None:
        """Say that a trial heads for a rung, where its result is waited for; nothing where it has a result there.

        Args:
            trial_id: The trial.
            config: The configuration; None where the trial was suggested or told before.
            milestone: The rung.

        Raises:
            OptionError: The milestone is missing, or the trial is unknown.
        """
        if milestone is None or not 0 < float(milestone) < math.inf:
            raise OptionError(f"milestone: must be the fidelity that the trial heads for, got {shown(milestone)}")
        self._know(trial_id, config)
        self._apply(["pending", trial_id, float(milestone)])

    def on_trial_result(
        self, trial_id: str, config: Mapping[str, Any] | None, result: Mapping[str, Any], update: bool = True
    ) -> None:
        """Take a result of a trial; what is no finite number is dropped.

        Args:
            trial_id: The trial.
            config: The configuration; None where the trial was suggested or told before.
            result: The metric, and how much training it stands for, by their names.
            update: Whether the model takes it; else it is left out.

        Raises:
            OptionError: The metric or the fidelity is missing or no number, or the trial is unknown.
        """
        resource_attr = self._of_setting("resource_attr")
        for name in (self.metric, resource_attr):
            if name not in result:
                raise OptionError(f"result: must have {name!r}, got {shown(sorted(result))}")
        self._know(trial_id, config)
        value, fidelity = _number(self.metric, result), _number(resource_attr, result)
        if not update or not math.isfinite(value):
            return
        if not 0 < fidelity < math.inf:
            raise OptionError(f"{resource_attr}: must be positive and finite, got {shown(result[resource_attr])}")
        name = self.options.cost_attr
        cost = None if name is None or result.get(name) is None else _number(name, result)
        self._apply(["result", trial_id, fidelity, value, cost])

    def update(self, trial_id: str, config: Mapping[str, Any] | None, result: Mapping[str, Any]) -> None:
        """Take a result of a trial, as :meth:`on_trial_result`."""
        self.on_trial_result(trial_id, config, result)

    def evaluation_failed(self, trial_id: str) -> None:
        """Say that a trial failed: it waits for nothing any more, and its configuration is never suggested again."""
        self._apply(["failed", trial_id])

    def cleanup_pending(self, trial_id: str) -> None:
        """Say that a trial waits for nothing any more: it has ended, or was stopped. Other trials still wait."""
        self._apply(["cleanup", trial_id])

    def remove_case(self, trial_id: str, r: float | None = None, **resource: float) -> None:
        """Take a result of a trial back.

        Args:
            trial_id: The trial.
            r: The fidelity of the result.
            **resource: The same by the name of the fidelity, such as ``epoch=3``.

        Raises:
            OptionError: There is no such result.
        """
        fidelity = resource.get(self._of_setting("resource_attr"), r)
        if fidelity is None or float(fidelity) not in self._opened().results.get(trial_id, []):
            raise OptionError(f"remove_case: must name a result, got trial {trial_id!r} at {shown(fidelity)}")
        self._events.append(["remove", trial_id, float(fidelity)])
        self._restart()

    # What it suggests, and from what.

    def get_config(self, trial_id: str, **_: Any) -> dict[str, Any] | None:
        """Return a configuration for a new trial; None where there is none left.

        Args:
            trial_id: The trial, which must be new.

        Raises:
            OptionError: The trial has a configuration already.
        """
        log = self._opened()
        if trial_id in log.trials:
            raise OptionError(f"trial_id: must be that of a new trial, got {trial_id!r}")
        rng = np.random.default_rng((self.seed, log.n_suggested))
        try:
            with one_blas_thread("scipy"):
                made = dict(self._suggester.suggest(rng, log.pending()))
        except OptimizationComplete:
            return None
        self._apply(["config", trial_id, self.space.to_json(made)])
        return made

    def get_batch_configs(self, batch_size: int, trial_ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return several configurations, each chosen with those before it as pending; fewer where few are left.

        They count as suggested, and are those of the trials that are named later with one of them.

        Args:
            batch_size: How many.
            trial_ids: The ids of their trials, where these are known.

        Raises:
            OptionError: The size is below 1, or there is another number of trials.
        """
        if batch_size < 1 or (trial_ids is not None and len(trial_ids) != batch_size):
            raise OptionError(f"batch_size: must be at least 1, and the number of trial_ids, got {batch_size}")
        first = self._opened().n_suggested
        names = [f"{BATCH}{first + i}" for i in range(batch_size)] if trial_ids is None else trial_ids
        found = [self.get_config(name) for name in names]
        return [config for config in found if config is not None]

    def model_parameters(self) -> dict[str, Any]:
        """Return the model after all results, and the values of its parameters, in JSON types; empty before any."""
        self._opened()
        with one_blas_thread("scipy"):
            return self._suggester.describe()

    def get_state(self) -> dict[str, Any]:
        """Return everything that the searcher knows, in JSON types; :meth:`clone_from_state` reads it."""
        n = 0 if self._log is None else self._log.n_suggested
        return {
            "points_to_evaluate": self.options.points_to_evaluate,
            "random_state": {"seed": self.seed, "n_suggested": n},
            "model_params": {} if self._log is None else self.model_parameters(),
            "state": {"scheduler": self._setting, "events": [list(event) for event in self._events]},
            "skip_optimization": {"fitted_values": self._n_fitted()},
        }

    def clone_from_state(self, state: Mapping[str, Any]) -> GPMultiFidelitySearcher:
        """Return a searcher that knows what a state says, and suggests what its searcher would; this one stays.

        Args:
            state: What :meth:`get_state` returned, also after a round trip through JSON.

        Raises:
            OptionError: It is no such state.
        """
        missing = {"points_to_evaluate", "random_state", "state"} - set(state)
        if missing:
            raise OptionError(f"state: must be what get_state returned, got one without {', '.join(sorted(missing))}")
        options = {name: getattr(self.options, name) for name in GP_OPTIONS if name != "points_to_evaluate"}
        given = state["points_to_evaluate"]
        made = type(self)(self.space, self.metric, given, seed=state["random_state"]["seed"], **options)
        setting = state["state"]["scheduler"]
        if setting is not None:
            made._setting, made._events = dict(setting), [list(event) for event in state["state"]["events"]]
            made._restart()
        return made

    def _n_fitted(self) -> int:
        """The number of values that the parameters are fitted to."""
        if self._log is None:
            return 0
        evidence = self._suggester.evidence(self._log.pending())
        return self._suggester.engine.fits.fitted_size(evidence.rows.fidelity, evidence.full)

    # What it keeps.

    def _of_setting(self, name: str) -> Any:
        if self._setting is None:
            raise OptionError("configure_scheduler: must be called first, with the rungs and R")
        return self._setting[name]

    def _opened(self) -> SearcherLog:
        if self._log is None:
            raise OptionError("configure_scheduler: must be called first, with the rungs and R")
        return self._log

    def _restart(self) -> None:
        """Read all calls anew."""
        setting = self._setting or {}
        levels = [*setting["rungs"], setting["R"]]
        self._log = SearcherLog(self.space, Objectives.of(setting["mode"]), levels[0])
        for event in without_removed(self._events):
            self._log.apply(event)
        history = self._log.history
        self._suggester = GPSuggester(history, self.options, seed=self.seed, full=setting["R"], levels=levels)

    def _know(self, trial_id: str, config: Mapping[str, Any] | None) -> None:
        """Takes a trial that was not suggested here, or only in a batch without names."""
        log = self._opened()
        if trial_id in log.trials:
            return
        if config is None:
            raise OptionError(f"trial_id: must be that of a trial that was suggested or told, got {trial_id!r}")
        hp = self.space.checked({name: config[name] for name in self.space.names if name in config})
        name = log.unclaimed(hp)
        self._apply(["config", trial_id, self.space.to_json(hp)] if name is None else ["claim", trial_id, name])

    def _apply(self, event: Event) -> None:
        self._opened().apply(event)
        self._events.append(event)


def _number(name: str, result: Mapping[str, Any]) -> float:
    """The number that a result has under a name.

    Raises:
        OptionError: It is none.
    """
    try:
        return float(result[name])
    except (TypeError, ValueError):
        raise OptionError(f"result: must have a number for {name!r}, got {shown(result[name])}") from None
