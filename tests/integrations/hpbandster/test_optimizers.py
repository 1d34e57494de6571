"""Optimizers under HpBandSter's names: its brackets, its ids, crashes, earlier results, and what is refused."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter

import numpy as np
import pytest

from autohpo import ChoiceHP
from autohpo.errors import OptionError
from autohpo.integrations import hpbandster as hb
from autohpo.integrations.hpbandster.core.result import Datum, Result
from autohpo.integrations.hpbandster.rendezvous import NoWorkersError
from autohpo.store import open_store


@pytest.mark.parametrize(
    ("low", "high", "eta", "brackets", "cost"),
    [  # measured on HpBandSter 0.7.4, cost in full evaluations
        (1, 9, 3, ["9-3-1", "3-1", "3"], 8),
        (1, 27, 3, ["27-9-3-1", "9-3-1", "6-2", "4"], 15),
        (1, 81, 3, ["81-27-9-3-1", "27-9-3-1", "9-3-1", "6-2", "5"], 21),
        (1, 16, 2, ["16-8-4-2-1", "8-4-2-1", "4-2-1", "4-2", "5"], 21),
        (1, 64, 4, ["64-16-4-1", "16-4-1", "8-2", "4"], 15),
    ],
)
def test_the_brackets_are_those_of_hpbandster(search, low, high, eta, brackets, cost):
    """Sizes, budgets and cost of each, run by run."""
    optimizer, worker = search(hb.HyperBand, eta=eta, min_budget=low, max_budget=high)
    result = optimizer.run(n_iterations=len(brackets))
    runs = result.get_all_runs()
    for place, bracket in enumerate(brackets):
        counts = Counter(run.budget for run in runs if run.config_id[0] == place)
        sizes = [int(size) for size in bracket.split("-")]
        budgets = [high / eta**k for k in reversed(range(len(sizes)))]
        assert counts == dict(zip(budgets, sizes, strict=True))
    assert sum(run.budget for run in runs) / high == pytest.approx(cost, rel=1e-12)
    assert {type(budget) for _, _, budget, _ in worker.calls} == {float}


def test_budgets_are_not_rounded(search):
    """HpBandSter divides the largest budget, whatever comes out."""
    optimizer, _ = search(hb.HyperBand, min_budget=1, max_budget=100)
    result = optimizer.run()
    assert sorted({run.budget for run in result.get_all_runs()}) == pytest.approx(
        [100 / 81, 100 / 27, 100 / 9, 100 / 3, 100]
    )
    assert result.HB_config["budgets"] == pytest.approx([100 / 81, 100 / 27, 100 / 9, 100 / 3, 100])


def test_no_budget_is_lost_to_rounding(search):
    """HpBandSter loses the least of 1, 3, ..., 243, as the logarithm of 243 to base 3 is 4.999...; this does not."""
    optimizer, _ = search(hb.HyperBand, min_budget=1, max_budget=243)
    assert optimizer.config["budgets"] == [1, 3, 9, 27, 81, 243]


def test_ids_are_iteration_stage_and_place(search):
    """Each configuration has one, and keeps it from budget to budget; the worker gets it, too."""
    optimizer, worker = search(min_budget=1, max_budget=9)
    result = optimizer.run(n_iterations=2)
    expected = [(0, 0, i) for i in range(9)] + [(1, 0, i) for i in range(3)]
    assert sorted(result.get_id2config_mapping()) == expected
    assert result.num_iterations() == 2
    called = {(config_id, budget): config for config_id, config, budget, _ in worker.calls}
    for run in result.get_all_runs():
        assert called[run.config_id, run.budget] == result.get_id2config_mapping()[run.config_id]["config"]
    best = sorted(expected[:9], key=lambda one: result.data[one].config["x"])  # the loss is x at every budget
    assert [run.budget for run in result.get_runs_by_id(best[0])] == [1, 3, 9]
    assert [len(result.get_runs_by_id(one)) for one in best] == [3, 2, 2, 1, 1, 1, 1, 1, 1]
    assert {folder for *_, folder in worker.calls} == {optimizer.working_directory}


def test_missing_survivors_are_replaced_by_new_configurations_of_that_stage(search):
    """All of the first stage crash, but for one: two new ones join it at the second, and their ids say so."""
    state = {"n": 0}

    def f(config, budget):
        state["n"] += budget == 1
        if budget == 1 and state["n"] != 5:
            raise ValueError("boom")
        return config["x"]

    optimizer, _ = search(hb.HyperBand, f, min_budget=1, max_budget=9)
    result = optimizer.run()
    assert sorted(one for one in result.data if one[1] == 1) == [(0, 1, 1), (0, 1, 2)]  # (0, 1, 0) was promoted
    assert Counter(run.budget for run in result.get_all_runs()) == {1: 9, 3: 3, 9: 1}


def test_crashes_have_no_loss_and_the_error_as_text(search):
    """What raises, returns no dict, no loss, or a loss that is not finite, is a crash; the search goes on."""
    returned = iter(
        [None, 3, {"info": 1}, {"loss": None, "info": 1}, {"loss": math.nan}, {"loss": -math.inf}, {"loss": "a"}]
    )

    def f(config, budget):
        try:
            value = next(returned)
        except StopIteration:
            return config["x"]
        if value is None:
            raise RuntimeError("out of memory")
        return {"loss": [1]} if value == 3 else value

    optimizer, _ = search(f=f, min_budget=1, max_budget=9)
    result = optimizer.run()
    crashed = [run for run in result.get_all_runs() if run.loss is None]
    assert len(crashed) == 7
    assert "RuntimeError: out of memory" in crashed[0].error_logs
    assert "compute: must return a dict with 'loss'" in crashed[2].error_logs
    assert all("'loss' must be one finite number" in run.error_logs for run in crashed[3:])
    assert [run.info for run in crashed] == [None] * 7
    assert result.get_incumbent_id() is not None


def test_a_search_in_which_everything_crashes_has_a_result_without_an_incumbent(search):
    """HpBandSter returns one, too."""
    optimizer, _ = search(f=lambda config, budget: None, min_budget=1, max_budget=3)
    result = optimizer.run()
    assert result.get_incumbent_id() is None
    assert result.get_incumbent_trajectory()["losses"] == []
    assert {run.loss for run in result.get_all_runs()} == {None}


def test_numpy_numbers_are_as_good_as_any(search):
    """In the loss, and in the info, which comes back as JSON has it."""
    info = {"acc": np.float32(0.5), "curve": np.arange(3), "n": np.int64(7), "t": (1, 2), 3: True}
    optimizer, _ = search(
        f=lambda config, budget: {"loss": np.float64(config["x"]), "info": info}, max_budget=3, min_budget=1
    )
    (run, *_) = optimizer.run().get_all_runs()
    assert type(run.loss) is float
    assert run.info == {"acc": 0.5, "curve": [0, 1, 2], "n": 7, "t": [1, 2], "3": True}


def test_an_info_that_json_cannot_hold_is_kept_as_text_with_a_warning(search):
    """The loss counts, and the warning says which part."""
    info = {"model": object(), "n": 1}
    optimizer, _ = search(f=lambda config, budget: {"loss": 1.0, "info": info}, min_budget=1, max_budget=1)
    with pytest.warns(UserWarning, match=r"parts are kept as text: info\['model'\]"):
        (run,) = optimizer.run().get_all_runs()
    assert run.loss == 1.0
    assert run.info["n"] == 1
    assert run.info["model"].startswith("object <object object")


def test_a_second_call_of_run_goes_on(search):
    """Its brackets follow those of the first, as if all had been asked for at once."""
    at_once, _ = search(min_budget=1, max_budget=9)
    expected = at_once.run(n_iterations=4)
    at_once.shutdown(shutdown_workers=True)
    optimizer, _ = search(min_budget=1, max_budget=9)
    optimizer.run(n_iterations=1)
    result = optimizer.run(n_iterations=3)
    assert result.num_iterations() == 4
    assert len(result.get_all_runs()) == len(expected.get_all_runs()) == 33  # 13 + 4 + 3 + 13
    first = [one for one in result.data if one[0] == 0]
    assert [result.data[one].config for one in first] == [expected.data[one].config for one in first]


def test_a_search_with_a_store_goes_on_in_another_optimizer(search, tmp_path):
    """It has the earlier runs with their infos, and evaluates only what is missing; a logger gets all of it."""
    f = lambda config, budget: {"loss": config["x"], "info": {"b": budget}}
    store, log = str(tmp_path / "run.db"), tmp_path / "log"
    optimizer, _ = search(f=f, min_budget=1, max_budget=9, store=store)
    before = optimizer.run(n_iterations=1)
    optimizer.shutdown(shutdown_workers=True)
    optimizer, worker = search(
        f=f, min_budget=1, max_budget=9, store=store, seed=None, result_logger=hb.json_result_logger(str(log))
    )
    result = optimizer.run(n_iterations=2)
    assert len(worker.calls) == 4  # 3-1
    assert len(result.get_all_runs()) == 17
    assert {run.info["b"] == run.budget for run in result.get_all_runs()} == {True}
    assert [result.data[one].config for one in before.data] == [before.data[one].config for one in before.data]
    assert len(hb.logged_results_to_HBS_result(str(log)).get_all_runs()) == 17


def test_an_info_of_an_attempt_that_was_given_up_does_not_count(search, tmp_path):
    """A file that such an attempt left is not taken for the info of the next one."""
    store = str(tmp_path / "run.db")
    left = open_store(store).files / "hpbandster" / "info-0.json"
    left.parent.mkdir(parents=True)
    left.write_text('{"info": "old", "replaced": []}')
    optimizer, _ = search(min_budget=1, max_budget=1, store=store)
    assert [run.info for run in optimizer.run().get_all_runs()] == [None]


def test_the_seed_decides_everything(search):
    """Two searches with it are the same, one with another is not."""
    xs = []
    for seed in (0, 0, 1):
        optimizer, _ = search(min_budget=1, max_budget=9, seed=seed)
        result = optimizer.run(n_iterations=3)
        xs.append([result.data[one].config["x"] for one in sorted(result.data)])
        optimizer.shutdown(shutdown_workers=True)
    assert xs[0] == xs[1] != xs[2]


def test_bohb_says_which_configurations_a_model_picked(search):
    """None before there is one; two in three later, as random_fraction has it."""
    optimizer, _ = search(min_budget=1, max_budget=9)
    result = optimizer.run(n_iterations=20)
    picked = [datum.config_info["model_based_pick"] for datum in result.data.values()]
    assert not any(picked[:4])  # a model of one parameter needs 4 results
    assert 0.4 < np.mean(picked) < 0.9
    optimizer, _ = search(hb.HyperBand, min_budget=1, max_budget=3)
    assert {str(datum.config_info) for datum in optimizer.run().data.values()} == {"{}"}


def test_the_options_of_bohb_reach_the_model(search):
    """Without random picks all are the model's as soon as there is one; all random has none."""
    optimizer, _ = search(min_budget=1, max_budget=9, random_fraction=0, min_points_in_model=3)
    result = optimizer.run(n_iterations=3)
    picked = [result.data[one].config_info["model_based_pick"] for one in sorted(result.data)]
    assert picked == [False] * 5 + [True] * 10  # N_min + 2 = 5
    optimizer.shutdown(shutdown_workers=True)
    optimizer, _ = search(min_budget=1, max_budget=9, random_fraction=1)
    result = optimizer.run(n_iterations=3)
    assert not any(datum.config_info["model_based_pick"] for datum in result.data.values())


