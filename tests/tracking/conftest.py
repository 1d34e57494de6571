"""Trackers of the tests are told at once."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Let trackers be told, and told again, at once."""
    monkeypatch.setattr("autohpo.tracking.following.FLUSH_SECONDS", 0.02)
    monkeypatch.setattr("autohpo.tracking.follower.FLUSH_SECONDS", 0.02)
