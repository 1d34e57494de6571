"""Mirror: a study of Optuna that follows a search of ours, in a storage that can take a trial back."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = ["Mirror", "MirrorStudy"]


class Mirror(BaseStorage):
    """The trials of one study in memory; the number of a trial is its id, and what is returned is not copied.

    What a sampler writes while it draws is collected, so that it can be kept elsewhere and taken back here.

    Args:
        directions: Which way each objective is better.

    Attributes:
        trials: The trials.
        attributes: What samplers keep with the study.
        written: What they have written to the study since it was cleared.
    """

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        self._directions = list(directions)
        self.trials: list[FrozenTrial] = []
        self.attributes: dict[str, Any] = {}
        self.written: dict[str, Any] = {}
        self._before: dict[str, Any] | None = None  # what was there, while a trial is drawn

    def add(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], attributes: Mapping[str, Any]
    ) -> FrozenTrial:
        """Add a running trial."""
        number = len(self.trials)
        made = dict(params), dict(distributions)
        empty: tuple[dict[str, Any], dict[int, float]] = {}, {}
        self.trials.append(
            FrozenTrial(
                number, TrialState.RUNNING, None, None, None, *made, empty[0], dict(attributes), empty[1], number
            )
        )
        return self.trials[-1]

    def take_back(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Forget the newest trial, and return what was written to it and, since it began, to the study."""
        trial, written = self.trials.pop(), dict(self.written)
        for name, kept in (self._before or {}).items():
            if kept is None:
                del self.attributes[name]
            else:
                self.attributes[name] = kept
        self.written, self._before = {}, None
        return dict(trial.system_attrs), written

    # What Optuna calls.

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial; :meth:`take_back` forgets it."""
        self.written, self._before = {}, {}
        return int(self.add({}, {}, {}).number)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep something with the study, as JSON would give it back."""
        if self._before is not None:
            self._before.setdefault(key, self.attributes.get(key))
        self.attributes[key] = self.written[key] = json.loads(json.dumps(value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep something with a trial, as JSON would give it back."""
        self.trials[trial_id].system_attrs[key] = json.loads(json.dumps(value))

    def set_trial_param(self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any) -> None:
        """Set a parameter of a running trial."""
        trial = self.trials[trial_id]
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a trial."""
        trial = self.trials[trial_id]
        trial.state = state
        if values is not None:
            trial.values = list(values)
        return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Add a report."""
        self.trials[trial_id].intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep something of the user's with a trial."""
        self.trials[trial_id].user_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        return self.trials[trial_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return all trials, or those in some states."""
        return [trial for trial in self.trials if states is None or trial.state in states]

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return the id of a trial."""
        return trial_number

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return which way each objective is better."""
        return self._directions

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what samplers keep with the study."""
        return self.attributes

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of the study: there is one."""
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of the study."""
        return "autohpo"

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what users keep with the study: nothing."""
        return {}

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Do nothing: nobody keeps anything here."""

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Return the id of the study: there is one."""
        return 0

    def delete_study(self, study_id: int) -> None:
        """Do nothing: the study goes with the storage."""

    def get_all_studies(self) -> list[Any]:
        """Return no studies: nobody looks for one here."""
        return []


class MirrorStudy(Study):
    """A study over a mirror, which notes that a sampler wants it to end.

    Attributes:
        is_over: Whether a sampler has called ``stop``.
    """

    def __init__(self, storage: Mirror, sampler: Any) -> None:
        super().__init__("autohpo", storage, sampler=sampler)
        self.is_over = False

    def stop(self) -> None:
        """Note that there is nothing left."""
        self.is_over = True
