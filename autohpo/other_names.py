"""What other libraries call our arguments, options and algorithms: only for the texts of errors.

The names are those of AutoGL, ClearML, HpBandSter, Optuna, Ray Tune, Syne Tune, hyperopt, scikit-learn, SMAC, Nevergrad
and others. An error about an unknown name says from here what the thing is called, and where it goes.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

from autohpo.errors import OptionError

BUILD = "build_hpo_from_name(...)"
OPTIMIZE = "hpo.optimize(...)"

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = {  # an option of build_hpo_from_name, or an argument of optimize: what others call it
    "max_evals": (
        "n_trials num_trials max_trials num_samples n_iter n_iters n_calls total_max_jobs n_evals num_evals "
        "max_evaluations n_evaluations num_evaluations max_num_evaluations max_num_trials_started "
        "max_num_trials_completed max_num_trials_finished runcount_limit n_configs num_configs max_iter "
        "max_iterations ntrials trials_limit max_num_trials n_iterations iterations trials budget"
    ),
    "mode": (
        "direction directions sense goal maximize minimize maximise minimise objective_metric_sign "
        "greater_is_better higher_is_better is_higher_better lower_is_better objective_sign study_direction"
    ),
    "seed": "random_state random_seed rng rstate rseed randomstate seeds",
    "points": (
        "points_to_evaluate evaluated_rewards initial_points initial_configs initial_configurations init_configs "
        "x0 y0 known_points enqueue_trial initial_design warmstart_points default_config"
    ),
    "min_fidelity": (
        "min_budget min_resource min_resources min_iteration_per_job grace_period min_t r_min min_epochs min_iter"
    ),
    "max_fidelity": (
        "max_budget max_resource max_resources max_iteration_per_job max_t r_max max_epochs max_resource_level "
        "max_resource_attr"
    ),
    "eta": "reduction_factor factor halving_factor",
    "space": (
        "hp_space search_space config_space configspace param_space param_distributions param_grid parameter_space "
        "hyper_parameters hyperparameters pbounds dimensions search_spaces parametrization domain bounds params "
        "parameters config"
    ),
    "f": (
        "objective func fn fun function objective_function target_function target_func trainable train_fn "
        "objective_fn evaluation_function obj_func hypermodel estimator"
    ),
    "num_workers": (
        "n_jobs n_workers max_concurrent max_concurrent_trials num_concurrent_workers "
        "max_number_of_concurrent_tasks num_slaves n_slaves workers max_workers num_processes n_processes "
        "n_parallel parallelism concurrency num_threads n_threads processes min_n_workers parallel_trials "
        "num_parallel_trials"
    ),
    "time_limit": (
        "timeout time_budget_s time_budget walltime_limit max_wallclock_time optimization_time_limit "
        "compute_time_limit max_time max_runtime max_seconds total_time_limit wallclock_limit max_duration "
        "time_out"
    ),
    "trial_time_limit": (
        "time_limit_per_job trial_timeout trial_walltime_limit eval_timeout time_limit_per_trial job_timeout"
    ),
    "memory_limit": "max_memory mem_limit mem_in_mb memory trial_memory_limit ram_limit",
    "store": (
        "storage db db_url database local_dir storage_path log_dir output_directory save_path checkpoint_path "
        "checkpoint trials_save_file result_logger resume load_if_exists working_dir working_directory"
    ),
    "name": "study_name run_name run_id project_name experiment_name tuner_name task_name",
    "progress": "show_progress_bar show_progressbar progressbar progress_bar verbose verbosity disp",
    "continue_on_error": "catch error_score raise_errors raise_on_error ignore_errors raise_on_failed_trial",
    "target": "loss_threshold stop_at target_value metric_threshold",
    "patience": "early_stop_fn early_stopping early_stopping_rounds no_progress_loss early_stop n_iter_no_change",
    "warm_start": "previous_result previous_results seed_from restore initial_results transfer warm_start_from",
    "executor": "backend trial_backend client pool execution_queue ray_init",
    "fidelity": "resource_attr time_attr resource resource_name fidelity_name budget_attr",
    "max_consecutive_failures": "max_failures failure_limit max_errors",
    "gpus": "n_gpus num_gpus gpu gpu_ids devices device cuda_visible_devices",
    "keep": "restore_best_weights scope",
    "checkpoints": "checkpoint_root checkpoint_url checkpoint_storage",
    "keep_checkpoints": "save_top_k_tasks_only checkpoint_config keep_checkpoints_num",
    "retries": "max_retries failure_config retry_failed n_retries",
}

CLEARML = frozenset(
    (
        "eta",
        "min_budget",
        "max_budget",
        "min_points_in_model",
        "top_n_percent",
        "num_samples",
        "random_fraction",
        "bandwidth_factor",
        "min_bandwidth",
        "total_max_jobs",
        "min_iteration_per_job",
        "max_iteration_per_job",
        "time_limit_per_job",
        "compute_time_limit",
        "pool_period_min",
    )
)
"""The options of ClearML's OptimizerBOHB, where None means that none was given."""

