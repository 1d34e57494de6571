"""Random programs of a controller at work, one by one: each ends, with typed errors alone.

A server (:class:`Server`) forks a child for each script, so that a hang, or a thread or a process that is left, is that
script's and nobody else's.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import gc
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from random_scripts import GARBAGE, JOBS, STEPS, strategies

HERE = Path(__file__).resolve().parent
WATCHDOG_SECONDS = 60.0
LEFT_SECONDS = 10.0
"""How long threads and processes may take to be gone after the end."""


class Script:
    """One script at work.

    Args:
        data: The script.
        folder: An empty folder.
    """

    def __init__(self, data, folder):
        self.data = data
        self.store = str(folder / "run.db") if data["has_store"] else None
        self.bohb_argument = data["bohb_argument"]
        self.faults, self.told, self.typed, self.others = [], [], [], []

    def make(self):
        """A controller."""
        from autohpo import HyperParameterOptimizer
        from autohpo.controller import UniformIntegerParameterRange, UniformParameterRange

        data = self.data
        space = [UniformParameterRange("General/x", 0.0, 1.0), UniformIntegerParameterRange("General/n", 1, 3)]
        is_local = data["workers"] > 0 or data["job"] == "deaf"  # which nobody could end in this process
        arguments = {
            "base_task_id": JOBS[data["job"]],
            "hyper_parameters": space,
            "objective_metric_title": "validation",
            "objective_metric_series": "accuracy",
            "objective_metric_sign": "max",
            "optimizer_class": strategies().get(data["algorithm"], data["algorithm"]),
            "execution_queue": "local" if is_local else "serial",
            "total_max_jobs": data["total_max_jobs"],
            "store": self.store,
            "seed": 0,
        }
        if is_local:
            arguments["max_number_of_concurrent_tasks"] = data["workers"] or 1
        minutes = {"optimization_time_limit": "search_seconds"}
        minutes |= {"compute_time_limit": "compute_seconds", "time_limit_per_job": "job_seconds"} if is_local else {}
        for name, key in minutes.items():
            if data[key] is not None:
                arguments[name] = data[key] / 60
        if data["has_iterations"] or data["algorithm"] in ("bohb", "asha") or data["job"] == "steps":
            arguments |= {"min_iteration_per_job": 1, "max_iteration_per_job": 3}
        if data["top_k"] is not None:
            arguments["save_top_k_tasks_only"] = data["top_k"]
        if data["garbage"] is not None:
            name, kind = data["garbage"]
            arguments[name] = self.harmless(GARBAGE[kind]()) if name == "store" else GARBAGE[kind]()
        return HyperParameterOptimizer(**arguments)

    def another(self):
        """One more controller, which is stopped in the end, too."""
        self.others.append(self.make())
        return self.others[-1]

    def harmless(self, value):
        """A value that names no file beside the script's own folder: it is the working directory."""
        return value

    @staticmethod
    def ends(value):
        """Whether a wait for so long comes to its end by itself, or is an error."""
        return value is not None and not (isinstance(value, (int, float)) and value > 1e-3 and value != float("inf"))

    def raising_job(self):
        """A class of jobs that cannot be made."""
        from autohpo.controller import Job

        class Raising(Job):
            def __init__(self, *_, **__):
                raise ZeroDivisionError("this class of jobs is broken")

        return Raising

    def callback(self, controller):
        """The callback of the script."""
        kind = self.data["callback"]
        if kind == "none":
            return None
        verbs = {
            "raises": lambda: 1 / 0,
            "exits": lambda: sys.exit(3),
            "stops": controller.stop,
            "waits": lambda: controller.wait(0.1 / 60),
            "starts": controller.start,
            "limits": lambda: controller.set_time_limit(0.05 / 60),
            "reads": lambda: (controller.get_top_experiments_details(2), controller.budget.to_dict()),
            "slow": lambda: time.sleep(0.05),
        }

        def called(job_id, value, iteration, parameters, top_id):
            types = (str, float, int, dict, str)
            if tuple(map(type, (job_id, value, iteration, parameters, top_id))) != types:
                self.faults.append(
                    ["callback", "no five scalars", repr((job_id, value, iteration, parameters, top_id))]
                )
            if job_id in self.told:
                self.faults.append(["callback", "twice", job_id])
            self.told.append(job_id)
            verbs.get(kind, list)()

        return called

    def run(self):
        """Do all of it, and return what is wrong."""
        from autohpo import AutoHPOError

        try:
            made = self.make()
        except AutoHPOError as error:
            self.typed.append(f"constructor: {error}")
            return self.faults
        except BaseException:
            self.faults.append(["constructor", self.data["garbage"], traceback.format_exc()])
            return self.faults
        threads = [threading.Thread(target=self._steps, args=(made, steps)) for steps in self.data["threads"]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not self.data["is_left"]:
            for other in self.others:
                self._steps(other, [["stop", "none"]])
            for _ in range(10):  # a callback may start it again
                self._steps(made, [["stop", "none"]])
                if not made.is_running():
                    break
            else:
                self.faults.append(["stop", "still runs", ""])
            limit = self.data["total_max_jobs"]
            if self.data["garbage"] is None and self.data["algorithm"] != "bohb":
                n = len(made.get_created_jobs_ids()) if "class_that_raises" not in str(self.data) else 0
                if n > limit and self.data["algorithm"] != "asha":
                    self.faults.append(["total_max_jobs", n, limit])
        return self.faults

    def _steps(self, made, steps):
        from autohpo import AutoHPOError

        for name, kind in steps:
            try:
                STEPS[name](made, self, GARBAGE[kind]())
            except AutoHPOError as error:
                self.typed.append(f"{name} {kind}: {type(error).__name__}: {error}")
            except ZeroDivisionError as error:
                if "class of jobs is broken" not in str(error):
                    self.faults.append([name, kind, traceback.format_exc()])
            except BaseException:
                self.faults.append([name, kind, traceback.format_exc()])


def _is_gone(get, seconds):
    """Whether nothing is left of what a function returns, after a while at most."""
    until = time.monotonic() + seconds
    while get() and time.monotonic() < until:
        time.sleep(0.02)
    return not get()


def _stacks():
    """What each thread does."""
    frames = sys._current_frames()
    parts = [f"{one}\n{''.join(traceback.format_stack(frames.get(one.ident)))}" for one in threading.enumerate()]
    return "\n".join(parts)


def _child(data, write, dump):
    """Run a script in this process, and end."""
    os.setsid()
    result = {"faults": [["process", "ended", "early"]], "typed": []}
    try:
        faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=dump)
        unraisable = []
        sys.unraisablehook = lambda one: unraisable.append(str(one.exc_value))
        threading.excepthook = lambda one: unraisable.append(f"{one.thread}: {one.exc_type}: {one.exc_value}")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            os.chdir(folder)
            script = Script(data, Path(folder))
            faults = script.run()
            ours = [threading.main_thread()]
            if not data["is_left"] and not _is_gone(lambda: [t for t in threading.enumerate() if t not in ours], 10.0):
                faults.append(["threads", "left", _stacks()])
            atexit._run_exitfuncs()
            if not _is_gone(lambda: [t for t in threading.enumerate() if not t.daemon and t not in ours], 10.0):
                faults.append(["threads", "left at exit", _stacks()])
            gc.collect()
            os.chdir("/")
        faults += [["unraisable", "", one] for one in unraisable]
        result = {"faults": faults, "typed": script.typed, "n_told": len(script.told)}
    except BaseException:
        result = {"faults": [["harness", "", traceback.format_exc()]], "typed": []}
    os.write(write, json.dumps(result, default=repr).encode())
    os._exit(0)


