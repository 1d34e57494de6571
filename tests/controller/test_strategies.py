"""Strategies in ClearML's form: the override points, and what a strategy may ask for."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, sleepy, squared

from autohpo import AutoHPOError, BaseHPOptimizer, ChoiceHP, FixedHP, OptionError, RangeHP, Result
from autohpo.controller import Job, OptimizerBOHB, RandomSearch, SearchStrategy
from autohpo.errors import AlgorithmError, SuggestionError
from autohpo.trial import TrialState


class Bisection(SearchStrategy):
    """Goes on from the best job so far: what it knows follows from the jobs."""

    step = 0.25

    def create_job(self):
        top = self.get_top_experiments(1)
        if not top:
            return self.helper_create_job(self._base_task_id, {"General/x": 0.5}, tags=["first"])
        n = len(self.get_created_jobs_ids())
        x = top[0].get_parameters()["General/x"] + self.step * 0.8**n * (-1) ** n
        return self.helper_create_job(
            parameter_override={"General/x": min(max(x, 0.0), 1.0)}, task_overrides={"n": n}, parent=top[0].id
        )


def test_a_strategy_creates_jobs_one_after_the_other_knowing_the_results():
    """Tags, parents and overrides are kept in the log."""
    made = ran(squared, Bisection, total_max_jobs=12)
    jobs = list(made.get_created_jobs_tasks().values())
    assert len(jobs) == 12
    assert jobs[0].tags == ["first"]
    assert jobs[1].parent == jobs[0].id
    assert jobs[3].task_overrides == {"n": 3}
    assert made.get_top_experiments(1)[0].trial.perf > 0.99
    result = made.get_optimizer().get_top_experiments(1)
    assert result == made.get_top_experiments(1)
    strategy = made.get_optimizer()
    assert isinstance(strategy, Bisection)
    assert strategy.get_created_jobs_ids() == made.get_created_jobs_ids()
    assert strategy.get_top_experiments_details(2) == made.get_top_experiments_details(2)
    assert strategy.get_objective_metric() == ("validation", "accuracy")
    assert strategy.get_random_seed() == made.get_random_seed() == 0


def test_a_strategy_goes_on_after_a_resume_with_the_jobs_that_there_were(tmp_path):
    """And another strategy is another run."""
    first = ran(squared, Bisection, total_max_jobs=3, store=tmp_path / "run.db")
    ids = list(first.get_created_jobs_ids())
    second = ran(squared, Bisection, total_max_jobs=6, store=tmp_path / "run.db")
    assert list(second.get_created_jobs_ids())[:3] == ids
    assert second.get_created_jobs_tasks()[ids[0]].tags == ["first"]
    whole = ran(squared, Bisection, total_max_jobs=6)
    assert list(whole.get_created_jobs_ids().values()) == list(second.get_created_jobs_ids().values())


def test_create_job_that_returns_none_ends_the_search():
    """When nothing runs any more."""

    class Two(SearchStrategy):
        def create_job(self):
            if len(self.get_created_jobs_ids()) >= 2:
                return None
            return self.helper_create_job(parameter_override=self.sample())

    made = ran(squared, Two, queue="local", num_concurrent_workers=3)
    assert len(made.get_created_jobs_ids()) == 2


def test_monitor_job_that_returns_false_ends_that_job_alone():
    """Here every job with a small x, whatever it has reported; the others go on to their end."""

    class Watching(RandomSearch):
        def monitor_job(self, job):
            return job.iterations() < 3 or job.get_parameters()["General/x"] > 0.5

    def f(hps, trial):
        for epoch in range(1, 10):
            time.sleep(0.05)
            if not trial.report(hps["General/x"], epoch):
                return

    made = ran(f, Watching, queue="local", num_concurrent_workers=2, total_max_jobs=6)
    for trial in made.get_optimizer().result:
        is_small = trial.hp["General/x"] <= 0.5
        assert trial.state is (TrialState.STOPPED if is_small else TrialState.COMPLETE)
        assert len(trial.reports) < 9 if is_small else len(trial.reports) == 9
    jobs = made.get_created_jobs_tasks().values()
    assert {job.get_status() for job in jobs} == {"stopped", "completed"}
    assert [job.is_aborted() for job in jobs] == [job.get_parameters()["General/x"] <= 0.5 for job in jobs]


def test_process_step_that_returns_false_ends_everything(tmp_path):
    """What runs is cancelled; start is called once before, and stop at the end."""
    calls = []

    class Short(OptimizerBOHB):
        def start(self):
            calls.append("start")

        def process_step(self):
            return super().process_step() and not any(job.iterations() > 2 for job in self.get_running_jobs())

        def stop(self):
            calls.append("stop")
            super().stop()

    made = controller(sleepy, Short, queue="local", num_concurrent_workers=2, max_iteration_per_job=100)
    made.start()
    assert made.wait(1.0)
    assert not made.is_running()
    assert calls[0] == "start"
    assert calls[-1] == "stop"


class OwnJob(Job):
    """A class of the user's for jobs."""


