"""Every Python block of the README and the manual runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autohpo.algorithms.registry import _REGISTERED
from autohpo.spaces.base import KINDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks_of(page):
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    """What the pages register is theirs alone."""
    monkeypatch.setattr("autohpo.spaces.base.KINDS", dict(KINDS))
    monkeypatch.setattr("autohpo.algorithms.registry._REGISTERED", dict(_REGISTERED))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """In order, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, block in enumerate(blocks_of(page)):
        exec(compile(block, f"{page.name} block {number}", "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    """Relative links only; the rest is not for a test."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
