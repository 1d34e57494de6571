"""Backends: what runs trials."""

from autohpo.integrations.syne_tune.backend.local_backend import LocalBackend
from autohpo.integrations.syne_tune.backend.python_backend import PythonBackend

__all__ = ["LocalBackend", "PythonBackend"]
