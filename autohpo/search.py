"""Search: an optimizer and its store, the one door to both. Everything is in the log before anything acts on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.missing_space import check_given
from autohpo.algorithms.parts.values import checked_flag, plain, reason_text
from autohpo.algorithms.session import session_of
from autohpo.clients import check_owner, checked_client, reported_before, told_before
from autohpo.errors import EvaluationsError, InvalidPerfError, OptionError, shown
from autohpo.history import not_running
from autohpo.made_with import made_with
from autohpo.objectives import as_metrics
from autohpo.other_names import explains_names
from autohpo.replay import replay, warn_of_changes
from autohpo.run_header import is_ordered, run_header, with_objective
from autohpo.search_log import FLUSH_SECONDS, SearchLog
from autohpo.spaces.identity import check_identity
from autohpo.store import MemoryStore, RunState, Store, open_store
from autohpo.store.base import LogKind
from autohpo.store.run_state import suggestion_data
from autohpo.stored_run import optimizer_of
from autohpo.trial import Outcome, Perf, Suggestion, Trial, TrialState


class Search(SearchLog):
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
        session = session_of(hpo)
        check_given(hpo.space)
        if store is None:
            store = hpo.run_store if isinstance(hpo.run_store, MemoryStore) else MemoryStore()
        store = store if isinstance(store, Store) else open_store(store)
        known = getattr(hpo.run_store, "path", hpo.run_store)
        if hpo.n_asked and known != getattr(store, "path", store):
            raise OptionError(
                "store: this optimizer was used with ask and tell, or with another store; build a new one"
            )
        state = RunState(hpo.space, hpo.objectives, str(getattr(store, "path", "the log")))
        super().__init__(hpo, session, store, state)
        self.name = name
        self.resumed_from: str | None = None

    @classmethod
    def load(
        cls,
        /,
        url: Store | str | os.PathLike[str],
        f: Callable[..., Any] | None = None,
        space: Any = None,
        **options: Any,
    ) -> Search:
        """Return the search of the run in a store, with the algorithm, options, space and mode that it was begun with.

        Args:
            url: The path or URL of the store, or a Store.
            f: The objective, if the optimizer is to have one.
            space: The space of the run; only needed where it has values that only a program knows.
            options: Options that are to be others than in the store: ``max_evals``, which else is that of the first
                call, and what cannot be read back.

        Raises:
            NoRunError: There is no such store, or it holds no run yet.
            StoreCorruptError: It is damaged.
            SpaceError: Its space has values that only the program that made it knows.
            RegistryError: Its algorithm is of a plug-in that is not installed, or of a class without a name.
            OptionError: An option of it cannot be read back, or breaks a rule.

        Example:
            >>> import tempfile
            >>> from autohpo import RangeHP, build_hpo_from_name
            >>> path = tempfile.mkdtemp() + "/run.db"
            >>> with Search(build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], max_evals=9), path) as search:
            ...     number = search.ask().number
            >>> with Search.load(path) as search:
            ...     _ = search.tell(number, 0.5)
            >>> search.hpo.max_evals, search.state.best.perf
            (9, 0.5)
        """
        return cls(optimizer_of(url, f, space, options), url)

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
        try:
            self.claim()
            self.begin(header or {})
        except BaseException:
            self.close()
            raise

    def claim(self) -> None:
        """Claim the store, and take over its seed where the user gave none; :meth:`close` it where this raises."""
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
        self.is_ordered = is_ordered(self.store.header)
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

    def ask(self, pid: int = 0, client_id: str | None = None) -> Suggestion:
        """Return the next suggestion, once it is in the log.

        Args:
            pid: The worker slot that will run it.
            client_id: The name of who asks. As long as a trial that was asked for under it has no end, asking again
                returns the same suggestion, also in another process.

        Raises:
            OptionError: The name is none.
            OptimizationComplete: There will never be another one.
            NotReady: There may be one after the next result.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        self._check_open()
        client = checked_client(client_id)
        with self._lock:
            pending = self.state.pending_of(client) if client else None
            suggestion = self.propose(pid, client) if pending is None else pending.suggestion
        self.save()
        return suggestion.copy()  # the log keeps what was asked for, whatever the caller makes of it

    def propose(self, pid: int = 0, client: str = "") -> Suggestion:
        """Return the next suggestion, which the next :meth:`save` brings into the log: nobody may act on it before."""
        self._check_open()
        with self._lock:
            first = self.hpo.n_asked
            try:
                suggestion = self.hpo.ask(pid)
            finally:
                self._log_known(first)
            self._note("ask", suggestion.number, 0, suggestion_data(suggestion, self.hpo.space, client), suggestion)
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
        metrics: Mapping[str, float] | None = None,
        is_stopped: bool = False,
        client_id: str | None = None,
    ) -> Trial:
        """Take the result of a suggestion: first into the log, then to the optimizer.

        Args:
            suggestion: The suggestion that :meth:`ask` returned, in this process or an earlier one; or its number.
            perf: What the objective returned; see ``BaseHPOptimizer.tell``.
            constraints: A dict of constraints, at most 0 where met, if they do not stand in `perf`.
            cost: What the evaluation cost, if it does not stand in `perf`.
            metrics: Further numbers by name, which no algorithm looks at, beside those that stand in `perf`.
            is_stopped: Whether the trial ended early because :meth:`report` said so.
            client_id: The name of who tells, if it asked under it: the same result may then be told once more.

        Raises:
            EvaluationsError: The trial is not running, has another configuration, is another client's, or `perf` is no
                result.
        """
        with self._lock:
            client = checked_client(client_id)
            number = self._find(suggestion, client)
            try:
                outcome = self.hpo.objectives.measure(perf, constraints, cost)
                if metrics is not None:
                    outcome = replace(outcome, metrics={**outcome.metrics, **as_metrics(metrics)})
            except InvalidPerfError as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            if checked_flag("is_stopped", is_stopped):
                reports = self.state[number].reports
                reached = reports[-1][0] if reports else None
                outcome = replace(outcome, state=TrialState.STOPPED, reached=reached)
            return self._end_here(number, outcome)

    def report(
        self, suggestion: Suggestion | int, fidelity: float, perf: object, *, client_id: str | None = None
    ) -> bool:
        """Take how good a running trial is so far; False means that it should end.

        Args:
            suggestion: The suggestion, or its number.
            fidelity: How much training was done, counted from nothing.
            perf: One finite number; of several objectives all of them, as ``Objectives.measure`` takes them.
            client_id: The name of who reports, if it asked under it: the last report may then be made once more.

        Raises:
            EvaluationsError: The trial is not running, is another client's, or `fidelity` or `perf` is not one finite
                number.
        """
        with self._lock:
            client = checked_client(client_id)
            number = self._find(suggestion, client)
            if number not in self.state.running:
                raise EvaluationsError([(suggestion, not_running(number, self.state.n_asked))])
            try:
                done, value = self._session.checked_report(fidelity, perf)
            except (InvalidPerfError, OptionError) as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
            if client and reported_before(self.state, number, done, value):
                return self._session.reported(number, done, value, is_known=True)
            return self.take_report(number, self._attempt(number), done, value)

    def fail(
        self,
        suggestion: Suggestion | int,
        reason: str,
        state: TrialState = TrialState.FAILED,
        *,
        client_id: str | None = None,
    ) -> Trial:
        """Take the end of a trial without a result.

        Args:
            suggestion: The suggestion, or its number.
            reason: A text that is kept with the trial.
            state: Any final state without a performance.
            client_id: The name of who tells, if it asked under it: the same may then be told once more.

        Raises:
            EvaluationsError: The trial is not running, or is another client's.
            OptionError: `state` is not the end of a failed trial.
        """
        if not isinstance(state, TrialState) or state.has_perf or not state.is_final:
            raise OptionError(f"state: must be the end of a failed trial, got {shown(state)}")
        with self._lock:
            number = self._find(suggestion, checked_client(client_id))
            return self._end_here(number, Outcome(state, error=reason_text(reason)))

    def _end_here(self, number: int, outcome: Outcome) -> Trial:
        """End the attempt that counts: on disk, then told. A trial that has ended must have ended just so."""
        if number not in self.state.running:
            return told_before(self.state, number, outcome)
        if self.state.attempts[number].held is not None:
            raise EvaluationsError([(number, "it has a result, which is told once all trials before it have theirs")])
        trial = self.note_end(number, self._attempt(number), outcome)
        assert trial is not None  # it was the one that counts
        self.save()
        self.told(trial)
        return trial

    def _attempt(self, number: int) -> int:
        """Return the attempt that counts; a new one where a driver began the trial and was interrupted."""
        attempts = self.state.attempts[number]
        return attempts.n if attempts.interrupted is None else self.start(number, 0)

    def _find(self, suggestion: Suggestion | int, client: str) -> int:
        """Return the number of a running suggestion, or of one that has ended where its client says so once more."""
        self._check_open()
        number = plain(suggestion)
        if client and isinstance(suggestion, Suggestion) and suggestion.number not in self.state.running:
            number = suggestion.number
        if type(number) is not int:
            try:
                number = self._session.find(suggestion).number
            except OptionError as error:
                raise EvaluationsError([(suggestion, str(error))]) from None
        check_owner(self.state, number, client)
        if number not in self.state.running and not (client and 0 <= number < self.state.n_asked):
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
        return attempts is not None and attempts.n == attempt and attempts.interrupted is attempts.held is None

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
            is_wanted = number < 0 or self.is_ordered or self._session.reported(number, fidelity, perf)
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

    def interrupt(self, number: int, attempt: int, state: TrialState, error: str, **spent: float | None) -> None:
        """Note that an attempt ended and that the trial will be started again; what it `trained`, and its `cost`."""
        if self.is_current(number, attempt):
            more = {name: value for name, value in spent.items() if value is not None}
            self._note("interrupt", number, attempt, {"state": state.value, "error": error, **more})
