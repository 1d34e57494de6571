"""Define-by-run: objectives that ask a trial for their parameters, with Optuna's names and without Optuna.

``import autohpo.define_by_run as optuna`` runs a script under this library's loop, log, workers, limits and schedulers.
"""

from autohpo.define_by_run import distributions, exceptions, logging, pruners, samplers, study, trial
from autohpo.define_by_run.creating import create_study, load_study
from autohpo.define_by_run.exceptions import TrialPruned
from autohpo.define_by_run.study import Study
from autohpo.define_by_run.trial import FrozenTrial, Trial, TrialState

__all__ = [
    "FrozenTrial",
    "Study",
    "Trial",
    "TrialPruned",
    "TrialState",
    "create_study",
    "distributions",
    "exceptions",
    "load_study",
    "logging",
    "pruners",
    "samplers",
    "study",
    "trial",
]
