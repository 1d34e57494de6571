"""Names of the arrays that algorithms and models hand to each other; those of the models."""

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray

__all__ = ["BoolArray", "FloatArray", "IntArray"]
