"""DefineByRun: any algorithm over parameters that the trials themselves ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.joint import Joint, Seen
from autohpo.algorithms.parts.sampler import SamplerSpec, spec_of
from autohpo.algorithms.registry import register_hpo
from autohpo.define_by_run.distributions import Distribution, as_value, from_json
from autohpo.define_by_run.objective import PARAMS
from autohpo.define_by_run.trial import PARAM, PRUNED
from autohpo.errors import OptionError
from autohpo.history import Cursor
from autohpo.spaces import HPSpace, OpenHP
from autohpo.trial import Running, Suggestion, Trial, TrialState


@register_hpo("define_by_run")
@dataclass(eq=False, kw_only=True)
class DefineByRun(BaseHPOptimizer):
    """Draws the parameters that earlier trials have asked for; the space is one dict of whatever they will be.

    Parameters that always occur together are drawn together, as :class:`autohpo.algorithms.parts.joint.Joint` does.
    What no trial has asked for yet a trial draws by itself, from its seed.

    Args:
        sampler: The algorithm, without fidelities: a registered name, ``(name, options)`` or an optimizer.

    Raises:
        OptionError: The space is another one, or the sampler schedules fidelities itself.
        RegistryError: No algorithm has the sampler's name.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"objectives", "outcome_constraints"})

    sampler: SamplerSpec | BaseHPOptimizer = "tpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        if [type(parameter) for parameter in self.space] != [OpenHP]:
            raise OptionError(f"space: must be OpenHP({PARAMS!r}) alone, got {self.space}")
        self.sampler = spec_of(self.sampler)
        Joint(self.sampler, 0, self.mode)  # checks the sampler

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._cursor = Cursor(self.history)
        self._restart()

    def _restart(self) -> None:
        self._joint = Joint(self.sampler, self.seed or 0, self.mode)
        self._known: dict[str, Distribution] = {}
        self._parameters: dict[tuple[str, str], HPSpace | None] = {}

    def _get_suggestion(self, pid: int) -> Suggestion:
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        for trial in step.told:
            self._joint.take(self._seen(trial))
        drawn, notes = self._joint.draw(self._running())
        hp = {name: self._value(name, value) for name, value in drawn.items()}
        return Suggestion({PARAMS: hp}, info={"notes": dict(notes)} if notes else {})

    def _running(self) -> Iterator[Seen]:
        for running in self.history.running:
            yield self._of_drawn(running)

    def _value(self, name: str, ours: Any) -> Any:
        theirs = self._known[name]
        return theirs.choices[ours] if hasattr(theirs, "choices") else ours

    def _seen(self, trial: Trial) -> Seen:
        """A trial that has ended, with the parameters that its metrics tell of."""
        values = dict(params_of(trial.metrics))
        if not values:
            return replace(self._of_drawn(trial), outcome=trial.outcome)
        hp, parameters = {}, {}
        for name, (theirs, number) in values.items():
            self._known[name] = theirs
            parameter = self._parameter(name, theirs)
            if parameter is not None:
                hp[name] = int(number) if hasattr(theirs, "choices") else as_value(theirs, number)
                parameters[name] = parameter
        outcome = trial.outcome
        if PRUNED in trial.metrics and outcome.state is TrialState.COMPLETE:
            outcome = replace(outcome, state=TrialState.STOPPED)
        return Seen(trial.number, hp, parameters, outcome, trial.info.get("notes", {}))

    def _of_drawn(self, item: Trial | Running) -> Seen:
        """A trial as far as it was drawn by the model: what else it asks for is known when it ends."""
        given = {name: value for name, value in item.hp[PARAMS].items() if name in self._known}
        hp = {n: self._known[n].place(v) if hasattr(self._known[n], "choices") else v for n, v in given.items()}  # type: ignore[union-attr]
        return Seen(item.number, hp, {}, notes=item.info.get("notes", {}))

    def _parameter(self, name: str, theirs: Distribution) -> HPSpace | None:
        key = name, json.dumps(theirs.to_json())
        if key not in self._parameters:
            self._parameters[key] = theirs.parameter(name)
        return self._parameters[key]


def params_of(metrics: Mapping[str, float]) -> Iterator[tuple[str, tuple[Distribution, float]]]:
    """Yield name, distribution and number of each parameter that metrics tell of."""
    for key, number in metrics.items():
        if key.startswith(PARAM):
            name, *data = json.loads(key[len(PARAM) :])
            yield name, (from_json(data), number)
