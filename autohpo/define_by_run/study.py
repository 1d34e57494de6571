"""Study: objectives that ask for their parameters, under this library's loop, log, workers, limits and schedulers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import session_of
from autohpo.define_by_run.asked import Asked
from autohpo.define_by_run.distributions import Distribution
from autohpo.define_by_run.exceptions import NoTrialError, TrialPruned
from autohpo.define_by_run.frozen import frame_of, frozen
from autohpo.define_by_run.objective import PARAMS, TrialObjective
from autohpo.define_by_run.trial import FrozenTrial, Trial, TrialState
from autohpo.define_by_run.watch import Watch
from autohpo.errors import NoResultError, OptionError, shown
from autohpo.search import Search
from autohpo.spaces import OpenHP
from autohpo.store import Store

__all__ = ["Study"]

_ENDLESS = 10**12  # trials of a study that only its time or stop() ends


class Study:
    """A study: made by :func:`create_study` or :func:`load_study`.

    Args:
        build: Returns the optimizer, for an objective and a number of trials.
        store: The log.
        name: The name; that in the log counts.
        most: The resource of a full training; None where nothing is trained in part.
        names: The names of the objectives.

    Attributes:
        study_name: The name of the study.
        most: The argument of that name.
        is_stopped: Whether it was stopped, and begins no trial.
        user_attrs: What :meth:`set_user_attr` was given, in this process.
    """

    def __init__(
        self,
        build: Callable[..., BaseHPOptimizer],
        store: Store,
        *,
        name: str,
        most: float | None,
        names: Sequence[str],
    ) -> None:
        self._build, self._store, self.study_name = build, store, name
        self.most, self._names = most, list(names)
        self.is_stopped = False
        self._queue: list[dict[str, Any]] = []
        self.user_attrs: dict[str, Any] = {}
        self._search: Search | None = None
        self._hpo = self._opened().hpo
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        """What an objective that names its study takes along to a worker: nothing that could run trials there."""
        return {"study_name": self.study_name, "user_attrs": self.user_attrs, "is_stopped": False}

    # Running trials.

    def optimize(
        self,
        func: Callable[[Trial], Any],
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        *,
        catch: type[BaseException] | Iterable[type[BaseException]] = (),
        callbacks: Iterable[Callable[[Study, FrozenTrial], None]] | None = None,
        show_progress_bar: bool = False,
        **options: Any,
    ) -> None:
        """Run trials.

        Args:
            func: Takes a trial, asks it for parameters, and returns a number, or one for each direction.
            n_trials: How many more trials; None ends with the timeout, or with :meth:`stop`.
            timeout: Seconds for all of them; what runs then is cancelled, and runs again when the study goes on.
            n_jobs: How many run at once, each in a process of its own where there is more than one; -1 is one a core.
            catch: Exceptions that end a trial, which is FAIL, and not the study.
            callbacks: Called with the study and each trial that has ended, in this process.
            show_progress_bar: Whether the terminal shows the progress.
            options: Further options of :meth:`autohpo.BaseHPOptimizer.optimize`: ``memory_limit``,
                ``trial_time_limit``, ``retries``, ``gpus``, ``executor`` and so on.

        Raises:
            Exception: What the objective raised in this process, if it is not caught.
            FailuresError: It raised so in another process; the text has the traceback.
            OptionError: An argument is wrong.
        """
        self._close()
        if n_jobs == -1:
            n_jobs = os.cpu_count() or 1
        caught = (catch,) if isinstance(catch, type) else tuple(catch)
        objective = TrialObjective(func, self._names, caught, self.most)
        most = _ENDLESS if n_trials is None else self._hpo.n_asked + n_trials
        if n_trials is not None and n_trials < 1:
            raise OptionError(f"n_trials: must be at least 1, or None, got {shown(n_trials)}")
        hpo = self._hpo = self._build(f=objective, max_evals=most)
        watch = Watch(self, hpo, objective, list(callbacks or ()))
        self.is_stopped = False
        session_of(hpo).on_begin = lambda _: watch.begin(self._queue)
        with contextlib.suppress(NoResultError):  # that no trial is complete is seen in the trials
            hpo.optimize(
                num_workers=n_jobs,
                time_limit=timeout,
                store=self._store,
                name=self.study_name,
                progress="auto" if show_progress_bar else "none",
                **{"continue_on_error": True, "max_consecutive_failures": None, **options},
            )
        watch.look()
        self._queue = watch.rest()
        watch.raise_fault()

    def stop(self) -> None:
        """Start no more trials; from a callback, or from an objective that runs in this process."""
        self.is_stopped = True

    def ask(self, fixed_distributions: Mapping[str, Distribution] | None = None) -> Trial:
        """Return a new trial, to be told by :meth:`tell`; it is in the log.

        Args:
            fixed_distributions: What the trial is asked for at once, by name.

        Raises:
            OptionError: One is no distribution of :mod:`autohpo.define_by_run.distributions`.
            SpaceError: One makes no sense.
        """
        search = self._opened()
        watch = Watch(self, search.hpo, None, [])
        watch.begin(self._queue)
        suggestion = search.ask()
        self._queue = watch.rest()
        trial = Asked(suggestion, search, self.most)
        for name, distribution in (fixed_distributions or {}).items():
            trial.suggest(name, distribution)
        return trial

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: TrialState | None = None,
    ) -> FrozenTrial:
        """End a trial that was asked for.

        Args:
            trial: What :meth:`ask` returned; a number only where it failed, as the log has its parameters by the trial.
            values: The value, or one for each direction.
            state: COMPLETE, PRUNED (its value is what it reported last) or FAIL; None sees by the values.

        Raises:
            OptionError: The trial was not asked for in this process, or state and values do not fit.
            EvaluationsError: It has ended before, or the value is no finite number.
        """
        search = self._opened()
        number = trial if isinstance(trial, int) else trial.number
        if state == TrialState.FAIL or (state is None and values is None):
            search.fail(number, "told as failed")
        elif not isinstance(trial, Asked):
            raise OptionError(f"trial: must be what ask() returned, got {shown(trial)}")
        elif (state == TrialState.PRUNED) == (values is not None) or state not in (None, *TrialState):
            raise OptionError(
                f"state: PRUNED has no values, COMPLETE has some, got {shown(state)} with {shown(values)}"
            )
        else:
            try:
                result = trial.result(self._names, values, is_pruned=state == TrialState.PRUNED)
            except TrialPruned:
                search.fail(number, f"{TrialPruned.__name__}: before its first report")
            else:
                search.tell(number, result)
        return self.trials[number]

    def enqueue_trial(self, params: Mapping[str, Any], user_attrs: Any = None, skip_if_exists: bool = False) -> None:
        """Try these parameters before others; those that are missing are drawn. The queue is in memory alone.

        Args:
            params: Values by name.
            user_attrs: Not kept; only there for scripts that give None.
            skip_if_exists: Whether to leave it out where a trial had these values.

        Raises:
            OptionError: A value is none that a log can hold, or `user_attrs` are given.
        """
        made = dict(params)
        if user_attrs:
            raise OptionError(f"user_attrs: must be set by the objective, trial.set_user_attr, got {shown(user_attrs)}")
        if not OpenHP(PARAMS).contains(made):
            raise OptionError(f"params: must be a dict from name to None, bool, number or string, got {shown(params)}")
        known = [trial.params for trial in self.trials] + self._queue
        if not (skip_if_exists and any(made.items() <= one.items() for one in known)):
            self._queue.append(made)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a value with the study, in this process."""
        self.user_attrs[key] = value

    # Reading trials.

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials by number, those that run among them."""
        return self.get_trials()

    def get_trials(self, deepcopy: bool = True, states: Iterable[TrialState] | None = None) -> list[FrozenTrial]:
        """Return all trials by number, or those in some states; `deepcopy` changes nothing, as trials cannot change."""
        history = self._hpo.history
        known: list[Any] = [*history.trials, *history.running]
        found = sorted(known, key=lambda one: one.number)
        made = [frozen(one, self.most) for one in found]
        return made if states is None else [trial for trial in made if trial.state in tuple(states)]

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """The complete trials that no other one is better than in every objective."""
        signs = self._hpo.objectives.signs
        done = self.get_trials(states=[TrialState.COMPLETE])
        scores = [[sign * one for sign, one in zip(signs, trial.values or (), strict=True)] for trial in done]
        return [
            trial
            for trial, own in zip(done, scores, strict=True)
            if not any(o != own and all(a >= b for a, b in zip(o, own, strict=True)) for o in scores)
        ]

    @property
    def best_trial(self) -> FrozenTrial:
        """The complete trial with the best value; of equals the first.

        Raises:
            NoTrialError: None is complete.
            OptionError: There are several directions.
        """
        if len(self._names) > 1:
            raise OptionError("best_trial: must be of one direction, as several have no single best; see best_trials")
        done = self.get_trials(states=[TrialState.COMPLETE])
        if not done:
            raise NoTrialError(f"best_trial: no trial of {self._hpo.n_asked} is complete")
        sign = self._hpo.objectives.signs[0]
        return max(done, key=lambda trial: sign * (trial.value or 0.0))

    @property
    def best_params(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        return dict(self.best_trial.params)

    @property
    def best_value(self) -> float:
        """The value of the best trial."""
        return float(self.best_trial.value or 0.0)

    @property
    def directions(self) -> list[str]:
        """The direction of each objective, "minimize" or "maximize"."""
        return ["maximize" if sign > 0 else "minimize" for sign in self._hpo.objectives.signs]

    @property
    def direction(self) -> str:
        """The direction of the one objective."""
        return self.directions[0]

    def trials_dataframe(self, attrs: Sequence[str] | None = None) -> Any:
        """Return the trials as a DataFrame of pandas: number, value, times, params_*, user_attrs_* and state.

        Args:
            attrs: The columns to keep, in this order, such as ``("number", "value", "params", "state")``; None has all.

        Raises:
            MissingExtraError: pandas is not installed.
            OptionError: There is no such column.
        """
        return frame_of(self.trials, len(self._names), attrs)

    def _opened(self) -> Search:
        if self._search is None:
            if not hasattr(self, "_build"):
                raise OptionError("study: cannot be used in a worker; ask the trial")
            self._hpo = self._build(f=None, max_evals=_ENDLESS)
            self._search = Search(self._hpo, self._store, name=self.study_name)
            self._search.open()
            self.study_name = self._search.name
        return self._search

    def _close(self) -> None:
        """Give the log free."""
        search, self._search = self._search, None
        if search is not None:
            search.close()
