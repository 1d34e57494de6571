"""Sampler: another algorithm inside an optimizer, which suggests as if the view that it is shown were all there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import options_of
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError, short
from autohpo.history import Cursor, History, HistoryView
from autohpo.trial import Running, Suggestion, Trial, TrialState


class Sampler:
    """Any algorithm as the source of new configurations for another one.

    It is a function of the view: what the algorithm has not seen of it is adopted and told before it is asked. There
    trials are numbered from 0 in the order in which they came into the view, so an algorithm suggests behind a view
    just what it suggests alone. Only the whole history shows fidelities: behind any other view all trials are full.

    Args:
        algorithm: A registered name, or an optimizer whose options are taken over.
        owner: The optimizer that it works for; space, seed and directions are the same.
        options: Options of the algorithm.

    Attributes:
        inner: The algorithm, with a history of its own.

    Raises:
        OptionError: `algorithm` is neither, or takes no such space or objectives.
        RegistryError: No algorithm has this name.
    """

    def __init__(
        self, algorithm: str | BaseHPOptimizer, owner: BaseHPOptimizer, options: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(algorithm, str):
            self._cls, given = get_hpo(algorithm), dict(options or {})
        elif isinstance(algorithm, BaseHPOptimizer):
            self._cls, given = type(algorithm), {**options_of(algorithm), **(options or {})}
        else:
            raise OptionError(f"sampler: must be a registered name or an optimizer, got {short(algorithm)}")
        self._owner = owner
        mode: Any = ["max"] * owner.objectives.n if owner.objectives.n > 1 else "max"
        self._options = {**given, "seed": owner.seed, "mode": mode, "points": ()}
        self._cursor: Cursor | None = None
        self._start()

    def _start(self) -> None:
        """Begin with an optimizer that has seen nothing."""
        self.inner = self._cls(self._owner.space, None, **self._options)
        self._session = session_of(self.inner)
        self._local: dict[int, int] = {}  # the number there of what runs, by its number here
        self._numbers: list[int] = []  # the number here of each suggestion there

    def suggest(self, view: HistoryView, pid: int = 0) -> Suggestion:
        """Return the next suggestion after what a view shows; nothing is remembered of it until the view shows it.

        Args:
            view: A history or a view of it; the same one at every call.
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There is none left.
            NotReady: A result must come first.
        """
        self.follow(view)
        suggestion = self._session.propose(pid)
        for name in ("resume", "fork"):
            local = getattr(suggestion, name)
            setattr(suggestion, name, None if local is None else self._numbers[local])
        return suggestion

    def resumable(self, view: HistoryView) -> frozenset[int]:
        """Return the finished trials that the algorithm may still continue, after what a view shows."""
        self.follow(view)
        return frozenset(self._numbers[local] for local in self.inner.resumable)

    def follow(self, view: HistoryView) -> None:
        """Adopt and tell what is new in a view.

        Raises:
            OptionError: It is another view than before.
        """
        if self._cursor is None:
            self._cursor = Cursor(view)
            self._is_whole = isinstance(view, History)
            self.inner.has_fidelity = self._owner.has_fidelity and self._is_whole
        elif self._cursor.view is not view:
            raise OptionError("view: a sampler follows one view; make another sampler for another one")
        step = self._cursor.step()
        if step.is_reset:
            self._start()
            self.inner.has_fidelity = self._owner.has_fidelity and self._is_whole
        for item in step.asked:
            self._adopt(item)
        for trial in step.told:
            self._tell(trial)
        if self._is_whole:
            for running in view.running:
                self._report(running)

    def _adopt(self, item: Trial | Running) -> None:
        local = len(self._numbers)
        made = Suggestion(item.hp, info=item.info, number=local)
        if self._is_whole:
            made.fidelity, made.resume, made.fork = item.fidelity, item.resume, item.fork
        self._numbers.append(item.number)
        self._local[item.number] = local
        self._session.adopt(made)

    def _tell(self, trial: Trial) -> None:
        local = self._local.pop(trial.number)
        changes: dict[str, Any] = {"number": local, "signs": ()}
        scores = trial.scores
        outcome = trial.outcome if scores == trial.perfs else replace(trial.outcome, perfs=scores)
        if self._is_whole:
            changes["reports"] = trial.curve
        else:
            changes |= {"fidelity": None, "resume": None, "fork": None, "reports": ()}
            if trial.state is TrialState.STOPPED:
                outcome = replace(outcome, state=TrialState.COMPLETE)
        self._session.close(replace(trial, outcome=outcome, **changes))

    def _report(self, running: Running) -> None:
        """Hand over the reports that are new, all of them again after a restart."""
        local = self._local[running.number]
        known = self._session.history.find(local).reports
        curve = running.curve
        if tuple(known) == curve:
            return
        if tuple(known) != curve[: len(known)]:
            self._session.restart(local)
        for fidelity, score in curve[len(known) :]:
            self._session.reported(local, fidelity, score)
