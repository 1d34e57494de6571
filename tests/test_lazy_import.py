"""What an import loads: every public name on demand, and in a worker neither numpy nor spaces nor algorithms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autohpo

SOURCE = Path(autohpo.__file__)


def run_python(code: str) -> str:
    """Return what code prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", autohpo.__all__)
def test_every_public_name_resolves(name):
    """It is an attribute, it is listed, and a class or function of ours has that very name."""
    value = getattr(autohpo, name)
    assert name in dir(autohpo)
    assert name == "__version__" or value.__name__ == name


def test_the_type_checker_sees_the_same_names_in_the_same_places():
    """What is imported under TYPE_CHECKING is what comes on demand, from the same module."""
    seen = {"__version__": autohpo.__version__}
    (block, _) = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        module = __import__(node.module, fromlist=["_"])
        seen |= {alias.name: getattr(module, alias.name) for alias in node.names}
    assert seen == {name: getattr(autohpo, name) for name in autohpo.__all__}


def test_importing_loads_only_a_handful_of_modules():
    """`import autohpo` brings neither numpy nor one of our packages; the first name brings what it needs."""
    code = "import sys, autohpo; print(sorted(m for m in sys.modules if m.split('.')[0] in ('autohpo', 'numpy')))"
    assert run_python(code) == "['autohpo', 'autohpo.version']"
    code = "import sys, autohpo; autohpo.Trial; print('numpy' in sys.modules, autohpo.TrialState.LOST)"
    assert run_python(code) == "False LOST"


@pytest.mark.parametrize(
    "code",
    [
        "from autohpo import *; print(RangeHP('x', 0, 1).name)",
        "from autohpo import RangeHP as R; print(R('x', 0, 1).name)",
        "import autohpo; print(autohpo.spaces.RangeHP('x', 0, 1).name)",
        "import autohpo; print(autohpo.RangeHP('x', 0, 1).name)",
        "import autohpo.spaces; print(autohpo.spaces.RangeHP('x', 0, 1).name)",
        "from autohpo import spaces; print(spaces.RangeHP('x', 0, 1).name)",
        "import autohpo, pickle; print(pickle.loads(pickle.dumps(autohpo.RangeHP('x', 0, 1))).name)",
    ],
)
def test_names_and_packages_are_reached_as_always(code):
    """With a star, by another name, as attributes, and from a pickle."""
    assert run_python(code) == "x"


def test_what_is_not_there_is_an_attribute_error():
    """The text is Python's own, for public and private names; `from autohpo import` makes an ImportError of it."""
    for name in ("RangeHp", "nowhere", "_private"):
        with pytest.raises(AttributeError, match=f"module 'autohpo' has no attribute '{name}'"):
            getattr(autohpo, name)
    with pytest.raises(ImportError):
        from autohpo import RangeHp  # noqa: F401


def test_a_worker_imports_neither_numpy_nor_spaces_nor_algorithms():
    """A worker starts as fast as Python does: it runs the objective, and everything else stays with the driver."""
    code = "import sys, autohpo.execution.worker; print([m for m in sys.modules if m.startswith(('autohpo', 'numpy'))])"
    loaded = {".".join(name.split(".")[:2]) for name in ast.literal_eval(run_python(code))}
    assert loaded == {
        *("autohpo", "autohpo.errors", "autohpo.execution", "autohpo.objective", "autohpo.objectives"),
        "autohpo.odometer",
        *(
            "autohpo.forked",
            "autohpo.other_names",
            "autohpo.signatures",
            "autohpo.outcome",
            "autohpo.reported",
            "autohpo.signatures",
            "autohpo.trial",
            "autohpo.trial_handle",
            "autohpo.untrusted",
            "autohpo.version",
        ),
    }


def test_a_running_worker_has_not_loaded_them_either():
    """Loading and running an objective that needs no numpy brings none: not by the task, nor by the outcome."""
    from autohpo import RangeHP, build_hpo_from_name

    def f(hps):
        heavy = ("numpy", "autohpo.spaces", "autohpo.algorithms", "autohpo.store")
        return float(sum(name in sys.modules for name in heavy))

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=2, seed=0)
    assert hpo.optimize(num_workers=2, progress=False)[1] == 0.0
