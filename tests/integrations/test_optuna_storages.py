"""Runs written as studies into Optuna's own storages, and studies read back as runs."""

from __future__ import annotations

import math
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, TrialState, build_hpo_from_name
from autohpo.errors import NoRunError, OptionError, PathError, SpaceError, StoreCorruptError, StoreMismatchError
from autohpo.integrations.optuna import StorageView, from_optuna_storage, study, to_optuna_storage
from autohpo.run_header import run_header
from autohpo.spaces import ListHP
from autohpo.store import LogEvent, MemoryStore

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
State = optuna.trial.TrialState
Float, Int = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
Categorical = optuna.distributions.CategoricalDistribution
pytestmark = pytest.mark.filterwarnings("ignore:.*is experimental")
KINDS = ("journal", "database")
BEGAN = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - Optuna's times have no zone


@pytest.fixture(autouse=True)
def _quiet():
    """Optuna tells of every study that it makes."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def place(kind, folder, name="study"):
    """A storage of a kind, as users write it."""
    return str(folder / f"{name}.journal") if kind == "journal" else f"sqlite:///{folder / name}.sqlite"


def there(storage, name=None):
    """A study of a storage that was given as text."""
    if "://" in storage:
        return optuna.load_study(study_name=name, storage=storage)
    backend = optuna.storages.journal.JournalFileBackend(storage)
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


def train(hps):
    """A training that fails here and there."""
    for step in range(1, 10):
        if hps["opti"] == "sgd" and hps["x"] > 0.8:
            raise ValueError("diverged")
        yield hps["x"] + step / 100


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The path of a store with a conditional space, rungs, promotions and failures."""
    path = tmp_path_factory.mktemp("run") / "run.db"
    space = [
        RangeHP("x", 0.0, 1.0),
        LogRangeHP("lr", 1e-4, 1e-1),
        ChoiceHP("opti", ["adam", "sgd", (1, 2)], children={"sgd": [RangeHP("m", 0.0, 0.9)]}),
        ListHP("units", RangeHP("u", 1, 9), length=2),
    ]
    hpo = build_hpo_from_name("hyperband", space, train, min_fidelity=1, max_fidelity=9, max_evals=25, seed=1)
    hpo.optimize(store=path, name="toy", progress=False)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_there_and_back(run, kind, tmp_path):
    """Every trial is equal, and so is the header; Optuna itself reads the same as through the view."""
    storage = place(kind, tmp_path)
    n = to_optuna_storage(run, storage)
    before = Result.load(run)
    assert n == len(before)
    after = from_optuna_storage(storage, tmp_path / "back.db")
    assert list(after.trials) == list(before.trials)
    assert (after.name, after.algorithm, after.mode, after.best) == ("toy", "hyperband", "max", before.best)
    assert list(Result.load(tmp_path / "back.db").trials) == list(before.trials)
    seen = study(run)
    written = there(storage, "toy")
    assert written.best_trial.number == seen.best_trial.number == before.best.number
    for mine, theirs in zip(seen.trials, written.trials, strict=True):
        assert (mine.state, mine.values, mine.params) == (theirs.state, theirs.values, theirs.params)
        assert (mine.intermediate_values, mine.distributions) == (theirs.intermediate_values, theirs.distributions)
        assert (mine.datetime_start, mine.datetime_complete) == (theirs.datetime_start, theirs.datetime_complete)
        assert mine.user_attrs == theirs.user_attrs


def test_optuna_goes_on_with_an_exported_run(run, tmp_path):
    """Its sampler learns from our trials; the mixture comes back as a study of Optuna's."""
    storage = place("journal", tmp_path)
    to_optuna_storage(run, storage, "more")
    more = there(storage, "more")
    more.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    assert more.best_value >= Result.load(run).best.perf
    back = from_optuna_storage(storage, tmp_path / "back.db", "more")
    assert len(back) == len(Result.load(run)) + 3
    assert back.best.perf == more.best_value