def test_too_few_points_in_a_model_are_raised_with_a_warning(search):
    """One more than there are parameters is the least, as in HpBandSter."""
    with pytest.warns(UserWarning, match="min_points_in_model: must be at least 2 for this space, got 1; 2 is taken"):
        optimizer, _ = search(min_points_in_model=1, min_budget=1, max_budget=3)
    assert optimizer.config["min_points_in_model"] == 2


def test_random_search_evaluates_in_full(search):
    """An iteration has as many configurations as there are budgets, as in HpBandSter."""
    optimizer, worker = search(hb.RandomSearch, min_budget=1, max_budget=9)
    result = optimizer.run(n_iterations=2)
    assert [budget for _, _, budget, _ in worker.calls] == [9.0] * 6
    assert list(result.data) == [(i, 0, k) for i in range(2) for k in range(3)]
    assert result.HB_config["budgets"] == [9.0]


def test_a_search_learns_from_a_previous_result(search, tmp_path):
    """The model is there from the first configuration on, and the earlier runs stand before the begin."""
    optimizer, _ = search(min_budget=1, max_budget=9, result_logger=hb.json_result_logger(str(tmp_path / "log")))
    first = optimizer.run(n_iterations=3)
    optimizer.shutdown(shutdown_workers=True)
    previous = hb.logged_results_to_HBS_result(str(tmp_path / "log"))
    optimizer, worker = search(min_budget=1, max_budget=9, previous_result=previous, random_fraction=0)
    result = optimizer.run()
    assert len(worker.calls) == 13
    new = [one for one in result.data if one[0] == 0]
    assert all(result.data[one].config_info["model_based_pick"] for one in new)
    warm = [run for run in result.get_all_runs() if run.config_id[0] == -1]
    assert sorted(run.loss for run in warm) == sorted(run.loss for run in first.get_all_runs())
    assert max(run.time_stamps["finished"] for run in warm) == pytest.approx(0, abs=1e-5)  # microseconds of Unix time
    assert all(run.time_stamps["submitted"] >= 0 for run in result.get_all_runs() if run.config_id[0] == 0)
    again, _ = search(min_budget=1, max_budget=9, previous_result=result)  # its iteration -1 comes along
    assert len(again.run().get_all_runs()) == len(result.get_all_runs()) + 13


