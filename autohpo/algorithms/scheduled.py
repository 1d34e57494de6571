"""Scheduled: a scheduler and a sampler make an algorithm. The one place where the two meet."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.parts.sampler import Sampler, SamplerSpec, spec_of
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import OptimizationComplete, OptionError, SuggestionError, shown
from autohpo.history import Cursor, HistoryView
from autohpo.schedulers.base import Decision, Fork, Promote, Scheduler, Start
from autohpo.schedulers.chains import Chains, ResultCounts, informative_fidelity
from autohpo.schedulers.limits import Limits, TrainingPlan
from autohpo.schedulers.observed import Observer
from autohpo.schedulers.schedule import SLACK, with_training_plan
from autohpo.trial import Running, Suggestion, Trial

_OF_THE_START = {"point", "point_in_full", "replaces", "given_up"}  # notes that a promoted trial does not take over


@dataclass(eq=False, kw_only=True)
class Scheduled(BaseHPOptimizer):
    """An algorithm made of a scheduler, which decides who gets how much, and a sampler, which fills it.

    A subclass makes the scheduler in ``_make_scheduler``, and has the options that it needs. The sampler is any
    algorithm without fidelities of its own. It sees every configuration that was started, with its results at one
    fidelity: the largest that has enough of them, if they are half as many as at any lower one, or four times as many
    as a model needs. A configuration without a result there counts as running. Only a sampler that tells fidelities
    apart itself, such as ``kde``, sees everything.

    With several objectives the trials of a rung are ranked by Pareto front, and in a front by how much room they have;
    the sampler must take several objectives, too.

    Args:
        max_fidelity: What a full evaluation gets.
        budget: What the search may train in all, in full evaluations: a trial that gets a third of `max_fidelity` costs
            a third. Where the objective continues paused trainings only what a promotion adds counts. None sets no such
            limit.
        sampler: Where new configurations come from: a registered name, ``(name, options)``, or an optimizer whose
            options are taken over.

    Raises:
        OptionError: The sampler is none, schedules fidelities itself, or does not take the space.
        RegistryError: No algorithm has this name.
    """

    is_multi_fidelity: ClassVar[bool] = True
    takes_budget: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    max_fidelity: float = 81.0
    budget: float | None = None
    sampler: SamplerSpec | BaseHPOptimizer | None = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._take_sampler(self.sampler)
        self._counts = ResultCounts(self.history, self.max_fidelity)
        self._scheduler = self._make_scheduler()
        self._has_warned = False
        self._decided = Cursor(self.history)
        self._given_up: dict[int, str] = {}  # why, by the number of the trial

    def _take_sampler(self, sampler: object) -> None:
        """Draws new configurations from another sampler from now on; nothing may have been suggested yet."""
        self.sampler = spec = spec_of(sampler)
        self._sampler_name: str = spec if isinstance(spec, str) else spec[0]
        given = {} if isinstance(spec, str) else spec[1]
        cls = get_hpo(self._sampler_name)
        if cls.is_multi_fidelity:
            raise OptionError(f"sampler: must have no fidelities of its own, got {self._sampler_name}")
        full = {"max_fidelity": self.max_fidelity} if cls.reads_fidelity and "max_fidelity" in option_names(cls) else {}
        self._sampler_options = {**full, **self._options_for(self._sampler_name), **given}
        self._reads_fidelity = cls.reads_fidelity
        self._is_sampler_finite = self._new_sampler().inner.is_finite  # made to be checked: its seed is not known yet
        self._samplers: dict[float | None, tuple[HistoryView, Sampler]] = {}  # by the fidelity whose results count

    def _make_scheduler(self) -> Scheduler:
        """Return the scheduler; called once, when all options are known."""
        raise NotImplementedError(f"{type(self).__name__} must define _make_scheduler(self)")

    def _observed(self) -> Observer | None:
        """Return what picks the reports that a sampler sees which tells fidelities apart; None shows it all of them."""
        return None

    def _options_for(self, sampler: str) -> dict[str, Any]:
        """The options of a sampler that are options of this algorithm, too."""
        return {}

    # What the base asks of an algorithm.

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: with its schedule, or when the sampler has nothing left."""
        return self._is_sampler_finite or self.budget is not None or math.isfinite(self._scheduler.cost)

    @property
    def default_evals(self) -> int:
        """How many suggestions a search makes that has no limit: one round of Hyperband's brackets of these rungs."""
        n_round = self._scheduler.n_round
        return super().default_evals if n_round is None or not self.has_fidelity else n_round

    @property
    def says_improvement(self) -> bool | None:  # type: ignore[override]
        """Whether suggestions say what improvement they expect: where the sampler says it."""
        return get_hpo(self._sampler_name).says_improvement

    @property
    def resumable(self) -> frozenset[int]:
        """The finished trials that may still be promoted or forked."""
        return self._scheduler.resumable(self.history)

    def why(self, number: int) -> str:
        """Return why a trial went on, was stopped or given up, or waits; the empty string where there is no reason.

        Args:
            number: The number of a trial.
        """
        history = self.history
        if history.leaf(number) != number:
            known: Iterable[Trial | Running] = chain(history.trials, history.running)
            later = next(one for one in known if one.resume == number)
            return f"{later.info.get('why', 'the scheduler chose it')}; went on as trial {later.number}"
        found = super().why(number) or self._scheduler.why(history, number)
        end = self._reason_given_up(number)
        return found if end is None else f"{found}; {end}" if found else end

    def _reason_given_up(self, number: int) -> str | None:
        """Return why a trial was given up; each suggestion is looked at once, as a driver asks at every early end."""
        step = self._decided.step()
        if step.is_reset:
            self._given_up.clear()
        for item in step.asked:
            for given_up, why in item.info.get("given_up", ()):
                self._given_up.setdefault(given_up, why)
        return self._given_up.get(number)

    def fidelity_schedule(self) -> Any:
        """Return the levels of fidelity, with Hyperband as a table of its brackets; print it to read it.

        Where the search has a limit, ``max_evals`` or `budget`, it ends with what will be trained, its `training_plan`.
        """
        return with_training_plan(self._scheduler.schedule, self.training_plan())

    def training_plan(self) -> TrainingPlan | None:
        """Return what the search will train with its limits; None where it has none."""
        aside = session_of(self).wanted.n_due_in_full(self.full_fidelity) if not self.n_asked else 0
        limits = Limits(
            session_of(self).allowance.most_evals - aside,
            cost=math.inf if self.budget is None else self.budget - aside,
            is_continued=self.is_continued,
        )
        if not self.has_fidelity:
            n = (
                math.floor(min(limits.n, limits.cost + SLACK, self._scheduler.cost + SLACK) + 0.0)
                if limits.is_any
                else None
            )
            return None if n is None else TrainingPlan(n + aside, n + aside, n + aside, 1)
        found = self._scheduler.training_plan(limits)
        return None if found is None else found.plus_in_full(aside)

    def _get_suggestion(self, pid: int) -> Suggestion:
        return self._suggest(lambda: self._sample(pid))

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Suggestion:
        """A user's point starts where any other new configuration would."""
        return self._suggest(lambda: Suggestion(hp), is_point=True)

    def _on_report(self, hp: Suggestion, fidelity: float, perf: Any) -> bool:
        return self._scheduler.on_report(self.history, hp.number, fidelity, perf)

    # The scheduler's decisions, as suggestions.

    def _suggest(self, sample: Callable[[], Suggestion], *, is_point: bool = False) -> Suggestion:
        """The suggestion that carries out what the scheduler decides; `sample` returns a new configuration.

        Where that is a point of the user's, it takes the place of one that the scheduler names.
        """
        if not self.has_fidelity:
            self._check_full_budget()
            return sample()
        decision = self._decide(can_start=True)
        if isinstance(decision, Start):
            self.start_fidelity = decision.fidelity
            try:
                made = sample() if decision.hp is None or is_point else Suggestion(decision.hp)
            except OptimizationComplete as ended:
                decision = self._decide_without(ended)
            else:
                return Suggestion(made, fidelity=decision.fidelity, info={**decision.info, **made.info})
        return self._gone_on(decision)

    def _decide(self, *, can_start: bool) -> Decision:
        limits = self._scheduler.limits = session_of(self).allowance.limits

        def ask() -> Decision:
            return self._scheduler.next(self.history, self.rng, can_start=can_start, n_left=limits.n_left)

        rule = session_of(self).hopeless
        return ask() if rule is None else rule.decide(self._scheduler, ask)

    def _decide_without(self, ended: OptimizationComplete) -> Decision:
        """What the scheduler decides where the sampler has nothing left.

        Raises:
            OptimizationComplete: Nothing is left to promote either; it is the sampler's own.
        """
        try:
            return self._decide(can_start=False)
        except OptimizationComplete:
            raise ended from None

    def _gone_on(self, decision: Decision) -> Suggestion:
        """The suggestion that promotes or forks a trial.

        Raises:
            SuggestionError: It does neither, or the trial has not ended.
        """
        who = f"{type(self._scheduler).__name__}.next"
        if isinstance(decision, Fork):
            return Suggestion(decision.hp, fidelity=decision.fidelity, fork=decision.trial, info=decision.info)
        if not isinstance(decision, Promote):
            raise SuggestionError(f"{who}: must return Start (if can_start), Promote or Fork, got {shown(decision)}")
        trial = self.history.get(decision.trial)
        if trial is None:
            raise SuggestionError(f"{who}: cannot promote trial {decision.trial}, which has not ended")
        kept = {key: note for key, note in trial.info.items() if key not in _OF_THE_START}
        return Suggestion(trial.hp, fidelity=decision.fidelity, resume=decision.trial, info={**kept, **decision.info})

    def _check_full_budget(self) -> None:
        """Says once that there are no rungs, and ends where the schedule would have.

        Raises:
            OptimizationComplete: What the schedule costs was spent.
        """
        if not self._has_warned:
            self._has_warned = True
            message = "the objective takes no fidelity, so every trial is a full evaluation"
            warnings.warn(f"{type(self).__name__}: {message}", UserWarning, stacklevel=2)
        if self.number + 1 > self._scheduler.cost + SLACK:
            raise OptimizationComplete(f"what the schedule costs went into {self.number} full evaluations")

    # The sampler, and what it sees.

    def _sample(self, pid: int) -> Suggestion:
        """A new configuration, drawn from what the scheduler has left of the generator."""
        view, sampler = self._sampler_now()
        return sampler.suggest(view, pid, self.rng)

    def _sampler_now(self) -> tuple[HistoryView, Sampler]:
        """What the sampler sees, and the sampler."""
        level = self._level()
        if level not in self._samplers:
            chains = None if level is None else Chains(self.history, level, self.max_fidelity)
            self._samplers[level] = self.history if chains is None else chains, self._new_sampler()
        return self._samplers[level]

    def _level(self) -> float | None:
        """The fidelity whose results the sampler sees; None where it sees everything."""
        if self._reads_fidelity or not self.has_fidelity:
            return None
        counts = self._counts.update()
        informative = informative_fidelity(counts, self.space.n_columns + 3)  # what kde wants for its densities
        return min(counts, default=self.max_fidelity) if informative is None else informative

    def _view_of(self, level: float | None) -> HistoryView:
        """What the sampler sees, with the results at a fidelity; everything where that is None."""
        return self.history if level is None else Chains(self.history, level, self.max_fidelity)

    def _new_sampler(self) -> Sampler:
        return Sampler(self._sampler_name, self, self._sampler_options, self._observed())
