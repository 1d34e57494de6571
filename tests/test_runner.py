"""The search as a user runs it: build, optimize, resume, and what happens when things go wrong."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from autohpo import (
    BaseHPOptimizer,
    ChoiceHP,
    NoResultError,
    OptionError,
    RangeHP,
    StoreError,
    build_hpo_from_name,
)
from autohpo.errors import AutoHPOError, StoreMismatchError
from autohpo.run_options import RunOptions, parse_bytes
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("k", 1, 4), ChoiceHP("act", [None, True, 1, (1, 2)])]


def quadratic(hps):
    """Best at x = .3, k = 2."""
    return -((hps["x"] - 0.3) ** 2) - (hps["k"] - 2) ** 2


def run(name="random", f=quadratic, max_evals=12, seed=0, space=SPACE, options=None, **how):
    """An optimizer that has run."""
    hpo = build_hpo_from_name(name, space, f, max_evals=max_evals, seed=seed, **(options or {}))
    hpo.optimize(**{"progress": False, **how})
    return hpo


def outline(hpo):
    """What two equal runs share: trials without their times."""
    return [(t.number, dict(t.hp), t.state, t.perf, t.fidelity, t.resume, t.reports) for t in hpo.result.trials]


def test_optimize_returns_the_best_configuration_and_its_own_value():
    """The pair is one of the trials, and no trial is better."""
    hpo = build_hpo_from_name("random", SPACE, quadratic, max_evals=20, seed=1)
    best_hp, best_perf = hpo.optimize(progress=False)
    assert best_perf == quadratic(best_hp) == max(t.perf for t in hpo.result.trials)
    assert len(hpo.result) == 20


def test_what_f_sees_is_what_was_suggested():
    """Identity is kept: True is not 1, None is None."""
    seen = []
    hpo = run(f=lambda hps: seen.append(hps) or 0.0)
    assert seen == [dict(t.hp) for t in hpo.result.trials]
    assert {type(hps["act"]) for hps in seen} <= {type(None), bool, int, tuple}


def test_the_smaller_is_better_where_the_mode_says_so():
    """best_perf is the user's own value."""
    hpo = build_hpo_from_name("random", SPACE, lambda h: h["x"], max_evals=20, seed=1, mode="min")
    _, best_perf = hpo.optimize(progress=False)
    assert best_perf == min(t.perf for t in hpo.result.trials)


def test_two_workers_run_every_trial_once():
    """Lambdas and closures work in processes, and each value is right."""
    shift = 0.25
    hpo = run(f=lambda hps: hps["x"] + shift, num_workers=2)
    assert sorted(t.number for t in hpo.result.trials) == list(range(12))
    assert all(t.perf == t.hp["x"] + shift and t.state is TrialState.COMPLETE for t in hpo.result.trials)


def test_the_example_of_autogls_docs_runs_unchanged_with_four_workers():
    """Hooks as documented there: positional, num_slaves, attributes of any name, no call of super."""

    class MyOptimizer(BaseHPOptimizer):
        def _set_up(self, num_slaves, time_limit, memory_limit):
            self.trials, self.history, self._history = [], [], []
            self.best, self.rng, self.running = None, None, {}
            self.slaves = num_slaves
            self.best_hp, self.best_perf = None, None

        def _update_trials(self, pid, hp, perf):
            self.trials.append((pid, hp, perf))
            if self.best_perf is None or perf > self.best_perf:
                self.best_hp, self.best_perf = hp, perf

        def _get_suggestion(self, pid):
            return {"x": 0.1 * len(self.trials) % 1, "k": 1 + pid % 4, "act": None}

        def _best_hp(self):
            return self.best_hp, self.best_perf

    hpo = MyOptimizer(SPACE, quadratic, max_evals=16)
    best_hp, best_perf = hpo.optimize(num_workers=4, progress=False)
    assert hpo.slaves == 4
    assert len(hpo.trials) == 16
    assert best_perf == max(perf for _, _, perf in hpo.trials) == quadratic(best_hp)


