"""`autohpo algorithms`: every registered name, what it takes, and a plug-in that is broken."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from autohpo import RangeHP, available_hpos, build_hpo_from_name
from autohpo.algorithms import registry
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.errors import OptionError


def rows(capsys):
    """What the command prints as JSON, by name."""
    assert main(["algorithms", "--json"]) == exits.OK
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.fixture(scope="module")
def own_names():
    """The names of this package: tests of other rooms may have registered some."""
    return sorted({*registry._built_in_names(), *registry.ALIASES})


def test_every_name_is_there(capsys, own_names):
    """With a sentence, and a paper where its documentation names one."""
    found = rows(capsys)
    assert set(found) == set(available_hpos())
    assert all(found[name]["summary"].endswith(".") for name in own_names)
    without = {name for name in own_names if not found[name]["paper"]}
    assert without == {"auto", "grid"}
    assert found["motpe"]["alias_of"] == "tpe"
    assert found["bohb"]["paper"].startswith("Falkner, Klein and Hutter 2018, ICML")


def test_brackets_have_rungs_that_wait(capsys, own_names):
    """Those that decide a rung when all its trials have ended, by their pages."""
    waiting = {name for name, row in rows(capsys).items() if name in own_names and "waits" in row["parallel"]}
    assert waiting == {"bohb", "dehb", "hyperband", "priorband", "successive_halving"}


def test_what_is_said_of_objectives_is_true(capsys, own_names):
    """One that takes several is built with two, and one that does not refuses them."""
    for name, row in rows(capsys).items():
        if name not in own_names:
            continue
        more = {"max_fidelity": 9} if row["fidelity"] == "schedules" and name != "autone" else {}
        try:
            build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], mode=["max", "min"], **more)
            takes = True
        except OptionError as error:
            takes = "does not take several objectives" not in str(error)
        assert takes is (row["objectives"] == "several"), name


@pytest.mark.parametrize("name", ["bohb", "tpe", "grid", "autone", "cmaes"])
def test_one_is_told_with_all_its_options(name, capsys):
    """Types, defaults, and what each means."""
    assert main(["algorithms", name, "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    options = {option["name"]: option for option in said["options"]}
    assert set(options) == set(option_names(get_hpo(name)))
    assert all(option["meaning"] and option["type"] for option in options.values())
    assert options["seed"]["is_common"]
    assert options["seed"]["default"] == "None"
    assert main(["algorithms", name]) == exits.OK
    text = capsys.readouterr().out
    assert text.startswith(f"{name}\n\n")
    assert all(f"  {option}: " in text for option in options)


def test_an_unknown_name_is_told_with_the_nearest(capsys):
    """As everywhere."""
    assert main(["algorithms", "bobh"]) == exits.USAGE
    assert "did you mean 'bohb'" in capsys.readouterr().err


def test_a_broken_plug_in_is_a_row_with_its_error(capsys, monkeypatch):
    """The others are told all the same."""
    point = EntryPoint("broken_one", "no_such_package:Thing", registry.GROUP)
    known = registry._plug_ins()
    monkeypatch.setattr(registry, "_plug_ins", lambda: {**known, "broken_one": point})
    found = rows(capsys)
    assert "No module named 'no_such_package'" in found["broken_one"]["error"]
    assert found["tpe"]["objectives"] == "several"
    assert main(["algorithms"]) == exits.OK
    said = capsys.readouterr()
    assert "broken_one" in said.out
    assert "No module named 'no_such_package'" in said.err
    assert main(["algorithms", "broken_one"]) == exits.USAGE
