"""The read-only view of a run as a study of Optuna."""

from __future__ import annotations

import copy
import threading
from datetime import datetime

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, StoreError, TrialState, build_hpo_from_name
from autohpo.errors import NoRunError, OptionError
from autohpo.integrations.optuna import StorageView, study
from autohpo.store import LogEvent, MemoryStore, open_store

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
State = optuna.trial.TrialState


def local(seconds):
    """Return Unix seconds as Optuna writes them."""
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - Optuna's times have no zone


def space():
    """A conditional space."""
    return [
        RangeHP("x", 0.0, 1.0),
        LogRangeHP("lr", 1e-4, 1e-1),
        ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("m", 0.0, 0.9)]}),
    ]


def train(hps):
    """A training that is paused at rungs, and fails here and there."""
    for step in range(1, 10):
        if hps["opti"] == "sgd" and hps["x"] > 0.8:
            raise ValueError("diverged")
        yield hps["x"] + step / 100


@pytest.fixture(scope="module")
def searched():
    """An optimizer with a result, and its store."""
    store = MemoryStore()
    hpo = build_hpo_from_name("hyperband", space(), train, min_fidelity=1, max_fidelity=9, max_evals=80, seed=1)
    hpo.optimize(store=store, name="toy", progress=False)
    return hpo, store


def ask(number, fidelity=None, **hp):
    """The event of a suggestion of one parameter, x."""
    data = {"hp": hp or {"x": 0.5}, "fidelity": fidelity, "resume": None, "pid": 0, "seed": 1, "info": {}}
    return LogEvent("ask", number, 0, data, 100.0 + number)


def start(number, attempt=1):
    """The event of a start."""
    return LogEvent("start", number, attempt, {"slot": 0}, 200.0 + number)


def report(number, fidelity, perf):
    """The event of a report."""
    return LogEvent("report", number, 1, {"fidelity": fidelity, "perf": perf}, 250.0 + number)


def end(number, perf, state="COMPLETE", **more):
    """The event of an end."""
    data = {"state": state, "perf": perf, "fidelity": None, "error": "", **more}
    return LogEvent("end", number, 1, data, 300.0 + number)


@pytest.fixture
def run():
    """A store to which events are added by hand; its run has the parameter x and the header of random search."""
    store = MemoryStore()
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0)
    from autohpo.run_header import run_header

    store.begin(run_header(hpo, None))
    return store


def test_the_best_trial_is_ours(searched):
    """Of those with the most training; Optuna finds the same one."""
    hpo, store = searched
    there = study(store)
    best = hpo.result.best
    assert there.best_trial.number == best.number
    assert there.best_value == best.perf
    assert there.best_params == best.hp
    assert there.study_name == "toy"
    assert there.direction == optuna.study.StudyDirection.MAXIMIZE


def test_every_trial_is_there_at_the_place_of_its_number(searched):
    """With state, value, parameters and reports."""
    hpo, store = searched
    trials = study(store).trials
    assert [trial.number for trial in trials] == list(range(len(hpo.result)))
    assert len({trial.state for trial in hpo.result}) > 1
    for ours, there in zip(hpo.result, trials, strict=True):
        wanted = State.FAIL if ours.perf is None else State.COMPLETE if ours.reached == 9 else State.PRUNED
        assert there.state == wanted
        assert there.values == (None if ours.perf is None else [ours.perf])
        assert there.params == ours.hp
        assert there.intermediate_values == dict(ours.reports)
        assert there.datetime_start == local(ours.started)
        assert there.datetime_complete == local(ours.ended)
        assert there.user_attrs["state"] == ours.state.value
        assert ("diverged" in there.user_attrs.get("error", "")) is (ours.state is TrialState.FAILED)
        assert there.user_attrs["fidelity"] == ours.fidelity
        assert there.user_attrs["rung"] == ours.info["rung"]
        there._validate()  # what Optuna asks of a trial that is added to a study


def test_a_data_frame_has_a_row_for_each_trial(searched):
    """Optuna's own table of it."""
    hpo, store = searched
    frame = study(store).trials_dataframe()
    assert len(frame) == len(hpo.result)
    assert set(frame["state"]) == {"COMPLETE", "PRUNED", "FAIL"}
    assert frame["params_m"].isna().sum() == sum("m" not in trial.hp for trial in hpo.result)


