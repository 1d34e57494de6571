"""Reports through a whole search: those that come too late, their metrics, and the best of them as the result."""

from __future__ import annotations

import pytest

from autohpo import OptionError, RangeHP, Result, build_hpo_from_name
from autohpo.errors import StoreMismatchError
from autohpo.store import open_store
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]
RUNGS = {"min_fidelity": 1, "max_fidelity": 9, "seed": 0}


def deaf(hps, trial):
    """Trains nine epochs, whatever it is told."""
    for epoch in range(1, 10):
        trial.report(hps["x"] - 1 / epoch)
    return hps["x"]


def falling(hps):
    """A loss that falls for five epochs, and rises again."""
    for epoch in range(1, 10):
        yield -abs(epoch - 5) - hps["x"], {"loss": abs(epoch - 5)}


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_objective_that_ignores_the_answer_gets_one_warning_and_honest_results(tmp_path, num_workers):
    """Every trial of a bracket has the perf of its own rung, in the log too, and a resumed search says it again."""
    for max_evals in (13, 22):
        hpo = build_hpo_from_name("hyperband", SPACE, deaf, max_evals=max_evals, **RUNGS)
        with pytest.warns(UserWarning, match="trial [0-9]+ went on training after trial.report had returned") as said:
            hpo.optimize(progress=False, num_workers=num_workers, store=tmp_path / "run.db")
        assert len(said) == 1
    for trial in (*hpo.result, *Result.load(tmp_path / "run.db")):
        assert trial.perf == trial.hp["x"] - 1 / trial.fidelity
        assert trial.reports[-1] == (trial.fidelity, trial.perf)
        assert trial.reached == trial.fidelity


def test_training_that_is_wasted_is_named_whichever_report_is_the_result():
    """The best report is no reason to go on after the answer."""
    hpo = build_hpo_from_name("hyperband", SPACE, deaf, max_evals=13, **RUNGS)
    with pytest.warns(UserWarning, match="trial 0 went on training after trial.report had returned"):
        hpo.optimize(progress=False, keep="best")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_metrics_of_reports_reach_the_trial_the_log_and_the_tables(tmp_path, num_workers):
    """What a paused and continued generator yielded counts from its first epoch on."""
    hpo = build_hpo_from_name("hyperband", SPACE, falling, max_evals=13, **RUNGS)
    hpo.optimize(progress=False, num_workers=num_workers, store=tmp_path / "run.db")
    full = next(trial for trial in Result.load(tmp_path / "run.db") if trial.fidelity == 9)
    assert full.metrics == {"loss": 4.0, "loss.min": 0.0, "loss.max": 4.0}
    row = hpo.result.to_records()[full.number]
    assert (row["metric.loss"], row["metric.loss.min"], row["metric.loss.max"]) == (4.0, 0.0, 4.0)
    store = open_store(tmp_path / "run.db", read_only=True)
    logged = [event.data for event in store.events() if event.kind == "report" and event.trial == full.number]
    store.close()
    assert [data["metrics"]["loss"] for data in logged] == [1.0, 0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_best_report_may_be_the_result_of_every_trial(num_workers):
    """The best is epoch 5: a training to 9 keeps it, one that ends before has its last."""
    hpo = build_hpo_from_name("hyperband", SPACE, falling, max_evals=13, **RUNGS)
    hpo.optimize(progress=False, num_workers=num_workers, keep="best")
    for trial in hpo.result:
        assert trial.perf == -abs(min(trial.fidelity, 5) - 5) - trial.hp["x"]


def test_which_report_is_the_result_is_a_part_of_the_run(tmp_path):
    """Results of the last and of the best report are not to be compared."""
    for keep in ("last", "best"):
        hpo = build_hpo_from_name("hyperband", SPACE, falling, max_evals=3, **RUNGS)
        if keep == "last":
            hpo.optimize(progress=False, store=tmp_path / "run.db")
        else:
            with pytest.raises(StoreMismatchError, match="keep"):
                hpo.optimize(progress=False, store=tmp_path / "run.db", keep=keep)


def test_the_best_report_is_refused_where_there_is_none():
    """Another word, and several objectives."""
    hpo = build_hpo_from_name("random", SPACE, falling, max_evals=3)
    with pytest.raises(OptionError, match="keep: must be 'last' or 'best', got 'first'"):
        hpo.optimize(progress=False, keep="first")
    hpo = build_hpo_from_name("motpe", SPACE, falling, max_evals=3, mode=["max", "min"])
    with pytest.raises(OptionError, match="keep: .* several objectives"):
        hpo.optimize(progress=False, keep="best")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_whole_fidelities_are_integers_wherever_they_are_read(tmp_path, num_workers):
    """In f, in a generator's handle, in trials, reports, views and a store that is read back; the log keeps 1.0."""

    def counts(hps, fidelity, trial):
        assert type(fidelity) is type(trial.fidelity) is int
        for _ in range(fidelity):
            trial.report(hps["x"])

    hpo = build_hpo_from_name("hyperband", SPACE, counts, max_evals=13, **RUNGS)
    hpo.optimize(progress=False, num_workers=num_workers, store=tmp_path / "run.db")
    again = build_hpo_from_name("hyperband", SPACE, counts, max_evals=14, **RUNGS)
    again.optimize(progress=False, store=tmp_path / "run.db")
    trials = [*hpo.result, *hpo.trials, *again.trials, *Result.load(tmp_path / "run.db"), *hpo.history.at(3).trials]
    assert {type(trial.fidelity) for trial in trials} == {type(trial.reached) for trial in trials} == {int}
    assert {type(fidelity) for trial in trials for fidelity, _ in trial.reports} == {int}
    store = open_store(tmp_path / "run.db", read_only=True)
    logged = {type(event.data["fidelity"]) for event in store.events() if event.kind in ("ask", "report", "end")}
    store.close()
    assert logged == {float}


def test_a_trial_that_is_stopped_has_the_result_of_its_rung():
    """asha stops most of them; what they train and return after that does not count."""
    hpo = build_hpo_from_name("asha", SPACE, deaf, type="stopping", max_evals=12, **RUNGS)
    with pytest.warns(UserWarning, match="returned 0.636962|went on training") as said:
        hpo.optimize(progress=False)
    texts = [str(one.message) for one in said]
    assert ["returned 0.636962, and had reported" in texts[0], "went on training" in texts[1]] == [True, True]
    assert len(texts) == 2  # the first trial obeyed, but for its result
    stopped = [trial for trial in hpo.result if trial.state is TrialState.STOPPED]
    assert stopped
    assert [(trial.reached, trial.perf) for trial in stopped] == [trial.reports[-1] for trial in stopped]
    assert all(trial.reached in (1, 3) for trial in stopped)
