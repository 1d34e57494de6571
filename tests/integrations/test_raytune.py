"""Search spaces of Ray Tune: the oracle is Ray's own generator of variants."""

from __future__ import annotations

import math
import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from autohpo import ChoiceHP, FixedHP, LogRangeHP, NormalPrior, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.raytune import from_ray_tune, restore

pytestmark = pytest.mark.extras
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    tune = pytest.importorskip("ray.tune", reason="Ray Tune is not installed")
    from ray.tune.search import sample
    from ray.tune.search.variant_generator import generate_variants


def variants(param_space, n, seed=0):
    """Ray's draws: the values by joined path, and the whole configuration."""
    random = np.random.RandomState(seed)
    for _ in range(n):
        for resolved, spec in generate_variants(param_space, random_state=random):
            yield {"/".join(map(str, path)): value for path, value in resolved.items()}, spec
            break


def is_alike(a, b):
    """Whether two structures are the same, but for the last digits of floats."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(is_alike(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(is_alike, a, b))
    is_float = isinstance(a, float) and isinstance(b, float)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) if is_float else a == b and type(a) is type(b)


@pytest.mark.parametrize(
    ("domain", "parameter"),
    [
        (tune.uniform(-1, 2), RangeHP("x", -1.0, 2.0)),
        (tune.quniform(0.5, 2.0, 0.25), RangeHP("x", 0.5, 2.0, step=0.25)),
        (tune.loguniform(1e-4, 0.1), LogRangeHP("x", 1e-4, 0.1)),
        (tune.qloguniform(0.1, 0.9, 0.1), LogRangeHP("x", 0.1, 0.9, step=0.1)),
        (tune.randint(0, 5), RangeHP("x", 0, 4)),
        (tune.randint(3, 4), FixedHP("x", 3)),
        (tune.qrandint(0, 10, 2), RangeHP("x", 0, 10, step=2)),
        (tune.qrandint(1, 10, 3), RangeHP("x", 3, 9, step=3)),
        (tune.lograndint(1, 100), LogRangeHP("x", 1, 99)),
        (tune.qlograndint(4, 64, 4), LogRangeHP("x", 4, 64, step=4)),
        (tune.randn(1.0, 0.5), RangeHP("x", -2.0, 4.0, prior=NormalPrior(1.0, 0.5))),
        (tune.choice(["a", None, 3]), ChoiceHP("x", ["a", None, 3])),
        (tune.grid_search([1, 2]), ChoiceHP("x", [1, 2])),
        (7, FixedHP("x", 7)),
        ([1, "a"], FixedHP("x", [1, "a"])),
    ],
)
def test_each_domain_has_its_parameter(domain, parameter):
    """By the definitions of Ray's documentation."""
    assert from_ray_tune({"x": domain}) == SearchSpace([parameter])


DOMAINS = [
    tune.uniform(-1, 2),
    tune.quniform(0, 10, 0.5),
    tune.loguniform(1e-4, 0.1),
    tune.randint(0, 5),
    tune.qrandint(0, 10, 2),
    tune.qrandint(0, 10, 1),
    tune.lograndint(1, 100),
    tune.qlograndint(4, 64, 4),
    tune.choice(["a", "b"]),
    3,
    "fixed",
]
NESTED = st.recursive(
    st.sampled_from(DOMAINS),
    lambda inner: (
        st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, min_size=1, max_size=3)
        | st.lists(inner, min_size=1, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(["p", "q"]), NESTED, min_size=1), st.integers(0, 10**6))
def test_every_variant_of_ray_is_a_configuration_and_back(param_space, seed):
    """What Ray resolved, by path, and beside it our fixed values; restored, it is Ray's configuration."""
    space = from_ray_tune(param_space)
    fixed = {parameter.name: parameter.value for parameter in space if isinstance(parameter, FixedHP)}
    for resolved, spec in variants(param_space, 3, seed):
        plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in resolved.items()}
        hp = space.checked({**fixed, **plain})
        assert is_alike(restore(param_space, hp), spec)
    for hp in space.sample(np.random.default_rng(seed), 2):
        restored = restore(param_space, hp)
        for name, value in hp.items():
            part = restored
            for key in name.split("/"):
                part = part[int(key)] if isinstance(part, list) else part[key]
            assert part == value


