"""Several objectives and constraints on results, from the objective to the result and the store."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autohpo import ChoiceHP, EvaluationsError, OptionError, RangeHP, build_hpo_from_name
from autohpo.objectives import incumbent, pareto
from autohpo.report import render_html, write_html_from_store
from autohpo.result import Result
from autohpo.trial import Outcome, Trial, TrialState

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]
MODE = {"acc": "max", "cost": "min"}


def f(hps):
    """The more x, the better and the dearer; tanh is dearer for nothing; x above .8 is not allowed."""
    cost = hps["x"] + (hps["act"] == "tanh")
    return {"acc": hps["x"], "cost": cost, "note": 1.0}, {"memory": hps["x"] - 0.8}


def trials_of(rows, violations=(), signs=()):
    """Trials with these values, and these violations of a constraint."""
    held = itertools.chain(violations, itertools.repeat(0.0))
    return [
        Trial(n, {}, Outcome(TrialState.COMPLETE, tuple(row), constraints={"g": v} if v else {}), signs=signs)
        for n, (row, v) in enumerate(zip(rows, held, strict=False))
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1, 1)])
def test_the_front_is_what_brute_force_finds(seed, signs):
    """A trial is on it if no other is at least as good in all and better in one; of equals the first."""
    rows = np.random.default_rng(seed).integers(6, size=(40, len(signs))).astype(float)
    up = rows * signs
    wanted = set()
    for i, row in enumerate(up):
        is_beaten = any((other >= row).all() and (other > row).any() for other in up)
        is_first = not any((other == row).all() for other in up[:i])
        if not is_beaten and is_first:
            wanted.add(i)
    assert {trial.number for trial in pareto(trials_of(rows, signs=signs))} == wanted


def test_the_compromise_is_near_the_best_of_each():
    """On the front (0, 1), (.8, .8), (1, 0) the middle one is nearest to (1, 1)."""
    assert incumbent(trials_of([(0, 1), (0.8, 0.8), (1, 0), (0.7, 0.7)])).number == 1


def test_who_meets_the_constraints_comes_first():
    """A better trial that misses one is neither on the front nor the best; of those that all miss the least counts."""
    trials = trials_of([(1.0, 1.0), (0.5, 0.5), (0.2, 0.9)], [0.1])
    assert [trial.number for trial in pareto(trials)] == [1, 2]
    assert incumbent(trials).number in (1, 2)
    assert incumbent(trials_of([(9,), (1,), (5,)], [3.0, 0.0, 1.0])).number == 1
    assert incumbent(trials_of([(9,), (1,), (5,)], [3.0, 2.0, 1.0])).number == 2
    assert pareto(trials_of([(9, 9)], [1.0])) == []


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("name", ["motpe", "nsga2"])
def test_a_search_keeps_values_constraints_and_metrics(tmp_path, name, num_workers):
    """What the objective returned stands in the result, the records, the store and the page."""
    store = tmp_path / "run.db"
    hpo = build_hpo_from_name(name, SPACE, f, mode=MODE, max_evals=20, seed=0)
    best_hp, best_perf = hpo.optimize(num_workers=num_workers, store=store, progress=False)
    result = hpo.result
    for trial in result:
        values, held = f(trial.hp)
        assert trial.perfs == (values["acc"], values["cost"])
        assert (trial.constraints, trial.metrics) == (held, {"note": 1.0})
    assert best_hp["x"] <= 0.8
    assert (result.best.hp, result.best.perfs) == (best_hp, best_perf)
    assert all(trial.hp["x"] <= 0.8 for trial in result.pareto)
    record = result.to_records()[0]
    assert (record["perf.acc"], record["perf.cost"]) == result.trials[0].perfs
    page = write_html_from_store(store, tmp_path / "run.html").read_text()
    assert "acc" in page
    plain = render_html(result, space=SPACE)  # without what the header says of how the run was made
    assert page.startswith(plain.removesuffix("</main></body></html>\n"))


@pytest.mark.parametrize("name", ["motpe", "nsga2", "mocmaes", "ehvi"])
def test_a_resumed_search_is_the_uninterrupted_one(tmp_path, name):
    """Twelve trials, and then twelve more from the store, are twenty-four."""

    def search(n, store):
        hpo = build_hpo_from_name(name, SPACE, f, mode=MODE, max_evals=n, seed=5)
        hpo.optimize(store=store, progress=False)
        return [(trial.hp, trial.perfs) for trial in hpo.result]

    whole = search(24, tmp_path / "whole.db")
    search(12, tmp_path / "parts.db")
    assert search(24, tmp_path / "parts.db") == whole


def test_one_objective_alone_is_a_result_of_its_own():
    """`along` gives each objective its own direction, best and order."""
    result = Result(trials_of([(0.1, 5.0), (0.9, 9.0), (0.5, 1.0)]), MODE)
    assert (result.along("acc").best.number, result.along("cost").best.number) == (1, 2)
    assert [trial.perf for trial in result.along(1).top(3)] == [1.0, 5.0, 9.0]
    with pytest.raises(OptionError, match="objective: must be one of"):
        result.along("speed")


def test_the_hypervolume_of_two_points():
    """(1, 2) and (2, 1) from the reference (0, 0): 2 + 2 - 1, the square they share."""
    pytest.importorskip("moocore")
    result = Result(trials_of([(1.0, 2.0), (2.0, 1.0), (0.5, 0.5)]), ["max", "max"])
    assert result.hypervolume((0, 0)) == pytest.approx(3.0)
    assert Result(trials_of([(1.0, 2.0)]), ["max", "min"]).hypervolume((0, 5)) == pytest.approx(3.0)
    with pytest.raises(OptionError, match=r"reference: must have one value for each objective \(2\), got 1"):
        result.hypervolume((0,))


def test_an_algorithm_that_ignores_constraints_says_so_once():
    """The search goes on, and the best trial meets them."""
    hpo = build_hpo_from_name("anneal", SPACE, lambda hp: (hp["x"], {"m": hp["x"] - 0.5}), max_evals=15, seed=0)
    with pytest.warns(UserWarning, match="does not look at constraints of results") as caught:
        best_hp, _ = hpo.optimize(progress=False)
    assert len(caught) == 1
    assert best_hp["x"] <= 0.5


def test_a_report_of_several_objectives_has_all_of_them():
    """Reports are kept with every value; one number for two objectives is refused."""
    hpo = build_hpo_from_name("nsga2", SPACE, mode=MODE, seed=0)
    suggestion = hpo.ask()
    with pytest.raises(EvaluationsError, match="must have 2 numbers"):
        hpo.report(suggestion, 1, 0.5)
    first, second = MODE
    assert hpo.report(suggestion, 1, {first: 0.5, second: 3})
    assert hpo.report(suggestion, 2, (0.6, 2))
    assert hpo.history.running[0].reports == [(1, (0.5, 3.0)), (2, (0.6, 2.0))]
    assert [scores for _, scores in hpo.history.running[0].curves] == [(0.5, -3.0), (0.6, -2.0)]


def reporting(hps, trial):
    """Report both objectives, and a metric; return nothing."""
    for epoch in (1, 2, 3):
        if not trial.report({"acc": hps["x"] * epoch, "lat": hps["x"], "loss": 1 / epoch}):
            break


def yielding(hps):
    """The same as a generator."""
    for epoch in (1, 2, 3):
        yield {"acc": hps["x"] * epoch, "lat": hps["x"]}, {"loss": 1 / epoch}


def returning(hps, trial):
    """The same with a result at the end."""
    reporting(hps, trial)
    done, _ = trial.reports[-1]
    return {"acc": done * hps["x"], "lat": hps["x"]}


@pytest.mark.parametrize("f", [reporting, yielding, returning])
@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize(("name", "options"), [("tpe", {}), ("hyperband", {"max_fidelity": 3})])
def test_reports_of_several_objectives_are_kept_and_resumed(tmp_path, f, num_workers, name, options):
    """The last report is the result; in process, in workers, from the store, at every fidelity."""
    mode = {"acc": "max", "lat": "min"}
    for max_evals in (5, 8):
        hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], f, mode=mode, max_evals=max_evals, seed=0, **options)
        hpo.optimize(progress=False, store=tmp_path / "run.db", num_workers=num_workers)
    assert hpo.result.counts() == {"COMPLETE": 8}
    for trial in Result.load(tmp_path / "run.db"):
        done = trial.fidelity or 3
        assert trial.perfs == pytest.approx((trial.hp["x"] * done, trial.hp["x"]))
        assert [fidelity for fidelity, _ in trial.reports][-1] == done
        assert trial.reports[-1][1] == pytest.approx(trial.perfs)
        assert trial.metrics["loss"] == pytest.approx(1 / done)
    along = hpo.result.along("lat")
    assert all(perf == trial.hp["x"] for trial in along for _, perf in trial.reports)


def test_a_stopping_scheduler_stops_by_front():
    """A trial that others dominate at a rung is stopped there, with every objective as its result."""
    order = iter([0.9, 0.8, 0.7, 0.1, 0.95, 0.2])

    def f(hps, trial):
        value = next(order)
        for _ in range(9):
            if not trial.report((value, value)):
                return

    hpo = build_hpo_from_name(
        "asha", SPACE, f, type="stopping", mode=["max", "max"], max_fidelity=9, max_evals=6, seed=0
    )
    hpo.optimize(progress=False)
    stopped = [trial for trial in hpo.result if trial.state is TrialState.STOPPED]
    assert [trial.number for trial in stopped] == [2, 3, 5]
    assert all(len(trial.perfs) == 2 and trial.reached == 1 for trial in stopped)


KILLED = """
import os, signal, sys
from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from tests_objective import SPACE, MODE, f
left = int(sys.argv[2])

