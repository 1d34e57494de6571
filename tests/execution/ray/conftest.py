"""What the tests with Ray share: one Ray for all of them, which nobody else can reach."""

from __future__ import annotations

import contextlib
import secrets
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
def ray_environment(tmp_path_factory):
    """What Ray reads: a home of the tests, and a token, without which nobody may connect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ADDRESS", "")  # so that it is as it was in the end
        patch.delenv("RAY_ADDRESS")
        yield


@pytest.fixture(scope="package")
def network():
    """No network but loopback, where this user may have that."""
    with loopback_only() if can_have_one else contextlib.nullcontext():
        yield


@pytest.fixture(scope="package")
def ray_cluster(ray_environment, network):
    """A cluster that this process is in, to which machines can be added; None where others could reach it."""
    import ray

    if not can_have_one:
        yield None
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 8, "num_gpus": 2, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="package")
def one_ray(ray_cluster):
    """The module ``ray``, and a Ray that all tests share."""
    from autohpo.execution.ray.cluster import Cluster

    cluster = Cluster("local" if ray_cluster is None else None, 8, 0)
    yield cluster.ray
    cluster.close()
