"""Optuna itself, loaded when it is first needed."""

from __future__ import annotations

from typing import Any

from autohpo.errors import MissingExtraError


def load_optuna() -> Any:
    """Return the package ``optuna``.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error
    return optuna
