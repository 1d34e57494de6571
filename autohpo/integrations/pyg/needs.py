"""What the trainers need: torch and torch_geometric, loaded when something is trained."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autohpo.errors import MissingExtraError


def need(name: str) -> Any:
    """Return a module of torch or torch_geometric.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "torch_geometric"):
            raise
        raise MissingExtraError(f"{error.name} is not installed: pip install 'autohpo[pyg]'") from error
