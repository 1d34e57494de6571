"""Optimizers under HpBandSter's names."""

from autohpo.integrations.hpbandster.optimizers.bohb import BOHB
from autohpo.integrations.hpbandster.optimizers.hyperband import HyperBand
from autohpo.integrations.hpbandster.optimizers.missing import H2BO, LCNet
from autohpo.integrations.hpbandster.optimizers.randomsearch import RandomSearch

__all__ = ["BOHB", "H2BO", "HyperBand", "LCNet", "RandomSearch"]