def test_a_category_may_hold_domains_itself():
    """They are below the place of the category: both may have a key of the same name."""
    param_space = {"m": tune.choice([{"k": "a", "x": tune.uniform(0, 1)}, {"k": "b", "x": tune.randint(0, 9)}, None])}
    space = from_ray_tune(param_space)
    x = (RangeHP("m/0/x", 0.0, 1.0),), (RangeHP("m/1/x", 0, 8),), ()
    assert space == SearchSpace([ChoiceHP("m", [0, 1, 2], x)])
    assert restore(param_space, {"m": 1, "m/1/x": 4}) == {"m": {"k": "b", "x": 4}}
    assert restore(param_space, {"m": 2}) == {"m": None}


@pytest.mark.parametrize("domain", [tune.randn(3, 0.5), tune.loguniform(0.01, 10), tune.qrandint(0, 10, 2)])
def test_draws_are_distributed_as_those_of_ray(domain):
    """Kolmogorov-Smirnov on 3,000 draws of each: below 1e-3 by chance in one of 1,000 seeds, and these are fixed."""
    here = [hp["x"] for hp in from_ray_tune({"x": domain}).sample(np.random.default_rng(0), 3000)]
    there = domain.sample(size=3000, random_state=np.random.RandomState(0))
    assert ks_2samp(here, there).pvalue > 1e-3


@pytest.mark.parametrize(
    ("param_space", "text"),
    [
        ({}, "space: must hold at least one parameter"),
        (5, "space: must be a dict of domains"),
        ({"x": tune.sample_from(lambda _: 1)}, "x: Function of Ray Tune, as of sample_from, cannot be converted"),
        ({"a": {"x": tune.uniform(2, 1)}}, "a/x: low must be below high"),
        ({"x": tune.choice([])}, "x: choices must hold at least one value"),
        ({"x": tune.grid_search("ab")}, "x: choices must be a list"),
        ({"a/b": 1, "a": {"b": 2}}, "a/b"),
        ({None: 1}, "space: keys must be strings"),
        ({"x": tune.randint(0, 0)}, "x: low must be below high"),
    ],
)
def test_what_cannot_be_converted_is_an_error(param_space, text):
    """It names the path."""
    with pytest.raises(SpaceError) as error:
        from_ray_tune(param_space)
    assert text in str(error.value)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.floats(),
            st.sampled_from([object(), b"x", np.arange(3), *DOMAINS]),
            st.builds(sample.Float, st.none() | st.floats(), st.none() | st.floats()),
            st.builds(lambda q: sample.Integer(0, q).quantized(q), st.floats()),
            st.builds(sample.Integer, st.floats(), st.none() | st.text()),
            st.builds(lambda low, high: tune.sample_from(lambda _: 0), st.floats(), st.floats()),
        ),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["grid_search", "a", "", 3, None]), inner, max_size=2)
            | st.builds(tune.choice, st.lists(inner, max_size=2))
        ),
        max_leaves=6,
    )
)
def test_odd_spaces_raise_space_errors_only(param_space):
    """Or they are spaces, and their draws can be restored."""
    try:
        space = from_ray_tune(param_space)
    except SpaceError:
        return
    for hp in space.sample(np.random.default_rng(0), 2):
        restore(param_space, hp)


def test_the_section_of_the_manual_runs():
    """The only Python block under the heading; the rest of the page needs no Ray."""
    text = (Path(__file__).parents[2] / "docs" / "spaces-elsewhere.md").read_text().split("## Ray Tune")[1]
    (block,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    namespace = {"find_spec": find_spec}
    exec(block, namespace)
    assert namespace["space"].names == ("optim/lr", "optim/name", "epochs")
