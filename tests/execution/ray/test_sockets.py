"""Which sockets others can reach is read from what the kernel tells."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from autohpo.execution.ray.sockets import inodes_of, public_listeners, tree_of

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(address, port, state, inode):
    """A line of the kernel's table of TCP sockets."""
    words = [address[at : at + 4] for at in range(0, len(address), 4)]
    digits = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"   0: {digits}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0\n"


@pytest.fixture
def proc(tmp_path):
    """A process 7 that has every kind of socket open, and its child 8."""
    v4 = [("127.0.0.1", 1001, "0A"), ("0.0.0.0", 1002, "0A"), ("10.0.0.5", 1003, "0A"), ("0.0.0.0", 1004, "01")]
    v6 = [("::1", 1005, "0A"), ("::", 1006, "0A"), ("::ffff:127.0.0.1", 1007, "0A"), ("2001:db8::1", 1008, "0A")]
    (tmp_path / "net").mkdir()
    for name, family, rows in (("tcp", socket.AF_INET, v4), ("tcp6", socket.AF_INET6, v6)):
        lines = [line(socket.inet_pton(family, address), port, state, port) for address, port, state in rows]
        (tmp_path / "net" / name).write_text(HEAD + "".join(lines))
    for pid, parent, inodes in ((7, 1, range(1001, 1009)), (8, 7, [1006])):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} 0 0")
        for fd, inode in enumerate(inodes):
            (tmp_path / str(pid) / "fd" / str(fd)).symlink_to(f"socket:[{inode}]")
    return tmp_path


def test_only_sockets_that_others_can_connect_to_are_told(proc):
    """Those that listen on an address which is no loopback, in either notation."""
    found = [(7, "0.0.0.0:1002"), (7, "10.0.0.5:1003"), (7, "[::]:1006"), (7, "[2001:db8::1]:1008")]
    assert public_listeners([7], proc) == found
    assert public_listeners([8, 9], proc) == [(8, "[::]:1006")]


def test_a_process_is_found_with_its_descendants(proc):
    """But not its parent."""
    assert tree_of(7, proc) == [7, 8]
    assert tree_of(8, proc) == [8]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_socket_of_this_process_is_found():
    """On loopback it is nobody's concern."""
    before = inodes_of(os.getpid())
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        assert len(inodes_of(os.getpid()) - before) == 1
        port = one.getsockname()[1]
        assert not [where for _, where in public_listeners(tree_of(os.getpid())) if where.endswith(f":{port}")]
