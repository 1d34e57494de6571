"""GPUs and slots: what a worker sees, and what its trial is told."""

from __future__ import annotations

import random

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.execution.devices import gpus_of_slots

SPACE = [RangeHP("x", 0.0, 1.0)]


def look():
    """An objective that says where it runs; nested, so that it goes by value."""

    def f(hps, trial):
        import os
        import time

        time.sleep(0.02)
        visible = float(os.environ.get("CUDA_VISIBLE_DEVICES", "-1"))
        device = -1.0 if trial.device is None else float(trial.device)
        return {"perf": hps["x"], "slot": trial.slot, "device": device, "visible": visible}

    return f


def places(**how):
    """Slot, device and visible devices of the trials of a search."""
    hpo = build_hpo_from_name("random", SPACE, look(), mode={"perf": "max"}, max_evals=12, seed=0)
    hpo.optimize(progress=False, **how)
    return {(t.metrics["slot"], t.metrics["device"], t.metrics["visible"]) for t in hpo.result}


def test_each_worker_sees_a_gpu_of_its_own_and_the_trial_knows_it(monkeypatch):
    """The variable is there before anything is imported; without gpus it stays as it was."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert places(num_workers=3, gpus=[2, 0, 1]) == {(0, 2, 2), (1, 0, 0), (2, 1, 1)}
    assert places(num_workers=1, gpus=4) == {(0, 0, 0)}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert places(num_workers=2) == {(0, -1, 5), (1, -1, 5)}
    assert places() == {(0, -1, 5)}


@pytest.mark.parametrize(
    ("gpus", "n", "wanted"),
    [
        (None, 3, ()),
        (2, 2, ("0", "1")),
        ([1, 3], 2, ("1", "3")),
        ({0: 2, 1: 2}, 4, ("0", "1", "0", "1")),
        ({0: 1, 1: 2}, 3, ("0", "1", "1")),
        ([0, 0, 1], 3, ("0", "1", "0")),
        (["GPU-8932f937", "MIG-1"], 2, ("GPU-8932f937", "MIG-1")),
        (["0,1", "2,3"], 2, ("0,1", "2,3")),
    ],
)
def test_gpus_are_given_as_people_have_them(gpus, n, wanted, monkeypatch):
    """A number, a list, or shares; workers share a GPU only where all have one."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_of_slots(gpus, n) == wanted


def test_numbers_count_what_this_process_was_given(monkeypatch):
    """A batch system says which GPUs a job may use; names are taken as they are."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6, 7")
    assert gpus_of_slots(2, 2) == ("6", "7")
    assert gpus_of_slots([1, "0"], 2) == ("7", "0")
    with pytest.raises(OptionError, match=r"gpus: must be below 2, as CUDA_VISIBLE_DEVICES=6,7 .*, got 2"):
        gpus_of_slots(3, 1)


@pytest.mark.parametrize(
    "gpus", [0, -1, True, [], {}, "0", 1.5, [0.5], [-1], {0: 0}, {0: True}, [None], [""], {"a": "b"}]
)
def test_what_names_no_gpus_is_refused(gpus):
    """The text shows the three forms."""
    with pytest.raises(OptionError, match="gpus: must be a number of GPUs, a list"):
        gpus_of_slots(gpus, 1)


def test_more_workers_than_gpus_are_refused_with_the_remedy():
    """Silent sharing would run out of the GPU's memory."""
    with pytest.raises(OptionError, match=r"a slot for each of the 3 workers, got 2; .*gpus=\{0: 2, 1: 2\}"):
        places(num_workers=3, gpus=2)
    with pytest.raises(OptionError, match="'serial' runs one trial in this process and cannot hold gpus"):
        places(gpus=1, executor="serial")


def test_the_shared_generators_of_a_worker_follow_the_seed_of_the_trial():
    """Equal seeds give equal draws, other trials others; in the user's own process they are the user's."""

    def f(hps):
        import random

        import numpy as np

        return {"perf": hps["x"], "python": random.random(), "numpy": np.random.random()}  # noqa: NPY002

    def draws(**how):
        hpo = build_hpo_from_name("random", SPACE, f, mode={"perf": "max"}, max_evals=8, seed=0)
        hpo.optimize(progress=False, **how)
        return [(t.metrics["python"], t.metrics["numpy"]) for t in hpo.result]

    first = draws(num_workers=2)
    assert len({draw[0] for draw in first}) == 8
    assert first == draws(num_workers=3)  # also where a trial is the first of its worker to load numpy
    random.seed(1)
    wanted = random.random()
    random.seed(1)
    build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=3, seed=0).optimize(progress=False)
    assert random.random() == wanted


def test_a_paused_training_does_not_draw_again_what_it_drew_when_it_began():
    """Seeding it as at its start would repeat every batch and every dropout mask."""

    def f(hps):
        import random

        for _ in range(9):
            yield random.random()

    hpo = build_hpo_from_name("hyperband", SPACE, f, max_evals=30, seed=0, max_fidelity=9)
    hpo.optimize(progress=False, num_workers=2)
    drawn = [perf for trial in hpo.result for _, perf in trial.reports]
    assert len(set(drawn)) == len(drawn)


def test_the_variable_is_set_before_the_modules_of_the_user_are_imported(tmp_path, monkeypatch):
    """A library that looks at it once, when it is imported, as CUDA does, sees its worker's own GPU."""
    (tmp_path / "looks_when_imported.py").write_text(
        "import os, time\n"
        "SEEN = float(os.environ['CUDA_VISIBLE_DEVICES'])\n\n\n"
        "def f(hps, trial):\n"
        "    time.sleep(0.05)\n"
        "    return {'perf': hps['x'], 'slot': trial.slot, 'device': float(trial.device), 'seen': SEEN}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    import looks_when_imported

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,4")
    hpo = build_hpo_from_name("random", SPACE, looks_when_imported.f, mode={"perf": "max"}, max_evals=12, seed=0)
    hpo.optimize(progress=False, num_workers=3, gpus={0: 2, 1: 1})
    found = {(t.metrics["slot"], t.metrics["device"], t.metrics["seen"]) for t in hpo.result}
    assert found == {(0, 7, 7), (1, 4, 4), (2, 7, 7)}