def killing(hps):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return f(hps)

hpo = build_hpo_from_name("nsga2", SPACE, killing, mode=MODE, max_evals=30, seed=3)
hpo.optimize(store=sys.argv[1], progress=False)
"""


@pytest.mark.filterwarnings("ignore:store. .*begun with something else")  # the function that kills is another one
def test_a_killed_search_goes_on_to_the_same_result(tmp_path):
    """The process is killed in its 8th trial, and again in the 12th of the rest; nothing told is lost."""
    (tmp_path / "tests_objective.py").write_text(Path(__file__).read_text())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    for trials in ("8", "12"):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "killed.db"), trials]
        assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    results = []
    for name in ("killed.db", "whole.db"):
        hpo = build_hpo_from_name("nsga2", SPACE, f, mode=MODE, max_evals=30, seed=3)
        hpo.optimize(store=tmp_path / name, progress=False)
        results.append([(t.number, t.hp, t.perfs, t.constraints, t.metrics) for t in hpo.result])
    assert results[0] == results[1]
    assert len(results[0]) == 30


def test_two_workers_resume_what_two_workers_began(tmp_path):
    """Every trial has its result once, the results are those of their configurations, and the best is allowed."""
    for n in (10, 24):
        hpo = build_hpo_from_name("nsga2", SPACE, f, mode=MODE, max_evals=n, seed=1)
        _, best_perf = hpo.optimize(num_workers=2, store=tmp_path / "run.db", progress=False)
    assert [trial.number for trial in hpo.result] == list(range(24))
    assert all(dict(zip(MODE, t.perfs, strict=True)) == {k: f(t.hp)[0][k] for k in MODE} for t in hpo.result)
    assert best_perf == hpo.result.best.perfs
    assert hpo.result.best.violation == 0
