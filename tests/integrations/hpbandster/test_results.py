"""Results under HpBandSter's names, against plain computations; its log files, read and written; their import."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, Result, SearchSpace, build_hpo_from_name
from autohpo.errors import OptionError, PathError, SpaceError, StoreMismatchError
from autohpo.integrations import hpbandster as hb
from autohpo.integrations.hpbandster.core.runs import Job
from autohpo.integrations.hpbandster.inferring import inferred_space

BUDGETS = (1.0, 3.0, 9.0)


def written(folder, configs, results):
    """A folder with HpBandSter's two files."""
    folder.mkdir(exist_ok=True)
    (folder / "configs.json").write_text("".join(json.dumps(line) + "\n" for line in configs))
    (folder / "results.json").write_text("".join(json.dumps(line) + "\n" for line in results))
    return str(folder)


def lines_of(folder, name):
    """The lines of one of the two files."""
    return [json.loads(line) for line in (folder / f"{name}.json").read_text().splitlines()]


def made_up(folder, seed):
    """The logs of a run that random numbers made: equal losses, crashes and gaps are common."""
    rng = random.Random(seed)
    configs = [
        [[rng.randint(0, 2), 0, i], {"x": rng.random()}, {"model_based_pick": False}] for i in range(rng.randint(1, 8))
    ]
    jobs = [(config[0], budget) for config in configs for budget in BUDGETS if rng.random() < 0.6]
    rng.shuffle(jobs)
    results, now = [], 1000.0
    for config_id, budget in jobs:
        now += 1 + rng.random()
        times = {"submitted": now, "started": now + 0.25, "finished": now + 0.5}
        result = None if rng.random() < 0.2 else {"loss": rng.choice([0.1, 0.2, rng.random()]), "info": {"a": 1}}
        results.append([config_id, budget, times, result, None if result else "boom"])
    return written(folder, configs, results)


def incumbents(results, *, largest, all_budgets, bigger_is_better, non_decreasing_budget):
    """The incumbents as HpBandSter's documentation defines them: ids, times, budgets and losses, step by step."""
    lines = sorted(
        (line for line in results if all_budgets or line[1] == largest), key=lambda line: line[2]["finished"]
    )
    best, budget, found = None, min((line[1] for line in results), default=0), []
    for config_id, b, times, result, _ in lines:
        if result is None or (non_decreasing_budget and b < budget):
            continue
        if best is None or result["loss"] < best or (bigger_is_better and b > budget):
            best, budget = result["loss"], b
            found.append([tuple(config_id), times["finished"], b, best])
    if found and (lines[-1][3] or {"loss": None})["loss"] != best:
        found.append([found[-1][0], lines[-1][2]["finished"], *found[-1][2:]])
    return found


@pytest.mark.parametrize("seed", range(30))
def test_a_log_is_read_as_it_was_written(tmp_path, seed):
    """Runs, ids, curves and trajectories, against a plain computation from the lines."""
    folder = made_up(tmp_path / "log", seed)
    configs, results = lines_of(tmp_path / "log", "configs"), lines_of(tmp_path / "log", "results")
    found = hb.logged_results_to_HBS_result(folder)
    began = min((line[2]["submitted"] for line in results), default=0.0)
    assert found.get_id2config_mapping() == {tuple(i): {"config": c, "config_info": info} for i, c, info in configs}
    assert {(run.config_id, run.budget): (run.loss, run.error_logs) for run in found.get_all_runs()} == {
        (tuple(i), b): (result and result["loss"], error) for i, b, _, result, error in results
    }
    assert {run["time_stamps"]["finished"] for run in found.get_all_runs()} == {
        line[2]["finished"] - began for line in results
    }
    largest = max((line[1] for line in results), default=None)
    full = [(result["loss"], tuple(i)) for i, b, _, result, _ in results if result and b == largest]
    assert found.get_incumbent_id() == (min(full)[1] if full else None)
    for config_id, curves in found.get_learning_curves().items():
        line = sorted((b, result["loss"]) for i, b, _, result, _ in results if tuple(i) == config_id and result)
        assert curves == [line]
    last = {run.config_id: run.budget for run in found.get_all_runs(only_largest_budget=True)}
    assert last == {tuple(i): max(b for j, b, *_ in results if j == i) for i, *_ in results}
    for flags in [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)]:
        names = dict(zip(("all_budgets", "bigger_is_better", "non_decreasing_budget"), flags, strict=True))
        expected = incumbents(results, largest=largest, **names)
        got = found.get_incumbent_trajectory(**names)
        assert list(got) == ["config_ids", "times_finished", "budgets", "losses"]
        lines = [list(line) for line in zip(*got.values(), strict=True)]
        assert lines == [[i, t - began, b, loss] for i, t, b, loss in expected]


