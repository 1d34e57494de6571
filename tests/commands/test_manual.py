"""The manual's page on commands names every option, placeholder and variable."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from autohpo import CommandObjective
from autohpo.commands.template import RESERVED

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def first_cells():
    """The first cell of each row of the page's tables."""
    return re.findall(r"^\| (.*?) \| .* \|$", PAGE, flags=re.MULTILINE)


def test_every_option_has_a_row_with_its_default():
    """As the signature has it."""
    rows = {cell.strip("`") for cell in first_cells()}
    for field in fields(CommandObjective):
        default = repr(field.default) if field.name != "env" else "{}"
        is_needed = field.name in ("command", "metric")
        assert (field.name if is_needed else f"{field.name}={default}".replace("'", '"')) in rows, field.name


def test_every_placeholder_has_a_row():
    """Also those that are no parameters."""
    names = {name for cell in first_cells() for name in re.findall(r"`\{(\w+)\}`", cell)}
    assert set(RESERVED) <= names


def test_every_variable_has_a_row():
    """Those that a command gets."""
    from autohpo.commands.given import Given
    from autohpo.trial import Task
    from autohpo.trial_handle import TrialHandle

    given = Given({}, TrialHandle(Task(0, 1, {}), lambda *_: True), 3.0, "/folder")
    names = {name for cell in first_cells() for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert set(given.variables()) <= names
