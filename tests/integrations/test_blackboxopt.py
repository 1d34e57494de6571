"""The contract of blackboxopt: specifications, reports, errors, objectives, constraints."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import OptionError, RegistryError, available_hpos, build_hpo_from_name
from autohpo.trial import TrialState

pytest.importorskip("blackboxopt", reason="the extra autohpo[blackboxopt] is not installed")

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

import blackboxopt as bbo
import parameterspace as ps
from blackboxopt.base import MultiObjectiveOptimizer, SingleObjectiveOptimizer
from blackboxopt_shared import LOSS, a_space, evaluate, made, run

from autohpo.integrations.blackboxopt import Optimizer, from_parameterspace, optimizer_class

SCORE = bbo.Objective("score", greater_is_better=True)


def refused(optimizer, *evaluations):
    """The errors of a report that is refused."""
    with pytest.raises(bbo.EvaluationsError) as caught:
        optimizer.report(list(evaluations) if len(evaluations) > 1 else evaluations[0])
    return [error for _, error in caught.value.evaluations_with_errors]


def test_it_is_an_optimizer_of_the_library_of_the_kind_that_its_objective_says():
    """So that loops, which ask for the kind, know where the objectives are."""
    one, several = made(), Optimizer("nsga2", a_space(), [LOSS, SCORE], seed=0)
    assert isinstance(one, SingleObjectiveOptimizer)
    assert not isinstance(one, MultiObjectiveOptimizer)
    assert isinstance(several, MultiObjectiveOptimizer)
    assert not isinstance(several, SingleObjectiveOptimizer)
    assert all(isinstance(each, (bbo.Optimizer, Optimizer)) for each in (one, several))
    assert (one.objective, several.objectives, one.seed) == (LOSS, [LOSS, SCORE], 0)
    assert issubclass(optimizer_class("tpe"), SingleObjectiveOptimizer)
    assert issubclass(optimizer_class("tpe", True), MultiObjectiveOptimizer)
    assert optimizer_class("tpe") is optimizer_class("tpe")


@pytest.mark.parametrize("name", ["tpe", "bayes", "bohb", "hyperband", "asha", "cmaes", "kde"])
def test_the_suggestions_are_those_of_the_algorithm_itself(name):
    """Same seed, same space: the adapter adds nothing."""
    theirs = made(name)
    ours = build_hpo_from_name(name, from_parameterspace(a_space()), seed=0, mode="min")
    for configuration, settings in run(theirs, 40):
        suggestion = ours.ask()
        assert (dict(suggestion), suggestion.fidelity) == (configuration, settings.get("fidelity"))
        ours.tell(suggestion, suggestion["x"] ** 2)


def test_a_greater_score_is_better_where_the_objective_says_so():
    """Every algorithm sees higher-is-better scores; the user's own values stay what they are."""
    for greater in (False, True):
        optimizer = Optimizer("tpe", a_space(), bbo.Objective("y", greater), seed=0)
        values = {}
        for _ in range(30):
            specification = optimizer.generate_evaluation_specification()
            y = specification.configuration["x"]
            values[y] = specification.configuration
            optimizer.report(specification.create_evaluation(objectives={"y": y}))
        best, perf = optimizer.hpo.best()
        assert perf == (max if greater else min)(values)
        assert best == values[perf]
        assert (perf > 0.8) if greater else (perf < -0.8)


