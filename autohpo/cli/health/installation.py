"""The installation: Python, the packages that are needed, those of the extras, plug-ins, and SQLite."""

from __future__ import annotations

import platform
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from autohpo.cli.health import machine
from autohpo.cli.health.findings import Check, Finding
from autohpo.version import __version__

LEAST_PYTHON = (3, 10)

EXTRAS = {
    "blackboxopt": "every algorithm behind blackboxopt's contract",
    "pandas": "results as data frames",
    "cmaes": "the algorithm cmaes",
    "configspace": "spaces of ConfigSpace",
    "optuna": "samplers and pruners of Optuna and for it, views of a run for it, export and import",
    "pareto": "the hypervolume of many objectives",
    "postgres": "stores in a PostgreSQL database",
    "limits": "memory limits of trials on macOS and Windows",
    "gpu": "limits of GPU memory",
    "dask": "workers of a dask cluster, on one machine or many",
    "remote": "checkpoints on storage that machines share, by URL",
    "ray": "workers of a Ray cluster, on one machine or many",
    "slurm": "workers that are jobs of SLURM",
    "dashboard": "Optuna's dashboard and plots over a run",
    "torch": "the helpers of a PyTorch training loop",
    "pyg": "trainers of PyTorch Geometric",
    "lightning": "a callback of Lightning",
    "keras": "a callback of Keras",
    "transformers": "a callback of Hugging Face's Trainer",
    "xgboost": "boosting with XGBoost, stopped and continued",
    "lightgbm": "boosting with LightGBM, stopped and continued",
    "catboost": "boosting with CatBoost, stopped",
    "mlflow": "runs in MLflow",
    "tensorboard": "runs in TensorBoard",
    "wandb": "runs in Weights & Biases",
    "clearml": "runs in ClearML",
    "raytune": "spaces of Ray Tune",
    "ax": "spaces of Ax",
}
"""What each extra gives; those for work on autohpo itself are left out."""

OF_DEVELOPERS = ("test", "dev")


class Requirement(NamedTuple):
    """A package that is needed.

    Attributes:
        name: The name of the package.
        bounds: What its version must be: pairs of an operator and a version.
        extra: The extra that it is needed for; the empty string where it always is.
    """

    name: str
    bounds: tuple[tuple[str, str], ...]
    extra: str


def checks() -> list[Check]:
    """Return the checks of this installation and this machine."""
    here = Path.cwd()
    return [
        ("Python", python),
        ("packages", packages),
        ("extras", extras),
        ("plug-ins", plug_ins),
        ("SQLite", sqlite),
        ("this folder", lambda: machine.file_system("this folder", here)),
        ("cores", machine.cores),
        ("memory", machine.memory),
        ("GPUs", machine.gpus),
        ("temporary files", machine.temporary_files),
        ("open files", machine.open_files),
    ]


