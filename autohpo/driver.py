"""The loop that owns an optimizer: ask, log, run, log, tell. Log first, always."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import AutoHPOError, FirstTrialError, NotReady, OptimizationComplete, OptionError
from autohpo.execution.base import Event, Executor
from autohpo.objective import Objective
from autohpo.progress import Progress, Standing
from autohpo.stopping import Stopping
from autohpo.store.base import LogEvent, LogKind, Store
from autohpo.store.fold import suggestion_data, suggestion_from
from autohpo.trial import Suggestion, Task, Trial, TrialState, incumbent, pareto

if TYPE_CHECKING:
    from autohpo.runner import RunOptions

POLL_SECONDS = 0.1  # how late a signal or the end of the time limit is noticed at most
FLUSH_SECONDS = 0.5  # how old a report may get before it is on disk


class Driver:
    """Runs one search from where its log ends to where its budget ends.

    What it knows of a trial is a function of the log. The order of things makes that true: a suggestion is
    committed before a worker sees it, and a result before the optimizer is told. Reports carry no promise and are
    committed with the next of those, or after half a second.
    """

    def __init__(
        self,
        hpo: BaseHPOptimizer,
        objective: Objective,
        *,
        store: Store,
        executor: Executor,
        progress: Progress,
        files: Path,
        options: RunOptions,
    ) -> None:
        self.hpo, self.objective, self.store, self.executor = hpo, objective, store, executor
        self.progress, self.files, self.options = progress, files, options
        self.max_trials: int | None = None  # where neither the user nor the algorithm sets an end
        self._unsaved: list[LogEvent] = []
        self._flushed = time.monotonic()
        self._began = time.monotonic()
        self._suggestions: dict[int, Suggestion] = {}  # without an end
        self._attempts: dict[int, int] = {}  # started so far, of those
        self._roots: dict[int, int] = {}
        self._seeds: dict[int, int] = {}  # of the roots
        self._reached: dict[int, float] = {}  # fidelity already known, by root
        self._leaf: dict[int, int] = {}  # last finished trial of a chain that may be continued, by root
        self._again: deque[int] = deque()  # interrupted trials, to be started again
        self._parked: dict[int, deque[int]] = {s: deque() for s in range(executor.n_slots)}  # wait for one slot
        self._busy: dict[int, int] = {}  # trial by slot
        self._n_done = self._n_failed = self._n_earlier = self._n_known = 0
        self._best: Trial | None = None
        self._front: list[Trial] = []  # the best of several objectives
        self._stopping = Stopping(options.stop_rules, hpo.objectives.signs[0])
        self._first: int | None = None  # trial that was started first, by this driver
        self._is_complete = False  # the algorithm has nothing more to suggest
        self._ending: str = ""  # why the search ends early
        self._ends_at = float("inf")  # when what still runs is killed
        self._signal: int | None = None
        self._in_user_code = False

    # The loop.

    def run(self) -> None:
        """Runs the search to its end.

        Raises:
            FirstTrialError: The first trial that was started raised, and no other one had a result.
            KeyboardInterrupt: After SIGINT, once everything is saved.
            SystemExit: After SIGTERM, likewise.
        """
        self._replay()
        self.executor.open(self.objective, self._on_report)
        with self._signals():
            try:
                self._loop()
            except KeyboardInterrupt:
                self._signal = self._signal or signal.SIGINT
            finally:
                self._end()
        if self._stopping.reason and self._signal is None:
            self.progress.say(f"ended early: {self._stopping.reason}")
        if self._signal is not None:
            self._say_interrupted()
            raise KeyboardInterrupt if self._signal == signal.SIGINT else SystemExit(128 + self._signal)

    def _loop(self) -> None:
        while True:
            self._check_ending()
            self._fill()
            if not self._busy:
                return
            self._enter_user_code()
            events = self.executor.poll(POLL_SECONDS)
            self._in_user_code = False
            for event in events:
                self._handle(event)
            if self._unsaved and time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._save()
            self.progress.update(self._standing)

    def _replay(self) -> None:
        """Brings the optimizer to where the log ends; a trial that ran when its driver died is started again."""
        is_known = bool(self.hpo.n_asked)  # an earlier call of optimize() on this very object
        if not is_known:
            self.hpo.set_up(self.executor.n_slots, self.options.time_limit, self.options.memory_bytes)
        started: dict[int, int] = {}
        for event in self.store.events():
            number = event.trial
            if event.kind == "ask":
                suggestion = suggestion_from(event, self.hpo.space)
                self._add(suggestion)
                if not is_known:
                    self.hpo.adopt(suggestion)
            elif event.kind == "start":
                self._attempts[number] = started[number] = event.attempt
                if event.attempt > 1 and not is_known:
                    self.hpo.restart(self._suggestions[number])
            elif event.kind == "interrupt":
                started.pop(number, None)
            elif event.kind == "end":
                started.pop(number, None)
                self._apply_end(event, tell=not is_known)
            elif not is_known:
                self.hpo.report(self._suggestions[number], event.data["fidelity"], event.data["perf"])
        n_ends = self._n_done + self._n_failed + self._n_known
        if is_known and (len(self._roots), n_ends) != (self.hpo.n_asked, self.hpo.n_told):
            raise OptionError("optimize: this optimizer and its store have different histories; build a new one")
        for number, attempt in started.items():
            data = {"state": TrialState.LOST.value, "error": "the driver died"}
            self._note("interrupt", number, attempt, data)
        if self._unsaved:
            self._save()
        self._again.extend(sorted(self._suggestions))
        self._n_earlier = self._n_done + self._n_failed

    # What starts.

    def _fill(self) -> None:
        """Gives every free slot a task, as long as there are any."""
        while not self._ending:
            free = [slot for slot in range(self.executor.n_slots) if slot not in self._busy]
            if not free:
                return
            placed = self._next(free)
            if placed is None:
                return
            self._submit(*placed)

    def _next(self, free: list[int]) -> tuple[int, int] | None:
        """A free slot and the trial to start there: parked for it, interrupted, or new."""
        for slot in free:
            if self._parked[slot]:
                return slot, self._parked[slot].popleft()
        while True:
            if self._again:
                number = self._again.popleft()
            elif sum(map(len, self._parked.values())) >= self.executor.n_slots:
                return None  # enough trials wait for their slots
            else:
                suggestion = self._ask(free[0])
                if suggestion is None:
                    return None
                number = suggestion.number
            home = self._home(number)
            if home is None or home in free:
                return (free[0] if home is None else home), number
            self._parked[home].append(number)

    def _ask(self, slot: int) -> Suggestion | None:
        """A new suggestion, in the log; None where there is none now."""
        if self._is_complete or (self.max_trials is not None and self._n_new >= self.max_trials):
            return None
        first = self.hpo.n_asked
        try:
            suggestion = self.hpo.ask(slot)
        except OptimizationComplete:
            self._is_complete = True
            return None
        except NotReady:
            if not self._suggestions:
                raise AutoHPOError(f"{type(self.hpo).__name__}: is not ready though no trial is running") from None
            return None
        finally:
            self._log_known(first)
        self._add(suggestion)
        self._note("ask", suggestion.number, 0, suggestion_data(suggestion, self.hpo.space))
        return suggestion

    @property
    def _n_new(self) -> int:
        """Suggestions made, but for points whose results were known."""
        return self.hpo.n_asked - self._n_known

    def _log_known(self, first: int) -> None:
        """Puts the points into the log that the optimizer took in with their results, from a number on."""
        if self.hpo.n_known == self._n_known:
            return
        for trial in [trial for trial in self.hpo.trials if trial.number >= first and "known" in trial.info]:
            suggestion = Suggestion(trial.hp, number=trial.number, info=trial.info)
            self._add(suggestion)
            self._note("ask", trial.number, 0, suggestion_data(suggestion, self.hpo.space))
            perfs = list(self.hpo.objectives.up(trial.perfs))
            data: dict[str, Any] = {"state": trial.state.value, "perf": perfs[0] if len(perfs) == 1 else perfs}
            data |= {"fidelity": None, "error": ""} | _named(trial.constraints, trial.metrics)
            self._note("end", trial.number, 0, data)
            self._apply_end(self._last, tell=False)

    def _add(self, suggestion: Suggestion) -> None:
        self._stopping.suggested(suggestion)
        number, resume = suggestion.number, suggestion.resume
        root = number if resume is None else self._roots[resume]
        self._suggestions[number] = suggestion
        self._roots[number] = root
        self._seeds.setdefault(root, suggestion.seed)
        self._leaf.pop(root, None)

    def _home(self, number: int) -> int | None:
        """The slot that holds the paused training this trial continues, if any."""
        root = self._roots[number]
        if root == number:
            return None
        return next((s for s in range(self.executor.n_slots) if self.executor.holds(s, root)), None)

    def _submit(self, slot: int, number: int) -> None:
        """Starts a trial in a slot; the log has it first."""
        suggestion, root = self._suggestions[number], self._roots[number]
        attempt = self._attempts[number] = self._attempts.get(number, 0) + 1
        if attempt > 1:
            self.hpo.restart(suggestion)
        self._note("start", number, attempt, {"slot": slot})
        self._save()
        self._busy[slot] = number
        self._first = number if self._first is None else self._first
        self.executor.submit(
            slot,
            Task(
                number=number,
                attempt=attempt,
                hp=dict(suggestion),
                seed=self._seeds[root],
                fidelity=suggestion.fidelity,
                root=root,
                checkpoint_dir=str(self.files / f"trial-{root}"),
            ),
        )

    # What happens.

    def _on_report(self, event: Event) -> bool:
        """Takes a report; False asks the trial to end."""
        self._in_user_code = False
        suggestion = self._suggestions[event.number]
        given, go = suggestion.fidelity, True
        assert event.fidelity is not None and event.perf is not None  # noqa: PT018 - what a report is
        if event.fidelity > self._reached.get(self._roots[event.number], -1.0):  # else a restart retraced known ground
            go = self.hpo.report(suggestion, event.fidelity, event.perf)
            data = {"fidelity": event.fidelity, "perf": event.perf}
            self._note("report", event.number, event.attempt, data)
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._save()
        self.progress.update(self._standing)
        self._check_ending()
        self._enter_user_code()
        return _has_all(given, event.fidelity) or (go and not self._ending)

    def _handle(self, event: Event) -> None:
        """Takes an event of the executor: into the log, then to the optimizer."""
        if event.outcome is None:
            return
        self._busy.pop(event.slot, None)
        outcome, number = event.outcome, event.number
        state = outcome.state
        if state is TrialState.STOPPED and _has_all(self._suggestions[number].fidelity, outcome.fidelity):
            state = TrialState.COMPLETE  # it was asked to end when it had all it was given
        elif state is TrialState.STOPPED and self._ending:
            state = TrialState.CANCELLED  # it ended early because we asked it to, not because it had enough
        if not state.is_final:
            data: dict[str, Any] = {"state": state.value, "error": outcome.error or self._ending}
            self._note("interrupt", number, event.attempt, data)
            self._again.append(number)
            return
        perf = list(outcome.perf) if isinstance(outcome.perf, tuple) else outcome.perf
        data = {"state": state.value, "perf": perf, "fidelity": outcome.fidelity, "error": outcome.error}
        data |= _named(outcome.constraints, outcome.metrics)
        self._note("end", number, event.attempt, data)
        self._save()
        self._apply_end(self._last, tell=True)
        self._let_go()
        is_first = number == self._first and not self._n_done
        if state is TrialState.FAILED and is_first and not self.options.continue_on_error:
            raise FirstTrialError(
                f"trial {number}, the first to be started, raised; mend the objective, or go on in spite of it "
                f"with continue_on_error=True\n{outcome.error}"
            )

    def _apply_end(self, event: LogEvent, *, tell: bool) -> None:
        """What the end of a trial changes here and, where it is told, in the optimizer."""
        number, data = event.trial, event.data
        suggestion = self._suggestions.pop(number)
        self._attempts.pop(number, None)
        state, root = TrialState(data["state"]), self._roots[number]
        if "known" in suggestion.info:
            self._n_known += 1
        elif not state.has_perf:
            self._n_failed += 1
        else:
            self._n_done += 1
        if state.has_perf:
            self._rank(suggestion, state, data)
            reached = data.get("fidelity") or suggestion.fidelity or 0.0
            self._reached[root] = max(self._reached.get(root, 0.0), reached)
        self._leaf[root] = number
        if tell and state.has_perf:
            result = data["perf"]
            if data.get("metrics"):
                result = dict(zip(self.hpo.objectives.names, _listed(result), strict=True)) | data["metrics"]
            held = data.get("constraints")
            self.hpo.tell(suggestion, result, constraints=held, is_stopped=state is TrialState.STOPPED)
        elif tell:
            self.hpo.fail(suggestion, data["error"], state)

    def _rank(self, suggestion: Suggestion, state: TrialState, data: Mapping[str, Any]) -> None:
        """Compares a result with the best so far."""
        perfs, signs = tuple(_listed(data["perf"])), self.hpo.objectives.signs
        held = data.get("constraints", {})
        done = Trial(suggestion.number, suggestion, state, perfs[0], suggestion.fidelity, perfs=perfs, constraints=held)
        if len(perfs) > 1:
            self._front = pareto([*self._front, done], signs)
        self._best = incumbent(self._front or filter(None, (self._best, done)), signs)
        if len(perfs) == 1:
            self._stopping.ended(self._best)

    def _let_go(self) -> None:
        """Ends paused trainings that the algorithm will not continue."""
        keep = self.hpo.resumable
        for root in [root for root, number in self._leaf.items() if number not in keep]:
            del self._leaf[root]
            self.executor.drop(root)

    # The log.

    def _note(self, kind: LogKind, number: int, attempt: int, data: dict[str, Any]) -> None:
        """Adds an event to those not saved yet."""
        self._last = LogEvent(kind, number, attempt, data, time.time())
        self._unsaved.append(self._last)

    def _save(self) -> None:
        """Commits what is not saved yet."""
        self.store.append(self._unsaved)
        self._unsaved.clear()
        self._flushed = time.monotonic()

    # The end.

    def _check_ending(self) -> None:
        """Ends the search early where a signal came or its time is over."""
        limit = self.options.time_limit
        if not self._ending:
            if self._stopping.reason:
                self._is_complete = True  # what runs may end: it may be better still
            if self._signal is not None:
                self._begin_ending("the search was interrupted")
            elif limit is not None and time.monotonic() - self._began >= limit:
                self._begin_ending(f"the search reached its time limit of {limit:g} s")
        elif time.monotonic() >= self._ends_at:
            for number in list(self._busy.values()):
                self.executor.kill(number, TrialState.CANCELLED, self._ending)

    def _begin_ending(self, why: str) -> None:
        self._ending = why
        self._ends_at = min(self._ends_at, time.monotonic() + self.options.grace_seconds)
        for number in self._busy.values():
            self.executor.stop(number)

    def _end(self) -> None:
        """Closes everything; a trial that still runs is marked as cancelled."""
        try:
            self._in_user_code = True  # a second signal ends paused trainings that do not end by themselves
            self.executor.close()
        finally:
            self._in_user_code = False
            for number in self._busy.values():
                data = {"state": TrialState.CANCELLED.value, "error": self._ending or "the search ended"}
                self._note("interrupt", number, self._attempts[number], data)
            self._busy.clear()
            if self._unsaved:
                self._save()
            self.progress.close(self._standing())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Takes SIGINT and SIGTERM while the search runs: the first ends it in order, the second at once.

        Only the main thread may; elsewhere signals stay as they are.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in kept.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            self._ends_at = 0.0
        self._signal = self._signal or signum
        if self._in_user_code and self.executor.is_inline:  # the objective runs in this very thread
            raise KeyboardInterrupt

    def _enter_user_code(self) -> None:
        """From here on a signal interrupts an objective that runs in this thread; one that came before does so too."""
        self._in_user_code = True
        if self._signal is not None and self.executor.is_inline:
            raise KeyboardInterrupt

    def _say_interrupted(self) -> None:
        path = getattr(self.store, "path", None)
        hint = f"; run the same command to resume from {path}" if path else ""
        self.progress.say(f"interrupted after {self._n_done} trials with a result{hint}")

    def _standing(self) -> Standing:
        return Standing(
            n_done=self._n_done,
            n_failed=self._n_failed,
            n_running=len(self._busy),
            best=None if self._best is None else self._best.perf,
            max_evals=self.hpo.max_evals if self.max_trials is None else self.max_trials,
            seconds=time.monotonic() - self._began,
            time_limit=self.options.time_limit,
            n_earlier=self._n_earlier,
            n_front=len(self._front),
        )


def _listed(perf: Any) -> list[float]:
    """The values of an event's ``perf``: of several objectives it is a list."""
    return perf if isinstance(perf, list) else [perf]


def _named(constraints: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, Any]:
    """What an *end* event holds of them: nothing where there are none."""
    return {name: dict(held) for name, held in (("constraints", constraints), ("metrics", metrics)) if held}


def _has_all(given: float | None, reached: float | None) -> bool:
    """Whether a trial has come as far as the fidelity it was given."""
    return given is not None and reached is not None and reached >= given - 1e-9
