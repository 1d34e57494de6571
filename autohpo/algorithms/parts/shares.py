"""Shares of a data set that an algorithm trains on: the check of such an option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autohpo.algorithms.parts.values import plain
from autohpo.errors import OptionError, shown


def checked_shares(shares: Any) -> list[float]:
    """Return the shares as plain floats.

    Raises:
        OptionError: They are no list of different numbers above 0 and below 1.
    """
    is_list = isinstance(shares, Sequence) or (isinstance(shares, np.ndarray) and shares.ndim == 1)
    found = [plain(share) for share in shares] if is_list else []
    if not found or not all(isinstance(share, (int, float)) and 0 < share < 1 for share in found):
        raise OptionError(f"shares: must be a list of different numbers above 0 and below 1, got {shown(shares)}")
    if len(set(found)) < len(found):
        raise OptionError(f"shares: must be different numbers, got {shown(shares)}")
    return [float(share) for share in found]
