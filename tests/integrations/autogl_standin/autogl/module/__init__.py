"""The parts of a solver; only the tuning is here."""

from . import hpo

__all__ = ["hpo"]
