"""The parameter configurations of Ax 1 itself; the oracle is what Ax suggests for them."""

from __future__ import annotations

import warnings

import pytest

from autohpo import ChoiceHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.ax import from_ax

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]  # Ax warns of its own and others' code
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("ax.api.client", reason="Ax is not installed; the group spaces of make test-extras has it")
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig, DerivedParameterConfig, RangeParameterConfig

PARAMETERS = [
    RangeParameterConfig(name="lr", bounds=(1e-4, 0.1), parameter_type="float", scaling="log"),
    RangeParameterConfig(name="units", bounds=(16, 64), parameter_type="int", step_size=16),
    RangeParameterConfig(name="x", bounds=(0, 1), parameter_type="float"),
    RangeParameterConfig(name="y", bounds=(0, 1), parameter_type="float"),
    ChoiceParameterConfig(name="batch", values=[8, 64, 32], parameter_type="int", is_ordered=True),
    ChoiceParameterConfig(
        name="opt",
        values=["adam", "sgd", "lion"],
        parameter_type="str",
        is_ordered=False,
        dependent_parameters={"sgd": ["momentum"]},
    ),
    RangeParameterConfig(name="momentum", bounds=(0, 0.99), parameter_type="float"),
]


def test_each_configuration_has_its_parameter():
    """With children and a constraint."""
    space = from_ax(PARAMETERS, ["x + y <= 1"])
    assert space.roots == (
        LogRangeHP("lr", 1e-4, 0.1),
        RangeHP("units", 16, 64, step=16),
        RangeHP("x", 0.0, 1.0),
        RangeHP("y", 0.0, 1.0),
        OrdinalHP("batch", [8, 32, 64]),
        ChoiceHP("opt", ["adam", "sgd", "lion"], {"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
    )


def test_every_suggestion_of_ax_is_a_configuration():
    """Of its quasi-random start; parameters that are not active are left out there, too."""
    client = Client(random_seed=0)
    client.configure_experiment(parameters=PARAMETERS, parameter_constraints=["x + y <= 1"])
    client.configure_optimization(objective="-loss")
    space = from_ax(PARAMETERS, ["x + y <= 1"])
    seen = set()
    for _ in range(4):
        for hp in client.get_next_trials(max_trials=1).values():
            space.checked(hp)
            seen.add(hp["opt"])
            client.complete_trial(max(client._experiment.trials), raw_data={"loss": hp["x"]})
    assert seen <= {"adam", "sgd", "lion"}


def test_a_derived_parameter_is_an_error():
    """It is no part of what is searched."""
    derived = DerivedParameterConfig(name="z", expression_str="2 * x", parameter_type="float")
    with pytest.raises(SpaceError, match="'z': must be a RangeParameterConfig"):
        from_ax([*PARAMETERS, derived])


def test_an_order_is_taken_where_ax_takes_one():
    """Numbers and pairs, where is_ordered is not given."""
    space = from_ax(
        [
            ChoiceParameterConfig(name="a", values=[3, 1, 2], parameter_type="int"),
            ChoiceParameterConfig(name="b", values=["u", "v"], parameter_type="str"),
            ChoiceParameterConfig(name="c", values=["u", "v", "w"], parameter_type="str"),
        ]
    )
    assert space == SearchSpace([OrdinalHP("a", [1, 2, 3]), OrdinalHP("b", ["u", "v"]), ChoiceHP("c", ["u", "v", "w"])])