def test_an_evaluation_is_taken_once_and_whole():
    """What is refused changes nothing: the corrected one is taken, and the next is no surprise."""
    optimizer, twin = made("bohb"), made("bohb")
    specification = optimizer.generate_evaluation_specification()
    twin.report(evaluate(twin.generate_evaluation_specification()))
    evaluation = evaluate(specification)
    for change, kind, text in (
        ({"objectives": {"los": 1.0}}, bbo.ObjectivesError, "Unknown reported"),
        ({"objectives": {}}, bbo.ObjectivesError, "Missing"),
        ({"objectives": {"loss": float("nan")}}, ValueError, "must be finite"),
        ({"objectives": {"loss": "low"}}, ValueError, "must be one number"),
        ({"objectives": None}, AttributeError, "NoneType"),
        ({"constraints": {"size": float("inf")}}, bbo.ConstraintsError, "constraint 'size' must be one finite number"),
        ({"settings": {}}, OptionError, r"settings\['fidelity'\] must be 1"),
        ({"settings": {"fidelity": 3}}, OptionError, "got 3"),
        ({"settings": None}, OptionError, "settings must be a dict, got None"),
        ({"optimizer_info": {}}, OptionError, "must have the 'id'"),
        (
            {"optimizer_info": {"id": "nobody"}},
            OptionError,
            "of a specification of this optimizer, got the id 'nobody'",
        ),
        ({"configuration": {**specification.configuration, "x": 0.123}}, OptionError, "configuration must be"),
        ({"configuration": {}}, OptionError, "configuration must be"),
        ({"configuration": {**specification.configuration, "y": 1}}, OptionError, "'y': 1"),
    ):
        wrong = copy.deepcopy(evaluation)
        for field, value in change.items():
            setattr(wrong, field, value)
        (error,) = refused(optimizer, wrong)
        assert isinstance(error, kind), change
        with pytest.raises(kind, match=text):
            raise error
        assert list(optimizer.pending_configurations) == [specification.optimizer_info["id"]]
    optimizer.report(evaluation)
    assert optimizer.pending_configurations == {}
    (error,) = refused(optimizer, evaluation)
    assert "has a result already" in str(error)
    assert run(optimizer, 20) == run(twin, 20)


def test_the_good_ones_of_a_batch_are_taken_and_each_of_the_others_is_named():
    """Also where one stands there twice, or is no evaluation at all."""
    optimizer = made()
    first, second, third = (optimizer.generate_evaluation_specification() for _ in range(3))
    twin = made(max_evals=9).generate_evaluation_specification()
    other = Optimizer("tpe", a_space(), LOSS, seed=1).generate_evaluation_specification()
    wrong = second.create_evaluation(objectives={"speed": 1.0})
    batch = [evaluate(third), wrong, evaluate(first), evaluate(first), evaluate(other), 3]
    with pytest.raises(bbo.EvaluationsError) as caught:
        optimizer.report(iter(batch))
    assert [item for item, _ in caught.value.evaluations_with_errors] == [wrong, batch[3], batch[4], 3]
    assert optimizer.hpo.n_told == 2
    assert list(optimizer.pending_configurations) == [second.optimizer_info["id"]]
    assert twin.optimizer_info["id"] == first.optimizer_info["id"]  # the same search in another process
    for nothing in (7, "abc", first, None):
        with pytest.raises(OptionError, match="evaluations: must be an Evaluation or a list"):
            optimizer.report(nothing)
    optimizer.report([])


class Plain:
    """An object that is equal to nothing but itself."""


def test_values_may_be_objects_of_any_kind_though_evaluations_copy_them():
    """What comes back is never the object that was suggested."""
    space = ps.ParameterSpace()
    space.add(ps.ContinuousParameter("x", (0.0, 1.0)))
    space.add(ps.CategoricalParameter("how", (print, Plain(), (1, 2), lambda: 1)))
    optimizer = Optimizer("tpe", space, LOSS, seed=0)
    found = run(optimizer, 20)
    assert len({id(configuration["how"]) for configuration, _ in found}) == 4
    specification = optimizer.generate_evaluation_specification()
    for wrong in ([9], "print"):
        evaluation = evaluate(specification)
        evaluation.configuration["how"] = wrong
        assert "configuration must be" in str(refused(optimizer, evaluation)[0])


def test_the_objects_of_the_caller_stay_as_they_are():
    """Inactive parameters may stand in what is reported; nothing that was handed out is shared."""
    optimizer, space = made(), a_space()
    specification = optimizer.generate_evaluation_specification()
    while specification.configuration["opti"] == "sgd":
        optimizer.report(evaluate(specification))
        specification = optimizer.generate_evaluation_specification()
    pending = optimizer.pending_configurations[specification.optimizer_info["id"]]
    specification.optimizer_info["eval_spec_id"] = "a note of a loop"
    assert "eval_spec_id" not in pending.optimizer_info
    specification.configuration["momentum"] = 0.5  # not active with adam
    evaluation = evaluate(specification, user_info={"note": ["kept"], "n": 3})
    before = copy.deepcopy(evaluation)
    optimizer.report(evaluation)
    assert evaluation == before
    assert "momentum" not in optimizer.hpo.trials[-1].hp
    unseeded = Optimizer("tpe", space, LOSS)
    unseeded.generate_evaluation_specification()
    assert space.sample() == a_space().sample()


