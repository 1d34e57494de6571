"""Results told in the order of the asks, so that a search with many workers can be repeated exactly."""

from __future__ import annotations

from collections.abc import Callable

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import chance_of
from autohpo.errors import OptionError
from autohpo.search import Search
from autohpo.trial import Outcome, Suggestion, Trial


class InOrder:
    """Asks for trials and tells their ends in an order that no timing changes: ``schedule="deterministic"``.

    There is one rule: as long as fewer than `n` trials are open, the next one is asked for; else, or where there is
    none now, the oldest open one is told, as soon as it has ended. What is asked for follows from the seed, `n` and the
    results alone. Other ends are held in the log until then, so that nothing is lost with the process.

    Whoever takes over a log goes on where it ends: what comes next follows from the asks and ends that stand there.

    Args:
        search: The search.
        n: How many trials are open at most.
        ask: Returns a new suggestion for a worker, or None where there is none now.
        tell: Tells the optimizer of a trial whose end is in the log.
        is_ending: Says whether the search is ending, so that nothing may be asked for.
    """

    def __init__(
        self,
        search: Search,
        n: int,
        ask: Callable[[int], Suggestion | None],
        tell: Callable[[Trial], None],
        is_ending: Callable[[], bool],
    ) -> None:
        self._search, self._n, self._ask, self._tell, self._is_ending = search, n, ask, tell, is_ending
        self._has_asked = False  # for all that there may be before the next end is told

    @property
    def held(self) -> list[int]:
        """The trials that have ended before their turn."""
        attempts = self._search.state.attempts
        return [number for number, one in attempts.items() if number >= 0 and one.held is not None]

    @property
    def open(self) -> list[int]:
        """The trials that have no end yet, the oldest first."""
        return [number for number in self._search.state.running if number >= 0]

    def is_unended(self, number: int) -> bool:
        """Whether a trial of an earlier driver has to run: its end is not in the log, nor held there."""
        return number >= 0 and self._search.state.attempts[number].held is None

    def ended(self, number: int, attempt: int, outcome: Outcome) -> Trial | None:
        """Note the end of a trial; return the trial where it is its turn, and hold it else."""
        if number < 0:  # a confirming one
            return self._search.note_end(number, attempt, outcome)
        if self._has_asked and number == self.open[0]:
            self._has_asked = False
            return self._search.note_end(number, attempt, outcome)
        self._search.hold(number, attempt, outcome)
        return None

    def advance(self) -> list[int]:
        """Ask and tell as far as it goes without another end; return the new trials, which are to be started."""
        asked: list[int] = []
        while not self._is_ending():
            while len(self.open) < self._n:
                suggestion = self._ask(self._search.hpo.n_asked % self._n)
                if suggestion is None:
                    break
                asked.append(suggestion.number)
            if self._is_ending():  # in the middle of an ask
                break
            self._has_asked = True
            oldest = next(iter(self.open), None)
            if oldest is None or self.is_unended(oldest):
                break
            self._has_asked = False
            trial = self._search.release(oldest)
            self._search.save(sync=False)
            self._tell(trial)
        return asked

    def notice(self) -> str:
        """Return what is to be said of held results at the end of a search; empty where there are none."""
        held = self.held
        if not held:
            return ""
        results = "the result of 1 trial waits" if len(held) == 1 else f"the results of {len(held)} trials wait"
        return f"{results} in the log for the turn after trial {self.open[0]}: the next optimize() takes them in"


def check_schedule(hpo: BaseHPOptimizer, schedule: str, *, ask_ahead: bool) -> None:
    """Check that a search can have a schedule.

    Raises:
        OptionError: It is deterministic, and the algorithm ends trials by what they report, or suggestions are made
            ahead: both depend on how long trials take.
    """
    if schedule == "asynchronous":
        return
    if ask_ahead:
        raise OptionError("ask_ahead: must be False with schedule='deterministic', which says when to ask")
    listens = hpo.needs_reports or chance_of(hpo) is not None or _has_own_rule(type(hpo))
    if listens:
        raise OptionError(
            f"schedule: 'deterministic' tells reports with the end of their trial, and {type(hpo).__name__} ends "
            "trials by their reports; use schedule='asynchronous', or an algorithm or options that end no trial early"
        )


def _has_own_rule(cls: type[BaseHPOptimizer]) -> bool:
    """Whether the class of an algorithm of somebody else's looks at reports."""
    hook = cls._on_report
    return not hook.__module__.startswith("autohpo.algorithms.")
