"""BaseHPOptimizer: the hooks of an algorithm, what it may look at, and what a user calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

import numpy as np

from autohpo.algorithms.options import check_support, check_types
from autohpo.algorithms.parts.points import Point, checked_points
from autohpo.algorithms.parts.shadowable import Shadowable
from autohpo.algorithms.parts.values import plain
from autohpo.algorithms.session import Session
from autohpo.errors import EvaluationsError, NoResultError, OptionError, SuggestionError, short
from autohpo.history import History
from autohpo.objectives import Mode, Objectives, incumbent
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.trial import Outcome, Suggestion, Trial, TrialState

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autohpo.algorithms.options import RunArguments
    from autohpo.result import Result

Trainer = TypeVar("Trainer")


@dataclass(eq=False)
class BaseHPOptimizer:
    """The base of every algorithm: subclass it, write ``_get_suggestion``, register it.

    What an algorithm knows must follow from ``self.history``, and what it draws must come from ``self.rng``: then a
    search can be killed, resumed and repeated exactly.

    Args:
        space: The parameters to search.
        f: The objective, for :meth:`optimize`; without it use :meth:`ask` and :meth:`tell`.
        max_evals: Suggestions to make at most; a trial promoted to a higher fidelity counts again.
        seed: A number for everything random, 0 or more; None draws one, to be read from the attribute.
        mode: "max" where a higher result of `f` is better, "min" where a lower one is. Several objectives are a dict,
            ``{"acc": "max", "latency": "min"}``, where `f` returns a dict, or a list where it returns a tuple.
        noise: Whether results are noisy: then the best trial is the one that a model of all results expects most of,
            and not the luckiest.
        points: Configurations to try first, and pairs ``(configuration, result)`` whose result is known already; the
            latter are not run, and do not count in `max_evals`.

    Attributes:
        number: The number of the suggestion being made, or made next; from 0.
        objectives: The objectives that `mode` stands for.
        history: Finished and running trials, their reports and costs, and views of one fidelity. This, ``trials``,
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
    reads_fidelity: ClassVar[bool] = False  # whether it learns from trials of several fidelities, told apart
    needs_checkpoints: ClassVar[bool] = False  # whether it forks trials: the objective must save its state
    ends_with_space: ClassVar[bool] = False  # whether it ends once all configurations of a finite space were tried
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
        check_support(self)
        points = checked_points(self.points, self.space, self.objectives)
        self.is_seed_drawn = self.seed is None
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.__session = Session(self, points)
        self.number = 0
        self.has_fidelity = True
        self.time_limit: float | None = None
        self.memory_limit: int | None = None
        self.result: Result | None = None
        self.run_store: Any = None  # what optimize() used, if it was called

    # The hooks of an algorithm; only `_get_suggestion` must be written.

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        """Called once, before the first suggestion.

        Args:
            num_workers: How many trials will run at once.
            time_limit: Seconds for the whole search, if limited.
            memory_limit: Bytes for each worker, if limited.
        """

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        """Return the next configuration: a dict, or a Suggestion that says the fidelity too.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There is nothing left to suggest, for ever.
            NotReady: Some running trial must end first.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _get_suggestion(self, pid)")

    def _update_trials(self, pid: int, hp: Suggestion, perf: Any) -> None:
        """Called with each result, in the order told, after it has joined ``self.trials``.

        Failed trials do not come here: they stand in ``self.trials`` with a state and no score.

        Args:
            pid: The worker slot that ran it.
            hp: The very suggestion, with its number and fidelity.
            perf: A finite number, higher is better in both modes; a tuple where there are several objectives.
        """

    def _on_report(self, hp: Suggestion, fidelity: float, perf: float) -> bool:
        """Return whether a running trial goes on; called with each of its reports.

        The report is the last one in ``self.history``, of the running trial of that number. A trial that is ended here
        becomes STOPPED, with what it reported last as its result.

        Args:
            hp: The very suggestion, with its number and fidelity.
            fidelity: How much training is done, counted from nothing.
            perf: A finite number, higher is better in both modes.
        """
        return True

    def _best_hp(self) -> tuple[dict[str, Any], Any]:
        """Return the best configuration and its perf (higher is better), of those with the highest fidelity.

        With several objectives it is the compromise that :func:`autohpo.objectives.incumbent` describes, and a tuple.
        """
        best = self.best_trial()
        if best is None or best.score is None:
            raise NoResultError(
                f"best: no trial of {self.n_told} has a result yet; call optimize(), or ask() and tell()"
            )
        return dict(best.hp), best.score if self.objectives.n == 1 else best.scores

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Mapping[str, Any]:
        """Return the suggestion that tries a point of the user's; some algorithms say more in it than the point."""
        return hp

    # What an algorithm may use, and may cover with attributes of its own.

    @Shadowable
    def history(self) -> History:
        """Everything that the algorithm may know: trials, running ones with their reports, costs, and views."""
        return self.__session.history

    @Shadowable
    def rng(self) -> np.random.Generator:
        """The generator for this call of a hook, made from the seed and the number: nothing random is kept."""
        return self.__session.rng

    @Shadowable
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; a failed one has a state and no score."""
        return self.__session.history.trials

    @Shadowable
    def running(self) -> list[Suggestion]:
        """The suggestions without a result, in the order asked."""
        return [running.suggestion for running in self.__session.history.running]

    @Shadowable
    def hp_space(self) -> list[HPSpace]:
        """The parameters as a list, under AutoGL's name."""
        return list(self.space)

    # What an algorithm may declare.

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself, even without ``max_evals``."""
        return self.ends_with_space and self.space.n_configurations is not None

    @property
    def resumable(self) -> frozenset[int]:
        """The finished trials that may still be continued or forked; the state of all others may be let go."""
        return frozenset()

    def why(self, number: int) -> str:
        """Return why a trial went on, paused or stopped; the empty string where the algorithm has no reason.

        Args:
            number: The number of a finished trial.
        """
        return ""

    # What a user calls.

    @property
    def n_told(self) -> int:
        """How many suggestions have ended."""
        return self.__session.history.n_told

    @property
    def n_asked(self) -> int:
        """How many suggestions were made; points whose result is known count."""
        return self.__session.history.n_asked

    @property
    def n_known(self) -> int:
        """How many of them were points whose result is known."""
        return self.__session.n_known

    @property
    def n_left(self) -> float:
        """How many suggestions `max_evals` leaves; infinite without it."""
        return math.inf if self.max_evals is None else self.max_evals - self.n_asked + self.n_known

    def set_up(self, num_workers: int = 1, time_limit: float | None = None, memory_limit: int | None = None) -> None:
        """Get the algorithm ready, once; :meth:`ask` and :meth:`optimize` do it where it was not done."""
        self.__session.set_up(num_workers, time_limit, memory_limit)

    def ask(self, pid: int = 0) -> Suggestion:
        """Return the next suggestion. Every suggestion wants one :meth:`tell` or :meth:`fail`, in any order.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There will never be another one.
            NotReady: There may be one after the next result.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        return self.__session.ask(pid)

    def adopt(self, suggestion: Suggestion) -> None:
        """Add a suggestion that was made earlier as if it had been asked for: how a history is replayed.

        Raises:
            OptionError: It is not the next one in number.
            SpaceError: It is no configuration of the space.
        """
        self.space.check(suggestion)
        self.__session.adopt(suggestion.copy())

    @overload
    def tell(
        self,
        suggestion: Suggestion,
        perf: object,
        *,
        constraints: object = None,
        cost: float | None = None,
        is_stopped: bool = False,
    ) -> None: ...
    @overload
    def tell(self, suggestion: Iterable[tuple[Suggestion, object]]) -> None: ...
    def tell(
        self,
        suggestion: Suggestion | Iterable[tuple[Suggestion, object]],
        perf: object = None,
        *,
        constraints: object = None,
        cost: float | None = None,
        is_stopped: bool = False,
    ) -> None:
        """Hand over the result of a suggestion, or of a list of ``(suggestion, perf)`` pairs.

        Each result is taken whole or refused whole; the good ones of a list are taken in its order.

        Args:
            suggestion: The suggestion that :meth:`ask` returned; or the pairs.
            perf: What the objective returned: one finite number, or what ``Objectives.measure`` takes.
            constraints: A dict of constraints, at most 0 where met, if they do not stand in `perf`.
            cost: What the evaluation cost, in seconds or any other unit, if it does not stand in `perf`.
            is_stopped: Whether the trial ended early because :meth:`report` said so.

        Raises:
            EvaluationsError: Some were refused: unknown, told before, of another configuration, or `perf` is no finite
                number. It names each.
        """
        is_one = isinstance(suggestion, Mapping) or perf is not None or not isinstance(suggestion, Iterable)
        batch: list[Any] = [(suggestion, perf)] if is_one else list(suggestion)
        self.__session.tell(batch, constraints, cost, TrialState.STOPPED if is_stopped else TrialState.COMPLETE)

    def report(self, suggestion: Suggestion, fidelity: float, perf: object) -> bool:
        """Hand over how good a running trial is so far; False means that it should end.

        It should where it has had what it was given, or where the algorithm stops it.

        Args:
            suggestion: The suggestion that :meth:`ask` returned.
            fidelity: How much training was done, counted from nothing.
            perf: One finite number.

        Raises:
            EvaluationsError: The trial is not running, or `fidelity` or `perf` is not one finite number.
        """
        return self.__session.report(suggestion, fidelity, perf)

    def restart(self, suggestion: Suggestion) -> None:
        """Say that a running trial is started anew: what it has reported so far does not count.

        Raises:
            EvaluationsError: The trial is not running.
        """
        try:
            self.__session.restart(self.__session.find(suggestion).number)
        except OptionError as error:
            raise EvaluationsError([(suggestion, str(error))]) from None

    def fail(self, suggestion: Suggestion, reason: str, state: TrialState = TrialState.FAILED) -> None:
        """Say that a suggestion has no result.

        Args:
            suggestion: The suggestion that :meth:`ask` returned.
            reason: A text that is kept with the trial.
            state: Any final state without a performance.

        Raises:
            EvaluationsError: The trial is not running.
            OptionError: `state` is not the end of a failed trial.
        """
        if not isinstance(state, TrialState) or state.has_perf or not state.is_final:
            raise OptionError(f"state: must be the end of a failed trial, got {state}")
        self.__session.fail(suggestion, Outcome(state, error=reason))

    def best(self) -> tuple[dict[str, Any], Any]:
        """Return the best configuration and its result, as the user measured it; with several objectives a tuple.

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
        """Return the best trial by what is known of the noise; None where none has a result."""
        told = self.__session.history.trials
        best = incumbent(told)
        if best is None or not self.noise or self.objectives.n > 1:
            return best
        from autohpo.algorithms.parts.noise import LEAST, best_by_posterior_mean  # here, because it needs scipy

        rivals = [t for t in told if t.perf is not None and t.reached == best.reached]
        rivals = [trial for trial in rivals if not trial.violation] or rivals
        return best_by_posterior_mean(self.space, rivals) if len(rivals) >= LEAST else best

    @overload
    def optimize(
        self, trainer: None = None, dataset: Any = None, **options: Unpack[RunArguments]
    ) -> tuple[dict[str, Any], Any]: ...
    @overload
    def optimize(
        self, trainer: Trainer, dataset: Any = None, **options: Unpack[RunArguments]
    ) -> tuple[Trainer, dict[str, Any]]: ...
    def optimize(
        self,
        trainer: Any = None,
        dataset: Any = None,
        *,
        num_workers: int = 1,
        time_limit: float | None = None,
        memory_limit: int | str | None = None,
        store: Any = None,
        name: str = "",
        trial_time_limit: float | None = None,
        progress: Literal["auto", "rich", "plain", "none"] | bool = "auto",
        continue_on_error: bool = False,
        grace_seconds: float = 10.0,
        target: float | None = None,
        patience: int | None = None,
        min_improvement: float | None = None,
        warm_start: Any = (),
        fidelity: str | None = None,
        executor: Any = None,
        retries: Mapping[str, int] | None = None,
        ask_ahead: bool = False,
    ) -> tuple[Any, Any]:
        """Run the search and return ``(best_hp, best_perf)``; with a trainer ``(best_trainer, best_hp)``.

        Afterwards ``self.result`` has every trial. Calling it again goes on where the history ends.

        Args:
            trainer: An object with AutoGL's ``duplicate_from_hyper_parameter``, ``train`` and ``get_valid_score``,
                to be tuned in place of ``f``.
            dataset: Handed to the trainer, or to an ``f`` that names ``dataset``.
            num_workers: How many trials run at once, each in a process of its own where there is more than one.
            time_limit: Seconds for the whole search; what runs then is cancelled.
            memory_limit: Memory of each worker with its child processes: bytes, or a string such as "4GB".
            store: The path or URL of a store that keeps every event, or a Store; an existing run in it is resumed. None
                keeps the events in memory.
            name: A name of the run, kept in the store.
            trial_time_limit: Seconds for each trial.
            progress: "rich" is one line on a terminal, "plain" prints now and then, "none" or False nothing.
            continue_on_error: Goes on even where the very first trial raises.
            grace_seconds: How long running trials may take to end when the search is interrupted or out of time.
            target: Ends the search at a result as good as this; what runs then may end.
            patience: Ends it after this many results in a row without a better one.
            min_improvement: Ends it when the algorithm expects less than this; `bayes` says what it expects.
            warm_start: Stores or results of earlier searches for the same objective. Their trials count as known where
                they are legal here; of the others the best few, with what is illegal replaced, are tried first.
            fidelity: The hyper-parameter that is the fidelity, such as ``"trainer:max_epoch"``: each trial gets it
                with the value that the algorithm gives it. It must not be searched.
            executor: Where trials run: "serial" in this process, "local" in processes of this machine, or an
                :class:`autohpo.execution.base.Executor`. None chooses between the first two.
            retries: How often a trial that ends in a state is started again, such as ``{"CRASHED": 1}``. A trial whose
                machine or driver died (LOST) is started again twice, others are not.
            ask_ahead: Whether the next suggestion is made while all workers are busy: none waits for it, but it is made
                without the results of what then runs. Only with workers.

        Raises:
            OptionError: An argument is wrong.
            FirstTrialError: The first trial raised: the objective is probably wrong.
            NoResultError: No trial was complete in the end.
            StoreError: The store cannot be used, holds another run, or is in use.
            KeyboardInterrupt: After Ctrl-C, once everything is saved.
        """
        # The one upward import: users expect to call optimize() on what they built, and the runner needs this class.
        from autohpo.run_options import RunOptions
        from autohpo.runner import run

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
            name=name,
            fidelity=fidelity,
            executor=executor,
            retries=retries,
            ask_ahead=ask_ahead,
        )
        return run(self, trainer, dataset, options)

    def know(self, points: Sequence[Point]) -> None:
        """Add points before the first suggestion: what a search brings along from earlier ones."""
        self.__session.know(points)
