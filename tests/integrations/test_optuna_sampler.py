"""Our algorithms as samplers of Optuna, in real studies."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import threading

import pytest

from autohpo import (
    ChoiceHP,
    LogRangeHP,
    OptionError,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    RegistryError,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
)

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")

from autohpo.integrations.optuna import Sampler  # noqa: E402 - needs Optuna

SPACE = [RangeHP("x", -1.0, 1.0), ChoiceHP("c", ["a", "b"]), LogRangeHP("n", 1, 64)]


@pytest.fixture(autouse=True)
def _silence():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def ask_space(trial):
    """The parameters of SPACE."""
    x, c = trial.suggest_float("x", -1, 1), trial.suggest_categorical("c", ["a", "b"])
    return x, c, trial.suggest_int("n", 1, 64, log=True)


def conditional(trial):
    """One parameter more behind each choice."""
    x, c, n = ask_space(trial)
    if c == "a":
        return (x - 0.3) ** 2 + abs(trial.suggest_float("y", 0, 1) - 0.2) + n / 64
    return (x + 0.3) ** 2 + 0.1 + n / 64


def flat(trial):
    """Without conditions."""
    x, c, n = ask_space(trial)
    return (x - 0.3) ** 2 + (c == "b") + n / 64


def params(study):
    """What was tried."""
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", ["tpe", "bayes", "quasi_random", "cmaes", "differential_evolution", "anneal"])
def test_with_a_space_a_study_tries_what_our_algorithm_suggests_alone(name):
    """The oracle is the algorithm itself, asked and told without Optuna."""
    study = optuna.create_study(sampler=Sampler(name, space=SPACE, seed=3))
    study.optimize(flat, n_trials=14)
    alone = build_hpo_from_name(name, SPACE, seed=3, mode="min")
    wanted = []
    for _ in range(14):
        hp = alone.ask()
        wanted.append(dict(hp))
        alone.tell(hp, (hp["x"] - 0.3) ** 2 + (hp["c"] == "b") + hp["n"] / 64)
    assert params(study) == wanted


@pytest.mark.parametrize("name", ["tpe", "quasi_random", "cmaes", "nsga2"])
def test_a_study_that_goes_on_with_a_new_sampler_tries_what_one_sampler_would_have_tried(name):
    """What is drawn follows from the study alone, with the algorithm's notes; conditional and failed trials too."""

    def f(trial):
        value = conditional(trial)
        if trial.number % 7 == 5:
            raise ValueError
        return value

    whole = optuna.create_study(sampler=Sampler(name, seed=0))
    whole.optimize(f, n_trials=24, catch=ValueError)
    storage = optuna.storages.InMemoryStorage()
    for n in (9, 15):
        part = optuna.create_study(storage=storage, study_name="s", sampler=Sampler(name, seed=0), load_if_exists=True)
        part.optimize(f, n_trials=n, catch=ValueError)
    assert params(whole) == params(part)
    assert len({str(one) for one in params(whole)}) == 24


