"""A random search and a forest with expected improvement, in Nevergrad."""

# ruff: noqa: D101
import nevergrad as ng
from nevergrad.optimization.base import ConfiguredOptimizer, Optimizer
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, loss, pick


# begin random
class _Random(Optimizer):
    def __init__(self, parametrization, budget=None, num_workers=1, config=None):
        super().__init__(parametrization, budget=budget, num_workers=num_workers)

    def _internal_ask_candidate(self):
        return self.parametrization.sample()


class MyRandom(ConfiguredOptimizer):
    def __init__(self):
        super().__init__(_Random, locals())


# end
# begin model
class _Forest(Optimizer):
    def __init__(self, parametrization, budget=None, num_workers=1, config=None):
        super().__init__(parametrization, budget=budget, num_workers=num_workers)
        self.rows, self.losses = [], []

    def _internal_ask_candidate(self):
        rows = self._rng.normal(size=(N_CANDIDATES, self.dimension))
        i = pick(self.rows, self.losses, rows) if len(self.losses) >= N_INITIAL else 0
        return self.parametrization.spawn_child().set_standardized_data(rows[i])

    def _internal_tell_candidate(self, candidate, loss):
        self.rows.append(candidate.get_standardized_data(reference=self.parametrization))
        self.losses.append(loss)


class MyForest(ConfiguredOptimizer):
    def __init__(self):
        super().__init__(_Forest, locals())


# end
def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    width = ng.p.Scalar(lower=8, upper=128).set_integer_casting()
    space = ng.p.Instrumentation(lr=ng.p.Log(lower=1e-4, upper=1.0), width=width, act=ng.p.Choice(list(ACTS)))
    space.random_state.seed(seed)
    optimizer = (MyRandom if kind == "random" else MyForest)()(space, budget=N_TRIALS)
    found = []

    def objective(**hp):
        found.append(loss(**hp))
        return found[-1]

    optimizer.minimize(objective)
    return found
