"""Every Python block of the README and the manual runs as it stands there."""

from __future__ import annotations

import dataclasses
import linecache
import re
import textwrap
from pathlib import Path

import pytest

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import RunArguments, option_names
from autohpo.algorithms.registry import _REGISTERED, _built_in_names, get_hpo

ROOT = Path(__file__).parents[1]
for _name in _built_in_names():
    get_hpo(_name)  # before a page's own names are taken away again: a module registers only once
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_TORCH = {"docs/pytorch.md"}  # run by `make test-torch`
WITH_PYG = {"docs/graph-learning.md"}  # run by `make test-extras`
WITH_SERVER = {"docs/postgresql.md"}  # run by tests/store/test_postgres_docs.py
WITH_RAY = {"docs/ray.md"}  # run by tests/execution/ray/test_ray_docs.py
WITH_HYDRA = {"docs/hydra.md"}  # run by packages/autohpo-hydra/tests/test_page.py
WITH_DASK = {"docs/clusters.md"}  # run by `make test-extras`
WITH_LOOPS = {"docs/training-loops.md": "lightning keras transformers"}  # run by `make test-extras`
WITH_BOOSTING = {"docs/boosting.md": "xgboost lightgbm catboost"}  # likewise
WITH_AUTOGL = {"docs/autogl.md"}  # run by `make test-autogl`
WITH_TRACKERS = {"docs/trackers.md"}  # run by `make test-extras`
MARKS = dict.fromkeys(WITH_TORCH | WITH_PYG, pytest.mark.torch) | dict.fromkeys(WITH_DASK, pytest.mark.extras)
MARKS |= dict.fromkeys(WITH_BOOSTING, pytest.mark.extras)
MARKS |= dict.fromkeys(WITH_LOOPS, (pytest.mark.torch, pytest.mark.filterwarnings("ignore")))  # of the frameworks' own
MARKS |= dict.fromkeys(WITH_AUTOGL, (pytest.mark.autogl, pytest.mark.filterwarnings("ignore")))
MARKS |= dict.fromkeys(WITH_TRACKERS, (pytest.mark.extras, pytest.mark.filterwarnings("ignore::DeprecationWarning")))


def blocks_of(page):
    """The Python blocks of a page, also those that stand indented in a list."""
    found = re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    """What the pages register is theirs alone."""
    monkeypatch.setattr("autohpo.algorithms.registry._REGISTERED", dict(_REGISTERED))


def name_of(page):
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=MARKS.get(name_of(page), ())) for page in PAGES],
    ids=name_of,
)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """In order, in one namespace, in an empty folder."""
    if name_of(page) in WITH_TORCH:
        pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
    if name_of(page) in WITH_PYG:
        pytest.importorskip("torch_geometric", reason="PyTorch Geometric is not installed; `make test-extras` has it")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for package in (WITH_LOOPS | WITH_BOOSTING).get(name_of(page), "").split():
        pytest.importorskip(package, reason=f"{package} is not installed; `make test-extras` installs it")
    if name_of(page) in WITH_AUTOGL:
        pytest.importorskip("autogl", reason="AutoGL is not installed; `make test-autogl` installs it")
    if name_of(page) in WITH_TRACKERS:
        pytest.importorskip("mlflow", reason="MLflow is not installed; `make test-extras` installs it")
        pytest.importorskip("tensorboardX", reason="tensorboardX is not installed; `make test-extras` installs it")
    if name_of(page) in WITH_SERVER:
        pytest.skip("needs a server; tests/store/test_postgres_docs.py runs it")
    if name_of(page) in WITH_RAY:
        pytest.skip("needs Ray in a process of its own; tests/execution/ray/test_ray_docs.py runs it")
    if name_of(page) in WITH_HYDRA:
        pytest.skip("needs Hydra, and commands; packages/autohpo-hydra/tests/test_page.py runs it")
    if name_of(page) in WITH_DASK:
        pytest.importorskip("distributed", reason="dask is not installed; `make test-extras` installs it")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, block in enumerate(blocks_of(page)):
        name = f"<{page.name} block {number}>"
        linecache.cache[name] = (len(block), None, block.splitlines(keepends=True), name)  # for who reads a lambda
        exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page):
    """Relative links only; the rest is not for a test."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_argument_of_optimize_has_a_row():
    """In the table of the page on running."""
    text = (ROOT / "docs" / "running.md").read_text()
    rows = re.findall(r"^\| `(\w+)[^`]*` \|", text, flags=re.MULTILINE)
    assert set(RunArguments.__annotations__) <= set(rows)


@pytest.mark.parametrize("name", sorted(_built_in_names()))
def test_every_algorithm_has_a_page_with_its_options(name):
    """The idea's source, when to use it, what it costs, and a row for each option with its default."""
    page = ROOT / "docs" / "algorithms" / f"{name}.md"
    text = page.read_text()
    for part in ("**When**", "**What it costs**"):
        assert part in text, part
    assert f"[`{name}`](algorithms/{name}.md)" in (ROOT / "docs" / "algorithms.md").read_text()
    cls = get_hpo(name)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for option in sorted(set(option_names(cls)) - set(option_names(BaseHPOptimizer))):
        rows = re.findall(rf"^\| `{option}` \| ([^|]*) \|", text, flags=re.MULTILINE)
        assert len(rows) == 1, f"a row for {option}"
        default = fields[option].default
        texts = {repr(default), repr(default).replace("'", '"'), "1/3" * (default == 1 / 3)}
        assert rows[0].strip("`") in texts, option
