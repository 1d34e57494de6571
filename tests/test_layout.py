"""The house: who imports whom, what an import loads, and what a wheel holds."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autohpo.algorithms.registry import _built_in_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autohpo"

LAYERS = (  # the table of DESIGN.md, from the bottom
    {"errors", "folders", "outputs", "forked", "other_names", "untrusted", "version"},
    {"spaces", "surrogates", "front", "outcome", "packed", "trial", "objectives"},
    {"history", "views", "algorithms", "schedulers"},
    {"store"},
    {
        "search",
        "search_log",
        "clients",
        "stored_run",
        "clock",
        "listener",
        "replay",
        "run_header",
        "made_with",
        "commands",
        "execution",
        "checkpoint_places",
        "mirrors",
        "shared_storage",
        "trial_handle",
        "objective",
        "odometer",
        "reported",
        "signatures",
        "trainer",
    },
    {
        *(
            "driver",
            "dispatch",
            "ending",
            "failures",
            "holding",
            "in_order",
            "interrupts",
            "judged",
            "runner",
            "run_options",
            "result",
        ),
        *("tables", "warmstart", "stopping", "progress", "suspended", "checkpoints", "confirm", "confirming"),
        *("result_text", "ranking", "arguments", "hypervolume", "quick", "control", "service"),
        *("cost_limit", "trial_files", "tracking"),
    },
    {"report", "integrations", "demo", "controller", "define_by_run"},
    {"cli", "__main__"},  # an application: it stands on everything
)
LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
ALONE = {
    "spaces",
    "surrogates",
    "report",
    "integrations",
    "demo",
    "controller",
    "define_by_run",
}  # import none of their own layer
EXCEPT = {
    ("demo", "report"),
    ("demo", ""),  # the demo is a user
    ("controller", "integrations"),  # it takes ClearML's parameters
}
UPWARD = {  # the steps up, each inside a function or for the type checker, with its reason beside it
    ("algorithms/interface.py", "runner"),
    ("algorithms/interface.py", "run_options"),
    ("algorithms/base.py", "result"),
}
CONCRETE = _built_in_names()


def room_of(path: Path) -> str:
    """The room a file belongs to; the empty text for the package's own __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports_of(path: Path) -> list[str]:
    """Dotted names below autohpo that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            names += [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name == "autohpo" or name.startswith("autohpo.")]


def violations(sources: dict[Path, list[str]]) -> list[str]:
    """A line for each import that the table does not allow."""
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")}
    found = []
    for path, names in sources.items():
        room, where = room_of(path), path.relative_to(PACKAGE).as_posix()
        for name in names:
            parts = name.split(".")
            target = parts[1] if len(parts) > 1 and parts[1] in rooms else ""
            if len(parts) == 2 and target == "" and room not in ("", "demo"):
                continue  # `from autohpo import Name`, judged by the plain `autohpo` beside it
            if target != room and (where, target) not in UPWARD and not may_import(room, target):
                found.append(f"{where} imports {name}")
            is_above = room in LAYER and LAYER[room] > LAYER["algorithms"] and room not in ("integrations", "demo")
            if is_above and target == "algorithms" and CONCRETE & set(parts):
                found.append(f"{where} imports the concrete {name}")
    return found


def may_import(room: str, target: str) -> bool:
    """Whether the table lets one package import another."""
    if room == "":  # autohpo/__init__.py, which loads what it names when it is asked for
        return target != "testing"
    if room == "testing":
        return target in LAYER and LAYER[target] < LAYER["report"]
    if (room, target) in EXCEPT:
        return True
    if target not in LAYER or (room == "surrogates" and LAYER[target] > 0):
        return False
    if room == "store" and LAYER[target] == LAYER["history"]:
        return False  # a log knows nothing of who learns from it
    return LAYER[target] < LAYER[room] or (LAYER[target] == LAYER[room] and room not in ALONE)


def test_every_import_follows_the_table() -> None:
    """No room imports one that the table does not allow it."""
    assert violations({path: imports_of(path) for path in PACKAGE.rglob("*.py")}) == []


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("spaces/base.py", "autohpo.algorithms.base"),
        ("surrogates/kde.py", "autohpo.trial"),
        ("store/base.py", "autohpo.runner"),
        ("algorithms/random.py", "autohpo.store"),
        ("runner.py", "autohpo.algorithms.tpe"),
        ("search.py", "autohpo.algorithms.random"),
        ("execution/base.py", "autohpo"),
        ("spaces/base.py", "autohpo.trial"),
        ("history.py", "autohpo.store"),
        ("search.py", "autohpo.driver"),
        ("store/run_state.py", "autohpo.history"),
        ("report/html.py", "autohpo.integrations"),
        ("testing/checks.py", "autohpo.report"),
    ],
)
def test_a_planted_upward_import_is_found(where: str, name: str) -> None:
    """The check above can fail."""
    assert len(violations({PACKAGE / where: [name]})) >= 1


def test_no_module_imports_itself_in_a_circle() -> None:
    """The imports have no cycle, deferred ones included, but for the step from optimize() to the runner."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {alias for alias in _modules(ast.parse(path.read_text())) if alias != name}
    graph["autohpo.algorithms.interface"] -= {
        "autohpo.runner",
        "autohpo.run_options",
        "autohpo.result",
    }  # the one step up
    assert _cycle(graph) is None
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None


