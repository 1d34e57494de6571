"""Search: an optimizer and its store, the one door to both. Everything is in the log before anything acts on it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.missing_space import check_given
from autohpo.algorithms.parts.values import checked_flag, plain, reason_text
from autohpo.algorithms.session import session_of
from autohpo.clock import steady_clock
from autohpo.errors import EvaluationsError, InvalidPerfError, OptionError, StoreError, shown
from autohpo.history import not_running
from autohpo.listener import Listener
from autohpo.made_with import made_with
from autohpo.other_names import explains_names
from autohpo.replay import replay, warn_of_changes
from autohpo.run_header import run_header, with_objective
from autohpo.spaces.identity import check_identity
from autohpo.store import MemoryStore, RunState, Store, open_store
from autohpo.store.base import LogEvent, LogKind
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Outcome, Perf, Suggestion, Trial, TrialState

FLUSH_SECONDS = 0.5
"""How old a report may get before it is on disk: one may be lost with the process, a suggestion or a result may not."""


class Search:
    """A persistent ask and tell: what was asked or told in one process is there in the next.

    A suggestion is on disk when :meth:`ask` returns it, a result before the optimizer learns of it. ``optimize`` runs
    such a search with workers; without it, evaluate where you like. One process at a time may have a store open.

    Args:
        hpo: The optimizer: new, or one that this very store was used with.
        store: The path or URL of a store, or a Store; None keeps the log in memory.
        name: A name of the run, kept in the store; a run that goes on keeps the name it has.

    Attributes:
        hpo: The optimizer.
        store: The store.
        name: The name of the run.
        state: What the log says: trials, chains, attempts, the best.
        listener: Hears of every suggestion and every result, also of those of earlier processes.
        resumed_from: The path of the store that trials were taken over from, if any were; empty for a log in memory.

    Raises:
        OptionError: The optimizer has a history that is not in the store.
        StoreMismatchError: The store holds another run.
        StoreError: The store cannot be used.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> with Search(build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], seed=0)) as search:
        ...     suggestion = search.ask()
        ...     trial = search.tell(suggestion, 0.5)
        >>> search.state.best.perf
        0.5
    """

    @explains_names("Search")
    def __init__(
        self, hpo: BaseHPOptimizer, store: Store | str | os.PathLike[str] | None = None, *, name: str = ""
    ) -> None:
        self.hpo = hpo
        self._session = session_of(hpo)
        check_given(hpo.space)
        if store is None:
            store = hpo.run_store if isinstance(hpo.run_store, MemoryStore) else MemoryStore()
        self.store = store if isinstance(store, Store) else open_store(store)
        known = getattr(hpo.run_store, "path", hpo.run_store)
        if hpo.n_asked and known != getattr(self.store, "path", self.store):
            raise OptionError(
                "store: this optimizer was used with ask and tell, or with another store; build a new one"
            )
        self.name = name
        self.state = RunState(hpo.space, hpo.objectives, str(getattr(self.store, "path", "the log")))
        self.listener: Listener | None = None
        self._clock = steady_clock()
        self.resumed_from: str | None = None
        self._lock = threading.RLock()
        self._unsaved: list[LogEvent] = []
        self._is_saving = False  # it may take a while: a store waits where its disk is full
        self._is_synced = True
        self._flushed = time.monotonic()
        self._is_open = False

    # Begin and end.

    def __enter__(self) -> Search:  # noqa: PYI034 - Self is not in 3.10
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, header: Mapping[str, Any] | None = None) -> None:
        """Claim the store, check that it holds this run, and bring the optimizer to where its log ends.

        Args:
            header: More of what makes this run this run, beside its algorithm, options and space.
        """
        if self._is_open:
            return
        self.claim()
        try:
            self.begin(header or {})
        except BaseException:
            self.close()
            raise

    def claim(self) -> None:
        """Claim the store, and take over its seed where the user gave none."""
        self.store.open()
        self._is_open = True
        kept = self.store.header
        if self.hpo.is_seed_drawn and kept is not None:
            self.hpo.seed = kept.get("options", {}).get("seed", self.hpo.seed)

    def begin(self, header: Mapping[str, Any]) -> None:
        """Check or write the header, and replay the log; the second half of :meth:`open`."""
        kept = self.store.header
        if kept is None and not isinstance(self.store, MemoryStore):
            check_identity(self.hpo.space)
        more: dict[str, Any] = {"made_with": made_with(self.hpo.f), **with_objective(header, kept, self.hpo)}
        self.store.begin({**run_header(self.hpo, kept), **more, "name": self.name})
        self.hpo.run_store = self.store
        if kept is not None:
            self.name = kept.get("name", "")
        self.state.full = self.hpo.full_fidelity
        replay(self.store, self.state, self.hpo, None if self.listener is None else self._tell_listener)
        if kept is not None and self.state.n_asked:
            self.resumed_from = str(getattr(self.store, "path", ""))
            warn_of_changes(kept, more, self.resumed_from, self.state.n_done + self.state.n_failed)

    def close(self) -> None:
        """Save what is not saved yet, and give the store free. May be called twice."""
        if self._is_open:
            try:
                self.save()
            finally:
                self._is_open = False
                self.store.close()

    # Ask and tell.

    def ask(self, pid: int = 0) -> Suggestion:
        """Return the next suggestion, once it is in the log.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There will never be another one.
            NotReady: There may be one after the next result.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        suggestion = self.propose(pid)
        self.save()
        return suggestion.copy()  # the log keeps what was asked for, whatever the caller makes of it

    def propose(self, pid: int = 0) -> Suggestion:
        """Return the next suggestion, which the next :meth:`save` brings into the log: nobody may act on it before."""
        self._check_open()
        with self._lock:
            first = self.hpo.n_asked
            try:
                suggestion = self.hpo.ask(pid)
            finally:
                self._log_known(first)
            self._note("ask", suggestion.number, 0, suggestion_data(suggestion, self.hpo.space), suggestion)
            return suggestion

    def repeat(self, suggestion: Suggestion) -> None:
        """Note a confirming trial, of a number below 0: the algorithm does not learn of it."""
        self._check_open()
        with self._lock:
            self._note("ask", suggestion.number, 0, suggestion_data(suggestion, self.hpo.space), suggestion)

    def tell(
        self,
        suggestion: Suggestion | int,
        perf: object,
        *,
        constraints: object = None,
        cost: float | None = None,
        is_stopped: bool = False,
    ) -> Trial:
        """Take the result of a suggestion: first into the log, then to the optimizer.

        Args:
            suggestion: The suggestion that :meth:`ask` returned, in this process or an earlier one; or its number.
            perf: What the objective returned; see ``BaseHPOptimizer.tell``.
            constraints: A dict of constraints, at most 0 where met, if they do not stand in `perf`.
            cost: What the evaluation cost, if it does not stand in `perf`.
            is_stopped: Whether the trial ended early because :meth:`report` said so.

        Raises:
            EvaluationsError: The trial is not running, has another configuration, or `perf` is no result.
        """
        with self._lock:
            number = self._find(suggestion)
            try:
                outcome = self.hpo.objectives.measure(perf, constraints, cost)
            except InvalidPerfError as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            if checked_flag("is_stopped", is_stopped):
                reports = self.state.running[number].reports
                reached = reports[-1][0] if reports else None
                state = TrialState.STOPPED
                outcome = Outcome(state, outcome.perfs, outcome.constraints, outcome.metrics, outcome.cost, reached)
            return self._end_here(number, outcome)

    def report(self, suggestion: Suggestion | int, fidelity: float, perf: object) -> bool:
        """Take how good a running trial is so far; False means that it should end.

        Args:
            suggestion: The suggestion, or its number.
            fidelity: How much training was done, counted from nothing.
            perf: One finite number; of several objectives all of them, as ``Objectives.measure`` takes them.

        Raises:
            EvaluationsError: The trial is not running, or `fidelity` or `perf` is not one finite number.
        """
        with self._lock:
            number = self._find(suggestion)
            try:
                done, value = self._session.checked_report(fidelity, perf)
            except (InvalidPerfError, OptionError) as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            return self.take_report(number, self._attempt(number), done, value)

    def fail(self, suggestion: Suggestion | int, reason: str, state: TrialState = TrialState.FAILED) -> Trial:
        """Take the end of a trial without a result.

        Args:
            suggestion: The suggestion, or its number.
            reason: A text that is kept with the trial.
            state: Any final state without a performance.

        Raises:
            EvaluationsError: The trial is not running.
            OptionError: `state` is not the end of a failed trial.
        """
        if not isinstance(state, TrialState) or state.has_perf or not state.is_final:
            raise OptionError(f"state: must be the end of a failed trial, got {shown(state)}")
        with self._lock:
            number = self._find(suggestion)
            return self._end_here(number, Outcome(state, error=reason_text(reason)))

    def _end_here(self, number: int, outcome: Outcome) -> Trial:
        """End the attempt that counts: on disk, then told."""
        trial = self.note_end(number, self._attempt(number), outcome)
        assert trial is not None  # it was the one that counts
        self.save()
        self.told(trial)
        return trial

    def _attempt(self, number: int) -> int:
        """Return the attempt that counts; a new one where a driver began the trial and was interrupted."""
        attempts = self.state.attempts[number]
        return attempts.n if attempts.interrupted is None else self.start(number, 0)

    def _find(self, suggestion: Suggestion | int) -> int:
        """Return the number of a running suggestion."""
        self._check_open()
        number = plain(suggestion)
        if type(number) is not int:
            try:
                number = self._session.find(suggestion).number
            except OptionError as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
        if number not in self.state.running:
            raise EvaluationsError([(suggestion, not_running(number, self.state.n_asked))])
        return number

    # What a driver calls, with attempts.

    def start(self, number: int, slot: int) -> int:
        """Note that a trial is started in a slot, and return which attempt that is; :meth:`save` before it runs."""
        attempt = self.state.attempts[number].n + 1
        if attempt > 1 and number >= 0:
            self._session.restart(number)
        self._note("start", number, attempt, {"slot": slot})
        return attempt

    def is_current(self, number: int, attempt: int) -> bool:
        """Whether an attempt is the one that counts: others were given up, or have ended."""
        attempts = self.state.attempts.get(number)
        return attempts is not None and attempts.n == attempt and attempts.interrupted is None

    def take_report(
        self, number: int, attempt: int, fidelity: float, perf: Perf, metrics: Mapping[str, float] | None = None
    ) -> bool:
        """Take a report of an attempt; False means that it should end. Known ground and late reports change nothing."""
        with self._lock:
            if not self.is_current(number, attempt):
                return False
            if fidelity <= self.state.chain(number).reached:
                return True  # a restart goes over known ground
            data: dict[str, Any] = {"fidelity": float(fidelity), "perf": perf}
            self._note("report", number, attempt, data | {"metrics": dict(metrics)} if metrics else data)
            is_wanted = number < 0 or self._session.reported(number, fidelity, perf)
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self.save(sync=False)
            return is_wanted

    def note_end(self, number: int, attempt: int, outcome: Outcome) -> Trial | None:
        """Note an end, and return the trial; :meth:`save` it before the optimizer is :meth:`told`.

        An end of an attempt that no longer counts is kept in the log and changes nothing; then it returns None.
        """
        kind: LogKind = "end" if self.is_current(number, attempt) else "late"
        return self._note(kind, number, attempt, outcome.to_json())

    def told(self, trial: Trial) -> None:
        """Hand a trial whose end is in the log to the optimizer; a confirming one is none of its own."""
        if trial.number >= 0:
            self._session.close(trial)

    def interrupt(self, number: int, attempt: int, state: TrialState, error: str, trained: float | None = None) -> None:
        """Note that an attempt ended and that the trial will be started again."""
        if self.is_current(number, attempt):
            more = {} if trained is None else {"trained": trained}
            self._note("interrupt", number, attempt, {"state": state.value, "error": error, **more})

    # The log.

    def _note(
        self, kind: LogKind, number: int, attempt: int, data: dict[str, Any], suggestion: Suggestion | None = None
    ) -> Trial | None:
        """Add an event to those not saved yet, and fold it."""
        event = LogEvent(kind, number, attempt, data, self._clock())
        self._unsaved.append(event)
        return self._fold(event, suggestion)

    def _fold(self, event: LogEvent, suggestion: Suggestion | None = None) -> Trial | None:
        """Let the state follow, and the listener hear."""
        trial = self.state.apply(event, suggestion)
        if self.listener is not None and event.trial >= 0:
            self._tell_listener(event, trial)
        return trial

    def _tell_listener(self, event: LogEvent, trial: Trial | None) -> None:
        assert self.listener is not None  # only called where there is one
        if event.kind == "ask":
            self.listener.suggested(self.state.running[event.trial].suggestion)
        elif trial is not None and trial.perfs:
            self.listener.ended(trial, self.state.best)

    def _log_known(self, first: int) -> None:
        """Put the points into the log that the optimizer took in with their results, from a number on."""
        if self.hpo.n_known == self.state.n_known:
            return
        for trial in [t for t in self._session.history.trials if t.number >= first and "known" in t.info]:
            suggestion = trial.suggestion
            self._note("ask", trial.number, 0, suggestion_data(suggestion, self.hpo.space), suggestion)
            self._note("end", trial.number, 0, trial.outcome.to_json())

    def save(self, *, sync: bool = True) -> None:
        """Commit what is not saved yet.

        Args:
            sync: Whether it must survive a power loss at once, and not only the death of this process.
        """
        with self._lock:
            if not self._is_saving and (self._unsaved or (sync and not self._is_synced)):
                events, self._unsaved, self._is_saving = self._unsaved, [], True
                try:
                    self.store.append(events, sync=sync)
                except BaseException:
                    self._unsaved = events + self._unsaved  # what came while the store waited is younger
                    raise
                finally:
                    self._is_saving = False
                self._is_synced = sync
            self._flushed = time.monotonic()

    @property
    def n_unsaved(self) -> int:
        """How many events wait for the next save."""
        return len(self._unsaved)

    def settle(self) -> None:
        """Commit everything that a power loss must not take; the rest once it is old enough.

        A suggestion may wait for its start, which is committed with it: nobody acts on it before.
        """
        is_due = any(event.kind not in ("ask", "report") for event in self._unsaved) or not self._is_synced
        if is_due or (self._unsaved and time.monotonic() - self._flushed > FLUSH_SECONDS):
            self.save()

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("search: must be open; use it in a with statement, or call open()")
