"""Searches over commands: real trainings, stopped, continued, resumed and confirmed."""

from __future__ import annotations

import os
import sys

import pytest

from autohpo import (
    ChoiceHP,
    CommandObjective,
    LogRangeHP,
    OptionError,
    RangeHP,
    Result,
    TrialState,
    build_hpo_from_name,
)
from autohpo.commands.keeper import shared
from autohpo.controller import Metered
from autohpo.errors import FirstTrialError
from autohpo.execution.local import LocalExecutor

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands need groups of processes")

TRAIN = """
import json, math, os, sys
lr, epochs, folder = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
done, state = 0, os.path.join(folder, "state")
if os.path.exists(state):
    done = int(open(state).read())
for epoch in range(done + 1, epochs + 1):
    acc = 1 - abs(math.log10(lr) + 2) / 4 - 1 / (epoch + 1)
    open(state, "w").write(str(epoch))
    print(json.dumps({"epoch": epoch, "acc": acc, "loss": 1 / epoch}))
    with open(os.path.join(os.path.dirname(__file__), "epochs"), "a") as log:
        log.write(f"{lr} {epoch}\\n")
"""

SPACE = [LogRangeHP("lr", 1e-4, 1.0)]


def acc(lr, epoch):
    """What the script computes."""
    import math

    return 1 - abs(math.log10(lr) + 2) / 4 - 1 / (epoch + 1)


@pytest.fixture
def train(tmp_path):
    """The words that run the script."""
    (tmp_path / "train.py").write_text(TRAIN)
    return [sys.executable, "-S", str(tmp_path / "train.py"), "{lr}"]


def trained(tmp_path):
    """Each epoch that was trained, in order."""
    return [(float(a), int(b)) for a, b in (line.split() for line in (tmp_path / "epochs").read_text().splitlines())]


@pytest.mark.parametrize("n", [1, 2])
def test_asha_tunes_a_script(train, tmp_path, n):
    """Promoted trainings go on from their checkpoints, so no epoch of one is trained twice; values are the script's."""
    f = CommandObjective([*train, "{fidelity}", "{checkpoint_dir}"], metric="acc")
    assert f.is_continued
    hpo = build_hpo_from_name("asha", SPACE, f, max_evals=12, min_fidelity=1, max_fidelity=9, eta=3, seed=0)
    best, perf = hpo.optimize(num_workers=n, progress=False, store=tmp_path / "run.db")
    assert perf == pytest.approx(acc(best["lr"], hpo.result.best.reached), abs=1e-12)
    assert {trial.state for trial in hpo.result} == {TrialState.COMPLETE}
    for trial in hpo.result:
        assert trial.perf == pytest.approx(acc(trial.hp["lr"], trial.fidelity), abs=1e-12)
        assert trial.metrics["loss"] == 1 / trial.fidelity
        assert trial.reports[-1][0] == trial.fidelity
    epochs = trained(tmp_path)
    assert len(set(epochs)) == len(epochs)
    assert shared._keeper is None  # the helper ends with the search
    assert max(epoch for _, epoch in epochs) == 9


def test_a_script_that_trains_for_ever_is_ended_at_its_rungs(train, tmp_path):
    """It is not told how far to train: the search ends it there, and not an epoch later but for what it had printed."""
    (tmp_path / "train.py").write_text(TRAIN.replace("log.write", "__import__('time').sleep(0.02); log.write"))
    f = CommandObjective([*train, "1000", "{checkpoint_dir}"], metric="acc")
    assert not f.is_told_fidelity
    hpo = build_hpo_from_name("asha", SPACE, f, max_evals=6, min_fidelity=1, max_fidelity=9, eta=3, seed=0)
    hpo.optimize(progress=False)
    assert {trial.state for trial in hpo.result} == {TrialState.COMPLETE}
    assert all(trial.reached == trial.fidelity for trial in hpo.result)
    assert len(trained(tmp_path)) < 100


