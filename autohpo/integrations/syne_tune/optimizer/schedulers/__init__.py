"""Schedulers under Syne Tune's names."""

from autohpo.integrations.syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import FIFOScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.hyperband import HyperbandScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.median_stopping_rule import MedianStoppingRule
from autohpo.integrations.syne_tune.optimizer.schedulers.pbt import PopulationBasedTraining
from autohpo.integrations.syne_tune.optimizer.schedulers.synchronous import (
    GeometricDifferentialEvolutionHyperbandScheduler,
    SynchronousGeometricHyperbandScheduler,
)

# The names that Syne Tune 0.14 has for the schedulers of 0.13.
LegacyFIFOScheduler = FIFOScheduler
LegacyHyperbandScheduler = HyperbandScheduler
LegacyMedianStoppingRule = MedianStoppingRule

__all__ = [
    "AskTellScheduler",
    "FIFOScheduler",
    "GeometricDifferentialEvolutionHyperbandScheduler",
    "HyperbandScheduler",
    "LegacyFIFOScheduler",
    "LegacyHyperbandScheduler",
    "LegacyMedianStoppingRule",
    "MedianStoppingRule",
    "PopulationBasedTraining",
    "SynchronousGeometricHyperbandScheduler",
]
