"""What optimizers under HpBandSter's names refuse: each wrong argument by its name, at once."""

from __future__ import annotations

import pytest

from autohpo import RangeHP
from autohpo.errors import OptionError, PathError, SpaceError
from autohpo.integrations import hpbandster as hb
from autohpo.integrations.hpbandster.core.result import Datum, Result

SPACE = [RangeHP("x", 0.0, 1.0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_budget": 0}, "min_budget: must be a positive number, got 0"),
        ({"min_budget": "1"}, "min_budget: must be a positive number, got '1'"),
        ({"min_budget": 2, "max_budget": 1}, "max_budget: must be at least min_budget, 2, got 1"),
        ({"eta": 1}, "eta: must be at least 2, got 1"),
        ({"eta": True}, "eta: must be a positive number, got True"),
        ({"top_n_percent": 0.15}, "top_n_percent: must be a percentage from 1 to 99, got 0.15"),
        ({"random_fraction": 2}, "random_fraction: must be from 0 to 1, got 2"),
        ({"num_samples": 0}, "num_samples: must be at least 1, got 0"),
        ({"job_queue_sizes": (0, 0)}, r"job_queue_sizes: must be a pair \(min, max\) with min < max, got \(0, 0\)"),
        ({"job_queue_sizes": 3}, "job_queue_sizes: must be a pair"),
        ({"num_workers": 0}, "num_workers: must be an integer of at least 1, or None, got 0"),
        ({"worker_timeout": -1}, "worker_timeout: must be a number of seconds, got -1"),
        ({"result_logger": 3}, "result_logger: must be callable with a job, got 3"),
        ({"previous_result": "log"}, "previous_result: must be a Result, such as logged_results_to_HBS_result"),
        ({"n_iterations": 3}, "n_iterations: BOHB has no such option"),
        ({"seed": -1}, "seed: must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(search, arguments, message):
    """At once, each by its name."""
    with pytest.raises(OptionError, match=message):
        search(**arguments)


@pytest.mark.parametrize("space", [None, 3, "x"])
def test_what_is_no_space_is_refused(space):
    """Whatever it is."""
    with pytest.raises(OptionError, match="configspace: must be a ConfigurationSpace, got"):
        hb.BOHB(space, run_id="refused")


def test_a_run_id_must_be_given():
    """To all that belong to a run."""
    with pytest.raises(OptionError, match="run_id: must be given to HyperBand"):
        hb.HyperBand(SPACE)
    for cls in (hb.Worker, hb.NameServer):
        with pytest.raises(OptionError, match="run_id: must be given, got None"):
            cls(None)


def test_wrong_arguments_of_run_are_refused(search):
    """Each by its name."""
    optimizer, _ = search()
    for arguments, message in (
        ({"n_iterations": 0}, "n_iterations: must be an integer of at least 1, got 0"),
        ({"n_iterations": 1.5}, "n_iterations: must be an integer of at least 1, got 1.5"),
        ({"min_n_workers": True}, "min_n_workers: must be an integer of at least 1, got True"),
        ({"iteration_kwargs": {"a": 1}}, "iteration_kwargs: must be empty here, got {'a': 1}"),
    ):
        with pytest.raises(OptionError, match=message):
            optimizer.run(**arguments)


def test_a_previous_configuration_of_another_space_is_refused(search):
    """The error names it."""
    datum = Datum({"y": 0.5}, {})
    datum.add(1.0, {"loss": 1.0, "info": None}, {"submitted": 0.0, "started": 0.0, "finished": 1.0}, None)
    previous = Result([{(0, 0, 7): datum}], {"max_budget": 1.0})
    with pytest.raises(SpaceError, match=r"previous_result: configuration \(0, 0, 7\): "):
        search(previous_result=previous)


def test_a_folder_that_cannot_be_made_is_refused(search, tmp_path):
    """For the optimizer and for the name server."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PathError, match="working_directory: must be a folder that can be made"):
        search(working_directory=str(tmp_path / "file" / "below"))
    with pytest.raises(PathError, match="working_directory: must be the path of a folder, got 3"):
        hb.NameServer("x", working_directory=3).start()


@pytest.mark.parametrize(("name", "nearest"), [("H2BO", "pasha"), ("LCNet", "dyhpo")])
def test_optimizers_without_a_counterpart_say_what_to_take(name, nearest):
    """When they are made: scripts import names that they never use."""
    with pytest.raises(OptionError, match=rf"{name}: has no counterpart here; take BOHB, or .*{nearest}"):
        getattr(hb, name)(SPACE, run_id="x")