def test_a_scheduler_stops_commands_at_their_reports(train, tmp_path):
    """Asynchronous halving that stops: what falls behind ends early, with the value of its last report."""
    f = CommandObjective([*train, "{fidelity}", "{checkpoint_dir}"], metric="acc")
    hpo = build_hpo_from_name(
        "asha", SPACE, f, max_evals=12, min_fidelity=1, max_fidelity=9, eta=3, seed=1, type="stopping"
    )
    hpo.optimize(progress=False)
    stopped = [trial for trial in hpo.result if trial.state is TrialState.STOPPED]
    assert stopped
    for trial in stopped:
        assert trial.reached < 9
        assert trial.perf == pytest.approx(acc(trial.hp["lr"], trial.reached), abs=1e-12)


def test_a_hyper_parameter_may_hold_the_fidelity(train, tmp_path):
    """As for functions: optimize(fidelity="epochs")."""
    (tmp_path / "train.py").write_text(f"{TRAIN}\n__import__('time').sleep(0.1); open(state + '.end', 'w').close()")
    f = CommandObjective([*train, "{epochs}", "{checkpoint_dir}"], metric="acc")
    hpo = build_hpo_from_name("bohb", SPACE, f, max_evals=4, min_fidelity=1, max_fidelity=3, eta=3, seed=0)
    hpo.optimize(fidelity="epochs", progress=False, store=tmp_path / "run.db", keep_checkpoints="all")
    assert len(list(tmp_path.rglob("state.end"))) == len(list(tmp_path.rglob("state")))  # each came to its own end
    assert {trial.reached for trial in hpo.result} <= {1, 3}
    assert all(trial.perf == pytest.approx(acc(trial.hp["lr"], trial.fidelity)) for trial in hpo.result)


def test_a_search_goes_on_with_its_store(train, tmp_path):
    """The same command resumes; another one is warned about."""
    f = CommandObjective([*train, "3", "{checkpoint_dir}"], metric="acc", uses_env=True)
    for n in (3, 6):
        hpo = build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0)
        hpo.optimize(progress=False, store=tmp_path / "run.db")
    assert len(trained(tmp_path)) == 18
    other = CommandObjective([*train, "2", "{checkpoint_dir}"], metric="acc", uses_env=True)
    with pytest.warns(UserWarning, match=r"f \(its code, its command, or a value it closes over\) has changed"):
        build_hpo_from_name("random", SPACE, other, max_evals=6, seed=0).optimize(
            progress=False, store=tmp_path / "run.db"
        )
    assert [trial.metrics["acc.max"] for trial in Result.load(tmp_path / "run.db")] == [
        trial.perf for trial in hpo.result
    ]


def test_several_metrics_are_several_objectives(train, tmp_path):
    """The dict of the mode names them."""
    f = CommandObjective([*train, "{fidelity}", "{checkpoint_dir}"], metric=["acc", "loss"], full_fidelity=2)
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=4, seed=0, mode={"acc": "max", "loss": "min"})
    hpo.optimize(progress=False)
    for trial in hpo.result:
        assert trial.perfs == (pytest.approx(acc(trial.hp["lr"], 2)), 0.5)
        assert trial.metrics["loss.max"] == 1.0


def test_the_best_of_a_command_can_be_confirmed(tmp_path):
    """With fresh seeds, which the command gets."""
    f = CommandObjective(
        "sh -c 'echo acc=$1; echo seed=$2 >> $3' x {x} {seed} " + str(tmp_path / "seeds"),
        metric="acc",
        pattern="acc=(.*)",
    )
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=5, seed=0)
    best, _ = hpo.optimize(confirm=2, progress=False)
    assert best["x"] == max(trial.hp["x"] for trial in hpo.result)
    assert len(set((tmp_path / "seeds").read_text().split())) > 2


