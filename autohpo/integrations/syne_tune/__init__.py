"""Programs for Syne Tune 0.13, run by autohpo: the same names and arguments, only the imports differ.

Every module has the path that it has there: ``syne_tune.optimizer.baselines`` is
``autohpo.integrations.syne_tune.optimizer.baselines``. The names of schedulers, backends and domains are here, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.integrations.syne_tune.backend import LocalBackend, PythonBackend
    from autohpo.integrations.syne_tune.experiments import load_experiment
    from autohpo.integrations.syne_tune.optimizer.baselines import (
        ASHA,
        BOHB,
        DEHB,
        KDE,
        MOBSTER,
        PASHA,
        REA,
        BayesianOptimization,
        DyHPO,
        GridSearch,
        HyperTune,
        RandomSearch,
        SyncBOHB,
        SyncHyperband,
        SyncMOBSTER,
    )
    from autohpo.integrations.syne_tune.optimizer.schedulers import (
        AskTellScheduler,
        FIFOScheduler,
        GeometricDifferentialEvolutionHyperbandScheduler,
        HyperbandScheduler,
        MedianStoppingRule,
        PopulationBasedTraining,
        SynchronousGeometricHyperbandScheduler,
    )
    from autohpo.integrations.syne_tune.report import Reporter
    from autohpo.integrations.syne_tune.stopping_criterion import StoppingCriterion
    from autohpo.integrations.syne_tune.tuner import Tuner

__all__ = [
    "ASHA",
    "BOHB",
    "DEHB",
    "KDE",
    "MOBSTER",
    "PASHA",
    "REA",
    "AskTellScheduler",
    "BayesianOptimization",
    "DyHPO",
    "FIFOScheduler",
    "GeometricDifferentialEvolutionHyperbandScheduler",
    "GridSearch",
    "HyperTune",
    "HyperbandScheduler",
    "LocalBackend",
    "MedianStoppingRule",
    "PopulationBasedTraining",
    "PythonBackend",
    "RandomSearch",
    "Reporter",
    "StoppingCriterion",
    "SyncBOHB",
    "SyncHyperband",
    "SyncMOBSTER",
    "SynchronousGeometricHyperbandScheduler",
    "Tuner",
    "load_experiment",
]

_HOMES = {
    "backend": ("LocalBackend", "PythonBackend"),
    "experiments": ("load_experiment",),
    "optimizer.baselines": (
        *("ASHA", "BOHB", "DEHB", "KDE", "MOBSTER", "PASHA", "REA", "BayesianOptimization", "DyHPO", "GridSearch"),
        *("HyperTune", "RandomSearch", "SyncBOHB", "SyncHyperband", "SyncMOBSTER"),
    ),
    "optimizer.schedulers": (
        *("AskTellScheduler", "FIFOScheduler", "GeometricDifferentialEvolutionHyperbandScheduler"),
        *("HyperbandScheduler", "MedianStoppingRule", "PopulationBasedTraining"),
        "SynchronousGeometricHyperbandScheduler",
    ),
    "report": ("Reporter",),
    "stopping_criterion": ("StoppingCriterion",),
    "tuner": ("Tuner",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for: a script that only reports needs neither numpy nor an algorithm."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value
