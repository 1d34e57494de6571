"""A solver that builds its optimizer, and calls it for each model, as AutoGL's do."""

import random
import time

from .module.hpo import HPO_DICT, BaseHPOptimizer


class Solver:
    """Tunes one trainer after the other."""

    def __init__(self, trainers, hpo_module="random", max_evals=50):
        self.trainers = trainers
        self.set_hpo_module(hpo_module, max_evals=max_evals)

    def set_hpo_module(self, hpo_module, *args, **kwargs):
        """Take an optimizer as it is, or build it by its name."""
        if isinstance(hpo_module, BaseHPOptimizer):
            self.hpo_module = hpo_module
        elif hpo_module in HPO_DICT:
            self.hpo_module = HPO_DICT[hpo_module](*args, **kwargs)
        else:
            raise KeyError(f"cannot find hpo module {hpo_module}.")
        return self

    def fit(self, dataset, time_limit=-1, seed=None):
        """Tune all, each in its share of the time that is left."""
        random.seed(seed)
        if time_limit < 0:
            time_limit = 3600 * 24
        began, self.trained = time.time(), []
        for index, trainer in enumerate(self.trainers):
            share = (time_limit - time.time() + began) / (len(self.trainers) - index)
            trained, _ = self.hpo_module.optimize(trainer=trainer, dataset=dataset, time_limit=share)
            self.trained.append(trained)
        return self
