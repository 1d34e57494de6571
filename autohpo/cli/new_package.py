"""The files of a package with an algorithm of the user's own, as `autohpo new-algorithm` writes them."""

from __future__ import annotations

from string import Template

ALGORITHM = '''\
"""$title: an algorithm for autohpo. Change it: this file is all there is to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from autohpo import BaseHPOptimizer, OptionError, register_hpo


@register_hpo("$name")
@dataclass(eq=False, kw_only=True)
class $cls(BaseHPOptimizer):
    """Mixes two of the best configurations, and moves the mixture by a normal step.

    An evolution strategy: the first configurations are random; each later one takes every parameter from one of two
    parents, which are drawn from the best so far, and is moved a little in the unit cube.

    Args:
        n_first: How many results there must be before configurations have parents.
        n_parents: How many of the best may be parents.
        step: The standard deviation of the step, where 1 is the whole range of a parameter.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> space = [RangeHP("x", 0.0, 1.0)]
        >>> hpo = build_hpo_from_name("$name", space, lambda hps: -abs(hps["x"] - 0.3), max_evals=60)
        >>> best_hp, best_perf = hpo.optimize(progress=False)
        >>> best_perf > -0.1
        True
    """

    # Fields are options: build_hpo_from_name("$name", space, f, step=0.1). Their types are checked.
    n_first: int = 10
    n_parents: int = 5
    step: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_first < 1:
            raise OptionError(f"n_first: must be at least 1, got {self.n_first}")
        if self.n_parents < 1:
            raise OptionError(f"n_parents: must be at least 1, got {self.n_parents}")
        if self.step <= 0:
            raise OptionError(f"step: must be positive, got {self.step}")

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        """Return the next configuration. This is the only method that an algorithm must have.

        Rule 1: all it knows follows from the history, as self.trials and self.history show it. A search that was
        killed is rebuilt from its log, and nothing else is left of it.
        Rule 2: all that is random comes from self.rng. Then equal histories give equal suggestions.
        """
        # A trial that failed has no score. A score is higher where it is better, whatever the user's mode is.
        done = [trial for trial in self.trials if trial.score is not None]
        if len(done) < self.n_first:
            return self.space.sample(self.rng, 1)[0]

        # The unit cube: a row for each configuration, with numbers from 0 to 1 in every column.
        best = sorted(done, key=lambda trial: (-trial.score, trial.number))[: self.n_parents]
        parents = self.space.encode([trial.hp for trial in best])
        mother, father = parents[self.rng.integers(len(parents), size=2)]
        child = np.where(self.rng.random(len(mother)) < 0.5, mother, father)
        child = child + self.rng.normal(0.0, self.step, child.shape)

        # decode() returns legal values of every kind of parameter: integers, choices, conditional ones.
        return self.space.decode(child.clip(0.0, 1.0)[None, :])[0]

    # Other hooks, if you need them (docs/own-algorithm.md of autohpo has all):
    #   _set_up(self, num_workers, time_limit, memory_limit)    once, before the first suggestion
    #   _on_report(self, hp, fidelity, perf) -> bool            False ends a running trial early
    # And class attributes: supports = frozenset({"objectives"}), is_multi_fidelity = True, ...
'''

PROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "$package"
version = "0.1.0"
description = "$title: an algorithm for autohpo."
readme = "README.md"
requires-python = ">=3.10"
dependencies = ["autohpo>=$version", "numpy"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."autohpo.algorithms"]
$name = "$module:$cls"  # from here autohpo knows the name, wherever this package is installed

[tool.setuptools]
py-modules = ["$module"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

README = """\
# $package

`$name`, an algorithm for [autohpo](https://github.com/autohpo/autohpo).

```sh
pip install -e '.[test]'  # now `autohpo algorithms` lists it
python -m pytest          # the checks that the algorithms of autohpo itself pass
```

```python
from autohpo import RangeHP, build_hpo_from_name

hpo = build_hpo_from_name("$name", [RangeHP("x", 0.0, 1.0)], lambda hps: -abs(hps["x"] - 0.3), max_evals=60)
print(hpo.optimize())
```

The algorithm is in `$module.py`: change it there. `pyproject.toml` has the entry point that makes its name known.
"""

TESTS = '''\
"""$title: the contract of every algorithm, and that it learns."""

import statistics

import pytest
from autohpo import OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.registry import get_hpo
from autohpo.testing import optimizer_checks

from $module import $cls


@pytest.mark.parametrize("check", optimizer_checks($cls), ids=str)
def test_the_contract_of_an_algorithm_holds(check):
    """Equal seeds, pickling, rebuilding from a log, failures, results in any order, legal values, and more."""
    check()


def test_it_is_known_by_its_name():
    """Through the entry point, so the package must be installed: pip install -e ."""
    assert get_hpo("$name") is $cls


def test_it_learns():
    """It comes nearer to the best configuration than random search does, in the median of nine seeds."""
    space = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]

    def found(name, seed):
        hpo = build_hpo_from_name(name, space, max_evals=60, seed=seed)
        for _ in range(60):
            hp = hpo.ask()
            hpo.tell(hp, -((hp["x"] - 0.3) ** 2) - (hp["y"] - 0.6) ** 2)
        return hpo.best()[1]

    own, other = ([found(name, seed) for seed in range(9)] for name in ("$name", "random"))
    assert statistics.median(own) > statistics.median(other)


@pytest.mark.parametrize("options", [{"n_first": 0}, {"n_parents": 0}, {"step": 0.0}])
def test_options_are_checked(options):
    """A wrong value is named before anything runs."""
    with pytest.raises(OptionError, match=next(iter(options))):
        build_hpo_from_name("$name", [RangeHP("x", 0.0, 1.0)], **options)
'''


def class_of(name: str) -> str:
    """Return the name of the class of an algorithm: OnePlusOneSearch for one_plus_one."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return camel if camel.endswith("Search") and camel != "Search" else f"{camel}Search"


def files_of(name: str, version: str) -> dict[str, str]:
    """Return the texts of the files of a package, by their paths in its folder.

    Args:
        name: The name of the algorithm.
        version: The release of autohpo that it is for.
    """
    module = f"autohpo_{name}"
    values = {
        "name": name,
        "title": name.replace("_", " ").strip().capitalize(),
        "cls": class_of(name),
        "module": module,
        "package": f"autohpo-{name.replace('_', '-').strip('-')}",
        "version": version,
    }
    texts = {
        f"{module}.py": ALGORITHM,
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"tests/test_{name}.py": TESTS,
    }
    return {path: Template(text).substitute(values) for path, text in texts.items()}
