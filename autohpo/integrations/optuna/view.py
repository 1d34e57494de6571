"""StorageView: a run of ours as a read-only storage of Optuna, without a copy."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from typing import Any, NoReturn

from autohpo.errors import MissingExtraError, OptionError, StoreError, shown
from autohpo.integrations.optuna.following import Followed
from autohpo.integrations.optuna.studies import (
    STUDY_ID,
    ListedStudy,
    copied,
    directions_of,
    name_of,
    system_attrs_of,
    thinned,
    user_attrs_of,
)
from autohpo.store import Store, open_store
from autohpo.store.collecting import collector_paused

try:
    import optuna
    from optuna.storages import BaseStorage
except ImportError as error:
    raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error

__all__ = ["StorageView", "study"]


def study(
    store: Store | str | os.PathLike[str], *, levels: int | None = None, most_trials: int | None = None
) -> optuna.Study:
    """Return a run as a study of Optuna that can be read: for its plots, tables and dashboard.

    Args:
        store: The path or URL of a store, or the store itself; its run may still go on.
        levels: The number of levels that numbers are rounded to; see :class:`StorageView`.
        most_trials: How many trials are shown at most; see there.

    Raises:
        MissingExtraError: Optuna is not installed.
        OptionError: Levels or trials are fewer than 2.
        StoreError: There is no such store, or it holds no run yet.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> from autohpo.store import MemoryStore
        >>> store = MemoryStore()
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=5, seed=0)
        >>> best_hp, best_perf = hpo.optimize(store=store, progress=False)
        >>> seen = study(store)
        >>> seen.best_params == best_hp, seen.best_value == best_perf, len(seen.trials)
        (True, True, 5)
    """
    view = StorageView(store, levels=levels, most_trials=most_trials)
    return optuna.load_study(study_name=view.study_name, storage=view)


class StorageView(BaseStorage):
    """A run as a storage of Optuna that nobody can write to; any thread may read, also while the search goes on.

    Only events that are new are read. It has one study, with the name of the run, or of its file where the run has
    none. Trials have the numbers that they have here. Those with less training than the most so far are PRUNED, so that
    Optuna's best trial is one with the most; see :class:`~autohpo.integrations.optuna.trials.Converter` for the states,
    :class:`~autohpo.integrations.optuna.columns.Columns` for the parameters, and
    :class:`~autohpo.integrations.optuna.steps.Steps` for the steps.

    Args:
        store: The path or URL of a store, or the store itself.
        levels: The number of levels of its scale that a number is rounded to which may have more values; None rounds
            none. A plot of contours draws a point for each pair of values that occur: with 10,000 trials, rounding to
            50 makes it possible.
        most_trials: How many trials are shown at most, of more the best of every moment, those that run, and others
            evenly spaced; None shows all. Plots that draw a line for each trial take a thousandth of a second for it.
            They have numbers of their own then; the attribute ``trial`` has ours.

    Attributes:
        study_name: The name of the study.

    Raises:
        OptionError: Levels or trials are fewer than 2.
        StoreError: There is no such store, or it holds no run yet.
        StoreCorruptError: It is damaged.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=5, seed=0)
        >>> _ = hpo.optimize(progress=False)
        >>> view = StorageView(hpo.run_store)
        >>> [trial.state.name for trial in view.get_all_trials(0)]
        ['COMPLETE', 'COMPLETE', 'COMPLETE', 'COMPLETE', 'COMPLETE']
    """

    def __init__(
        self, store: Store | str | os.PathLike[str], *, levels: int | None = None, most_trials: int | None = None
    ) -> None:
        for name, number in (("levels", levels), ("most_trials", most_trials)):
            if number is not None and (type(number) is not int or number < 2):
                raise OptionError(f"{name}: must be an integer of at least 2, or None, got {shown(number)}")
        self._most = most_trials
        self._store = store if isinstance(store, Store) else open_store(store, read_only=True)
        self._is_own = self._store is not store
        try:
            self._followed = Followed(self._store, levels=levels)
        except BaseException:
            self.close()
            raise
        self.study_name = name_of(self._followed, self._store)

    def close(self) -> None:
        """Close the store, where it was given as a path or a URL."""
        if self._is_own:
            self._store.close()

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the number of the study.

        Raises:
            KeyError: There is none of that name.
        """
        if study_name != self.study_name:
            raise KeyError(f"there is no study {study_name!r} here, only {self.study_name!r}")
        return STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of the study."""
        _check(study_id)
        return self.study_name

    def get_study_directions(self, study_id: int) -> list[optuna.study.StudyDirection]:
        """Return which way each objective is better."""
        _check(study_id)
        return directions_of(self._followed)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what the header says of the run: its algorithm, options and version; and the steps per fidelity."""
        _check(study_id)
        return user_attrs_of(self._followed)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the names of the objectives, where they have any."""
        _check(study_id)
        return system_attrs_of(self._followed)

    def get_all_studies(self) -> list[Any]:
        """Return the study."""
        return [
            ListedStudy(
                self.study_name,
                directions_of(self._followed),
                self.get_study_user_attrs(STUDY_ID),
                self.get_study_system_attrs(STUDY_ID),
            )
        ]

    def _shown(self) -> list[Any]:
        return thinned(self._followed.trials(), self._most, self._followed.objectives.signs)

    def get_trial(self, trial_id: int) -> optuna.trial.FrozenTrial:
        """Return a trial.

        Raises:
            KeyError: There is none of that number.
        """
        trials = self._shown()
        if not 0 <= trial_id < len(trials):
            raise KeyError(f"there is no trial {trial_id}, only {len(trials)} trials")
        found: optuna.trial.FrozenTrial = trials[trial_id]
        return found

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[optuna.trial.TrialState] | None = None,
    ) -> list[optuna.trial.FrozenTrial]:
        """Return the trials in the order asked.

        Args:
            study_id: The number of the study.
            deepcopy: Whether the caller may change them.
            states: The states of those wanted; None wants all.
        """
        _check(study_id)
        trials = self._shown()
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        if not deepcopy:
            return trials
        with collector_paused():
            return [copied(trial) for trial in trials]

    def create_new_study(
        self, directions: Sequence[optuna.study.StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a study")

    def delete_study(self, study_id: int) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a study")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        """Raise StoreError."""
        self._refuse("an attribute")

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        """Raise StoreError."""
        self._refuse("an attribute")

    def create_new_trial(self, study_id: int, template_trial: optuna.trial.FrozenTrial | None = None) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a trial")

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any
    ) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a parameter")

    def set_trial_state_values(self, trial_id: int, state: Any, values: Sequence[float] | None = None) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a result")

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> NoReturn:
        """Raise StoreError."""
        self._refuse("a report")

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        """Raise StoreError."""
        self._refuse("an attribute")

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        """Raise StoreError."""
        self._refuse("an attribute")

    def _refuse(self, what: str) -> NoReturn:
        raise StoreError(
            f"store: {self._followed.where} is only looked at by Optuna here, and takes {what} from autohpo alone; "
            "to_optuna_storage(store, url) makes a copy that Optuna may write to"
        )


def _check(study_id: int) -> None:
    """Raise KeyError where there is no study of a number."""
    if study_id != STUDY_ID:
        raise KeyError(f"there is no study {study_id}, only study {STUDY_ID}")