def test_a_file_is_read_as_a_store_is(searched, tmp_path):
    """By its path; the study has the name of the run, or that of the file."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=3, seed=0)
    hpo.optimize(store=tmp_path / "cora.db", progress=False)
    view = StorageView(tmp_path / "cora.db")
    there = optuna.load_study(study_name="cora", storage=view)
    assert [trial.value for trial in there.trials] == [trial.perf for trial in hpo.result]
    view.close()
    with pytest.raises(StoreError, match="is not open"):
        view.get_trial(0)


def test_new_events_alone_are_read(run, monkeypatch):
    """A second look reads what is behind the first, and trials that have not changed stay the same objects."""
    asked = []
    events = run.events
    monkeypatch.setattr(run, "events", lambda after=0: asked.append(after) or events(after))
    view = StorageView(run)
    run.append([ask(0), start(0), ask(1), start(1), end(0, 0.5)])
    first = view.get_all_trials(0, deepcopy=False)
    run.append([report(1, 1.0, 0.25)])
    second = view.get_all_trials(0, deepcopy=False)
    assert asked == [0, 5]
    assert second[0] is first[0]
    assert (first[1].intermediate_values, second[1].intermediate_values) == ({}, {1: 0.25})


def test_a_trial_without_an_end_is_running(run):
    """Also one that waits to be started again; it has no end and no value."""
    view = StorageView(run)
    run.append([ask(0), ask(1), start(1), LogEvent("interrupt", 1, 1, {"state": "LOST", "error": "gone"}, 260.0)])
    trials = view.get_all_trials(0)
    assert [trial.state for trial in trials] == [State.RUNNING, State.RUNNING]
    assert [trial.datetime_start for trial in trials] == [local(100.0), local(201.0)]
    assert [trial.datetime_complete for trial in trials] == [None, None]
    for trial in trials:
        trial._validate()


@pytest.mark.parametrize("state", ["FAILED", "INVALID", "CRASHED", "TIMEOUT", "MEMORY", "LOST"])
def test_every_failure_is_one(run, state):
    """The attribute says which."""
    run.append([ask(0), start(0), end(0, None, state)])
    (trial,) = StorageView(run).get_all_trials(0)
    assert (trial.state, trial.values, trial.user_attrs["state"]) == (State.FAIL, None, state)


def test_a_stopped_trial_is_pruned_with_its_value(run):
    """And the training that it has had."""
    run.append([ask(0), start(0), report(0, 3.0, 0.5), end(0, 0.5, "STOPPED", fidelity=3.0, why="rank 9 of 9")])
    (trial,) = StorageView(run).get_all_trials(0)
    assert (trial.state, trial.values, trial.intermediate_values) == (State.PRUNED, [0.5], {3: 0.5})
    assert (trial.user_attrs["reached"], trial.user_attrs["why"]) == (3, "rank 9 of 9")


def test_a_short_training_is_complete_until_there_is_a_longer_one(run):
    """So there is a best trial from the first result on, and it never mixes fidelities."""
    there = study(run)
    run.append([ask(0, 1.0), start(0), end(0, 0.9)])
    assert there.best_trial.number == 0
    run.append([ask(1, 3.0), start(1), end(1, 0.4)])
    assert [trial.state for trial in there.trials] == [State.PRUNED, State.COMPLETE]
    assert there.best_trial.number == 1


def test_a_long_training_that_misses_a_constraint_does_not_hide_the_others(run):
    """As ours, Optuna's best trial meets its constraints."""
    there = study(run)
    run.append([ask(0, 1.0), start(0), end(0, 0.3, constraints={"size": -1.0})])
    run.append([ask(1, 3.0), start(1), end(1, 0.9, constraints={"size": 2.0})])
    assert there.best_trial.number == 0
    assert there.trials[1].system_attrs["constraints"] == [2.0]
    assert there.trials[1].user_attrs["constraint.size"] == 2.0


def test_fractions_of_a_fidelity_do_not_collide(run):
    """Steps are made finer, also those of the trials before."""
    there = study(run)
    run.append([ask(0), start(0), report(0, 1.0, 0.1), report(0, 2.0, 0.2), end(0, 0.2)])
    assert there.trials[0].intermediate_values == {1: 0.1, 2: 0.2}
    run.append([ask(1), start(1), report(1, 0.25, 0.1), report(1, 0.5, 0.2), end(1, 0.2)])
    assert [trial.intermediate_values for trial in there.trials] == [{100: 0.1, 200: 0.2}, {25: 0.1, 50: 0.2}]
    assert there.user_attrs["steps_per_fidelity"] == 100


