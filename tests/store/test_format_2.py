"""Stores that release 0.2 made: they open, read as a result, and go on to the very run of that release."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autohpo import Result, TrialState
from autohpo.store import check

FIXTURES = Path(__file__).parent / "fixtures" / "v0.2"

pytestmark = pytest.mark.filterwarnings("ignore:store. .* (numpy|scipy|autohpo|python) was:autohpo.errors.StoreWarning")


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """The script that made them."""
    spec = importlib.util.spec_from_file_location("make_fixtures", FIXTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_close(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same, but for the last bits of floats that other processors may give."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(is_close(a.get(key), b[key]) for key in b)  # a later release may say more
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("name", ["asha", "random_killed", "tpe", "two_objectives"])
def test_a_store_of_release_2_reads_and_goes_on_as_if_nothing_had_been(
    made: ModuleType, tmp_path: Path, name: str
) -> None:
    """All of its trials are there, and the run that goes on is that of the release in one go."""
    for file in FIXTURES.glob(f"{name}.db*"):
        shutil.copy(file, tmp_path / file.name)
    path = tmp_path / f"{name}.db"
    _, _, _, n, n_all = made.RUNS[name]
    n = made.N_KILLED if name.endswith("killed") else n
    assert check(path).is_whole
    before = Result.load(path)
    assert len(before) == n
    assert sum(trial.state is TrialState.RUNNING for trial in before) == (1 if name.endswith("killed") else 0)
    made.run(name, path, n_all)
    assert is_close(made.log_of(path), json.loads((FIXTURES / f"{name}.json").read_text()))
