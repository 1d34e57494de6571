"""autohpo finds good hyper-parameters for training that is expensive to run."""

import logging
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from autohpo.version import __version__

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer
    from autohpo.algorithms.parts.gp_searcher import GPMultiFidelitySearcher
    from autohpo.algorithms.parts.points import Point
    from autohpo.algorithms.registry import available_hpos, build_hpo_from_name, register_hpo
    from autohpo.commands import CommandObjective
    from autohpo.confirm import Confirm, Confirmed
    from autohpo.controller import HyperParameterOptimizer
    from autohpo.errors import (
        AutoHPOError,
        CheckpointError,
        CommandError,
        EvaluationsError,
        FailuresError,
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
    from autohpo.integrations.sklearn import HPOSearchCV
    from autohpo.result import Result
    from autohpo.search import Search
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
    from autohpo.store import open_store
    from autohpo.trial import Outcome, Suggestion, Trial, TrialState

__all__ = [
    "AutoHPOError",
    "BaseHPOptimizer",
    "Belief",
    "BetaPrior",
    "CheckpointError",
    "ChoiceHP",
    "CommandError",
    "CommandObjective",
    "Confirm",
    "Confirmed",
    "Cut",
    "EvaluationsError",
    "FailuresError",
    "FirstTrialError",
    "FixedHP",
    "GPMultiFidelitySearcher",
    "HPOSearchCV",
    "HPSpace",
    "HyperParameterOptimizer",
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
    "Outcome",
    "PermutationHP",
    "Point",
    "Prior",
    "RangeHP",
    "RegistryError",
    "Result",
    "Search",
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
    "open_store",
    "register_hpo",
]

_HOMES = {
    "algorithms.base": ("BaseHPOptimizer",),
    "algorithms.parts.gp_searcher": ("GPMultiFidelitySearcher",),
    "algorithms.parts.points": ("Point",),
    "algorithms.registry": ("available_hpos", "build_hpo_from_name", "register_hpo"),
    "commands": ("CommandObjective",),
    "confirm": ("Confirm", "Confirmed"),
    "controller": ("HyperParameterOptimizer",),
    "errors": (
        *("AutoHPOError", "CommandError", "EvaluationsError", "FailuresError", "FirstTrialError", "InvalidPerfError"),
        *("NoResultError", "NotReady", "OptimizationComplete", "OptionError", "RegistryError"),
        *("CheckpointError", "SpaceError", "StoreError"),
    ),
    "integrations.sklearn": ("HPOSearchCV",),
    "result": ("Result",),
    "search": ("Search",),
    "spaces": (
        *("Belief", "BetaPrior", "ChoiceHP", "Cut", "FixedHP", "HPSpace", "LinearConstraint", "ListHP", "LogRangeHP"),
        *("NormalPrior", "OrdinalHP", "PermutationHP", "Prior", "RangeHP", "SearchSpace", "WeightedPrior"),
    ),
    "store": ("open_store",),
    "trial": ("Outcome", "Suggestion", "Trial", "TrialState"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a public name, or a package such as ``autohpo.spaces``, when it is first asked for (PEP 562).

        Every worker imports this file, and needs neither a space nor an algorithm, nor numpy.
        """
        home = _HOME_OF.get(name)
        if home is not None:
            value = globals()[name] = getattr(import_module(f"autohpo.{home}"), name)
            return value
        if not name.startswith("_") and find_spec(f"autohpo.{name}") is not None:
            return import_module(f"autohpo.{name}")
        raise AttributeError(f"module 'autohpo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "algorithms", "spaces"})


logging.getLogger("autohpo").addHandler(logging.NullHandler())
