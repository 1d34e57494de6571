"""What the tests of the command line share: a shell, and an empty folder for commands in this very process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import Shell


@pytest.fixture
def shell(tmp_path):
    """A shell in an empty folder."""
    made = Shell(tmp_path)
    yield made
    made.close()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, where commands run in this very process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
    monkeypatch.delitem(sys.modules, "__mp_main__")
    yield tmp_path
    sys.modules.pop("__mp_main__", None)
