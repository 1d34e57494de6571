"""Every limit acts for every kind of algorithm: each combination is seen to act."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, sleepy, stubborn

from autohpo import NoResultError
from autohpo.controller import SearchStrategy
from autohpo.trial import TrialState


class Draws(SearchStrategy):
    """A strategy of a user, without an end of its own."""

    def create_job(self):
        """A job at random."""
        return self.helper_create_job(parameter_override=self.sample())


GIVES_PARTS = {"bohb", "asha", "pbt"}
ALGORITHMS = ["random", "tpe", *sorted(GIVES_PARTS), Draws]
LONG = {"max_iteration_per_job": 5000}


@pytest.fixture(params=ALGORITHMS, ids=lambda one: one if isinstance(one, str) else one.__name__)
def algorithm(request):
    """One of each kind."""
    return request.param


def steps(hps, trial):
    """Writes down each iteration that it really trains, and goes on until it is ended."""
    trial.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    counter = trial.checkpoint_dir / "trained"
    epoch = len(counter.read_text()) if counter.exists() else 0
    while True:
        epoch += 1
        counter.write_text("x" * epoch)
        with (trial.checkpoint_dir.parent / "all").open("a") as total:
            total.write("x")
        if not trial.report({"accuracy": hps["General/x"]}, epoch):
            return


def ended(f, algorithm, **limits):
    """A controller with two workers whose search has ended by itself, and the error that it ended with, if any."""
    if algorithm in ("bohb", "asha"):
        limits.setdefault("min_iteration_per_job", 1)
    if algorithm == "pbt":
        limits.setdefault("population_size", 4)
    made = controller(f, algorithm, queue="local", num_concurrent_workers=2, **limits)
    made.start()
    error = ""
    try:
        assert made.wait(1.0)
    except NoResultError as caught:
        error = str(caught)
    finally:
        made.stop()
    assert not made.is_running()
    assert made.get_num_active_experiments() == 0
    return made, error


def trials(made):
    """All trials of a controller."""
    return [job.trial for job in made.get_created_jobs_tasks().values()]


def test_the_time_limit_of_the_search_acts(algorithm):
    """Jobs that would go on for minutes are ended, and no other ones begin."""
    made, _ = ended(sleepy, algorithm, optimization_time_limit=0.5 / 60, **LONG)
    assert made.reached_time_limit()
    assert 0.5 / 60 <= made.elapsed() < 0.5
    assert all(trial.reports[-1][0] < 2000 for trial in trials(made) if trial.reports)


def test_the_limit_of_compute_time_acts(algorithm):
    """It is the sum over jobs, whichever algorithm gives them; nothing else would end this search."""
    made, _ = ended(sleepy, algorithm, compute_time_limit=0.5 / 60, **LONG)
    used = made.budget.to_dict()["compute_time"]
    assert used["limit"] == 0.5 / 60 <= used["used"] < 0.5
    assert not made.reached_time_limit()


def test_the_time_limit_of_a_job_acts(algorithm):
    """A job that hangs is ended, and what it had reported is in the record."""
    made, error = ended(stubborn, algorithm, time_limit_per_job=0.4 / 60, total_max_jobs=1, max_iteration_per_job=3)
    killed = [trial for trial in trials(made) if trial.state is TrialState.TIMEOUT]
    assert "TIMEOUT" in error
    assert killed
    assert {trial.reports[-1] for trial in killed} == {(1, trial.hp["General/x"]) for trial in killed}


def test_the_limit_of_jobs_acts(algorithm, tmp_path):
    """So many jobs, or the iterations of so many full jobs; counted by the jobs themselves."""
    made, error = ended(steps, algorithm, total_max_jobs=3, max_iteration_per_job=9, store=tmp_path / "run.db")
    budget, n_trained = made.budget.to_dict(), trained(tmp_path)
    assert error == ""
    assert n_trained <= budget["iterations"]["used"] <= 27 == budget["iterations"]["limit"]
    if algorithm in GIVES_PARTS:
        assert n_trained > 9
    else:
        assert budget["jobs"] == {"limit": 3, "used": 3}
        assert n_trained == 27


def test_the_limit_of_iterations_of_a_job_acts(algorithm, tmp_path):
    """A job ends at exactly that report, though it would go on."""
    n = 8 if algorithm == "pbt" else 3  # a population shares them
    made, _ = ended(steps, algorithm, total_max_jobs=n, max_iteration_per_job=4, store=tmp_path / "run.db")
    last = [trial.reports[-1][0] for trial in trials(made) if trial.reports]
    assert max(last) == 4
    counts = [len(path.read_text()) for path in (tmp_path / "run.db.files").glob("**/trained")]
    assert max(counts) == 4


def trained(folder):
    """How many iterations all jobs have really trained."""
    return sum(len(path.read_text()) for path in (folder / "run.db.files").glob("**/all"))