def test_a_promoted_generator_is_never_trained_twice(tmp_path):
    """Epochs written by the objective: one of each for every training, up to its highest rung; two workers."""
    folder = str(tmp_path)

    def f(hps, trial):
        name = f"{trial.number}-{trial.attempt}"
        for epoch in range(1, 10):
            with open(f"{folder}/{name}", "a") as file:
                file.write(f"{epoch}\n")
            yield hps["x"] * epoch

    hpo = run("hyperband", f, 40, options={"min_fidelity": 1, "max_fidelity": 9}, num_workers=2)
    trained = {int(p.name.split("-")[0]): p.read_text().split() for p in tmp_path.iterdir()}
    highest = {}
    roots = {}
    for t in hpo.result.trials:
        root = roots[t.number] = t.number if t.resume is None else roots[t.resume]
        highest[root] = t.fidelity
    assert any(t.resume is not None for t in hpo.result.trials)
    assert trained == {root: [str(e) for e in range(1, int(top) + 1)] for root, top in highest.items()}


def test_without_a_budget_the_search_ends_after_a_hundred_trials(caplog):
    """AutoGL's default; the log says so."""
    with caplog.at_level(logging.INFO, logger="autohpo"):
        assert len(run(max_evals=None).result) == 100
    assert "after 100 trials" in caplog.text


def test_calling_optimize_again_goes_on_where_it_ended():
    """The budget counts what is there."""
    hpo = run(max_evals=5)
    first = outline(hpo)
    hpo.max_evals = 9
    hpo.optimize(progress=False)
    assert outline(hpo)[:5] == first
    assert outline(hpo) == outline(run(max_evals=9))


def test_a_history_made_by_hand_is_not_mixed_with_that_of_optimize():
    """Its results would be missing in the log."""
    hpo = build_hpo_from_name("random", SPACE, quadratic, max_evals=5)
    hpo.tell(hpo.ask(), 1.0)
    with pytest.raises(OptionError, match="used with ask and tell"):
        hpo.optimize(progress=False)


def test_a_store_is_resumed_and_counts_towards_the_budget(tmp_path):
    """Six trials and then six more are twelve of one run."""
    store = tmp_path / "run.db"
    run(max_evals=6, store=store)
    again = run(max_evals=12, store=str(store))
    assert outline(again) == outline(run(max_evals=12))


def test_a_resumed_run_keeps_the_seed_that_was_drawn(tmp_path):
    """Where the user gave none, the store knows it."""
    first = run(seed=None, max_evals=3, store=tmp_path / "run.db")
    assert run(seed=None, max_evals=5, store=tmp_path / "run.db").seed == first.seed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 1}, "options.seed: the store has 0, here it is 1"),
        ({"name": "quasi_random"}, "algorithm: the store has 'random', here it is 'quasi_random'"),
        ({"space": [RangeHP("x", 0.0, 2.0), *SPACE[1:]]}, r"space.parameters\[0\].high: the store has 1.0"),
    ],
)
def test_a_store_of_another_run_is_refused_with_the_difference(tmp_path, change, text):
    """Another seed, algorithm or space is another run."""
    run(store=tmp_path / "run.db")
    with pytest.raises(StoreMismatchError, match=text):
        run(**change, store=tmp_path / "run.db")


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path):
    """Also another program's database."""
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("notes" * 1000)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(StoreError):
            run(store=path)
        assert path.read_bytes() == before


def test_the_time_limit_ends_a_running_trial_and_resume_runs_it_again(tmp_path):
    """What ran is cancelled, not lost: the next call starts it once more."""
    marker = tmp_path / "fast"

    def f(hps):
        while not marker.exists():
            time.sleep(0.02)
        return hps["x"]

    began = time.monotonic()
    with pytest.raises(NoResultError, match="time limit"):
        run(f=f, max_evals=2, store=tmp_path / "run.db", time_limit=0.5, grace_seconds=0.3)
    assert time.monotonic() - began < 6  # .8 s of limits, the rest is the start of a slot on a busy machine
    marker.touch()
    hpo = run(f=f, max_evals=2, store=tmp_path / "run.db")
    assert [(t.state, t.attempt) for t in hpo.result.trials] == [(TrialState.COMPLETE, 2), (TrialState.COMPLETE, 1)]


