"""Evaluations: what blackboxopt's results are as outcomes of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blackboxopt.base import ConstraintsError, Objective, validate_objectives
from blackboxopt.evaluation import Evaluation, EvaluationSpecification

from autohpo.algorithms.parts.values import reason_text
from autohpo.errors import InvalidPerfError, OptionError, shown
from autohpo.integrations.blackboxopt.values import is_copy
from autohpo.objectives import Objectives, as_perf
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

__all__ = ["check_asked", "mode_of", "outcome_of"]


def mode_of(objectives: Sequence[object], is_one: bool) -> Any:
    """Return which way each objective is better, as a ``mode`` option.

    Args:
        objectives: Objectives of blackboxopt.
        is_one: Whether there is a single objective, which needs no name.

    Raises:
        OptionError: There are none, or one is no Objective, or two have the same name.
    """
    named: dict[str, str] = {}
    for objective in objectives:
        if not isinstance(objective, Objective):
            raise OptionError(f"objective: must be an Objective of blackboxopt, got {shown(objective)}")
        if objective.name in named:
            raise OptionError(f"objectives: names must differ, got {shown(objective.name)} twice")
        named[objective.name] = "max" if objective.greater_is_better else "min"
    if not named:
        raise OptionError("objectives: must be at least one, got none")
    return next(iter(named.values())) if is_one else named


def check_asked(evaluation: Evaluation, asked: Suggestion, space: SearchSpace) -> None:
    """Raise an error unless an evaluation is one of the configuration and the fidelity that were asked for.

    Inactive parameters may stand in its configuration, which stays as it is.

    Args:
        evaluation: What was reported.
        asked: The suggestion with its id.
        space: The space of the suggestion.

    Raises:
        OptionError: The fidelity or a value is another one.
    """
    for part in ("settings", "configuration"):
        if not isinstance(getattr(evaluation, part), Mapping):
            raise OptionError(f"evaluation: {part} must be a dict, got {shown(getattr(evaluation, part))}")
    fidelity = evaluation.settings.get("fidelity")
    if asked.fidelity is not None and fidelity != asked.fidelity:
        rule = f"settings['fidelity'] must be {asked.fidelity}, as was asked for"
        raise OptionError(f"evaluation: {rule}, got {shown(fidelity)}")
    given = evaluation.configuration
    unknown = sorted(set(given) - set(space.names))
    wrong = [name for name in asked if name not in given or not is_copy(asked[name], given[name])]
    if unknown or wrong:
        got = {name: given.get(name) for name in [*wrong, *unknown]}
        raise OptionError(f"evaluation: configuration must be {dict(asked)}, as was asked for, got {shown(got, 1000)}")


def outcome_of(evaluation: Evaluation, theirs: Sequence[Objective], ours: Objectives) -> Outcome:
    """Return an evaluation as an outcome: failed where an objective or a constraint is None.

    A constraint is met there where it is at least 0, and here where it is at most 0. Numbers of ``user_info`` become
    metrics, and the stack trace of a failed evaluation is its error.

    Args:
        evaluation: What was reported.
        theirs: The objectives of blackboxopt.
        ours: The objectives of the search, in the same order.

    Raises:
        ObjectivesError: An objective is missing or unknown.
        ConstraintsError: A constraint is no finite number.
        InvalidPerfError: An objective is no finite number.
    """
    validate_objectives(evaluation, list(theirs))
    values = [evaluation.objectives[objective.name] for objective in theirs]
    constraints = evaluation.constraints or {}
    missing = [objective.name for objective, value in zip(theirs, values, strict=True) if value is None]
    missing += [name for name, value in constraints.items() if value is None]
    if missing:
        reason = evaluation.stacktrace or f"{', '.join(missing)}: None was reported"
        return Outcome(TrialState.FAILED, metrics=_metrics(evaluation.user_info), error=reason_text(reason))
    measured = ours.measure(values[0] if ours.n == 1 else values)
    return Outcome(TrialState.COMPLETE, measured.perfs, _flipped(constraints), metrics=_metrics(evaluation.user_info))


def _flipped(constraints: Mapping[str, Any]) -> dict[str, float]:
    """Constraints that are met where they are at most 0."""
    found = {}
    for name, value in constraints.items():
        try:
            found[str(name)] = 0.0 - as_perf(value)
        except InvalidPerfError:  # noqa: PERF203 - the error names the constraint
            raise ConstraintsError(f"constraint {shown(name)} must be one finite number, got {shown(value)}") from None
    return found


def _metrics(user_info: object) -> dict[str, float]:
    """The finite numbers of what the user says beside the objectives; the rest is for the user alone."""
    found = {}
    for name, value in user_info.items() if isinstance(user_info, Mapping) else ():
        try:
            found[str(name)] = as_perf(value)
        except InvalidPerfError:  # noqa: PERF203 - a text, a list
            continue
    return found


def is_evaluations(value: object) -> bool:
    """Return whether a value may be a list of evaluations: specifications pretend to be mappings."""
    return not isinstance(value, (EvaluationSpecification, Mapping, str))
