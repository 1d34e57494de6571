"""Trackers: readers of the log that tell a tracking service of a search, in the driver and never in its way."""

from autohpo.tracking.contract import Change, TrackedRun, Tracker
from autohpo.tracking.following import track

__all__ = ["Change", "TrackedRun", "Tracker", "track"]
