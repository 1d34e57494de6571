"""Optimizers that each break one rule, and the check that must find it."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import cloudpickle
import numpy as np

from autohpo import BaseHPOptimizer, EvaluationsError, NoResultError, NotReady, OptimizationComplete, Suggestion

# Child processes cannot import this file, so its classes travel with their code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Sound(BaseHPOptimizer):
    """Random search, which breaks no rule."""

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]


@dataclass(eq=False, kw_only=True)
class SoundPromoter(BaseHPOptimizer):
    """Every complete trial of fidelity 1 is continued at fidelity 3 if its result is good."""

    is_multi_fidelity: ClassVar[bool] = True

    min_fidelity: float = 1.0
    max_fidelity: float = 3.0

    @property
    def resumable(self):
        return frozenset(self._waiting())

    def _waiting(self):
        taken = {one.resume for one in [*self.trials, *self.running]}
        return [trial.number for trial in self.trials if self._is_good(trial) and trial.number not in taken]

    def _is_good(self, trial):
        return trial.score is not None and trial.fidelity == 1.0 and trial.score > -0.6

    def _get_suggestion(self, pid):
        if not self.has_fidelity:
            if self.number == 0:
                warnings.warn("f takes no fidelity", UserWarning, stacklevel=2)
            return self.space.sample(self.rng, 1)[0]
        for number in self._waiting():
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
        np.random.seed(self.seed + self.number)  # noqa: NPY002
        return self.space.decode(np.random.random_sample((1, self.space.n_columns)))[0]  # noqa: NPY002


class ReadsTheGlobalGenerator(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        kept = np.random.get_state()  # noqa: NPY002
        point = np.random.random_sample((1, self.space.n_columns))  # noqa: NPY002
        np.random.set_state(kept)  # noqa: NPY002
        return self.space.decode(point)[0]


class TurnsTheSignTwice(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        is_good = bool(self.trials) and (self.trials[-1].score or 0.0) * (1 if self.mode == "max" else -1) > -1.0
        return self.space.sample(np.random.default_rng((self.seed, self.number, int(is_good))), 1)[0]


class TakesPerfForScore(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        is_good = bool(self.trials) and (self.trials[-1].perf or 0.0) > -1.0
        return self.space.sample(np.random.default_rng((self.seed, self.number, int(is_good))), 1)[0]


class OutsideTheSpace(Sound):
    def _get_suggestion(self, pid):
        return {**super()._get_suggestion(pid), "hops": 9}


class OneColumnEach(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.decode(self.rng.random((1, len(self.space))))[0]


class ForgetsConstraints(BaseHPOptimizer):
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    def _get_suggestion(self, pid):
        return self.space.decode(self.rng.random((1, self.space.n_columns)))[0]


class Repeats(Sound):
    @property
    def is_finite(self):
        return self.space.n_configurations is not None


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


class KeepsWhatItHandsOut(BaseHPOptimizer):
    def ask(self, pid=0):
        self.kept = super().ask(pid)
        return self.kept

    def _get_suggestion(self, pid):
        is_spoilt = self.number > 0 and not self.kept
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
            if trial.score is not None and (not best or trial.score > self.trials[best].score):
                best = i
        if not self.trials or self.trials[best].score is None:
            raise NoResultError("none")
        return dict(self.trials[best].hp), self.trials[best].score


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
        with contextlib.suppress(EvaluationsError):
            super().tell(suggestion, perf, **how)


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


class CountsForAllOfItsClass(Sound):
    n_made = 0

    def _get_suggestion(self, pid):
        type(self).n_made += 1
        return self.space.sample(np.random.default_rng(type(self).n_made), 1)[0]


class TooMuchFidelity(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=self.max_fidelity * 2, resume=number)


class NeverInFull(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=2.0, resume=number)


class PromotesTwice(SoundPromoter):
    def _waiting(self):
        taken = [one.resume for one in [*self.trials, *self.running]]
        return [trial.number for trial in self.trials if self._is_good(trial) and taken.count(trial.number) < 2]


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
    @property
    def resumable(self):
        return frozenset()


class CallsBackTheGone(SoundPromoter):
    @property
    def resumable(self):
        return frozenset({*self._waiting(), *([0] if self.number % 2 else [])})


class ForksWhatItLetGo(PromotesWhatItLetGo):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=self.max_fidelity, fork=number)


class ForksInSecret(SoundPromoter):
    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=self.max_fidelity, fork=number)


class NeverForks(SoundPromoter):
    needs_checkpoints: ClassVar[bool] = True


class TakesKnownForMore(SoundPromoter):
    """Does not say what a full evaluation gets, so that a known result is taken for one of endless training."""

    full_fidelity = None


class ForksSideways(SoundPromoter):
    needs_checkpoints: ClassVar[bool] = True

    def _promote(self, number):
        return Suggestion(self._hp_of(number), fidelity=1.0, fork=number)


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


FAULTS: dict[str, list[tuple[type[Any], str]]] = {
    "same_seed_same_suggestions": [(Unseeded, "suggestions of a second search")],
    "other_seed_other_suggestions": [(DeafToTheSeed, "wanted other configurations with another seed, got the same 30")],
    "independent_of_the_process": [(Hashing, "suggestions in a process with another hash seed")],
    "survives_pickling": [(LosesItsGenerator, "suggestions of the restored optimizer")],
    "rebuilds_from_history": [(KeepsAGenerator, "events were replayed")],
    "rebuilds_while_trials_run": [(CountsItsOwnPending, "events were replayed")],
    "draws_from_its_own_generator": [
        (MovesTheGlobalGenerator, "the state of numpy.random to be left alone"),
        (ReadsTheGlobalGenerator, "suggestions with other global generators"),
    ],
    "mode_min_mirrors_mode_max": [
        (TurnsTheSignTwice, "mode='min' on -f"),
        (TakesPerfForScore, "mode='min' on -f"),
    ],
    "suggests_legal_values": [
        (OutsideTheSpace, "SuggestionError: OutsideTheSpace._get_suggestion: hops"),
    ],
    "handles_every_kind_of_space": [(OneColumnEach, "on the space 'one choice of one'")],
    "respects_constraints": [
        (ForgetsConstraints, "with a linear constraint on floats: SuggestionError: ForgetsConstraints._get_suggestion"),
    ],
    "repeats_nothing_in_finite_spaces": [(Repeats, "wanted no configuration twice, as is_finite is True, got ['{")],
    "leaves_inputs_alone": [
        (GrowsAChoice, "SuggestionError: GrowsAChoice._get_suggestion"),
        (KeepsWhatItHandsOut, "when the caller writes into those it got"),
        (HandsOutItsOwn, "trial 0 was asked with {}, got {'dropout'"),
    ],
    "ends_as_declared": [
        (EndsAgainstItsWord, "wanted 200 suggestions, as is_finite is False, got OptimizationComplete after 150"),
        (NeverEndsAgainstItsWord, "as is_finite is True, got no end"),
        (ComesBackFromTheEnd, "OptimizationComplete for every further ask"),
    ],
    "waits_only_for_running_trials": [(WaitsForNothing, "as no trial is running, got NotReady")],
    "is_unmoved_by_asking_in_vain": [(CountsVainAsks, "wanted suggestions, item 3")],
    "suggests_while_others_run": [(LostWhileOthersRun, "dropout: must be in the configuration")],
    "stops_at_max_evals": [(IgnoresTheBudget, "wanted 7 suggestions with max_evals=7, got 100")],
    "names_the_best": [(NeverTheFirst, "wanted the best result to be 0.0")],
    "declares_its_fidelity": [(UndeclaredFidelity, "as is_multi_fidelity is False, got (3, None, None)")],
    "survives_failures": [(AveragesFailures, "got TypeError")],
    "accepts_results_in_any_order": [(WantsOrder, "one by one, please")],
    "refuses_a_second_result": [
        (SwallowsRefusals, "EvaluationsError for a second result, got None"),
        (RemembersRefusals, "suggestions after a second result was refused"),
    ],
    "refuses_what_is_no_number": [
        (TakesNaNForZero, "EvaluationsError for the result nan, got None"),
        (RemembersRefusals, "suggestions after a result was refused"),
    ],
    "takes_the_good_of_a_batch": [(DropsABatch, "numbers that were refused")],
    "survives_extreme_results": [(DividesByTheSpread, "no RuntimeWarning where results are all zero")],
    "takes_reports": [(AnswersNothing, "True or False for a report, got None")],
    "suggests_behind_a_view_what_it_does_alone": [(CountsForAllOfItsClass, "suggestion 1 behind a view")],
    "stays_within_its_fidelities": [
        (TooMuchFidelity, "a fidelity from 1.0 to 3.0, got 6"),
        (NeverInFull, "a trial at fidelity 3.0 within 500 suggestions"),
    ],
    "compares_known_results_with_full_ones": [
        (TakesKnownForMore, "to beat a bad one that was known, got Trial(number=0")
    ],
    "resumes_rightly": [
        (PromotesTwice, "name the last of a chain"),
        (PromotesAnother, "resume: must have the configuration of trial"),
        (PromotesTheFailed, "has no result to go on from"),
        (PromotesSideways, "resume: fidelity must be above that of trial"),
        (PromotesWhatItLetGo, "to be in `resumable`, got []"),
        (ForksWhatItLetGo, "to be forked, to be in `resumable`, got []"),
        (CallsBackTheGone, "have left `resumable` to stay away, got [0]"),
    ],
    "forks_as_declared": [
        (ForksInSecret, "no fork, as needs_checkpoints is False"),
        (NeverForks, "a fork within 80 suggestions, as needs_checkpoints is True, got none"),
        (ForksSideways, "which is copied, had, 1, got 1"),
    ],
    "works_without_fidelity": [
        (SaysNothingOfFidelity, "one warning that speaks of fidelity, got []"),
        (WarnsEachTime, "one warning that speaks of fidelity, got ['f takes"),
        (InsistsOnFidelity, "has_fidelity is False, got (1, None, None)"),
    ],
    "survives_lost_survivors": [(WaitsForSurvivors, "got NotReady: nine survivors")],
}
"""By the name of the check that must find the fault: the optimizer, and what the check must say of it."""
