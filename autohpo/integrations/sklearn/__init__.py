"""scikit-learn: ``HPOSearchCV``, a search over the parameters of an estimator with cross-validation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.integrations.sklearn.distributions import DistributionHP
    from autohpo.integrations.sklearn.search_cv import HPOSearchCV

__all__ = ["DistributionHP", "HPOSearchCV"]

_HOME_OF = {"DistributionHP": "distributions", "HPOSearchCV": "search_cv"}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for: it needs scikit-learn, or scipy.stats."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