def test_metrics_and_costs_are_attributes(run):
    """Under names of their own."""
    run.append([ask(0), start(0), end(0, 0.5, metrics={"loss": 2.0}, cost=7.0)])
    (trial,) = StorageView(run).get_all_trials(0)
    assert (trial.user_attrs["metric.loss"], trial.user_attrs["cost"], trial.user_attrs["trial"]) == (2.0, 7.0, 0)


def test_confirming_trials_are_left_out():
    """They repeat the best, under numbers that Optuna does not have."""
    store = MemoryStore()
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps, seed: hps["x"], max_evals=5, seed=0)
    hpo.optimize(store=store, confirm=2, progress=False)
    assert len(hpo.result.repeats) > 0
    assert [trial.number for trial in study(store).trials] == [0, 1, 2, 3, 4]


def test_several_objectives_have_their_names_and_front():
    """Optuna's front is ours."""
    store = MemoryStore()
    mode = {"acc": "max", "size": "min"}

    def f(hps):
        return {"acc": hps["x"] ** 0.5, "size": hps["x"]}

    hpo = build_hpo_from_name("nsga2", [RangeHP("x", 0.0, 1.0)], f, mode=mode, max_evals=40, seed=0)
    hpo.optimize(store=store, progress=False)
    there = study(store)
    assert there.metric_names == ["acc", "size"]
    assert [way.name for way in there.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {trial.number for trial in there.best_trials} == {trial.number for trial in hpo.result.pareto}
    assert {"values_acc", "values_size"} <= set(there.trials_dataframe().columns)


def test_choices_that_only_a_program_knows_are_shown_by_name(tmp_path):
    """The store has no objects; Optuna has no such choices either."""
    hpo = build_hpo_from_name("random", [ChoiceHP("f", [print, len])], lambda hps: 1.0, max_evals=4, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    there = study(tmp_path / "run.db")
    assert [trial.params["f"] for trial in there.trials] == [trial.hp["f"].__name__ for trial in hpo.result]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create_new_study", (["max"], "other")),
        ("delete_study", (0,)),
        ("set_study_user_attr", (0, "a", 1)),
        ("set_study_system_attr", (0, "a", 1)),
        ("create_new_trial", (0,)),
        ("set_trial_param", (0, "x", 0.5, None)),
        ("set_trial_state_values", (0, State.COMPLETE, [1.0])),
        ("set_trial_intermediate_value", (0, 1, 0.5)),
        ("set_trial_user_attr", (0, "a", 1)),
        ("set_trial_system_attr", (0, "a", 1)),
    ],
)
def test_nothing_can_be_written(run, method, arguments):
    """Every method of Optuna's that writes says where that is possible."""
    view = StorageView(run)
    with pytest.raises(StoreError, match="is only looked at by Optuna here, and takes .* to_optuna_storage"):
        getattr(view, method)(*arguments)


def test_a_search_of_optuna_does_not_begin(run):
    """Nothing of it reaches the log."""
    with pytest.raises(StoreError, match="takes a trial from autohpo alone"):
        study(run).optimize(lambda trial: 1.0, n_trials=1)
    assert list(run.events()) == []


def test_what_is_not_there_is_a_key_error(run):
    """As Optuna's contract says."""
    view = StorageView(run)
    for call in (
        lambda: view.get_trial(0),
        lambda: view.get_all_trials(1),
        lambda: view.get_study_id_from_name("other"),
        lambda: view.get_study_directions(7),
    ):
        with pytest.raises(KeyError):
            call()
    with pytest.raises(KeyError):
        optuna.load_study(study_name="other", storage=view)


def test_a_store_without_a_run_is_an_error(tmp_path):
    """Its own; and levels are checked."""
    with pytest.raises(NoRunError, match="holds no run yet"):
        study(MemoryStore())
    with pytest.raises(NoRunError, match="does not exist"):
        study(tmp_path / "no.db")
    with pytest.raises(OptionError, match="levels: must be an integer of at least 2, or None, got 1"):
        study(MemoryStore(), levels=1)


def test_a_copy_may_be_changed_and_the_view_stays(searched):
    """Optuna gives copies to whoever asks for trials; ours are equal to deep ones."""
    view = StorageView(searched[1])
    kept = copy.deepcopy(view.get_all_trials(0, deepcopy=False))
    given = view.get_all_trials(0)
    assert given == kept
    for trial in given:
        trial.params.clear()
        trial.user_attrs.clear()
        trial.intermediate_values.clear()
        trial.distributions.clear()
        trial.system_attrs["a"] = 1
    assert view.get_all_trials(0, deepcopy=False) == kept