def test_a_logger_writes_what_can_be_read(tmp_path):
    """Line by line in HpBandSter's form, also numpy's numbers; a configuration once."""
    logger = hb.json_result_logger(str(tmp_path / "log"), overwrite=False)
    logger.new_config((0, 0, 0), {"x": np.float64(0.5), "k": "a"}, {"model_based_pick": True})
    logger.new_config((0, 0, 0), {"x": np.float64(0.5), "k": "a"}, {"model_based_pick": True})
    times = {"submitted": 1.0, "started": 2.0, "finished": 3.0}
    logger(Job((0, 0, 0), {"config": {"x": 0.5}, "budget": 9.0}, times, {"loss": np.float64(0.25), "info": {"a": [1]}}))
    logger(Job((0, 0, 1), {"config": {"x": 0.75}, "budget": 9.0}, times, None, "boom"))
    lines = lines_of(tmp_path / "log", "results")
    assert lines == [
        [[0, 0, 0], 9.0, times, {"loss": 0.25, "info": {"a": [1]}}, None],
        [[0, 0, 1], 9.0, times, None, "boom"],
    ]
    assert lines_of(tmp_path / "log", "configs") == [
        [[0, 0, 0], {"x": 0.5, "k": "a"}, {"model_based_pick": True}],
        [[0, 0, 1], {"x": 0.75}, {}],
    ]
    assert hb.logged_results_to_HBS_result(str(tmp_path / "log")).get_incumbent_id() == (0, 0, 0)


def test_a_log_that_is_there_is_not_overwritten(tmp_path):
    """Unless that is wanted; scripts that catch FileExistsError go on to do so."""
    folder = made_up(tmp_path / "log", 1)
    with pytest.raises(FileExistsError, match="directory: must have no log of another run") as caught:
        hb.json_result_logger(folder)
    assert isinstance(caught.value, PathError)
    hb.json_result_logger(folder, overwrite=True)
    assert not (tmp_path / "log" / "configs.json").read_text()


def test_a_run_logs_what_it_returns(tmp_path):
    """The logs of a search, read, have the very runs of its result."""

    class Half(hb.Worker):
        def compute(self, config_id, config, budget, working_directory):
            if config["x"] > 0.8:
                raise ValueError("too large")
            return {"loss": config["x"] / budget, "info": {"budget": budget}}

    Half(run_id="logs").run(background=True)
    logger = hb.json_result_logger(str(tmp_path / "log"))
    hyper = hb.HyperBand(
        [RangeHP("x", 0.0, 1.0)], min_budget=1, max_budget=9, run_id="logs", result_logger=logger, seed=3
    )
    result = hyper.run(n_iterations=3)
    hyper.shutdown(shutdown_workers=True)
    read = hb.logged_results_to_HBS_result(str(tmp_path / "log"))
    known = lambda one: {(r.config_id, r.budget): (r.loss, r.info, r.error_logs) for r in one.get_all_runs()}
    assert known(read) == known(result)
    assert any("too large" in (run.error_logs or "") for run in result.get_all_runs())
    assert read.get_incumbent_id() == result.get_incumbent_id()
    assert read.get_id2config_mapping() == result.get_id2config_mapping()
    for name in ("eta", "max_budget", "budgets"):
        assert read.HB_config[name] == result.HB_config[name]


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path):
    """A run may be looked at while it writes, or may have been killed."""
    folder = made_up(tmp_path / "log", 2)
    n = len(hb.logged_results_to_HBS_result(folder).get_all_runs())
    with (tmp_path / "log" / "results.json").open("a") as file:
        file.write('[[0, 0, 0], 9.0, {"submitted": 1')
    assert len(hb.logged_results_to_HBS_result(folder).get_all_runs()) == n


