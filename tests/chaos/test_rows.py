"""The short form of the register of faults; `make chaos` has all of it, and the long form.

What is heavy runs elsewhere in the tests: see ``proof`` of each row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from planted import PLANTS, plant, planted
from rows import ROWS
from run import line, measured

from autohpo import BaseHPOptimizer

BY_NAME = {row.name: row for row in ROWS}
OWN = {"R12", "R17", "R19", "R22"}
"""The rows whose faults are planted by tests of their own, or that are a benchmark."""

BROKEN = {
    "R1": 1,
    "R2": 1,
    "R4": 1,
    "R5": 4,
    "R13": 1,
    "R14": 1,
    "R15": 1,
    "R18": 40,
    "R21": 0,
    "R23": 8,
    "R24": 0,
    "R25": 4,
    "R28": 0,
}
"""The rows whose planted faults are found in little time, and how often they are run then; 0 is as often as usual."""


def test_the_register_is_whole() -> None:
    """Each row says what is promised; it runs, or says why not; its tests are there; a fault turns it red."""
    assert [row.name for row in ROWS] == [f"R{i}" for i in range(1, 36)]
    for row in ROWS:
        assert row.fault, row.name
        assert row.promise, row.name
        assert row.run is not None or row.note, row.name
        assert row.run is None or row.plant in PLANTS or row.name in OWN, row.name


def test_the_manual_has_every_row() -> None:
    """As the register has it, with what is weaker."""
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for row in ROWS:
        assert f"\n| {row.name} | {row.fault} | {row.promise} | " in text, row.name
        assert not row.note or f"\n| {row.name} | {row.note} |\n" in text, row.name


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.run is not None and not row.is_heavy])
def test_a_row_holds(name: str, tmp_path: Path) -> None:
    """In its short form."""
    row = BY_NAME[name]
    counts, wrong = measured(row, tmp_path, lateness=3.0)
    assert wrong == {}, counts


@pytest.mark.parametrize("name", BROKEN)
def test_a_planted_fault_turns_a_row_red(name: str, tmp_path: Path) -> None:
    """The others in `python tests/chaos/run.py --break all`."""
    row = BY_NAME[name]
    counts, wrong = measured(row, tmp_path, n=BROKEN[name], plant=row.plant)
    assert wrong, counts


def test_a_fault_is_taken_out_again() -> None:
    """Planted faults do not outlive their row."""
    before = BaseHPOptimizer.rng
    with planted("unseeded"):
        assert BaseHPOptimizer.rng is not before
    assert BaseHPOptimizer.rng is before
    with pytest.raises(ValueError, match="plant: must be one of"):
        plant("nonsense")


def test_a_row_that_came_about_too_seldom_is_red() -> None:
    """A kill that did not happen proves nothing; a figure that is missing or too large is named."""
    row = BY_NAME["R5"]
    good = {"kills": 8, "detected_max_ms": 20.0, "slot_back_max_ms": 300.0}
    assert row.missed(good, 8, is_long=False) == {}
    assert row.missed(good, 9, is_long=False) == {"kills": 8}
    assert row.missed({**good, "bystanders": 1, "detected_max_ms": None}, 8, is_long=False) == {
        "bystanders": 1,
        "detected_max_ms": None,
    }
    assert "RED" in line(row, good, {"kills": 8}, 1.0)


def test_the_program_says_one_line_a_row_and_ends_with_1_where_one_is_red() -> None:
    """As JSON; with a fault planted, too."""
    program = [sys.executable, str(Path(__file__).with_name("run.py")), "--json", "--rows", "R21,R33"]
    good, bad = (
        subprocess.run([*program, *more], capture_output=True, text=True, check=False)
        for more in ([], ["--break", "R21"])
    )
    lines = [json.loads(said) for said in good.stdout.splitlines()]
    assert (good.returncode, [one["row"] for one in lines]) == (0, ["R21", "R33"]), good.stderr
    assert lines[0]["missed"] == {}
    assert bad.returncode == 1
    assert json.loads(bad.stdout.splitlines()[0])["missed"]["wrong"] > 0
