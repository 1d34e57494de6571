"""What a user calls on every algorithm: ask, tell, report and fail, the best, and optimize."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from autohpo.algorithms.parts.points import CheckedPoint
from autohpo.algorithms.parts.run_arguments import run_arguments, run_signature
from autohpo.algorithms.parts.values import checked_flag, plain, reason_text
from autohpo.algorithms.session import session_of
from autohpo.errors import EvaluationsError, OptionError, SuggestionError, short, shown
from autohpo.objectives import Objectives, incumbent
from autohpo.other_names import missing_attribute
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Suggestion, Trial, TrialState

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autohpo.algorithms.base import BaseHPOptimizer
    from autohpo.algorithms.options import RunArguments

Trainer = TypeVar("Trainer")


class OptimizerInterface:
    """The methods of an optimizer that users call; :class:`BaseHPOptimizer` adds the hooks that an algorithm fills."""

    space: SearchSpace
    max_evals: int | None
    noise: bool
    objectives: Objectives

    if TYPE_CHECKING:

        def _best_hp(self) -> tuple[dict[str, Any], Any]:
            """Return the best configuration and its score; a hook, see ``BaseHPOptimizer``."""

    if not TYPE_CHECKING:  # a type checker would take every attribute for one

        def __getattr__(self, name: str) -> Any:
            return missing_attribute(self, name)

    @property
    def n_told(self) -> int:
        """How many suggestions have ended."""
        return session_of(self).history.n_told

    @property
    def n_asked(self) -> int:
        """How many suggestions were made; points whose result is known count."""
        return session_of(self).history.n_asked

    @property
    def n_known(self) -> int:
        """How many of them were points whose result is known."""
        return session_of(self).n_known

    @property
    def n_left(self) -> float:
        """How many suggestions `max_evals` leaves, or else the default of `optimize`; infinite without both."""
        most = session_of(self).allowance.most_evals
        return most if most == math.inf else most - self.n_asked + self.n_known

    def set_up(self, num_workers: int = 1, time_limit: float | None = None, memory_limit: int | None = None) -> None:
        """Get the algorithm ready, once; :meth:`ask` and :meth:`optimize` do it where it was not done."""
        session_of(self).set_up(num_workers, time_limit, memory_limit)

    def ask(self, pid: int = 0) -> Suggestion:
        """Return the next suggestion. Every suggestion wants one :meth:`tell` or :meth:`fail`, in any order.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There will never be another one.
            NotReady: There may be one after the next result.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        return session_of(self).ask(pid)

    def adopt(self, suggestion: Suggestion) -> None:
        """Add a suggestion that was made earlier as if it had been asked for: how a history is replayed.

        Raises:
            OptionError: It is not the next one in number.
            SpaceError: It is no configuration of the space.
        """
        values = self.space.checked(suggestion)
        if not isinstance(suggestion, Suggestion):
            raise OptionError(f"suggestion: must be a Suggestion, which has a number, got {short(suggestion)}")
        adopted = suggestion.copy()
        adopted.update(values)
        session_of(self).adopt(adopted)

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
        batch: list[Any] = [(suggestion, perf)] if is_one else _listed(suggestion)
        state = TrialState.STOPPED if checked_flag("is_stopped", is_stopped) else TrialState.COMPLETE
        session_of(self).tell(batch, constraints, cost, state)

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
        return session_of(self).report(suggestion, fidelity, perf)

    def restart(self, suggestion: Suggestion) -> None:
        """Say that a running trial is started anew: what it has reported so far does not count.

        Raises:
            EvaluationsError: The trial is not running.
        """
        try:
            session_of(self).restart(session_of(self).find(suggestion).number)
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
            raise OptionError(f"state: must be the end of a failed trial, got {shown(state)}")
        session_of(self).fail(suggestion, Outcome(state, error=reason_text(reason)))

    def best(self) -> tuple[dict[str, Any], Any]:
        """Return the best configuration and its result, as the user measured it; with several objectives a tuple.

        Where the best were confirmed, it is the configuration chosen there, with the mean of its results.

        Raises:
            NoResultError: No trial has a result yet.
        """
        result: Any = getattr(self, "result", None)
        winner = getattr(result, "winner", None)
        if winner is not None and len(result) == self.n_asked:
            return dict(winner.trial.hp), winner.mean
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
        history = session_of(self).history
        best = incumbent(history.trials)
        if best is None or not self.noise or self.objectives.n > 1:
            return best
        from autohpo.algorithms.parts.noise import best_under_noise  # here, because it needs scipy

        return best_under_noise(history, self.space, best)

    @overload
    def optimize(
        self, trainer: None = None, dataset: Any = None, **options: Unpack[RunArguments]
    ) -> tuple[dict[str, Any], Any]: ...
    @overload
    def optimize(
        self, trainer: Trainer, dataset: Any = None, *limits: Any, **options: Unpack[RunArguments]
    ) -> tuple[Trainer, dict[str, Any]]: ...
    def optimize(self, trainer: Any = None, dataset: Any = None, *limits: Any, **options: Any) -> tuple[Any, Any]:
        """Run the search and return ``(best_hp, best_perf)``; with a trainer ``(best_trainer, best_hp)``.

        Afterwards ``self.result`` has every trial. Calling it again goes on where the history ends.

        Args:
            trainer: An object with AutoGL's ``duplicate_from_hyper_parameter``, ``train`` and ``get_valid_score``,
                to be tuned in place of ``f``.
            dataset: Handed to the trainer, or to an ``f`` that names ``dataset``.
            limits: `time_limit` and `memory_limit` by position, as AutoGL calls it.
            options: The rest by name, as follows.
            num_workers: How many trials run at once, each in a process of its own where there is more than one.
            time_limit: Seconds for the whole search; what runs then is cancelled.
            memory_limit: Memory of each worker with its child processes: bytes, or a string such as "4GB".
            store: The path or URL of a store that keeps every event, or a Store; an existing run in it is resumed. None
                keeps the events in memory.
            name: A name of the run, kept in the store.
            trial_time_limit: Seconds for each trial.
            progress: "rich" is one line on a terminal, "plain" prints now and then, "none" or False nothing.
            continue_on_error: Goes on even where the very first trial raises, or returns no number.
            grace_seconds: How long running trials may take to end when the search is interrupted or out of time.
            target: Ends the search at a result as good as this; what runs then may end.
            patience: Ends it after this many results in a row without a better one.
            min_improvement: Ends it when the algorithm expects less than this; `bayes` says what it expects.
            warm_start: Stores or results of earlier searches for the same objective. Their trials count as known where
                they are legal here; of the others the best few, with what is illegal replaced, are tried first.
            fidelity: The hyper-parameter that is the fidelity, such as ``"trainer:max_epoch"``: each trial gets it
                with the value that the algorithm gives it. It must not be searched.
            executor: Where trials run: "serial" in this process, "local" in processes of this machine, "dask", "ray",
                "joblib", the address, client or cluster of dask, a ``concurrent.futures.Executor``, an executor of
                submitit, or an :class:`autohpo.execution.base.Executor`. None chooses between the first two.
            retries: How often a trial that ends in a state is started again, such as ``{"CRASHED": 1}``. A trial whose
                machine or driver died (LOST) is started again twice, others are not.
            ask_ahead: Whether the next suggestion is made while all workers are busy: none waits for it, but it is made
                without the results of what then runs. Only with workers.
            keep: Which of its reports is the result of an objective that reports or yields: the last, or with "best"
                the best so far, as after early stopping with restored weights.
            gpus: The GPUs of the workers, one each: how many there are, a list of their ids, or a dict that says how
                many workers share each id. A worker sees its own alone (``CUDA_VISIBLE_DEVICES``).
            max_suspended: How many paused trainings (generators that may be promoted) are kept in memory at most, in
                all workers. One that was let go starts again when it is promoted, from its checkpoint if it has one.
            keep_checkpoints: Which checkpoint folders stay where an algorithm lets trainings go on: "live" keeps those
                that may go on and the best trial's, "best" in the end the best trial's alone, "all" everything.
            checkpoints: Where ``trial.checkpoint_dir`` folders are kept: a folder that all machines see under the same
                path, or the URL of storage that they share, such as ``"s3://bucket/run"`` (any that fsspec knows).
                None keeps them beside the store, on the driver's disk.
            max_consecutive_failures: Ends the search when so many trials in a row had no result, also with
                `continue_on_error`; None never does.
            confirm: How many of the best configurations are trained anew in the end, or a :class:`Confirm`: the answer
                is then the one that is best there, with its mean. See :meth:`confirm`.
            schedule: When results are told: "asynchronous" as they come; "deterministic" in the order in which their
                trials were asked for, so that what is suggested does not depend on how long trials take. See
                docs/determinism.md.
            default_first: Whether the trainer's own configuration is tried before all others.
            cost_limit: What all trials may cost together, in the unit of their `cost`: seconds, unless the objective
                says another. No trial starts beyond it, and those that run may end.
            memory_by: How `memory_limit` is held: "rss" measures the resident memory of each worker's processes,
                "cgroup" has the system hold it, "address-space" limits what each process may reserve.
            gpu_memory_limit: GPU memory of each worker with its child processes: bytes, or a string such as "8GB".
            trackers: What is told of every trial as the search goes on, such as an
                :class:`autohpo.integrations.mlflow.MLflowTracker`; see docs/trackers.md.

        Raises:
            OptionError: An argument is wrong.
            FirstTrialError: The first trial raised, or returned no number: the objective is probably wrong.
            FailuresError: Too many trials in a row had no result.
            NoResultError: No trial was complete in the end.
            StoreError: The store cannot be used, holds another run, or is in use.
            KeyboardInterrupt: After Ctrl-C, once everything is saved.
        """
        # The one upward import: users expect to call optimize() on what they built, and the runner needs this class.
        from autohpo.run_options import RunOptions
        from autohpo.runner import run

        given = run_arguments(self, limits, options)
        return run(cast("BaseHPOptimizer", self), trainer, dataset, RunOptions(**given))

    def stop(self) -> None:
        """End the running :meth:`optimize` in order; from any thread, or from an objective that runs in this process.

        Nothing is started any more, trials that run are asked to end and have `grace_seconds`, and ``optimize`` returns
        what was found. No effect where no search runs, also on one that begins later.
        """
        session_of(self).stop()

    def confirm(
        self, k: int = 3, seeds: int = 5, *, trainer: Any = None, dataset: Any = None, **options: Unpack[RunArguments]
    ) -> tuple[Any, Any]:
        """Train the best configurations anew with fresh seeds, and return the one that is best there, with its mean.

        The best of many noisy results is partly luck. So the `k` best configurations and the default (the first of
        `points` without a result, or a trainer's own configuration) are trained in full with the same new seeds, in the
        same workers and the same store. The default keeps its place unless another one is better by more than the
        noise; ``result.confirmed`` has them all, with intervals. It goes on where it was if it is interrupted.
        An objective whose results are all the same is trained twice only.

        Args:
            k: How many of the best configurations.
            seeds: How often each is trained.
            trainer: The trainer; like everything that is not given, it is what ``optimize`` got last.
            dataset: The data for the trainer, or for an ``f`` that names ``dataset``.
            **options: Options of :meth:`optimize` that differ from those it got last.

        Raises:
            OptionError: An argument is wrong, or there are several objectives.
            NoResultError: There is no search yet, or none of its trials has a result.
        """
        from autohpo.runner import confirm as confirm_run  # upward, as in optimize()

        given = {"trainer": trainer, "dataset": dataset}
        return confirm_run(cast("BaseHPOptimizer", self), {"k": k, "seeds": seeds}, given, dict(options))

    def know(self, points: Sequence[CheckedPoint]) -> None:
        """Add points before the first suggestion: what a search brings along from earlier ones."""
        session_of(self).know(points)


def _listed(batch: Iterable[object]) -> list[object]:
    """The results of a batch.

    Raises:
        EvaluationsError: Its iterator raises.
    """
    try:
        return list(batch)
    except Exception as error:
        raise EvaluationsError([(batch, f"must be a list of (suggestion, perf), but raised {shown(error)}")]) from error


OptimizerInterface.optimize.__signature__ = run_signature()  # type: ignore[attr-defined] # what help() shows