_NOTES = {  # what is to be said beside the name
    "mode": "'max' or 'min', or several such as {'acc': 'max', 'latency': 'min'}",
    "time_limit": "in seconds",
    "trial_time_limit": "in seconds",
    "progress": "'auto', 'rich', 'plain' or 'none'",
    "store": "a path such as 'run.db'; a run that is in it goes on by itself",
    "warm_start": "stores or results of earlier searches",
    "fidelity": "or let f name an argument fidelity",
}

_NO_SUCH = {  # things that exist elsewhere and are something else here
    "callbacks": (
        "there are no callbacks: target= and patience= end a search, Result.load(store) reads it while it runs"
    ),
    "sampler": "the name given to build_hpo_from_name says how to search; bohb, hyperband and asha take sampler= there",
    "pruner": (
        "build 'asha', 'hyperband' or 'median_stopping', which end poor trials early: "
        "build_hpo_from_name('asha', space, f)"
    ),
    "algorithm": "it is the name given to build_hpo_from_name",
    "metric": "the value that f returns is the objective; several have names: mode={'acc': 'max', 'latency': 'min'}",
    "gc_after_trial": ("each trial runs in a process of its own workers, and memory_limit= holds it"),
    "pool_period_min": "events drive the search, nothing is polled",
    "local_port": "workers are joined by pipes and need no port",
    "nameserver": "workers are joined by pipes and need no name server",
    "n_startup_trials": "the first trials are the algorithm's own matter",
    "resources": "num_workers= and memory_limit= of optimize say what a trial may use",
    "constraints": "SearchSpace(parameters, constraints=[...]) takes them",
}
_NO_SUCH_NAMES = {
    "callbacks": "callback loggers logger hooks job_complete_callback on_trial_end",
    "sampler": "",
    "pruner": "pruning stopper stopping_rule early_stopping_policy trial_scheduler",
    "algorithm": (
        "algo algorithm_name optimizer optimizer_class search_alg searcher tuner suggest strategy scheduler tpe "
        "method hpo"
    ),
    "metric": (
        "metrics metric_name objective_metric objective_metric_title objective_metric_series scoring objectives "
        "monitor reward_attr"
    ),
    "gc_after_trial": "",
    "pool_period_min": "poll_period sleep_time",
    "local_port": "port",
    "nameserver": "nameserver_port host",
    "n_startup_trials": (
        "n_startup_jobs n_initial_points n_random_starts init_points num_initial_points num_init_random n_initial "
        "n_init num_init_candidates"
    ),
    "resources": "resources_per_trial gpus_per_trial cpus_per_trial resources_per_worker",
    "constraints": "constraints_func constraint nonlinear_constraints",
}

_ALGORITHMS = {
    "quasi_random": "quasi sobol halton qmc quasi_random_search qmcsampler low_discrepancy scrambled_sobol",
    "random": "random_search randomsearch randomsampler randomized randomizedsearchcv rs uniform rand.suggest",
    "grid": "grid_search gridsearch gridsampler gridsearchcv brute brute_force bruteforcesampler halvinggridsearchcv",
    "tpe": "tpesampler optuna hyperopttpe tpe_sampler parzen optimizeroptuna optunaoptimizer optunasearch",
    "hyperopt_tpe": "hyperopt tpe.suggest hyperoptsearch",
    "anneal": "annealing simulated_annealing anneal.suggest sa",
    "bayes": (
        "bo gp bayesian bayesopt bayesian_optimization bayesian_optimisation gpsampler gaussian_process "
        "gp_minimize hebo skopt botorch ax botorchsampler vizier bayesoptsearch bayes_opt "
        "bayesianoptimization dragonfly"
    ),
    "bohb": "optimizerbohb hpbandster tunebohb bohb_search bohbsearch",
    "hyperband": "hyperbandscheduler hyperbandpruner hb hyperband_pruner",
    "successive_halving": "sha successivehalving synchronous_halving syncsh",
    "median_stopping": "median medianstoppingrule medianpruner median_stopping_rule percentilepruner",
    "asha": (
        "ashascheduler asynchyperband async_hyperband asynchronous_halving successivehalvingpruner mobster "
        "asynchyperbandscheduler rush"
    ),
    "pbt": "population_based_training populationbasedtraining population pb2 pbt_scheduler",
    "cmaes": "cma cma_es cmaessampler cma-es es evolution_strategy",
    "mocmaes": "mo_cmaes mocma mo_cma mo-cma-es",
    "nsga2": "nsga nsgaii nsga_ii nsgaiisampler nsga-ii nsga3",
    "motpe": "motpesampler mo_tpe",
    "smac": "smac3 smac4hpo random_forest rf forest_minimize",
    "turbo": "turbo1 turbo_1 trust_region",
    "differential_evolution": "de scipy_de",
    "regularized_evolution": "rea re reg_evo evolution genetic ga aging_evolution",
    "ehvi": "qehvi moo mobo expected_hypervolume",
    "auto": (
        "automatic default best any optunahub autosampler ngopt nevergrad flaml cfo blendsearch zoopt sigopt "
        "advisorbase advisorchoco"
    ),
}


