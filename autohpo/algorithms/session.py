"""Session: ask, tell, report and fail around the hooks of an algorithm, over its history, under one lock."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.points import Point
from autohpo.algorithms.parts.values import amount, checked_suggestion, pair, plain
from autohpo.errors import (
    EvaluationsError,
    InvalidPerfError,
    OptimizationComplete,
    OptionError,
)
from autohpo.history import History
from autohpo.objectives import as_perf
from autohpo.surrogates.blas import one_blas_thread
from autohpo.trial import Outcome, Running, Suggestion, Trial, TrialState

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer


_BASE = "autohpo.algorithms.base"  # where the hook stands that does nothing


class Session:
    """What an optimizer was asked and told.

    Args:
        hpo: The optimizer, whose hooks are called.
        points: Configurations that the user wants tried first, and known results.

    Attributes:
        history: Every suggestion and what became of it.
        lock: Held by every call, so that several threads may ask and tell.
        n_known: How many points with a known result were taken.
        num_workers: How many trials run at once.
    """

    def __init__(self, hpo: BaseHPOptimizer, points: Sequence[Point]) -> None:
        self._hpo = hpo
        self._known: list[Point] = []  # with a result
        self._wanted: list[Point] = []  # to be tried
        self.history = History(hpo.space, hpo.objectives)
        self.lock = threading.RLock()
        self.n_known = 0
        self.num_workers = 1
        self._n_points = 0  # of those to try, suggested so far
        self._is_set_up = self._has_warned = False
        self._rng: np.random.Generator | None = None
        self.know(points)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock out: a copy in another process has its own."""
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lock = threading.RLock()

    @property
    def rng(self) -> np.random.Generator:
        """The generator of the hook that is being called; see ``BaseHPOptimizer.rng``."""
        if self._rng is None:
            self._rng = np.random.default_rng((self._seed, self.history.n_asked))
        return self._rng

    @property
    def _seed(self) -> int:
        return 0 if self._hpo.seed is None else self._hpo.seed

    def set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        """Call the hook that gets the algorithm ready, once."""
        with self.lock:
            if not self._is_set_up:
                self.num_workers = num_workers
                self._hpo.time_limit, self._hpo.memory_limit = time_limit, memory_limit
                self._hpo._set_up(num_workers, time_limit, memory_limit)
                self._is_set_up = True

    def ask(self, pid: int) -> Suggestion:
        """Return the next suggestion, which is then running; see ``BaseHPOptimizer.ask``."""
        with self.lock:
            suggestion = self.propose(pid)
            self._add(suggestion)
            return suggestion.copy()

    def propose(self, pid: int) -> Suggestion:
        """Return what the next suggestion would be, without making it one."""
        hpo = self._hpo
        with self.lock:
            hpo.set_up()
            self._take_known()
            if hpo.n_left <= 0:
                raise OptimizationComplete(f"max_evals: all {hpo.max_evals} suggestions were made; raise it to go on")
            hpo.number, self._rng = self.history.n_asked, None
            wanted = self._wanted[self._n_points : self._n_points + 1]
            made = hpo._suggest_point(pid, wanted[0].hp) if wanted else self._made(pid)
            who = f"{type(hpo).__name__}._get_suggestion"
            suggestion = checked_suggestion(who, made, hpo.space, self.history)
            if wanted and suggestion.resume is None and suggestion.fork is None:
                suggestion.info["point"] = self._n_points
            suggestion.number, suggestion.pid = self.history.n_asked, pid
            suggestion.seed = self._trial_seed()
            return suggestion

    def draw(self, pid: int, rng: np.random.Generator | None) -> object:
        """Return what the hook suggests next, unchecked: for an owner that checks it, and makes it a suggestion.

        Args:
            pid: The worker slot that will run it.
            rng: The generator that the hook draws from; None makes one, as for a suggestion of its own.
        """
        hpo = self._hpo
        with self.lock:
            hpo.set_up()
            hpo.number, self._rng = self.history.n_asked, rng
            return self._made(pid)

    def _made(self, pid: int) -> Mapping[str, Any]:
        """What the hook suggests, with its linear algebra on one thread."""
        library = self._hpo.linear_algebra
        if not library:
            return self._hpo._get_suggestion(pid)
        with one_blas_thread(library):
            return self._hpo._get_suggestion(pid)

    def adopt(self, suggestion: Suggestion) -> None:
        """Add a suggestion that was made earlier; see ``BaseHPOptimizer.adopt``."""
        with self.lock:
            self._hpo.set_up()
            if suggestion.number != self.history.n_asked:
                rule = f"number must be the next, {self.history.n_asked}"
                raise OptionError(f"suggestion: {rule}, got {suggestion.number}")
            self._add(suggestion)

    def know(self, points: Sequence[Point]) -> None:
        """Add points before the first suggestion: what a search brings along from earlier ones."""
        known, wanted = ([p for p in points if (p.outcome is None) == is_wanted] for is_wanted in (False, True))
        self._known, self._wanted = [*known, *self._known], [*wanted, *self._wanted]

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
        if not _is_same(running.suggestion, suggestion, self._hpo):
            wanted, got = dict(running.suggestion), dict(suggestion)
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

    def checked_report(self, fidelity: object, perf: object) -> tuple[float, float]:
        """Return the fidelity and the perf of a report as plain floats.

        Raises:
            OptionError: There are several objectives, or `fidelity` is no finite number of at least 0.
            InvalidPerfError: `perf` is not one finite number.
        """
        if self._hpo.objectives.n > 1:
            raise OptionError("a search for several objectives takes results only at the end")
        return amount(fidelity), as_perf(perf)

    def reported(self, number: int, fidelity: float, perf: float) -> bool:
        """Take a checked report; False means that the trial should end."""
        with self.lock:
            running = self.history.find(number)
            running.reports.append((fidelity, perf))
            self._rng = None
            score = self._hpo.objectives.signs[0] * perf
            go_on = plain(self._hpo._on_report(running.suggestion.copy(), fidelity, score))  # numpy's False is False
            given = running.fidelity
            return go_on is not False and (given is None or fidelity < given)

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
        self._n_points += "point" in suggestion.info
        self.n_known += "known" in suggestion.info
        self.history.add(suggestion)
        self._hpo.number, self._rng = self.history.n_asked, None

    def _take_known(self) -> None:
        """Take the points whose results are known as if they had been suggested and told, before anything else."""
        for point in self._known[self.n_known :]:
            suggestion = Suggestion(point.hp, number=self.history.n_asked, info={"known": True})
            self._add(suggestion)
            if point.outcome is not None:
                self.close(self.history.find(suggestion.number).ended(point.outcome))

    def _trial_seed(self) -> int:
        """A seed for the objective, in [0, 2**31): another stream than that of the suggestion itself."""
        state = np.random.SeedSequence((self._seed, self.history.n_asked, 1)).generate_state(1)
        return int(state[0]) & 0x7FFFFFFF


def _with_state(outcome: Outcome, state: TrialState, running: Running) -> Outcome:
    """The outcome of a trial that was stopped: how far it came is what it reported last."""
    reached = running.reports[-1][0] if running.reports else None
    return Outcome(state, outcome.perfs, outcome.constraints, outcome.metrics, outcome.cost, reached)


def _is_same(kept: Suggestion, given: Suggestion, hpo: BaseHPOptimizer) -> bool:
    """Whether two suggestions have the same configuration; values may be equal without being the same object."""
    if kept.keys() != given.keys():
        return False
    if all(kept[name] is given[name] for name in kept):
        return True
    try:
        return hpo.space.key(kept) == hpo.space.key(given)
    except Exception:  # a value that is none of the parameter's
        return False


def session_of(hpo: object) -> Session:
    """Return the session of an optimizer, whatever attributes its class keeps.

    Raises:
        OptionError: The ``__init__`` of its class did not call that of the base.
    """
    session = vars(hpo).get("_BaseHPOptimizer__session")
    if not isinstance(session, Session):
        raise OptionError(f"{type(hpo).__name__}: its __init__ must call super().__init__(space, f)")
    return session
