"""AutoGL: its dict form of a search space, and our algorithms inside its solvers."""

from autohpo.integrations.autogl.register import register
from autohpo.integrations.autogl.spaces import FormulaCut, from_autogl, to_autogl

__all__ = ["FormulaCut", "from_autogl", "register", "to_autogl"]
