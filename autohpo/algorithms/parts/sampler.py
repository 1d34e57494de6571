"""Sampler: another algorithm inside an optimizer, which suggests as if the view that it is shown were all there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import check_names, option_defaults, option_names, options_of
from autohpo.algorithms.parts.values import described
from autohpo.algorithms.registry import get_hpo, name_of
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError, SuggestionError, short
from autohpo.history import Cursor, History, HistoryView
from autohpo.schedulers.observed import Observer
from autohpo.trial import Running, Suggestion, Trial, TrialState

SamplerSpec = str | Sequence[Any]
"""How a sampler is named: a registered name, or ``[name, options]``."""


def spec_of(sampler: object) -> str | list[Any]:
    """Return what names a sampler: its registered name, or ``[name, options]`` where options differ from the defaults.

    Args:
        sampler: A registered name, a pair ``(name, options)``, or an optimizer whose own options are taken over.

    Raises:
        OptionError: It is none of these, or has an option that the algorithm does not know.
        RegistryError: No algorithm has this name.
    """
    match sampler:
        case str(name):
            options: Mapping[str, Any] = {}
        case BaseHPOptimizer():
            name, options = name_of(type(sampler)), options_of(sampler)
            if "." in name:
                raise OptionError(f"sampler: must be of a registered class, got {name}; decorate it with register_hpo")
        case [str(name), Mapping() as given]:
            options = given
        case _:
            raise OptionError(f"sampler: must be a name, (name, options) or an optimizer, got {short(sampler)}")
    cls = get_hpo(name)
    check_names(name, options, option_names(cls))
    common, defaults = set(option_names(BaseHPOptimizer)), option_defaults(cls)
    own = {k: v for k, v in options.items() if k not in common and not (k in defaults and defaults[k] == v)}
    return [name, own] if own else name


class Sampler:
    """Any algorithm as the source of new configurations for another one.

    It is a function of the view: what the algorithm has not seen of it is adopted and told before it is asked. There
    trials are numbered from 0 in the order in which they came into the view, so an algorithm suggests behind a view
    just what it suggests alone. Only the whole history shows fidelities: behind any other view all trials are full.

    Args:
        algorithm: A registered name, or a class.
        owner: The optimizer that it works for; space, seed and directions are the same.
        options: Options of the algorithm.
        observed: Picks what the algorithm sees of the reports of a trial; None shows all of them.

    Attributes:
        inner: The algorithm, with a history of its own.

    Raises:
        OptionError: The algorithm takes no such space, objectives or options.
        RegistryError: No algorithm has this name.
    """

    def __init__(
        self,
        algorithm: str | type[BaseHPOptimizer],
        owner: BaseHPOptimizer,
        options: Mapping[str, Any] | None = None,
        observed: Observer | None = None,
    ) -> None:
        self._observed = observed
        self._cls = get_hpo(algorithm) if isinstance(algorithm, str) else algorithm
        self._owner = owner
        self._options = {**(options or {}), "seed": owner.seed, "mode": owner.mode, "points": ()}
        self._has_hook = self._cls._update_trials is not BaseHPOptimizer._update_trials
        self._cursor: Cursor | None = None
        self._is_whole = False
        self._start()

    def _start(self) -> None:
        """Begin with an optimizer that has seen nothing."""
        self.inner = self._cls(self._owner.space, None, **self._options)
        self.inner.has_fidelity = self._owner.has_fidelity and self._is_whole
        self.inner.is_continued = self._owner.is_continued
        self._session = session_of(self.inner)
        self._session.allowance.default_limit = session_of(self._owner).allowance.default_limit
        self._n_asked = 0  # suggestions adopted
        self._local: dict[int, int] = {}  # in a view of a part: the number there of what runs, by its number here

    def suggest(
        self,
        view: HistoryView,
        pid: int = 0,
        rng: np.random.Generator | None = None,
        point: dict[str, Any] | None = None,
    ) -> Suggestion:
        """Return the next suggestion after what a view shows; nothing is remembered of it until the view shows it.

        It is for the owner to check, and not to be changed: what the algorithm returns comes as it is.

        Args:
            view: A history or a view of it; the same one at every call.
            pid: The worker slot that will run it.
            rng: The generator that the algorithm draws from; None makes one, as it would have alone.
            point: A point of the user's that is to be tried.

        Raises:
            OptimizationComplete: There is none left.
            NotReady: A result must come first.
            SuggestionError: The algorithm returned no configuration.
        """
        self.follow(view)
        self.inner.start_fidelity = self._owner.start_fidelity
        made = self._session.draw(pid, rng, point)
        if not isinstance(made, Mapping):
            who = f"{type(self.inner).__name__}._get_suggestion"
            raise SuggestionError(f"{who}: must return a dict, got {described(made)}")
        return made if isinstance(made, Suggestion) else Suggestion(made)

    def resumable(self, view: HistoryView) -> frozenset[int]:
        """Return the finished trials that the algorithm may still continue, after what a view shows."""
        self.follow(view)
        return self.inner.resumable if self._is_whole else frozenset()

    def why(self, view: HistoryView, number: int) -> str:
        """Return why a trial went on, paused or stopped, after what a view shows; else the empty string.

        Args:
            view: The history of the search, or a view of it.
            number: The number of a trial there.
        """
        self.follow(view)
        return self.inner.why(number) if self._is_whole else ""

    def follow(self, view: HistoryView) -> None:
        """Adopt and tell what is new in a view.

        Raises:
            OptionError: It is another view than before.
        """
        self.inner.set_up(session_of(self._owner).num_workers)
        if self._cursor is None:
            self._cursor = Cursor(view)
            self._is_whole = isinstance(view, History)
            self.inner.has_fidelity = self._owner.has_fidelity and self._is_whole
        elif self._cursor.view is not view:
            raise OptionError("view: a sampler follows one view; make another sampler for another one")
        step = self._cursor.step()
        if step.is_reset:
            self._start()
        for item in step.asked:
            self._adopt(item)
        for trial in step.told:
            self._tell(trial)
        if self._is_whole:
            for running in view.running:
                self._report(running)

    def _adopt(self, item: Trial | Running) -> None:
        if self._is_whole:  # numbers are the same there: nothing is missing
            self._session.adopt(item.suggestion)
        else:
            self._local[item.number] = self._n_asked
            self._session.adopt(Suggestion(item.hp, info=item.info, number=self._n_asked))
        self._n_asked += 1

    def _tell(self, trial: Trial) -> None:
        if not self._is_whole:
            outcome = trial.outcome
            if trial.state is TrialState.STOPPED:  # where it was stopped is all there is
                outcome = replace(outcome, state=TrialState.COMPLETE)
            number = self._local.pop(trial.number)
            trial = replace(trial, number=number, outcome=outcome, fidelity=None, resume=None, fork=None, reports=())
        elif self._observed is not None:
            trial = replace(trial, reports=tuple(self._observed(trial.reports, self._begun(trial.resume))))
        if self._has_hook:
            self._session.close(trial)
        else:
            self._session.history.finish(trial)

    def _begun(self, resume: int | None) -> float:
        """The fidelity at which a trial began."""
        before = None if resume is None else self._session.history.get(resume)
        return 0.0 if before is None else before.reached

    def _report(self, running: Running) -> None:
        """Hand over the reports that are new, all of them again after a restart."""
        known = self._session.history.find(running.number).reports
        reports = running.reports
        if self._observed is not None:
            reports = list(self._observed(reports, self._begun(running.resume)))
        if known != reports[: len(known)]:
            self._session.restart(running.number)
            known = []
        for fidelity, perf in reports[len(known) :]:
            self._session.reported(running.number, fidelity, perf)
