"""Optimizers of HpBandSter that have no counterpart: they can be imported, and say what to take when they are made."""

from __future__ import annotations

from typing import Any

from autohpo.errors import OptionError

__all__ = ["H2BO", "LCNet"]


class _Missing:
    """An optimizer that cannot be made.

    Raises:
        OptionError: Always; the text says what to take.
    """

    _advice = ""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise OptionError(f"{type(self).__name__}: has no counterpart here; {self._advice}")


class H2BO(_Missing):
    """A variant of BOHB that drops small budgets once a model has larger ones; there is none here.

    Raises:
        OptionError: Always; the text says what to take.
    """

    _advice = "take BOHB, or autohpo's 'pasha' or 'hypertune', which shift the budget as the search goes on"


class LCNet(_Missing):
    """Hyperband with a neural network of learning curves; there is none here.

    Raises:
        OptionError: Always; the text says what to take.
    """

    _advice = "take BOHB, or autohpo's 'dyhpo' or 'gp_multi_fidelity', which model learning curves"
