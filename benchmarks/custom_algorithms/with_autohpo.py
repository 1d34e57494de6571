"""A random search and a forest with expected improvement, in autohpo."""

# ruff: noqa: D101
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, loss, pick

from autohpo import BaseHPOptimizer, ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name, register_hpo


# begin random
@register_hpo("my_random")
class MyRandom(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]


# end
# begin model
@register_hpo("my_forest")
class MyForest(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        done = [trial for trial in self.trials if trial.score is not None]
        found = self.space.sample(self.rng, N_CANDIDATES)
        if len(done) < N_INITIAL:
            return found[0]
        rows = self.space.encode([trial.hp for trial in done])
        return found[pick(rows, [-trial.score for trial in done], self.space.encode(found))]


# end
def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    space = [LogRangeHP("lr", 1e-4, 1.0), RangeHP("width", 8, 128), ChoiceHP("act", list(ACTS))]
    name = {"random": "my_random", "model": "my_forest"}[kind]
    hpo = build_hpo_from_name(name, space, lambda hps: loss(**hps), max_evals=N_TRIALS, seed=seed, mode="min")
    hpo.optimize(progress=False)
    return [trial.perf for trial in hpo.result]
