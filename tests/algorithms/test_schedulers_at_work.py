"""Every scheduler with real trainings of every shape: nothing is trained twice, and every decision is explained."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from autohpo import OptionError, Point, RangeHP, TrialState, build_hpo_from_name
from autohpo.report.html import render_html

SPACE = [RangeHP("x", 0.0, 1.0)]
PAUSING = {
    "asha": {},
    "by_cost": {"cost_promotion": True},
    "rush": {"rush": 1, "points": [{"x": 0.7}]},
    "listed": {"rung_levels": [2, 5]},
    "pasha": {},
    "successive_halving": {"n": 12},
    "hyperband": {"type": "asynchronous"},
    "bohb": {"type": "asynchronous", "sampler": "kde"},
}
STOPPING = {"stopping": {"type": "stopping"}, "median_stopping": {"min_trials": 3}}
ALL = {**PAUSING, **STOPPING}
SAMPLERS = ["random", "kde", "bayes"]
NAMES = {"by_cost": "asha", "rush": "asha", "listed": "asha", "stopping": "asha"}


def build(case, f, **more):
    """The optimizer of a case; trials get up to 9 epochs."""
    return build_hpo_from_name(NAMES.get(case, case), SPACE, f, **{"max_fidelity": 9, "seed": 0, **ALL[case], **more})


def value(x, epoch, order=1.0):
    """Rises with x, and with each epoch; at little training the order of close ones is another one."""
    return x - 1 / epoch + order * 0.3 * (int(x * 1000) % 7 / 7 - 0.5) / epoch


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("case", PAUSING)
def test_a_promotion_continues_the_paused_training(case, num_workers, tmp_path):
    """Generators: each epoch of each configuration is trained once, and as many as its last trial was given."""
    log = tmp_path / "epochs"

    def train(hps):
        for epoch in range(1, 10):
            with log.open("a") as file:
                file.write(json.dumps([hps["x"], epoch]) + "\n")
            yield value(hps["x"], epoch)

    hpo = build(case, train, max_evals=40)
    hpo.optimize(num_workers=num_workers, progress=False)
    lines = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    assert len(lines) == len(set(lines))
    reached = {}
    for trial in hpo.result:
        assert trial.state is TrialState.COMPLETE
        reached[trial.hp["x"]] = trial.fidelity
    assert len(lines) == sum(reached.values())
    assert sum(trial.resume is not None for trial in hpo.result) >= 3


@pytest.mark.parametrize(
    ("case", "sampler"), [*zip(ALL, itertools.cycle(SAMPLERS), strict=False), *((case, "tpe") for case in ALL)]
)
def test_any_sampler_fills_any_scheduler_with_four_workers(case, sampler):
    """Each with `tpe` and another one: the results are those of the curves, and nobody waits for ever."""
    hpo = build(case, generates, max_evals=24, **{**ALL[case], "sampler": sampler})
    hpo.optimize(num_workers=4, progress=False)
    assert len(hpo.result) >= 17
    assert all(t.perf == pytest.approx(value(t.hp["x"], t.reached)) for t in hpo.result)


@pytest.mark.parametrize(("name", "options"), [("hyperband", {}), ("bohb", {}), ("successive_halving", {"n": 81})])
def test_the_bracket_of_81_trains_297_epochs(name, options, tmp_path):
    """81 * 1 + 27 * 2 + 9 * 6 + 3 * 18 + 1 * 54, with two workers and the default room; from scratch it is 405."""
    log = tmp_path / "epochs"

    def train(hps):
        for epoch in range(1, 82):
            with log.open("a") as file:
                file.write(".")
            yield value(hps["x"], epoch)

    options = {"min_fidelity": 1, "max_fidelity": 81, "num_iterations": 1, "seed": 0, **options}
    hpo = build_hpo_from_name(name, SPACE, train, **options)
    hpo.optimize(num_workers=2, progress=False)
    assert len(log.read_text()) == 297
    assert len(hpo.result) == 81 + 27 + 9 + 3 + 1


def returns(hps, fidelity):
    """Shape 1: evaluated anew at each rung."""
    assert type(fidelity) is int
    return value(hps["x"], fidelity)


def reports(hps, trial):
    """Shape 2: reports, and ends when it is told to."""
    for epoch in range(1, 10):
        if not trial.report(value(hps["x"], epoch), epoch):
            break
    return value(hps["x"], epoch)


def generates(hps):
    """Shape 3: is paused."""
    for epoch in range(1, 10):
        yield value(hps["x"], epoch)


class Trainer:
    """Shape 4: AutoGL's contract."""

    def __init__(self, x=0.5, max_epoch=9):
        self.x, self.max_epoch = x, max_epoch

    def duplicate_from_hyper_parameter(self, hp):
        """A new one."""
        return Trainer(hp["x"], hp.get("max_epoch", 9))

    def train(self, dataset, keep_valid_result=True):
        """Takes no time."""
        assert type(self.max_epoch) is int

    def get_valid_score(self, return_major=True):
        """What so many epochs give."""
        return value(self.x, self.max_epoch), True


