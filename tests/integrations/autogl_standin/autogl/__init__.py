"""A stand-in for AutoGL: what our bridge touches of it, and what importing it does to a process."""

from . import module, solver

__all__ = ["module", "solver"]

print("The Zen of Python, by Tim Peters")
