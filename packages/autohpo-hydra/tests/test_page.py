"""The page of the manual: its files are written, and its commands run, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras
pytest.importorskip("hydra", reason="hydra-core is not installed")
pytest.importorskip("hydra_plugins.autohpo_sweeper", reason="autohpo-hydra is not installed")
PAGE = Path(__file__).parents[3] / "docs" / "hydra.md"


def blocks(kind):
    """The blocks of a kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    """The configuration, the script, both commands, and the lines that read the result."""
    monkeypatch.chdir(tmp_path)
    script, reading = blocks("python")
    (tmp_path / "config.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "train.py").write_text(script)
    for line in blocks("bash")[1].splitlines():
        command = [sys.executable, *line.split()[1:]]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "HYDRA_FULL_ERROR": "1"}
        )
        assert done.returncode == 0, done.stderr
    jobs = sorted(int(path.name) for path in (tmp_path / "sweeps" / "first").iterdir() if path.name.isdigit())
    assert jobs == list(range(16))
    namespace = {}
    exec(reading, namespace)
    assert len(namespace["result"].trials) == 16