def test_a_trial_time_limit_ends_that_trial_alone():
    """TIMEOUT, and the others are complete."""

    def f(hps):
        if hps["k"] == 1:
            time.sleep(60)
        return 1.0

    hpo = run(f=f, max_evals=8, trial_time_limit=0.5, num_workers=2)
    for t in hpo.result.trials:
        assert t.state is (TrialState.TIMEOUT if t.hp["k"] == 1 else TrialState.COMPLETE)


def test_checkpoints_live_beside_the_store(tmp_path):
    """One folder for each training, named in the result."""

    def f(hps, trial):
        (trial.checkpoint_dir / "model").write_text("weights")
        return 1.0

    hpo = run(f=f, max_evals=2, store=tmp_path / "run.db")
    assert sorted(p.parent.name for p in hpo.result.files.rglob("model")) == ["trial-0", "trial-1"]
    assert hpo.result.files.parent == tmp_path


def test_the_objective_gets_a_seed_of_its_own_for_each_trial():
    """Distinct, and the same in every run of the same seed."""
    seeds = [t.perf for t in run(f=lambda hps, seed: seed).result.trials]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [t.perf for t in run(f=lambda hps, seed: seed, num_workers=2).result.trials]


def test_numbers_of_numpy_are_numbers():
    """As max_evals takes them, so do the arguments of optimize."""
    hpo = run(max_evals=np.int64(2), num_workers=np.int64(1), time_limit=np.float32(60), patience=np.int8(9))
    assert len(hpo.result) == 2


@pytest.mark.parametrize(
    "how",
    [
        {"num_workers": 0},
        {"num_workers": 1.5},
        {"num_workers": True},
        {"time_limit": -1},
        {"time_limit": "60"},
        {"trial_time_limit": float("nan")},
        {"memory_limit": "lots"},
        {"memory_limit": 0},
        {"store": 3},
        {"progress": "loud"},
        {"grace_seconds": None},
        {"max_consecutive_failures": 0},
    ],
)
def test_a_wrong_argument_of_optimize_is_named(how):
    """Argument, rule, value."""
    with pytest.raises(OptionError, match=next(iter(how))):
        run(**how)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [(5, 5), ("300M", 300_000_000), ("4GB", 4_000_000_000), ("2 GiB", 2**31), ("1.5k", 1500), ("7B", 7)],
)
def test_memory_limits_are_read_as_people_write_them(text, n_bytes):
    """Decimal and binary units."""
    assert parse_bytes(text) == n_bytes
    assert RunOptions(memory_limit=text).memory_bytes == n_bytes


def test_an_optimizer_without_an_objective_says_so():
    """It was built for ask and tell."""
    with pytest.raises(OptionError, match="objective"):
        build_hpo_from_name("random", SPACE).optimize()