@pytest.mark.parametrize("state", ["COMPLETE", "STOPPED", "FAILED", "CRASHED", "LOST", None])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_any_trial_goes_there_and_back(state, data):
    """With reports at any fidelity, several attempts, constraints, metrics, costs and notes."""
    numbers = st.floats(-1e9, 1e9)
    names = st.text(min_size=1, max_size=5)
    store = MemoryStore()
    store.begin(run_header(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0), None))
    info = {"bracket": data.draw(st.integers(0, 3)), "why": data.draw(st.text()), "deep": [{"a": None}]}
    fidelity = data.draw(st.none() | st.floats(0.1, 100))
    ask = {"hp": {"x": 0.25}, "fidelity": fidelity, "resume": None, "pid": 2, "seed": 7, "info": info}
    n = data.draw(st.integers(1, 3))
    events = [LogEvent("ask", 0, 0, ask, 1000.0)]
    for attempt in range(1, n + 1):
        events.append(LogEvent("start", 0, attempt, {"slot": 1}, 1000.0 + attempt))
        if attempt < n:
            events.append(LogEvent("interrupt", 0, attempt, {"state": "LOST", "error": "gone"}, 1000.5 + attempt))
    for step in data.draw(st.lists(st.floats(0, 50), max_size=5)):
        events.append(LogEvent("report", 0, n, {"fidelity": step, "perf": data.draw(numbers)}, 1010.0))
    if state is not None:
        perf = data.draw(numbers) if TrialState(state).has_perf else None
        end = {"state": state, "perf": perf, "fidelity": None, "error": "" if perf is not None else "why\nnot"}
        end |= {"constraints": data.draw(st.dictionaries(names, numbers, max_size=2)), "cost": 3.5, "own_cost": True}
        end |= {"metrics": data.draw(st.dictionaries(names, numbers, max_size=2))}
        events.append(LogEvent("end", 0, n, {key: value for key, value in end.items() if value != {}}, 1020.123456))
    store.append(events)
    with tempfile.TemporaryDirectory() as name:
        storage = place("journal", Path(name))
        to_optuna_storage(store, storage, "one")
        back = from_optuna_storage(storage, MemoryStore())
    assert list(back.trials) == list(Result.read(store).trials)


@st.composite
def optuna_trials(draw):
    """A trial as Optuna, or a user of its, may make one."""
    params = {"x": draw(st.floats(0, 1)), "n": draw(st.integers(1, 9)), "o": draw(st.sampled_from(["a", None, 3]))}
    distributions = {"x": Float(0, draw(st.sampled_from([1, 2]))), "n": Int(1, 9), "o": Categorical(["a", None, 3])}
    if params["o"] == "a":
        params["lr"], distributions["lr"] = draw(st.floats(1e-3, 1)), Float(1e-3, 1, log=True)
    state = draw(st.sampled_from(list(State)))
    number = st.floats(-1e6, 1e6) | st.sampled_from([math.inf, -math.inf])
    steps = draw(st.dictionaries(st.integers(0, 20), number, max_size=4))
    values = [draw(number)] if state == State.COMPLETE or (state == State.PRUNED and draw(st.booleans())) else None
    start = BEGAN + timedelta(seconds=draw(st.floats(0, 1e4)))
    done = start + timedelta(seconds=draw(st.floats(0, 1e4))) if state.is_finished() else None
    return optuna.trial.FrozenTrial(
        number=0,
        trial_id=0,
        state=state,
        value=None,
        values=values,
        datetime_start=None if state == State.WAITING else start,
        datetime_complete=done,
        params=params,
        distributions=distributions,
        user_attrs=draw(st.dictionaries(st.sampled_from("uvw"), st.integers() | st.text() | st.lists(st.none()))),
        system_attrs=draw(st.dictionaries(st.sampled_from(["fixed_params", "k"]), st.just({"x": 1.5}))),
        intermediate_values=steps,
    )


