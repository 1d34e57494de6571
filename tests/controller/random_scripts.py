"""Random programs of a controller, run one by one in processes of their own: each ends, with typed errors alone.

A script is data (:func:`scripts` draws it): what the controller is made of, and the steps of one or two threads. A
server (:class:`Server`) forks a child for each script, so that a hang, or a thread or a process that is left, is that
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
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
WATCHDOG_SECONDS = 60.0
LEFT_SECONDS = 10.0
"""How long threads and processes may take to be gone after the end."""


# What a controller is made of, by name.


def quick(hps):
    """A job without reports."""
    return {"accuracy": hps["General/x"], "loss": 1.0 - hps["General/x"]}


def reporting(hps, trial):
    """A job of a few hundredths of a second, with reports."""
    for epoch in range(1, 4):
        time.sleep(0.004)
        if not trial.report({"accuracy": hps["General/x"], "loss": 1 / epoch}, epoch):
            return


def failing(hps, trial):
    """A job that fails three times out of five."""
    trial.report({"accuracy": 0.5}, 1)
    if hps["General/x"] > 0.4:
        raise RuntimeError("too large")


def steps(hps):
    """A generator, without an end."""
    while True:
        yield {"accuracy": hps["General/x"]}


def silent(hps):
    """A job that reports another metric."""
    return {"other": 1.0}


def endless(hps, trial):
    """A job that reports for minutes."""
    for epoch in range(1, 20_000):
        if not trial.report({"accuracy": hps["General/x"]}, epoch):
            return
        time.sleep(0.01)


def deaf(hps, trial):
    """A job that reports once, and then sleeps."""
    trial.report({"accuracy": hps["General/x"]}, 1)
    time.sleep(100)


class Trainer:
    """A trainer with AutoGL's contract."""

    def __init__(self, x=0.0):
        self.x = x

    def duplicate_from_hyper_parameter(self, hp, **_):
        """A trainer with other values."""
        return Trainer(hp["General/x"])

    def train(self, dataset):
        """Train for no time."""

    def get_valid_score(self, return_major=True):
        """The score, and that higher is better."""
        return self.x, True


PRINTS = "import json; [print(json.dumps(dict(epoch=e, accuracy={General/x}, n={General/n}))) for e in (1, 2, 3)]"
COMMAND = f'{sys.executable} -S -c "{PRINTS}"'
JOBS = {
    **{f.__name__: f for f in (quick, reporting, failing, steps, silent, endless, deaf)},
    "trainer": Trainer(),
    "command": COMMAND,
    "broken_command": f"{sys.executable} -S -c 'raise SystemExit(3)' {{General/x}}",
}
GARBAGE = {
    "minus": lambda: -1,
    "zero": lambda: 0,
    "half": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "huge_float": lambda: 1e308,
    "large": lambda: 1e12,
    "tiny": lambda: 5e-324,
    "huge_int": lambda: 10**400,
    "complex": lambda: 1 + 2j,
    "word": lambda: "x",
    "empty": lambda: "",
    "surrogate": lambda: "\ud800",
    "null": lambda: "a\0b",
    "braces": lambda: "{",
    "bytes": lambda: b"x",
    "none": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "list": list,
    "nested": lambda: [[1], {}],
    "dict": lambda: {"x": 1},
    "set": lambda: {1, 2},
    "object": object,
    "array": lambda: np.array([1.0, 2.0]),
    "numpy_nan": lambda: np.float64("nan"),
    "numpy_int": lambda: np.int64(2),
    "decimal": lambda: Decimal("NaN"),
    "fraction": lambda: Fraction(1, 2),
    "function": lambda: lambda *_: 1 / 0,
    "type": lambda: int,
    "latest": lambda: datetime.max,  # noqa: DTZ901
    "earliest": lambda: datetime.min,  # noqa: DTZ901
    "earliest_aware": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "past": lambda: datetime.now(timezone.utc) - timedelta(hours=1),
    "soon": lambda: datetime.now() + timedelta(seconds=0.2),  # noqa: DTZ005 - local time is what it may be
}
ARGUMENTS = (
    *("base_task_id", "hyper_parameters", "objective_metric_title", "objective_metric_series", "objective_metric_sign"),
    *("optimizer_class", "max_number_of_concurrent_tasks", "num_concurrent_workers", "execution_queue"),
    *("optimization_time_limit", "compute_time_limit", "auto_connect_task", "always_create_task", "spawn_project"),
    *("save_top_k_tasks_only", "store", "name", "seed", "dataset", "run_as_service", "total_max_jobs"),
    *("min_iteration_per_job", "max_iteration_per_job", "time_limit_per_job", "pool_period_min", "grace_seconds"),
    *(
        "memory_limit",
        "gpus",
        "retries",
        "patience",
        "warm_start",
        "fidelity",
        "eta",
        "mode",
        "num_workers",
        "nonsense",
    ),
    *("local_port", "progress", "ask_ahead", "max_consecutive_failures", "target", "min_improvement"),
)
ALGORITHMS = ("random", "tpe", "bohb", "asha", "grid", "sweep", "early", "broken")
CALLBACKS = ("none", "plain", "raises", "exits", "stops", "waits", "starts", "limits", "reads", "slow")


