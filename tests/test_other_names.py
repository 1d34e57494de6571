"""Names that users bring along from other libraries, and arguments in the wrong call: each error names the way."""

from __future__ import annotations

import pytest

from autohpo import (
    BaseHPOptimizer,
    NoResultError,
    OptionError,
    RangeHP,
    RegistryError,
    Result,
    Search,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
    other_names,
    register_hpo,
)
from autohpo.algorithms.options import RunArguments, option_names
from autohpo.algorithms.registry import _built_in_names, available_hpos, get_hpo

SPACE = [RangeHP("x", 0.0, 1.0)]


def f(hp):
    """An objective."""
    return hp["x"]


def build(name="tpe", **options):
    """An optimizer that ends soon."""
    return build_hpo_from_name(name, SPACE, f, **{"max_evals": 2, "seed": 0, **options})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n_trials", "called max_evals here"),
        ("num_samples", "called max_evals here"),
        ("direction", "called mode here ('max' or 'min'"),
        ("random_state", "called seed here"),
        ("points_to_evaluate", "called points here"),
        ("num_workers", "goes to hpo.optimize(...)"),
        ("n_jobs", "called num_workers and goes to hpo.optimize(...)"),
        ("time_limit", "goes to hpo.optimize(...) (in seconds)"),
        ("timeout", "called time_limit and goes to hpo.optimize"),
        ("storage", "called store and goes to hpo.optimize"),
        ("study_name", "called name and goes to hpo.optimize"),
        ("objective", "called f and goes to build_hpo_from_name"),
        ("eta", "an option of asha, "),
        ("min_resource", "as min_fidelity it is an option of asha, "),
        ("sampler", "the name given to build_hpo_from_name says how to search"),
        ("callbacks", "there are no callbacks"),
        ("metric", "the value that f returns is the objective"),
        ("n_startups", "did you mean 'n_startup'"),
    ],
)
def test_an_option_of_another_name_or_call_is_explained_when_building(name, words):
    """The text says what it is called and where it goes, and lists the options that there are."""
    with pytest.raises(OptionError) as error:
        build(**{name: 3})
    assert words in str(error.value)
    assert f"{name}: tpe has no such option" in str(error.value)
    assert "Options: gamma, max_evals" in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("max_evals", "goes to build_hpo_from_name"),
        ("n_trials", "called max_evals and goes to build_hpo_from_name"),
        ("direction", "called mode and goes to build_hpo_from_name"),
        ("seed", "goes to build_hpo_from_name"),
        ("gamma", "goes to build_hpo_from_name"),
        ("max_budget", "called max_fidelity and goes to build_hpo_from_name"),
        ("max_num_trials", "called max_evals and goes to build_hpo_from_name"),
        ("n_jobs", "called num_workers here"),
        ("max_concurrent", "called num_workers here"),
        ("timeout", "called time_limit here (in seconds)"),
        ("load_if_exists", "called store here"),
        ("show_progress_bar", "called progress here"),
        ("pruner", "asha"),
        ("nonsense", "has no such option. Options:"),
    ],
)
def test_an_argument_of_another_name_or_call_is_explained_by_optimize(name, words):
    """Before anything runs."""
    with pytest.raises(OptionError) as error:
        build().optimize(**{name: 5})
    assert words in str(error.value)
    assert "Options: ask_ahead, " in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("quasi", "quasi_random"),
        ("BOHB", "bohb"),
        ("TPE", "tpe"),
        ("CMA-ES", "cmaes"),
        ("NSGA-II", "nsga2"),
        ("Random Search", "random"),
        ("OptimizerBOHB", "bohb"),
        ("GPSampler", "bayes"),
        ("sobol", "quasi_random"),
        ("rand.suggest", "random"),
        ("MedianStoppingRule", "median_stopping"),
        ("sha", "successive_halving"),
        ("advisorbase", "auto"),
        ("tpee", "tpe"),
    ],
)
def test_an_algorithm_of_another_name_is_recognised(name, meant):
    """By the names of other libraries, in any case, and by what is near."""
    with pytest.raises(RegistryError, match=f"{name}.*did you mean '{meant}'"):
        build(name)


