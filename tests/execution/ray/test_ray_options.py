"""What is wrong with what a user gives is said before anything runs."""

from __future__ import annotations

import contextlib
import socket
import sys
import types

import pytest
from fake_ray import FakeRay

from autohpo import OptionError, RangeHP, build_hpo_from_name
from autohpo.errors import MissingExtraError
from autohpo.execution.kinds import Shared, executor_of
from autohpo.execution.ray import cluster as cluster_module
from autohpo.execution.ray.cluster import Cluster
from autohpo.execution.ray.executor import RayExecutor
from autohpo.execution.ray.package import load_ray


def hpo():
    """A search that cannot start."""
    return build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=1)


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    """Before the search has begun."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'autohpo\[ray\]'"):
        hpo().optimize(executor="ray", num_workers=2)


@pytest.mark.parametrize("version", ["2.53.9", "1.13.0", None, "x"])
def test_a_ray_that_is_too_old_is_refused(version, monkeypatch):
    """Older ones let anybody in; a folder of that name is no Ray at all."""
    old = types.SimpleNamespace() if version is None else types.SimpleNamespace(__version__=version, __file__="here")
    monkeypatch.setitem(sys.modules, "ray", old)
    with pytest.raises(OptionError, match=r"Ray must be at least 2.54, got"):
        load_ray()


@pytest.mark.parametrize("version", ["2.54.0", "2.60.1", "3.0.0.dev0"])
def test_a_ray_that_is_new_enough_is_taken(version, monkeypatch):
    """Numbers are compared, not strings."""
    ray = types.SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert load_ray() is ray


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"address": ""}, "address: must be"),
        ({"address": 3}, "address: must be"),
        ({"n_slots": 0}, "n_slots: must be"),
        ({"cpus": 0}, "cpus: must be"),
        ({"gpus": 1.5}, "gpus: must be"),
        ({"memory": -1}, "memory: must be"),
        ({"actor_options": {"max_restarts": 3}}, "actor_options: must not have max_restarts"),
    ],
)
def test_a_wrong_argument_is_named(options, text):
    """Without Ray: nothing is imported for it."""
    with pytest.raises(OptionError, match=text):
        RayExecutor(**options)


def test_what_optimize_was_given_goes_to_the_executor(tmp_path):
    """Slots, limits, the folder of logs, and the address of a cluster."""
    one = executor_of("ray://head:10001", Shared(3, 5.0, 10**9, tmp_path))
    assert (one.n_slots, one._limits, one._log_folder) == (3, (5.0, 10**9), str(tmp_path))
    assert one._engine._address == "ray://head:10001"
    assert executor_of("ray", Shared(2))._engine._address is None


@pytest.fixture
def fake(monkeypatch):
    """A Ray that this process is not in."""
    ray = FakeRay()
    ray.is_up = False
    ray.init = lambda **options: ray.inits.append(options)
    ray.inits = []
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(cluster_module, "_loopback", contextlib.nullcontext)
    return ray


def test_an_address_where_nobody_listens_is_an_error_at_once(fake):
    """Ray would try for long."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
        with pytest.raises(OptionError, match=f"address: no Ray listens at '{address}'"):
            Cluster(address, 1, 0)
    assert not fake.inits


@pytest.mark.parametrize("address", ["head", "http://head:1", "head:port", ":1", "ray://head", "head:99999"])
def test_what_is_no_address_is_refused(address, fake):
    """With what there may be."""
    with pytest.raises(OptionError, match="address: "):
        Cluster(address, 1, 0)
    assert not fake.inits


def test_what_ray_says_of_a_cluster_is_passed_on(fake):
    """In one line, as an error of ours."""

    def init(**options):
        raise ConnectionError("Could not\nfind any running Ray instance.")

    fake.init = init
    with pytest.raises(OptionError, match=r"Ray at 'auto' cannot be used: .*Could not find any"):
        Cluster("auto", 1, 0)


def test_another_cluster_than_this_process_is_in_is_refused(fake):
    """A process is in one at most."""
    fake.is_up = True
    fake.get_runtime_context = lambda: types.SimpleNamespace(gcs_address="10.0.0.1:6379")
    for address in (None, "auto", "10.0.0.1:6379"):
        Cluster(address, 1, 0).close()
        assert fake.is_up, "what the user started is left alone"
    with pytest.raises(OptionError, match=r"in the Ray at 10.0.0.1:6379 already, got '10.0.0.2:6379'"):
        Cluster("10.0.0.2:6379", 1, 0)


def test_the_variable_of_ray_names_a_cluster(fake, monkeypatch):
    """As for every program of Ray, but not where a Ray of our own is asked for."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{one.getsockname()[1]}")
        Cluster(None, 1, 0).close()
        Cluster("local", 3, 0).close()
    assert [options["address"] for options in fake.inits] == ["auto", "local"]
    assert fake.inits[1]["num_cpus"] >= 3
    assert fake.inits[1]["include_dashboard"] is False


def test_a_ray_of_our_own_that_others_could_reach_is_ended_again(fake, monkeypatch):
    """Its ports let anybody run code who has its token."""
    calls = iter([[(1, "0.0.0.0:80")], [(1, "0.0.0.0:80"), (5, "[::]:1234")]])
    monkeypatch.setattr(cluster_module, "public_listeners", lambda pids: next(calls))
    with pytest.raises(Exception, match=r"open to other machines, at \[::\]:1234 \(process 5\); start Ray yourself"):
        Cluster("local", 1, 0)
    assert not fake.is_up


def test_a_cluster_says_what_it_has(fake):
    """For the warning that no worker comes."""
    fake.is_up = True
    assert Cluster(None, 1, 0).resources() == "the cluster has 2 CPU (0.5 free), 1.0 GiB memory (0.0 GiB free)"
