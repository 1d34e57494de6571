"""Dask workers of our own on this machine: one process with its children, which end with the process that started them.

``python -m autohpo.execution.dask.workers ADDRESS ...`` is ``dask worker ADDRESS ...``, until its standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from autohpo.execution.hosts.needs import Needs
from autohpo.execution.starting import start_process
from autohpo.folders import remove_folder, temporary_folder

__all__ = ["LocalWorkers", "main"]

LOOPBACK = "127.0.0.1"
"""Where a cluster of our own listens: whoever reaches a scheduler or worker of dask can run code there."""

CLOSE_SECONDS = 5.0  # for workers to close in order
_KEPT_CHARACTERS = 2000  # of their output, where they have failed


class LocalWorkers:
    """Workers of dask on this machine, each a process with one thread, for one host.

    With GPUs it is one process with a thread for each host: the devices of a process are shared out among its hosts.
    They are started as a program and not with ``multiprocessing``, which would run the user's script again in each.

    Args:
        address: The address of the scheduler.
        n_hosts: How many hosts there is to be room for.
        needs: What each host needs.
    """

    def __init__(self, address: str, n_hosts: int, needs: Needs) -> None:
        self._folder = temporary_folder()
        n_workers, n_threads = (1, n_hosts) if needs.gpus else (n_hosts, 1)
        command = [sys.executable, "-m", "autohpo.execution.dask.workers", address]
        command += ["--nworkers", str(n_workers), "--nthreads", str(n_threads), "--host", LOOPBACK]
        command += [
            "--no-dashboard",
            "--dashboard-address",
            f"{LOOPBACK}:0",
            "--memory-limit",
            "0",
            "--local-directory",
            str(self._folder),
        ]
        declared = resources_of(needs)
        if declared:
            every = (f"{name}={n_threads * amount:g}" for name, amount in declared.items())
            command += ["--resources", " ".join(every)]
        package = str(Path(__file__).parents[3])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(self._log, "wb") as log:
            self._process = start_process(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is the driver's to handle
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )

    @property
    def _log(self) -> Path:
        return self._folder / "workers.log"

    @property
    def failure(self) -> str:
        """Why there are no workers, as a clause; empty while their process runs."""
        status = self._process.poll()
        if status is None:
            return ""
        text = self._log.read_text(errors="replace")[-_KEPT_CHARACTERS:].strip() if self._log.exists() else ""
        return f"the process of its dask workers ended with status {status}: {text or 'it said nothing'}"

    def close(self) -> None:
        """End the workers; may be called twice."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_SECONDS)
            process.stdin.close()
            _kill_group(process.pid)
            process.wait()
        remove_folder(self._folder)


def resources_of(needs: Needs) -> dict[str, float]:
    """Return what a host needs as resources of dask, by the names that its manual uses."""
    amounts = {"CPU": needs.cpus, "GPU": needs.gpus, "MEMORY": needs.memory}
    return {name: amount for name, amount in amounts.items() if amount}


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all have ended in order
    except PermissionError:
        pass  # macOS says this of a group that has only zombies


def _end_with_driver() -> None:
    """End this process and its children as soon as standard input ends: the driver holds its other end."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run what ``dask worker`` runs."""
    if os.getpgrp() == os.getpid():  # else the group is somebody else's, too
        threading.Thread(target=_end_with_driver, daemon=True).start()
    from distributed.cli.dask_worker import main as dask_worker

    dask_worker()


if __name__ == "__main__":
    main()