def test_an_algorithm_that_waits_for_nothing_is_named():
    """NotReady while nothing runs would wait for ever."""
    from autohpo import NotReady

    class Stuck(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            raise NotReady

    with pytest.raises(AutoHPOError, match="Stuck"):
        Stuck(SPACE, quadratic).optimize(progress=False)


def test_nothing_is_left_in_the_working_directory(tmp_path, monkeypatch):
    """No folder, no file, where no store was asked for."""
    monkeypatch.chdir(tmp_path)
    run(f=lambda hps, trial: float(trial.checkpoint_dir.is_dir()), num_workers=2, max_evals=3)
    assert list(Path(tmp_path).iterdir()) == []


def test_an_interrupted_search_says_how_to_go_on(tmp_path, capsys):
    """One line on standard error, with the store's path; nothing where progress is off."""
    numbers = iter(range(100))

    def f(hps):
        if next(numbers) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        run(f=f, store=tmp_path / "run.db", progress="plain")
    assert f"after 2 trials with a result; run the same command to resume from {tmp_path}" in capsys.readouterr().err
    assert len(run(f=f, store=tmp_path / "run.db").result) == 12
    assert capsys.readouterr().err == ""


def test_checkpoints_outlive_a_call_of_optimize_without_a_store():
    """The second call finds what the first one saved."""

    def f(hps, trial, fidelity):
        saved = trial.checkpoint_dir / "state"
        known = saved.exists()
        saved.touch()
        return float(known)

    hpo = run("hyperband", f, 18, options={"min_fidelity": 1, "max_fidelity": 9})
    hpo.max_evals = 19
    hpo.optimize(progress=False)
    assert [t.perf for t in hpo.result.trials[13:]] == [0.0] * 5 + [1.0]


def test_an_optimizer_that_left_its_store_is_refused_and_the_store_stays_whole(tmp_path):
    """A suggestion asked for by hand would leave a hole in the log."""
    hpo = run(max_evals=3, store=tmp_path / "run.db")
    hpo.max_evals = 6
    hpo.ask()
    with pytest.raises(OptionError, match="different histories"):
        hpo.optimize(store=tmp_path / "run.db", progress=False)
    assert outline(run(max_evals=6, store=tmp_path / "run.db")) == outline(run(max_evals=6))


def test_where_nothing_has_a_result_the_error_says_what_became_of_the_trials():
    """States, and the first error."""
    with pytest.raises(NoResultError, match=r"(?s)'INVALID': 3.*must be one number, got None"):
        run(f=lambda hps: None, max_evals=3, continue_on_error=True)


def test_a_best_hp_that_returns_nothing_is_named():
    """The hook of a plug-in, not a TypeError from within."""
    from autohpo import AutoHPOError

    class Forgetful(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return self.space.sample(self.rng, 1)[0]

        def _best_hp(self):
            return None

    with pytest.raises(AutoHPOError, match="Forgetful._best_hp"):
        Forgetful(SPACE, quadratic, max_evals=2).optimize(progress=False)


def test_an_init_that_forgets_its_base_is_named():
    """The objective was given; it is the base that knows nothing of it."""

    class Forgetful(BaseHPOptimizer):
        def __init__(self, *args):
            self.kept = args

        def _get_suggestion(self, pid):
            return {}

    with pytest.raises(OptionError, match="super"):
        Forgetful(SPACE, quadratic).optimize()


def test_with_workers_only_the_first_trial_ends_the_search():
    """Trial 1 raises before trial 0 has ended, and the search goes on."""

    def f(hps, trial):
        if trial.number == 1:
            raise ValueError
        time.sleep(0.2)
        return hps["x"]

    assert run(f=f, max_evals=4, num_workers=2).result.counts() == {"COMPLETE": 3, "FAILED": 1}


def test_one_search_does_not_find_the_checkpoints_of_another():
    """A trainer's search and one of f, by one optimizer: the folders of their trials have the same names."""

    class Trainer:
        """Leaves a mark where f would look for a checkpoint."""

        def duplicate_from_hyper_parameter(self, hp):
            """Itself will do."""
            return self

        def train(self, dataset):
            """Learns nothing."""

        def get_valid_score(self):
            """The same for all."""
            return 1.0, True

    hpo = build_hpo_from_name("random", SPACE, lambda hps, trial: float(trial.checkpoint_dir.is_dir()), max_evals=2)
    hpo.optimize(Trainer(), progress=False)
    first = hpo.result.files
    hpo.optimize(progress=False)
    assert hpo.result.files != first


def test_a_training_that_gets_all_it_was_given_as_time_runs_out_is_complete():
    """It was asked to end, and had nothing left to do: its result counts."""

    def f(hps):
        yield 0.25
        time.sleep(1.5)
        yield 0.75

    hpo = build_hpo_from_name("hyperband", SPACE, f, min_fidelity=2, max_fidelity=2, max_evals=3, seed=0)
    hpo.optimize(time_limit=1.0, progress=False)
    assert [(t.state, t.perf) for t in hpo.result.trials] == [(TrialState.COMPLETE, 0.75)]


def test_a_whole_number_stands_for_a_float_among_options_but_not_among_ends(tmp_path):
    """max_fidelity=9 is 9.0; a range of ints is another one than a range of floats."""
    how = {"f": lambda hps, fidelity: fidelity, "max_evals": 3, "store": tmp_path / "run.db"}
    run("hyperband", options={"max_fidelity": 9}, **how)
    assert len(run("hyperband", options={"max_fidelity": 9.0}, **how).result) == 3
    floats = [RangeHP("x", 0.0, 1.0), RangeHP("k", 1.0, 4.0), SPACE[2]]
    with pytest.raises(StoreMismatchError, match="the store has 1, here it is 1.0"):
        run("hyperband", options={"max_fidelity": 9}, space=floats, **how)
