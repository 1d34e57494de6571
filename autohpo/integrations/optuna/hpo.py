"""OptunaHPO: a sampler of Optuna as an algorithm of ours; needs ``autohpo[optuna]``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.errors import MissingExtraError, OptimizationComplete, OptionError
from autohpo.history import Cursor, History
from autohpo.spaces import SearchSpace
from autohpo.trial import Running, Suggestion, Trial, TrialState

try:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.study import StudyDirection
    from optuna.trial import TrialState as TheirState

    from autohpo.integrations.optuna.coding import Codes
    from autohpo.integrations.optuna.mirror import Mirror, MirrorStudy
except ImportError as error:
    raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error

_NOTE = "optuna"
_HELD = "autohpo:constraints"
_COMMON = frozenset(option_names(BaseHPOptimizer))


@dataclass(eq=False, kw_only=True)
class OptunaHPO(BaseHPOptimizer):
    """The base of Optuna's samplers here: each suggestion is what a new sampler draws for a study like this search.

    The sampler's seed follows from the search's and the number, so a search can be killed and goes on the same. What
    the sampler keeps with trials and study is kept in the notes of suggestions. Trials that run are RUNNING there,
    stopped ones PRUNED, failed ones FAIL. Options that are None are Optuna's defaults.
    """

    sampler_class: ClassVar[str]
    learns: ClassVar[bool] = True  # whether it looks at results
    has_own_seed: ClassVar[bool] = False  # whether a sampler finds its place again by its seed alone
    needs_values: ClassVar[bool] = False  # whether all values must be countable
    package: ClassVar[str | None] = None  # what it imports when it draws; an extra of ours has that name

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.package is not None and find_spec(self.package) is None:
            rule = f"is not installed, and {self.sampler_class} of Optuna needs it"
            raise MissingExtraError(f"{self.package} {rule}: pip install 'autohpo[{self.package}]'")
        if self.needs_values:
            for parameter in self.space:
                if parameter.n_values is None:
                    rule = f"must have values that can be counted for {self.sampler_class}"
                    raise OptionError(f"{parameter.name}: {rule}, got {parameter}")
            for name, theirs in Codes(self.space).distributions.items():
                if isinstance(theirs, FloatDistribution):
                    name = name.partition("\0")[0]
                    raise OptionError(f"{name}: must be a number or a choice for {self.sampler_class}")
        if self.space.n_columns:
            self._make(0, has_constraints=False)  # to check the options

    def _arguments(self) -> dict[str, Any]:
        """The arguments of the sampler, without the seed."""
        own = {name: getattr(self, name) for name in option_names(type(self)) if name not in _COMMON}
        return {name: value for name, value in own.items() if value is not None}

    def _make(self, seed: int, *, has_constraints: bool) -> Any:
        """A sampler of Optuna.

        Raises:
            OptionError: It does not take an option.
        """
        more: dict[str, Any] = {"constraints_func": _constraints} if has_constraints and self.learns else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an argument is experimental, or has another default
            try:
                made_by = getattr(optuna.samplers, self.sampler_class)
                if "warn_independent_sampling" in inspect.signature(made_by).parameters:
                    more["warn_independent_sampling"] = False  # that some parameters are conditional is no news
                return made_by(seed=seed, **self._arguments(), **more)
            except ImportError as error:
                raise MissingExtraError(f"{self.sampler_class} of Optuna needs a package: {error}") from error
            except (TypeError, ValueError, AttributeError) as error:
                raise OptionError(f"{self.sampler_class}: {error}") from error

    @staticmethod
    def kept(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the notes of a suggestion hold of what the sampler wrote to its trial: JSON types."""
        return {name: value for name, value in attributes.items() if ":relative_params" not in name}

    @staticmethod
    def restored(notes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the sampler finds at a trial, for what :meth:`kept` returned."""
        return notes

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        if self.space.n_columns:  # Optuna has no empty space
            self._followed = _Followed(type(self), self.history, self._make(self.seed or 0, has_constraints=False))

    def _get_suggestion(self, pid: int) -> Suggestion:
        if not self.space.n_columns:
            return Suggestion(self.space.sample(self.rng, 1)[0])
        followed = self._followed
        followed.catch_up(lambda: self._make(self.seed or 0, has_constraints=followed.has_constraints))
        if followed.study.is_over:
            raise OptimizationComplete(f"{self.sampler_class} has nothing left")
        seed = self.seed or 0 if self.has_own_seed else int(self.rng.integers(2**31))
        hp, note = followed.draw(self._make(seed, has_constraints=followed.has_constraints))
        return Suggestion(hp, info={_NOTE: note} if any(note.values()) else {})


class _Followed:
    """A search as a study of Optuna; a cache, which pickling leaves behind."""

    def __init__(self, cls: type[OptunaHPO], history: History, sampler: Any) -> None:
        self._cls, self._history, self._sampler = cls, history, sampler
        self._cursor, self._codes = Cursor(history), Codes(history.space)
        ways = [StudyDirection.MAXIMIZE if sign > 0 else StudyDirection.MINIMIZE for sign in history.objectives.signs]
        self._storage = Mirror(ways)
        self.study = MirrorStudy(self._storage, sampler)
        self.has_constraints = False

    def __reduce__(self) -> tuple[type[_Followed], tuple[type[OptunaHPO], History, Any]]:
        """Pickle by what it was made from: the rest follows from the history."""
        return type(self), (self._cls, self._history, self._sampler)

    def catch_up(self, make: Any) -> None:
        """Bring the study up to date."""
        step = self._cursor.step()
        if step.is_reset:
            self.__init__(self._cls, self._history, self._sampler)  # type: ignore[misc] # as if it were new
            step = self._cursor.step()
        for item in step.asked:
            self._add(item)
        for trial in step.told:
            if trial.constraints and not self.has_constraints:
                self.has_constraints = True
                self.study.sampler = make()
            self._end(trial)

    def _add(self, item: Trial | Running) -> None:
        note = item.info.get(_NOTE)
        note = note if isinstance(note, Mapping) else {}
        self._storage.add(*self._codes.params(item.hp), self._cls.restored(note.get("trial", {})))
        self._storage.attributes.update(note.get("study", {}))

    def _end(self, trial: Trial) -> None:
        theirs = self._storage.trials[trial.number]
        theirs.user_attrs[_HELD] = [float(value) for _, value in sorted(trial.constraints.items())]
        if not trial.state.has_perf:
            self.study.tell(trial.number, state=TheirState.FAIL)
        elif trial.state is TrialState.STOPPED and len(trial.perfs) == 1:
            reports = [(step, perf) for step, perf in trial.reports if isinstance(perf, float)]
            theirs.intermediate_values = {int(step): perf for step, perf in [*reports, (trial.reached, trial.perfs[0])]}
            self.study.tell(trial.number, state=TheirState.PRUNED)
        else:
            self.study.tell(trial.number, list(trial.perfs))

    def draw(self, sampler: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a sampler draws next, and what it writes when it does; the study is as before."""
        kept, self.study.sampler = self.study.sampler, sampler
        try:
            # It computes with huge values as they are. What it warns of is no concern of a user's here.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hp = self._codes.suggest(self.study.ask())
        finally:
            self.study.sampler = kept
            of_trial, of_study = self._storage.take_back()
        return hp, {"trial": dict(self._cls.kept(of_trial)), "study": of_study}


def values_of(space: SearchSpace) -> dict[str, list[Any]]:
    """Return the values of Optuna's parameters for a space whose values can be counted, by name."""
    found: dict[str, list[Any]] = {}
    for name, theirs in Codes(space).distributions.items():
        if isinstance(theirs, CategoricalDistribution):
            found[name] = list(theirs.choices)
        elif isinstance(theirs, IntDistribution):
            found[name] = list(range(theirs.low, theirs.high + 1, theirs.step))
    return found


def _constraints(trial: Any) -> list[float]:
    return trial.user_attrs.get(_HELD, [])  # type: ignore[no-any-return]
