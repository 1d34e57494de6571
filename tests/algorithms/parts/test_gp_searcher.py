"""GPMultiFidelitySearcher: the calls of a scheduler, and that equal calls lead to equal suggestions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autohpo import ChoiceHP, GPMultiFidelitySearcher, LogRangeHP, OptionError, RangeHP, SpaceError

SPACE = {"x": RangeHP("x", 0.0, 1.0), "lr": LogRangeHP("lr", 1e-4, 1e-2), "opt": ChoiceHP("opt", ["sgd", "adam"])}
OPTIONS = {"num_init_random": 3, "opt_maxiter": 10, "random_fraction": 0.0}


def made(n=6, seed=0, space=SPACE, **options):
    """A searcher after n configurations, every second one with a value at the second rung."""
    searcher = GPMultiFidelitySearcher(space, "acc", seed=seed, **{**OPTIONS, **options})
    searcher.configure_scheduler([1, 3], R=9, resource_attr="epoch", mode="max")
    for i in range(n):
        config = searcher.get_config(trial_id=f"t{i}")
        for epoch in (1, 3)[: 1 + i % 2]:
            searcher.register_pending(f"t{i}", config, milestone=epoch)
            searcher.on_trial_result(f"t{i}", config, {"acc": -abs(config["x"] - 0.3) - 1 / epoch, "epoch": epoch})
    return searcher


def copied(searcher):
    """A copy by way of JSON."""
    return searcher.clone_from_state(json.loads(json.dumps(searcher.get_state())))


def test_the_first_suggestion_is_the_middle_of_the_space():
    """The arithmetic mean, the geometric one on a log scale, and the first category."""
    searcher = GPMultiFidelitySearcher(SPACE, "acc")
    searcher.configure_scheduler([1], 3)
    assert searcher.get_config("0") == pytest.approx({"x": 0.5, "lr": 1e-3, "opt": "sgd"})


def test_given_points_come_first_and_are_completed():
    """In their order, each once; an empty list leaves the middle out."""
    searcher = GPMultiFidelitySearcher(SPACE, "acc", [{"x": 0.1}, {"opt": "adam", "lr": 1e-4}, {"x": 0.1}])
    searcher.configure_scheduler([1], 3)
    found = [searcher.get_config(str(i)) for i in range(3)]
    assert found[0] == pytest.approx({"x": 0.1, "lr": 1e-3, "opt": "sgd"})
    assert found[1] == pytest.approx({"x": 0.5, "lr": 1e-4, "opt": "adam"})
    assert found[2] not in found[:2]
    none = GPMultiFidelitySearcher(SPACE, "acc", [])
    none.configure_scheduler([1], 3)
    assert none.get_config("0")["x"] != 0.5


def test_a_copy_suggests_the_same_through_all_calls():
    """The state is JSON; suggestions, batches, failures and results that are taken back keep both alike."""
    one = made()
    other = copied(one)
    for step in range(3):
        configs = [searcher.get_config(f"n{step}") for searcher in (one, other)]
        assert configs[0] == configs[1]
        for searcher in (one, other):
            searcher.update(f"n{step}", configs[0], {"acc": -1.5 + 0.1 * step, "epoch": 1})
    for searcher in (one, other):
        searcher.evaluation_failed("n1")
        searcher.remove_case("t1", epoch=3)
        searcher.cleanup_pending("t3")
    assert one.get_batch_configs(3) == other.get_batch_configs(3)
    assert copied(one).get_config("last") == other.get_config("last") == one.get_config("last")


def test_a_result_that_is_taken_back_is_as_if_it_had_never_been_told():
    """The model has no such value, and it may be told again."""
    searcher = made()
    before = searcher._suggester.evidence([]).rows
    searcher.remove_case("t1", 3)
    after = searcher._suggester.evidence([]).rows
    assert len(after) == len(before) - 1
    assert (3.0, 1) not in list(zip(after.fidelity.tolist(), after.number.tolist(), strict=True))
    with pytest.raises(OptionError, match=r"remove_case: must name a result, got trial 't1' at 3"):
        searcher.remove_case("t1", 3)
    searcher.update("t1", None, {"acc": -1.0, "epoch": 3})
    assert len(searcher._suggester.evidence([]).rows) == len(before)


def test_a_failed_configuration_never_comes_again():
    """Also where duplicates are allowed: a space of four configurations, of which three fail."""
    space = [ChoiceHP("a", [0, 1]), ChoiceHP("b", [0, 1])]
    searcher = GPMultiFidelitySearcher(space, "loss", [], allow_duplicates=True, **OPTIONS)
    searcher.configure_scheduler([1], 3)
    good, failed = {"a": 1, "b": 0}, []
    for i in range(20):
        config = searcher.get_config(str(i))
        assert config not in failed
        if config == good:
            searcher.update(str(i), config, {"loss": 1.0, "epoch": 1})
        else:
            searcher.evaluation_failed(str(i))
            failed.append(config)
    assert len(failed) == 3


def test_a_finite_space_without_anything_left_suggests_none():
    """Nothing is suggested twice."""
    searcher = GPMultiFidelitySearcher([ChoiceHP("a", [0, 1, 2])], "loss", **OPTIONS)
    searcher.configure_scheduler([1], 3)
    found = [searcher.get_config(str(i)) for i in range(4)]
    assert sorted(config["a"] for config in found[:3]) == [0, 1, 2]
    assert found[3] is None


def test_only_some_configurations_may_be_suggested():
    """Each once, those with the model too; then there is none."""
    pool = [{"x": i / 10, "lr": 1e-3, "opt": "sgd"} for i in range(8)]
    searcher = made(n=6, restrict_configurations=pool, points_to_evaluate=[])
    rest = [searcher.get_config(f"r{i}") for i in range(3)]
    assert rest[2] is None
    seen = [
        searcher.space.from_json(event[2])["x"]
        for event in searcher.get_state()["state"]["events"]
        if event[0] == "config"
    ]
    assert sorted(seen) == pytest.approx([i / 10 for i in range(8)])


def test_configurations_of_a_batch_differ_and_belong_to_trials_that_are_named_later():
    """Each is pending for the next; a trial that is told with one of them is that one."""
    searcher = made()
    batch = searcher.get_batch_configs(4)
    assert len({searcher.space.key(config) for config in batch}) == 4
    n = searcher.get_state()["random_state"]["n_suggested"]
    searcher.register_pending("late", batch[2], milestone=1)
    searcher.update("late", batch[2], {"acc": -1.0, "epoch": 1})
    assert searcher.get_state()["random_state"]["n_suggested"] == n
    assert searcher._opened().results["late"] == [1.0]


def test_pending_is_idempotent_and_not_what_was_observed():
    """A rung with a result is not waited for, and none is waited for twice."""
    searcher = made(n=2)
    for milestone in (3, 9, 9):
        searcher.register_pending("t1", None, milestone=milestone)
    assert searcher._opened().pending() == [(searcher._opened().trials["t1"], 9.0)]


def test_what_is_no_finite_number_is_dropped():
    """And so is what is not meant for the model."""
    searcher = made(n=3)
    n = len(searcher._suggester.evidence([]).rows)
    searcher.on_trial_result("t0", None, {"acc": float("nan"), "epoch": 2})
    searcher.on_trial_result("t0", None, {"acc": 1.0, "epoch": 2}, update=False)
    assert len(searcher._suggester.evidence([]).rows) == n


def test_costs_lead_away_from_what_is_expensive():
    """Two configurations that are equally good: of the restricted ones that is chosen whose kind is cheap."""
    pool = [{"x": 0.25, "lr": 1e-3, "opt": "sgd"}, {"x": 0.25, "lr": 1e-3, "opt": "adam"}]
    chosen = {}
    for cost_attr in (None, "elapsed_time"):
        searcher = GPMultiFidelitySearcher(SPACE, "acc", [], cost_attr=cost_attr, **OPTIONS)
        searcher.configure_scheduler([1], 3, mode="max")
        for i in range(12):
            config = {"x": (i + 0.5) / 12, "lr": 1e-3, "opt": ["sgd", "adam"][i % 2]}
            seconds = 1.0 if config["opt"] == "adam" else 1000.0
            accuracy = -abs(config["x"] - 0.25) + (0.01 if config["opt"] == "sgd" else 0.0)
            searcher.update(f"c{i}", config, {"acc": accuracy, "epoch": 1, "elapsed_time": seconds})
        engine, evidence = searcher._suggester.engine, searcher._suggester.evidence([])
        cost = searcher._suggester._cost
        if cost is not None:
            cost.update()
        aim = engine.aim(evidence, np.random.default_rng(0), cost=cost)
        scores = aim.improvement.score(*searcher._suggester.encoder.of_hps(pool))
        chosen[cost_attr] = pool[int(np.argmax(scores))]["opt"]
    assert chosen == {None: "sgd", "elapsed_time": "adam"}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.register_pending("t0", None), "milestone: must be the fidelity that the trial heads for"),
        (lambda s: s.register_pending("new", None, milestone=1), "trial_id: must be that of a trial"),
        (lambda s: s.cleanup_pending("new"), "trial_id: must be that of a trial"),
        (lambda s: s.get_config("t0"), "trial_id: must be that of a new trial, got 't0'"),
        (lambda s: s.update("t0", None, {"acc": 1.0}), "result: must have 'epoch'"),
        (lambda s: s.update("t0", None, {"acc": 1.0, "epoch": 0}), "epoch: must be positive and finite"),
        (lambda s: s.configure_scheduler([1], 3), "configure_scheduler: must be called before"),
        (lambda s: s.get_batch_configs(0), "batch_size: must be at least 1"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, text):
    """Names, rules and values."""
    with pytest.raises(OptionError, match=text):
        call(made(n=1))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_init_candidate": 3}, "num_init_candidate: GPMultiFidelitySearcher has no such option"),
        ({"opt_skip_period": 0}, "opt_skip_period: must be at least 1, got 0"),
        ({"model": "gp"}, "model: must be 'gp_multitask' or"),
        ({"model": "gp_issm", "searcher_data": "rungs"}, 'searcher_data: must be "all" for the model gp_issm'),
        ({"seed": -1}, "seed: must be an integer of at least 0, got -1"),
        ({"points_to_evaluate": 3}, "points_to_evaluate: must be a list of configurations, or None, got int 3"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(options, text):
    """When the searcher is made, or set up at the latest."""
    with pytest.raises(OptionError, match=text):
        GPMultiFidelitySearcher(SPACE, "acc", **options).configure_scheduler([1], 3)


def test_wrong_spaces_and_points_are_refused():
    """A parameter under another name, a configuration outside of the space, and calls before the set-up."""
    with pytest.raises(OptionError, match="config_space: must have parameters under their names, got 'y' for 'x'"):
        GPMultiFidelitySearcher({"y": RangeHP("x", 0.0, 1.0)}, "acc")
    with pytest.raises(SpaceError, match=r"points_to_evaluate\[0\]"):
        GPMultiFidelitySearcher(SPACE, "acc", [{"x": 7.0}])
    with pytest.raises(OptionError, match="restrict_configurations: must be a list of configurations"):
        GPMultiFidelitySearcher(SPACE, "acc", restrict_configurations=[])
    with pytest.raises(OptionError, match="configure_scheduler: must be called first"):
        GPMultiFidelitySearcher(SPACE, "acc").get_config("0")


def test_wrong_names_results_and_states_are_refused():
    """The error names the argument; nothing of such a result is kept."""
    with pytest.raises(OptionError, match="metric: must be the name of a metric, got 3"):
        GPMultiFidelitySearcher(SPACE, 3)
    searcher = GPMultiFidelitySearcher(SPACE, "acc")
    searcher.configure_scheduler([1], 3)
    config = searcher.get_config("0")
    with pytest.raises(OptionError, match="result: must have a number for 'acc', got 'good'"):
        searcher.on_trial_result("0", config, {"acc": "good", "epoch": 1})
    with pytest.raises(OptionError, match="result: must have a number for 'epoch', got None"):
        searcher.on_trial_result("0", config, {"acc": 0.5, "epoch": None})
    assert not any(event[0] == "result" for event in searcher.get_state()["state"]["events"])
    with pytest.raises(OptionError, match="state: must be what get_state returned, got one without points_to_evaluate"):
        searcher.clone_from_state({"random_state": {}, "state": {}})
