"""MLflow: what stands in a SQLite backend afterwards, read with its own client."""

from __future__ import annotations

import os
import sqlite3

import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]
pytest.importorskip("mlflow", reason="MLflow is not installed; `make test-extras` installs it")

from autohpo.integrations.mlflow import MLflowTracker  # noqa: E402


@pytest.fixture
def uri(tmp_path):
    """A new backend."""
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def runs_of(uri, experiment="autohpo"):
    """The search's run, and those of its trials by number."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=1000)
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == len(found) - 1
    numbers = [int(run.data.tags["autohpo.trial"]) for run in children]
    assert len(set(numbers)) == len(numbers), "a trial was logged twice"
    return client, parent, dict(zip(numbers, children, strict=True))


def _environment():
    """All variables but one that MLflow itself sets and removes when it is imported and used."""
    return {name: value for name, value in os.environ.items() if name != "_MLFLOW_TELEMETRY_SESSION_ID"}


def curve(client, run, name):
    """``[(step, value)]`` of a metric."""
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]


def test_the_search_is_a_run_and_each_trial_a_nested_one(searched, uri):
    """Parameters, curves with the fidelity as step, states and errors; the result is the oracle."""
    import mlflow

    before = _environment()
    result = searched(MLflowTracker(tracking_uri=uri, run_name="cora", tags={"team": "a"}))
    client, parent, children = runs_of(uri)
    assert parent.data.tags["mlflow.runName"] == "cora"
    assert parent.data.tags["team"] == "a"
    assert parent.data.params["algorithm"] == "random"
    assert parent.data.params["seed"] == "0"
    assert parent.data.params["space.act"].startswith("ChoiceHP(")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["autohpo.best"] == str(result.best.number)
    assert parent.data.tags["autohpo.best.run"] == children[result.best.number].info.run_id
    assert sorted(children) == [trial.number for trial in result]
    for trial in result:
        run = children[trial.number]
        assert run.data.params == {"x": str(trial.hp["x"]), "act": trial.hp["act"]}
        assert curve(client, run, "perf") == list(trial.reports)
        assert run.info.status == ("FINISHED" if trial.perfs else "FAILED")
        assert run.data.tags["autohpo.state"] == trial.state.value
        assert run.data.metrics["cost"] == trial.cost
        assert run.info.end_time == int(trial.ended * 1000)
        assert run.data.tags.get("autohpo.error", "") == trial.error
    assert any(trial.error for trial in result)
    assert mlflow.active_run() is None
    assert _environment() == before


def test_the_best_so_far_is_a_curve_of_the_search(searched, uri):
    """The running maximum, with the number of ended trials as step."""
    result = searched(MLflowTracker(tracking_uri=uri))
    client, parent, _ = runs_of(uri)
    best, course = float("-inf"), []
    for n, trial in enumerate(result, start=1):
        best = max(best, trial.perf if trial.perf is not None else best)
        if best > float("-inf"):
            course.append((n, best))
    assert sorted(curve(client, parent, "best.perf")) == course


def test_several_objectives_and_names_that_mlflow_does_not_take(searched, uri):
    """Characters that it refuses become underscores."""
    mode = {"acc@1": "max", "size": "min"}
    result = searched(
        MLflowTracker(tracking_uri=uri), f=lambda hps: {"acc@1": hps["x"], "size": 2.0}, name="nsga2", mode=mode
    )
    _, parent, children = runs_of(uri)
    assert children[3].data.metrics["acc_1"] == result.trials[3].perfs[0]
    assert {"best.acc_1", "best.size"} <= set(parent.data.metrics)


def test_without_runs_of_trials_the_search_is_all(searched, uri):
    """For searches of many short trials."""
    searched(MLflowTracker(tracking_uri=uri, trials=False))
    _, parent, children = runs_of(uri)
    assert not children
    assert "best.perf" in parent.data.metrics


def test_the_active_run_of_a_program_is_left_alone(searched, uri, tmp_path):
    """It has nothing of ours, and stays active."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'own.db'}")
    try:
        with mlflow.start_run() as own:
            searched(MLflowTracker(tracking_uri=uri))
            assert mlflow.active_run().info.run_id == own.info.run_id
        assert mlflow.get_run(own.info.run_id).data.metrics == {}
        assert mlflow.get_tracking_uri().endswith("own.db")
    finally:
        mlflow.set_tracking_uri(None)
    runs_of(uri)


def test_a_killed_search_goes_on_in_the_same_run(killed_and_resumed):
    """One run of the search, one of each trial, each point once."""

    def is_told(folder):
        if not (folder / "mlflow.db").exists():
            return False
        try:
            with sqlite3.connect(folder / "mlflow.db") as db:
                return db.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone()[0] >= 8
        except sqlite3.OperationalError:  # its tables are being made
            return False

    imports = "from autohpo.integrations.mlflow import MLflowTracker"
    folder = killed_and_resumed(imports, 'MLflowTracker(tracking_uri="sqlite:///mlflow.db")', is_told)
    client, parent, children = runs_of(f"sqlite:///{folder / 'mlflow.db'}")
    assert sorted(children) == list(range(30))
    for run in children.values():
        assert [step for step, _ in curve(client, run, "perf")] == [1, 2, 3]
        assert run.info.status == "FINISHED"
    assert sorted(step for step, _ in curve(client, parent, "best.perf")) == list(range(1, 31))
    assert parent.info.status == "FINISHED"


def test_names_that_mlflow_would_write_alike_stay_apart(uri):
    """It takes no question mark; the name that is legal as it is stays as it is."""
    space = [RangeHP("a?b", 0.0, 0.4), RangeHP("a_b", 0.6, 1.0)]

    def f(hps):
        return {"perf": hps["a?b"], "m?": hps["a?b"], "m*": hps["a_b"]}

    hpo = build_hpo_from_name("random", space, f, max_evals=3, seed=0)
    hpo.optimize(progress=False, trackers=[MLflowTracker(tracking_uri=uri)])
    _, parent, children = runs_of(uri)
    assert len([name for name in parent.data.params if name.startswith("space.a_b")]) == 2
    for trial in hpo.result.trials:
        params, metrics = children[trial.number].data.params, children[trial.number].data.metrics
        assert float(params["a_b"]) == trial.hp["a_b"]
        assert sorted(float(params[name]) for name in params if name.startswith("a_b")) == sorted(trial.hp.values())
        assert sorted(metrics[name] for name in metrics if name.startswith("m_")) == sorted(trial.hp.values())


def test_wrong_options_are_refused():
    """With the name of the option."""
    with pytest.raises(OptionError, match="tracking_uri: must be a string, got 3"):
        MLflowTracker(tracking_uri=3)
    with pytest.raises(OptionError, match="experiment: must be a name, got ''"):
        MLflowTracker(experiment="")
    with pytest.raises(OptionError, match="tags: must be a dict"):
        MLflowTracker(tags=["a"])
    with pytest.raises(OptionError, match="trials: must be True or False"):
        MLflowTracker(trials=1)


def test_a_backend_that_does_not_answer_ends_nothing(searched):
    """The search has its result, and the user a warning."""
    with pytest.warns(UserWarning, match="tracker mlflow-.*the search is not affected"):
        result = searched(MLflowTracker(tracking_uri="sqlite:////dev/null/mlflow.db"))
    assert len(result) == 12