TIMES = {"submitted": 1, "started": 1, "finished": 2}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 of .* must be JSON"),
        ("{}", "line 1 of .* must be a list"),
        (json.dumps([[0, 0, 9], 1, TIMES, None, None]), r"must be of a configuration in configs.json, got \[0, 0, 9\]"),
        (json.dumps([[0, 0], 1, TIMES, None, None]), "line 1 of .* must be a config id, a budget"),
        (json.dumps([[0, 0, 0], "1", TIMES, None, None]), "line 1 of .* must be a config id, a budget"),
        (json.dumps([[0, 0, 0], 1, {"submitted": 1}, None, None]), "line 1 of .* must be a config id, a budget"),
        (json.dumps([[0, 0, 0], 1, TIMES, {"info": 1}, None]), "line 1 of .* must be a config id, a budget"),
        (json.dumps([[0, 0, 0], 1, TIMES, None]), "line 1 of .* must be a config id, a budget"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    """With its file and number."""
    folder = written(tmp_path / "log", [[[0, 0, 0], {"x": 1}, {}]], [])
    (tmp_path / "log" / "results.json").write_text(line + "\n")
    with pytest.raises(OptionError, match=f"directory: .*{message}"):
        hb.logged_results_to_HBS_result(folder)


def test_old_lines_and_losses_that_are_not_finite_are_read(tmp_path):
    """A configuration without info has N/A; a NaN is a crash, as it was in the run."""
    folder = written(
        tmp_path / "log", [[[0, 0, 0], {"x": 1}]], [[[0, 0, 0], 1, TIMES, {"loss": math.nan, "info": 1}, None]]
    )
    result = hb.logged_results_to_HBS_result(folder)
    (run,) = result.get_all_runs()
    assert (run.loss, run.error_logs) == (None, "the loss must be one finite number, got nan")
    assert result.get_id2config_mapping()[0, 0, 0]["config_info"] == "N/A"


def test_a_missing_log_is_a_missing_file(tmp_path):
    """Scripts catch FileNotFoundError."""
    with pytest.raises(FileNotFoundError, match="directory: must have configs.json and results.json") as caught:
        hb.logged_results_to_HBS_result(str(tmp_path))
    assert isinstance(caught.value, PathError)
    for read in (hb.logged_results_to_HBS_result, hb.json_result_logger):
        with pytest.raises(PathError, match="directory: must be the path of a folder, got 3"):
            read(3)


def test_an_unknown_id_is_refused(tmp_path):
    """The error says how many there are."""
    result = hb.logged_results_to_HBS_result(made_up(tmp_path / "log", 1))
    for config_id in ((9, 9, 9), [0, 0, 0], None):
        with pytest.raises(OptionError, match="config_id: must be the id of one of"):
            result.get_runs_by_id(config_id)


def test_data_frames_have_a_row_for_each_run_with_a_loss(tmp_path):
    """The loss function counts, which HpBandSter ignores."""
    pytest.importorskip("pandas")
    result = hb.logged_results_to_HBS_result(made_up(tmp_path / "log", 3))
    runs = [run for run in result.get_all_runs() if run.loss is not None]
    configs, losses = result.get_pandas_dataframe(loss_fn=lambda run: 2 * run.loss)
    assert list(configs.columns) == ["x", "budget"]
    assert list(losses["loss"]) == [2 * run.loss for run in runs]
    configs, losses = result.get_pandas_dataframe(budgets=[1.0])
    assert list(configs.columns) == ["x"]
    assert list(losses["loss"]) == [run.loss for run in runs if run.budget == 1]


def test_the_data_for_fanova_are_numbers(tmp_path):
    """Categories by their place, inactive values as NaN, and the space of the user stays as it is."""
    cs = pytest.importorskip("ConfigSpace")
    space = cs.ConfigurationSpace()
    kind, depth = cs.CategoricalHyperparameter("kind", ["a", "b"]), cs.UniformIntegerHyperparameter("depth", 1, 9)
    space.add(kind, depth, cs.EqualsCondition(depth, kind, "b"))
    configs = [[[0, 0, 0], {"kind": "b", "depth": 7}, {}], [[0, 0, 1], {"kind": "a"}, {}]]
    results = [
        [[0, 0, 0], 1.0, TIMES, {"loss": 0.5, "info": None}, None],
        [[0, 0, 0], 3.0, TIMES, {"loss": 0.25, "info": None}, None],
        [[0, 0, 1], 1.0, TIMES, None, "boom"],
    ]
    result = hb.logged_results_to_HBS_result(written(tmp_path / "log", configs, results))
    X, y, used = result.get_fANOVA_data(space, failed_loss=9.0)
    columns = {name: X[:, place] for place, name in enumerate(used)}
    np.testing.assert_array_equal(columns["kind"], [1, 1, 0])
    np.testing.assert_array_equal(columns["depth"], [7, 7, np.nan])
    np.testing.assert_array_equal(columns["budget"], [1, 3, 1])
    np.testing.assert_array_equal(y, [0.5, 0.25, 9.0])
    assert list(space) == ["kind", "depth"] or sorted(space) == ["depth", "kind"]
    X, y, used = result.get_fANOVA_data(space, budgets=[1.0])
    assert (X.shape, len(y), "budget" in used) == ((1, 2), 1, False)
    with pytest.raises(OptionError, match="config_space: must be a ConfigurationSpace, got 3"):
        result.get_fANOVA_data(3)


# The import into a store of ours.


@pytest.mark.parametrize("seed", [0, 1, *range(3, 9)])
def test_a_log_becomes_a_store(tmp_path, seed):
    """Each run is a trial, at its budget, with its loss or error, in the order of time."""
    folder = made_up(tmp_path / "log", seed)
    lines = lines_of(tmp_path / "log", "results")
    imported = hb.import_results(folder, tmp_path / "run.db")
    again = Result.load(tmp_path / "run.db")
    for result in (imported, again):
        assert [(t.info["hpbandster"], t.fidelity, t.perf) for t in result] == [
            (i, b, result and result["loss"]) for i, b, _, result, _ in lines
        ]
        assert [t.started for t in result] == pytest.approx([times["started"] for _, _, times, *_ in lines])
        assert [t.ended for t in result] == pytest.approx([times["finished"] for _, _, times, *_ in lines])
        assert all((trial.error == "boom") == (trial.perf is None) for trial in result)
        assert result.mode == "min"
        for trial, (config_id, budget, *_) in zip(result, lines, strict=True):
            levels = sorted({b for _, b, *_ in lines})
            first = min(b for i, b, *_ in lines if i == config_id)
            place = levels.index(budget) - levels.index(first)
            assert (trial.info["bracket"], trial.info["rung"]) == (config_id[0], place)
        assert {trial.metrics.get("a") for trial in result if trial.perf is not None} <= {1.0}
        for trial in result:
            if trial.resume is not None:
                before = result.trials[trial.resume]
                assert (before.hp, before.fidelity < trial.fidelity) == (trial.hp, True)
    assert imported.name == "log"


def test_an_imported_store_warms_a_search_up(tmp_path):
    """All its results are known to the model; so are they as points."""
    folder = made_up(tmp_path / "log", 4)
    n = sum(run.loss is not None for run in hb.logged_results_to_HBS_result(folder).get_all_runs())
    space = [RangeHP("x", 0.0, 1.0)]
    hb.import_results(folder, str(tmp_path / "run.db"), space)
    settings = {"min_fidelity": 1, "max_fidelity": 9, "mode": "min", "max_evals": 3, "seed": 0}
    hpo = build_hpo_from_name("bohb", space, lambda hps, fidelity: hps["x"], **settings)
    hpo.optimize(warm_start=str(tmp_path / "run.db"), progress=False)
    points = hb.points_of(hb.logged_results_to_HBS_result(folder), space)
    other = build_hpo_from_name("bohb", space, lambda hps, fidelity: hps["x"], points=points, **settings)
    other.optimize(progress=False)
    assert hpo.n_known == other.n_known == n > 3


def test_a_store_that_has_a_run_is_left_alone(tmp_path):
    """And an imported one is not gone on with by another search."""
    folder = made_up(tmp_path / "log", 4)
    hb.import_results(folder, tmp_path / "run.db")
    n = len(Result.load(tmp_path / "run.db"))
    with pytest.raises(StoreMismatchError, match="must be new, but holds a run already"):
        hb.import_results(folder, tmp_path / "run.db")
    assert len(Result.load(tmp_path / "run.db")) == n


def test_wrong_imports_are_refused(tmp_path):
    """Each with what is wrong, before anything is written."""
    folder = made_up(tmp_path / "log", 4)
    with pytest.raises(SpaceError, match=r"configuration \(\d, 0, \d\): "):
        hb.import_results(folder, tmp_path / "a.db", [RangeHP("x", 0.0, 0.001)])
    with pytest.raises(SpaceError, match=r"configuration \(\d, 0, \d\): "):
        hb.points_of(hb.logged_results_to_HBS_result(folder), [RangeHP("y", 0.0, 1.0)])
    with pytest.raises(OptionError, match=r"directory: must have results with positive budgets, got \[\]"):
        hb.import_results(written(tmp_path / "empty", [[[0, 0, 0], {"x": 1}, {}]], []), tmp_path / "a.db")
    assert not (tmp_path / "a.db").exists()


def test_a_space_is_told_from_configurations():
    """Ranges, choices, constants, and children of the choice that decides about them, two levels deep."""
    configs = [
        {"lr": 0.1, "n": 3, "kind": "a", "flag": True, "same": 1},
        {"lr": 0.5, "n": 7, "kind": "b", "depth": 2, "how": "u", "flag": False, "same": 1},
        {"lr": 1, "n": 5, "kind": "b", "depth": 4, "how": "v", "rate": 0.5, "flag": True, "same": 1},
        {"lr": 0.3, "n": 5, "kind": "b", "depth": 4, "how": "v", "rate": 0.7, "flag": True, "same": 1},
    ]
    space = inferred_space(configs)
    assert [space.check(config) for config in configs] == [None] * 4
    how = ChoiceHP("how", ["u", "v"], {"v": [RangeHP("rate", 0.5, 0.7)]})
    assert space["kind"] == ChoiceHP("kind", ["a", "b"], {"b": [RangeHP("depth", 2, 4), how]})
    assert space["lr"] == RangeHP("lr", 0.1, 1.0)
    assert space["flag"] == ChoiceHP("flag", [True, False])
    assert isinstance(space, SearchSpace)
    with pytest.raises(SpaceError, match="configspace: must be given, as nothing says when .* of y"):
        inferred_space([{"x": 1, "y": 2}, {"x": 2}])
    with pytest.raises(SpaceError, match="configspace: must be given, as the configurations have no parameter"):
        inferred_space([{}])