def test_programs_share_a_study_in_a_database(tmp_path):
    """The second one goes on from what the first has left, with the suggestions of a single one."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    program = textwrap.dedent(f"""
        import optuna
        from autohpo.integrations.optuna import Sampler
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            storage={url!r}, study_name="s", sampler=Sampler("quasi_random", seed=1), load_if_exists=True
        )
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("k", 0, 9), n_trials=4)
    """)
    for _ in range(2):
        exec(program, {})  # nothing is left of the first but the database
    both = optuna.load_study(storage=url, study_name="s")
    alone = optuna.create_study(sampler=Sampler("quasi_random", seed=1))
    alone.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("k", 0, 9), n_trials=8)
    assert params(both) == params(alone)


def test_trials_that_run_are_pending_for_the_algorithm():
    """Of a sequence without repetition, trials that are asked for together get different points."""
    study = optuna.create_study(sampler=Sampler("quasi_random", space=SPACE, seed=0))
    trials = [study.ask() for _ in range(8)]
    points = [ask_space(trial) for trial in trials]
    alone = build_hpo_from_name("quasi_random", SPACE, seed=0)
    assert points == [tuple(alone.ask().values()) for _ in range(8)]


def test_what_runs_in_another_process_is_pending_once_its_parameters_are_known():
    """Another sampler stands for the other process: it draws the next point, and not the one that runs."""
    storage = optuna.storages.InMemoryStorage()
    for seed in (0, 0):
        study = optuna.create_study(
            storage=storage, study_name="s", load_if_exists=True, sampler=Sampler("grid", space=SPACE[1:2], seed=seed)
        )
        study.ask().suggest_categorical("c", ["a", "b"])
    assert sorted(trial.params["c"] for trial in study.trials) == ["a", "b"]


def test_threads_take_turns():
    """Each trial of four threads has a configuration of its own and a value; more than one ran at a time."""
    together = threading.Barrier(4, timeout=60)

    def f(trial):
        if trial.number < 4:
            together.wait()
        return conditional(trial)

    study = optuna.create_study(sampler=Sampler("tpe", space=SPACE, seed=0))
    study.optimize(f, n_trials=24, n_jobs=4)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    assert len({trial.params["x"] for trial in study.trials}) == 24


def test_parameters_behind_a_choice_are_drawn_by_the_algorithm_too():
    """Each is a group of its own; one whose range changes belongs to none."""

    def f(trial):
        trial.suggest_float("moving", 0, 1 + trial.number)
        return conditional(trial)

    study = optuna.create_study(sampler=Sampler("random", seed=1))
    study.optimize(f, n_trials=9)
    assert {trial.params["c"] for trial in study.trials} == {"a", "b"}
    relative = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert set(relative) == {"x", "c", "n", "y"}
    assert relative["n"] == optuna.distributions.IntDistribution(1, 64, log=True)


def test_groups_do_not_draw_the_same_numbers():
    """Two groups with as many trials each are independent: less than a third of the pairs are near (chance: 2 %)."""

    def f(trial):  # the first trial has one of them, the second the other
        names = {0: ["x"], 1: ["y"]}.get(trial.number, ["x", "y"])
        return sum(trial.suggest_float(name, 0, 1) for name in names)

    study = optuna.create_study(sampler=Sampler("random", seed=0))
    study.optimize(f, n_trials=62)
    pairs = [(trial.params["x"], trial.params["y"]) for trial in study.trials[2:]]
    assert sum(abs(x - y) < 0.01 for x, y in pairs) < len(pairs) / 3


def test_a_space_of_ours_keeps_its_order_and_its_conditions():
    """An ordinal is categorical to Optuna; what is not active is not drawn."""
    space = SearchSpace(
        [
            OrdinalHP("batch", [8, 32, 512]),
            ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [RangeHP("m", 0.0, 0.9)]}),
        ]
    )
    study = optuna.create_study(sampler=Sampler("tpe", space=space, seed=0))

    def f(trial):
        batch = trial.suggest_categorical("batch", [8, 32, 512])
        return batch + (
            trial.suggest_float("m", 0, 0.9) if trial.suggest_categorical("opti", ["sgd", "adam"]) == "sgd" else 1
        )

    study.optimize(f, n_trials=25)
    assert study.best_params["batch"] == 8
    assert study.best_value < 8.3  # the best is 8


def test_what_a_trial_did_not_use_is_filled_in_and_outside_values_are_left_out():
    """Optuna's distributions as a space: half of the trials do not ask for one of them, and one is far outside."""
    float_, choice = optuna.distributions.FloatDistribution, optuna.distributions.CategoricalDistribution
    space = {"x": float_(0, 1), "z": float_(0, 1), "c": choice([None, 2.5])}
    sampler = Sampler("tpe", space=space, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.add_trial(optuna.trial.create_trial(value=-99.0, params={"x": 9.0}, distributions={"x": float_(0, 10)}))
    study.optimize(
        lambda trial: (
            abs(trial.suggest_float("x", 0, 1) - 0.5)
            + (trial.suggest_float("z", 0, 1) if trial.number % 2 else 0.0)
            + (trial.suggest_categorical("c", [None, 2.5]) is None)
        ),
        n_trials=40,
    )
    best = min(trial.value for trial in study.trials[1:])
    assert best < 0.1


def test_an_enqueued_trial_counts_with_what_it_tried():
    """The next suggestions are those of the algorithm that was told the enqueued configuration."""
    study = optuna.create_study(sampler=Sampler("quasi_random", space=SPACE, seed=0))
    study.enqueue_trial({"x": 0.25, "c": "b", "n": 7})
    study.optimize(flat, n_trials=3)
    alone = build_hpo_from_name("quasi_random", SPACE, seed=0)
    assert params(study) == [{"x": 0.25, "c": "b", "n": 7}, *(dict(alone.ask()) for _ in range(2))]


def test_pruned_trials_count_as_no_better_than_the_median():
    """TPE stays away from where a trial was pruned with a value that looks good."""

    def f(trial):
        x = trial.suggest_float("x", 0, 1)
        if x > 0.5:
            trial.report(-9.0, 0)
            raise optuna.TrialPruned
        return x

    study = optuna.create_study(sampler=Sampler("tpe", seed=0))
    study.optimize(f, n_trials=60)
    late = [trial.params["x"] for trial in study.trials[30:]]
    assert sum(x < 0.5 for x in late) > 20  # half of them by chance, nearly none if -9 counted


def test_several_objectives_and_constraints_reach_the_algorithm_and_the_study():
    """The directions are the study's; Optuna keeps the constraints, so its own best trials are feasible."""
    sampler = Sampler("nsga2", seed=0, constraints_func=lambda trial: (0.5 - trial.params["x"],))
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), n_trials=60)
    assert study.trials[0].system_attrs["constraints"] == [0.5 - study.trials[0].params["x"]] or (
        study.trials[0].system_attrs["constraints"] == (0.5 - study.trials[0].params["x"],)
    )
    assert all(trial.params["x"] >= 0.5 for trial in study.best_trials)
    late = [trial.params for trial in study.trials[30:]]
    assert sum(one["x"] >= 0.5 for one in late) > 20  # half of them by chance


