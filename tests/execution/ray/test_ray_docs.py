"""The page on Ray: its Python block runs as it stands there, in a Ray of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "ray.md").read_text()


@pytest.mark.extras
def test_the_code_of_the_page_runs(ray_environment, network, tmp_path):
    """As a script, in an empty folder."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Trial(")
    assert (tmp_path / "run.db").exists()
