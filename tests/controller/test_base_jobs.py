"""What a base job and its parameters may be: functions, generators, trainers, command lines; ClearML's own classes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, squared

from autohpo import (
    ChoiceHP,
    CommandObjective,
    FixedHP,
    HyperParameterOptimizer,
    LogRangeHP,
    NoResultError,
    OptionError,
    RangeHP,
    SearchSpace,
    SpaceError,
)
from autohpo.controller.parameters import space_of
from autohpo.integrations import clearml
from autohpo.trial import TrialState

PRINTS = "import json; x = {General/x}; print(json.dumps(dict([('epoch', 1), (NAME, 1 - (x - .3) ** 2), ('loss', x)])))"


def command(name):
    """A command that prints a metric under a name."""
    return [sys.executable, "-c", PRINTS.replace("NAME", repr(name))]


@pytest.mark.parametrize("name", ["validation/accuracy", "accuracy", "validation"])
def test_the_metric_of_a_command_is_found_by_title_and_series_or_either(name):
    """In this order; other metrics are kept, too."""
    made = ran(CommandObjective(command(name), metric="accuracy"), total_max_jobs=2, queue="local")
    (details,) = made.get_top_experiments_details(1, all_metrics=True)
    x = details["hyper_parameters"]["General/x"]
    assert details["metrics"]["validation/accuracy"]["value"] == pytest.approx(1 - (x - 0.3) ** 2)
    assert details["metrics"]["loss"]["value"] == pytest.approx(x)
    assert details["iteration"] == 1


def test_a_command_line_is_a_string_with_the_names_of_the_parameters():
    """And its own name of the metric is tried last; an unknown one fails the job, with the names seen."""
    code = "import json; print(json.dumps(dict(accuracy={General/x})))"
    text = f'{sys.executable} -c "{code}"'
    made = ran(text, total_max_jobs=2, queue="local")
    assert made.get_top_experiments(1)[0].trial.perf == max(t.hp["General/x"] for t in made.get_optimizer().result)
    own = ran(CommandObjective(command("acc"), metric="acc"), total_max_jobs=1, queue="local")
    assert own.get_top_experiments(1)[0].get_metric("validation", "accuracy") is not None
    wrong = controller(CommandObjective(command("f1"), metric="accuracy"), total_max_jobs=1, queue="local")
    wrong.start()
    with pytest.raises(NoResultError, match="f1"):
        wrong.wait(1.0)


def test_a_command_that_prints_as_clearml_reports_is_read():
    """A title, a series, a value and an iteration in each line."""
    code = (
        "import json\n"
        "for i in range(1, 4):\n"
        "    print(json.dumps(dict(title='training', series='loss', value=1 / i, iteration=i)))\n"
        "    print(json.dumps(dict(title='validation', series='accuracy', value={General/x} * i, iteration=i)))\n"
    )
    made = ran(CommandObjective([sys.executable, "-c", code], metric="any"), total_max_jobs=1, queue="local")
    (job,) = made.get_top_experiments(1)
    assert job.iterations() == 3
    x = job.get_parameters()["General/x"]
    accuracy = job.get_last_scalar_metrics()["validation"]["accuracy"]
    assert (accuracy["min"], accuracy["max"]) == pytest.approx((x, 3 * x))


def test_a_command_with_an_unknown_placeholder_is_an_error_at_build():
    """Not in every job."""
    with pytest.raises(OptionError, match="momentum"):
        controller("train --lr {General/x} --momentum {momentum}", queue="local")
    with pytest.raises(OptionError, match="base_task_id: must be a function"):
        controller(3)
    with pytest.raises(OptionError, match="argument 'lr' has no default"):
        controller(lambda hps, lr: lr)


class Trainer:
    """AutoGL's contract; its score is best at x = .5, and lower is better."""

    def __init__(self, x=0.0):
        self.x = x

    def duplicate_from_hyper_parameter(self, hp):
        return Trainer(hp["General/x"])

    def train(self, dataset):
        self.dataset = dataset

    def get_valid_score(self):
        return (self.x - self.dataset) ** 2, False


def test_a_trainer_is_a_base_job_whose_score_is_the_metric():
    """As it says it itself; where it says the opposite of the sign the jobs fail."""
    made = ran(Trainer(), sign="min", total_max_jobs=5, dataset=0.5)
    for trial in made.get_optimizer().result:
        assert trial.perf == pytest.approx((trial.hp["General/x"] - 0.5) ** 2)
    wrong = controller(Trainer(), sign="max", total_max_jobs=2, dataset=0.5)
    wrong.start()
    with pytest.raises(NoResultError, match="objective_metric_sign: is 'max', but lower is better"):
        wrong.wait(1.0)