def _modules(tree: ast.AST) -> set[str]:
    """The modules of ours that a tree imports when it runs; what only a type checker reads is left out."""
    found = set()
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom):
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                is_module = (ROOT / name.replace(".", "/")).with_suffix(".py").exists()
                found.add(name if is_module else node.module or "")
    return {name for name in found if name.startswith("autohpo")}


def _cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some cycle of a graph, if it has one."""
    done: set[str] = set()

    def walk(node: str, trail: list[str]) -> list[str] | None:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return None
        for child in sorted(graph.get(node, ())):
            found = walk(child, [*trail, node])
            if found:
                return found
        done.add(node)
        return None

    return next((found for node in graph if (found := walk(node, []))), None)


def run_python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def test_importing_autohpo_loads_nothing_heavy() -> None:
    """Users import it in every worker: only numpy may come along."""
    heavy = ["scipy.optimize", "scipy.stats", "sklearn", "statsmodels", "hyperopt", "torch", "pandas", "rich"]
    done = run_python(f"import sys, autohpo; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["spaces", "algorithms"])
def test_a_root_link_cannot_be_imported(name: str) -> None:
    """The names belong to other published packages: the links are views."""
    assert (ROOT / name).is_symlink()
    done = run_python(f"import {name}")
    assert done.returncode != 0
    assert f"import autohpo.{name}" in done.stderr


def test_a_wheel_holds_autohpo_alone(tmp_path: Path) -> None:
    """A top-level `spaces` in a wheel would overwrite somebody else's package."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "would be ignored" not in done.stdout + done.stderr  # setuptools took a folder of data for a package
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"autohpo"}
    assert {"autohpo/py.typed", "autohpo/demo/data/cora.npz"} <= set(names)
    licences = sorted(name.rsplit("/", 1)[1] for name in names if "LICENSE" in name)
    assert licences == ["LICENSE", "LICENSE-planetoid.txt"]  # each once


def test_no_file_is_too_long() -> None:
    """No file of the package is above 400 lines, and nine in ten are at most 350."""
    lengths = sorted(len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py"))
    assert lengths[-1] <= 400
    assert lengths[int(0.9 * len(lengths))] <= 350


def test_the_linter_sees_what_git_tracks() -> None:
    """A pattern of the linter's that hides a folder hides its faults: the two lists are the same."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None or not (ROOT / ".git").exists():
        pytest.skip("needs ruff beside the interpreter, and a checkout")
    listed = subprocess.run([ruff, "check", "--show-files", "."], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    seen = {str(Path(line).relative_to(ROOT)) for line in listed.stdout.splitlines() if line.endswith(".py")}
    assert {line for line in tracked.stdout.splitlines() if (ROOT / line).exists()} <= seen
