"""Pruner: a scheduler of ours that stops trials as a pruner of Optuna; needs ``autohpo[optuna]``."""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any, get_args, get_type_hints

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.spaces import RangeHP
from autohpo.trial import Outcome, Running, Suggestion, TrialState, whole

try:
    from optuna.pruners import BasePruner
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial
    from optuna.trial import TrialState as TheirState
except ImportError as error:
    raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error

__all__ = ["Pruner"]

_NOT_HERE = {"f", "max_evals", "mode", "points", "noise", "sampler", "budget", "min_fidelity", "max_fidelity", "type"}


class Pruner(BasePruner):
    """A scheduler of ours that stops trials, as a pruner of Optuna: ``create_study(pruner=Pruner("asha", 1, 81))``.

    ``trial.should_prune()`` is true once the scheduler stops the trial at one of its reports, and stays so. It looks at
    the same reports as in a search of ours, those of trials that run in other threads and processes included, so its
    decisions are the same. The step of a report is the resource: with ``trial.report(value, epoch + 1)`` it counts
    epochs. A value that is no finite number stops the trial.

    Optuna cannot resume a trial that ended, so what promotes paused trials is not here: ``"asha"`` is its stopping
    variant, and with ``brackets=3`` trials are judged from different rungs on, as in Hyperband.

    Args:
        name: "asha" or "median_stopping", or another algorithm that has a stopping variant.
        min_resource: The least resource at which a trial is stopped; the lowest rung of asha.
        max_resource: What a full training gets.
        seed: The seed of what is random, as the brackets are.
        options: Options of the scheduler, such as ``eta`` and ``brackets``, or ``min_trials``; and ``stop_hopeless``.

    Raises:
        MissingExtraError: Optuna is not installed.
        OptionError: The algorithm does not stop trials, or an option is unknown or breaks a rule.
        RegistryError: No algorithm has this name.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(pruner=Pruner("asha", min_resource=1, max_resource=9, eta=3))
        >>> def f(trial):
        ...     for epoch in range(1, 10):
        ...         trial.report(trial.number, epoch)
        ...         if trial.should_prune():
        ...             raise optuna.TrialPruned
        ...     return trial.number
        >>> study.optimize(f, n_trials=4)
        >>> [trial.last_step for trial in study.trials]
        [9, 9, 1, 1]
    """

    def __init__(
        self, name: str = "asha", min_resource: float = 1, max_resource: float = 100, *, seed: int = 0, **options: Any
    ) -> None:
        cls = get_hpo(name)
        known = option_names(cls)
        for option in sorted(_NOT_HERE & set(options)):
            raise OptionError(f"{option}: must not be given to a pruner, got {shown(options[option])}")
        can_stop = "stopping" in get_args(get_type_hints(cls).get("type", str))
        if not can_stop and not (cls.is_multi_fidelity and "grace_period" in known):
            raise OptionError(f"name: must be an algorithm that stops trials, as Optuna resumes none, got {name!r}")
        least = "min_fidelity" if "min_fidelity" in known else "grace_period"
        self._name = name
        self._options = {**options, least: min_resource, "max_fidelity": max_resource, "seed": seed}
        self._options |= {"type": "stopping"} if can_stop else {}
        self._options["sampler"] = "random"  # what it suggests is not used
        self._restart()
        self._build("max")  # checks the options

    def _build(self, mode: str) -> BaseHPOptimizer:
        try:
            return build_hpo_from_name(self._name, [RangeHP("x", 0.0, 1.0)], mode=mode, **self._options)
        except OptionError as error:
            text = str(error).replace("max_fidelity", "max_resource").replace("min_fidelity", "min_resource")
            raise OptionError(text) from None

    def _restart(self) -> None:
        self._lock = threading.RLock()
        self._judged: weakref.WeakKeyDictionary[Study, _Judged] = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what follows from a study."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_judged")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._restart()

    def __str__(self) -> str:
        return f"Pruner({self._name!r})"

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the scheduler has stopped a trial at one of its reports."""
        with self._lock:
            if study not in self._judged:
                mode = "min" if study.direction == StudyDirection.MINIMIZE else "max"
                self._judged[study] = _Judged(self._build(mode))
            return self._judged[study].judge(study, trial)


class _Judged:
    """The trials of one study as the scheduler sees them; a trial has the same number here and there."""

    def __init__(self, hpo: BaseHPOptimizer) -> None:
        self._session = session_of(hpo)
        self._hpo = hpo
        hpo.set_up()
        self._running: dict[int, Suggestion] = {}
        self._fed: dict[int, int] = {}  # the last step that the scheduler has seen, by trial
        self._judged: dict[int, int] = {}  # the last one at which it decided
        self._stopped: set[int] = set()

    def judge(self, study: Study, trial: FrozenTrial) -> bool:
        """Bring the scheduler up to date, and hand it the new reports of a trial one by one."""
        self._catch_up(study, trial)
        number = trial.number
        if number in self._stopped:
            return True
        running = self._session.history.find(number)
        before = self._judged.get(number, -1)
        running.reports[:] = [report for report in running.reports if report[0] <= before]  # one is seen at a time
        for step, value in _after(trial, before):
            is_number = math.isfinite(value)
            self._fed[number] = self._judged[number] = step
            if not is_number or not self._session.reported(number, step, float(value)):
                has_all = is_number and running.fidelity is not None and step >= running.fidelity
                if not has_all:
                    self._stopped.add(number)
                    return True
        return False

    def _catch_up(self, study: Study, judged: FrozenTrial) -> None:
        trials = study.get_trials(deepcopy=False)
        while self._hpo.n_asked < max(len(trials), judged.number + 1):
            suggestion = self._hpo.ask()
            self._running[suggestion.number] = suggestion
        for number in list(self._running):
            if number == judged.number or number >= len(trials):
                continue
            trial, running = trials[number], self._session.history.find(number)
            for step, value in _after(trial, self._fed.get(number, -1)):
                self._fed[number] = step
                if math.isfinite(value):
                    running.reports.append((whole(float(step)), float(value)))
            if trial.state.is_finished():
                del self._running[number]
                self._session.close(running.ended(_outcome(trial, running)))


def _after(trial: FrozenTrial, step: int) -> list[tuple[int, float]]:
    """The reports of a trial after a step, by rising step."""
    return sorted(report for report in trial.intermediate_values.items() if report[0] > step)


def _outcome(trial: FrozenTrial, running: Running) -> Outcome:
    """How a trial ended, for a scheduler."""
    if trial.state == TheirState.COMPLETE and trial.values and math.isfinite(trial.values[0]):
        return Outcome(TrialState.COMPLETE, (float(trial.values[0]),))
    if trial.state == TheirState.PRUNED and running.reports:
        step, value = running.reports[-1]
        return Outcome(TrialState.STOPPED, (value,) if isinstance(value, float) else value, reached=step)
    return Outcome(TrialState.FAILED, error=str(trial.state))
