"""Export: a run as a study in one of Optuna's own storages."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.optuna.following import Followed
from autohpo.integrations.optuna.kept import HEADER_KEY
from autohpo.integrations.optuna.storages import StorageArgument, opened_storage, study_names
from autohpo.integrations.optuna.studies import directions_of, name_of, system_attrs_of, user_attrs_of
from autohpo.store import Store, open_store

__all__ = ["to_optuna_storage"]


def to_optuna_storage(
    store: Store | str | os.PathLike[str], storage: StorageArgument, study_name: str | None = None
) -> int:
    """Write a run as a new study into a storage of Optuna, and return how many trials it has.

    States, values, parameters, intermediate values, times and attributes are those that :class:`StorageView` shows. A
    system attribute of each trial, and one of the study, have all that Optuna has no place for, and
    :func:`from_optuna_storage` makes an equal run of them; but for what was interrupted, and for confirming trials. A
    run that was imported from Optuna becomes the study that it was.

    Args:
        store: The path or URL of a store, or the store itself.
        storage: A storage of Optuna, the URL of a database (``sqlite:///study.db``), or the path of a journal file,
            which is by far the quickest. Nobody else may write to a journal file meanwhile.
        study_name: The name of the study; None takes that of the run, or of its file.

    Raises:
        OptionError: There is a study of that name already, or the storage is none.
        PathError: The storage cannot be opened or written.
        MissingExtraError: Optuna, or the driver of the database, is not installed.
        StoreError: There is no such store, or it holds no run yet.
    """
    source = store if isinstance(store, Store) else open_store(store, read_only=True)
    try:
        followed = Followed(source, has_records=True)
        name = study_name or name_of(followed, source)
        with opened_storage(storage, is_new=True) as target:
            if name in study_names(target):
                raise OptionError(f"study_name: must be new in the storage, got {shown(name)}, which is there already")
            study_id = target.create_new_study(directions_of(followed), name)
            try:
                n = _write(followed, target, study_id)
            except BaseException:
                with suppress(Exception):  # the storage may be what is broken
                    target.delete_study(study_id)
                raise
        return n
    finally:
        if source is not store:
            source.close()


def _write(followed: Followed, target: Any, study_id: int) -> int:
    """Write all trials and attributes, and return how many trials there are."""
    trials = followed.trials()
    for key, value in user_attrs_of(followed).items():
        target.set_study_user_attr(study_id, key, value)
    system = system_attrs_of(followed)
    if not followed.kept.name:
        system[HEADER_KEY] = dict(followed.header)
    for key, value in system.items():
        target.set_study_system_attr(study_id, key, value)
    for trial in trials:
        target.create_new_trial(study_id, template_trial=trial)
    return len(trials)
