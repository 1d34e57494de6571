"""Optimizers of blackboxopt that are searches of ours."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Container, Iterable, Sequence
from functools import cache
from typing import Any, ClassVar

import parameterspace as ps
from blackboxopt import base
from blackboxopt.base import EvaluationsError, Objective, OptimizerNotReady
from blackboxopt.evaluation import Evaluation, EvaluationSpecification

from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.errors import NotReady, OptimizationComplete, OptionError, StoreError, shown
from autohpo.history import not_running
from autohpo.integrations.blackboxopt.evaluations import check_asked, is_evaluations, mode_of, outcome_of
from autohpo.integrations.blackboxopt.spaces import from_parameterspace
from autohpo.integrations.blackboxopt.specifications import Specifier
from autohpo.search import Search
from autohpo.store import MemoryStore, Store
from autohpo.trial import Outcome, Suggestion

__all__ = ["MultiObjectiveSearch", "Optimizer", "SingleObjectiveSearch", "optimizer_class"]

StoreArgument = Store | str | os.PathLike[str] | None


class Optimizer(base.Optimizer):
    """A registered algorithm behind blackboxopt's contract: specifications out, evaluations in.

    It is a :class:`SingleObjectiveSearch` where `objective` is one Objective, and a :class:`MultiObjectiveSearch` where
    it is a list of them. A result is taken whole or not at all; one that was refused may be corrected and reported
    again, and one that was taken is refused the second time.

    Args:
        name: The name of the algorithm, one of ``autohpo.available_hpos()``.
        search_space: The space, which is seeded anew where there is a seed, and else stays as it is.
        objective: An Objective of blackboxopt, or a list of them.
        seed: A number for everything random, 0 or more; None draws one.
        store: The path or URL of a store that keeps every event. The same program resumes the run that is in it; what
            was under evaluation is given out again. None keeps the events in memory.
        options: Options of the algorithm, and ``max_evals`` and ``points``, which all algorithms have.

    Attributes:
        hpo: The optimizer of autohpo, with its trials; ``hpo.best()`` is the best so far.
        pending_configurations: The specifications that wait for a report, by their ids.

    Raises:
        SpaceError: The space cannot be expressed.
        RegistryError: No algorithm has this name.
        OptionError: An objective or an option breaks a rule, or the algorithm does not take several objectives.
        StoreError: The store cannot be used, or holds another run.

    Example:
        >>> import parameterspace as ps
        >>> from blackboxopt import Objective
        >>> space = ps.ParameterSpace()
        >>> _ = space.add(ps.ContinuousParameter("x", (-1.0, 1.0)))
        >>> optimizer = Optimizer("tpe", space, Objective("loss", greater_is_better=False), seed=0, max_evals=20)
        >>> specification = optimizer.generate_evaluation_specification()
        >>> loss = specification.configuration["x"] ** 2
        >>> optimizer.report(specification.create_evaluation(objectives={"loss": loss}))
        >>> optimizer.hpo.best()[1] == loss
        True
    """

    algorithm: ClassVar[str] = ""  # the name, where the class says it

    def __new__(cls, *arguments: Any, **options: Any) -> Optimizer:  # noqa: PYI034 - Self is not in 3.10
        """Make the kind that the objective asks for."""
        if cls is not Optimizer:
            return object.__new__(cls)
        objective = options.get("objective", arguments[2] if len(arguments) > 2 else None)
        is_one = isinstance(objective, Objective)
        return object.__new__(SingleObjectiveSearch if is_one else MultiObjectiveSearch)

    def __init__(
        self,
        name: str,
        search_space: ps.ParameterSpace,
        objective: Objective | Sequence[Objective],
        seed: int | None = None,
        *,
        store: StoreArgument = None,
        **options: Any,
    ) -> None:
        is_one = isinstance(self, SingleObjectiveSearch)
        self._theirs: list[Objective] = _listed(objective, is_one)
        mode = mode_of(self._theirs, is_one)
        for own in ("mode", "f"):
            if own in options:
                raise OptionError(f"{own}: must not be given here, where the objective and the loop say it")
        self._name = name
        self.hpo = build_hpo_from_name(name, from_parameterspace(search_space), seed=seed, mode=mode, **options)
        self.hpo.is_continued = False  # an evaluation function is only told the fidelity: it begins from nothing
        super().__init__(search_space, self._theirs[0] if is_one else self._theirs, seed)  # type: ignore[call-arg, arg-type]
        self._open(store)

    def _open(self, store: StoreArgument) -> None:
        """Open the search, and take in what its store has."""
        self._lock = threading.RLock()
        self._search = Search(self.hpo, store)
        self._search.open()
        if not isinstance(self._search.store, MemoryStore):
            weakref.finalize(self, self._search.close)
        self._specifier = Specifier(self._name, self.hpo)
        self._numbers: dict[str, int] = {}
        self._again: list[str] = []
        self.pending_configurations: dict[str, EvaluationSpecification] = {}
        for trial in self._search.state.trials():
            known = self._take(trial.suggestion)
            if trial.number in self._search.state.running:
                self.pending_configurations[known] = self._specifier.specify(trial.suggestion)
                self._again.append(known)

    def close(self) -> None:
        """Save what is not saved yet, and give the store free. May be called twice."""
        self._search.close()

    def __enter__(self) -> Optimizer:  # noqa: PYI034 - Self is not in 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all that the search knows; a search space with conditions that are lambdas can only be copied.

        Raises:
            StoreError: It has a store, which only one process may have open.
        """
        if not isinstance(self._search.store, MemoryStore):
            raise StoreError(
                "store: an optimizer that has a store cannot be pickled; open the store where it is needed"
            )
        apart = ("_lock", "_search", "_specifier", "_numbers")
        state = {name: value for name, value in vars(self).items() if name not in apart}
        kind = type(self)
        made_by = (kind.algorithm, isinstance(self, MultiObjectiveSearch))
        is_made = bool(kind.algorithm) and optimizer_class(*made_by) is kind
        return _blank, (None, made_by) if is_made else (kind, None), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        again = state["_again"]
        self._open(None)
        self._again = again

    def generate_evaluation_specification(self) -> EvaluationSpecification:
        """Return the next configuration and settings to evaluate.

        Raises:
            OptimizationComplete: There will never be another one.
            OptimizerNotReady: There may be one after the next report.
            SuggestionError: The algorithm returned something that is no configuration of the space.
        """
        with self._lock:
            while self._again:
                known = self._again.pop(0)
                if known in self.pending_configurations:
                    return self._specifier.specify(self._asked(self._numbers[known]))
            try:
                suggestion = self._search.ask()
            except OptimizationComplete as error:
                raise base.OptimizationComplete(str(error)) from error
            except NotReady as error:
                raise OptimizerNotReady(str(error)) from error
            for number in range(len(self._numbers), suggestion.number):  # points whose results are known
                self._take(self._search.state[number].suggestion)
            known = self._take(suggestion)
            self.pending_configurations[known] = self._specifier.specify(suggestion)
            return self._specifier.specify(suggestion)  # another one: the loop may write into it

    def report(self, evaluations: Evaluation | Iterable[Evaluation]) -> None:
        """Take one evaluation, or several, whose order does not matter.

        Args:
            evaluations: Evaluations that specifications of this optimizer have created.

        Raises:
            EvaluationsError: Some were refused, each whole: ``evaluations_with_errors`` has them with their errors.
                All others were taken.
            OptionError: There are no evaluations, but something else.
        """
        batch = [evaluations] if isinstance(evaluations, Evaluation) else _listed_evaluations(evaluations)
        refused: dict[int, Exception] = {}
        taken: dict[int, Outcome] = {}
        with self._lock:
            for place, evaluation in enumerate(batch):
                try:
                    number, outcome = self._read(evaluation, taken)
                    taken[number] = outcome
                except Exception as error:  # noqa: PERF203 - one that was made by hand may hold anything
                    refused[place] = error
            self._end(taken)
        if refused:
            raise EvaluationsError([(batch[place], error) for place, error in refused.items()])

    def _read(self, evaluation: object, taken: Container[int]) -> tuple[int, Outcome]:
        """The number of the trial that an evaluation is of, and its outcome; others of the batch may be taken."""
        if not isinstance(evaluation, Evaluation):
            raise OptionError(f"evaluation: must be an Evaluation of blackboxopt, got {shown(evaluation)}")
        base.validate_objectives(evaluation, self._theirs)
        known = (evaluation.optimizer_info or {}).get("id")
        if known is None:
            raise OptionError("evaluation: optimizer_info must have the 'id' of its specification, got none")
        number = self._numbers.get(str(known))
        if number is None:
            raise OptionError(f"evaluation: must be of a specification of this optimizer, got the id {shown(known)}")
        if number in taken or number not in self._search.state.running:
            raise OptionError(f"evaluation: {not_running(number, self.hpo.n_asked)}")
        check_asked(evaluation, self._asked(number), self.hpo.space)
        return number, outcome_of(evaluation, self._theirs, self.hpo.objectives)

    def _end(self, outcomes: dict[int, Outcome]) -> None:
        """End trials in the order of their numbers: in the log first, then for the algorithm."""
        search = self._search
        trials = [search.note_end(n, search.state.attempts[n].n, outcomes[n]) for n in sorted(outcomes)]
        search.save()
        for trial in trials:
            if trial is not None:
                self.pending_configurations.pop(self._specifier.id_of(trial.suggestion), None)
                search.told(trial)

    def _asked(self, number: int) -> Suggestion:
        return self._search.state.running[number].suggestion

    def _take(self, suggestion: Suggestion) -> str:
        """Take in a suggestion, and return its id."""
        self._specifier.follow(suggestion)
        known = self._specifier.id_of(suggestion)
        self._numbers[known] = suggestion.number
        return known