def _strategies():
    from autohpo.controller import SearchStrategy

    class Sweep(SearchStrategy):
        """Eight values of x, and an end of jobs that come too far."""

        def create_job(self):
            n = len(self.get_created_jobs_ids())
            return self.helper_create_job(parameter_override={**self.sample(), "General/x": n / 8}) if n < 8 else None

        def monitor_job(self, job):
            return job.iterations() < 50

    class Early(Sweep):
        """Stops itself from one of its hooks."""

        def start(self):
            self.stop()

    class Broken(Sweep):
        """Raises in a hook."""

        def monitor_job(self, job):
            raise KeyError("broken")

    return {"sweep": Sweep, "early": Early, "broken": Broken}


# The steps.


def _minutes(c, verb, value):
    return getattr(c, verb)(value)


def _end_top(c):
    for job in c.get_top_experiments(2):
        job.abort()


STEPS = {
    "start": lambda c, s, v: c.start(s.callback(c)),
    "start_quietly": lambda c, s, v: c.start(),
    "start_with": lambda c, s, v: c.start(v),
    "start_locally": lambda c, s, v: c.start_locally(s.callback(c)),
    "wait": lambda c, s, v: c.wait(0.05 / 60),
    "wait_zero": lambda c, s, v: c.wait(0),
    "wait_alone": lambda c, s, v: c.wait(timeout=0.3 / 60, wait_for_reporter=False),
    "wait_with": lambda c, s, v: c.wait(v) if s.ends(v) else None,
    "stop": lambda c, s, v: c.stop(),
    "stop_zero": lambda c, s, v: c.stop(0),
    "stop_soon": lambda c, s, v: c.stop(timeout=1e-4, wait_for_reporter=False),
    "stop_with": lambda c, s, v: c.stop(v),
    "pause": lambda c, s, v: time.sleep(0.1),
    "work": lambda c, s, v: c.wait(2 / 60),
    "is_active": lambda c, s, v: c.is_active(),
    "is_running": lambda c, s, v: c.is_running(),
    "limit": lambda c, s, v: c.set_time_limit(in_minutes=0.2 / 60),
    "limit_with": lambda c, s, v: c.set_time_limit(in_minutes=v),
    "limit_at_with": lambda c, s, v: c.set_time_limit(specific_time=v),
    "limit_both": lambda c, s, v: c.set_time_limit(1.0, v),
    "no_limit": lambda c, s, v: c.set_time_limit(),
    "get_time_limit": lambda c, s, v: c.get_time_limit(),
    "reached_time_limit": lambda c, s, v: c.reached_time_limit(),
    "elapsed": lambda c, s, v: c.elapsed(),
    "report": lambda c, s, v: c.set_report_period(0.02 / 60),
    "report_with": lambda c, s, v: c.set_report_period(v),
    "top": lambda c, s, v: [(job.name, job.trial, repr(job)) for job in c.get_top_experiments(3)],
    "top_with": lambda c, s, v: c.get_top_experiments(v),
    "details": lambda c, s, v: c.get_top_experiments_details(3, True, True, False),
    "details_with": lambda c, s, v: c.get_top_experiments_details(v),
    "pairs": lambda c, s, v: c.get_top_experiments_id_metrics_pair(3, True, True),
    "pairs_with": lambda c, s, v: c.get_top_experiments_id_metrics_pair(v),
    "running": lambda c, s, v: [(j.elapsed(), j.get_status(), j.get_metrics()) for j in c.get_running_jobs()],
    "ids": lambda c, s, v: c.get_created_jobs_ids(),
    "tasks": lambda c, s, v: [(repr(j), j.get_last_scalar_metrics()) for j in c.get_created_jobs_tasks().values()],
    "active": lambda c, s, v: (c.get_active_experiments(), c.get_num_active_experiments()),
    "metric": lambda c, s, v: c.get_objective_metric(),
    "seed": lambda c, s, v: c.get_random_seed(),
    "set_seed": lambda c, s, v: c.set_random_seed(5),
    "set_seed_with": lambda c, s, v: c.set_random_seed(v),
    "scheme": lambda c, s, v: c.set_job_naming_scheme(lambda base, parameters: base),
    "scheme_with": lambda c, s, v: c.set_job_naming_scheme(v if not callable(v) else None),
    "parent": lambda c, s, v: c.set_job_default_parent("p", "q"),
    "parent_with": lambda c, s, v: c.set_job_default_parent(v),
    "class_with": lambda c, s, v: c.set_job_class(v),
    "default_class_with": lambda c, s, v: c.set_default_job_class(v),
    "class_that_raises": lambda c, s, v: c.set_job_class(s.raising_job()),
    "task_with": lambda c, s, v: c.set_optimizer_task(s.harmless(v)),
    "optimizer": lambda c, s, v: c.get_optimizer(),
    "args": lambda c, s, v: c.set_optimization_args(top_n_percent=20),
    "args_with": lambda c, s, v: c.set_optimization_args(**{s.bohb_argument: v}),
    "budget": lambda c, s, v: c.budget.to_dict(),
    "abort": lambda c, s, v: [job.abort() for job in c.get_running_jobs()],
    "abort_top": lambda c, s, v: _end_top(c),
    "stored": lambda c, s, v: type(c).get_optimizer_top_experiments(s.store or "nowhere.db", 2),
    "stored_with": lambda c, s, v: type(c).get_optimizer_top_experiments(s.harmless(v), 2),
    "again": lambda c, s, v: s.another().start() and None,
}
BOHB_ARGUMENTS = ("eta", "min_budget", "max_budget", "min_points_in_model", "top_n_percent", "num_samples")
BOHB_ARGUMENTS += ("random_fraction", "bandwidth_factor", "min_bandwidth")


