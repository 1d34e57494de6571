"""A random search and a forest with expected improvement, in Optuna."""

# ruff: noqa: D101, D102, F811
import math

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, loss, pick


# begin random
def draw(rng, distribution):
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(low, high + 1))
    return math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else rng.uniform(low, high)


class MyRandom(BaseSampler):
    def __init__(self, seed=None):
        self.rng = np.random.default_rng(seed)

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return draw(self.rng, param_distribution)


# end
# begin model
def draw(rng, distribution):
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(low, high + 1))
    return math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else rng.uniform(low, high)


def encode(space, params):
    row = []
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            row += [float(params[name] == choice) for choice in distribution.choices]
        elif isinstance(distribution, FloatDistribution) and distribution.log:
            row.append(math.log(params[name]))
        else:
            row.append(params[name])
    return row


class MyForest(BaseSampler):
    def __init__(self, seed=None):
        self.rng = np.random.default_rng(seed)
        self.intersection = IntersectionSearchSpace()

    def infer_relative_search_space(self, study, trial):
        return self.intersection.calculate(study)

    def sample_relative(self, study, trial, search_space):
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        done = [one for one in done if search_space.keys() <= one.params.keys()]
        if len(done) < N_INITIAL or not search_space:
            return {}
        found = [{name: draw(self.rng, d) for name, d in search_space.items()} for _ in range(N_CANDIDATES)]
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        rows = [encode(search_space, one.params) for one in done]
        losses = [sign * one.value for one in done]
        return found[pick(rows, losses, [encode(search_space, params) for params in found])]

    def sample_independent(self, study, trial, param_name, param_distribution):
        return draw(self.rng, param_distribution)


# end
def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = MyRandom(seed) if kind == "random" else MyForest(seed)
    study = optuna.create_study(sampler=sampler)

    def objective(trial):
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        return loss(lr, trial.suggest_int("width", 8, 128), trial.suggest_categorical("act", list(ACTS)))

    study.optimize(objective, n_trials=N_TRIALS)
    return [trial.value for trial in study.trials]