def test_arguments_in_the_wrong_order_are_recognised():
    """The text has the right order."""
    order = r"the order is build_hpo_from_name\(name, space, f\)"
    for wrong in [(f, SPACE), (SPACE, "tpe", f), (SPACE, "tpe"), (None, SPACE, f)]:
        with pytest.raises(RegistryError, match=f"^name: must be a string.*{order}"):
            build_hpo_from_name(*wrong)
    with pytest.raises(SpaceError, match=f"^space: must be a list of parameters, got function.*{order}"):
        build_hpo_from_name("tpe", f, SPACE)
    with pytest.raises(OptionError, match=f"^f: must be callable, got list.*{order}"):
        build_hpo_from_name("tpe", SPACE, SPACE)
    with pytest.raises(RegistryError, match=r"got a class; build it as TPE\(space, f\)"):
        build_hpo_from_name(get_hpo("tpe"), SPACE, f)
    with pytest.raises(OptionError, match="hp_space: .* called space"):
        build_hpo_from_name("tpe", hp_space=SPACE, f=f)


@pytest.mark.parametrize("given", [{"x": (0, 1)}, {"x": [1, 2]}, {"x": 0.5}, RangeHP("x", 0, 1), "x", 3])
def test_what_is_no_space_is_told_what_one_looks_like(given):
    """Also where SearchSpace is called."""
    for make in (SearchSpace, lambda given: build_hpo_from_name("tpe", given, f)):
        with pytest.raises(
            SpaceError, match=r"space: must be a list of parameters, .* write \[RangeHP\('x', 0.0, 1.0\)"
        ):
            make(given)


def test_a_dict_of_parameters_is_told_to_be_a_list():
    """The names stand in the parameters."""
    with pytest.raises(SpaceError, match=r"give list\(space.values\(\)\)"):
        SearchSpace({"x": RangeHP("x", 0, 1)})


@pytest.mark.parametrize(
    ("mode", "meant"),
    [
        ("minimize", "'min'"),
        ("MAX", "'max'"),
        (["maximize", "min"], r"\['max', 'min'\]"),
        ({"acc": "maximize"}, r"{'acc': 'max'}"),
    ],
)
def test_other_words_for_the_mode_are_recognised(mode, meant):
    """The text has the mode as it must be."""
    with pytest.raises(OptionError, match=f"mode: .*did you mean {meant}"):
        build(mode=mode)


