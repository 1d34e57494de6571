"""A search with a worker of the test's own, for all tests of HpBandSter's names."""

from __future__ import annotations

import pytest

from autohpo import RangeHP
from autohpo.integrations import hpbandster as hb

SPACE = [RangeHP("x", 0.0, 1.0)]


class Fake(hb.Worker):
    """A worker whose loss a function says; it keeps what it was called with."""

    def __init__(self, *args, f=lambda config, budget: config["x"], **kwargs):
        super().__init__(*args, **kwargs)
        self.f, self.calls = f, []

    def compute(self, config_id, config, budget, working_directory):
        self.calls.append((config_id, config, budget, working_directory))
        result = self.f(config, budget)
        return result if isinstance(result, dict) else {"loss": result, "info": None}


@pytest.fixture
def search(request, tmp_path, monkeypatch):
    """A function that makes an optimizer with one worker of the test's own run; in the end nothing is left of it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = []

    def make(cls=hb.BOHB, f=lambda config, budget: config["x"], *, space=SPACE, n_workers=1, **kwargs):
        workers = [Fake(run_id=request.node.name, id=i, f=f) for i in range(n_workers)]
        for worker in workers:
            worker.run(background=True)
        settings = {"seed": 0, "working_directory": str(tmp_path / "work"), "worker_timeout": 0, **kwargs}
        made.append(cls(space, run_id=request.node.name, **settings))
        return made[-1], workers[0] if workers else None

    yield make
    for optimizer in made * 2:
        optimizer.shutdown(shutdown_workers=True)
    assert not list(tmp_path.glob("hpbandster-of-autohpo-*"))