def test_a_previous_result_of_other_budgets_counts_as_far_as_it_can(search):
    """Those above the largest are left out of the model, crashes too; the result has them all."""
    datum = Datum({"x": 0.5}, {})
    for budget, loss in ((1.0, 0.5), (5.0, 0.4), (27.0, 0.3)):
        datum.add(budget, {"loss": loss, "info": None}, {"submitted": 0.0, "started": 0.0, "finished": budget}, None)
    crashed = Datum({"x": 0.7}, {})
    crashed.add(1.0, None, {"submitted": 0.0, "started": 0.0, "finished": 2.0}, "boom")
    previous = Result([{(0, 0, 0): datum, (0, 0, 1): crashed}], {"max_budget": 27.0, "time_ref": 0.0})
    with pytest.warns(UserWarning, match="must be at most max_budget, 9; 1 runs at larger ones are left out"):
        optimizer, _ = search(min_budget=1, max_budget=9, previous_result=previous)
    result = optimizer.run()
    assert [run.budget for run in result.get_runs_by_id((-1, 0, 0))] == [1, 5, 27]
    assert result.get_runs_by_id((-1, 0, 1))[0].error_logs == "boom"


def test_several_workers_run_in_processes_of_their_own(search):
    """Each has a copy; the info says which process it was."""
    f = lambda config, budget: {"loss": config["x"], "info": os.getpid()}
    optimizer, _ = search(f=f, n_workers=2, min_budget=1, max_budget=9)
    pids = {run.info for run in optimizer.run(n_iterations=2, min_n_workers=2).get_all_runs()}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2  # a fast worker may have taken everything


