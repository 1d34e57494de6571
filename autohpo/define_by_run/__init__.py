"""Define-by-run: objectives that ask a trial for their parameters, with Optuna's names and without Optuna.

``import autohpo.define_by_run as optuna`` runs a script under this library's loop, log, workers, limits and schedulers.
"""

from typing import TYPE_CHECKING, Any

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

_PLOTS = "of Optuna take a view of a stored run: autohpo.integrations.optuna.study('run.db')"
_FILE = "a study is a file of its own, which storage= names"
_ELSEWHERE = {
    "visualization": f"the plots {_PLOTS}",
    "importance": f"the importances {_PLOTS}",
    "storages": "storage= takes a path, such as 'run.db', or a URL",
    "integration": "the callbacks of other libraries are modules of autohpo.integrations",
    "copy_study": f"{_FILE}: copy it",
    "delete_study": f"{_FILE}: remove it",
    "get_all_study_names": f"{_FILE}; `autohpo ls` lists those of a folder",
    "get_all_study_summaries": f"{_FILE}; `autohpo ls` lists those of a folder",
}
"""What Optuna has under a name, and where it is to be found here."""


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Say where that is which Optuna has under a name, and this module has not."""
        where = f"; {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{where}")
