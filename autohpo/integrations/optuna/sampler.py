"""Sampler: an algorithm of ours as a sampler of Optuna; needs ``autohpo[optuna]``."""

from __future__ import annotations

import json
import math
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.parts.joint import Joint, check_flat
from autohpo.algorithms.parts.sampler import SamplerSpec, spec_of
from autohpo.algorithms.registry import available_hpos, build_hpo_from_name, get_hpo
from autohpo.errors import MissingExtraError, OptimizationComplete, OptionError, SpaceError, shown
from autohpo.spaces import FixedHP, RangeHP, SearchSpace

try:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial
    from optuna.trial import TrialState as TheirState

    from autohpo.integrations.optuna.distributions import Codec, distribution_of
    from autohpo.integrations.optuna.followed import CONSTRAINTS, NOTES, Followed
except ImportError as error:
    raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error

__all__ = ["Sampler"]

_OURS = frozenset(option_names(BaseHPOptimizer))


class Sampler(BaseSampler):
    """An algorithm of ours as a sampler of Optuna: ``create_study(sampler=Sampler("bayes", seed=0))``.

    Parameters that occur together in the trials so far are drawn together by the algorithm, group by group, so that
    parameters behind an ``if`` have a model of their own. What no finished trial has used, such as everything in the
    first trial, is drawn from its distribution. With `space` the algorithm draws from the first trial on.

    What is drawn follows from the seed and the study's trials alone: a study that goes on in another process gets the
    suggestions that it would have got in one. Trials that run count as pending, in other processes as soon as their
    parameters are in the storage. Threads take turns (``n_jobs``). Where several processes share a study, give each
    another seed, or none.

    A pruned trial counts with its last value, as no better than the median of the complete ones; a failed one counts as
    tried. Values that are not finite count as failures.

    Args:
        name_or_optimizer: The algorithm: a registered name, or an optimizer whose options, space and seed are taken.
        space: The parameters that are drawn together: a search space of ours, with conditions, priors and constraints,
            or Optuna's distributions by name. None infers them.
        seed: The seed; None draws one.
        constraints_func: Returns the constraints of a trial that has ended, as a sequence of numbers that are at most 0
            where they are met.
        options: Options of the algorithm.

    Raises:
        MissingExtraError: Optuna is not installed.
        OptionError: The algorithm needs fidelities, does not look at constraints of results, or has no such option; or
            the seed is no integer of at least 0.
        RegistryError: No algorithm has this name.
        SpaceError: Optuna has no distribution for a parameter of `space`.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=Sampler("tpe", seed=0))
        >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=30)
        >>> study.best_value < 0.01
        True
    """

    def __init__(
        self,
        name_or_optimizer: SamplerSpec | BaseHPOptimizer = "auto",
        *,
        space: Any = None,
        seed: int | None = None,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(name_or_optimizer, BaseHPOptimizer):
            hpo = name_or_optimizer
            space = hpo.space if space is None else space
            seed = hpo.seed if seed is None and not hpo.is_seed_drawn else seed
        for name in _OURS & set(options):
            raise OptionError(f"{name}: must not be given to a sampler, the study says it, got {shown(options[name])}")
        spec = spec_of(name_or_optimizer)
        name, kept = (spec, {}) if isinstance(spec, str) else (spec[0], spec[1])
        check_flat(name)
        build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], **{"seed": seed, **kept, **options})  # checks the options
        if constraints_func is not None and "outcome_constraints" not in get_hpo(name).supports:
            able = [n for n in available_hpos() if ":" not in n and "outcome_constraints" in get_hpo(n).supports]
            able = [n for n in able if not get_hpo(n).is_multi_fidelity]
            rule = f"{name} does not look at constraints of results; these do"
            raise OptionError(f"constraints_func: {rule}: {', '.join(able)}")
        self._spec = [name, {**kept, **options}]
        self._seed = _drawn_seed() if seed is None else seed
        self._codec, self._constraints_func = Codec(), constraints_func
        self._is_theirs = isinstance(space, Mapping) and all(isinstance(d, BaseDistribution) for d in space.values())
        self._relative = self._distributions_of(space)
        self._space = SearchSpace(list(self._codec.parameters(space).values())) if self._is_theirs else space
        self._restart()

    def _distributions_of(self, space: Any) -> dict[str, BaseDistribution] | None:
        """The relative space that was given; None where it is inferred."""
        if space is None or self._is_theirs:
            return None if space is None else {n: one for n, one in space.items() if not one.single()}
        found = {}
        for parameter in SearchSpace(space):
            if isinstance(parameter, FixedHP):
                continue
            made = distribution_of(parameter)
            if made is None:
                raise SpaceError(f"{parameter.name}: must be a number or a choice for Optuna, got {parameter}")
            found[parameter.name] = made
        return found

    def _restart(self) -> None:
        self._lock = threading.RLock()
        self._followed: weakref.WeakKeyDictionary[Study, Followed] = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what follows from a study."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_followed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._restart()

    def __str__(self) -> str:
        return f"Sampler({self._spec[0]!r})"

    def reseed_rng(self) -> None:
        """Draw another seed: Optuna calls it where trials begin to run in parallel."""
        with self._lock:
            self._seed = _drawn_seed()
            self._followed.clear()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of the parameters that the algorithm draws."""
        if self._relative is not None:
            return dict(self._relative)
        with self._lock:
            return self._of(study).relative()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what the algorithm draws for a trial; nothing where it has nothing left, and the study is stopped."""
        if not search_space:
            return {}
        with self._lock:
            followed = self._of(study)
            try:
                drawn, notes = followed.draw(trial.number)
            except OptimizationComplete:
                _stop(study)
                return {}
            if notes:
                study._storage.set_trial_system_attr(trial._trial_id, NOTES, json.dumps(notes))
            return {n: self._theirs(search_space[n], value) for n, value in drawn.items() if n in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value drawn from its distribution, by the seed, the trial's number and the parameter's name."""
        rng = np.random.default_rng((self._seed, trial.number, zlib.crc32(param_name.encode())))
        parameter = self._codec.parameter(param_name, param_distribution)
        if parameter is None:
            return param_distribution.to_external_repr(getattr(param_distribution, "low", 0))
        return self._codec.theirs(param_distribution, parameter.decode(rng.random((1, parameter.width)))[0])

    def after_trial(self, study: Study, trial: FrozenTrial, state: TheirState, values: Sequence[float] | None) -> None:
        """Keep the constraints of a trial in the study, and stop it where the algorithm has nothing left."""
        if self._constraints_func is not None and state in (TheirState.COMPLETE, TheirState.PRUNED):
            found = tuple(float(value) for value in self._constraints_func(trial))
            if any(math.isnan(value) for value in found):
                raise OptionError(f"constraints_func: must return numbers, got {shown(found)}")
            study._storage.set_trial_system_attr(trial._trial_id, CONSTRAINTS, found)
        with self._lock:
            followed = self._of(study)
            if followed.joint.is_finite:
                try:
                    followed.draw(None)
                except OptimizationComplete:
                    _stop(study)

    def _theirs(self, theirs: BaseDistribution, value: Any) -> Any:
        return value if self._relative is not None and not self._is_theirs else self._codec.theirs(theirs, value)

    def _of(self, study: Study) -> Followed:
        """What was seen of a study, brought up to date."""
        if study not in self._followed:
            joint = Joint(self._spec, self._seed, _mode(study), self._space)
            codes = self._space is None or self._is_theirs
            self._followed[study] = Followed(joint, self._codec, codes=codes)
        followed = self._followed[study]
        followed.catch_up(study)
        return followed


def _mode(study: Study) -> Any:
    ways = ["min" if way == StudyDirection.MINIMIZE else "max" for way in study.directions]
    return ways[0] if len(ways) == 1 else ways


def _stop(study: Study) -> None:
    try:
        study.stop()
    except RuntimeError:  # it is asked and told, by somebody who may go on
        return


def _drawn_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