def python() -> Iterator[Finding]:
    """Yield which Python runs which autohpo."""
    place = Path(__file__).parents[2]
    text = f"{platform.python_version()} ({platform.python_implementation()}) on {platform.platform()}"
    if sys.version_info < LEAST_PYTHON:
        yield Finding("Python", text, "problem", f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer")
    else:
        yield Finding("Python", f"{text}: {sys.executable}")
    yield Finding("autohpo", f"{__version__} in {place}")


def packages() -> Iterator[Finding]:
    """Yield the packages that autohpo cannot do without, with their versions."""
    needed = requirements()
    if needed is None:
        yield Finding("packages", "autohpo is not installed as a package, so what it needs is not known", "note")
        return
    for item in needed:
        if item.extra:
            continue
        has = version_of(item.name)
        wanted = ",".join(f"{sign}{bound}" for sign, bound in item.bounds)
        advice = f'pip install "{item.name}{wanted}"'
        if has is None:
            yield Finding("packages", f"{item.name} is missing", "problem", advice)
        elif not are_met(has, item.bounds):
            yield Finding("packages", f"{item.name} {has} is installed, and {wanted} is needed", "problem", advice)
        else:
            yield Finding("packages", f"{item.name} {has}")


def extras() -> Iterator[Finding]:
    """Yield which extras are there, and what the others would give."""
    needed = requirements() or []
    for extra in dict.fromkeys([*EXTRAS, *(item.extra for item in needed if item.extra not in ("", *OF_DEVELOPERS))]):
        gives = EXTRAS.get(extra, "")
        of_extra = [item for item in needed if item.extra == extra]
        if not of_extra:
            continue
        has = {item.name: version_of(item.name) for item in of_extra}
        wrong = [item.name for item in of_extra if not are_met(has[item.name] or "", item.bounds)]
        if wrong:
            verb = "is" if len(wrong) == 1 else "are"
            what = f"{', '.join(wrong)} {verb} missing or too old{f', for {gives}' if gives else ''}"
            yield Finding(f"extra {extra}", what, "note", f"pip install 'autohpo[{extra}]'")
        else:
            named = ", ".join(f"{name} {number}" for name, number in has.items())
            yield Finding(f"extra {extra}", f"{named}{f', for {gives}' if gives else ''}")


def requirements() -> list[Requirement] | None:
    """Return what autohpo needs here; None where it is not installed as a package."""
    try:
        lines = requires("autohpo")
    except PackageNotFoundError:
        return None
    return [item for item in map(requirement_of, lines or ()) if item is not None and item.name != "autohpo"]


def requirement_of(line: str) -> Requirement | None:
    """Return what a line of a package's metadata asks for; None where it is of other versions of Python or systems."""
    head, _, marker = line.partition(";")
    named = re.match(r"\s*([A-Za-z0-9._-]+)", head)
    if named is None:
        return None
    before = re.search(r"python_version\s*<\s*['\"]([\d.]+)", marker)
    if before is not None and sys.version_info[:2] >= tuple(map(int, before[1].split("."))):
        return None
    bounds = tuple(re.findall(r"(>=|<=|==|!=|~=|<|>)\s*([\w.]+)", head))
    extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", marker)
    return Requirement(named[1], bounds, "" if extra is None else extra[1])


def version_of(name: str) -> str | None:
    """Return the version of an installed package; None where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def are_met(has: str, bounds: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a version is within bounds; an empty one is not."""
    if not has:
        return False
    for sign, bound in bounds:
        mine, other = _numbers(has), _numbers(bound)
        if sign == "~=":
            if not (mine >= other and mine[: len(other) - 1] == other[:-1]):
                return False
            continue
        size = max(len(mine), len(other))
        mine, other = (numbers + (0,) * (size - len(numbers)) for numbers in (mine, other))
        found = {
            ">=": mine >= other,
            "<=": mine <= other,
            "==": mine == other,
            "!=": mine != other,
            "<": mine < other,
            ">": mine > other,
        }
        if not found[sign]:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with: 2.0.1rc1 is 2.0.1 here."""
    head = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", text)
    return () if head is None else tuple(map(int, head[1].split(".")))


def plug_ins() -> Iterator[Finding]:
    """Yield the algorithms that other packages bring along, and whether they load."""
    from importlib.metadata import entry_points

    from autohpo.algorithms.registry import GROUP, available_hpos, get_hpo
    from autohpo.errors import AutoHPOError

    points = list(entry_points(group=GROUP))
    if not points:
        yield Finding("plug-ins", "no other package brings algorithms along")
    known = available_hpos()
    for point in points:
        package = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
        try:
            cls = get_hpo(point.name) if point.name in known else None
        except AutoHPOError as error:
            advice = "fix or remove the package that has it; other algorithms are not harmed"
            yield Finding("plug-ins", f"{point.name}{package} does not load: {error}", "problem", advice)
            continue
        if cls is None or f"{cls.__module__}:{cls.__qualname__}" != point.value:
            advice = "give it another name"
            yield Finding("plug-ins", f"{point.name}{package} is ignored, as its name is taken", "problem", advice)
        else:
            yield Finding("plug-ins", f"{point.name}{package} loads")


def sqlite() -> Iterator[Finding]:
    """Yield whether SQLite keeps a write-ahead log in the current folder, as every store does."""
    text = f"{sqlite3.sqlite_version}"
    here = Path.cwd()
    try:
        folder = tempfile.TemporaryDirectory(prefix=".autohpo-doctor-", dir=here)
    except OSError as error:
        advice = "a store needs a folder that can be written"
        yield Finding("SQLite", f"{text}; {here} cannot be written ({error.strerror or error})", "note", advice)
        return
    with folder as place:
        db = sqlite3.connect(str(Path(place) / "probe.db"))
        try:
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            db.execute("CREATE TABLE probe (x)")
            db.execute("INSERT INTO probe VALUES (1)")
            db.commit()
        except sqlite3.Error as error:
            advice = "keep stores on a local disk"
            yield Finding("SQLite", f"{text} cannot write a store in {here}: {error}", "problem", advice)
            return
        finally:
            db.close()
    if mode == "wal":
        yield Finding("SQLite", f"{text}; stores can be kept in {here}")
    else:
        yield Finding("SQLite", f"{text} keeps no write-ahead log in {here} (it says {mode})", "problem")
