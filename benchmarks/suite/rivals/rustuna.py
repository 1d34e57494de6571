"""Rustuna: TPE in Rust, by Optuna's authors."""

from __future__ import annotations

import rustuna

from suite.rivals import Setting
from suite.rivals.define_by_run import DefineByRun


class TPE(DefineByRun):
    """Tree-structured Parzen estimator."""

    def __init__(self, setting: Setting) -> None:
        sampler = rustuna.samplers.TPESampler(seed=setting.seed, **setting.options)
        super().__init__(rustuna.create_study(direction="maximize", sampler=sampler), setting.space)
