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
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Suggestion, Trial, TrialState
from autohpo.version import __version__

__all__ = [
    "AutoHPOError",
    "BaseHPOptimizer",
    "ChoiceHP",
    "EvaluationsError",
    "FirstTrialError",
    "FixedHP",
    "HPSpace",
    "InvalidPerfError",
    "LogRangeHP",
    "NoResultError",
    "NotReady",
    "OptimizationComplete",
    "OptionError",
    "RangeHP",
    "RegistryError",
    "SearchSpace",
    "SpaceError",
    "StoreError",
    "Suggestion",
    "Trial",
    "TrialState",
    "__version__",
    "available_hpos",
    "build_hpo_from_name",
    "register_hpo",
]

logging.getLogger("autohpo").addHandler(logging.NullHandler())
