"""The machine: cores, memory, GPUs, folders, and limits that the system or a container sets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autohpo.cli.health.findings import Finding, size_text

NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs", "glusterfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "davfs", "ocfs2"),
    }
)
"""File systems that several hosts may share: SQLite's write-ahead log needs memory that all of its users share."""

LEAST_FREE = 200 * 10**6
LEAST_FILES = 1024
GPU_SECONDS = 10.0  # that nvidia-smi may take
CGROUP = Path("/sys/fs/cgroup")


def cores() -> Iterator[Finding]:
    """Yield how many cores this process may use."""
    n = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else n
    text = f"{usable} of {n} may be used" if usable < n else f"{n}"
    quota = cpu_quota()
    if quota is not None and quota < usable:
        advice = f"with num_workers above {max(1, int(quota))} trials wait for each other"
        yield Finding("cores", f"{text}, but the container gives {quota:.3g} of them", "note", advice)
    else:
        yield Finding("cores", text)


def cpu_quota() -> float | None:
    """Return how many cores the control group gives; None where it sets no limit."""
    for name in _groups("cpu"):
        words = _text(name / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            return float(words[0]) / float(words[1])
        quota, period = _text(name / "cpu.cfs_quota_us"), _text(name / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            return int(quota) / int(period)
    return None


def memory() -> Iterator[Finding]:
    """Yield how much memory there is, and what the container gives."""
    total = free = 0
    for line in _text(Path("/proc/meminfo")).splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            n_bytes = int(rest.split()[0]) * 1024
            total, free = (n_bytes, free) if name == "MemTotal" else (total, n_bytes)
    if not total:
        yield Finding("memory", "its size is not known on this system", "note")
        return
    limit = memory_limit()
    text = f"{size_text(total)}, {size_text(free)} free"
    if limit is not None and limit < total:
        advice = "give memory_limit= so that a trial ends before the container is killed"
        yield Finding("memory", f"{text}; the container may use {size_text(limit)}", "note", advice)
    else:
        yield Finding("memory", text)


def memory_limit() -> int | None:
    """Return how many bytes the control group gives; None where it sets no limit."""
    for folder in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(folder / name).strip()
            if text.isdigit() and int(text) < 2**60:
                return int(text)
    return None


def gpus() -> Iterator[Finding]:
    """Yield the GPUs that NVIDIA's tool lists."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Finding("GPUs", "none (nvidia-smi is not installed)")
        return
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=GPU_SECONDS, check=False)
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not names:
        said = (done.stderr or done.stdout).strip().splitlines()
        yield Finding("GPUs", f"nvidia-smi says: {said[0] if said else 'nothing'}", "note")
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f"; CUDA_VISIBLE_DEVICES shows {visible or 'none'}"
    yield Finding("GPUs", f"{len(names)}: {'; '.join(names)}{shown}")


def temporary_files() -> Iterator[Finding]:
    """Yield whether the folder for temporary files can be used."""
    try:
        place = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile() as file:
            file.write(b"autohpo")
    except OSError as error:
        yield Finding("temporary files", f"none can be made: {error}", "problem", "set TMPDIR to a folder with room")
        return
    yield free_room("temporary files", place, "set TMPDIR to a folder with room")


def free_room(about: str, folder: Path, advice: str, least: int = LEAST_FREE) -> Finding:
    """Return how much room a folder has.

    Args:
        about: The subject of the finding.
        folder: The folder.
        advice: What to do where there is little.
        least: How many bytes are enough.
    """
    free = shutil.disk_usage(folder).free
    text = f"{folder} has {size_text(free)} free"
    return Finding(about, text) if free >= least else Finding(about, text, "problem", advice)


def open_files() -> Iterator[Finding]:
    """Yield how many files a process may have open."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = ["unlimited" if n == resource.RLIM_INFINITY else str(n) for n in (soft, hard)]
    text = f"{shown[0]} at once (may be raised to {shown[1]})"
    if 0 <= soft < LEAST_FILES:
        yield Finding("open files", text, "note", "each worker needs about ten: `ulimit -n 4096` before many workers")
    else:
        yield Finding("open files", text)


def file_system(about: str, folder: Path) -> Iterator[Finding]:
    """Yield of what kind the file system of a folder is: a store must lie on a disk of this host.

    Args:
        about: The subject of the finding.
        folder: The folder.
    """
    kind, mount = mount_of(folder.resolve())
    if not kind:
        yield Finding(about, "its kind is not known on this system", "note")
    elif kind in NETWORK:
        advice = "keep the store on a local disk: several hosts at once would damage it"
        yield Finding(about, f"{mount} is a network file system ({kind})", "problem", advice)
    else:
        yield Finding(about, f"{kind}, mounted at {mount}")


def mount_of(folder: Path) -> tuple[str, str]:
    """Return the kind of the file system that a folder lies in, and where that is mounted; empty where unknown."""
    found = ("", "")
    for line in _text(Path("/proc/self/mounts")).splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        mount = words[1].encode().decode("unicode_escape")  # a blank is \040 there
        inside = folder == Path(mount) or Path(mount) in folder.parents
        if inside and len(mount) >= len(found[1]):
            found = (words[2], mount)
    return found


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, the innermost first."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, names, path = [*line.split(":", 2), "", ""][:3]
        if names and controller not in names.split(","):
            continue
        base = CGROUP / controller if names else CGROUP
        folder = base / path.lstrip("/")
        while folder != base and base in folder.parents:
            yield folder
            folder = folder.parent
        yield base


def _text(path: Path) -> str:
    """Return the text of a file of the system; the empty string where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
