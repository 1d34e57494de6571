"""Adapters: one small class for each optimizer, with the settings its authors recommend.

Spaces are translated as a user of the library would: conditional parameters where it has them, else all parameters at
once; an ordinal as such, else as the place of its value, so that every rival knows the order.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.race import Optimizer
from suite.space import Space


@dataclass(frozen=True)
class Setting:
    """What an adapter is made for.

    Attributes:
        in_flight: How many asks may be open at once.
        options: Handed to the optimizer by name.
    """

    space: Space
    seed: int
    budget: int
    in_flight: int
    options: Mapping[str, Any]


RIVALS = {  # name: module, class, and the installed package that is named as the version
    "optuna-tpe": ("optuna", "TPE", "optuna"),
    "optuna-gp": ("optuna", "GP", "optuna"),
    "optuna-cmaes": ("optuna", "CMAES", "optuna"),
    "rustuna-tpe": ("rustuna", "TPE", "rustuna"),
    "hyperopt-tpe": ("hyperopt", "TPE", "hyperopt"),
    "hyperopt-anneal": ("hyperopt", "Anneal", "hyperopt"),
    "nevergrad-ngopt": ("nevergrad", "NGOpt", "nevergrad"),
    "cmaes-library": ("cmaes", "CatCMAWithMargin", "cmaes"),
    "smac3": ("smac", "HyperparameterFacade", "smac"),
    "smac3-blackbox": ("smac", "BlackBoxFacade", "smac"),
    "skopt-gp": ("skopt", "GP", "scikit-optimize"),
}


def make_optimizer(name: str, setting: Setting) -> Optimizer:
    """The adapter of a rival; any other name is that of an algorithm of autohpo.

    Raises:
        ImportError: The library is not installed.
    """
    if name in RIVALS:
        module, kind, _ = RIVALS[name]
        made: Optimizer = getattr(importlib.import_module(f"suite.rivals.{module}"), kind)(setting)
        return made
    from suite.rivals.ours import Ours

    return Ours(name, setting)


def version_of(name: str) -> str:
    """The library's installed version."""
    package = RIVALS[name][2] if name in RIVALS else "autohpo"
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:  # run from its folder
        return package
