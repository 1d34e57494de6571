"""Algorithms: what ``optimizer_class`` may be, and the optimizer that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.parts.build_arguments import checked_options
from autohpo.algorithms.registry import available_hpos, build_hpo_from_name, get_hpo, name_of
from autohpo.controller.settings import Settings
from autohpo.controller.strategy import SearchStrategy, called
from autohpo.errors import NotReady, OptimizationComplete, OptionError, shown
from autohpo.spaces import SearchSpace
from autohpo.trial import Suggestion

IN_ITERATIONS = {"min_fidelity": "min_iteration_per_job", "max_fidelity": "max_iteration_per_job"}


@dataclass(eq=False, kw_only=True)
class StrategyOptimizer(BaseHPOptimizer):
    """An algorithm whose suggestions are the jobs that a strategy in ClearML's form launches.

    Args:
        strategy: The module and the name of the strategy's class: a run goes on with the same one.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    strategy: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hooks: SearchStrategy | None = None

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: a strategy does, when it has no more jobs."""
        return True

    def _get_suggestion(self, pid: int) -> Suggestion:
        hooks = self.hooks
        if hooks is None:
            raise OptimizationComplete("strategy: it belongs to a controller, which is gone")
        job = hooks._taken(self.number)
        if job is None:
            hooks._watch([one.number for one in self.running])
            goes_on = called(hooks.process_step)
            job = hooks._taken(self.number)
            if job is None and (not goes_on or not self.running):
                raise OptimizationComplete("the strategy has no more jobs")
        if job is None:
            raise NotReady("the strategy has no job now")
        notes = {"tags": job.tags, "parent": job.parent, "overrides": job.task_overrides}
        return Suggestion(job.get_parameters(), info={name: note for name, note in notes.items() if note})


@dataclass(frozen=True)
class Algorithm:
    """What ``optimizer_class`` stands for.

    Attributes:
        cls: The class of the optimizer.
        name: The registered name, or that of the class.
        strategy: The strategy's class, where it is one.
    """

    cls: type[BaseHPOptimizer]
    name: str
    strategy: type[SearchStrategy] | None = None

    @classmethod
    def of(cls, optimizer_class: object) -> Algorithm:
        """Return the algorithm that an ``optimizer_class`` stands for.

        Raises:
            OptionError: It is none; the text says what it may be.
            RegistryError: No algorithm has this name.
        """
        given = optimizer_class
        if isinstance(given, str):
            return cls(_driven(get_hpo(given)), given)
        if isinstance(given, type) and issubclass(given, BaseHPOptimizer):
            return cls(_driven(given), name_of(given))
        if isinstance(given, type) and issubclass(given, SearchStrategy):
            return cls._of_strategy(given)
        known = ", ".join(available_hpos())
        raise OptionError(
            f"optimizer_class: must be a registered name ({known}), a subclass of BaseHPOptimizer or of "
            f"SearchStrategy, got {shown(given)}"
        )

    @classmethod
    def _of_strategy(cls, given: type[SearchStrategy]) -> Algorithm:
        is_own = given.create_job is not SearchStrategy.create_job
        if given.algorithm is not None:
            if is_own:
                raise OptionError(
                    f"optimizer_class: {given.__name__} is a strategy whose jobs autohpo's {given.algorithm} creates; "
                    "derive one with a create_job of its own from SearchStrategy"
                )
            return cls(get_hpo(given.algorithm), given.algorithm, given)
        if not is_own and given.process_step is SearchStrategy.process_step:
            raise OptionError(f"optimizer_class: {given.__name__} must define create_job(self)")
        return cls(StrategyOptimizer, given.__name__, given)

    @property
    def is_own_strategy(self) -> bool:
        """Whether a strategy of the user's creates the jobs."""
        return self.cls is StrategyOptimizer

    @property
    def option_names(self) -> frozenset[str]:
        """The names of its options, and their aliases."""
        return frozenset({*option_names(self.cls), *self.cls.option_aliases})

    def build(self, space: SearchSpace, f: Any, settings: Settings, options: Mapping[str, Any]) -> BaseHPOptimizer:
        """Return the optimizer.

        Args:
            space: The space.
            f: The objective.
            settings: What the controller was told.
            options: Options of the algorithm, with ``mode`` and ``seed``.

        Raises:
            OptionError: An option is unknown, was given twice, or breaks a rule.
        """
        given = {**options, **self._limits(settings, options)}
        if self.is_own_strategy and self.strategy is not None:
            named = f"{self.strategy.__module__}.{self.strategy.__qualname__}"
            return StrategyOptimizer(space, f, strategy=named, **given)
        if self.name in available_hpos():
            return build_hpo_from_name(self.name, space, f, **given)
        return self.cls(space, f, **checked_options(self.name, self.cls, given, dict))

    def _limits(self, settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that follow from the limits in jobs and iterations."""
        known, found = option_names(self.cls), {}
        for ours, theirs in IN_ITERATIONS.items():
            value = getattr(settings, theirs)
            twice = [
                name
                for name in (ours, *(a for a, o in self.cls.option_aliases.items() if o == ours))
                if name in options
            ]
            if value is not None and twice:
                raise OptionError(f"{twice[0]}: means {theirs}, which was given too")
            if value is not None and ours in known:
                found[ours] = value
        for name in ("budget", "max_evals"):
            if name in options and settings.total_max_jobs is not None:
                raise OptionError(f"{name}: means total_max_jobs, which was given too")
        if settings.total_max_jobs is not None:
            gives_parts = self.cls.is_multi_fidelity or "max_fidelity" in found
            found["budget" if self.cls.takes_budget and gives_parts else "max_evals"] = settings.total_max_jobs
        return found


def _driven(given: type[BaseHPOptimizer]) -> type[BaseHPOptimizer]:
    """Return a class that a controller can drive.

    Raises:
        OptionError: It has a loop of its own.
    """
    if given.optimize is not BaseHPOptimizer.optimize:
        who = given.__name__
        raise OptionError(f"optimizer_class: {who} has an optimize() of its own, which no controller can drive")
    return given
