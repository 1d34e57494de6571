"""Serving: a worker in a process of its own takes jobs as files, until its run is over."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.integrations.hpbandster.compute import Compute
from autohpo.integrations.hpbandster.rendezvous import Held, NoRunError, has_hub, leave, made_in
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task

if TYPE_CHECKING:
    from autohpo.integrations.hpbandster.core.worker import Worker

__all__ = ["CLAIM", "EXIT", "JOB_FILE", "LOCK", "NAME", "RESULT", "serve", "write_json"]

JOB_FILE, RESULT, EXIT, LOCK, CLAIM, NAME = "job.json", "result.json", "exit", "lock", "claim", "name"
NEW = "new-"
POLL_SECONDS = 0.01
LOOK_SECONDS = 0.2
GONE_SECONDS = 1.0  # without an optimizer or name server, after there was one


def serve(worker: Worker, patience: float) -> None:
    """Evaluate what the optimizer of a worker's run sends, until that ends or takes the worker back.

    Args:
        worker: The worker; where it has a timeout, it ends after so many idle seconds.
        patience: The seconds in which an optimizer or a name server must show up.

    Raises:
        NoRunError: None has.
        PathError: The folder for messages cannot be used.
    """
    fresh, held = made_in(worker.run_id, _made)
    box = fresh.with_name(fresh.name.removeprefix(NEW))
    try:
        (fresh / NAME).write_text(worker.worker_id, encoding="utf-8")
        (fresh / CLAIM).touch()
        fresh.rename(box)
        _serve(worker, box, patience)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(box, ignore_errors=True)
        held.close()
        leave(box.parent)


def _made(folder: Path) -> tuple[Path, Held]:
    """A new box under a name that nobody looks for, with its lock."""
    fresh = folder / f"{NEW}worker-{os.getpid()}-{secrets.token_hex(4)}"
    fresh.mkdir(mode=0o700)
    return fresh, Held(fresh / LOCK)


def _serve(worker: Worker, box: Path, patience: float) -> None:
    evaluators: dict[tuple[float, str], Evaluator] = {}
    last_seen, last_look, was_seen = time.monotonic(), 0.0, False
    idle_since = time.monotonic()
    while not (box / EXIT).exists():
        job = _taken(box)
        now = time.monotonic()
        if job is not None:
            write_json(box / RESULT, {"token": job["token"], "outcome": _outcome(worker, job, evaluators)})
            idle_since = last_seen = time.monotonic()
            continue
        if now - last_look > LOOK_SECONDS:
            last_look = now
            if has_hub(box.parent):
                last_seen, was_seen = now, True
        if was_seen and now - last_seen > GONE_SECONDS:
            return
        if not was_seen and now - last_seen > patience:
            rule = f"must be that of an optimizer or a name server that runs on this machine within {patience:g} s"
            raise NoRunError(f"run_id: {rule}, got {worker.run_id!s}")
        if worker.timeout is not None and was_seen and now - idle_since > worker.timeout:
            return
        time.sleep(POLL_SECONDS)


def _outcome(worker: Worker, job: dict[str, Any], evaluators: dict[tuple[float, str], Evaluator]) -> dict[str, Any]:
    """The outcome of a job, in JSON types."""
    key = job["budget"], job["working_directory"]
    if key not in evaluators:
        evaluators[key] = Evaluator(Objective.of(Compute((worker,), *key), mode="min"))
    task = Task(job["number"], job["attempt"], job["hp"], seed=job["seed"], fidelity=job["fidelity"])
    return evaluators[key].run(task, lambda *_: True).to_json()


def _taken(box: Path) -> dict[str, Any] | None:
    """The job in a box, which leaves it; None where there is none."""
    path = box / JOB_FILE
    try:
        job: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    path.unlink()
    return job


def write_json(path: Path, data: Any) -> None:
    """Write a file, whole or not at all.

    Args:
        path: The path.
        data: What is written, in JSON types.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(data), encoding="utf-8")
    partial.replace(path)