def _children():
    me, found = os.getpid(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == me and fields[0] != "Z":
                    found.append((int(entry.name), (entry / "cmdline").read_text().replace("\0", " ")))
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return found


def _one(data):
    """Run one script in a child; return its result."""
    read, write = os.pipe()
    with tempfile.TemporaryFile() as dump:
        pid = os.fork()
        if not pid:
            os.close(read)
            _child(data, write, dump)
        os.close(write)
        until, text = time.monotonic() + WATCHDOG_SECONDS + 5.0, b""
        while (left := until - time.monotonic()) > 0 and select.select([read], [], [], left)[0]:
            part = os.read(read, 1 << 20)
            if not part:
                break
            text += part
            if text.endswith(b"}"):
                with contextlib.suppress(ValueError):
                    json.loads(text)
                    break
        os.close(read)
        if not _is_gone(lambda: any(p == pid for p, _ in _children()), 2.0):
            os.kill(pid, signal.SIGKILL)
        result = json.loads(text) if text else {"faults": [], "typed": []}
        if not text:
            dump.seek(0)
            result["faults"].append(["hang", "", dump.read().decode(errors="replace")])
    if not _is_gone(_children, LEFT_SECONDS):
        left = _children()
        for orphan, _ in left:
            with contextlib.suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
        result["faults"].append(["processes", "left", str(left)])
        _is_gone(_children, 5.0)
    return result


def serve():
    """Run scripts from the standard input, one a line, and print what became of each."""
    import autohpo
    import autohpo.controller  # noqa: F401
    from autohpo.store import open_store  # noqa: F401

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
    logging.getLogger("autohpo").addHandler(logging.NullHandler())
    logging.getLogger("autohpo").propagate = False
    out = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    for line in sys.stdin:
        print(json.dumps(_one(json.loads(line))), file=out, flush=True)


class Server:
    """A process that runs scripts.

    Args:
        root: The root of the repository.
    """

    def __init__(self, root):
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import script_runs; script_runs.serve()"
        environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{HERE}"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, data):
        """Run a script, and return ``{"faults": [[what, how, text], ...], "typed": texts}``."""
        print(json.dumps(data), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)
