"""BaseHPOptimizer: tell, report, fail and adopt, each taken whole or refused whole."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from autohpo import (
    BaseHPOptimizer,
    ChoiceHP,
    EvaluationsError,
    NoResultError,
    OptionError,
    RangeHP,
    SpaceError,
    Suggestion,
    TrialState,
)
from autohpo.errors import AlgorithmError

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b"])]


class Steps(BaseHPOptimizer):
    """The least that an algorithm must be."""

    def _get_suggestion(self, pid):
        return {"x": self.number / 1000, "c": "a"}


def test_mode_min_is_turned_once():
    """A trial has what the user measured, and a score and a curve that are higher where it is better."""
    hpo = Steps(SPACE, mode="min")
    for loss in (3.0, 1.0, 2.0):
        suggestion = hpo.ask()
        hpo.report(suggestion, 1, 5.0)
        hpo.tell(suggestion, loss)
    assert [trial.perf for trial in hpo.trials] == [3.0, 1.0, 2.0]
    assert [trial.score for trial in hpo.trials] == [-3.0, -1.0, -2.0]
    assert [trial.reports for trial in hpo.trials] == [((1.0, 5.0),)] * 3
    assert [trial.curve for trial in hpo.trials] == [((1.0, -5.0),)] * 3
    assert hpo.best()[1] == 1.0


def test_bad_results_of_a_batch_are_named_and_the_others_taken():
    """The error holds each refused suggestion with its reason, in order."""
    hpo = Steps(SPACE)
    good, bad, late = hpo.ask(), hpo.ask(), hpo.ask()
    stranger = Suggestion(good, number=77)
    plain = dict(good)
    with pytest.raises(EvaluationsError) as caught:
        hpo.tell([(good, 0.1), (bad, math.nan), (stranger, 0.2), (good, 0.3), (plain, 0.4), late, (late, 0.5)])
    assert [item for item, _ in caught.value.refused] == [bad, stranger, good, plain, late]
    assert [reason for _, reason in caught.value.refused] == [
        "the objective's result must be finite, got nan",
        "suggestion 77 was not asked for here; tell what ask() of this very optimizer returned",
        "suggestion 0 has a result already; tell each suggestion once",
        "suggestion: must be one that ask() returned, got dict; known results go in as points=[(configuration, result)]",  # noqa: E501
        f"result: must be a pair (suggestion, perf), got Suggestion {late!r}",
    ]
    assert str(caught.value).startswith(
        "5 results were refused: trial 1: the objective's result must be finite, got nan"
    )
    assert [(trial.number, trial.perf) for trial in hpo.trials] == [(0, 0.1), (2, 0.5)]
    assert hpo.running == [bad]


def test_plain_dict_is_refused_as_one_result():
    """Who lost the Suggestion on the way is told so, not that a letter of a name is no pair."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    with pytest.raises(EvaluationsError, match=r"must be one that ask\(\) returned, got dict"):
        hpo.tell(dict(suggestion), 0.5)


def test_error_of_refused_results_survives_pickling():
    """It may have to travel between processes."""
    hpo = Steps(SPACE)
    hpo.ask()
    with pytest.raises(EvaluationsError) as caught:
        hpo.tell(hpo.running[0], None)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.refused, str(again)) == (caught.value.refused, str(caught.value))


def test_hook_that_raises_leaves_everything_as_it_was():
    """The result can be told again once the hook works: nothing is half-applied."""

    class Moody(Steps):
        is_angry = True

        def _update_trials(self, pid, hp, perf):
            if self.is_angry:
                raise RuntimeError("no")

    hpo = Moody(SPACE)
    first, second, third = hpo.ask(), hpo.ask(), hpo.ask()
    with pytest.raises(AlgorithmError, match=r"Moody._update_trials: raised RuntimeError: no") as caught:
        hpo.tell(second, 0.5)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert hpo.running == [first, second, third]
    assert len(hpo.trials) == 0
    hpo.is_angry = False
    hpo.tell(second, 0.5)
    assert [trial.number for trial in hpo.trials] == [1]


def test_hook_sees_its_result_in_the_history():
    """``self.trials`` holds the trial already, and ``self.running`` no longer."""

    class Looks(Steps):
        seen = ()

        def _update_trials(self, pid, hp, perf):
            self.seen = (*self.seen, (pid, hp.number, perf, len(self.trials), len(self.running)))

    hpo = Looks(SPACE)
    hpo.ask(0)
    hpo.tell(hpo.ask(1), 0.5)
    assert hpo.seen == ((1, 1, 0.5, 1, 1),)


def test_hook_cannot_rewrite_the_history():
    """What ``_update_trials`` gets is a copy: its notes are its own."""

    class Writes(Steps):
        def _get_suggestion(self, pid):
            return Suggestion(super()._get_suggestion(pid), info={"rung": 1})

        def _update_trials(self, pid, hp, perf):
            hp["x"] = 9.0
            hp.info["rung"] = 2

    hpo = Writes(SPACE)
    hpo.tell(hpo.ask(), 1.0)
    assert (hpo.trials[0].hp, hpo.trials[0].info) == ({"x": 0.0, "c": "a"}, {"rung": 1})


