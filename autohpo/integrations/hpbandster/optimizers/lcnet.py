"""LCNet under the path that it has in HpBandSter."""

from autohpo.integrations.hpbandster.optimizers.missing import LCNet

__all__ = ["LCNet"]
