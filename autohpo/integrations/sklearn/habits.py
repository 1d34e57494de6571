"""Habits: arguments that other searches have, and what they are called here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from autohpo.errors import OptionError

F = TypeVar("F", bound=Callable[..., None])

_NAMES = {
    **dict.fromkeys(("param_grid", "param_distributions", "param_space", "search_spaces"), "space"),
    **dict.fromkeys(("n_iter", "n_candidates", "max_evals", "max_trials", "n_calls"), "n_trials"),
    **dict.fromkeys(("seed", "random_seed"), "random_state"),
    **dict.fromkeys(("timeout", "max_time"), "time_limit"),
    **dict.fromkeys(("options", "optimizer_kwargs"), "algorithm_options"),
    "resource": "fidelity",
    "min_resources": "min_fidelity",
    "max_resources": "max_fidelity",
    "factor": "algorithm_options={'eta': ...}",
}


def with_hints(init: F) -> F:
    """Return an ``__init__`` that says what an argument of other searches is called here.

    A parameter for any keyword would do, too, but scikit-learn reads the names of parameters from the signature, which
    this keeps.
    """

    @functools.wraps(init)
    def hinting(self: Any, *arguments: Any, **options: Any) -> None:
        for name in options:
            if name in _NAMES:
                raise OptionError(f"{name}: HPOSearchCV has no such argument; it is called {_NAMES[name]} here")
        init(self, *arguments, **options)

    return hinting  # type: ignore[return-value]
