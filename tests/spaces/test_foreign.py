"""Search spaces of other libraries in place of ours: the error names what converts them."""

from __future__ import annotations

import pytest

from autohpo import RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.spaces.foreign import check_not_foreign


def hyperopt_spaces():
    """A tree, a node, and a tree with lists."""
    from hyperopt import hp

    number = hp.randint("r", 3)
    return [{"x": hp.uniform("x", 0, 1)}, hp.choice("c", [1, 2]), {"a": {"b": [number]}}, [number]]


def optuna_spaces():
    """A dict of distributions."""
    optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
    return [{"x": optuna.distributions.FloatDistribution(0, 1)}]


def configspace_spaces():
    """A whole space, which is a mapping."""
    library = pytest.importorskip("ConfigSpace", reason="the extra autohpo[configspace] is not installed")
    return [library.ConfigurationSpace({"x": (0.0, 1.0)})]


def ax_spaces():
    """The dicts of its service interface."""
    return [[{"name": "x", "type": "range", "bounds": [0.0, 1.0]}]]


def ray_spaces():
    """Its dict for a grid."""
    return [{"x": {"grid_search": [1, 2]}}]


@pytest.mark.parametrize(
    ("spaces", "converter"),
    [
        (hyperopt_spaces, "hyperopt import from_hyperopt"),
        (optuna_spaces, "optuna import from_optuna"),
        (configspace_spaces, "configspace import from_configspace"),
        (ax_spaces, "ax import from_ax"),
        (ray_spaces, "raytune import from_ray_tune"),
    ],
)
def test_the_error_names_the_converter(spaces, converter):
    """The import that it says exists."""
    for given in spaces():
        with pytest.raises(SpaceError) as error:
            build_hpo_from_name("random", given)
        way = f"from autohpo.integrations.{converter}"
        assert str(error.value).endswith(f"convert it: {way}"), given
        exec(way, {})


def test_a_file_is_read_by_a_function_that_the_error_names():
    """A string is no space."""
    with pytest.raises(SpaceError, match="autohpo.spaces.read_space reads one from a file or from YAML"):
        build_hpo_from_name("random", "space.yaml")


@pytest.mark.parametrize(
    "given",
    [
        [RangeHP("x", 0.0, 1.0)],
        SearchSpace([RangeHP("x", 0.0, 1.0)]),
        [{"parameterName": "x", "type": "CATEGORICAL", "feasiblePoints": [1]}],
        {"trainer": [{"parameterName": "name", "type": "FIXED", "value": 1}]},
        5,
        None,
    ],
)
def test_our_own_are_none_of_them(given):
    """Nor is anything else."""
    check_not_foreign(given)
