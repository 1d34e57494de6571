"""Programs for HpBandSter 0.7, run by autohpo: the same names and arguments, only the imports differ.

Modules have the paths that they have there: ``hpbandster.core.worker`` is
``autohpo.integrations.hpbandster.core.worker``. All names are here, too. There is no Pyro and no name server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.integrations.hpbandster.core.nameserver import NameServer, nic_name_to_host
    from autohpo.integrations.hpbandster.core.result import (
        Datum,
        LogExistsError,
        LogMissingError,
        Result,
        Run,
        extract_HBS_learning_curves,
        json_result_logger,
        logged_results_to_HBS_result,
    )
    from autohpo.integrations.hpbandster.core.worker import Worker
    from autohpo.integrations.hpbandster.importing import import_results, points_of
    from autohpo.integrations.hpbandster.optimizers import BOHB, H2BO, HyperBand, LCNet, RandomSearch
    from autohpo.integrations.hpbandster.rendezvous import NoRunError, NoWorkersError

__all__ = [
    "BOHB",
    "H2BO",
    "Datum",
    "HyperBand",
    "LCNet",
    "LogExistsError",
    "LogMissingError",
    "NameServer",
    "NoRunError",
    "NoWorkersError",
    "RandomSearch",
    "Result",
    "Run",
    "Worker",
    "extract_HBS_learning_curves",
    "import_results",
    "json_result_logger",
    "logged_results_to_HBS_result",
    "nic_name_to_host",
    "points_of",
]

_HOMES = {
    "core.nameserver": ("NameServer", "nic_name_to_host"),
    "core.result": (
        *("Datum", "LogExistsError", "LogMissingError", "Result", "Run", "extract_HBS_learning_curves"),
        *("json_result_logger", "logged_results_to_HBS_result"),
    ),
    "core.worker": ("Worker",),
    "importing": ("import_results", "points_of"),
    "optimizers": ("BOHB", "H2BO", "HyperBand", "LCNet", "RandomSearch"),
    "rendezvous": ("NoRunError", "NoWorkersError"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value
