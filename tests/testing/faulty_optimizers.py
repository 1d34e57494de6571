"""Optimizers with one fault each, for the checks that must find it, and two without a fault."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo import BaseHPOptimizer, EvaluationsError, NoResultError, NotReady, OptimizationComplete, Suggestion


class Sound(BaseHPOptimizer):
    """Random search, which breaks no rule."""

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]


@dataclass(eq=False, kw_only=True)
class SoundPromoter(BaseHPOptimizer):
    """Every complete trial of fidelity 1 is continued at fidelity 3, unless its result is odd in the third digit."""

    is_multi_fidelity: ClassVar[bool] = True

    min_fidelity: float = 1.0
    max_fidelity: float = 3.0

    @property
    def resumable(self):
        known = [*self.trials, *self.running]
        taken = {one.resume for one in known if one.resume is not None}
        return frozenset(t.number for t in self.trials if self._is_good(t)) - taken

    def _is_good(self, trial):
        return trial.perf is not None and trial.fidelity == 1.0 and int(trial.perf * 1000) % 2 == 0

    def _get_suggestion(self, pid):
        if not self.has_fidelity:
            if self.number == 0:
                warnings.warn("f takes no fidelity", UserWarning, stacklevel=2)
            return self.space.sample(self.rng, 1)[0]
        for number in sorted(self.resumable):
            return self._promote(number)
        return Suggestion(self.space.sample(self.rng, 1)[0], fidelity=self.min_fidelity)

    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=self.max_fidelity, resume=number)

    def _hp_of(self, number):
        return next(trial.hp for trial in self.trials if trial.number == number)


class Unseeded(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.sample(np.random.default_rng(), 1)[0]


class DeafToTheSeed(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.sample(np.random.default_rng(self.number), 1)[0]


class Hashing(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.sample(np.random.default_rng((self.seed, self.number, hash("salt") % 2**60)), 1)[0]


class LosesItsGenerator(BaseHPOptimizer):
    def _set_up(self, num_workers, time_limit, memory_limit):
        self.generator = np.random.default_rng(self.seed)

    def __getstate__(self):
        return {**vars(self), "generator": np.random.default_rng(self.seed)}

    def _get_suggestion(self, pid):
        return self.space.sample(self.generator, 1)[0]


class KeepsAGenerator(LosesItsGenerator):
    def __getstate__(self):
        return vars(self)


class CountsItsOwnPending(BaseHPOptimizer):
    def _set_up(self, num_workers, time_limit, memory_limit):
        self.pending = set()

    def _get_suggestion(self, pid):
        self.pending -= {trial.number for trial in self.trials}
        hp = self.space.sample(np.random.default_rng((self.seed, self.number, len(self.pending))), 1)[0]
        self.pending.add(self.number)
        return hp


class MovesTheGlobalGenerator(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        np.random.seed(self.seed + self.number)
        return self.space.decode(np.random.random_sample((1, self.space.n_columns)))[0]


class ReadsTheGlobalGenerator(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        kept = np.random.get_state()
        point = np.random.random_sample((1, self.space.n_columns))
        np.random.set_state(kept)
        return self.space.decode(point)[0]


class TurnsTheSignTwice(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        is_good = bool(self.trials) and (self.trials[-1].perf or 0.0) * (1 if self.mode == "max" else -1) > -1.0
        return self.space.sample(np.random.default_rng((self.seed, self.number, int(is_good))), 1)[0]


class CopiesChoices(Sound):
    def _get_suggestion(self, pid):
        hp = super()._get_suggestion(pid)
        return {k: "".join(list(v)) if isinstance(v, str) else v for k, v in hp.items()}


class OutsideTheSpace(Sound):
    def _get_suggestion(self, pid):
        return {**super()._get_suggestion(pid), "hops": 9}


class OneColumnEach(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.decode(self.rng.random((1, len(self.space))))[0]


class GrowsAChoice(Sound):
    def _get_suggestion(self, pid):
        hp = super()._get_suggestion(pid)
        if isinstance(hp.get("layers"), list):
            hp["layers"].append(1)
        return hp


class HandsOutItsOwn(Sound):
    def ask(self, pid=0):
        super().ask(pid)
        return self.running[-1]

    def _update_trials(self, pid, hp, perf):
        self.longest = max(getattr(self, "longest", 0), len(hp))

    def _get_suggestion(self, pid):
        is_spoilt = any(len(trial.hp) == 0 for trial in self.trials)
        return self.space.sample(np.random.default_rng((self.seed, self.number, int(is_spoilt))), 1)[0]


class EndsAgainstItsWord(Sound):
    def _get_suggestion(self, pid):
        if self.number == 150:
            raise OptimizationComplete("enough")
        return super()._get_suggestion(pid)


class NeverEndsAgainstItsWord(Sound):
    is_finite = True


class ComesBackFromTheEnd(Sound):
    is_finite = True

    def _get_suggestion(self, pid):
        if self.number == 5 and self.running:
            raise OptimizationComplete("only until the next result")
        return super()._get_suggestion(pid)


class WaitsForNothing(Sound):
    def _get_suggestion(self, pid):
        if self.number >= 20 and not self.running:
            raise NotReady("a result, please")
        return super()._get_suggestion(pid)


class CountsVainAsks(BaseHPOptimizer):
    def _set_up(self, num_workers, time_limit, memory_limit):
        self.n_vain = 0

    def _get_suggestion(self, pid):
        if len(self.running) >= 3:
            self.n_vain += 1
            raise NotReady("three at once are enough")
        return self.space.sample(np.random.default_rng((self.seed, self.number, self.n_vain)), 1)[0]


class LostWhileOthersRun(Sound):
    def _get_suggestion(self, pid):
        return {} if len(self.running) > 4 else super()._get_suggestion(pid)


class IgnoresTheBudget(Sound):
    def _set_up(self, num_workers, time_limit, memory_limit):
        self.max_evals = None


class NeverTheFirst(Sound):
    def _best_hp(self):
        best = 0
        for i, trial in enumerate(self.trials):
            if trial.perf is not None and (not best or trial.perf > self.trials[best].perf):
                best = i
        if not self.trials or self.trials[best].perf is None:
            raise NoResultError("none")
        return dict(self.trials[best].hp), self.trials[best].perf


class UndeclaredFidelity(Sound):
    def _get_suggestion(self, pid):
        return Suggestion(super()._get_suggestion(pid), fidelity=3.0)


class AveragesFailures(Sound):
    def _get_suggestion(self, pid):
        self.mean = sum(trial.perf for trial in self.trials)
        return super()._get_suggestion(pid)


class WantsOrder(Sound):
    def _update_trials(self, pid, hp, perf):
        if hp.number != len(self.trials) - 1:
            raise RuntimeError("one by one, please")


class SwallowsRefusals(Sound):
    def tell(self, suggestion, perf=None, **how):
        try:
            super().tell(suggestion, perf, **how)
        except EvaluationsError:
            pass


class RemembersRefusals(Sound):
    def _set_up(self, num_workers, time_limit, memory_limit):
        self.n_refused = 0

    def tell(self, suggestion, perf=None, **how):
        try:
            super().tell(suggestion, perf, **how)
        except EvaluationsError:
            self.n_refused += 1
            raise

    def _get_suggestion(self, pid):
        return self.space.sample(np.random.default_rng((self.seed, self.number, self.n_refused)), 1)[0]


class TakesNaNForZero(Sound):
    def tell(self, suggestion, perf=None, **how):
        if isinstance(suggestion, list):
            suggestion = [(one, 0.0 if value != value else value) for one, value in suggestion]
        super().tell(suggestion, perf, **how)


class DropsABatch(Sound):
    def tell(self, suggestion, perf=None, **how):
        if isinstance(suggestion, list):
            for one, value in suggestion:
                super().tell(one, value)
        else:
            super().tell(suggestion, perf, **how)


class DividesByTheSpread(Sound):
    def _get_suggestion(self, pid):
        perfs = np.array([trial.perf for trial in self.trials if trial.perf is not None])
        if len(perfs) > 1:
            self.scores = (perfs - perfs.mean()) / perfs.std()
        return super()._get_suggestion(pid)


class AnswersNothing(Sound):
    def report(self, suggestion, fidelity, perf):
        super().report(suggestion, fidelity, perf)


class TooMuchFidelity(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=self.max_fidelity * 2, resume=number)


class NeverInFull(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=2.0, resume=number)


class PromotesTwice(SoundPromoter):
    @property
    def resumable(self):
        known = [*self.trials, *self.running]
        taken = [one.resume for one in known if one.resume is not None]
        return frozenset(t.number for t in self.trials if self._is_good(t) and taken.count(t.number) < 2)


class PromotesAnother(SoundPromoter):
    def _hp_of(self, number):
        return self.space.sample(self.rng, 1)[0]


class PromotesTheFailed(SoundPromoter):
    def _is_good(self, trial):
        return trial.fidelity == 1.0


class PromotesSideways(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=1.0, resume=number)


class PromotesWhatItLetGo(SoundPromoter):
    def _get_suggestion(self, pid):
        kept = super().resumable
        return self._promote(min(kept)) if kept else super()._get_suggestion(pid)

    @property
    def resumable(self):
        return frozenset()


class CallsBackTheGone(SoundPromoter):
    @property
    def resumable(self):
        return super().resumable if self.number % 5 else frozenset()


class SaysNothingOfFidelity(SoundPromoter):
    def _get_suggestion(self, pid):
        return super()._get_suggestion(pid) if self.has_fidelity else self.space.sample(self.rng, 1)[0]


class WarnsEachTime(SoundPromoter):
    def _get_suggestion(self, pid):
        if not self.has_fidelity and self.number:
            warnings.warn("f takes no fidelity", UserWarning, stacklevel=2)
        return super()._get_suggestion(pid)


class InsistsOnFidelity(SoundPromoter):
    def _get_suggestion(self, pid):
        hp = super()._get_suggestion(pid)
        return hp if self.has_fidelity else Suggestion(hp, fidelity=1.0)


class WaitsForSurvivors(SoundPromoter):
    def _get_suggestion(self, pid):
        if self.number >= 9 and sum(trial.perf is not None for trial in self.trials) < 9:
            raise NotReady("nine survivors, please")
        return super()._get_suggestion(pid)


FAULTS: dict[str, list[type[Any]]] = {
    "same_seed_same_suggestions": [Unseeded],
    "other_seed_other_suggestions": [DeafToTheSeed],
    "independent_of_the_process": [Hashing],
    "survives_pickling": [LosesItsGenerator],
    "rebuilds_from_history": [KeepsAGenerator],
    "rebuilds_while_trials_run": [CountsItsOwnPending],
    "draws_from_its_own_generator": [MovesTheGlobalGenerator, ReadsTheGlobalGenerator],
    "mode_min_mirrors_mode_max": [TurnsTheSignTwice],
    "suggests_legal_values": [CopiesChoices, OutsideTheSpace],
    "handles_every_kind_of_space": [OneColumnEach],
    "leaves_inputs_alone": [GrowsAChoice, HandsOutItsOwn],
    "ends_as_declared": [EndsAgainstItsWord, NeverEndsAgainstItsWord, ComesBackFromTheEnd],
    "waits_only_for_running_trials": [WaitsForNothing],
    "is_unmoved_by_asking_in_vain": [CountsVainAsks],
    "suggests_while_others_run": [LostWhileOthersRun],
    "stops_at_max_evals": [IgnoresTheBudget],
    "names_the_best": [NeverTheFirst],
    "declares_its_fidelity": [UndeclaredFidelity],
    "survives_failures": [AveragesFailures],
    "accepts_results_in_any_order": [WantsOrder],
    "refuses_a_second_result": [SwallowsRefusals, RemembersRefusals],
    "refuses_what_is_no_number": [TakesNaNForZero, RemembersRefusals],
    "takes_the_good_of_a_batch": [DropsABatch],
    "survives_extreme_results": [DividesByTheSpread],
    "takes_reports": [AnswersNothing],
    "stays_within_its_fidelities": [TooMuchFidelity, NeverInFull],
    "resumes_rightly": [
        PromotesTwice,
        PromotesAnother,
        PromotesTheFailed,
        PromotesSideways,
        PromotesWhatItLetGo,
        CallsBackTheGone,
    ],
    "works_without_fidelity": [SaysNothingOfFidelity, WarnsEachTime, InsistsOnFidelity],
    "survives_lost_survivors": [WaitsForSurvivors],
}
"""By the name of the check that must find the fault."""
