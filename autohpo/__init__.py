"""autohpo finds good hyper-parameters for training that is expensive to run."""

import logging

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import available_hpos, build_hpo_from_name, register_hpo
from autohpo.errors import (
    AutoHPOError,
    EvaluationsError,
    FirstTrialError,
    InvalidPerfError,
    NoResultError,
    NotReady,
    OptimizationComplete,
    OptionError,
    RegistryError,
    SpaceError,
    StoreError,
)
from autohpo.spaces import (
    Belief,
    BetaPrior,
    ChoiceHP,
    Cut,
    FixedHP,
    HPSpace,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    PermutationHP,
    Prior,
    RangeHP,
    SearchSpace,
    WeightedPrior,
)
from autohpo.trial import Suggestion, Trial, TrialState
from autohpo.version import __version__

__all__ = [
    "AutoHPOError",
    "BaseHPOptimizer",
    "Belief",
    "BetaPrior",
    "ChoiceHP",
    "Cut",
    "EvaluationsError",
    "FirstTrialError",
    "FixedHP",
    "HPSpace",
    "InvalidPerfError",
    "LinearConstraint",
    "ListHP",
    "LogRangeHP",
    "NoResultError",
    "NormalPrior",
    "NotReady",
    "OptimizationComplete",
    "OptionError",
    "OrdinalHP",
    "PermutationHP",
    "Prior",
    "RangeHP",
    "RegistryError",
    "SearchSpace",
    "SpaceError",
    "StoreError",
    "Suggestion",
    "Trial",
    "TrialState",
    "WeightedPrior",
    "__version__",
    "available_hpos",
    "build_hpo_from_name",
    "register_hpo",
]

logging.getLogger("autohpo").addHandler(logging.NullHandler())
