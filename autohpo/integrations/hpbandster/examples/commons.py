"""MyWorker: a toy problem with noise that shrinks as the budget grows."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from autohpo.errors import MissingExtraError
from autohpo.integrations.hpbandster.core.worker import Worker

__all__ = ["MyWorker"]


class MyWorker(Worker):
    """A worker whose loss is the parameter x with noise of standard deviation 1 / budget, from x / 2 to 3 x / 2.

    Args:
        sleep_interval: The seconds that an evaluation takes.
        *args: The arguments of :class:`Worker`.
        **kwargs: The arguments of :class:`Worker` by name.

    Example:
        >>> worker = MyWorker(sleep_interval=0, nameserver="127.0.0.1", run_id="example1")
        >>> 0.25 <= worker.compute(config={"x": 0.5}, budget=9.0)["loss"] <= 0.75
        True
    """

    def __init__(self, *args: Any, sleep_interval: float = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sleep_interval = sleep_interval

    def compute(  # type: ignore[override] # the arguments that it does not use are in kwargs
        self, config: dict[str, Any], budget: float, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the loss of a configuration, and the noise as its info.

        Args:
            config: The configuration, with x.
            budget: The budget.
            **kwargs: Not used.
        """
        x = config["x"]
        loss = float(np.clip(x + np.random.default_rng().normal(scale=1 / budget), x / 2, 3 * x / 2))
        time.sleep(self.sleep_interval)
        return {"loss": loss, "info": loss - x}

    @staticmethod
    def get_configspace() -> Any:
        """Return a ConfigurationSpace with one parameter, x from 0 to 1.

        Raises:
            MissingExtraError: ConfigSpace is not installed.
        """
        try:
            import ConfigSpace
        except ImportError as error:
            raise MissingExtraError("ConfigSpace is not installed: pip install 'autohpo[configspace]'") from error
        space = ConfigSpace.ConfigurationSpace()
        space.add(ConfigSpace.UniformFloatHyperparameter("x", lower=0, upper=1))
        return space
