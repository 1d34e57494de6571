"""The conformance checks of optimizers: whether an algorithm keeps what the library promises of every algorithm."""

from __future__ import annotations

from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.testing import fidelity, objectives, protocol, reproducible, robust, views
from autohpo.testing.cases import Case
from autohpo.testing.checks import BoundCheck, Check, CheckResult, bind, run_checks
from autohpo.testing.examples import few_space


def _is_random(case: Case) -> bool:
    return not case.cls.is_deterministic


def _has_fidelities(case: Case) -> bool:
    return case.cls.is_multi_fidelity


def _has_no_fidelities(case: Case) -> bool:
    return not case.cls.is_multi_fidelity


def _reaches_full(case: Case) -> bool:
    return case.cls.reaches_full


def _takes_constraints(case: Case) -> bool:
    return "constraints" in case.cls.supports


def _takes_objectives(case: Case) -> bool:
    return "objectives" in case.cls.supports


def _learns_objectives(case: Case) -> bool:
    return _takes_objectives(case) and not case.cls.is_deterministic  # a grid in a fixed order learns nothing


def _ends_with_the_space(case: Case) -> bool:
    return case.build(few_space()).is_finite


OPTIMIZER_CHECKS: tuple[Check, ...] = (
    Check(reproducible.same_seed_same_suggestions),
    Check(reproducible.other_seed_other_suggestions, _is_random),
    Check(reproducible.independent_of_the_process),
    Check(reproducible.survives_pickling),
    Check(reproducible.rebuilds_from_history),
    Check(reproducible.rebuilds_while_trials_run),
    Check(reproducible.draws_from_its_own_generator),
    Check(reproducible.mode_min_mirrors_mode_max),
    Check(protocol.suggests_legal_values),
    Check(protocol.handles_every_kind_of_space),
    Check(protocol.respects_constraints, _takes_constraints),
    Check(protocol.repeats_nothing_in_finite_spaces, _ends_with_the_space),
    Check(protocol.leaves_inputs_alone),
    Check(protocol.ends_as_declared),
    Check(protocol.waits_only_for_running_trials),
    Check(protocol.is_unmoved_by_asking_in_vain),
    Check(protocol.suggests_while_others_run),
    Check(protocol.stops_at_max_evals),
    Check(protocol.names_the_best),
    Check(protocol.declares_its_fidelity, _has_no_fidelities),
    Check(robust.survives_failures),
    Check(robust.accepts_results_in_any_order),
    Check(robust.refuses_a_second_result),
    Check(robust.refuses_what_is_no_number),
    Check(robust.takes_the_good_of_a_batch),
    Check(robust.survives_extreme_results),
    Check(robust.takes_reports),
    Check(views.suggests_behind_a_view_what_it_does_alone),
    Check(fidelity.stays_within_its_fidelities, _has_fidelities),
    Check(fidelity.compares_known_results_with_full_ones, _reaches_full),
    Check(fidelity.resumes_rightly, _has_fidelities),
    Check(fidelity.forks_as_declared),
    Check(fidelity.works_without_fidelity, _has_fidelities),
    Check(fidelity.survives_lost_survivors, _has_fidelities),
    Check(objectives.takes_several_objectives, _takes_objectives),
    Check(objectives.rebuilds_with_several_objectives, _takes_objectives),
    Check(objectives.mirrors_each_objective, _takes_objectives),
    Check(objectives.survives_odd_outcomes, _takes_objectives),
    Check(objectives.covers_the_front, _learns_objectives),
)
"""Every check of an optimizer, in the order in which they run; each takes a :class:`Case`."""


def check_optimizer(name_or_class: str | type[BaseHPOptimizer], **options: Any) -> list[CheckResult]:
    """Runs every check that concerns an algorithm, and returns how each ended.

    Args:
        name_or_class: A registered name, or a class that need not be registered.
        options: Options to build the algorithm with. A multi-fidelity one is checked sooner with few rungs.

    Raises:
        ConformanceError: Some checks failed; it names each, with what was wanted and what was got.
        RegistryError: The name is unknown.

    Example:
        >>> results = check_optimizer("random")
        >>> {result.state for result in results if result.name == "survives_pickling"}
        {'passed'}
    """
    case = Case.of(name_or_class, options)
    return run_checks(_title(name_or_class), OPTIMIZER_CHECKS, case)


def optimizer_checks(name_or_class: str | type[BaseHPOptimizer], **options: Any) -> list[BoundCheck]:
    """The checks that concern an algorithm, to be run one by one.

    Args:
        name_or_class: A registered name, or a class that need not be registered.
        options: Options to build the algorithm with.

    Raises:
        RegistryError: The name is unknown.

    Example:
        In a test of your own::

            @pytest.mark.parametrize("check", optimizer_checks(MyOptimizer), ids=str)
            def test_my_optimizer_conforms(check):
                check()
    """
    return bind(OPTIMIZER_CHECKS, Case.of(name_or_class, options))


def _title(name_or_class: str | type[BaseHPOptimizer]) -> str:
    return name_or_class if isinstance(name_or_class, str) else name_or_class.__qualname__
