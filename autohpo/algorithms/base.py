"""BaseHPOptimizer: the four hooks of an algorithm, and ask, tell, report and fail around them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np

from autohpo.algorithms.options import check_types
from autohpo.algorithms.parts.points import Point, checked_points
from autohpo.algorithms.parts.values import amount, checked_suggestion, pair, plain
from autohpo.errors import (
    EvaluationsError,
    InvalidPerfError,
    NoResultError,
    OptimizationComplete,
    OptionError,
    SuggestionError,
)
from autohpo.history import History, ReadOnly, Shadowable
from autohpo.objectives import Mode, Objectives
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.trial import Suggestion, Trial, TrialState, as_perf, incumbent, short

if TYPE_CHECKING:
    from autohpo.result import Result


@dataclass(eq=False)
class BaseHPOptimizer:
    """The base of every algorithm: subclass it, write ``_get_suggestion``, register it.

    What an algorithm knows must follow from its history (``self.trials`` and ``self.running``), and what it
    draws must come from ``self.rng``: then a search can be killed, resumed and repeated exactly.

    Args:
        space: The parameters to search.
        f: The objective, for :meth:`optimize`; without it use :meth:`ask` and :meth:`tell`.
        max_evals: Suggestions to make at most; a trial promoted to a higher fidelity counts again.
        seed: For everything random, 0 or more; None draws one, to be read from the attribute.
        mode: "max" where a higher result of `f` is better, "min" where a lower one is. Several objectives are a dict,
            ``{"acc": "max", "latency": "min"}``, where `f` returns a dict, or a list where it returns a tuple.
        noise: Whether results are noisy: then the best trial is the one that a model of all results expects most of,
            and not the luckiest.
        points: Configurations to try first, and pairs ``(configuration, result)`` whose result is known already; the
            latter are not run, and do not count in `max_evals`.

    Attributes:
        number: Of the suggestion being made, or made next; from 0.
        objectives: The objectives that `mode` stands for.
        trials: Finished trials in the order told; their ``perfs`` are higher where they are better, in all modes. This,
            ``running``, ``rng`` and ``hp_space`` may be covered by attributes of a subclass.
        has_fidelity: False where the objective can only be run in full; set before the first suggestion.
        time_limit: Seconds for the whole search, as given to ``optimize``; None without a limit.
        memory_limit: Bytes for each worker, as given to ``optimize``; None without a limit.

    Raises:
        SpaceError: `space` is no list of parameters.
        OptionError: An option has the wrong type or value.

    Example:
        >>> from autohpo import RangeHP
        >>> class GoldenSteps(BaseHPOptimizer):
        ...     def _get_suggestion(self, pid):
        ...         return {"x": (self.number * 0.618) % 1}
        >>> hpo = GoldenSteps([RangeHP("x", 0.0, 1.0)])
        >>> suggestion = hpo.ask()
        >>> hpo.tell(suggestion, perf=0.5)
        >>> hpo.best()
        ({'x': 0.0}, 0.5)
    """

    is_multi_fidelity: ClassVar[bool] = False
    is_deterministic: ClassVar[bool] = False  # whether the seed changes no suggestion
    option_aliases: ClassVar[Mapping[str, str]] = {}
    supports: ClassVar[frozenset[str]] = frozenset()  # of "constraints", "objectives", "outcome_constraints"
    budget_options: ClassVar[frozenset[str]] = frozenset({"max_evals"})  # may change when a stored run is resumed

    space: SearchSpace
    f: Callable[..., Any] | None = None
    max_evals: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    mode: Mode = field(default="max", kw_only=True)
    points: Sequence[Any] = field(default=(), kw_only=True)
    noise: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        self.space = self.space if isinstance(self.space, SearchSpace) else SearchSpace(self.space)
        check_types(self)
        if self.max_evals is not None and self.max_evals < 1:
            raise OptionError(f"max_evals: must be at least 1, got {self.max_evals}")
        if self.seed is not None and self.seed < 0:
            raise OptionError(f"seed: must be at least 0, got {self.seed}")
        self.objectives = Objectives.of(self.mode)
        if self.space.constraints or self.objectives.n > 1:
            from autohpo.algorithms.registry import check_support  # here, because the registry needs this class

            check_support(self)
        self.__points = checked_points(self.points, self.space, self.objectives)
        self.__n_points = self.__n_known = 0  # of those to try, suggested so far; of those known, taken so far
        self.is_seed_drawn = self.seed is None
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.__history = History()
        self.__is_set_up = self.__has_warned = False
        self.__rng: np.random.Generator | None = None
        self.number = 0
        self.has_fidelity = True
        self.time_limit: float | None = None
        self.memory_limit: int | None = None
        self.result: Result | None = None
        self.run_store: Any = None  # what optimize() used, if it was called

    # The four hooks of an algorithm; only `_get_suggestion` must be written.

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        """Called once, before the first suggestion.

        Args:
            num_workers: How many trials will run at once.
            time_limit: Seconds for the whole search, if limited.
            memory_limit: Bytes for each worker, if limited.
        """

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        """The next configuration: a dict, or a Suggestion that says the fidelity too.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There is nothing left to suggest, for ever.
            NotReady: Some running trial must end first.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _get_suggestion(self, pid)")

    def _update_trials(self, pid: int, hp: Suggestion, perf: Any) -> None:
        """Called with each result, in the order told, after it has joined ``self.trials``.

        Failed trials do not come here: they stand in ``self.trials`` with a state and no perf.

        Args:
            pid: The worker slot that ran it.
            hp: The very suggestion, with its number and fidelity.
            perf: Finite; higher is better, in both modes. Of several objectives a tuple.
        """

    def _best_hp(self) -> tuple[dict[str, Any], Any]:
        """The best configuration and its perf (higher is better), of those with the highest fidelity.

        Of several objectives the compromise that :func:`autohpo.trial.incumbent` describes, and a tuple.
        """
        best = self.best_trial()
        if best is None or best.perf is None:
            raise NoResultError(f"no trial of {len(self.__history.told)} has a result yet")
        return dict(best.hp), best.perf if self.objectives.n == 1 else best.perfs

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Mapping[str, Any]:
        """The suggestion that tries one of the user's points; for algorithms whose suggestions need more than that."""
        return hp

    # What an algorithm may use, and may cover with attributes of its own.

    @Shadowable
    def rng(self) -> np.random.Generator:
        """Made anew for every call of a hook from the seed and the number, so nothing random is kept in memory."""
        if self.__rng is None:
            self.__rng = np.random.default_rng((_seed_of(self), self.n_asked))
        return self.__rng

    @Shadowable
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; a failed one has a state and no perf."""
        return ReadOnly(self.__history.told)

    @Shadowable
    def running(self) -> list[Suggestion]:
        """Suggestions without a result, in the order asked."""
        return [pending.suggestion for pending in self.__history.running.values()]

    @Shadowable
    def hp_space(self) -> list[HPSpace]:
        """The parameters as a list, under AutoGL's name."""
        return list(self.space)

    # What an algorithm may declare.

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself, even without ``max_evals``."""
        return False

    @property
    def resumable(self) -> frozenset[int]:
        """Numbers of finished trials that may still be continued; the state of all others may be let go."""
        return frozenset()

    # What a user calls.

    @property
    def n_told(self) -> int:
        """How many suggestions have ended."""
        return len(self.__history.told)

    @property
    def n_asked(self) -> int:
        """How many suggestions were made; points whose result is known count."""
        return self.__history.n_asked

    @property
    def n_known(self) -> int:
        """How many of them were points whose result is known."""
        return self.__n_known

    @property
    def n_left(self) -> float:
        """How many suggestions `max_evals` leaves; infinite without it."""
        return math.inf if self.max_evals is None else self.max_evals - self.n_asked + self.__n_known

    def set_up(self, num_workers: int = 1, time_limit: float | None = None, memory_limit: int | None = None) -> None:
        """Gets the algorithm ready, once; :meth:`ask` and :meth:`optimize` do it where it was not done."""
        if not self.__is_set_up:
            self.time_limit, self.memory_limit = time_limit, memory_limit
            self._set_up(num_workers, time_limit, memory_limit)
            self.__is_set_up = True

    def ask(self, pid: int = 0) -> Suggestion:
        """The next suggestion. Every suggestion wants one :meth:`tell` or :meth:`fail`, in any order.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There will never be another one.
            NotReady: There may be one after the next result.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        self.set_up()
        self.__take_known()
        if self.n_left <= 0:
            raise OptimizationComplete(f"max_evals: {self.max_evals} suggestions were made")
        self.number, self.__rng = self.n_asked, None
        wanted = [point.hp for point in self.__points if point.measured is None][self.__n_points :]
        made = self._suggest_point(pid, wanted[0]) if wanted else self._get_suggestion(pid)
        who = f"{type(self).__name__}._get_suggestion"
        suggestion = checked_suggestion(who, made, self.space, self.n_asked)
        if wanted and suggestion.resume is None:
            suggestion.info["point"] = self.__n_points
        suggestion.number, suggestion.pid = self.n_asked, pid
        suggestion.seed = self.__trial_seed()
        self.__add(suggestion)
        return suggestion.copy()

    def adopt(self, suggestion: Suggestion) -> None:
        """Takes a suggestion that was made earlier as if it had been asked for: how a history is replayed.

        Raises:
            OptionError: It is not the next one in number.
            SpaceError: It is no configuration of the space.
        """
        self.set_up()
        if suggestion.number != self.n_asked:
            raise OptionError(f"suggestion: number must be the next, {self.n_asked}, got {suggestion.number}")
        self.space.check(suggestion)
        self.__add(suggestion.copy())

    @overload
    def tell(
        self, suggestion: Suggestion, perf: object, *, constraints: object = None, is_stopped: bool = False
    ) -> None: ...
    @overload
    def tell(self, suggestion: Iterable[tuple[Suggestion, object]]) -> None: ...
    def tell(
        self,
        suggestion: Suggestion | Iterable[tuple[Suggestion, object]],
        perf: object = None,
        *,
        constraints: object = None,
        is_stopped: bool = False,
    ) -> None:
        """Hands over the result of a suggestion, or of a list of ``(suggestion, perf)`` pairs.

        Each result is taken whole or refused whole; the good ones of a list are taken in its order.

        Args:
            suggestion: As asked; or the pairs.
            perf: What the objective returned: one finite number, or what ``Objectives.measure`` takes.
            constraints: A dict of them, at most 0 where met, if they do not stand in `perf`.
            is_stopped: Whether the trial ended early because :meth:`report` said so.

        Raises:
            EvaluationsError: Some were refused: unknown, told before, or `perf` is no finite number. It names each.
        """
        is_one = isinstance(suggestion, Mapping) or perf is not None or not isinstance(suggestion, Iterable)
        batch: list[Any] = [(suggestion, perf)] if is_one else list(suggestion)
        state = TrialState.STOPPED if is_stopped else TrialState.COMPLETE
        refused: list[tuple[object, str]] = []
        for one in batch:
            item: object = one
            try:
                item, value = pair(one)
                self.__history.pending(item)
                measured = self.objectives.measure(value, constraints)
            except (InvalidPerfError, OptionError) as error:
                refused.append((item, str(error)))
            else:  # what the hook itself raises is not the result's fault
                self.__finish(item, state, measured)
        if refused:
            raise EvaluationsError(refused)

    def report(self, suggestion: Suggestion, fidelity: float, perf: object) -> bool:
        """Hands over how good a running trial is so far; False means: it has had what it was given.

        Args:
            suggestion: As asked.
            fidelity: How much training was done, counted from nothing.
            perf: One finite number.

        Raises:
            EvaluationsError: The trial is not running, or `fidelity` or `perf` is not one finite number.
        """
        if self.objectives.n > 1:
            raise EvaluationsError([(suggestion, "a search for several objectives takes results only at the end")])
        try:
            pending = self.__history.pending(suggestion)
            done = amount(fidelity)
            pending.reports.append((done, self.objectives.signs[0] * as_perf(perf)))
        except (InvalidPerfError, OptionError) as error:
            raise EvaluationsError([(suggestion, str(error))]) from None
        given = pending.suggestion.fidelity
        return given is None or done < given

    def restart(self, suggestion: Suggestion) -> None:
        """Says that a running trial is started anew: what it has reported so far does not count.

        Raises:
            EvaluationsError: The trial is not running.
        """
        try:
            self.__history.pending(suggestion).reports.clear()
        except OptionError as error:
            raise EvaluationsError([(suggestion, str(error))]) from None

    def fail(self, suggestion: Suggestion, reason: str, state: TrialState = TrialState.FAILED) -> None:
        """Says that a suggestion has no result.

        Args:
            suggestion: As asked.
            reason: Kept with the trial.
            state: Any final state without a performance.

        Raises:
            EvaluationsError: The trial is not running.
            OptionError: `state` is not the end of a failed trial.
        """
        if not isinstance(state, TrialState) or state.has_perf or not state.is_final:
            raise OptionError(f"state: must be the end of a failed trial, got {state}")
        try:
            self.__history.finish(suggestion, state, reason=reason)
        except OptionError as error:
            raise EvaluationsError([(suggestion, str(error))]) from None

    def best(self) -> tuple[dict[str, Any], Any]:
        """The best configuration and its result, as the user measured it; of several objectives a tuple.

        Raises:
            NoResultError: No trial has a result yet.
        """
        found: object = self._best_hp()
        if not isinstance(found, tuple) or len(found) != 2:
            who = f"{type(self).__name__}._best_hp"
            raise SuggestionError(f"{who}: must return (hp, perf), got {short(found)}")
        hp, perf = found[0], plain(found[1])
        if self.objectives.n > 1 and isinstance(perf, (tuple, list)):
            return hp, self.objectives.up(perf)
        return hp, self.objectives.signs[0] * perf if isinstance(perf, (int, float)) else perf

    def best_trial(self) -> Trial | None:
        """The best trial by what is known of the noise; None where none has a result."""
        best = incumbent(self.__history.told)
        if best is None or not self.noise or self.objectives.n > 1:
            return best
        from autohpo.algorithms.parts.noise import LEAST, best_by_posterior_mean  # here, because it needs scipy

        rivals = [t for t in self.__history.told if t.perf is not None and t.reached == best.reached]
        rivals = [trial for trial in rivals if not trial.violation] or rivals
        return best_by_posterior_mean(self.space, rivals) if len(rivals) >= LEAST else best

    def optimize(
        self,
        trainer: Any = None,
        dataset: Any = None,
        *,
        num_workers: int = 1,
        time_limit: float | None = None,
        memory_limit: int | str | None = None,
        store: Any = None,
        trial_time_limit: float | None = None,
        progress: Literal["auto", "rich", "plain", "none"] | bool = "auto",
        continue_on_error: bool = False,
        grace_seconds: float = 10.0,
        target: float | None = None,
        patience: int | None = None,
        min_improvement: float | None = None,
        warm_start: Any = (),
    ) -> tuple[Any, Any]:
        """Runs the search and returns ``(best_hp, best_perf)``; with a trainer ``(best_trainer, best_hp)``.

        Afterwards ``self.result`` has every trial. Calling it again goes on where the history ends.

        Args:
            trainer: An object with AutoGL's ``duplicate_from_hyper_parameter``, ``train`` and ``get_valid_score``,
                to be tuned in place of ``f``.
            dataset: Handed to the trainer, or to an ``f`` that names ``dataset``.
            num_workers: How many trials run at once, each in a process of its own where there is more than one.
            time_limit: Seconds for the whole search; what runs then is cancelled.
            memory_limit: For each worker with its child processes: bytes, or a text such as "4GB".
            store: Path of an SQLite file that keeps every event; an existing one is resumed. None keeps it in memory.
            trial_time_limit: Seconds for each trial.
            progress: "rich" is one line on a terminal, "plain" prints now and then, "none" or False nothing.
            continue_on_error: Goes on even where the very first trial raises.
            grace_seconds: How long running trials may take to end when the search is interrupted or out of time.
            target: Ends the search at a result as good as this; what runs then may end.
            patience: Ends it after this many results in a row without a better one.
            min_improvement: Ends it when the algorithm expects less than this; `bayes` says what it expects.
            warm_start: Stores or results of earlier searches for the same objective. Their trials count as known where
                they are legal here; of the others the best few, with what is illegal replaced, are tried first.

        Raises:
            OptionError: An argument is wrong.
            FirstTrialError: The first trial raised: the objective is probably wrong.
            NoResultError: No trial was complete in the end.
            StoreError: The store cannot be used, holds another run, or is in use.
            KeyboardInterrupt: After Ctrl-C, once everything is saved.
        """
        # The one upward import: users expect to call optimize() on what they built, and the runner needs this class.
        from autohpo.runner import RunOptions, run

        options = RunOptions(
            num_workers=num_workers,
            time_limit=time_limit,
            memory_limit=memory_limit,
            store=store,
            trial_time_limit=trial_time_limit,
            progress=progress,
            continue_on_error=continue_on_error,
            grace_seconds=grace_seconds,
            target=target,
            patience=patience,
            min_improvement=min_improvement,
            warm_start=warm_start,
        )
        return run(self, trainer, dataset, options)

    # Book-keeping.

    def __add(self, suggestion: Suggestion) -> None:
        """Takes a suggestion, asked or adopted; both leave the same state behind."""
        self.__n_points += "point" in suggestion.info
        self.__n_known += "known" in suggestion.info
        self.__history.add(suggestion)
        self.number, self.__rng = self.n_asked, None

    def __take_known(self) -> None:
        """Takes the points whose results are known as if they had been suggested and told, before anything else."""
        known = [point for point in self.__points if point.measured is not None]
        for point in known[self.__n_known :]:
            suggestion = Suggestion(point.hp, number=self.n_asked, info={"known": True})
            self.__add(suggestion)
            self.__finish(suggestion, TrialState.COMPLETE, point.measured)

    def know(self, points: Sequence[Point]) -> None:
        """Adds points before the first suggestion: what a search brings along from earlier ones."""
        self.__points = [*points, *self.__points]

    def __finish(self, suggestion: object, state: TrialState, measured: Any) -> None:
        """Takes a result, and hands it to the hook, with a generator that does not depend on what was drawn before."""
        self.__rng = None
        if measured.constraints and "outcome_constraints" not in self.supports and not self.__has_warned:
            self.__has_warned = True
            who = type(self).__name__
            warnings.warn(f"{who}: does not look at constraints of results, only the best trial does", stacklevel=3)
        perfs = self.objectives.up(measured.perfs)
        self.__history.finish(suggestion, state, perfs, update=self._update_trials, measured=measured)

    def __trial_seed(self) -> int:
        """For the objective, in [0, 2**31): another stream than that of the suggestion itself."""
        state = np.random.SeedSequence((_seed_of(self), self.n_asked, 1)).generate_state(1)
        return int(state[0]) & 0x7FFFFFFF


def _seed_of(optimizer: BaseHPOptimizer) -> int:
    """The seed, which is set when the optimizer is made."""
    return 0 if optimizer.seed is None else optimizer.seed