def test_a_sampler_that_has_tried_everything_ends_the_study():
    """Six configurations, each once."""
    study = optuna.create_study(sampler=Sampler("grid", space=[RangeHP("k", 1, 3), ChoiceHP("c", ["a", "b"])]))
    study.optimize(lambda trial: trial.suggest_int("k", 1, 3) * len(trial.suggest_categorical("c", ["a", "b"])), 50)
    assert len(study.trials) == len({str(one) for one in params(study)}) == 6


def test_a_sampler_is_pickled_with_its_seed_and_reseeding_changes_it():
    """A copy draws the same; after reseed_rng it draws something else."""
    sampler = Sampler("tpe", space=SPACE, seed=5)
    copies = [sampler, pickle.loads(pickle.dumps(sampler)), pickle.loads(pickle.dumps(sampler))]
    copies[2].reseed_rng()
    first = []
    for one in copies:
        study = optuna.create_study(sampler=one)
        study.optimize(flat, n_trials=1)
        first.append(params(study))
    assert first[0] == first[1] != first[2]


def test_an_optimizer_hands_over_its_options_space_and_seed():
    """As if they were given one by one."""
    hpo = build_hpo_from_name("quasi_random", SPACE, sequence="halton", seed=9)
    study = optuna.create_study(sampler=Sampler(hpo))
    study.optimize(flat, n_trials=3)
    alone = build_hpo_from_name("quasi_random", SPACE, sequence="halton", seed=9)
    assert params(study) == [dict(alone.ask()) for _ in range(3)]


def test_values_that_are_not_finite_and_odd_distributions_harm_nothing():
    """Optuna takes infinity for a value; steps, single values and choices of any kind are drawn as they are."""

    def f(trial):
        trial.suggest_float("step", 0, 1, step=0.25)
        trial.suggest_int("by", 2, 10, step=4)
        trial.suggest_categorical("one", ["only"])
        trial.suggest_float("same", 2.0, 2.0)
        trial.suggest_categorical("odd", [None, True, 1.5, "x"])
        return float("inf") if trial.number % 3 == 0 else trial.suggest_float("x", 0, 1)

    study = optuna.create_study(sampler=Sampler("tpe", seed=0))
    study.optimize(f, n_trials=20)
    assert {trial.params["by"] for trial in study.trials} <= {2, 6, 10}
    assert {trial.params["step"] for trial in study.trials} <= {0, 0.25, 0.5, 0.75, 1}
    assert study.best_value < 0.5


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Sampler("bohb"), OptionError, "must be an algorithm that runs every trial in full"),
        (lambda: Sampler("tpee"), RegistryError, "did you mean 'tpe'"),
        (lambda: Sampler("quasi_random", sequenc="halton"), OptionError, "did you mean 'sequence'"),
        (lambda: Sampler("tpe", mode="max"), OptionError, "mode: must not be given to a sampler"),
        (lambda: Sampler("anneal", constraints_func=len), OptionError, "anneal does not look at constraints"),
        (lambda: Sampler("tpe", space=[PermutationHP("p", [1, 2, 3])]), SpaceError, "p: must be a number or a choice"),
        (lambda: Sampler(3), OptionError, "must be a name"),
        (lambda: Sampler("tpe", seed="a"), OptionError, "seed: must be int or None, got 'a'"),
        (lambda: Sampler("tpe", seed=-1), OptionError, "seed: must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_a_sampler_is_refused_when_it_is_made(make, error, text):
    """With a typed error that says why."""
    with pytest.raises(error, match=text):
        make()


def test_without_optuna_the_extra_is_named():
    """And importing the package alone loads nothing."""
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "import autohpo.integrations.optuna as o\n"
        "try: o.Sampler\n"
        "except ImportError as e: print(type(e).__name__, e)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "MissingExtraError Optuna is not installed: pip install 'autohpo[optuna]'"
