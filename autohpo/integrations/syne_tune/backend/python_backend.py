"""PythonBackend: a function of Python, called in the processes of the workers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.backend.local_backend import LocalBackend
from autohpo.integrations.syne_tune.evaluation import FunctionObjective, Reading

if TYPE_CHECKING:
    from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler

__all__ = ["PythonBackend"]


class PythonBackend(LocalBackend):
    """Calls a function for each trial, with the values of its configuration by name.

    The function reports through a :class:`Reporter`; it may use what stands around it, and ends at the report at which
    the search pauses or stops its trial. If it has an argument `st_checkpoint_dir`, it gets the folder of its
    checkpoints there.

    Args:
        tune_function: The function.
        config_space: The configuration space; the function takes all of its names.
        rotate_gpus: Whether each worker sees a GPU of its own.
        delete_checkpoints: Whether folders of checkpoints that nobody needs any more are removed during the search.

    Raises:
        OptionError: The function does not take some name of the space, or wants another argument.
    """

    def __init__(
        self,
        tune_function: Callable[..., Any],
        config_space: Mapping[str, Any],
        rotate_gpus: bool = True,
        delete_checkpoints: bool = False,
    ) -> None:
        super().__init__(__file__, delete_checkpoints=delete_checkpoints, rotate_gpus=rotate_gpus)
        if not callable(tune_function):
            raise OptionError(f"tune_function: must be a function, got {shown(tune_function)}")
        try:
            signature = inspect.signature(tune_function)
            wanted = dict.fromkeys(config_space)
            if "st_checkpoint_dir" in signature.parameters:
                wanted["st_checkpoint_dir"] = None
            signature.bind(**wanted)
        except TypeError as error:
            raise OptionError(f"tune_function: must take the names of config_space by name: {error}") from None
        self.tune_function, self.config_space = tune_function, config_space
        self.entry_point = Path(getattr(tune_function, "__name__", "function"))

    def objective(self, scheduler: TrialScheduler) -> Callable[..., Any]:
        """Return the objective of trials that a scheduler suggests."""
        reading = Reading(scheduler.metric, scheduler.resource_attr, scheduler.cost_attr)
        return FunctionObjective(self.tune_function, scheduler.config_of, reading)
