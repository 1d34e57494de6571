"""Programs for HpBandSter, written as its first examples are: only their import lines are changed, and they run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

OURS = "autohpo.integrations.hpbandster"

WORKER = """
    import time
    import ConfigSpace as CS
    import numpy
    from hpbandster.core.worker import Worker


    class MyWorker(Worker):
        def __init__(self, *args, sleep_interval=0, **kwargs):
            super().__init__(*args, **kwargs)
            self.sleep_interval = sleep_interval

        def compute(self, config, budget, **kwargs):
            res = numpy.clip(config["x"] + numpy.random.randn() / budget, config["x"] / 2, 1.5 * config["x"])
            time.sleep(self.sleep_interval)
            return {"loss": float(res), "info": res}

        @staticmethod
        def get_configspace():
            config_space = CS.ConfigurationSpace()
            config_space.add(CS.UniformFloatHyperparameter("x", lower=0, upper=1))
            return config_space
"""

SEQUENTIAL = """
    import logging
    logging.basicConfig(level=logging.WARNING)
    import argparse

    import hpbandster.core.nameserver as hpns
    import hpbandster.core.result as hpres
    from hpbandster.optimizers import BOHB as BOHB
    from my_worker import MyWorker

    parser = argparse.ArgumentParser()
    parser.add_argument("--min_budget", type=float, default=9)
    parser.add_argument("--max_budget", type=float, default=243)
    parser.add_argument("--n_iterations", type=int, default=4)
    parser.add_argument("--n_workers", type=int, default=1)
    args = parser.parse_args()

    NS = hpns.NameServer(run_id="example1", host="127.0.0.1", port=None)
    NS.start()

    for i in range(args.n_workers):
        w = MyWorker(sleep_interval=0, nameserver="127.0.0.1", run_id="example1", id=i)
        w.run(background=True)

    bohb = BOHB(
        configspace=w.get_configspace(),
        run_id="example1", nameserver="127.0.0.1",
        min_budget=args.min_budget, max_budget=args.max_budget,
    )
    res = bohb.run(n_iterations=args.n_iterations, min_n_workers=args.n_workers)

    bohb.shutdown(shutdown_workers=True)
    NS.shutdown()

    id2config = res.get_id2config_mapping()
    incumbent = res.get_incumbent_id()
    all_runs = res.get_all_runs()

    print("Best found configuration:", id2config[incumbent]["config"])
    print("A total of %i unique configurations where sampled." % len(id2config.keys()))
    print("A total of %i runs where executed." % len(all_runs))
    total = sum([r.budget for r in all_runs]) / args.max_budget
    print("Total budget corresponds to %.1f full function evaluations." % total)
    seconds = all_runs[-1].time_stamps["finished"] - all_runs[0].time_stamps["started"]
    print("The run took  %.1f seconds to complete." % seconds)
"""

PROCESSES = """
    import argparse
    import os
    import hpbandster.core.nameserver as hpns
    from hpbandster.optimizers import BOHB as BOHB
    from my_worker import MyWorker

    class Where(MyWorker):
        def compute(self, config, budget, **kwargs):
            return {**super().compute(config, budget, **kwargs), "info": os.getpid()}

    parser = argparse.ArgumentParser()
    parser.add_argument("--n_workers", type=int, default=2)
    parser.add_argument("--worker", action="store_true")
    args = parser.parse_args()

    if args.worker:
        w = Where(sleep_interval=0.05, nameserver="127.0.0.1", run_id=os.environ["RUN"])
        w.run(background=False)
        exit(0)

    NS = hpns.NameServer(run_id=os.environ["RUN"], host="127.0.0.1", port=None)
    NS.start()
    bohb = BOHB(configspace=MyWorker.get_configspace(), run_id=os.environ["RUN"], min_budget=9, max_budget=81)
    res = bohb.run(n_iterations=2, min_n_workers=args.n_workers)
    bohb.shutdown(shutdown_workers=True)
    NS.shutdown()
    print(sorted({r.info for r in res.get_all_runs()}), len(res.get_all_runs()))
