"""The distribution: what it holds, and that Hydra finds it where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras
pytest.importorskip("hydra", reason="hydra-core is not installed")
ROOT = Path(__file__).parents[1]


def test_hydra_finds_the_sweeper_in_what_the_wheel_holds(tmp_path):
    """The wheel has no file of its own in hydra_plugins, which other plug-ins share, and none of the tests."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"hydra_plugins", "autohpo_hydra"}
    code = {name for name in names if name.startswith("hydra_plugins/")}
    files = [path for path in (ROOT / "hydra_plugins").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert code == {path.relative_to(ROOT).as_posix() for path in files}
    assert any(name.endswith("LICENSE") for name in names)
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    paths = [str(site), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != str(ROOT))]
    find = (
        "import sys; from hydra.core.plugins import Plugins; from hydra.plugins.sweeper import Sweeper\n"
        "names = [c.__name__ for c in Plugins.instance().discover(Sweeper)]\n"
        "import hydra_plugins.autohpo_sweeper as found; print(names, found.__file__, 'autohpo' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", find], check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert "'AutohpoSweeper'" in done.stdout
    assert str(site) in done.stdout
    assert done.stdout.strip().endswith("False")  # an app that does not use it does not load autohpo
