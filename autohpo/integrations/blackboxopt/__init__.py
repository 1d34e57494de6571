"""Blackboxopt's contract: every registered algorithm behind its `Optimizer`; needs the extra ``autohpo[blackboxopt]``.

A program for blackboxopt keeps its loop, its search space and its evaluation function, and changes how the optimizer is
made. Importing this package raises :class:`autohpo.errors.MissingExtraError` where blackboxopt is not installed.
"""

from autohpo.errors import MissingExtraError

try:
    import blackboxopt  # noqa: F401
    import parameterspace  # noqa: F401
except ImportError as error:
    raise MissingExtraError("blackboxopt is not installed: pip install 'autohpo[blackboxopt]'") from error

from autohpo.integrations.blackboxopt.bohb import BOHB
from autohpo.integrations.blackboxopt.optimizer import (
    MultiObjectiveSearch,
    Optimizer,
    SingleObjectiveSearch,
    optimizer_class,
)
from autohpo.integrations.blackboxopt.spaces import from_parameterspace

__all__ = [
    "BOHB",
    "MultiObjectiveSearch",
    "Optimizer",
    "SingleObjectiveSearch",
    "from_parameterspace",
    "optimizer_class",
]