@pytest.mark.parametrize("most", [2, 10, 30])
def test_a_view_with_fewer_trials_keeps_the_best_of_every_moment(searched, most):
    """And those without an end; numbered anew, with our number as an attribute."""
    hpo, store = searched
    there = study(store, most_trials=most)
    trials = there.trials
    assert [trial.number for trial in trials] == list(range(most))
    ours = [trial.user_attrs["trial"] for trial in trials]
    assert ours == sorted(set(ours))
    assert there.best_value == hpo.result.best.perf
    assert there.best_trial.user_attrs["trial"] == hpo.result.best.number
    full = study(store).trials
    best, leading = -1.0, []
    for trial in full:
        if trial.state == State.COMPLETE and trial.value > best:
            best = trial.value
            leading.append(trial.number)
    assert set(leading[-most:]) <= set(ours)
    for trial in trials:
        same = full[trial.user_attrs["trial"]]
        assert (trial.values, trial.params, trial.state) == (same.values, same.params, same.state)
        assert there._storage.get_trial(trial.number) == trial


def test_a_view_with_fewer_trials_keeps_the_front(tmp_path):
    """Of several objectives."""
    store = MemoryStore()
    hpo = build_hpo_from_name(
        "random",
        [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)],
        lambda hps: (hps["x"], hps["y"]),
        mode=["max", "max"],
        max_evals=200,
        seed=0,
    )
    hpo.optimize(store=store, progress=False)
    there = study(store, most_trials=30)
    assert len(there.trials) == 30
    assert {trial.user_attrs["trial"] for trial in there.best_trials} == {trial.number for trial in hpo.result.pareto}


def test_the_study_is_listed_with_its_attributes(searched):
    """As optuna-dashboard reads it; Optuna says nothing while it is made."""
    (summary,) = optuna.get_all_study_summaries(StorageView(searched[1]))
    assert (summary.study_name, summary.n_trials) == ("toy", 80)
    assert summary.user_attrs["algorithm"] == "hyperband"
    assert summary.user_attrs["options"]["max_fidelity"] == 9


def test_threads_read_while_a_search_writes(tmp_path):
    """Each sees the first trials, without a gap, and in the end all of them."""
    path = tmp_path / "run.db"
    done, faults, seen = threading.Event(), [], []

    def read():
        try:
            while not path.exists() or not seen_header():
                pass
            view = StorageView(path)
            while not done.is_set():
                trials = view.get_all_trials(0, deepcopy=False)
                assert [trial.number for trial in trials] == list(range(len(trials)))
            seen.append(len(view.get_all_trials(0)))
            view.close()
        except Exception as error:
            faults.append(error)

    def seen_header():
        try:
            store = open_store(path, read_only=True)
        except StoreError:
            return False
        try:
            return store.header is not None
        finally:
            store.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=60, seed=0)
    hpo.optimize(store=path, progress=False)
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert seen == [60, 60]


def test_a_gap_that_a_writer_is_about_to_fill_is_waited_for(run, monkeypatch):
    """A store in memory may be read while its events move: some are missing for a moment, or are there twice."""
    view = StorageView(run)
    run.append([ask(0), start(0), end(0, 0.5), ask(1), start(1), end(1, 0.6)])
    events = run.events
    monkeypatch.setattr(run, "events", lambda after=0: (event for event in events(after) if event.seq != 3))
    assert [trial.state for trial in view.get_all_trials(0)] == [State.RUNNING]
    monkeypatch.setattr(run, "events", lambda after=0: events(0))
    assert [trial.value for trial in view.get_all_trials(0)] == [0.5, 0.6]


def test_threads_share_a_view_of_a_store_in_memory(run):
    """A writer of the same process moves its events while they are read: none is lost, none comes twice."""
    view = StorageView(run)
    done, faults = threading.Event(), []

    def read():
        try:
            while not done.is_set():
                trials = view.get_all_trials(0, deepcopy=False)
                assert [trial.number for trial in trials] == list(range(len(trials)))
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1500):
        run.append([ask(number), start(number), end(number, 0.5)])
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert len(view.get_all_trials(0, deepcopy=False)) == 1500