class SingleObjectiveSearch(Optimizer, base.SingleObjectiveOptimizer):
    """A registered algorithm with one objective; see :class:`Optimizer`.

    Attributes:
        objective: The objective.
    """


class MultiObjectiveSearch(Optimizer, base.MultiObjectiveOptimizer):
    """A registered algorithm with a list of objectives; see :class:`Optimizer`.

    Attributes:
        objectives: The objectives.
    """


def optimizer_class(name: str, is_multi_objective: bool = False) -> type[Optimizer]:
    """Return the class of a registered algorithm, for whatever wants a class of blackboxopt and its arguments.

    Its instances are made with ``(search_space, objective, seed=None, *, store=None, **options)``; see
    :class:`Optimizer`. The same name gives the same class.

    Args:
        name: The name of the algorithm.
        is_multi_objective: Whether it takes a list, `objectives`, in place of the one `objective`.

    Raises:
        RegistryError: No algorithm has this name.

    Example:
        >>> from blackboxopt.optimizers.testing import handles_conditional_space
        >>> handles_conditional_space(optimizer_class("tpe"), {"max_evals": 20}, seed=1)
    """
    return _class_of(name, bool(is_multi_objective))


@cache
def _class_of(name: str, is_multi_objective: bool) -> type[Optimizer]:
    get_hpo(name)

    def single(
        self: Any, search_space: ps.ParameterSpace, objective: Objective, seed: int | None = None, **options: Any
    ) -> None:
        Optimizer.__init__(self, name, search_space, objective, seed, **options)

    def multi(
        self: Any,
        search_space: ps.ParameterSpace,
        objectives: Sequence[Objective],
        seed: int | None = None,
        **options: Any,
    ) -> None:
        Optimizer.__init__(self, name, search_space, objectives, seed, **options)

    kind, init = (MultiObjectiveSearch, multi) if is_multi_objective else (SingleObjectiveSearch, single)
    title = "".join(part.capitalize() for part in name.split("_"))
    return type(title, (kind,), {"algorithm": name, "__init__": init, "__doc__": kind.__doc__, "__module__": __name__})


def _blank(kind: type[Optimizer] | None, made_by: tuple[str, bool] | None) -> Optimizer:
    """An optimizer without a state, to be unpickled: of a class of this package, or of one that is made by name."""
    cls: Any = kind if made_by is None else optimizer_class(*made_by)
    made: Optimizer = object.__new__(cls)
    return made


def _listed(objectives: object, is_one: bool) -> list[Any]:
    if is_one or isinstance(objectives, Objective):
        return [objectives]
    if isinstance(objectives, str) or not isinstance(objectives, Iterable):
        raise OptionError(f"objective: must be an Objective of blackboxopt or a list of them, got {shown(objectives)}")
    return list(objectives)


def _listed_evaluations(evaluations: object) -> list[Any]:
    if not is_evaluations(evaluations) or not isinstance(evaluations, Iterable):
        raise OptionError(f"evaluations: must be an Evaluation or a list of them, got {shown(evaluations)}")
    return list(evaluations)