def test_one_worker_is_enough_for_several_processes(search):
    """By num_workers."""
    f = lambda config, budget: {"loss": config["x"], "info": os.getpid()}
    optimizer, _ = search(f=f, num_workers=2, min_budget=1, max_budget=9)
    assert os.getpid() not in {run.info for run in optimizer.run(min_n_workers=2).get_all_runs()}


def test_workers_that_cannot_be_copied_share_this_process(search):
    """With a warning; where num_workers asks for copies that is an error."""
    lock = threading.Lock()
    f = lambda config, budget: {"loss": config["x"], "info": [os.getpid(), lock.locked()]}
    optimizer, _ = search(f=f, n_workers=2, min_budget=1, max_budget=3)
    with pytest.warns(
        UserWarning, match="cannot run in processes of their own, so they share this one: f: must be picklable"
    ):
        result = optimizer.run(min_n_workers=2)
    assert {run.info[0] for run in result.get_all_runs()} == {os.getpid()}
    optimizer.shutdown(shutdown_workers=True)
    optimizer, _ = search(f=f, num_workers=2, min_budget=1, max_budget=3)
    with pytest.raises(OptionError, match="must be picklable"):
        optimizer.run()


def test_a_worker_that_ends_its_process_is_a_crash(search):
    """The others go on."""

    def f(config, budget):
        if budget == 1 and config["x"] > 0.7:
            os._exit(3)
        return config["x"]

    optimizer, _ = search(f=f, n_workers=2, min_budget=1, max_budget=9)
    result = optimizer.run(min_n_workers=2)
    crashed = [run for run in result.get_all_runs() if run.loss is None]
    drawn = [one for one in result.data if one[1] == 0]
    assert crashed
    assert {run.config_id for run in crashed} == {one for one in drawn if result.data[one].config["x"] > 0.7}
    assert all(run.error_logs for run in crashed)


