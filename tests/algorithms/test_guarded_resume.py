"""What a suggestion may resume or fork: anything else is refused by `ask`, whatever the hook returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, RangeHP, Suggestion, TrialState
from autohpo.errors import SuggestionError

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", [8, 16]])]


class Returns(BaseHPOptimizer):
    """Suggests what it is told to."""

    what: Any = None

    def _get_suggestion(self, pid):
        return self.what


def point(x: float, **more: Any) -> Suggestion:
    """A suggestion of the space."""
    return Suggestion({"x": x, "act": "relu"}, **more)


def with_trials() -> Returns:
    """Trial 0 had 1 unit and was continued by 1, which had 3; 2 failed; 3 runs; 4 was stopped at 2 of 9."""
    hpo = Returns(SPACE)
    for what, state in (
        (point(0.25, fidelity=1.0), TrialState.COMPLETE),
        (point(0.25, fidelity=3.0, resume=0), TrialState.COMPLETE),
        (point(0.5, fidelity=1.0), TrialState.FAILED),
        (point(0.75, fidelity=1.0), TrialState.RUNNING),
        (point(0.125, fidelity=9.0), TrialState.STOPPED),
    ):
        hpo.what = what
        suggestion = hpo.ask()
        if state is TrialState.FAILED:
            hpo.fail(suggestion, "no luck")
        elif state is TrialState.STOPPED:
            hpo.report(suggestion, 2, 0.5)
            hpo.tell(suggestion, 0.5, is_stopped=True)
        elif state is TrialState.COMPLETE:
            hpo.tell(suggestion, 0.5)
    return hpo


MISBEHAVES = {
    "another configuration": (point(0.75, fidelity=9.0, resume=1), "must have the configuration of trial 1"),
    "a running trial": (point(0.75, fidelity=9.0, resume=3), "trial 3 is still running"),
    "a second time": (
        point(0.25, fidelity=9.0, resume=0),
        "trial 0 was continued by trial 1; name the last of a chain",
    ),
    "at the fidelity it had": (point(0.25, fidelity=3.0, resume=1), "fidelity must be above that of trial 1, 3, got 3"),
    "at less than it had": (point(0.25, fidelity=1.0, resume=1), "fidelity must be above that of trial 1, 3, got 1"),
    "a failed trial": (point(0.5, fidelity=3.0, resume=2), "trial 2 ended as FAILED and has no result to go on from"),
    "a trial to come": (point(0.5, fidelity=3.0, resume=5), "must be the number of an earlier trial, got 5"),
    "no number": (point(0.5, fidelity=3.0, resume="last"), "must be the number of an earlier trial, got 'last'"),
    "resume and fork": (point(0.25, fidelity=9.0, resume=1, fork=1), "a suggestion has one of them at most"),
    "a fork of a running trial": (point(0.5, fidelity=9.0, fork=3), "fork: trial 3 is still running"),
    "a fork of a failed trial": (point(0.5, fidelity=9.0, fork=2), "fork: trial 2 ended as FAILED"),
    "a fork of no trial": (point(0.5, fidelity=9.0, fork=-1), "fork: must be the number of an earlier trial, got -1"),
}


@pytest.mark.parametrize(("what", "text"), MISBEHAVES.values(), ids=MISBEHAVES.keys())
def test_a_hook_that_resumes_or_forks_what_it_may_not_is_refused(what, text):
    """It would train something else than is recorded; no number is used up, and a good suggestion is taken after it."""
    hpo = with_trials()
    hpo.what = what
    with pytest.raises(SuggestionError) as caught:
        hpo.ask()
    assert str(caught.value).startswith("Returns._get_suggestion: ")
    assert text in str(caught.value)
    assert (hpo.n_asked, len(hpo.running)) == (5, 1)
    hpo.what = point(0.25, fidelity=9.0, resume=np.int64(1))
    suggestion = hpo.ask()
    assert (suggestion.number, suggestion.resume, type(suggestion.resume)) == (5, 1, int)


def test_a_stopped_trial_may_be_continued_and_a_finished_one_forked():
    """A fork may have another configuration and any fidelity."""
    hpo = with_trials()
    hpo.what = point(0.125, fidelity=27.0, resume=4)
    assert hpo.ask().resume == 4
    hpo.what = point(0.9, fidelity=1.0, fork=1)
    suggestion = hpo.ask()
    assert (suggestion.fork, suggestion.resume) == (1, None)
    hpo.tell(suggestion, 0.5)
    assert hpo.trials[-1].fork == 1


def test_a_generator_search_cannot_show_one_configuration_with_the_result_of_another():
    """The training of x=.25 is paused; a hook that goes on with it as x=.75 ends the search with a typed error."""

    class Swaps(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            if self.number == 0:
                return point(0.25, fidelity=1.0)
            return point(0.75, fidelity=2.0, resume=0)

    def f(hps):
        while True:
            yield hps["x"]

    hpo = Swaps(SPACE, f, max_evals=2)
    with pytest.raises(SuggestionError, match="must have the configuration of trial 0"):
        hpo.optimize(progress=False)
    assert [(trial.hp["x"], trial.perf) for trial in hpo.result] == [(0.25, 0.25)]
