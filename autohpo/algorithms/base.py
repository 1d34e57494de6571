"""BaseHPOptimizer: the four hooks of an algorithm, and ask, tell, report and fail around them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

import numpy as np

from autohpo.algorithms.history import History, ReadOnly
from autohpo.algorithms.options import check_types
from autohpo.errors import (
    EvaluationsError,
    InvalidPerfError,
    NoResultError,
    OptimizationComplete,
    OptionError,
    SpaceError,
    SuggestionError,
)
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.trial import Suggestion, Trial, TrialState, as_perf, incumbent, short

if TYPE_CHECKING:
    from autohpo.result import Result


T = TypeVar("T")


class _Shadowable(Generic[T]):
    """A property that an attribute of the same name may cover: AutoGL's hooks keep what they like in ``self``."""

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    @overload
    def __get__(self, optimizer: None, owner: type) -> _Shadowable[T]: ...
    @overload
    def __get__(self, optimizer: object, owner: type) -> T: ...
    def __get__(self, optimizer: object, owner: type) -> T | _Shadowable[T]:
        return self if optimizer is None else self._get(optimizer)


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
        mode: "max" where a higher result of `f` is better, "min" where a lower one is.

    Attributes:
        number: Of the suggestion being made, or made next; from 0.
        trials: Finished trials in the order told; their ``perf`` is higher where it is better, in both modes. This,
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
    mode: Literal["max", "min"] = field(default="max", kw_only=True)

    def __post_init__(self) -> None:
        self.space = self.space if isinstance(self.space, SearchSpace) else SearchSpace(self.space)
        check_types(self)
        if self.max_evals is not None and self.max_evals < 1:
            raise OptionError(f"max_evals: must be at least 1, got {self.max_evals}")
        if self.seed is not None and self.seed < 0:
            raise OptionError(f"seed: must be at least 0, got {self.seed}")
        if self.space.constraints and "constraints" not in self.supports:
            from autohpo.algorithms.registry import unsupported  # here, because the registry needs this class

            raise unsupported(type(self), "constraints", "constraints on the space")
        self.is_seed_drawn = self.seed is None
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.__sign = 1 if self.mode == "max" else -1
        self.__history = History()
        self.__is_set_up = False
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

    def _update_trials(self, pid: int, hp: Suggestion, perf: float) -> None:
        """Called with each result, in the order told, after it has joined ``self.trials``.

        Failed trials do not come here: they stand in ``self.trials`` with a state and no perf.

        Args:
            pid: The worker slot that ran it.
            hp: The very suggestion, with its number and fidelity.
            perf: Finite; higher is better, in both modes.
        """

    def _best_hp(self) -> tuple[dict[str, Any], float]:
        """The best configuration and its perf (higher is better), of those with the highest fidelity."""
        best = incumbent(self.__history.told)
        if best is None or best.perf is None:
            raise NoResultError(f"no trial of {len(self.__history.told)} has a result yet")
        return dict(best.hp), best.perf

    # What an algorithm may use, and may cover with attributes of its own.

    @_Shadowable
    def rng(self) -> np.random.Generator:
        """Made anew for every call of a hook from the seed and the number, so nothing random is kept in memory."""
        if self.__rng is None:
            self.__rng = np.random.default_rng((_seed_of(self), self.n_asked))
        return self.__rng

    @_Shadowable
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; a failed one has a state and no perf."""
        return ReadOnly(self.__history.told)

    @_Shadowable
    def running(self) -> list[Suggestion]:
        """Suggestions without a result, in the order asked."""
        return [pending.suggestion for pending in self.__history.running.values()]

    @_Shadowable
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
        """How many suggestions were made."""
        return self.__history.n_asked

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
        if self.max_evals is not None and self.n_asked >= self.max_evals:
            raise OptimizationComplete(f"max_evals: {self.max_evals} suggestions were made")
        self.number, self.__rng = self.n_asked, None
        suggestion = self.__checked(self._get_suggestion(pid))
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
    def tell(self, suggestion: Suggestion, perf: object, *, is_stopped: bool = False) -> None: ...
    @overload
    def tell(self, suggestion: Iterable[tuple[Suggestion, object]]) -> None: ...
    def tell(
        self,
        suggestion: Suggestion | Iterable[tuple[Suggestion, object]],
        perf: object = None,
        *,
        is_stopped: bool = False,
    ) -> None:
        """Hands over the result of a suggestion, or of a list of ``(suggestion, perf)`` pairs.

        Each result is taken whole or refused whole; the good ones of a list are taken in its order.

        Args:
            suggestion: As asked; or the pairs.
            perf: One finite number.
            is_stopped: Whether the trial ended early because :meth:`report` said so.

        Raises:
            EvaluationsError: Some were refused: unknown, told before, or `perf` is no finite number. It names each.
        """
        is_one = isinstance(suggestion, Mapping) or perf is not None or not isinstance(suggestion, Iterable)
        batch: list[Any] = [(suggestion, perf)] if is_one else list(suggestion)
        state = TrialState.STOPPED if is_stopped else TrialState.COMPLETE
        refused: list[tuple[object, str]] = []
        for pair in batch:
            item: object = pair
            try:
                item, value = _pair(pair)
                self.__history.pending(item)
                value = self.__sign * as_perf(value)
            except (InvalidPerfError, OptionError) as error:
                refused.append((item, str(error)))
            else:  # what the hook itself raises is not the result's fault
                self.__history.finish(item, state, value, "", self.__hand_over)
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
        try:
            pending = self.__history.pending(suggestion)
            done = _amount(fidelity)
            pending.reports.append((done, self.__sign * as_perf(perf)))
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
            self.__history.finish(suggestion, state, None, reason, self.__hand_over)
        except OptionError as error:
            raise EvaluationsError([(suggestion, str(error))]) from None

    def best(self) -> tuple[dict[str, Any], float]:
        """The best configuration and its result, as the user measured it.

        Raises:
            NoResultError: No trial has a result yet.
        """
        found: object = self._best_hp()
        if not isinstance(found, tuple) or len(found) != 2:
            who = f"{type(self).__name__}._best_hp"
            raise SuggestionError(f"{who}: must return (hp, perf), got {short(found)}")
        hp, perf = found[0], _plain(found[1])
        return hp, self.__sign * perf if isinstance(perf, (int, float)) else perf

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
        )
        return run(self, trainer, dataset, options)

    # Book-keeping.

    def __checked(self, hp: Any) -> Suggestion:
        """A suggestion of the hook's own making, checked and with plain Python values."""
        who = f"{type(self).__name__}._get_suggestion"
        if not isinstance(hp, Mapping):
            raise SuggestionError(f"{who}: must return a dict, got {type(hp).__name__}")
        suggestion = hp.copy() if isinstance(hp, Suggestion) else Suggestion(hp)
        for name, value in suggestion.items():
            if not (name in self.space.names and self.space[name].contains(value)):  # a choice may be numpy's own
                suggestion[name] = _plain(value)
        if self.space.is_conditional:  # an algorithm need not know what is in force
            kept = self.space.trim(suggestion)
            for name in [name for name in suggestion if name in self.space.names]:
                if name in kept:
                    suggestion[name] = kept[name]
                else:
                    del suggestion[name]
        suggestion.fidelity, suggestion.resume = _plain(suggestion.fidelity), _plain(suggestion.resume)
        fidelity, resume = suggestion.fidelity, suggestion.resume
        try:
            self.space.check(suggestion)
            suggestion.info = json.loads(json.dumps(suggestion.info, allow_nan=False))  # as a store gives it back
        except (SpaceError, TypeError, ValueError) as error:
            raise SuggestionError(f"{who}: {error}") from error
        if fidelity is not None and not (isinstance(fidelity, (int, float)) and 0 < fidelity < math.inf):
            raise SuggestionError(f"{who}: fidelity must be positive and finite, got {short(fidelity)}")
        if resume is not None and not (type(resume) is int and 0 <= resume < self.n_asked):
            raise SuggestionError(f"{who}: resume must be the number of an earlier trial, got {short(resume)}")
        return suggestion

    def __add(self, suggestion: Suggestion) -> None:
        """Takes a suggestion, asked or adopted; both leave the same state behind."""
        self.__history.add(suggestion)
        self.number, self.__rng = self.n_asked, None

    def __hand_over(self, pid: int, hp: Suggestion, perf: float) -> None:
        """Calls the hook, with a generator that does not depend on what was drawn before."""
        self.__rng = None
        self._update_trials(pid, hp, perf)

    def __trial_seed(self) -> int:
        """For the objective, in [0, 2**31): another stream than that of the suggestion itself."""
        state = np.random.SeedSequence((_seed_of(self), self.n_asked, 1)).generate_state(1)
        return int(state[0]) & 0x7FFFFFFF


def _seed_of(optimizer: BaseHPOptimizer) -> int:
    """The seed, which is set when the optimizer is made."""
    return 0 if optimizer.seed is None else optimizer.seed


def _plain(value: Any) -> Any:
    """A numpy scalar as Python's own type; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _amount(fidelity: object) -> float:
    """How much training was done, as a plain float.

    Raises:
        OptionError: It is no finite number of at least 0.
    """
    done = _plain(fidelity)
    if not (isinstance(done, (int, float)) and 0 <= done < math.inf):
        raise OptionError(f"fidelity: must be a finite number of at least 0, got {short(fidelity)}")
    return float(done)


def _pair(item: object) -> tuple[object, object]:
    """A suggestion and its result.

    Raises:
        OptionError: It is something else.
    """
    if not (isinstance(item, (tuple, list)) and len(item) == 2):
        raise OptionError(f"result: must be a pair (suggestion, perf), got {short(item)}")
    return item[0], item[1]