def test_the_class_the_names_and_the_parents_of_jobs_can_be_set():
    """The default name has all parameters, False is the name of the base job."""
    made = controller(squared, total_max_jobs=2)
    made.set_default_job_class(OwnJob)
    made.set_job_default_parent("parent-1", "my project")
    made.start()
    assert made.wait(1.0)
    job = made.get_top_experiments(1)[0]
    x = job.get_parameters()["General/x"]
    assert type(job) is OwnJob
    assert (job.parent, job.project) == ("parent-1", "my project")
    assert job.name == f"squared: General/x={x}"
    made.set_job_naming_scheme(lambda base, parameters: f"{base}-{sorted(parameters)}")
    assert job.name == "squared-['General/x']"
    made.set_job_naming_scheme(False)
    assert job.name == "squared"
    for wrong in (3, "name"):
        with pytest.raises(OptionError, match="naming_scheme: must be"):
            made.set_job_naming_scheme(wrong)
    with pytest.raises(OptionError, match="job_class: must be a subclass"):
        made.set_job_class(int)


def failing(parameters, **more):
    """A strategy whose first job is wrong."""

    class Wrong(SearchStrategy):
        def create_job(self):
            return self.helper_create_job(parameter_override=parameters, **more)

    return Wrong


@pytest.mark.parametrize(
    ("parameters", "more", "text"),
    [
        ({"General/x": 2.0}, {}, "parameter_override: must be a configuration of the space"),
        ({}, {}, "parameter_override: must be a configuration of the space"),
        ({"General/x": 0.5, "y": 1}, {}, "parameter_override: must be a configuration of the space"),
        ({"General/x": 0.5}, {"base_task_id": "another"}, "base_task_id: must be that of the controller"),
    ],
)
def test_a_job_that_cannot_be_is_a_typed_error_that_wait_raises(parameters, more, text):
    """And nothing hangs."""
    made = controller(squared, failing(parameters, **more), total_max_jobs=2)
    made.start()
    with pytest.raises((OptionError, AlgorithmError, SuggestionError), match=text):
        made.wait(1.0)


def test_parameters_with_one_value_may_be_left_out_of_a_job():
    """They are constants."""
    space = [RangeHP("General/x", 0.0, 1.0), FixedHP("epochs", 30), ChoiceHP("act", ["relu"])]
    made = ran(squared, failing({"General/x": 0.5, "act": "relu"}), space=space, total_max_jobs=1)
    assert made.get_top_experiments(1)[0].get_parameters() == {"General/x": 0.5, "epochs": 30, "act": "relu"}


def test_a_strategy_without_create_job_or_of_ours_with_one_is_an_error_at_build():
    """Both would do nothing."""

    class Empty(SearchStrategy):
        pass

    class Both(OptimizerBOHB):
        def create_job(self):
            return None

    with pytest.raises(OptionError, match=r"Empty must define create_job\(self\)"):
        controller(squared, Empty)
    with pytest.raises(OptionError, match="derive one with a create_job of its own from SearchStrategy"):
        controller(squared, Both)
    with pytest.raises(OptionError, match="etta: Bisection has no such option"):
        controller(squared, Bisection, etta=3)
    with pytest.raises(OptionError, match="has no controller"):
        Bisection().get_created_jobs_ids()


def test_an_own_optimizer_of_ours_is_an_algorithm_too(tmp_path):
    """A subclass of BaseHPOptimizer, registered or not."""

    class Middle(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return {"General/x": 0.5}

    ran(squared, Middle, total_max_jobs=2, store=tmp_path / "run.db")
    assert [trial.hp for trial in Result.load(tmp_path / "run.db")] == [{"General/x": 0.5}] * 2


def test_an_algorithm_with_a_loop_of_its_own_is_an_error_at_build():
    """As AutoGL's classes have one: no controller could drive it."""

    class Alone(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return {"General/x": 0.5}

        def optimize(self, trainer, dataset):
            return trainer, {}

    with pytest.raises(OptionError, match=r"Alone has an optimize\(\) of its own"):
        controller(squared, Alone)


@pytest.mark.parametrize("hook", ["start", "create_job", "monitor_job", "process_step", "stop"])
def test_a_hook_that_raises_is_a_typed_error_that_wait_raises(hook):
    """It names the hook; what stop raises is logged alone, as everything has ended."""

    def broken(self, *_):
        raise ZeroDivisionError("a bug")

    strategy = type("Broken", (SearchStrategy,), {"create_job": Bisection.create_job, "step": 0.25, hook: broken})
    made = controller(squared, strategy, total_max_jobs=3)
    made.start()
    if hook == "stop":
        assert made.wait(1.0)
        return
    with pytest.raises(AutoHPOError, match="a bug"):
        made.wait(1.0)