def test_none_is_a_failed_evaluation_and_the_stack_trace_its_error():
    """Failed ones never count as results."""
    optimizer = made()
    for more, error in (({"stacktrace": "Traceback: boom"}, "Traceback: boom"), ({}, "loss: None was reported")):
        specification = optimizer.generate_evaluation_specification()
        optimizer.report(specification.create_evaluation(objectives={"loss": None}, user_info={"n": 2}, **more))
        trial = optimizer.hpo.trials[-1]
        assert (trial.state, trial.perf, trial.error, trial.metrics) == (TrialState.FAILED, None, error, {"n": 2.0})
    several = Optimizer("nsga2", a_space(), [LOSS, SCORE], seed=0)
    specification = several.generate_evaluation_specification()
    several.report(specification.create_evaluation(objectives={"loss": 1.0, "score": None}))
    assert several.hpo.trials[-1].state is TrialState.FAILED
    run(optimizer, 10)


def test_constraints_change_their_sign():
    """Violated is negative there and positive here; what is unknown is no result."""
    optimizer = Optimizer("tpe", a_space(), LOSS, seed=0)
    for constraint, wanted in ((2.5, -2.5), (0.0, 0.0), (-1.5, 1.5)):
        specification = optimizer.generate_evaluation_specification()
        loss = -constraint
        optimizer.report(specification.create_evaluation({"loss": loss}, constraints={"memory": constraint}))
        assert optimizer.hpo.trials[-1].constraints == {"memory": wanted}
        assert str(optimizer.hpo.trials[-1].constraints["memory"]) != "-0.0"
    specification = optimizer.generate_evaluation_specification()
    optimizer.report(specification.create_evaluation({"loss": -9.0}, constraints={"memory": -0.5}))
    assert optimizer.hpo.best()[1] == -2.5  # not -9: that violates its constraint
    specification = optimizer.generate_evaluation_specification()
    optimizer.report(specification.create_evaluation({"loss": -9.0}, constraints={"memory": None}))
    assert optimizer.hpo.trials[-1].error == "memory: None was reported"


def test_numbers_of_user_info_are_metrics_of_the_trial():
    """Whatever their names; texts and lists stay with the evaluation alone."""
    optimizer = made()
    info = {"n_epochs": 3, "perf": 1.0, "cost": 2.0, "loss": 4.0, "note": "slow", "curve": [1, 2], "bad": float("nan")}
    optimizer.report(evaluate(optimizer.generate_evaluation_specification(), user_info=info))
    trial = optimizer.hpo.trials[0]
    assert trial.metrics == {"n_epochs": 3.0, "perf": 1.0, "cost": 2.0, "loss": 4.0}
    assert trial.cost is None
    optimizer.report(evaluate(optimizer.generate_evaluation_specification(), user_info="a text"))


def test_the_optimization_is_complete_with_max_evals_and_not_ready_while_a_rung_waits():
    """Two different things: never again, and not now."""
    optimizer = made(max_evals=3)
    run(optimizer, 3)
    for _ in range(2):
        with pytest.raises(bbo.OptimizationComplete, match="all 3 suggestions were made"):
            optimizer.generate_evaluation_specification()
    halving = made("successive_halving", min_fidelity=1, max_fidelity=3, n=3, num_iterations=1)
    specifications = []
    with pytest.raises(bbo.OptimizerNotReady):
        while len(specifications) < 50:
            specifications.append(halving.generate_evaluation_specification())
    halving.report(map(evaluate, specifications))
    assert halving.generate_evaluation_specification().settings == {"fidelity": 3}


