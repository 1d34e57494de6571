"""The loop of a search: fill free slots, wait for events, take them; log first, always."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from autohpo.algorithms.session import session_of
from autohpo.checkpoints import Checkpoints
from autohpo.confirming import Confirming
from autohpo.control import StopRequests
from autohpo.cost_limit import CostLimit
from autohpo.dispatch import Dispatch, Placed, lost_error
from autohpo.ending import Ending
from autohpo.errors import AutoHPOError, NotReady, OptimizationComplete, StoreError, short
from autohpo.execution.base import Event, Executor
from autohpo.failures import WORDS, Failures
from autohpo.holding import Holding
from autohpo.in_order import InOrder
from autohpo.interrupts import Interrupted
from autohpo.judged import Judge, has_all
from autohpo.objective import Objective
from autohpo.progress import Progress, Standing
from autohpo.run_options import RunOptions
from autohpo.search import Search
from autohpo.stopping import Stopping
from autohpo.store.waiting import PASSING
from autohpo.trial import Outcome, Suggestion, Trial, TrialState

POLL_SECONDS = 0.1  # how late a signal or the end of the time limit is noticed at most
LATE_SECONDS = 0.002  # how long a trial that could start may wait for others to be committed with it


class Driver:
    """Runs a search from where its log ends to where its budget ends.

    A suggestion is committed before a worker sees it, and a result before the optimizer is told. A result is flushed to
    disk with the start that follows it: until then nothing but the optimizer's memory depends on it.

    Args:
        search: The optimizer and its log, open.
        objective: What the trials run.
        executor: Where they run.
        progress: Shows how the search stands.
        options: The arguments of ``optimize``.
        stopping: What ends the search early; it listens to `search`.
        max_trials: Suggestions to make at most, where neither the user nor the algorithm sets an end.
        confirming: What trains the best configurations anew once the search has ended; None ends with it.
        is_over: Whether the search itself has ended already, so that nothing is left but confirming.
    """

    def __init__(
        self,
        search: Search,
        objective: Objective,
        *,
        executor: Executor,
        progress: Progress,
        options: RunOptions,
        stopping: Stopping,
        max_trials: int | None = None,
        confirming: Confirming | None = None,
        is_over: bool = False,
    ) -> None:
        self.search, self.hpo, self.state = search, search.hpo, search.state
        self.objective, self.executor, self.progress, self.options = objective, executor, progress, options
        self.max_trials = max_trials
        asked = StopRequests.of(search.store)
        grace, say = options.grace_seconds, progress.say
        self.ending = Ending(executor, options.time_limit, grace, self._say_interrupted, asked, say=say)
        kept = Checkpoints(search, options.keep_checkpoints)
        self.dispatch = Dispatch(search, executor, options.n_retries, options.max_suspended, kept)
        self.holding = Holding(search, executor, self.ending, options.grace_seconds)
        self._stopping, self._cost = stopping, CostLimit(options.cost_limit, self.state)
        self._failures = Failures(options.max_consecutive_failures, progress.say, may_first=options.continue_on_error)
        self._judge = Judge(search, executor, self.ending)
        self._is_complete, self._is_closed = is_over, False  # the algorithm has nothing more to suggest; all is closed
        self._why_complete, self._unsaved = "", ""  # the second one: what the store did not take before a signal
        self._confirming, self._is_over_before, self._is_confirming = confirming, is_over, False
        self._order: InOrder | None = None
        if search.is_ordered:
            n, ends = options.num_workers, lambda: bool(self.ending.reason)
            self._order = InOrder(search, n, self._ask_in_order, self._tell, ends)
            self.dispatch.finish = self._order.ended

    def run(self) -> None:
        """Run the search to its end.

        Raises:
            FirstTrialError: The first trial that was started raised, and no other one had a result.
            FailuresError: Too many trials in a row had no result.
            KeyboardInterrupt: A SIGINT came; everything is saved, or what is not was said.
            SystemExit: A SIGTERM or SIGHUP came; likewise.
        """
        self._n_earlier = self.state.n_done + self.state.n_failed
        self._spent_earlier = session_of(self.hpo).allowance.spent
        self.executor.recall(self.search.store.events(), self.search.lasting_files)
        if not self._is_over_before:
            self.dispatch.recover(self._order.is_unended if self._order is not None else lambda number: number >= 0)
        self.executor.open(self.objective, self._on_report)
        self.search.store.pause = self.holding.pause
        with self._hooks_watched(), self.ending.signals():
            try:
                self._loop()
                self._confirm()
            except Interrupted:  # a hook of the algorithm, or an objective, did not end when it had to
                self.ending.check(self.dispatch.running)
            except KeyboardInterrupt:
                self.ending.signal = self.ending.signal or signal.SIGINT
            except PASSING as error:
                self._leave_unsaved(error)
            finally:
                try:
                    self._end()
                except KeyboardInterrupt:  # paused trainings did not end before it
                    self.ending.signal = self.ending.signal or signal.SIGINT
                except PASSING as error:
                    self._leave_unsaved(error)
        signum = self.ending.signal
        if signum is not None:
            self._say_interrupted()
            raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)
        if self._order is not None and self._order.held:
            self.progress.say(self._order.notice())
        why = self.ending.reason or self._stopping.reason or self._why_complete
        if self.ending.is_stopped:
            self.progress.say("stopped")
        elif why and self.ending.reason in ("", self.executor.closing):
            self.progress.say(f"ended early: {why}")

    def _leave_unsaved(self, error: StoreError) -> None:
        """Go on to the end where a signal ended the wait for the store; else raise."""
        if self.ending.signal is None:
            raise error
        self._unsaved = f"; {error}"

    @contextmanager
    def _hooks_watched(self) -> Iterator[None]:
        """Let the algorithm's hooks be interrupted, and ``hpo.stop()`` reach this search."""
        session = session_of(self.hpo)
        session.asking, session.telling, session.why_over = self.ending.asking, self.ending.telling, ""
        session.on_stop, session.on_limit = self.ending.stop, self.ending.limit
        try:
            yield
        finally:
            session.leave_driver()

    def _loop(self) -> None:
        while True:
            self._heed_rules()
            self.ending.check(self.dispatch.running)
            self._fill()
            if not self.dispatch.busy and self._is_over():
                return
            self.search.settle()  # whatever nothing that was started has carried along
            try:
                self.ending.enter_user_code()
                events = self.executor.poll(POLL_SECONDS)
            finally:
                self.ending.leave_user_code()
            self._take(self.holding.taken(events))
            self.progress.update(self._standing)

    def _heed_rules(self) -> None:
        if self._stopping.reason:
            session_of(self.hpo).why_over = self._stopping.reason
            self._is_complete = True  # what runs may end: it may be better still

    def _confirm(self) -> None:
        """Train the best anew, now that the search has ended by itself."""
        if self._confirming is not None and not self.ending.reason:
            self._confirming.begin()
            self._is_confirming = True
            self.dispatch.recover(lambda number: number < 0)
            self._loop()

    def _is_over(self) -> bool:
        """Whether nothing will start any more, as nothing runs: if slots are free, nothing was found for them."""
        if self.ending.reason or self._starts_nothing:
            return True
        if self._is_spent:
            self._why_complete, session_of(self.hpo).why_over = self._cost.reason, self._cost.remedy
        return self._is_spent or bool(self.dispatch.free())

    @property
    def _starts_nothing(self) -> bool:
        """Whether no trial waits, and no new one may come."""
        return not self.dispatch.n_waiting and (self._is_complete or self.hpo.n_left <= 0 or self._has_all_trials)

    @property
    def _is_spent(self) -> bool:
        """Whether nothing may start for its cost; before the best are confirmed, some is set aside for that."""
        return self._cost.is_reached(self.dispatch.running, None if self._is_confirming else self._confirming)

    # What starts.

    def _fill(self) -> None:
        """Give every free slot a trial, as long as there are any; those found quickly share a commit."""
        placed: list[Placed] = []
        since = 0.0
        if self._order is not None and not self._is_confirming:
            self.dispatch.again.extend(self._order.advance())
        while not self.ending.reason and not self._is_spent:
            free = self.dispatch.free()
            found = self.dispatch.next(free, self._ask) if free else None
            if found is None:
                break
            since = since or time.monotonic()
            placed.append(found)
            if time.monotonic() - since > LATE_SECONDS:
                self._submit(placed)
                since = 0.0
        self._submit(placed)
        if self.options.ask_ahead and (self.executor.capacity() > 1 or not self.executor.is_inline):
            self._ask_ahead()

    def _ask_ahead(self) -> None:
        """Make the next suggestion while all slots are busy; it waits for the first that is free."""
        is_due = self.dispatch.busy and not (self.ending.reason or self.dispatch.again or self.dispatch.free())
        if is_due and not self._is_spent:
            suggestion = self._ask(0)
            if suggestion is not None:
                self.dispatch.again.append(suggestion.number)

    def _submit(self, placed: list[Placed]) -> None:
        """Start trials; the log has them first."""
        if placed:
            self.search.save()
            for found in placed:
                self.executor.submit(found.slot, found.task)
            placed.clear()

    def _ask(self, slot: int) -> Suggestion | None:
        """Return a new suggestion, noted in the log; None where there is none now."""
        if self._is_confirming and self._confirming is not None:
            return self._confirming.next(slot)
        return None if self._order is not None else self._suggest(slot)

    def _ask_in_order(self, worker: int) -> Suggestion | None:
        self._heed_rules()
        return self._suggest(worker)

    def _suggest(self, slot: int) -> Suggestion | None:
        if self._is_complete or self._has_all_trials or self._must_confirm:
            return None
        try:
            suggestion = self.search.propose(slot)
        except Interrupted:
            self.ending.check(self.dispatch.running)
            return None
        except OptimizationComplete as complete:
            self._is_complete, session_of(self.hpo).why_over = True, str(complete)
            if self.hpo.n_left > 0 and (self.hpo.max_evals or self.options.time_limit or self.options.cost_limit):
                self._why_complete = str(complete)
            return None
        except NotReady:
            if all(number < 0 for number in self.state.running):
                raise AutoHPOError(f"{type(self.hpo).__name__}: is not ready though no trial is running") from None
            return None
        if suggestion.fork is not None:
            self.search.save()
            self.dispatch.prepare(suggestion.number)
        return suggestion

    @property
    def _must_confirm(self) -> bool:
        """Whether the rest of the time limit is what confirming will take: never more than half of it."""
        limit = self.options.time_limit
        if self._confirming is None or limit is None:
            return False
        left = limit - (time.monotonic() - self.ending.began)
        return left <= limit / 2 and left <= self._confirming.expected_seconds(self.executor.capacity())

    @property
    def _has_all_trials(self) -> bool:
        """Whether as many suggestions were made as there may be; points whose results were known do not count."""
        return self.max_trials is not None and self.hpo.n_asked - self.state.n_known >= self.max_trials

    # What happens.

    def _on_report(self, event: Event) -> bool:
        """Take a report; False asks the trial to end."""
        self.ending.leave_user_code()
        assert event.fidelity is not None and event.perf is not None  # noqa: PT018 - what a report is
        self.holding.is_in_report = True
        go = self.search.take_report(event.number, event.attempt, event.fidelity, event.perf, event.metrics)
        self.holding.is_in_report = False
        self.progress.update(self._standing)
        self.ending.check(self.dispatch.running)
        self.ending.enter_user_code()
        running = self.state.running.get(event.number)
        if running is not None and has_all(running.fidelity, event.fidelity):
            return True  # it ends by itself
        return go and not self.ending.reason

    def _take(self, events: list[Event]) -> None:
        """Take events of the executor: first all into the log, then each to the optimizer."""
        self.dispatch.has_begun = self.dispatch.has_begun or any(e.number == self.dispatch.first for e in events)
        ended = [(event, self._note(event)) for event in events if event.outcome is not None]
        if not ended:
            return
        self.search.save(sync=False)
        trials = [trial for _, trial in ended if trial is not None]
        for trial in trials:
            self.search.told(trial)
        for trial in trials:  # when all were told: the algorithm may want to continue any of them
            self._after(trial)

    def _tell(self, trial: Trial) -> None:
        self.search.told(trial)
        self._after(trial)

    def _note(self, event: Event) -> Trial | None:
        """Note the end of an attempt; return the trial if it is over."""
        outcome, number = event.outcome, event.number
        assert outcome is not None  # an end
        outcome = self._judge.without_advice(outcome)
        self.dispatch.ended(event.slot, number, event.attempt)
        if not self.search.is_current(number, event.attempt):
            return self.search.note_end(number, event.attempt, outcome)
        outcome = self._judge.judged(number, outcome)
        if not self.dispatch.is_over(number, outcome):
            error = outcome.error or self.ending.reason
            self.search.interrupt(number, event.attempt, outcome.state, error, trained=outcome.trained)
            self.dispatch.again.append(number)
            return None
        if outcome.state is TrialState.LOST:
            n = self.state.attempts[number].n_of(TrialState.LOST) + 1
            outcome = Outcome(TrialState.CRASHED, cost=outcome.cost, error=lost_error(n), trained=outcome.trained)
        return self.dispatch.finish(number, event.attempt, outcome)

    def _after(self, trial: Trial) -> None:
        """Act on the end of a trial: paused trainings, and the rules of the first trial and of failures in a row."""
        self.dispatch.let_go(trial.number, self.hpo.resumable)
        if trial.number < 0:  # of a configuration that had a result before
            return
        if trial.perfs:
            self._failures.n_in_row = 0
            return
        is_late = not self.dispatch.has_begun and self._failures.n_in_row >= 2  # its worker is slow to be ready
        is_first = (is_late or trial.number == self.dispatch.first) and not self.state.n_done
        is_last = not self.dispatch.busy and self._starts_nothing
        self._failures.ended(trial, is_first=is_first, is_last=is_last)

    # The end.

    def _end(self) -> None:
        """Close everything; a trial that still runs, or waits for its start, is marked as cancelled."""
        fault = sys.exc_info()[1]
        reason = self.ending.reason or ("the search ended" if fault is None else f"ended by {short(fault)}")
        try:
            with self.ending.user_code():  # a second signal ends paused trainings that do not end by themselves
                self.executor.close()
        finally:
            held = set() if self._order is None else set(self._order.held)
            for number in [number for number in self.state.running if number not in held]:
                n = self.state.attempts[number].n
                trained = self.executor.trained(number, n)
                self.search.interrupt(number, n, TrialState.CANCELLED, reason, trained=trained)
            self.dispatch.busy.clear()
            try:
                self.search.save()
            finally:
                self.search.store.pause = time.sleep
                self._is_closed = True
                self.progress.close(self._standing())
        self.dispatch.checkpoints.finish(self.hpo.resumable, is_whole=not self.ending.reason)

    def _say_interrupted(self) -> None:
        path, best = getattr(self.search.store, "path", None), self.state.best
        hint = f"; run the same command to resume from {path}" if path else ""
        if not path and best is not None:
            hint = f"; the best so far is {best.perfs[0] if len(best.perfs) == 1 else best.perfs} with {dict(best.hp)}"
        self.progress.say(f"interrupted after {self.state.n_done} trials with a result{self._unsaved}{hint}")

    def _standing(self) -> Standing:
        best = self.state.best if self.hpo.objectives.n == 1 else None
        return Standing(
            n_done=self.state.n_done,
            n_failed=self.state.n_failed,
            n_running=len(self.dispatch.busy),
            best=None if best is None else best.perf,
            best_fidelity=None if best is None or best.fidelity is None else best.reached,
            max_evals=self.hpo.max_evals if self.max_trials is None else self.max_trials,
            seconds=time.monotonic() - self.ending.began,
            time_limit=self.options.time_limit,
            n_earlier=self._n_earlier,
            n_front=len(self.state.front) if self.hpo.objectives.n > 1 else 0,
            failures={WORDS.get(state, str(state)): n for state, n in self._failures.counts.items()},
            is_over=self._is_closed,
            confirming=self._confirming.counts if self._is_confirming and self._confirming is not None else None,
            budget=session_of(self.hpo).allowance.budget,
            spent=session_of(self.hpo).allowance.spent,
            spent_earlier=self._spent_earlier,
            cost=self._cost.standing(),
        )
