"""A network namespace with loopback only: what listens there, nobody else can reach."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

can_have_one = sys.platform == "linux" and os.geteuid() == 0


@contextlib.contextmanager
def loopback_only():
    """Let this thread, and all threads and processes that it starts, have no network but a loopback of theirs."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)
