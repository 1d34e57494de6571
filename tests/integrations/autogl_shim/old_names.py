"""Names that numpy and pandas no longer have, and that AutoGL 0.4 and what it imports still use."""

import sys
import types

import numpy as np
import pandas as pd

module = types.ModuleType("numpy.lib.arraysetops")
module.isin = np.isin
sys.modules["numpy.lib.arraysetops"] = module

for old, new in (("Inf", "inf"), ("NaN", "nan"), ("float_", "float64"), ("product", "prod")):
    if old not in vars(np):
        setattr(np, old, getattr(np, new))


def append(self, other, ignore_index=False):
    """Return the table with rows more: what ``DataFrame.append`` was."""
    rows = pd.DataFrame([other]) if isinstance(other, (dict, pd.Series)) else other
    return pd.concat([self, rows], ignore_index=ignore_index)


if not hasattr(pd.DataFrame, "append"):
    pd.DataFrame.append = append
