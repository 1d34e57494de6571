"""BOHB with the arguments of blackboxopt's."""

from __future__ import annotations

import logging

import parameterspace as ps
from blackboxopt.base import Objective
from blackboxopt.evaluation import EvaluationSpecification

from autohpo.algorithms.parts.sampler import SamplerSpec
from autohpo.integrations.blackboxopt.optimizer import Optimizer, SingleObjectiveSearch, StoreArgument

__all__ = ["BOHB"]


class BOHB(SingleObjectiveSearch):
    """Hyperband's brackets, filled by a model of the results so far; the algorithm ``bohb`` of this package.

    Its arguments have the names, the order and the defaults of blackboxopt's BOHB, and it runs the same brackets. What
    it draws is another matter: `sampler` tells how.

    Args:
        search_space: The space.
        objective: The objective.
        min_fidelity: Least fidelity, above 0; the lowest rung is the least ``max_fidelity / eta^k`` that is not below.
        max_fidelity: The fidelity of a full evaluation.
        num_iterations: How many brackets are run before the optimization is complete.
        eta: Factor between the fidelities of two rungs; 1 / `eta` of the configurations go on.
        top_n_percent: Share of the results that counts as good, in percent from 1 to 99.
        min_samples_in_model: Least number of good and of bad results in a model; None is the number of searched columns
            plus 1, where blackboxopt takes three times the number of parameters and learns later.
        num_samples: Candidates of which the best is suggested.
        random_fraction: Chance that a new configuration is drawn from the prior.
        bandwidth_factor: Widens the kernels that candidates are drawn from.
        min_bandwidth: Floor of every kernel's bandwidth, in the unit cube.
        seed: A number for everything random, 0 or more; None draws one.
        logger: Hears of each specification at the level DEBUG; None is the logger "blackboxopt".
        sampler: Where new configurations come from: "kde", the two densities of the paper, is taken where one of the
            options about them is not its default. Else None is "auto", which finds more on all of our tasks.
        store: The path or URL of a store that keeps every event; see :class:`Optimizer`.

    Raises:
        SpaceError: The space cannot be expressed.
        OptionError: An argument breaks a rule.
        StoreError: The store cannot be used, or holds another run.

    Example:
        >>> space = ps.ParameterSpace()
        >>> _ = space.add(ps.ContinuousParameter("x", (-1.0, 1.0)))
        >>> optimizer = BOHB(space, Objective("loss", False), min_fidelity=1, max_fidelity=9, num_iterations=1, seed=0)
        >>> optimizer.generate_evaluation_specification().settings
        {'fidelity': 1}
    """

    def __init__(  # noqa: PLR0917 - the signature is blackboxopt's
        self,
        search_space: ps.ParameterSpace,
        objective: Objective,
        min_fidelity: float,
        max_fidelity: float,
        num_iterations: int,
        eta: float = 3.0,
        top_n_percent: int = 15,
        min_samples_in_model: int | None = None,
        num_samples: int = 64,
        random_fraction: float = 1 / 3,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float = 1e-3,
        seed: int | None = None,
        logger: logging.Logger | None = None,
        *,
        sampler: SamplerSpec | None = None,
        store: StoreArgument = None,
    ) -> None:
        self.min_fidelity, self.max_fidelity = min_fidelity, max_fidelity
        self.num_iterations, self.eta = num_iterations, eta
        self._logger_name = (logging.getLogger("blackboxopt") if logger is None else logger).name
        Optimizer.__init__(
            self,
            "bohb",
            search_space,
            objective,
            seed,
            store=store,
            min_fidelity=min_fidelity,
            max_fidelity=max_fidelity,
            num_iterations=num_iterations,
            eta=eta,
            top_n_percent=top_n_percent,
            min_samples_in_model=min_samples_in_model,
            num_samples=num_samples,
            random_fraction=random_fraction,
            bandwidth_factor=bandwidth_factor,
            min_bandwidth=min_bandwidth,
            sampler=sampler,
        )

    def generate_evaluation_specification(self) -> EvaluationSpecification:
        """Return the next configuration and the fidelity to evaluate it with.

        Raises:
            OptimizationComplete: All brackets were run.
            OptimizerNotReady: Everything left waits for reports.
        """
        made = super().generate_evaluation_specification()
        info = made.optimizer_info
        text = "trial %s of bracket %s, rung %s, fidelity %s: %s"
        facts = (
            info["number"],
            info.get("bracket"),
            info.get("rung"),
            made.settings["fidelity"],
            info.get("why", "new"),
        )
        self.logger.debug(text, *facts)
        return made

    @property
    def logger(self) -> logging.Logger:
        """The logger."""
        return logging.getLogger(self._logger_name)
