"""Progress: one calm line."""

from __future__ import annotations

import io

import pytest

from autohpo.errors import OptionError
from autohpo.progress import PlainProgress, RichProgress, Silent, Standing, make_progress


def standing(**changes):
    """A search in the middle."""
    values = {"n_done": 10, "n_failed": 2, "n_running": 2, "best": 0.8125, "max_evals": 24, "seconds": 60.0}
    return Standing(**{**values, "time_limit": None, **changes})


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Yes."""
        return True


def test_the_line_says_what_one_wants_to_know():
    """Done of how many, running, failed, best, time, time left: 12 of 24 took a minute, so 12 take another."""
    assert str(standing()) == "10/24 trials | 2 running | 2 failed | best 0.8125 | 1:00 | about 1:00 left"


def test_the_budget_that_ends_first_tells_the_time_left():
    """90 s of time limit leave 30."""
    assert standing(time_limit=90.0).left_seconds == 30.0
    assert standing(time_limit=900.0).left_seconds == 60.0
    assert standing(max_evals=None).left_seconds is None
    assert standing(time_limit=50.0).left_seconds == 0.0


def test_what_an_earlier_run_did_took_no_time_of_this_one():
    """Ten of the twelve were there already: two took a minute, so twelve more take six."""
    assert standing(n_earlier=10).left_seconds == 360.0
    assert standing(n_earlier=12).left_seconds is None


def test_a_budget_of_full_evaluations_is_shown_and_tells_the_time_left():
    """3 of 12 took a minute, so 9 take three more; of a resumed search only what this run spent counts."""
    line = str(standing(max_evals=None, budget=12.0, spent=3.0))
    assert line == (
        "10 trials | 3 of 12 full evaluations | 2 running | 2 failed | best 0.8125 | 1:00 | about 3:00 left"
    )
    assert standing(max_evals=None, budget=12.0, spent=3.0, spent_earlier=2.0).left_seconds == 540.0
    assert standing(max_evals=None, budget=12.0).left_seconds is None


def test_long_times_are_written_in_hours():
    """1:01:01, and before any result there is no best."""
    text = str(standing(n_done=0, n_failed=0, best=None, max_evals=None, seconds=3661.0))
    assert text == "0 trials | 2 running | no result yet | 1:01:01"


def test_at_the_end_nothing_runs_and_no_time_is_left():
    """The last line does not speak of what is over."""
    assert str(standing(n_done=22, n_running=0)) == "22/24 trials | 2 failed | best 0.8125 | 1:00"


def test_plain_lines_come_now_and_then_and_at_the_end(monkeypatch):
    """Ten seconds apart, however often it is asked."""
    clock = [0.0]
    monkeypatch.setattr("autohpo.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = PlainProgress(stream)
    for clock[0] in range(25):
        progress.update(standing)
    progress.close(standing())
    assert len(stream.getvalue().splitlines()) == 3


def test_on_a_terminal_one_line_is_drawn_over_and_over():
    """The last state stands there in the end."""
    stream = Terminal()
    progress = RichProgress(stream)
    progress.update(standing)
    progress.close(standing(n_done=22))
    assert "22/24 trials" in stream.getvalue()


def test_auto_draws_on_a_terminal_and_prints_elsewhere():
    """And False is silence."""
    assert isinstance(make_progress("auto", Terminal()), RichProgress)
    assert isinstance(make_progress("auto", io.StringIO()), PlainProgress)
    assert isinstance(make_progress(False), Silent)
    with pytest.raises(OptionError, match="progress"):
        make_progress("loud")


def test_a_time_limit_without_end_leaves_no_time_to_name():
    """Infinity has no clock."""
    assert standing(time_limit=float("inf"), max_evals=None).left_seconds is None
    assert "left" not in str(standing(time_limit=float("inf"), max_evals=None))
