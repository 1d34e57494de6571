"""The sockets of processes that listen: where one can be reached from other machines, its port is open to them."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["inodes_of", "public_listeners", "tree_of"]

_LISTEN = "0A"


def public_listeners(pids: Iterable[int], proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Return process, and address with port, of each TCP socket of some processes that others can connect to.

    Args:
        pids: The processes.
        proc: Where the kernel tells of processes; without it nothing is found.
    """
    open_to_all = {inode: where for inode, where in _listening(proc) if not _is_loopback(where)}
    found = []
    for pid in pids:
        for inode in sorted(inodes_of(pid, proc) & open_to_all.keys()):
            address, port = open_to_all[inode]
            found.append((pid, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"))
    return found


def inodes_of(pid: int, proc: Path = Path("/proc")) -> set[str]:
    """Return the inodes of the sockets that a process has open; none where it is gone, or not ours."""
    found = set()
    try:
        for entry in os.scandir(proc / str(pid) / "fd"):
            target = str(Path(entry.path).readlink())
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        pass
    return found


def tree_of(root: int, proc: Path = Path("/proc")) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in proc.glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _listening(proc: Path) -> Iterable[tuple[str, tuple[str, int]]]:
    """Yield inode, and address and port, of each TCP socket that listens."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if len(parts) > 9 and parts[3] == _LISTEN:
                address, _, port = parts[1].partition(":")
                yield parts[9], (_address(address), int(port, 16))


def _address(digits: str) -> str:
    """The address that the kernel writes as words of 32 bits, each in the machine's order of bytes."""
    words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
    data = b"".join(words)
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def _is_loopback(where: tuple[str, int]) -> bool:
    address = ipaddress.ip_address(where[0])
    inner = getattr(address, "ipv4_mapped", None)
    return (inner or address).is_loopback
