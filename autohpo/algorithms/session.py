"""Session: ask, tell, report and fail around the hooks of an algorithm, over its history, under one lock."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.options import chance_of
from autohpo.algorithms.parts.allowance import Allowance
from autohpo.algorithms.parts.fallback import Fallback, naming
from autohpo.algorithms.parts.missing_space import check_given
from autohpo.algorithms.parts.points import CheckedPoint
from autohpo.algorithms.parts.values import amount, checked_pid, checked_suggestion, is_same_suggestion, pair, plain
from autohpo.algorithms.parts.wanted import KnownResults, WantedPoints
from autohpo.errors import EvaluationsError, InvalidPerfError, OptimizationComplete, OptionError, short, shown
from autohpo.history import History
from autohpo.spaces.usual import Usual
from autohpo.surrogates.blas import one_blas_thread
from autohpo.trial import Outcome, Perf, Running, Suggestion, Trial, TrialState, scores_of_perf, whole

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer
    from autohpo.algorithms.parts.hopeless import HopelessRule

_OF_THIS_PROCESS = ("lock", "asking", "telling", "on_stop", "on_limit", "on_begin", "_usual")
_BASE = "autohpo.algorithms.base"  # where the hook stands that does nothing


class Session:
    """What an optimizer was asked and told.

    Args:
        hpo: The optimizer, whose hooks are called.
        points: Configurations that the user wants tried first, and known results.

    Attributes:
        history: Every suggestion and what became of it.
        lock: Held by every call, so that several threads may ask and tell.
        known: Points whose results are known.
        wanted: Points to be tried.
        allowance: What the search may spend.
        asking: Entered around the hook that suggests: whoever drives a search may interrupt it there, and nowhere else.
        telling: Entered around the hooks that take results and reports.
        on_stop: Called by :meth:`stop`, while a search runs.
        on_limit: Called by :meth:`limit`, while a search runs.
        num_workers: How many trials run at once.
    """

    def __init__(self, hpo: BaseHPOptimizer, points: Sequence[CheckedPoint]) -> None:
        self._hpo = hpo
        self._fallback = Fallback(hpo)
        self.history = History(hpo.space, hpo.objectives)
        self.known, self.wanted = KnownResults(), WantedPoints()
        self.allowance = Allowance(hpo, self.history, self.wanted)
        self.lock = threading.RLock()
        self.num_workers = 1
        self._is_set_up = self._has_warned = False
        self.last_call: Any = None  # what optimize() was called with last; no part of a copy
        self.why_over = ""  # why the last search has come to its end; empty where it may go on
        self.on_begin: Callable[[Any], None] | None = None  # gets the store of optimize() once it holds this run
        self._rng: np.random.Generator | None = None
        self._usual: Usual | None = None
        self._hopeless: HopelessRule | None = None
        self.leave_driver()
        self.know(points)

    def leave_driver(self) -> None:
        """Belong to no driver: nobody interrupts the hooks."""
        self.asking: AbstractContextManager[object] = nullcontext()
        self.telling: AbstractContextManager[object] = nullcontext()
        self.on_stop: Callable[[], None] | None = None
        self.on_limit: Callable[[float | None], None] | None = None

    def stop(self) -> None:
        """End the search that runs, in order; no effect where none does."""
        on_stop = self.on_stop
        if on_stop is not None:
            on_stop()

    def limit(self, seconds: float | None) -> bool:
        """Set when the search that runs has to end; return False where none does.

        Args:
            seconds: The seconds from now on; None sets no limit.
        """
        on_limit = self.on_limit
        if on_limit is not None:
            on_limit(seconds)
        return on_limit is not None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock, the driver and the last call out: a copy in another process has its own."""
        kept = {name: value for name, value in vars(self).items() if name not in _OF_THIS_PROCESS}
        return {**kept, "last_call": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lock, self._usual, self.on_begin = threading.RLock(), None, None
        self.leave_driver()

    @property
    def rng(self) -> np.random.Generator:
        """The generator of the hook that is being called; see ``BaseHPOptimizer.rng``."""
        if self._rng is None:
            self._rng = np.random.default_rng((self._seed, self.history.n_asked))
        return self._rng

    @property
    def _seed(self) -> int:
        return 0 if self._hpo.seed is None else self._hpo.seed

    @property
    def hopeless(self) -> HopelessRule | None:
        """The rule that ends hopeless trials, if there is one."""
        if self._hopeless is None:
            chance = chance_of(self._hpo)
            if chance is not None:
                from autohpo.algorithms.parts.hopeless import HopelessRule  # here, because few searches want its model

                self._hopeless = HopelessRule(self.history, chance, self._hpo.full_fidelity)
        return self._hopeless

    def set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        """Call the hook that gets the algorithm ready, once."""
        with self.lock:
            if not self._is_set_up:
                self.known.check(self._hpo.full_fidelity)
                check_given(self._hpo.space)
                self.num_workers = num_workers
                self._hpo.time_limit, self._hpo.memory_limit = time_limit, memory_limit
                self._hpo._set_up(num_workers, time_limit, memory_limit)
                self._is_set_up = True

    def ask(self, pid: int) -> Suggestion:
        """Return the next suggestion, which is then running; see ``BaseHPOptimizer.ask``."""
        with self.lock:
            suggestion = self.propose(checked_pid(pid))
            self._add(suggestion)
            return suggestion.copy()

    def propose(self, pid: int) -> Suggestion:
        """Return what the next suggestion would be, without making it one."""
        hpo = self._hpo
        with self.lock:
            hpo.set_up()
            self._take_known()
            if hpo.n_left <= 0:
                remedy = "give it to go on" if hpo.max_evals is None else "raise it to go on"
                raise OptimizationComplete(
                    f"max_evals: all {self.allowance.most_evals} suggestions were made; {remedy}"
                )
            hpo.number, self._rng = self.history.n_asked, None
            with self.asking:
                made = self.wanted.suggest(hpo, pid)
                is_wanted = made is not None
                made = made if is_wanted else self._suggested(pid)
            who = f"{type(hpo).__name__}._get_suggestion"
            if self._usual is None:
                self._usual = Usual(hpo.space)
            suggestion = checked_suggestion(who, made, hpo.space, self.history, self._usual)
            if is_wanted:
                self.wanted.mark(suggestion)
            self.allowance.check(suggestion)
            suggestion.number, suggestion.pid = self.history.n_asked, pid
            suggestion.seed = self._trial_seed()
            return suggestion

    def draw(self, pid: int, rng: np.random.Generator | None, point: dict[str, Any] | None = None) -> object:
        """Return what the hook suggests next, unchecked: for an owner that checks it, and makes it a suggestion.

        Args:
            pid: The worker slot that will run it.
            rng: The generator that the hook draws from; None makes one, as for a suggestion of its own.
            point: A point of the user's that is to be tried.
        """
        hpo = self._hpo
        with self.lock:
            hpo.set_up()
            hpo.number, self._rng = self.history.n_asked, rng
            return self._suggested(pid) if point is None else hpo._suggest_point(pid, point)

    def adopt(self, suggestion: Suggestion) -> None:
        """Add a suggestion that was made earlier; see ``BaseHPOptimizer.adopt``."""
        with self.lock:
            self._add(suggestion)

    def follow(self, suggestion: Suggestion) -> None:
        """Count a suggestion of a log, of which nobody hears before it has ended; ``go_on`` adds what has not.

        Raises:
            OptionError: It is not the next one.
        """
        if not self._is_set_up:
            self._hpo.set_up()
        if suggestion.number != self.history.n_asked:
            rule = f"number must be the next, {self.history.n_asked}"
            raise OptionError(f"suggestion: {rule}, got {shown(suggestion.number)}")
        if suggestion.info:
            self.wanted.follow(suggestion, self._hpo.full_fidelity)
            self.known.n_taken += "known" in suggestion.info
        self.history.follow(suggestion)
        self._hpo.number, self._rng = suggestion.number + 1, None

    def followed(self, trial: Trial) -> None:
        """Take the end of a trial of a log, where no hook hears of it."""
        self.history.followed(trial)
        if trial.constraints and trial.perfs:
            self._warn_of_constraints()

    def know(self, points: Sequence[CheckedPoint]) -> None:
        """Add points before the first suggestion: what a search brings along from earlier ones."""
        self.known.add([point for point in points if point.outcome is not None])
        self.wanted.add([point for point in points if point.outcome is None])

    @property
    def n_known(self) -> int:
        """How many points with a known result were taken."""
        return self.known.n_taken

    def tell(self, batch: Iterable[object], constraints: object, cost: object, state: TrialState) -> None:
        """Take each result of a batch whole or refuse it whole; see ``BaseHPOptimizer.tell``."""
        refused: list[tuple[object, str]] = []
        with self.lock:
            for entry in batch:
                item: object = entry
                try:
                    item, value = pair(entry)
                    running = self.find(item)
                    outcome = self._hpo.objectives.measure(value, constraints, cost)
                except (InvalidPerfError, OptionError) as error:
                    refused.append((item, str(error)))
                else:  # what the hook itself raises is not the result's fault
                    outcome = outcome if state is outcome.state else _with_state(outcome, state, running)
                    self.close(running.ended(outcome))
        if refused:
            raise EvaluationsError(refused)

    def find(self, suggestion: object) -> Running:
        """Return what is kept of a running suggestion.

        Raises:
            OptionError: It is none, is not running, or has another configuration than was asked for.
        """
        if not isinstance(suggestion, Suggestion):
            raise OptionError(
                f"suggestion: must be one that ask() returned, got {type(suggestion).__name__}; known results go in as "
                "points=[(configuration, result)]"
            )
        running = self.history.find(suggestion.number)
        if not is_same_suggestion(running.suggestion, suggestion, self._hpo.space):
            wanted, got = (
                shown(dict(s), 1000) + ("" if s.fidelity is None else f" at fidelity {shown(s.fidelity)}")
                for s in (running.suggestion, suggestion)
            )
            raise OptionError(f"suggestion: trial {suggestion.number} was asked with {wanted}, got {got}")
        return running

    def report(self, suggestion: object, fidelity: object, perf: object) -> bool:
        """Take a report of a running trial, and ask the hook whether it goes on; see ``BaseHPOptimizer.report``."""
        with self.lock:
            try:
                done, value = self.checked_report(fidelity, perf)
                running = self.find(suggestion)
            except (InvalidPerfError, OptionError) as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            return self.reported(running.number, done, value)

    def checked_report(self, fidelity: object, perf: object) -> tuple[float, Perf]:
        """Return the fidelity and the perf of a report as plain floats; of several objectives a tuple.

        Raises:
            OptionError: `fidelity` is no finite number of at least 0.
            InvalidPerfError: `perf` is not one finite number for each objective.
        """
        return amount(fidelity), self._hpo.objectives.measure_report(perf).perf

    def reported(self, number: int, fidelity: float, perf: Perf, *, is_known: bool = False) -> bool:
        """Take a checked report; False means that the trial should end.

        Args:
            number: The number of the trial.
            fidelity: How much training was done.
            perf: The user's own value.
            is_known: Whether it is the last report of the trial, made a second time: only the answer is wanted.
        """
        with self.lock:
            running = self.history.find(number)
            if not is_known:
                running.reports.append((whole(fidelity), perf))
            self._rng = None
            scores: Any = scores_of_perf(perf, running.signs)
            score = scores[0] if len(scores) == 1 else scores
            with self.telling, naming(self._hpo, "_on_report"):
                go_on = plain(self._hpo._on_report(running.suggestion.copy(), fidelity, score))
            given = running.fidelity
            if go_on is False or (given is not None and fidelity >= given):
                return False
            return self.hopeless is None or not self.hopeless.stops(number)

    def restart(self, number: int) -> None:
        """Forget what a running trial has reported, as it is started anew.

        Raises:
            OptionError: It is not running.
        """
        with self.lock:
            self.history.find(number).reports.clear()

    def fail(self, suggestion: object, outcome: Outcome) -> None:
        """Take the end of a trial without a result.

        Raises:
            EvaluationsError: The trial is not running.
        """
        with self.lock:
            try:
                trial = self.find(suggestion).ended(outcome)
            except OptionError as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            self.close(trial)

    def close(self, trial: Trial) -> None:
        """Take a trial that has ended, and hand its result to the hook. Where the hook raises, nothing has changed."""
        hpo = self._hpo
        with self.lock:
            self._rng = None  # for the hook, with a generator that does not depend on what was drawn before
            running = self.history.find(trial.number)
            is_heard = bool(trial.perfs) and hpo._update_trials.__module__ != _BASE  # else there is nothing to undo
            order = [one.number for one in self.history.running] if is_heard else []
            self.history.finish(trial)
            if trial.perfs and trial.constraints:
                self._warn_of_constraints()
            if not is_heard:
                return
            scores: Any = trial.scores
            try:
                with self.telling, naming(hpo, "_update_trials"):
                    hpo._update_trials(trial.pid, running.suggestion.copy(), scores[0] if len(scores) == 1 else scores)
            except BaseException:
                self.history.take_back(running, order)
                raise

    def _warn_of_constraints(self) -> None:
        if "outcome_constraints" not in self._hpo.supports and not self._has_warned:
            self._has_warned = True
            who = type(self._hpo).__name__
            warnings.warn(f"{who}: does not look at constraints of results, only the best trial does", stacklevel=5)

    def _add(self, suggestion: Suggestion) -> None:
        """Add a suggestion, asked or adopted; both leave the same state behind."""
        self.follow(suggestion)
        self.history.go_on((suggestion,))

    def _take_known(self) -> None:
        """Take the points whose results are known as if they had been suggested and told, before anything else."""
        for suggestion, outcome in self.known.rest(self.history, self._hpo.full_fidelity):
            self._add(suggestion)
            self.close(self.history.find(suggestion.number).ended(outcome))

    def _suggested(self, pid: int) -> object:
        """What the hook suggests, with its linear algebra on one thread; where it raises, what stands in for it."""
        library, number = self._hpo.linear_algebra, self.history.n_asked
        if not library:
            return self._fallback.suggested(pid, self._seed, number)
        with one_blas_thread(library):
            return self._fallback.suggested(pid, self._seed, number)

    def _trial_seed(self) -> int:
        """A seed for the objective, in [0, 2**31): another stream than that of the suggestion itself."""
        state = np.random.SeedSequence((self._seed, self.history.n_asked, 1)).generate_state(1)
        return int(state[0]) & 0x7FFFFFFF


def _with_state(outcome: Outcome, state: TrialState, running: Running) -> Outcome:
    """The outcome of a trial that was stopped: how far it came is what it reported last."""
    reached = running.reports[-1][0] if running.reports else None
    return Outcome(state, outcome.perfs, outcome.constraints, outcome.metrics, outcome.cost, reached)


def session_of(hpo: object) -> Session:
    """Return the session of an optimizer, whatever attributes its class keeps.

    Raises:
        OptionError: The ``__init__`` of its class did not call that of the base.
    """
    session = getattr(hpo, "__dict__", {}).get("_BaseHPOptimizer__session")
    if session is None and not hasattr(hpo, "_get_suggestion"):
        raise OptionError(f"hpo: must be an optimizer, such as build_hpo_from_name returns, got {short(hpo)}")
    if not isinstance(session, Session):
        raise OptionError(f"{type(hpo).__name__}: its __init__ must call super().__init__(space, f)")
    return session