def scripts():
    """The strategy of scripts: dicts of JSON types."""
    from hypothesis import strategies as st

    return st.builds(script_of, st.integers(0, 2**64 - 1))  # drawn part by part they would be too much alike


def script_of(number):
    """The script of a number."""
    rng = random.Random(number)
    one = rng.choice
    seconds = [None, None, None, 0.2, 0.6]
    begins = [["start"], ["start"], ["start", "pause"], ["start", "work"], ["start", "work"], []]

    def steps():
        names = [*one(begins), *rng.choices(sorted(STEPS), k=rng.randint(0, 10))]
        return [[name, one(sorted(GARBAGE))] for name in names]

    return {
        "number": number,
        "algorithm": one(ALGORITHMS),
        "job": one(["quick", "reporting", "command", "trainer", *sorted(JOBS)]),
        "callback": one(CALLBACKS),
        "has_store": one([False, True]),
        "workers": one([0, 1, 2, 3]),  # 0: in the driver's own process
        "total_max_jobs": one([1, 3, 6]),
        "has_iterations": one([False, True]),
        "search_seconds": one(seconds),
        "compute_seconds": one(seconds),
        "job_seconds": one(seconds),
        "top_k": one([None, None, 1]),
        "garbage": one([None, None, (one(ARGUMENTS), one(sorted(GARBAGE)))]),
        "bohb_argument": one(BOHB_ARGUMENTS),
        "threads": [steps() for _ in range(one([1, 1, 2]))],
        "is_left": one([False, False, True]),  # whether the program ends without a stop
    }


# A script at work, in a process of its own.


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
            "optimizer_class": _strategies().get(data["algorithm"], data["algorithm"]),
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
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import random_scripts; random_scripts.serve()"
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
