"""What the tests of the controller share."""

from __future__ import annotations

from autohpo import HyperParameterOptimizer, RangeHP

SPACE = [RangeHP("General/x", 0.0, 1.0)]


def controller(f, algorithm="random", *, space=SPACE, sign="max", queue="serial", **options):
    """A controller whose jobs run in this process, unless it is told otherwise."""
    options = {"seed": 0, **options}
    return HyperParameterOptimizer(
        f, space, "validation", "accuracy", sign, algorithm, execution_queue=queue, **options
    )


def ran(f, algorithm="random", **options):
    """A controller whose search has ended."""
    made = controller(f, algorithm, **options)
    assert made.start()
    assert made.wait(1.0)
    return made


def squared(hps):
    """The best is at .3."""
    return {"accuracy": 1.0 - (hps["General/x"] - 0.3) ** 2}


def sleepy(hps, trial):
    """Reports fifty times a second, for minutes; what it saves can be copied by those that fork."""
    import time

    (trial.checkpoint_dir / "saved").touch()
    for epoch in range(1, 10_000):
        if not trial.report(hps["General/x"], epoch):
            return
        time.sleep(0.02)


def stubborn(hps, trial):
    """Reports once, and then hangs."""
    import time

    trial.report(hps["General/x"], 1)
    time.sleep(1000)
