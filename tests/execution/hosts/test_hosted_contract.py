"""The executor of hosts keeps the contract of every executor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from thread_engine import ThreadEngine

from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.testing import executor_checks


def make():
    """Two hosts in threads of this process, each with a worker of its own."""
    return HostedExecutor(ThreadEngine(), 2)


@pytest.mark.parametrize("check", executor_checks(make), ids=str)
def test_an_executor_of_hosts_conforms(check):
    """Every rule, with our slots inside somebody else's tasks."""
    check()
