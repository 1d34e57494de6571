"""Objectives that are command lines: programs in any language, whose output says how good a configuration is."""

from autohpo.commands.objective import CommandObjective

__all__ = ["CommandObjective"]
