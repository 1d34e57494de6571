"""A random search and a forest with expected improvement, in blackboxopt."""

# ruff: noqa: D101, D102, FBT003
import parameterspace as ps
from blackboxopt import EvaluationSpecification, Objective
from blackboxopt.base import SingleObjectiveOptimizer
from blackboxopt.optimization_loops.sequential import run_optimization_loop
from shared import ACTS, N_CANDIDATES, N_INITIAL, N_TRIALS, loss, pick


# begin random
class MyRandom(SingleObjectiveOptimizer):
    def generate_evaluation_specification(self):
        return EvaluationSpecification(configuration=self.search_space.sample())


# end
# begin model
class MyForest(SingleObjectiveOptimizer):
    def __init__(self, search_space, objective, seed=None):
        super().__init__(search_space, objective, seed)
        self.rows, self.losses = [], []

    def generate_evaluation_specification(self):
        found = [self.search_space.sample() for _ in range(N_CANDIDATES)]
        rows = [self.search_space.to_numerical(configuration) for configuration in found]
        i = pick(self.rows, self.losses, rows) if len(self.losses) >= N_INITIAL else 0
        return EvaluationSpecification(configuration=found[i])

    def report(self, evaluations):
        super().report(evaluations)
        for evaluation in [evaluations] if hasattr(evaluations, "objectives") else evaluations:
            value = evaluation.objectives[self.objective.name]
            if value is not None:
                self.rows.append(self.search_space.to_numerical(evaluation.configuration))
                self.losses.append(-value if self.objective.greater_is_better else value)


# end
def run(kind, seed):
    """The losses of a search, in the order of the trials."""
    space = ps.ParameterSpace()
    space.add(ps.ContinuousParameter("lr", (1e-4, 1.0), transformation="log"))
    space.add(ps.IntegerParameter("width", (8, 128)))
    space.add(ps.CategoricalParameter("act", list(ACTS)))
    optimizer = (MyRandom if kind == "random" else MyForest)(space, Objective("loss", False), seed=seed)
    done = run_optimization_loop(
        optimizer,
        lambda spec: spec.create_evaluation(objectives={"loss": loss(**spec.configuration)}),
        max_evaluations=N_TRIALS,
    )
    return [evaluation.objectives["loss"] for evaluation in done]