def test_several_objectives_may_come_as_numbers_in_their_order():
    """And a wrong number of them makes the job INVALID."""
    made = HyperParameterOptimizer(
        lambda hps: (hps["x"], 1 - hps["x"]) if hps["x"] < 0.9 else 3.0,
        [RangeHP("x", 0.0, 1.0)],
        ["a", "b"],
        ["c", "d"],
        "max",
        "random",
        execution_queue="serial",
        total_max_jobs=20,
        seed=0,
    )
    made.start()
    assert made.wait(1.0)
    states = {trial.hp["x"] < 0.9: trial.state for trial in made.get_optimizer().result}
    assert states == {True: TrialState.COMPLETE, False: TrialState.INVALID}


def stand_ins():
    """Classes with the names and the attributes of ClearML's, one derived from another as there."""

    class Parameter:
        def __init__(self, **values):
            vars(self).update(values)

    class UniformParameterRange(Parameter):
        pass

    class LogUniformParameterRange(UniformParameterRange):
        pass

    class UniformIntegerParameterRange(Parameter):
        pass

    class DiscreteParameterRange(Parameter):
        pass

    class ParameterSet(Parameter):
        pass

    def uniform(cls, name, low, high, step=None, **more):
        return cls(name=name, min_value=float(low), max_value=float(high), step_size=step, include_max=True, **more)

    return types.SimpleNamespace(
        UniformParameterRange=lambda *a: uniform(UniformParameterRange, *a),
        LogUniformParameterRange=lambda *a: uniform(LogUniformParameterRange, *a, base=10),
        UniformIntegerParameterRange=lambda name, low, high, step=1: UniformIntegerParameterRange(
            name=name, min_value=low, max_value=high, step_size=step, include_max=True
        ),
        DiscreteParameterRange=lambda name, values: DiscreteParameterRange(name=name, values=values),
        ParameterSet=lambda values: ParameterSet(name=None, values=values),
    )


def real_module():
    """ClearML's own module of parameters, alone: the package wants a server's libraries."""
    spec = importlib.util.find_spec("clearml")
    if spec is None or spec.origin is None:
        pytest.skip("clearml is not installed")
    folder = Path(spec.origin).parent
    for name, path in (("clearml", folder), ("clearml.automation", folder / "automation")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    return importlib.import_module("clearml.automation.parameters")


@pytest.mark.parametrize("made", [stand_ins, real_module])
def test_objects_of_clearmls_own_classes_become_parameters_of_ours(made, monkeypatch):
    """A log range is one, though it is derived from the linear one; sets without a name get one each."""
    for name in [name for name in sys.modules if name.split(".")[0] == "clearml"]:
        monkeypatch.delitem(sys.modules, name)
    theirs = made()
    nested = theirs.UniformParameterRange("c", 0, 1)
    space = space_of(
        [
            theirs.UniformParameterRange("General/x", 0, 1, 0.25),
            theirs.LogUniformParameterRange("General/lr", -4, -1),
            theirs.UniformIntegerParameterRange("Args/n", 1, 10, 4),
            theirs.DiscreteParameterRange("Args/batch", [96, 128]),
            theirs.DiscreteParameterRange("Args/epochs", [30]),
            theirs.ParameterSet([{"a": 1, "c": nested}, {"a": 2, "c": theirs.UniformParameterRange("c", 0, 1)}]),
            theirs.ParameterSet([{"d": 1}, {"d": 2}]),
            RangeHP("ours", 0, 3),
        ]
    )
    wanted = SearchSpace(
        [
            RangeHP("General/x", 0.0, 1.0, step=0.25),
            LogRangeHP("General/lr", 1e-4, 1e-1),
            RangeHP("Args/n", 1, 9, step=4),
            ChoiceHP("Args/batch", [96, 128]),
            FixedHP("Args/epochs", 30),
            clearml.ParameterSet([{"a": 1, "c": RangeHP("c", 0.0, 1.0)}, {"a": 2, "c": RangeHP("c", 0.0, 1.0)}]),
            clearml.ParameterSet([{"d": 1}, {"d": 2}], "parameter_set_2"),
            RangeHP("ours", 0, 3),
        ]
    )
    assert space.to_dict() == wanted.to_dict()
    if hasattr(nested, "to_dict"):
        assert space_of([nested.to_dict()]).to_dict() == space_of([nested]).to_dict()
    for name in [name for name in sys.modules if name.split(".")[0] == "clearml"]:
        monkeypatch.delitem(sys.modules, name)


def test_what_is_no_parameter_is_a_typed_error():
    """With the names of what may be."""
    for wrong in (3, "lr", [3], [object()], [{"type": "Unknown"}]):
        with pytest.raises(SpaceError, match="hyper_parameters: must be"):
            controller(squared, space=wrong)
