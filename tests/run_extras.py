"""Run the tests that need large packages, each group in a virtual environment of its own, and say what became of each.

`make test-extras` runs all groups, `python tests/run_extras.py trackers loops` some. A group whose packages cannot be
installed here is named with the installer's last line; it is a failure only with ``--strict``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-extras"
BASE = (".[test]",)
TORCH = "torch==2.13.0"  # a plain "torch" would bring gigabytes of libraries for GPUs


@dataclass(frozen=True)
class Group:
    """Tests that share an environment.

    Attributes:
        requirements: What pip installs beside the test extra, in one command.
        tests: Files and folders, relative to the root.
        marker: Which of their tests run.
        environment: Variables of the test process.
        alone: What pip installs afterwards without its dependencies, where those cannot be met.
    """

    requirements: tuple[str, ...]
    tests: tuple[str, ...]
    marker: str = "extras"
    environment: dict[str, str] = field(default_factory=dict)
    alone: tuple[str, ...] = ()


AUTOGL = (  # of 2022: it asks for a hyperopt and a networkx of then, and imports many packages for little
    *("autogl==0.4.0", "nni==2.8", "networkx==3.1", "astor", "bayesian-optimization", "colorama", "deeprobust", "dill"),
    *("json-tricks", "lightgbm", "llvmlite", "netlsd", "numba", "ogb", "schema", "six", "tabulate", "typeguard"),
)

LOOPS = ("torch_loops", "lightning", "keras", "huggingface", "loop_examples")

GROUPS = {
    "engines": Group((".[dask,ray,slurm]",), ("tests/execution", "tests/test_docs.py::test_the_code_of_a_page_runs")),
    "optuna_samplers": Group((TORCH, "cmaes>=0.10"), ("tests/integrations/test_optuna_conformance.py",)),
    "trackers": Group(
        (".[mlflow,tensorboard,wandb]", "clearml"),
        ("tests/integrations/trackers", "tests/test_docs.py::test_the_code_of_a_page_runs"),
    ),
    "optuna": Group((".[dashboard]", "matplotlib"), ("tests/integrations/test_optuna_dashboard.py",)),
    "hydra": Group(  # installed, it would ask an index for autohpo
        ("hydra-core", "hydra-joblib-launcher"),
        ("packages/autohpo-hydra/tests",),
        environment={"PYTHONPATH": str(ROOT / "packages/autohpo-hydra")},
    ),
    "spaces": Group(
        ("ray[tune]>=2.54", "ax-platform>=1.0", TORCH),
        ("tests/integrations/test_raytune.py", "tests/integrations/test_ax_objects.py"),
    ),
    "torch": Group(
        (TORCH, "torch_geometric", "lightning", "pytorch-lightning", "keras", "transformers", "accelerate"),
        (
            *("tests/test_torch.py", "tests/test_docs.py", "tests/integrations/pyg"),
            *(f"tests/integrations/test_{name}.py" for name in LOOPS),
        ),
        marker="torch",
        environment={"KERAS_BACKEND": "torch", "HF_HUB_OFFLINE": "1"},
    ),
    "boosting": Group(
        ("xgboost-cpu", "lightgbm", "catboost"),
        (
            *("tests/integrations/test_boosting.py", "tests/integrations/test_loop_examples.py"),
            "tests/test_docs.py::test_the_code_of_a_page_runs[docs/boosting.md]",
        ),
    ),
    "autogl": Group(
        (TORCH, "torch_geometric"),
        ("tests/integrations/test_autogl_real.py", "tests/test_docs.py"),
        marker="autogl",
        environment={"AUTOGL_BACKEND": "pyg", "PYTHONPATH": str(ROOT / "tests/integrations/autogl_shim")},
        alone=AUTOGL,
    ),
}


@dataclass
class Report:
    """What became of a group."""

    name: str
    seconds: float = 0.0
    n_passed: int = 0
    n_failed: int = 0
    skipped: list[str] = field(default_factory=list)
    trouble: str = ""


def main() -> int:
    """Run groups and print a table; the exit code is that of failed tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--strict", action="store_true", help="fail where packages cannot be installed")
    given = parser.parse_args()
    unknown = sorted(set(given.groups) - set(GROUPS))
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    reports = [run(name, GROUPS[name]) for name in given.groups or [n for n in GROUPS if n != "autogl"]]
    show(reports)
    is_bad = any(r.n_failed or (r.trouble and given.strict) for r in reports)
    return int(is_bad)


def run(name: str, group: Group) -> Report:
    """Install what a group needs, and run its tests."""
    began = time.monotonic()
    report = Report(name)
    print(f"== {name}: {', '.join(group.requirements) or 'nothing more'}", flush=True)
    python = HOME / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / name)], check=True)
    install = [str(python), "-m", "pip", "install", "-q", "-e", *BASE, *group.requirements]
    done = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    if group.alone and not done.returncode:
        install = [str(python), "-m", "pip", "install", "-q", "--no-deps", *group.alone]
        done = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        report.trouble = f"not installed: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
    else:
        result = HOME / f"{name}.xml"
        result.unlink(missing_ok=True)
        command = [str(python), "-m", "pytest", "-q", "-m", group.marker, f"--junitxml={result}", *group.tests]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **group.environment}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        read(result, report)
        if code and not report.n_failed:
            report.n_failed, report.trouble = 1, f"pytest ended with code {code}"
    report.seconds = time.monotonic() - began
    return report


def read(path: Path, report: Report) -> None:
    """Count what stands in pytest's XML."""
    if not path.exists():
        return
    for case in ET.parse(path).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            report.skipped.append(f"{case.get('name')}: {skipped.get('message')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            report.n_failed += 1
        else:
            report.n_passed += 1


def show(reports: list[Report]) -> None:
    """Print a line for each group, and why tests were skipped."""
    print(f"\n{'group':<12}{'passed':>7}{'failed':>7}{'skipped':>8}{'seconds':>9}")
    for one in reports:
        counts = f"{one.n_passed:>7}{one.n_failed:>7}{len(one.skipped):>8}{one.seconds:>9.0f}"
        print(f"{one.name:<12}{counts}  {one.trouble}".rstrip())
        for text in one.skipped:
            print(f"    skipped {text}")


if __name__ == "__main__":
    sys.exit(main())