@pytest.mark.parametrize("shape", ["returns", "reports", "generates", "trainer"])
@pytest.mark.parametrize("case", ALL)
def test_every_shape_of_an_objective_is_scheduled(case, shape):
    """The results are those of the fidelities that were reached, whatever shape the training has."""
    hpo = build(case, {"returns": returns, "reports": reports, "generates": generates}.get(shape), max_evals=25)
    if shape == "trainer":
        hpo.optimize(Trainer(), fidelity="max_epoch", progress=False)
    elif shape == "returns" and case in STOPPING:  # where nothing is saved, and a warning says so
        with pytest.warns(UserWarning, match="stops trials at their reports, and f has none"):
            hpo.optimize(progress=False)
    else:
        hpo.optimize(progress=False)
    trials = list(hpo.result)
    assert len(trials) == 25 if case != "successive_halving" else len(trials) >= 17
    assert all(trial.perf == pytest.approx(value(trial.hp["x"], min(trial.reached, 9))) for trial in trials)
    is_judged_at_reports = case in STOPPING and shape in ("reports", "generates")
    assert any(trial.state is TrialState.STOPPED for trial in trials) is is_judged_at_reports
    if case in PAUSING:
        assert {trial.fidelity for trial in trials} >= {2, 5} if case == "listed" else {1, 3}


TEXTS = {
    "asha": (r"rank \d+ of \d+ at fidelity \d: promoted to \d; went on as trial \d+", "it was not promoted$"),
    "by_cost": (
        r"promoted to \d; went on",
        "it was not promoted; the best go on while they have had their share of the cost",
    ),
    "rush": (
        r"promoted to \d; went on",
        "it was not promoted; of the best those go on that are as good as the point given",
    ),
    "pasha": (
        r"promoted to \d; went on",
        "nobody goes beyond 3 while the order there is that at 1|not promoted$",
    ),
    "successive_halving": (r"rank \d of \d+ in its bracket at fidelity \d: promoted to \d", "it was not promoted$"),
    "stopping": (r"stopped at \d: rank \d+ of \d+, the best \d+ go on", "it had everything"),
    "median_stopping": (r"its best value, \S+, is worse than \S+, the median of the means of \d+ others", "everything"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_every_decision_is_explained_in_the_result_and_on_the_page(case, tmp_path):
    """Each trial has a reason with its rank or its value, also in a store that is read again."""
    hpo = build(case, generates, max_evals=30)
    hpo.optimize(progress=False, store=tmp_path / "run.db")
    texts = [hpo.result.why(trial.number) for trial in hpo.result]
    assert all(texts)
    for pattern in TEXTS[case]:
        assert any(re.search(pattern, text) for text in texts), (pattern, texts)
    page = render_html(hpo.result)
    assert "what was decided" in page
    assert sum(re.sub(r"&[#\w]+;", ".", text)[:30] in page for text in texts) > 0.9 * len(texts)
    live = [hpo.why(trial.number) for trial in hpo.result]
    promoted = {trial.resume for trial in hpo.result} - {None}
    assert all(live[number] == texts[number] for number in promoted)
    states = [trial.state for trial in hpo.result]
    assert all(text for text, state in zip(live, states, strict=True) if case in PAUSING or state == "STOPPED")


def test_known_good_points_save_training():
    """With the best configuration given first far fewer others are promoted than without it."""

    def n_promoted(**options):
        hpo = build_hpo_from_name("asha", SPACE, returns, max_fidelity=27, max_evals=90, seed=0, **options)
        hpo.optimize(progress=False)
        return sum(trial.resume is not None for trial in hpo.result)

    points = [Point({"x": 0.99})]
    assert n_promoted(points=points, rush=1) < 0.5 * n_promoted(points=points)


def test_what_a_sampler_sees_of_curves_is_what_searcher_data_says():
    """Trials of 9 epochs report each of them; `kde` inside is shown 1 and 3, or all, or those and the last."""
    seen = {}
    for which in ("rungs", "all", "rungs_and_last"):
        hpo = build_hpo_from_name(
            "asha", SPACE, type="stopping", sampler="kde", searcher_data=which, max_fidelity=9, seed=0
        )
        first, second = hpo.ask(), hpo.ask()
        for epoch in range(1, 6):
            hpo.report(first, epoch, 0.1 * epoch)
        hpo.report(second, 2, 0.0)
        hpo.tell(second, 0.0, is_stopped=True)
        hpo.ask()
        history = next(sampler for _, sampler in hpo._samplers.values()).inner.history
        seen[which] = ([at for at, _ in history.find(0).reports], [at for at, _ in history[1].reports])
    assert seen == {"rungs": ([1, 3], [2]), "all": ([1, 2, 3, 4, 5], [2]), "rungs_and_last": ([1, 3, 5], [2])}


def test_a_promoted_trial_shows_only_the_rungs_that_it_came_to():
    """From 1 to 3 it reports 2 and 3, and of these 3 is at a rung; the 2 is no second result of the rung at 1."""
    hpo = build_hpo_from_name("asha", SPACE, sampler="kde", searcher_data="rungs", max_fidelity=9, seed=0)
    for _ in range(3):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion["x"])
    promoted = hpo.ask()
    for epoch in (2, 3):
        hpo.report(promoted, epoch, 0.5)
    hpo.tell(promoted, 0.5)
    while hpo.ask().resume is not None:
        pass
    history = next(sampler for _, sampler in hpo._samplers.values()).inner.history
    assert [at for at, _ in history[promoted.number].reports] == [3]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dehb", {}, "type: must be 'synchronous', as a generation needs its whole rung, got 'asynchronous'"),
        (
            "hyperband",
            {"num_iterations": 3},
            "num_iterations: must be None with type='asynchronous', which opens no brackets in turn",
        ),
    ],
)
def test_what_cannot_be_asynchronous_says_so(name, options, message):
    """The text names the option."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name(name, SPACE, type="asynchronous", **options)
    assert str(caught.value) == message


def test_costs_are_not_shared_among_trials_that_nobody_promotes():
    """Stopping has no use for them."""
    with pytest.raises(OptionError, match="cost_promotion: must be False with type='stopping'"):
        build_hpo_from_name("asha", SPACE, type="stopping", cost_promotion=True)
