"""Optuna: its spaces, its storages, its samplers and pruners, in both directions; needs ``autohpo[optuna]``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.integrations.optuna.exporting import to_optuna_storage
    from autohpo.integrations.optuna.importing import from_optuna_storage
    from autohpo.integrations.optuna.pruner import Pruner
    from autohpo.integrations.optuna.sampler import Sampler
    from autohpo.integrations.optuna.serving import DashboardServer
    from autohpo.integrations.optuna.spaces import from_optuna, to_optuna
    from autohpo.integrations.optuna.view import StorageView, study

__all__ = [
    "DashboardServer",
    "Pruner",
    "Sampler",
    "StorageView",
    "from_optuna",
    "from_optuna_storage",
    "study",
    "to_optuna",
    "to_optuna_storage",
]

_HOME_OF = {
    "DashboardServer": "serving",
    "Pruner": "pruner",
    "Sampler": "sampler",
    "StorageView": "view",
    "from_optuna": "spaces",
    "from_optuna_storage": "importing",
    "study": "view",
    "to_optuna": "spaces",
    "to_optuna_storage": "exporting",
}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for: most of them need Optuna itself."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