def test_too_few_workers_are_an_error_and_no_deadlock(search):
    """The error says how to start some."""
    optimizer, _ = search(n_workers=0)
    with pytest.raises(
        NoWorkersError, match=r"at most the number of workers of run .*, 0, got 1; start more by worker.run"
    ):
        optimizer.run()
    optimizer, _ = search(n_workers=1)
    with pytest.raises(NoWorkersError, match=r", 1, got 3; .*give BOHB num_workers="):
        optimizer.run(min_n_workers=3)


def test_a_time_limit_ends_a_search(search):
    """What was evaluated is the result."""
    optimizer, _ = search(
        hb.HyperBand, lambda config, budget: __import__("time").sleep(0.02) or config["x"], time_limit=0.3
    )
    runs = optimizer.run(n_iterations=1000).get_all_runs()
    assert 1 <= len(runs) <= 30


def test_a_conditional_configuration_space_works(search):
    """An inactive parameter is not in the configuration that the worker gets."""
    cs = pytest.importorskip("ConfigSpace")
    space = cs.ConfigurationSpace(seed=0)
    kind = cs.CategoricalHyperparameter("kind", ["a", "b"])
    depth = cs.UniformIntegerHyperparameter("depth", 1, 9)
    space.add(kind, depth, cs.EqualsCondition(depth, kind, "b"))
    optimizer, worker = search(f=lambda config, budget: config.get("depth", 5), space=space, min_budget=1, max_budget=9)
    optimizer.run(n_iterations=3)
    assert {tuple(sorted(config)) for _, config, _, _ in worker.calls} == {("kind",), ("depth", "kind")}
    assert all(("depth" in config) == (config["kind"] == "b") for _, config, _, _ in worker.calls)


def test_a_small_space_ends_the_search(search):
    """No configuration is evaluated twice at a budget."""
    optimizer, worker = search(
        hb.HyperBand,
        lambda config, budget: config["x"],
        space=[ChoiceHP("x", [1, 2, 3, 4])],
        min_budget=1,
        max_budget=9,
    )
    optimizer.run(n_iterations=5)
    assert Counter((config["x"], budget) for _, config, budget, _ in worker.calls).most_common(1)[0][1] == 1


def test_a_logger_of_the_users_own_gets_every_job(search):
    """With and without new_config; the job has what HpBandSter's has."""
    jobs = []
    optimizer, worker = search(min_budget=1, max_budget=3, result_logger=jobs.append)
    optimizer.run()
    assert len(jobs) == 4
    job = jobs[0]
    assert job.kwargs == {"config": worker.calls[0][1], "budget": 1.0, "working_directory": optimizer.working_directory}
    assert job.result == {"loss": job.kwargs["config"]["x"], "info": None}
    assert job.timestamps["submitted"] <= job.timestamps["started"] <= job.timestamps["finished"]
    assert job.worker_name == worker.worker_id
    assert job.exception is None


def test_a_logger_that_raises_ends_the_search(search):
    """Its error comes out of run: nothing is lost in silence."""

    def logger(job):
        raise OSError("disk full")

    optimizer, _ = search(min_budget=1, max_budget=3, result_logger=logger)
    with pytest.raises(OSError, match="disk full"):
        optimizer.run()


def test_all_names_can_be_imported_from_the_package():
    """Also where they live in HpBandSter."""
    import autohpo.integrations.hpbandster.core.nameserver as hpns
    import autohpo.integrations.hpbandster.core.result as hpres
    from autohpo.integrations.hpbandster.core.worker import Worker
    from autohpo.integrations.hpbandster.optimizers import BOHB, H2BO, HyperBand, LCNet, RandomSearch

    assert all(getattr(hb, name) is not None for name in hb.__all__)
    assert (hb.NameServer, hb.Result, hb.Worker) == (hpns.NameServer, hpres.Result, Worker)
    assert (hb.BOHB, hb.H2BO, hb.HyperBand, hb.LCNet, hb.RandomSearch) == (BOHB, H2BO, HyperBand, LCNet, RandomSearch)
    with pytest.raises(AttributeError, match="has no attribute 'Pyro'"):
        hb.Pyro
