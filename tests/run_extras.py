"""Run the tests that need large packages, each group in a virtual environment of its own, and say what became of each.

`make test-extras` runs all groups but autogl, `python tests/run_extras.py trackers torch` some. What cannot be
installed is named with the words of pip, and the tests that need it are skipped.
That is a failure only with ``--strict``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-extras"
PAGE = "tests/test_docs.py::test_the_code_of_a_page_runs"
TORCH = "torch==2.13.0"  # a plain "torch" would bring gigabytes of libraries for GPUs


@dataclass(frozen=True)
class Group:
    """Tests that share an environment.

    Attributes:
        extras: Extras of autohpo beside ``test``.
        requirements: Other packages, installed by the same command.
        tests: Files and folders, relative to the root.
        pages: Pages of the manual whose code runs, relative to the root.
        marker: Which of the tests run.
        environment: Variables of the test process.
        alone: What pip installs afterwards without its dependencies, where those cannot be met.
    """

    tests: tuple[str, ...]
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    marker: str = "extras"
    environment: dict[str, str] = field(default_factory=dict)
    alone: tuple[str, ...] = ()


AUTOGL = (  # of 2022: it asks for a hyperopt and a networkx of then, and imports many packages for little
    *("autogl==0.4.0", "nni==2.8", "networkx==3.1", "astor", "bayesian-optimization", "colorama", "deeprobust", "dill"),
    *("json-tricks", "lightgbm", "llvmlite", "netlsd", "numba", "ogb", "schema", "six", "tabulate", "typeguard"),
)

LOOPS = ("torch_loops", "lightning", "keras", "huggingface", "loop_examples")

GROUPS = {
    "engines": Group(("tests/execution",), extras=("dask", "ray", "slurm"), pages=("docs/clusters.md",)),
    "optuna_samplers": Group(("tests/integrations/test_optuna_conformance.py",), requirements=(TORCH,)),
    "trackers": Group(
        ("tests/integrations/trackers",),
        extras=("mlflow", "tensorboard", "wandb", "clearml"),
        pages=("docs/trackers.md",),
    ),
    "optuna": Group(
        ("tests/integrations/test_optuna_dashboard.py",), extras=("dashboard",), requirements=("matplotlib",)
    ),
    "hydra": Group(  # the plug-in is not installed, for it would ask an index for autohpo
        ("packages/autohpo-hydra/tests",),
        requirements=("hydra-core", "hydra-joblib-launcher"),
        environment={"PYTHONPATH": str(ROOT / "packages/autohpo-hydra")},
    ),
    "spaces": Group(
        ("tests/integrations/test_raytune.py", "tests/integrations/test_ax_objects.py"),
        extras=("raytune", "ax"),
        requirements=(TORCH,),
    ),
    "torch": Group(
        (
            *("tests/test_torch.py", "tests/integrations/pyg"),
            *(f"tests/integrations/test_{name}.py" for name in LOOPS),
        ),
        extras=("pyg", "lightning", "keras", "transformers"),
        requirements=(TORCH, "pytorch-lightning"),
        pages=("docs/pytorch.md", "docs/graph-learning.md", "docs/training-loops.md"),
        marker="torch",
        environment={"KERAS_BACKEND": "torch", "HF_HUB_OFFLINE": "1"},
    ),
    "boosting": Group(
        ("tests/integrations/test_boosting.py", "tests/integrations/test_loop_examples.py"),
        extras=("lightgbm", "catboost"),
        requirements=("xgboost-cpu",),  # a plain xgboost brings a library for GPUs
        pages=("docs/boosting.md",),
    ),
    "autogl": Group(
        ("tests/integrations/test_autogl_real.py",),
        requirements=(TORCH, "torch_geometric"),
        pages=("docs/autogl.md",),
        marker="autogl",
        environment={"AUTOGL_BACKEND": "pyg", "PYTHONPATH": str(ROOT / "tests/integrations/autogl_shim")},
        alone=AUTOGL,
    ),
}


@dataclass
class Report:
    """What became of a group.

    Attributes:
        name: The group.
        seconds: How long it took, the installation included.
        n_passed: How many tests passed.
        failed: The tests that failed.
        skipped: Why tests were skipped, and how many for each reason.
        missing: What could not be installed, and why.
        trouble: What kept the tests from running to their end.
    """

    name: str
    seconds: float = 0.0
    n_passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    missing: dict[str, str] = field(default_factory=dict)
    trouble: str = ""


def main() -> int:
    """Run groups and print a table; the exit code is that of failed tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all but autogl by default")
    parser.add_argument("--strict", action="store_true", help="fail where packages cannot be installed")
    given = parser.parse_args()
    unknown = sorted(set(given.groups) - set(GROUPS))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    reports = [run(name, GROUPS[name]) for name in given.groups or [n for n in GROUPS if n != "autogl"]]
    show(reports)
    is_bad = any(r.failed or r.trouble or (r.missing and given.strict) for r in reports)
    return int(is_bad)


