"""H2BO under the path that it has in HpBandSter."""

from autohpo.integrations.hpbandster.optimizers.missing import H2BO

__all__ = ["H2BO"]