"""

CONTINUED = """
    import pickle
    import hpbandster.core.nameserver as hpns
    import hpbandster.core.result as hpres
    from hpbandster.optimizers import BOHB
    from my_worker import MyWorker

    host = hpns.nic_name_to_host("lo")

    def search(folder, previous):
        result_logger = hpres.json_result_logger(directory=folder, overwrite=False)
        NS = hpns.NameServer(run_id="example8", host=host, port=0, working_directory=folder)
        ns_host, ns_port = NS.start()
        w = MyWorker(run_id="example8", host=host, nameserver=ns_host, nameserver_port=ns_port, timeout=120)
        w.run(background=True)
        bohb = BOHB(
            configspace=MyWorker.get_configspace(), run_id="example8", host=host, nameserver=ns_host,
            nameserver_port=ns_port, result_logger=result_logger, min_budget=3, max_budget=9,
            previous_result=previous,
        )
        res = bohb.run(n_iterations=2)
        with open(folder + "/results.pkl", "wb") as fh:
            pickle.dump(res, fh)
        bohb.shutdown(shutdown_workers=True)
        NS.shutdown()
        return res

    search("first", None)
    res = search("second", hpres.logged_results_to_HBS_result("first"))
    again = pickle.load(open("second/results.pkl", "rb"))
    ids = [run.config_id for run in again.get_all_runs()]
    warm = [run for run in again.get_all_runs() if run.config_id[0] == -1]
    print(len(ids), len(warm), max(run.time_stamps["finished"] for run in warm))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the worker of the examples."""
    (tmp_path / "my_worker.py").write_text(changed(WORKER))
    return tmp_path


def changed(program):
    """A program with its import lines changed, and nothing else."""
    return re.sub(r"^( *(from|import) )hpbandster", rf"\1{OURS}", textwrap.dedent(program), flags=re.MULTILINE)


def started(folder, name, program, *arguments, env=None):
    """A program that runs, as a user would start it."""
    path = folder / name
    path.write_text(changed(program))
    command = [sys.executable, "-W", "error", str(path), *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def ran(program):
    """What a program printed, once it has ended without an error."""
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    return out


def test_the_worker_of_the_examples_is_there(folder):
    """Under its path: the first example imports it."""
    program = SEQUENTIAL.replace("from my_worker import MyWorker", "from hpbandster.examples.commons import MyWorker")
    assert "A total of 65 runs where executed." in ran(started(folder, "example.py", program))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_first_two_examples_run(folder, n_workers):
    """One worker, and two: the numbers are those that HpBandSter's brackets of 9 to 243 have."""
    out = ran(started(folder, "example.py", SEQUENTIAL, "--n_workers", str(n_workers)))
    assert "A total of 46 unique configurations where sampled." in out  # 27 + 9 + 6 + 4
    assert "A total of 65 runs where executed." in out  # 40 + 13 + 8 + 4
    assert "Total budget corresponds to 15.0 full function evaluations." in out
    best = float(re.search(r"configuration: {'x': ([-\d.e]+)}", out)[1])
    assert (
        0 <= best <= 0.9
    )  # above, the loss is at least .45: then 46 draws, and 4 of them in full at once, missed [0, .3]


def test_the_example_with_worker_processes_runs(folder, tmp_path):
    """The optimizer waits for two workers of other processes, both work, and both end with it."""
    env = {"PATH": "/usr/bin:/bin", "RUN": f"example3 {tmp_path}", "TMPDIR": str(tmp_path)}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "OMP"))}
    workers = [started(folder, "example.py", PROCESSES, "--worker", env=env) for _ in range(2)]
    out = ran(started(folder, "example.py", PROCESSES, env=env))
    assert [ran(worker) for worker in workers] == ["", ""]
    numbers = json.loads(out.split("] ")[0] + "]")
    assert sorted(numbers) == sorted(worker.pid for worker in workers)
    assert int(out.split("] ")[1]) == 17  # 9-3-1 and 3-1
    assert not list(tmp_path.glob("hpbandster-of-autohpo-*"))


def test_the_example_that_continues_a_run_runs(folder):
    """Logs of a first run warm-start a second one, and stand in its result before its begin."""
    out = ran(started(folder, "example.py", CONTINUED)).split()
    assert out == ["12", "6", "0.0"]
    lines = (folder / "second" / "results.json").read_text().splitlines()
    assert len(lines) == 6
    assert all(json.loads(line)[0][0] >= 0 for line in lines)
