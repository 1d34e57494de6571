"""A random search and a forest with expected improvement, in Ray Tune."""

# ruff: noqa: D101, D102
import logging
import math
import os
import pickle
import random
import tempfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import numpy as np
import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.search.sample import Categorical, LogUniform
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, pick


# begin random
class MyRandom(Searcher):
    def __init__(self, seed=None):
        super().__init__()
        self.rng, self.space = np.random.RandomState(seed), None

    def set_search_properties(self, metric, mode, config, **spec):
        self._metric, self._mode, self.space = metric, mode, config
        return True

    def suggest(self, trial_id):
        return {name: domain.sample(random_state=self.rng) for name, domain in self.space.items()}

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass

    def save(self, checkpoint_path):
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self.__dict__, file)

    def restore(self, checkpoint_path):
        with open(checkpoint_path, "rb") as file:
            self.__dict__.update(pickle.load(file))


# end
# begin model
def encode(space, config):
    row = []
    for name, domain in space.items():
        if isinstance(domain, Categorical):
            row += [float(config[name] == choice) for choice in domain.categories]
        elif isinstance(domain.get_sampler(), LogUniform):
            row.append(math.log(config[name]))
        else:
            row.append(config[name])
    return row


class MyForest(Searcher):
    def __init__(self, seed=None):
        super().__init__()
        self.rng, self.space = np.random.RandomState(seed), None
        self.running, self.rows, self.losses = {}, [], []

    def set_search_properties(self, metric, mode, config, **spec):
        self._metric, self._mode, self.space = metric, mode, config
        return True

    def draw(self):
        return {name: domain.sample(random_state=self.rng) for name, domain in self.space.items()}

    def suggest(self, trial_id):
        found = [self.draw() for _ in range(N_CANDIDATES)]
        rows = [encode(self.space, config) for config in found]
        i = pick(self.rows, self.losses, rows) if len(self.losses) >= N_INITIAL else 0
        self.running[trial_id] = rows[i]
        return found[i]

    def on_trial_complete(self, trial_id, result=None, error=False):
        row = self.running.pop(trial_id)
        if result and not error:
            self.rows.append(row)
            self.losses.append(result[self._metric] * (1 if self._mode == "min" else -1))

    def save(self, checkpoint_path):
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self.__dict__, file)

    def restore(self, checkpoint_path):
        with open(checkpoint_path, "rb") as file:
            self.__dict__.update(pickle.load(file))


# end
def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    random.seed(seed)
    if not ray.is_initialized():
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        ray.init(num_cpus=1, object_store_memory=80_000_000, _node_ip_address="127.0.0.1", **quiet)
    space = {"lr": tune.loguniform(1e-4, 1.0), "width": tune.randint(8, 129), "act": tune.choice(list(ACTS))}
    searcher = ConcurrencyLimiter(MyRandom(seed) if kind == "random" else MyForest(seed), 1)
    config = tune.TuneConfig(metric="loss", mode="min", num_samples=N_TRIALS, search_alg=searcher)
    config.reuse_actors = True
    place = tune.RunConfig(storage_path=tempfile.mkdtemp(), verbose=0)
    tuner = tune.Tuner(objective, param_space=space, tune_config=config, run_config=place)
    results = list(tuner.fit())
    return [result.metrics["loss"] for result in sorted(results, key=lambda r: r.metrics["timestamp"])]


def objective(config):
    """A trial: a process of Ray's, which has no `shared`."""
    acts = {"relu": 0.0, "tanh": 0.6, "gelu": 0.2}
    value = (math.log10(config["lr"]) + 2) ** 2 + ((config["width"] - 64) / 64) ** 2 + acts[config["act"]]
    tune.report({"loss": value})
