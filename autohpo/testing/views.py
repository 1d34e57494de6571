"""Check that an algorithm is a function of what it is shown: behind a view it suggests what it suggests alone."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.sampler import Sampler
from autohpo.algorithms.parts.values import checked_suggestion
from autohpo.errors import NotReady, OptimizationComplete
from autohpo.testing.cases import Case, apply, every_third_fails, measure
from autohpo.testing.cases import Event as End
from autohpo.testing.checks import expect
from autohpo.trial import Suggestion

N_ASKS = 30
"""Suggestions that are compared: enough for a model with ten initial points to have worked for a while."""

RUNG = 3.0
"""The fidelity of the view; the history also has trials at 1 and at 9."""


class _Owner(BaseHPOptimizer):
    """A history that others fill."""

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        raise NotReady("never asked")

    def take(self, hp: Mapping[str, Any], fidelity: float, info: Mapping[str, Any]) -> Suggestion:
        """Return a suggestion that is running now."""
        suggestion = Suggestion(hp, fidelity=fidelity, info=info, number=self.n_asked)
        self.adopt(suggestion)
        return suggestion


def suggests_behind_a_view_what_it_does_alone(case: Case) -> None:
    """Suggests, behind the view of one rung of a search, what it would if that rung were all there is.

    So it serves as a sampler in any scheduler. What it counts and looks at must be its own history, `self.history`,
    `self.trials` and `self.running`, and nothing of the search around it.
    """
    alone = case.build()
    alone.has_fidelity = False  # behind a view of one fidelity there are no others
    owner = _Owner(alone.space, seed=alone.seed, mode=alone.mode)
    sampler, view = Sampler(case.cls, owner, case.options), owner.history.at(RUNG)
    running: list[tuple[Suggestion, Suggestion]] = []  # alone, and in the search
    others: list[Suggestion] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the objective takes no fidelity
        for n in range(2 * N_ASKS):
            _stir(owner, others, n)
            got, wanted = _outcome(lambda: sampler.suggest(view)), _outcome(alone.ask)
            if isinstance(got, Suggestion):
                got = checked_suggestion("behind a view", got, alone.space, alone.history)
            texts = [_text(alone, one) for one in (wanted, got)]
            expect(texts[0] == texts[1], f"suggestion {alone.n_asked} behind a view: {texts[0]}", texts[1])
            if isinstance(wanted, Suggestion):
                running.append((wanted, owner.take(wanted, RUNG, wanted.info)))
            elif wanted is OptimizationComplete and not running:
                return
            if len(running) > n % 4 or not isinstance(wanted, Suggestion):
                _finish(alone, owner, *running.pop(n % len(running)))
            if alone.n_asked >= N_ASKS:
                return


def _stir(owner: _Owner, others: list[Suggestion], n: int) -> None:
    """Lets trials at other rungs begin and end, whose results would mislead whoever saw them."""
    hps = owner.space.sample(owner.rng, 2)
    others.append(owner.take(hps[0], 1.0, {}))
    owner.tell(owner.take(hps[1], 9.0, {}), 1e3 * (-1) ** n)
    if n % 3 == 2:
        owner.tell(others.pop(0), -1e3)


def _finish(alone: BaseHPOptimizer, owner: _Owner, given: Suggestion, taken: Suggestion) -> None:
    """Ends a trial alone and in the search, in the same way."""
    state = every_third_fails(given)
    perf = measure(alone.space, given) * (1 if alone.mode == "max" else -1)
    for hpo, suggestion in ((alone, given), (owner, taken)):
        apply(hpo, End(suggestion, state, perf if state.has_perf else None), suggestion)


def _outcome(ask: Callable[[], Suggestion]) -> Suggestion | type[Exception]:
    """A suggestion, or the error that says why there is none."""
    try:
        return ask()
    except (NotReady, OptimizationComplete) as error:
        return type(error)


def _text(hpo: BaseHPOptimizer, found: Suggestion | type[Exception]) -> str:
    """What a suggestion says, whatever its number is."""
    if isinstance(found, Suggestion):
        return json.dumps([hpo.space.to_json(found), found.fidelity, found.resume, found.fork, found.info])
    return found.__name__