@given(st.lists(optuna_trials(), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_any_study_goes_here_and_back(trials):
    """Through the view, and through an export, every trial is the one that it was."""
    check_there_and_back(trials, "journal")


@given(st.lists(optuna_trials(), min_size=6, max_size=6))
@settings(max_examples=2, deadline=None)
def test_any_study_goes_here_and_back_into_a_database(trials):
    """The same, with Optuna's tables, which take their time."""
    check_there_and_back(trials, "database")


def check_there_and_back(trials, kind):
    """Make a study, import it, and look at it through the view and through an export into another storage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = optuna.create_study(direction="maximize", study_name="given")
        made.set_user_attr("who", ["me"])
        for trial in trials:
            made._storage.create_new_trial(made._study_id, template_trial=trial)
        wanted = [plain(trial) for trial in made.trials]
        store = MemoryStore()
        assert len(from_optuna_storage(made._storage, store)) == len(trials)
        seen = study(store)
        assert (seen.study_name, seen.user_attrs) == ("given", {"who": ["me"]})
        assert [plain(trial) for trial in seen.trials] == wanted
        storage = place(kind, folder)
        to_optuna_storage(store, storage)
        assert [plain(trial) for trial in there(storage).trials] == wanted


def plain(trial):
    """All that a trial says."""
    names = ("number", "state", "values", "datetime_start", "datetime_complete", "params", "distributions")
    return [getattr(trial, name) for name in (*names, "user_attrs", "system_attrs", "intermediate_values")]


@pytest.fixture
def foreign(tmp_path):
    """A study that Optuna has made, its path, and its objective's traits: an `if`, a loop, a pruner, a failure."""
    path = str(tmp_path / "foreign.journal")
    backend = optuna.storages.journal.JournalFileBackend(path)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    sampler = optuna.samplers.RandomSampler(seed=3)
    storage = optuna.storages.JournalStorage(backend)
    made = optuna.create_study(study_name="foreign", storage=storage, pruner=pruner, sampler=sampler)

    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        kind = trial.suggest_categorical("kind", ["mlp", "gcn", "gat"])
        if trial.number == 7:
            raise ValueError("diverged")
        layers = trial.suggest_int("layers", 1, 3)
        for i in range(layers):
            trial.suggest_int(f"units{i}", 8, 64, log=True)
        if kind != "mlp":
            trial.suggest_float("hop", 0.25, 0.75, step=0.25)
        trial.set_user_attr("memory", 3)
        trial.set_user_attr("note", "text")
        for step in range(4):
            trial.report(x + 1 / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    made.optimize(objective, n_trials=40, catch=(ValueError,))
    made.enqueue_trial({"x": 0.25})
    made.set_metric_names(["loss"])
    return made, path


def test_a_study_of_optuna_becomes_a_run(foreign, tmp_path):
    """States, values, reports and metrics; steps that begin with 0 count what was trained, from 1."""
    made, path = foreign
    result = from_optuna_storage(path, tmp_path / "run.db", name="mine")
    assert (result.name, result.mode) == ("mine", {"loss": "min"})
    assert (result.best.number, result.best.perf) == (made.best_trial.number, made.best_value)
    words = {State.COMPLETE: "COMPLETE", State.PRUNED: "STOPPED", State.FAIL: "FAILED", State.WAITING: "RUNNING"}
    assert {State.PRUNED, State.FAIL, State.WAITING} < {trial.state for trial in made.trials}
    for ours, theirs in zip(result.trials, made.trials, strict=True):
        assert ours.state.value == words[theirs.state]
        assert ours.reports == tuple((step + 1, value) for step, value in theirs.intermediate_values.items())
        if theirs.state in (State.COMPLETE, State.PRUNED):
            assert (ours.hp, ours.perf) == (theirs.params, theirs.value)
            assert dict(ours.metrics) == {"memory": 3.0}
            assert ours.started == theirs.datetime_start.timestamp()
            assert math.isclose(ours.seconds, theirs.duration.total_seconds(), abs_tol=1e-5)
            assert ours.reached == (math.inf if theirs.state == State.COMPLETE else theirs.last_step + 1)


def test_who_decides_which_parameter_is_active_is_inferred(foreign, tmp_path):
    """A choice has children, a number a formula; a trial that failed early has the middle of what it lacks."""
    _, path = foreign
    result = from_optuna_storage(path, tmp_path / "run.db")
    store = StorageView(tmp_path / "run.db")
    from autohpo.stored_run import optimizer_of

    space = optimizer_of(tmp_path / "run.db").space
    assert space.formulas == {"units1": "layers == 2 or layers == 3", "units2": "layers == 3"}
    assert [[hp.name for hp in under] for under in space["kind"].children] == [[], ["hop"], ["hop"]]
    assert isinstance(space["units0"], LogRangeHP)
    assert set(result.trials[7].info["filled"]) >= {"layers", "hop", "units0"}
    assert result.trials[7].hp["x"] == store.get_trial(7).params["x"]
    assert set(store.get_trial(7).params) == {"x", "kind"}


def test_an_imported_study_starts_a_search(foreign, tmp_path):
    """Its results are known, so none is trained anew."""
    made, path = foreign
    from_optuna_storage(path, tmp_path / "run.db")
    from autohpo.stored_run import optimizer_of

    known = optimizer_of(tmp_path / "run.db")
    hpo = build_hpo_from_name("tpe", known.space, lambda hps: hps["x"] + 9, mode=known.mode, max_evals=3, seed=0)
    _, best = hpo.optimize(warm_start=tmp_path / "run.db", progress=False)
    assert best == made.best_value
    n_complete = sum(trial.state == State.COMPLETE for trial in made.trials)
    assert sum("known" in trial.info for trial in hpo.result) == n_complete


def added(*params, **distributions):
    """A study with these trials."""
    made = optuna.create_study(study_name="given")
    for values in params:
        names = {name: distributions[name] for name in values}
        made.add_trial(optuna.trial.create_trial(value=1.0, params=values, distributions=names))
    return made


def test_what_nothing_decides_about_gets_a_switch(tmp_path):
    """A choice of its own says whether the parameter is there."""
    made = added({"x": 0.1}, {"x": 0.2, "y": 1}, {"x": 0.3}, x=Float(0, 1), y=Int(0, 5))
    result = from_optuna_storage(made._storage, tmp_path / "run.db")
    assert [trial.hp for trial in result] == [
        {"x": 0.1, "y?": False},
        {"x": 0.2, "y?": True, "y": 1},
        {"x": 0.3, "y?": False},
    ]


def test_distributions_that_change_have_the_range_of_all(tmp_path):
    """Their ends, and the choices of all; and what is in no distribution is a choice."""
    made = optuna.create_study(study_name="given")
    for low, high, choices, value in ((0, 1, ["a"], "a"), (0.5, 4, ["b", "c"], "c")):
        there = {"x": Float(low, high), "o": Categorical(choices), "s": Float(0, 1, step=0.25), "w": Int(0, 2**60)}
        params = {"x": high, "o": value, "s": 0.25, "w": 2**55}
        made.add_trial(optuna.trial.create_trial(value=1.0, params=params, distributions=there))
    from_optuna_storage(made._storage, tmp_path / "run.db")
    from autohpo.stored_run import optimizer_of

    space = optimizer_of(tmp_path / "run.db").space
    assert space["x"] == RangeHP("x", 0.0, 4.0)
    assert space["o"] == ChoiceHP("o", ["a", "b", "c"])
    assert space["s"] == RangeHP("s", 0.0, 1.0, step=0.25)
    assert space["w"] == ChoiceHP("w", [2**55])


def test_results_that_are_not_finite_are_no_results(tmp_path):
    """An infinite value is INVALID; a trial that was pruned before a report failed; both go back as they were."""
    made = optuna.create_study(study_name="given")
    there = {"params": {"x": 0.5}, "distributions": {"x": Float(0, 1)}}
    made.add_trial(optuna.trial.create_trial(value=math.inf, **there))
    made.add_trial(optuna.trial.create_trial(state=State.PRUNED, **there))
    made.add_trial(optuna.trial.create_trial(state=State.PRUNED, intermediate_values={3: 0.5, 5: math.nan}, **there))
    result = from_optuna_storage(made._storage, tmp_path / "run.db")
    assert [trial.state.value for trial in result] == ["INVALID", "FAILED", "STOPPED"]
    assert "the result must be finite, got [inf]" in result.trials[0].error
    assert (result.trials[2].perf, result.trials[2].reached) == (0.5, 3)
    assert [trial.state for trial in study(tmp_path / "run.db").trials] == [t.state for t in made.trials]


def test_several_objectives_and_constraints_come_over(tmp_path):
    """Optuna's names of objectives, and both ways in which it keeps constraints."""
    made = optuna.create_study(study_name="given", directions=["maximize", "minimize"])
    made.set_metric_names(["acc", "size"])
    for system in ({"constraints": [-1.0, 2.0]}, {"constraints:a": 0.5}):
        trial = optuna.trial.create_trial(
            values=[0.5, 3.0], params={"x": 0.5}, distributions={"x": Float(0, 1)}, system_attrs=system
        )
        made.add_trial(trial)
    result = from_optuna_storage(made._storage, tmp_path / "run.db")
    assert result.mode == {"acc": "max", "size": "min"}
    assert [trial.perfs for trial in result] == [(0.5, 3.0)] * 2
    assert [dict(trial.constraints) for trial in result] == [{"0": -1.0, "1": 2.0}, {"a": 0.5}]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_not_overwritten(run, kind, tmp_path):
    """Neither a study nor a run; another study goes beside the first."""
    storage = place(kind, tmp_path)
    to_optuna_storage(run, storage)
    with pytest.raises(OptionError, match="study_name: must be new in the storage, got 'toy', which is there already"):
        to_optuna_storage(run, storage)
    to_optuna_storage(run, storage, "second")
    with pytest.raises(OptionError, match=r"study_name: must be one of \['toy', 'second'\], got None"):
        from_optuna_storage(storage, tmp_path / "back.db")
    with pytest.raises(OptionError, match="got 'third'"):
        from_optuna_storage(storage, tmp_path / "back.db", "third")
    assert not (tmp_path / "back.db").exists()
    from_optuna_storage(storage, tmp_path / "back.db", "second")
    with pytest.raises(StoreMismatchError, match="must be new, but holds a run already"):
        from_optuna_storage(storage, tmp_path / "back.db", "second")


def test_a_write_that_fails_leaves_no_study(run, tmp_path, monkeypatch):
    """Half a study would look like a whole one."""
    storage = f"sqlite:///{tmp_path / 'study.sqlite'}"
    make = optuna.storages.RDBStorage.create_new_trial

    def fail(self, study_id, template_trial=None):
        if template_trial.number == 5:
            raise OSError("the disk is gone")
        return make(self, study_id, template_trial)

    monkeypatch.setattr(optuna.storages.RDBStorage, "create_new_trial", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        to_optuna_storage(run, storage)
    assert optuna.get_all_study_names(storage) == []


@pytest.mark.parametrize(
    ("storage", "error", "rule"),
    [
        ("no.journal", PathError, "storage: there is no no.journal"),
        ("sqlite:///no.sqlite", PathError, "storage: there is no no.sqlite"),
        ("bad.journal", PathError, "storage: bad.journal is no journal of Optuna"),
        ("sqlite:///bad.journal", PathError, "storage: sqlite:///bad.journal cannot be opened"),
        ("nosuch://user:secret@host/x", PathError, r"storage: nosuch://\*\*\*@host/x cannot be opened"),
        ("", OptionError, "storage: must be a storage of Optuna, a URL or the path of a journal, got ''"),
        (7, OptionError, "storage: must be a storage of Optuna, a URL or the path of a journal, got 7"),
    ],
)
def test_a_storage_that_cannot_be_read_is_an_error(storage, error, rule, tmp_path, monkeypatch):
    """It names the storage, without its secrets."""
    monkeypatch.chdir(tmp_path)
    Path("bad.journal").write_text("this is no journal\n")
    with pytest.raises(error, match=rule):
        from_optuna_storage(storage, "run.db")
    assert not Path("run.db").exists()


def test_a_study_without_parameters_is_an_error(tmp_path):
    """There is nothing to search."""
    made = optuna.create_study(study_name="given")
    made.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(SpaceError, match="has no trial with a parameter"):
        from_optuna_storage(made._storage, tmp_path / "run.db")


def test_a_run_that_is_not_there_is_an_error(tmp_path):
    """Nothing is made in the storage."""
    with pytest.raises(NoRunError):
        to_optuna_storage(tmp_path / "no.db", str(tmp_path / "x.journal"))
    assert not (tmp_path / "x.journal").exists()


@pytest.mark.parametrize(
    "record", ["nothing", {}, {"ask": 1, "attempt": 1, "started": 1.0, "ended": 2.0, "reports": [], "end": None}]
)
def test_a_record_that_is_none_of_ours_is_refused(run, record, tmp_path):
    """Before a store is made: whoever wrote the study is not trusted."""
    storage = place("journal", tmp_path)
    to_optuna_storage(run, storage)
    backend = optuna.storages.journal.JournalFileBackend(storage)
    opened = optuna.storages.JournalStorage(backend)
    copied = optuna.create_study(study_name="bad", storage=opened)
    made = optuna.load_study(study_name="toy", storage=opened)
    header = opened.get_study_system_attrs(made._study_id)["autohpo:header"]
    opened.set_study_system_attr(copied._study_id, "autohpo:header", header)
    trial = optuna.trial.create_trial(
        value=1.0, params={"x": 1.0}, distributions={"x": Float(0, 1)}, system_attrs={"autohpo:trial": record}
    )
    copied.add_trial(trial)
    with pytest.raises(StoreCorruptError):
        from_optuna_storage(storage, tmp_path / "back.db", "bad")
    assert not (tmp_path / "back.db").exists()
