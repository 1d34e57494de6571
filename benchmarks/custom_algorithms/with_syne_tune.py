"""A random search and a forest with expected improvement, in Syne Tune."""

# ruff: noqa: D101, D102
import logging

import numpy as np
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, loss, pick
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import PythonBackend
from syne_tune.config_space import choice, loguniform, randint
from syne_tune.optimizer.schedulers.searchers.single_objective_searcher import SingleObjectiveBaseSearcher
from syne_tune.optimizer.schedulers.searchers.utils.hp_ranges_factory import make_hyperparameter_ranges
from syne_tune.optimizer.schedulers.single_objective_scheduler import SingleObjectiveScheduler


# begin random
class MyRandom(SingleObjectiveBaseSearcher):
    def __init__(self, config_space, points_to_evaluate=None, random_seed=None):
        super().__init__(config_space, points_to_evaluate, random_seed)
        self.rng = np.random.RandomState(self.random_seed)

    def suggest(self):
        return {name: domain.sample(random_state=self.rng) for name, domain in self.config_space.items()}


# end
# begin model
class MyForest(SingleObjectiveBaseSearcher):
    def __init__(self, config_space, points_to_evaluate=None, random_seed=None):
        super().__init__(config_space, points_to_evaluate, random_seed)
        self.rng = np.random.RandomState(self.random_seed)
        self.ranges = make_hyperparameter_ranges(config_space)
        self.rows, self.losses = [], []

    def suggest(self):
        found = self.ranges.random_configs(self.rng, N_CANDIDATES)
        rows = self.ranges.to_ndarray_matrix(found)
        return found[pick(self.rows, self.losses, rows) if len(self.losses) >= N_INITIAL else 0]

    def on_trial_complete(self, trial_id, config, metric):
        self.rows.append(self.ranges.to_ndarray(config))
        self.losses.append(metric)


# end
def trial(lr, width, act):
    """A trial: a process of its own, which has this function alone."""
    import math

    from syne_tune import Reporter

    acts = {"relu": 0.0, "tanh": 0.6, "gelu": 0.2}
    Reporter()(loss=(math.log10(lr) + 2) ** 2 + ((width - 64) / 64) ** 2 + acts[act])


def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    logging.disable(logging.INFO)
    space = {"lr": loguniform(1e-4, 1.0), "width": randint(8, 128), "act": choice(list(ACTS))}
    searcher = (MyRandom if kind == "random" else MyForest)(space, random_seed=seed)
    scheduler = SingleObjectiveScheduler(space, metric="loss", do_minimize=True, searcher=searcher)
    tuner = Tuner(
        trial_backend=PythonBackend(tune_function=trial, config_space=space),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_finished=N_TRIALS),
        n_workers=1,
        sleep_time=0.1,
        print_update_interval=1e9,
    )
    tuner.run()
    kept = tuner.tuning_status.get_dataframe().sort_values("trial_id")
    return [loss(row.lr, row.width, row.act) for row in kept.itertuples()]
