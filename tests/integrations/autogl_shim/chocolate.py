"""The optimizer behind AutoGL's cmaes, mocmaes and quasi, which is no longer published under its name."""

from missing import missing

__getattr__ = missing(__name__)
