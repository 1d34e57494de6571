"""How much an attempt trained, how much it may train, and an executor that ends the search."""

from __future__ import annotations

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.serial import SerialExecutor
from autohpo.objective import Evaluator, Objective
from autohpo.store.checked import check_data
from autohpo.trial import Outcome, Task, TrialState


def endless(hps):
    """Yields its epoch."""
    epoch = 0
    while True:
        epoch += 1
        yield epoch


def reporting(hps, trial):
    """Reports its epoch, until it is told to end."""
    while trial.report(len(trial.reports) + 1):
        pass


def run(f, folder="", **task):
    """The outcome of one task."""
    given = {"number": 0, "attempt": 1, "hp": {}, "root": 0, "checkpoint_dir": str(folder), **task}
    return Evaluator(Objective.of(f)).run(Task(**given), lambda *_: True)


@pytest.mark.parametrize("f", [endless, reporting])
@pytest.mark.parametrize(("most", "reached", "state"), [(3, 3, "STOPPED"), (9, 9, "COMPLETE"), (2.5, 3, "STOPPED")])
def test_an_attempt_ends_at_the_report_that_reaches_what_it_may_train(f, most, reached, state):
    """Before its fidelity it has not come to its end: the state says so."""
    outcome = run(f, fidelity=9, most=most)
    assert (outcome.state.value, outcome.reached, outcome.perf) == (state, reached, reached)
    assert outcome.trained is None  # all that it reached


def test_what_it_may_train_is_counted_from_where_it_goes_on():
    """A paused training that goes on from 3 may train 2, and ends at 5."""
    evaluator = Evaluator(Objective.of(endless))
    evaluator.run(Task(0, 1, {}, fidelity=3, root=0), lambda *_: True)
    outcome = evaluator.run(Task(1, 1, {}, fidelity=9, root=0, most=2), lambda *_: True)
    assert (outcome.state, outcome.reached, outcome.trained) == (TrialState.STOPPED, 5, 2)


def test_a_continued_training_says_what_it_added(tmp_path):
    """A paused one by itself, one from a checkpoint by resume_at; also where it then fails; and only if metered."""
    for most, added in ((9, 6), (None, None)):
        evaluator = Evaluator(Objective.of(endless))
        evaluator.run(Task(0, 1, {}, fidelity=3, root=0, most=most), lambda *_: True)
        assert evaluator.run(Task(1, 1, {}, fidelity=9, root=0, most=most), lambda *_: True).trained == added

    def loads(hps, trial):
        trial.resume_at(5)
        while trial.report(1.0):
            if hps and trial.reports[-1][0] == 7:
                raise RuntimeError

    assert run(loads, tmp_path, fidelity=9, most=9).trained == 4
    failed = run(loads, tmp_path, fidelity=9, most=9, hp={"fails": True})
    assert (failed.state, failed.trained) == (TrialState.FAILED, 2)


def test_an_outcome_keeps_what_was_trained():
    """In JSON, and only where it is known; the store takes no other than a number."""
    outcome = Outcome(TrialState.COMPLETE, (1.0,), reached=9, trained=4)
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert "trained" not in Outcome(TrialState.COMPLETE, (1.0,)).to_json()
    for kind, data in (("end", outcome.to_json()), ("interrupt", {"state": "LOST", "error": "", "trained": 4.0})):
        assert check_data(kind, data) == ""
        assert check_data(kind, {**data, "trained": "4"}) == "trained must be a number, got '4'"


class Closes(SerialExecutor):
    """Wants the search to end when three trials have ended."""

    def __init__(self):
        super().__init__()
        self.n, self.log = 0, []

    @property
    def closing(self):
        return "three are enough" if self.n >= 3 else ""

    def recall(self, log, files):
        self.log.append([event.kind for event in log])

    def open(self, objective, on_report):
        assert len(self.log) == 1
        super().open(objective, on_report)

    def poll(self, timeout_seconds):
        events = super().poll(timeout_seconds)
        self.n += sum(event.outcome is not None for event in events)
        return events


def test_an_executor_can_end_the_search_and_knows_its_log(tmp_path, capsys):
    """The search ends in order and says why; whoever goes on gets the log of what was."""
    for life in range(2):
        executor = Closes()
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=9, seed=0)
        hpo.optimize(executor=executor, store=tmp_path / "run.db", progress="plain")
        assert hpo.result.counts() == {"COMPLETE": 3 * (life + 1)}
        assert executor.log == [["ask", "start", "end"] * 3 * life]
        assert "ended early: three are enough" in capsys.readouterr().err