_ATTRIBUTES = {  # of an optimizer, a result or a trial
    "optimize() runs the search": "fit run minimize maximize fmin start start_locally search",
    "ask() returns a suggestion": "suggest get_suggestion get_config ask_one next_trial get_next",
    "tell() takes a result": "observe register update complete add_trial",
    "known configurations and results are points= of build_hpo_from_name": "enqueue_trial points_to_evaluate probe",
    "the best trial is result.best, with hp and perf": (
        "best_trial best_trial_ best_params best_value best_config best_params_ best_score_ best_result "
        "best_configuration best_hyperparameters best_index_ best_estimator_ get_best_config get_best_trial "
        "get_best_result get_best_hyperparameters get_incumbent_id incumbent fmin_best"
    ),
    "the trials on the front are result.pareto": "best_trials pareto_front get_pareto_front",
    "the k best trainings are result.top(k)": "get_top_experiments get_top_trials n_best",
    "result.to_pandas() is a table of the trials": (
        "trials_dataframe dataframe get_dataframe results_df cv_results_ to_df get_trials_data_frame get_all_runs"
    ),
    "the configuration is called hp": "params config configuration hyperparameters parameters kwargs",
    "the result is called perf": "value objective loss score_ final_measurement",
    "several results are called perfs": "values objectives_values",
}

_WAYS = {"max": "maximize maximise maximum higher up", "min": "minimize minimise minimum lower down"}


def hint(name: str, known: Iterable[str], elsewhere: Mapping[str, Iterable[str]]) -> str:
    """Return the end of a sentence about an unknown name: what it is called here, or in which call it belongs.

    Args:
        name: The name that was given.
        known: The names that the call takes.
        elsewhere: The names that other calls take, by the call as a user writes it.
    """
    known = list(known)
    ours = _ours(name)
    if ours != name and ours in known:
        return f"; it is called {ours} here{_note(ours)}."
    for call, names in elsewhere.items():
        if ours in names:
            return f"; it {'' if ours == name else f'is called {ours} and '}goes to {call}{_note(ours)}."
    missing = _names_of("missing").get(name.lower())
    return f"; {_NO_SUCH[missing]}." if missing is not None else did_you_mean(name, known)


def meant_option(name: str) -> str:
    """Return what an option or an argument of another library is called here; the name itself where it is unknown."""
    return _ours(name)


def is_known_elsewhere(name: str) -> bool:
    """Return whether a name is that of a thing that exists in other libraries and is something else here."""
    return name.lower() in _names_of("missing")


def meant_algorithm(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown algorithm: the one that is meant, if there is one."""
    plain = str(name).lower().replace(" ", "_")
    known = list(known)
    for other in (plain, plain.replace("-", "_"), plain.replace("-", ""), plain.replace("_", "")):
        ours = other if other in known else _names_of("algorithms").get(other)
        if ours in known:
            return f"; did you mean {ours!r}?"
    return did_you_mean(plain, known)


def meant_way(value: object) -> str | None:
    """Return "max" or "min" where a value means that in another library."""
    return _names_of("ways").get(value.lower()) if isinstance(value, str) else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known name, if some name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def missing_attribute(owner: object, name: str) -> Any:
    """Raise the AttributeError about an attribute that is not there: it says what other libraries' name means here.

    Args:
        owner: An optimizer, a result or a trial.
        name: The name of the attribute.
    """
    if hasattr(type(owner), name):  # a property raised AttributeError: that error, and no other
        return object.__getattribute__(owner, name)
    text = f"{type(owner).__name__!r} object has no attribute {name!r}"
    ours = _names_of("attributes").get(name)
    raise AttributeError(f"{text}; {ours}" if ours is not None else text, name=name, obj=owner)


def explains_names(call: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: an unknown keyword of the function is an `OptionError` that says what was meant.

    Args:
        call: The function, as a user writes it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def explained(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except TypeError:
                known = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
                for name in kwargs:
                    if name not in known:
                        text = (
                            f"{name}: {call} has no such argument{hint(name, known, {})} Arguments: {', '.join(known)}"
                        )
                        raise OptionError(text) from None
                raise

        return explained

    return decorate


def _ours(name: str) -> str:
    return _names_of("options").get(name.lower(), name)


def _note(ours: str) -> str:
    return f" ({_NOTES[ours]})" if ours in _NOTES else ""


@lru_cache(maxsize=4)
def _names_of(table: str) -> dict[str, str]:
    """Return our name by the name that others have, our own ones included."""
    tables = {"options": _OPTIONS, "algorithms": _ALGORITHMS, "missing": _NO_SUCH_NAMES, "ways": _WAYS}
    tables["attributes"] = _ATTRIBUTES
    return {other: ours for ours, others in tables[table].items() for other in [ours, *others.split()]}
