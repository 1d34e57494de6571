"""The base of AutoGL's optimizers, and what it does at import."""

import multiprocessing

multiprocessing.set_start_method("spawn", True)


class BaseHPOptimizer:
    """Only the constructor is of use."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def optimize(self, trainer, dataset, time_limit=None, memory_limit=None):
        """Every optimizer that works has one of its own."""
        raise NotImplementedError


class TimeTooLimitedError(Exception):
    """There was not even one trial."""