def test_the_space_is_checked_before_anything_runs(tmp_path):
    """A forgotten parameter would be tuned for nothing."""
    f = CommandObjective(f"touch {tmp_path}/ran {{lr}}", metric="acc")
    hpo = build_hpo_from_name("random", [*SPACE, ChoiceHP("opti", ["a", "b"])], f, max_evals=5)
    with pytest.raises(OptionError, match="command: does not use opti"):
        hpo.optimize(progress=False)
    assert not (tmp_path / "ran").exists()


def test_a_multi_fidelity_search_needs_a_command_that_takes_a_fidelity():
    """One that neither is told nor can say how far it trains would train in full at each rung."""
    f = CommandObjective("echo acc={lr}", metric="acc", pattern="acc=(.*)")
    hpo = build_hpo_from_name("asha", SPACE, f, max_evals=5, max_fidelity=9)
    with pytest.warns(UserWarning, match="the objective takes no fidelity"):
        hpo.optimize(progress=False)
    assert {trial.fidelity for trial in hpo.result} == {None}


def test_conditional_parameters_come_and_go():
    """As options; the command prints how many words it got."""
    space = [ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 1.0)]})]
    f = CommandObjective("sh -c 'echo n=$#' x {opti} {--momentum}", metric="n", pattern="n=(.*)")
    hpo = build_hpo_from_name("random", space, f, max_evals=8, seed=0)
    hpo.optimize(progress=False)
    assert {(trial.hp["opti"], trial.perf) for trial in hpo.result} == {("adam", 1.0), ("sgd", 3.0)}


def test_a_failing_configuration_is_a_failed_trial_and_the_search_goes_on(tmp_path):
    """Its error has what it printed; the first one ends a search, for it is probably the command."""
    command = "sh -c 'if test $1 = 0; then echo boom >&2; exit 7; fi; echo acc=$1' x {x}"
    f = CommandObjective(command, metric="acc", pattern="acc=(.*)")
    hpo = build_hpo_from_name("grid", [RangeHP("x", 0, 3)], f, seed=0)
    with pytest.raises(FirstTrialError, match="ended with exit code 7: boom"):
        hpo.optimize(progress=False)
    hpo = build_hpo_from_name("grid", [RangeHP("x", 0, 3)], f, seed=0)
    assert hpo.optimize(progress=False, continue_on_error=True) == ({"x": 3}, 3.0)
    assert [str(trial.state) for trial in hpo.result].count("FAILED") == 1


def test_clearml_scalars_are_reports(tmp_path):
    """A search over their names."""
    line = '{{"title": "validation", "series": "acc", "value": {x}, "iteration": 1}}'
    f = CommandObjective(["echo", line], metric="validation/acc")
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=3, seed=0)
    hpo.optimize(progress=False)
    assert all(trial.perf == trial.hp["x"] and trial.reports[0][0] == 1 for trial in hpo.result)


HASTY = """trap '' TERM
i=0
while [ $i -lt 60 ]; do i=$((i + 1)); echo "{\\"epoch\\": $i, \\"acc\\": 0.5}"; done
exec sleep 60
"""


def test_what_a_command_prints_before_it_is_ended_counts_in_a_budget_of_iterations(tmp_path):
    """Epochs of no time at all, and a command that is not told when to end: what is too much is set aside later."""
    (tmp_path / "train.sh").write_text(HASTY)
    f = CommandObjective(["sh", str(tmp_path / "train.sh"), "{lr}"], metric="acc", grace_seconds=0.2)
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=10, seed=0)
    metered = Metered(LocalExecutor(1), max_iterations_per_job=30, total_iterations=300)
    hpo.optimize(executor=metered, progress=False)
    trained = [event.data["trained"] for event in hpo.run_store.events() if event.kind in ("end", "interrupt")]
    assert [n for n in trained if n] == [60] * 5  # all that was printed, and no more than there is
    assert metered.used["iterations"]["used"] == 300
