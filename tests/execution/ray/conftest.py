"""What the tests with Ray share: one Ray for all of them, which nobody else can reach."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from namespace import can_have_one, loopback_only

TIME_BOX_SECONDS = 120  # an actor takes seconds to start where the machine is busy


@pytest.fixture(autouse=True)
def _time_box():
    """Ends a test that hangs."""

    def give_up(*_):
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TIME_BOX_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    """A home folder of the tests: Ray keeps its token there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
            patch.setenv(name, "")  # so that both are as they were in the end
            patch.delenv(name)
        yield


@pytest.fixture(scope="package")
def network():
    """No network but loopback, where this user may have that."""
    with loopback_only() if can_have_one else contextlib.nullcontext():
        yield


@pytest.fixture(scope="package")
def one_ray(home, network):
    """The module ``ray``, and a Ray that all tests share."""
    from autohpo.execution.ray.cluster import Cluster

    cluster = Cluster("local", 8, 0)
    yield cluster.ray
    cluster.close()