def test_a_class_of_ones_own_explains_its_options_too():
    """Built by its class; and the decorator without a name says how it is written."""

    class Middle(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            return {"x": 0.5}

    with pytest.raises(OptionError, match="n_trials: Middle has no such option; it is called max_evals here"):
        Middle(SPACE, f, n_trials=3)
    with pytest.raises(OptionError, match="num_workers: Middle has no such option; it goes to hpo.optimize"):
        Middle(SPACE, f, num_workers=3)
    with pytest.raises(OptionError, match="n_trials: TPE has no such option; it is called max_evals here"):
        get_hpo("tpe")(SPACE, f, n_trials=3)
    with pytest.raises(OptionError, match="min_budget: BOHB has no such option; it is called min_fidelity here"):
        get_hpo("bohb")(SPACE, f, min_budget=3)
    with pytest.raises(RegistryError, match=r"name: must be a string, got a class; write @register_hpo\('my_name'\)"):
        register_hpo(Middle)


def test_nones_of_clearml_are_taken_as_not_given():
    """Its set_optimization_args hands over None for what was not set; elsewhere None is still a wrong value."""
    nones = dict.fromkeys(["min_budget", "max_budget", "min_points_in_model", "num_samples"])
    rest = {"eta": 3, "top_n_percent": 15, "random_fraction": 1 / 3, "bandwidth_factor": 3, "min_bandwidth": 1e-3}
    hpo = build("bohb", **nones, **rest)
    assert (hpo.min_fidelity, hpo.max_fidelity, hpo.num_samples) == (1.0, 81.0, 64)
    assert build("hyperband", **nones).max_fidelity == 81.0
    with pytest.raises(OptionError, match="max_fidelity: must be float, got None"):
        build("bohb", max_fidelity=None)


def test_a_result_before_optimize_names_optimize():
    """Whatever is asked of it; and what lies in it, by other libraries' names."""
    with pytest.raises(NoResultError, match=r"result: there is none before optimize\(\)"):
        build().result.best
    assert getattr(build(), "result", None) is None
    hpo = build()
    hpo.optimize(progress=False)
    assert len(hpo.result) == 2
    for owner, name, words in [
        (hpo, "best_params", "result.best"),
        (hpo.result, "best_trial", "result.best"),
        (hpo, "run", r"optimize\(\) runs"),
        (hpo.result, "best_value", "result.best"),
        (hpo.result, "trials_dataframe", "to_pandas"),
        (hpo.result.best, "params", "called hp"),
        (hpo.result.best, "value", "called perf"),
    ]:
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; .*{words}"):
            getattr(owner, name)
    assert not hasattr(hpo, "bogus")
    with pytest.raises(AttributeError, match=r"'TPE' object has no attribute 'bogus'$"):
        hpo.bogus


def test_an_attribute_error_inside_a_property_stays_the_one_that_was_raised():
    """An explanation of the property's own name would hide it."""

    class Broken(get_hpo("random")):
        @property
        def trials(self):
            return None.gone

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'gone'"):
        Broken(SPACE, f).trials


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Search(build(), storage="x.db"), "storage: Search has no such argument; it is called store here"),
        (lambda: Search(SPACE, "x.db"), "hpo: must be an optimizer, .* got list"),
        (lambda: Search("tpe", "x.db"), "hpo: must be an optimizer, .* got str 'tpe'"),
        (lambda: Result("x.db"), r"Result.load\(path\) reads a store"),
        (lambda: Result.load(path="x.db"), "path: Result.load has no such argument. Arguments: url"),
        (lambda: build().optimize(4), r"optimize\(num_workers=4\)"),
        (lambda: build().optimize("run.db"), r"optimize\(store='run.db'\)"),
        (lambda: build().optimize(f), r"a function goes to build_hpo_from_name\(name, space, f\)"),
        (lambda: build().optimize(warm_start=object()), "^warm_start: must be paths of stores or results, got object"),
        (lambda: build().optimize(warm_start=[{"x": 0.5}]), r"^warm_start: .* points="),
        (lambda: build().optimize(warm_start={"x": 0.5}), "^warm_start: .* got dict"),
    ],
)
def test_other_calls_explain_themselves_too(call, words):
    """Each is an OptionError that names the argument."""
    with pytest.raises(OptionError, match=words):
        call()


def test_no_earlier_search_may_be_given_as_none():
    """As a variable that is empty often is."""
    assert build().optimize(warm_start=None, progress=False)


def test_the_tables_name_what_there_is():
    """Each name of ours exists, no name is explained twice, and none that exists is called by another one."""
    options = {name for known in _built_in_names() for name in option_names(get_hpo(known))}
    ours = options | {*RunArguments.__annotations__, "space", "f"}
    assert set(other_names._OPTIONS) <= ours
    assert set(other_names._ALGORITHMS) <= set(available_hpos())
    assert set(other_names._NO_SUCH) == set(other_names._NO_SUCH_NAMES)
    assert set(other_names._NOTES) <= set(other_names._OPTIONS)
    for table in ("_OPTIONS", "_ALGORITHMS", "_ATTRIBUTES", "_NO_SUCH_NAMES"):
        others = " ".join(getattr(other_names, table).values()).split()
        assert len(others) == len(set(others)), table
    explained = set(" ".join(other_names._OPTIONS.values()).split())
    assert not explained & set(RunArguments.__annotations__)
    assert not explained & set(" ".join(other_names._NO_SUCH_NAMES.values()).split())
