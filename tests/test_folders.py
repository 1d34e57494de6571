"""Temporary folders: those of living processes stay, those of killed ones go."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import autohpo
from autohpo import ChoiceHP, build_hpo_from_name, folders
from autohpo.errors import AutoHPOError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files that is this test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(folders, "_has_cleaned", False)
    yield tmp_path
    tempfile.tempdir = None


def run(code, temporary):
    """Runs a program that kills itself."""
    environment = dict(os.environ, PYTHONPATH=str(Path(autohpo.__file__).parents[1]), TMPDIR=str(temporary))
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False, stderr=subprocess.DEVNULL)


def test_what_a_killed_process_has_left_goes_when_the_next_one_starts(temporary):
    """Its folder is removed with what is in it; that of this process, a folder of somebody else and a link stay."""
    own = folders.temporary_folder()
    other = temporary / "autohpo-notes"
    other.mkdir()
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "lock").touch()
    (temporary / "autohpo-link").symlink_to(temporary / "elsewhere")
    code = "import os; from autohpo.folders import *; (temporary_folder() / 'model').touch(); os.kill(os.getpid(), 9)"
    run(code, temporary)
    assert len(list(temporary.glob("autohpo-*/model"))) == 1
    folders._has_cleaned = False
    folders.clean_leftovers()
    assert not list(temporary.glob("autohpo-*/model"))
    assert own.is_dir()
    assert other.is_dir()
    assert (temporary / "elsewhere" / "lock").exists()
    folders.remove_folder(own)
    assert not own.exists()


TRAINER = """
import os
from autohpo import RangeHP, build_hpo_from_name

class Trainer:
    def duplicate_from_hyper_parameter(self, hp):
        return self
    def train(self, dataset):
        pass
    def get_valid_score(self):
        global n
        n += 1
        if n == 4:
            os.kill(os.getpid(), 9)
        return float(n), True

n = 0
hpo = build_hpo_from_name("random", [RangeHP("trainer:x", 0.0, 1.0)], max_evals=6, seed=0)
hpo.optimize(Trainer(), progress=False)
"""


def test_the_models_of_a_killed_search_for_a_trainer_go(temporary):
    """They may be large; any later search removes them, whatever it searches for."""
    run(TRAINER, temporary)
    assert list(temporary.rglob("trainer-*.pkl"))
    build_hpo_from_name("random", [ChoiceHP("x", [1, 2])], lambda hps: 1.0, max_evals=1).optimize(progress=False)
    assert not list(temporary.rglob("*.pkl"))


def test_a_forked_child_removes_nothing(temporary):
    """What its parent needs is not its to remove."""
    own = folders.temporary_folder()
    pid = os.fork()
    if pid == 0:
        folders.remove_folder(own)
        os._exit(0)
    os.waitpid(pid, 0)
    assert own.is_dir()
    folders.remove_folder(own)


def test_where_no_temporary_folder_can_be_made_the_error_names_the_place(temporary, monkeypatch):
    """With the reason and the remedy."""

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(AutoHPOError, match=rf"cannot be made in {temporary}: .*No space left.*set TMPDIR"):
        folders.temporary_folder()
