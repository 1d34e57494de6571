"""The program that runs all tests: what fails by bad luck is run again, what fails for a reason stays red."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("run_all_tests", HERE / "run.py")
RUN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(RUN)


@pytest.fixture
def project(tmp_path):
    """A project with our conftest, and a test that passes."""
    shutil.copy(HERE / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_good.py").write_text("def test_good():\n    pass\n")
    return tmp_path


def test_a_test_that_fails_once_is_run_again_and_named(project, capfd):
    """Alone: the good one is not run again."""
    code = "import pathlib\n\ndef test_luck():\n    if not (p := pathlib.Path('seen')).exists():\n"
    (project / "test_luck.py").write_text(code + "        p.write_text('')\n        raise ValueError\n")
    assert RUN.main([], project) == 0
    said = capfd.readouterr().out
    assert "passed only when run again: test_luck.py::test_luck" in said
    assert "1 failed, 1 passed" in said
    assert said.count("1 passed") == 2


def test_a_test_that_fails_twice_is_a_failure(project):
    """As any fault of the code does."""
    (project / "test_bad.py").write_text("def test_bad():\n    raise ValueError\n")
    assert RUN.main([], project) == 1


def test_many_failures_are_not_run_again(project, capfd):
    """They are no bad luck."""
    (project / "test_bad.py").write_text("".join(f"def test_{k}():\n    raise ValueError\n" for k in range(4)))
    assert RUN.main([], project) == 1
    assert "Once more" not in capfd.readouterr().out


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_breaks_off_is_a_failure_and_is_not_run_again(project, capfd, code):
    """Whatever code the process ends with: the tests that did not run may be faulty."""
    end = f"import pytest\n\ndef test_end():\n    pytest.exit('enough', returncode={code})\n"
    (project / "test_end.py").write_text(end)
    (project / "test_later.py").write_text("def test_later():\n    pass\n")
    (project / "test_a_bad.py").write_text("def test_bad():\n    raise ValueError\n")
    assert RUN.main([], project) not in (0, 1)
    assert "Once more" not in capfd.readouterr().out