def run(name: str, group: Group) -> Report:
    """Install what a group needs, and run its tests."""
    began = time.monotonic()
    report = Report(name)
    print(f"== {name}: installs {', '.join([own(*group.extras), *group.requirements, *group.alone])}", flush=True)
    python = HOME / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / name)], check=True)
    if prepare(python, group, report):
        result = HOME / f"{name}.xml"
        result.unlink(missing_ok=True)
        tests = [*group.tests, *(f"{PAGE}[{page}]" for page in group.pages)]
        command = [str(python), "-m", "pytest", "-q", "-m", group.marker, f"--junitxml={result}", *tests]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **group.environment}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        read(result, report)
        if code and not report.failed:
            report.trouble = f"pytest ended with code {code}"
    report.seconds = time.monotonic() - began
    return report


def own(*extras: str) -> str:
    """Return autohpo's requirement; pip takes a folder only once, so one requirement has all extras."""
    return f".[{','.join(['test', *extras])}]"


def prepare(python: Path, group: Group, report: Report) -> bool:
    """Install a group's packages, one by one where not all can be; return whether its tests can run."""
    if install(python, "-e", own(*group.extras), *group.requirements):
        why = install(python, "-e", own())
        if why:
            report.missing[own()], report.trouble = why, "nothing ran"
            return False
        got: list[str] = []
        for extra in group.extras:
            why = install(python, "-e", own(*got, extra), *group.requirements[:1])
            got += [] if why else [extra]
            report.missing |= {own(extra): why} if why else {}
        for one in group.requirements:
            why = install(python, one)
            report.missing |= {one: why} if why else {}
    why = install(python, "--no-deps", *group.alone) if group.alone else ""
    report.missing |= {" ".join(group.alone): why} if why else {}
    return True


def install(python: Path, *what: str) -> str:
    """Install packages by one command; return what pip found wrong, empty where nothing."""
    options = ("-q", "--disable-pip-version-check", "--no-compile")  # what is imported is compiled then
    command = [str(python), "-m", "pip", "install", *options, *what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") and "for help visit" not in line]
    return " ".join(errors[:2]) or (lines or ["pip said nothing"])[-1]


def read(path: Path, report: Report) -> None:
    """Count what stands in pytest's XML."""
    if not path.exists():
        return
    for case in ET.parse(path).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            report.skipped[skipped.get("message") or "no reason"] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            report.failed.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            report.n_passed += 1


def show(reports: list[Report]) -> None:
    """Print a line for each group, then what failed, why tests were skipped and what could not be installed."""
    print(f"\n{'group':<16}{'passed':>7}{'failed':>7}{'skipped':>8}{'seconds':>9}")
    for one in reports:
        counts = f"{one.n_passed:>7}{len(one.failed):>7}{one.skipped.total():>8}{one.seconds:>9.0f}"
        print(f"{one.name:<16}{counts}  {one.trouble}".rstrip())
        for name in one.failed:
            print(f"    failed {name}")
        for reason, n in one.skipped.items():
            print(f"    skipped {n}: {reason}")
        for what, why in one.missing.items():
            print(f"    not installed {what}: {why}")


if __name__ == "__main__":
    sys.exit(main())
