"""Schedulers: who gets how much fidelity, and who is stopped."""

from autohpo.schedulers.base import Decision, Fork, Promote, Scheduler, Start

__all__ = ["Decision", "Fork", "Promote", "Scheduler", "Start"]
