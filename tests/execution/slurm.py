"""A stand-in for SLURM on one machine: sbatch, srun, sacct, squeue and scancel, whose jobs are processes of this user.

A job begins after the seconds in ``delay`` of its folder, and has a session of its own, so that it can be killed whole.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

PROGRAM = '''#!{python}
"""One program for all commands: its name says which one it is."""
import json, os, signal, subprocess, sys, time
from pathlib import Path

HOME = Path({home!r})
name, arguments = Path(sys.argv[0]).name, sys.argv[1:]


def state_of(job):
    if (HOME / f"{{job}}.cancelled").exists():
        return "CANCELLED"
    if (HOME / f"{{job}}.code").exists():
        return "COMPLETED" if (HOME / f"{{job}}.code").read_text() == "0" else "FAILED"
    if not (HOME / f"{{job}}.pid").exists():
        return "PENDING"
    pid = int((HOME / f"{{job}}.pid").read_text())
    return "RUNNING" if Path(f"/proc/{{pid}}").exists() else "NODE_FAIL"


def begin(job):
    delay = HOME / "delay"
    time.sleep(float(delay.read_text()) if delay.exists() else 0.0)
    if (HOME / f"{{job}}.cancelled").exists():
        return
    environment = {{**os.environ, "SLURM_JOB_ID": job, "SLURM_JOBID": job, "SLURM_JOB_NODELIST": "here",
                   "SLURM_NODELIST": "here", "SLURM_JOB_NUM_NODES": "1", "SLURM_NNODES": "1"}}
    with open(HOME / f"{{job}}.log", "wb") as log:
        running = subprocess.Popen(["bash", str(HOME / f"{{job}}.script")], start_new_session=True, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (HOME / f"{{job}}.new").write_text(str(running.pid))
        (HOME / f"{{job}}.new").rename(HOME / f"{{job}}.pid")
        code = running.wait()
    (HOME / f"{{job}}.code").write_text(str(code))


if arguments[:1] == ["start"]:
    begin(arguments[1])
elif name == "sbatch":
    script = [argument for argument in arguments if not argument.startswith("-")][-1]
    number = 1
    while True:
        try:
            os.close(os.open(HOME / f"{{number}}.job", os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            number += 1
    (HOME / f"{{number}}.script").write_bytes(Path(script).read_bytes())
    subprocess.Popen([sys.executable, __file__, "start", str(number)], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {{number}}")
elif name == "srun":
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if "=" not in option and option in ("--output", "--error"):
            arguments.pop(0)
    os.environ |= {{"SLURM_LOCALID": "0", "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS": "1"}}
    os.execvp(arguments[0], arguments)
elif name in ("sacct", "squeue"):
    wanted = [arguments[i + 1] for i, argument in enumerate(arguments) if argument == "-j"]
    print("JobID|State|NodeList")
    for job in wanted:
        print(f"{{job}}|{{state_of(job)}}|here")
elif name == "scancel":
    for job in [argument for argument in arguments if argument.isdigit()]:
        (HOME / f"{{job}}.cancelled").touch()
        if (HOME / f"{{job}}.pid").exists():
            try:
                os.killpg(int((HOME / f"{{job}}.pid").read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
'''


class Slurm:
    """The stand-in, with its commands in ``folder/bin``.

    Args:
        folder: A folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.bin = folder / "jobs", folder / "bin"
        self.home.mkdir(parents=True)
        self.bin.mkdir()
        program = self.bin / "sbatch"
        program.write_text(PROGRAM.format(python=sys.executable, home=str(self.home)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        for name in ("srun", "sacct", "squeue", "scancel"):
            (self.bin / name).symlink_to(program)

    def delay(self, seconds: float) -> None:
        """Let jobs wait in the queue."""
        (self.home / "delay").write_text(str(seconds))

    @property
    def jobs(self) -> list[int]:
        """The numbers of all jobs that were submitted."""
        return sorted(int(path.stem) for path in self.home.glob("*.job"))

    @property
    def running(self) -> dict[int, int]:
        """The process of each job that runs."""
        pids = {int(path.stem): int(path.read_text()) for path in self.home.glob("*.pid")}
        return {job: pid for job, pid in pids.items() if Path(f"/proc/{pid}").exists()}

    def kill(self, job: int) -> None:
        """End a job with all of its processes at once, as a machine that fails does."""
        with suppress(ProcessLookupError):
            os.killpg(self.running[job], signal.SIGKILL)

    def close(self) -> None:
        """End what is left, also jobs that have not begun."""
        for job in self.jobs:
            (self.home / f"{job}.cancelled").touch()
        until = time.monotonic() + 10
        while self.running and time.monotonic() < until:
            for job in [*self.running]:
                with suppress(KeyError):
                    self.kill(job)
            time.sleep(0.05)
