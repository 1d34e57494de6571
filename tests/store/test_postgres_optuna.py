"""A run in PostgreSQL as a study of Optuna: threads read it while the search writes."""

from __future__ import annotations

import threading

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.integrations.optuna import StorageView

pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")


def test_a_view_follows_a_run_in_a_database(study: str) -> None:
    """Its study has the name of the database's, and no trial is missing or comes twice."""
    made = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=5, seed=0)
    made.optimize(store=study, progress=False)
    view = StorageView(study)
    assert view.study_name == study.partition("?")[0].rpartition("/")[2]
    done, faults = threading.Event(), []

    def read() -> None:
        try:
            while not done.is_set():
                trials = view.get_all_trials(0)
                assert [trial.number for trial in trials] == list(range(len(trials)))
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    more = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=30, seed=0)
    more.optimize(store=study, progress=False)
    done.set()
    for reader in readers:
        reader.join()
    found = view.get_all_trials(0)
    view.close()
    assert faults == []
    assert [trial.value for trial in found] == [trial.perf for trial in more.result]
