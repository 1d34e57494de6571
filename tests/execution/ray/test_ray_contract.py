"""The executor of Ray keeps the contract of every executor."""

from __future__ import annotations

import pytest

from autohpo.execution.ray.executor import RayExecutor
from autohpo.testing import executor_checks

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("one_ray")]


def make():
    """Two slots in the Ray that this process is in."""
    return RayExecutor(n_slots=2)


@pytest.mark.parametrize("check", executor_checks(make, timeout_seconds=60), ids=str)
def test_an_executor_in_actors_conforms(check):
    """Every rule, with our slots inside actors."""
    check()
