"""Confirming: which training comes next when the best configurations are trained anew; what the driver asks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import checked_points
from autohpo.algorithms.registry import name_of
from autohpo.confirm import LEAST, Confirm, Contender, contenders_of, is_deterministic
from autohpo.errors import OptionError
from autohpo.objective import Objective
from autohpo.progress import Progress
from autohpo.ranking import last_of_each, rank
from autohpo.result import Result
from autohpo.run_options import RunOptions
from autohpo.search import Search
from autohpo.trainer import default_configuration
from autohpo.trial import Suggestion, Trial

SLACK = 1.5
"""How much more time than the trials so far took is set aside for confirming: machines are busier at times."""


class Confirming:
    """The trainings that confirm a search, in their order: the default first, then the best, one seed after the other.

    What comes next follows from the log alone, so a confirmation that was killed goes on where it was.

    Args:
        search: The search, open.
        plan: How many configurations and seeds.
        default: The configuration that was the user's before the search, if there is one.
        fidelity: What a full training gets; None where there is no fidelity.
    """

    def __init__(
        self, search: Search, plan: Confirm, default: Mapping[str, Any] | None = None, fidelity: float | None = None
    ) -> None:
        self._search, self._plan, self._default, self._fidelity = search, plan, default, fidelity
        self._chosen: dict[str, Contender] | None = None
        self._expected = 0, 0.0, 0.0  # results, and what a training takes by them: seconds, and cost

    def begin(self) -> None:
        """Choose what is confirmed, now that the search has ended: what was before, the default, and the best."""
        state = self._search.state
        key_of = state.space.key
        chosen = contenders_of(state)
        leaders = [t for t in (state.best, self._search.hpo.best_trial()) if t is not None]  # two where there is noise
        sign = state.objectives.signs[0]
        trials = sorted(last_of_each(state.trials()), key=lambda trial: rank(trial, sign), reverse=True)
        if leaders and self._default is not None:
            key = key_of(self._default)
            number = next((t.number for t in trials if key_of(t.hp) == key), None)
            chosen.setdefault(key, Contender(dict(self._default), number)).is_default = True
        new: dict[str, Contender] = {}
        for trial in [*leaders, *trials] if leaders else []:
            if len(new) == self._plan.k:
                break
            new.setdefault(key_of(trial.hp), Contender(trial.hp, trial.number))
        for key, contender in new.items():
            chosen.setdefault(key, contender)
        self._chosen = chosen

    def next(self, slot: int) -> Suggestion | None:
        """Return the next training, noted in the log; None where there is none now, or will never be one.

        Args:
            slot: The worker slot that will run it.
        """
        chosen = self._update()
        for place in range(self._plan.seeds):
            if place >= LEAST and is_deterministic(self._search.state, chosen.values()) is not False:
                return None  # it is known not to matter, or is not known yet
            for contender in chosen.values():
                if place not in contender.repeats and not contender.n_failed:
                    return self._ask(contender, place, slot)
        return None

    def _update(self) -> dict[str, Contender]:
        """Return what is confirmed, with what the log has of it now."""
        assert self._chosen is not None  # begun
        for key, known in contenders_of(self._search.state).items():
            if key in self._chosen:
                self._chosen[key].repeats = known.repeats
        return self._chosen

    def _ask(self, contender: Contender, place: int, slot: int) -> Suggestion:
        info: dict[str, Any] = {"confirms": contender.number, "repeat": place}
        if contender.is_default:
            info["default"] = True
        number = -1 - len(self._search.state.confirming())
        seed = fresh_seed(self._search.hpo.seed or 0, place)
        suggestion = Suggestion(contender.hp, fidelity=self._fidelity, info=info, number=number, pid=slot, seed=seed)
        self._search.repeat(suggestion)
        return suggestion

    @property
    def counts(self) -> tuple[int, int] | None:
        """How many trainings have ended, and of how many; None before it has begun."""
        if self._chosen is None:
            return None
        chosen = self._update()
        state, n = self._search.state, self._plan.seeds
        if is_deterministic(state, chosen.values()):
            n = LEAST
        ended = [sum(t.state.is_final for t in c.repeats.values()) for c in chosen.values()]
        wanted = [len(c.repeats) if c.n_failed else max(n, len(c.repeats)) for c in chosen.values()]
        return sum(ended), sum(wanted)

    def expected_seconds(self, capacity: int) -> float:
        """Return the time to set aside for confirming, by how long the trials so far took; 0 without any."""
        return SLACK * math.ceil(self._n_trainings / max(capacity, 1)) * self._each()[1]

    @property
    def expected_cost(self) -> float:
        """What confirming will cost, by what the trials so far cost; 0 without any."""
        return self._n_trainings * self._each()[2]

    @property
    def _n_trainings(self) -> int:
        return (self._plan.k + (self._default is not None)) * self._plan.seeds

    def _each(self) -> tuple[int, float, float]:
        """The results so far, and the seconds and the cost of one full training that they let expect."""
        state = self._search.state
        if state.n_done > 1.05 * self._expected[0]:  # so that all of these looks together cost a few
            trials = [trial for trial in state.trials() if trial.perfs]
            timed, costly = ([t for t in trials if getattr(t, of) is not None] for of in ("seconds", "cost"))
            seconds = self._mean(timed, sum(trial.seconds or 0.0 for trial in timed))
            cost = self._mean(costly, sum(trial.cost or 0.0 for trial in costly))
            self._expected = state.n_done, seconds, cost
        return self._expected

    def _mean(self, trials: Sequence[Trial], total: float) -> float:
        """The share of one full training: a mean, or where there are fidelities by what a unit of them took."""
        trained = sum(trial.reached for trial in last_of_each(trials))
        if self._fidelity is not None and 0 < trained < math.inf:
            return total / trained * self._fidelity
        return total / len(trials) if trials else 0.0


def fresh_seed(seed: int, place: int) -> int:
    """Return the seed of a confirming trial, in [0, 2**31): another stream than those of the search.

    Args:
        seed: The seed of the search.
        place: The place of the repeat: the same for each configuration, so that differences are paired.
    """
    return int(np.random.SeedSequence((seed, place, 2)).generate_state(1)[0]) & 0x7FFFFFFF


def default_of(hpo: BaseHPOptimizer, trainer: Any, options: RunOptions) -> dict[str, Any] | None:
    """Return the configuration that the user would take without a search: the first point to try, or the trainer's own.

    Raises:
        OptionError: The trainer's own is to be tried first, and it has none or another space.
    """
    points = checked_points(hpo.points, hpo.space, hpo.objectives)
    mine = next((point.hp for point in points if point.outcome is None), None)
    if trainer is None or not (options.default_first or (options.plan is not None and mine is None)):
        return mine
    try:
        own = default_configuration(trainer, hpo.space)
    except OptionError:
        if options.default_first:
            raise
        own = None
    if own is None and options.default_first:
        who = type(trainer).__name__
        raise OptionError(f"default_first: {who} has no default_hyper_parameters and no hyper_parameters to be tried")
    return own or mine


def confirming_of(
    search: Search, objective: Objective, options: RunOptions, default: dict[str, Any] | None
) -> Confirming | None:
    """Return what confirms the search in the end, if that is asked for.

    Raises:
        OptionError: The search cannot be confirmed.
    """
    hpo = search.hpo
    if options.plan is None:
        return None
    if hpo.objectives.n > 1:
        raise OptionError("confirm: a search for several objectives has no single best to confirm; look at pareto")
    if hpo.needs_checkpoints:
        raise OptionError(
            f"confirm: {name_of(type(hpo))} changes configurations while they train, so none can be trained anew"
        )
    return Confirming(search, options.plan, default, hpo.full_fidelity if objective.takes_fidelity else None)


def say_confirmed(result: Result, progress: Progress) -> None:
    """Say what was chosen, and how optimistic the search was."""
    winner = result.winner
    if winner is None or winner.mean is None or winner.interval is None:
        why = "every training failed" if result.confirmed else "confirming did not get far enough"
        warnings.warn(f"confirm: {why}, so the best is that of the search alone", UserWarning, stacklevel=5)
        return
    low, high = winner.interval
    name = "the default" if winner.is_default else f"trial {winner.trial.number}"
    text = f"confirmed {name}: mean {winner.mean:.6g} ({low:.6g} to {high:.6g}) over {len(winner.perfs)} seeds"
    if winner.optimism is not None and winner.trial.perf is not None:
        text += f"; the search saw {winner.trial.perf:.6g}"
    progress.say(text)
