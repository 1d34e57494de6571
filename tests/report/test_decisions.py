"""The table of decisions on the page: one row for each training, with what was decided at each step."""

from __future__ import annotations

from autohpo import RangeHP, build_hpo_from_name
from autohpo.report.decisions import MAX_ROWS, decisions
from autohpo.report.html import render_html
from autohpo.result import Result
from autohpo.trial import Outcome, Trial, TrialState

DONE = TrialState.COMPLETE


def trial(number, perf, fidelity, resume=None, fork=None, why="", state=DONE, **info):
    """A trial of a scheduler, which noted bracket and rung."""
    outcome = Outcome(state, () if perf is None else (perf,), reached=fidelity, why=why)
    info = {"bracket": 0, "rung": 0, **info}
    if "note" in info:
        info["why"] = info.pop("note")
    return Trial(number, {"x": number}, outcome, fidelity=fidelity, resume=resume, fork=fork, info=info)


def test_a_training_is_one_row_with_a_line_for_each_decision():
    """The promotion says why, the one that was left says its rank, the stopped one what stopped it."""
    page = decisions(
        Result(
            [
                trial(0, 0.5, 1.0),
                trial(1, 0.25, 1.0),
                trial(2, 0.75, 3.0, resume=0, rung=1, note="rank 1 of 2 at fidelity 1"),
                trial(3, 0.1, 2.0, why="stopped at 2: rank 3 of 3", state=TrialState.STOPPED),
            ]
        )
    )
    assert page.count("<tr>") == 1 + 3  # the head and three trainings
    assert "0 \N{RIGHTWARDS ARROW} 2" in page
    assert page.index("0 \N{RIGHTWARDS ARROW} 2") < page.index("stopped at 2") < page.index("rank 2 of 2 at fidelity 1")
    assert "went on as trial 2" in page


def test_a_copy_says_whose_it_is():
    """A fork is a training of its own, which began with the checkpoint of another."""
    page = decisions(Result([trial(0, 0.5, 1.0), trial(1, 0.6, 2.0, fork=0, why="exploits")]))
    assert "began as a copy of trial 0" in page


def test_text_of_an_algorithm_is_escaped():
    """A plug-in may write anything there."""
    page = decisions(Result([trial(0, 0.5, 1.0, why="<script>alert(1)</script>")]))
    assert "<script>" not in page


def test_many_trainings_are_cut_and_the_caption_says_so():
    """The page stays readable."""
    n = MAX_ROWS + 7
    page = decisions(Result([trial(k, k / n, 1.0) for k in range(n)]))
    assert page.count("<tr>") == 1 + MAX_ROWS
    assert "; 7 others are not shown" in page
    assert f"Decisions on {n} trainings" in page


def test_without_fidelities_there_is_no_table():
    """Every trial had everything: nothing was decided."""
    assert decisions(Result([Trial(0, {"x": 1}, Outcome(DONE, (0.5,)))])) == ""


def test_a_real_search_explains_every_training():
    """Each training of a bracket is in the table of its page."""

    def f(hps):
        for epoch in range(9):
            yield hps["x"] * epoch

    space = [RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("hyperband", space, f, min_fidelity=1, max_fidelity=9, num_iterations=1, seed=0)
    hpo.optimize(progress=False)
    page = render_html(hpo.result)
    assert "Decisions on 9 trainings" in page
