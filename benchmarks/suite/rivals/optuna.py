"""Optuna: TPE (multivariate, as is its default from version 5 on), Gaussian process, CMA-ES."""

from __future__ import annotations

import importlib
from typing import Any

import optuna

from suite.rivals import Setting
from suite.rivals.define_by_run import DefineByRun


class _Optuna(DefineByRun):
    sampler: type[Any]

    def __init__(self, setting: Setting) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = self.sampler(seed=setting.seed, **setting.options)
        super().__init__(optuna.create_study(direction="maximize", sampler=sampler), setting.space)


class TPE(_Optuna):
    """Tree-structured Parzen estimator."""

    sampler = optuna.samplers.TPESampler


class GP(_Optuna):
    """Gaussian process; needs PyTorch.

    Raises:
        ImportError: PyTorch is not installed: the sampler would say so at the eleventh trial only.
    """

    sampler = optuna.samplers.GPSampler

    def __init__(self, setting: Setting) -> None:
        importlib.import_module("torch")
        super().__init__(setting)


class CMAES(_Optuna):
    """CMA-ES for numbers, and random values for choices."""

    sampler = optuna.samplers.CmaEsSampler
