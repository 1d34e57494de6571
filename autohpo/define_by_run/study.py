"""Study: objectives that ask for their parameters, under this library's loop, log, workers, limits and schedulers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import CheckedPoint
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.session import session_of
from autohpo.define_by_run import algorithm as _algorithm
from autohpo.define_by_run.asked import Asked
from autohpo.define_by_run.exceptions import DuplicatedStudyError, NoTrialError, TrialPruned
from autohpo.define_by_run.frozen import frame_of, frozen
from autohpo.define_by_run.objective import PARAMS, NotCaught, TrialObjective
from autohpo.define_by_run.pruners import Pruner
from autohpo.define_by_run.samplers import Sampler
from autohpo.define_by_run.trial import FrozenTrial, Trial, TrialState
from autohpo.errors import FailuresError, NoResultError, OptimizationComplete, OptionError, shown
from autohpo.search import Search
from autohpo.spaces import OpenHP
from autohpo.store import MemoryStore, Store, open_store

__all__ = ["Study", "create_study", "load_study"]

_WAYS = {"minimize": "min", "maximize": "max"}
_ENDLESS = 10**12  # trials of a study that only its time or stop() ends


class Study:
    """A study: made by :func:`create_study` or :func:`load_study`.

    Attributes:
        study_name: Its name.
        user_attrs: What :meth:`set_user_attr` was given, in this process.
    """

    def __init__(
        self, build: Callable[..., BaseHPOptimizer], store: Store, name: str, most: float | None, names: Sequence[str]
    ) -> None:
        self._build, self._store, self.study_name = build, store, name
        self._most, self._names = most, list(names)
        self._is_stopped = False
        self._queue: list[dict[str, Any]] = []
        self.user_attrs: dict[str, Any] = {}
        self._search: Search | None = None
        self._hpo = self._opened().hpo
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        """What an objective that names its study takes along to a worker: nothing that could run trials there."""
        return {"study_name": self.study_name, "user_attrs": self.user_attrs, "_is_stopped": False}

    # Running trials.

    def optimize(
        self,
        func: Callable[[Trial], Any],
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
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
        objective = TrialObjective(func, self._names, caught, self._most)
        most = _ENDLESS if n_trials is None else self._hpo.n_asked + n_trials
        if n_trials is not None and n_trials < 1:
            raise OptionError(f"n_trials: must be at least 1, or None, got {shown(n_trials)}")
        hpo = self._hpo = self._build(f=objective, max_evals=most)
        watch = _Watch(self, hpo, objective, list(callbacks or ()))
        self._is_stopped = False
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
        self._is_stopped = True

    def ask(self) -> Trial:
        """Return a new trial, to be told by :meth:`tell`; it is in the log."""
        search = self._opened()
        watch = _Watch(self, search.hpo, None, [])
        watch.begin(self._queue)
        suggestion = search.ask()
        self._queue = watch.rest()
        return Asked(suggestion, search, self._most)

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: TrialState | None = None,
    ) -> FrozenTrial:
        """End a trial that was asked for.

        Args:
            trial: What :meth:`ask` returned; a number only where it failed, as the log has its parameters by the trial.
            values: Its value, or one for each direction.
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
            raise OptionError(f"state: PRUNED has no values, COMPLETE has some, got {shown(state)} with {shown(values)}")
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
        found = sorted([*history.trials, *history.running], key=lambda one: one.number)
        made = [frozen(one, self._most) for one in found]
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
        """ "minimize" or "maximize" for each objective."""
        return ["maximize" if sign > 0 else "minimize" for sign in self._hpo.objectives.signs]

    @property
    def direction(self) -> str:
        """The direction of the one objective."""
        return self.directions[0]

    def trials_dataframe(self) -> Any:
        """Return the trials as a DataFrame of pandas: number, value, times, params_*, user_attrs_* and state.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return frame_of(self.trials, len(self._names))

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


class _Watch:
    """Looks at the trials that end while a study runs, and ends it where somebody wants that.

    Args:
        study: The study.
        hpo: Its optimizer.
        objective: What runs; None between ask and tell.
        callbacks: The user's.
    """

    def __init__(self, study: Study, hpo: BaseHPOptimizer, objective: TrialObjective | None, callbacks: list[Any]) -> None:
        self._study, self._hpo, self._objective, self._callbacks = study, hpo, objective, callbacks
        self._suggest, self._n_seen = hpo._get_suggestion, 0
        self._fault: Exception | None = None

    def begin(self, queue: list[dict[str, Any]]) -> None:
        """Take over the queue, now that the log was read; what it says of earlier ones stands."""
        wanted = session_of(self._hpo).wanted
        missing = wanted.n_started - len(wanted.points)
        wanted.points += [CheckedPoint({PARAMS: {}})] * missing + [CheckedPoint({PARAMS: one}) for one in queue]
        self._n_seen = len(self._hpo.history.trials)
        if self._objective is not None:
            self._hpo._get_suggestion = self._suggestion  # type: ignore[method-assign]

    def rest(self) -> list[dict[str, Any]]:
        """The part of the queue that was not tried."""
        wanted = session_of(self._hpo).wanted
        return [dict(point.hp[PARAMS]) for point in wanted.points[wanted.n_started :]]

    def _suggestion(self, pid: int) -> Mapping[str, Any]:
        self.look()
        if self._study._is_stopped or self._fault is not None:
            raise OptimizationComplete("the study was stopped")
        return self._suggest(pid)

    def look(self) -> None:
        """Call the callbacks for the trials that have ended since the last look."""
        trials = self._hpo.history.trials
        while self._n_seen < len(trials) and self._fault is None:
            trial = trials[self._n_seen]
            self._n_seen += 1
            if self._objective is not None and f"{NotCaught.__module__}.{NotCaught.__name__}" in trial.error:
                text = f"f: raised what is not in catch=, and ended the study; {trial.error.strip()}"
                self._fault = self._objective.faults.get(trial.number) or FailuresError(text)
            for callback in self._callbacks:
                try:
                    callback(self._study, frozen(trial, self._study._most))
                except Exception as fault:  # it is raised where the user can see it
                    self._fault = self._fault or fault

    def raise_fault(self) -> None:
        """Raise what ended the study, if anything did."""
        if self._fault is not None:
            raise self._fault


def create_study(
    *,
    storage: Store | str | os.PathLike[str] | None = None,
    sampler: Sampler | str | Sequence[Any] | BaseHPOptimizer | None = None,
    pruner: Pruner | str | Sequence[Any] | None = None,
    study_name: str | None = None,
    direction: str | None = None,
    directions: Sequence[str] | None = None,
    load_if_exists: bool = False,
) -> Study:
    """Return a new study; or the one in the storage, which goes on where it ended.

    Args:
        storage: The path or URL of a store of this library (``"sqlite:///run.db"`` is ``"run.db"``), or a Store; None
            keeps the study in memory. A file holds one study.
        sampler: An algorithm without fidelities: its name, ``(name, options)``, an optimizer, or one of
            :mod:`autohpo.define_by_run.samplers`; None is "tpe".
        pruner: An algorithm with fidelities: its name, ``(name, options)``, or one of
            :mod:`autohpo.define_by_run.pruners`; None prunes nothing.
        study_name: The name of the study.
        direction: "minimize", which is the default, or "maximize".
        directions: One for each objective, where there are several.
        load_if_exists: Whether the storage may hold the study already; it must have been made with the same arguments.

    Raises:
        DuplicatedStudyError: The storage holds a study.
        OptionError: An argument is wrong.
        RegistryError: The sampler or the pruner is unknown.
        StoreMismatchError: The study in the storage was made with other arguments.
    """
    if direction is not None and directions is not None:
        raise OptionError("direction: must not be given together with directions")
    ways = [direction or "minimize"] if directions is None else list(directions)
    if not ways or any(way not in _WAYS for way in ways):
        raise OptionError(f"directions: must be 'minimize' or 'maximize', got {shown(ways)}")
    store = _store_of(storage)
    if not load_if_exists and _holds_run(store):
        raise DuplicatedStudyError(f"storage: {storage} holds a study; give load_if_exists=True to go on with it")
    wanted = sampler if isinstance(sampler, Sampler) else Sampler("tpe" if sampler is None else sampler)  # type: ignore[arg-type]
    ended_by = pruner if isinstance(pruner, Pruner) else _pruner_of(pruner)
    names = [f"values_{i}" for i in range(len(ways))] if len(ways) > 1 else ["perf"]
    mode: Any = {n: _WAYS[way] for n, way in zip(names, ways, strict=True)} if len(ways) > 1 else _WAYS[ways[0]]

    def build(**more: Any) -> BaseHPOptimizer:
        space, common = [OpenHP(PARAMS)], {"mode": mode, "seed": wanted.seed, **more}
        f = common.pop("f")
        if ended_by.name is None:
            return _algorithm.DefineByRun(space, f, sampler=wanted.spec, **common)
        inner = ["define_by_run", {"sampler": wanted.spec}]
        return get_hpo(ended_by.name)(space, f, sampler=inner, **ended_by.options, **common)  # type: ignore[arg-type]

    checked = build(f=None, max_evals=1)
    if ended_by.name is not None and not checked.is_multi_fidelity:
        raise OptionError(f"pruner: must be an algorithm with fidelities, got {ended_by.name!r}")
    return Study(build, store, study_name or "", checked.full_fidelity, names)


def load_study(*, storage: Store | str | os.PathLike[str], study_name: str | None = None, **arguments: Any) -> Study:
    """Return the study in a storage; its arguments must be those that it was made with.

    Args:
        storage: The path or URL of its store.
        study_name: Its name; only there for scripts that give one.
        arguments: The other arguments of :func:`create_study`.

    Raises:
        NoTrialError: There is none.
        StoreMismatchError: It was made with other arguments.
    """
    store = _store_of(storage)
    if not _holds_run(store):
        raise NoTrialError(f"storage: {storage} holds no study")
    return create_study(storage=store, study_name=study_name, load_if_exists=True, **arguments)


def _pruner_of(pruner: str | Sequence[Any] | None) -> Pruner:
    if pruner is None:
        from autohpo.define_by_run.pruners import NopPruner

        return NopPruner()
    if isinstance(pruner, str):
        return Pruner(pruner)
    if isinstance(pruner, (list, tuple)) and len(pruner) == 2 and isinstance(pruner[1], Mapping):
        return Pruner(pruner[0], **pruner[1])
    raise OptionError(f"pruner: must be a name, (name, options) or a Pruner, got {shown(pruner)}")


def _store_of(storage: Store | str | os.PathLike[str] | None) -> Store:
    if storage is None:
        return MemoryStore()
    if isinstance(storage, str) and storage.startswith("sqlite:///"):
        storage = storage[len("sqlite:///") :]
    return storage if isinstance(storage, Store) else open_store(storage)


def _holds_run(store: Store) -> bool:
    store.open()
    try:
        return store.header is not None
    finally:
        store.close()
