"""The arguments of optimize: one list, checked by name, shown by help."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from autohpo import BaseHPOptimizer, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.options import RunArguments
from autohpo.run_options import RunOptions

SPACE = [RangeHP("x", 0.0, 1.0)]


def tpe():
    """A search that ends soon."""
    return build_hpo_from_name("random", SPACE, lambda hp: hp["x"], max_evals=2, seed=0)


def test_every_argument_has_a_type_a_default_and_a_text():
    """RunArguments, RunOptions and the docstring of optimize name the same arguments; the types are the same."""
    fields = {field.name: field.type for field in dataclasses.fields(RunOptions) if field.init}
    types = {name: getattr(hint, "__forward_arg__", hint) for name, hint in RunArguments.__annotations__.items()}
    assert types == fields
    arguments = inspect.getdoc(BaseHPOptimizer.optimize).partition("Args:")[2].partition("Raises:")[0]
    told = re.findall(r"^    (\w+): ", arguments, re.MULTILINE)
    assert sorted(told) == sorted([*types, "trainer", "dataset", "limits", "options"])


def test_help_shows_each_argument():
    """The signature at run time has a keyword for each, so that an editor can offer them."""
    signature = inspect.signature(tpe().optimize)
    assert list(signature.parameters) == ["trainer", "dataset", "limits", *RunArguments.__annotations__]
    assert signature.parameters["time_limit"].annotation == "float | None"


def test_an_unknown_argument_is_our_error_and_lists_the_known_ones():
    """It names what is near, and is raised before anything runs."""
    with pytest.raises(OptionError, match=r"^n_worker: optimize has no such .*'num_workers'.* Options: .*time_limit"):
        tpe().optimize(n_worker=2)


def test_the_limits_may_stand_where_autogl_puts_them():
    """After the trainer and the dataset; twice or too many are errors."""
    hpo = tpe()
    hpo.optimize(None, None, 60.0, None, progress=False)
    assert hpo.time_limit == 60.0
    with pytest.raises(OptionError, match=r"time_limit: was given by position and by name"):
        tpe().optimize(None, None, 60.0, time_limit=60.0)
    with pytest.raises(OptionError, match="takes trainer, dataset, time_limit, memory_limit by position"):
        tpe().optimize(None, None, 60.0, "1GB", 3)
