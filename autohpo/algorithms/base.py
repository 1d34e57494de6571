"""BaseHPOptimizer: the hooks of an algorithm, and what it may look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from autohpo.algorithms.interface import OptimizerInterface
from autohpo.algorithms.options import chance_of, check_support, check_types
from autohpo.algorithms.parts.autogl_codec import AutoGLCodec
from autohpo.algorithms.parts.construction import explain_names
from autohpo.algorithms.parts.missing_space import MissingSpace, as_space
from autohpo.algorithms.parts.points import checked_points, plain_points
from autohpo.algorithms.parts.shadowable import Shadowable
from autohpo.algorithms.session import Session
from autohpo.errors import NoResultError, NoResultYetError, OptionError
from autohpo.history import History
from autohpo.objectives import Mode, Objectives
from autohpo.schedulers.limits import TrainingPlan
from autohpo.spaces import HPSpace, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion, Trial, whole

if TYPE_CHECKING:
    from autohpo.result import Result


DEFAULT_MAX_EVALS = 100
"""Trials of a search that nobody limited and whose algorithm never ends: AutoGL's default."""


@dataclass(eq=False)
class BaseHPOptimizer(OptimizerInterface):
    """The base of every algorithm: subclass it, write ``_get_suggestion``, register it.

    What an algorithm knows must follow from ``self.history``, and what it draws must come from ``self.rng``: then a
    search can be killed, resumed and repeated exactly.

    Args:
        space: The parameters to search; None takes those of the trainer that :meth:`optimize` gets.
        f: The objective, for :meth:`optimize`; without it use :meth:`ask` and :meth:`tell`.
        max_evals: Suggestions to make at most; a trial promoted to a higher fidelity counts again.
        seed: A number for everything random, 0 or more; None draws one, to be read from the attribute.
        mode: "max" where a higher result of `f` is better, "min" where a lower one is. Several objectives are a dict,
            ``{"acc": "max", "latency": "min"}``, where `f` returns a dict, or a list where it returns a tuple.
        noise: Whether results are noisy: then the best trial is the one that a model of all results expects most of,
            and not the luckiest.
        stop_hopeless: Ends trials that report, and gives up paused ones, once their chance to beat the best full
            result is below .02, or below the chance that is given here. It is predicted from the curves of the full
            trainings, and from five of them on.
        points: Configurations to try first, and pairs ``(configuration, result)`` whose result is known already; the
            latter are not run, and do not count in `max_evals`. A result is one of a full evaluation unless a
            :class:`autohpo.Point` says otherwise.

    Attributes:
        number: The number of the suggestion being made, or made next; from 0.
        objectives: The objectives that `mode` stands for.
        history: Finished and running trials, their reports and costs, and views of one fidelity. This, ``trials``,
            ``running``, ``rng`` and ``hp_space`` may be covered by attributes of a subclass.
        has_fidelity: False where the objective can only be run in full; set before the first suggestion.
        is_continued: Whether the objective continues a promoted trial where it paused, so that a budget pays only for
            what is added; set before the first suggestion.
        start_fidelity: What the configuration that is being suggested gets, where a scheduler asks a sampler for it;
            None where nothing is said.
        time_limit: Seconds for the whole search, as given to ``optimize``; None without a limit.
        memory_limit: Bytes for each worker, as given to ``optimize``; None without a limit.

    Raises:
        SpaceError: `space` is no list of parameters.
        OptionError: An option has the wrong type or value.

    Example:
        >>> from autohpo import RangeHP
        >>> class GoldenSteps(BaseHPOptimizer):
        ...     def _get_suggestion(self, pid):
        ...         return {"x": (self.number * 0.618) % 1}
        >>> hpo = GoldenSteps([RangeHP("x", 0.0, 1.0)])
        >>> suggestion = hpo.ask()
        >>> hpo.tell(suggestion, perf=0.5)
        >>> hpo.best()
        ({'x': 0.0}, 0.5)
    """

    is_multi_fidelity: ClassVar[bool] = False
    reads_fidelity: ClassVar[bool] = False  # whether it learns from trials of several fidelities, told apart
    reaches_full: ClassVar[bool] = True  # whether it gives some trials the full fidelity, if it may suggest for long
    needs_checkpoints: ClassVar[bool] = False  # whether it forks trials: the objective must save its state
    ends_with_space: ClassVar[bool] = False  # whether it ends once all configurations of a finite space were tried
    is_deterministic: ClassVar[bool] = False  # whether the seed changes no suggestion
    linear_algebra: ClassVar[LinearAlgebra] = ""  # whose linear algebra a suggestion calls; it then has one thread
    option_aliases: ClassVar[Mapping[str, str]] = {}
    supports: ClassVar[frozenset[str]] = frozenset()  # of "constraints", "objectives", "outcome_constraints"
    budget_options: ClassVar[frozenset[str]] = frozenset({"max_evals", "budget"})  # may change at a resume
    takes_budget: ClassVar[bool] = False  # whether it has the option `budget`, in full evaluations
    says_improvement: ClassVar[bool | None] = None  # whether suggestions say their info["expected_improvement"]

    space: SearchSpace = None  # type: ignore[assignment] # until __post_init__
    f: Callable[..., Any] | None = None
    max_evals: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    mode: Mode = field(default="max", kw_only=True)
    points: Sequence[Any] = field(default=(), kw_only=True)
    noise: bool = field(default=False, kw_only=True)
    stop_hopeless: bool | float = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        self.space = as_space(self.space)
        check_types(self)
        if self.max_evals is not None and self.max_evals < 1:
            raise OptionError(f"max_evals: must be at least 1, got {self.max_evals}")
        if self.seed is not None and self.seed < 0:
            raise OptionError(f"seed: must be at least 0, got {self.seed}")
        self.objectives = Objectives.of(self.mode)
        check_support(self)
        chance_of(self)
        self.points = plain_points(self.points)
        is_missing = isinstance(self.space, MissingSpace)  # then they are checked with the trainer's space
        points = [] if is_missing else checked_points(self.points, self.space, self.objectives)
        self.is_seed_drawn = self.seed is None
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.__session = Session(self, points)
        self.__codec: AutoGLCodec | None = None
        self.number = 0
        self.has_fidelity = self.is_continued = True
        self.start_fidelity: float | None = None
        self.time_limit: float | None = None
        self.memory_limit: int | None = None
        self.run_store: Any = None  # what optimize() used, if it was called

    # The hooks of an algorithm; only `_get_suggestion` must be written.

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        """Called once, before the first suggestion.

        Args:
            num_workers: How many trials will run at once.
            time_limit: Seconds for the whole search, if limited.
            memory_limit: Bytes for each worker, if limited.
        """

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        """Return the next configuration: a dict, or a Suggestion that says the fidelity too.

        Args:
            pid: The worker slot that will run it.

        Raises:
            OptimizationComplete: There is nothing left to suggest, for ever.
            NotReady: Some running trial must end first.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _get_suggestion(self, pid)")

    def _update_trials(self, pid: int, hp: Suggestion, perf: Any) -> None:
        """Called with each result, in the order told, after it has joined ``self.trials``.

        Failed trials do not come here: they stand in ``self.trials`` with a state and no score.

        Args:
            pid: The worker slot that ran it.
            hp: The very suggestion, with its number and fidelity.
            perf: A finite number, higher is better in both modes; a tuple where there are several objectives.
        """

    def _on_report(self, hp: Suggestion, fidelity: float, perf: Any) -> bool:
        """Return whether a running trial goes on; called with each of its reports.

        The report is the last one in ``self.history``, of the running trial of that number. A trial that is ended here
        becomes STOPPED, with what it reported last as its result.

        Args:
            hp: The very suggestion, with its number and fidelity.
            fidelity: How much training is done, counted from nothing.
            perf: A finite number, higher is better in both modes; a tuple where there are several objectives.
        """
        return True

    def _best_hp(self) -> tuple[dict[str, Any], Any]:
        """Return the best configuration and its perf (higher is better), of those with the highest fidelity.

        With several objectives it is the compromise that :func:`autohpo.objectives.incumbent` describes, and a tuple.
        """
        best = self.best_trial()
        if best is None or best.score is None:
            raise NoResultError(
                f"best: no trial of {self.n_told} has a result yet; call optimize(), or ask() and tell()"
            )
        return dict(best.hp), best.score if self.objectives.n == 1 else best.scores

    def _resume_with(self, options: Mapping[str, Any]) -> Sequence[str]:
        """Called before a stored run is resumed; returns the names of the options that now are those of the run.

        Args:
            options: The options that the run was begun with, in JSON types; of an older release, some may be missing.
        """
        return ()

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Mapping[str, Any]:
        """Return the suggestion that tries a point of the user's; some algorithms say more in it than the point."""
        return hp

    # What AutoGL's classes with an `optimize` of their own call.

    def _encode_para(self, space: AutoGLForm) -> list[dict[str, Any]]:
        """Return AutoGL's encoded form of a space in its dict form; see :class:`AutoGLCodec`."""
        self.__codec = AutoGLCodec(space)
        return self.__codec.items

    def _decode_para(self, para: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the configuration for a trainer that an encoded one stands for, and that with integers rounded.

        Raises:
            OptionError: No space was encoded before, or a name is missing.
        """
        if self.__codec is None:
            raise OptionError("_decode_para: needs a space; call _encode_para(space) first")
        return self.__codec.decode(para)

    # What an algorithm may use, and may cover with attributes of its own.

    @Shadowable
    def history(self) -> History:
        """Everything that the algorithm may know: trials, running ones with their reports, costs, and views."""
        return self.__session.history

    @Shadowable
    def rng(self) -> np.random.Generator:
        """The generator for this call of a hook, made from the seed and the number: nothing random is kept."""
        return self.__session.rng

    @Shadowable
    def trials(self) -> Sequence[Trial]:
        """The finished trials in the order told; a failed one has a state and no score."""
        return self.__session.history.trials

    @Shadowable
    def running(self) -> list[Suggestion]:
        """The suggestions without a result, in the order asked."""
        return [running.suggestion for running in self.__session.history.running]

    @Shadowable
    def hp_space(self) -> list[HPSpace]:
        """The parameters as a list, under AutoGL's name."""
        return list(self.space)

    @Shadowable
    def result(self) -> Result:
        """The trials of the last :meth:`optimize`, also where it raised.

        Raises:
            NoResultYetError: It was not called yet.
        """
        raise NoResultYetError(
            "result: there is none before optimize(); after ask() and tell(), best() returns the best"
        )

    # What an algorithm may declare.

    @property
    def is_finite(self) -> bool:
        """Whether the algorithm ends by itself, even without ``max_evals``."""
        is_finite = self.ends_with_space and self.space.n_configurations is not None
        return is_finite or self.__session.allowance.budget is not None

    @property
    def default_evals(self) -> int:
        """How many suggestions a search makes that has no limit and no end of its own."""
        return DEFAULT_MAX_EVALS

    @property
    def full_fidelity(self) -> float | None:
        """What this search gives a full evaluation; None where every trial is simply run in full."""
        full = getattr(self, "max_fidelity", None) if self.is_multi_fidelity and self.has_fidelity else None
        return None if full is None else whole(full)

    def training_plan(self) -> TrainingPlan | None:
        """Return what the search will train with its limits, known results left out; None where that cannot be said."""
        most = self.__session.allowance.most_evals
        return None if most == math.inf or self.is_multi_fidelity else TrainingPlan(int(most), int(most), most, 1)

    @property
    def resumable(self) -> frozenset[int]:
        """The finished trials that may still be continued or forked; the state of all others may be let go."""
        return frozenset()

    @property
    def needs_reports(self) -> bool:
        """Whether all that it saves is saved at reports: without any, every trial is a full evaluation."""
        return False

    def why(self, number: int) -> str:
        """Return why a trial went on, paused or stopped; the empty string where the algorithm has no reason.

        Args:
            number: The number of a finished trial.
        """
        rule = self.__session.hopeless
        return "" if rule is None else rule.reason(number)


explain_names(BaseHPOptimizer)
