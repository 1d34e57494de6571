"""Log first: what a worker or the optimizer sees is on disk before they see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autohpo import RangeHP, Trial, build_hpo_from_name
from autohpo.algorithms.session import Session
from autohpo.store import LogEvent, SQLiteStore


def log_of(path: Path, number: int) -> list[LogEvent]:
    """What another process would find of a trial if the driver died now."""
    store = SQLiteStore(path, read_only=True)
    events = [event for event in store.events() if event.trial == number]
    store.close()
    return events


@pytest.mark.parametrize("workers", [1, 2])
def test_a_suggestion_is_on_disk_before_the_objective_sees_it(tmp_path: Path, workers: int) -> None:
    """With its start, so that a trial cannot run that no log knows of."""
    path = tmp_path / "run.db"

    def f(hps: dict[str, Any], trial: Any) -> float:
        ask, start = log_of(path, trial.number)
        assert (ask.kind, ask.data["hp"]) == ("ask", hps)
        assert (start.kind, start.attempt) == ("start", trial.attempt)
        return 1.0

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=6, seed=0)
    hpo.optimize(store=path, num_workers=workers, progress=False)
    assert hpo.result is not None
    assert hpo.result.counts() == {"COMPLETE": 6}


def test_a_result_is_on_disk_before_the_optimizer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good ones and bad ones."""
    path, told = tmp_path / "run.db", []

    def f(hps: dict[str, Any], trial: Any) -> float:
        return 1.0 if trial.number % 2 == 0 else float("nan")

    def checked(session: Session, trial: Trial) -> None:
        told.append((trial.number, log_of(path, trial.number)[-1].kind))
        close(session, trial)

    close = Session.close
    monkeypatch.setattr(Session, "close", checked)
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=6, seed=0)
    hpo.optimize(store=path, progress=False)
    assert told == [(number, "end") for number in range(6)]