def test_what_is_no_objective_option_or_name_is_named():
    """Typed errors, before anything is asked."""
    space = a_space()
    for arguments, options, kind, text in (
        (("tpe", space, "loss"), {}, OptionError, "objective: must be an Objective"),
        (("tpe", space, []), {}, OptionError, "objectives: must be at least one"),
        (("tpe", space, [LOSS, LOSS]), {}, OptionError, "names must differ, got 'loss' twice"),
        (("tpe", space, [LOSS, "score"]), {}, OptionError, "must be an Objective of blackboxopt, got 'score'"),
        (("tpe", space, LOSS), {"mode": "max"}, OptionError, "mode: must not be given here"),
        (("tpe", space, LOSS), {"speed": 1}, OptionError, "speed"),
        (("tpe", space, LOSS), {"seed": -1}, OptionError, "seed: must be at least 0"),
        (("tpo", space, LOSS), {}, RegistryError, "did you mean|Algorithms"),
        (("bayes", space, [LOSS, SCORE]), {}, OptionError, "these do: .*nsga2"),
    ):
        with pytest.raises(kind, match=text):
            Optimizer(*arguments, **options)
    with pytest.raises(RegistryError):
        optimizer_class("tpo")


@pytest.mark.filterwarnings("ignore:.*does not look at constraints:UserWarning")
def test_ids_are_one_for_each_configuration_and_fidelity():
    """A result at a low fidelity, sent twice, is never taken for the one at the next."""
    optimizer = made("hyperband", min_fidelity=1, max_fidelity=9, num_iterations=1)
    first, keys = {}, {}
    while True:
        try:
            specification = optimizer.generate_evaluation_specification()
        except bbo.OptimizationComplete:
            break
        info = specification.optimizer_info
        json.dumps(info)
        assert info["id"] not in first
        if "resume" in info:
            earlier = first[info["resume"]]
            assert earlier.configuration == specification.configuration
            assert earlier.optimizer_info["configuration_key"] == info["configuration_key"]
            assert earlier.settings["fidelity"] * 3 == specification.settings["fidelity"]
            assert refused(optimizer, evaluate(earlier))
        else:
            assert info["configuration_key"] not in keys
            keys[info["configuration_key"]] = specification
        first[info["id"]] = specification
        optimizer.report(evaluate(specification))
    assert len(keys) == 9
    assert [spec.settings["fidelity"] for spec in first.values()] == [1] * 9 + [3] * 3 + [9]


def test_it_says_whether_a_model_chose():
    """As blackboxopt's BOHB does; None where the algorithm does not say."""
    picks = [made("kde").generate_evaluation_specification().optimizer_info["model_based_pick"]]
    optimizer = made("kde", random_fraction=0.0)
    run(optimizer, 20)
    picks.append(optimizer.generate_evaluation_specification().optimizer_info["model_based_pick"])
    optimizer = made("bayes")
    picks.append(optimizer.generate_evaluation_specification().optimizer_info["model_based_pick"])
    assert picks == [False, True, None]


def test_known_results_come_first_and_are_no_evaluations():
    """They are points of autohpo, which the algorithm learns from."""
    points = [({"x": 0.1, "opti": "adam"}, 0.01), {"x": 0.2, "opti": "adam"}]
    optimizer = made("bohb", points=points, min_fidelity=1, max_fidelity=9)
    specification = optimizer.generate_evaluation_specification()
    assert specification.configuration == {"x": 0.2, "opti": "adam"}
    assert (specification.optimizer_info["number"], optimizer.hpo.n_known) == (1, 1)
    optimizer.report(evaluate(specification))
    run(optimizer, 30)


def test_a_promoted_configuration_costs_its_whole_fidelity():
    """The evaluation function is only told the fidelity, so it begins from nothing, and a budget counts that."""
    optimizer = made("asha", min_fidelity=1, max_fidelity=9, budget=5)
    found = []
    with pytest.raises(bbo.OptimizationComplete):
        while True:
            found += run(optimizer, 1)
    assert 4 < sum(settings["fidelity"] for _, settings in found) / 9 <= 5


def test_without_the_library_the_error_names_the_extra():
    """In a process where the import of blackboxopt fails; our own package of that name is not in its way."""
    code = (
        "import sys; sys.modules['blackboxopt'] = None\n"
        "from autohpo.errors import MissingExtraError\n"
        "try: from autohpo.integrations.blackboxopt import Optimizer\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "blackboxopt is not installed: pip install 'autohpo[blackboxopt]'", done.stderr


def test_every_name_makes_a_class_that_says_it():
    """For whoever reads a traceback."""
    for name in available_hpos():
        assert optimizer_class(name).algorithm == name
    assert optimizer_class("successive_halving").__name__ == "SuccessiveHalving"