@pytest.mark.parametrize("state", [TrialState.CRASHED, TrialState.INVALID, TrialState.MEMORY])
def test_failed_trial_is_kept_with_its_state_and_reason(state):
    """A failure joins the history without a performance, and never reaches ``_update_trials``."""

    class Deaf(Steps):
        def _update_trials(self, pid, hp, perf):
            raise AssertionError

    hpo = Deaf(SPACE)
    hpo.fail(hpo.ask(), "out of luck", state)
    trial = hpo.trials[0]
    assert (trial.state, trial.perf, trial.error) == (state, None, "out of luck")


@pytest.mark.parametrize("state", ["COMPLETE", "STOPPED", "RUNNING", "CANCELLED", "LOST"])
def test_only_final_failures_are_failures(state):
    """A state that has a performance, or that will run again, is no way to fail."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    with pytest.raises(OptionError, match=f"state: must be the end of a failed trial, got {state}"):
        hpo.fail(suggestion, "?", TrialState(state))
    assert len(hpo.running) == 1


def test_best_of_no_results_is_an_error():
    """There is no best before there is a result, and the text says how many trials there were."""
    hpo = Steps(SPACE)
    hpo.fail(hpo.ask(), "broken")
    with pytest.raises(NoResultError, match="best: no trial of 1 has a result yet"):
        hpo.best()


def test_report_says_when_a_trial_has_had_its_fidelity():
    """True below the fidelity, False from there on; without a fidelity always True."""

    class ThreeUnits(Steps):
        def _get_suggestion(self, pid):
            return Suggestion(super()._get_suggestion(pid), fidelity=3)

    hpo = ThreeUnits(SPACE)
    suggestion = hpo.ask()
    assert [hpo.report(suggestion, done, 0.1) for done in (1, np.float64(2.5), 3, 4)] == [True, True, False, False]
    assert type(hpo.report(suggestion, np.float64(1), 0.1)) is bool
    free = Steps(SPACE)
    assert free.report(free.ask(), 10**6, 0.1) is True


@pytest.mark.parametrize("fidelity", [-1, math.nan, math.inf, "1", None])
def test_report_of_no_fidelity_is_refused(fidelity):
    """A report that says not how far the training is, is refused whole."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    with pytest.raises(EvaluationsError, match="fidelity: must be a finite number of at least 0, got"):
        hpo.report(suggestion, fidelity, 0.5)
    hpo.tell(suggestion, 1.0)
    assert hpo.trials[0].reports == ()


def test_stopped_trial_is_told_as_stopped():
    """It carries a performance, which stands for the fidelity it reached."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    hpo.report(suggestion, 4, 0.5)
    hpo.tell(suggestion, 0.5, is_stopped=True)
    assert (hpo.trials[0].state, hpo.trials[0].reached) == (TrialState.STOPPED, 4.0)


def test_restarted_trial_forgets_its_reports():
    """A second attempt reports anew."""
    hpo = Steps(SPACE)
    suggestion = hpo.ask()
    hpo.report(suggestion, 1, 0.5)
    hpo.restart(suggestion)
    hpo.report(suggestion, 1, 0.7)
    hpo.tell(suggestion, 0.7)
    assert hpo.trials[0].reports == ((1.0, 0.7),)
    with pytest.raises(EvaluationsError, match="has a result already"):
        hpo.restart(suggestion)


# Adopt.


def test_adopted_suggestions_count_as_asked():
    """A replayed optimizer goes on with the next number, and takes results for what it adopted."""
    hpo = Steps(SPACE)
    hpo.adopt(Suggestion({"x": 0.25, "c": "b"}, number=0, pid=2, seed=9))
    assert hpo.running[0].seed == 9
    hpo.tell(hpo.running[0], 0.5)
    assert (hpo.trials[0].hp, hpo.trials[0].pid) == ({"x": 0.25, "c": "b"}, 2)
    assert hpo.ask().number == 1


def test_adopted_suggestion_is_kept_apart_from_the_callers():
    """Whoever replays a history may go on using what it read."""
    hpo = Steps(SPACE)
    suggestion = Suggestion({"x": 0.25, "c": "b"}, number=0, info={"rung": 1})
    hpo.adopt(suggestion)
    suggestion["x"] = 9.0
    suggestion.info["rung"] = 2
    assert (hpo.running[0], hpo.running[0].info) == ({"x": 0.25, "c": "b"}, {"rung": 1})


def test_adopting_out_of_turn_or_space_is_refused():
    """A history with a hole, or of another space, is none."""
    hpo = Steps(SPACE)
    with pytest.raises(OptionError, match="suggestion: number must be the next, 0, got 1"):
        hpo.adopt(Suggestion({"x": 0.25, "c": "b"}, number=1))
    with pytest.raises(SpaceError, match="x: must be a value of"):
        hpo.adopt(Suggestion({"x": 2.5, "c": "b"}, number=0))
    assert hpo.n_asked == 0
