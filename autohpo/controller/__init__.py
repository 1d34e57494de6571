"""The controller: a search that is started, watched and stopped by methods named as in ClearML."""

from autohpo.controller.jobs import Job
from autohpo.controller.limits import Budget, Used
from autohpo.controller.metered import Metered
from autohpo.controller.optimizer import HyperParameterOptimizer
from autohpo.controller.strategy import GridSearch, OptimizerBOHB, OptimizerOptuna, RandomSearch, SearchStrategy
from autohpo.integrations.clearml import (
    DiscreteParameterRange,
    LogUniformParameterRange,
    ParameterSet,
    UniformIntegerParameterRange,
    UniformParameterRange,
)

__all__ = [
    "Budget",
    "DiscreteParameterRange",
    "GridSearch",
    "HyperParameterOptimizer",
    "Job",
    "LogUniformParameterRange",
    "Metered",
    "OptimizerBOHB",
    "OptimizerOptuna",
    "ParameterSet",
    "RandomSearch",
    "SearchStrategy",
    "UniformIntegerParameterRange",
    "UniformParameterRange",
    "Used",
]
